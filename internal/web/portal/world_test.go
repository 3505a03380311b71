package portal

import (
	"bytes"
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/egress"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// world is the portal with everything beneath it over a memory table, a clock
// that is set by hand, and an inbox.
type world struct {
	t         testing.TB
	handler   http.Handler
	config    Config // of the handler
	key       secret.Key
	now       time.Time
	table     *memory.Table
	orgs      *org.Store
	accounts  *account.Service
	provision *provision.Service
	courier   *courier.Service
	inbox     *inbox
	log       *bytes.Buffer
	acme      *org.Org
	okta      provision.Directory
}

const (
	here     = "http://127.0.0.1:8080"
	password = "korrekt pferd batterie klammer"
)

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 9, 0, 1, 0, time.UTC), inbox: &inbox{}, log: &bytes.Buffer{}}
	clock := func() time.Time { return w.now }
	w.table = memory.New(table.Subscription{Name: "feed", Wants: func(table.Key) bool { return true }})
	w.table.Now = clock
	w.key = secret.Mint()
	logger := slog.New(slog.NewJSONHandler(&locked{w: w.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.orgs = org.New(w.table, w.key, clock, 0)
	w.provision = provision.New(w.table, clock)
	w.courier = courier.New(courier.Config{
		Table: w.table, Orgs: w.orgs, Sender: w.inbox, Now: clock, Log: logger,
		Links: courier.Links{Key: w.key, URL: here}, From: mail.Address{Addr: "gate@gate.example"},
	})
	w.accounts = account.New(account.Config{Table: w.table, Orgs: w.orgs, Courier: w.courier, Provision: w.provision, Key: w.key, Now: clock})
	c := Config{
		URL: here, Table: w.table, Orgs: w.orgs, Account: w.accounts, Courier: w.courier, Askable: egress.Check, Inbox: w.inbox, Specimens: true,
		Now: clock, Logger: logger,
	}
	for _, f := range change {
		f(&c)
	}
	w.serve(c)
	w.acme = w.org("Acme GmbH")
	w.okta = w.directory(w.acme, "Okta")
	return w
}

func (w *world) serve(c Config) {
	w.t.Helper()
	h, err := New(c)
	w.must(err)
	w.handler, w.config = h, c
}

// locked lets several goroutines log.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) org(name string) *org.Org {
	w.t.Helper()
	o, err := w.orgs.Create(w.t.Context(), org.Spec{Name: name})
	w.must(err)
	return o
}

func (w *world) directory(o *org.Org, name string) provision.Directory {
	w.t.Helper()
	c, err := w.orgs.CreateConnection(w.t.Context(), o, org.Connection{Name: name})
	w.must(err)
	return w.provision.As(o, c, audit.Actor{Kind: "connection", ID: string(c.ID)})
}

// person is what a directory says of somebody.
type joiner struct{ userName, name, email, language string }

var erika = joiner{"erika", "Erika Mustermann", "erika@acme.example", ""}

func (p joiner) doc() provision.Doc {
	v := value.Obj(
		value.M("userName", value.Str(p.userName)),
		value.M("displayName", value.Str(p.name)),
		value.M("active", value.Boolean(true)),
		value.M("emails", value.Arr(value.Obj(value.M("value", value.Str(p.email)), value.M("primary", value.Boolean(true))))),
	)
	if p.language != "" {
		v.Set("preferredLanguage", value.Str(p.language))
	}
	return provision.Doc{Attributes: v}
}

// join has the directory create a user, and the feed do its work.
func (w *world) join(d provision.Directory, p joiner) roster.User {
	w.t.Helper()
	u, err := d.Join(w.t.Context(), p.doc())
	w.must(err)
	w.must(w.courier.Queue(w.t.Context(), d.Roster.Org(), u.ID, courier.Welcome))
	w.feed()
	return u
}

// feed delivers what was committed: events to the log, messages to the courier.
func (w *world) feed() {
	w.t.Helper()
	for {
		entries, err := w.table.Entries(w.t.Context(), w.table.Passed("feed"), 100)
		w.must(err)
		if len(entries) == 0 {
			return
		}
		for _, e := range entries {
			if o, _, ok := audit.ParseKey(e.Change.Key); ok && e.Change.New.Exists() {
				w.must(audit.LogOf(w.table, &org.Org{ID: o}).Append(w.t.Context(), []table.Item{e.Change.New}))
			}
			for _, err := range w.courier.Consume(w.t.Context(), []table.Change{e.Change}) {
				w.must(err)
			}
			w.table.Pass("feed", e.Position)
		}
	}
}

// admin is an admin of the organization, signed in.
func (w *world) admin(o *org.Org) *browser {
	w.t.Helper()
	u, err := w.provision.Invite(w.t.Context(), o, audit.Actor{Kind: "operator"}, provision.Invitation{Email: "admin@" + o.Slug + ".example", Admin: true})
	w.must(err)
	w.must(w.courier.Queue(w.t.Context(), o, u.ID, courier.Welcome))
	w.feed()
	b := w.browser()
	b.activate(w.inbox.link(w.t))
	return b
}

// member is a user of the organization who is no admin, signed in.
func (w *world) member(d provision.Directory, p joiner) (*browser, roster.User) {
	w.t.Helper()
	u := w.join(d, p)
	b := w.browser()
	b.activate(w.inbox.link(w.t))
	return b, u
}

// inbox takes mails and shows them.
type inbox struct {
	mu   sync.Mutex
	sent []mail.Message
}

func (i *inbox) Send(_ context.Context, m mail.Message) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sent = append(i.sent, m)
	return "", nil
}

func (i *inbox) Promise() mail.Promise { return mail.Once }

func (i *inbox) Latest(_ context.Context, skip, n int) ([]mail.Message, int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []mail.Message
	for at := len(i.sent) - 1 - skip; at >= 0 && len(out) < n; at-- {
		m := i.sent[at]
		m.Text, m.HTML = "", ""
		out = append(out, m)
	}
	return out, len(i.sent), nil
}

func (i *inbox) Open(_ context.Context, id identity.Message) (mail.Message, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.sent {
		if m.ID == id {
			return m, nil
		}
	}
	return mail.Message{}, fault.New(fault.NotFound, "", "There is no such mail.")
}

// link is the path of the link in the newest mail.
func (i *inbox) link(t testing.TB) string {
	t.Helper()
	return i.linkTo(t, "")
}

// linkTo is the path of the link in the newest mail to the address, or to
// anybody.
func (i *inbox) linkTo(t testing.TB, address string) string {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	for at := len(i.sent) - 1; at >= 0; at-- {
		m := i.sent[at]
		if _, rest, ok := strings.Cut(m.Text, here); ok && (address == "" || m.To.Addr == address) {
			return strings.Fields(rest)[0]
		}
	}
	t.Fatalf("no mail to %q holds a link", address)
	return ""
}

// browser keeps cookies, and says where forms come from as browsers do.
type browser struct {
	w        *world
	cookies  map[string]*http.Cookie
	language string
	remote   string
}

func (w *world) browser() *browser {
	return &browser{w: w, cookies: map[string]*http.Cookie{}, remote: "127.0.0.1:50000"}
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (b *browser) send(r *http.Request) answer {
	b.w.t.Helper()
	r.RemoteAddr = b.remote
	r.Host = strings.TrimPrefix(here, "http://")
	if b.language != "" {
		r.Header.Set("Accept-Language", b.language)
	}
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	rec := httptest.NewRecorder()
	b.w.handler.ServeHTTP(rec, r)
	res := rec.Result()
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	if _, wrong, found := strings.Cut(rec.Body.String(), "%!"); found {
		b.w.t.Errorf("a text on a page was given the wrong things: %%!%.30s", wrong)
	}
	return answer{res, rec.Body.String()}
}

func (b *browser) get(path string) answer {
	b.w.t.Helper()
	return b.send(httptest.NewRequest("GET", path, nil))
}

// post sends a form to the path, with the token of the page's form.
func (b *browser) post(page answer, path string, fields ...string) answer {
	b.w.t.Helper()
	form := url.Values{"csrf": {page.csrf()}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.send(formRequest(path, form))
}

func formRequest(path string, form url.Values) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "null") // what Referrer-Policy: no-referrer makes of it
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// activate opens the link and creates the password.
func (b *browser) activate(link string) answer {
	b.w.t.Helper()
	if a := b.get(link); a.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("GET of a link = %d, want 303", a.StatusCode)
	}
	a := b.post(b.get("/activate"), "/activate", "password", password)
	if a.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("creating a password = %d, want 303: %s", a.StatusCode, a.text())
	}
	return a
}

func (b *browser) signIn(o *org.Org, name, pass string) answer {
	b.w.t.Helper()
	path := "/o/" + o.Slug + "/sign-in"
	return b.post(b.get(path), path, "name", name, "password", pass)
}

var (
	csrfInput = regexp.MustCompile(`name="csrf" value="([^"]*)"`)
	tags      = regexp.MustCompile(`(?s)<title>.*?</title>|<[^>]*>`)
	reference = regexp.MustCompile(`(Reference|Referenz): [0-9a-z]{10}`)
)

func (a answer) csrf() string {
	if m := csrfInput.FindStringSubmatch(a.body); m != nil {
		return m[1]
	}
	return ""
}

// text is what a reader sees.
func (a answer) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(a.body, " "))), " ")
}

// same is the page without what differs between any two: the reference, and the
// form's token.
func (a answer) same() string {
	return reference.ReplaceAllString(csrfInput.ReplaceAllString(a.body, "csrf"), "reference")
}

func (a answer) want(t testing.TB, status int, texts ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status = %d, want %d: %s", a.StatusCode, status, a.text())
	}
	for _, s := range texts {
		if !strings.Contains(a.text(), s) {
			t.Fatalf("the page does not say %q: %s", s, a.text())
		}
	}
	return a
}
