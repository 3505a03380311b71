package dynamo_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/aws/dynamo"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
)

// chaos is one goroutine's share of the random operations. Its keys are its
// own, so that a model tells every answer; the counter and the marks are
// everybody's.
type chaos struct {
	id    int
	rng   *rand.Rand
	table table.Table
	model map[table.Key]table.Item
	past  []table.Item // as they were read at some time

	unknown, conflicts, added int
	errs                      []error
}

func (c *chaos) failf(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("goroutine %d: %s", c.id, fmt.Sprintf(format, args...)))
}

var chaosSorts = []string{"a", "ab", "b", "c", "d"}

func (c *chaos) part() string { return fmt.Sprintf("own %d", c.id) }

func (c *chaos) step(n int) {
	switch c.rng.IntN(10) {
	case 0, 1:
		c.get()
	case 2:
		c.query()
	case 3:
		c.add(n)
	default:
		c.commit()
	}
}

// write draws a write of the key: mostly of what is stored, sometimes of what
// was stored once.
func (c *chaos) write(k table.Key) table.Write {
	old := c.model[k]
	if c.rng.IntN(4) == 0 {
		for _, item := range c.past {
			if item.Key == k {
				old = item
				break
			}
		}
	}
	data, n := bytes.Repeat([]byte{byte(c.rng.IntN(256))}, c.rng.IntN(50)), int64(c.rng.IntN(7)-3)
	writes := []table.Write{table.Create(k, data).Count(n), table.Put(k, data), table.Add(k, n, -5, 5)}
	if old.Exists() {
		writes = append(writes, table.Replace(old, data), table.Replace(old, data).Count(n), table.Delete(old), table.Check(old),
			table.Replace(old, data), table.Delete(old))
	}
	return writes[c.rng.IntN(len(writes))]
}

func (c *chaos) commit() {
	var writes []table.Write
	for _, at := range c.rng.Perm(len(chaosSorts))[:1+c.rng.IntN(3)*c.rng.IntN(2)] {
		writes = append(writes, c.write(key(c.part(), chaosSorts[at])))
	}
	var want []table.Key
	for i := range writes {
		if !writes[i].Holds(c.model[writes[i].Key]) {
			want = append(want, writes[i].Key)
		}
	}
	v, err := c.table.Commit(ctx, writes...)
	var conflict *table.ConflictError
	switch {
	case err == nil && want == nil:
		c.apply(writes, v)
	case errors.As(err, &conflict):
		c.conflicts++
		if !slices.Equal(conflict.Keys, want) {
			c.failf("Commit of %d writes conflicts at %v, want %v", len(writes), conflict.Keys, want)
		}
	case err == nil:
		c.failf("Commit of %d writes succeeded, want a conflict at %v", len(writes), want)
	default:
		c.resolve(writes, want, err)
	}
}

func (c *chaos) apply(writes []table.Write, v table.Version) {
	for i := range writes {
		w := &writes[i]
		old := c.model[w.Key]
		if old.Exists() && w.Op != table.OpCheck && v <= old.Version {
			c.failf("version %q of a commit does not follow %q", v, old.Version)
		}
		if next := w.Over(old, v); next.Exists() {
			c.model[w.Key] = next
			c.past = append(c.past, next)
		} else {
			delete(c.model, w.Key)
		}
	}
}

// resolve reads what a commit of unknown outcome left: all of it or nothing.
func (c *chaos) resolve(writes []table.Write, want []table.Key, because error) {
	c.unknown++
	var done, undone int
	for i := range writes {
		w := &writes[i]
		if w.Op == table.OpCheck {
			continue
		}
		got, before := c.read(w.Key), c.model[w.Key]
		switch next := w.Over(before, got.Version); {
		case alike(got, before):
			undone++
		case want == nil && alike(got, next):
			done++
		default:
			c.failf("after a commit of unknown outcome (%v) %v holds neither what was nor what should be", because, w.Key)
		}
		if got.Exists() {
			c.model[w.Key] = got
			c.past = append(c.past, got)
		} else {
			delete(c.model, w.Key)
		}
	}
	if done > 0 && undone > 0 {
		c.failf("a commit of unknown outcome was carried out in part: %d of %d writes", done, done+undone)
	}
}

// read reads until it is answered.
func (c *chaos) read(k table.Key) table.Item {
	for range 20 {
		items, err := c.table.Get(ctx, k)
		if err != nil {
			continue
		}
		if len(items) == 0 {
			return table.Item{}
		}
		return items[0]
	}
	c.failf("20 Gets of %v failed", k)
	return table.Item{}
}

func (c *chaos) get() {
	var keys []table.Key
	var want []table.Item
	for _, at := range c.rng.Perm(len(chaosSorts))[:1+c.rng.IntN(len(chaosSorts))] {
		k := key(c.part(), chaosSorts[at])
		keys = append(keys, k)
		if item := c.model[k]; item.Exists() {
			want = append(want, item)
		}
	}
	got, err := c.table.Get(ctx, keys...)
	if err != nil {
		c.unknown++
		return
	}
	if !slices.EqualFunc(got, want, alike) {
		c.failf("Get of %d keys returns %d items unlike the model's %d", len(keys), len(got), len(want))
	}
}

func (c *chaos) query() {
	r := table.Range{Descending: c.rng.IntN(2) == 0, Limit: c.rng.IntN(4)}
	if c.rng.IntN(2) == 0 {
		r.Prefix = "a"
	}
	if c.rng.IntN(2) == 0 {
		r.After = chaosSorts[c.rng.IntN(len(chaosSorts))]
	}
	var want []table.Item
	for _, s := range chaosSorts {
		item := c.model[key(c.part(), s)]
		if !item.Exists() || r.Prefix != "" && s[0] != 'a' || r.After != "" && (r.Descending && s >= r.After || !r.Descending && s <= r.After) {
			continue
		}
		want = append(want, item)
	}
	if r.Descending {
		slices.Reverse(want)
	}
	if r.Limit > 0 && len(want) > r.Limit {
		want = want[:r.Limit]
	}
	var got []table.Item
	for item, err := range c.table.Query(ctx, c.part(), r) {
		if err != nil {
			c.unknown++
			return
		}
		got = append(got, item)
	}
	if !slices.EqualFunc(got, want, alike) {
		c.failf("Query(%+v) returns %d items unlike the model's %d", r, len(got), len(want))
	}
}

// add counts one in everybody's counter and leaves a mark in the same commit.
func (c *chaos) add(n int) {
	mark := key("marks", fmt.Sprintf("%d %d", c.id, n))
	_, err := c.table.Commit(ctx, table.Add(key("all", "counter"), 1, 0, 1<<40), table.Create(mark, nil))
	if err != nil && table.Conflicts(err) {
		c.failf("a mark of its own conflicts: %v", err)
	}
	if err == nil {
		c.added++
	} else if c.unknown++; c.read(mark).Exists() {
		c.added++
	}
}

func alike(a, b table.Item) bool {
	return a.Key == b.Key && a.Version == b.Version && a.N == b.N && bytes.Equal(a.Data, b.Data) && a.Expires.Equal(b.Expires)
}

// TestChaos holds that 2,000 random operations through a proxy that cancels,
// throttles, fails, loses and tears answer as a model does, and leave what the
// model holds.
func TestChaos(t *testing.T) {
	t.Parallel()
	const most, workers = 2000, 8
	operations := short.Size(most, 400)
	server := fake.Shared(t)
	name := made(t, server)
	const seed = 20261122
	proxy, err := fake.NewProxy(server.Endpoint, fake.Seeded(seed, 4, fake.Faults...))
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	faulty := dynamo.New(client(proxy.Endpoint), name, dynamo.Options{Log: quiet})
	begin := time.Now()
	all := make([]*chaos, workers)
	var wait sync.WaitGroup
	for i := range all {
		c := &chaos{id: i, rng: rand.New(rand.NewPCG(seed, uint64(i))), table: faulty, model: map[table.Key]table.Item{}}
		all[i] = c
		wait.Go(func() {
			for n := range operations / workers {
				c.step(n)
			}
		})
	}
	wait.Wait()
	took := time.Since(begin)

	whole := dynamo.New(client(server.Endpoint), name, dynamo.Options{Log: quiet})
	var unknown, conflicts, added int
	for _, c := range all {
		for i, err := range c.errs {
			if i < 5 {
				t.Error(err)
			}
		}
		unknown, conflicts, added = unknown+c.unknown, conflicts+c.conflicts, added+c.added
		c.table, c.errs = whole, nil
		stored := 0
		for item, err := range whole.Query(ctx, c.part(), table.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			stored++
			if !alike(item, c.model[item.Key]) {
				t.Errorf("%v is not stored as the model has it", item.Key)
			}
		}
		if stored != len(c.model) {
			t.Errorf("partition %q holds %d items, want the model's %d", c.part(), stored, len(c.model))
		}
	}
	items, err := whole.Get(ctx, key("all", "counter"))
	if err != nil || len(items) != 1 || items[0].N != int64(added) {
		t.Errorf("the counter everybody adds to = %v (%v), want %d as the marks say", items, err, added)
	}
	faults, calls := proxy.Done()
	for _, f := range fake.Faults {
		if faults[f] == 0 && operations == most {
			t.Errorf("no call met the fault %q", f)
		}
	}
	if unknown > operations/20 {
		t.Errorf("%d of %d operations have an unknown outcome, want few", unknown, operations)
	}
	if conflicts == 0 {
		t.Errorf("no operation conflicted; the test shows nothing of conflicts")
	}
	t.Logf("%d operations in %v: %d calls, faults %v; %d conflicts, %d unknown outcomes", operations, took.Round(time.Millisecond), calls, faults, conflicts, unknown)
}
