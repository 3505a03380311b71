package oauth

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// window is the time over which failed tries are counted, and triesOfAddress how
// many of one address are told why. Secrets have 256 bits and cannot be guessed,
// and identity providers send all their customers' requests from the same few
// addresses: so a proof is looked at first, what is right is never refused for
// what failed beside it, and only failures count. Whose name they came under does
// not matter: a limit of its own would tell which clients there are.
const (
	window         = 15 * time.Minute
	triesOfAddress = 100
)

// A client may get so many tokens in a minute. A token is good for an hour, and
// using it again is free; what is bounded is the store's work.
const (
	grantsOfClient = 120
	grantWindow    = time.Minute
)

// countWait is how long counting may take. It is not the request's own time:
// hanging up does not undo a try.
const countWait = time.Second

// maxFull bounds what a process remembers of counters that are full.
const maxFull = 10_000

// counter counts in one window of time.
type counter struct {
	key table.Key
	max int64
	end time.Time // of the window
}

// add is the write that counts one more, and fails where there is no room.
func (c counter) add() table.Write { return table.Add(c.key, 1, 0, c.max).Until(c.end) }

func (h *Handler) counter(kind, what string, max int64, over time.Duration) counter {
	m, now := h.marks.MAC(kind, what), h.Now()
	return counter{
		key: table.Key{Part: "RATE#" + identity.Encode(m[:16]), Sort: strconv.FormatInt(now.Unix()/int64(over/time.Second), 10)},
		max: max, end: now.Truncate(over).Add(over),
	}
}

// fulls are the counters that this process knows to be full, with the windows'
// ends: a flood writes no more than its limit.
type fulls struct {
	mu sync.Mutex
	m  map[table.Key]time.Time
}

func (f *fulls) has(c counter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.m[c.key]
	return ok
}

func (f *fulls) add(c counter, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.m) >= maxFull {
		for k, end := range f.m {
			if !now.Before(end) {
				delete(f.m, k)
			}
		}
	}
	if f.m == nil || len(f.m) >= maxFull {
		f.m = make(map[table.Key]time.Time)
	}
	f.m[c.key] = c.end
}

// count adds one, and reports whether there was room. The counters are in the
// table: they hold across processes and restarts, and two at once both count.
// Where it cannot be counted there is room: a counter that fails stops nobody.
func (h *Handler) count(ctx context.Context, c counter) bool {
	if h.full.has(c) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countWait)
	defer cancel()
	_, err := h.Table.Commit(ctx, c.add())
	if table.Conflicts(err) {
		h.full.add(c, h.Now())
		return false
	}
	if err != nil {
		h.Log.WarnContext(ctx, "a token request cannot be counted", "item", c.key.Part, "error", err.Error())
	}
	return true
}

// failed counts a proof that did not convince, and returns what it is told: the
// refusal, or beyond the limit that there were too many, which is the same for
// clients that exist and for those that do not.
func (h *Handler) failed(ctx context.Context, address string, no *refusal) *refusal {
	c := h.counter("address", address, triesOfAddress, window)
	if h.count(ctx, c) {
		return no
	}
	return busy(http.StatusTooManyRequests, "tries", "Too many tries that failed. Wait a few minutes; a request that is right is answered meanwhile.", c.end.Sub(h.Now()), nil)
}

// grants counts the tokens that the client is granted.
func (h *Handler) grants(client identity.Client) counter {
	return h.counter("grants", string(client), grantsOfClient, grantWindow)
}
