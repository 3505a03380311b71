package app

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"
	"gatehouse/internal/table/record"
)

// Dead is work that was given up: a change that a consumer of the feed failed
// at, or something due.
type Dead struct {
	Consumer string    `json:"consumer"` // "feed", "welcome", or "due"
	At       time.Time `json:"at"`       // zero: the letter is damaged
	Tries    int       `json:"tries"`
	What     string    `json:"what"` // a key or a reference: names no person
}

// DeadList are the arguments of the list.
type DeadList struct {
	Limit int `json:"limit,omitempty"` // how many at most; 0: 1,000
}

// DeadLimit is how long a list is that names no limit.
const DeadLimit = 1000

// Replayed tells how trying again went.
type Replayed struct {
	Done   int `json:"done"`
	Failed int `json:"failed"`
	// Stopped: it was cut short, and there may be more.
	Stopped bool `json:"stopped,omitempty"`
}

// Finished reports whether there is nothing left to do for the consumer about the
// change, whose item is stored as now; the zero Item: it is gone. False says
// nothing.
func Finished(consumer string, c table.Change, now table.Item) bool {
	if _, _, ok := audit.ParseKey(c.Key); consumer != FeedName || !ok {
		return false
	}
	// An event gets its number after its effects. A change that brings one is
	// the feed's own.
	return c.New.N != 0 || now.N != 0
}

// letter is work that was given up, wherever it is kept.
type letter struct {
	Dead
	replay func(context.Context) error
}

// letters yields everything that was given up: the consumers' in the order of
// the feed, then what was due. One that is damaged says so, and cannot be
// replayed; an error is the end.
func (op *Operator) letters(ctx context.Context) iter.Seq2[letter, error] {
	return func(yield func(letter, error) bool) {
		for _, c := range []struct {
			name string
			to   table.Consumer
		}{{FeedName, op.App.Feed()}, {WelcomeName, op.App.Courier}} {
			for d, err := range pump.DeadLetters(ctx, op.App.Table, c.name) {
				l := letter{Dead{c.name, d.Commit.Time(), d.Tries, d.Change.Key.String()},
					func(ctx context.Context) error { return pump.Replay(ctx, op.App.Table, d, c.to) }}
				if !pass(yield, l, err) {
					return
				}
			}
		}
		sweeper := op.App.Sweeper()
		for d, err := range sweeper.DeadLetters(ctx) {
			l := letter{Dead{"due", d.At, d.Tries, d.Ref.Kind + " " + d.Ref.ID},
				func(ctx context.Context) error { return sweeper.Replay(ctx, d) }}
			if !pass(yield, l, err) {
				return
			}
		}
	}
}

// pass yields a letter as it was read and reports whether to go on.
func pass(yield func(letter, error) bool, l letter, err error) bool {
	switch {
	case err == nil:
	case errors.Is(err, record.ErrMalformed), errors.Is(err, due.ErrDamaged):
		l = letter{Dead{Consumer: l.Consumer, What: err.Error()}, func(context.Context) error { return err }}
	default:
		yield(letter{}, err)
		return false
	}
	return yield(l, nil)
}

func (op *Operator) deadList(ctx context.Context, in DeadList) (any, error) {
	if in.Limit < 0 {
		return nil, fault.New(fault.Invalid, "", "The limit of a list is a number above 0.")
	}
	limit := cmp.Or(in.Limit, DeadLimit)
	out := []Dead{}
	for l, err := range op.letters(ctx) {
		if err != nil {
			return nil, err
		}
		if out = append(out, l.Dead); len(out) == limit {
			break
		}
	}
	return out, nil
}

// deadReplay goes once through everything that was given up, page by page, past
// what fails again. It ends early, and says so, when the context ends or the
// table cannot be read any further.
func (op *Operator) deadReplay(ctx context.Context) (any, error) {
	var r Replayed
	for l, err := range op.letters(ctx) {
		if err == nil {
			if err = l.replay(ctx); err == nil {
				r.Done++
				continue
			}
			if ctx.Err() == nil {
				r.Failed++
				op.App.Log.Warn("replay failed", "error", err.Error())
				continue
			}
		}
		if r == (Replayed{}) {
			return nil, err
		}
		r.Stopped = true
		op.App.Log.Warn("replaying stopped", "error", err.Error())
		return r, nil
	}
	return r, nil
}
