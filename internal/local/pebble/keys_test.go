package pebble

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/internal/table"
)

// The engine asks of a comparer that prefixes are in the order of their keys,
// and that what is left of two keys with one prefix decides between them.
func TestComparer(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 9).Draw(t, "space") == 0 {
			return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")
		}
		// Few letters, so that long prefixes are shared.
		part := rapid.StringOfN(rapid.RuneFrom([]rune("ab#")), 1, 3, -1).Draw(t, "part")
		sort := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 30, -1).Draw(t, "sort")
		if rapid.Bool().Draw(t, "common") {
			sort = "bbbbbbbbbbbbbbbbbbbbbbbb" + sort
		}
		return appendItemKey(nil, table.Key{Part: part, Sort: sort})
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		pa, pb := comparer.Split.Prefix(a), comparer.Split.Prefix(b)
		if comparer.Split(pa) != len(pa) {
			t.Fatalf("the prefix %q of %q has the prefix %q", pa, a, comparer.Split.Prefix(pa))
		}
		want := bytes.Compare(a, b)
		if got := comparer.Compare(a, b); got != want {
			t.Fatalf("Compare(%q, %q) = %d, want %d", a, b, got, want)
		}
		switch p := bytes.Compare(pa, pb); {
		case p != 0 && p != want:
			t.Fatalf("%q and %q compare as %d, their prefixes as %d", a, b, want, p)
		case p == 0 && bytes.Compare(a[len(pa):], b[len(pb):]) != want:
			t.Fatalf("%q and %q have one prefix, and what follows compares otherwise", a, b)
		}
		if len(a) == 0 {
			return
		}
		next := comparer.ImmediateSuccessor(nil, pa)
		if comparer.Split(next) != len(next) || bytes.Compare(pa, next) >= 0 {
			t.Fatalf("ImmediateSuccessor(%q) = %q", pa, next)
		}
		if bytes.Compare(pa, pb) < 0 && bytes.Compare(pb, next) < 0 {
			t.Fatalf("ImmediateSuccessor(%q) = %q, but %q lies between", pa, next, pb)
		}
	})
}

// A user and their memberships have one prefix, another user's has another.
func TestPrefixOfAUser(t *testing.T) {
	const user, other = "120q33024s53sve1gbh7bea3sa", "120q33024s53sve1gbh7bea3sb"
	prefix := func(sort string) string {
		return string(comparer.Split.Prefix(appendItemKey(nil, table.Key{Part: "O#o#U#c#1", Sort: sort})))
	}
	if prefix(user) != prefix(user+"#M#group") || prefix(user) == prefix(other) {
		t.Errorf("the prefixes are %q, %q and %q", prefix(user), prefix(user+"#M#group"), prefix(other))
	}
}
