package org_test

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

func (w *world) issue(o *org.Org, c identity.Connection, life time.Duration) (string, org.Credential) {
	w.t.Helper()
	token, cred, err := w.orgs.Issue(w.t.Context(), o, c, life)
	if err != nil {
		w.t.Fatalf("Issue: %v", err)
	}
	return token, cred
}

func (w *world) good(token string) bool {
	w.t.Helper()
	_, err := w.orgs.Authenticate(w.t.Context(), token)
	if err != nil && !fault.Is(err, fault.Unauthorized) {
		w.t.Fatalf("Authenticate: %v", err)
	}
	return err == nil
}

func TestASecretIsShownOnceAndStoredHashed(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	token, cred := w.issue(o, c.ID, 0)
	if !strings.HasPrefix(token, "ghsc_") || len(token) < 48 {
		t.Errorf("the secret has %d characters, want the prefix ghsc_ and 256 bits", len(token))
	}
	a, err := w.orgs.Authenticate(t.Context(), token)
	if err != nil || a.Org.ID != o.ID || a.Connection.ID != c.ID || a.Credential != cred.ID || a.Org.Digest("k", "x") != o.Digest("k", "x") {
		t.Errorf("Authenticate = %+v, %v; want the organization, bound, its connection and the credential", a, err)
	}
	hash := secret.Hash(token)
	for _, part := range []string{o.Part(), "TOK#" + hash, "ORGS"} {
		for it, err := range w.mem.Query(t.Context(), part, table.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(it.Key.String()+string(it.Data), token[5:15]) {
				t.Errorf("the item %v holds the secret", it.Key)
			}
		}
	}
	all, err := w.orgs.Credentials(t.Context(), o, c.ID)
	if err != nil || len(all) != 1 || all[0].Hash != hash || all[0].ID != cred.ID {
		t.Errorf("Credentials = %+v, %v; want the one, hashed", all, err)
	}
}

func TestEveryRefusalIsTheSame(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	revoked, cred := w.issue(o, c.ID, 0)
	if err := w.orgs.Revoke(t.Context(), o, c.ID, cred.ID); err != nil {
		t.Fatal(err)
	}
	expired, _ := w.issue(o, c.ID, time.Hour)
	goodOne, _ := w.issue(o, c.ID, 0)
	w.pass(time.Hour)
	if !w.good(goodOne) {
		t.Fatal("a good credential is refused")
	}
	for name, token := range map[string]string{
		"empty": "", "short": "ghsc_", "long": "ghsc_" + strings.Repeat("x", 1000), "without prefix": goodOne[5:], "another prefix": "ghxx_" + goodOne[5:],
		"unknown": "ghsc_" + secret.Token(), "another case": "GHSC_" + goodOne[5:], "with a space": goodOne + " ", "almost": goodOne[:len(goodOne)-1] + "!",
		"revoked": revoked, "expired": expired, "its own hash": "ghsc_" + secret.Hash(goodOne), "NUL": "ghsc_\x00" + goodOne[6:], "no UTF-8": "ghsc_\xff\xfe" + goodOne[7:],
	} {
		_, err := w.orgs.Authenticate(t.Context(), token)
		if err == nil || err.Error() != "unauthorized: The credential is missing or not valid." {
			t.Errorf("a credential that is %s: %v, want the one refusal", name, err)
		}
	}
}

func TestTwoAreGoodAtOnceAndRotationEndsTheThird(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	other, err := w.orgs.CreateConnection(t.Context(), o, org.Connection{Name: "Other"})
	if err != nil {
		t.Fatal(err)
	}
	theirs, _ := w.issue(o, other.ID, 0)
	var tokens []string
	for i := range 4 {
		token, _ := w.issue(o, c.ID, 0)
		tokens = append(tokens, token)
		w.pass(time.Second)
		for j, token := range tokens {
			if want := j > i-org.MaxCredentials; w.good(token) != want {
				t.Errorf("after %d rotations credential %d is good: %v, want %v", i, j, !want, want)
			}
		}
	}
	if !w.good(theirs) {
		t.Error("rotating one connection ended another's credential")
	}
	// An expired one takes no place.
	w.issue(o, c.ID, time.Minute)
	w.pass(2 * time.Minute)
	w.issue(o, c.ID, 0)
	if !w.good(tokens[3]) {
		t.Error("an expired credential was counted among the good ones")
	}
}

func TestManyRotateAtOnce(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	for _, i := range w.issuers(o, c, w.client(o, c.ID)) {
		var wait sync.WaitGroup
		var mu sync.Mutex
		var texts []string
		for range 16 {
			wait.Go(func() {
				text, _, err := i.issue()
				if err != nil {
					t.Errorf("a %s beside others: %v", i.name, err)
				}
				i.good(text)
				mu.Lock()
				defer mu.Unlock()
				texts = append(texts, text)
			})
		}
		wait.Wait()
		n := 0
		for _, text := range texts {
			if i.good(text) {
				n++
			}
		}
		if n != i.limit {
			t.Errorf("of 16 %ss that were issued at once %d are good, want %d", i.name, n, i.limit)
		}
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	token, _ := w.issue(o, c.ID, 30*time.Second)
	if !w.good(token) {
		t.Fatal("a new credential is refused")
	}
	w.pass(30*time.Second - time.Nanosecond)
	if !w.good(token) {
		t.Error("a credential is refused a moment before it expires")
	}
	w.pass(time.Nanosecond) // within the time for which it is believed
	if w.good(token) {
		t.Error("an expired credential is believed since it was good before")
	}
}

// A lifetime that is over before it begins is nobody's wish: not that of a
// credential without an end, either.
func TestNoNegativeLifetimes(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	for name, issue := range map[string]func(time.Duration) (string, org.Credential, error){
		"Issue": func(life time.Duration) (string, org.Credential, error) {
			return w.orgs.Issue(t.Context(), o, c.ID, life)
		},
		"IssueAfter": func(life time.Duration) (string, org.Credential, error) {
			return w.orgs.IssueAfter(t.Context(), o, c.ID, "", life)
		},
		"IssueReplacing": func(life time.Duration) (string, org.Credential, error) {
			return w.orgs.IssueReplacing(t.Context(), o, c.ID, "", life)
		},
		"IssueSecret": func(life time.Duration) (string, org.Credential, error) {
			return w.orgs.IssueSecret(t.Context(), o, client, life)
		},
		"IssueSecretAfter": func(life time.Duration) (string, org.Credential, error) {
			return w.orgs.IssueSecretAfter(t.Context(), o, client, "", life)
		},
		"IssueSecretReplacing": func(life time.Duration) (string, org.Credential, error) {
			return w.orgs.IssueSecretReplacing(t.Context(), o, client, "", life)
		},
	} {
		for _, life := range []time.Duration{-1, -time.Hour, math.MinInt64} {
			if text, _, err := issue(life); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Of(err).Msg, "negative") || text != "" {
				t.Errorf("%s for %v = %q, %v; want it refused as negative", name, life, text, err)
			}
		}
	}
	if all, err := w.orgs.Credentials(t.Context(), o, c.ID); err != nil || len(all) != 0 {
		t.Errorf("of what was refused there is %+v, %v", all, err)
	}
}

func TestRevokeTakesHoldAtOnce(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	token, cred := w.issue(o, c.ID, 0)
	elsewhere := org.New(w.table, w.key, w.now, believed) // another environment
	if _, err := elsewhere.Authenticate(t.Context(), token); err != nil || !w.good(token) {
		t.Fatal("a new credential is refused")
	}
	for range 2 {
		if err := w.orgs.Revoke(t.Context(), o, c.ID, cred.ID); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
		if w.good(token) {
			t.Error("a revoked credential is good where it was revoked")
		}
	}
	w.pass(believed)
	if _, err := elsewhere.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("elsewhere a revoked credential is good after %v: %v", believed, err)
	}
	all, _ := w.orgs.Credentials(t.Context(), o, c.ID)
	if len(all) != 1 || all[0].Revoked.IsZero() {
		t.Errorf("the revoked credential is listed as %+v", all)
	}
	if items, _ := w.mem.Get(t.Context(), table.Key{Part: "TOK#" + secret.Hash(token), Sort: "#"}); len(items) != 0 {
		t.Error("the hash of a revoked secret is kept where secrets are looked up")
	}
}

// The answer to a revocation can be lost; the admin asks again.
func TestARevocationWhoseAnswerWasLostTakesHold(t *testing.T) {
	for name, end := range map[string]func(w *world, o *org.Org, c identity.Connection, k identity.Credential) error{
		"revoke": func(w *world, o *org.Org, c identity.Connection, k identity.Credential) error {
			return w.orgs.Revoke(t.Context(), o, c, k)
		},
		"rotate": func(w *world, o *org.Org, c identity.Connection, k identity.Credential) error {
			return third(w.orgs.Issue(t.Context(), o, c, 0))
		},
	} {
		w := newWorld(t)
		o, c := w.connection()
		token, cred := w.issue(o, c.ID, 0)
		w.pass(time.Second)
		w.issue(o, c.ID, 0)
		w.pass(time.Second)
		if !w.good(token) {
			t.Fatal("a new credential is refused")
		}
		w.table.lose = 1
		if err := end(w, o, c.ID, cred.ID); !errors.Is(err, errInjected) {
			t.Fatalf("%s with its answer lost: %v", name, err)
		}
		if w.good(token) {
			t.Errorf("%s: the credential is believed though it was ended", name)
		}
		if name == "revoke" {
			if err := end(w, o, c.ID, cred.ID); err != nil || w.good(token) {
				t.Errorf("%s again: %v, and good: %v", name, err, w.good(token))
			}
		}
	}
}

// A look-up that began before a revocation must not be remembered after it.
func TestALookUpThatRacesWithRevokeIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	token, cred := w.issue(o, c.ID, 0)
	w.good(token) // the use is recorded, so the next look-up commits nothing
	w.pass(2 * believed)
	w.table.onGet = func(keys []table.Key) {
		if len(keys) < 3 { // not the read of the credential itself
			return
		}
		w.table.mu.Lock()
		w.table.onGet = nil
		w.table.mu.Unlock()
		if err := w.orgs.Revoke(t.Context(), o, c.ID, cred.ID); err != nil {
			t.Errorf("Revoke: %v", err)
		}
	}
	w.good(token) // began before: either answer is right
	if w.good(token) {
		t.Error("what was read before the revocation is believed after it")
	}
}

func TestLastUseAndWhatItCosts(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	token, _ := w.issue(o, c.ID, 0)
	last := func() time.Time {
		all, err := w.orgs.Credentials(t.Context(), o, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		return all[0].LastUsed
	}
	if !last().IsZero() {
		t.Error("a credential was used before its first use")
	}
	w.good(token)
	first := w.now()
	if !last().Equal(first) {
		t.Errorf("last used %v, want %v", last(), first)
	}
	w.table.reads = 0
	for range 100 {
		w.good(token)
	}
	if w.table.reads != 0 {
		t.Errorf("100 uses within the time for which a credential is believed read %d times", w.table.reads)
	}
	w.pass(2 * time.Minute)
	w.good(token)
	if !last().Equal(first) {
		t.Errorf("a use two minutes after one that is recorded was recorded too: %v", last())
	}
	w.pass(3 * time.Minute)
	w.good(token)
	if !last().Equal(w.now()) {
		t.Errorf("last used %v, want %v", last(), w.now())
	}
	w.pass(time.Hour)
	w.table.lose = 1
	if !w.good(token) {
		t.Error("a good credential is refused since its use cannot be recorded")
	}
}

func TestSettingsTakeHoldAtOnce(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	token, _ := w.issue(o, c.ID, 0)
	w.good(token)
	if err := w.orgs.SetWelcome(t.Context(), o, c.ID, true); err != nil {
		t.Fatal(err)
	}
	a, err := w.orgs.Authenticate(t.Context(), token)
	if err != nil || !a.Connection.SuppressWelcome {
		t.Errorf("after SetWelcome the connection is %+v, %v; want welcomes suppressed", a.Connection, err)
	}
}

// Which credentials are the newest is no tie, also where a clock stands still or
// goes back.
func TestRotationUnderAStandingClock(t *testing.T) {
	now := time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	s := org.New(memory.New(), secret.Key{1}, func() time.Time { now = now.Add(-time.Nanosecond); return now }, 0)
	o, err := s.Create(t.Context(), org.Spec{Name: "Example"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.CreateConnection(t.Context(), o, org.Connection{Name: "Directory"})
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for range 6 {
		token, _, err := s.Issue(t.Context(), o, c.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	for i, token := range tokens {
		_, err := s.Authenticate(t.Context(), token)
		if good := err == nil; good != (i >= len(tokens)-org.MaxCredentials) {
			t.Errorf("of %d credentials, issued within a moment, the %d. is good: %v", len(tokens), i+1, good)
		}
	}
}

// A table that takes no writes holds nobody up who has a good credential.
func TestRecordingAUseDoesNotWait(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	token, _ := w.issue(o, c.ID, 0)
	s := org.New(slow{w.mem}, w.key, w.now, believed)
	began := time.Now()
	a, err := s.Authenticate(t.Context(), token)
	if took := time.Since(began); err != nil || a.Connection.ID != c.ID || took > 3*time.Second {
		t.Errorf("Authenticate = %v, %v after %v; want the connection after a second", a.Connection.ID, err, took)
	}
}
