package portal

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/account"
)

func TestNewRefuses(t *testing.T) {
	for _, u := range []string{"", "gate.example", "ftp://gate.example", "https://", "https://gate.example/", "https://gate.example/path", "https://u:p@gate.example", "https://gate.example?x=y", "://"} {
		if _, err := New(Config{URL: u, Account: &account.Service{}, Now: time.Now}); err == nil {
			t.Errorf("New with the URL %q = nil, want an error", u)
		}
	}
}

// TestFirstDay is what an employee does: the mail, the password, the own page,
// out, and in again.
func TestFirstDay(t *testing.T) {
	w := newWorld(t)
	w.join(w.okta, joiner{"max", "Max Müller", "max@acme.example", "de-AT"})
	b := w.browser()
	link := w.inbox.link(t)
	a := b.get(link)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/activate" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("GET of the link = %d to %q, want 303 to /activate without a referrer", a.StatusCode, a.Header.Get("Location"))
	}
	page := b.get("/activate").want(t, 200, "Passwort festlegen", "max@acme.example", "Acme GmbH", "Mindestens 15 Zeichen")
	secret := strings.TrimPrefix(link, "/activate/")
	if strings.Contains(page.body, secret) {
		t.Error("the page holds the link's secret")
	}
	b.post(page, "/activate", "password", "").want(t, 422, "Geben Sie ein Passwort ein.")
	b.post(page, "/activate", "password", "zu kurz").want(t, 422, "mindestens 15 Zeichen")
	b.post(page, "/activate", "password", "passwordpassword").want(t, 422, "leicht zu erraten")
	b.post(page, "/activate", "password", "Max Müller Max Müller").want(t, 422, "aus Ihrem Namen")
	b.post(page, "/activate", "password", strings.Repeat("x7!kQ ", 43)).want(t, 422, "bis zu 256 Zeichen")
	a = b.post(page, "/activate", "password", password)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/o/acme-gmbh/?created" {
		t.Fatalf("creating the password = %d to %q, want 303 to the own page: %s", a.StatusCode, a.Header.Get("Location"), a.text())
	}
	a = b.get(a.Header.Get("Location")).want(t, 200, "Guten Tag", "Max Müller", "angemeldet", "Noch keine Produkte", "Ihr Passwort ist festgelegt")
	b.language = "de"
	b.get("/activate").want(t, 404, "Dieser Link funktioniert nicht")
	b.get(link)
	b.get("/activate").want(t, 404)

	if a := b.get("/"); a.Header.Get("Location") != "/o/acme-gmbh/" {
		t.Errorf("GET / when signed in leads to %q, want the own page", a.Header.Get("Location"))
	}
	old := b.cookies["gatehouse"].Value
	a = b.post(a, "/o/acme-gmbh/sign-out")
	if a.StatusCode != http.StatusSeeOther || b.cookies["gatehouse"] != nil {
		t.Fatalf("signing out = %d, want 303 and the cookie gone", a.StatusCode)
	}
	b.cookies["gatehouse"] = &http.Cookie{Name: "gatehouse", Value: old}
	if a = b.get("/o/acme-gmbh/"); a.Header.Get("Location") != "/o/acme-gmbh/sign-in" {
		t.Fatalf("the own page with a session that was signed out leads to %q, want to sign-in", a.Header.Get("Location"))
	}
	b.get("/o/acme-gmbh/sign-in").want(t, 200, "Anmelden bei \u2068Acme GmbH\u2069")
	a = b.signIn(w.acme, "MAX@acme.example", password)
	if a.StatusCode != http.StatusSeeOther || b.cookies["gatehouse"].Value == old {
		t.Fatalf("signing in = %d, want 303 and a new session", a.StatusCode)
	}
	b.get("/o/acme-gmbh/").want(t, 200, "Max Müller")
}

// TestRefusedPasswords: each rule says in both languages what is wrong, and the
// hint beside it stays what it is.
func TestRefusedPasswords(t *testing.T) {
	for language, says := range map[string]struct {
		hint  string
		rules map[account.Rule]string
	}{
		"en": {"At least 15 characters.", map[account.Rule]string{
			0:                    "Enter a password.",
			account.RuleShort:    "It needs at least 15 characters",
			account.RuleLong:     "It can have up to 256 characters",
			account.RuleCommon:   "This password is easy to guess",
			account.RulePersonal: "is made of your name",
		}},
		"de": {"Mindestens 15 Zeichen.", map[account.Rule]string{
			0:                    "Geben Sie ein Passwort ein.",
			account.RuleShort:    "Es braucht mindestens 15 Zeichen",
			account.RuleLong:     "Es kann bis zu 256 Zeichen haben",
			account.RuleCommon:   "Dieses Passwort ist leicht zu erraten",
			account.RulePersonal: "besteht aus Ihrem Namen",
		}},
	} {
		w := newWorld(t)
		w.join(w.okta, joiner{"heidi", "Heidi", "heidi.mustermann@acme.example", language})
		b := w.browser()
		b.get(w.inbox.link(t))
		page := b.get("/activate").want(t, 200, says.hint)
		for rule, bad := range map[account.Rule]string{
			0: "", account.RuleShort: "short", account.RuleLong: strings.Repeat("x y z ", 43),
			account.RuleCommon: "passwordpassword", account.RulePersonal: "heidi.mustermann@acme.example",
		} {
			// That no text was given too much or too little, send sees.
			b.post(page, "/activate", "password", bad).want(t, 422, says.hint, says.rules[rule])
		}
		if len(says.rules) != len(ruleTexts)+1 {
			t.Errorf("%d rules are tried, want %d", len(says.rules)-1, len(ruleTexts))
		}
	}
}

func TestExpiredLink(t *testing.T) {
	w := newWorld(t)
	w.join(w.okta, erika)
	link := w.inbox.link(t)
	w.now = w.now.Add(7*24*time.Hour + time.Second)
	b := w.browser()
	b.get(link)
	page := b.get("/activate").want(t, 410, "This link has expired", "Send a new link")
	if strings.Contains(page.body, "erika") || strings.Contains(page.body, "Erika") {
		t.Error("the page of an expired link tells whose it was")
	}
	b.post(page, "/activate", "password", password).want(t, 410)
	cookie := b.cookies["gatehouse-link"]
	answer := b.post(page, "/activate/renew").want(t, 200, "Look into your mailbox")
	w.feed()
	if len(w.inbox.sent) != 2 {
		t.Fatalf("after asking for a new link there are %d mails, want 2", len(w.inbox.sent))
	}
	// The same answer for a link that is void by now, or was never one.
	for _, secret := range []string{cookie.Value, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ""} {
		b.cookies["gatehouse-link"] = &http.Cookie{Name: "gatehouse-link", Value: secret}
		if a := b.post(page, "/activate/renew"); a.StatusCode != 200 || a.body != answer.body {
			t.Errorf("asking for a new link with another secret = %d, want the same page", a.StatusCode)
		}
	}
	b.activate(w.inbox.link(t))
}

func TestHome(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.get("/").want(t, 200, "Your organization’s address")
	for _, typed := range []string{"acme-gmbh", " ACME-GMBH ", here + "/o/acme-gmbh/sign-in"} {
		if a := b.get("/?organization=" + url.QueryEscape(typed)); a.Header.Get("Location") != "/o/acme-gmbh/sign-in" {
			t.Errorf("the organization %q leads to %q, want to its sign-in", typed, a.Header.Get("Location"))
		}
	}
	b.get("/?organization=ghost").want(t, 404, "We know no organization with this address.")
	b.get("/?organization=%3Cscript%3E").want(t, 404)
	b.get("/o/ghost/sign-in").want(t, 404, "This page does not exist")
	if a := b.get("/healthz"); a.StatusCode != 200 || a.body != "ok\n" {
		t.Errorf("/healthz = %d %q, want 200 ok", a.StatusCode, a.body)
	}
}

func TestAssets(t *testing.T) {
	w := newWorld(t)
	page := w.browser().get("/")
	found := regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(found) != 4 {
		t.Fatalf("the page loads %d files, want 4", len(found))
	}
	for _, f := range found {
		a := w.browser().get(f[1])
		if a.StatusCode != 200 || a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || a.body == "" {
			t.Errorf("%s = %d, %q, %d bytes; want 200, kept for good", f[1], a.StatusCode, a.Header.Get("Cache-Control"), len(a.body))
		}
		if strings.HasSuffix(f[1], ".css") && len(a.body) > 12<<10 {
			t.Errorf("the style sheet has %d bytes, want 12 KB at most", len(a.body))
		}
	}
	for _, path := range []string{"/assets/style.css", "/assets/htmx.LICENSE", "/assets/style.000000000000.css", "/assets/"} {
		if a := w.browser().get(path); a.StatusCode != 404 {
			t.Errorf("%s = %d, want 404", path, a.StatusCode)
		}
	}
	for _, bad := range []string{"style=", "onclick=", "<script>", "javascript:"} {
		if strings.Contains(page.body, bad) {
			t.Errorf("the page holds %q, which the policy stops", bad)
		}
	}
}
