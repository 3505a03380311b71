package floors

import (
	"slices"
	"strings"
	"testing"
)

// TestPlanted gives the check what go list would print for one mistake each,
// and for what is allowed.
func TestPlanted(t *testing.T) {
	for _, c := range []struct {
		name string
		json string // as go list prints it
		want string // a part of the only breach; empty: none
	}{
		{"lower floor", `{"ImportPath":"gatehouse/internal/roster","Imports":["gatehouse/internal/table","errors"]}`, ""},
		{"before it on its floor", `{"ImportPath":"gatehouse/internal/provision","Imports":["gatehouse/internal/roster"]}`, ""},
		{"upwards", `{"ImportPath":"gatehouse/internal/table","Imports":["gatehouse/internal/roster"]}`, "stands above it"},
		{"after it on its floor", `{"ImportPath":"gatehouse/internal/roster","Imports":["gatehouse/internal/courier"]}`, "stands above it"},
		{"product imports an adapter", `{"ImportPath":"gatehouse/internal/org","Imports":["gatehouse/internal/local/pebble"]}`, "stands above it"},
		{"adapter imports an adapter", `{"ImportPath":"gatehouse/internal/web/portal","Imports":["gatehouse/internal/local/pebble"]}`, "an adapter knows no other"},
		{"app imports a home", `{"ImportPath":"gatehouse/internal/app","Imports":["gatehouse/internal/local"]}`, "stands above it"},
		{"no place", `{"ImportPath":"gatehouse/internal/util"}`, "has no place"},
		{"no place beneath a package that has one", `{"ImportPath":"gatehouse/internal/org/store"}`, "has no place"},
		{"another module", `{"ImportPath":"example.com/other"}`, "has no place"},
		{"a place for all beneath", `{"ImportPath":"gatehouse/internal/fakes/smtp","Imports":["github.com/emersion/go-smtp"]}`, ""},
		{"but not for two levels", `{"ImportPath":"gatehouse/internal/fakes/smtp/more"}`, "has no place"},
		{"sharing such a place", `{"ImportPath":"gatehouse/functions/feed","Imports":["gatehouse/functions/scim"]}`, "shares its place"},
		{"a module at its adapter", `{"ImportPath":"gatehouse/internal/local/pebble","Imports":["github.com/cockroachdb/pebble/v2/vfs"]}`, ""},
		{"the module elsewhere", `{"ImportPath":"gatehouse/internal/roster","Imports":["github.com/cockroachdb/pebble/v2"]}`, "names no such module"},
		{"a module nobody named", `{"ImportPath":"gatehouse/internal/local/pebble","Imports":["github.com/pkg/errors"]}`, "names no such module"},
		{"a part of a module that is not named", `{"ImportPath":"gatehouse/internal/account","Imports":["golang.org/x/crypto/bcrypt"]}`, "names no such module"},
		{"a longer name than the one named", `{"ImportPath":"gatehouse/internal/scim/value","Imports":["github.com/go-json-experiment/json/jsontextual"]}`, "names no such module"},
		{"golang.org/x/text", `{"ImportPath":"gatehouse/internal/identity","Imports":["golang.org/x/text/cases"]}`, ""},
		{"I/O on the ground", `{"ImportPath":"gatehouse/internal/identity","Imports":["os"]}`, "its floor is free of"},
		{"HTTP in the product", `{"ImportPath":"gatehouse/internal/courier","Imports":["net/http"]}`, "its floor is free of"},
		{"HTTP in an adapter", `{"ImportPath":"gatehouse/internal/web/scimhttp","Imports":["net/http"]}`, ""},
		{"a test suite in a program", `{"ImportPath":"gatehouse/internal/app","Imports":["gatehouse/internal/table/tabletest"]}`, "for tests only"},
		{"a test suite in a suite", `{"ImportPath":"gatehouse/internal/table/tabletest","Imports":["gatehouse/internal/table/memory"]}`, ""},
		{"a test suite in a test", `{"ImportPath":"gatehouse/internal/app","TestImports":["gatehouse/internal/table/memory"]}`, ""},
		{"a test looks up", `{"ImportPath":"gatehouse/internal/courier","XTestImports":["gatehouse/internal/local/maildir"]}`, ""},
		{"a test imports a program", `{"ImportPath":"gatehouse/internal/app","TestImports":["gatehouse/cmd/gatehouse"]}`, "is a program"},
		{"a test module in a test", `{"ImportPath":"gatehouse/internal/org","XTestImports":["pgregory.net/rapid"]}`, ""},
		{"a test module in a program", `{"ImportPath":"gatehouse/internal/org","Imports":["pgregory.net/rapid"]}`, "names no such module"},
		{"a module nobody named in a test", `{"ImportPath":"gatehouse/internal/org","TestImports":["github.com/stretchr/testify"]}`, "names no such module"},
	} {
		packages, err := decode(strings.NewReader(c.json))
		if err != nil || len(packages) != 1 {
			t.Fatalf("%s: decode gave %d packages, %v", c.name, len(packages), err)
		}
		got := check(packages)
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: check = %q, want no breach", c.name, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s: check = %q, want one breach with %q", c.name, got, c.want)
		}
	}
}

func TestPlantedLinks(t *testing.T) {
	packages, err := decode(strings.NewReader(`
		{"ImportPath":"gatehouse/functions/scim","Deps":["fmt","gatehouse/internal/app","github.com/aws/aws-lambda-go/lambda"]}
		{"ImportPath":"gatehouse/functions/feed","Deps":["fmt","gatehouse/internal/local","github.com/cockroachdb/pebble/v2","github.com/cockroachdb/pebble/v2/vfs"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"gatehouse/functions/feed links github.com/cockroachdb/pebble/v2, which no function may contain"}
	if got := checkLinked(packages); !slices.Equal(got, want) {
		t.Errorf("checkLinked = %q, want %q", got, want)
	}
}
