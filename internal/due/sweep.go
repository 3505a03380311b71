package due

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"gatehouse/internal/table"
)

// MaxTries is how often a handler may fail before its reference is given up:
// about five hours after it was due.
const MaxTries = 10

const (
	// firstLook is how far back the first sweep looks where nobody says since
	// when there can be something.
	firstLook = time.Hour
	// keepEvery is after how many minutes of catching up the cursor is written,
	// so that a sweep that is cut off leaves less to the next.
	keepEvery = 120
	parallel  = 8
)

// Sweeper hands what is due to its handlers. Its methods may be called
// concurrently, by several programs over one table too.
type Sweeper struct {
	Table table.Table
	Now   func() time.Time
	// Handlers by kind. A handler is called at least once for a reference whose
	// time has come, possibly late, twice, or twice at once. Its error keeps
	// the reference for a later minute; after MaxTries errors it becomes a dead
	// letter. A kind without a handler counts as failing: a newer program may
	// have written it.
	Handlers map[string]func(context.Context, Ref) error
	// Since tells the first sweep of a table since when something can be due in
	// it: it was not swept for as long. Nil: an hour.
	Since    func(context.Context) (time.Time, error)
	Parallel int          // references handled at once; 0: 8
	Log      *slog.Logger // nil: slog.Default()
}

// Report counts what a sweep did.
type Report struct {
	Done   int // handled and removed
	Failed int // kept for a later minute
	Dead   int // given up
}

// Sweep handles every reference whose time has come. It goes on past failures
// of handlers, which are logged and kept; its error is the table's or the
// context's, after which the next sweep begins where this one was.
func (s *Sweeper) Sweep(ctx context.Context) (Report, error) {
	now := s.Now().UTC()
	cur, err := s.cursor(ctx, now)
	if err != nil {
		return Report{}, err
	}
	final := minuteOf(now.Add(-Lag)).Add(-time.Minute) // the last minute that nobody writes to any more
	var total tally
	clean := true
	first := cur.minute.Add(time.Minute)
	if recent := final.Add(time.Minute); recent.Before(first) {
		first = recent // the cursor was kept by a clock ahead of ours: nothing recent may be passed over
	}
	for m := first; !m.After(now); m = m.Add(time.Minute) {
		left, err := s.minute(ctx, m, now, &total)
		if err != nil {
			// What is swept stays swept, if the table still takes it.
			return total.report(), errors.Join(err, s.advance(ctx, &cur, cur.reached))
		}
		clean = clean && !left
		if clean && m.After(cur.reached) && !m.After(final) {
			cur.reached = m
			if m.Sub(cur.minute) >= keepEvery*time.Minute {
				if err := s.advance(ctx, &cur, m); err != nil {
					return total.report(), err
				}
			}
		}
	}
	return total.report(), s.advance(ctx, &cur, cur.reached)
}

// minute handles one minute's references and reports whether any is left.
func (s *Sweeper) minute(ctx context.Context, minute, now time.Time, total *tally) (left bool, err error) {
	var (
		work  sync.WaitGroup
		mu    sync.Mutex
		fails []error
	)
	slots := make(chan struct{}, parallelOr(s.Parallel))
	note := func(kept bool, err error) {
		mu.Lock()
		defer mu.Unlock()
		left = left || kept
		if err != nil {
			fails = append(fails, err)
		}
	}
	for shard := range Shards {
		for it, err := range s.Table.Query(ctx, partOf(minute, shard), table.Range{}) {
			if err != nil {
				note(true, fmt.Errorf("read what is due: %w", err))
				break
			}
			e, err := decode(it)
			if err != nil {
				// Nobody can handle it: an operator shall see it, and it must
				// not hold up the rest.
				s.log().ErrorContext(ctx, "due: damaged reference", "key", it.Key.String())
				continue
			}
			if e.time().After(now) {
				note(true, nil)
				continue
			}
			slots <- struct{}{}
			work.Go(func() {
				defer func() { <-slots }()
				note(s.one(ctx, it, e, now, total))
			})
		}
	}
	work.Wait()
	return left, errors.Join(fails...)
}

func parallelOr(n int) int {
	if n > 0 {
		return n
	}
	return parallel
}

// one handles one reference and reports whether it is still where it was.
func (s *Sweeper) one(ctx context.Context, it table.Item, e entry, now time.Time, total *tally) (kept bool, err error) {
	if ctx.Err() != nil {
		return true, ctx.Err()
	}
	failure := s.handle(ctx, e.Ref)
	if failure != nil && ctx.Err() != nil {
		return true, ctx.Err() // cut off, not failed
	}
	writes := []table.Write{table.Delete(it)}
	if failure != nil {
		e.Tries++
		level := slog.LevelWarn
		if e.Tries >= MaxTries {
			level = slog.LevelError
			writes = append(writes, table.Put(table.Key{Part: deadPart, Sort: it.Sort}, e.encode()))
		} else {
			e.At = now.Add(backoff(e.Tries)).UnixMilli()
			writes = append(writes, e.write())
		}
		s.log().Log(ctx, level, "due: handler failed", "kind", e.Kind, "org", string(e.Org), "tries", e.Tries, "dead", e.Tries >= MaxTries, "error", failure.Error())
	}
	// The delete is conditional: a reference that was written again meanwhile
	// is due again, and one that another sweep took is gone.
	_, err = s.Table.Commit(ctx, writes...)
	switch {
	case table.Conflicts(err):
		return true, nil
	case err != nil:
		return true, fmt.Errorf("remove what was due: %w", err)
	}
	total.count(failure != nil, e.Tries >= MaxTries)
	return false, nil
}

func (s *Sweeper) handle(ctx context.Context, ref Ref) (err error) {
	handler := s.Handlers[ref.Kind]
	if handler == nil {
		return errors.New("no handler of this kind")
	}
	defer func() {
		// What was panicked with may name a person; where it happened does not.
		if recover() != nil {
			err = fmt.Errorf("the handler panicked\n%s", debug.Stack())
		}
	}()
	return handler(ctx, ref)
}

// backoff is how long a reference waits after its n-th failure: one minute,
// doubling up to an hour.
func backoff(n int) time.Duration {
	return min(time.Minute<<(min(n, 10)-1), time.Hour)
}

func (s *Sweeper) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

// cursor is how far all is swept.
type cursor struct {
	item    table.Item // zero: never written
	minute  time.Time  // stored
	reached time.Time  // by this sweep
}

func (s *Sweeper) cursor(ctx context.Context, now time.Time) (cursor, error) {
	items, err := s.Table.Get(ctx, cursorKey)
	if err != nil {
		return cursor{}, fmt.Errorf("read how far all is swept: %w", err)
	}
	if len(items) == 0 {
		since := now.Add(-firstLook)
		if s.Since != nil {
			if since, err = s.Since(ctx); err != nil {
				return cursor{}, fmt.Errorf("find where the first sweep begins: %w", err)
			}
		}
		m := minuteOf(since.Add(-Lag))
		return cursor{minute: m, reached: m}, nil
	}
	m, err := time.Parse(minuteForm, string(items[0].Data))
	if err != nil {
		return cursor{}, fmt.Errorf("read %v: the item is damaged", cursorKey)
	}
	return cursor{item: items[0], minute: m, reached: m}, nil
}

// advance writes the cursor. Of two sweeps at once one loses, and the next
// sweep begins where the other was: looking twice is harmless.
func (s *Sweeper) advance(ctx context.Context, c *cursor, to time.Time) error {
	if !to.After(c.minute) {
		return nil
	}
	data := []byte(to.Format(minuteForm))
	w := table.Create(cursorKey, data)
	if c.item.Exists() {
		w = table.Replace(c.item, data)
	}
	v, err := s.Table.Commit(ctx, w)
	switch {
	case table.Conflicts(err):
		c.minute = to // another sweep keeps it; write no more in this one
		c.item = table.Item{}
		return nil
	case err != nil:
		return fmt.Errorf("keep how far all is swept: %w", err)
	}
	c.item = table.Item{Key: cursorKey, Version: v, Data: data}
	c.minute = to
	return nil
}

type tally struct {
	mu sync.Mutex
	r  Report
}

func (t *tally) count(failed, dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !failed:
		t.r.Done++
	case dead:
		t.r.Dead++
	default:
		t.r.Failed++
	}
}

func (t *tally) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.r
}
