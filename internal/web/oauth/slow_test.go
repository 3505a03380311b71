package oauth_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fakes/idp"
	"gatehouse/internal/org"
)

// hanging is a fetcher for addresses of which those without a set never answer.
type hanging struct {
	mu    sync.Mutex
	sets  map[string][]byte
	asked []string
	takes time.Duration // where it is not 0, they answer after that, with the key
	key   *idp.Key
}

func (h *hanging) Get(ctx context.Context, address string) ([]byte, error) {
	h.mu.Lock()
	h.asked = append(h.asked, address)
	set, ok := h.sets[address]
	takes := h.takes
	h.mu.Unlock()
	if ok {
		return set, nil
	}
	if takes > 0 {
		select {
		case <-time.After(takes):
			return idp.Set(h.key), nil
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// all returns the addresses that were asked.
func (h *hanging) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asked)
}

const quick = "https://quick.example/keys"

// newHanging is a federation whose client has no trust yet, and whose issuer's
// keys are at one address that answers.
func newHanging(t *testing.T) (*federation, *hanging) {
	f := &federation{world: newWorld(t), key: idp.NewKey("one", "ES256"), idp: &idp.Server{URL: "https://issuer.example"}}
	h := &hanging{sets: map[string][]byte{quick: idp.Set(f.key)}}
	f.fetch = h
	f.build()
	t.Cleanup(func() { time.Sleep(time.Minute) }) // fetching goes on when the request is answered
	return f, h
}

// trustIn adds a trust in the issuer whose keys are at the address.
func (f *federation) trustIn(o *org.Org, c org.Client, subject, keys string) {
	f.t.Helper()
	f.pass(time.Second)
	if _, err := f.orgs.AddTrust(f.t.Context(), o, c, org.Trust{Issuer: f.idp.URL + "/tenant/v2.0", Subject: subject, Audiences: []string{audience}, Keys: keys}); err != nil {
		f.t.Fatal(err)
	}
}

// slow is the address of keys that never come.
func slow(n int) string { return fmt.Sprintf("https://slow.example/%d", n) }

// took is how long the request waited.
func took(ask func() answer) (answer, time.Duration) {
	start := time.Now()
	a := ask()
	return a, time.Since(start)
}

// A token request waits five seconds for issuers, however many there are.
func TestSlowIssuersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, h := newHanging(t)
		for i := range org.MaxTrusts {
			f.trustIn(f.o, f.client, subject, slow(i))
		}
		a, waited := took(func() answer { return f.sign(nil) })
		if a.status != 503 || a.error() != "invalid_request" || a.header.Get("Retry-After") == "" || f.reason() != "keys" {
			t.Errorf("with five issuers that do not answer it is %d %v %v", a.status, a.header, a.body)
		}
		if waited != 5*time.Second || len(h.all()) != org.MaxTrusts {
			t.Errorf("it waited %v for %d issuers, want five seconds for five", waited, len(h.all()))
		}
		if a, waited := took(func() answer { return f.sign(nil) }); a.status != 503 || waited != 0 {
			t.Errorf("within the minute it waited %v, and answers %d; want 503 at once", waited, a.status)
		}
		// Many at once wait as long as one.
		f.pass(time.Minute)
		time.Sleep(time.Minute) // fetching has given up
		var wait sync.WaitGroup
		for range 12 {
			wait.Go(func() {
				if a, waited := took(func() answer { return f.sign(nil) }); a.status != 503 || waited > 5*time.Second {
					t.Errorf("beside others it waited %v, and answers %d; want 503 after five seconds at most", waited, a.status)
				}
			})
		}
		wait.Wait()
	})
}

// One that answers is enough, wherever it stands among those that do not: none of
// them is waited for, neither at first nor when its keys are old.
func TestASlowIssuerBesideAQuickOne(t *testing.T) {
	for place := range org.MaxTrusts {
		synctest.Test(t, func(t *testing.T) {
			f, _ := newHanging(t)
			for i := range org.MaxTrusts {
				address := slow(i)
				if i == place {
					address = quick
				}
				f.trustIn(f.o, f.client, subject, address)
			}
			if a, waited := took(func() answer { return f.sign(nil) }); a.status != 200 || waited != 0 {
				t.Errorf("as trust %d of five it waited %v, and answers %d %v", place, waited, a.status, a.body)
			}
			for _, later := range []time.Duration{0, time.Minute, 3 * time.Minute} {
				f.pass(later)
				if a, waited := took(func() answer { return f.sign(nil) }); a.status != 200 || waited != 0 {
					t.Errorf("as trust %d of five, with its keys at hand, it waited %v, and answers %d", place, waited, a.status)
				}
			}
			f.pass(10 * time.Hour)
			if a, waited := took(func() answer { return f.sign(nil) }); a.status != 200 || waited != 0 {
				t.Errorf("as trust %d of five, hours later, it waited %v, and answers %d", place, waited, a.status)
			}
		})
	}
}

// While one organization's issuer keeps it waiting, others go on; and an issuer
// is asked only about words that are its own.
func TestASlowIssuerHoldsNobodyElseUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, h := newHanging(t)
		for i := range org.MaxTrusts {
			f.trustIn(f.o, f.client, subject, slow(i))
		}
		o, err := f.orgs.Create(t.Context(), org.Spec{Name: "Other"})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := f.orgs.CreateConnection(t.Context(), o, org.Connection{Name: "Entra"})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := f.orgs.CreateClient(t.Context(), o, conn.ID, "Provisioning")
		if err != nil {
			t.Fatal(err)
		}
		f.trustIn(o, theirs, subject, quick)
		f.trustIn(o, theirs, "another", slow(99))
		done := make(chan answer)
		go func() { done <- f.sign(nil) }()
		synctest.Wait() // it waits for its issuers
		a, waited := took(func() answer {
			return f.ask(grant("client_id", string(theirs.ID), "client_assertion_type", assertions, "client_assertion", f.key.Sign(f.claims(nil), nil)))
		})
		if a.status != 200 || waited != 0 {
			t.Errorf("beside a slow issuer another organization waited %v, and is answered %d %v", waited, a.status, a.body)
		}
		if a, waited := took(func() answer { return f.ask(f.post()) }); a.status != 200 || waited != 0 {
			t.Errorf("beside its slow issuer the client's secret waited %v, and is answered %d", waited, a.status)
		}
		if a := <-done; a.status != 503 {
			t.Errorf("the slow issuer's answers %d", a.status)
		}
		if slices.Contains(h.all(), slow(99)) {
			t.Error("an issuer was asked for keys of words that it did not give")
		}
	})
}

// Fetching that uses up the time leaves none to fetch again: that is told each
// time, and not by chance that the key is wrong.
func TestANewKeyWhileItsIssuerIsSlow(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			f, h := newHanging(t)
			f.trustIn(f.o, f.client, subject, quick)
			if a := f.sign(nil); a.status != 200 {
				t.Fatal(a.body)
			}
			h.mu.Lock()
			delete(h.sets, quick)
			h.mu.Unlock()
			f.pass(2 * time.Hour)
			a := f.assert(idp.NewKey("two", "ES256").Sign(f.claims(nil), nil))
			if a.status != 503 || a.header.Get("Retry-After") != "5" {
				t.Errorf("a new key, while its issuer is slow, answers %d %v, Retry-After %q", a.status, a.body, a.header.Get("Retry-After"))
			}
		})
	}
}

// An issuer that needs longer than a request has is used all the same: what it
// sends is there for the next one.
func TestAnIssuerThatNeedsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, h := newHanging(t)
		h.takes, h.key = 8*time.Second, f.key
		f.trustIn(f.o, f.client, subject, slow(0))
		if a, waited := took(func() answer { return f.sign(nil) }); a.status != 503 || waited != 5*time.Second {
			t.Errorf("at first it answers %d after %v, want 503 after five seconds", a.status, waited)
		}
		if a, waited := took(func() answer { return f.sign(nil) }); a.status != 503 || waited != 0 {
			t.Errorf("while its keys are fetched it answers %d after %v, want 503 at once", a.status, waited)
		}
		time.Sleep(4 * time.Second)
		if a, waited := took(func() answer { return f.sign(nil) }); a.status != 200 || waited != 0 {
			t.Errorf("when they are there it answers %d after %v, want 200 at once", a.status, waited)
		}
		// Where its keys are old, those from before do until then, for all who come;
		// in a process that finds them in the table, too.
		for range 2 {
			f.pass(2 * time.Hour)
			var wait sync.WaitGroup
			for range 6 {
				wait.Go(func() {
					if a, waited := took(func() answer { return f.sign(nil) }); a.status != 200 || waited > 5*time.Second {
						t.Errorf("with keys from before it answers %d after %v, want 200 after five seconds at most", a.status, waited)
					}
				})
			}
			wait.Wait()
			if a, waited := took(func() answer { return f.sign(nil) }); a.status != 200 || waited != 0 {
				t.Errorf("while they are fetched anew it answers %d after %v, want 200 at once", a.status, waited)
			}
			time.Sleep(time.Minute)
			f.build()
		}
		h.mu.Lock()
		h.takes = 0
		h.mu.Unlock()
		f.pass(12 * time.Hour)
		if a, _ := took(func() answer { return f.sign(nil) }); a.status != 503 {
			t.Errorf("with keys that are twelve hours old it answers %d, want 503", a.status)
		}
	})
}
