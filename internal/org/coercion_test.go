package org_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

func (w *world) coercions(s *org.Store, a org.Access) map[string]int64 {
	w.t.Helper()
	list, err := s.Coercions(w.t.Context(), a.Org, a.Connection.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]int64{}
	for _, c := range list {
		out[c.Rule] = c.Count
	}
	return out
}

func (w *world) wantCoercions(s *org.Store, a org.Access, want map[string]int64) {
	w.t.Helper()
	if got := w.coercions(s, a); !maps.Equal(got, want) {
		w.t.Errorf("coercions = %v, want %v", got, want)
	}
}

// What is counted is seen at once by this process, by others once it is
// written: at once for the first, then a minute after the last time.
func TestCoercions(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	other := org.New(w.table, w.key, w.now, believed)
	began := w.now()
	count := func(s *org.Store, rules map[string]int) { s.CountCoercions(a, maps.All(rules)) }
	write := func(s *org.Store, all bool) {
		t.Helper()
		if err := s.WriteCoercions(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	count(w.orgs, map[string]int{"stringBoolean": 1, "operationCase": 2})
	w.wantCoercions(w.orgs, a, map[string]int64{"stringBoolean": 1, "operationCase": 2})
	w.wantCoercions(other, a, map[string]int64{})
	write(w.orgs, false)
	w.wantCoercions(other, a, map[string]int64{"stringBoolean": 1, "operationCase": 2})

	w.pass(59 * time.Second)
	count(w.orgs, map[string]int{"stringBoolean": 4})
	count(other, map[string]int{"upserted": 7})
	write(w.orgs, false)
	write(other, false)
	w.wantCoercions(other, a, map[string]int64{"stringBoolean": 1, "operationCase": 2, "upserted": 7})
	w.wantCoercions(w.orgs, a, map[string]int64{"stringBoolean": 5, "operationCase": 2, "upserted": 7})
	w.pass(time.Second)
	write(w.orgs, false)
	w.wantCoercions(other, a, map[string]int64{"stringBoolean": 5, "operationCase": 2, "upserted": 7})

	count(w.orgs, map[string]int{"stringBoolean": 1})
	write(w.orgs, true) // the program ends
	w.wantCoercions(other, a, map[string]int64{"stringBoolean": 6, "operationCase": 2, "upserted": 7})
	list, err := other.Coercions(t.Context(), a.Org, a.Connection.ID)
	if err != nil || len(list) != 3 || list[1].Rule != "stringBoolean" || !list[1].First.Equal(began) || !list[1].Last.Equal(w.now()) {
		t.Errorf("Coercions = %+v, %v; want three in order, stringBoolean from %v to %v", list, err, began, w.now())
	}
	b := w.access()
	w.wantCoercions(w.orgs, b, map[string]int64{})
}

// Nothing is written where nothing was counted.
func TestNoCoercionsNoWrites(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	s := org.New(&refusing{Table: w.mem, err: errors.New("written to")}, w.key, w.now, believed)
	for range 3 {
		if err := s.WriteCoercions(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
	}
	s.CountCoercions(a, maps.All(map[string]int{"upserted": 1}))
	if err := s.WriteCoercions(t.Context(), false); err == nil {
		t.Fatal("a count was not written")
	}
}

// What could not be written is kept and written later.
func TestCoercionsOutliveAFailure(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	broken := &refusing{Table: w.mem, err: errors.New("throttled")}
	s := org.New(broken, w.key, w.now, believed)
	s.CountCoercions(a, maps.All(map[string]int{"upserted": 3}))
	if err := s.WriteCoercions(t.Context(), false); err == nil || strings.Contains(err.Error(), "upserted") {
		t.Errorf("WriteCoercions = %v, want the failure", err)
	}
	s.CountCoercions(a, maps.All(map[string]int{"upserted": 1}))
	broken.err = nil
	if err := s.WriteCoercions(t.Context(), false); err != nil { // not within the minute
		t.Fatal(err)
	}
	w.wantCoercions(w.orgs, a, map[string]int64{})
	w.pass(time.Minute)
	if err := s.WriteCoercions(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.wantCoercions(w.orgs, a, map[string]int64{"upserted": 4})
}

// Of processes that write at once none loses the other's counts.
func TestCoercionsAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	var wg sync.WaitGroup
	for range 8 {
		s := org.New(w.mem, w.key, w.now, believed)
		wg.Go(func() {
			for range 25 {
				s.CountCoercions(a, maps.All(map[string]int{"stringBoolean": 1}))
				if err := s.WriteCoercions(t.Context(), true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.wantCoercions(w.orgs, a, map[string]int64{"stringBoolean": 200})
	n := 0
	for it, err := range w.mem.Query(t.Context(), a.Org.Part(), table.Range{Prefix: "R#"}) {
		if n++; err != nil || !strings.HasSuffix(it.Sort, string(a.Connection.ID)) {
			t.Errorf("counts stand under %v (%v)", it.Key, err)
		}
	}
	if n != 1 {
		t.Errorf("%d items hold the counts, want one", n)
	}
}

// Of a process that is frozen between requests and never asked again little is
// lost, however long the run was, and writing it costs little.
func TestFrozenCoercions(t *testing.T) {
	for _, c := range []struct {
		messages int
		each     time.Duration // from one to the next
		lost     int           // at most
		writes   int           // at most
	}{
		{1, time.Second, 0, 1},
		{3, 200 * time.Millisecond, 0, 3}, // a cycle of Entra ID in which little changed
		{20, 200 * time.Millisecond, 2, 15},
		{500, 100 * time.Millisecond, 49, 50}, // ten a second
		{5000, 40 * time.Millisecond, 49, 140},
		{100, 5 * time.Second, 0, 100},
	} {
		w := newWorld(t)
		a := w.access()
		counting := &committing{Table: w.mem}
		s := org.New(counting, w.key, w.now, believed)
		for i := range c.messages {
			if i > 0 {
				w.pass(c.each)
			}
			s.CountCoercions(a, maps.All(map[string]int{"stringBoolean": 1, "operationCase": 3}))
			if err := s.WriteCoercionsFrozen(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		other := org.New(w.mem, w.key, w.now, believed)
		got := w.coercions(other, a)
		if lost := c.messages - int(got["stringBoolean"]); lost < 0 || lost > c.lost || got["operationCase"] != 3*got["stringBoolean"] {
			t.Errorf("of %d messages, %v apart, %v are written, want all but %d", c.messages, c.each, got, c.lost)
		}
		if counting.n > c.writes {
			t.Errorf("%d messages, %v apart, cost %d writes, want %d at most", c.messages, c.each, counting.n, c.writes)
		}
	}
}

// A run that follows a quiet minute is written as closely as the first.
func TestFrozenCoercionsOfEveryCycle(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	s := org.New(w.mem, w.key, w.now, believed)
	other := org.New(w.mem, w.key, w.now, believed)
	n := int64(0)
	for range 5 {
		for range 9 {
			s.CountCoercions(a, maps.All(map[string]int{"stringBoolean": 1}))
			if err := s.WriteCoercionsFrozen(t.Context()); err != nil {
				t.Fatal(err)
			}
			n++
			w.pass(200 * time.Millisecond)
		}
		w.wantCoercions(other, a, map[string]int64{"stringBoolean": n})
		w.pass(40 * time.Minute)
	}
}

// What waits is written with the next request, whether or not that one was bent;
// and a table that takes nothing is tried again after five seconds, not with
// every request.
func TestFrozenCoercionsOutliveAFailure(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	broken := &refusing{Table: w.mem, err: errors.New("throttled")}
	s := org.New(broken, w.key, w.now, believed)
	failures := 0
	for range 100 {
		s.CountCoercions(a, maps.All(map[string]int{"upserted": 1}))
		if s.WriteCoercionsFrozen(t.Context()) != nil {
			failures++
		}
	}
	if failures != 1 {
		t.Errorf("a table that takes nothing was asked %d times at once, want once", failures)
	}
	broken.err = nil
	w.pass(5 * time.Second)
	if err := s.WriteCoercionsFrozen(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wantCoercions(org.New(w.mem, w.key, w.now, believed), a, map[string]int64{"upserted": 100})
}

// committing counts commits.
type committing struct {
	table.Table
	n int
}

func (c *committing) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	c.n++
	return c.Table.Commit(ctx, writes...)
}
