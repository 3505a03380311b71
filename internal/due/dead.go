package due

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/table"
)

// DeadLetter is a reference whose handler failed MaxTries times.
type DeadLetter struct {
	Ref   Ref
	At    time.Time // when it was due last
	Tries int
	item  table.Item
}

// Dead returns the first limit references that were given up, in the order of
// their kinds, organizations and ids. A limit of 0 returns all.
func (s *Sweeper) Dead(ctx context.Context, limit int) ([]DeadLetter, error) {
	var out []DeadLetter
	for it, err := range s.Table.Query(ctx, deadPart, table.Range{Limit: limit}) {
		if err != nil {
			return nil, fmt.Errorf("read what was given up: %w", err)
		}
		e, err := decode(it)
		if err != nil {
			return nil, err
		}
		out = append(out, DeadLetter{Ref: e.Ref, At: e.time(), Tries: e.Tries, item: it})
	}
	return out, nil
}

// Replay makes the reference due now, with all its tries again. A letter that
// somebody else replayed meanwhile gives NotFound.
func (s *Sweeper) Replay(ctx context.Context, d DeadLetter) error {
	_, err := s.Table.Commit(ctx, table.Delete(d.item), At(s.Now(), d.Ref))
	if table.Conflicts(err) {
		return fault.New(fault.NotFound, "", "There is no such dead letter any more.")
	}
	if err != nil {
		return fmt.Errorf("replay a dead letter: %w", err)
	}
	return nil
}
