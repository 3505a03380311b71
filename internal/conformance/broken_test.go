package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/conformance"
	"gatehouse/internal/short"
	"gatehouse/internal/web/scimhttp"
)

// breach is a way of breaking one rule, in front of a provider that keeps it.
type breach struct {
	rule string
	wrap func(http.Handler) http.Handler
	fail []string // the requirements that are not fulfilled then; all others are
}

// TestBrokenRules: a provider that breaks one rule fails the rows about that
// rule, and no other.
func TestBrokenRules(t *testing.T) {
	if len(breaches) < 20 {
		t.Fatalf("%d rules are broken, want 20 at least", len(breaches))
	}
	covered := map[string]bool{}
	for i, b := range breaches {
		t.Run(strings.ReplaceAll(b.rule, " ", "_"), func(t *testing.T) {
			if i%4 != 0 {
				short.Skip(t, "is one rule of seventy")
			}
			t.Parallel()
			const home = "http://provider.test"
			h, token := provider(t, home)
			results := conformance.Run(conformance.Subject{
				Client: &http.Client{Transport: direct{b.wrap(h)}}, URL: home + scimhttp.Prefix, Token: token,
			})
			for _, c := range conformance.Checks {
				problems := results[c.ID]
				expected := slices.Contains(b.fail, c.ID)
				switch {
				case expected && len(problems) == 0:
					t.Errorf("%s is fulfilled all the same", c.ID)
				case !expected && len(problems) > 0:
					t.Errorf("%s fails as well: %s", c.ID, problems[0])
				}
			}
		})
		for _, id := range b.fail {
			covered[id] = true
		}
	}
	t.Logf("%d rules are broken, which %d requirements notice", len(breaches), len(covered))
}

// TestUnbroken: what stands in front of the provider in these tests changes
// nothing by itself.
func TestUnbroken(t *testing.T) {
	const home = "http://provider.test"
	h, token := provider(t, home)
	wrap := answers(func(*http.Request, *answer) {})
	for id, problems := range conformance.Run(conformance.Subject{Client: &http.Client{Transport: direct{wrap(h)}}, URL: home + scimhttp.Prefix, Token: token}) {
		if len(problems) > 0 {
			t.Errorf("%s: %s", id, problems[0])
		}
	}
}

// direct calls the handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, in)
	out := w.Result()
	out.Request = r
	return out, nil
}

// answer is an answer on its way out.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// json edits the body, where it is an object.
func (a *answer) json(edit func(object)) {
	o, ok := read(a.body)
	if !ok {
		return
	}
	edit(o)
	a.body, _ = json.Marshal(o)
}

// resources edits the body where it is a user or group, and those in a list.
func (a *answer) resources(edit func(object)) {
	a.json(func(o object) {
		list, _ := o["Resources"].([]any)
		for _, e := range append(list, o) {
			if r, ok := e.(object); ok && r["meta"] != nil || strings.Contains(fmt.Sprint(r["schemas"]), ":core:2.0:") {
				edit(r)
			}
		}
	})
}

func (a *answer) refuse(status int, scimType string) {
	a.status = status
	e := object{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": strconv.Itoa(status), "detail": "No."}
	if scimType != "" {
		e["scimType"] = scimType
	}
	a.body, _ = json.Marshal(e)
	a.header.Set("Content-Type", "application/scim+json")
}

type object = map[string]any

func read(body []byte) (object, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var o object
	return o, d.Decode(&o) == nil && o != nil
}

// answers breaks a rule in what goes out.
func answers(edit func(*http.Request, *answer)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent := body(r)
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			r.Body = io.NopCloser(bytes.NewReader(sent))
			a := &answer{rec.Code, rec.Header(), rec.Body.Bytes()}
			edit(r, a)
			for k, v := range a.header {
				w.Header()[k] = v
			}
			w.Header().Del("Content-Length")
			w.WriteHeader(a.status)
			if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
				w.Write(a.body)
			}
		})
	}
}

// requests breaks a rule in what comes in.
func requests(edit func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			edit(r)
			next.ServeHTTP(w, r)
		})
	}
}

// body reads the request's, and leaves it to be read again.
func body(r *http.Request) []byte {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	setBody(r, text)
	return text
}

func setBody(r *http.Request, text []byte) {
	r.Body = io.NopCloser(bytes.NewReader(text))
	r.ContentLength = int64(len(text))
}

// parameter changes or, where edit returns false, removes a query parameter.
func parameter(name string, edit func(string) (string, bool)) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		if !q.Has(name) {
			return
		}
		v, keep := edit(q.Get(name))
		if keep {
			q.Set(name, v)
		} else {
			q.Del(name)
		}
		r.URL.RawQuery = q.Encode()
	}
}

func drop(string) (string, bool) { return "", false }

func ok(a *answer) bool { return a.status/100 == 2 }

// at reports whether the request is for something beneath the path.
func at(r *http.Request, path string) bool {
	return strings.HasPrefix(r.URL.Path, scimhttp.Prefix+path)
}

func operations(r *http.Request) []object {
	o, _ := read(body(r))
	list, _ := o["Operations"].([]any)
	var out []object
	for _, e := range list {
		if op, ok := e.(object); ok {
			out = append(out, op)
		}
	}
	return out
}

func filterOf(r *http.Request) string { return r.URL.Query().Get("filter") }

func edited(o object, edit func(object)) []byte {
	edit(o)
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return text
}

// remembered is what a broken provider keeps besides.
type remembered struct {
	mu sync.Mutex
	m  map[string]any
}

func (r *remembered) put(key string, v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = map[string]any{}
	}
	r.m[key] = v
}

func (r *remembered) get(key string) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m[key]
}
