// Package bus is EventBridge's default bus as far as a stack uses it: rules by
// pattern and by rate, whose targets are functions that are invoked
// asynchronously, with Lambda's two retries.
//
// Unlike EventBridge it has no API, no input transformation and no archive, and
// an event that no rule wants is forgotten, as there. Unlike Lambda it keeps
// what was given up in Lost, and repeats a throttled invocation as long as it
// lives, rather than for six hours. A rule by rate begins to count when Run
// does.
package bus

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"gatehouse/internal/rehearsal/pattern"
)

// Invoke calls a function. An error whose method Ran() bool gives false says
// that it was not run at all.
type Invoke func(ctx context.Context, event []byte) ([]byte, error)

// Options of a bus.
type Options struct {
	Region, Account string
	// Waits are the pauses before each retry of an invocation that failed; nil:
	// Lambda's, one minute and two.
	Waits []time.Duration
	Now   func() time.Time // for the time in events of schedules; nil: time.Now
}

// Bus is a running bus. Rules and schedules are added before events are put.
type Bus struct {
	o         Options
	rules     []rule
	schedules []schedule
	ctx       context.Context
	stop      context.CancelFunc
	work      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	under  int // invocations under way or waiting
	lost   []Lost
	undone []Lost
}

type rule struct {
	pattern pattern.Pattern
	name    string
	invoke  Invoke
}

type schedule struct {
	every  time.Duration
	name   string
	invoke Invoke
}

// Lost is an event that a function failed to take, and how it failed last.
type Lost struct {
	Function string
	Event    []byte
	Err      error
}

// New makes a bus without rules.
func New(o Options) *Bus {
	if o.Waits == nil {
		o.Waits = []time.Duration{time.Minute, 2 * time.Minute}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Bus{o: o}
	b.ctx, b.stop = context.WithCancel(context.Background())
	return b
}

// Rule gives the function all events that match.
func (b *Bus) Rule(function string, p pattern.Pattern, invoke Invoke) {
	b.rules = append(b.rules, rule{p, function, invoke})
}

// Every calls the function at a rate.
func (b *Bus) Every(function string, d time.Duration, invoke Invoke) {
	b.schedules = append(b.schedules, schedule{d, function, invoke})
}

// Put takes an event in EventBridge's form and returns at once; it tells how
// many rules want it.
func (b *Bus) Put(event json.RawMessage) int {
	n := 0
	for _, r := range b.rules {
		if r.pattern.Match(event) {
			b.start(r.name, r.invoke, event)
			n++
		}
	}
	return n
}

// Tick lets each schedule come due once, and returns at once.
func (b *Bus) Tick() {
	for _, s := range b.schedules {
		b.start(s.name, s.invoke, b.scheduled(s))
	}
}

// Run lets the schedules come due by the clock, which it takes to go so many
// times faster, until the context ends or the bus is closed.
func (b *Bus) Run(ctx context.Context, factor float64) {
	var all sync.WaitGroup
	for _, s := range b.schedules {
		all.Go(func() {
			ticker := time.NewTicker(time.Duration(float64(s.every) / factor))
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					b.start(s.name, s.invoke, b.scheduled(s))
				case <-ctx.Done():
					return
				case <-b.ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

// scheduled is the event of a rule by rate.
func (b *Bus) scheduled(s schedule) []byte {
	e, err := json.Marshal(map[string]any{
		"version": "0", "id": newID(), "detail-type": "Scheduled Event", "source": "aws.events",
		"account": b.o.Account, "time": b.o.Now().UTC().Format(time.RFC3339), "region": b.o.Region,
		"resources": []string{fmt.Sprintf("arn:aws:events:%s:%s:rule/%s", b.o.Region, b.o.Account, s.name)},
		"detail":    struct{}{},
	})
	if err != nil {
		panic(err) // strings only
	}
	return e
}

func (b *Bus) start(name string, invoke Invoke, event []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.under++
	b.work.Go(func() {
		err := b.deliver(invoke, event)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.under--
		switch {
		case err == nil:
		case b.ctx.Err() != nil:
			b.undone = append(b.undone, Lost{name, event, err})
		default:
			b.lost = append(b.lost, Lost{name, event, err})
		}
	})
}

// deliver tries until the function has taken the event or all is used up.
func (b *Bus) deliver(invoke Invoke, event []byte) error {
	const throttled = 100 * time.Millisecond
	for tries := 0; ; {
		_, err := invoke(b.ctx, event)
		if err == nil {
			return nil
		}
		wait := throttled
		var unrun interface{ Ran() bool }
		if !errors.As(err, &unrun) || unrun.Ran() {
			if tries == len(b.o.Waits) {
				return err
			}
			wait = b.o.Waits[tries]
			tries++
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-b.ctx.Done():
			timer.Stop()
			return b.ctx.Err()
		}
	}
}

// Pending tells how many invocations are under way or wait for a retry.
func (b *Bus) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.under
}

// Lost returns the events that were given up.
func (b *Bus) Lost() []Lost {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Lost(nil), b.lost...)
}

// Resume gives events to the functions again whose bus was closed before they
// had taken them.
func (b *Bus) Resume(undone []Lost) {
	invoke := map[string]Invoke{}
	for _, r := range b.rules {
		invoke[r.name] = r.invoke
	}
	for _, s := range b.schedules {
		invoke[s.name] = s.invoke
	}
	for _, u := range undone {
		if call := invoke[u.Function]; call != nil {
			b.start(u.Function, call, u.Event)
		}
	}
}

// Close stops and, when nothing is under way, returns the events that their
// functions have not taken yet, for Resume.
func (b *Bus) Close() []Lost {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop()
	b.work.Wait()
	return b.undone
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
