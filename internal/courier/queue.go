package courier

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// maxRaces bounds how often a change is decided anew after somebody else
// changed the message first.
const maxRaces = 10

func raced() error {
	return &fault.Error{Kind: fault.Unavailable, Msg: "The message is being changed by others; try again.", Retry: time.Second}
}

// Queue asks for a message of the kind to the user. If one was asked for
// already, nothing happens, unless it was cancelled before any attempt, for a
// user who was suspended then: that one is queued anew.
func (s *Service) Queue(ctx context.Context, o *org.Org, user identity.User, kind Kind) error {
	n := name{org: o.ID, user: user, kind: kind, generation: 1}
	if !Wanted(n.key()) {
		return fmt.Errorf("queue a message: no such kind, or no such form of user id")
	}
	for range maxRaces {
		first, ok, err := s.one(ctx, n)
		if err != nil {
			return err
		}
		now := s.now()
		if !ok {
			_, err = s.table.Commit(ctx, s.begin(n, "", now)...)
		} else {
			m := first
			if first.Latest > 0 {
				n := n
				n.generation = first.Latest
				if m, ok, err = s.one(ctx, n); err != nil || !ok {
					return err
				}
			}
			if m.Status != Cancelled || m.Attempts > 0 || m.Superseded {
				return nil
			}
			m.become(Queued, "", now)
			_, err = s.table.Commit(ctx, table.Replace(m.item, m.encode()))
		}
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("queue a message: %w", err)
		}
		return nil
	}
	return raced()
}

// begin is the writes that queue a message that does not exist: of two who
// queue it, one conflicts.
func (s *Service) begin(n name, cause string, now time.Time) []table.Write {
	m := message{name: n}
	m.become(Queued, "", now)
	m.Queued, m.Cause = whole(now), cause
	m.Expires = whole(now).Truncate(time.Second).Add(LinkLife)
	return []table.Write{
		table.Create(n.key(), m.encode()),
		s.links.createLink(n, m.Expires),
	}
}

// Resend asks for the next generation of the user's welcome message, whose link
// voids the one before, in one commit. While the newest waits for its first
// attempt, as it should, nothing happens. More than ResendsPerDay within 24 hours are
// Throttled. cause is a word for the record, such as "admin" or "expired".
func (s *Service) Resend(ctx context.Context, o *org.Org, user identity.User, cause string) error {
	n := name{org: o.ID, user: user, kind: Welcome, generation: 1}
	if !Wanted(n.key()) {
		return fault.New(fault.NotFound, "", "There is no such user.")
	}
	for range maxRaces {
		writes, err := s.resend(ctx, n, word(cause))
		if err != nil || len(writes) == 0 {
			return err
		}
		_, err = s.table.Commit(ctx, writes...)
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("queue a message again: %w", err)
		}
		return nil
	}
	return raced()
}

// resend returns the writes of a Resend; none if there is nothing to do.
func (s *Service) resend(ctx context.Context, n name, cause string) ([]table.Write, error) {
	now := s.now()
	first, ok, err := s.one(ctx, n)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.begin(n, cause, now), nil
	}
	newest := first
	if first.Latest > 0 {
		n.generation = first.Latest
		if newest, ok, err = s.one(ctx, n); err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("queue a message again: generation %d is missing", n.generation)
		}
	}
	if newest.Status == Queued && newest.Attempts == 0 && (now.Before(newest.Wake) || now.Sub(newest.Since) < time.Minute) {
		return nil, nil
	}
	if err := s.resendAllowed(ctx, newest.name, now); err != nil {
		return nil, err
	}
	next := newest.name
	next.generation++
	writes := s.begin(next, cause, now)
	links, err := s.table.Get(ctx, s.links.key(newest.name))
	if err != nil {
		return nil, fmt.Errorf("read a link: %w", err)
	}
	for _, l := range links {
		writes = append(writes, table.Delete(l))
	}
	// What was not sent yet would carry a link that is void.
	newest.Superseded = true
	if newest.Status == Queued {
		newest.become(Cancelled, ReasonSuperseded, now)
	}
	if newest.generation == 1 {
		newest.Latest = next.generation
	} else {
		first.Latest = next.generation
		writes = append(writes, table.Replace(first.item, first.encode()))
	}
	return append(writes, table.Replace(newest.item, newest.encode())), nil
}

// resendAllowed counts the generations of the last 24 hours. The commit creates
// the next one, so two that count at once cannot both pass.
func (s *Service) resendAllowed(ctx context.Context, newest name, now time.Time) error {
	if newest.generation >= maxGeneration {
		return fault.New(fault.Conflict, "", "This message was sent too often; create the user anew.")
	}
	var names []name
	for g := newest.generation; g > 1 && len(names) < ResendsPerDay; g-- {
		n := newest
		n.generation = g
		names = append(names, n)
	}
	if len(names) < ResendsPerDay {
		return nil
	}
	recent, err := s.load(ctx, names...)
	if err != nil {
		return err
	}
	for _, m := range recent {
		if now.Sub(m.Queued) >= 24*time.Hour {
			return nil
		}
	}
	oldest := recent[len(recent)-1].Queued
	return &fault.Error{
		Kind: fault.Throttled, Retry: oldest.Add(24 * time.Hour).Sub(now),
		Msg: fmt.Sprintf("This message was sent %d times within a day; try again later.", ResendsPerDay),
	}
}

// Replay queues the user's newest welcome message anew, with all its attempts
// and the same link, if it is dead, refused or undeliverable; otherwise it is a
// Conflict. It is for failures that were somebody else's and are mended; where
// an attempt was left open, it can be a second mail.
func (s *Service) Replay(ctx context.Context, o *org.Org, user identity.User) error {
	n := name{org: o.ID, user: user, kind: Welcome, generation: 1}
	for range maxRaces {
		m, ok, err := s.one(ctx, n)
		if err != nil {
			return err
		}
		if ok && m.Latest > n.generation {
			n.generation = m.Latest
			continue
		}
		if !ok {
			return fault.New(fault.NotFound, "", "There is no message to this user.")
		}
		if m.Superseded || m.Status != Dead && m.Status != Refused && m.Status != Undeliverable {
			return fault.New(fault.Conflict, "", "This message has not failed.")
		}
		now := s.now()
		m.become(Queued, "", now)
		m.Attempts = 0
		// Due as well, since the feed may be what failed.
		_, err = s.table.Commit(ctx, table.Replace(m.item, m.encode()), due.At(now, n.ref()))
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("queue a failed message: %w", err)
		}
		return nil
	}
	return raced()
}

// word keeps what may stand in a record: 24 letters and hyphens.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r == '-' {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 24)]
}
