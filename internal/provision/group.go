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

// CreateGroup creates a group with the members.
func (d Directory) CreateGroup(ctx context.Context, doc Doc, members []string) (roster.Group, error) {
	return d.CreateGroupOf(ctx, doc, MemberOp{Kind: AddMembers, IDs: members})
}

// CreateGroupOf is CreateGroup where the client says what the members are. A
// group of more members than one commit takes is there at once, and its members
// come by a journal, which is carried out before it returns.
func (d Directory) CreateGroupOf(ctx context.Context, doc Doc, members MemberOp) (roster.Group, error) {
	ids, err := d.members(ctx, "", members.IDs, members.Types)
	if err != nil {
		return roster.Group{}, err
	}
	members.correct(ids...)
	for range tries {
		g := roster.Group{ID: identity.MintGroup(d.conn.ID), Unique: d.uniqueNames()}
		g.SetDoc(doc.Attributes, doc.Extensions)
		var j *journal
		writes, err := d.firstMembers(&g, ids, &j)
		if err != nil {
			return roster.Group{}, err
		}
		nameKey := d.Roster.GroupNameKey(d.conn.ID, g.Name(), g.ID, g.Unique)
		writes = append(writes, table.Create(d.Roster.GroupKey(g.ID), g.Encode()), table.Create(nameKey, []byte(g.ID)))
		if x := doc.Attributes.Get("externalId").Text(); x != "" {
			writes = append(writes, table.Create(d.Roster.GroupExternalKey(x, g.ID), nil))
		}
		for _, k := range d.Roster.GroupCounterKeys(g.ID) {
			writes = append(writes, table.Add(k, 1, 0, most))
		}
		v, err := d.s.table.Commit(ctx, writes...)
		switch {
		case err == nil:
			if j != nil {
				if err := d.carryOn(ctx, g.ID, j, v); err != nil {
					return roster.Group{}, err
				}
			}
			return d.Roster.Group(ctx, g.ID)
		case table.Conflicts(err, nameKey):
			return roster.Group{}, nameTaken()
		case !table.Conflicts(err):
			d.s.unanswered(ctx, d.Roster, g.ID, j, err)
			return roster.Group{}, fmt.Errorf("create group: %w", err)
		}
	}
	return roster.Group{}, busy(nil)
}

// firstMembers builds the writes of a new group's members and event, or those of
// its journal.
func (d Directory) firstMembers(g *roster.Group, ids []roster.Member, j **journal) ([]table.Write, error) {
	changes := []audit.Change{{After: g.Doc()}}
	if len(ids) > perCommit {
		begun, writes, err := d.newJournal(*g, audit.GroupCreated, edits(ids, nil), false, changes)
		if err != nil {
			return nil, err
		}
		g.Journal, *j = begun.Event, begun
		return writes, nil
	}
	g.LastEvent = identity.MintEvent(d.s.now())
	event := audit.Event{ID: g.LastEvent, Subject: string(g.ID), Kind: audit.GroupCreated, Actor: d.actor,
		Changes: append(changes, membersChange(ids, nil)...)}
	if len(ids) > 0 {
		event.Effects = []audit.Effect{audit.Settle}
	}
	ev, err := event.Write(d.Roster.Org(), nil)
	return append(d.memberWrites(g.ID, ids), ev), err
}

// carryOn carries out a journal that was begun in the commit with the version;
// if somebody else took it over, it waits for them.
func (d Directory) carryOn(ctx context.Context, g identity.Group, j *journal, v table.Version) error {
	j.begun(v)
	err := d.s.carry(ctx, d.Roster, g, j)
	if table.Conflicts(err) {
		return d.s.finish(ctx, d.Roster, g)
	}
	return err
}

// ChangeGroup changes a group's attributes by edit (nil: not at all) and its
// members by the steps, all of it or nothing: in one commit, or where that does
// not take so many members, by a journal, which is carried out before it
// returns. What changes nothing writes nothing: neither the tag nor the time of
// the group moves for it. Changed tells whether anything did. After an error the
// change may still be carried out, if it was begun; then it is wholly.
func (d Directory) ChangeGroup(ctx context.Context, id string, match Match, edit func(roster.Group) (Doc, error), ops []MemberOp) (g roster.Group, changed bool, err error) {
	return d.changeGroup(ctx, id, match, edit, ops, d.Roster.Group)
}

// ChangeMembers is ChangeGroup for who changes members alone, unconditionally,
// and does not ask for the group: where the steps only name who comes and goes,
// the headers of the members are not read.
func (d Directory) ChangeMembers(ctx context.Context, id string, ops []MemberOp) (changed bool, err error) {
	read := d.Roster.BareGroup
	for _, op := range ops {
		if op.Kind != AddMembers && op.Kind != RemoveMembers {
			read = d.Roster.Group
		}
	}
	_, changed, err = d.changeGroup(ctx, id, nil, nil, ops, read)
	return changed, err
}

// readGroup is how a change reads its group: wholly, or bare where nothing
// depends on who the members are.
type readGroup func(context.Context, identity.Group) (roster.Group, error)

func (d Directory) changeGroup(ctx context.Context, id string, match Match, edit func(roster.Group) (Doc, error), ops []MemberOp, read readGroup) (g roster.Group, changed bool, err error) {
	own, err := d.ownGroup(id)
	if err != nil {
		return roster.Group{}, false, err
	}
	var last error
	for lost, rounds := 0, tries; lost < rounds; {
		g, err := d.quietGroup(ctx, own, read)
		if err != nil {
			return roster.Group{}, false, err
		}
		if err := match.check(g.Tag()); err != nil {
			return roster.Group{}, false, err
		}
		n, err := d.netMembers(ctx, g, ops)
		if err != nil {
			return roster.Group{}, false, err
		}
		if n.everybody {
			rounds = patient
		}
		c := groupChange{group: g, net: n}
		if edit != nil {
			if err := d.editing(ctx, &c, edit); err != nil {
				return roster.Group{}, false, err
			}
		}
		if !c.edited && n.size() == 0 {
			if match == nil && !n.tied() {
				return g, false, nil
			}
			// Somebody else may have done it since the tag was read; and who came
			// since the list was may not be on it, or be whom a filter means.
			now, err := d.Roster.Group(ctx, own)
			if err != nil {
				return roster.Group{}, false, err
			}
			if err := match.check(now.Tag()); err != nil {
				return roster.Group{}, false, err
			}
			if n.tied() && now.Tag() != g.Tag() {
				lost++
				continue
			}
			return now, false, nil
		}
		// A whole list that others keep getting ahead of is locked in.
		begun := false
		if n.size() > perCommit || n.whole && match == nil && lost >= patient {
			var e identity.Event
			e, err = d.journalGroup(ctx, &c, match != nil || n.looked)
			if begun = e != ""; err == nil {
				g, err = d.Roster.Group(ctx, own)
				g.Newer = !g.LeftBy(e)
				return g, true, err
			}
		} else {
			g, err = d.commitGroup(ctx, &c, match != nil || n.tied())
		}
		if err == nil {
			return g, true, nil
		}
		if begun || !table.Conflicts(err) {
			return roster.Group{}, begun, fmt.Errorf("change group: %w", err)
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
		lost++
		last = err
	}
	return roster.Group{}, false, busy(last)
}

// patient is how many rounds may be lost to others that read all members: a
// whole list then locks the others out. Where it depends on who the members are
// that could not be kept, so it gives up.
const patient = 8

// quietGroup returns the group at a moment without a journal, of which a bare
// one tells as well: only its commit then meets a lock that was not there yet.
func (d Directory) quietGroup(ctx context.Context, id identity.Group, read readGroup) (roster.Group, error) {
	for range tries {
		g, err := read(ctx, id)
		if err != nil || !g.Busy() {
			return g, err
		}
		if err := d.s.finish(ctx, d.Roster, id); err != nil {
			return roster.Group{}, err
		}
	}
	return roster.Group{}, busy(nil)
}

func nameTaken() error {
	return fault.New(fault.Conflict, fault.Uniqueness, "The displayName is in use by another group.")
}

// groupChange is what a request does to a group.
type groupChange struct {
	group roster.Group // as read
	net

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

// journalGroup begins a change by a journal, and carries it out. The event is
// which it will be; none: it was not begun.
func (d Directory) journalGroup(ctx context.Context, c *groupChange, guarded bool) (identity.Event, error) {
	kind, next, entries := audit.GroupMembers, c.group, edits(c.add, c.remove)
	if c.edited {
		kind, next = audit.GroupChanged, c.next
	}
	if c.whole {
		entries = edits(c.list, nil)
	}
	j, writes, err := d.newJournal(c.group, kind, entries, c.whole, c.changes)
	if err != nil {
		return "", err
	}
	if guarded {
		writes = d.unmoved(c.group, writes)
	} else if c.most > 0 {
		d.within(c.group, c.most, writes)
	}
	next.Journal = j.Event
	v, err := d.s.table.Commit(ctx, append(append(writes, c.writes...), table.Replace(c.group.Item, next.Encode()))...)
	if err != nil {
		d.s.unanswered(ctx, d.Roster, c.group.ID, j, err)
		return "", err
	}
	return j.Event, d.carryOn(ctx, c.group.ID, j, v)
}

// commitGroup writes a change of a group with its event; guarded, it depends on
// the group and on its members being as they were read.
//
// It returns the group as the commit left what was read: who changes another
// shard of its members at the same time is not in it, and its tag is then one
// that no precondition meets.
func (d Directory) commitGroup(ctx context.Context, c *groupChange, guarded bool) (roster.Group, error) {
	writes := append(slices.Clone(c.writes), d.memberWrites(c.group.ID, c.add)...)
	if len(c.remove) > 0 {
		more, err := d.s.ending(ctx, d.Roster, c.group.ID, c.remove)
		if err != nil {
			return roster.Group{}, err
		}
		writes = mergeAdds(append(writes, more...))
	}
	if len(writes) == 0 && !c.edited { // others did all of it meanwhile
		return roster.Group{}, &table.ConflictError{Keys: []table.Key{c.group.Item.Key}}
	}
	id := identity.MintEvent(d.s.now(), c.group.LastEvent)
	e := audit.Event{ID: id, Subject: string(c.group.ID), Kind: audit.GroupMembers, Actor: d.actor,
		Changes: append(c.changes, membersChange(c.add, c.remove)...)}
	if c.edited {
		e.Kind = audit.GroupChanged
	}
	if len(c.add) > 0 {
		e.Effects = []audit.Effect{audit.Settle}
	}
	event, err := e.Write(d.Roster.Org(), nil)
	if err != nil {
		return roster.Group{}, err
	}
	writes = append(writes, event)
	if guarded {
		writes = d.unmoved(c.group, writes)
	}
	var data []byte
	switch {
	case c.edited:
		c.next.LastEvent = id
		data = c.next.Encode()
		writes = append(writes, table.Replace(c.group.Item, data))
	case guarded:
		writes = append(writes, table.Check(c.group.Item))
	}
	v, err := d.s.table.Commit(ctx, writes...)
	if err != nil {
		return roster.Group{}, err
	}
	g := c.group
	if c.edited {
		if g, err = g.Stored(d.Roster, v, data); err != nil {
			return roster.Group{}, err
		}
	}
	return g.Listing(d.headersAfter(c.group, writes, v)), nil
}

// headersAfter returns the headers of the group's members as the commit with the
// version left them.
func (d Directory) headersAfter(g roster.Group, writes []table.Write, v table.Version) []table.Item {
	var out []table.Item
	for _, k := range d.Roster.HeaderKeys(g.ID) {
		var it table.Item
		if at := slices.IndexFunc(g.Headers, func(h table.Item) bool { return h.Key == k }); at >= 0 {
			it = g.Headers[at]
		}
		if at := slices.IndexFunc(writes, func(w table.Write) bool { return w.Key == k }); at >= 0 {
			it = writes[at].Over(it, v)
		}
		if it.Exists() {
			out = append(out, it)
		}
	}
	return out
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

// DeleteGroup deletes a group; its members stay what they are. A few memberships,
// those in it and its own in others, end in the same commit. More members are
// swept before it returns, for as long as the request may take: whom that does
// not reach, thousands or a table that fails, shows the group, which itself is
// gone, until the feed has swept.
func (d Directory) DeleteGroup(ctx context.Context, id string, match Match) error {
	own, err := d.ownGroup(id)
	if err != nil {
		return err
	}
	var last error
	for lost := range tries {
		g, err := d.quietGroup(ctx, own, d.Roster.Group)
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
		in, err := d.Roster.Memberships(ctx, roster.GroupMember(own), inline+1)
		if err != nil {
			return err
		}
		more, err := d.s.outOf(ctx, d.Roster, roster.GroupMember(own), in, lost > 0)
		if err != nil {
			return err
		}
		writes = append(writes, more...)
		if match != nil {
			writes = d.unmoved(g, writes)
		}
		_, err = d.s.table.Commit(ctx, writes...)
		if err == nil {
			if g.Count > inline {
				d.s.sweepSoon(ctx, d.Roster, own)
			}
			return nil
		}
		if !table.Conflicts(err) {
			return fmt.Errorf("delete group: %w", err)
		}
		last = err
	}
	return busy(last)
}

func (d Directory) listed(ctx context.Context, g identity.Group) ([]roster.Member, error) {
	var out []roster.Member
	for m, err := range d.Roster.Members(ctx, g) {
		if err != nil {
			return nil, err
		}
		if out = append(out, m); len(out) == inline {
			break
		}
	}
	return out, nil
}
