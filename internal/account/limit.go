package account

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// window is the time over which tries are counted. Windows begin at fixed
// times, so at most twice a limit fits into any stretch of this length.
const window = 15 * time.Minute

// Limits, for one window. What succeeded is not counted, so that an office
// behind one address can begin its day.
const (
	triesOfName    = 10 // wrong passwords for one name of an organization
	triesOfAddress = 50 // wrong passwords from one client address
)

// counter is one limit on one thing. The thing, a name or an address, goes into
// the key as a MAC only.
type counter struct {
	key table.Key
	max int64
}

func (s *Service) counter(max int64, kind string, of ...string) counter {
	m := s.rate.MAC(kind, of...)
	n := s.now().Unix() / int64(window/time.Second)
	return counter{key: table.Key{Part: "RATE#" + identity.Encode(m[:16]), Sort: strconv.FormatInt(n, 10)}, max: max}
}

// take counts a try against every counter, or against none and says Throttled.
// The counters are in the table: they hold across processes and restarts. Two
// tries at once both count.
func (s *Service) take(ctx context.Context, counters ...counter) error {
	now := s.now()
	end := now.Truncate(window).Add(window)
	writes := make([]table.Write, len(counters))
	for i, c := range counters {
		writes[i] = table.Add(c.key, 1, 0, c.max).Until(end)
	}
	_, err := s.table.Commit(ctx, writes...)
	if table.Conflicts(err) {
		return &fault.Error{Kind: fault.Throttled, Msg: "Too many tries. Wait a few minutes, then try again.", Retry: end.Sub(now)}
	}
	if err != nil {
		return fmt.Errorf("count a try: %w", err)
	}
	return nil
}

// give takes a try back that was none: best effort, since a lost one costs the
// reader a little and nobody else anything.
func (s *Service) give(ctx context.Context, counters ...counter) {
	writes := make([]table.Write, len(counters))
	for i, c := range counters {
		writes[i] = table.Add(c.key, -1, 0, c.max)
	}
	s.table.Commit(ctx, writes...)
}
