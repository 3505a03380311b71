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
		_, m, ok, err := s.newest(ctx, n)
		if err != nil {
			return err
		}
		now := s.now()
		if !ok {
			_, err = s.table.Commit(ctx, s.begin(n, "", now)...)
		} else {
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
	return s.create(fresh(n, cause, now))
}

func fresh(n name, cause string, now time.Time) message {
	m := message{name: n}
	m.become(Queued, "", now)
	m.Queued, m.Cause = whole(now), cause
	m.Expires = whole(now).Truncate(time.Second).Add(LinkLife)
	return m
}

func (s *Service) create(m message) []table.Write {
	return []table.Write{
		table.Create(m.key(), m.encode()),
		s.links.createLink(m.name, m.Expires),
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
	first, newest, ok, err := s.newest(ctx, n)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.begin(n, cause, now), nil
	}
	if newest.Status == Queued && newest.Attempts == 0 && (now.Before(newest.Wake) || now.Sub(newest.Since) < time.Minute) {
		return nil, nil
	}
	if err := s.resendAllowed(ctx, newest.name, now); err != nil {
		return nil, err
	}
	void, err := s.void(ctx, newest.name)
	if err != nil {
		return nil, err
	}
	next := following(newest.name, cause, now)
	return append(append(s.create(next), supersede(first, newest, next.generation, now)...), void...), nil
}

// newest returns the first generation and the newest, which may be the same;
// false if there is none.
func (s *Service) newest(ctx context.Context, n name) (first, newest message, ok bool, err error) {
	n.generation = 1
	first, ok, err = s.one(ctx, n)
	if err != nil || !ok || first.Latest == 0 {
		return first, first, ok, err
	}
	n.generation = first.Latest
	newest, ok, err = s.one(ctx, n)
	if err == nil && !ok {
		err = fmt.Errorf("read messages: generation %d is missing", n.generation)
	}
	return first, newest, ok, err
}

// following is the generation after the newest.
func following(newest name, cause string, now time.Time) message {
	newest.generation++
	return fresh(newest, cause, now)
}

// void is the write that makes the message's link open nothing, none if it does
// so already.
func (s *Service) void(ctx context.Context, n name) ([]table.Write, error) {
	links, err := s.table.Get(ctx, s.links.key(n))
	if err != nil {
		return nil, fmt.Errorf("read a link: %w", err)
	}
	var writes []table.Write
	for _, l := range links {
		writes = append(writes, table.Delete(l))
	}
	return writes, nil
}

// supersede is the writes that let no attempt of the newest begin any more, as
// it would carry a link that is void, and name the one that follows; 0: none.
func supersede(first, newest message, next int, now time.Time) []table.Write {
	newest.Superseded = true
	if newest.Status == Queued {
		newest.become(Cancelled, ReasonSuperseded, now)
	}
	if newest.generation == 1 {
		newest.Latest = next
		return []table.Write{table.Replace(newest.item, newest.encode())}
	}
	writes := []table.Write{table.Replace(newest.item, newest.encode())}
	if next > 0 {
		first.Latest = next
		writes = append(writes, table.Replace(first.item, first.encode()))
	}
	return writes
}

// resendAllowed counts the generations that people asked for in the last 24
// hours. The commit creates the next one, so two that count at once cannot both
// pass.
func (s *Service) resendAllowed(ctx context.Context, newest name, now time.Time) error {
	if newest.generation >= maxGeneration {
		return fault.New(fault.Conflict, "", "This message was sent too often; create the user anew.")
	}
	asked, _, err := s.recent(ctx, newest, now)
	if err != nil || len(asked) < ResendsPerDay {
		return err
	}
	return &fault.Error{
		Kind: fault.Throttled, Retry: asked[ResendsPerDay-1].Queued.Add(24 * time.Hour).Sub(now),
		Msg: fmt.Sprintf("This message was sent %d times within a day; try again later.", ResendsPerDay),
	}
}

// recent returns the generations after the first that were queued in the last
// 24 hours, newest first, as far as they count against the limits: those that
// people asked for, and those that followed a change of address.
func (s *Service) recent(ctx context.Context, newest name, now time.Time) (asked, moved []message, err error) {
	var names []name
	for g := newest.generation; g > 1 && len(names) <= ResendsPerDay+ReaddressesPerDay; g-- {
		n := newest
		n.generation = g
		names = append(names, n)
	}
	if len(names) == 0 {
		return nil, nil, nil
	}
	found, err := s.load(ctx, names...)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range found {
		switch {
		case now.Sub(m.Queued) >= 24*time.Hour:
			return asked, moved, nil
		case m.Cause == causeReaddress:
			moved = append(moved, m)
		default:
			asked = append(asked, m)
		}
	}
	return asked, moved, nil
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
