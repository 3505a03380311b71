package due_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

type world struct {
	t  *testing.T
	mu sync.Mutex
	at time.Time
	*memory.Table
	due.Sweeper
	log  bytes.Buffer
	seen map[string]int
	fail func(due.Ref) error
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, at: time.Date(2026, 11, 22, 11, 0, 30, 0, time.UTC), Table: memory.New(), seen: map[string]int{}}
	w.Sweeper = due.Sweeper{Table: w.Table, Now: w.now, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Handlers: map[string]func(context.Context, due.Ref) error{"mail": w.handle}}
	// A table that was swept before: the first look back of a day costs time.
	if _, err := w.Commit(t.Context(), table.Put(table.Key{Part: "DUE", Sort: "#cursor"}, []byte("202611221050"))); err != nil {
		t.Fatalf("set the cursor: %v", err)
	}
	return w
}

func (w *world) handle(_ context.Context, r due.Ref) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[r.ID]++
	if w.fail != nil {
		return w.fail(r)
	}
	return nil
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func (w *world) put(in time.Duration, ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		if _, err := w.Commit(w.t.Context(), due.At(w.now().Add(in), due.Ref{Kind: "mail", Org: "0123456789ab", ID: id})); err != nil {
			w.t.Fatalf("At: %v", err)
		}
	}
}

// sweep sweeps and asserts what was handled so far, in all: "id*times ...".
func (w *world) sweep(want string) due.Report {
	w.t.Helper()
	r, err := w.Sweep(w.t.Context())
	if err != nil {
		w.t.Fatalf("Sweep: %v", err)
	}
	var got []string
	for _, id := range strings.Fields("a b c d e f") {
		if n := w.seen[id]; n > 0 {
			got = append(got, fmt.Sprintf("%s*%d", id, n))
		}
	}
	if g := strings.Join(got, " "); g != want {
		w.t.Errorf("at %s, handled so far: %q, want %q", w.now().Format("15:04:05"), g, want)
	}
	return r
}

func TestSweep(t *testing.T) {
	w := newWorld(t)
	w.put(0, "a")
	w.put(10*time.Second, "b")
	w.put(time.Minute, "c")
	w.put(25*time.Hour, "d")
	w.put(0, "a") // again: nothing changes
	w.sweep("a*1")
	w.sweep("a*1")
	w.pass(9 * time.Second)
	w.sweep("a*1")
	w.pass(time.Second)
	w.sweep("a*1 b*1")
	w.pass(50 * time.Second)
	if r := w.sweep("a*1 b*1 c*1"); r != (due.Report{Done: 1}) {
		t.Errorf("Sweep reports %+v, want one done", r)
	}
	w.pass(25 * time.Hour) // nobody swept for a day
	w.sweep("a*1 b*1 c*1 d*1")
	w.sweep("a*1 b*1 c*1 d*1")
}

// TestLateCommits: what is written into a minute after that minute was swept is
// found while the lag lasts.
func TestLateCommits(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		w.pass(time.Minute)
		w.sweep("")
	}
	w.put(-due.Lag+time.Second, "a")
	w.put(-time.Minute, "b")
	w.sweep("a*1 b*1")
}

// TestClockThatWentBack: a sweep by a clock a day ahead must not hide what is
// due by the right one.
func TestClockThatWentBack(t *testing.T) {
	w := newWorld(t)
	w.pass(24 * time.Hour)
	w.sweep("")
	w.pass(-24 * time.Hour)
	w.put(0, "a")
	w.put(2*time.Minute, "b")
	w.sweep("a*1")
	w.pass(2 * time.Minute)
	w.sweep("a*1 b*1")
}

func TestFirstSweepLooksBack(t *testing.T) {
	w := newWorld(t)
	w.Table = memory.New()
	w.Sweeper.Table = w.Table
	w.put(-55*time.Minute, "a")
	w.sweep("a*1")
}

// The first sweep may come long after the table was made: whatever became due
// since is found, and a sweep that was cut off goes on where it was.
func TestFirstSweepLooksBackToTheBeginning(t *testing.T) {
	for _, cut := range []bool{false, true} {
		w := newWorld(t)
		w.Table = memory.New()
		counted := &counting{Table: w.Table}
		w.Sweeper.Table = counted
		made := w.now().Add(-26 * time.Hour)
		w.Sweeper.Since = func(context.Context) (time.Time, error) { return made, nil }
		w.put(-26*time.Hour, "a")
		w.put(-time.Hour, "b")
		if cut {
			ctx, cancel := context.WithCancel(t.Context())
			counted.at, counted.then = 10*60*due.Shards, cancel
			if _, err := w.Sweeper.Sweep(ctx); err == nil {
				t.Error("a sweep that was cut off reports success")
			}
			counted.queries = 0
		}
		w.sweep("a*1 b*1")
		if whole := 26 * 60 * due.Shards; cut && counted.queries > whole*3/4 {
			t.Errorf("after a cut the sweep looked %d times, want it to go on where it was", counted.queries)
		}
	}
	w := newWorld(t)
	w.Table = memory.New()
	counted := &counting{Table: w.Table}
	w.Sweeper.Table = counted
	w.Sweeper.Since = func(context.Context) (time.Time, error) { return w.now(), nil }
	w.sweep("")
	if limit := 12 * due.Shards; counted.queries > limit {
		t.Errorf("the first sweep of a new table looked %d times, want %d at most", counted.queries, limit)
	}
}

// counting counts queries, and does something at one of them.
type counting struct {
	table.Table
	queries int
	at      int // 0: never
	then    func()
}

func (c *counting) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if c.queries++; c.queries == c.at {
		c.then()
	}
	return c.Table.Query(ctx, part, r)
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	w.fail = func(due.Ref) error { return errors.New("not now") }
	w.put(0, "a")
	if r := w.sweep("a*1"); r != (due.Report{Failed: 1}) {
		t.Errorf("Sweep reports %+v, want one failed", r)
	}
	w.sweep("a*1")
	w.pass(time.Minute)
	w.sweep("a*2")
	w.pass(time.Minute)
	w.sweep("a*2")
	w.pass(time.Minute)
	w.sweep("a*3")
	w.fail = nil
	w.pass(4 * time.Minute)
	if r := w.sweep("a*4"); r != (due.Report{Done: 1}) {
		t.Errorf("Sweep reports %+v, want one done", r)
	}
	w.pass(24 * time.Hour)
	w.sweep("a*4")
}

func TestDeadLetter(t *testing.T) {
	w := newWorld(t)
	w.fail = func(due.Ref) error { return errors.New("never") }
	w.put(0, "a")
	dead := 0
	for range 8 * 60 {
		r, err := w.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dead += r.Dead
		w.pass(time.Minute)
	}
	if w.seen["a"] != due.MaxTries || dead != 1 {
		t.Errorf("handled %d times and given up %d times, want %d and 1", w.seen["a"], dead, due.MaxTries)
	}
	letters, err := w.Dead(t.Context(), 0)
	if err != nil || len(letters) != 1 || letters[0].Ref.ID != "a" || letters[0].Tries != due.MaxTries {
		t.Fatalf("Dead = %+v, %v", letters, err)
	}
	w.fail = nil
	if err := w.Replay(t.Context(), letters[0]); err != nil {
		t.Fatalf("Replay: %v", err)
	}
	w.sweep("a*11")
	if err := w.Replay(t.Context(), letters[0]); !fault.Is(err, fault.NotFound) {
		t.Errorf("a second Replay = %v, want not found", err)
	}
	if letters, _ = w.Dead(t.Context(), 0); len(letters) != 0 {
		t.Errorf("Dead after Replay = %+v", letters)
	}
}

func TestPanicAndUnknownKind(t *testing.T) {
	w := newWorld(t)
	w.fail = func(due.Ref) error { panic("canary") }
	w.put(0, "a")
	if _, err := w.Commit(t.Context(), due.At(w.now(), due.Ref{Kind: "unknown", ID: "x"})); err != nil {
		t.Fatal(err)
	}
	if r := w.sweep("a*1"); r.Failed != 2 {
		t.Errorf("Sweep reports %+v, want two failed", r)
	}
	if s := w.log.String(); strings.Contains(s, "canary") || !strings.Contains(s, "panicked") {
		t.Errorf("the log is %s", s)
	}
}

// TestWrittenAgain: a reference that its handler writes again in the same
// minute stays due.
func TestWrittenAgain(t *testing.T) {
	w := newWorld(t)
	w.fail = func(r due.Ref) error {
		if w.seen["a"] > 1 {
			return nil
		}
		_, err := w.Commit(context.Background(), due.At(w.at.Add(5*time.Second), r))
		return err
	}
	w.put(0, "a")
	w.sweep("a*1")
	w.pass(5 * time.Second)
	w.sweep("a*2")
	w.pass(time.Hour)
	w.sweep("a*2")
}

// TestLeftBehind: the cursor does not pass an old minute while something is
// left in it.
func TestLeftBehind(t *testing.T) {
	w := newWorld(t)
	was := w.now()
	w.put(0, "a")
	w.fail = func(r due.Ref) error {
		if w.seen["a"] > 1 {
			return nil
		}
		_, err := w.Commit(context.Background(), due.At(was, r))
		return err
	}
	w.pass(time.Hour)
	w.sweep("a*1")
	w.pass(time.Hour)
	w.sweep("a*2")
}

func TestDamagedReference(t *testing.T) {
	w := newWorld(t)
	for shard := range due.Shards {
		k := table.Key{Part: fmt.Sprintf("DUE#202611221100#%d", shard), Sort: "mail##x"}
		if _, err := w.Commit(t.Context(), table.Put(k, []byte("{"))); err != nil {
			t.Fatal(err)
		}
	}
	w.put(0, "a")
	w.sweep("a*1")
	w.pass(time.Hour)
	w.put(0, "b")
	w.sweep("a*1 b*1")
	if n := strings.Count(w.log.String(), "damaged"); n < due.Shards {
		t.Errorf("the log tells of %d damaged references, want %d", n, due.Shards)
	}
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 2000 {
		w.put(0, fmt.Sprintf("n%d", i))
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := w.Sweep(context.Background()); err != nil {
				t.Errorf("Sweep: %v", err)
			}
		})
	}
	all.Wait()
	for i := range 2000 {
		if n := w.seen[fmt.Sprintf("n%d", i)]; n < 1 || n > 4 {
			t.Fatalf("reference %d was handled %d times by four sweeps at once", i, n)
		}
	}
	before := len(w.seen)
	w.sweep("")
	for id, n := range w.seen {
		if n > 4 {
			t.Errorf("%s was handled %d times", id, n)
		}
	}
	if len(w.seen) != before {
		t.Error("a later sweep found more")
	}
}

var errDown = errors.New("down")

// flaky is a table that fails now and then, before a commit or after it.
type flaky struct {
	table.Table
	mu sync.Mutex
	r  *rand.Rand
	on bool
}

func (f *flaky) roll(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.on && f.r.IntN(n) == 0
}

func (f *flaky) Get(ctx context.Context, k ...table.Key) ([]table.Item, error) {
	if f.roll(30) {
		return nil, errDown
	}
	return f.Table.Get(ctx, k...)
}

func (f *flaky) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if f.roll(60) {
		return func(yield func(table.Item, error) bool) { yield(table.Item{}, errDown) }
	}
	return f.Table.Query(ctx, part, r)
}

func (f *flaky) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	if f.roll(6) {
		return "", errDown
	}
	v, err := f.Table.Commit(ctx, w...)
	if f.roll(6) {
		return "", errDown
	}
	return v, err
}

// TestNothingIsLost lets chance decide when references are written, how far the
// writers' clocks are off, which sweeps fail, and when.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(60) {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(seed, 1))
		f := &flaky{Table: w.Table, r: rand.New(rand.NewPCG(seed, 2)), on: true}
		w.Sweeper.Table = f
		w.fail = func(due.Ref) error {
			if w.at.Hour() == 11 && r.IntN(5) == 0 {
				return errors.New("now and then")
			}
			return nil
		}
		written := map[string]time.Time{}
		for i := range 150 {
			id := fmt.Sprintf("n%d", i)
			in := time.Duration(r.IntN(int(20*time.Minute))) - (due.Lag - 10*time.Second)
			w.put(in, id)
			written[id] = w.now().Add(in)
			w.pass(time.Duration(r.IntN(40)) * time.Second)
			if r.IntN(3) == 0 {
				w.Sweep(t.Context()) // may fail
			}
			for id, n := range w.seen {
				if n > 0 && written[id].After(w.now()) {
					t.Fatalf("seed %d: %s was handled before its time", seed, id)
				}
			}
		}
		f.on = false
		for range 6 * 60 {
			w.pass(time.Minute)
			if _, err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for id := range written {
			if w.seen[id] == 0 {
				t.Errorf("seed %d: %s was never handled", seed, id)
			}
		}
		if dead, _ := w.Dead(t.Context(), 0); len(dead) > 0 {
			t.Errorf("seed %d: %d were given up", seed, len(dead))
		}
	}
}

func TestCancelledSweep(t *testing.T) {
	w := newWorld(t)
	w.put(0, "a")
	ctx, cancel := context.WithCancel(t.Context())
	w.fail = func(due.Ref) error { cancel(); return ctx.Err() }
	if _, err := w.Sweep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep that was called off = %v", err)
	}
	w.fail = nil
	if r := w.sweep("a*2"); r.Done != 1 {
		t.Errorf("the sweep after reports %+v, want one done", r)
	}
}
