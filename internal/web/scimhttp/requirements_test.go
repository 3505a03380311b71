package scimhttp_test

import (
	"fmt"
	"testing"
)

// TestRequirements are rows of the catalogue in package conformance that take
// more resources than a test over HTTP makes.
func TestRequirements(t *testing.T) {
	t.Run("RFC7644-3.4.2.1-L912", func(t *testing.T) {
		w := newWorld(t, "strict")
		for i := range 5 {
			w.user(fmt.Sprintf("u%d@example.com", i))
		}
		w.Bound(4, 0, 0)
		w.find("/Users", "title pr").refused(400, "tooMany")
		w.Bound(5, 0, 0)
		w.find("/Users", "title pr").list()
	})
}
