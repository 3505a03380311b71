// Package short is how long tests are left out of go test -short, or made
// smaller. No test asks testing.Short itself, and under CI nothing is left out.
package short

import (
	"os"
	"testing"
)

// Skip leaves the test out of -short, and says why. Where CI is set it fails the
// test instead: a run that was told to be short must not pass for a whole one.
func Skip(t testing.TB, why string) {
	t.Helper()
	if !testing.Short() {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("-short would leave this test out under CI: it %s", why)
	}
	t.Skipf("-short: it %s", why)
}

// Size is how large a long test is, in rounds, users or requests: small under
// -short, and whole where that is not given or CI is set.
func Size(whole, small int) int {
	if testing.Short() && os.Getenv("CI") == "" {
		return small
	}
	return whole
}
