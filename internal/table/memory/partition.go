package memory

import (
	"slices"
	"sort"

	"gatehouse/internal/table"
)

// partition holds items in the order of their sort keys, cut into runs of at
// most runMax, so that an insertion into a large partition moves few of them.
type partition struct {
	runs [][]table.Item // none is empty
	size int
}

const runMax = 256

// find returns the run and the place in it where the sort key stands or would.
func (p *partition) find(key string) (run, at int, ok bool) {
	// The last run that begins at or before the key is the one to hold it.
	run = sort.Search(len(p.runs), func(i int) bool { return p.runs[i][0].Sort > key }) - 1
	if run < 0 {
		return 0, 0, false
	}
	r := p.runs[run]
	at = sort.Search(len(r), func(i int) bool { return r[i].Sort >= key })
	return run, at, at < len(r) && r[at].Sort == key
}

func (p *partition) get(key string) table.Item {
	if run, at, ok := p.find(key); ok {
		return p.runs[run][at]
	}
	return table.Item{}
}

func (p *partition) set(item table.Item) {
	run, at, ok := p.find(item.Sort)
	switch {
	case ok:
		p.runs[run][at] = item
		return
	case len(p.runs) == 0:
		p.runs = append(p.runs, nil)
	}
	p.size++
	r := slices.Insert(p.runs[run], at, item)
	if len(r) <= runMax {
		p.runs[run] = r
		return
	}
	half := len(r) / 2
	upper := slices.Clone(r[half:])
	clear(r[half:])
	p.runs[run] = r[:half]
	p.runs = slices.Insert(p.runs, run+1, upper)
}

func (p *partition) remove(key string) {
	run, at, ok := p.find(key)
	if !ok {
		return
	}
	p.size--
	p.runs[run] = slices.Delete(p.runs[run], at, at+1)
	if len(p.runs[run]) == 0 {
		p.runs = slices.Delete(p.runs, run, run+1)
	}
}

// read returns the first n items of the range.
func (p *partition) read(r table.Range, n int) []table.Item {
	var out []table.Item
	run, at := p.start(r)
	for len(out) < n && run >= 0 && run < len(p.runs) {
		if at < 0 || at >= len(p.runs[run]) { // over the edge of a run
			if r.Descending {
				if run--; run >= 0 {
					at = len(p.runs[run]) - 1
				}
			} else {
				run, at = run+1, 0
			}
			continue
		}
		item := p.runs[run][at]
		if len(item.Sort) < len(r.Prefix) || item.Sort[:len(r.Prefix)] != r.Prefix {
			break
		}
		out = append(out, item)
		if r.Descending {
			at--
		} else {
			at++
		}
	}
	return out
}

// start returns the place of the range's first item, if it has one.
func (p *partition) start(r table.Range) (run, at int) {
	if !r.Descending {
		run, at, ok := p.find(max(r.Prefix, r.After))
		if ok && r.After != "" && r.After >= r.Prefix {
			at++
		}
		return run, at
	}
	end, bounded := successor(r.Prefix)
	if r.After != "" && (!bounded || r.After < end) {
		end, bounded = r.After, true
	}
	if !bounded {
		if len(p.runs) == 0 {
			return -1, 0
		}
		last := len(p.runs) - 1
		return last, len(p.runs[last]) - 1
	}
	run, at, _ = p.find(end)
	return run, at - 1
}

// successor returns the smallest string that is greater than all that begin
// with the prefix, false if there is none.
func successor(prefix string) (string, bool) {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1]), true
		}
	}
	return "", false
}
