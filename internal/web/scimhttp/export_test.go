package scimhttp

import (
	"time"

	"gatehouse/internal/scim/filter"
)

// Time is how a time is written.
func Time(t time.Time) string { return string(appendTime(nil, t)) }

// Bound sets the limits of lists for a test; zero leaves one as it is.
func (h *Handler) Bound(scan, members, answer int) {
	for n, to := range map[*int]int{&h.maxScan: scan, &h.maxMembers: members, &h.maxAnswer: answer} {
		if to != 0 {
			*n = to
		}
	}
}

// BoundWork sets what the filter of one request may look at, for a test.
func (h *Handler) BoundWork(b filter.Budget) { h.maxWork = b }

// RewritePath rewrites the ids in the path of a PATCH.
func RewritePath(path string, see func(string) string) string { return rewritePath(path, see) }
