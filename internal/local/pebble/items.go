package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	engine "github.com/cockroachdb/pebble/v2"

	"gatehouse/internal/table"
	"gatehouse/internal/table/record"
)

// stage adds to the batch that next is stored where old was, with what finds
// it when it expires. Zero items stand for none.
func (t *Table) stage(k table.Key, old, next table.Item) error {
	g := &t.group
	g.key = appendItemKey(g.key[:0], k)
	if next.Exists() {
		g.value = record.AppendItem(g.value[:0], next)
		if err := g.batch.Set(g.key, g.value, nil); err != nil {
			return err
		}
	} else if err := g.batch.Delete(g.key, nil); err != nil {
		return err
	}
	if old.Expires.Equal(next.Expires) {
		return nil
	}
	if !old.Expires.IsZero() {
		g.key = appendExpiryKey(g.key[:0], old.Expires.Unix(), k)
		if err := g.batch.Delete(g.key, nil); err != nil {
			return err
		}
	}
	if !next.Expires.IsZero() {
		g.key = appendExpiryKey(g.key[:0], next.Expires.Unix(), k)
		return g.batch.Set(g.key, nil, nil)
	}
	return nil
}

// keptExpired is how many seconds an expired item stays at least: readers must
// not rely on its removal, and on DynamoDB it takes up to two days.
const keptExpired = 3600

// sweepAtOnce is how many expired items are removed between two groups of
// commits.
const sweepAtOnce = 500

// sweep removes expired items. It runs in the committer, so nothing changes an
// item meanwhile, and unsynced: what a crash brings back is removed again.
func (t *Table) sweep() {
	if t.writable() != nil {
		return
	}
	n, err := t.removeExpired()
	if err != nil {
		t.log.Error("removing expired items failed", "error", err)
	}
	t.swept.Add(int64(n))
}

func (t *Table) removeExpired() (n int, err error) {
	g := &t.group
	if g.batch == nil {
		g.batch = t.db.NewBatch()
	}
	it, err := t.db.NewIter(&engine.IterOptions{
		LowerBound: []byte{expirySpace},
		UpperBound: appendSecond([]byte{expirySpace}, t.o.Now().Unix()-keptExpired),
	})
	if err != nil {
		return 0, fmt.Errorf("look for expired items: %w", err)
	}
	for ok := it.First(); ok && n < sweepAtOnce; ok = it.Next() {
		key := it.Key()
		k, well := splitItemKey(key[9:])
		if !well {
			continue
		}
		second := int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63)
		old, readErr := read(t.db, g.key[:0], k)
		if err = errors.Join(readErr, g.batch.Delete(key, nil)); err != nil {
			break
		}
		if old.Exists() && !old.Expires.IsZero() && old.Expires.Unix() == second {
			if err = g.batch.Delete(appendItemKey(g.key[:0], k), nil); err != nil {
				break
			}
			n++
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		g.batch.Reset()
		return 0, t.failed("look for expired items", err)
	}
	return n, t.write(false)
}

// Removed returns how many expired items were removed since Open.
func (t *Table) Removed() int64 { return t.swept.Load() }

// Checkpoint writes a copy of the store as it stands into a folder that does
// not exist yet, while commits go on. It holds every commit that was answered
// before the call, takes no room for files that are shared with the store, and
// opens like any store.
func (t *Table) Checkpoint(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db, release, err := t.reader()
	if err != nil {
		return err
	}
	defer release()
	// Every answered commit is in the log, so there is nothing to be flushed
	// into it first; that would be a write beside the committer.
	if err := db.Checkpoint(dir); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	// The marker comes last: a copy without it is not taken for a store.
	return t.writeMarker(dir)
}

// Metrics are figures for the operator.
type Metrics struct {
	DiskBytes   uint64 // of all files of the store
	CacheBytes  int64  // of blocks in memory
	MemBytes    uint64 // of fresh commits in memory
	Files       int64  // sorted tables
	Flushes     int64  // since Open
	Compactions int64  // since Open
}

// Metrics returns the engine's figures; they are zero while it is not open.
func (t *Table) Metrics() Metrics {
	db, release, err := t.reader()
	if err != nil {
		return Metrics{}
	}
	defer release()
	m := db.Metrics()
	return Metrics{
		DiskBytes:   m.DiskSpaceUsage(),
		CacheBytes:  m.BlockCache.Size,
		MemBytes:    m.MemTable.Size,
		Files:       m.Total().TablesCount,
		Flushes:     m.Flush.Count,
		Compactions: m.Compact.Count,
	}
}
