package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	engine "github.com/cockroachdb/pebble/v2"

	"gatehouse/internal/table"
)

// group is what the committer works with, kept from one group to the next.
type group struct {
	number   uint64 // of the newest group that was begun
	batch    *engine.Batch
	requests []*request
	key      []byte
	value    []byte
	olds     []table.Item
	before   []table.Version
	pending  map[table.Key]table.Item // written by earlier commits of the group; zero: deleted
	refusing bool                     // the last group found no room
}

// idle is how long positions of the feed wait for a commit to ride with.
const idle = 100 * time.Millisecond

// commitAll is the committer.
func (t *Table) commitAll() {
	defer close(t.ended)
	t.group.pending = map[table.Key]table.Item{}
	alone := time.NewTimer(idle)
	alone.Stop()
	sweep := time.NewTicker(t.o.SweepEvery)
	defer sweep.Stop()
	for {
		ride := false
		select {
		case <-t.queue.wake:
		case <-alone.C:
			ride = true
		case <-sweep.C:
			t.sweep()
		}
		list, last := t.queue.take(t.group.requests[:0])
		t.group.requests = list
		if len(list) > 0 || ride || last {
			t.commitGroup(list, last)
			clear(list)
		}
		if last {
			return
		}
		if t.queue.passes.Swap(false) || t.feed.pending() {
			alone.Reset(idle)
		}
	}
}

// commitGroup decides the requests, writes the batch and answers.
func (t *Table) commitGroup(list []*request, last bool) {
	err := t.writable()
	if err == nil {
		if err = t.decide(list); err != nil {
			t.group.batch.Reset()
			t.feed.forget()
		}
	}
	if err == nil {
		err = t.write(len(list) > 0 || last)
	}
	if err == nil {
		t.feed.publish()
	}
	for _, r := range list {
		if err != nil {
			r.version, r.err = "", err
		}
		r.done <- struct{}{}
	}
}

// decide fills the batch with the commits whose conditions hold.
func (t *Table) decide(list []*request) error {
	g := &t.group
	if g.batch == nil {
		g.batch = t.db.NewBatch()
	}
	clear(g.pending)
	now := t.o.Now()
	for _, r := range list {
		if err := t.decideOne(r, now, len(list) > 1); err != nil {
			return err
		}
	}
	if err := t.feed.record(g); err != nil || g.batch.Empty() {
		return err
	}
	g.number++
	return g.batch.Set([]byte{groupSpace}, binary.BigEndian.AppendUint64(g.value[:0], g.number), nil)
}

func (t *Table) decideOne(r *request, now time.Time, shared bool) error {
	g := &t.group
	g.olds, g.before = g.olds[:0], g.before[:0]
	var failed []table.Key
	for i := range r.writes {
		w := &r.writes[i]
		old, ok := g.pending[w.Key]
		if !ok {
			var err error
			if old, err = read(t.db, g.key[:0], w.Key); err != nil {
				r.err = t.failed("read what a commit changes", err) // this commit's alone: nothing is staged of it
				return nil
			}
		}
		g.olds = append(g.olds, old)
		if !w.Holds(old) {
			failed = append(failed, w.Key)
		} else if w.Op != table.OpCheck && old.Exists() {
			g.before = append(g.before, old.Version)
		}
	}
	if failed != nil {
		r.err = &table.ConflictError{Keys: failed}
		return nil
	}
	r.version = table.MintVersion(now, g.before...)
	for i := range r.writes {
		w := &r.writes[i]
		if w.Op == table.OpCheck {
			continue
		}
		next := w.Over(g.olds[i], r.version)
		if err := t.stage(w.Key, g.olds[i], next); err != nil {
			return fmt.Errorf("add an item to a batch: %w", err)
		}
		if err := t.feed.append(g, r.version, w.Key, next); err != nil {
			return fmt.Errorf("add a change to a batch: %w", err)
		}
		if shared {
			g.pending[w.Key] = next
		}
	}
	return nil
}

// write applies the batch. A batch that holds no commit is not synced: it has
// positions of the feed only, which may be lost.
func (t *Table) write(sync bool) (err error) {
	g := &t.group
	if g.batch.Empty() {
		return nil
	}
	o := engine.NoSync
	if sync {
		o = engine.Sync
	}
	if err = applyGuarded(t.db, g.batch, o); err == nil {
		g.batch.Reset()
		return nil
	}
	t.log.Error("the store's log cannot be written: the store is opened anew", "error", err)
	return t.mend(err)
}

func applyGuarded(db *engine.DB, b *engine.Batch, o *engine.WriteOptions) (err error) {
	defer recoverFatal(&err)
	return db.Apply(b, o)
}

// mend opens the engine anew after it could not write its log, and finds out
// what became of the group: it returns nil if it is on the disk.
func (t *Table) mend(because error) error {
	g := &t.group
	g.batch = nil // it belongs to the engine that is going
	t.gate.Lock()
	defer t.gate.Unlock()
	if err := closeEngine(t.db); err != nil {
		t.log.Warn("closing the store after a fault", "error", err)
	}
	t.db = nil
	if err := t.reopen(!full(because) || t.probe() == nil); err != nil {
		return fmt.Errorf("the outcome of the commit is unknown: %w", errors.Join(because, err))
	}
	value, closer, err := t.db.Get([]byte{groupSpace})
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("the outcome of the commit is unknown: %w", errors.Join(because, err))
	}
	stored := err == nil && bytes.Equal(value, binary.BigEndian.AppendUint64(nil, g.number))
	if err == nil {
		err = closer.Close()
	}
	switch {
	case stored && t.readOnly: // in the log, and perhaps not on the disk
		return fmt.Errorf("the outcome of the commit is unknown: %w", errors.Join(because, err))
	case stored:
		return nil
	case full(because):
		return fmt.Errorf("write the store's log: %w: %w", table.ErrFull, because)
	}
	return fmt.Errorf("write the store's log; nothing was stored: %w", because)
}

// reopen opens the engine and takes the feed's state from it. The caller holds
// the gate.
func (t *Table) reopen(room bool) error {
	if err := t.openEngine(room); err != nil {
		return err
	}
	return t.feed.load(t.db, t.readOnly)
}

// writable returns an error unless the engine can take a group now. An engine
// that was opened for reading, or could not be opened at all, is opened again
// once there is room.
func (t *Table) writable() error {
	err := t.room()
	if refuse := err != nil; refuse != t.group.refusing {
		t.group.refusing = refuse
		if refuse {
			t.log.Error("commits are refused", "error", err)
		} else {
			t.log.Info("commits are taken again")
		}
	}
	if err != nil {
		return err
	}
	if t.db != nil && !t.readOnly {
		return nil
	}
	if err := t.probe(); err != nil {
		return err
	}
	t.gate.Lock()
	defer t.gate.Unlock()
	if err := closeEngine(t.db); err != nil {
		t.log.Warn("closing the store that was open for reading only", "error", err)
	}
	t.db, t.group.batch = nil, nil
	if err := t.reopen(true); err != nil {
		return fmt.Errorf("open the store again: %w", err)
	}
	t.log.Info("the store is open for writing again")
	return nil
}
