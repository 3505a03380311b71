package oauth_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/org"
)

func TestReplays(t *testing.T) {
	f := newFederation(t)
	once := f.key.Sign(f.claims(map[string]any{"jti": "j"}), nil)
	if a := f.assert(once); a.status != 200 {
		t.Fatalf("the first time it answers %d %v", a.status, a.body)
	}
	f.wants("an assertion presented again", "replayed", f.assert(once))
	f.wants("another one of the same jti", "replayed", f.sign(map[string]any{"jti": "j", "other": 1}))
	f.build()
	f.wants("the same at another process", "replayed", f.assert(once))
	f.pass(59 * time.Minute)
	f.wants("the same an hour later", "replayed", f.assert(once))

	// What failed is not spent.
	f.idp.Instead(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) })
	f.pass(13 * time.Hour)
	again := f.key.Sign(f.claims(map[string]any{"jti": "k"}), nil)
	if a := f.assert(again); a.status != 503 {
		t.Fatalf("without keys it answers %d", a.status)
	}
	f.idp.Instead(nil)
	f.pass(time.Minute)
	if a := f.assert(again); a.status != 200 {
		t.Errorf("after a failure of ours it answers %d %v", a.status, a.body)
	}
}

// Who has an assertion that was taken cannot use its client's rate up with it, and
// makes the store do little.
func TestReplaysTakeNothingFromTheClient(t *testing.T) {
	for name, more := range map[string]map[string]any{"with an id": nil, "without one": {"jti": nil}} {
		f := newFederation(t)
		once := f.key.Sign(f.claims(more), nil)
		var taken atomic.Int32
		var wait sync.WaitGroup
		for i := range 150 { // at once, and one after the other from then on
			wait.Go(func() {
				if f.assert(once, func(r *http.Request) { r.RemoteAddr = fmt.Sprint(i) }).status == 200 {
					taken.Add(1)
				}
			})
		}
		wait.Wait()
		n := &commits{Table: f.mem}
		f.mem = n
		f.orgs = org.New(f.mem, f.world.key, f.now, time.Minute)
		f.build()
		for range 300 {
			if a := f.assert(once); a.status != 401 && a.status != 429 || a.token() != "" {
				t.Fatalf("an assertion %s, replayed, answers %d %v", name, a.status, a.body)
			}
		}
		if n := n.n.Load(); n > 102 {
			t.Errorf("300 replays of an assertion %s write %d times, want one to learn of it, and the address's 100 failures with the one that finds no room", name, n)
		}
		want := map[string]int32{"with an id": 1, "without one": 20}[name]
		if taken.Load() != want {
			t.Errorf("an assertion %s was taken %d times, want %d", name, taken.Load(), want)
		}
		for i := range 120 - want {
			if a := f.ask(f.post()); a.status != 200 {
				t.Fatalf("beside replays of an assertion %s the client's token %d answers %d %v", name, want+i+1, a.status, a.body)
			}
		}
		if a := f.ask(f.post()); a.status != 429 || f.reason() != "grants" {
			t.Errorf("the client's token 121 answers %d %v", a.status, a.body)
		}
		// Beyond the rate a fresh assertion is not spent.
		fresh := f.key.Sign(f.claims(nil), nil)
		if a := f.assert(fresh); a.status != 429 || f.reason() != "grants" {
			t.Errorf("an assertion beyond the client's rate answers %d %v", a.status, a.body)
		}
		f.build()
		f.assert(fresh)
		f.pass(time.Minute)
		if a := f.assert(fresh); a.status != 200 {
			t.Errorf("a minute later it answers %d %v", a.status, a.body)
		}
	}
}

func TestReplaysAtOnce(t *testing.T) {
	f := newFederation(t)
	once := f.key.Sign(f.claims(nil), nil)
	var good atomic.Int32
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			if f.assert(once).status == 200 {
				good.Add(1)
			}
		})
	}
	wait.Wait()
	if good.Load() != 1 {
		t.Errorf("of 16 presentations at once %d were taken, want one", good.Load())
	}
}

// Entra ID says no jti, and its workers share an assertion for an hour.
func TestAssertionsWithoutAnID(t *testing.T) {
	f := newFederation(t)
	shared := f.key.Sign(f.claims(map[string]any{"jti": nil}), nil)
	for i := range 20 {
		if a := f.assert(shared); a.status != 200 {
			t.Fatalf("presentation %d answers %d %v", i, a.status, a.body)
		}
	}
	f.wants("the 21st presentation", "replayed", f.assert(shared))
	// The same claims under another signature, which ES256 makes anew each time.
	f.wants("another signature of the same", "replayed", f.assert(f.key.Sign(f.claims(map[string]any{"jti": nil}), nil)))
	if a := f.sign(map[string]any{"jti": nil, "iat": f.now().Unix() - 299}); a.status != 200 {
		t.Errorf("the next assertion answers %d", a.status)
	}
}
