// Package floors holds the order of the house: which package may import which,
// and where third-party modules may appear. It is a test over what the go
// command lists, and no program imports it.
//
// It does not judge what a package does with what it imports.
package floors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "gatehouse"

type floor int

const (
	ground   floor = iota // values and rules: no I/O, no clock
	ports                 // small interfaces, their suites and memory implementations
	product               // concrete types over ports
	adapters              // one technology each; none knows another
	faces                 // the app: ports in, faces out
	homes                 // one opener for each port
	programs              // what is started, and what starts it in tests
)

// place is where a package stands.
type place struct {
	path    string // beneath the module
	floor   floor
	tests   bool     // only tests, and other places marked so, may import it
	modules []string // third-party import paths, with what is beneath them, that may be imported here
}

// listed is what is needed of a package that `go list -json` prints.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// find returns the index of the package's place, -1 if it has none.
func find(path string) int {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return -1
	}
	return slices.IndexFunc(house, func(p place) bool {
		if parent, ok := strings.CutSuffix(p.path, "/*"); ok {
			child, ok := strings.CutPrefix(rest, parent+"/")
			return ok && !strings.Contains(child, "/")
		}
		return p.path == rest
	})
}

// check returns a sentence for each breach of the order among the packages.
func check(packages []listed) []string {
	var breaches []string
	breach := func(format string, args ...any) { breaches = append(breaches, fmt.Sprintf(format, args...)) }
	for _, p := range packages {
		here := find(p.ImportPath)
		if here < 0 {
			breach("%s has no place in the house: add it to the table", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			checkImport(breach, p.ImportPath, here, path)
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			checkTestImport(breach, p.ImportPath, here, path)
		}
	}
	return breaches
}

func checkImport(breach func(string, ...any), from string, here int, path string) {
	h := house[here]
	switch {
	case ours(path):
		there := find(path)
		if there < 0 {
			return // reported where the package itself is listed
		}
		t := house[there]
		switch {
		case t.tests && !h.tests:
			breach("%s imports %s, which is for tests only", from, path)
		case there == here:
			breach("%s imports %s, which shares its place", from, path)
		case there > here:
			breach("%s imports %s, which stands above it", from, path)
		case h.floor == adapters && t.floor == adapters && !strings.HasPrefix(h.path, t.path+"/"):
			// A folder beneath another is a part of it that not everybody links.
			breach("%s imports %s: an adapter knows no other", from, path)
		}
	case thirdParty(path):
		if !within(path, everywhere) && !within(path, h.modules) && (!h.tests || !within(path, inTests)) {
			breach("%s imports %s: the table names no such module for it", from, path)
		}
	default:
		if !h.tests && slices.Contains(forbidden[h.floor], path) {
			breach("%s imports %s, which its floor is free of", from, path)
		}
	}
}

// checkTestImport lets tests look sideways and up, but neither at a program nor
// at a module that nobody named.
func checkTestImport(breach func(string, ...any), from string, here int, path string) {
	switch {
	case ours(path):
		if there := find(path); there >= 0 && house[there].floor == programs && !house[there].tests {
			breach("a test of %s imports %s, which is a program", from, path)
		}
	case thirdParty(path):
		if !within(path, everywhere) && !within(path, house[here].modules) && !within(path, inTests) {
			breach("a test of %s imports %s: the table names no such module for it", from, path)
		}
	}
}

// checkLinked returns a sentence for each package that functions contain and
// must not.
func checkLinked(functions []listed) []string {
	var breaches []string
	for _, p := range functions {
		for _, dep := range p.Deps {
			if within(dep, unlinked) {
				breaches = append(breaches, fmt.Sprintf("%s links %s, which no function may contain", p.ImportPath, dep))
				break
			}
		}
	}
	return breaches
}

func ours(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// thirdParty reports whether the path is neither ours nor of the standard
// library, whose paths have no dot in their first element.
func thirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

func within(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(r string) bool {
		return path == r || strings.HasPrefix(path, r+"/")
	})
}

// list runs go list for the patterns, from the root of the module. What does
// not compile is the compiler's to tell, so it goes on past errors.
func list(t *testing.T, patterns ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps"}, patterns...)...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(patterns, " "), err, stderr.Bytes())
	}
	packages, err := decode(bytes.NewReader(out))
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(patterns, " "), err)
	}
	return packages
}

// decode reads the objects that go list prints one after another.
func decode(r io.Reader) ([]listed, error) {
	var packages []listed
	for d := json.NewDecoder(r); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// watch reads the module's folders, so that the go command, which cannot see
// what `go list` reads, does not answer from its cache after a change.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "../.." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "data") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOrder(t *testing.T) {
	watch(t)
	packages := list(t, "./...")
	if len(packages) < 5 {
		t.Fatalf("go list ./... gave %d packages, want the whole module", len(packages))
	}
	for _, b := range check(packages) {
		t.Error(b)
	}
}

// TestFunctions holds for functions as they come; until then there is nothing
// to link.
func TestFunctions(t *testing.T) {
	if _, err := os.Stat("../../functions"); errors.Is(err, os.ErrNotExist) {
		return
	}
	for _, b := range checkLinked(list(t, "./functions/...")) {
		t.Error(b)
	}
}

func TestHouseIsInOrder(t *testing.T) {
	seen := map[string]bool{}
	for i, p := range house {
		if seen[p.path] {
			t.Errorf("%s has two places", p.path)
		}
		seen[p.path] = true
		if i > 0 && p.floor < house[i-1].floor {
			t.Errorf("%s stands on a lower floor than %s before it", p.path, house[i-1].path)
		}
	}
}
