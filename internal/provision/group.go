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

func noGroup() error { return fault.New(fault.NotFound, "", "There is no such group.") }

func (d Directory) ownGroup(id string) (identity.Group, error) {
	g, ok := identity.ParseGroup(id)
	if !ok || g.Connection() != d.conn.ID {
		return "", noGroup()
	}
	return g, nil
}

// Group returns the connection's group with the id.
func (d Directory) Group(ctx context.Context, id string) (roster.Group, error) {
	g, err := d.ownGroup(id)
	if err != nil {
		return roster.Group{}, err
	}
	return d.Roster.Group(ctx, g)
}

// uniqueNames: identity providers find groups by their name, so the tolerant
// dialect keeps names unique in a connection; RFC 7643 §4.2 does not ask for it.
func (d Directory) uniqueNames() bool { return d.conn.Dialect == "" || d.conn.Dialect == "compat" }

// CreateGroup creates a group with members: the group and the first of them in
// one commit, more in commits that follow.
func (d Directory) CreateGroup(ctx context.Context, doc Doc, members []string) (roster.Group, error) {
	ids, err := d.members(ctx, members)
	if err != nil {
		return roster.Group{}, err
	}
	for range tries {
		g := roster.Group{ID: identity.MintGroup(d.conn.ID), Unique: d.uniqueNames(), LastEvent: identity.MintEvent(d.s.now())}
		g.SetDoc(doc.Attributes, doc.Extensions)
		first := ids[:min(len(ids), perCommit)]
		event := audit.Event{ID: g.LastEvent, Subject: string(g.ID), Kind: audit.GroupCreated, Actor: d.actor,
			Changes: append([]audit.Change{{After: doc.Attributes}}, membersChange(first, nil)...)}
		if len(first) > 0 {
			event.Effects = []audit.Effect{audit.Settle}
		}
		ev, err := event.Write(d.Roster.Org(), nil)
		if err != nil {
			return roster.Group{}, err
		}
		nameKey := d.Roster.GroupNameKey(d.conn.ID, g.Name(), g.ID, g.Unique)
		writes := []table.Write{table.Create(d.Roster.GroupKey(g.ID), g.Encode()), ev, table.Create(nameKey, []byte(g.ID))}
		if x := doc.Attributes.Get("externalId").Text(); x != "" {
			writes = append(writes, table.Create(d.Roster.GroupExternalKey(x, g.ID), nil))
		}
		for _, k := range d.Roster.GroupCounterKeys(g.ID) {
			writes = append(writes, table.Add(k, 1, 0, most))
		}
		writes = append(writes, d.memberWrites(g.ID, first)...)
		_, err = d.s.table.Commit(ctx, writes...)
		switch {
		case err == nil:
			if rest := ids[len(first):]; len(rest) > 0 {
				if err := d.changeMembers(ctx, g, rest, nil, g.LastEvent); err != nil {
					return roster.Group{}, err
				}
			}
			return d.Roster.Group(ctx, g.ID)
		case table.Conflicts(err, nameKey):
			return roster.Group{}, nameTaken()
		case !table.Conflicts(err):
			return roster.Group{}, fmt.Errorf("create group: %w", err)
		}
	}
	return roster.Group{}, busy(nil)
}

// MemberKind is what a MemberOp does to the list of members.
type MemberKind uint8

const (
	AddMembers MemberKind = iota + 1
	RemoveMembers
	ReplaceMembers // the ids are the members from then on; no ids: nobody
)

// MemberOp is one step of a change of members; steps apply in order.
type MemberOp struct {
	Kind MemberKind
	IDs  []string
}

// ChangeGroup changes a group's attributes by edit (nil: not at all) and its
// members by the steps: the attributes and the first perCommit members in one
// commit, more members in commits that follow. What changes nothing writes
// nothing: neither the tag nor the time of the group moves for it. Changed tells
// whether anything did. A precondition holds for the first commit.
//
// Where the steps say who the members are from then on, they are compared again
// in the end: of two who do so at once, one has the last word on the whole list.
func (d Directory) ChangeGroup(ctx context.Context, id string, match Match, edit func(roster.Group) (Doc, error), ops []MemberOp) (g roster.Group, changed bool, err error) {
	own, err := d.ownGroup(id)
	if err != nil {
		return roster.Group{}, false, err
	}
	whole := slices.ContainsFunc(ops, func(op MemberOp) bool { return op.Kind == ReplaceMembers })
	var last error
	for range tries {
		g, err := d.Roster.Group(ctx, own)
		if err != nil {
			return roster.Group{}, false, err
		}
		if err := match.check(g.Tag()); err != nil {
			return roster.Group{}, false, err
		}
		add, remove, err := d.netMembers(ctx, own, ops)
		if err != nil {
			return roster.Group{}, false, err
		}
		c := groupChange{group: g, add: add[:min(len(add), perCommit)]}
		c.remove = remove[:min(len(remove), perCommit-len(c.add))]
		if edit != nil {
			if err := d.editing(ctx, &c, edit); err != nil {
				return roster.Group{}, false, err
			}
		}
		if !c.edited && len(c.add)+len(c.remove) == 0 {
			if match == nil {
				return g, changed, nil
			}
			// Somebody else may have done it since the tag was read.
			now, err := d.Roster.Group(ctx, own)
			if err != nil {
				return roster.Group{}, false, err
			}
			return now, changed, match.check(now.Tag())
		}
		event, err := d.commitGroup(ctx, &c, match != nil || whole, "")
		if err == nil {
			g.LastEvent, changed = event, true
			if err := d.changeMembers(ctx, g, add[len(c.add):], remove[len(c.remove):], event); err != nil {
				return roster.Group{}, true, err
			}
			if whole {
				match, edit = nil, nil
				continue
			}
			g, err = d.Roster.Group(ctx, own)
			return g, true, err
		}
		if !table.Conflicts(err) {
			return roster.Group{}, false, fmt.Errorf("change group: %w", err)
		}
		if c.name != (table.Key{}) && table.Conflicts(err, c.name) {
			holders, err := d.Roster.GroupsByName(ctx, d.conn.ID, c.next.Name())
			if err != nil {
				return roster.Group{}, false, err
			}
			if len(holders) > 0 && !slices.Contains(holders, own) {
				return roster.Group{}, false, nameTaken()
			}
		}
		last = err
	}
	return roster.Group{}, false, busy(last)
}

func nameTaken() error {
	return fault.New(fault.Conflict, fault.Uniqueness, "The displayName is in use by another group.")
}

// groupChange is what one commit does to a group.
type groupChange struct {
	group       roster.Group // as read
	add, remove []identity.User

	edited  bool           // the attributes change as well:
	next    roster.Group   // the group with them
	changes []audit.Change // of attributes
	writes  []table.Write  // of its name and externalId; that of the group comes with the event
	name    table.Key      // claimed anew; the zero Key: not
}

// editing adds the change of attributes, if it is one.
func (d Directory) editing(ctx context.Context, c *groupChange, edit func(roster.Group) (Doc, error)) error {
	g := c.group
	doc, err := edit(g)
	if err != nil {
		return err
	}
	if value.Equal(g.Doc(), doc.Attributes) {
		return nil
	}
	c.edited, c.next, c.changes = true, g, audit.Diff(g.Doc(), doc.Attributes)
	c.next.SetDoc(doc.Attributes, doc.Extensions)
	var drop []table.Key
	oldName := d.Roster.GroupNameKey(d.conn.ID, g.Name(), g.ID, g.Unique)
	newName := d.Roster.GroupNameKey(d.conn.ID, c.next.Name(), g.ID, d.uniqueNames())
	if oldName != newName {
		c.next.Unique, c.name = d.uniqueNames(), newName
		drop = append(drop, oldName)
		c.writes = append(c.writes, table.Create(newName, []byte(g.ID)))
	}
	if was, is := g.Doc().Get("externalId").Text(), doc.Attributes.Get("externalId").Text(); was != is {
		if was != "" {
			drop = append(drop, d.Roster.GroupExternalKey(was, g.ID))
		}
		if is != "" {
			c.writes = append(c.writes, table.Create(d.Roster.GroupExternalKey(is, g.ID), nil))
		}
	}
	more, err := d.deletes(ctx, drop)
	c.writes = append(c.writes, more...)
	return err
}

// commitGroup writes one change of a group with its event; guarded, it depends
// on the group and on its members being as they were read.
func (d Directory) commitGroup(ctx context.Context, c *groupChange, guarded bool, cause identity.Event) (identity.Event, error) {
	writes := append(slices.Clone(c.writes), d.memberWrites(c.group.ID, c.add)...)
	if len(c.remove) > 0 {
		more, err := d.s.ending(ctx, d.Roster, c.group.ID, c.remove)
		if err != nil {
			return "", err
		}
		writes = mergeAdds(append(writes, more...))
	}
	if len(writes) == 0 && !c.edited { // others did all of it meanwhile
		if guarded {
			return "", &table.ConflictError{Keys: []table.Key{c.group.Item.Key}}
		}
		return c.group.LastEvent, nil
	}
	id := identity.MintEvent(d.s.now(), c.group.LastEvent)
	e := audit.Event{ID: id, Subject: string(c.group.ID), Kind: audit.GroupMembers, Actor: d.actor, Cause: cause,
		Changes: append(c.changes, membersChange(c.add, c.remove)...)}
	if c.edited {
		e.Kind = audit.GroupChanged
	}
	if len(c.add) > 0 {
		e.Effects = []audit.Effect{audit.Settle}
	}
	event, err := e.Write(d.Roster.Org(), nil)
	if err != nil {
		return "", err
	}
	writes = append(writes, event)
	if guarded {
		writes = d.unmoved(c.group, writes)
	}
	switch {
	case c.edited:
		c.next.LastEvent = id
		writes = append(writes, table.Replace(c.group.Item, c.next.Encode()))
	case guarded:
		writes = append(writes, table.Check(c.group.Item))
	}
	_, err = d.s.table.Commit(ctx, writes...)
	return id, err
}

func (d Directory) deletes(ctx context.Context, keys []table.Key) ([]table.Write, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := d.s.table.Get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("read what is to be deleted: %w", err)
	}
	var writes []table.Write
	for _, it := range items {
		writes = append(writes, table.Delete(it))
	}
	return writes, nil
}

// DeleteGroup deletes a group; its members stay users. The first memberships end
// in the same commit, the rest is swept by the feed: until then those users may
// still show the group, which itself is gone.
func (d Directory) DeleteGroup(ctx context.Context, id string, match Match) error {
	own, err := d.ownGroup(id)
	if err != nil {
		return err
	}
	var last error
	for range tries {
		g, err := d.Roster.Group(ctx, own)
		if err != nil {
			return err
		}
		if err := match.check(g.Tag()); err != nil {
			return err
		}
		event, err := audit.Event{ID: identity.MintEvent(d.s.now(), g.LastEvent), Subject: string(own), Kind: audit.GroupDeleted,
			Actor: d.actor, Effects: []audit.Effect{audit.Sweep}, Changes: []audit.Change{{Before: g.Doc()}}}.Write(d.Roster.Org(), nil)
		if err != nil {
			return err
		}
		drop := []table.Key{d.Roster.GroupNameKey(d.conn.ID, g.Name(), own, g.Unique)}
		if x := g.Doc().Get("externalId").Text(); x != "" {
			drop = append(drop, d.Roster.GroupExternalKey(x, own))
		}
		writes, err := d.deletes(ctx, drop)
		if err != nil {
			return err
		}
		writes = append(writes, table.Delete(g.Item), event)
		for _, k := range d.Roster.GroupCounterKeys(own) {
			writes = append(writes, table.Add(k, -1, 0, most))
		}
		if g.Count <= inline {
			listed, err := d.listed(ctx, own)
			if err != nil {
				return err
			}
			more, err := d.s.ending(ctx, d.Roster, own, listed)
			if err != nil {
				return err
			}
			writes = append(writes, more...)
		}
		if match != nil {
			writes = d.unmoved(g, writes)
		}
		_, err = d.s.table.Commit(ctx, writes...)
		if err == nil {
			return nil
		}
		if !table.Conflicts(err) {
			return fmt.Errorf("delete group: %w", err)
		}
		last = err
	}
	return busy(last)
}

func (d Directory) listed(ctx context.Context, g identity.Group) ([]identity.User, error) {
	var out []identity.User
	for id, err := range d.Roster.Members(ctx, g) {
		if err != nil {
			return nil, err
		}
		if out = append(out, id); len(out) == inline {
			break
		}
	}
	return out, nil
}
