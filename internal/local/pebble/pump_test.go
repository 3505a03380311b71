package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"
)

// counting is a consumer that fails every third change once, and counts what
// it has done.
type counting struct {
	mu    sync.Mutex
	tried map[string]int
	done  map[string]int
}

func newCounting() *counting { return &counting{tried: map[string]int{}, done: map[string]int{}} }

func (c *counting) Consume(_ context.Context, batch []table.Change) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(batch))
	for i, ch := range batch {
		id := ch.Key.Part
		if c.tried[id]++; len(c.tried)%3 == 0 && c.tried[id] == 1 {
			errs[i] = errors.New("not now")
			continue
		}
		c.done[id]++
	}
	return errs
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.done)
}

// TestPump delivers from a store that is written from several sides and
// reopened in between, with chaos: nothing is lost, and what is passed is
// dropped.
func TestPump(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	o := pebble.Options{Subscriptions: append(crashSubs, table.Subscription{Name: "other", Wants: crashSubs[0].Wants})}
	feed, other := newCounting(), newCounting()
	for round := range 3 {
		p := mustOpen(t, dir, o)
		q, err := pump.New(p, p, pump.Options{
			Logger: quiet, Chaos: pump.NewChaos(uint64(round)), Backoff: func(int) time.Duration { return time.Millisecond },
		}, pump.Route{Name: "feed", To: feed}, pump.Route{Name: "other", To: other, Gather: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		run, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { q.Run(run); close(ended) }()
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 100 {
					if _, err := p.Commit(ctx, table.Create(eventKey(fmt.Sprint(round, w, i)), nil)); err != nil {
						t.Errorf("Commit = %v, want success", err)
					}
				}
			})
		}
		writers.Wait()
		if round == 2 {
			limit, cancel := context.WithTimeout(ctx, 10*time.Second)
			if err := q.Drain(limit); err != nil {
				t.Errorf("Drain = %v, want success", err)
			}
			cancel()
			eventually(t, "dropping what all have passed", func() bool {
				left, err := p.Entries(ctx, 0, 10)
				return err == nil && len(left) == 0
			})
		}
		stop()
		<-ended
		if err := p.Close(); err != nil {
			t.Errorf("Close = %v, want success", err)
		}
	}
	if feed.count() != 1200 || other.count() != 1200 {
		t.Errorf("%d and %d of 1,200 changes were delivered", feed.count(), other.count())
	}
}

// TestPumpWakes holds that a change is delivered as soon as it is committed.
func TestPumpWakes(t *testing.T) {
	p := mustOpen(t, t.TempDir(), pebble.Options{Subscriptions: crashSubs})
	delivered := make(chan time.Time, 1)
	q, err := pump.New(p, p, pump.Options{Logger: quiet}, pump.Route{Name: "feed", To: consume(func([]table.Change) []error {
		delivered <- time.Now()
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { q.Run(run); close(ended) }()
	defer func() { stop(); <-ended }()
	slowest := time.Duration(0)
	for i := range 30 {
		if _, err := p.Commit(ctx, table.Put(eventKey(fmt.Sprint(i)), nil)); err != nil {
			t.Fatal(err)
		}
		committed := time.Now()
		slowest = max(slowest, (<-delivered).Sub(committed))
	}
	t.Logf("slowest of 30 deliveries: %v after the commit", slowest)
	if slowest > time.Second {
		t.Errorf("a change was delivered %v after its commit, want well under a second", slowest)
	}
}

type consume func([]table.Change) []error

func (f consume) Consume(_ context.Context, b []table.Change) []error { return f(b) }
