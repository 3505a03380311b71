package tabletest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/table"
)

// same reports whether two items are equal in all that a table keeps.
func same(a, b table.Item) bool {
	return a.Key == b.Key && a.Version == b.Version && a.N == b.N &&
		bytes.Equal(a.Data, b.Data) && a.Expires.Equal(b.Expires)
}

func show(i table.Item) string {
	if !i.Exists() {
		return "nothing"
	}
	data := fmt.Sprintf("%q", i.Data)
	if len(i.Data) > 40 {
		data = fmt.Sprintf("%d bytes", len(i.Data))
	}
	return fmt.Sprintf("{%v: %s, n %d, version %s, expires %d}", i.Key, data, i.N, i.Version, expiry(i))
}

func expiry(i table.Item) int64 {
	if i.Expires.IsZero() {
		return 0
	}
	return i.Expires.Unix()
}

func told(writes []table.Write) string {
	if len(writes) > 5 {
		return fmt.Sprintf("%d writes", len(writes))
	}
	s := make([]string, len(writes))
	for i, w := range writes {
		s[i] = fmt.Sprintf("%v %.60s", w.Op, w.Key)
	}
	return strings.Join(s, ", ")
}

func conflicts(err error) ([]table.Key, bool) {
	var c *table.ConflictError
	if !errors.As(err, &c) {
		return nil, false
	}
	return c.Keys, true
}

// sameKeys compares two lists without regard to order.
func sameKeys(a, b []table.Key) bool {
	count := map[table.Key]int{}
	for _, k := range a {
		count[k]++
	}
	for _, k := range b {
		count[k]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
