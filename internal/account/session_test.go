package account

import (
	"errors"
	"testing"
	"time"

	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

func (w *world) over(token string) bool {
	w.t.Helper()
	_, err := w.Session(w.t.Context(), token)
	if err != nil && !errors.Is(err, error(errSession)) {
		w.t.Fatalf("Session = %v, want nil or the one refusal", err)
	}
	return err != nil
}

func TestSession(t *testing.T) {
	w := newWorld(t)
	u, token := w.activated(w.okta, "erika", "erika@acme.example")
	s, err := w.Session(t.Context(), token)
	w.must(err)
	if s.Org.ID != w.acme.ID || s.User.ID != u.ID || s.Admin || !s.Ends.Equal(s.Started.Add(Absolute)) {
		t.Errorf("Session = %+v, want Erika's of Acme, no admin's, %v long", s, Absolute)
	}
	for _, bad := range []string{"", "x", token[:42], token + "x", secret.Token(), secret.Hash(token), "ghsc_" + secret.Token(), token[:42] + "\x00"} {
		if !w.over(bad) {
			t.Errorf("Session(%q) is good, want refused", bad)
		}
	}
}

func TestSessionEndsWhenIdle(t *testing.T) {
	w := newWorld(t)
	_, token := w.activated(w.okta, "erika", "erika@acme.example")
	for range 8 {
		w.now = w.now.Add(Idle - time.Minute)
		if w.over(token) {
			t.Fatalf("a session in use is over %v after sign-in", w.now.Sub(start))
		}
	}
	w.now = w.now.Add(Idle)
	if !w.over(token) {
		t.Errorf("a session unused for %v is good", Idle)
	}
}

func TestSessionEndsAtLast(t *testing.T) {
	w := newWorld(t)
	_, token := w.activated(w.okta, "erika", "erika@acme.example")
	began := w.now
	for w.now.Sub(began) < Absolute-10*time.Minute {
		if w.over(token) {
			t.Fatalf("a session in use is over after %v", w.now.Sub(began))
		}
		w.now = w.now.Add(10 * time.Minute)
	}
	w.over(token)
	w.now = began.Add(Absolute)
	if !w.over(token) {
		t.Errorf("a session in use is good after %v", Absolute)
	}
}

// A page that asks by itself keeps nobody signed in.
func TestGlanceKeepsNothingAlive(t *testing.T) {
	w := newWorld(t)
	_, token := w.activated(w.okta, "erika", "erika@acme.example")
	began := w.now
	for w.now.Sub(began) < Idle {
		if n := w.table.commitsOf(func() {
			if _, err := w.Glance(t.Context(), token); err != nil {
				t.Fatalf("Glance after %v = %v, want nil", w.now.Sub(began), err)
			}
		}); n > 0 {
			t.Fatalf("Glance commits %d times, want never", n)
		}
		w.now = w.now.Add(10 * time.Minute)
	}
	if !w.over(token) {
		t.Error("a session that was only glanced at is good after an hour")
	}
}

// A use is written down every five minutes at most.
func TestSessionWritesSeldom(t *testing.T) {
	w := newWorld(t)
	_, token := w.activated(w.okta, "erika", "erika@acme.example")
	n := w.table.commitsOf(func() {
		for range 60 {
			w.now = w.now.Add(30 * time.Second)
			if w.over(token) {
				t.Fatal("a session in use is over")
			}
		}
	})
	if n < 5 || n > 6 {
		t.Errorf("30 minutes of use commit %d times, want 6", n)
	}
}

// A full store reads on: who is signed in stays so.
func TestSessionOnAFullStore(t *testing.T) {
	w := newWorld(t)
	_, token := w.activated(w.okta, "erika", "erika@acme.example")
	w.table.fail = func([]table.Write) error { return table.ErrFull }
	w.now = w.now.Add(30 * time.Minute)
	if w.over(token) {
		t.Error("a session on a full store is over")
	}
}

func TestSessionEndsWithTheUser(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*world, string)
		undo func(*world, string)
	}{
		"suspended": {
			do:   func(w *world, id string) { w.setActive(id, false) },
			undo: func(w *world, id string) { w.setActive(id, true) },
		},
		"deleted": {do: func(w *world, id string) { w.must(w.okta.Leave(w.t.Context(), id, nil)) }},
	} {
		w := newWorld(t)
		u, token := w.activated(w.okta, "erika", "erika@acme.example")
		c.do(w, string(u.ID))
		if !w.over(token) {
			t.Errorf("a session of a user who was %s is good", name)
		}
		if c.undo != nil {
			c.undo(w, string(u.ID))
			if !w.over(token) {
				t.Errorf("a session that ended when its user was %s came back to life", name)
			}
		}
	}
}

func (w *world) setActive(id string, active bool) {
	w.t.Helper()
	u, err := w.okta.User(w.t.Context(), id, false)
	w.must(err)
	w.set(w.okta, u.ID, "active", value.Boolean(active))
}

// Suspended and resumed between two requests: EndSessions, which the feed calls,
// keeps the old sessions from coming back.
func TestEndSessions(t *testing.T) {
	w := newWorld(t)
	u, first := w.activated(w.okta, "erika", "erika@acme.example")
	second, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: password})
	w.must(err)
	_, other := w.activated(w.okta, "max", "max@acme.example")
	w.setActive(string(u.ID), false)
	for range 2 {
		w.must(w.EndSessions(t.Context(), w.acme, u.ID))
	}
	w.setActive(string(u.ID), true)
	for i, token := range []string{first, second} {
		if !w.over(token) {
			t.Errorf("session %d is good after EndSessions", i)
		}
	}
	if w.over(other) {
		t.Error("EndSessions ended another user's session")
	}
}

// New rights, new session.
func TestSessionEndsWithRights(t *testing.T) {
	w := newWorld(t)
	u, token := w.activated(w.okta, "erika", "erika@acme.example")
	got, err := w.okta.Roster.User(t.Context(), u.ID, false)
	w.must(err)
	got.Admin = true
	_, err = w.table.Commit(t.Context(), table.Replace(got.Item, got.Encode(false)))
	w.must(err)
	if !w.over(token) {
		t.Error("a session from before its user became an admin is good")
	}
	token, err = w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: password})
	w.must(err)
	if s, err := w.Session(t.Context(), token); err != nil || !s.Admin {
		t.Errorf("a session begun as an admin: admin %v, %v", s.Admin, err)
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t)
	u, token := w.activated(w.okta, "erika", "erika@acme.example")
	other, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: password})
	w.must(err)
	if other == token {
		t.Error("two sign-ins give one token")
	}
	for range 2 {
		w.must(w.SignOut(t.Context(), token))
	}
	w.must(w.SignOut(t.Context(), "nonsense"))
	if !w.over(token) {
		t.Error("a session is good after sign-out")
	}
	if w.over(other) {
		t.Error("sign-out ended another session")
	}
	left := 0
	for _, err := range w.table.Query(t.Context(), sessionsPart(w.acme, u.ID), table.Range{}) {
		w.must(err)
		left++
	}
	if left != 1 {
		t.Errorf("the user's list has %d sessions, want 1", left)
	}
}

func TestCSRF(t *testing.T) {
	w := newWorld(t)
	a, b := secret.Token(), secret.Token()
	other := newWorld(t)
	for _, c := range []struct {
		cookie, token string
		want          bool
	}{
		{a, w.CSRF(a), true}, {a, w.restarted().CSRF(a), true},
		{a, w.CSRF(b), false}, {b, w.CSRF(a), false}, {a, other.CSRF(a), false},
		{a, "", false}, {"", "", false}, {"", w.CSRF(""), false}, {a, a, false}, {a, w.CSRF(a) + "x", false},
	} {
		if got := w.CheckCSRF(c.cookie, c.token); got != c.want {
			t.Errorf("CheckCSRF(%q, %q) = %v, want %v", c.cookie, c.token, got, c.want)
		}
	}
}
