package main

import (
	"time"
)

// measurements is one run: what docs/performance/results.json holds, and all
// that the tables and plots are made from.
type measurements struct {
	Date       string // of its beginning, UTC
	Plan       string // "whole" or "short"
	Minutes    float64
	Machine    []fact
	Fsync      fsync
	Contenders []described
	Results    []result
	Memory     []memory
	Lost       []lost
}

// fact is one line about the machine.
type fact struct{ What, Is string }

// fsync is how long the disk takes, in milliseconds, median: for 4 KiB appended
// to a file, and written in place, and synced by fdatasync.
type fsync struct{ Append, InPlace float64 }

// described is a contender that was measured.
type described struct{ Name, Version, About string }

// The cases.
const (
	caseCreate    = "create"
	caseMail      = "create, with mail"
	caseGet       = "GET"
	casePatch     = "PATCH"
	caseLookup    = "userName eq"
	caseAdd       = "add a member"
	caseFirstPage = "first page of 100"
	caseLastPage  = "last page of 100"
)

// result is what one case took. Without requests (N = 0) it was not measured,
// and Note says why; with some, Note says what was other than asked for.
type result struct {
	Contender string
	Case      string
	Size      int // users in the store, members of the group
	Clients   int
	N         int     `json:",omitempty"` // requests
	Seconds   float64 `json:",omitempty"` // from the first to the last
	P50, P99  float64 `json:",omitzero"`  // milliseconds
	CPU       float64 `json:",omitempty"` // CPU seconds of the server per 1,000 requests
	Load      float64 `json:",omitempty"` // CPU seconds of the load per 1,000 requests
	Note      string  `json:",omitempty"`
}

func (r result) rate() float64 {
	if r.N == 0 {
		return 0
	}
	return float64(r.N) / r.Seconds
}

// memory is what a server with so many users holds resident.
type memory struct {
	Contender string
	Users     int
	MiB       float64
}

// lost counts, after parallel additions to one group, those that were
// acknowledged, those that were refused, and those that were acknowledged and
// are not there.
type lost struct {
	Contender                   string
	Clients                     int
	Acknowledged, Refused, Lost int
	Note                        string `json:",omitempty"`
}

// find returns the case's result, false if it was not measured.
func (m *measurements) find(contender, name string, size, clients int) (result, bool) {
	for _, r := range m.Results {
		if r.Contender == contender && r.Case == name && r.Size == size && r.Clients == clients {
			return r, r.N > 0
		}
	}
	return result{}, false
}

// add keeps a result. One that was measured twice, as the floor is, becomes the
// mean of both: by requests for rate and CPU, half and half for the latencies.
func (m *measurements) add(r result) {
	for i, old := range m.Results {
		if old.Contender != r.Contender || old.Case != r.Case || old.Size != r.Size || old.Clients != r.Clients {
			continue
		}
		if old.N == 0 || r.N == 0 {
			return
		}
		n := old.N + r.N
		old.CPU = (old.CPU*float64(old.N) + r.CPU*float64(r.N)) / float64(n)
		old.Load = (old.Load*float64(old.N) + r.Load*float64(r.N)) / float64(n)
		old.P50, old.P99 = (old.P50+r.P50)/2, (old.P99+r.P99)/2
		old.N, old.Seconds = n, old.Seconds+r.Seconds
		m.Results[i] = old
		return
	}
	m.Results = append(m.Results, r)
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
