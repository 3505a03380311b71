package account

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/table"
)

// An address over its limit writes nothing more, whatever names it makes up.
func TestCountersAreBounded(t *testing.T) {
	w := newWorld(t)
	throttled := 0
	for i := range 4 * triesOfAddress {
		_, err := w.SignIn(t.Context(), w.acme, Attempt{Name: fmt.Sprint("made-up-", i), Password: "wrong password here", Client: "192.0.2.1"})
		if fault.Is(err, fault.Throttled) {
			throttled++
		} else if !errors.Is(err, errSignIn) {
			t.Fatalf("try %d = %v, want refused or throttled", i+1, err)
		}
	}
	keys := map[table.Key]bool{}
	for _, x := range w.table.writes {
		if strings.HasPrefix(x.Key.Part, "RATE#") {
			keys[x.Key] = true
		}
	}
	stored := 0
	for k := range keys {
		items, err := w.table.Get(t.Context(), k)
		w.must(err)
		stored += len(items)
	}
	if want := triesOfAddress + 1; throttled != 3*triesOfAddress || stored != want {
		t.Errorf("%d tries from one address: %d throttled and %d counters, want %d and %d", 4*triesOfAddress, throttled, stored, 3*triesOfAddress, want)
	}
}

// What a flood can make this program hold, whatever it sends.
func TestHashesOfAFlood(t *testing.T) {
	h := New(Config{}).hasher
	if atOnce := cap(h.slots) * int(h.params.memory) << 10; atOnce > 64<<20 {
		t.Errorf("hashes at once take %d MiB, want at most 64", atOnce>>20)
	}
	if n := cap(h.queue); n > 64 {
		t.Errorf("%d wait or hash at once, want at most 64", n)
	}
}
