package roster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"gatehouse/internal/table"
)

// A head is what stands before the attributes in the item of a user or group:
// its length, then fields, each a letter, a length and that many bytes. What a
// field does not say is zero, and unknown letters are passed over. Lists decode
// a head for every user, so it is not JSON; and every user pays for it by the
// kilobyte, so it is short.
type head []byte

func (h head) text(name byte, v string) head {
	if v == "" {
		return h
	}
	return append(binary.AppendUvarint(append(h, name), uint64(len(v))), v...)
}

func (h head) number(name byte, n uint64) head {
	if n == 0 {
		return h
	}
	var b [binary.MaxVarintLen64]byte
	return h.text(name, string(binary.AppendUvarint(b[:0], n)))
}

func (h head) flag(name byte, on bool) head {
	if !on {
		return h
	}
	return append(h, name, 0)
}

// with joins the head and the attributes to an item's data.
func (h head) with(raw []byte) []byte {
	out := make([]byte, 0, len(h)+len(raw)+2)
	out = binary.AppendUvarint(out, uint64(len(h)))
	return append(append(out, h...), raw...)
}

var errDamaged = errors.New("the item is damaged")

// fields yields the head's fields; split has checked their form.
func (h head) fields() iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for rest := h; len(rest) > 0; {
			n, w := binary.Uvarint(rest[1:])
			v := rest[1+w:]
			if !yield(rest[0], v[:n]) {
				return
			}
			rest = v[n:]
		}
	}
}

// split takes an item's data apart.
func split(it table.Item) (head, []byte, error) {
	n, w := binary.Uvarint(it.Data)
	if w <= 0 || n > uint64(len(it.Data)-w) {
		return nil, nil, fmt.Errorf("read %v: %w", it.Key, errDamaged)
	}
	h := head(it.Data[w : w+int(n)])
	for rest := h; len(rest) > 0; {
		n, w := binary.Uvarint(rest[1:])
		if w <= 0 || n > uint64(len(rest)-1-w) {
			return nil, nil, fmt.Errorf("read %v: %w", it.Key, errDamaged)
		}
		rest = rest[1+w+int(n):]
	}
	return h, it.Data[w+int(n):], nil
}

// count reads what number wrote.
func count(v []byte) uint64 {
	n, _ := binary.Uvarint(v)
	return n
}
