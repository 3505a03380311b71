package floors

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestCorporaAreThere: what a client sends is parsed by fuzzed parsers only, and
// each begins with what identity providers send and what broke others: an empty
// corpus fails.
func TestCorporaAreThere(t *testing.T) {
	targets := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)
	for pkg, want := range map[string]int{"filter": 3, "patch": 1, "schema": 1, "value": 1} {
		dir := filepath.Join("..", "scim", pkg)
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range targets.FindAllSubmatch(text, -1) {
				found++
				if seeds, err := os.ReadDir(filepath.Join(dir, "testdata", "fuzz", string(m[1]))); err != nil || len(seeds) < 20 {
					t.Errorf("%s of scim/%s has %d seeds in testdata/fuzz (%v), want what identity providers send", m[1], pkg, len(seeds), err)
				}
			}
		}
		if found < want {
			t.Errorf("scim/%s has %d fuzz targets, want %d", pkg, found, want)
		}
	}
}
