package table

import "time"

// Key names an item. Both parts are valid UTF-8 without NUL, not empty, and at
// most MaxKey bytes.
type Key struct{ Part, Sort string }

func (k Key) String() string { return k.Part + " " + k.Sort }

// Item is what is stored under a key.
type Item struct {
	Key
	Version Version   // the commit that wrote it last
	Data    []byte    // opaque; not to be modified; empty and nil are the same
	N       int64     // the counter that Add changes
	Expires time.Time // whole seconds; zero: never. Readers compare it with the clock; the store removes the item some time later
}

// Exists reports whether the item was found: the zero Item stands for none.
func (i Item) Exists() bool { return i.Version != "" }

// Expired reports whether the item is to be treated as absent at now.
func (i Item) Expired(now time.Time) bool { return !i.Expires.IsZero() && !now.Before(i.Expires) }

// Size returns the bytes that DynamoDB counts for the item, attribute names
// included (one letter each), as aws/dynamo stores it. The names of
// subscriptions that want the key, its attribute f, are not counted: the item
// does not tell them.
func (i Item) Size() int {
	n := 2 + len(i.Part) + len(i.Sort) + 1 + len(i.Version)
	if len(i.Data) > 0 {
		n += 1 + len(i.Data)
	}
	if i.N != 0 {
		n += 1 + numberSize(i.N)
	}
	if !i.Expires.IsZero() {
		n += 1 + numberSize(i.Expires.Unix())
	}
	return n
}

// numberSize is DynamoDB's: about one byte for two significant digits, one
// more for the exponent and one for a sign.
func numberSize(n int64) int {
	size, digits := 1, 0
	if n < 0 {
		size++
	}
	for n != 0 && n%10 == 0 {
		n /= 10
	}
	for ; n != 0; n /= 10 {
		digits++
	}
	return size + (digits+1)/2
}

// Range selects within a partition. The zero Range is the whole partition in
// ascending order.
type Range struct {
	Prefix     string // only sort keys that begin so
	After      string // only sort keys that come after this one in the direction of reading; need not exist
	Descending bool
	Limit      int // at most so many items, then the sequence ends; 0: all
}
