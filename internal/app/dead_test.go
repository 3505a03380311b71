package app_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gatehouse/internal/app"
	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"
)

// watched is a table that does something before each commit.
type watched struct {
	table.Table
	before func()
}

func (w *watched) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	w.before()
	return w.Table.Commit(ctx, writes...)
}

// bury makes n dead letters of feed, from a place in its order, that replay
// without doing anything.
func bury(t *testing.T, tab table.Table, from, n int) {
	t.Helper()
	for i := range n {
		e := table.Entry{Change: table.Change{ID: fmt.Sprint(from + i), Key: table.Key{Part: "O#none", Sort: "#"}}}
		if err := pump.BuryUnread(t.Context(), tab, app.FeedName, e, 8, errors.New("lost")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeadBeyondAPage: replaying reaches what stands behind letters that fail
// again, however many those are, and a list of as many as were asked for.
func TestDeadBeyondAPage(t *testing.T) {
	w := newWorld(t, nil)
	op := &app.Operator{App: w.app}
	const fail, after = 1500, 30
	// Letters that are damaged fail for ever.
	for from := 0; from < fail; from += 100 {
		var writes []table.Write
		for i := from; i < from+100; i++ {
			writes = append(writes, table.Put(table.Key{Part: "DEAD#feed", Sort: fmt.Sprintf("%040d!", i)}, []byte("?")))
		}
		if _, err := w.mem.Commit(t.Context(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	bury(t, w.mem, 5000, after)
	// And one of due work.
	if _, err := w.mem.Commit(t.Context(), table.Put(table.Key{Part: "DUE#dead", Sort: "?"}, []byte("?"))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ limit, want int }{{0, app.DeadLimit}, {1, 1}, {1520, 1520}, {9999, fail + after + 1}} {
		list, err := do(t, op, "dead list", app.DeadList{Limit: c.limit})
		if err != nil {
			t.Fatalf("dead list of %d: %v", c.limit, err)
		}
		if n := len(list["list"].([]any)); n != c.want {
			t.Errorf("dead list of %d has %d entries, want %d", c.limit, n, c.want)
		}
	}
	if _, err := do(t, op, "dead list", app.DeadList{Limit: -1}); err == nil {
		t.Error("dead list of -1 is an answer, want it refused")
	}
	ans, err := do(t, op, "dead replay", nil)
	if err != nil || ans["done"] != float64(after) || ans["failed"] != float64(fail+1) || ans["stopped"] != nil {
		t.Errorf("dead replay = %v, %v; want %d done behind %d that fail", ans, err, after, fail)
	}
	ans, err = do(t, op, "dead replay", nil)
	if err != nil || ans["done"] != 0.0 || ans["failed"] != float64(fail+1) {
		t.Errorf("dead replay again = %v, %v; want none done", ans, err)
	}
}

// TestDeadReplayStops: who stops a replay learns how far it was.
func TestDeadReplayStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	commits := 0
	w := newWorld(t, func(m table.Table) table.Table {
		return &watched{m, func() {
			if commits++; commits == 201 {
				stop()
			}
		}}
	})
	op := &app.Operator{App: w.app}
	bury(t, w.mem, 1, 300)
	ans, err := op.Do(ctx, "dead replay", nil)
	if r, ok := ans.(app.Replayed); err != nil || !ok || r != (app.Replayed{Done: 200, Stopped: true}) {
		t.Errorf("a replay that was stopped = %+v, %v; want 200 done", ans, err)
	}
	if ans, err := op.Do(ctx, "dead replay", nil); err == nil {
		t.Errorf("a replay that was stopped before it began = %+v, want its error", ans)
	}
	if ans, err := do(t, op, "dead replay", nil); err != nil || ans["done"] != 100.0 {
		t.Errorf("a replay after one that was stopped = %v, %v; want the other 100 done", ans, err)
	}
}

// TestFinished: what tells that an event is in the log already.
func TestFinished(t *testing.T) {
	w := newWorld(t, nil)
	event := audit.Key(w.org, "subject", identity.Event("e"))
	item := func(n int64) table.Item { return table.Item{Key: event, Version: "v", N: n} }
	message := table.Key{Part: w.org.Part("MSG", "u"), Sort: "welcome#0001"}
	for _, c := range []struct {
		name     string
		consumer string
		change   table.Change
		now      table.Item
		want     bool
	}{
		{"an event that waits", app.FeedName, table.Change{Key: event, New: item(0)}, item(0), false},
		{"an event that has its number", app.FeedName, table.Change{Key: event, New: item(0)}, item(7), true},
		{"the feed's own change", app.FeedName, table.Change{Key: event, New: item(7)}, item(7), true},
		{"an event that is gone", app.FeedName, table.Change{Key: event, New: item(0)}, table.Item{}, false},
		{"a message with a counter", app.WelcomeName, table.Change{Key: message, New: table.Item{Key: message, N: 7}}, table.Item{Key: message, N: 7}, false},
		{"another's", app.WelcomeName, table.Change{Key: event, New: item(7)}, item(7), false},
	} {
		if got := app.Finished(c.consumer, c.change, c.now); got != c.want {
			t.Errorf("Finished(%q) of %s = %v, want %v", c.consumer, c.name, got, c.want)
		}
	}
}
