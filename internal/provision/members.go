package provision

import (
	"context"
	"fmt"
	"slices"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// perCommit is how many memberships change in one commit: two writes each, a
// header for each shard, the event, and what else a new group or a precondition
// needs, within 100.
const perCommit = 40

// members checks the ids of a client: users of this connection that exist. An
// id of anybody else is as unknown as one of nobody.
func (d Directory) members(ctx context.Context, ids []string) ([]identity.User, error) {
	var out []identity.User
	seen := map[identity.User]bool{}
	for _, s := range ids {
		id, err := d.own(s)
		if err != nil {
			return nil, noMember(s)
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	users, err := d.Roster.Users(ctx, out...)
	if err != nil {
		return nil, err
	}
	if len(users) != len(out) {
		there := map[identity.User]bool{}
		for _, u := range users {
			there[u.ID] = true
		}
		for _, id := range out {
			if !there[id] {
				return nil, noMember(string(id))
			}
		}
	}
	return out, nil
}

func noMember(id string) error {
	return fault.New(fault.Invalid, fault.InvalidValue, "There is no user with the id %.64q who could be a member.", id)
}

// netMembers turns steps into what they come to: whom to add, who is not a
// member yet, and whom to remove, who is.
func (d Directory) netMembers(ctx context.Context, g identity.Group, ops []MemberOp) (add, remove []identity.User, err error) {
	if len(ops) == 0 {
		return nil, nil, nil
	}
	whole := false
	want := map[identity.User]bool{} // the last word on each id
	var order []identity.User
	say := func(id identity.User, in bool) {
		if _, known := want[id]; !known {
			order = append(order, id)
		}
		want[id] = in
	}
	for _, op := range ops {
		switch op.Kind {
		case ReplaceMembers:
			whole, want, order = true, map[identity.User]bool{}, nil
			fallthrough
		case AddMembers:
			ids, err := d.members(ctx, op.IDs)
			if err != nil {
				return nil, nil, err
			}
			for _, id := range ids {
				say(id, true)
			}
		case RemoveMembers:
			// Who never was a member is not one afterwards: success (RFC 7644 §3.5.2.2).
			for _, s := range op.IDs {
				if id, err := d.own(s); err == nil {
					say(id, false)
				}
			}
		}
	}
	if whole {
		for id, err := range d.Roster.Members(ctx, g) {
			if err != nil {
				return nil, nil, err
			}
			if want[id] {
				delete(want, id)
			} else {
				remove = append(remove, id)
			}
		}
		for _, id := range order {
			if want[id] {
				add = append(add, id)
			}
		}
		return add, remove, nil
	}
	are, err := d.Roster.AreMembers(ctx, g, order...)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range order {
		switch {
		case want[id] && !are[id]:
			add = append(add, id)
		case !want[id] && are[id]:
			remove = append(remove, id)
		}
	}
	return add, remove, nil
}

// changeMembers applies additions and removals that were found to be ones, a
// commit for each perCommit of them. Members are items of their own and headers
// are added to, so parallel changes of one group never lose each other's.
func (d Directory) changeMembers(ctx context.Context, g roster.Group, add, remove []identity.User, cause identity.Event) error {
	for len(add)+len(remove) > 0 {
		c := groupChange{group: g, add: add[:min(len(add), perCommit)]}
		c.remove = remove[:min(len(remove), perCommit-len(c.add))]
		add, remove = add[len(c.add):], remove[len(c.remove):]
		event, err := d.commitMembers(ctx, c, cause)
		if err != nil {
			return err
		}
		g.LastEvent = event
	}
	return nil
}

func (d Directory) commitMembers(ctx context.Context, c groupChange, cause identity.Event) (identity.Event, error) {
	var last error
	for range tries {
		event, err := d.commitGroup(ctx, &c, false, cause)
		if err == nil {
			return event, nil
		}
		if !table.Conflicts(err) {
			return "", fmt.Errorf("change members: %w", err)
		}
		last = err
		// Another change of the same members came between: what is left to do?
		are, err := d.Roster.AreMembers(ctx, c.group.ID, append(slices.Clone(c.add), c.remove...)...)
		if err != nil {
			return "", err
		}
		c.add = slices.DeleteFunc(slices.Clone(c.add), func(u identity.User) bool { return are[u] })
		c.remove = slices.DeleteFunc(slices.Clone(c.remove), func(u identity.User) bool { return !are[u] })
	}
	return "", busy(last)
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

// memberWrites builds the writes that make users members.
func (d Directory) memberWrites(g identity.Group, add []identity.User) []table.Write {
	var writes []table.Write
	for _, id := range add {
		writes = append(writes,
			table.Create(d.Roster.MembershipKey(id, g), nil),
			table.Create(d.Roster.MemberKey(g, id), nil),
			table.Add(d.Roster.MemberHeaderKey(g, id), 1, -most, most))
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

func membersChange(add, remove []identity.User) []audit.Change {
	if len(add)+len(remove) == 0 {
		return nil
	}
	c := audit.Change{Path: "members"}
	if len(remove) > 0 {
		c.Before = strs(remove)
	}
	if len(add) > 0 {
		c.After = strs(add)
	}
	return []audit.Change{c}
}

func strs(ids []identity.User) value.Value {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = string(id)
	}
	return value.Strs(s...)
}
