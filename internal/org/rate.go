package org

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// Bounds of a connection's rate, in requests a second. The least is what
// Entra ID's gallery and the IPSIE profile ask of every service provider.
const (
	MinRate = 25
	MaxRate = 10_000
)

// rateWindow is the time over which requests are counted: a connection may make
// all of a window's at once, which is the burst that it has.
const rateWindow = 10 * time.Second

// rateChunk is how many requests a process serves on credit before it counts
// them in the table. One write for as many costs 0.08 write units a request.
const rateChunk = 25

// rateWait is how long a request waits for the counter at most, and rateFree for
// how long nothing is counted after that was in vain.
const (
	rateWait = time.Second
	rateFree = 5 * time.Second
)

// meter is what a process knows of one connection's rate.
type meter struct {
	owed   int           // requests that were served and are not counted yet
	before int           // of these, the ones from before window
	window time.Time     // in which the last request came
	paying chan struct{} // a request counts them just now; closed when it has
	over   time.Time     // until when the connection is known to be over its rate
	free   time.Time     // until when nothing is counted, since it cannot be
}

// whose is a connection among those of all organizations: an id of its own is
// unique in its organization only.
type whose struct {
	org        identity.Org
	connection identity.Connection
}

func (a Access) whose() whose { return whose{a.Org.ID, a.Connection.ID} }

// meters are those of a process, for as many connections as it serves.
type meters struct {
	mu sync.Mutex
	m  map[whose]*meter
}

// of returns the connection's meter. Beyond maxCached all are forgotten, which
// forgives each connection less than one chunk.
func (ms *meters) of(id whose) *meter {
	m := ms.m[id]
	if m == nil {
		if ms.m == nil || len(ms.m) >= maxCached {
			ms.m = make(map[whose]*meter)
		}
		m = &meter{}
		ms.m[id] = m
	}
	return m
}

// owe adds n requests, served in the window, to what is owed.
func (m *meter) owe(n int, window time.Time) {
	if !m.window.Equal(window) {
		m.before, m.window = m.owed, window
	}
	m.owed += n
}

// settle takes n requests out of what is owed, of which so many were from before
// the window when they were counted.
func (m *meter) settle(n, before int, window time.Time) {
	m.owed -= n
	if !m.window.Equal(window) {
		before = n // the window is over meanwhile
	}
	m.before = min(max(m.before-before, 0), m.owed) // a request that waited may be of the window before
}

func rateKey(o *Org, c identity.Connection, window time.Time) table.Key {
	return table.Key{Part: o.Part("RL", string(c)), Sort: strconv.FormatInt(window.Unix()/int64(rateWindow/time.Second), 10)}
}

// RateOf returns how many requests a second the connection may make: its own
// rate, or what is usual; 0: any number.
func (s *Store) RateOf(c Connection) int {
	if c.Rate != 0 {
		return c.Rate
	}
	return s.Rate
}

// Take counts n requests of the connection, and refuses them with Throttled
// where it has made all of this window's: Retry is the time to the window's end.
//
// The counter is in the table, so the rate is that of all processes together. A
// process counts when it has served 25 more, so each of them may serve as many
// more than the rate, once, and twice as many where requests come side by side.
// What it did not count in one window it counts later: as the window's before,
// as long as that one had room, so that who keeps to the rate is not refused for
// how its requests fall on processes; else as its own. (Where a process serves so
// little that it counts less than every second window, as more than a dozen at
// the least rate do, older ones count as the window's before, and a few requests
// may be refused.) Of the writes of one
// window the one that passes the limit is the last.
//
// Any other error says that it could not be counted; nothing was refused, and a
// caller goes on.
func (s *Store) Take(ctx context.Context, a Access, n int) error {
	rate := s.RateOf(a.Connection)
	if rate <= 0 {
		return nil
	}
	now := s.now()
	window := now.Truncate(rateWindow)
	end := window.Add(rateWindow)

	s.meters.mu.Lock()
	m := s.meters.of(a.whose())
	// Those that come while another one counts are served too, up to one more
	// chunk; the others wait for it.
	for m.paying != nil && m.owed >= 2*rateChunk && !now.Before(m.over) {
		counted := m.paying
		s.meters.mu.Unlock()
		select {
		case <-counted:
		case <-ctx.Done():
			s.meters.mu.Lock()
			m.owe(n, window) // served it may be all the same
			s.meters.mu.Unlock()
			return fmt.Errorf("count a connection's requests: %w", ctx.Err())
		}
		s.meters.mu.Lock()
	}
	switch {
	case now.Before(m.over):
		s.meters.mu.Unlock()
		return tooMany(m.over.Sub(now))
	case now.Before(m.free):
		s.meters.mu.Unlock()
		return nil
	}
	m.owe(n, window)
	if m.owed < rateChunk || m.paying != nil {
		s.meters.mu.Unlock()
		return nil
	}
	owed, before, counted := m.owed, m.before, make(chan struct{})
	m.paying = counted
	s.meters.mu.Unlock()

	// Not under the request's own context: this pays for others too, and hanging
	// up must not be a way to be counted never.
	paid, cancel := context.WithTimeout(context.WithoutCancel(ctx), rateWait)
	defer cancel()
	most := int64(rate) * int64(rateWindow/time.Second)
	// Whatever there was before, less than the limit, this may go beyond it: a
	// Bulk that is larger than what is left would never fit otherwise.
	add := func(window time.Time, n int) table.Write {
		return table.Add(rateKey(a.Org, a.Connection.ID, window), int64(n), 0, most-1+int64(n)).Until(window.Add(2 * rateWindow))
	}
	var err error
	if before > 0 {
		_, err = s.table.Commit(paid, add(window, owed-before), add(window.Add(-rateWindow), before))
	}
	if before == 0 || table.Conflicts(err) && !table.Conflicts(err, rateKey(a.Org, a.Connection.ID, window)) {
		_, err = s.table.Commit(paid, add(window, owed))
	}

	s.meters.mu.Lock()
	defer s.meters.mu.Unlock()
	m.paying = nil
	close(counted)
	if table.Conflicts(err) {
		m.settle(n, 0, window) // these are not served; what was is counted in the next window
		m.over = end
		return tooMany(end.Sub(now))
	}
	if errors.Is(err, context.Canceled) { // says nothing of the counter: the next request counts these
		return fmt.Errorf("count a connection's requests: %w", err)
	}
	m.settle(owed, before, window)
	if err != nil {
		m.free = s.now().Add(rateFree)
		return fmt.Errorf("count a connection's requests: %w", err)
	}
	return nil
}

func tooMany(retry time.Duration) error {
	return &fault.Error{Kind: fault.Throttled, Retry: retry,
		Msg: "The connection makes more requests than it may. Wait as long as Retry-After says, then go on."}
}

// checkRate refuses what a connection's own rate cannot be.
func checkRate(rate int) error {
	if rate != 0 && (rate < MinRate || rate > MaxRate) {
		return fault.New(fault.Invalid, "", "A connection may make %d to %d requests a second; 0 stands for what is usual here.", MinRate, MaxRate)
	}
	return nil
}
