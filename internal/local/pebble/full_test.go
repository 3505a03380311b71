package pebble_test

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
)

// disk is a file system in memory that can be full: for files whose name ends
// so, for all, or by its own account.
type disk struct {
	vfs.FS
	suffix atomic.Pointer[string]
	free   atomic.Uint64
}

func newDisk() *disk {
	d := &disk{}
	d.free.Store(1 << 40)
	d.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		suffix := d.suffix.Load()
		if strings.HasPrefix(path.Base(op.Path), "MANIFEST") {
			return nil // no room for that ends the process, as the package says
		}
		hit := suffix != nil && (strings.HasSuffix(op.Path, *suffix) || strings.HasSuffix(op.Path, ".room"))
		if !hit || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		switch op.Kind {
		case errorfs.OpFileClose, errorfs.OpRemove, errorfs.OpFileSync, errorfs.OpMkdirAll, errorfs.OpLock:
			// These need no room, or find what they make.
			return nil
		}
		return syscall.ENOSPC
	}))
	return d
}

func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: 1 << 40}, nil
}

func (d *disk) fill(suffix string) { d.suffix.Store(&suffix) }
func (d *disk) empty()             { d.suffix.Store(nil) }

func mustOpen(t *testing.T, dir string, o pebble.Options) *pebble.Table {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	p, err := pebble.Open(dir, o)
	if err != nil {
		t.Fatalf("Open = %v, want success", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func numbered(i int) table.Key { return table.Key{Part: "p", Sort: fmt.Sprintf("%06d", i)} }

// eventually calls f until it returns true, for ten seconds at most.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come true within 10 s", what)
		}
	}
}

// TestFullDisk fills the disk for each kind of file while commits go on from
// several sides. Commits are refused with ErrFull and nothing of them stays,
// reads go on, and commits go through again once there is room.
func TestFullDisk(t *testing.T) {
	for _, suffix := range []string{".log", ".sst", ""} {
		t.Run("files "+suffix, func(t *testing.T) {
			d := newDisk()
			o := pebble.Options{FS: d, MemTableSize: 128 << 10, Subscriptions: crashSubs}
			p := mustOpen(t, "store", o)
			var mu sync.Mutex
			acked, refused, next := map[int]table.Version{}, map[int]bool{}, 0
			write := func() error {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				v, err := p.Commit(ctx, table.Create(numbered(i), make([]byte, 3000)), table.Create(eventKey(fmt.Sprint(i)), nil))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					acked[i] = v
				case errors.Is(err, table.ErrFull):
					refused[i] = true
				default:
					t.Errorf("Commit on a full disk = %v, want ErrFull", err)
				}
				return err
			}
			for range 3 {
				for range 20 {
					if err := write(); err != nil {
						t.Fatalf("Commit with room on the disk = %v, want success", err)
					}
				}
				d.fill(suffix)
				var writers sync.WaitGroup
				for range 4 {
					writers.Go(func() {
						for range 200 {
							write()
						}
					})
				}
				writers.Wait()
				if err := write(); !errors.Is(err, table.ErrFull) {
					t.Errorf("Commit after 800 on a full disk = %v, want ErrFull", err)
				}
				for i, v := range acked {
					if got, err := p.Get(ctx, numbered(i)); err != nil || len(got) != 1 || got[0].Version != v {
						t.Fatalf("Get of commit %d while the disk is full = %v, %v, want it", i, got, err)
					}
				}
				d.empty()
				eventually(t, "a commit with room again", func() bool { return write() == nil })
			}
			check := func(when string, p *pebble.Table) {
				for i := range next {
					got, err := p.Get(ctx, numbered(i), eventKey(fmt.Sprint(i)))
					if err != nil {
						t.Fatalf("Get %s = %v, want success", when, err)
					}
					if _, ok := acked[i]; ok && len(got) != 2 {
						t.Errorf("%s %d of 2 items of the acknowledged commit %d are there", when, len(got), i)
					}
					if refused[i] && len(got) != 0 {
						t.Errorf("%s %d items of the refused commit %d are there, want none", when, len(got), i)
					}
				}
				if p.End() != uint64(len(acked)) {
					t.Errorf("%s the feed ends at %d, want %d", when, p.End(), len(acked))
				}
			}
			check("with room again", p)
			if err := p.Close(); err != nil {
				t.Errorf("Close = %v, want success", err)
			}
			check("after reopening", mustOpen(t, "store", o))
			if len(refused) == 0 || len(acked) < 60 {
				t.Errorf("%d commits were refused and %d acknowledged, want some and at least 60", len(refused), len(acked))
			}
		})
	}
}

func TestReserve(t *testing.T) {
	d := newDisk()
	p := mustOpen(t, "store", pebble.Options{FS: d, Reserve: 1 << 20})
	if _, err := p.Commit(ctx, table.Put(numbered(1), nil)); err != nil {
		t.Fatal(err)
	}
	d.free.Store(1<<20 - 1)
	if _, err := p.Commit(ctx, table.Put(numbered(2), nil)); !errors.Is(err, table.ErrFull) {
		t.Errorf("Commit below the reserve = %v, want ErrFull", err)
	}
	if got, err := p.Get(ctx, numbered(1), numbered(2)); err != nil || len(got) != 1 {
		t.Errorf("Get below the reserve = %d items, %v, want 1", len(got), err)
	}
	d.free.Store(1 << 20)
	if _, err := p.Commit(ctx, table.Put(numbered(2), nil)); err != nil {
		t.Errorf("Commit with the reserve free = %v, want success", err)
	}
}

func TestOpenOnAFullDisk(t *testing.T) {
	d := newDisk()
	d.free.Store(0)
	if _, err := pebble.Open("store", pebble.Options{FS: d, Logger: quiet}); !errors.Is(err, table.ErrFull) {
		t.Fatalf("Open of a new store on a full disk = %v, want ErrFull", err)
	}
	d.free.Store(1 << 40)
	p := mustOpen(t, "store", pebble.Options{FS: d})
	v, err := p.Commit(ctx, table.Put(numbered(1), []byte("kept")))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	d.free.Store(0)
	d.fill("")
	p = mustOpen(t, "store", pebble.Options{FS: d})
	if got, err := p.Get(ctx, numbered(1)); err != nil || len(got) != 1 || got[0].Version != v {
		t.Errorf("Get from a store that was opened on a full disk = %v, %v, want the item", got, err)
	}
	if _, err := p.Commit(ctx, table.Put(numbered(2), nil)); !errors.Is(err, table.ErrFull) {
		t.Errorf("Commit to a store that was opened on a full disk = %v, want ErrFull", err)
	}
	d.free.Store(1 << 40)
	d.empty()
	eventually(t, "a commit with room again", func() bool {
		_, err := p.Commit(ctx, table.Put(numbered(2), nil))
		return err == nil
	})
	if got, err := p.Get(ctx, numbered(1), numbered(2)); err != nil || len(got) != 2 {
		t.Errorf("Get with room again = %d items, %v, want 2", len(got), err)
	}
}
