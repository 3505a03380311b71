package app

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"
)

// Dead is work that was given up: a change that a consumer of the feed failed
// at, or something due.
type Dead struct {
	Consumer string    `json:"consumer"` // "feed", "welcome", or "due"
	At       time.Time `json:"at"`
	Tries    int       `json:"tries"`
	What     string    `json:"what"` // a key or a reference: names no person
}

// Replayed tells how trying again went.
type Replayed struct {
	Done   int `json:"done"`
	Failed int `json:"failed"`
}

// maxDead bounds one list and one replay: what is beyond comes with the next.
const maxDead = 1000

func (a *App) consumers() map[string]table.Consumer {
	return map[string]table.Consumer{FeedName: a.Feed(), WelcomeName: a.Courier}
}

func (op *Operator) deadList(ctx context.Context) (any, error) {
	out := []Dead{}
	for name := range op.App.consumers() {
		letters, err := op.letters(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, d := range letters {
			out = append(out, Dead{Consumer: name, At: d.Commit.Time(), Tries: d.Tries, What: d.Change.Key.String()})
		}
	}
	due, err := op.App.Sweeper().Dead(ctx, maxDead)
	if err != nil {
		return nil, fmt.Errorf("list due work: %w", err)
	}
	for _, d := range due {
		out = append(out, Dead{Consumer: "due", At: d.At, Tries: d.Tries, What: d.Ref.Kind + " " + d.Ref.ID})
	}
	return out, nil
}

func (op *Operator) letters(ctx context.Context, consumer string) ([]pump.DeadLetter, error) {
	var out []pump.DeadLetter
	for d, err := range pump.DeadLetters(ctx, op.App.Table, consumer) {
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		if out = append(out, d); len(out) == maxDead {
			break
		}
	}
	return out, nil
}

func (op *Operator) deadReplay(ctx context.Context) (any, error) {
	var r Replayed
	count := func(err error) {
		if err != nil {
			r.Failed++
			op.App.Log.Warn("replay failed", "error", err.Error())
			return
		}
		r.Done++
	}
	for name, to := range op.App.consumers() {
		letters, err := op.letters(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, d := range letters {
			count(pump.Replay(ctx, op.App.Table, d, to))
		}
	}
	sweeper := op.App.Sweeper()
	due, err := sweeper.Dead(ctx, maxDead)
	if err != nil {
		return nil, fmt.Errorf("list due work: %w", err)
	}
	for _, d := range due {
		count(sweeper.Replay(ctx, d))
	}
	return r, nil
}
