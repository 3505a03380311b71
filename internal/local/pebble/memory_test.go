package pebble_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
)

// TestMemoryGrowsWithTheStore fills a store beyond sixteen times its cache, and
// opens it again.
func TestMemoryGrowsWithTheStore(t *testing.T) {
	const least = 64 << 10
	o := pebble.Options{
		CacheSize: least, MemTableSize: 256 << 10, SweepEvery: 5 * time.Millisecond,
		FS: vfs.NewMem(), Logger: quiet,
	}
	p, err := pebble.Open("store", o)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 8<<10)
	for i := range 400 { // 3 MB that cannot be compressed
		rand.Read(data)
		if _, err := p.Commit(ctx, table.Create(table.Key{Part: fmt.Sprintf("O#%d", i), Sort: "#"}, data)); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Now().Add(20 * time.Second)
	for p.Memory() < 2*least && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	grown := p.Memory()
	if grown < 2*least || grown > 4*least {
		t.Errorf("with 3 MB stored the cache has %d bytes, want a sixteenth of them", grown)
	}
	o.SweepEvery = time.Hour
	if p, err = pebble.Open("store", o); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if got := p.Memory(); got < grown {
		t.Errorf("opened again, the cache has %d bytes, want at least the %d from before", got, grown)
	}
}
