// Package memory is the table that lives as long as its process: for tests,
// and for the parts of one that are not about storage.
//
// It keeps the whole contract of package table, feed included, and passes the
// same suite as the durable ones. It is not a store for anybody's data and not
// a cache.
package memory

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/table"
)

// Table is a table.Table and a table.Feed. New makes one.
type Table struct {
	// Now is the clock that versions are minted by. It may be replaced before
	// the first use.
	Now func() time.Time

	mu    sync.RWMutex
	parts map[string]*partition

	feed
}

// New returns an empty table whose feed keeps what the subscriptions want.
func New(subs ...table.Subscription) *Table {
	return &Table{
		Now:   time.Now,
		parts: map[string]*partition{},
		feed:  feed{subs: slices.Clone(subs), passed: map[string]uint64{}, appended: make(chan struct{})},
	}
}

// Get is table.Table's.
func (t *Table) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := table.CheckKeys(keys...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	found := make([]table.Item, 0, len(keys))
	for _, k := range keys {
		if item := t.item(k); item.Exists() {
			found = append(found, item)
		}
	}
	return found, nil
}

// page is how many items a Query takes under one lock.
const page = 128

// Query is table.Table's.
func (t *Table) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		if err := table.CheckPart(part); err != nil {
			yield(table.Item{}, err)
			return
		}
		left := r.Limit
		for {
			if err := ctx.Err(); err != nil {
				yield(table.Item{}, err)
				return
			}
			n := page
			if r.Limit > 0 {
				n = min(n, left)
			}
			items := t.read(part, r, n)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			left -= len(items)
			if len(items) < n || r.Limit > 0 && left == 0 {
				return
			}
			r.After = items[n-1].Sort
		}
	}
}

func (t *Table) read(part string, r table.Range, n int) []table.Item {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := t.parts[part]
	if p == nil {
		return nil
	}
	return p.read(r, n)
}

// Commit is table.Table's.
func (t *Table) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if err := table.CheckWrites(writes); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var failed []table.Key
	olds := make([]table.Item, len(writes))
	before := make([]table.Version, len(writes))
	for i := range writes {
		w := &writes[i]
		olds[i] = t.item(w.Key)
		if w.Op != table.OpCheck {
			before[i] = olds[i].Version
		}
		if !w.Holds(olds[i]) {
			failed = append(failed, w.Key)
		}
	}
	if failed != nil {
		return "", &table.ConflictError{Keys: failed}
	}
	v := table.MintVersion(t.Now(), before...)
	for i := range writes {
		w := &writes[i]
		if w.Op == table.OpCheck {
			continue
		}
		next := w.Over(olds[i], v)
		next.Data = bytes.Clone(next.Data)
		t.store(w.Key, next)
		t.append(v, w.Key, next)
	}
	t.wake()
	return v, nil
}

// RemoveExpired removes items that had expired at now, as a durable store does
// some time later, and returns how many.
func (t *Table) RemoveExpired(now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	var gone []table.Key
	for _, p := range t.parts {
		for _, item := range p.read(table.Range{}, p.size) {
			if item.Expired(now) {
				gone = append(gone, item.Key)
			}
		}
	}
	for _, k := range gone {
		t.store(k, table.Item{})
	}
	return len(gone)
}

func (t *Table) item(k table.Key) table.Item {
	if p := t.parts[k.Part]; p != nil {
		return p.get(k.Sort)
	}
	return table.Item{}
}

// store puts the item under the key, or removes what is there if it is zero.
func (t *Table) store(k table.Key, item table.Item) {
	p := t.parts[k.Part]
	if p == nil {
		p = &partition{}
		t.parts[k.Part] = p
	}
	if item.Exists() {
		p.set(item)
		return
	}
	if p.remove(k.Sort); p.size == 0 {
		delete(t.parts, k.Part)
	}
}
