package org_test

import (
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
