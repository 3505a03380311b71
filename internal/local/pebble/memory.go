package pebble

import (
	"sync/atomic"

	engine "github.com/cockroachdb/pebble/v2"
)

// Of a store, so much is kept in memory: a sixteenth holds its filters and
// indexes, and the blocks that are asked for again and again. Four times the least
// are what a program may take that nobody has set a limit for; beyond, the
// system's own cache of files does as well.
const (
	cacheShare = 16
	cacheMost  = 4 // times the least
)

// memory is the cache of the engine's blocks, which grows and shrinks with the
// store.
type memory struct {
	cache   *engine.Cache
	least   int64
	size    atomic.Int64 // bytes that blocks may take; the committer changes it
	release func()       // ends the reservation of what they may not
}

func newMemory(least int64) *memory {
	m := &memory{cache: engine.NewCache(cacheMost * least), least: least, release: func() {}}
	m.fit(0)
	return m
}

// fit makes it as large as befits a store of so many bytes.
func (m *memory) fit(store int64) {
	size := min(max(store/cacheShare, m.least), cacheMost*m.least)
	if size == m.size.Load() {
		return
	}
	// In this order nothing is driven out that may stay.
	m.release()
	m.release = m.cache.Reserve(int(cacheMost*m.least - size))
	m.size.Store(size)
}

// fitMemory looks at how large the store is.
func (t *Table) fitMemory() {
	if t.db == nil {
		return
	}
	var size int64
	for _, level := range t.db.Metrics().Levels {
		size += level.TablesSize
	}
	t.memory.fit(size)
}
