package table

import "context"

// Change is one committed write as the feed delivers it: the key and what is
// stored under it since. Check writes give no Change; neither does the store's
// removal of an expired item.
type Change struct {
	Key Key
	New Item   // the zero Item: it was deleted
	ID  string // names this delivery; on AWS the sequence number in the stream
}

// Consumer is what the feed is pushed to: at least once, in commit order for
// one key, in no order across keys, with repeats that can come late.
//
// Consume returns nil when all changes are done, or one error a change, nil
// where it is done. A change that failed comes again, and what follows it for
// the same key after it, also where that was done already; after some tries it
// becomes a dead letter that can be replayed.
type Consumer interface {
	Consume(ctx context.Context, batch []Change) []error
}

// Wanted tells by the key alone whether a consumer wants a change. On AWS it
// is mirrored by the filter of the event source mapping.
type Wanted func(Key) bool

// Subscription is a consumer's name and what it wants. Embedded tables are
// opened with the subscriptions and keep only changes that one of them wants.
type Subscription struct {
	Name  string // short, of letters, digits and hyphens; positions and dead letters are kept under it
	Wants Wanted
}

// Entry is one change in the feed of an embedded table.
type Entry struct {
	Position uint64  // grows by one with each entry, in commit order
	Commit   Version // the commit that made the change
	Change   Change
}

// Feed is what an embedded table offers beside Table to those who deliver its
// changes. An entry is in it as durably as the commit that made it, and not
// before; it is dropped once every subscription has passed it. On AWS there is
// no Feed: the stream pushes.
type Feed interface {
	// Subscriptions returns those that the table was opened with.
	Subscriptions() []Subscription
	// Entries returns up to limit entries after the position, oldest first;
	// none when there are none yet.
	Entries(ctx context.Context, after uint64, limit int) ([]Entry, error)
	// End returns the position of the newest entry, 0 before the first.
	End() uint64
	// Passed returns the position up to which the subscription is done.
	Passed(name string) uint64
	// Pass records that the subscription is done up to the position. A crash
	// can lose it, so that entries come again; it never gets ahead.
	Pass(name string, position uint64)
	// Appended returns a channel that is closed with the next entry after the
	// call.
	Appended() <-chan struct{}
}
