// Package queue is a standard SQS queue in memory, with the event source mapping
// that gives its messages to a function.
//
// Like SQS it delivers at least once and in no promised order, hides what was
// received until the visibility timeout has passed, and moves what was received
// too often to a dead-letter queue. Unlike SQS it has no API, no retention
// period, no delay and no message attributes; nothing outlives the process.
package queue

import (
	"crypto/md5"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"
)

// defaultVisibility is SQS's own.
const defaultVisibility = 30 * time.Second

// Options of a queue.
type Options struct {
	ARN        string
	Visibility time.Duration // 0: SQS's 30 s
	MaxReceive int           // receives after which a message moves to Dead; 0: never
	Dead       *Queue
}

// Queue is one queue. Its methods may be called by several goroutines.
type Queue struct {
	o       Options
	mu      sync.Mutex
	list    []*Message
	arrived chan struct{} // closed when something may have become visible
}

// Message is one message.
type Message struct {
	ID       string
	Body     string
	Sent     time.Time
	First    time.Time // received, the first time
	Receives int
	Receipt  string // of the latest receive

	hidden time.Time // until then
}

// New makes an empty queue.
func New(o Options) *Queue {
	if o.Visibility == 0 {
		o.Visibility = defaultVisibility
	}
	return &Queue{o: o, arrived: make(chan struct{})}
}

// ARN returns the queue's name.
func (q *Queue) ARN() string { return q.o.ARN }

// Send appends a message.
func (q *Queue) Send(body string) {
	q.put(&Message{ID: newID(), Body: body, Sent: time.Now()})
}

func (q *Queue) put(m *Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, m)
	q.tell()
}

// tell wakes those who wait in Arrived. The caller holds mu.
func (q *Queue) tell() {
	close(q.arrived)
	q.arrived = make(chan struct{})
}

// Arrived returns a channel that is closed when a message was sent or released
// after the call.
func (q *Queue) Arrived() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.arrived
}

// Receive returns up to limit visible messages and hides them for the visibility
// timeout. Those that were received too often move to the dead-letter queue
// instead.
func (q *Queue) Receive(limit int) []Message {
	q.mu.Lock()
	var out []Message
	var dead []*Message
	now := time.Now()
	q.list = slices.DeleteFunc(q.list, func(m *Message) bool {
		if len(out) == limit || now.Before(m.hidden) {
			return false
		}
		if q.o.Dead != nil && q.o.MaxReceive > 0 && m.Receives >= q.o.MaxReceive {
			dead = append(dead, m)
			return true
		}
		if m.Receives++; m.Receives == 1 {
			m.First = now
		}
		m.Receipt, m.hidden = newID(), now.Add(q.o.Visibility)
		out = append(out, *m)
		return false
	})
	q.mu.Unlock()
	for _, m := range dead { // keeps its id and the time it was sent, as in SQS
		q.o.Dead.put(&Message{ID: m.ID, Body: m.Body, Sent: m.Sent})
	}
	return out
}

// Delete removes the message that was received with the receipt. An old receipt
// removes nothing.
func (q *Queue) Delete(receipt string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = slices.DeleteFunc(q.list, func(m *Message) bool { return m.Receipt == receipt })
}

// Hide sets for how long from now the received message stays hidden.
func (q *Queue) Hide(receipt string, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.list {
		if m.Receipt == receipt {
			m.hidden = time.Now().Add(d)
			q.tell()
		}
	}
}

// Messages returns all that are in the queue, hidden ones too, oldest first.
func (q *Queue) Messages() []Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]Message, 0, len(q.list))
	for _, m := range q.list {
		out = append(out, *m)
	}
	return out
}

// next tells how long it takes until a message is visible, and false when there
// is none.
func (q *Queue) next() (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var least time.Duration
	for i, m := range q.list {
		if d := time.Until(m.hidden); i == 0 || d < least {
			least = d
		}
	}
	return max(least, 0), len(q.list) > 0
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func sum(body string) string { return fmt.Sprintf("%x", md5.Sum([]byte(body))) }
