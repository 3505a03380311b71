package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// aim is a bound and what was measured.
type aim struct {
	what, measured string
	known, holds   bool
}

// Ratios to the floor of two peers that are not measured here, CPU at 16
// clients: elimity-com/scim in Go, and SCIM-SDK in Java. They were measured once,
// with the same floor.
var elsewhere = []struct {
	name             string
	elimity, scimSDK float64
	against          string // the floor's case
}{
	{caseCreate, 1.8, 9.7, caseCreate},
	{caseGet, 1.1, 9.0, caseGet},
	{casePatch, 2.5, 10.2, caseCreate},
}

// aims holds the measurements against docs/performance.md's aims.
func aims(m *measurements) []aim {
	var list []aim
	unknown := func(what string) { list = append(list, aim{what: what, measured: "not measured"}) }
	atMost := func(what string, got, bound float64, ok bool, format string, args ...any) {
		if !ok || math.IsNaN(got) || math.IsInf(got, 0) {
			unknown(what)
			return
		}
		list = append(list, aim{what: what, measured: fmt.Sprintf(format, args...), known: true, holds: got <= bound})
	}

	for _, name := range []string{caseCreate, caseGet, casePatch, caseLookup} {
		what := "1. " + name + ": more a second than every peer"
		least, where := m.leastLead(name)
		if where == "" {
			unknown(what)
			continue
		}
		list = append(list, aim{what, fmt.Sprintf("%.1f × the next, at the least (%s)", least, where), true, least > 1})
	}
	for _, c := range []struct {
		name, floor string
		size        int
		bound       float64
	}{
		{caseGet, caseGet, 0, 2.5},
		{caseCreate, caseCreate, 0, 5},
		{casePatch, caseCreate, 0, 5},
		{caseLookup, caseGet, 1000, 3},
		{caseLookup, caseGet, m.largest(caseLookup), 3},
	} {
		what := fmt.Sprintf("1. CPU of %s ≤ %g × the floor's %s", c.name, c.bound, c.floor)
		if c.size > 0 {
			what += ", " + thousands(c.size) + " users"
		}
		got, ok := m.ratio(c.name, c.floor, c.size, 16)
		alone, _ := m.ratio(c.name, c.floor, c.size, 1)
		atMost(what, got, c.bound, ok, "%.1f × from 16 clients, %.1f × from one", got, alone)
	}
	for _, c := range elsewhere {
		got, ok := m.ratio(c.name, c.against, 0, 64)
		atMost(fmt.Sprintf("1. moonshot: %s ≥ 1.0 × elimity, which costs %.1f × the floor's %s (SCIM-SDK: %.1f ×)", c.name, c.elimity, c.against, c.scimSDK),
			got, c.elimity, ok, "%.1f × the floor from 64 clients", got)
	}

	var sizes []int
	worst, at := 0.0, 0
	for _, r := range m.Results {
		if r.Contender == oursName && r.Case == caseAdd && r.N > 0 {
			sizes = append(sizes, r.Size)
			if r.CPU > worst {
				worst, at = r.CPU, r.Size
			}
		}
	}
	atMost("2. add a member: ≤ 0.5 CPU-s per 1,000 at any size of the group", worst, 0.5, len(sizes) > 0, "%.3f at the most (group of %s)", worst, thousands(at))
	if len(sizes) > 1 {
		first, _ := m.find(oursName, caseAdd, slices.Min(sizes), 16)
		last, _ := m.find(oursName, caseAdd, slices.Max(sizes), 16)
		atMost(fmt.Sprintf("2. add a member: to %s ≤ 1.2 × to %s", thousands(last.Size), thousands(first.Size)), last.CPU/first.CPU, 1.2, true, "%.2f ×", last.CPU/first.CPU)
	} else {
		unknown("2. add a member: to 100,000 ≤ 1.2 × to 10")
	}
	lostOf := slices.IndexFunc(m.Lost, func(l lost) bool { return l.Contender == oursName && l.Note == "" })
	if lostOf >= 0 {
		l := m.Lost[lostOf]
		atMost("2. no acknowledged addition lost", float64(l.Lost), 0, l.Acknowledged > 0, "%d of %s lost", l.Lost, thousands(l.Acknowledged))
	} else {
		unknown("2. no acknowledged addition lost")
	}

	n := m.largest(caseFirstPage)
	first, ok1 := m.find(oursName, caseFirstPage, n, 1)
	last, ok2 := m.find(oursName, caseLastPage, n, 1)
	atMost("3. page of 100: ≤ 4 CPU-s per 1,000", max(first.CPU, last.CPU), 4, ok1 && ok2, "%.2f the first, %.2f the last, of %s users", first.CPU, last.CPU, thousands(n))
	atMost(fmt.Sprintf("3. last page of %s users ≤ 1.5 × the first", thousands(n)), last.CPU/first.CPU, 1.5, ok1 && ok2, "%.2f ×", last.CPU/first.CPU)

	i := slices.IndexFunc(m.Memory, func(x memory) bool { return x.Contender == oursName && x.Users == 100_000 })
	if i >= 0 {
		atMost("4. memory with 100,000 users ≤ 200 MiB", m.Memory[i].MiB, 200, true, "%.0f MiB", m.Memory[i].MiB)
	} else {
		unknown("4. memory with 100,000 users ≤ 200 MiB")
	}

	made, ok := m.sized(oursName, caseCreate, 0, 1)
	atMost("5. one client alone: create p50 ≤ 3 syncs' time", made.P50/m.Fsync.Append, 3, ok, "%.2f ms, %.1f × an appended and synced block (%.2f ms); synced in place %.2f ms",
		made.P50, made.P50/m.Fsync.Append, m.Fsync.Append, m.Fsync.InPlace)
	return list
}

// sized is find, at whichever size there is if none is given.
func (m *measurements) sized(contender, name string, size, clients int) (result, bool) {
	for _, r := range m.Results {
		if r.Contender == contender && r.Case == name && (size == 0 || r.Size == size) && r.Clients == clients && r.N > 0 {
			return r, true
		}
	}
	return result{}, false
}

// largest is the largest size at which ours was measured.
func (m *measurements) largest(name string) int {
	n := 0
	for _, r := range m.Results {
		if r.Contender == oursName && r.Case == name && r.N > 0 {
			n = max(n, r.Size)
		}
	}
	return n
}

// ratio is the CPU of ours against the floor's, with as many clients.
func (m *measurements) ratio(name, floorCase string, size, clients int) (float64, bool) {
	ours, ok1 := m.sized(oursName, name, size, clients)
	base, ok2 := m.sized(floorName, floorCase, 0, clients)
	return ours.CPU / base.CPU, ok1 && ok2 && base.CPU > 0
}

// leastLead is the least ratio of our rate to the fastest peer's, over all sizes
// and numbers of clients at which both were measured, and where it is.
func (m *measurements) leastLead(name string) (least float64, where string) {
	for _, r := range m.Results {
		ours, ok := m.find(oursName, name, r.Size, r.Clients)
		if r.Case != name || r.Contender == oursName || r.Contender == floorName || r.N == 0 || !ok {
			continue
		}
		if lead := ours.rate() / r.rate(); where == "" || lead < least {
			least, where = lead, fmt.Sprintf("%s, %s", r.Contender, count(r.Clients, "client"))
			if name == caseLookup {
				where += ", " + thousands(r.Size) + " users"
			}
		}
	}
	return least, where
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return thousands(n) + " " + thing + "s"
}

func aimsTable(m *measurements) string {
	var b strings.Builder
	b.WriteString("| aim | measured | |\n|---|---|---|\n")
	for _, a := range aims(m) {
		verdict := "–"
		if a.known {
			verdict = "**misses**"
			if a.holds {
				verdict = "holds"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", a.what, a.measured, verdict)
	}
	return b.String()
}
