package local

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/account"
	"gatehouse/internal/app"
	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/fault"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// Who was suspended and is resumed signs in anew: a session from before, which
// nobody used meanwhile, does not come back. Who was deleted leaves no password.
func TestSessionsDoNotOutliveASuspension(t *testing.T) {
	ctx := t.Context()
	h, err := open(ctx, Options{Data: Folder(filepath.Join(t.TempDir(), "data")), URL: "http://127.0.0.1:8080"}, slog.New(slog.DiscardHandler))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	defer h.close()
	o, err := h.app.Orgs.Create(ctx, org.Spec{Name: "Acme"})
	must(err)
	c, err := h.app.Orgs.CreateConnection(ctx, o, org.Connection{Name: "Okta", SuppressWelcome: true})
	must(err)
	okta := h.app.Provision.As(o, c, audit.Actor{Kind: "connection", ID: string(c.ID)})
	feed := func() {
		t.Helper()
		at := h.table.Passed(app.FeedName)
		entries, err := h.table.Entries(ctx, at, 1000)
		must(err)
		for _, e := range entries {
			if app.Subscriptions()[0].Wants(e.Change.Key) {
				for _, err := range h.app.Feed().Consume(ctx, []table.Change{e.Change}) {
					must(err)
				}
			}
			at = e.Position
		}
		h.table.Pass(app.FeedName, at)
	}
	u, err := okta.Join(ctx, provision.Doc{Attributes: value.Obj(value.M("userName", value.Str("ada@example.com")), value.M("active", value.Boolean(true)),
		value.M("emails", value.Arr(value.Obj(value.M("value", value.Str("ada@example.com"))))))})
	must(err)
	must(h.app.Courier.Queue(ctx, o, u.ID, courier.Welcome))
	must(h.app.Courier.Dispatch(ctx, table.Key{Part: o.Part("MSG", string(u.ID)), Sort: "welcome#0001"}))
	sent := h.mails.List(0, 1)
	if len(sent) != 1 {
		t.Fatal("no mail was sent")
	}
	letter, err := h.mails.Read(string(sent[0].ID))
	must(err)
	_, link, _ := strings.Cut(letter.Text, "/activate/")
	inv, err := h.app.Accounts.Invite(ctx, link[:43])
	must(err)
	const password = "korrekt pferd batterie klammer"
	before, err := h.app.Accounts.Activate(ctx, inv, password)
	must(err)

	active := func(is bool) {
		t.Helper()
		_, _, err := okta.Change(ctx, string(u.ID), nil, func(u roster.User) (provision.Doc, error) {
			return provision.Doc{Attributes: u.Doc().With("active", value.Boolean(is))}, nil
		})
		must(err)
		feed()
	}
	active(false)
	active(true)
	if _, err := h.app.Accounts.Session(ctx, before); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("a session from before a suspension = %v, want it over", err)
	}
	again, err := h.app.Accounts.SignIn(ctx, o, account.Attempt{Name: "ada@example.com", Password: password})
	if err != nil {
		t.Fatalf("SignIn of who was resumed = %v, want nil", err)
	}
	must(okta.Leave(ctx, string(u.ID), nil))
	feed()
	if _, err := h.app.Accounts.Session(ctx, again); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("a session of who was deleted = %v, want it over", err)
	}
	left, err := h.table.Get(ctx, table.Key{Part: o.Part("PW", string(u.ID.Connection()), u.ID.Bucket()[:1]), Sort: string(u.ID)})
	if err != nil || len(left) != 0 {
		t.Errorf("%d passwords of who was deleted, %v; want none", len(left), err)
	}
}
