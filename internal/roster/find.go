package roster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

func noUser() error  { return fault.New(fault.NotFound, "", "There is no such user.") }
func noGroup() error { return fault.New(fault.NotFound, "", "There is no such group.") }

// User returns the user, with memberships if withGroups. One read unit while
// both fit 4 KB.
func (r Roster) User(ctx context.Context, id identity.User, withGroups bool) (User, error) {
	if _, ok := identity.ParseUser(string(id)); !ok {
		return User{}, noUser()
	}
	k := r.UserKey(id)
	if !withGroups {
		items, err := r.table.Get(ctx, k)
		if err != nil {
			return User{}, fmt.Errorf("read user: %w", err)
		}
		if len(items) == 0 {
			return User{}, noUser()
		}
		return decodeUser(items[0])
	}
	var u User
	for it, err := range r.table.Query(ctx, k.Part, table.Range{Prefix: k.Sort}) {
		if err != nil {
			return User{}, fmt.Errorf("read user: %w", err)
		}
		if it.Sort == k.Sort {
			if u, err = decodeUser(it); err != nil {
				return User{}, err
			}
			continue
		}
		if u.ID == "" {
			break // memberships without their user: deleted, and still being swept
		}
		if g, ok := membership(it.Sort); ok {
			u.belong(g, it)
		}
	}
	if u.ID == "" {
		return User{}, noUser()
	}
	return u, nil
}

// membership reads the group out of a membership's sort key.
func membership(sort string) (identity.Group, bool) {
	_, g, ok := strings.Cut(sort, memberMark)
	return identity.Group(g), ok
}

// Users returns those of the users that exist, in the order of the ids, without
// memberships.
func (r Roster) Users(ctx context.Context, ids ...identity.User) ([]User, error) {
	var out []User
	for part := range slices.Chunk(ids, table.MaxGet) {
		keys := make([]table.Key, len(part))
		for i, id := range part {
			keys[i] = r.UserKey(id)
		}
		items, err := r.table.Get(ctx, keys...)
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		for _, it := range items {
			u, err := decodeUser(it)
			if err != nil {
				return nil, err
			}
			out = append(out, u)
		}
	}
	return out, nil
}

// Claim is who goes by a name.
type Claim struct {
	IDs  []identity.User // the first brought the name; others are links to it
	Item table.Item
}

// In returns the id by which the connection knows the holder, if it does.
func (c Claim) In(conn identity.Connection) (identity.User, bool) {
	for _, id := range c.IDs {
		if id.Connection() == conn {
			return id, true
		}
	}
	return "", false
}

// EncodeClaim returns the data of a claim's item.
func EncodeClaim(ids ...identity.User) []byte {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = string(id)
	}
	return []byte(strings.Join(s, " "))
}

func decodeClaim(it table.Item) Claim {
	c := Claim{Item: it}
	for s := range strings.FieldsSeq(string(it.Data)) {
		if id, ok := identity.ParseUser(s); ok {
			c.IDs = append(c.IDs, id)
		}
	}
	return c
}

// Claims reads the claims at the keys, in their order; absent ones are left out.
func (r Roster) Claims(ctx context.Context, keys ...table.Key) ([]Claim, error) {
	items, err := r.table.Get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	out := make([]Claim, len(items))
	for i, it := range items {
		out[i] = decodeClaim(it)
	}
	return out, nil
}

// ByUserName returns who goes by the name in the organization, folded; a Claim
// without ids if nobody does.
func (r Roster) ByUserName(ctx context.Context, name string) (Claim, error) {
	return r.claim(ctx, r.NameClaimKey(name))
}

// ByExternalID returns the connection's user with the externalId; a Claim
// without ids if there is none.
func (r Roster) ByExternalID(ctx context.Context, c identity.Connection, externalID string) (Claim, error) {
	return r.claim(ctx, r.ExternalClaimKey(c, externalID))
}

func (r Roster) claim(ctx context.Context, k table.Key) (Claim, error) {
	found, err := r.Claims(ctx, k)
	if err != nil || len(found) == 0 {
		return Claim{}, err
	}
	return found[0], nil
}

// ByEmail returns the connection's users with the address, folded; with an
// empty connection everybody's in the organization.
func (r Roster) ByEmail(ctx context.Context, c identity.Connection, address string) ([]identity.User, error) {
	var out []identity.User
	for it, err := range r.table.Query(ctx, r.emailPart(address), table.Range{Prefix: string(c)}) {
		if err != nil {
			return nil, fmt.Errorf("look up an address: %w", err)
		}
		out = append(out, identity.User(it.Sort))
	}
	return out, nil
}

// Group returns the group with its headers: count, tag and time of its members.
func (r Roster) Group(ctx context.Context, id identity.Group) (Group, error) {
	found, err := r.GroupsOf(ctx, id)
	if err != nil {
		return Group{}, err
	}
	if len(found) == 0 {
		return Group{}, noGroup()
	}
	return found[0], nil
}

// BareGroup returns the group without the headers of its members: one read. It
// tells neither how many members there are nor, by its Tag, their state.
func (r Roster) BareGroup(ctx context.Context, id identity.Group) (Group, error) {
	items, err := r.table.Get(ctx, r.GroupKey(id))
	if err != nil {
		return Group{}, fmt.Errorf("read a group: %w", err)
	}
	if len(items) == 0 {
		return Group{}, noGroup()
	}
	return decodeGroup(items[0])
}

// GroupsOf returns those of the groups that exist, in the order of the ids, with
// their headers: five reads a group.
func (r Roster) GroupsOf(ctx context.Context, ids ...identity.Group) ([]Group, error) {
	const each = 1 + memberShards
	var out []Group
	for part := range slices.Chunk(ids, table.MaxGet/each) {
		var keys []table.Key
		for _, id := range part {
			if _, ok := identity.ParseGroup(string(id)); !ok {
				continue
			}
			keys = append(keys, r.GroupKey(id))
			for s := range memberShards {
				keys = append(keys, table.Key{Part: r.memberPart(id, s), Sort: self})
			}
		}
		if len(keys) == 0 {
			continue
		}
		items, err := r.table.Get(ctx, keys...)
		if err != nil {
			return nil, fmt.Errorf("read groups: %w", err)
		}
		from := len(out)
		for _, it := range items {
			if it.Sort != self {
				g, err := decodeGroup(it)
				if err != nil {
					return nil, err
				}
				out = append(out, g)
				continue
			}
			// Headers follow their group, if it is there still.
			if n := len(out); n > from && strings.HasPrefix(it.Part, r.org.Part("N", string(out[n-1].ID))) {
				out[n-1].addHeader(it)
			}
		}
	}
	return out, nil
}

// GroupsByName returns the connection's groups of that name, folded.
func (r Roster) GroupsByName(ctx context.Context, c identity.Connection, displayName string) ([]identity.Group, error) {
	return r.groupIndex(ctx, r.groupNamePart(c, displayName))
}

// GroupsByExternalID returns the connection's groups with the externalId.
func (r Roster) GroupsByExternalID(ctx context.Context, c identity.Connection, externalID string) ([]identity.Group, error) {
	return r.groupIndex(ctx, r.groupExternalPart(c, externalID))
}

func (r Roster) groupIndex(ctx context.Context, part string) ([]identity.Group, error) {
	var out []identity.Group
	for it, err := range r.table.Query(ctx, part, table.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("look up groups: %w", err)
		}
		id := identity.Group(it.Sort)
		if it.Sort == self {
			id = identity.Group(it.Data)
		}
		out = append(out, id)
	}
	return out, nil
}
