package mapping

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// maxEvent is how many bytes the records of one batch may have: Lambda's 6 MB
// for the event, less what is around them.
const maxEvent = 6<<20 - 1024

// lane gives batches to the function one after the other. All records of one
// partition key are in one lane.
type lane struct {
	s      *shard
	random *rand.Rand // nil: nothing is left to chance

	mu     sync.Mutex
	queue  []record
	first  time.Time // when the oldest in the queue came
	closed bool
	wake   chan struct{} // takes one
}

func newLane(s *shard, random *rand.Rand) *lane {
	return &lane{s: s, random: random, wake: make(chan struct{}, 1)}
}

func (l *lane) push(list []record) {
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.first = time.Now()
	}
	l.queue = append(l.queue, list...)
	l.mu.Unlock()
	l.signal()
}

// close lets run end when the queue is empty.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.signal()
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		n, closed := len(l.queue), l.closed
		left := l.s.m.o.Stream.Window - time.Since(l.first)
		l.mu.Unlock()
		switch {
		case n == 0 && closed:
			return
		case n == 0:
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
		case n < l.s.m.o.Stream.BatchSize && left > 0 && !closed:
			select {
			case <-l.wake:
			case <-time.After(left):
			case <-ctx.Done():
			}
		default:
			l.s.process(ctx, l.cut(), 0, 0)
		}
	}
}

// cut takes the next batch off the queue.
func (l *lane) cut() []record {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := l.s.m.o.Stream.BatchSize
	held := map[string]bool{}
	if l.random != nil {
		most = 1 + l.random.IntN(most)
		for _, r := range l.queue {
			if _, ok := held[r.key]; !ok {
				held[r.key] = l.random.IntN(3) == 0
			}
		}
		held[l.queue[0].key] = false // so that there is a batch, and nothing waits for ever
	}
	var batch, rest []record
	size := 0
	for i, r := range l.queue {
		if len(batch) > 0 && (len(batch) == most || size+len(r.event) > maxEvent) {
			rest = append(rest, l.queue[i:]...)
			break
		}
		if held[r.key] {
			rest = append(rest, r)
			continue
		}
		batch = append(batch, r)
		size += len(r.event) + 1
	}
	l.queue = slices.Clip(rest)
	l.first = time.Now()
	return batch
}
