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
