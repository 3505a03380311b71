package pump_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/pump"
)

// consumer keeps what it got and answers by fail, if that is set.
type consumer struct {
	mu      sync.Mutex
	got     []table.Change
	at      []time.Time
	batches []int
	fail    func(table.Change) error
	then    func(table.Change)
}

func (c *consumer) Consume(_ context.Context, batch []table.Change) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, len(batch))
	var errs []error
	for i, ch := range batch {
		c.got, c.at = append(c.got, ch), append(c.at, time.Now())
		if c.fail != nil {
			if err := c.fail(ch); err != nil {
				if errs == nil {
					errs = make([]error, len(batch))
				}
				errs[i] = err
			}
		}
		if c.then != nil {
			c.then(ch)
		}
	}
	return errs
}

// told returns what was delivered as "sort:counter" words.
func (c *consumer) told() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	words := make([]string, len(c.got))
	for i, ch := range c.got {
		words[i] = fmt.Sprintf("%s:%d", ch.Key.Sort, ch.New.N)
	}
	return strings.Join(words, " ")
}

var (
	ctx   = context.Background()
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

func sub(name string) table.Subscription {
	return table.Subscription{Name: name, Wants: func(k table.Key) bool {
		return strings.HasPrefix(k.Part, "all") || strings.HasPrefix(k.Part, name)
	}}
}

func put(t *testing.T, m table.Table, part, sort string, n int64) {
	t.Helper()
	if _, err := m.Commit(ctx, table.Put(table.Key{Part: part, Sort: sort}, nil).Count(n)); err != nil {
		t.Fatalf("Commit = %v, want success", err)
	}
}

// running starts a pump in the bubble and stops it when the test is over.
func running(t *testing.T, m *memory.Table, o pump.Options, routes ...pump.Route) *pump.Pump {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	p, err := pump.New(m, m, o, routes...)
	if err != nil {
		t.Fatalf("pump.New = %v, want success", err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { p.Run(run); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return p
}

func drain(t *testing.T, p *pump.Pump) {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	if err := p.Drain(limit); err != nil {
		t.Fatalf("Drain = %v, want success", err)
	}
}

func TestDeliversAtOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := memory.New(sub("a"), sub("b")), &consumer{}
		running(t, m, pump.Options{}, pump.Route{Name: "a", To: c})
		begin := time.Now()
		for i := range 3 {
			put(t, m, "a", "x", int64(i))
			put(t, m, "b", "y", int64(i))
			synctest.Wait()
		}
		if got, want := c.told(), "x:0 x:1 x:2"; got != want {
			t.Errorf("delivered %q, want %q", got, want)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("delivery took %v of the clock, want it at once", d)
		}
		for _, ch := range c.got {
			if ch.ID == "" || ch.New.Key != ch.Key {
				t.Errorf("delivered %+v, want an ID and the item under its key", ch)
			}
		}
	})
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := memory.New(sub("a")), &consumer{}
		for i := range 250 {
			put(t, m, "a", fmt.Sprint(i), 0)
		}
		drain(t, running(t, m, pump.Options{}, pump.Route{Name: "a", To: c}))
		if fmt.Sprint(c.batches) != "[100 100 50]" {
			t.Errorf("250 waiting changes came in batches of %v, want 100, 100 and 50", c.batches)
		}
	})
}

func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := memory.New(sub("a")), &consumer{}
		p := running(t, m, pump.Options{}, pump.Route{Name: "a", To: c, Gather: 50 * time.Millisecond})
		for i := range 5 {
			put(t, m, "a", fmt.Sprint(i), 0)
			time.Sleep(20 * time.Millisecond)
		}
		drain(t, p)
		if fmt.Sprint(c.batches) != "[3 2]" {
			t.Errorf("changes 20 ms apart with Gather of 50 ms came in batches of %v, want 3 and 2", c.batches)
		}
	})
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := memory.New(sub("a")), &consumer{}
		fails := 3
		c.fail = func(ch table.Change) error {
			if ch.Key.Sort == "bad" && ch.New.N == 1 && fails > 0 {
				fails--
				return errors.New("not now")
			}
			return nil
		}
		for _, w := range []struct {
			sort string
			n    int64
		}{{"bad", 1}, {"good", 1}, {"bad", 2}} {
			put(t, m, "a", w.sort, w.n)
		}
		p := running(t, m, pump.Options{}, pump.Route{Name: "a", To: c})
		synctest.Wait()
		put(t, m, "a", "bad", 3)
		put(t, m, "a", "good", 2)
		synctest.Wait()
		if m.Passed("a") != 0 {
			t.Errorf("Passed while change 1 is failing = %d, want 0", m.Passed("a"))
		}
		if lag, err := p.Lag(ctx, "a", time.Now()); err != nil || lag.Entries != 5 || lag.Failing != 3 {
			t.Errorf("Lag while one key fails = %+v, %v, want 5 entries, 3 failing", lag, err)
		}
		begin := time.Now()
		drain(t, p)
		want := "bad:1 good:1 bad:2 good:2 bad:1 bad:2 bad:3 bad:1 bad:2 bad:3 bad:1 bad:2 bad:3"
		if got := c.told(); got != want {
			t.Errorf("delivered %q, want %q", got, want)
		}
		if d := time.Since(begin); d != 700*time.Millisecond {
			t.Errorf("three retries took %v, want 100 + 200 + 400 ms", d)
		}
		if m.Passed("a") != 5 {
			t.Errorf("Passed after Drain = %d, want 5", m.Passed("a"))
		}
		if lag, err := p.Lag(ctx, "a", time.Now()); err != nil || lag != (pump.Lag{}) {
			t.Errorf("Lag after Drain = %+v, %v, want none", lag, err)
		}
	})
}

func letters(t *testing.T, m table.Table, name string) (all []pump.DeadLetter) {
	t.Helper()
	for d, err := range pump.DeadLetters(ctx, m, name) {
		if err != nil {
			t.Fatalf("DeadLetters(%q) = %v, want success", name, err)
		}
		all = append(all, d)
	}
	return all
}

func TestDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := memory.New(sub("a")), &consumer{}
		bad := true
		c.fail = func(ch table.Change) error {
			if ch.Key.Sort == "bad" && bad && (ch.New.N == 1 || !ch.New.Exists()) {
				return errors.New("never\xff" + strings.Repeat("x", 1000))
			}
			return nil
		}
		if _, err := m.Commit(ctx, table.Put(table.Key{Part: "a", Sort: "bad"}, []byte("image")).Count(1)); err != nil {
			t.Fatal(err)
		}
		put(t, m, "a", "bad", 2)
		items, _ := m.Get(ctx, table.Key{Part: "a", Sort: "bad"})
		if _, err := m.Commit(ctx, table.Delete(items[0])); err != nil {
			t.Fatal(err)
		}
		p := running(t, m, pump.Options{Tries: 3}, pump.Route{Name: "a", To: c})
		drain(t, p)
		dead := letters(t, m, "a")
		if len(dead) != 2 {
			t.Fatalf("%d dead letters, want 2", len(dead))
		}
		d := dead[0]
		if d.Change.Key.Sort != "bad" || string(d.Change.New.Data) != "image" || d.Change.New.N != 1 || d.Change.ID != "1" ||
			d.Tries != 3 || !strings.HasPrefix(d.Reason, "never") || len(d.Reason) > 500 || !d.Whole || d.Commit != d.Change.New.Version {
			t.Errorf("dead letter = %+v, want the first change whole after 3 tries", d)
		}
		if dead[1].Change.New.Exists() || dead[1].Change.ID != "3" {
			t.Errorf("second dead letter = %+v, want the deletion", dead[1])
		}
		if err := p.Replay(ctx, d); err == nil {
			t.Errorf("Replay to a consumer that fails still succeeds, want its error")
		}
		if n := len(letters(t, m, "a")); n != 2 {
			t.Errorf("%d dead letters after a failed Replay, want 2", n)
		}
		bad = false
		if err := p.Replay(ctx, d); err != nil {
			t.Errorf("Replay = %v, want success", err)
		}
		if last := c.got[len(c.got)-1]; last.ID != "1" || string(last.New.Data) != "image" {
			t.Errorf("Replay delivered %+v, want the first change", last)
		}
		if err := pump.Discard(ctx, m, dead[1]); err != nil {
			t.Errorf("Discard = %v, want success", err)
		}
		if n := len(letters(t, m, "a")); n != 0 {
			t.Errorf("%d dead letters after Replay and Discard, want none", n)
		}
		if err := p.Replay(ctx, d); err == nil {
			t.Errorf("Replay of a letter that was replayed succeeds, want a conflict")
		}
	})
}

func TestDeadLetterOfALargeItem(t *testing.T) {
	m, c, k := memory.New(sub("a")), &consumer{}, table.Key{Part: "a", Sort: "large"}
	if _, err := m.Commit(ctx, table.Put(k, make([]byte, table.MaxItem-100))); err != nil {
		t.Fatal(err)
	}
	entries, err := m.Entries(ctx, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := pump.Bury(ctx, m, "a", entries[0], 8, errors.New("never")); err != nil {
		t.Fatalf("Bury of an item close to the limit = %v, want success", err)
	}
	put(t, m, "a", "large", 7)
	dead := letters(t, m, "a")
	if len(dead) != 1 || dead[0].Whole || dead[0].Commit != entries[0].Commit {
		t.Fatalf("dead letters = %+v, want one that is not whole", dead)
	}
	if err := pump.Replay(ctx, m, dead[0], c); err != nil || c.told() != "large:7" {
		t.Errorf("Replay = %v and delivers %q, want the item as it is stored now", err, c.told())
	}
}

func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := memory.New(sub("a")), &consumer{}
		c.fail = func(ch table.Change) error {
			if ch.Key.Sort == "3" {
				panic("a poisonous change")
			}
			return nil
		}
		for i := range 6 {
			put(t, m, "a", fmt.Sprint(i), 0)
		}
		drain(t, running(t, m, pump.Options{Tries: 3}, pump.Route{Name: "a", To: c}))
		dead := letters(t, m, "a")
		if len(dead) != 1 || dead[0].Change.Key.Sort != "3" {
			t.Errorf("%d dead letters after one change made the consumer panic, want that one alone", len(dead))
		}
	})
}

func TestWrongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, calls := memory.New(sub("a")), 0
		put(t, m, "a", "1", 0)
		put(t, m, "a", "2", 0)
		drain(t, running(t, m, pump.Options{}, pump.Route{Name: "a", To: consume(func(b []table.Change) []error {
			if calls++; calls == 1 {
				return []error{nil} // one answer to two changes: nothing can be taken for done
			}
			return nil
		})}))
		if calls != 2 {
			t.Errorf("a consumer that answered with too few errors was called %d times, want 2", calls)
		}
	})
}

type consume func([]table.Change) []error

func (f consume) Consume(_ context.Context, b []table.Change) []error { return f(b) }

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := memory.New(sub("a")), &consumer{}
		c.fail = func(ch table.Change) error {
			if ch.Key.Sort == "2" {
				return errors.New("not now")
			}
			return nil
		}
		for i := range 4 {
			put(t, m, "a", fmt.Sprint(i), 0)
		}
		p, err := pump.New(m, m, pump.Options{Logger: quiet}, pump.Route{Name: "a", To: c})
		if err != nil {
			t.Fatal(err)
		}
		run, stop := context.WithCancel(ctx)
		go p.Run(run)
		synctest.Wait()
		if err := p.Drain(done()); !errors.Is(err, context.Canceled) {
			t.Errorf("Drain with an ended context while one change fails = %v, want %v", err, context.Canceled)
		}
		stop()
		synctest.Wait()
		if m.Passed("a") != 2 {
			t.Errorf("Passed with change 3 failing = %d, want 2", m.Passed("a"))
		}
		again := &consumer{}
		drain(t, running(t, m, pump.Options{}, pump.Route{Name: "a", To: again}))
		if got := again.told(); got != "2:0 3:0" {
			t.Errorf("after a restart %q is delivered, want what was not passed: %q", got, "2:0 3:0")
		}
	})
}

func done() context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func TestEndIsNoTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory.New(sub("a"))
		put(t, m, "a", "1", 0)
		run, stop := context.WithCancel(ctx)
		c := consume(func(b []table.Change) []error { stop(); return []error{context.Canceled} })
		p, err := pump.New(m, m, pump.Options{Tries: 1, Logger: quiet}, pump.Route{Name: "a", To: c})
		if err != nil {
			t.Fatal(err)
		}
		p.Run(run)
		if n := len(letters(t, m, "a")); n != 0 || m.Passed("a") != 0 {
			t.Errorf("a change that failed since the pump ended: %d dead letters, passed %d, want 0 and 0", n, m.Passed("a"))
		}
	})
}

func TestOwnPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a, b := memory.New(sub("a"), sub("b")), &consumer{}, &consumer{}
		slow := make(chan struct{})
		b.then = func(table.Change) { <-slow }
		p := running(t, m, pump.Options{}, pump.Route{Name: "a", To: a}, pump.Route{Name: "b", To: b})
		for i := range 3 {
			put(t, m, "all", "x", int64(i))
		}
		synctest.Wait()
		if a.told() != "x:0 x:1 x:2" || m.Passed("a") != 3 || m.Passed("b") != 0 {
			t.Errorf("beside a slow consumer the other got %q and passed %d, the slow one %d; want all, 3 and 0", a.told(), m.Passed("a"), m.Passed("b"))
		}
		if left, _ := m.Entries(ctx, 0, 10); len(left) != 3 {
			t.Errorf("%d entries are left while one consumer has passed none, want 3", len(left))
		}
		close(slow)
		drain(t, p)
		if left, _ := m.Entries(ctx, 0, 10); len(left) != 0 {
			t.Errorf("%d entries are left when all have passed them, want none", len(left))
		}
	})
}

func TestDrainFollowsWhatConsumersCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a, b := memory.New(sub("a"), sub("b")), &consumer{}, &consumer{}
		a.then = func(ch table.Change) {
			if ch.New.N < 5 {
				put(t, m, "b", "y", ch.New.N)
			}
		}
		b.then = func(ch table.Change) { put(t, m, "a", "x", ch.New.N+1) }
		p := running(t, m, pump.Options{}, pump.Route{Name: "a", To: a}, pump.Route{Name: "b", To: b})
		put(t, m, "a", "x", 0)
		drain(t, p)
		if got, want := a.told(), "x:0 x:1 x:2 x:3 x:4 x:5"; got != want {
			t.Errorf("Drain returned when %q was delivered, want %q", got, want)
		}
	})
}

func TestNewRefusesRoutesWithoutSubscription(t *testing.T) {
	m := memory.New(sub("a"))
	a, b := pump.Route{Name: "a", To: &consumer{}}, pump.Route{Name: "b", To: &consumer{}}
	if _, err := pump.New(m, m, pump.Options{}, b); err == nil {
		t.Errorf("New with a route for %q that nobody subscribed = success, want an error", "b")
	}
	if _, err := pump.New(m, m, pump.Options{}, a, a); err == nil {
		t.Errorf("New with two routes for %q = success, want an error", "a")
	}
}

// full refuses commits of dead letters while it is set.
type full struct {
	table.Table
	set bool
}

func (f *full) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	if f.set {
		return "", table.ErrFull
	}
	return f.Table.Commit(ctx, w...)
}

func TestNoLetterNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory.New(sub("a"))
		f, c := &full{Table: m, set: true}, &consumer{fail: func(table.Change) error { return errors.New("never") }}
		put(t, m, "a", "1", 0)
		p, err := pump.New(f, m, pump.Options{Tries: 2, Logger: quiet}, pump.Route{Name: "a", To: c})
		if err != nil {
			t.Fatal(err)
		}
		run, stop := context.WithCancel(ctx)
		defer stop()
		go p.Run(run)
		time.Sleep(time.Minute)
		if m.Passed("a") != 0 {
			t.Errorf("a change whose dead letter cannot be written is passed, want it held")
		}
		f.set = false
		drain(t, p)
		if n := len(letters(t, m, "a")); n != 1 {
			t.Errorf("%d dead letters when there is room again, want 1", n)
		}
	})
}
