package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// The runners are only as good as what they find: here each is given a server
// that answers wrongly.

// TestOktaFinds gives Okta's test to a server that answers 200 and an empty
// object to everything: only what speaks of a status or of time can hold.
func TestOktaFinds(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{}`))
	}))
	defer s.Close()
	held, failed := runOkta(t, readOkta(t), oktaVariables(s.URL, "token"))
	if held+len(failed) != oktaAssertions || held != 8 {
		t.Errorf("%d assertions held and %d failed, want 8 and %d", held, len(failed), oktaAssertions-8)
	}
}

func TestOktaComparisons(t *testing.T) {
	tree, err := decode([]byte(`{"n":0,"s":"0","list":["a"],"none":[],"null":null,"yes":true}`))
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: 404, tree: tree}
	for _, c := range []struct {
		comparison, source, property, value string
		want                                bool
	}{
		{"equal", "response_json", "n", "0", true},
		{"equal", "response_json", "missing", "", false},
		{"equal", "response_json", "yes", "true", true},
		{"equal_number", "response_status", "", "404", true},
		{"equal_number", "response_status", "", "200", false},
		{"equal_number", "response_json", "n", "0", true},
		{"equal_number", "response_json", "s", "0", false},
		{"not_empty", "response_json", "list", "", true},
		{"not_empty", "response_json", "none", "", false},
		{"not_empty", "response_json", "null", "", false},
		{"not_empty", "response_json", "missing", "", false},
		{"has_value", "response_json", "list", "a", true},
		{"has_value", "response_json", "list", "b", false},
		{"is_a_number", "response_json", "n", "", true},
		{"is_a_number", "response_json", "s", "", false},
		{"contains", "response_json", "list", "a", true},
		{"contains", "response_json", "missing", "a", false},
		{"is_less_than", "response_time", "", "600", true},
		{"is_less_than", "response_time", "", "0", false},
		{"is_odd", "response_json", "n", "", false},
		{"equal", "response_headers", "n", "0", false},
	} {
		x := oktaAssertion{Comparison: c.comparison, Source: c.source, Property: c.property, Value: c.value}
		if got := x.check(a) == ""; got != c.want {
			t.Errorf("%s %s %q %q holds = %v, want %v", c.source, c.property, c.comparison, c.value, got, c.want)
		}
	}
}

// fakeForm serves a page with a form as browsers fill them: hidden inputs, a
// cookie that is deleted, a redirect, and no referrer.
func fakeForm(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /start", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "before", Value: "1", Path: "/"})
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Referrer-Policy", "no-referrer")
		fmt.Fprint(w, `<form action="search"><input name="q"></form>
			<form method="post" action="/set"><input type="hidden" name="csrf" value="token">
			<input type="password" name="password"><input type="password" name="repeat"><button>Set</button></form>`)
	})
	mux.HandleFunc("POST /set", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		http.SetCookie(w, &http.Cookie{Name: "before", Path: "/", MaxAge: -1})
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s", Path: "/", Secure: true})
		what := strings.Join([]string{r.Form.Get("password"), r.Form.Get("repeat"), r.Form.Get("csrf"), r.Header.Get("Origin")}, " ")
		http.Redirect(w, r, "/done?what="+strings.ReplaceAll(what, " ", "+"), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("session"); err != nil {
			http.Error(w, "no session", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "<p>Welcome <b>%s</b></p>", r.FormValue("what"))
	})
	mux.HandleFunc("GET /complaint", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		fmt.Fprint(w, "<script>document.title = 'not allowed'</script>")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// recorder is a testing.TB that keeps what fails instead of failing.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// Fatalf ends the part that runs, as the real one does its test.
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// TestIdentityProvidersFind gives every fixture's check a server that forgets:
// it answers each request with the status that the fixture expects, and with a
// body that says nothing. Each check must see it.
func TestIdentityProvidersFind(t *testing.T) {
	for _, f := range readFixtures(t) {
		p, ok := parts[f.ID]
		if !ok {
			continue
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/scim+json")
			status := map[string]int{"GET": 200, "POST": 201, "PUT": 200, "PATCH": 200, "DELETE": 204}[r.Method]
			if path := strings.Split(f.Request.Path, "?")[0]; r.Method == f.Request.Method && strings.HasPrefix(r.URL.Path, path[:strings.Index(path+"{", "{")]) {
				status = f.ExpectStatus[0]
			}
			w.WriteHeader(status)
			if status != 204 {
				json.NewEncoder(w).Encode(object{"id": "x", "schemas": []string{}})
			}
		}))
		rec := &recorder{TB: t}
		func() {
			defer func() {
				if r := recover(); r != nil && r != any(rec) {
					panic(r)
				}
			}()
			f.run(&scene{client: &client{base: s.URL}, t: rec, server: &site{target: &local{}}}, p)
		}()
		s.Close()
		if len(rec.failures) == 0 && !slices.Contains(onlyStatus, f.ID) {
			t.Errorf("%s: a server that forgets passes", f.ID)
		}
	}
}

// onlyStatus are fixtures whose whole expectation a server that always answers
// the same can meet: nothing may change.
var onlyStatus = []string{"okta-patch-password"}
