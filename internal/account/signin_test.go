package account

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

func TestSignInByName(t *testing.T) {
	w := newWorld(t)
	u, _ := w.activated(w.okta, "Erika.M", "erika@acme.example")
	for _, name := range []string{"Erika.M", "erika.m", "  ERIKA.M ", "erika@acme.example", "Erika@Acme.Example"} {
		token, err := w.SignIn(t.Context(), w.acme, Attempt{Name: name, Password: password})
		if err != nil {
			t.Errorf("SignIn as %q = %v, want nil", name, err)
			continue
		}
		if s, err := w.Session(t.Context(), token); err != nil || s.User.ID != u.ID {
			t.Errorf("the session of %q is of %v, %v; want %v", name, s.User.ID, err, u.ID)
		}
	}
}

// Who cannot sign in is told the same, after the same reads and the same
// hashing, whoever exists.
func TestRefusalsAreEqual(t *testing.T) {
	w := newWorld(t)
	w.hasher = newHasher(w.hasher.pepper, 2, current)
	ctx := t.Context()
	w.activated(w.okta, "erika", "erika@acme.example")
	w.join(w.okta, "invited", "invited@acme.example")
	gone, _ := w.activated(w.okta, "suspended", "suspended@acme.example")
	w.set(w.okta, gone.ID, "active", value.Boolean(false))
	left, _ := w.activated(w.okta, "deleted", "deleted@acme.example")
	w.must(w.okta.Leave(ctx, string(left.ID), nil))
	w.activated(w.okta, "twin-1", "twins@acme.example")
	w.activated(w.okta, "twin-2", "twins@acme.example")
	other := w.org("Other")
	w.activated(w.directory(other, "Okta"), "elsewhere", "elsewhere@other.example")

	type cost struct {
		reads, commits int
		hashed         int // MiB
	}
	measure := func(name, pass string) (cost, error) {
		var c cost
		var err error
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.commits = w.table.commitsOf(func() {
			c.reads = w.table.readsOf(func() { _, err = w.SignIn(ctx, w.acme, Attempt{Name: name, Password: pass, Client: name}) })
		})
		runtime.ReadMemStats(&after)
		c.hashed = int(after.TotalAlloc-before.TotalAlloc) >> 20
		return c, err
	}
	want, err := measure("erika", "wrong password here")
	if !errors.Is(err, errSignIn) {
		t.Fatalf("SignIn with a wrong password = %v, want the one refusal", err)
	}
	if want.hashed < 19 {
		t.Fatalf("a refusal hashed %d MiB, want 19", want.hashed)
	}
	for _, name := range []string{
		"nobody", "nobody@acme.example", "invited", "invited@acme.example", "suspended", "suspended@acme.example", "deleted",
		"deleted@acme.example", "twins@acme.example", "elsewhere", "elsewhere@other.example", "", strings.Repeat("x", 10_000), "a\x00b",
		string(nobody()),
	} {
		got, err := measure(name, password)
		if err != error(errSignIn) {
			t.Errorf("SignIn as %.40q = %v, want the same refusal as for a wrong password", name, err)
		}
		if got != want {
			t.Errorf("refusing %.40q costs %+v, a wrong password %+v", name, got, want)
		}
	}
	for _, pass := range []string{"", strings.Repeat("long ", 2000), "\xff\xfe"} {
		if got, err := measure("erika", pass); err != error(errSignIn) || got != want {
			t.Errorf("a password of %d bytes = %v at %+v, want the same refusal at %+v", len(pass), err, got, want)
		}
	}
}

func TestRateOfName(t *testing.T) {
	for _, name := range []string{"erika", "nobody"} {
		w := newWorld(t)
		w.activated(w.okta, "erika", "erika@acme.example")
		w.activated(w.okta, "max", "max@acme.example")
		try := func(s *Service, i int, name, pass string) error {
			_, err := s.SignIn(t.Context(), w.acme, Attempt{Name: name, Password: pass, Client: fmt.Sprint("10.0.0.", i)})
			return err
		}
		for i := range triesOfName {
			if err := try(w.Service, i, name, "wrong password here"); !errors.Is(err, errSignIn) {
				t.Fatalf("try %d as %s = %v, want refused", i+1, name, err)
			}
		}
		for _, x := range w.table.writes {
			if strings.HasPrefix(x.Key.Part, "RATE#") && (x.Expires.IsZero() || x.Expires.Sub(w.now) > window) {
				t.Errorf("a counter expires at %v, want within %v", x.Expires, window)
			}
		}
		// Held across a restart, for the right password and other spellings too,
		// before anything is looked up or hashed.
		var err error
		reads := w.table.readsOf(func() { err = try(w.restarted(), 99, strings.ToUpper(name), password) })
		f := fault.Of(err)
		if f == nil || f.Kind != fault.Throttled || f.Retry <= 0 || f.Retry > window || f.Msg != "Too many tries. Wait a few minutes, then try again." {
			t.Errorf("try %d as %s = %v, want throttled for at most %v", triesOfName+1, name, err, window)
		}
		if reads != 0 {
			t.Errorf("a throttled try as %s reads %d times, want none", name, reads)
		}
		if err := try(w.Service, 98, "max", password); err != nil {
			t.Errorf("SignIn as another user = %v, want nil", err)
		}
		w.now = w.now.Add(f.Retry)
		want := error(errSignIn)
		if name == "erika" {
			want = nil
		}
		if err := try(w.Service, 97, name, password); err != want {
			t.Errorf("after the window SignIn as %s = %v, want %v", name, err, want)
		}
	}
}

func TestRateOfAddress(t *testing.T) {
	w := newWorld(t)
	w.activated(w.okta, "erika", "erika@acme.example")
	other := w.org("Other")
	for i := range triesOfAddress {
		o := w.acme
		if i%2 == 1 {
			o = other
		}
		if _, err := w.SignIn(t.Context(), o, Attempt{Name: fmt.Sprint("name", i), Password: password, Client: "10.1.1.1"}); !errors.Is(err, errSignIn) {
			t.Fatalf("try %d = %v, want refused", i+1, err)
		}
	}
	if _, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: password, Client: "10.1.1.1"}); !fault.Is(err, fault.Throttled) {
		t.Errorf("SignIn after %d tries from one address = %v, want throttled", triesOfAddress, err)
	}
	if _, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: password, Client: "10.1.1.2"}); err != nil {
		t.Errorf("SignIn from another address = %v, want nil", err)
	}
}

// What succeeds is not counted: an office behind one address begins its day.
func TestRateForgetsSuccess(t *testing.T) {
	w := newWorld(t)
	w.activated(w.okta, "erika", "erika@acme.example")
	for i := range 2 * triesOfName {
		if _, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: password, Client: "10.1.1.1"}); err != nil {
			t.Fatalf("sign-in %d = %v, want nil", i+1, err)
		}
	}
}

// Tries at once all count.
func TestRateAtOnce(t *testing.T) {
	w := newWorld(t)
	w.activated(w.okta, "erika", "erika@acme.example")
	var mu sync.Mutex
	refused := 0
	var wait sync.WaitGroup
	for range 4 * triesOfName {
		wait.Go(func() {
			_, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: "wrong password here"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, errSignIn):
				refused++
			case !fault.Is(err, fault.Throttled):
				t.Errorf("SignIn = %v, want refused or throttled", err)
			}
		})
	}
	wait.Wait()
	if refused != triesOfName {
		t.Errorf("%d tries at once came as far as hashing, want %d", refused, triesOfName)
	}
}

// A userName is one user's whatever addresses others have: nobody can make a
// victim's name ambiguous by taking it as an address.
func TestUserNameGoesBeforeAddress(t *testing.T) {
	w := newWorld(t)
	victim, _ := w.activated(w.okta, "erika@acme.example", "e.mustermann@acme.example")
	w.activated(w.directory(w.acme, "Other"), "mallory", "erika@acme.example")
	token, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika@acme.example", Password: password})
	w.must(err)
	if s, err := w.Session(t.Context(), token); err != nil || s.User.ID != victim.ID {
		t.Errorf("signed in as %v, %v; want the user of that name", s.User.ID, err)
	}
}

func TestRehash(t *testing.T) {
	w := newWorld(t)
	u, _ := w.activated(w.okta, "erika", "erika@acme.example")
	key := passwordKey(w.acme, u.ID)
	old := params{memory: 32, time: 1, threads: 1}
	salt := []byte("sixteen bytes ok")
	_, err := w.table.Commit(t.Context(), table.Put(key, []byte(phc(old, salt, w.hasher.sum(old, password, salt, hashLen)))))
	w.must(err)
	for range 2 {
		if _, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "erika", Password: password}); err != nil {
			t.Fatalf("SignIn = %v, want nil", err)
		}
	}
	items, err := w.table.Get(t.Context(), key)
	w.must(err)
	if p, _, _, err := parsePHC(string(items[0].Data)); err != nil || p != quick {
		t.Errorf("after sign-in the password is hashed with %+v, %v; want %+v", p, err, quick)
	}
}

// No key holds a name, an address, a password, a token or a secret; no item
// holds a password, a token or a secret.
func TestNothingLeaks(t *testing.T) {
	w := newWorld(t)
	u := w.join(w.okta, "canary-name", "canary-address@acme.example")
	secret := w.link(w.acme, u.ID)
	inv, err := w.Invite(t.Context(), secret)
	w.must(err)
	const pass = "canary password of many words"
	first, err := w.Activate(t.Context(), inv, pass)
	w.must(err)
	second, err := w.SignIn(t.Context(), w.acme, Attempt{Name: "canary-name", Password: pass, Client: "192.0.2.77"})
	w.must(err)
	w.SignIn(t.Context(), w.acme, Attempt{Name: "canary-address@acme.example", Password: "canary wrong password", Client: "192.0.2.77"})
	if len(w.table.writes) < 20 {
		t.Fatalf("the story wrote %d items, want more", len(w.table.writes))
	}
	for _, x := range w.table.writes {
		for _, c := range []string{"canary", "Canary", "192.0.2.77", secret, first, second} {
			if strings.Contains(x.Key.String(), c) {
				t.Errorf("the key %q holds %q", x.Key, c)
			}
		}
		for _, c := range []string{pass, "canary wrong password", secret, first, second} {
			if strings.Contains(string(x.Data), c) {
				t.Errorf("the item %q holds %q", x.Key, c)
			}
		}
	}
}
