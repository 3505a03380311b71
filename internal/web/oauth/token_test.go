package oauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fakes/idp"
	"gatehouse/internal/fault"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/web/oauth"
)

// RFC 6749 §4.4.3 and §5.1.
func TestToken(t *testing.T) {
	w := newWorld(t)
	for name, a := range map[string]answer{
		"basic":                 w.ask(grant(), basic(string(w.client.ID), w.secret)),
		"basic, and its id":     w.ask(grant("client_id", string(w.client.ID)), basic(string(w.client.ID), w.secret)),
		"post":                  w.ask(w.post()),
		"with a scope":          w.ask(w.post("scope", "scim")),
		"Entra's scope":         w.ask(w.post("scope", "scim.readwrite")),
		"more scopes":           w.ask(w.post("scope", "openid scim")),
		"parameters nobody has": w.ask(w.post("resource", "x", "audience", "y")),
		"one without a value":   w.ask(w.post("scope", "", "client_assertion", "")),
		"with a charset": w.ask(w.post(), func(r *http.Request) {
			r.Header.Set("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
		}),
		"with a session": w.ask(w.post(), func(r *http.Request) { r.Header.Set("Cookie", "__Host-gatehouse=x") }),
	} {
		if a.status != 200 || a.body["token_type"] != "Bearer" || a.body["expires_in"] != 3600.0 || a.body["scope"] != "scim" || len(a.body) != 4 {
			t.Errorf("%s answers %d %v", name, a.status, a.body)
		}
		if !strings.HasPrefix(a.token(), "ghat_") || len(a.token()) != 48 || !w.good(a.token()) {
			t.Errorf("%s: the token %q opens nothing", name, a.token())
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || a.header.Get("Content-Type") != "application/json" || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s has the header %v", name, a.header)
		}
	}
	for _, it := range w.items(t) {
		if strings.Contains(it, "ghat_") || strings.Contains(it, w.secret[5:]) {
			t.Errorf("a token or a secret is stored: %s", it)
		}
	}
	if s := w.log.String(); strings.Contains(s, "ghat_") || strings.Contains(s, w.secret[5:]) || !strings.Contains(s, string(w.client.ID)) {
		t.Errorf("the log is to name the client and no secret: %s", s)
	}
}

func (w *world) items(t *testing.T) []string {
	var out []string
	for _, part := range []string{w.o.Part(), "CLI#" + string(w.client.ID)} {
		for it, err := range w.mem.Query(t.Context(), part, table.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, it.Key.String()+" "+string(it.Data))
		}
	}
	return out
}

// Every error of RFC 6749 §5.2, and what brings it.
func TestErrors(t *testing.T) {
	w := newWorld(t)
	id := string(w.client.ID)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	raw := func(body string, edit ...func(*http.Request)) answer {
		return w.send("POST", "/oauth/token", body, edit...)
	}
	good := w.post().Encode()
	for _, c := range []struct {
		name   string
		a      answer
		status int
		code   string
	}{
		{"no grant type", w.ask(url.Values{"client_id": {id}, "client_secret": {w.secret}}), 400, "invalid_request"},
		{"an empty grant type", w.ask(w.post("grant_type", "")), 400, "invalid_request"},
		{"authorization code", w.ask(w.post("grant_type", "authorization_code")), 400, "unsupported_grant_type"},
		{"password", w.ask(w.post("grant_type", "password")), 400, "unsupported_grant_type"},
		{"a grant type in capitals", w.ask(w.post("grant_type", "CLIENT_CREDENTIALS")), 400, "unsupported_grant_type"},
		{"jwt-bearer as a grant", w.ask(w.post("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")), 400, "unsupported_grant_type"},
		{"another scope", w.ask(w.post("scope", "admin")), 400, "invalid_scope"},
		{"half a scope", w.ask(w.post("scope", "sci")), 400, "invalid_scope"},
		{"a scope for reading", w.ask(w.post("scope", "scim.read")), 400, "invalid_scope"},
		{"the parameter twice", raw(good + "&grant_type=client_credentials"), 400, "invalid_request"},
		{"the secret twice", raw(good + "&client_secret=x"), 400, "invalid_request"},
		{"an unknown parameter twice", raw(good + "&x=1&x=2"), 400, "invalid_request"},
		{"a parameter in the address", w.send("POST", "/oauth/token?client_id="+id, good), 400, "invalid_request"},
		{"everything in the address", w.send("POST", "/oauth/token?"+good, ""), 400, "invalid_request"},
		{"JSON", raw(`{"grant_type":"client_credentials"}`, set("Content-Type", "application/json")), 400, "invalid_request"},
		{"no media type", raw(good, func(r *http.Request) { r.Header.Del("Content-Type") }), 400, "invalid_request"},
		{"multipart", raw(good, set("Content-Type", "multipart/form-data; boundary=x")), 400, "invalid_request"},
		{"compressed", raw(good, set("Content-Encoding", "gzip")), 400, "invalid_request"},
		{"a bad escape", raw(good + "&x=%zz"), 400, "invalid_request"},
		{"no UTF-8", raw(good + "&x=%ff"), 400, "invalid_request"},
		{"too large", raw(good + "&x=" + strings.Repeat("x", 30_000)), 413, "invalid_request"},
		{"an empty body", raw(""), 401, "invalid_client"},
		{"two ways", w.ask(w.post(), basic(id, w.secret)), 400, "invalid_request"},
		{"a secret and an assertion", w.ask(w.post("client_assertion_type", assertions, "client_assertion", "x.y.z")), 400, "invalid_request"},
		{"two clients", w.ask(grant("client_id", "another"), basic(id, w.secret)), 400, "invalid_request"},
		{"a secret without a client", w.ask(grant("client_secret", w.secret)), 400, "invalid_request"},
		{"an assertion without its type", w.ask(grant("client_id", id, "client_assertion", "x.y.z")), 400, "invalid_request"},
		{"a type without an assertion", w.ask(grant("client_id", id, "client_assertion_type", assertions)), 400, "invalid_request"},
		{"SAML", w.ask(grant("client_id", id, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", "x")), 400, "invalid_request"},
		{"no proof", w.ask(grant("client_id", id)), 401, "invalid_client"},
		{"no client at all", w.ask(grant()), 401, "invalid_client"},
		{"a wrong secret", w.ask(w.post("client_secret", "ghcs_"+secret.Token())), 401, "invalid_client"},
		{"an unknown client", w.ask(w.post("client_id", "0123456789abcdefghjk")), 401, "invalid_client"},
		{"what is no client's id", w.ask(w.post("client_id", "\x00../#")), 401, "invalid_client"},
		{"a token instead of Basic", w.ask(grant(), set("Authorization", "Bearer "+w.secret)), 401, "invalid_client"},
		{"no base64", w.ask(grant(), set("Authorization", "Basic !!!")), 401, "invalid_client"},
		{"no colon", w.ask(grant(), set("Authorization", "Basic eHl6")), 401, "invalid_client"},
		{"an empty Basic", w.ask(grant(), set("Authorization", "Basic")), 401, "invalid_client"},
		{"an assertion that is none", w.ask(grant("client_id", id, "client_assertion_type", assertions, "client_assertion", "x.y.z")), 401, "invalid_client"},
		{"GET", w.send("GET", "/oauth/token", ""), 405, "invalid_request"},
		{"PUT", w.send("PUT", "/oauth/token", good), 405, "invalid_request"},
		{"POST of the metadata", w.send("POST", "/.well-known/oauth-authorization-server", ""), 405, "invalid_request"},
	} {
		if c.a.status != c.status || c.a.error() != c.code || c.a.token() != "" {
			t.Errorf("%s answers %d %v, want %d %s", c.name, c.a.status, c.a.body, c.status, c.code)
		}
		for name := range c.a.body {
			if name != "error" && name != "error_description" {
				t.Errorf("%s answers the member %s", c.name, name)
			}
		}
		// RFC 6749 §5.2: the characters that a description may have.
		if d, _ := c.a.body["error_description"].(string); d == "" || strings.ContainsFunc(d, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Errorf("%s answers the description %q", c.name, d)
		}
		if c.a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept", c.name)
		}
		if asks := strings.HasPrefix(c.a.header.Get("WWW-Authenticate"), "Basic "); asks != (c.status == 401) {
			t.Errorf("%s asks for Basic: %v", c.name, asks)
		}
		if (c.a.header.Get("Allow") != "") != (c.status == 405) {
			t.Errorf("%s allows %q", c.name, c.a.header.Get("Allow"))
		}
	}
}

// One answer for every way of not being known, to the last byte.
func TestRefusalsOfClientsAreEqual(t *testing.T) {
	w := newWorld(t)
	other := w.newClient(w.conn.ID)
	theirs, cred, err := w.orgs.IssueSecret(t.Context(), w.o, other, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.orgs.Revoke(t.Context(), w.o, w.conn.ID, cred.ID); err != nil {
		t.Fatal(err)
	}
	short, _, err := w.orgs.IssueSecret(t.Context(), w.o, w.client, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	static, _, err := w.orgs.Issue(t.Context(), w.o, w.conn.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	ended := w.newClient(w.conn.ID)
	lost, _, err := w.orgs.IssueSecret(t.Context(), w.o, ended, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.orgs.RevokeClient(t.Context(), w.o, ended.ID); err != nil {
		t.Fatal(err)
	}
	access := w.ask(w.post()).token()
	w.pass(time.Minute)
	want := w.ask(w.post("client_id", "0123456789abcdefghjk"))
	for name, pair := range map[string][2]string{
		"wrong": {string(w.client.ID), "ghcs_" + secret.Token()}, "another client's": {string(other.ID), w.secret}, "revoked": {string(other.ID), theirs},
		"expired": {string(w.client.ID), short}, "an ended client's": {string(ended.ID), lost}, "a static token": {string(w.client.ID), static}, "an access token": {string(w.client.ID), access},
		"its hash": {string(w.client.ID), secret.Hash(w.secret)}, "in capitals": {string(w.client.ID), strings.ToUpper(w.secret)}, "the client in capitals": {strings.ToUpper(string(w.client.ID)), w.secret},
		"a connection as the client": {string(w.conn.ID), w.secret}, "the credential as the client": {string(w.cred.ID), w.secret},
	} {
		got := w.ask(grant("client_id", pair[0], "client_secret", pair[1]))
		if got.status != 401 || !reflect.DeepEqual(got.body, want.body) || !reflect.DeepEqual(got.header, want.header) {
			t.Errorf("a secret that is %s answers %d %v %v, want %d %v %v", name, got.status, got.body, got.header, want.status, want.body, want.header)
		}
	}
	if a := w.ask(w.post()); a.status != 200 {
		t.Errorf("the good secret is refused afterwards: %v", a.body)
	}
}

// A client's secret opens no SCIM, and a static token is no access token.
func TestKindsOfSecrets(t *testing.T) {
	w := newWorld(t)
	access := w.ask(w.post()).token()
	for name, token := range map[string]string{
		"a client's secret": w.secret, "a client's id": string(w.client.ID), "a secret as a token": "ghat_" + w.secret[5:], "an access token as a static one": "ghsc_" + access[5:],
	} {
		if _, err := w.orgs.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%s opens SCIM: %v", name, err)
		}
	}
	if !w.good(access) {
		t.Error("the access token opens nothing")
	}
}

func TestTokensEnd(t *testing.T) {
	for name, end := range map[string]func(w *world) error{
		"the secret is revoked": func(w *world) error { return w.orgs.Revoke(t.Context(), w.o, w.conn.ID, w.cred.ID) },
		"the client is revoked": func(w *world) error { return w.orgs.RevokeClient(t.Context(), w.o, w.client.ID) },
		"an hour":               func(w *world) error { w.pass(time.Hour); return nil },
		"the connection is gone": func(w *world) error {
			items, err := w.mem.Get(t.Context(), table.Key{Part: w.o.Part(), Sort: "C#" + string(w.conn.ID)})
			if err != nil || len(items) != 1 {
				return fmt.Errorf("%d connections: %w", len(items), err)
			}
			_, err = w.mem.Commit(t.Context(), table.Delete(items[0]))
			w.pass(time.Minute) // of memory
			return err
		},
		"the secret expires": func(w *world) error { w.pass(30 * time.Minute); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			life := time.Duration(0)
			if name == "the secret expires" {
				life = 30 * time.Minute
			}
			var err error
			if w.secret, w.cred, err = w.orgs.IssueSecret(t.Context(), w.o, w.client, life); err != nil {
				t.Fatal(err)
			}
			a := w.ask(w.post())
			if want := 3600.0; life > 0 && a.body["expires_in"] != life.Seconds() || life == 0 && a.body["expires_in"] != want {
				t.Errorf("the token is said to be good for %v seconds", a.body["expires_in"])
			}
			w.pass(time.Second)
			if !w.good(a.token()) { // and is remembered
				t.Fatal("the token opens nothing")
			}
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			if w.good(a.token()) {
				t.Error("the token is good still")
			}
			// Another process, after its minute.
			w.pass(time.Minute)
			w.orgs = org.New(w.mem, w.key, w.now, time.Minute)
			if w.good(a.token()) {
				t.Error("the token is good still elsewhere")
			}
		})
	}
}

// Failures count by the address that they come from, whatever name they come
// under, and shut nobody out: not elsewhere, and not beside.
func TestTries(t *testing.T) {
	w := newWorld(t)
	from := func(a string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = a } }
	other := w.newClient(w.conn.ID)
	text, _, err := w.orgs.IssueSecret(t.Context(), w.o, other, 0)
	if err != nil {
		t.Fatal(err)
	}
	wrong := w.post("client_secret", "ghcs_wrong")
	unknown := w.post("client_id", "0123456789abcdefghjk")
	for i := range 50 {
		for _, form := range []url.Values{wrong, unknown} {
			if a := w.ask(form, from("192.0.2.1")); a.status != 401 {
				t.Fatalf("try %d answers %d", i, a.status)
			}
		}
	}
	check := func() {
		t.Helper()
		one, two := w.ask(wrong, from("192.0.2.1")), w.ask(unknown, from("192.0.2.1"))
		if one.status != 429 || one.header.Get("Retry-After") != "900" {
			t.Errorf("a try beyond the limit answers %d %v %v", one.status, one.body, one.header)
		}
		if !reflect.DeepEqual(one, two) {
			t.Errorf("beyond the limit a client that exists answers %v, another %v", one, two)
		}
		for range 30 {
			if a := w.ask(grant("client_id", string(other.ID), "client_secret", text), from("192.0.2.1")); a.status != 200 {
				t.Fatalf("another client at the address answers %d", a.status)
			}
		}
		if a := w.ask(w.post(), from("192.0.2.1")); a.status != 200 {
			t.Errorf("the right secret is refused for what failed beside it: %d", a.status)
		}
	}
	check()
	if a := w.ask(wrong, from("192.0.2.2")); a.status != 401 {
		t.Errorf("elsewhere a wrong secret answers %d", a.status)
	}
	w.build() // another process counts on
	check()
	w.pass(15 * time.Minute)
	if a := w.ask(wrong, from("192.0.2.1")); a.status != 401 {
		t.Errorf("after the window a wrong secret answers %d", a.status)
	}
}

// A client gets so many tokens in a minute, from wherever it asks; others go on,
// and what it has stays good.
func TestGrantsAreCounted(t *testing.T) {
	w := newWorld(t)
	first := ""
	for i := range 120 {
		a := w.ask(w.post(), func(r *http.Request) { r.RemoteAddr = fmt.Sprint(i) })
		if a.status != 200 {
			t.Fatalf("token %d answers %d %v", i, a.status, a.body)
		}
		first = a.token()
	}
	w.build() // another process
	for range 2 {
		if a := w.ask(w.post()); a.status != 429 || a.header.Get("Retry-After") != "60" || a.token() != "" {
			t.Errorf("a token beyond the limit answers %d %v %v", a.status, a.header, a.body)
		}
	}
	if !w.good(first) {
		t.Error("a token that was granted is good no longer")
	}
	other := w.newClient(w.conn.ID)
	text, _, err := w.orgs.IssueSecret(t.Context(), w.o, other, 0)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.ask(grant("client_id", string(other.ID), "client_secret", text)); a.status != 200 {
		t.Errorf("another client answers %d", a.status)
	}
	w.pass(time.Minute)
	if a := w.ask(w.post()); a.status != 200 {
		t.Errorf("a minute later it answers %d", a.status)
	}
}

// Good requests are no tries, however many come at once.
func TestGoodRequestsAtOnce(t *testing.T) {
	f := newFederation(t)
	f.mem = slowly{f.mem}
	f.orgs = org.New(f.mem, f.world.key, f.now, time.Minute)
	f.build()
	var wait sync.WaitGroup
	for i := range 24 {
		wait.Go(func() {
			if a := f.ask(f.post()); a.status != 200 {
				t.Errorf("secret %d of many at once answers %d %v", i, a.status, a.body)
			}
		})
		wait.Go(func() {
			if a := f.sign(nil); a.status != 200 {
				t.Errorf("assertion %d of many at once answers %d %v", i, a.status, a.body)
			}
		})
	}
	wait.Wait()
}

// A federation beside somebody who fails on purpose: identity providers send all
// customers' requests from the same addresses.
func TestFailuresBesideAnAssertion(t *testing.T) {
	f := newFederation(t)
	for range 120 {
		f.ask(f.post("client_secret", "wrong"))
	}
	if a := f.sign(nil); a.status != 200 {
		t.Errorf("an assertion beside failures answers %d %v", a.status, a.body)
	}
	two := idp.NewKey("two", "ES256")
	f.idp.Rotate(two)
	f.pass(time.Minute)
	if a := f.assert(two.Sign(f.claims(nil), nil)); a.status != 200 {
		t.Errorf("an assertion by a new key beside failures answers %d %v", a.status, a.body)
	}
}

// Who hangs up is counted, and what was right is not.
func TestTriesOfWhoHangsUp(t *testing.T) {
	w := newWorld(t)
	w.mem = &leaving{heeding: heeding{w.mem}}
	w.orgs = org.New(w.mem, w.key, w.now, time.Minute)
	w.build()
	for range 100 {
		gone, cancel := context.WithCancel(t.Context())
		w.mem.(*leaving).leave = cancel
		w.ask(w.post("client_secret", "wrong"), func(r *http.Request) { *r = *r.WithContext(gone) })
	}
	if a := w.ask(w.post("client_secret", "wrong")); a.status != 429 {
		t.Errorf("after 100 tries that hung up the next answers %d", a.status)
	}
}

// A flood writes no more than its limit.
func TestAFloodOfTriesWritesLittle(t *testing.T) {
	w := newWorld(t)
	n := &commits{Table: w.mem}
	w.mem = n
	w.build()
	for i := range 1000 {
		w.ask(w.post("client_id", fmt.Sprint("x", i)))
	}
	if n := n.n.Load(); n > 101 {
		t.Errorf("1000 tries write %d times, want 100 and the one that finds no room", n)
	}
	// A counter that cannot be written refuses nobody, and lets nobody in.
	w.h = oauth.New(oauth.Config{URL: issuer, Orgs: w.orgs, Table: stuck{w.mem}, Key: w.key, Now: w.now,
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)), Client: func(*http.Request) string { return "192.0.2.9" }})
	if a, b := w.ask(w.post()), w.ask(w.post("client_secret", "wrong")); a.status != 200 || b.status != 401 {
		t.Errorf("without a counter a right secret answers %d, a wrong one %d", a.status, b.status)
	}
}

// RFC 8414 §3.
func TestMetadata(t *testing.T) {
	w := newWorld(t)
	a := w.send("GET", "/.well-known/oauth-authorization-server", "", func(r *http.Request) { r.Host = "evil.example" })
	want := map[string]any{
		"issuer": issuer, "token_endpoint": issuer + "/oauth/token", "response_types_supported": []any{}, "grant_types_supported": []any{"client_credentials"},
		"scopes_supported": []any{"scim"}, "token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []any{"RS256", "PS256", "ES256"},
	}
	if a.status != 200 || !reflect.DeepEqual(a.body, want) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("the metadata is %d %v %v", a.status, a.header, a.body)
	}
}

func TestBefore(t *testing.T) {
	w := newWorld(t)
	h := w.h.Before(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for path, ours := range map[string]bool{
		oauth.TokenPath: true, oauth.MetadataPath: true, "/oauth": false, "/oauth/": false, "/oauth/token/": false, "/oauth/authorize": false, "/": false, "/scim/v2/Users": false,
		"/.well-known/openid-configuration": false,
	} {
		rec := recorded(h, path)
		if (rec != http.StatusTeapot) != ours {
			t.Errorf("%s answers %d, want it ours: %v", path, rec, ours)
		}
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	w.orgs = org.New(broken{w.mem}, w.key, w.now, 0)
	w.build()
	a := w.ask(w.post())
	if a.status != 500 || a.error() != "invalid_request" || strings.Contains(fmt.Sprint(a.body), "broken") {
		t.Errorf("a broken store answers %d %v", a.status, a.body)
	}
	_, ref, _ := strings.Cut(fmt.Sprint(a.body["error_description"]), "Reference: ")
	if ref == "" || !strings.Contains(w.log.String(), strings.TrimSuffix(ref, ".")) || !strings.Contains(w.log.String(), "broken") {
		t.Errorf("the log does not know the reference %q: %s", ref, w.log.String())
	}
}
