package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/aws/dynamo"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/fault"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
)

// pair is a table seen twice: through a proxy, and as it is.
type pair struct {
	*testing.T
	proxy  *fake.Proxy
	faulty *dynamo.Table
	whole  *dynamo.Table
	name   string
}

func through(t *testing.T, o dynamo.Options) *pair {
	server := fake.Shared(t)
	name := made(t, server)
	proxy, err := fake.NewProxy(server.Endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	if o.Log == nil {
		o.Log = quiet
	}
	return &pair{T: t, proxy: proxy, name: name,
		faulty: dynamo.New(client(proxy.Endpoint), name, o), whole: dynamo.New(client(server.Endpoint), name, o)}
}

// plan lets the faults befall the calls one after another, and none the rest.
// Before a call that stands in meanwhile, that is done.
func (p *pair) plan(meanwhile map[int]func(), faults ...fake.Fault) {
	n := 0
	p.proxy.Set(func(fake.Call) fake.Fault {
		n++
		if f := meanwhile[n]; f != nil {
			f()
		}
		if n <= len(faults) {
			return faults[n-1]
		}
		return fake.None
	})
}

func (p *pair) must(writes ...table.Write) table.Version {
	p.Helper()
	v, err := p.whole.Commit(ctx, writes...)
	if err != nil {
		p.Fatalf("Commit without faults = %v, want success", err)
	}
	return v
}

func (p *pair) item(k table.Key) table.Item {
	p.Helper()
	items, err := p.whole.Get(ctx, k)
	if err != nil {
		p.Fatalf("Get(%v) without faults = %v, want success", k, err)
	}
	return append(items, table.Item{})[0]
}

// TestRepeats holds what a commit answers when tries are lost or refused: the
// item is written once, and the version is the one that is stored.
func TestRepeats(t *testing.T) {
	short.Skip(t, "takes a quarter of a minute")
	t.Parallel()
	p := through(t, dynamo.Options{})
	for i, faults := range [][]fake.Fault{
		{fake.LostAnswer}, {fake.Torn}, {fake.Empty}, {fake.Corrupt}, {fake.ServerErrorDone}, {fake.LostAnswer, fake.LostRequest, fake.Throttling},
		{fake.Throughput, fake.RequestLimit, fake.Throttling}, {fake.Conflict, fake.Conflict}, {fake.InProgress, fake.InProgress}, {fake.Late},
	} {
		for _, lone := range []bool{true, false} {
			for _, op := range []string{"create", "replace", "put", "add", "delete"} {
				k, beside := key("repeats", fmt.Sprint(op, i, lone)), key("beside", fmt.Sprint(op, i, lone))
				write := table.Put(k, []byte("new"))
				switch op {
				case "create":
					write = table.Create(k, []byte("new"))
				case "replace":
					p.must(table.Create(k, nil))
					write = table.Replace(p.item(k), []byte("new"))
				case "add":
					write = table.Add(k, 3, 0, 5)
				case "delete":
					p.must(table.Create(k, nil))
					write = table.Delete(p.item(k))
				}
				writes := []table.Write{write}
				if !lone {
					writes = append(writes, table.Create(beside, nil))
				}
				p.plan(nil, faults...)
				v, err := p.faulty.Commit(ctx, writes...)
				if err != nil {
					t.Errorf("%s (alone: %t) under %q = %v, want success", op, lone, faults, err)
					continue
				}
				got := p.item(k)
				if op == "delete" {
					if got.Exists() {
						t.Errorf("after a delete under %q the item is there", faults)
					}
					continue
				}
				if got.Version != v || op == "add" && got.N != 3 {
					t.Errorf("after %s (alone: %t) under %q version %q and counter %d are stored, want %q, and 3 of an add", op, lone, faults, got.Version, got.N, v)
				}
			}
		}
	}
}

// TestLostRequests holds that what never arrived is sent again, but for a lone
// Create: nothing tells that it had not been there.
func TestLostRequests(t *testing.T) {
	t.Parallel()
	p := through(t, dynamo.Options{})
	p.must(table.Create(key("lost", "2"), nil))
	for _, c := range []struct {
		name    string
		unknown bool
		writes  []table.Write
	}{
		{"a put", false, []table.Write{table.Put(key("lost", "1"), nil)}},
		{"a replace", false, []table.Write{table.Replace(p.item(key("lost", "2")), nil)}},
		{"an add", false, []table.Write{table.Add(key("lost", "3"), 1, 0, 1)}},
		{"two creates", false, []table.Write{table.Create(key("lost", "4"), nil), table.Create(key("lost", "5"), nil)}},
		{"a create", true, []table.Write{table.Create(key("lost", "6"), nil)}},
	} {
		p.plan(nil, fake.LostRequest)
		_, err := p.faulty.Commit(ctx, c.writes...)
		if (err != nil) != c.unknown || table.Conflicts(err) || fault.Is(err, fault.Unavailable) {
			t.Errorf("%s whose request was lost = %v, want unknown outcome %t", c.name, err, c.unknown)
		}
	}
}

// TestOthersMeanwhile holds that a lost answer, with another commit before the
// try that follows, gives neither a false conflict nor a false success.
func TestOthersMeanwhile(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := through(t, dynamo.Options{Now: func() time.Time { return now }})
	change := func(k table.Key) func() {
		return func() { p.must(table.Replace(p.item(k), []byte("another's"))) }
	}
	remove := func(k table.Key) func() { return func() { p.must(table.Delete(p.item(k))) } }
	made := func(sort string) table.Item {
		k := key("others", sort)
		p.must(table.Create(k, nil))
		return p.item(k)
	}
	one, two := key("others", "1"), key("others", "2")
	three, four := made("3"), made("4")
	five := key("others", "5")
	for _, c := range []struct {
		name  string
		other func()
		write table.Write
		want  string // the data in the end, "-" for nothing
	}{
		{"a create that was changed", change(one), table.Create(one, []byte("mine")), "another's"},
		{"a create that was deleted", remove(two), table.Create(two, []byte("mine")), "-"},
		{"a replace that was changed", change(three.Key), table.Replace(three, []byte("mine")), "another's"},
		{"a replace that was deleted", remove(four.Key), table.Replace(four, []byte("mine")), "-"},
		{"a put that was changed", change(five), table.Put(five, []byte("mine")), "another's"},
	} {
		p.plan(map[int]func(){2: c.other}, fake.LostAnswer)
		_, err := p.faulty.Commit(ctx, c.write)
		if err == nil || table.Conflicts(err) || !strings.Contains(err.Error(), "outcome unknown") {
			t.Errorf("%s after its answer was lost = %v, want an unknown outcome", c.name, err)
		}
		got := "-"
		if item := p.item(c.write.Key); item.Exists() {
			got = string(item.Data)
		}
		if got != c.want {
			t.Errorf("%s after its answer was lost leaves %q, want %q", c.name, got, c.want)
		}
	}

	// In a transaction the token tells, whatever others did since.
	six, beside := key("others", "6"), key("others", "7")
	for _, other := range []func(){change(six), remove(six)} {
		p.plan(map[int]func(){2: other}, fake.LostAnswer)
		if v, err := p.faulty.Commit(ctx, table.Put(six, nil), table.Add(beside, 1, 0, 9)); err != nil || v == "" {
			t.Errorf("a transaction that was followed by another commit after its answer was lost = %v, want success", err)
		}
	}
	if n := p.item(beside).N; n != 2 {
		t.Errorf("two transactions whose answers were lost added %d, want 2", n)
	}

	lone := key("others", "8")
	p.plan(map[int]func(){2: change(lone)}, fake.LostAnswer)
	if _, err := p.faulty.Commit(ctx, table.Add(lone, 1, 0, 9)); err != nil || p.item(lone).N != 1 || string(p.item(lone).Data) != "another's" {
		t.Errorf("an add that was followed by another commit after its answer was lost = %v and counts %d, want success and 1", err, p.item(lone).N)
	}

	// What is stored for ten minutes cannot lie above what was just sent.
	old := key("others", "old")
	p.must(table.Create(old, nil))
	now = now.Add(11 * time.Minute)
	p.plan(nil, fake.LostRequest)
	if _, err := p.faulty.Commit(ctx, table.Create(old, nil)); !table.Conflicts(err, old) {
		t.Errorf("a create of an old item after its request was lost = %v, want a conflict", err)
	}
}

// TestClockBehind holds that a commit by a clock that is behind follows what is
// stored all the same.
func TestClockBehind(t *testing.T) {
	now := time.Now()
	p := through(t, dynamo.Options{Now: func() time.Time { now = now.Add(-time.Second); return now }})
	k, other := key("clock", "1"), key("clock", "2")
	last := p.must(table.Create(k, nil))
	for _, writes := range [][]table.Write{
		{table.Put(k, nil)},
		{table.Add(k, 1, 0, 9)},
		{table.Put(k, nil), table.Add(other, 1, 0, 9)},
		{table.Add(k, 1, 0, 9), table.Put(other, nil)},
	} {
		v := p.must(writes...)
		if v <= last {
			t.Errorf("version by a clock that runs backwards = %q, want one after %q", v, last)
		}
		last = v
	}
	if _, err := p.whole.Commit(ctx, table.Add(k, 9, 0, 9)); !table.Conflicts(err, k) {
		t.Errorf("an Add beyond its bounds by a clock that is behind = %v, want a conflict", err)
	}
	p.must(table.Replace(p.item(k), nil))
	if item := p.item(k); item.Version <= last {
		t.Errorf("version of a Replace by a clock that is behind = %q, want one after %q", item.Version, last)
	}
}

// TestBusy holds that what stays busy ends in the caller's time, changed
// nothing, and says so.
func TestBusy(t *testing.T) {
	a, b := key("busy", "1"), key("busy", "2")
	for _, f := range []fake.Fault{fake.Conflict, fake.CancelThrottled, fake.Throughput, fake.RequestLimit, fake.Throttling} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			p := through(t, dynamo.Options{})
			p.proxy.Set(func(fake.Call) fake.Fault { return f })
			limited, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := p.faulty.Commit(limited, table.Create(a, nil), table.Create(b, nil))
			if !fault.Is(err, fault.Unavailable) || limited.Err() != nil {
				t.Errorf("a commit that always meets %q = %v, want Unavailable before the 2 s are over", f, err)
			}
			if p.item(a).Exists() {
				t.Errorf("a commit that always meets %q is stored, want nothing changed", f)
			}
		})
	}
	t.Run("reads", func(t *testing.T) {
		t.Parallel()
		p := through(t, dynamo.Options{})
		p.proxy.Set(func(fake.Call) fake.Fault { return fake.Throttling })
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if _, err := p.faulty.Get(limited, a); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a Get that is always throttled = %v, want Unavailable", err)
		}
	})
	t.Run("answers lost", func(t *testing.T) {
		t.Parallel()
		p := through(t, dynamo.Options{})
		p.proxy.Set(func(fake.Call) fake.Fault { return fake.ServerErrorDone })
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if _, err := p.faulty.Commit(limited, table.Put(a, nil), table.Put(b, nil)); err == nil || fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("a commit whose answers are all lost = %v, want an unknown outcome", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		p := through(t, dynamo.Options{})
		p.proxy.Set(func(fake.Call) fake.Fault { return fake.Throttling })
		short, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := p.faulty.Commit(short, table.Create(a, nil))
		if took := time.Since(begin); err == nil || took > time.Second {
			t.Errorf("a commit with 150 ms = %v after %v, want an error in time", err, took)
		}
		p.proxy.Set(func(fake.Call) fake.Fault { return fake.Late })
		p.proxy.Pause = 2 * time.Second
		late, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := p.faulty.Commit(late, table.Put(a, nil)); err != context.DeadlineExceeded && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a commit whose answer comes after its deadline = %v, want the context's error", err)
		}
	})
}

// TestUnreachable holds that a server that is not there is no unknown outcome.
func TestUnreachable(t *testing.T) {
	nobody := dynamo.New(client("http://127.0.0.1:1"), "table", dynamo.Options{Log: quiet})
	limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := nobody.Commit(limited, table.Put(key("a", "1"), nil)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a commit to nobody = %v, want Unavailable", err)
	}
}

// TestErrorsTellNoContent holds that what DynamoDB quotes in its answers stays
// out of errors.
func TestErrorsTellNoContent(t *testing.T) {
	p := through(t, dynamo.Options{})
	missing := dynamo.New(client(p.proxy.Endpoint), "no-such-table", dynamo.Options{Log: quiet})
	_, err := missing.Commit(ctx, table.Put(key("a", "1"), []byte("canary")))
	if err == nil || fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("a commit to a table that is not there = %v, want an error that names the reason", err)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("an error tells content: %v", err)
	}
}

// TestNamesCount holds that the names of those who want an item count in its
// size, since DynamoDB counts them.
func TestNamesCount(t *testing.T) {
	p := through(t, dynamo.Options{Subscriptions: []table.Subscription{prefixed("welcome")}})
	for _, part := range []string{"welcome#1", "another#1"} {
		k := key(part, "1")
		frame := table.Item{Key: k, Version: "vvvvvvvvvvvvvvvvvvvv", Data: []byte("x")}.Size() - 1
		_, err := p.whole.Commit(ctx, table.Create(k, make([]byte, table.MaxItem-frame)))
		if wanted := part == "welcome#1"; errors.Is(err, table.ErrRefused) != wanted {
			t.Errorf("Commit of the largest item in %q = %v, want it refused: %t", part, err, wanted)
		}
	}
	large := key("another#1", "2")
	frame := table.Item{Key: large, Version: "vvvvvvvvvvvvvvvvvvvv", Data: []byte("x")}.Size() - 1
	p.must(table.Create(large, make([]byte, table.MaxItem-frame)))
	if _, err := p.whole.Commit(ctx, table.Add(large, 1, 0, 9)); !errors.Is(err, table.ErrRefused) {
		t.Errorf("Add that makes the largest item larger = %v, want ErrRefused", err)
	}
}

// TestManyLargeItems holds that Get asks again for what did not fit in an
// answer: 45 items of 390 KB are more than its 16 MB.
func TestManyLargeItems(t *testing.T) {
	short.Skip(t, "writes 17 MB through DynamoDB Local")
	t.Parallel()
	p := through(t, dynamo.Options{})
	data := make([]byte, 390<<10)
	var keys []table.Key
	for i := range 45 {
		k := key("large", fmt.Sprintf("%02d", 44-i))
		keys = append(keys, k)
		p.must(table.Put(k, data))
	}
	p.plan(nil, fake.Unprocessed, fake.None, fake.Unprocessed)
	items, err := p.faulty.Get(ctx, append(keys, key("large", "none"))...)
	if err != nil || len(items) != len(keys) {
		t.Fatalf("Get of %d large items = %d items, %v, want all", len(keys), len(items), err)
	}
	for i, item := range items {
		if item.Key != keys[i] || len(item.Data) != len(data) {
			t.Errorf("Get of large items returns %v with %d bytes in place %d, want %v whole", item.Key, len(item.Data), i, keys[i])
		}
	}
}
