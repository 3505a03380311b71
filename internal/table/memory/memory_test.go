package memory_test

import (
	"context"
	"testing"
	"time"

	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/tabletest"
)

func TestTable(t *testing.T) {
	tabletest.Test(t, func(_ tabletest.TB, subs ...table.Subscription) tabletest.Subject {
		m := memory.New(subs...)
		return tabletest.Subject{Table: m, Feed: m}
	})
}

func TestRemoveExpired(t *testing.T) {
	m, ctx, now := memory.New(), context.Background(), time.Now()
	key := func(sort string) table.Key { return table.Key{Part: "p", Sort: sort} }
	if _, err := m.Commit(ctx, table.Put(key("old"), nil).Until(now.Add(-time.Second)),
		table.Put(key("new"), nil).Until(now.Add(time.Hour)), table.Put(key("lasting"), nil)); err != nil {
		t.Fatal(err)
	}
	if n := m.RemoveExpired(now); n != 1 {
		t.Errorf("RemoveExpired with one item expired = %d, want 1", n)
	}
	if items, err := m.Get(ctx, key("old"), key("new"), key("lasting")); err != nil || len(items) != 2 {
		t.Errorf("after RemoveExpired Get finds %d items (%v), want 2", len(items), err)
	}
}
