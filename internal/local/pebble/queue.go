package pebble

import (
	"context"
	"sync"
	"sync/atomic"

	"gatehouse/internal/table"
)

// Commit is table.Table's. It fails with table.ErrFull while the disk is full,
// and with ErrClosed after Close.
func (t *Table) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if err := table.CheckWrites(writes); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	r := requests.Get().(*request)
	r.writes, r.version, r.err = writes, "", nil
	r.state.Store(waiting)
	if !t.queue.add(r) {
		requests.Put(r)
		return "", ErrClosed
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		// What is not begun is withdrawn. What is begun is waited for: it reads
		// the caller's bytes, and takes as long as the disk.
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return "", ctx.Err()
		}
		<-r.done
	}
	v, err := r.version, r.err
	r.writes = nil
	requests.Put(r)
	return v, err
}

// request is one commit on its way through the committer.
type request struct {
	writes  []table.Write
	version table.Version
	err     error
	state   atomic.Uint32
	done    chan struct{} // gets one value when version and err stand
}

const (
	waiting uint32 = iota
	taken
	withdrawn
)

var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

// queue is what the committer has to do.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	closed  bool
	wake    chan struct{} // holds a value when there may be something new

	passes atomic.Bool // the feed has positions to record
}

func (q *queue) add(r *request) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.waiting = append(q.waiting, r)
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *queue) passed() {
	if !q.passes.Swap(true) {
		q.signal()
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close reports whether the queue was open.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.closed = true
	q.signal()
	return true
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// groupMax bounds one group, in commits: they are answered together, and the
// first of them should not wait for a thousand others.
const groupMax = 256

// groupBytes bounds it in bytes of data, so that a batch stays far below a
// memtable.
const groupBytes = 2 << 20

// take moves waiting requests into the list, and reports whether the queue is
// closed and empty.
func (q *queue) take(list []*request) ([]*request, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.waiting) && n < groupMax && size < groupBytes {
		r := q.waiting[n]
		if n++; r.state.CompareAndSwap(waiting, taken) {
			list = append(list, r)
			for i := range r.writes {
				size += len(r.writes[i].Data)
			}
		}
	}
	left := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[left:])
	q.waiting = q.waiting[:left]
	if left > 0 {
		q.signal()
	}
	return list, q.closed && left == 0
}
