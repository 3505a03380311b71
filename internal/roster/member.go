package roster

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// Member is whom a group lists: a user, or a group of the same connection.
type Member struct {
	ID    string
	Group bool
}

// UserMember is the user as a member.
func UserMember(id identity.User) Member { return Member{ID: string(id)} }

// GroupMember is the group as a member.
func GroupMember(id identity.Group) Member { return Member{ID: string(id), Group: true} }

// Connection returns the connection that brought the member.
func (m Member) Connection() identity.Connection { return identity.User(m.ID).Connection() }

// SortMembers puts members into the order of their ids.
func SortMembers(ms []Member) { sort.Slice(ms, func(i, j int) bool { return ms[i].ID < ms[j].ID }) }

// Data is that of the item by which a group lists the member.
func (m Member) Data() []byte {
	if m.Group {
		return []byte{'g'}
	}
	return nil
}

func listed(it table.Item) Member { return Member{ID: it.Sort, Group: len(it.Data) > 0} }

// Lock is added to the headers of a group's members while a journal is carried
// out: the bounds within which a single change counts, Range below and above
// zero, keep it out at no further write. The journal's own changes count within
// Range of Lock.
const (
	Lock  = 1 << 40
	Range = 1 << 39
)

// Counted returns how many members a header counts, and whether it is locked.
func Counted(header table.Item) (n int64, locked bool) {
	if header.N > Range {
		return header.N - Lock, true
	}
	return header.N, false
}

// Members yields the group's members, shard by shard, ascending in each.
// Deleted ones that still are to be swept are left out.
func (r Roster) Members(ctx context.Context, id identity.Group) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		gone, err := r.sweeping(ctx, id.Connection())
		if err != nil {
			yield(Member{}, err)
			return
		}
		for s := range memberShards {
			for it, err := range r.table.Query(ctx, r.memberPart(id, s), table.Range{After: self}) {
				if err != nil {
					yield(Member{}, fmt.Errorf("read members: %w", err))
					return
				}
				if !gone[it.Sort] && !yield(listed(it), nil) {
					return
				}
			}
		}
	}
}

// sweeping returns the ids of deleted users and groups whose memberships still
// stand.
func (r Roster) sweeping(ctx context.Context, c identity.Connection) (map[string]bool, error) {
	gone := map[string]bool{}
	for it, err := range r.table.Query(ctx, r.sweepingPart(c), table.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read who is being swept: %w", err)
		}
		gone[it.Sort] = true
	}
	return gone, nil
}

// MemberPage returns up to count members from the start-th on (1: the first),
// in the order of Members. The headers lead to the shard; in it, what is passed
// over is read from the nearer end: at most an eighth of the members, a hundred
// bytes each. The total counts those who are deleted and wait to be swept.
func (r Roster) MemberPage(ctx context.Context, g Group, start, count int) (Page[Member], error) {
	page := Page[Member]{Total: g.Count}
	if count <= 0 || start > g.Count {
		return page, nil
	}
	gone, err := r.sweeping(ctx, g.ID.Connection())
	if err != nil {
		return page, err
	}
	var counts [memberShards]int
	for _, h := range g.Headers {
		for s := range counts {
			if h.Part == r.memberPart(g.ID, s) {
				n, _ := Counted(h)
				counts[s] = int(n)
			}
		}
	}
	s, skip := 0, start-1
	for ; s < memberShards-1 && skip >= counts[s]; s++ {
		skip -= counts[s]
	}
	after, err := r.skipMembers(ctx, r.memberPart(g.ID, s), skip, counts[s])
	if err != nil {
		return page, err
	}
	page.Resources, err = r.membersFrom(ctx, g.ID, gone, s, after, count)
	return page, err
}

// MembersAfter returns up to count members that follow the one with the id, in
// the order of Members, and whether there are more; the empty id comes before
// all. The member of the id need not exist any more. Its cost does not depend on
// how far on that is.
func (r Roster) MembersAfter(ctx context.Context, g identity.Group, id string, count int) (ms []Member, more bool, err error) {
	if count <= 0 {
		return nil, false, nil
	}
	gone, err := r.sweeping(ctx, g.Connection())
	if err != nil {
		return nil, false, err
	}
	s, after := 0, self
	if id != "" {
		s, after = identity.Spread(id, memberShards), id // which shard lists a member follows from its id
	}
	ms, err = r.membersFrom(ctx, g, gone, s, after, count+1)
	if more = len(ms) > count; more {
		ms = ms[:count]
	}
	return ms, more, err
}

// membersFrom reads up to count members who are not gone, from a place in a
// shard on.
func (r Roster) membersFrom(ctx context.Context, g identity.Group, gone map[string]bool, s int, after string, count int) ([]Member, error) {
	var out []Member
	for ; s < memberShards; s, after = s+1, self {
		for done := false; !done; {
			want := count - len(out)
			for it, err := range r.table.Query(ctx, r.memberPart(g, s), table.Range{After: after, Limit: want}) {
				if err != nil {
					return nil, fmt.Errorf("read members: %w", err)
				}
				if after = it.Sort; !gone[it.Sort] {
					out = append(out, listed(it))
				}
				want--
			}
			if len(out) == count {
				return out, nil
			}
			done = want > 0 // the shard has no more; else some were left out
		}
	}
	return out, nil
}

// skipMembers returns the sort key after which the members of one shard go on
// when skip of its count are passed over.
func (r Roster) skipMembers(ctx context.Context, part string, skip, count int) (string, error) {
	rg := table.Range{After: self, Limit: skip}
	if skip > count/2 {
		rg = table.Range{Descending: true, Limit: count - skip + 1} // the last of these is the last passed over
	}
	if skip == 0 {
		return self, nil
	}
	last := self
	for it, err := range r.table.Query(ctx, part, rg) {
		if err != nil {
			return "", fmt.Errorf("read members: %w", err)
		}
		last = it.Sort
	}
	return last, nil
}

// Listed returns up to limit members of each shard whom the group lists, deleted
// ones among them, in the order of their ids: the shards alternate.
func (r Roster) Listed(ctx context.Context, id identity.Group, limit int) ([]Member, error) {
	var out []Member
	for s := range memberShards {
		for it, err := range r.table.Query(ctx, r.memberPart(id, s), table.Range{After: self, Limit: limit}) {
			if err != nil {
				return nil, fmt.Errorf("read members: %w", err)
			}
			out = append(out, listed(it))
		}
	}
	SortMembers(out)
	return out, nil
}

// HeaderKeys are the headers of all shards of the group's members.
func (r Roster) HeaderKeys(id identity.Group) []table.Key {
	keys := make([]table.Key, memberShards)
	for s := range keys {
		keys[s] = table.Key{Part: r.memberPart(id, s), Sort: self}
	}
	return keys
}

// AreMembers returns those of the ids that the group lists, by id.
func (r Roster) AreMembers(ctx context.Context, g identity.Group, ids ...string) (map[string]Member, error) {
	out := map[string]Member{}
	for part := range slices.Chunk(ids, table.MaxGet) {
		keys := make([]table.Key, len(part))
		for i, id := range part {
			keys[i] = r.MemberKey(g, Member{ID: id})
		}
		items, err := r.table.Get(ctx, keys...)
		if err != nil {
			return nil, fmt.Errorf("read members: %w", err)
		}
		for _, it := range items {
			out[it.Sort] = listed(it)
		}
	}
	return out, nil
}

// Existing tells which of the users and groups exist.
func (r Roster) Existing(ctx context.Context, ms ...Member) (map[Member]bool, error) {
	out := make(map[Member]bool, len(ms))
	for part := range slices.Chunk(ms, table.MaxGet) {
		keys := make([]table.Key, len(part))
		for i, m := range part {
			keys[i] = r.ResourceKey(m)
		}
		items, err := r.table.Get(ctx, keys...)
		if err != nil {
			return nil, fmt.Errorf("read who can be a member: %w", err)
		}
		for i, at := 0, 0; i < len(items); at++ { // items are in the order of the keys
			if items[i].Key == keys[at] {
				out[part[at]] = true
				i++
			}
		}
	}
	return out, nil
}

// GroupsWithMember returns the groups that list the user or group with the id,
// ascending; none of who does not exist.
func (r Roster) GroupsWithMember(ctx context.Context, id string) ([]identity.Group, error) {
	u, err := r.User(ctx, identity.User(id), true)
	if !fault.Is(err, fault.NotFound) {
		return u.Groups, err
	}
	g, ok := identity.ParseGroup(id)
	if !ok {
		return nil, nil
	}
	items, err := r.groupMemberships(ctx, g)
	var of []identity.Group
	for _, it := range items {
		if up, ok := membership(it.Sort); ok {
			of = append(of, up)
		}
	}
	return of, err
}

// Memberships returns up to limit groups that the member is recorded to be in,
// whether or not the member still exists.
func (r Roster) Memberships(ctx context.Context, m Member, limit int) ([]identity.Group, error) {
	k := r.ResourceKey(m)
	var out []identity.Group
	for it, err := range r.table.Query(ctx, k.Part, table.Range{Prefix: k.Sort + memberMark, Limit: limit}) {
		if err != nil {
			return nil, fmt.Errorf("read memberships: %w", err)
		}
		if g, ok := membership(it.Sort); ok {
			out = append(out, g)
		}
	}
	return out, nil
}
