package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
)

// held is a file system whose writes of the log can be held up and counted:
// the engine writes it once for each sync, as long as that fits a block.
type held struct {
	mu    sync.Mutex // held to hold up writes
	syncs atomic.Int64
	at    chan struct{} // gets a value when a write begins
}

func (h *held) fs() vfs.FS {
	h.at = make(chan struct{}, 1000)
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".log") {
			h.syncs.Add(1)
			select {
			case h.at <- struct{}{}:
			default:
			}
			h.mu.Lock()
			//lint:ignore SA2001 the lock is only waited for
			h.mu.Unlock()
		}
		return nil
	}))
}

// TestGroup holds that what waits while one commit is synced goes with one
// sync more, that the feed shows nothing before its sync, and that a commit
// that nobody waits for any more is withdrawn if it is not begun.
func TestGroup(t *testing.T) {
	var h held
	p := mustOpen(t, "store", pebble.Options{FS: h.fs(), Subscriptions: crashSubs})
	if _, err := p.Commit(ctx, table.Put(numbered(0), nil)); err != nil {
		t.Fatal(err)
	}
	for len(h.at) > 0 {
		<-h.at
	}
	h.mu.Lock()
	before := h.syncs.Load()
	var commits sync.WaitGroup
	commit := func(ctx context.Context, i int, want error) {
		commits.Go(func() {
			if _, err := p.Commit(ctx, table.Create(eventKey(fmt.Sprint(i)), nil), table.Add(counterKey, 1, 0, 1000)); !errors.Is(err, want) {
				t.Errorf("Commit %d = %v, want %v", i, err, want)
			}
		})
	}
	commit(ctx, 0, nil)
	<-h.at // the first is being synced
	if end := p.End(); end != 0 {
		t.Errorf("End while the first commit is being synced = %d, want 0", end)
	}
	for i := 1; i < 50; i++ {
		commit(ctx, i, nil)
	}
	gone, cancel := context.WithCancel(ctx)
	commit(gone, 99, context.Canceled)
	eventually(t, "50 commits waiting", func() bool { return p.Waiting() == 50 })
	cancel()
	eventually(t, "the withdrawal", func() bool { return p.Waiting() == 49 })
	h.mu.Unlock()
	commits.Wait()
	if n := h.syncs.Load() - before; n != 2 {
		t.Errorf("50 commits, 49 of which waited for the first, took %d syncs, want 2", n)
	}
	if end := p.End(); end != 50 {
		t.Errorf("End after 50 commits = %d, want 50", end)
	}
	if got, err := p.Get(ctx, eventKey("99"), counterKey); err != nil || len(got) != 1 || got[0].N != 50 {
		t.Errorf("after 50 commits and one that was withdrawn Get = %v, %v, want a counter of 50 alone", got, err)
	}
}

// TestClose holds that a commit beside Close is answered and kept, or refused.
func TestClose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	p := mustOpen(t, dir, pebble.Options{Subscriptions: crashSubs})
	const n = 200
	var kept [n]atomic.Bool
	var commits sync.WaitGroup
	var done atomic.Int64
	for w := range 10 {
		commits.Go(func() {
			for i := w; i < n; i += 10 {
				_, err := p.Commit(ctx, table.Put(numbered(i), nil), table.Put(eventKey("x"), nil))
				if err != nil && !errors.Is(err, pebble.ErrClosed) {
					t.Errorf("Commit beside Close = %v, want success or ErrClosed", err)
				}
				kept[i].Store(err == nil)
				done.Add(1)
			}
		})
	}
	eventually(t, "half of the commits", func() bool { return done.Load() > n/2 })
	p.Pass("feed", p.End())
	passed := p.Passed("feed")
	if err := p.Close(); err != nil {
		t.Errorf("Close = %v, want success", err)
	}
	commits.Wait()
	if err := p.Close(); !errors.Is(err, pebble.ErrClosed) {
		t.Errorf("second Close = %v, want ErrClosed", err)
	}
	if _, err := p.Get(ctx, numbered(0)); !errors.Is(err, pebble.ErrClosed) {
		t.Errorf("Get after Close = %v, want ErrClosed", err)
	}
	q := mustOpen(t, dir, pebble.Options{Subscriptions: crashSubs})
	for i := range n {
		if got, err := q.Get(ctx, numbered(i)); err != nil || (len(got) == 1) != kept[i].Load() {
			t.Errorf("after Close commit %d is stored: %t, %v; it was answered: %t", i, len(got) == 1, err, kept[i].Load())
		}
	}
	if at := q.Passed("feed"); at != passed {
		t.Errorf("Passed after Close = %d, want %d", at, passed)
	}
}

// TestExpired holds that items are removed an hour after their expiry, without
// a change in the feed, and that those that were given another stay.
func TestExpired(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().Unix())
	p := mustOpen(t, "store", pebble.Options{
		FS: vfs.NewMem(), Subscriptions: crashSubs, SweepEvery: time.Millisecond,
		Now: func() time.Time { return time.Unix(now.Load(), 0) },
	})
	at := time.Unix(now.Load(), 0).Add(time.Minute)
	put := func(i int, until time.Time) {
		if _, err := p.Commit(ctx, table.Put(numbered(i), nil).Until(until)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1200 { // more than one pass takes
		put(i, at)
	}
	if _, err := p.Commit(ctx, table.Put(eventKey("1"), nil).Until(at)); err != nil {
		t.Fatal(err)
	}
	put(2000, at)
	put(2000, at.Add(24*time.Hour)) // later
	put(2001, at)
	put(2001, time.Time{}) // never
	put(2002, at.Add(24*time.Hour))
	put(2002, at) // earlier
	end := p.End()
	now.Add(3600) // they have expired, and are kept for an hour
	time.Sleep(20 * time.Millisecond)
	if n := p.Removed(); n != 0 {
		t.Errorf("%d items were removed within an hour of their expiry, want none", n)
	}
	now.Add(120)
	eventually(t, "the removal of 1,202 items", func() bool { return p.Removed() >= 1202 })
	left := ""
	for item, err := range p.Query(ctx, "p", table.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		left += item.Sort + " "
	}
	if left != "002000 002001 " || p.Removed() != 1202 {
		t.Errorf("after the removal %q are left and %d removed, want items 2000 and 2001, and 1,202", left, p.Removed())
	}
	if p.End() != end {
		t.Errorf("the removal gave %d changes in the feed, want none", p.End()-end)
	}
	now.Add(48 * 3600)
	eventually(t, "the removal of the item that expired later", func() bool { return p.Removed() == 1203 })
}
