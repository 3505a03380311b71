package table

import "time"

// Op is what a Write does.
type Op uint8

const (
	OpCreate Op = iota + 1
	OpReplace
	OpDelete
	OpCheck
	OpAdd
	OpPut
)

func (o Op) String() string {
	return [...]string{"nothing", "create", "replace", "delete", "check", "add", "put"}[o]
}

// Write is one part of a commit. It is built by a constructor that names the
// race it guards against; tables read its fields.
type Write struct {
	Op      Op
	Key     Key
	If      Version // OpReplace, OpDelete, OpCheck: the version that must be stored still
	Data    []byte  // read until Commit returns, not kept
	N       int64   // OpAdd: the change; otherwise the counter's value
	Min     int64   // OpAdd: the counter must end within Min and Max
	Max     int64
	Expires time.Time
}

// Create writes an item that must not exist: of two creators one gets a
// *ConflictError.
func Create(k Key, data []byte) Write { return Write{Op: OpCreate, Key: k, Data: data} }

// Replace writes the item anew if it is still as it was read: of two writers
// that read the same version one gets a *ConflictError. The counter and the
// expiry stay as they were read unless With changes them.
func Replace(old Item, data []byte) Write {
	return Write{Op: OpReplace, Key: old.Key, If: old.Version, Data: data, N: old.N, Expires: old.Expires}
}

// Delete removes the item if it is still as it was read.
func Delete(old Item) Write { return Write{Op: OpDelete, Key: old.Key, If: old.Version} }

// Check writes nothing and lets the commit pass only while the item is still
// as it was read.
func Check(old Item) Write { return Write{Op: OpCheck, Key: old.Key, If: old.Version} }

// Add changes the item's counter by delta if the outcome lies within min and
// max, both included; an absent item counts as zero and is made. Data and
// expiry of an item that exists stay, but Until gives an expiry to an item that
// has none. Concurrent Adds all count.
func Add(k Key, delta, min, max int64) Write {
	return Write{Op: OpAdd, Key: k, N: delta, Min: min, Max: max}
}

// Put writes the item whatever is stored: the last writer wins. For what has
// one writer, or where any writer's value is as good.
func Put(k Key, data []byte) Write { return Write{Op: OpPut, Key: k, Data: data} }

// Until returns the write with an expiry, cut to whole seconds.
func (w Write) Until(t time.Time) Write { w.Expires = t.Truncate(time.Second); return w }

// Count returns the write with the counter set to n. Not for Add.
func (w Write) Count(n int64) Write { w.N = n; return w }

// size is that of the item as the write gives it. What an Add leaves in place
// is not known here.
func (w *Write) size() int {
	return Item{Key: w.Key, Version: "vvvvvvvvvvvvvvvvvvvv", Data: w.Data, N: w.N, Expires: w.Expires}.Size()
}

// Holds reports whether the write's condition holds on what is stored under
// its key; the zero Item stands for nothing. Embedded tables decide by it.
func (w *Write) Holds(old Item) bool {
	switch w.Op {
	case OpCreate:
		return !old.Exists()
	case OpReplace, OpDelete, OpCheck:
		return old.Version == w.If
	case OpAdd:
		sum := old.N + w.N
		if (sum > old.N) != (w.N > 0) && w.N != 0 { // beyond what an int64 holds
			return false
		}
		return w.Min <= sum && sum <= w.Max
	}
	return true
}

// Over returns what the write stores over old in the commit v: the zero Item
// for a Delete, old itself for a Check.
func (w *Write) Over(old Item, v Version) Item {
	switch w.Op {
	case OpDelete:
		return Item{}
	case OpCheck:
		return old
	case OpAdd:
		next := Item{Key: w.Key, Version: v, Data: old.Data, N: old.N + w.N, Expires: old.Expires}
		if next.Expires.IsZero() {
			next.Expires = w.Expires
		}
		return next
	}
	return Item{Key: w.Key, Version: v, Data: w.Data, N: w.N, Expires: w.Expires}
}
