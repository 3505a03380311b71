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
				if err := d.changeMembers(ctx, g, nil, rest, nil, g.LastEvent); err != nil {
					return roster.Group{}, err
				}
			}
			return d.Roster.Group(ctx, g.ID)
		case table.Conflicts(err, nameKey):
			return roster.Group{}, fault.New(fault.Conflict, fault.Uniqueness, "The displayName is in use by another group.")
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
// members by the steps. A step that changes nothing writes nothing: neither the
// tag nor the time of the group moves for it. Changed tells whether anything did.
func (d Directory) ChangeGroup(ctx context.Context, id string, match Match, edit func(roster.Group) (Doc, error), ops []MemberOp) (roster.Group, bool, error) {
	own, err := d.ownGroup(id)
	if err != nil {
		return roster.Group{}, false, err
	}
	g, err := d.Roster.Group(ctx, own)
	if err != nil {
		return roster.Group{}, false, err
	}
	if err := match.check(g.Tag()); err != nil {
		return roster.Group{}, false, err
	}
	// Everything that can be refused is, before anything is written.
	add, remove, err := d.netMembers(ctx, own, ops)
	if err != nil {
		return roster.Group{}, false, err
	}
	changed := false
	if edit != nil {
		if g, changed, err = d.editGroup(ctx, g, match, edit); err != nil {
			return roster.Group{}, false, err
		}
	}
	if len(add)+len(remove) > 0 {
		if changed {
			match = nil // it held for the commit before
		}
		if err := d.changeMembers(ctx, g, match, add, remove, ""); err != nil {
			return roster.Group{}, changed, err
		}
		changed = true
	}
	if !changed {
		return g, false, nil
	}
	g, err = d.Roster.Group(ctx, own)
	return g, true, err
}

func (d Directory) editGroup(ctx context.Context, g roster.Group, match Match, edit func(roster.Group) (Doc, error)) (roster.Group, bool, error) {
	var last error
	for try := range tries {
		if try > 0 {
			var err error
			if g, err = d.Roster.Group(ctx, g.ID); err != nil {
				return roster.Group{}, false, err
			}
			if err := match.check(g.Tag()); err != nil {
				return roster.Group{}, false, err
			}
		}
		doc, err := edit(g)
		if err != nil {
			return roster.Group{}, false, err
		}
		if value.Equal(g.Doc(), doc.Attributes) {
			return g, false, nil
		}
		next := g
		next.LastEvent = identity.MintEvent(d.s.now(), g.LastEvent)
		next.SetDoc(doc.Attributes, doc.Extensions)
		event, err := audit.Event{ID: next.LastEvent, Subject: string(g.ID), Kind: audit.GroupChanged, Actor: d.actor,
			Changes: audit.Diff(g.Doc(), doc.Attributes)}.Write(d.Roster.Org(), nil)
		if err != nil {
			return roster.Group{}, false, err
		}
		oldName := d.Roster.GroupNameKey(d.conn.ID, g.Name(), g.ID, g.Unique)
		newName := d.Roster.GroupNameKey(d.conn.ID, next.Name(), g.ID, d.uniqueNames())
		var drop []table.Key
		var writes []table.Write
		if oldName != newName {
			next.Unique = d.uniqueNames()
			drop = append(drop, oldName)
			writes = append(writes, table.Create(newName, []byte(g.ID)))
		}
		if was, is := g.Doc().Get("externalId").Text(), doc.Attributes.Get("externalId").Text(); was != is {
			if was != "" {
				drop = append(drop, d.Roster.GroupExternalKey(was, g.ID))
			}
			if is != "" {
				writes = append(writes, table.Create(d.Roster.GroupExternalKey(is, g.ID), nil))
			}
		}
		more, err := d.deletes(ctx, drop)
		if err != nil {
			return roster.Group{}, false, err
		}
		writes = append(append(writes, more...), table.Replace(g.Item, next.Encode()), event)
		if match != nil {
			writes = d.unmoved(g, writes)
		}
		_, err = d.s.table.Commit(ctx, writes...)
		if err == nil {
			return next, true, nil
		}
		if !table.Conflicts(err) {
			return roster.Group{}, false, fmt.Errorf("change group: %w", err)
		}
		if oldName != newName && table.Conflicts(err, newName) {
			holders, err := d.Roster.GroupsByName(ctx, d.conn.ID, next.Name())
			if err != nil {
				return roster.Group{}, false, err
			}
			if len(holders) > 0 && !slices.Contains(holders, g.ID) {
				return roster.Group{}, false, fault.New(fault.Conflict, fault.Uniqueness, "The displayName is in use by another group.")
			}
		}
		last = err
	}
	return roster.Group{}, false, busy(last)
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
