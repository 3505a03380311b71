package roster

import (
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// Keys of this package. o: the organization; c: a connection; n: the first of
// the four hexadecimal digits that spread ids (identity.User.Bucket); h: a
// digest of a folded name under the organization's key, so that no key holds a
// name; s: a shard.
//
//	O#o#U#c#n       <user>             a user, or a link to one
//	O#o#U#c#n       <user>#M#<group>   a membership: one Query answers a user with groups
//	O#o#UN#h        #                  userName claim: unique in the organization; holds the ids that go by it
//	O#o#X#c#h       #                  externalId claim: unique in the connection; holds the id
//	O#o#E#h         <user>             e-mail index
//	O#o#CU#c#1s     2 digits           counter of users whose bucket begins so; s of 8, so that
//	                                   500 creations a second stay below 250 write units a shard
//	O#o#CU#c#2n     4 digits           counter of users in the bucket
//	O#o#G#c#n       <group>            a group, never its members
//	O#o#G#c#n       <group>#M#<group>  a membership of a group in another
//	O#o#GN#c#h      # or <group>       name claim; "#" where the dialect wants names unique
//	O#o#GX#c#h      <group>            a group's externalId
//	O#o#CG#c#1s/2n  as CU              counters of groups
//	O#o#N#<group>#s #                  header of a shard of members: Added to in the member's commit,
//	                                   so its version and count are the membership's; Lock is added
//	                                   while a journal is carried out
//	O#o#N#<group>#s <member>           a member: a user, or where it has data a group
//	O#o#N#<group>#j # and others       a journal: a change of many members, and how far it is
//	O#o#T#c#n       <user>             tombstone
//	O#o#SW#c        <member>           a deleted user or group whose memberships are still being swept
//	O#o#CF          <h>#c              a userName that a connection wanted and another directory holds
//	O#o             #admins            counter of active organization admins
//	O#o             #admins-ready      counter of those among them who have a password
const (
	self         = "#"
	memberMark   = "#M#"
	memberShards = 4 // of one group: a header takes 1,000 write units a second, 250 adds
	countShards  = 8
	hexDigits    = "0123456789abcdef"
)

// Roster is one organization's users and groups: it makes every key of theirs
// and reads them. What is written to them is decided by package provision.
type Roster struct {
	org   *org.Org
	table table.Table
}

// Of binds an organization, once.
func Of(t table.Table, o *org.Org) Roster { return Roster{org: o, table: t} }

// Org returns the organization that the roster is bound to.
func (r Roster) Org() *org.Org { return r.org }

func (r Roster) userPart(c identity.Connection, n string) string {
	return r.org.Part("U", string(c), n)
}

// UserKey is where the user is stored.
func (r Roster) UserKey(id identity.User) table.Key {
	return table.Key{Part: r.userPart(id.Connection(), id.Bucket()[:1]), Sort: string(id)}
}

// ResourceKey is where the member itself is stored.
func (r Roster) ResourceKey(m Member) table.Key {
	if m.Group {
		return r.GroupKey(identity.Group(m.ID))
	}
	return r.UserKey(identity.User(m.ID))
}

// MembershipKey is where the member's membership in the group is stored, beside
// the member itself.
func (r Roster) MembershipKey(m Member, g identity.Group) table.Key {
	k := r.ResourceKey(m)
	k.Sort += memberMark + string(g)
	return k
}

// NameClaimKey is where the claim of a userName is stored.
func (r Roster) NameClaimKey(userName string) table.Key {
	return table.Key{Part: r.org.Part("UN", r.nameDigest(userName)), Sort: self}
}

func (r Roster) nameDigest(userName string) string {
	return r.org.Digest("userName", identity.Fold(userName))
}

// ExternalClaimKey is where the connection's claim of an externalId is stored.
// externalId is compared with case (RFC 7643 §3.1).
func (r Roster) ExternalClaimKey(c identity.Connection, externalID string) table.Key {
	return table.Key{Part: r.org.Part("X", string(c), r.org.Digest("externalId", externalID)), Sort: self}
}

// EmailKey is where the index of an address names the user.
func (r Roster) EmailKey(address string, id identity.User) table.Key {
	return table.Key{Part: r.emailPart(address), Sort: string(id)}
}

func (r Roster) emailPart(address string) string {
	return r.org.Part("E", r.org.Digest("email", identity.Fold(address)))
}

// TombstoneKey is where the tombstone of the user is stored.
func (r Roster) TombstoneKey(id identity.User) table.Key {
	return table.Key{Part: r.org.Part("T", string(id.Connection()), id.Bucket()[:1]), Sort: string(id)}
}

// SweepingKey marks a deleted user or group whose memberships remain to be
// swept.
func (r Roster) SweepingKey(m Member) table.Key {
	return table.Key{Part: r.sweepingPart(m.Connection()), Sort: m.ID}
}

func (r Roster) sweepingPart(c identity.Connection) string { return r.org.Part("SW", string(c)) }

// ConflictKey is where it is kept that the connection wanted a userName that
// another directory holds.
func (r Roster) ConflictKey(userName string, c identity.Connection) table.Key {
	return table.Key{Part: r.org.Part("CF"), Sort: r.nameDigest(userName) + "#" + string(c)}
}

// AdminsKey is the counter of active organization admins.
func (r Roster) AdminsKey() table.Key { return table.Key{Part: r.org.Part(), Sort: "#admins"} }

// ReadyAdminsKey is the counter of those among them who have a password.
func (r Roster) ReadyAdminsKey() table.Key {
	return table.Key{Part: r.org.Part(), Sort: "#admins-ready"}
}

// GroupKey is where the group is stored.
func (r Roster) GroupKey(id identity.Group) table.Key {
	return table.Key{Part: r.groupPart(id.Connection(), id.Bucket()[:1]), Sort: string(id)}
}

func (r Roster) groupPart(c identity.Connection, n string) string {
	return r.org.Part("G", string(c), n)
}

// GroupNameKey is where a group's name is claimed: uniquely, or beside others
// of the same name.
func (r Roster) GroupNameKey(c identity.Connection, displayName string, id identity.Group, unique bool) table.Key {
	k := table.Key{Part: r.groupNamePart(c, displayName), Sort: string(id)}
	if unique {
		k.Sort = self
	}
	return k
}

func (r Roster) groupNamePart(c identity.Connection, displayName string) string {
	return r.org.Part("GN", string(c), r.org.Digest("group", identity.Fold(displayName)))
}

// GroupExternalKey is where the index of a group's externalId names it.
func (r Roster) GroupExternalKey(externalID string, id identity.Group) table.Key {
	return table.Key{Part: r.groupExternalPart(id.Connection(), externalID), Sort: string(id)}
}

func (r Roster) groupExternalPart(c identity.Connection, externalID string) string {
	return r.org.Part("GX", string(c), r.org.Digest("groupExternalId", externalID))
}

// MemberKey is where the group lists the member.
func (r Roster) MemberKey(g identity.Group, m Member) table.Key {
	return table.Key{Part: r.memberPart(g, identity.Spread(m.ID, memberShards)), Sort: m.ID}
}

// MemberHeaderKey is the header of the shard that lists the member.
func (r Roster) MemberHeaderKey(g identity.Group, m Member) table.Key {
	return table.Key{Part: r.memberPart(g, identity.Spread(m.ID, memberShards)), Sort: self}
}

// JournalKey is the journal of the group while there is one; what belongs to it
// stands in the same partition.
func (r Roster) JournalKey(g identity.Group) table.Key {
	return table.Key{Part: r.org.Part("N", string(g), "j"), Sort: self}
}

func (r Roster) memberPart(g identity.Group, shard int) string {
	return r.org.Part("N", string(g), hexDigits[shard:shard+1])
}

// CounterKeys are the two counters that count the user.
func (r Roster) CounterKeys(id identity.User) [2]table.Key {
	return r.counterKeys("CU", id.Connection(), id.Bucket())
}

// GroupCounterKeys are the two counters that count the group.
func (r Roster) GroupCounterKeys(id identity.Group) [2]table.Key {
	return r.counterKeys("CG", id.Connection(), id.Bucket())
}

func (r Roster) counterKeys(kind string, c identity.Connection, bucket string) [2]table.Key {
	return [2]table.Key{
		{Part: r.firstPart(kind, c, identity.Spread(bucket[:2], countShards)), Sort: bucket[:2]},
		{Part: r.secondPart(kind, c, bucket), Sort: bucket},
	}
}

func (r Roster) firstPart(kind string, c identity.Connection, shard int) string {
	return r.org.Part(kind, string(c), "1"+hexDigits[shard:shard+1])
}

func (r Roster) secondPart(kind string, c identity.Connection, bucket string) string {
	return r.org.Part(kind, string(c), "2"+bucket[:1])
}
