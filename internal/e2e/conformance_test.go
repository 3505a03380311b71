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
			for _, p := range check.Run(s) {
				t.Error(p)
			}
		})
	}
}
