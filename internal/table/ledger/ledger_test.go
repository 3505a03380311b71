package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/table"
	"gatehouse/internal/table/ledger"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/tabletest"
)

// A ledger is a table like the one beneath it.
func TestTable(t *testing.T) {
	tabletest.Test(t, func(_ tabletest.TB, subs ...table.Subscription) tabletest.Subject {
		m := memory.New(subs...)
		return tabletest.Subject{Table: ledger.New(m), Feed: m}
	})
}

func TestUnits(t *testing.T) {
	ctx := t.Context()
	l := ledger.New(memory.New())
	key := func(s string) table.Key { return table.Key{Part: "P", Sort: s} }
	// 100 bytes less than a size leave room for key, version and names.
	text := func(kb int) []byte { return []byte(strings.Repeat("x", kb<<10-100)) }
	commit := func(w ...table.Write) {
		t.Helper()
		if _, err := l.Commit(ctx, w...); err != nil {
			t.Fatal(err)
		}
	}
	get := func(s string) table.Item {
		t.Helper()
		items, err := l.Get(ctx, key(s))
		if err != nil || len(items) != 1 {
			t.Fatalf("Get(%q) = %d items, %v", s, len(items), err)
		}
		return items[0]
	}
	commit(table.Create(key("small"), text(1)), table.Create(key("large"), text(9)))
	for _, c := range []struct {
		name          string
		do            func()
		reads, writes int
	}{
		{"a lone create of 1 KB", func() { commit(table.Create(key("a"), text(1))) }, 0, 1},
		{"a lone create of 3 KB", func() { commit(table.Create(key("b"), text(3))) }, 0, 3},
		{"two in a transaction", func() { commit(table.Create(key("c"), text(1)), table.Create(key("d"), text(3))) }, 0, 8},
		{"a lone Add is a transaction", func() { commit(table.Add(key("n"), 1, 0, 9)) }, 0, 2},
		{"a lone Delete is a transaction, by the size before", func() { commit(table.Delete(get("b"))) }, 1, 6},
		{"a replacement costs the larger", func() { commit(table.Replace(get("large"), text(1))) }, 3, 9},
		{"reading 1 KB", func() { get("small") }, 1, 0},
		{"reading what is not there", func() { l.Get(ctx, key("none")) }, 1, 0},
		{"reading several, each by itself", func() { l.Get(ctx, key("small"), key("a"), key("none")) }, 3, 0},
		{"a query of three by their sum", func() {
			for range l.Query(ctx, "P", table.Range{Limit: 3}) {
			}
		}, 2, 0},
		{"an empty query", func() {
			for range l.Query(ctx, "Q", table.Range{}) {
			}
		}, 1, 0},
		{"a query given up at its first item", func() {
			for range l.Query(ctx, "P", table.Range{}) {
				break
			}
		}, 2, 0},
		{"a condition that fails", func() {
			if _, err := l.Commit(ctx, table.Create(key("a"), text(1))); !table.Conflicts(err) {
				t.Errorf("creating twice: %v", err)
			}
		}, 0, 1},
		{"what is refused outright", func() { l.Commit(ctx) }, 0, 0},
	} {
		l.Reset()
		c.do()
		if u := l.Reset(); u.Reads != c.reads || u.Writes != c.writes {
			t.Errorf("%s: %d read and %d write units, want %d and %d", c.name, u.Reads, u.Writes, c.reads, c.writes)
		}
	}
}

func TestPagesOfAQuery(t *testing.T) {
	l := ledger.New(memory.New())
	for i := range 30 {
		if _, err := l.Commit(t.Context(), table.Create(table.Key{Part: "P", Sort: fmt.Sprintf("%02d", i)}, make([]byte, 100<<10-60))); err != nil {
			t.Fatal(err)
		}
	}
	l.Reset()
	n := 0
	for range l.Query(t.Context(), "P", table.Range{}) {
		n++
	}
	// 3,000 KB in pages of 11 items each.
	if u := l.Units(); n != 30 || u.Reads < 750 || u.Reads > 753 {
		t.Errorf("reading 30 items of 100 KB gives %d items for %d units, want 30 for 750 and what pages round up", n, u.Reads)
	}
}

func TestBusiest(t *testing.T) {
	l := ledger.New(memory.New())
	for i, part := range []string{"A", "B", "B", "C"} {
		if _, err := l.Commit(t.Context(), table.Put(table.Key{Part: part, Sort: fmt.Sprint(i)}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if part, n := l.Units().Busiest(); part != "B" || n != 2 {
		t.Errorf("Busiest() = %q with %d, want B with 2", part, n)
	}
}
