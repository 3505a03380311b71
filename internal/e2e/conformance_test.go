package e2e

import (
	"testing"

	"gatehouse/internal/conformance"
)

// TestConformance runs every check of the catalogue against the local program,
// at a strict connection of an organization of its own. Package conformance
// holds the catalogue and prints which test is whose.
func TestConformance(t *testing.T) {
	_, c := start(t, options{}).organization(t, "conformance", "--dialect", "strict")
	s := conformance.Subject{URL: c.base, Token: c.token}
	for _, check := range conformance.Checks {
		t.Run(check.ID, func(t *testing.T) {
			problems := check.Run(s)
			reason := conformance.Pending[check.ID]
			switch {
			case reason != "" && len(problems) == 0:
				t.Errorf("%s is fulfilled: take it from the list of what is pending", check.ID)
			case reason != "":
				t.Skipf("pending: %s", reason)
			}
			for _, p := range problems {
				t.Error(p)
			}
		})
	}
}
