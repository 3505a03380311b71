// Package record is the binary form of items and changes, as embedded tables
// store them and dead letters carry them.
//
// It is not a format for others: it has no field names, and a store's schema
// version says which form it holds.
//
// An item is a byte of flags, its version with a byte of length, the counter
// and the expiry as varints if the flags say so, and its data up to the end.
// The key is not part of it. A change is the commit's version with a byte of
// length, part and sort key with uvarint lengths, and the item; a deleted item
// has the flag gone and nothing else.
package record

import (
	"encoding/binary"
	"errors"
	"time"

	"gatehouse/internal/table"
)

const (
	hasCount  = 1 << iota // the counter is not zero
	hasExpiry             // the item expires
	gone                  // there is no item
)

// ErrMalformed is returned for bytes that are no record.
var ErrMalformed = errors.New("malformed record")

// AppendItem appends the item without its key.
func AppendItem(b []byte, i table.Item) []byte {
	if !i.Exists() {
		return append(b, gone)
	}
	flags := byte(0)
	if i.N != 0 {
		flags |= hasCount
	}
	if !i.Expires.IsZero() {
		flags |= hasExpiry
	}
	b = append(b, flags, byte(len(i.Version)))
	b = append(b, i.Version...)
	if i.N != 0 {
		b = binary.AppendVarint(b, i.N)
	}
	if !i.Expires.IsZero() {
		b = binary.AppendVarint(b, i.Expires.Unix())
	}
	return append(b, i.Data...)
}

// ParseItem reads what AppendItem wrote; the item's data is a slice of b.
func ParseItem(k table.Key, b []byte) (table.Item, error) {
	r := reader{b: b}
	item := r.item(k)
	if r.bad {
		return table.Item{}, ErrMalformed
	}
	return item, nil
}

// AppendChange appends a change and the commit that made it. The delivery's ID
// is not part of it.
func AppendChange(b []byte, commit table.Version, k table.Key, item table.Item) []byte {
	b = append(b, byte(len(commit)))
	b = append(b, commit...)
	b = binary.AppendUvarint(b, uint64(len(k.Part)))
	b = append(b, k.Part...)
	b = binary.AppendUvarint(b, uint64(len(k.Sort)))
	b = append(b, k.Sort...)
	return AppendItem(b, item)
}

// ParseChange reads what AppendChange wrote; the item's data is a slice of b.
func ParseChange(b []byte) (table.Version, table.Change, error) {
	r := reader{b: b}
	commit := table.Version(r.next(uint64(r.byte())))
	k := table.Key{Part: string(r.next(r.uvarint())), Sort: string(r.next(r.uvarint()))}
	c := table.Change{Key: k, New: r.item(k)}
	if r.bad {
		return "", table.Change{}, ErrMalformed
	}
	return commit, c, nil
}

// reader takes a record apart; once it is bad it yields zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) item(k table.Key) table.Item {
	if len(r.b) > 0 && r.b[0] == gone {
		r.bad = r.bad || len(r.b) > 1
		return table.Item{}
	}
	i := r.head()
	i.Key = k
	if len(r.b) > 0 {
		i.Data = r.b[:len(r.b):len(r.b)]
	}
	r.bad = r.bad || i.Version == ""
	return i
}

func (r *reader) head() (i table.Item) {
	flags := r.byte()
	r.bad = r.bad || flags&^(hasCount|hasExpiry) != 0
	i.Version = table.Version(r.next(uint64(r.byte())))
	if flags&hasCount != 0 {
		i.N = r.varint()
	}
	if flags&hasExpiry != 0 {
		i.Expires = time.Unix(r.varint(), 0).UTC()
	}
	return i
}

func (r *reader) next(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) byte() byte {
	if b := r.next(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	r.skip(size)
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.b)
	r.skip(size)
	return n
}

func (r *reader) skip(size int) {
	if size <= 0 {
		r.bad = true
		return
	}
	r.next(uint64(size))
}
