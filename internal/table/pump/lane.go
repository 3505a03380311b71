package pump

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/internal/table"
)

// lane is one consumer's way through the feed, run by one goroutine.
type lane struct {
	Route
	p       *Pump
	wants   table.Wanted
	log     *slog.Logger
	failing atomic.Int64

	read uint64              // the newest entry taken from the feed
	held map[table.Key]*held // keys with a change that failed
	past [][]table.Change    // batches that chaos may repeat
}

// held is what waits of one key: a change that failed, and what came after it.
type held struct {
	waiting []*delivery // in commit order, never empty
	due     time.Time
}

type delivery struct {
	table.Entry
	tries int
	alone bool // its batch made the consumer panic: it may have been this one
}

// heldMax is how many changes are held back before the lane stops reading on:
// a bound on memory, and far more than fail but when everything does.
const heldMax = 10_000

// readAtOnce is how many entries are read from the feed in one go.
const readAtOnce = 256

func (l *lane) run(ctx context.Context) {
	l.read, l.held = l.p.feed.Passed(l.Name), map[table.Key]*held{}
	defer l.failing.Store(0)
	for ctx.Err() == nil {
		appended := l.p.feed.Appended() // before reading, so that no entry slips between
		batch, err := l.take(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			l.log.Error("reading the feed failed", "error", err)
			sleep(ctx, time.Second)
			continue
		}
		if len(batch) > 0 {
			l.deliver(ctx, batch)
		}
		l.pass()
		if len(batch) == 0 {
			l.wait(ctx, appended)
		}
	}
}

// wait returns when there may be something to take.
func (l *lane) wait(ctx context.Context, appended <-chan struct{}) {
	var retry <-chan time.Time
	if due, ok := l.nextDue(); ok {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		retry = t.C
	}
	if l.failing.Load() >= heldMax {
		appended = nil // new entries cannot be taken before old ones go
	}
	select {
	case <-appended:
	case <-retry:
	case <-ctx.Done():
	}
}

func (l *lane) nextDue() (first time.Time, ok bool) {
	for _, h := range l.held {
		if !ok || h.due.Before(first) {
			first, ok = h.due, true
		}
	}
	return first, ok
}

// take returns the next batch: first what is due again, then new entries.
func (l *lane) take(ctx context.Context) ([]*delivery, error) {
	batch := l.takeDue(time.Now())
	if len(batch) > 0 && batch[0].alone {
		return batch, nil
	}
	batch, err := l.takeNew(ctx, batch)
	if err != nil || l.Gather == 0 || len(batch) == 0 || len(batch) >= l.p.o.Batch {
		return batch, err
	}
	sleep(ctx, l.Gather)
	return l.takeNew(ctx, batch)
}

func (l *lane) takeDue(now time.Time) (batch []*delivery) {
	var due []*held
	for _, h := range l.held {
		if !h.due.After(now) {
			due = append(due, h)
		}
	}
	slices.SortFunc(due, func(a, b *held) int { return cmp.Compare(a.waiting[0].Position, b.waiting[0].Position) })
	for _, h := range due {
		n := min(l.p.o.Batch-len(batch), len(h.waiting))
		if h.waiting[0].alone {
			if len(batch) > 0 {
				continue
			}
			n = 1
		}
		batch = append(batch, h.waiting[:n]...)
		l.failing.Add(-int64(n))
		if h.waiting = h.waiting[n:]; len(h.waiting) == 0 {
			delete(l.held, batch[len(batch)-1].Change.Key)
		}
		if len(batch) >= l.p.o.Batch || batch[0].alone {
			break
		}
	}
	return batch
}

// takeNew adds entries from the feed until the batch is full or the feed at
// its end. What follows a held change is held too.
func (l *lane) takeNew(ctx context.Context, batch []*delivery) ([]*delivery, error) {
	for len(batch) < l.p.o.Batch && l.failing.Load() < heldMax {
		entries, err := l.p.feed.Entries(ctx, l.read, readAtOnce)
		if err != nil {
			return l.undo(batch), err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if len(batch) >= l.p.o.Batch {
				break
			}
			l.read = e.Position
			if !l.wants(e.Change.Key) {
				continue
			}
			d := &delivery{Entry: e}
			if h := l.held[e.Change.Key]; h != nil {
				h.waiting = append(h.waiting, d)
				l.failing.Add(1)
				continue
			}
			batch = append(batch, d)
		}
	}
	return batch, nil
}

// undo holds a batch that cannot be completed, so that none of it is lost.
func (l *lane) undo(batch []*delivery) []*delivery {
	l.hold(batch, func(int) time.Duration { return 0 })
	return nil
}

// deliver hands the batch to the consumer and settles what failed.
func (l *lane) deliver(ctx context.Context, batch []*delivery) {
	changes := make([]table.Change, len(batch))
	for i, d := range batch {
		changes[i] = d.Change
	}
	errs, panicked := l.consume(ctx, changes)
	var again []*delivery
	failed := map[table.Key]bool{}
	count, because := 0, error(nil)
	for i, d := range batch {
		switch k := d.Change.Key; {
		case failed[k]:
			again = append(again, d)
		case errs != nil && errs[i] != nil:
			if ctx.Err() != nil { // it failed because we end; that is no try
				failed[k], again = true, append(again, d)
				continue
			}
			count, because = count+1, errs[i]
			d.tries++
			d.alone = panicked
			if d.tries >= l.p.o.Tries && l.bury(ctx, d, errs[i]) {
				continue
			}
			failed[k], again = true, append(again, d)
		}
	}
	if count > 0 {
		l.log.Warn("changes failed", "changes", count, "of", len(batch), "error", because)
	}
	l.hold(again, l.p.o.Backoff)
}

// hold puts deliveries back before what waits of their keys already.
func (l *lane) hold(ds []*delivery, backoff func(tries int) time.Duration) {
	before := map[table.Key][]*delivery{}
	for _, d := range ds {
		before[d.Change.Key] = append(before[d.Change.Key], d)
	}
	for k, list := range before {
		l.failing.Add(int64(len(list)))
		due := time.Now()
		if list[0].tries > 0 {
			due = due.Add(backoff(list[0].tries))
		}
		if h := l.held[k]; h != nil {
			h.waiting, h.due = append(list, h.waiting...), due
			continue
		}
		l.held[k] = &held{waiting: list, due: due}
	}
}

// bury makes a change a dead letter. While that cannot be written, the change
// is held on.
func (l *lane) bury(ctx context.Context, d *delivery, reason error) bool {
	if err := Bury(ctx, l.p.table, l.Name, d.Entry, d.tries, reason); err != nil {
		l.log.Error("writing a dead letter failed", "error", err)
		return false
	}
	l.log.Error("a change became a dead letter", "key", d.Change.Key.String(), "tries", d.tries, "error", reason)
	return true
}

// consume calls the consumer, with chaos if the test wants it. A panic counts
// as the failure of all changes.
func (l *lane) consume(ctx context.Context, changes []table.Change) (errs []error, panicked bool) {
	defer func() {
		if r := recover(); r != nil {
			errs, panicked = fail(changes, fmt.Errorf("the consumer panicked with a %T", r)), true
		}
	}()
	call := func(batch []table.Change) []error {
		errs := l.To.Consume(ctx, batch)
		if errs != nil && len(errs) != len(batch) {
			return fail(batch, fmt.Errorf("the consumer answered %d changes with %d errors", len(batch), len(errs)))
		}
		return errs
	}
	if c := l.p.o.Chaos; c != nil {
		return c.deliver(l, changes, call), false
	}
	return call(changes), false
}

func fail(changes []table.Change, err error) []error {
	errs := make([]error, len(changes))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// pass records how far everything is done.
func (l *lane) pass() {
	done := l.read
	for _, h := range l.held {
		done = min(done, h.waiting[0].Position-1)
	}
	if done > l.p.feed.Passed(l.Name) {
		l.p.feed.Pass(l.Name, done)
		l.p.tell()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
