package memory

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"gatehouse/internal/table"
)

// feed is the table's log of wanted changes. The zero End is 0.
type feed struct {
	subs []table.Subscription

	lock     sync.Mutex
	entries  []table.Entry // those not passed by all
	end      uint64
	woken    uint64 // the end when appended was closed last
	passed   map[string]uint64
	appended chan struct{}
}

// append adds the change if a subscription wants it. Callers hold the table's
// lock, so positions follow the order of commits.
func (f *feed) append(v table.Version, k table.Key, item table.Item) {
	if !slices.ContainsFunc(f.subs, func(s table.Subscription) bool { return s.Wants(k) }) {
		return
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.end++
	f.entries = append(f.entries, table.Entry{
		Position: f.end,
		Commit:   v,
		Change:   table.Change{Key: k, New: item, ID: strconv.FormatUint(f.end, 10)},
	})
}

// wake tells those who wait that a commit is whole in the feed.
func (f *feed) wake() {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.end > f.woken {
		f.woken = f.end
		close(f.appended)
		f.appended = make(chan struct{})
	}
}

// Subscriptions is table.Feed's.
func (f *feed) Subscriptions() []table.Subscription { return slices.Clone(f.subs) }

// Entries is table.Feed's.
func (f *feed) Entries(ctx context.Context, after uint64, limit int) ([]table.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	at := 0
	if dropped := f.end - uint64(len(f.entries)); after > dropped {
		at = int(min(after-dropped, uint64(len(f.entries))))
	}
	return slices.Clone(f.entries[at:min(at+limit, len(f.entries))]), nil
}

// End is table.Feed's.
func (f *feed) End() uint64 {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.end
}

// Passed is table.Feed's.
func (f *feed) Passed(name string) uint64 {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.passed[name]
}

// Pass is table.Feed's.
func (f *feed) Pass(name string, position uint64) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.passed[name] = max(f.passed[name], min(position, f.end))
	all := f.end
	for _, s := range f.subs {
		all = min(all, f.passed[s.Name])
	}
	if first := f.end - uint64(len(f.entries)); all > first {
		clear(f.entries[:all-first]) // the images go now, the array with its next growth
		f.entries = f.entries[all-first:]
	}
}

// Appended is table.Feed's.
func (f *feed) Appended() <-chan struct{} {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.appended
}
