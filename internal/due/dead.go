package due

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// ErrDamaged is wrapped by what DeadLetters yields for a letter that cannot be
// read.
var ErrDamaged = errors.New("a damaged dead letter")

// DeadLetters yields the references that were given up, in the order of their
// kinds, organizations and ids. Others follow a damaged one; any other error is
// the end. It reads pages as it goes, so the loop's body may replay.
func (s *Sweeper) DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for it, err := range s.Table.Query(ctx, deadPart, table.Range{}) {
			if err != nil {
				yield(DeadLetter{}, fmt.Errorf("read what was given up: %w", err))
				return
			}
			e, err := decode(it)
			if err != nil {
				err = fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			if !yield(DeadLetter{Ref: e.Ref, At: e.time(), Tries: e.Tries, item: it}, err) {
				return
			}
		}
	}
}

// Dead returns the first limit references that were given up, as DeadLetters
// yields them. A limit of 0 returns all.
func (s *Sweeper) Dead(ctx context.Context, limit int) ([]DeadLetter, error) {
	var out []DeadLetter
	for d, err := range s.DeadLetters(ctx) {
		if err != nil {
			return nil, err
		}
		if out = append(out, d); len(out) == limit {
			break
		}
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
