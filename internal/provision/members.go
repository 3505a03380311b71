package provision

import (
	"context"
	"slices"
	"strings"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// perCommit is how many memberships change in one commit: two writes each, a
// header for each shard, the event, and what else a new group or a precondition
// needs, within 100. More are a journal.
const perCommit = 40

// members checks the ids of a client: users and groups of this connection that
// exist, and are not the group itself. An id of anybody else is as unknown as
// one of nobody. Types are what the client says the ids are; strict clients must
// not be wrong about it.
func (d Directory) members(ctx context.Context, g identity.Group, ids []string, types map[string]string) ([]roster.Member, error) {
	var order []string
	var users, groups []roster.Member // to be looked for
	seen := map[string]bool{}
	for _, s := range ids {
		if _, err := d.own(s); err != nil {
			return nil, noMember(s)
		}
		if s == string(g) {
			return nil, fault.New(fault.Invalid, fault.InvalidValue, "A group cannot be a member of itself.")
		}
		if seen[s] {
			continue
		}
		seen[s] = true
		order = append(order, s)
		if strings.EqualFold(types[s], "Group") {
			groups = append(groups, roster.Member{ID: s, Group: true})
		} else {
			users = append(users, roster.Member{ID: s})
		}
	}
	there := map[string]roster.Member{}
	find := func(ms []roster.Member) (missing []roster.Member, err error) {
		found, err := d.Roster.Existing(ctx, ms...)
		for _, m := range ms {
			if found[m] {
				there[m.ID] = m
			} else {
				missing = append(missing, roster.Member{ID: m.ID, Group: !m.Group})
			}
		}
		return missing, err
	}
	noUsers, err := find(users)
	if err != nil {
		return nil, err
	}
	noGroups, err := find(append(noUsers, groups...))
	if err != nil {
		return nil, err
	}
	if _, err := find(slices.DeleteFunc(noGroups, func(m roster.Member) bool { return !strings.EqualFold(types[m.ID], "Group") })); err != nil {
		return nil, err
	}
	out := make([]roster.Member, 0, len(order))
	for _, s := range order {
		m, ok := there[s]
		if !ok {
			return nil, noMember(s)
		}
		if t := types[s]; d.conn.Dialect == "strict" && t != "" && !strings.EqualFold(t, typeOf(m)) {
			return nil, fault.New(fault.Invalid, fault.InvalidValue, "The member with the id %.64q is a %s; its type says otherwise.", s, typeOf(m))
		}
		out = append(out, m)
	}
	return out, nil
}

func noMember(id string) error {
	return fault.New(fault.Invalid, fault.InvalidValue, "There is no user or group with the id %.64q that could be a member.", id)
}

// unmoved makes a commit depend on the headers of the group's members as they
// were read: what is added to them replaces them, the others are checked. An
// absent one is created, since absence cannot be checked.
func (d Directory) unmoved(g roster.Group, writes []table.Write) []table.Write {
	read := map[table.Key]table.Item{}
	for _, it := range g.Headers {
		read[it.Key] = it
	}
	for _, k := range d.Roster.HeaderKeys(g.ID) {
		at := slices.IndexFunc(writes, func(w table.Write) bool { return w.Key == k })
		it, exists := read[k]
		var w table.Write
		switch {
		case at < 0 && exists:
			w = table.Check(it)
		case at < 0:
			w = table.Create(k, nil)
		case exists:
			w = table.Replace(it, nil).Count(it.N + writes[at].N)
		default:
			w = table.Create(k, nil).Count(writes[at].N)
		}
		if at < 0 {
			writes = append(writes, w)
		} else {
			writes[at] = w
		}
	}
	return writes
}

// within makes the writes that lock the headers of the group's members depend on
// there being no more than most: each header may have grown by its share of what
// was missing to it.
func (d Directory) within(g roster.Group, most int, writes []table.Write) {
	keys := d.Roster.HeaderKeys(g.ID)
	room := max(0, int64(most-g.Count)) / int64(len(keys))
	for i := range writes {
		if w := &writes[i]; w.Op == table.OpAdd && slices.Contains(keys, w.Key) {
			w.Max = roster.Lock + room
			if at := slices.IndexFunc(g.Headers, func(h table.Item) bool { return h.Key == w.Key }); at >= 0 {
				w.Max += g.Headers[at].N
			}
		}
	}
}

// memberWrites builds the writes that make somebody members. The headers' bounds
// keep them out while a journal is carried out.
func (d Directory) memberWrites(g identity.Group, add []roster.Member) []table.Write {
	var writes []table.Write
	for _, m := range add {
		writes = append(writes,
			table.Create(d.Roster.MembershipKey(m, g), nil),
			table.Create(d.Roster.MemberKey(g, m), m.Data()),
			table.Add(d.Roster.MemberHeaderKey(g, m), 1, -roster.Range, roster.Range))
	}
	return mergeAdds(writes)
}

// mergeAdds joins the Adds to one header into one write: no key stands twice in
// a commit. A header that gains as many as it loses is still written, since its
// version tells that something changed.
func mergeAdds(writes []table.Write) []table.Write {
	at := map[table.Key]int{}
	out := writes[:0:0]
	for _, w := range writes {
		if i, ok := at[w.Key]; ok && w.Op == table.OpAdd {
			out[i].N += w.N
			continue
		}
		if w.Op == table.OpAdd {
			at[w.Key] = len(out)
		}
		out = append(out, w)
	}
	return out
}

func membersChange(add, remove []roster.Member) []audit.Change {
	if len(add)+len(remove) == 0 {
		return nil
	}
	c := audit.Change{Path: "members"}
	if len(remove) > 0 {
		c.Before = idsOf(remove)
	}
	if len(add) > 0 {
		c.After = idsOf(add)
	}
	return []audit.Change{c}
}

func idsOf(ms []roster.Member) value.Value {
	s := make([]string, len(ms))
	for i, m := range ms {
		s[i] = m.ID
	}
	return value.Strs(s...)
}

// countedChange says how many members came and went, where the event's pages
// say who.
func countedChange(added, removed int) (c audit.Change, any bool) {
	c.Path = "members"
	if removed > 0 {
		c.Before = value.Obj(value.M("count", value.Num(int64(removed))))
	}
	if added > 0 {
		c.After = value.Obj(value.M("count", value.Num(int64(added))))
	}
	return c, added+removed > 0
}
