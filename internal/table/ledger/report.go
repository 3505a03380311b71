package ledger

import "fmt"

// Units are read and write capacity units.
type Units struct{ Read, Write int64 }

// Report is what was counted over some time.
type Report struct {
	Units     // of all partitions
	Gets      int64
	Queries   int64 // pages of them
	Commits   int64 // those that conflicted included
	Conflicts int64
	Parts     map[string]Units
}

// Sub returns what came after the earlier report.
func (r Report) Sub(earlier Report) Report {
	out := r
	out.Read -= earlier.Read
	out.Write -= earlier.Write
	out.Gets -= earlier.Gets
	out.Queries -= earlier.Queries
	out.Commits -= earlier.Commits
	out.Conflicts -= earlier.Conflicts
	out.Parts = map[string]Units{}
	for part, u := range r.Parts {
		was := earlier.Parts[part]
		if u = (Units{u.Read - was.Read, u.Write - was.Write}); u != (Units{}) {
			out.Parts[part] = u
		}
	}
	return out
}

// Do returns what f costs, with whatever else uses the table meanwhile.
func (l *Ledger) Do(f func()) Report {
	before := l.Snapshot()
	f()
	return l.Snapshot().Sub(before)
}

// BusiestRead returns the partition that most was read from, the first by name
// of several; empty if nothing was read.
func (r Report) BusiestRead() (part string, units int64) {
	return r.busiest(func(u Units) int64 { return u.Read })
}

// BusiestWrite is BusiestRead for writes.
func (r Report) BusiestWrite() (part string, units int64) {
	return r.busiest(func(u Units) int64 { return u.Write })
}

func (r Report) busiest(of func(Units) int64) (part string, most int64) {
	for p, u := range r.Parts {
		if n := of(u); n > most || n == most && n > 0 && p < part {
			part, most = p, n
		}
	}
	return part, most
}

// String tells the report in one line, for benchmarks and failures.
func (r Report) String() string {
	s := fmt.Sprintf("%d write units in %d commits, %d read units in %d gets and %d pages", r.Write, r.Commits, r.Read, r.Gets, r.Queries)
	if r.Conflicts > 0 {
		s += fmt.Sprintf(", %d conflicts", r.Conflicts)
	}
	if part, n := r.BusiestWrite(); n > 0 {
		s += fmt.Sprintf("; most written %s with %d", part, n)
	}
	if part, n := r.BusiestRead(); n > 0 {
		s += fmt.Sprintf("; most read %s with %d", part, n)
	}
	return s
}

func (r *Report) read(part string, n int64) {
	u := r.Parts[part]
	u.Read += n
	r.Parts[part] = u
	r.Read += n
}

func (r *Report) write(part string, n int64) {
	u := r.Parts[part]
	u.Write += n
	r.Parts[part] = u
	r.Write += n
}
