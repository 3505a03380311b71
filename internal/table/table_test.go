package table_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/internal/table"
)

// TestMintVersion holds that a version sorts after those it follows, whatever
// the clocks say, and stays in the millisecond of the newest of them if it can.
func TestMintVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := func(name string) time.Time {
			return time.UnixMicro(rapid.Int64Range(1_700_000_000_000_000, 1_700_000_000_005_000).Draw(t, name))
		}
		var after []table.Version
		for range rapid.IntRange(0, 20).Draw(t, "earlier") {
			after = append(after, table.MintVersion(clock("before"), after...))
		}
		now := clock("now")
		v := table.MintVersion(now, after...)
		newest := now.UnixMilli()
		for _, a := range after {
			if v <= a {
				t.Fatalf("MintVersion(%v, %q) = %q, want one after %q", now, after, v, a)
			}
			newest = max(newest, a.Time().UnixMilli())
		}
		if got := v.Time().UnixMilli(); len(v) != 20 || got < newest || got > newest+1 {
			t.Fatalf("MintVersion(%v, %q) = %q, of millisecond %d, want 20 characters and %d", now, after, v, got, newest)
		}
	})
	v := table.MintVersion(time.Now())
	for range 10_000 {
		v = table.MintVersion(v.Time(), v)
	}
	if ahead := time.Until(v.Time()); ahead > 10*time.Millisecond {
		t.Errorf("10,000 versions of one millisecond run %v ahead of the clock", ahead)
	}
}

func TestSize(t *testing.T) {
	base := table.Item{Key: table.Key{Part: "part", Sort: "sort"}, Version: "vvvvvvvvvvvvvvvvvvvv"}
	with := func(f func(*table.Item)) table.Item { i := base; f(&i); return i }
	for _, c := range []struct {
		name string
		item table.Item
		want int
	}{
		{"key and version", base, 1 + 4 + 1 + 4 + 1 + 20},
		{"empty data", with(func(i *table.Item) { i.Data = []byte{} }), 31},
		{"10 bytes of data", with(func(i *table.Item) { i.Data = make([]byte, 10) }), 31 + 11},
		{"counter 7", with(func(i *table.Item) { i.N = 7 }), 31 + 1 + 2},
		{"counter -7", with(func(i *table.Item) { i.N = -7 }), 31 + 1 + 3},
		{"counter 1,000,000", with(func(i *table.Item) { i.N = 1_000_000 }), 31 + 1 + 2},
		{"the smallest counter", with(func(i *table.Item) { i.N = math.MinInt64 }), 31 + 1 + 12},
		{"expiry", with(func(i *table.Item) { i.Expires = time.Unix(1_795_355_156, 0) }), 31 + 1 + 6},
	} {
		if got := c.item.Size(); got != c.want {
			t.Errorf("Size of an item with %s = %d, want %d", c.name, got, c.want)
		}
	}
}

func TestExpired(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		expires, now time.Time
		want         bool
	}{
		{time.Time{}, at, false},
		{at, at.Add(-time.Nanosecond), false},
		{at, at, true},
		{at, at.Add(time.Hour), true},
	} {
		if got := (table.Item{Expires: c.expires}).Expired(c.now); got != c.want {
			t.Errorf("Expired(%v) of an item that expires %v = %t, want %t", c.now, c.expires, got, c.want)
		}
	}
}

func TestConflicts(t *testing.T) {
	a, b := table.Key{Part: "a", Sort: "1"}, table.Key{Part: "b", Sort: "1"}
	err := errors.Join(errors.New("create a user"), &table.ConflictError{Keys: []table.Key{a}})
	if !table.Conflicts(err) || !table.Conflicts(err, b, a) || table.Conflicts(err, b) || table.Conflicts(errors.New("other")) || table.Conflicts(nil) {
		t.Errorf("Conflicts(conflict at a) = %t, at b or a %t, at b %t, of another error %t, of none %t; want true, true, false, false, false",
			table.Conflicts(err), table.Conflicts(err, b, a), table.Conflicts(err, b), table.Conflicts(errors.New("other")), table.Conflicts(nil))
	}
}
