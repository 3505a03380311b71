package dynamo

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"
)

// When a change is given up. Lambda repeats a batch at once, so the number of
// tries alone would give up what a minute would have mended.
const (
	buryTries = 8
	buryAfter = time.Minute
	// keepTries is how long tries are remembered after the first, by the
	// table's removal of what has expired. A stream lasts as long.
	keepTries = 24 * time.Hour
)

// triesKey names the item that counts the failed tries of one record: its
// counter is their number, and it expires a day after the first.
func triesKey(consumer, sequence string) table.Key {
	return table.Key{
		Part: "TRY#" + consumer,
		Sort: strings.Repeat("0", max(0, maxSequence-len(sequence))) + sequence,
	}
}

// bury counts a try of each change and buries those that have had enough,
// which are failed no longer. What cannot be counted or buried stays failed and
// comes again.
func (s *Stream) bury(ctx context.Context, tried []*delivery) {
	now := s.now()
	var keys []table.Key
	var counts []table.Write
	of := map[table.Key]*delivery{}
	for _, d := range tried {
		k := triesKey(s.Name, d.Change.ID)
		if of[k] != nil || len(keys) == table.MaxWrites { // more are never in one batch of the mapping
			continue
		}
		of[k], keys = d, append(keys, k)
		// Add, since two deliveries of one record may fail at once.
		counts = append(counts, table.Add(k, 1, 0, math.MaxInt64).Until(now.Add(keepTries)))
	}
	if _, err := s.Table.Commit(ctx, counts...); err != nil {
		s.log().Error("counting failed tries failed", "error", err)
		return
	}
	items, err := s.Table.Get(ctx, keys...)
	if err != nil {
		s.log().Error("reading failed tries failed", "error", err)
		return
	}
	for _, item := range items {
		began := item.Expires.Add(-keepTries) // cut to the second: never too late
		if item.N < buryTries || now.Sub(began) < buryAfter+time.Second {
			continue
		}
		d, tries := of[item.Key], int(item.N)
		if err := s.write(ctx, d, tries); err != nil {
			s.log().Error("writing a dead letter failed", "error", err)
			continue
		}
		d.failed = false
		s.log().Error("a change became a dead letter", "key", d.Change.Key.String(), "tries", tries, "error", d.err)
	}
}

func (s *Stream) write(ctx context.Context, d *delivery, tries int) error {
	entry := table.Entry{Commit: d.Commit(), Change: d.Change}
	if errors.Is(d.err, ErrMalformed) && !d.Change.New.Exists() { // there is no image, which does not mean that it was deleted
		return pump.BuryUnread(ctx, s.Table, s.Name, entry, tries, d.err)
	}
	return pump.Bury(ctx, s.Table, s.Name, entry, tries, d.err)
}
