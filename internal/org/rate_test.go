package org_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
	"gatehouse/internal/table/ledger"
)

// serve makes n requests and returns how many of them were taken.
func serve(t *testing.T, s *org.Store, a org.Access, n int) int {
	t.Helper()
	taken := 0
	for range n {
		switch err := s.Take(t.Context(), a, 1); {
		case err == nil:
			taken++
		case !fault.Is(err, fault.Throttled):
			t.Fatalf("Take: %v", err)
		}
	}
	return taken
}

func (w *world) access() org.Access {
	w.t.Helper()
	o, c := w.connection()
	token, _ := w.issue(o, c.ID, 0)
	a, err := w.orgs.Authenticate(w.t.Context(), token)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// A connection makes a whole window's requests at once, then none until the
// window's end, and then as many again.
func TestRate(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 100
	a := w.access()
	w.pass(7*time.Second + 300*time.Millisecond) // into the window
	if n := serve(t, w.orgs, a, 3000); n < 1000 || n > 1000+25 {
		t.Errorf("%d requests of one window are taken, want 1000 and less than a chunk more", n)
	}
	err := w.orgs.Take(t.Context(), a, 1)
	if f := fault.Of(err); f == nil || f.Kind != fault.Throttled || f.Retry != 2700*time.Millisecond {
		t.Errorf("beyond the rate Take = %+v, want Throttled with the 2.7 s to the window's end", f)
	}
	w.pass(2700 * time.Millisecond)
	if n := serve(t, w.orgs, a, 1000); n != 1000 {
		t.Errorf("in the next window %d requests of 1000 are taken, want all", n)
	}
}

// Who keeps to the rate is never refused, wherever the windows begin.
func TestRateIsSustained(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 25
	a := w.access()
	w.pass(3500 * time.Millisecond)
	for second := range 60 {
		if n := serve(t, w.orgs, a, 25); n != 25 {
			t.Fatalf("of 25 requests in second %d, %d are taken, want all", second, n)
		}
		w.pass(time.Second)
	}
}

// Nor is it where its requests fall on several processes, each of which counts
// for itself: one in ten seconds may have served them all, or none.
func TestRateIsSustainedAcrossProcesses(t *testing.T) {
	for _, processes := range []int{2, 3, 4, 8} {
		w := newWorld(t)
		a := w.access()
		var all []*org.Store
		for range processes {
			s := org.New(w.table, w.key, w.now, believed)
			s.Rate = 25
			all = append(all, s)
		}
		w.pass(3500 * time.Millisecond)
		refused := 0
		for i := range 25 * 120 {
			refused += 1 - serve(t, all[i%processes], a, 1)
			w.pass(40 * time.Millisecond)
		}
		if refused > 0 {
			t.Errorf("of 3000 requests at exactly the rate, over %d processes, %d are refused, want none", processes, refused)
		}
	}
}

// A connection's own rate goes before what is usual, and one connection's
// requests are not another's.
func TestRateOfOneConnection(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 1000
	a, b := w.access(), w.access()
	a.Connection.Rate = 25
	if n := serve(t, w.orgs, a, 2000); n < 250 || n > 275 {
		t.Errorf("%d requests are taken at 25 a second, want 250 in ten", n)
	}
	if n := serve(t, w.orgs, b, 2000); n != 2000 {
		t.Errorf("another connection makes %d of 2000 requests, want all", n)
	}
}

// The counter is in the table: what several processes serve together is what is
// bounded, and each may owe less than a chunk, once.
func TestRateHoldsAcrossProcesses(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	const processes = 8
	var all []*org.Store
	for range processes {
		s := org.New(w.table, w.key, w.now, believed)
		s.Rate = 25
		all = append(all, s)
	}
	for window := range 4 {
		taken := 0
		for range 100 {
			for _, s := range all {
				taken += serve(t, s, a, 1)
			}
		}
		most := 250 + 25
		if window == 0 {
			most += processes * 24
		}
		if taken < 250-25 || taken > most {
			t.Errorf("window %d: %d processes serve %d requests together, want 250 and at most %d", window, processes, taken, most)
		}
		w.pass(10 * time.Second)
	}
}

// Many at once in one process are bounded as one after another are, but for
// those that are under way while one of them counts.
func TestRateAtOnce(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 100
	a := w.access()
	var taken atomic.Int64
	var wg sync.WaitGroup
	const clients = 64
	for range clients {
		wg.Go(func() {
			for range 100 {
				if err := w.orgs.Take(context.Background(), a, 1); err == nil {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); n < 1000 || n > 1000+2*25+clients {
		t.Errorf("of 6400 requests at once %d are taken, want about 1000", n)
	}
	if err := w.orgs.Take(t.Context(), a, 1); !fault.Is(err, fault.Throttled) {
		t.Errorf("after them Take = %v, want Throttled", err)
	}
}

// Counting costs at most 0.1 write units a request, and nothing where there is
// no limit; a counter goes with its window.
func TestRateCosts(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	bill := ledger.New(w.mem)
	s := org.New(bill, w.key, w.now, believed)
	serve(t, s, a, 500)
	if u := bill.Snapshot(); u.Write != 0 || u.Read != 0 {
		t.Errorf("without a limit 500 requests cost %+v, want nothing", u)
	}
	s.Rate = 100
	for range 100 { // ten minutes at five requests in ten seconds, and at 50
		serve(t, s, a, 5)
		w.pass(10 * time.Second)
	}
	for range 100 {
		serve(t, s, a, 50)
		w.pass(10 * time.Second)
	}
	u := bill.Snapshot()
	if per := float64(u.Write) / 5500; per > 0.1 || per == 0 || u.Read != 0 {
		t.Errorf("a request costs %.3f write units, and all cost %d read units; want at most 0.1 and none", per, u.Read)
	}
	items := 0
	for it, err := range w.mem.Query(t.Context(), a.Org.Part("RL", string(a.Connection.ID)), table.Range{}) {
		if items++; err != nil || it.Expires.IsZero() || it.Expires.After(w.now().Add(time.Minute)) {
			t.Errorf("a counter stays until %v (%v), want seconds after its window", it.Expires, err)
		}
	}
	if items == 0 {
		t.Error("nothing was counted")
	}
}

// A Bulk larger than what is left of a window, or than a whole one, gets in all
// the same: once, and at the cost of those after it.
func TestRateOfBulk(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 25
	a := w.access()
	serve(t, w.orgs, a, 200)
	if err := w.orgs.Take(t.Context(), a, 1000); err != nil {
		t.Errorf("a large Bulk is refused: %v", err)
	}
	if n := serve(t, w.orgs, a, 100); n > 24 {
		t.Errorf("after it %d requests are taken, want less than a chunk", n)
	}
}

// A table that fails stops nobody: the error says that nothing was counted, and
// is none of the client's.
func TestRateWithoutTheTable(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	broken := &refusing{Table: w.mem, err: errors.New("throttled")}
	s := org.New(broken, w.key, w.now, believed)
	s.Rate = 25
	failed := 0
	for range 1000 {
		switch err := s.Take(t.Context(), a, 1); {
		case fault.Is(err, fault.Throttled):
			t.Fatal("a request is refused for the table's failure")
		case err != nil:
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d of 1000 requests were told of the failure, want one: then nothing is tried for a while", failed)
	}
	broken.err = nil
	w.pass(10 * time.Second)
	if n := serve(t, s, a, 1000); n < 250 || n > 275 {
		t.Errorf("with the table back %d requests are taken, want 250", n)
	}
}

// refusing is a table that refuses commits while err is set.
type refusing struct {
	table.Table
	err error
}

func (r *refusing) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	if r.err != nil {
		return "", r.err
	}
	return r.Table.Commit(ctx, w...)
}

// slow is a table that takes its time for commits.
type slow struct{ table.Table }

func (slow) Commit(ctx context.Context, _ ...table.Write) (table.Version, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// A counter that does not answer holds a request up for a second at most.
func TestRateDoesNotWait(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	s := org.New(slow{w.mem}, w.key, w.now, believed)
	s.Rate = 25
	serve(t, s, a, 24)
	began := time.Now()
	err := s.Take(t.Context(), a, 1)
	if took := time.Since(began); err == nil || fault.Is(err, fault.Throttled) || took > 3*time.Second {
		t.Errorf("Take = %v after %v, want that it could not be counted, after a second", err, took)
	}
}

func TestUpdateConnection(t *testing.T) {
	w := newWorld(t)
	a := w.access()
	got, err := w.orgs.UpdateConnection(t.Context(), a.Org, a.Connection.ID, func(c *org.Connection) {
		c.Name, c.Dialect, c.Rate, c.ID = "Entra ID", "strict", 50, identity.MintConnection()
	})
	if err != nil || got.ID != a.Connection.ID || got.Name != "Entra ID" || got.Dialect != "strict" || got.Rate != 50 || !got.Created.Equal(a.Connection.Created) {
		t.Errorf("UpdateConnection = %+v, %v; want the new settings under the old id", got, err)
	}
	if stored, err := w.orgs.Connection(t.Context(), a.Org, a.Connection.ID); err != nil || stored != got {
		t.Errorf("stored is %+v, %v; want %+v", stored, err, got)
	}
	for name, edit := range map[string]func(*org.Connection){
		"a dialect that is none": func(c *org.Connection) { c.Dialect = "loose" },
		"a rate below the least": func(c *org.Connection) { c.Rate = 24 },
		"a rate below zero":      func(c *org.Connection) { c.Rate = -1 },
		"a rate beyond the most": func(c *org.Connection) { c.Rate = 10_001 },
		"no name":                func(c *org.Connection) { c.Name = " " },
	} {
		if _, err := w.orgs.UpdateConnection(t.Context(), a.Org, a.Connection.ID, edit); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s gives %v, want Invalid", name, err)
		}
	}
	if _, err := w.orgs.UpdateConnection(t.Context(), a.Org, identity.MintConnection(), func(*org.Connection) {}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown connection gives %v, want NotFound", err)
	}
	if stored, err := w.orgs.Connection(t.Context(), a.Org, a.Connection.ID); err != nil || stored != got {
		t.Errorf("after refusals stored is %+v, %v; want %+v", stored, err, got)
	}
}

// heeding is a table that answers nobody who has left, as one over a network.
type heeding struct{ table.Table }

func (h heeding) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return h.Table.Commit(ctx, w...)
}

// Hanging up is no way around the rate: such requests count, and switch nothing
// off for the others.
func TestRateOfWhoHangsUp(t *testing.T) {
	w := newWorld(t)
	s := org.New(heeding{w.mem}, w.key, w.now, time.Minute)
	s.Rate = 25
	a := w.access()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	taken := 0
	for range 20 {
		for range 25 {
			if err := s.Take(gone, a, 1); err == nil {
				taken++
			} else if !fault.Is(err, fault.Throttled) {
				t.Fatalf("a request that hung up is not counted: %v", err)
			}
		}
	}
	taken += serve(t, s, a, 1000)
	if taken > 250+25 {
		t.Errorf("%d requests of one window are taken where the first hung up, want 250 and less than a chunk more", taken)
	}
}

// dropped is a table that gives up on its own.
type dropped struct {
	table.Table
	left int
}

func (d *dropped) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	if d.left > 0 {
		d.left--
		return "", context.Canceled
	}
	return d.Table.Commit(ctx, w...)
}

// What was owed when counting was cancelled is counted by the next request.
func TestRateForgetsNothingWhenCancelled(t *testing.T) {
	w := newWorld(t)
	s := org.New(&dropped{Table: w.mem, left: 100}, w.key, w.now, time.Minute)
	s.Rate = 25
	a := w.access()
	for i := range 124 {
		if err := s.Take(t.Context(), a, 1); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	// 124 are owed; one chunk and what is left of 250 follow.
	if n := serve(t, s, a, 1000); n > 250-124+25 {
		t.Errorf("after 124 requests whose count was cancelled, %d more are taken", n)
	}
}

// Two organizations may have connections of one id: neither's requests count
// for the other, nor does how they are bent.
func TestOfTwoOrganizationsWithOneIDEachIsItsOwn(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 25
	a, b := w.access(), w.access()
	b.Connection.ID = a.Connection.ID
	if n := serve(t, w.orgs, a, 1000); n >= 1000 {
		t.Fatalf("%d of 1000 requests are taken, want the rate to be reached", n)
	}
	if n := serve(t, w.orgs, b, 250); n != 250 {
		t.Errorf("when another organization has reached its rate, %d of 250 requests are taken, want all", n)
	}
	w.orgs.CountCoercions(a, maps.All(map[string]int{"upserted": 1}))
	w.orgs.CountCoercions(b, maps.All(map[string]int{"upserted": 2}))
	if err := w.orgs.WriteCoercions(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.wantCoercions(w.orgs, a, map[string]int64{"upserted": 1})
	w.wantCoercions(w.orgs, b, map[string]int64{"upserted": 2})
}
