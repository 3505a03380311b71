package floors

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTests: a line of docs/security.md whose test was renamed or
// dropped is a defence that nobody watches.
func TestSecurityNamesTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/.]+): ((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 100 {
		t.Errorf("docs/security.md names %d tests, want them all", len(named))
	}
	for _, n := range named {
		files, _ := filepath.Glob(filepath.Join("..", n[1], "*_test.go"))
		found := false
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(b), "\nfunc "+n[2]+"(")
		}
		if !found {
			t.Errorf("docs/security.md names %s of %s, which is not there", n[2], n[1])
		}
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| threat") && !strings.HasPrefix(line, "| incident") && !strings.Contains(line, ": Test") {
			t.Errorf("docs/security.md has a line without a test: %s", line)
		}
	}
}
