// Package ledger counts what a table's work would cost on DynamoDB, in capacity
// units, by DynamoDB's published rules: so that a price can be asserted in a
// test that runs over any table.
//
// It decorates a table and changes nothing about it. It is for tests and
// benchmarks: it reads every item once more to know its size.
package ledger

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"gatehouse/internal/table"
)

const (
	readUnit  = 4 << 10 // bytes that one strongly consistent read unit reads
	writeUnit = 1 << 10 // bytes that one write unit writes
	page      = 1 << 20 // bytes after which a Query's page ends
)

// Ledger is a table that counts.
type Ledger struct {
	inner table.Table
	mu    sync.Mutex
	sum   Units
}

// New returns a ledger over t.
func New(t table.Table) *Ledger { return &Ledger{inner: t} }

// Units are capacity units. A failed condition costs as much as a write that
// passes.
type Units struct {
	Reads, Writes int
	Commits       int
	Parts         map[string]Part // by partition
}

// Part is what one partition took.
type Part struct{ Reads, Writes int }

// Units returns what was counted since the last Reset.
func (l *Ledger) Units() Units {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.sum
	u.Parts = make(map[string]Part, len(l.sum.Parts))
	for k, v := range l.sum.Parts {
		u.Parts[k] = v
	}
	return u
}

// Reset begins anew, and returns what was counted until then.
func (l *Ledger) Reset() Units {
	u := l.Units()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum = Units{}
	return u
}

// Busiest returns the partition that took the most write units.
func (u Units) Busiest() (part string, writes int) {
	for k, v := range u.Parts {
		if v.Writes > writes || v.Writes == writes && k < part {
			part, writes = k, v.Writes
		}
	}
	return part, writes
}

// String tells the sums and the five busiest partitions.
func (u Units) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d read units, %d write units, %d commits", u.Reads, u.Writes, u.Commits)
	parts := make([]string, 0, len(u.Parts))
	for k := range u.Parts {
		parts = append(parts, k)
	}
	slices.SortFunc(parts, func(x, y string) int {
		if d := u.Parts[y].Writes - u.Parts[x].Writes; d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, k := range parts[:min(5, len(parts))] {
		fmt.Fprintf(&b, "\n  %-40s %6d read, %6d write", k, u.Parts[k].Reads, u.Parts[k].Writes)
	}
	return b.String()
}

func (l *Ledger) count(part string, reads, writes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum.Parts == nil {
		l.sum.Parts = map[string]Part{}
	}
	p := l.sum.Parts[part]
	p.Reads += reads
	p.Writes += writes
	l.sum.Parts[part] = p
	l.sum.Reads += reads
	l.sum.Writes += writes
}

// units are how many of a size; nothing costs one.
func units(bytes, unit int) int { return max(1, (bytes+unit-1)/unit) }

// Get costs every item by itself, and one unit for every key without one.
func (l *Ledger) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	items, err := l.inner.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	at := 0
	for _, k := range keys {
		size := 0
		if at < len(items) && items[at].Key == k {
			size = items[at].Size()
			at++
		}
		l.count(k.Part, units(size, readUnit), 0)
	}
	return items, nil
}

// Query costs each page that it reads by the sum of its items, whether they are
// used or not: a page ends at 1 MB or at the range's limit.
func (l *Ledger) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		for left := r.Limit; ; {
			var items []table.Item
			size := 0
			for it, err := range l.inner.Query(ctx, part, r) {
				if err != nil {
					yield(table.Item{}, err)
					return
				}
				items = append(items, it)
				if size += it.Size(); size >= page {
					break
				}
			}
			l.count(part, units(size, readUnit), 0)
			for _, it := range items {
				if !yield(it, nil) {
					return
				}
			}
			if left -= len(items); size < page || r.Limit > 0 && left <= 0 {
				return
			}
			r.After, r.Limit = items[len(items)-1].Sort, max(left, 0)
		}
	}
}

// Commit costs the larger of before and after for each item. A lone Create,
// Replace or Put is a PutItem; everything else is a transaction, at twice the
// price, a Check included.
func (l *Ledger) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	sizes := make(map[table.Key]int, len(writes))
	l.sizes(ctx, writes, sizes)
	v, err := l.inner.Commit(ctx, writes...)
	if err != nil && !table.Conflicts(err) {
		return v, err
	}
	l.sizes(ctx, writes, sizes)
	times := 2
	if len(writes) == 1 && (writes[0].Op == table.OpCreate || writes[0].Op == table.OpReplace || writes[0].Op == table.OpPut) {
		times = 1
	}
	for _, w := range writes {
		l.count(w.Key.Part, 0, times*units(sizes[w.Key], writeUnit))
	}
	l.mu.Lock()
	l.sum.Commits++
	l.mu.Unlock()
	return v, err
}

// sizes keeps the largest size seen of each item.
func (l *Ledger) sizes(ctx context.Context, writes []table.Write, into map[table.Key]int) {
	keys := make([]table.Key, len(writes))
	for i, w := range writes {
		keys[i] = w.Key
	}
	items, err := l.inner.Get(ctx, keys...)
	if err != nil {
		return // the commit itself will say what is wrong
	}
	for _, it := range items {
		into[it.Key] = max(into[it.Key], it.Size())
	}
}
