package account

import (
	"errors"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

func TestActivate(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.join(w.okta, "erika", "erika@acme.example")
	secret := w.link(w.acme, u.ID)

	inv, err := w.Invite(ctx, secret)
	w.must(err)
	if inv.Expired || inv.Org.ID != w.acme.ID || inv.User.ID != u.ID {
		t.Fatalf("Invite = %v of %v, expired %v; want the user of Acme", inv.User.ID, inv.Org.ID, inv.Expired)
	}
	if _, err := w.Invite(ctx, secret); err != nil {
		t.Fatalf("looking at a link twice = %v, want nil: it uses nothing up", err)
	}

	var refused *PasswordError
	if _, err := w.Activate(ctx, inv, "too short"); !errors.As(err, &refused) || refused.Rule != RuleShort {
		t.Fatalf("Activate with a short password = %v, want rule short", err)
	}
	token, err := w.Activate(ctx, inv, password)
	if err != nil {
		t.Fatalf("Activate after a refused password = %v, want nil: the link is as it was", err)
	}
	s, err := w.Session(ctx, token)
	if err != nil || s.User.ID != u.ID || s.User.Stage() != identity.Active {
		t.Errorf("the session after activation is of %v, %v; want the active user", s.User.ID, err)
	}
	if _, err := w.Invite(ctx, secret); !fault.Is(err, fault.NotFound) {
		t.Errorf("Invite with a used link = %v, want not found", err)
	}
	if _, err := w.courier.Lookup(ctx, secret); !fault.Is(err, fault.NotFound) {
		t.Errorf("Lookup of a used link = %v, want not found: it is gone itself", err)
	}
	if _, err := w.Activate(ctx, inv, "another good password"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Activate with a used link = %v, want not found", err)
	}
	if _, err := w.SignIn(ctx, w.acme, Attempt{Name: "erika", Password: password}); err != nil {
		t.Errorf("SignIn = %v, want nil", err)
	}
}

// Of many who hold one link one creates the password, and it is that one's.
func TestActivateAtOnce(t *testing.T) {
	w := newWorld(t)
	u := w.join(w.okta, "erika", "erika@acme.example")
	inv, err := w.Invite(t.Context(), w.link(w.acme, u.ID))
	w.must(err)
	passwords := []string{"the first good password", "the second good password", "the third good password", "the fourth good password"}
	errs := make([]error, len(passwords))
	var wait sync.WaitGroup
	for i, p := range passwords {
		wait.Go(func() { _, errs[i] = w.Activate(t.Context(), inv, p) })
	}
	wait.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil:
			t.Errorf("two activations with one link: %d and %d", won, i)
		case !fault.Is(err, fault.NotFound):
			t.Errorf("an activation that came late = %v, want not found", err)
		}
	}
	if won < 0 {
		t.Fatalf("no activation of %d succeeded: %v", len(errs), errs)
	}
	for i, p := range passwords {
		if _, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: p}); (err == nil) != (i == won) {
			t.Errorf("SignIn with password %d = %v; activation %d won", i, err, won)
		}
	}
}

// A directory that changes the user between the form and the commit costs
// nobody the link.
func TestActivateWhileTheDirectoryWrites(t *testing.T) {
	w := newWorld(t)
	u := w.join(w.okta, "erika", "erika@acme.example")
	inv, err := w.Invite(t.Context(), w.link(w.acme, u.ID))
	w.must(err)
	changed := 0
	w.table.fail = func(writes []table.Write) error {
		for _, x := range writes {
			if x.Key == passwordKey(w.acme, u.ID) && changed < 3 {
				changed++
				w.set(w.okta, u.ID, "title", value.Num(int64(changed)))
			}
		}
		return nil
	}
	if _, err := w.Activate(t.Context(), inv, password); err != nil {
		t.Fatalf("Activate = %v, want nil", err)
	}
	if changed != 3 {
		t.Fatalf("the directory wrote %d times between, want 3", changed)
	}
	got, err := w.okta.Roster.User(t.Context(), u.ID, false)
	w.must(err)
	if got.Stage() != identity.Active || got.Doc().Get("title").Text() != "3" {
		t.Errorf("the user is %s with title %q, want active with the directory's title 3", got.Stage(), got.Doc().Get("title").Text())
	}
}

// An activation that fails leaves nothing half-written: the link is good still.
func TestActivateIsWhole(t *testing.T) {
	w := newWorld(t)
	u := w.join(w.okta, "erika", "erika@acme.example")
	secret := w.link(w.acme, u.ID)
	inv, err := w.Invite(t.Context(), secret)
	w.must(err)
	w.table.fail = func(writes []table.Write) error { return table.ErrFull }
	if _, err := w.Activate(t.Context(), inv, password); !errors.Is(err, table.ErrFull) {
		t.Fatalf("Activate on a full store = %v, want the store's error", err)
	}
	w.table.fail = nil
	if inv, err = w.Invite(t.Context(), secret); err != nil || inv.User.Stage() != identity.Invited {
		t.Fatalf("after a failure Invite = %v of a user who is %s, want a good link of an invited user", err, inv.User.Stage())
	}
	if token, err := w.Activate(t.Context(), inv, password); err != nil || token == "" {
		t.Errorf("Activate again = %q, %v; want a session", token, err)
	}
}

func TestLinksThatOpenNothing(t *testing.T) {
	for name, do := range map[string]func(*world, identity.User) string{
		"empty":     func(*world, identity.User) string { return "" },
		"made up":   func(*world, identity.User) string { return "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
		"malformed": func(*world, identity.User) string { return "../../../etc/passwd\x00 and then some more text" },
		"suspended": func(w *world, u identity.User) string {
			s := w.link(w.acme, u)
			w.set(w.okta, u, "active", value.Boolean(false))
			return s
		},
		"deleted": func(w *world, u identity.User) string {
			s := w.link(w.acme, u)
			w.must(w.okta.Leave(w.t.Context(), string(u), nil))
			return s
		},
		"replaced": func(w *world, u identity.User) string {
			s := w.link(w.acme, u)
			w.must(w.courier.Resend(w.t.Context(), w.acme, u, "admin"))
			return s
		},
	} {
		w := newWorld(t)
		secret := do(w, w.join(w.okta, "erika", "erika@acme.example").ID)
		if _, err := w.Invite(t.Context(), secret); !fault.Is(err, fault.NotFound) || fault.Of(err).Msg != errLink().(*fault.Error).Msg {
			t.Errorf("Invite with a link that is %s = %v, want the one answer for all", name, err)
		}
		if err := w.Renew(t.Context(), secret); err != nil {
			t.Errorf("Renew of a link that is %s = %v, want nil", name, err)
		}
	}
}

func TestExpiredLink(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.join(w.okta, "erika", "erika@acme.example")
	old := w.link(w.acme, u.ID)
	w.must(w.Renew(ctx, old))
	if n := len(w.mails.sent); n != 1 {
		t.Fatalf("renewing a good link: %d mails, want the first alone", n)
	}
	w.now = w.now.Add(7*24*time.Hour + time.Minute)
	inv, err := w.Invite(ctx, old)
	if err != nil || !inv.Expired {
		t.Fatalf("Invite after 7 days = %v, expired %v; want an expired one", err, inv.Expired)
	}
	if _, err := w.Activate(ctx, inv, password); !fault.Is(err, fault.NotFound) {
		t.Errorf("Activate with an expired link = %v, want not found", err)
	}
	w.must(w.Renew(ctx, old))
	w.send(w.acme, u.ID, "welcome#0002")
	if n, to := len(w.mails.sent), w.mails.sent[len(w.mails.sent)-1].To.Addr; n != 2 || to != "erika@acme.example" {
		t.Fatalf("after Renew there are %d mails, the last to %s; want 2, to the same address", n, to)
	}
	renewed, err := w.Invite(ctx, w.mails.secret(t))
	w.must(err)
	if _, err := w.Invite(ctx, old); !fault.Is(err, fault.NotFound) {
		t.Errorf("Invite with the link before the new one = %v, want not found", err)
	}
	if _, err := w.Activate(ctx, renewed, password); err != nil {
		t.Errorf("Activate with the new link = %v, want nil", err)
	}
}

// Asking again and again makes one mail: the first request voids the link that
// the others hold.
func TestRenewIsBounded(t *testing.T) {
	w := newWorld(t)
	u := w.join(w.okta, "erika", "erika@acme.example")
	old := w.link(w.acme, u.ID)
	w.now = w.now.Add(8 * 24 * time.Hour)
	queued := func() int {
		n := 0
		for _, err := range w.table.Query(t.Context(), w.acme.Part("MSG", string(u.ID)), table.Range{}) {
			w.must(err)
			n++
		}
		return n
	}
	for range 20 {
		w.must(w.Renew(t.Context(), old))
	}
	if n := queued(); n != 2 {
		t.Errorf("after 20 requests there are %d mails, want the first and one new", n)
	}
}

func TestForget(t *testing.T) {
	w := newWorld(t)
	u, token := w.activated(w.okta, "erika", "erika@acme.example")
	for range 2 {
		w.must(w.Forget(t.Context(), w.acme, u.ID))
	}
	if items, err := w.table.Get(t.Context(), passwordKey(w.acme, u.ID)); err != nil || len(items) > 0 {
		t.Errorf("after Forget %d passwords are stored, %v; want none", len(items), err)
	}
	if _, err := w.Session(t.Context(), token); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("Session after Forget = %v, want unauthorized", err)
	}
}

// A user whom a directory adopted is one person: the link of the user made by
// hand activates both records, and either name signs in.
func TestAdopted(t *testing.T) {
	w := newWorld(t)
	hand, err := w.provision.Invite(t.Context(), w.acme, audit.Actor{Kind: "operator"}, provision.Invitation{Email: "chef@acme.example", Admin: true})
	w.must(err)
	linked := w.join(w.okta, "chef@acme.example", "koch@acme.example")
	if linked.Target != hand.ID {
		t.Fatalf("the directory's record means %q, want the user made by hand", linked.Target)
	}
	inv, err := w.Invite(t.Context(), w.link(w.acme, hand.ID))
	w.must(err)
	_, err = w.Activate(t.Context(), inv, password)
	w.must(err)
	for _, name := range []string{"chef@acme.example", "CHEF@acme.example", "koch@acme.example"} {
		token, err := w.SignIn(t.Context(), w.acme, Attempt{Name: name, Password: password})
		if err != nil {
			t.Errorf("SignIn as %q = %v, want nil", name, err)
			continue
		}
		if s, err := w.Session(t.Context(), token); err != nil || s.User.ID != hand.ID || !s.Admin {
			t.Errorf("signed in as %q: %v, admin %v, %v; want the admin who was made by hand", name, s.User.ID, s.Admin, err)
		}
	}
}
