package portal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// Every route, with every method, wears the headers that keep other sites out,
// and keeps people's data out of caches.
func TestHeaders(t *testing.T) {
	secure := newWorld(t, func(c *Config) { c.URL = "https://gate.example" })
	plain := newWorld(t)
	for _, w := range []*world{plain, secure} {
		w.join(w.okta, erika)
		id := string(w.inbox.sent[0].ID)
		paths := []string{"/", "/nothing", "/healthz", "/activate", w.inbox.link(t), "/activate/renew", "/o/acme-gmbh", "/o/acme-gmbh/", "/o/acme-gmbh/sign-in",
			"/o/acme-gmbh/sign-out", "/o/acme-gmbh/admin/users", "/o/nobody/", "/inbox", "/inbox/" + id, "/inbox/" + id + "/html", "/specimens", "/assets/none.css",
			"//activate//" + strings.TrimPrefix(w.inbox.link(t), "/activate/"), "/o/acme-gmbh/../nobody/"}
		for _, path := range paths {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"} {
				a := w.browser().send(httptest.NewRequest(method, path, nil))
				for name, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
					"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
				} {
					if got := a.Header.Get(name); got != want {
						t.Errorf("%s %s: %s = %q, want %q", method, path, name, got, want)
					}
				}
				csp := a.Header.Get("Content-Security-Policy")
				if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe-eval") || strings.Contains(csp, "script-src 'unsafe") {
					t.Errorf("%s %s: Content-Security-Policy = %q", method, path, csp)
				}
				if !strings.HasSuffix(path, "/html") && !strings.Contains(csp, "frame-ancestors 'none'") {
					t.Errorf("%s %s may be framed: %q", method, path, csp)
				}
				if got := a.Header.Get("Strict-Transport-Security") != ""; got != (w == secure) {
					t.Errorf("%s %s on %s: HSTS %v", method, path, map[bool]string{true: "https", false: "http"}[w == secure], got)
				}
				if method == "HEAD" && a.body != "" {
					t.Errorf("HEAD %s has a body of %d bytes", path, len(a.body))
				}
				if (method == "PUT" || method == "BREW") && path != "/nothing" && a.StatusCode != 405 && a.StatusCode != 404 {
					t.Errorf("%s %s = %d, want 405", method, path, a.StatusCode)
				}
				if a.StatusCode == 405 && a.Header.Get("Allow") == "" {
					t.Errorf("%s %s = 405 without Allow", method, path)
				}
			}
		}
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/", "GET, HEAD"}, {"DELETE", "/healthz", "GET, HEAD"}, {"GET", "/activate/renew", "POST"}, {"PUT", "/activate", "GET, HEAD, POST"},
		{"GET", "/o/acme-gmbh/sign-out", "POST"}, {"PATCH", "/o/acme-gmbh/sign-in", "GET, HEAD, POST"},
	} {
		a := w.browser().send(httptest.NewRequest(c.method, c.path, nil))
		if a.StatusCode != 405 || a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s = %d, Allow %q; want 405, %q", c.method, c.path, a.StatusCode, a.Header.Get("Allow"), c.allow)
		}
	}
}

func TestCookies(t *testing.T) {
	for _, c := range []struct{ url, prefix string }{{here, ""}, {"https://gate.example", "__Host-"}} {
		w := newWorld(t, func(cfg *Config) { cfg.URL = c.url })
		b, _ := w.member(w.okta, erika)
		b.get("/o/acme-gmbh/sign-in")
		b.get("/activate/AAAA")
		var names []string
		for name, k := range b.cookies {
			names = append(names, name)
			if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" || k.Secure != (c.prefix != "") {
				t.Errorf("on %s the cookie %s is %s, want HttpOnly, SameSite=Lax, Path=/, Secure %v", c.url, name, k.Raw, c.prefix != "")
			}
		}
		slices.Sort(names)
		if want := []string{c.prefix + "gatehouse", c.prefix + "gatehouse-form", c.prefix + "gatehouse-link"}; !slices.Equal(names, want) {
			t.Errorf("on %s the cookies are %q, want %q", c.url, names, want)
		}
	}
}

// A form that another site sends, that has no token or another browser's, or
// that is no form, changes nothing.
func TestForgery(t *testing.T) {
	w := newWorld(t)
	admin := w.admin(w.acme)
	u := w.join(w.okta, erika)
	mallory, _ := w.member(w.okta, joiner{"mallory", "Mallory", "mallory@acme.example", ""})
	own := admin.get("/o/acme-gmbh/")
	foreign := mallory.get("/o/acme-gmbh/").csrf()
	mails := len(w.inbox.sent)
	w.now = w.now.Add(time.Minute)

	for _, path := range []string{
		"/activate", "/activate/renew", "/o/acme-gmbh/sign-in", "/o/acme-gmbh/sign-out",
		"/o/acme-gmbh/admin/users/search", "/o/acme-gmbh/admin/users/" + string(u.ID) + "/welcome",
	} {
		for name, change := range map[string]func(*http.Request, url.Values) *http.Request{
			"another site's": func(r *http.Request, _ url.Values) *http.Request {
				r.Header.Set("Sec-Fetch-Site", "cross-site")
				return r
			},
			"a sibling's": func(r *http.Request, _ url.Values) *http.Request {
				r.Header.Set("Sec-Fetch-Site", "same-site")
				return r
			},
			"an old browser's": func(r *http.Request, _ url.Values) *http.Request {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "https://evil.example")
				return r
			},
			"a hidden origin's": func(r *http.Request, _ url.Values) *http.Request { r.Header.Del("Sec-Fetch-Site"); return r },
			"without a token":   func(_ *http.Request, f url.Values) *http.Request { f.Del("csrf"); return formRequest(path, f) },
			"another browser's": func(_ *http.Request, f url.Values) *http.Request { f.Set("csrf", foreign); return formRequest(path, f) },
			"with a token in the address": func(_ *http.Request, f url.Values) *http.Request {
				t := f.Get("csrf")
				f.Del("csrf")
				return formRequest(path+"?csrf="+url.QueryEscape(t), f)
			},
			"as JSON": func(r *http.Request, _ url.Values) *http.Request {
				r.Header.Set("Content-Type", "application/json")
				return r
			},
			"as text": func(r *http.Request, _ url.Values) *http.Request {
				r.Header.Set("Content-Type", "text/plain")
				return r
			},
		} {
			form := url.Values{"csrf": {own.csrf()}, "q": {"erika"}, "name": {"x"}, "password": {"y"}}
			a := admin.send(change(formRequest(path, form), form))
			if a.StatusCode != http.StatusForbidden || !strings.Contains(a.text(), "Nothing was changed.") {
				t.Errorf("POST %s that is %s = %d, want 403: %s", path, name, a.StatusCode, a.text())
			}
		}
	}
	admin.get("/o/acme-gmbh/").want(t, 200)
	if w.feed(); len(w.inbox.sent) != mails {
		t.Errorf("forged forms sent %d mails", len(w.inbox.sent)-mails)
	}
	// The way it is meant to be.
	admin.post(own, "/o/acme-gmbh/admin/users/"+string(u.ID)+"/welcome").want(t, 303)
	if w.feed(); len(w.inbox.sent) != mails+1 {
		t.Errorf("the button sent %d mails, want 1", len(w.inbox.sent)-mails)
	}
}

func TestLargeForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	page := b.get("/o/acme-gmbh/sign-in")
	b.post(page, "/o/acme-gmbh/sign-in", "name", strings.Repeat("x", 16<<10), "password", "y").want(t, 413, "Nothing was changed.")
	b.post(page, "/o/acme-gmbh/sign-in", "name", strings.Repeat("x", 10_000), "password", "y").want(t, 422)
	r := formRequest("/o/acme-gmbh/sign-in", nil)
	r.Body = http.NoBody
	if a := b.send(r); a.StatusCode != 403 {
		t.Errorf("an empty form = %d, want 403", a.StatusCode)
	}
	bad := httptest.NewRequest("POST", "/o/acme-gmbh/sign-in", strings.NewReader("%zz&;;&a=%"))
	bad.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := b.send(bad); a.StatusCode != 400 {
		t.Errorf("a form that cannot be read = %d, want 400", a.StatusCode)
	}
}

// TestLargeFormSpeaks: the refusal is in the language of the page that the form
// stood on, not of the browser alone.
func TestLargeFormSpeaks(t *testing.T) {
	const refusal = "Es wurde nichts geändert."
	large := strings.Repeat("x", 17_000)
	w := newWorld(t)
	b := w.browser()
	b.language = "de-AT"
	b.post(b.get("/o/acme-gmbh/sign-in"), "/o/acme-gmbh/sign-in", "name", "n", "password", large).want(t, 413, refusal)

	w.join(w.okta, joiner{"heidi", "Heidi", "heidi@acme.example", "de"})
	english := w.browser()
	english.get(w.inbox.link(t))
	english.post(english.get("/activate").want(t, 200, "Passwort festlegen"), "/activate", "password", large).want(t, 413, refusal)
	english.activate(w.inbox.link(t))
	english.post(english.get("/o/acme-gmbh/"), "/o/acme-gmbh/sign-out", "much", large).want(t, 413, refusal)
}

// TestOrigin: a page of our host that came over another scheme, or from another
// port, is not ours.
func TestOrigin(t *testing.T) {
	const host = "gate.example"
	for _, c := range []struct {
		url, host, origin, site string
		want                    int
	}{
		{"https://" + host, host, "https://" + host, "same-origin", 422},
		{"https://" + host, host, "https://" + host, "", 422},
		{"https://Gate.Example:443", host, "https://" + host, "", 422},
		{"https://" + host, host, "null", "same-origin", 422},
		{"https://" + host, host, "", "same-origin", 422},
		{"https://" + host, host, "http://" + host, "", 403},
		{"https://" + host, host, "http://" + host, "same-origin", 403},
		{"https://" + host, host, "https://" + host + ":8443", "", 403},
		{"https://" + host, "10.0.0.1:8080", "http://10.0.0.1:8080", "", 403},
		{"https://" + host, host, "null", "", 403},
		{here, "127.0.0.1:8080", here, "", 422},
		{here, "localhost:8080", "http://localhost:8080", "", 422},
		{here, "127.0.0.1:8080", "https://127.0.0.1:8080", "", 403},
		{here, "127.0.0.1:8080", "http://127.0.0.1:9090", "", 403},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.URL = c.url })
		b := w.browser()
		r := formRequest("/o/acme-gmbh/sign-in", url.Values{"csrf": {b.get("/o/acme-gmbh/sign-in").csrf()}})
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Del("Origin")
		for name, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		for _, k := range b.cookies {
			r.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
		}
		r.Host = c.host
		rec := httptest.NewRecorder()
		if w.handler.ServeHTTP(rec, r); rec.Code != c.want {
			t.Errorf("on %s a form to %q with Origin %q and Sec-Fetch-Site %q = %d, want %d", c.url, c.host, c.origin, c.site, rec.Code, c.want)
		}
	}
}

// TestEnumeration: whoever exists, refusals are equal to the byte.
func TestEnumeration(t *testing.T) {
	w := newWorld(t)
	w.member(w.okta, erika)
	w.join(w.okta, joiner{"invited", "In Vited", "invited@acme.example", ""})
	_, gone := w.member(w.okta, joiner{"suspended", "Sus Pended", "suspended@acme.example", ""})
	_, _, err := w.okta.Change(t.Context(), string(gone.ID), nil, deactivated)
	w.must(err)
	_, left := w.member(w.okta, joiner{"deleted", "De Leted", "deleted@acme.example", ""})
	w.must(w.okta.Leave(t.Context(), string(left.ID), nil))
	other := w.org("Other")
	w.member(w.directory(other, "Okta"), joiner{"elsewhere", "Else Where", "elsewhere@other.example", ""})

	form := regexp.MustCompile(`name="name" type="text" value="[^"]*"`)
	same := func(a answer) string {
		return fmt.Sprint(a.StatusCode, a.Header.Get("Retry-After"), form.ReplaceAllString(a.same(), "name"))
	}
	refused, throttled := "", ""
	for _, name := range []string{"erika", "nobody", "invited", "invited@acme.example", "suspended", "deleted", "elsewhere", "elsewhere@other.example", "ERIKA@acme.example"} {
		b := w.browser()
		b.remote = "192.0.2." + fmt.Sprint(len(name)*7%250) + ":1000"
		a := b.signIn(w.acme, name, "a wrong password of words")
		a.want(t, 422, "The name or the password is not right.")
		if refused == "" {
			refused = same(a)
		} else if got := same(a); got != refused {
			t.Errorf("refusing %q differs from refusing a known name:\n%s\n%s", name, got, refused)
		}
		if b.cookies["gatehouse"] != nil {
			t.Errorf("refusing %q sets a session", name)
		}
	}
	for _, name := range []string{"erika", "nobody"} {
		w.now = w.now.Add(time.Hour).Truncate(15 * time.Minute)
		b := w.browser()
		var a answer
		for range 11 {
			a = b.signIn(w.acme, name, "a wrong password of words")
		}
		a.want(t, 429, "Too many tries")
		if throttled == "" {
			throttled = same(a)
		} else if got := same(a); got != throttled {
			t.Errorf("throttling %q differs from throttling a known name:\n%s\n%s", name, got, throttled)
		}
	}
	b := w.browser()
	b.signIn(w.acme, "", "x").want(t, 422, "Enter your email address or user name.")
	b.signIn(w.acme, "erika", "").want(t, 422, "Enter your password.")
}

// TestIsolation: a session of another organization gets what one gets where
// there is nothing; so does a user who is no admin.
func TestIsolation(t *testing.T) {
	w := newWorld(t)
	other := w.org("Other")
	theirs := w.join(w.directory(other, "Okta"), joiner{"victim", "Vic Tim", "victim@other.example", ""})
	w.admin(other)
	mine := w.join(w.okta, erika)
	admin := w.admin(w.acme)
	member, _ := w.member(w.okta, joiner{"max", "Max", "max@acme.example", ""})

	type request struct{ method, path string }
	of := func(o *org.Org, u identity.User) []request {
		base := "/o/" + o.Slug + "/"
		users := base + "admin/users"
		return []request{
			{"GET", users}, {"GET", users + "?connection=00000"}, {"GET", users + "/arrivals"}, {"GET", users + "/" + string(u)},
			{"POST", users + "/" + string(u) + "/welcome"}, {"POST", users + "/search"}, {"GET", users + "/search"}, {"GET", base + "admin/conflicts"},
			{"GET", base + "admin/connections"}, {"GET", base + "admin/connections/" + string(u.Connection())},
		}
	}
	send := func(b *browser, q request) answer {
		if q.method == "POST" {
			return b.post(b.get("/o/acme-gmbh/"), q.path, "q", "victim@other.example")
		}
		return b.get(q.path)
	}
	ghost := &org.Org{Slug: "ghost"}
	for name, c := range map[string]struct {
		b    *browser
		of   *org.Org
		user identity.User
	}{
		"an admin at another organization": {admin, other, theirs.ID},
		"a user at another organization":   {member, other, theirs.ID},
		"a user among admins' pages":       {member, w.acme, mine.ID},
	} {
		for i, q := range append(of(c.of, c.user), request{"GET", "/o/" + c.of.Slug + "/nothing"}) {
			nothing := append(of(ghost, c.user), request{"GET", "/o/ghost/nothing"})[i]
			got, want := send(c.b, q), send(c.b, nothing)
			if got.StatusCode != 404 || got.StatusCode != want.StatusCode || got.same() != want.same() {
				t.Errorf("%s: %s %s = %d, want what %s gives, %d:\n%s\n%s", name, q.method, q.path, got.StatusCode, nothing.path, want.StatusCode, got.same(), want.same())
			}
		}
	}
	// A user of another organization is not there for the admin's own pages.
	for _, id := range []string{string(theirs.ID), string(identity.MintUser(mine.ID.Connection())), "x", strings.Repeat("0", 26), "..%2f"} {
		if a := admin.get("/o/acme-gmbh/admin/users/" + id); a.StatusCode != 404 {
			t.Errorf("the page of user %q = %d, want 404", id, a.StatusCode)
		}
	}
	admin.post(admin.get("/o/acme-gmbh/"), "/o/acme-gmbh/admin/users/search", "q", "victim@other.example").want(t, 200, "Nobody found")
	// Another organization's sign-in is about that one, and one browser is one person.
	first := admin.cookies["gatehouse"].Value
	page := admin.get("/o/other/sign-in").want(t, 200, "Sign in to \u2068Other\u2069")
	if strings.Contains(page.text(), "Acme") || strings.Contains(page.text(), "Sign out") {
		t.Errorf("another organization's sign-in shows who is signed in here: %s", page.text())
	}
	if a := admin.signIn(other, "admin@other.example", password); a.StatusCode != 303 {
		t.Fatalf("signing in to another organization = %d", a.StatusCode)
	}
	admin.get("/o/other/").want(t, 200)
	admin.cookies["gatehouse"].Value = first
	if a := admin.get("/o/acme-gmbh/"); a.StatusCode != 303 {
		t.Errorf("the session before = %d, want it over", a.StatusCode)
	}
	admin.signIn(w.acme, "admin@acme-gmbh.example", password)
	if a := admin.get("/o/other/"); a.StatusCode != 404 {
		t.Errorf("another organization's own page = %d, want 404", a.StatusCode)
	}
	// Nobody at all is asked to sign in, whatever there is.
	for _, path := range []string{"/o/acme-gmbh/admin/users", "/o/acme-gmbh/admin/users/" + string(mine.ID), "/o/acme-gmbh/admin/users/" + strings.Repeat("0", 26)} {
		a := w.browser().get(path)
		if want := "/o/acme-gmbh/sign-in?next=" + url.QueryEscape(path); a.StatusCode != 303 || a.Header.Get("Location") != want {
			t.Errorf("%s without a session = %d to %q, want 303 to %q", path, a.StatusCode, a.Header.Get("Location"), want)
		}
	}
	// Tokens of another kind open nothing.
	for _, token := range []string{"ghsc_" + strings.Repeat("A", 43), strings.Repeat("A", 43), "x", strings.Repeat("A", 5000)} {
		b := w.browser()
		b.cookies["gatehouse"] = &http.Cookie{Name: "gatehouse", Value: token}
		if a := b.get("/o/acme-gmbh/"); a.StatusCode != 303 {
			t.Errorf("the own page with the session %.20q = %d, want 303 to sign-in", token, a.StatusCode)
		}
	}
}

// A suspended user's next click finds nobody signed in.
func TestSuspensionEndsTheSession(t *testing.T) {
	w := newWorld(t)
	b, u := w.member(w.okta, erika)
	b.get("/o/acme-gmbh/").want(t, 200)
	_, _, err := w.okta.Change(t.Context(), string(u.ID), nil, deactivated)
	w.must(err)
	if a := b.get("/o/acme-gmbh/"); a.StatusCode != 303 {
		t.Errorf("the own page of a suspended user = %d, want 303 to sign-in", a.StatusCode)
	}
}

// Redirects stay here, whatever the request names.
func TestRedirectsStayHere(t *testing.T) {
	w := newWorld(t)
	w.member(w.okta, erika)
	for _, next := range []string{
		"https://evil.example/", "//evil.example/", "/\\evil.example", "/o/acme-gmbh//evil.example", "/o/other/", "javascript:alert(1)",
		"/o/acme-gmbh/\r\nSet-Cookie: x=y", "/o/acme-gmbh/?x#y", strings.Repeat("/o/acme-gmbh/", 100),
	} {
		b := w.browser()
		page := b.get("/o/acme-gmbh/sign-in?next=" + url.QueryEscape(next))
		a := b.post(page, "/o/acme-gmbh/sign-in", "name", "erika", "password", password, "next", next)
		if a.StatusCode != 303 || a.Header.Get("Location") != "/o/acme-gmbh/" {
			t.Errorf("signing in with next %q leads to %q, want the own page", next, a.Header.Get("Location"))
		}
	}
	r := httptest.NewRequest("GET", "/o/acme-gmbh/", nil)
	b := w.browser()
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("Forwarded", "host=evil.example")
	if a := b.send(r); strings.Contains(a.Header.Get("Location"), "evil") || strings.Contains(a.body, "evil") {
		t.Errorf("a forwarded host appears in the answer: %q", a.Header.Get("Location"))
	}
}

func TestClientAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1234": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1": "fe80::/64", "": "unknown", "pipe": "unknown",
	} {
		// What a request says of itself is anybody's word.
		said := http.Header{"X-Forwarded-For": {"203.0.113.9"}, "Forwarded": {"for=203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}}
		if got := clientAddress(&http.Request{RemoteAddr: remote, Header: said}); got != want {
			t.Errorf("clientAddress(%q) = %q, want %q", remote, got, want)
		}
	}
}

// Behind a proxy that is named, the address that it added counts, and no other.
func TestClientBehindAProxy(t *testing.T) {
	for said, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "203.0.113.9, 192.0.2.7": "192.0.2.7", "203.0.113.9,evil, 192.0.2.7:1234": "192.0.2.7",
		"203.0.113.9|192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "[2001:db8:1:2::6]:443": "2001:db8:1:2::/64",
		"[2001:db8:1:2::6]": "2001:db8:1:2::/64", "": "198.51.100.1", "evil": "198.51.100.1", "203.0.113.9, ": "198.51.100.1", "none": "198.51.100.1",
	} {
		r := &http.Request{RemoteAddr: "198.51.100.1:9", Header: http.Header{"X-Real-Ip": {"203.0.113.8"}}}
		if said != "none" {
			r.Header["X-Forwarded-For"] = strings.Split(said, "|")
		}
		if got := ClientIn("X-Forwarded-For")(r); got != want {
			t.Errorf("ClientIn of %q = %q, want %q", said, got, want)
		}
	}
}

// The log tells routes and references, and nobody's name, address, password,
// token or link.
func TestLog(t *testing.T) {
	w := newWorld(t)
	canary := joiner{"canary-user", "Canary Name", "canary-mail@acme.example", ""}
	b, _ := w.member(w.okta, canary)
	session := b.cookies["gatehouse"].Value
	link := w.inbox.link(t)
	b.get("/canary-path?canary-query")
	b.get("/o/acme-gmbh/canary-path")
	w.browser().signIn(w.acme, "canary-wrong", "canary wrong password")
	w.browser().get("/?organization=canary-org")
	b.post(b.get("/o/acme-gmbh/"), "/o/acme-gmbh/canary")
	a := b.get("/o/acme-gmbh/nothing")
	r := httptest.NewRequest("CANARY-METHOD", "/", nil)
	b.send(r)
	out := w.log.String()
	for _, c := range []string{"canary", "Canary", "CANARY", "korrekt", session, strings.TrimPrefix(link, "/activate/"), "acme-gmbh"} {
		if strings.Contains(out, c) {
			t.Errorf("the log holds %q:\n%s", c, out)
		}
	}
	ref := strings.TrimPrefix(reference.FindString(a.body), "Reference: ")
	if ref == "" || !strings.Contains(out, ref) {
		t.Errorf("the page's reference %q is not in the log", ref)
	}
	for _, route := range []string{"/activate/{secret}", "/o/{slug}/sign-in"} {
		if !strings.Contains(out, `"route":"`+route+`"`) {
			t.Errorf("the log does not tell the route %s", route)
		}
	}
}

// A handler that panics answers with a page, and what it said stays out of the
// log.
func TestPanic(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Client = func(*http.Request) string { panic("canary of a panic") } })
	b := w.browser()
	b.signIn(w.acme, "erika", password).want(t, 500, "Something went wrong on our side", "Reference: ")
	if out := w.log.String(); strings.Contains(out, "canary") || !strings.Contains(out, "TestPanic") {
		t.Errorf("the log of a panic, want where it happened and not what it said:\n%s", out)
	}
}
