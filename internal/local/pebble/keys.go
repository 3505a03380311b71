package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	engine "github.com/cockroachdb/pebble/v2"

	"gatehouse/internal/table"
	"gatehouse/internal/table/record"
)

// The store's keys. Parts and sort keys hold no NUL, so items stand in the
// order of partition and sort key.
//
//	i part NUL sort          an item
//	e second part NUL sort   an item that expires then; nothing under it
//	f position               an entry of the feed
//	p name                   the position that a subscription has passed
//	g                        the number of the newest group of commits
//
// Seconds and positions are 8 bytes, the highest first.
const (
	itemSpace   = 'i'
	expirySpace = 'e'
	feedSpace   = 'f'
	passedSpace = 'p'
	groupSpace  = 'g'
)

func appendItemKey(b []byte, k table.Key) []byte {
	b = append(b, itemSpace)
	b = append(b, k.Part...)
	b = append(b, 0)
	return append(b, k.Sort...)
}

// appendExpiryKey appends the key that an item's expiry is found by.
func appendExpiryKey(b []byte, second int64, k table.Key) []byte {
	b = appendSecond(append(b, expirySpace), second)
	return appendItemKey(b, k)
}

// appendSecond keeps the order of seconds before 1970 too.
func appendSecond(b []byte, second int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(second)^1<<63)
}

func appendFeedKey(b []byte, position uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, feedSpace), position)
}

// bounds returns the first key of the range and the one after its last.
func bounds(part string, r table.Range) (lower, upper []byte) {
	lower = appendItemKey(nil, table.Key{Part: part, Sort: r.Prefix})
	upper = successor(lower)
	if r.After == "" {
		return lower, upper
	}
	after := appendItemKey(nil, table.Key{Part: part, Sort: r.After})
	if r.Descending {
		if string(after) < string(upper) {
			upper = after
		}
	} else if string(after) >= string(lower) {
		lower = append(after, 0)
	}
	if string(lower) > string(upper) { // the range is empty, and the engine wants that in order
		lower = upper
	}
	return lower, upper
}

// successor returns the smallest key greater than all that begin with the
// prefix, which begins with a letter.
func successor(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	for i := len(b) - 1; ; i-- {
		if b[i] < 0xff {
			b[i]++
			return b[:i+1]
		}
	}
}

// prefixSort is how much of a sort key belongs to an item's prefix: the length of
// an id, so that a user and what stands under them, "<user>#M#<group>", have one
// prefix, by which filters tell tables that hold nothing of the user.
const prefixSort = 26

// comparer orders keys by their bytes, as the engine's own does, and splits them
// for the filters.
var comparer = func() *engine.Comparer {
	c := *engine.DefaultComparer
	c.Name = "gatehouse.items"
	c.Split = split
	c.ImmediateSuccessor = func(dst, prefix []byte) []byte {
		if next := append(dst, prefix...); split(append(next, 0)) == len(prefix)+1 {
			return append(next, 0)
		}
		return append(dst, successor(prefix)...)
	}
	return &c
}()

// split returns the length of a key's prefix.
func split(key []byte) int {
	if len(key) == 0 || key[0] != itemSpace {
		return len(key)
	}
	nul := bytes.IndexByte(key, 0)
	if nul < 0 {
		return len(key)
	}
	return min(len(key), nul+1+prefixSort)
}

// read returns the item under the key, the zero Item if there is none.
func read(db *engine.DB, scratch []byte, k table.Key) (table.Item, error) {
	value, closer, err := db.Get(appendItemKey(scratch, k))
	if errors.Is(err, engine.ErrNotFound) {
		return table.Item{}, nil
	}
	if err != nil {
		return table.Item{}, err
	}
	item, err := record.ParseItem(k, append([]byte(nil), value...))
	return item, errors.Join(err, closer.Close())
}

// decode makes an item of what an iterator stands on.
func decode(part string, sort, value []byte) (table.Item, error) {
	return record.ParseItem(table.Key{Part: part, Sort: string(sort)}, append([]byte(nil), value...))
}

// splitItemKey reads an item's key back.
func splitItemKey(b []byte) (table.Key, bool) {
	part, sort, ok := strings.Cut(string(b[1:]), "\x00")
	return table.Key{Part: part, Sort: sort}, ok
}
