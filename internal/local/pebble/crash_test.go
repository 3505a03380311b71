package pebble_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
)

const (
	crashRounds = 25        // stores that are crashed
	crashPoints = 40 / slow // in each of them
	writers     = 6
)

// story is what the writers of one store did.
type story struct {
	mu      sync.Mutex
	begun   []string                 // ids of all commits that were begun
	acked   map[string]table.Version // of those that were answered
	deleted map[string]bool          // whose deletion was begun
}

// told is what was known when a crash happened.
type told struct {
	begun   []string
	acked   map[string]table.Version
	deleted map[string]bool
	passed  uint64
}

func (s *story) tell(p *pebble.Table) told {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := told{begun: append([]string(nil), s.begun...), acked: map[string]table.Version{}, deleted: map[string]bool{}}
	for id, v := range s.acked {
		out.acked[id] = v
	}
	for id := range s.deleted {
		out.deleted[id] = true
	}
	out.passed = p.Passed("feed")
	return out
}

// The commit of an id: three items in three partitions, one of them wanted by
// the feed, and a counter of all.
func userKey(id string) table.Key  { return table.Key{Part: "user", Sort: id} }
func claimKey(id string) table.Key { return table.Key{Part: "claim#" + id, Sort: "#"} }
func eventKey(id string) table.Key { return table.Key{Part: "event#" + id, Sort: "1"} }

var (
	counterKey = table.Key{Part: "counter", Sort: "#"}
	crashSubs  = []table.Subscription{{Name: "feed", Wants: func(k table.Key) bool { return len(k.Part) > 6 && k.Part[:6] == "event#" }}}
)

func (s *story) write(p *pebble.Table, rng *rand.Rand, id string, size int) error {
	s.mu.Lock()
	s.begun = append(s.begun, id)
	s.mu.Unlock()
	v, err := p.Commit(ctx, table.Create(userKey(id), make([]byte, rng.IntN(size))), table.Create(claimKey(id), []byte(id)),
		table.Create(eventKey(id), []byte(id)), table.Add(counterKey, 1, 0, 1<<40))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.acked[id] = v
	s.mu.Unlock()
	if rng.IntN(8) > 0 {
		return nil
	}
	// Some are deleted again, by a commit of several items too.
	items, err := p.Get(ctx, userKey(id), claimKey(id))
	if err != nil {
		return err
	}
	if len(items) != 2 {
		return fmt.Errorf("an acknowledged commit has %d of 2 items", len(items))
	}
	s.mu.Lock()
	s.deleted[id] = true
	s.mu.Unlock()
	_, err = p.Commit(ctx, table.Delete(items[0]), table.Delete(items[1]), table.Add(counterKey, -1, 0, 1<<40))
	return err
}

// TestCrash cuts the power 1,000 times, or 100 under the race detector, while
// commits go on, keeping more or less of what was not synced, and looks at what
// the disk holds then.
func TestCrash(t *testing.T) {
	var points, lost, unknown atomic.Int64
	for round := range crashRounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			crashOne(t, uint64(round), &points, &lost, &unknown)
		})
	}
	t.Cleanup(func() {
		t.Logf("%d crash points: %d commits were lost before they were answered, %d survived though they were not", points.Load(), lost.Load(), unknown.Load())
		if want := int64(crashRounds * crashPoints); points.Load() != want && !t.Failed() {
			t.Errorf("%d crash points, want %d", points.Load(), want)
		}
	})
}

func crashOne(t *testing.T, seed uint64, points, lost, unknown *atomic.Int64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := vfs.NewCrashableMem()
	o := pebble.Options{Subscriptions: crashSubs, Logger: quiet, FS: steady{disk}, MemTableSize: 64 << 10, CacheSize: 1 << 20}
	p, err := pebble.Open("store", o)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{acked: map[string]table.Version{}, deleted: map[string]bool{}}
	stop, tickets := make(chan struct{}), make(chan struct{}, 1000)
	var running sync.WaitGroup
	for w := range writers {
		own := rand.New(rand.NewPCG(seed, uint64(100+w)))
		running.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-tickets:
				}
				if err := s.write(p, own, fmt.Sprintf("%d-%05d", w, i), 1500); err != nil {
					t.Errorf("Commit while nothing is wrong = %v, want success", err)
					return
				}
			}
		})
	}
	running.Go(func() { // a consumer that passes what it sees
		for {
			appended := p.Appended()
			p.Pass("feed", p.End())
			select {
			case <-appended:
			case <-stop:
				return
			}
		}
	})
	for range crashPoints {
		// Somewhere within the next commits, which then wait for the next point.
		for range writers + rng.IntN(writers) {
			tickets <- struct{}{}
		}
		for left := rng.IntN(writers); len(tickets) > left; {
			runtime.Gosched()
		}
		before := s.tell(p)
		crashed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		after := s.tell(p)
		points.Add(1)
		examine(t, crashed, o, before, after, lost, unknown)
		if t.Failed() {
			break
		}
	}
	close(stop)
	running.Wait()
	if err := p.Close(); err != nil {
		t.Errorf("Close = %v, want success", err)
	}
}

// steady is a crashable file system without the call that locks it twice, which
// a clone in between would stop for good.
type steady struct{ *vfs.MemFS }

func (s steady) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := s.Remove(oldname); err != nil {
		return nil, err
	}
	return s.Create(newname, c)
}

// examine opens what a crash left, between two tellings of the story.
func examine(t *testing.T, disk *vfs.MemFS, o pebble.Options, before, after told, lost, unknown *atomic.Int64) {
	t.Helper()
	o.FS = disk
	p, err := pebble.Open("store", o)
	if err != nil {
		t.Fatalf("Open after a crash = %v, want success", err)
	}
	defer p.Close()
	fed := map[string]int{}
	at := p.Passed("feed")
	if at > after.passed {
		t.Errorf("Passed after a crash = %d, want no more than %d", at, after.passed)
	}
	first := uint64(0)
	for read := uint64(0); ; {
		entries, err := p.Entries(ctx, read, 1000)
		if err != nil {
			t.Fatalf("Entries after a crash = %v, want success", err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if first == 0 {
				first = e.Position
			} else if e.Position != read+1 {
				t.Errorf("entry %d follows %d after a crash", e.Position, read)
			}
			read = e.Position
			fed[string(e.Change.New.Data)]++
			if got, _ := p.Get(ctx, e.Change.Key); len(got) != 1 || got[0].Version != e.Commit {
				t.Errorf("entry %d names commit %s; its item is %v", e.Position, e.Commit, got)
			}
		}
	}
	if first > at+1 {
		t.Errorf("the first entry after a crash is %d and position %d was passed: entries between are missing", first, at)
	}
	count, events := int64(0), 0
	for _, id := range after.begun {
		items, err := p.Get(ctx, userKey(id), claimKey(id), eventKey(id))
		if err != nil {
			t.Fatalf("Get after a crash = %v, want success", err)
		}
		whole := len(items) == 3 && items[0].Version == items[1].Version && items[1].Version == items[2].Version
		removed := len(items) == 1 && items[0].Key == eventKey(id) && after.deleted[id]
		if len(items) != 0 && !whole && !removed {
			t.Errorf("after a crash %d items of the commit %s are there, want all or none", len(items), id)
		}
		if v, ok := before.acked[id]; ok && (len(items) == 0 || items[len(items)-1].Version != v) {
			t.Errorf("after a crash the acknowledged commit %s is not there", id)
		} else if !ok && len(items) == 0 {
			lost.Add(1)
		} else if _, answered := after.acked[id]; !answered {
			unknown.Add(1)
		}
		if whole {
			count++
		}
		if len(items) > 0 {
			events++
			if uint64(events) > p.End() {
				t.Errorf("after a crash there are more events than the feed ever had entries, %d", p.End())
			}
		}
		if len(items) == 0 && fed[id] > 0 || fed[id] > 1 {
			t.Errorf("after a crash the feed brings %s %d times, with %d items stored", id, fed[id], len(items))
		}
	}
	if uint64(events) != p.End() {
		t.Errorf("after a crash the feed ends at %d with %d events stored", p.End(), events)
	}
	counter, err := p.Get(ctx, counterKey)
	if err != nil {
		t.Fatal(err)
	}
	if len(counter) == 0 && count > 0 || len(counter) == 1 && counter[0].N != count {
		t.Errorf("after a crash the counter is %v with %d users stored", counter, count)
	}
	if _, err := p.Commit(ctx, table.Put(eventKey("after"), []byte("after"))); err != nil {
		t.Errorf("Commit after a crash = %v, want success", err)
	}
	if got, err := p.Entries(ctx, p.End()-1, 1); err != nil || len(got) != 1 || got[0].Change.Key != eventKey("after") {
		t.Errorf("the entry of a commit after a crash = %v, %v", got, err)
	}
}

// TestCrashWhileMade cuts the power before each step in which a store is made:
// what is left opens as a new store or as the one that was made.
func TestCrashWhileMade(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	points := 0
	for round := range 4 {
		disk := vfs.NewCrashableMem()
		var mu sync.Mutex
		var clones []*vfs.MemFS
		p, err := pebble.Open("store", pebble.Options{Logger: quiet, FS: errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				mu.Lock()
				defer mu.Unlock()
				clones = append(clones, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
			}
			return nil
		}))})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		for step, crashed := range clones {
			points++
			p, err := pebble.Open("store", pebble.Options{Logger: quiet, FS: crashed})
			if err != nil {
				t.Errorf("round %d: Open after a crash before step %d of making a store = %v, want success", round, step, err)
				continue
			}
			if _, err := p.Commit(ctx, table.Put(counterKey, nil)); err != nil {
				t.Errorf("Commit = %v, want success", err)
			}
			if err := p.Close(); err != nil {
				t.Errorf("Close = %v, want success", err)
			}
		}
	}
	t.Logf("%d crash points", points)
}
