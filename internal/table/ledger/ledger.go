// Package ledger counts what a table's use would cost on DynamoDB, in read and
// write capacity units, by partition. Tests assert on it and benchmarks print
// it.
//
// It is a decorator, not a table: it changes no answer. It counts as DynamoDB
// bills strongly consistent reads and the calls that the adapter for DynamoDB
// makes: a lone Create, Replace or Put is a PutItem, any other commit a
// transaction at twice the price. It does not count retries, and the size that
// an item had before a write is read beside it, so a racing write can change
// it in between.
package ledger

import (
	"context"
	"errors"
	"iter"
	"maps"
	"sync"

	"gatehouse/internal/table"
)

// Sizes that units are counted by.
const (
	readUnit  = 4 << 10
	writeUnit = 1 << 10
	pageMax   = 1 << 20 // bytes after which a Query of DynamoDB ends its page, with the item that reaches them
)

// Ledger is a table.Table that counts.
type Ledger struct {
	inner table.Table

	mu    sync.Mutex
	total Report
}

// New returns a ledger over t that has counted nothing yet.
func New(t table.Table) *Ledger { return &Ledger{inner: t, total: Report{Parts: map[string]Units{}}} }

// Get is table.Table's: each item costs its size in units of 4 KB, and each
// missing one a unit.
func (l *Ledger) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	items, err := l.inner.Get(ctx, keys...)
	if err != nil {
		return items, err
	}
	size := make(map[table.Key]int, len(items))
	for _, item := range items {
		size[item.Key] = item.Size()
	}
	l.count(func(r *Report) {
		r.Gets++
		for _, k := range keys {
			r.read(k.Part, units(size[k], readUnit))
		}
	})
	return items, nil
}

// Query is table.Table's: each page of 1 MB costs the sum of its items in units
// of 4 KB, an empty one a unit. A page is paid for as a whole, however
// few of its items the reader takes.
func (l *Ledger) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		var page []table.Item
		size := 0
		pay := func() bool {
			l.count(func(r *Report) {
				r.Queries++
				r.read(part, units(size, readUnit))
			})
			for _, item := range page {
				if !yield(item, nil) {
					return false
				}
			}
			page, size = page[:0], 0
			return true
		}
		paid := false
		for item, err := range l.inner.Query(ctx, part, r) {
			if err != nil {
				if len(page) == 0 || pay() {
					yield(item, err)
				}
				return
			}
			if page, size = append(page, item), size+item.Size(); size >= pageMax {
				if paid = true; !pay() {
					return
				}
			}
		}
		if !paid || len(page) > 0 {
			pay()
		}
	}
}

// Commit is table.Table's: each write costs the larger of the item's sizes
// before and after in units of 1 KB, twice that in a transaction. A commit that
// conflicts costs the same; one that is refused by the limits nothing.
func (l *Ledger) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	olds := l.before(ctx, writes)
	v, err := l.inner.Commit(ctx, writes...)
	if err != nil && !table.Conflicts(err) {
		return v, err
	}
	factor := int64(2)
	if len(writes) == 1 {
		switch writes[0].Op {
		case table.OpCreate, table.OpReplace, table.OpPut:
			factor = 1
		}
	}
	l.count(func(r *Report) {
		r.Commits++
		if err != nil {
			r.Conflicts++
		}
		for i := range writes {
			w := &writes[i]
			old := olds[w.Key]
			size := 0
			if old.Exists() {
				size = old.Size()
			}
			if next := w.Over(old, anyVersion); next.Exists() {
				size = max(size, next.Size())
			}
			r.write(w.Key.Part, factor*units(size, writeUnit))
		}
	})
	return v, err
}

// anyVersion has the length of all versions.
const anyVersion table.Version = "00000000000000000000"

// before reads the items that a commit meets. What cannot be read counts as
// absent: the commit itself will tell.
func (l *Ledger) before(ctx context.Context, writes []table.Write) map[table.Key]table.Item {
	if table.CheckWrites(writes) != nil {
		return nil
	}
	keys := make([]table.Key, len(writes))
	for i := range writes {
		keys[i] = writes[i].Key
	}
	items, err := l.inner.Get(ctx, keys...)
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil
	}
	olds := make(map[table.Key]table.Item, len(items))
	for _, item := range items {
		olds[item.Key] = item
	}
	return olds
}

func (l *Ledger) count(f func(*Report)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.total)
}

// Snapshot returns what was counted since New or Reset.
func (l *Ledger) Snapshot() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.total
	r.Parts = maps.Clone(r.Parts)
	return r
}

// Reset begins to count anew.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total = Report{Parts: map[string]Units{}}
}

func units(size, unit int) int64 { return int64(max(1, (size+unit-1)/unit)) }
