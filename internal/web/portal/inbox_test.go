package portal

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
)

// TestInboxPages: every mail is on one page, and each page leads to the next,
// for scripts too.
func TestInboxPages(t *testing.T) {
	w := newWorld(t)
	const total = 2*mailsShown + 1
	for n := range total {
		w.inbox.sent = append(w.inbox.sent, mail.Message{ID: identity.Message(fmt.Sprintf("m%025d", n)), Subject: fmt.Sprintf("Mail %d.", n), Date: w.now})
	}
	b := w.browser()
	b.get("/inbox").want(t, 200, "Mail 400.", "Mail 201.", "1 to 200 of 401", "Next")
	b.get("/inbox?page=2").want(t, 200, "Mail 200.", "Mail 1.", "201 to 400 of 401", "Previous", "Next")
	last := b.get("/inbox?page=3").want(t, 200, "Mail 0.", "401 to 401 of 401", "Previous")
	if strings.Contains(last.text(), "Next") || !strings.Contains(last.body, `href="/inbox?page=2"`) {
		t.Errorf("the last page leads on, or not back: %s", last.text())
	}
	for _, page := range []string{"4", "1000001", "99999999999999999"} {
		if a := b.get("/inbox?page=" + page); a.StatusCode != 404 {
			t.Errorf("page %s = %d, want 404", page, a.StatusCode)
		}
	}
	for _, page := range []string{"", "0", "-3", "x"} {
		b.get("/inbox?page="+page).want(t, 200, "Mail 400.")
	}

	seen := map[identity.Message]bool{}
	for next := "/inbox"; next != ""; {
		r := httptest.NewRequest("GET", next, nil)
		r.Header.Set("Accept", "application/json")
		var list struct {
			Mails []mailRow
			Total int
			Next  string
		}
		if err := json.Unmarshal([]byte(b.send(r).body), &list); err != nil || list.Total != total || len(list.Mails) == 0 {
			t.Fatalf("%s as JSON has %d mails of %d, want %d in all: %v", next, len(list.Mails), list.Total, total, err)
		}
		for _, m := range list.Mails {
			seen[m.ID] = true
		}
		next = list.Next
	}
	if len(seen) != total {
		t.Errorf("the pages have %d mails, want %d", len(seen), total)
	}
}

// TestInbox: who is not on this machine, or comes by a name that a foreign page
// could have pointed here, finds no inbox.
func TestInbox(t *testing.T) {
	w := newWorld(t)
	w.join(w.okta, erika)
	m := w.inbox.sent[0]
	b := w.browser()
	b.get("/inbox").want(t, 200, m.Subject, "erika@acme.example")
	page := b.get("/inbox/"+string(m.ID)).want(t, 200, m.Subject, "erika@acme.example")
	if !strings.Contains(page.body, `href="`+here+w.inbox.link(t)+`"`) || !strings.Contains(page.body, `sandbox="allow-top-navigation-by-user-activation"`) {
		t.Errorf("the mail's page has no link or no sandbox: %s", page.body)
	}
	letter := b.get("/inbox/" + string(m.ID) + "/html")
	if csp := letter.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || strings.Contains(csp, "script-src") || !strings.Contains(letter.body, `<base target="_top">`) {
		t.Errorf("the mail's HTML comes with %q, want a sandbox without scripts, and links that lead the window on", csp)
	}
	b.get("/inbox/nothing").want(t, 404)

	asJSON := func(path string, into any) {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept", "application/json")
		a := b.send(r)
		if err := json.Unmarshal([]byte(a.body), into); a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" || err != nil {
			t.Fatalf("%s as JSON = %d %q: %v", path, a.StatusCode, a.Header.Get("Content-Type"), err)
		}
	}
	var list struct{ Mails []mailRow }
	asJSON("/inbox", &list)
	if len(list.Mails) != 1 || list.Mails[0].ID != m.ID || list.Mails[0].To != "erika@acme.example" || list.Mails[0].Subject != m.Subject || list.Mails[0].Time.IsZero() {
		t.Errorf("/inbox as JSON = %+v, want the one mail", list)
	}
	var one mailRow
	asJSON("/inbox/"+string(m.ID), &one)
	if one.Link != here+w.inbox.link(t) || one.Text != m.Text || one.HTML != m.HTML {
		t.Errorf("the mail as JSON has the link %q, want %q, with text and HTML", one.Link, here+w.inbox.link(t))
	}

	for _, c := range []struct{ remote, host string }{
		{"192.0.2.1:1000", "127.0.0.1:8080"}, {"[2001:db8::1]:1000", "127.0.0.1:8080"}, {"127.0.0.1:1000", "evil.example"},
		{"127.0.0.1:1000", "gate.example:8080"}, {"127.0.0.1:1000", "127.0.0.1.evil.example"}, {"nonsense", "127.0.0.1"}, {"127.0.0.1:1000", ""},
	} {
		for _, path := range []string{"/inbox", "/inbox/" + string(m.ID), "/inbox/" + string(m.ID) + "/html", "/specimens"} {
			r := httptest.NewRequest("GET", path, nil)
			r.RemoteAddr, r.Host = c.remote, c.host
			rec := httptest.NewRecorder()
			if w.handler.ServeHTTP(rec, r); rec.Code != 404 {
				t.Errorf("%s from %s at %q = %d, want 404", path, c.remote, c.host, rec.Code)
			}
		}
	}
	for _, host := range []string{"localhost:8080", "localhost", "127.0.0.1", "[::1]:8080", "[::1]"} {
		r := httptest.NewRequest("GET", "/inbox", nil)
		r.RemoteAddr, r.Host = "[::1]:1000", host
		rec := httptest.NewRecorder()
		if w.handler.ServeHTTP(rec, r); rec.Code != 200 {
			t.Errorf("/inbox at %q = %d, want 200", host, rec.Code)
		}
	}
	none := newWorld(t, func(c *Config) { c.Inbox, c.Specimens = nil, false })
	for _, path := range []string{"/inbox", "/inbox/x", "/specimens"} {
		none.browser().get(path).want(t, 404)
	}
	if a := none.browser().get("/"); strings.Contains(a.body, "/inbox") {
		t.Error("the start page names an inbox where there is none")
	}
}
