package courier

import (
	"log/slog"
	"sync"
	"time"

	"gatehouse/internal/identity"
)

const (
	// closedTime is how long nobody asks a carrier that takes none.
	closedTime = 5 * time.Minute
	// closedWait is how long a message waits for a carrier that takes none, at
	// least; those that wait are spread over as long again. An attempt costs
	// fifteen write units, a look at a closed gate three.
	closedWait = time.Hour
	// longBusy is how often in a row a message finds the carrier busy, some three
	// hours, before an operator is told.
	longBusy = 8
	// complainEvery is how often one reason is told.
	complainEvery = time.Hour
)

// gate remembers that the carrier takes none, so that a flood of messages does
// not ask one by one. It is what one process has seen, and is lost with it.
type gate struct {
	mu    sync.Mutex
	until time.Time            // closed before
	told  map[string]time.Time // by reason
}

// shut returns when the message should ask again; false if the gate is open.
func (g *gate) shut(n name, now time.Time) (again time.Time, shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return reopening(n, now), now.Before(g.until)
}

// close shuts the gate for a while, and returns when the message that found it
// closed should ask again.
func (g *gate) close(n name, now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = now.Add(closedTime)
	return reopening(n, now)
}

func reopening(n name, now time.Time) time.Time {
	spread := identity.Spread(string(n.user), int(closedWait/time.Second))
	return now.Add(closedWait + time.Duration(spread)*time.Second)
}

// complain tells the operator, who may have to mend something. The reason is a
// carrier's code, of which there are few.
func (g *gate) complain(log *slog.Logger, reason string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.told[reason]; ok && now.Before(last.Add(complainEvery)) {
		return
	}
	if g.told == nil {
		g.told = map[string]time.Time{}
	}
	g.told[reason] = now
	log.Error("mail: the carrier takes none", "reason", reason)
}
