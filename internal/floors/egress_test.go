package floors

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgramsAskNoLoopback: the client of tests, which takes loopback for the
// public internet, is named by tests alone; and where a customer's address is
// asked, package egress does it: no other package of a program makes an HTTP
// client or dials, but those whose addresses the operator configures.
func TestProgramsAskNoLoopback(t *testing.T) {
	tested, dials := "egress."+"Tested", []string{"http.Client{", "http.DefaultClient", "http.Get(", "http.Post(", "net.Dial"}
	operators := map[string]string{
		"internal/egress":      "is the client",
		"internal/local":       "asks the program that serves, over its socket",
		"internal/local/smtp":  "asks the relay",
		"internal/aws/secrets": "asks Secrets Manager",
	}
	read, used := 0, map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("../..", path)
		if d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		if at := find(module + "/" + dir); at >= 0 && house[at].tests {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		if strings.Contains(string(b), tested) {
			t.Errorf("%s names %s", rel, tested)
		}
		for _, d := range dials {
			if strings.Contains(string(b), d) {
				used[dir] = true
				if operators[dir] == "" {
					t.Errorf("%s has %s: an address that a customer names is asked by package egress", rel, d)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, why := range operators {
		if !used[dir] {
			t.Errorf("%s, which %s, dials nothing: take it off the list", dir, why)
		}
	}
	if read < 100 {
		t.Errorf("%d files were read, want the whole program", read)
	}
}
