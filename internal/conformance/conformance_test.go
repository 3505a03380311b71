package conformance_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/conformance"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/secret"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/web/scimhttp"
)

// TestRequirements runs every check against the provider over a table in
// memory, through a server on this machine.
func TestRequirements(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	h, token := provider(t, "http://"+server.Listener.Addr().String())
	server.Config.Handler = h
	server.Start()
	t.Cleanup(server.Close)
	s := conformance.Subject{Client: server.Client(), URL: server.URL + scimhttp.Prefix, Token: token}
	for _, c := range conformance.Checks {
		t.Run(c.ID, func(t *testing.T) { judge(t, c, s) })
	}
}

// judge fails the test unless the subject fulfils the requirement.
func judge(t *testing.T, c conformance.Check, s conformance.Subject) {
	for _, p := range c.Run(s) {
		t.Error(p)
	}
}

// provider is a handler with an organization of its own and a strict connection.
func provider(t testing.TB, url string) (http.Handler, string) {
	t.Helper()
	tab := memory.New()
	orgs := org.New(tab, secret.Mint(), time.Now, time.Minute)
	h := scimhttp.New(scimhttp.Config{URL: url, Orgs: orgs, Provision: provision.New(tab, time.Now), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	o, err := orgs.Create(t.Context(), org.Spec{Name: "Conformance"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := orgs.CreateConnection(t.Context(), o, org.Connection{Name: "Directory", Dialect: "strict"})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := orgs.Issue(t.Context(), o, c.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	return h, token
}

// named finds a requirement's id where a test is named by it.
var (
	named    = regexp.MustCompile(`t\.Run\("((?:RFC764[34]-|EXTRA-)[^"]+)"`)
	function = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// elsewhere lists the tests of other packages that are named by a requirement.
func elsewhere(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	files := 0
	for _, folder := range []string{"../scim/schema", "../web/scimhttp"} {
		names, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files += len(names)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range named.FindAllSubmatchIndex(text, -1) {
				functions := function.FindAllSubmatch(text[:m[0]], -1)
				if len(functions) == 0 {
					t.Fatalf("%s names %s outside of a test", name, text[m[2]:m[3]])
				}
				id := string(text[m[2]:m[3]])
				out[id] = append(out[id], fmt.Sprintf("%s.%s/%s", filepath.Base(folder), functions[len(functions)-1][1], id))
			}
		}
	}
	if files == 0 {
		t.Fatal("no test files of other packages are found")
	}
	return out
}

// TestCatalogue prints which test is whose, and fails where a requirement has
// none or a test has no requirement.
func TestCatalogue(t *testing.T) {
	requirements, err := conformance.Requirements()
	if err != nil {
		t.Fatal(err)
	}
	tests := elsewhere(t)
	for _, c := range conformance.Checks {
		tests[c.ID] = append([]string{"conformance.TestRequirements/" + c.ID}, tests[c.ID]...)
	}
	var table strings.Builder
	testable, missing := 0, 0
	known := map[string]conformance.Requirement{}
	for _, r := range requirements {
		if _, twice := known[r.ID]; twice {
			t.Errorf("the catalogue has %s twice", r.ID)
		}
		known[r.ID] = r
		test := strings.Join(tests[r.ID], ", ")
		switch {
		case !r.Testable:
			test = "not testable by a client"
		case test == "":
			testable++
			missing++
			t.Errorf("%s (%s: %s) has no test", r.ID, r.Level, r.Summary)
			test = "MISSING"
		default:
			testable++
		}
		fmt.Fprintf(&table, "%-24s %-9s %s: %s\n", r.ID, r.Level, r.Summary, test)
	}
	for id, names := range tests {
		if r, ok := known[id]; !ok || !r.Testable {
			t.Errorf("%q are named by %s, which is no requirement that can be tested", names, id)
		}
	}
	t.Logf("%d requirements, %d of them testable, %d without a test\n%s", len(requirements), testable, missing, table.String())
	if len(requirements) != 161 || testable != 145 {
		t.Errorf("the catalogue has %d requirements and %d that are testable, want 161 and 145", len(requirements), testable)
	}
}

// TestChecksAreDistinct: a check stands in the list once.
func TestChecksAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range conformance.Checks {
		if seen[c.ID] {
			t.Errorf("%s has two checks", c.ID)
		}
		seen[c.ID] = true
	}
}
