package oauth

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// window is the time over which failed tries are counted.
const window = 15 * time.Minute

// Failed tries in one window. Secrets cannot be guessed; what is bounded is the
// work. A client's own failures are counted by the address they come from, so
// that nobody elsewhere can shut it out, and other clients at one address, as
// all of an identity provider's customers are, do not count: only ids that
// nobody has count against the address itself.
const (
	triesOfClient  = 20
	triesOfAddress = 50
)

type counter struct {
	key table.Key
	max int64
}

func (h *Handler) tries(a org.Applicant, address string) counter {
	c := counter{max: triesOfAddress}
	m := h.marks.MAC("address", address)
	if a.Known {
		c.max = triesOfClient
		m = h.marks.MAC("client", string(a.Client), address)
	}
	c.key = table.Key{Part: "RATE#" + identity.Encode(m[:16]), Sort: strconv.FormatInt(h.Now().Unix()/int64(window/time.Second), 10)}
	return c
}

// take counts a try, or refuses it. The counters are in the table: they hold
// across processes and restarts, and two tries at once both count.
func (h *Handler) take(ctx context.Context, c counter) error {
	now := h.Now()
	end := now.Truncate(window).Add(window)
	_, err := h.Table.Commit(ctx, table.Add(c.key, 1, 0, c.max).Until(end))
	if table.Conflicts(err) {
		return busy(http.StatusTooManyRequests, "tries", "Too many tries. Wait a few minutes, then try again.", end.Sub(now), nil)
	}
	if err != nil {
		return fmt.Errorf("count a try: %w", err)
	}
	return nil
}

// give takes a try back that went well: best effort, since a lost one costs the
// client a little and nobody else anything.
func (h *Handler) give(ctx context.Context, c counter) {
	h.Table.Commit(ctx, table.Add(c.key, -1, 0, c.max))
}
