package rehearsal

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"gatehouse/internal/rehearsal/bus"
	"gatehouse/internal/rehearsal/mapping"
	"gatehouse/internal/rehearsal/queue"
)

// Account is what AWS keeps while the functions fail: how far the stream was
// read, messages in queues, and events that nobody has taken yet. The table is
// DynamoDB Local's to keep. The zero Account is new; one rehearsal at a time
// uses it.
type Account struct {
	mu        sync.Mutex
	positions map[string]*mapping.Positions // by folder and number of the mapping
	byARN     map[string]*queue.Queue
	events    []json.RawMessage // that came while nothing ran
	undone    []bus.Lost
	bus       *bus.Bus // of the rehearsal that runs
}

// Put takes an event for the default bus, in EventBridge's form; it is what
// fakes/ses hands its events to. While no rehearsal runs, events wait.
func (a *Account) Put(event json.RawMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bus == nil {
		a.events = append(a.events, event)
		return
	}
	a.bus.Put(event)
}

// join gives the bus what waited for it.
func (a *Account) join(b *bus.Bus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bus = b
	b.Resume(a.undone)
	for _, e := range a.events {
		b.Put(e)
	}
	a.undone, a.events = nil, nil
}

// leave makes events wait again.
func (a *Account) leave(b *bus.Bus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bus == b {
		a.bus = nil
	}
}

func (a *Account) keep(undone []bus.Lost) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.undone = append(a.undone, undone...)
}

func (a *Account) position(name string) *mapping.Positions {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.positions == nil {
		a.positions = map[string]*mapping.Positions{}
	}
	if a.positions[name] == nil {
		a.positions[name] = new(mapping.Positions)
	}
	return a.positions[name]
}

// queue returns the queue, and makes it the first time.
func (a *Account) queue(o queue.Options) *queue.Queue {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byARN == nil {
		a.byARN = map[string]*queue.Queue{}
	}
	if a.byARN[o.ARN] == nil {
		a.byARN[o.ARN] = queue.New(o)
	}
	return a.byARN[o.ARN]
}

func (a *Account) queues() []*queue.Queue {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*queue.Queue
	for _, q := range a.byARN {
		list = append(list, q)
	}
	slices.SortFunc(list, func(x, y *queue.Queue) int { return strings.Compare(x.ARN(), y.ARN()) })
	return list
}
