package courier

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"gatehouse/internal/due"
	"gatehouse/internal/identity"
)

const (
	// slowAttempt is how long an attempt may take before its organization waits
	// its turn.
	slowAttempt = 10 * time.Second
	// firstPause is how long an organization pauses after an attempt that was
	// slow; it doubles with each that follows, up to lastPause.
	firstPause = 2 * time.Minute
	lastPause  = 32 * time.Minute
)

// turns keeps an organization whose recipients' servers stall from taking the
// time of the others: after a slow attempt its messages wait, and one at a time
// tries whether it is quick again. It is what one process has seen, and is lost
// with it: that costs one more slow attempt.
type turns struct {
	mu   sync.Mutex
	slow map[identity.Org]*pause // without those that are quick
}

type pause struct {
	stalls int       // slow attempts, one after another
	until  time.Time // no attempt before
	trying bool      // one is under way
}

// take reports whether an attempt of the organization may be made at now, and
// where it may not, when to ask again.
func (t *turns) take(o identity.Org, now time.Time) (again time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.slow[o]
	switch {
	case p == nil:
		return time.Time{}, true
	case p.trying:
		return now.Add(firstPause), false
	case now.Before(p.until):
		return p.until, false
	}
	p.trying = true
	return time.Time{}, true
}

// leave ends what take began. Took is how long the sending took; zero if
// nothing was sent, which says nothing.
func (t *turns) leave(o identity.Org, took time.Duration, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.slow[o]
	if p != nil {
		p.trying = false
	}
	switch {
	case took >= slowAttempt:
		if p == nil {
			p = &pause{}
			if t.slow == nil {
				t.slow = map[identity.Org]*pause{}
			}
			t.slow[o] = p
		}
		if now.Before(p.until) {
			return // the attempts that were under way together are one stall
		}
		p.until = now.Add(min(firstPause<<min(p.stalls, 10), lastPause))
		p.stalls++
	case took > 0:
		delete(t.slow, o)
	}
}

// inTurn orders messages so that each organization's first comes before any
// organization's second.
func inTurn(places map[name][]int) []name {
	byOrg := map[identity.Org][]name{}
	for n := range places {
		byOrg[n.org] = append(byOrg[n.org], n)
	}
	out := make([]name, 0, len(places))
	for round := 0; len(out) < len(places); round++ {
		for _, names := range byOrg {
			if round < len(names) {
				out = append(out, names[round])
			}
		}
	}
	return out
}

// consumed dispatches the message, or makes it due later where it is not its
// organization's turn.
func (s *Service) consumed(ctx context.Context, n name) (err error) {
	defer func() {
		// One message must not end the program, again and again. What was
		// panicked with may name a person; where it happened does not.
		if recover() != nil {
			err = fmt.Errorf("the dispatch panicked\n%s", debug.Stack())
		}
	}()
	if again, shut := s.gate.shut(n, s.now()); shut {
		return s.remind(ctx, n, again)
	}
	if again, ok := s.turns.take(n.org, s.now()); !ok {
		return s.remind(ctx, n, after(n, again))
	}
	_, err = s.inOwnTurn(ctx, n)
	return err
}

// remind makes the message due work.
func (s *Service) remind(ctx context.Context, n name, again time.Time) error {
	if _, err := s.table.Commit(ctx, due.At(again, n.ref())); err != nil {
		return fmt.Errorf("make a message due later: %w", err)
	}
	return nil
}

// after spreads an organization's waiting messages over a minute.
func after(n name, again time.Time) time.Time {
	return again.Add(time.Duration(identity.Spread(string(n.user), 60)) * time.Second)
}

// inOwnTurn is dispatch for whoever took a turn of the organization.
func (s *Service) inOwnTurn(ctx context.Context, n name) (wake time.Time, err error) {
	var sent time.Duration
	defer func() { s.turns.leave(n.org, sent, s.now()) }()
	return s.dispatch(ctx, n, &sent)
}
