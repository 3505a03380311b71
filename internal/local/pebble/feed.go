package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	engine "github.com/cockroachdb/pebble/v2"

	"gatehouse/internal/table"
	"gatehouse/internal/table/record"
)

// feed is where the table's feed stands. Its entries are in the engine.
type feed struct {
	subs []table.Subscription

	mu       sync.Mutex
	end      uint64            // the newest entry that is on the disk
	passed   map[string]uint64 // of each subscription
	dirty    bool              // passed is newer than what is stored
	appended chan struct{}

	// The committer's own.
	next    uint64 // the newest entry of the group being made
	dropped uint64 // the newest entry that was dropped
}

func newFeed(subs []table.Subscription) feed {
	return feed{subs: subs, passed: map[string]uint64{}, appended: make(chan struct{})}
}

// load takes positions and end from the engine. Of one that is open for reading
// only the end may not be on the disk, so the feed ends where it did.
func (f *feed) load(db *engine.DB, readOnly bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	end, first := uint64(0), uint64(0)
	it, err := db.NewIter(&engine.IterOptions{LowerBound: []byte{feedSpace}, UpperBound: []byte{passedSpace + 1}})
	if err != nil {
		return fmt.Errorf("read the feed's positions: %w", err)
	}
	for ok := it.SeekGE([]byte{passedSpace}); ok; ok = it.Next() {
		if name, value := string(it.Key()[1:]), it.Value(); len(value) == 8 {
			at := binary.BigEndian.Uint64(value)
			f.passed[name], end = max(f.passed[name], at), max(end, at)
		}
	}
	if it.First() && it.Key()[0] == feedSpace {
		first = binary.BigEndian.Uint64(it.Key()[1:])
	}
	if it.SeekLT([]byte{feedSpace + 1}) {
		end = max(end, binary.BigEndian.Uint64(it.Key()[1:]))
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("read the feed's positions: %w", err)
	}
	if readOnly {
		end = f.end
	}
	f.next, f.dropped, f.dirty = end, end, len(f.passed) > 0
	if first > 0 {
		f.dropped = first - 1
	}
	f.grow()
	return nil
}

// append adds the change to the group if a subscription wants it.
func (f *feed) append(g *group, v table.Version, k table.Key, item table.Item) error {
	if !slices.ContainsFunc(f.subs, func(s table.Subscription) bool { return s.Wants(k) }) {
		return nil
	}
	f.next++
	g.key = appendFeedKey(g.key[:0], f.next)
	g.value = record.AppendChange(g.value[:0], v, k, item)
	return g.batch.Set(g.key, g.value, nil)
}

// dropAtOnce is how many entries one group drops at most.
const dropAtOnce = 1000

// record adds positions to the group, and drops entries that all have passed.
func (f *feed) record(g *group) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dirty {
		return nil
	}
	all := f.end
	for _, s := range f.subs {
		at := f.passed[s.Name]
		all = min(all, at)
		g.key = append(append(g.key[:0], passedSpace), s.Name...)
		g.value = binary.BigEndian.AppendUint64(g.value[:0], at)
		if err := g.batch.Set(g.key, g.value, nil); err != nil {
			return err
		}
	}
	last := min(all, f.dropped+dropAtOnce)
	for f.dropped < last {
		f.dropped++
		g.key = appendFeedKey(g.key[:0], f.dropped)
		// Single: an entry is written once, so its tombstone goes when it meets it.
		if err := g.batch.SingleDelete(g.key, nil); err != nil {
			return err
		}
	}
	f.dirty = last < all
	return nil
}

// publish makes the group's entries visible, now that they are on the disk.
func (f *feed) publish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow()
}

func (f *feed) grow() {
	if f.next > f.end {
		f.end = f.next
		close(f.appended)
		f.appended = make(chan struct{})
	}
}

// forget takes back entries of a group that is not written.
func (f *feed) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.dirty = f.end, true
}

// pending reports whether there is something to record.
func (f *feed) pending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dirty
}

// Subscriptions is table.Feed's.
func (t *Table) Subscriptions() []table.Subscription { return slices.Clone(t.feed.subs) }

// Entries is table.Feed's.
func (t *Table) Entries(ctx context.Context, after uint64, limit int) ([]table.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	end := t.End()
	if after >= end {
		return nil, nil
	}
	db, release, err := t.reader()
	if err != nil {
		return nil, err
	}
	defer release()
	it, err := db.NewIter(&engine.IterOptions{LowerBound: appendFeedKey(nil, after+1), UpperBound: appendFeedKey(nil, end+1)})
	if err != nil {
		return nil, t.failed("read the feed", err)
	}
	entries := make([]table.Entry, 0, min(uint64(limit), end-after))
	for ok := it.First(); ok && len(entries) < limit; ok = it.Next() {
		e := table.Entry{Position: binary.BigEndian.Uint64(it.Key()[1:])}
		if e.Commit, e.Change, err = record.ParseChange(slices.Clone(it.Value())); err != nil {
			break
		}
		e.Change.ID = strconv.FormatUint(e.Position, 10)
		entries = append(entries, e)
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, t.failed("read the feed", err)
	}
	return entries, nil
}

// End is table.Feed's.
func (t *Table) End() uint64 {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	return t.feed.end
}

// Passed is table.Feed's.
func (t *Table) Passed(name string) uint64 {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	return t.feed.passed[name]
}

// Pass is table.Feed's. Positions are stored with the next group of commits,
// or a moment later without one.
func (t *Table) Pass(name string, position uint64) {
	t.feed.mu.Lock()
	position = min(position, t.feed.end)
	grown := position > t.feed.passed[name]
	if grown {
		t.feed.passed[name], t.feed.dirty = position, true
	}
	t.feed.mu.Unlock()
	if grown {
		t.queue.passed()
	}
}

// Appended is table.Feed's.
func (t *Table) Appended() <-chan struct{} {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	return t.feed.appended
}
