package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

const (
	// inline is how many memberships end in the commit that deletes their user or
	// group; the rest is swept.
	inline = 12
	// perSweep is how many memberships of one group end in one commit of a sweep:
	// two writes each, and a header for each shard.
	perSweep = (table.MaxWrites - 4) / 2
	// ahead is how many members of each shard a sweep reads at a time.
	ahead = 3 * perSweep
	// sweepTime is for how long the request that deletes a group sweeps it.
	sweepTime = 5 * time.Second
)

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
	for lost := range tries {
		u, err := d.Roster.User(ctx, own, true)
		if err != nil {
			return err
		}
		if err := match.check(u.Tag()); err != nil {
			return err
		}
		writes, err := d.leaving(ctx, u, lost > 0)
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

func (d Directory) leaving(ctx context.Context, u roster.User, later bool) ([]table.Write, error) {
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
	more, err := d.s.outOf(ctx, d.Roster, roster.UserMember(u.ID), u.Groups, later)
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

// outOf builds the writes that take who is deleted out of the groups: at once,
// or where they are many, by a mark that hides the member until the feed has
// swept. Later asks for the mark: one of the groups may be locked by a journal,
// which a deletion need not wait for.
func (s *Service) outOf(ctx context.Context, r roster.Roster, m roster.Member, groups []identity.Group, later bool) ([]table.Write, error) {
	if len(groups) > inline || later && len(groups) > 0 {
		return []table.Write{table.Put(r.SweepingKey(m), nil)}, nil
	}
	return s.removal(ctx, r, m, groups)
}

// removal builds the writes that end a member's memberships of the groups.
func (s *Service) removal(ctx context.Context, r roster.Roster, m roster.Member, groups []identity.Group) ([]table.Write, error) {
	var writes []table.Write
	for _, g := range groups {
		more, err := s.ending(ctx, r, g, []roster.Member{m})
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
		return s.sweepMember(ctx, r, roster.UserMember(identity.User(e.Subject)))
	case audit.GroupDeleted:
		g := identity.Group(e.Subject)
		if err := s.sweepGroup(ctx, r, g); err != nil {
			return err
		}
		return s.sweepMember(ctx, r, roster.GroupMember(g))
	case audit.GroupMembers, audit.GroupCreated, audit.GroupChanged:
		return s.settle(ctx, r, e)
	}
	return nil
}

// sweepMember takes who is deleted out of every group.
func (s *Service) sweepMember(ctx context.Context, r roster.Roster, m roster.Member) error {
	for {
		groups, err := r.Memberships(ctx, m, inline)
		if err != nil {
			return err
		}
		if len(groups) == 0 {
			break
		}
		writes, err := s.removal(ctx, r, m, groups)
		if err != nil {
			return err
		}
		if err := s.commitSweep(ctx, r, groups, writes); err != nil {
			return err
		}
	}
	mark, err := s.table.Get(ctx, r.SweepingKey(m))
	if err != nil || len(mark) == 0 {
		return err
	}
	return s.commitSweep(ctx, r, nil, []table.Write{table.Delete(mark[0])})
}

// commitSweep lets a conflict pass: somebody else swept the same, or one of the
// groups is locked by a journal, which is finished first. The loop that called
// looks again.
func (s *Service) commitSweep(ctx context.Context, r roster.Roster, groups []identity.Group, writes []table.Write) error {
	if len(writes) == 0 {
		return nil
	}
	_, err := s.table.Commit(ctx, writes...)
	if err == nil {
		return nil
	}
	if !table.Conflicts(err) {
		return fmt.Errorf("sweep memberships: %w", err)
	}
	for _, g := range groups {
		if err := s.finish(ctx, r, g); err != nil {
			return err
		}
	}
	return nil
}

// sweepSoon sweeps a group that was deleted by the request of the context, for as
// long as the request may take: no more than a quarter of the time that it has
// left, since a bulk request has others to do. What fails or is not reached is
// left to the feed, which sweeps in any case.
func (s *Service) sweepSoon(ctx context.Context, r roster.Roster, g identity.Group) {
	limit := sweepTime
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/4)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = s.sweepGroup(ctx, r, g)
}

// sweepGroup ends the memberships of everybody whom a deleted group lists. Two
// who sweep the same group pass over what the other did.
func (s *Service) sweepGroup(ctx context.Context, r roster.Roster, g identity.Group) error {
	for {
		members, err := r.Listed(ctx, g, ahead)
		if err != nil {
			return err
		}
		if len(members) == 0 {
			return s.dropHeaders(ctx, r, g)
		}
		for batch := range slices.Chunk(members, perSweep) {
			writes, err := s.ending(ctx, r, g, batch)
			if err != nil {
				return err
			}
			if err := s.commitSweep(ctx, r, nil, writes); err != nil {
				return err
			}
		}
	}
}

// ending builds the writes that end the members' memberships of the group: those
// halves of each that still stand. Headers may fall below zero: a sweep that
// comes late must not be stuck on a group whose headers are gone.
func (s *Service) ending(ctx context.Context, r roster.Roster, g identity.Group, ms []roster.Member) ([]table.Write, error) {
	if len(ms) == 0 {
		return nil, nil
	}
	var keys []table.Key
	for _, m := range ms {
		keys = append(keys, r.MembershipKey(m, g), r.MemberKey(g, m))
	}
	items, err := s.table.Get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	var writes []table.Write
	for _, it := range items {
		writes = append(writes, table.Delete(it))
		if m := (roster.Member{ID: it.Sort}); it.Key == r.MemberKey(g, m) {
			writes = append(writes, table.Add(r.MemberHeaderKey(g, m), -1, -roster.Range, roster.Range))
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
	return s.commitSweep(ctx, r, nil, writes)
}

// settle looks after an add of members: who was deleted, or whose group was,
// between the add's reading and its commit, is taken out again.
func (s *Service) settle(ctx context.Context, r roster.Roster, e audit.Event) error {
	g := identity.Group(e.Subject)
	gone, err := s.missing(ctx, r, roster.GroupMember(g))
	if err != nil {
		return err
	}
	for added, err := range s.added(ctx, r, e) {
		if err != nil {
			return err
		}
		if len(added) == 0 {
			continue
		}
		if len(gone) > 0 {
			return s.sweepGroup(ctx, r, g)
		}
		users := make([]roster.Member, len(added))
		for i, id := range added {
			users[i] = roster.Member{ID: id}
		}
		noUsers, err := s.missing(ctx, r, users...)
		if err != nil {
			return err
		}
		for i := range noUsers {
			noUsers[i].Group = true
		}
		neither, err := s.missing(ctx, r, noUsers...)
		if err != nil {
			return err
		}
		for _, m := range neither {
			// Which of both it was nobody knows any more; of the other there is
			// nothing.
			if err := errors.Join(s.sweepMember(ctx, r, roster.Member{ID: m.ID}), s.sweepMember(ctx, r, m)); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing returns those of the users and groups that do not exist.
func (s *Service) missing(ctx context.Context, r roster.Roster, ms ...roster.Member) ([]roster.Member, error) {
	there, err := r.Existing(ctx, ms...)
	return slices.DeleteFunc(ms, func(m roster.Member) bool { return there[m] }), err
}

// added yields whom the event added, some at a time.
func (s *Service) added(ctx context.Context, r roster.Roster, e audit.Event) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		if e.Paged {
			for page, err := range audit.Pages(ctx, s.table, r.Org(), e.Subject, e.ID) {
				if !yield(page.Added, err) {
					return
				}
			}
			return
		}
		for _, c := range e.Changes {
			if c.Path != "members" {
				continue
			}
			var ids []string
			for _, v := range c.After.Elements() {
				ids = append(ids, v.Text())
			}
			if !yield(ids, nil) {
				return
			}
		}
	}
}
