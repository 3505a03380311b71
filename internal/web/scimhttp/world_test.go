package scimhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/web/scimhttp"
)

const (
	outside    = "https://id.example.com"
	userURN    = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN   = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	patchURN   = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	listURN    = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	searchURN  = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	errorURN   = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// world is a handler over a table in memory, with one organization and its
// first connection, whose credential requests carry unless they say otherwise.
type world struct {
	testing.TB
	*scimhttp.Handler
	table *brittle
	orgs  *org.Store
	org   *org.Org
	conn  org.Connection
	token string
	log   *safeBuffer

	mu  sync.Mutex
	now time.Time
}

// newWorld takes the dialect of the connection; compat where none is given.
func newWorld(t testing.TB, dialect ...string) *world {
	t.Helper()
	w := &world{TB: t, log: &safeBuffer{}, now: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	m := memory.New()
	m.Now = w.clock
	w.table = &brittle{Table: m}
	w.orgs = org.New(w.table, secret.Mint(), w.clock, time.Minute)
	w.Handler = scimhttp.New(scimhttp.Config{
		URL: outside, Orgs: w.orgs, Provision: provision.New(w.table, w.clock),
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: w.clock,
	})
	var err error
	if w.org, err = w.orgs.Create(context.Background(), org.Spec{Name: "Example GmbH"}); err != nil {
		t.Fatal(err)
	}
	w.conn, w.token = w.connect(w.org, strings.Join(dialect, ""))
	return w
}

// clock moves on with every look, so that times tell what came first.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Millisecond)
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) connect(o *org.Org, dialect string) (org.Connection, string) {
	w.Helper()
	c, err := w.orgs.CreateConnection(context.Background(), o, org.Connection{Name: "Directory", Dialect: dialect})
	if err != nil {
		w.Fatal(err)
	}
	token, _, err := w.orgs.Issue(context.Background(), o, c.ID, 0)
	if err != nil {
		w.Fatal(err)
	}
	return c, token
}

// do makes a request below the base URL and returns its answer. Headers come in
// pairs; an empty value takes the header away.
func (w *world) do(method, path, body string, headers ...string) answer {
	w.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, scimhttp.Prefix+path, in)
	r.Header.Set("Authorization", "Bearer "+w.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/scim+json")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	return w.serve(r)
}

// within is do for a request that ends after a time; 0: it does not.
func (w *world) within(d time.Duration, method, path, body string) answer {
	w.Helper()
	ctx := context.Background()
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	r := httptest.NewRequest(method, scimhttp.Prefix+path, strings.NewReader(body)).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+w.token)
	return w.serve(r)
}

func (w *world) serve(r *http.Request) answer {
	w.Helper()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	a := answer{TB: w.TB, asked: r.Method + " " + r.URL.String(), status: rec.Code, header: rec.Result().Header, body: rec.Body.Bytes()}
	if len(a.body) > 0 {
		v, err := value.Parse(a.body)
		if err != nil {
			w.Fatalf("%s: the answer is not JSON: %v\n%s", a.asked, err, a.body)
		}
		a.tree = v
	}
	return a
}

// get is do for what is read.
func (w *world) get(path string, headers ...string) answer {
	w.Helper()
	return w.do("GET", path, "", headers...)
}

// find lists what the filter selects.
func (w *world) find(endpoint, filter string) answer {
	w.Helper()
	return w.get(endpoint + "?filter=" + url.QueryEscape(filter))
}

// person is the body of a user.
func person(userName string, more ...string) string {
	return fmt.Sprintf(`{"schemas":[%q],"userName":%q,"active":true,"name":{"givenName":"Ada","familyName":"Lovelace"},"emails":[{"value":%q,"type":"work","primary":true}]%s}`,
		userURN, userName, userName, strings.Join(append([]string{""}, more...), ","))
}

func team(name string, members ...string) string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = fmt.Sprintf(`{"value":%q}`, m)
	}
	return fmt.Sprintf(`{"schemas":[%q],"displayName":%q,"members":[%s]}`, groupURN, name, strings.Join(list, ","))
}

func patch(ops ...string) string {
	return fmt.Sprintf(`{"schemas":[%q],"Operations":[%s]}`, patchURN, strings.Join(ops, ","))
}

// user creates a user and returns the id.
func (w *world) user(userName string, more ...string) string {
	w.Helper()
	return w.do("POST", "/Users", person(userName, more...)).want(201).text("id")
}

func (w *world) group(name string, members ...string) string {
	w.Helper()
	return w.do("POST", "/Groups", team(name, members...)).want(201).text("id")
}

// members returns a group's members as GET tells them, ascending.
func (w *world) members(group string) []string {
	w.Helper()
	return texts(w.get("/Groups/" + group).want(200).tree.Get("members"))
}

func texts(list value.Value) []string {
	out := []string{}
	for _, e := range list.Elements() {
		out = append(out, e.Get("value").Text())
	}
	slices.Sort(out)
	return out
}

// nobody is the id of a user or group of the connection that was never made.
func (w *world) nobody() string { return string(w.conn.ID) + "0000" + strings.Repeat("z", 17) }

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// mintUser is an id of another connection's form.
func mintUser() string { return string(identity.MintUser(identity.MintConnection())) }
