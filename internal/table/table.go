// Package table is the one port to durable state: ordered items in
// partitions, conditional commits of several items at once, and a feed of what
// was committed. It is shaped by DynamoDB; an embedded implementation refuses
// whatever DynamoDB would refuse.
//
// It is not a repository: it knows no users and no organizations. There are no
// filters and no index API. An index is an item in the same commit, so every
// lookup is strongly consistent.
//
// What it does not promise: a snapshot across two calls, two keys of one Get or
// two pages of one Query, and any order across partitions. An embedded table
// may show a commit to readers a moment before the disk has it; the feed never
// does.
package table

import (
	"context"
	"errors"
	"iter"
	"strings"
)

// Table holds items. All methods may be called concurrently. Reads are
// strongly consistent: they see every commit that was answered before they
// began. A context that has ended gives its error.
type Table interface {
	// Get returns the items that exist among the keys, in the order of the
	// keys; a key without an item is left out. At most 100 keys.
	Get(ctx context.Context, keys ...Key) ([]Item, error)
	// Query yields the items of one partition in the byte order of their sort
	// keys, or against it. It reads pages as it goes, so the loop's body may
	// commit; an error ends it.
	Query(ctx context.Context, part string, r Range) iter.Seq2[Item, error]
	// Commit applies all writes or none and returns the version that names the
	// commit. A condition that does not hold gives a *ConflictError that names
	// every key whose condition failed; too many writes, too large ones, or two
	// for one key give an error that wraps ErrRefused. After any other error
	// the outcome is unknown, ErrFull excepted: the commit may have happened.
	// Conditions look at what is stored, expired or not.
	Commit(ctx context.Context, writes ...Write) (Version, error)
}

// Limits, DynamoDB's.
const (
	MaxWrites = 100       // writes in one commit
	MaxGet    = 100       // keys in one Get
	MaxCommit = 4 << 20   // bytes of all items in one commit
	MaxItem   = 400 << 10 // bytes of one item, keys and names included
	MaxKey    = 1024      // bytes of a part or of a sort key
)

// ErrRefused is wrapped by errors about what no table takes: limits, empty or
// malformed keys, a key written twice in one commit.
var ErrRefused = errors.New("refused by the table's limits")

// ErrFull is wrapped by the errors of a Commit that was refused, whole, because
// the store has no room left.
var ErrFull = errors.New("the store is full")

// ConflictError says which conditions of a commit did not hold. Nothing was
// written.
type ConflictError struct{ Keys []Key }

func (e *ConflictError) Error() string {
	s := make([]string, len(e.Keys))
	for i, k := range e.Keys {
		s[i] = k.String()
	}
	return "conflict at " + strings.Join(s, ", ")
}

// Conflicts reports whether err is a conflict, and if keys are given, whether
// it is at one of them.
func Conflicts(err error, keys ...Key) bool {
	var c *ConflictError
	if !errors.As(err, &c) {
		return false
	}
	if len(keys) == 0 {
		return true
	}
	for _, have := range c.Keys {
		for _, k := range keys {
			if have == k {
				return true
			}
		}
	}
	return false
}
