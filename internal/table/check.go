package table

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckKeys returns an error that wraps ErrRefused for keys that no table
// takes. Implementations call it in Get.
func CheckKeys(keys ...Key) error {
	if len(keys) > MaxGet {
		return fmt.Errorf("%d keys in one Get: %w", len(keys), ErrRefused)
	}
	for _, k := range keys {
		if err := checkKey(k); err != nil {
			return err
		}
	}
	if k, ok := twice(len(keys), func(i int) Key { return keys[i] }); ok {
		return fmt.Errorf("%v twice in one Get: %w", k, ErrRefused)
	}
	return nil
}

// CheckPart is CheckKeys for the partition of a Query.
func CheckPart(part string) error { return checkKeyPart("part", part) }

// CheckWrites returns an error that wraps ErrRefused for a commit that no
// table takes. Implementations call it first in Commit.
func CheckWrites(writes []Write) error {
	if len(writes) == 0 || len(writes) > MaxWrites {
		return fmt.Errorf("%d writes in one commit: %w", len(writes), ErrRefused)
	}
	total := 0
	for i := range writes {
		w := &writes[i]
		if err := checkKey(w.Key); err != nil {
			return err
		}
		switch w.Op {
		case OpCreate, OpPut:
		case OpAdd:
			if len(w.Data) > 0 {
				return fmt.Errorf("an add with data, %v: %w", w.Key, ErrRefused)
			}
		case OpReplace, OpDelete, OpCheck:
			if w.If == "" {
				return fmt.Errorf("%v of an item that was not found, %v: %w", w.Op, w.Key, ErrRefused)
			}
		default:
			return fmt.Errorf("a write without an operation: %w", ErrRefused)
		}
		size := w.size()
		if size > MaxItem {
			return fmt.Errorf("an item of %d bytes, %v: %w", size, w.Key, ErrRefused)
		}
		total += size
	}
	if total > MaxCommit {
		return fmt.Errorf("a commit of %d bytes: %w", total, ErrRefused)
	}
	if k, ok := twice(len(writes), func(i int) Key { return writes[i].Key }); ok {
		return fmt.Errorf("two writes for %v: %w", k, ErrRefused)
	}
	return nil
}

// twice returns a key that stands twice among n.
func twice(n int, key func(int) Key) (Key, bool) {
	if n > 16 { // beyond, a map is cheaper than comparing each with each
		seen := make(map[Key]bool, n)
		for i := range n {
			if k := key(i); seen[k] {
				return k, true
			} else {
				seen[k] = true
			}
		}
		return Key{}, false
	}
	for i := range n {
		k := key(i)
		for j := range i {
			if key(j) == k {
				return k, true
			}
		}
	}
	return Key{}, false
}

func checkKey(k Key) error {
	if err := checkKeyPart("part", k.Part); err != nil {
		return err
	}
	return checkKeyPart("sort", k.Sort)
}

func checkKeyPart(which, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("an empty %s key: %w", which, ErrRefused)
	case len(s) > MaxKey:
		return fmt.Errorf("a %s key of %d bytes: %w", which, len(s), ErrRefused)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("a %s key that is not UTF-8 or holds NUL: %w", which, ErrRefused)
	}
	return nil
}
