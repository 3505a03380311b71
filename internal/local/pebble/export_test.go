package pebble

// Waiting returns how many commits wait for the committer.
func (t *Table) Waiting() int {
	t.queue.mu.Lock()
	defer t.queue.mu.Unlock()
	n := 0
	for _, r := range t.queue.waiting {
		if r.state.Load() == waiting {
			n++
		}
	}
	return n
}

// Memory returns how many bytes of blocks are kept in memory at the most.
func (t *Table) Memory() int64 { return t.memory.size.Load() }
