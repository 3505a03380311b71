// Package pebble keeps a table in a folder of the local disk, by the embedded
// store Pebble. It is the durable table of the one local program.
//
// A Commit that is answered is on the disk. One goroutine, the committer,
// takes every commit that waits, decides them one after the other, writes them
// as one synced batch together with what the feed gets of them, and answers
// all; it waits for nobody, so that a lone writer pays for one sync and many
// share it.
//
// A full disk refuses commits with table.ErrFull and leaves what is stored
// readable; commits go through again once there is room. The reserve keeps the
// engine itself from running out of room; where another program takes that too,
// in the moment in which the engine writes its manifest, the process ends, and
// nothing is lost.
//
// Damage is reported by ErrDamaged and never mended silently. What cannot be
// told from a crash is damage in the last record of the newest log or of the
// manifest.
//
// It is no server: one process at a time opens a folder.
package pebble

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gatehouse/internal/table"
)

// Options are how a table is opened. The zero Options are those of a program
// that has no consumers.
type Options struct {
	// Subscriptions are what the feed keeps changes for.
	Subscriptions []table.Subscription
	// Now is the clock of versions and of expiry; nil: time.Now.
	Now func() time.Time
	// Logger gets what an operator must know: full disks, damage, slow writes.
	// Nil: slog.Default().
	Logger *slog.Logger
	// FS is the file system; nil: the operating system's. For tests.
	FS vfs.FS
	// Reserve is how many bytes of the disk must be free for a commit to be
	// taken; 0: 64 MiB. It must hold what a flush and a compaction write.
	Reserve uint64
	// CacheSize is the bytes of blocks kept in memory; 0: 32 MiB.
	CacheSize int64
	// MemTableSize is the bytes of fresh commits kept in memory before they are
	// flushed, up to four times at once; 0: 8 MiB.
	MemTableSize uint64
	// SweepEvery is how often expired items are looked for, which are removed
	// an hour after their time; 0: a minute.
	SweepEvery time.Duration
}

var (
	// ErrServed: the folder is open already, in this process or another.
	ErrServed = errors.New("another gatehouse serves this folder")
	// ErrSchema: the store was written by a gatehouse that is newer, or not ours.
	ErrSchema = errors.New("this gatehouse does not know the store's schema")
	// ErrLost: files of the store are missing; nothing was changed.
	ErrLost = errors.New("the store has lost files")
	// ErrDamaged: what the disk holds is not what was written.
	ErrDamaged = errors.New("the store is damaged")
	// ErrClosed: the table was closed.
	ErrClosed = errors.New("the store is closed")

	// errNotOpen: the store could not be opened again after a fault; the next
	// commit tries to.
	errNotOpen = errors.New("the store is not open after a fault of the disk")
)

// Table is a table.Table and a table.Feed. Open makes one.
type Table struct {
	o      Options
	dir    string
	fs     vfs.FS
	lock   *engine.Lock
	log    *slog.Logger
	events *events

	// The engine is exchanged when its log could not be written, so every call
	// holds the gate while it uses it.
	gate     sync.RWMutex
	db       *engine.DB // nil: closed, or not to be opened for now
	readOnly bool       // the engine was opened so since there is no room

	queue queue
	feed  feed
	group group         // the committer's own
	ended chan struct{} // closed when the committer has ended
	swept atomic.Int64
}

// Open opens the store in the folder, which is made if it is not there, and
// closed to other users of the machine. It fails with ErrServed, ErrSchema,
// ErrLost or ErrDamaged, or table.ErrFull for a new store without room. An
// existing store without room opens, and refuses commits until there is some.
func Open(dir string, o Options) (*Table, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Reserve == 0 {
		o.Reserve = 64 << 20
	}
	if o.CacheSize == 0 {
		o.CacheSize = 32 << 20
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = 8 << 20
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = time.Minute
	}
	o.Subscriptions = slices.Clone(o.Subscriptions)
	t := &Table{
		o:      o,
		dir:    dir,
		log:    o.Logger,
		events: &events{log: o.Logger},
		queue:  queue{wake: make(chan struct{}, 1)},
		feed:   newFeed(o.Subscriptions),
		ended:  make(chan struct{}),
	}
	if err := t.openFolder(); err != nil {
		return nil, err
	}
	go t.commitAll()
	return t, nil
}

// Close answers the commits that wait, lets reads end that are under way, and
// closes the store. Later calls fail with ErrClosed.
func (t *Table) Close() error {
	if !t.queue.close() {
		return ErrClosed
	}
	<-t.ended
	t.gate.Lock()
	defer t.gate.Unlock()
	err := closeEngine(t.db)
	t.db = nil
	return errors.Join(err, t.lock.Close())
}

// Get is table.Table's.
func (t *Table) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := table.CheckKeys(keys...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db, release, err := t.reader()
	if err != nil {
		return nil, err
	}
	defer release()
	found := make([]table.Item, 0, len(keys))
	var scratch [128]byte
	for _, k := range keys {
		item, err := read(db, scratch[:0], k)
		if err != nil {
			return nil, t.failed("read an item", err)
		}
		if item.Exists() {
			found = append(found, item)
		}
	}
	return found, nil
}

// Query is table.Table's. It holds no resources while its reader works.
func (t *Table) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		if err := table.CheckPart(part); err != nil {
			yield(table.Item{}, err)
			return
		}
		left := r.Limit
		for n := firstPage; ; n = min(4*n, lastPage) {
			if r.Limit > 0 {
				n = min(n, left)
			}
			items, more, err := t.page(ctx, part, r, n)
			if err != nil {
				yield(table.Item{}, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			left -= len(items)
			if !more || r.Limit > 0 && left == 0 {
				return
			}
			r.After = items[len(items)-1].Sort
		}
	}
}

// Pages grow, since most queries want a few items and some want all.
const (
	firstPage = 16
	lastPage  = 256
	pageBytes = 1 << 20
)

// page reads up to n items of the range, and tells whether there may be more.
func (t *Table) page(ctx context.Context, part string, r table.Range, n int) (items []table.Item, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	db, release, err := t.reader()
	if err != nil {
		return nil, false, err
	}
	defer release()
	lower, upper := bounds(part, r)
	it, err := db.NewIter(&engine.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, false, t.failed("read a partition", err)
	}
	size := 0
	first, next := it.First, it.Next
	switch {
	case r.Descending:
		first, next = it.Last, it.Prev
	case len(r.Prefix) >= prefixSort: // all of it has one prefix
		first = func() bool { return it.SeekPrefixGE(lower) }
	}
	skip := 1 + len(part) + 1
	for ok := first(); ok; ok = next() {
		if len(items) == n || size > pageBytes {
			more = true
			break
		}
		var item table.Item
		if item, err = decode(part, it.Key()[skip:], it.Value()); err != nil {
			break
		}
		items, size = append(items, item), size+len(item.Data)
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, false, t.failed("read a partition", err)
	}
	return items, more, nil
}

// reader returns the engine for one read.
func (t *Table) reader() (*engine.DB, func(), error) {
	t.gate.RLock()
	if t.db == nil {
		t.gate.RUnlock()
		if t.queue.isClosed() {
			return nil, nil, ErrClosed
		}
		return nil, nil, errNotOpen
	}
	return t.db, t.gate.RUnlock, nil
}
