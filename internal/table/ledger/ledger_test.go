package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gatehouse/internal/table"
	"gatehouse/internal/table/ledger"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/tabletest"
)

var ctx = context.Background()

// TestTable holds that the ledger changes nothing.
func TestTable(t *testing.T) {
	tabletest.Test(t, func(_ tabletest.TB, subs ...table.Subscription) tabletest.Subject {
		m := memory.New(subs...)
		return tabletest.Subject{Table: ledger.New(m), Feed: m}
	})
}

func key(part, sort string) table.Key { return table.Key{Part: part, Sort: sort} }

// sized returns data that gives the item of the key this size.
func sized(k table.Key, size int) []byte {
	frame := table.Item{Key: k, Version: "vvvvvvvvvvvvvvvvvvvv", Data: []byte("x")}.Size() - 1
	return make([]byte, size-frame)
}

func TestUnits(t *testing.T) {
	m := memory.New()
	l := ledger.New(m)
	a, b, c := key("a", "1"), key("b", "1"), key("c", "1")
	item := func(k table.Key) table.Item {
		items, err := m.Get(ctx, k)
		if err != nil || len(items) != 1 {
			t.Fatalf("Get(%v) = %d items, %v", k, len(items), err)
		}
		return items[0]
	}
	commit := func(ws ...table.Write) func() error {
		return func() error { _, err := l.Commit(ctx, ws...); return err }
	}
	stale := func(k table.Key) table.Item { i := item(k); i.Version += "x"; return i }
	get := func(keys ...table.Key) func() error {
		return func() error { _, err := l.Get(ctx, keys...); return err }
	}
	query := func(part string, r table.Range, take int) func() error {
		return func() error {
			for _, err := range l.Query(ctx, part, r) {
				if take--; err != nil || take == 0 {
					return err
				}
			}
			return nil
		}
	}
	// Steps build on each other: do is made when its turn comes.
	for _, c := range []struct {
		name        string
		do          func() func() error
		read, write int64
	}{
		{"create of 1,024 bytes", func() func() error { return commit(table.Create(a, sized(a, 1024))) }, 0, 1},
		{"create of 1,025 bytes", func() func() error { return commit(table.Create(b, sized(b, 1025))) }, 0, 2},
		{"replace of 1 KB by 3", func() func() error { return commit(table.Replace(item(a), sized(a, 3000))) }, 0, 3},
		{"replace of 3 KB by 1", func() func() error { return commit(table.Replace(item(a), sized(a, 1000))) }, 0, 3},
		{"put of 1 KB over 1", func() func() error { return commit(table.Put(a, sized(a, 1024))) }, 0, 1},
		{"create that conflicts", func() func() error { return commit(table.Create(a, sized(a, 5000))) }, 0, 5},
		{"replace that conflicts with 2 KB", func() func() error { return commit(table.Replace(stale(b), nil)) }, 0, 2},
		{"a lone add", func() func() error { return commit(table.Add(c, 1, 0, 9)) }, 0, 2},
		{"a lone check of 2 KB", func() func() error { return commit(table.Check(item(b))) }, 0, 4},
		{"a transaction of three", func() func() error {
			return commit(table.Put(a, sized(a, 2048)), table.Add(c, 1, 0, 9), table.Check(item(b)))
		}, 0, 4 + 2 + 4},
		{"a transaction that conflicts", func() func() error {
			return commit(table.Create(key("d", "1"), nil), table.Check(stale(b)))
		}, 0, 2 + 4},
		{"a lone delete of 2 KB", func() func() error { return commit(table.Delete(item(b))) }, 0, 4},
		{"a commit that is refused", func() func() error { return commit(table.Put(a, nil), table.Put(a, nil)) }, 0, 0},
		{"get of a missing item", func() func() error { return get(b) }, 1, 0},
		{"get of 2 KB and a missing item", func() func() error { return get(a, b) }, 2, 0},
		{"put of 5 KB", func() func() error { return commit(table.Put(a, sized(a, 5000))) }, 0, 5},
		{"get of 5 KB", func() func() error { return get(a) }, 2, 0},
		{"query of an empty partition", func() func() error { return query("none", table.Range{}, 0) }, 1, 0},
		{"query of 5 KB", func() func() error { return query("a", table.Range{}, 0) }, 2, 0},
	} {
		do := c.do()
		got := l.Do(func() {
			if err := do(); err != nil && !table.Conflicts(err) && !errors.Is(err, table.ErrRefused) {
				t.Errorf("%s = %v", c.name, err)
			}
		})
		if got.Read != c.read || got.Write != c.write {
			t.Errorf("%s costs %d read and %d write units, want %d and %d", c.name, got.Read, got.Write, c.read, c.write)
		}
	}

	// 100 items of 300 bytes share the units of their page; 2.3 MB take two,
	// since each ends with the item that goes beyond 1 MB.
	for i := range 100 {
		k := key("small", fmt.Sprintf("%03d", i))
		if _, err := m.Commit(ctx, table.Put(k, sized(k, 300))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		k := key("large", fmt.Sprint(i))
		if _, err := m.Commit(ctx, table.Put(k, sized(k, 390<<10))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		part  string
		r     table.Range
		take  int
		read  int64
		pages int64
	}{
		{"query of 30,000 bytes", "small", table.Range{}, 0, 8, 1},
		{"query of 30,000 bytes of which one is taken", "small", table.Range{}, 1, 8, 1},
		{"query with a limit of 10", "small", table.Range{Limit: 10}, 0, 1, 1},
		{"query of two pages", "large", table.Range{}, 0, 2 * 293, 2},
		{"query of two pages of which one item is taken", "large", table.Range{}, 1, 293, 1},
	} {
		got := l.Do(func() {
			if err := query(c.part, c.r, c.take)(); err != nil {
				t.Errorf("%s = %v", c.name, err)
			}
		})
		if got.Read != c.read || got.Queries != c.pages {
			t.Errorf("%s costs %d read units in %d pages, want %d in %d", c.name, got.Read, got.Queries, c.read, c.pages)
		}
	}
}

func TestReport(t *testing.T) {
	l := ledger.New(memory.New())
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.Commit(ctx, table.Put(key("a", "1"), nil)))
	before := l.Snapshot()
	must(l.Commit(ctx, table.Put(key("b", "1"), nil), table.Put(key("b", "2"), nil), table.Put(key("c", "1"), nil)))
	must(l.Get(ctx, key("c", "1"), key("c", "2"), key("a", "1")))
	got := l.Snapshot().Sub(before)
	if part, n := got.BusiestWrite(); part != "b" || n != 4 {
		t.Errorf("BusiestWrite = %q, %d, want b, 4", part, n)
	}
	if part, n := got.BusiestRead(); part != "c" || n != 2 {
		t.Errorf("BusiestRead = %q, %d, want c, 2", part, n)
	}
	want := "6 write units in 1 commits, 3 read units in 1 gets and 0 pages; most written b with 4; most read c with 2"
	if got.String() != want {
		t.Errorf("String = %q, want %q", got, want)
	}
	if _, ok := got.Parts["a"]; !ok || got.Parts["a"].Write != 0 {
		t.Errorf("Sub leaves partition a with %+v, want its read alone", got.Parts["a"])
	}
	l.Reset()
	if r := l.Snapshot(); r.Units != (ledger.Units{}) || len(r.Parts) != 0 {
		t.Errorf("Snapshot after Reset = %v, want nothing", r)
	}
}
