// Package pump delivers the feed of an embedded table to its consumers, as the
// event source mappings of a stream do on AWS: at least once, in commit order
// for one key, batch by batch, with retries and dead letters.
//
// It keeps a durable position for each consumer and nothing else; what was
// under way when the process ended comes again. It is not a queue: consumers
// that have slow work to do hand it on.
package pump

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/table"
)

// Route sends what a subscription wants to its consumer.
type Route struct {
	Name string // of the subscription that the table was opened with
	To   table.Consumer
	// Gather is how long a batch waits for more once it has its first change;
	// zero: not at all. It saves commits where a consumer makes one a batch.
	Gather time.Duration
}

// Options are the pump's manners. The zero Options are those of production.
type Options struct {
	Batch   int                           // changes in one call at most; 0: 100
	Tries   int                           // failed tries after which a change becomes a dead letter; 0: 8
	Backoff func(tries int) time.Duration // before the next try; nil: 100 ms, doubling, at most 30 s
	Logger  *slog.Logger                  // nil: slog.Default()
	Chaos   *Chaos                        // for tests; nil: none
}

// Pump moves changes from one table's feed to its routes.
type Pump struct {
	table table.Table
	feed  table.Feed
	o     Options
	lanes []*lane

	mu    sync.Mutex
	moved chan struct{} // closed when a lane's position changes
}

// New returns a pump that does nothing before Run. Dead letters are written to
// t, which is the table of the feed or a decorator of it.
func New(t table.Table, f table.Feed, o Options, routes ...Route) (*Pump, error) {
	if o.Batch == 0 {
		o.Batch = 100
	}
	if o.Tries == 0 {
		o.Tries = 8
	}
	if o.Backoff == nil {
		o.Backoff = doubling
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	p := &Pump{table: t, feed: f, o: o, moved: make(chan struct{})}
	subs := f.Subscriptions()
	for _, r := range routes {
		i := slices.IndexFunc(subs, func(s table.Subscription) bool { return s.Name == r.Name })
		if i < 0 {
			return nil, fmt.Errorf("route to %q: the table was not opened with this subscription", r.Name)
		}
		if slices.ContainsFunc(p.lanes, func(l *lane) bool { return l.Name == r.Name }) {
			return nil, fmt.Errorf("two routes for the subscription %q", r.Name)
		}
		p.lanes = append(p.lanes, &lane{Route: r, p: p, wants: subs[i].Wants, log: o.Logger.With("consumer", r.Name)})
	}
	return p, nil
}

func doubling(tries int) time.Duration {
	return min(100*time.Millisecond<<min(tries-1, 20), 30*time.Second)
}

// Run delivers until the context ends, and returns when the last consumer has.
// It runs once at a time.
func (p *Pump) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, l := range p.lanes {
		wg.Go(func() { l.run(ctx) })
	}
	wg.Wait()
}

// Drain returns once every consumer has passed everything in the feed, what
// they committed meanwhile included, or with the context's error. It waits for
// retries too. Run must be running.
func (p *Pump) Drain(ctx context.Context) error {
	for {
		moved, appended := p.watch(), p.feed.Appended()
		end, behind := p.feed.End(), 0
		for _, l := range p.lanes {
			if p.feed.Passed(l.Name) < end {
				behind++
			}
		}
		if behind == 0 && p.feed.End() == end {
			return nil
		}
		select {
		case <-moved:
		case <-appended:
		case <-ctx.Done():
			return fmt.Errorf("drain the feed, %d consumers behind: %w", behind, ctx.Err())
		}
	}
}

// Lag is how far a consumer is behind.
type Lag struct {
	Entries uint64        // in the feed after the consumer's position, wanted or not
	Failing int           // changes that failed or wait behind one that did
	Age     time.Duration // since the commit of the first of Entries; 0: none
}

// Lag returns how far the consumer of that name is behind at now.
func (p *Pump) Lag(ctx context.Context, name string, now time.Time) (Lag, error) {
	for _, l := range p.lanes {
		if l.Name != name {
			continue
		}
		passed, end := p.feed.Passed(name), p.feed.End()
		lag := Lag{Entries: end - min(passed, end), Failing: int(l.failing.Load())}
		oldest, err := p.feed.Entries(ctx, passed, 1)
		if err != nil {
			return Lag{}, fmt.Errorf("read the oldest entry for %q: %w", name, err)
		}
		if len(oldest) > 0 {
			lag.Age = max(0, now.Sub(oldest[0].Commit.Time()))
		}
		return lag, nil
	}
	return Lag{}, fmt.Errorf("lag of %q: %w", name, errNoRoute)
}

// Replay hands a dead letter to the consumer of its name, and removes it if
// that succeeds. The change comes late: the consumer may have seen newer ones
// of the same key.
func (p *Pump) Replay(ctx context.Context, d DeadLetter) error {
	for _, l := range p.lanes {
		if l.Name == d.Consumer {
			return Replay(ctx, p.table, d, l.To)
		}
	}
	return fmt.Errorf("replay for %q: %w", d.Consumer, errNoRoute)
}

var errNoRoute = errors.New("the pump has no route of this name")

func (p *Pump) watch() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moved
}

func (p *Pump) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.moved)
	p.moved = make(chan struct{})
}
