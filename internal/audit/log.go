package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Log is one organization's events in one order, numbered from 1 without gaps.
// Events of one subject stand in it in their own order where the feed delivered
// them so; it promises no more than that about time.
type Log struct {
	org   *org.Org
	table table.Table
}

// LogOf binds an organization's log.
func LogOf(t table.Table, o *org.Org) Log { return Log{org: o, table: t} }

func (l Log) headKey() table.Key { return table.Key{Part: l.org.Part("LOG"), Sort: "#"} }

func (l Log) entryKey(n int64) table.Key {
	return table.Key{Part: l.org.Part("LOG", strconv.FormatInt(n%logShards, 10)), Sort: fmt.Sprintf("%016d", n)}
}

// maxAppend keeps a commit below both of the table's limits: two writes an
// event and one for the counter; an event and its copy are at most 2 x 80 KB.
const (
	maxAppend      = 49
	maxAppendBytes = 3 << 20
)

// Append puts the events, given as their items, into the log: each once,
// however often it is given. The event's own item keeps its number, in the same
// commit, so that a repeat is recognised at any time.
//
// Others who append at the same time, and a table that is busy, are waited for
// until the context ends; without a deadline, for a minute. An error says that
// some of the events may not be in the log.
func (l Log) Append(ctx context.Context, events []table.Item) error {
	var todo []table.Item
	seen := map[table.Key]bool{}
	for _, it := range events {
		if it.Exists() && it.N == 0 && !seen[it.Key] {
			seen[it.Key] = true
			todo = append(todo, it)
		}
	}
	for len(todo) > 0 {
		n, size := 0, 0
		for n < len(todo) && n < maxAppend && size+2*todo[n].Size() <= maxAppendBytes {
			size += 2 * todo[n].Size()
			n++
		}
		if err := l.append(ctx, todo[:max(n, 1)]); err != nil {
			return err
		}
		todo = todo[max(n, 1):]
	}
	return nil
}

// Many append to one log at once, and only one of them can be next. A round that
// others won is followed by another, for as long as the caller has time.
const (
	appendTime  = time.Minute            // for a caller whose context has no end
	firstWait   = 10 * time.Millisecond  // before another round; doubles
	longestWait = 300 * time.Millisecond // which leaves a commit's time to each of a dozen others
	// maxSilent is how many commits in a row may end without a known outcome.
	maxSilent = 5
)

func (l Log) append(ctx context.Context, events []table.Item) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, appendTime)
		defer cancel()
	}
	var because error
	silent := 0
	for round := 0; ; round++ {
		if round > 0 && !sleep(ctx, rand.N(min(firstWait<<min(round-1, 10), longestWait))) {
			return because
		}
		left, last, err := l.state(ctx, events, round > 0)
		if err == nil {
			if events = left; len(events) == 0 {
				return nil
			}
			if silent == maxSilent {
				return because
			}
			if err = l.write(ctx, events, last); err == nil {
				return nil
			}
		}
		// Whatever became of the commit, it is safe to try anew: it holds only
		// while the counter and the events are as they were read.
		switch {
		case table.Conflicts(err), fault.Is(err, fault.Unavailable):
			silent = 0
		case errors.Is(err, table.ErrRefused), errors.Is(err, table.ErrFull), ctx.Err() != nil:
			return err
		default: // the commit may have been carried out: the events' numbers tell
			if silent == maxSilent {
				return err
			}
			silent++
		}
		because = err
	}
}

// state returns the number of the log's latest entry and those of the events
// that have no number yet: read again, or as they were given.
func (l Log) state(ctx context.Context, events []table.Item, again bool) (left []table.Item, last int64, err error) {
	keys := []table.Key{l.headKey()}
	if again {
		for _, it := range events {
			keys = append(keys, it.Key)
		}
	}
	items, err := l.table.Get(ctx, keys...)
	if err != nil {
		return nil, 0, fmt.Errorf("read what is to be appended to the log: %w", err)
	}
	if len(items) > 0 && items[0].Key == l.headKey() {
		last, items = items[0].N, items[1:]
	}
	if !again {
		return events, last, nil
	}
	for _, it := range items {
		if it.N == 0 {
			left = append(left, it)
		}
	}
	return left, last, nil
}

// write is one commit: the counter must be as it was read, which is an Add with
// one allowed outcome.
func (l Log) write(ctx context.Context, events []table.Item, last int64) error {
	n := int64(len(events))
	writes := []table.Write{table.Add(l.headKey(), n, last+n, last+n)}
	for i, it := range events {
		number := last + 1 + int64(i)
		_, subject, _ := ParseKey(it.Key)
		writes = append(writes,
			table.Create(l.entryKey(number), encodeEntry(subject, it)),
			table.Replace(it, it.Data).Count(number))
	}
	if _, err := l.table.Commit(ctx, writes...); err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func encodeEntry(subject string, it table.Item) []byte {
	b := binary.AppendUvarint(nil, uint64(len(subject)))
	b = append(append(b, subject...), it.Sort...)
	return append(b, it.Data...)
}

const eventIDLen = 26

func decodeEntry(it table.Item) (Event, []byte, error) {
	n, w := binary.Uvarint(it.Data)
	if w <= 0 || n > uint64(len(it.Data)-w) || uint64(len(it.Data)-w)-n < eventIDLen {
		return Event{}, nil, fmt.Errorf("read %v: the entry is damaged", it.Key)
	}
	rest := it.Data[w:]
	number, err := strconv.ParseInt(it.Sort, 10, 64)
	if err != nil {
		return Event{}, nil, fmt.Errorf("read %v: the entry is damaged", it.Key)
	}
	return Event{ID: identity.Event(rest[n : n+eventIDLen]), Subject: string(rest[:n]), Number: number, Item: it}, rest[n+eventIDLen:], nil
}

// Last returns the number of the latest entry; 0: the log is empty.
func (l Log) Last(ctx context.Context) (int64, error) {
	items, err := l.table.Get(ctx, l.headKey())
	if err != nil {
		return 0, fmt.Errorf("read the log's counter: %w", err)
	}
	if len(items) == 0 {
		return 0, nil
	}
	return items[0].N, nil
}

// Keys finds the key that sealed a subject's events; nil where it is gone.
type Keys func(ctx context.Context, subject string) (*secret.Key, error)

// Read returns up to count entries from the number on, ascending. Without keys
// the events come without sealed changes.
func (l Log) Read(ctx context.Context, from int64, count int, keys Keys) ([]Event, error) {
	last, err := l.Last(ctx)
	if err != nil {
		return nil, err
	}
	from = max(from, 1)
	var out []Event
	for from <= last && len(out) < count {
		var want []table.Key
		for n := from; n <= last && len(want) < min(count-len(out), table.MaxGet); n++ {
			want = append(want, l.entryKey(n))
		}
		items, err := l.table.Get(ctx, want...)
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		for _, it := range items {
			e, data, err := decodeEntry(it)
			if err != nil {
				return nil, err
			}
			var seal *secret.Key
			if keys != nil {
				if seal, err = keys(ctx, e.Subject); err != nil {
					return nil, err
				}
			}
			full, err := open(data, e.ID, seal)
			if err != nil {
				return nil, fmt.Errorf("read %v: %w", it.Key, err)
			}
			full.Subject, full.Number, full.Item = e.Subject, e.Number, it
			out = append(out, full)
		}
		from += int64(len(want))
	}
	return out, nil
}

// Latest returns the last count entries, newest first.
func (l Log) Latest(ctx context.Context, count int) ([]Event, error) {
	last, err := l.Last(ctx)
	if err != nil {
		return nil, err
	}
	out, err := l.Read(ctx, last-int64(count)+1, count, nil)
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, err
}

// Timeline returns the subject's latest events, newest first.
func (l Log) Timeline(ctx context.Context, subject string, count int, seal *secret.Key) ([]Event, error) {
	var out []Event
	for it, err := range l.table.Query(ctx, l.org.Part("EV", subject), table.Range{Descending: true, Limit: count}) {
		if err != nil {
			return nil, fmt.Errorf("read a timeline: %w", err)
		}
		e, err := Open(it, seal)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
