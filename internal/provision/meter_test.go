package provision_test

import (
	"context"
	"iter"
	"sync"

	"gatehouse/internal/table"
)

// meter counts capacity units as DynamoDB does: a kilobyte written, twice in a
// transaction; four kilobytes read strongly consistent, item by item in a Get,
// page by page in a Query. Every reading takes at least one.
type meter struct {
	table.Table
	mu     sync.Mutex
	reads  int
	writes int
	parts  map[string]int // units written, by partition
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads, m.writes, m.parts = 0, 0, map[string]int{}
}

func units(size, unit int) int { return max(1, (size+unit-1)/unit) }

func (m *meter) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	items, err := m.Table.Get(ctx, keys...)
	n := len(keys) - len(items)
	for _, it := range items {
		n += units(it.Size(), 4096)
	}
	m.mu.Lock()
	m.reads += n
	m.mu.Unlock()
	return items, err
}

func (m *meter) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		for left := r.Limit; ; {
			var page []table.Item
			size, full := 0, false
			for it, err := range m.Table.Query(ctx, part, r) {
				if err != nil {
					yield(table.Item{}, err)
					return
				}
				page = append(page, it)
				if size += it.Size(); size >= 1<<20 {
					full = true
					break
				}
			}
			m.mu.Lock()
			m.reads += units(size, 4096)
			m.mu.Unlock()
			for _, it := range page {
				if !yield(it, nil) {
					return
				}
			}
			if left -= len(page); !full || r.Limit > 0 && left <= 0 {
				return
			}
			r.After, r.Limit = page[len(page)-1].Sort, max(left, 0)
		}
	}
}

func (m *meter) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	before := map[table.Key]int{}
	for _, w := range writes {
		if items, err := m.Table.Get(ctx, w.Key); err == nil && len(items) == 1 {
			before[w.Key] = items[0].Size()
		}
	}
	v, err := m.Table.Commit(ctx, writes...)
	if err != nil {
		return v, err
	}
	times := 2
	if len(writes) == 1 && (writes[0].Op == table.OpCreate || writes[0].Op == table.OpReplace || writes[0].Op == table.OpPut) {
		times = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		size := before[w.Key]
		if items, err := m.Table.Get(ctx, w.Key); err == nil && len(items) == 1 {
			size = max(size, items[0].Size())
		}
		n := times * units(size, 1024)
		m.writes += n
		m.parts[w.Key.Part] += n
	}
	return v, nil
}
