package oauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/egress"
	"gatehouse/internal/fakes/idp"
	"gatehouse/internal/org"
	"gatehouse/internal/web/oauth"
)

func (f *federation) wants(what, reason string, a answer) {
	f.t.Helper()
	if a.status != 401 || a.error() != "invalid_client" || a.token() != "" {
		f.t.Errorf("%s answers %d %v, want 401 invalid_client", what, a.status, a.body)
	}
	if got := f.reason(); got != reason {
		f.t.Errorf("%s is refused for %q, want %q", what, got, reason)
	}
}

func TestAssertion(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256"} {
		f := newFederation(t)
		f.key = idp.NewKey("key of "+alg, alg)
		f.idp.Rotate(f.key)
		a := f.sign(nil)
		if a.status != 200 || !f.good(a.token()) || a.body["expires_in"] != 3600.0 || a.body["scope"] != "scim" {
			t.Errorf("%s: %d %v", alg, a.status, a.body)
		}
		access, err := f.orgs.Authenticate(t.Context(), a.token())
		if err != nil || access.Credential != f.trust.ID {
			t.Errorf("%s: the token is the credential %v's, %v; want the trust %v", alg, access.Credential, err, f.trust.ID)
		}
	}
	f := newFederation(t)
	for name, a := range map[string]answer{
		"one of several audiences": f.sign(map[string]any{"aud": []string{"x", audience}}),
		"a minute late":            f.sign(map[string]any{"iat": f.now().Unix() - 3600, "exp": f.now().Unix() - 59}),
		"a minute early":           f.sign(map[string]any{"iat": f.now().Unix() + 59, "nbf": f.now().Unix() + 59}),
		"no iat, no nbf":           f.sign(map[string]any{"iat": nil, "nbf": nil}),
		"95 minutes":               f.sign(map[string]any{"exp": f.now().Unix() + 5400}),
		"no client_id":             f.ask(grant("client_assertion_type", assertions, "client_assertion", f.key.Sign(f.claims(nil), nil))),
	} {
		if name == "no client_id" {
			if a.status != 401 { // Entra's subject is no client of ours
				t.Errorf("an assertion that names no client answers %d", a.status)
			}
			continue
		}
		if a.status != 200 || !f.good(a.token()) {
			t.Errorf("an assertion with %s answers %d %v", name, a.status, a.body)
		}
	}
}

// A client that signs for itself: issuer and subject are its own id (RFC 7523
// §3), the audience is the token endpoint, and its id need not come twice.
func TestAClientThatSignsForItself(t *testing.T) {
	f := newFederation(t)
	self := map[string]any{"iss": string(f.client.ID), "sub": string(f.client.ID), "aud": issuer + "/oauth/token"}
	if _, err := f.orgs.AddTrust(t.Context(), f.o, f.client, org.Trust{
		Issuer: string(f.client.ID), Subject: string(f.client.ID), Audiences: []string{issuer + "/oauth/token"}, Keys: f.idp.KeysURL(),
	}); err != nil {
		t.Fatal(err)
	}
	a := f.ask(grant("client_assertion_type", assertions, "client_assertion", f.key.Sign(f.claims(self), nil)))
	if a.status != 200 || !f.good(a.token()) {
		t.Errorf("it answers %d %v", a.status, a.body)
	}
	if a := f.sign(nil); a.status != 200 {
		t.Errorf("the other trust answers %d", a.status)
	}
}

func TestAssertionsThatAreRefused(t *testing.T) {
	f := newFederation(t)
	stranger := idp.NewKey("one", "ES256")
	other := f.newClient(f.conn.ID)
	now := f.now().Unix()
	with := func(name string, v any) func() answer {
		return func() answer { return f.sign(map[string]any{name: v}) }
	}
	as := func(token func() string) func() answer { return func() answer { return f.assert(token()) } }
	for i, c := range []struct {
		name, reason string
		ask          func() answer
	}{
		{"another issuer", "issuer", with("iss", "https://login.example.com/other/v2.0")},
		{"a longer issuer", "issuer", with("iss", f.idp.URL+"/tenant/v2.0/")},
		{"no issuer", "issuer", with("iss", nil)},
		{"another subject", "subject", with("sub", "someone")},
		{"no subject", "subject", with("sub", nil)},
		{"another audience", "audience", with("aud", "api://other")},
		{"our token endpoint, which was not agreed", "audience", with("aud", issuer+"/oauth/token")},
		{"no audience", "audience", with("aud", nil)},
		{"an empty list of audiences", "audience", with("aud", []string{})},
		{"no expiry", "no-expiry", with("exp", nil)},
		{"expired", "expired", with("exp", now-60)},
		{"good for days", "expires-late", with("exp", now+86400)},
		{"good for three hours, of which one is left", "lifetime", with("iat", now-7200)},
		{"not yet good", "not-before", with("nbf", now+61)},
		{"issued later", "issued-later", with("iat", now+61)},
		{"a key of another", "signature", as(func() string { return stranger.Sign(f.claims(nil), nil) })},
		{"an unknown key", "key", as(func() string { return f.key.Sign(f.claims(nil), map[string]any{"kid": "two"}) })},
		{"no algorithm", "algorithm", as(func() string { return f.key.Sign(f.claims(nil), map[string]any{"alg": "none"}) })},
		{"no signature and no algorithm", "algorithm", as(func() string {
			s := f.key.Sign(f.claims(nil), map[string]any{"alg": "none"})
			return s[:strings.LastIndexByte(s, '.')+1]
		})},
		{"the public key as a secret", "algorithm", as(func() string { return idp.HMAC("one", f.claims(nil), idp.Set(f.key)) })},
		{"a critical extension", "assertion-form", as(func() string { return f.key.Sign(f.claims(nil), map[string]any{"crit": []string{"b64"}, "b64": false}) })},
		{"claims that were changed", "signature", as(func() string {
			p := strings.Split(f.key.Sign(f.claims(map[string]any{"n": 1}), nil), ".")
			q := strings.Split(f.key.Sign(f.claims(map[string]any{"n": 2}), nil), ".")
			return p[0] + "." + q[1] + "." + p[2]
		})},
		{"too long", "assertion-form", as(func() string { return f.key.Sign(f.claims(map[string]any{"x": strings.Repeat("x", 16<<10)}), nil) })},
		{"another client's name", "trust", func() answer {
			return f.ask(grant("client_id", string(other.ID), "client_assertion_type", assertions, "client_assertion", f.key.Sign(f.claims(nil), nil)))
		}},
		{"a client that nobody has", "trust", func() answer {
			return f.ask(grant("client_id", "0123456789abcdefghjk", "client_assertion_type", assertions, "client_assertion", f.key.Sign(f.claims(nil), nil)))
		}},
	} {
		f.from = fmt.Sprint("192.0.2.", i) // each from an address of its own, so that no limit is met
		f.wants("an assertion with "+c.name, c.reason, c.ask())
	}
}

// A trust that corrects another works while the wrong one stands beside it.
func TestATrustThatCorrectsAnother(t *testing.T) {
	f := newFederation(t, func(t *org.Trust) { t.Keys = "https://127.0.0.1:1/keys" })
	if a := f.sign(nil); a.status != 503 {
		t.Fatalf("with the wrong address of keys it answers %d", a.status)
	}
	right := org.Trust{Issuer: f.idp.URL + "/tenant/v2.0", Subject: subject, Audiences: []string{audience}, Keys: f.idp.KeysURL()}
	f.pass(time.Second)
	if _, err := f.orgs.AddTrust(t.Context(), f.o, f.client, right); err != nil {
		t.Fatal(err)
	}
	if a := f.sign(nil); a.status != 200 {
		t.Errorf("with the right address beside it answers %d %v", a.status, a.body)
	}
	// And the other way: the newer one is wrong, the older one holds on.
	f.pass(time.Second)
	right.Keys = "https://127.0.0.1:1/other"
	if _, err := f.orgs.AddTrust(t.Context(), f.o, f.client, right); err != nil {
		t.Fatal(err)
	}
	if a := f.sign(nil); a.status != 200 {
		t.Errorf("with a newer wrong address beside it answers %d %v", a.status, a.body)
	}
}

// After the trust has ended nothing is taken, and its tokens are dead.
func TestARevokedTrust(t *testing.T) {
	f := newFederation(t)
	token := f.sign(nil).token()
	if !f.good(token) {
		t.Fatal("the token opens nothing")
	}
	if err := f.orgs.Revoke(t.Context(), f.o, f.conn.ID, f.trust.ID); err != nil {
		t.Fatal(err)
	}
	if f.good(token) {
		t.Error("the token outlives the trust")
	}
	f.wants("an assertion of a trust that ended", "trust", f.sign(nil))
	if a := f.ask(f.post()); a.status != 200 {
		t.Errorf("the client's secret ended with the trust: %d", a.status)
	}
}

// Refusals of assertions equal those of secrets.
func TestRefusalsOfAssertionsAreEqual(t *testing.T) {
	f := newFederation(t)
	want := f.ask(f.post("client_secret", "x"))
	for name, more := range map[string]map[string]any{"issuer": {"iss": "x"}, "expired": {"exp": 1}, "audience": {"aud": "x"}} {
		if got := f.sign(more); got.status != want.status || !reflect.DeepEqual(got.body, want.body) || !reflect.DeepEqual(got.header, want.header) {
			t.Errorf("%s answers %d %v, want %d %v", name, got.status, got.body, want.status, want.body)
		}
	}
}

// keysEvery asks with each token and returns the statuses.
func (f *federation) keysEvery(tokens ...string) string {
	var out []string
	for _, s := range tokens {
		out = append(out, fmt.Sprint(f.assert(s).status))
	}
	return strings.Join(out, " ")
}

func TestRotationOfKeys(t *testing.T) {
	f := newFederation(t)
	for range 5 {
		if a := f.sign(nil); a.status != 200 {
			t.Fatal(a.body)
		}
	}
	if n := f.idp.Fetches.Load(); n != 1 {
		t.Errorf("for five assertions the keys were fetched %d times, want once", n)
	}
	two := idp.NewKey("two", "ES256")
	f.idp.Rotate(f.key, two)
	f.pass(2 * time.Minute)
	if got := f.keysEvery(two.Sign(f.claims(nil), nil), f.key.Sign(f.claims(nil), nil)); got != "200 200" {
		t.Errorf("after a new key the answers are %s", got)
	}
	// The old one goes: believed for an hour at most.
	f.idp.Rotate(two)
	f.pass(time.Hour)
	f.wants("a key that was withdrawn", "key", f.sign(nil))
	// A key that changed under its name.
	f.pass(15 * time.Minute)
	three := idp.NewKey("two", "ES256")
	f.idp.Rotate(three)
	if a := f.assert(three.Sign(f.claims(nil), nil)); a.status != 200 {
		t.Errorf("a key that changed under its name answers %d", a.status)
	}
}

// A flood of unknown keys fetches once a minute, over all processes.
func TestUnknownKeysFetchOnceAMinute(t *testing.T) {
	f := newFederation(t)
	f.sign(nil)
	f.pass(2 * time.Minute)
	before := f.idp.Fetches.Load()
	for i := range 60 {
		if i%10 == 0 {
			f.build() // a process that remembers nothing
		}
		f.assert(f.key.Sign(f.claims(nil), map[string]any{"kid": fmt.Sprint("k", i)}), func(r *http.Request) { r.RemoteAddr = fmt.Sprint(i) })
	}
	if n := f.idp.Fetches.Load() - before; n != 1 {
		t.Errorf("60 unknown keys in a minute fetched %d times, want once", n)
	}
	f.pass(time.Minute)
	f.assert(f.key.Sign(f.claims(nil), map[string]any{"kid": "x"}))
	if n := f.idp.Fetches.Load() - before; n != 2 {
		t.Errorf("a minute later they were fetched %d times, want twice", n)
	}
	if a := f.sign(nil); a.status != 200 {
		t.Errorf("the known key is refused after the flood: %d", a.status)
	}
}

// Nor do processes that have no keys yet fetch each for itself where there are
// none to be had; and where there are, they need not fetch.
func TestFirstKeysFetchOnceAMinute(t *testing.T) {
	f := newFederation(t)
	f.idp.Instead(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) })
	g := &counting{Fetcher: f.fetch}
	f.fetch = g
	for range 8 {
		f.build() // a process that remembers nothing
		if a := f.sign(nil); a.status != 503 {
			t.Errorf("without keys it answers %d %v", a.status, a.body)
		}
		f.pass(6 * time.Second)
	}
	if n := g.n.Load(); n != 1 {
		t.Errorf("in a minute eight processes tried %d times, want once", n)
	}
	waiting := f.h
	f.idp.Instead(nil)
	f.pass(time.Minute)
	f.build()
	if a := f.sign(nil); a.status != 200 || g.n.Load() != 2 {
		t.Errorf("a minute later it answers %d %v after %d tries, want two", a.status, a.body, g.n.Load())
	}
	f.h = waiting
	if a := f.sign(nil); a.status != 200 || g.n.Load() != 2 {
		t.Errorf("what another process fetched: %d %v after %d tries, want two", a.status, a.body, g.n.Load())
	}
}

// counting is a fetcher that counts.
type counting struct {
	oauth.Fetcher
	n atomic.Int32
}

func (c *counting) Get(ctx context.Context, address string) ([]byte, error) {
	c.n.Add(1)
	return c.Fetcher.Get(ctx, address)
}

// Many at once, and nothing is known yet.
func TestFirstFetchAtOnce(t *testing.T) {
	f := newFederation(t)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			if a := f.sign(map[string]any{"jti": fmt.Sprint(i)}); a.status != 200 {
				t.Errorf("request %d answers %d %v", i, a.status, a.body)
			}
		})
	}
	wait.Wait()
	if n := f.idp.Fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
}

// leaver is a fetcher whose client leaves while it waits.
type leaver struct {
	oauth.Fetcher
	leave func()
}

func (l *leaver) Get(ctx context.Context, address string) ([]byte, error) {
	l.leave()
	return l.Fetcher.Get(ctx, address)
}

// Who hangs up while keys are fetched leaves them for the others.
func TestHangingUpWhileKeysAreFetched(t *testing.T) {
	f := newFederation(t)
	l := &leaver{Fetcher: f.fetch}
	f.fetch, f.mem = l, heeding{f.mem}
	f.build()
	gone, cancel := context.WithCancel(t.Context())
	l.leave = cancel
	f.assert(f.key.Sign(f.claims(nil), nil), func(r *http.Request) { *r = *r.WithContext(gone) })
	if a := f.sign(nil); a.status != 200 || f.idp.Fetches.Load() != 1 {
		t.Errorf("after one who hung up the next answers %d %v, with %d fetches", a.status, a.body, f.idp.Fetches.Load())
	}
}

// Where the issuer does not answer, its keys are believed for hours, and not for
// ever; what it sends that is no key set changes nothing.
func TestAnIssuerThatFails(t *testing.T) {
	for name, fails := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) },
		"HTML":    func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") },
		"no keys": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"hung up": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"huge":    func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 2<<20)) },
		"large":   func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"keys":[],"x":"%0300000d"}`, 0) },
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		},
	} {
		f := newFederation(t)
		if a := f.sign(nil); a.status != 200 {
			t.Fatal(a.body)
		}
		f.idp.Instead(fails)
		for _, after := range []time.Duration{2 * time.Hour, 9 * time.Hour} {
			f.pass(after)
			if a := f.sign(nil); a.status != 200 {
				t.Errorf("%s: after %v more it answers %d %v", name, after, a.status, a.body)
			}
		}
		f.build() // a new process finds them in the table
		if a := f.sign(nil); a.status != 200 {
			t.Errorf("%s: a new process answers %d", name, a.status)
		}
		f.pass(time.Hour)
		a := f.sign(nil)
		if a.status != 503 || a.error() != "invalid_request" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: after twelve hours it answers %d %v", name, a.status, a.body)
		}
		for range 22 { // ours to mend: no try of the client's
			f.sign(nil)
		}
		f.idp.Instead(nil)
		f.pass(time.Minute)
		if a := f.sign(nil); a.status != 200 {
			t.Errorf("%s: once the issuer answers again it answers %d %v", name, a.status, a.body)
		}
	}
}

// Where the issuer cannot be asked, a key that is not known may be its new one:
// it is told to come again, its assertion is not spent, and nothing counts as a
// failed try.
func TestANewKeyWhileItsIssuerFails(t *testing.T) {
	f := newFederation(t)
	if a := f.sign(nil); a.status != 200 {
		t.Fatal(a.body)
	}
	two, three := idp.NewKey("two", "ES256"), idp.NewKey("one", "ES256")
	f.idp.Instead(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) })
	f.pass(2 * time.Minute)
	first := two.Sign(f.claims(nil), nil)
	for i := range 120 { // more than the failures that an address has
		for name, s := range map[string]string{"a new key": first, "a key that changed under its name": three.Sign(f.claims(nil), nil)} {
			if a := f.assert(s); a.status != 503 || a.error() != "invalid_request" || a.header.Get("Retry-After") == "" || f.reason() != "keys" {
				t.Fatalf("while its issuer fails %s answers %d %v for %q, at try %d; want 503", name, a.status, a.body, f.reason(), i)
			}
		}
		if i == 60 {
			f.build() // a process that remembers nothing
		}
	}
	if a := f.sign(nil); a.status != 200 {
		t.Errorf("the key from before answers %d %v", a.status, a.body)
	}
	f.idp.Instead(nil)
	f.idp.Rotate(f.key, two)
	f.pass(time.Minute)
	if a := f.assert(first); a.status != 200 {
		t.Errorf("once its issuer answers the same assertion answers %d %v", a.status, a.body)
	}
	f.pass(2 * time.Minute)
	f.wants("a key that the issuer does not have", "signature", f.assert(three.Sign(f.claims(nil), nil)))
}

// The keys of a private address are not fetched, whoever names it.
func TestKeysAtPrivateAddresses(t *testing.T) {
	var reached atomic.Int32
	inner := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inner.Close()
	f := newFederation(t, func(t *org.Trust) { t.Keys = inner.URL + "/keys" })
	f.fetch = egress.New()
	f.build()
	if a := f.sign(nil); a.status != 503 || reached.Load() != 0 {
		t.Errorf("keys on loopback: %d, reached %d times", a.status, reached.Load())
	}
	if !strings.Contains(f.log.String(), "not on the public internet") {
		t.Errorf("the log does not say why: %s", f.log.String())
	}
}

func TestDiscovery(t *testing.T) {
	f := newFederation(t, func(t *org.Trust) { t.Keys = "" })
	if a := f.sign(nil); a.status != 200 || f.idp.Fetches.Load() != 1 {
		t.Errorf("keys by discovery: %d %v", a.status, a.body)
	}
	// A document that speaks for another issuer, or for keys in a private place.
	for name, doc := range map[string]map[string]any{
		"another issuer": {"issuer": "https://other.example", "jwks_uri": f.idp.KeysURL()}, "no keys": {"issuer": "URL"},
		"keys by http": {"issuer": "URL", "jwks_uri": "http://127.0.0.1/keys"}, "keys in the cloud's metadata": {"issuer": "URL", "jwks_uri": "https://169.254.169.254/keys"},
	} {
		lying := httptest.NewUnstartedServer(nil)
		lying.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if doc["issuer"] == "URL" {
				doc["issuer"] = lying.URL
			}
			json.NewEncoder(w).Encode(doc)
		})
		lying.StartTLS()
		defer lying.Close()
		g := newFederation(t, func(t *org.Trust) { t.Issuer, t.Keys = lying.URL, "" })
		g.idp.Roots.AddCert(lying.Certificate())
		if a := g.sign(map[string]any{"iss": lying.URL}); a.status != 503 {
			t.Errorf("a document with %s answers %d %v", name, a.status, a.body)
		}
	}
}

func TestAssertionsAreNotLogged(t *testing.T) {
	f := newFederation(t)
	s := f.key.Sign(f.claims(map[string]any{"sub": "CANARY"}), nil)
	f.assert(s)
	f.sign(map[string]any{"jti": "CANARY-jti"})
	f.ask(f.post("client_id", "CANARY", "client_secret", "CANARY"))
	f.send("POST", "/oauth/token?CANARY", "")
	if l := f.log.String(); strings.Contains(l, "CANARY") || strings.Contains(l, s[:30]) || strings.Contains(l, subject) {
		t.Errorf("the log quotes what was sent: %s", l)
	}
}
