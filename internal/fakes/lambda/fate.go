package lambda

import (
	"context"
	"sync"
	"time"
)

// Call is an invocation as a plan sees it.
type Call struct {
	Function string // as Invoke names it
	Number   int    // 1 for the first invocation of the function
	Event    []byte
}

// Again tells whether an invocation is given to the function a second time,
// with the same request id. What the second one gave is returned, as to a caller
// that never heard of the first.
type Again int

const (
	Once   Again = iota
	After        // when the first has ended
	Beside       // while the first runs, in another environment
)

// Fate is what befalls an invocation. The zero Fate is none.
type Fate struct {
	Again Again
	// Kill runs beside the (first) invocation; when it returns true and the
	// invocation has not ended, its environment is killed. Its context ends
	// with the invocation. nil: nothing is killed.
	Kill func(ctx context.Context) bool
	// Lose kills the environment when it has answered, before anybody hears the
	// answer.
	Lose bool
}

// Met counts the fates that really befell a function's invocations.
type Met struct {
	Twice  int // it ran twice for one invocation
	Killed int // its environment was killed while it was at work
	Lost   int // its environment was killed before its answer was heard
}

// KillAfter returns a Kill that waits so long.
func KillAfter(d time.Duration) func(context.Context) bool {
	return func(ctx context.Context) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// KillWhen returns a Kill that waits until the moment is closed or sent to.
func KillWhen(moment <-chan struct{}) func(context.Context) bool {
	return func(ctx context.Context) bool {
		select {
		case <-moment:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// suffer runs the invocation under its fate.
func (h *Host) suffer(f *function, event []byte, fate Fate) result {
	id := newRequestID()
	if fate.Again == Once {
		return h.run(f, id, event, fate)
	}
	var first, second result
	if fate.Again == Beside {
		var both sync.WaitGroup
		both.Go(func() { first = h.run(f, id, event, fate) })
		both.Go(func() { second = h.run(f, id, event, Fate{}) })
		both.Wait()
	} else {
		first = h.run(f, id, event, fate)
		second = h.run(f, id, event, Fate{})
	}
	if e, ok := second.err.(*Error); ok && !e.Ran() { // there was no second one
		return first
	}
	if e, ok := first.err.(*Error); !ok || e.Ran() {
		f.twice.Add(1)
	}
	return second
}
