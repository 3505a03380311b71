package e2e

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// fixture is one request as an identity provider sends it.
type fixture struct {
	ID      string `json:"id"`
	Case    string `json:"case"`
	Pre     string `json:"pre"`
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	} `json:"request"`
	ExpectStatus []int  `json:"expectStatus"`
	Expect       string `json:"expect"`
}

// ofTokens are the fixtures of the token endpoint. Keys of an issuer are never
// fetched from this machine by a program, so package web/oauth runs them
// (TestShapes).
var ofTokens = []string{"entra-token-cc", "entra-token-wif"}

const (
	fixturesInFile = 52
	fixturesToRun  = 50
)

// scene is the world of one fixture: a connection in an organization of its
// own, with what the fixture's request speaks of.
type scene struct {
	*client
	t        testing.TB
	server   *site
	userID   string // {{userId}}
	userID2  string // {{userId2}}
	thirdID  string // of whom the request does not speak
	groupID  string // {{groupId}}
	before   answer // the resource that the request changes, as it was
	resource string // its path
}

// part is what a fixture needs before its request, and what its sentence of
// expectation means after it.
type part struct {
	pre  func(*scene)
	post func(*scene, answer)
}

func readFixtures(t testing.TB) []fixture {
	t.Helper()
	data, err := os.ReadFile("testdata/idp/requests.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Fixtures []fixture }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Fixtures) != fixturesInFile {
		t.Fatalf("the file holds %d fixtures, want %d", len(file.Fixtures), fixturesInFile)
	}
	return file.Fixtures
}

func TestIdentityProviders(t *testing.T) { identityProviders(t, &start(t, options{}).site) }

func identityProviders(t *testing.T, s *site) {
	fixtures := readFixtures(t)
	ran := 0
	t.Run("all", func(t *testing.T) { // ends when all have
		for _, f := range fixtures {
			if slices.Contains(ofTokens, f.ID) {
				continue
			}
			ran++
			t.Run(f.ID, func(t *testing.T) {
				t.Parallel() // each in an organization of its own
				p, ok := parts[f.ID]
				if !ok {
					t.Fatalf("nothing says what %q means: %s", f.ID, f.Expect)
				}
				_, c := s.organization(t, f.ID, "--no-welcome") // the mails are other tests'
				if _, aws := s.target.(*rehearsed); aws {
					c.patience = 3
				}
				w := &scene{client: c, t: t, server: s}
				f.run(w, p)
			})
		}
	})
	if ran != fixturesToRun {
		t.Errorf("%d fixtures ran, want %d", ran, fixturesToRun)
	}
	for id := range parts {
		if !slices.ContainsFunc(fixtures, func(f fixture) bool { return f.ID == id }) {
			t.Errorf("%s is expected and not in the file", id)
		}
	}
}

func (f fixture) run(w *scene, p part) {
	w.t.Helper()
	if p.pre != nil {
		p.pre(w)
	}
	vars := strings.NewReplacer("{{userId}}", w.userID, "{{userId2}}", w.userID2, "{{groupId}}", w.groupID)
	path, body := vars.Replace(f.Request.Path), vars.Replace(string(f.Request.Body))
	if strings.Contains(path+body, "{{") {
		w.t.Fatalf("a variable is not filled: %s %s", path, body)
	}
	w.resource, _, _ = strings.Cut(path, "?")
	if f.Request.Method != "POST" && strings.Count(w.resource, "/") == 2 && (w.userID != "" || w.groupID != "") {
		w.before = w.get(w.t, w.resource)
	}
	var headers []string
	for name, value := range f.Request.Headers {
		headers = append(headers, name, value)
	}
	var sent any
	if body != "" {
		sent = body
	}
	a := w.send(w.t, f.Request.Method, path, sent, headers...)
	if !slices.Contains(f.ExpectStatus, a.status) {
		w.t.Fatalf("%s = %d, want %v (%s); body %s", a.asked, a.status, f.ExpectStatus, f.Expect, a.body)
	}
	p.post(w, a)
}

// after reads the changed resource again.
func (w *scene) after() answer {
	w.t.Helper()
	return w.get(w.t, w.resource)
}

// unchanged fails the test unless the resource is as it was, its version
// included.
func (w *scene) unchanged(a answer) {
	w.t.Helper()
	if got, want := plain(a.tree), plain(w.before.tree); got != want {
		w.t.Errorf("%s = %s, want it unchanged: %s", a.asked, got, want)
	}
	if got, want := a.header.Get("ETag"), w.before.header.Get("ETag"); got != want || got == "" {
		w.t.Errorf("%s: ETag = %q, want it unchanged: %q", a.asked, got, want)
	}
}

// onlyChanged fails the test unless the resource differs from what it was at
// the named members alone, meta aside.
func (w *scene) onlyChanged(a answer, members ...string) {
	w.t.Helper()
	was, is := without(w.before.tree, members...), without(a.tree, members...)
	if plain(was) != plain(is) {
		w.t.Errorf("%s: besides %v it was %s and is %s", a.asked, members, plain(was), plain(is))
	}
}

func without(v any, members ...string) object {
	o := object{}
	all, _ := v.(object)
	for k, x := range all {
		if k != "meta" && !slices.Contains(members, k) {
			o[k] = x
		}
	}
	return o
}

// list fails the test unless the answer is a whole list of the ids, in any
// order.
func (w *scene) list(a answer, ids ...string) {
	w.t.Helper()
	a.is(w.t, "schemas[0]", listSchema)
	if n, ok := a.at("totalResults").(json.Number); !ok || n.String() != itoa(len(ids)) {
		w.t.Errorf("%s: totalResults = %s, want the number %d", a.asked, show(a.at("totalResults"), true), len(ids))
	}
	got := a.ids()
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		w.t.Errorf("%s: ids %v, want %v", a.asked, got, ids)
	}
}

// wantMembers fails the test unless the group has the members, in any order.
func (w *scene) wantMembers(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.members(w.t, w.groupID); !slices.Equal(got, want) {
		w.t.Errorf("members = %v, want %v", got, want)
	}
}
