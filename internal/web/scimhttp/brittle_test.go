package scimhttp_test

import (
	"context"
	"iter"
	"sync"

	"gatehouse/internal/table"
)

// brittle is a table that a test can make fail.
type brittle struct {
	table.Table
	mu     sync.Mutex
	fail   func(op string) error // nil: everything works; it may panic
	reads  int
	writes int
}

func (b *brittle) breaks(f func(op string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

func (b *brittle) call(op string) error {
	b.mu.Lock()
	f := b.fail
	if op == "commit" {
		b.writes++
	} else {
		b.reads++
	}
	b.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(op)
}

// counts returns how many reads and commits there were since it was asked last.
func (b *brittle) counts() (reads, writes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reads, writes = b.reads, b.writes
	b.reads, b.writes = 0, 0
	return reads, writes
}

func (b *brittle) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := b.call("get"); err != nil {
		return nil, err
	}
	return b.Table.Get(ctx, keys...)
}

func (b *brittle) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if err := b.call("query"); err != nil {
		return func(yield func(table.Item, error) bool) { yield(table.Item{}, err) }
	}
	return b.Table.Query(ctx, part, r)
}

func (b *brittle) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if err := b.call("commit"); err != nil {
		return "", err
	}
	return b.Table.Commit(ctx, writes...)
}
