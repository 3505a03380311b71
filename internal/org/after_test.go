package org_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// issuer issues credentials of one sort.
type issuer struct {
	name  string
	limit int // so many are good at once
	issue func() (string, org.Credential, error)
	after func(*org.Store, identity.Credential) (string, org.Credential, error)
	// replacing issues one in another's stead, or beside all that are good
	replacing func(identity.Credential) (string, org.Credential, error)
	good      func(string) bool
}

// issuers are those of a connection's tokens and of its client's secrets.
func (w *world) issuers(o *org.Org, c org.Connection, client org.Client) []issuer {
	ctx := w.t.Context()
	return []issuer{
		{
			name: "token", limit: org.MaxCredentials, good: w.good,
			issue: func() (string, org.Credential, error) { return w.orgs.Issue(ctx, o, c.ID, 0) },
			after: func(s *org.Store, newest identity.Credential) (string, org.Credential, error) {
				return s.IssueAfter(ctx, o, c.ID, newest, 0)
			},
			replacing: func(replaced identity.Credential) (string, org.Credential, error) {
				return w.orgs.IssueReplacing(ctx, o, c.ID, replaced, 0)
			},
		},
		{
			name: "secret", limit: org.MaxSecrets, good: func(text string) bool { return w.proves(client, text) },
			issue: func() (string, org.Credential, error) { return w.orgs.IssueSecret(ctx, o, client, 0) },
			after: func(s *org.Store, newest identity.Credential) (string, org.Credential, error) {
				return s.IssueSecretAfter(ctx, o, client, newest, 0)
			},
			replacing: func(replaced identity.Credential) (string, org.Credential, error) {
				return w.orgs.IssueSecretReplacing(ctx, o, client, replaced, 0)
			},
		},
	}
}

// Of many that were shown the same list one issues, whatever happens beside: the
// others' tokens and secrets of another sort, uses, and ends.
func TestOfManyThatSawTheSameOneIssues(t *testing.T) {
	for sort := range 2 {
		w := newWorld(t)
		o, c := w.connection()
		client, other := w.client(o, c.ID), w.client(o, c.ID)
		all := w.issuers(o, c, client)
		i, beside := all[sort], all[1-sort]
		var newest, before identity.Credential
		for round := range 8 {
			var mu sync.Mutex
			var won []org.Credential
			var wait sync.WaitGroup
			for range 16 {
				wait.Go(func() {
					text, cred, err := i.after(w.orgs, newest)
					if err != nil {
						if !errors.Is(err, org.ErrNewer) || !fault.Is(err, fault.Conflict) {
							t.Errorf("a %s beside others: %v, want ErrNewer", i.name, err)
						}
						return
					}
					if !i.good(text) {
						t.Errorf("the %s that was issued is not good", i.name)
					}
					mu.Lock()
					defer mu.Unlock()
					won = append(won, cred)
				})
			}
			wait.Go(func() { w.secret(o, other, 0) })
			wait.Go(func() {
				if _, _, err := beside.issue(); err != nil {
					t.Errorf("a %s beside others: %v", beside.name, err)
				}
			})
			if before != "" {
				wait.Go(func() {
					if err := w.orgs.Revoke(t.Context(), o, c.ID, before); err != nil {
						t.Errorf("Revoke beside others: %v", err)
					}
				})
			}
			wait.Wait()
			if len(won) != 1 {
				t.Fatalf("in round %d, of 16 that saw the same, %d issued a %s, want one", round, len(won), i.name)
			}
			before, newest = newest, won[0].ID
		}
	}
}

// What was committed after the list was read is seen in the commit.
func TestIssuingAfterWhatWasShown(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	for _, i := range w.issuers(o, c, client) {
		between := 0
		beside := org.New(&meanwhile{Table: w.mem, do: func() { i.issue(); between++ }}, w.key, w.now, 0)
		if text, _, err := i.after(beside, ""); !errors.Is(err, org.ErrNewer) || text != "" || between != 1 {
			t.Errorf("a first %s while another is issued: %q, %v; want ErrNewer", i.name, text, err)
		}
		if _, _, err := i.after(w.orgs, ""); !errors.Is(err, org.ErrNewer) {
			t.Errorf("a %s after none where there is one: %v, want ErrNewer", i.name, err)
		}
		all, err := w.orgs.Credentials(t.Context(), o, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		last := all[len(all)-1].ID
		// The end of what was shown is no newer one.
		if err := w.orgs.Revoke(t.Context(), o, c.ID, last); err != nil {
			t.Fatal(err)
		}
		_, newest, err := i.after(w.orgs, last)
		if err != nil {
			t.Errorf("a %s after the newest, which has ended: %v", i.name, err)
		}
		for _, not := range []identity.Credential{"", last, identity.MintCredential(), "#"} {
			if _, _, err := i.after(w.orgs, not); !errors.Is(err, org.ErrNewer) {
				t.Errorf("a %s after %q, which is not the newest: %v, want ErrNewer", i.name, not, err)
			}
		}
		if _, _, err := i.after(w.orgs, newest.ID); err != nil {
			t.Errorf("a %s after the newest: %v", i.name, err)
		}
	}
}

// Who repeats a rotation, since its answer was lost, ends nothing that is in use,
// and may name what was lost as what the next one replaces.
func TestARepeatedRotationEndsNothing(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	for _, i := range w.issuers(o, c, w.client(o, c.ID)) {
		texts, ids := make([]string, i.limit), make([]identity.Credential, i.limit)
		for n := range texts {
			text, cred, err := i.replacing("")
			if err != nil {
				t.Fatalf("a %s where %d are good: %v", i.name, n, err)
			}
			texts[n], ids[n] = text, cred.ID
		}
		last := i.limit - 1
		good := func(after string, want bool) {
			t.Helper()
			for n, text := range texts {
				if want := want || n != last; i.good(text) != want {
					t.Errorf("after %s the %s numbered %d is good: %v, want %v", after, i.name, n+1, !want, want)
				}
			}
		}
		for range 3 {
			if text, _, err := i.replacing(""); !errors.Is(err, org.ErrFull) || !fault.Is(err, fault.Conflict) || text != "" {
				t.Errorf("one %s too many: %q, %v; want ErrFull", i.name, text, err)
			}
		}
		good("a repetition", true)
		w.table.lose = 1
		if _, _, err := i.replacing(ids[last]); !errors.Is(err, errInjected) {
			t.Fatalf("a %s whose answer is lost: %v", i.name, err)
		}
		good("the last was replaced", false)
		if text, _, err := i.replacing(ids[last]); !errors.Is(err, org.ErrNotGood) || !fault.Is(err, fault.Conflict) || text != "" {
			t.Errorf("a %s in place of one that was replaced: %q, %v; want ErrNotGood", i.name, text, err)
		}
		creds, err := w.orgs.Credentials(t.Context(), o, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := i.replacing(creds[len(creds)-1].ID)
		if err != nil || !i.good(text) {
			t.Errorf("a %s in place of the one whose answer was lost: %v, want a good one", i.name, err)
		}
		good("what was lost is replaced", false)
		// Where there is room, too.
		if err := w.orgs.Revoke(t.Context(), o, c.ID, ids[0]); err != nil {
			t.Fatal(err)
		}
		for _, not := range []identity.Credential{ids[0], identity.MintCredential(), "#"} {
			if _, _, err := i.replacing(not); !errors.Is(err, org.ErrNotGood) {
				t.Errorf("a %s in place of %q, which is not good: %v, want ErrNotGood", i.name, not, err)
			}
		}
		if !i.good(text) {
			t.Errorf("a refused rotation ended a %s", i.name)
		}
	}
	// What is named is of the same sort.
	_, static := w.issue(o, c.ID, 0)
	client := w.client(o, c.ID)
	_, secret := w.secret(o, client, 0)
	if _, _, err := w.orgs.IssueReplacing(t.Context(), o, c.ID, secret.ID, 0); !errors.Is(err, org.ErrNotGood) {
		t.Errorf("a token in place of a client's secret: %v, want ErrNotGood", err)
	}
	if _, _, err := w.orgs.IssueSecretReplacing(t.Context(), o, client, static.ID, 0); !errors.Is(err, org.ErrNotGood) {
		t.Errorf("a secret in place of a token: %v, want ErrNotGood", err)
	}
}

// Of many that replace the same one does, and as many take places as there are.
func TestManyReplaceAtOnce(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	for _, i := range w.issuers(o, c, w.client(o, c.ID)) {
		first, cred, err := i.issue()
		if err != nil {
			t.Fatal(err)
		}
		for _, replaced := range []identity.Credential{"", cred.ID} {
			want := i.limit - 1 // places that are left
			if replaced != "" {
				want = 1
			}
			var issued atomic.Int32
			var wait sync.WaitGroup
			for range 12 {
				wait.Go(func() {
					switch _, _, err := i.replacing(replaced); {
					case err == nil:
						issued.Add(1)
					case !errors.Is(err, org.ErrFull) && !errors.Is(err, org.ErrNotGood):
						t.Errorf("a %s beside others: %v", i.name, err)
					}
				})
			}
			wait.Wait()
			if n := int(issued.Load()); n != want {
				t.Errorf("of 12 at once, in place of %q, %d issue a %s, want %d", replaced, n, i.name, want)
			}
			if good := i.good(first); good != (replaced == "") {
				t.Errorf("the first %s is good: %v after 12 at once in place of %q", i.name, good, replaced)
			}
		}
	}
}

// Of many that add the same trust one does.
func TestTheSameTrustAtOnce(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	for round := range 3 {
		var mu sync.Mutex
		added := 0
		var wait sync.WaitGroup
		for range 12 {
			wait.Go(func() {
				_, err := w.orgs.AddTrust(t.Context(), o, client, org.Trust{Issuer: "https://i.example", Subject: fmt.Sprint(round), Audiences: []string{"a"}})
				if err != nil && !fault.Coded(err, org.TrustThere) {
					t.Errorf("AddTrust beside others: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					added++
				}
			})
		}
		wait.Wait()
		if added != 1 {
			t.Errorf("of 12 that add the same trust %d did, want one", added)
		}
	}
}

// Of many who make a client of one name at once one does; when it has ended the
// name is free, and another connection's clients have their own.
func TestTheSameClientAtOnce(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	var made, taken atomic.Int32
	var wait sync.WaitGroup
	for range 12 {
		wait.Go(func() {
			switch _, err := w.orgs.CreateClient(t.Context(), o, c.ID, " Entra ID"); {
			case err == nil:
				made.Add(1)
			case fault.Is(err, fault.Conflict) && fault.Coded(err, org.NameTaken):
				taken.Add(1)
			default:
				t.Errorf("CreateClient: %v", err)
			}
		})
	}
	wait.Wait()
	if made.Load() != 1 || taken.Load() != 11 {
		t.Errorf("of 12 at once %d make the client, and %d are told that there is one; want 1 and 11", made.Load(), taken.Load())
	}
	all, err := w.orgs.Clients(t.Context(), o)
	if err != nil || len(all) != 1 {
		t.Fatalf("there are %d clients, %v; want one", len(all), err)
	}
	beside, err := w.orgs.CreateConnection(t.Context(), o, org.Connection{Name: "Beside"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.orgs.CreateClient(t.Context(), o, beside.ID, "Entra ID"); err != nil {
		t.Errorf("a client of the same name at another connection: %v", err)
	}
	if err := w.orgs.RevokeClient(t.Context(), o, all[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.orgs.CreateClient(t.Context(), o, c.ID, "Entra ID"); err != nil {
		t.Errorf("a client of the name of one that has ended: %v", err)
	}
}
