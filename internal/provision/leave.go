package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// inline is how many memberships end in the commit that deletes their user or
// group; the rest is swept by the feed.
const inline = 12

// tombstone is what stays of a deleted user: nothing that tells the person.
type tombstone struct {
	At    time.Time      `json:"at"`
	Event identity.Event `json:"event"`
	Actor string         `json:"by"`
}

// Leave deletes a user: once it is answered the user is gone from every answer.
func (d Directory) Leave(ctx context.Context, id string, match Match) error {
	own, err := d.own(id)
	if err != nil {
		return err
	}
	var last error
	for range tries {
		u, err := d.Roster.User(ctx, own, true)
		if err != nil {
			return err
		}
		if err := match.check(u.Tag()); err != nil {
			return err
		}
		writes, err := d.leaving(ctx, u)
		if err != nil {
			return err
		}
		_, err = d.s.table.Commit(ctx, writes...)
		if err == nil {
			return nil
		}
		if endsAdmins(d.Roster, err) {
			return lastAdmin()
		}
		if !table.Conflicts(err) {
			return fmt.Errorf("delete user: %w", err)
		}
		last = err
	}
	return busy(last)
}

func (d Directory) leaving(ctx context.Context, u roster.User) ([]table.Write, error) {
	event := audit.Event{
		ID: identity.MintEvent(d.s.now(), u.LastEvent), Subject: string(u.ID), Kind: audit.UserLeft,
		Actor: d.actor, Effects: []audit.Effect{audit.Sweep},
	}
	ev, err := event.Write(d.Roster.Org(), nil)
	if err != nil {
		return nil, err
	}
	stone, err := json.Marshal(tombstone{At: d.s.now().UTC().Truncate(time.Second), Event: event.ID, Actor: d.actor.String()})
	if err != nil {
		return nil, fmt.Errorf("write tombstone: %w", err)
	}
	writes := []table.Write{table.Delete(u.Item), ev, table.Create(d.Roster.TombstoneKey(u.ID), stone)}
	writes = append(writes, d.count(u.ID, -1)...)
	claims, err := d.moveClaims(ctx, u, u.Doc(), value.Value{})
	if err != nil {
		return nil, err
	}
	writes = append(writes, claims...)
	if u.Target != "" || u.Admin && u.Active() {
		more, err := d.accessOfLeaver(ctx, u)
		if err != nil {
			return nil, err
		}
		writes = append(writes, more...)
	}
	if len(u.Groups) > inline {
		return append(writes, table.Put(d.Roster.SweepingKey(u.ID), nil)), nil
	}
	more, err := d.s.removal(ctx, d.Roster, u.ID, u.Groups)
	return append(writes, more...), err
}

// accessOfLeaver: who is deleted in the directory that governs them loses
// access; the record made by hand stays, without the link.
func (d Directory) accessOfLeaver(ctx context.Context, u roster.User) ([]table.Write, error) {
	if u.Target == "" {
		return countAdmin(d.Roster, &u, false), nil
	}
	found, err := d.Roster.Users(ctx, u.Target)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	person := found[0]
	links := person.Links[:0:0]
	for _, l := range person.Links {
		if l != u.ID {
			links = append(links, l)
		}
	}
	person.Links = links
	if !person.Active() {
		return []table.Write{table.Replace(person.Item, person.Encode(false))}, nil
	}
	writes, err := d.setActive(&person, false)
	return append(writes, countAdmin(d.Roster, &person, false)...), err
}

// removal builds the writes that end a user's memberships of the groups.
func (s *Service) removal(ctx context.Context, r roster.Roster, id identity.User, groups []identity.Group) ([]table.Write, error) {
	var writes []table.Write
	for _, g := range groups {
		more, err := s.ending(ctx, r, g, []identity.User{id})
		if err != nil {
			return nil, err
		}
		writes = append(writes, more...)
	}
	return writes, nil
}

// Sweep removes what the event's deletion, or an add that raced with a
// deletion, left behind. It is safe to repeat and to come late.
func (s *Service) Sweep(ctx context.Context, o *org.Org, e audit.Event) error {
	r := roster.Of(s.table, o)
	switch e.Kind {
	case audit.UserLeft:
		return s.sweepUser(ctx, r, identity.User(e.Subject))
	case audit.GroupDeleted:
		return s.sweepGroup(ctx, r, identity.Group(e.Subject))
	case audit.GroupMembers, audit.GroupCreated, audit.GroupChanged:
		return s.settle(ctx, r, e)
	}
	return nil
}

func (s *Service) sweepUser(ctx context.Context, r roster.Roster, id identity.User) error {
	for {
		groups, err := r.Memberships(ctx, id, inline)
		if err != nil {
			return err
		}
		if len(groups) == 0 {
			break
		}
		writes, err := s.removal(ctx, r, id, groups)
		if err != nil {
			return err
		}
		if err := s.commitSweep(ctx, writes); err != nil {
			return err
		}
	}
	mark, err := s.table.Get(ctx, r.SweepingKey(id))
	if err != nil || len(mark) == 0 {
		return err
	}
	return s.commitSweep(ctx, []table.Write{table.Delete(mark[0])})
}

// commitSweep lets a conflict pass: somebody else swept the same, and the loop
// that called looks again.
func (s *Service) commitSweep(ctx context.Context, writes []table.Write) error {
	if len(writes) == 0 {
		return nil
	}
	if _, err := s.table.Commit(ctx, writes...); err != nil && !table.Conflicts(err) {
		return fmt.Errorf("sweep memberships: %w", err)
	}
	return nil
}

func (s *Service) sweepGroup(ctx context.Context, r roster.Roster, g identity.Group) error {
	for {
		batch, err := r.Listed(ctx, g, inline)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			return s.dropHeaders(ctx, r, g)
		}
		if err := s.endMembers(ctx, r, g, batch); err != nil {
			return err
		}
	}
}

// endMembers removes the users from the group's list, and the group from
// theirs.
func (s *Service) endMembers(ctx context.Context, r roster.Roster, g identity.Group, ids []identity.User) error {
	writes, err := s.ending(ctx, r, g, ids)
	if err != nil {
		return err
	}
	return s.commitSweep(ctx, writes)
}

// ending builds the writes that end the users' memberships of the group: those
// halves of each that still stand. Headers have no lower bound: a sweep that
// comes late must not be stuck on a group whose headers are gone.
func (s *Service) ending(ctx context.Context, r roster.Roster, g identity.Group, ids []identity.User) ([]table.Write, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var keys []table.Key
	for _, id := range ids {
		keys = append(keys, r.MembershipKey(id, g), r.MemberKey(g, id))
	}
	items, err := s.table.Get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	var writes []table.Write
	for _, it := range items {
		writes = append(writes, table.Delete(it))
		if id := identity.User(it.Sort); it.Key == r.MemberKey(g, id) {
			writes = append(writes, table.Add(r.MemberHeaderKey(g, id), -1, -most, most))
		}
	}
	return mergeAdds(writes), nil
}

// dropHeaders removes the headers of a group that has no members left.
func (s *Service) dropHeaders(ctx context.Context, r roster.Roster, g identity.Group) error {
	items, err := s.table.Get(ctx, r.HeaderKeys(g)...)
	if err != nil || len(items) == 0 {
		return err
	}
	var writes []table.Write
	for _, it := range items {
		writes = append(writes, table.Delete(it))
	}
	return s.commitSweep(ctx, writes)
}

// settle looks after an add of members: who was deleted, or whose group was,
// between the add's reading and its commit, is taken out again.
func (s *Service) settle(ctx context.Context, r roster.Roster, e audit.Event) error {
	g := identity.Group(e.Subject)
	var added []identity.User
	for _, c := range e.Changes {
		if c.Path == "members" {
			for _, v := range c.After.Elements() {
				added = append(added, identity.User(v.Text()))
			}
		}
	}
	if len(added) == 0 {
		return nil
	}
	if _, err := r.Group(ctx, g); fault.Is(err, fault.NotFound) {
		return s.sweepGroup(ctx, r, g)
	} else if err != nil {
		return err
	}
	there := map[identity.User]bool{}
	users, err := r.Users(ctx, added...)
	if err != nil {
		return err
	}
	for _, u := range users {
		there[u.ID] = true
	}
	for _, id := range added {
		if !there[id] {
			if err := s.sweepUser(ctx, r, id); err != nil {
				return err
			}
		}
	}
	return nil
}
