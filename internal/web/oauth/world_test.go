package oauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/egress"
	"gatehouse/internal/fakes/idp"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/web/oauth"
)

const (
	issuer     = "https://gate.example.com"
	assertions = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	audience   = "api://b5ba7a93-4452-4522-aeb4-a2b5da870c16"
	subject    = "d2f8ee76-c549-45b8-a143-f5b640669704"
)

// buffer is a log that several may write to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type world struct {
	t      *testing.T
	mem    table.Table
	key    secret.Key
	mu     sync.Mutex
	at     time.Time
	orgs   *org.Store
	log    buffer
	fetch  oauth.Fetcher
	h      *oauth.Handler
	o      *org.Org
	conn   org.Connection
	client org.Client
	secret string
	from   string // the address that requests come from
	cred   org.Credential
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, mem: memory.New(), key: secret.Mint(), from: "198.51.100.7", at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	w.orgs = org.New(w.mem, w.key, w.now, time.Minute)
	w.build()
	var err error
	if w.o, err = w.orgs.Create(t.Context(), org.Spec{Name: "Example"}); err != nil {
		t.Fatal(err)
	}
	if w.conn, err = w.orgs.CreateConnection(t.Context(), w.o, org.Connection{Name: "Entra"}); err != nil {
		t.Fatal(err)
	}
	w.client = w.newClient(w.conn.ID)
	if w.secret, w.cred, err = w.orgs.IssueSecret(t.Context(), w.o, w.client, 0); err != nil {
		t.Fatal(err)
	}
	return w
}

// build makes the handler anew, as another process would.
func (w *world) build() {
	w.h = oauth.New(oauth.Config{URL: issuer, Orgs: w.orgs, Table: w.mem, Key: w.key, Fetch: w.fetch, Now: w.now,
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)), Client: func(r *http.Request) string { return r.RemoteAddr }})
}

func (w *world) newClient(c identity.Connection) org.Client {
	w.t.Helper()
	client, err := w.orgs.CreateClient(w.t.Context(), w.o, c, "Provisioning "+identity.Random(5))
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func (w *world) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.at }

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.at = w.at.Add(d) }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) token() string { s, _ := a.body["access_token"].(string); return s }
func (a answer) error() string { s, _ := a.body["error"].(string); return s }

// send makes a request; edit changes it.
func (w *world) send(method, target, body string, edit ...func(*http.Request)) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, issuer+target, strings.NewReader(body))
	r.RemoteAddr = w.from
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, e := range edit {
		e(r)
	}
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	a := answer{status: rec.Code, header: rec.Header()}
	if err := json.Unmarshal(rec.Body.Bytes(), &a.body); err != nil {
		w.t.Errorf("%s %s answers what is no JSON: %q", method, target, rec.Body)
	}
	return a
}

func (w *world) ask(form url.Values, edit ...func(*http.Request)) answer {
	w.t.Helper()
	return w.send("POST", "/oauth/token", form.Encode(), edit...)
}

func basic(id, text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(text))))
	}
}

// grant is the parameters of a request, with members replaced or taken away.
func grant(more ...string) url.Values {
	v := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func (w *world) post(more ...string) url.Values {
	return grant(append([]string{"client_id", string(w.client.ID), "client_secret", w.secret}, more...)...)
}

// good reports whether the access token opens the connection.
func (w *world) good(token string) bool {
	w.t.Helper()
	a, err := w.orgs.Authenticate(w.t.Context(), token)
	if err != nil && !fault.Is(err, fault.Unauthorized) {
		w.t.Fatalf("Authenticate: %v", err)
	}
	return err == nil && a.Org.ID == w.o.ID && a.Connection.ID == w.conn.ID
}

// federation is a world whose client trusts an identity provider.
type federation struct {
	*world
	idp   *idp.Server
	key   *idp.Key
	trust org.Credential
}

func newFederation(t *testing.T, edit ...func(*org.Trust)) *federation {
	f := &federation{world: newWorld(t), key: idp.NewKey("one", "ES256")}
	f.idp = idp.Start(t, f.key)
	f.fetch = egress.Tested(f.idp.Roots)
	f.build()
	trust := org.Trust{Issuer: f.idp.URL + "/tenant/v2.0", Subject: subject, Audiences: []string{audience + "/.default"}, Keys: f.idp.KeysURL()}
	for _, e := range edit {
		e(&trust)
	}
	var err error
	if f.trust, err = f.orgs.AddTrust(t.Context(), f.o, f.client, trust); err != nil {
		t.Fatal(err)
	}
	return f
}

// claims are those of Entra ID, with members replaced or, where nil, removed.
func (f *federation) claims(more map[string]any) map[string]any {
	now := f.now().Unix()
	c := map[string]any{
		"aud": audience, "iss": f.idp.URL + "/tenant/v2.0", "sub": subject, "oid": "x", "appid": "b5ba7a93", "tid": "tenant", "ver": "2.0",
		"iat": now - 300, "nbf": now - 300, "exp": now + 3600, "jti": identity.Random(20),
	}
	maps.Copy(c, more)
	for name, v := range more {
		if v == nil {
			delete(c, name)
		}
	}
	return c
}

func (f *federation) assert(assertion string, edit ...func(*http.Request)) answer {
	f.t.Helper()
	return f.ask(grant("client_id", string(f.client.ID), "client_assertion_type", assertions, "client_assertion", assertion, "scope", "scim"), edit...)
}

// sign asks with an assertion of the claims.
func (f *federation) sign(more map[string]any) answer {
	f.t.Helper()
	return f.assert(f.key.Sign(f.claims(more), nil))
}

// reason is why the last request was refused, as the log has it.
func (w *world) reason() string {
	lines := strings.Split(strings.TrimSpace(w.log.String()), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		var l struct{ Msg, Refused string }
		if json.Unmarshal([]byte(lines[i]), &l) == nil && l.Msg == "oauth" {
			return l.Refused
		}
	}
	return ""
}

// broken is a table that fails.
type broken struct{ table.Table }

var errBroken = errors.New("broken")

func (broken) Get(context.Context, ...table.Key) ([]table.Item, error) { return nil, errBroken }

func (broken) Query(context.Context, string, table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) { yield(table.Item{}, errBroken) }
}

// heeding is a table that answers nobody who has left, as one over a network.
type heeding struct{ table.Table }

func (h heeding) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return h.Table.Commit(ctx, w...)
}

// leaving is one whose client leaves as soon as its credentials were read.
type leaving struct {
	heeding
	leave func()
}

func (l *leaving) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		for it, err := range l.heeding.Query(ctx, part, r) {
			if !yield(it, err) {
				return
			}
		}
		l.leave()
	}
}

// slowly is a table whose commits take a moment, so that many are under way.
type slowly struct{ table.Table }

func (s slowly) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	time.Sleep(20 * time.Millisecond)
	return s.Table.Commit(ctx, w...)
}

// commits counts them.
type commits struct {
	table.Table
	n atomic.Int64
}

func (c *commits) Commit(ctx context.Context, w ...table.Write) (table.Version, error) {
	c.n.Add(1)
	return c.Table.Commit(ctx, w...)
}

// stuck is a table that takes no counter.
type stuck struct{ table.Table }

func (stuck) Commit(context.Context, ...table.Write) (table.Version, error) { return "", errBroken }

// recorded is the status at the path.
func recorded(h http.Handler, path string) int {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", issuer+path, nil))
	return rec.Code
}
