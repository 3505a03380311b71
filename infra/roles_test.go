package infra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/app"
	"gatehouse/internal/courier"
	"gatehouse/internal/egress"
	"gatehouse/internal/fakes/idp"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/pump"
	"gatehouse/internal/web/oauth"
	"gatehouse/internal/web/portal"
	"gatehouse/internal/web/scimhttp"
)

var (
	errDenied = errors.New("the role does not allow it")
	errDied   = errors.New("the program ended")
)

// guarded is a table as the role of a function lets it be seen.
type guarded struct {
	table.Table
	t    *testing.T
	f    Function
	arn  string
	mu   *sync.Mutex
	dies int             // at which of the next commits its program ends; 0: it lives
	used map[string]bool // pattern of the statement, as a check that none is idle
}

func (g *guarded) ask(action string, parts ...string) error {
	c := Call{Action: action, Resource: g.arn, Context: map[string][]string{"dynamodb:LeadingKeys": parts}}
	if !g.f.Allows(c) {
		g.t.Errorf("the role of %s does not allow %s of %q", g.f.Folder, action, parts)
		return errDenied
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, part := range parts {
		for _, s := range g.f.Policy {
			for _, k := range s.Conditions["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] {
				if s.allows(c) && like(k, part) {
					g.used[s.Sid+" "+k] = true
				}
			}
		}
	}
	return nil
}

func (g *guarded) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	action := "dynamodb:BatchGetItem"
	if len(keys) == 1 {
		action = "dynamodb:GetItem"
	}
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = k.Part
	}
	if err := g.ask(action, parts...); err != nil {
		return nil, err
	}
	return g.Table.Get(ctx, keys...)
}

func (g *guarded) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if err := g.ask("dynamodb:Query", part); err != nil {
		return func(yield func(table.Item, error) bool) { yield(table.Item{}, err) }
	}
	return g.Table.Query(ctx, part, r)
}

// actions are what DynamoDB asks for a part of a commit, alone or in a
// transaction.
var actions = map[table.Op]string{
	table.OpCreate: "dynamodb:PutItem", table.OpReplace: "dynamodb:PutItem", table.OpPut: "dynamodb:PutItem",
	table.OpAdd: "dynamodb:UpdateItem", table.OpDelete: "dynamodb:DeleteItem", table.OpCheck: "dynamodb:ConditionCheckItem",
}

func (g *guarded) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if g.dies > 0 {
		if g.dies--; g.dies == 0 {
			g.dies = 1 // and it stays dead
			return "", errDied
		}
	}
	for _, w := range writes {
		if err := g.ask(actions[w.Op], w.Key.Part); err != nil {
			return "", err
		}
	}
	return g.Table.Commit(ctx, writes...)
}

// reporting is a sender that reports, as SES does, and keeps the mails.
type reporting struct {
	mu    sync.Mutex
	mails []mail.Message
	fail  error
}

func (r *reporting) Send(_ context.Context, m mail.Message) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return "", r.fail
	}
	r.mails = append(r.mails, m)
	return "carrier", nil
}

func (*reporting) Promise() mail.Promise { return mail.Settles }

// stage is the product over one table, each face under its function's role.
type stage struct {
	t      *testing.T
	mem    *memory.Table
	stack  *Stack
	key    secret.Key
	out    *reporting
	at     time.Time
	passed uint64
	tables map[string]*guarded
	apps   map[string]*app.App
	scim   http.Handler
	pages  http.Handler
	token  string
	issuer *idp.Server // an identity provider that clients trust
	signs  *idp.Key
}

func (w *stage) now() time.Time { return w.at }

func newStage(t *testing.T) *stage {
	w := &stage{t: t, mem: memory.New(app.Subscriptions()...), stack: read(t), key: secret.Mint(), out: &reporting{}, at: time.Now(), tables: map[string]*guarded{}, apps: map[string]*app.App{}}
	for folder, f := range w.stack.Functions {
		g := &guarded{Table: w.mem, t: t, f: f, arn: "arn:aws:dynamodb:us-east-1:123456789012:table/gatehouse", mu: &sync.Mutex{}, used: map[string]bool{}}
		w.tables[folder], w.apps[folder] = g, w.product(g)
		if folder == "discarded" {
			continue
		}
		// Whichever runs first founds the table.
		founding := memory.New()
		if err := app.Prepare(t.Context(), &guarded{Table: founding, t: t, f: f, arn: g.arn, mu: g.mu, used: g.used}, w.key, w.at); err != nil {
			t.Fatalf("%s does not found the table: %v", folder, err)
		}
	}
	a := w.apps["scim"]
	w.scim = scimhttp.New(scimhttp.Config{URL: a.URL, Orgs: a.Orgs, Provision: a.Provision, Log: a.Log, Now: w.now, Frozen: true})
	a = w.apps["portal"]
	var err error
	w.pages, err = portal.New(portal.Config{URL: a.URL, Table: a.Table, Orgs: a.Orgs, Account: a.Accounts, Courier: a.Courier, Now: w.now, Logger: a.Log})
	if err != nil {
		t.Fatal(err)
	}
	w.signs = idp.NewKey("k", "ES256")
	w.issuer = idp.Start(t, w.signs)
	w.pages = oauth.New(oauth.Config{URL: a.URL, Orgs: a.Orgs, Table: a.Table, Key: a.Key, Fetch: egress.Tested(w.issuer.Roots), Now: w.now, Log: a.Log,
		Client: func(*http.Request) string { return "192.0.2.1" }}).Before(w.pages)
	return w
}

func (w *stage) product(tab table.Table) *app.App {
	return app.New(app.Ports{
		Table: tab, Key: w.key, URL: "https://gate.example.com", Sender: w.out, From: mail.Address{Addr: "no-reply@example.com"},
		Daily: 1000, Rate: org.MinRate, Now: w.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// do asks SCIM, and fails on any other status.
func (w *stage) do(method, at, body string, status int) map[string]any {
	w.t.Helper()
	r := httptest.NewRequest(method, "https://gate.example.com/scim/v2"+at, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.token)
	r.Header.Set("Content-Type", "application/scim+json")
	rec := httptest.NewRecorder()
	w.scim.ServeHTTP(rec, r)
	if rec.Code != status {
		w.t.Errorf("%s %s answers %d, want %d: %.300s", method, at, rec.Code, status, rec.Body)
	}
	var out map[string]any
	json.Unmarshal(rec.Body.Bytes(), &out)
	return out
}

// grant asks for an access token with the parameters.
func (w *stage) grant(more ...string) string {
	w.t.Helper()
	v := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	r := httptest.NewRequest("POST", "https://gate.example.com/oauth/token", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.pages.ServeHTTP(rec, r)
	var out struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(rec.Body.Bytes(), &out); rec.Code != http.StatusOK || out.Token == "" {
		w.t.Errorf("a token is asked for: %d %s", rec.Code, rec.Body)
	}
	return out.Token
}

func (w *stage) page(at, session string) {
	w.t.Helper()
	r := httptest.NewRequest("GET", "https://gate.example.com"+at, nil)
	r.AddCookie(&http.Cookie{Name: "__Host-gatehouse", Value: session})
	rec := httptest.NewRecorder()
	w.pages.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		w.t.Errorf("GET %s answers %d", at, rec.Code)
	}
}

// post sends a form of a page.
func (w *stage) post(at, session, csrf string, status int, more ...string) *http.Response {
	w.t.Helper()
	v := url.Values{"csrf": {csrf}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	r := httptest.NewRequest("POST", "https://gate.example.com"+at, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(&http.Cookie{Name: "__Host-gatehouse", Value: session})
	rec := httptest.NewRecorder()
	w.pages.ServeHTTP(rec, r)
	if rec.Code != status {
		w.t.Errorf("POST %s answers %d, want %d", at, rec.Code, status)
	}
	return rec.Result()
}

// settle delivers what the table's stream has, until nothing follows.
func (w *stage) settle() {
	w.t.Helper()
	to := map[string]table.Consumer{"feed": w.apps["feed"].Feed(), "welcome": w.apps["welcome"].Courier}
	for {
		entries, err := w.mem.Entries(w.t.Context(), w.passed, 100)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(entries) == 0 {
			return
		}
		for _, e := range entries {
			w.passed = e.Position
			for _, sub := range app.Subscriptions() {
				if sub.Wants(e.Change.Key) {
					for _, err := range to[sub.Name].Consume(w.t.Context(), []table.Change{e.Change}) {
						w.must(err, "consume for %s", sub.Name)
					}
				}
			}
		}
	}
}

func (w *stage) must(err error, what string, args ...any) {
	w.t.Helper()
	if err != nil {
		w.t.Errorf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

func (w *stage) sweep() {
	w.t.Helper()
	if _, err := w.apps["sweep"].Sweeper().Sweep(w.t.Context()); err != nil {
		w.t.Errorf("sweep: %v", err)
	}
}

// secretOf is that of the link in the newest mail to the address.
func (w *stage) secretOf(address string) string {
	w.t.Helper()
	for i := len(w.out.mails) - 1; i >= 0; i-- {
		if m := w.out.mails[i]; m.To.Addr == address {
			_, rest, _ := strings.Cut(m.Text, "/activate/")
			return path.Base(strings.Fields(rest)[0])
		}
	}
	w.t.Fatalf("no mail to %s", address)
	return ""
}

// TestRolesSuffice plays what the product does, each face under the role that
// the template gives its function, and then asks that no partition was named
// for nothing.
func TestRolesSuffice(t *testing.T) {
	short.Skip(t, "goes through everything that functions do")
	w := newStage(t)
	ctx := t.Context()
	op := &app.Operator{App: w.product(w.mem)}
	if err := app.Prepare(ctx, w.mem, op.App.Key, w.at); err != nil {
		t.Fatal(err)
	}
	command := func(name string, args any) map[string]any {
		t.Helper()
		in, _ := json.Marshal(args)
		ans, err := op.Do(ctx, name, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, _ := json.Marshal(ans)
		var out map[string]any
		json.Unmarshal(b, &out)
		return out
	}
	command("org create", app.OrgCreate{Name: "Example", Slug: "example", Admin: "boss@example.com"})
	one := command("connection create", app.ConnectionCreate{Org: "example", Name: "One"})
	first := one["token"].(string)
	two := command("connection create", app.ConnectionCreate{Org: "example", Name: "Two"})
	w.settle()

	// The directory's part.
	const user = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"NAME@example.com","externalId":"x-NAME","active":true,"emails":[{"value":"NAME@example.com","primary":true}]}`
	named := func(n string) string { return strings.ReplaceAll(user, "NAME", n) }
	w.token = first
	ada := w.do("POST", "/Users", named("ada"), 201)["id"].(string)
	bob := w.do("POST", "/Users", named("bob"), 201)["id"].(string)
	w.do("POST", "/Users", named("boss"), 201) // adopts the administrator
	w.token = two["token"].(string)
	w.do("POST", "/Users", named("ada"), 409) // another directory's
	w.token = first
	group := w.do("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"All","externalId":"g","members":[{"value":"`+ada+`"},{"value":"`+bob+`"}]}`, 201)["id"].(string)
	w.settle()
	patch := func(at, ops string, status int) {
		t.Helper()
		w.do("PATCH", at, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`+ops+`]}`, status)
	}
	patch("/Users/"+ada, `{"op":"replace","path":"userName","value":"ada.l@example.com"},{"op":"replace","path":"emails","value":[{"value":"ada.l@example.com"}]}`, 200)
	patch("/Users/"+bob, `{"op":"replace","path":"active","value":false}`, 200)
	w.settle()
	patch("/Users/"+bob, `{"op":"replace","path":"active","value":true}`, 200)
	patch("/Groups/"+group, `{"op":"replace","path":"displayName","value":"Everybody"},{"op":"remove","path":"members[value eq \"`+bob+`\"]"}`, 204)
	patch("/Groups/"+group, `{"op":"add","path":"members","value":[{"value":"`+bob+`"}]}`, 204)
	for _, at := range []string{
		"/Users", "/Users?startIndex=2&count=1", "/Users/" + ada, "/Groups", "/Groups/" + group, "/ServiceProviderConfig",
		"/Users?filter=userName%20eq%20%22bob@example.com%22", "/Users?filter=externalId%20eq%20%22x-bob%22", "/Users?filter=emails.value%20eq%20%22bob@example.com%22",
		"/Groups?filter=displayName%20eq%20%22Everybody%22", "/Groups?filter=externalId%20eq%20%22g%22",
	} {
		w.do("GET", at, "", 200)
	}
	patch("/Users/"+bob, `{"op":"Replace","path":"active","value":"True"}`, 200) // is counted
	for range org.MinRate {                                                      // so are these
		w.do("GET", "/Groups/"+group, "", 200)
	}
	w.settle()

	// The people's part.
	a := w.apps["portal"]
	o, err := a.Orgs.BySlug(ctx, "example")
	if err != nil {
		t.Fatal(err)
	}
	boss, err := a.Accounts.Invite(ctx, w.secretOf("boss@example.com"))
	w.must(err, "open a link")
	session, err := a.Accounts.Activate(ctx, boss, "a long and unusual phrase 17")
	w.must(err, "create a password")
	_, err = a.Accounts.SignIn(ctx, o, account.Attempt{Name: "boss@example.com", Password: "wrong", Client: "192.0.2.1"})
	if err == nil {
		t.Error("a wrong password signs in")
	}
	other, err := a.Accounts.SignIn(ctx, o, account.Attempt{Name: "boss@example.com", Password: "a long and unusual phrase 17", Client: "192.0.2.1"})
	w.must(err, "sign in")
	w.must(a.Accounts.SignOut(ctx, other), "sign out")
	w.must(a.Courier.Resend(ctx, o, identity.User(bob), "operator"), "resend")
	for _, at := range []string{"/o/example/", "/o/example/admin/users", "/o/example/admin/users/arrivals", "/o/example/admin/users/" + ada, "/o/example/admin/conflicts", "/o/example/admin/connections", "/o/example/admin/connections/" + string(identity.User(ada).Connection())} {
		w.page(at, session)
	}
	// An admin adds an OAuth client and gives it a secret, issues tokens, and ends it
	// all.
	at := "/o/example/admin/connections/" + one["connection"].(string)
	press := func(path string, status int, more ...string) *http.Response {
		t.Helper()
		return w.post(at+path, session, a.Accounts.CSRF(session), status, more...)
	}
	_, added, _ := strings.Cut(press("/clients", 303, "name", "Portal").Header.Get("Location"), "#")
	press("/clients/"+added+"/secrets", 200, "seen", "")
	press("/clients/"+added+"/trusts", 303, "issuer", "https://issuer.example", "subject", "s")
	press("/clients/"+added+"/revoke", 303)
	second := identity.Connection(two["connection"].(string))
	at = "/o/example/admin/connections/" + string(second)
	for range 3 { // the third ends the first
		creds, err := a.Orgs.Credentials(ctx, o, second)
		w.must(err, "credentials")
		press("/tokens", 200, "seen", string(creds[len(creds)-1].ID))
	}
	creds, err := a.Orgs.Credentials(ctx, o, second)
	w.must(err, "credentials")
	press("/credentials/"+string(creds[len(creds)-1].ID)+"/revoke", 303)
	w.settle()
	w.must(a.Accounts.Renew(ctx, w.secretOf("bob@example.com")), "renew")

	// A directory with an access token, by a secret and by an assertion.
	client := command("client create", app.ClientCreate{Org: "example", Connection: one["connection"].(string), Name: "OAuth"})
	// Not by the command, which refuses loopback, where the issuer of the test is.
	federated, err := op.App.Orgs.Client(ctx, o, identity.Client(client["client"].(string)))
	w.must(err, "read a client")
	_, err = op.App.Orgs.AddTrust(ctx, o, federated, org.Trust{Issuer: w.issuer.URL, Subject: "s", Audiences: []string{"a"}})
	w.must(err, "trust an issuer")
	w.token = w.grant("client_id", client["client"].(string), "client_secret", client["secret"].(string))
	w.do("GET", "/Users", "", 200)
	w.token = w.grant("client_id", client["client"].(string), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		"client_assertion", w.signs.Sign(map[string]any{"iss": w.issuer.URL, "sub": "s", "aud": "a", "exp": w.at.Unix() + 60}, nil))
	w.do("GET", "/Users", "", 200)
	w.token = first

	// Mails that are busy, refused, and reported.
	w.out.fail = &mail.Reason{Code: "later", Err: mail.ErrLater}
	cyd := w.do("POST", "/Users", named("cyd"), 201)["id"].(string)
	w.settle()
	w.out.fail = nil
	w.sweep()
	w.at = w.at.Add(2 * time.Minute)
	w.sweep()
	w.at = w.at.Add(20 * time.Minute)
	w.sweep()
	w.must(w.apps["mailevents"].Courier.Settle(ctx, courier.Report{ID: w.out.mails[0].ID, Status: courier.Delivered}), "settle")
	w.must(w.apps["mailevents"].Courier.Settle(ctx, courier.Report{ID: w.out.mails[0].ID, Status: courier.Bounced, Reason: "Permanent"}), "settle")

	// A change of many members that the sweep has to finish.
	var many []string
	for i := range 45 {
		many = append(many, `{"value":"`+w.do("POST", "/Users", named(fmt.Sprint("n", i)), 201)["id"].(string)+`"}`)
	}
	w.tables["scim"].dies = 2
	w.do("PUT", "/Groups/"+group, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Everybody","members":[`+strings.Join(many, ",")+`]}`, 500)
	w.tables["scim"].dies = 0
	w.at = w.at.Add(time.Minute)
	w.sweep()
	if members, _ := w.do("GET", "/Groups/"+group, "", 200)["members"].([]any); len(members) != len(many) {
		t.Errorf("after the sweep the group has %d members, want %d", len(members), len(many))
	}
	w.settle()

	// Leavers, one of them with a session.
	patch("/Users/"+cyd, `{"op":"add","path":"displayName","value":"Cyd"}`, 200)
	w.do("DELETE", "/Users/"+ada, "", 204)
	w.do("DELETE", "/Groups/"+group, "", 204)
	w.do("DELETE", "/Users/"+bob, "", 204)
	w.settle()
	w.must(w.apps["feed"].Accounts.Forget(ctx, o, boss.User.ID), "forget")

	// What stream handlers and the function for discarded batches keep.
	for _, folder := range []string{"feed", "welcome"} {
		g := w.tables[folder]
		try := table.Key{Part: "TRY#" + folder, Sort: "1"}
		_, err := g.Commit(ctx, table.Add(try, 1, 0, 9))
		w.must(err, "count a try")
		_, err = g.Get(ctx, try)
		w.must(err, "read a try")
		for _, who := range []string{folder, "discarded"} {
			if who == "discarded" {
				_, err := w.tables[who].Get(ctx, table.Key{Part: o.Part("EV", "x"), Sort: "1"}, table.Key{Part: o.Part("MSG", "x"), Sort: "1"})
				w.must(err, "read what became of changes")
			}
			w.must(pump.Bury(ctx, w.tables[who], folder, table.Entry{Change: table.Change{Key: try, ID: "1"}}, 8, errDenied), "bury")
		}
	}
	for folder, g := range w.tables {
		written := map[string]bool{}
		for _, s := range g.f.Policy {
			for _, k := range s.Conditions["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] {
				written[k] = written[k] || s.Sid == "Write"
			}
		}
		for _, s := range g.f.Policy {
			for _, k := range s.Conditions["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] {
				if s.Sid == "Read" && written[k] {
					continue // the table reads back what it wrote, where an answer was lost
				}
				if !g.used[s.Sid+" "+k] && !idle[folder+" "+k] {
					t.Errorf("the role of %s names %q to %s, and nothing here uses it", folder, k, strings.ToLower(s.Sid))
				}
			}
		}
	}
}

// idle are partitions that are written in rarer stories than the one above.
var idle = map[string]bool{
	"scim O#????????????#SW#*":     true, // a leaver with more than twelve groups
	"feed DUE#*":                   true, // a user whose address changes five times in a day
	"welcome LNK#*":                true, // a message that waited for most of its link's life
	"sweep LNK#*":                  true, // the same
	"sweep O#????????????#MAILS#*": true, // the first attempt at a message that was put off
}

// A role allows nothing of what belongs to others.
func TestRolesRefuse(t *testing.T) {
	s := read(t)
	arn := "arn:aws:dynamodb:us-east-1:123456789012:table/gatehouse"
	for _, c := range []struct{ folder, action, part string }{
		{"scim", "PutItem", "TOK#0"}, {"scim", "GetItem", "O#0123456789ab#PW#00000#0"}, {"scim", "Query", "ORGS"}, {"scim", "GetItem", "SES#0"}, {"scim", "GetItem", "LNK#0"},
		{"scim", "PutItem", "CLI#0"}, {"scim", "GetItem", "CLI#0"}, {"scim", "DeleteItem", "CLI#0"}, {"feed", "PutItem", "CLI#0"}, {"sweep", "PutItem", "CLI#0"}, {"welcome", "PutItem", "TOK#0"}, {"sweep", "PutItem", "TOK#0"}, {"scim", "PutItem", "ACC#0"}, {"feed", "GetItem", "ACC#0"}, {"sweep", "GetItem", "ACC#0"}, {"portal", "DeleteItem", "SLUG#x"}, {"portal", "PutItem", "O#0123456789ab#LOG#0"}, {"portal", "PutItem", "SLUG#x"}, {"portal", "Query", "ORGS"},
		{"feed", "GetItem", "TOK#0"}, {"feed", "PutItem", "O#0123456789ab"}, {"feed", "PutItem", "SLUG#x"},
		{"welcome", "GetItem", "O#0123456789ab#PW#00000#0"}, {"welcome", "PutItem", "O#0123456789ab#U#00000#0"}, {"welcome", "GetItem", "TOK#0"},
		{"mailevents", "GetItem", "O#0123456789ab"}, {"mailevents", "GetItem", "O#0123456789ab#U#00000#0"}, {"mailevents", "PutItem", "MID#0"},
		{"sweep", "GetItem", "TOK#0"}, {"sweep", "PutItem", "O#0123456789ab#UN#0"}, {"sweep", "PutItem", "O#0123456789ab"}, {"sweep", "PutItem", "SES#0"},
		{"discarded", "GetItem", "META"}, {"discarded", "PutItem", "O#0123456789ab"}, {"discarded", "DeleteItem", "DEAD#feed"},
		{"scim", "Scan", "META"}, {"portal", "DeleteTable", "META"},
	} {
		if s.Functions[c.folder].Allows(Call{"dynamodb:" + c.action, arn, map[string][]string{"dynamodb:LeadingKeys": {c.part}}}) {
			t.Errorf("the role of %s allows %s of %s", c.folder, c.action, c.part)
		}
	}
	for folder, f := range s.Functions {
		if f.Allows(Call{"dynamodb:GetItem", arn + "-other", map[string][]string{"dynamodb:LeadingKeys": {"META"}}}) {
			t.Errorf("the role of %s allows another table", folder)
		}
		if sends := f.Allows(Call{"ses:SendRawEmail", "arn:aws:ses:us-east-1:123456789012:configuration-set/gatehouse", map[string][]string{"ses:FromAddress": {"no-reply@example.com"}}}); sends != (folder == "welcome" || folder == "sweep") {
			t.Errorf("the role of %s lets it send: %v", folder, sends)
		}
		if f.Allows(Call{Action: "secretsmanager:GetSecretValue", Resource: s.Secret}) != (folder != "discarded") {
			t.Errorf("the role of %s and the server key do not agree", folder)
		}
		if f.Allows(Call{Action: "secretsmanager:GetSecretValue", Resource: s.Secret + "x"}) {
			t.Errorf("the role of %s reaches another secret", folder)
		}
	}
}
