package org_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/ledger"
)

func (w *world) client(o *org.Org, c identity.Connection) org.Client {
	w.t.Helper()
	client, err := w.orgs.CreateClient(w.t.Context(), o, c, "Provisioning "+identity.Random(5))
	if err != nil {
		w.t.Fatalf("CreateClient: %v", err)
	}
	return client
}

func (w *world) secret(o *org.Org, c org.Client, life time.Duration) (string, org.Credential) {
	w.t.Helper()
	text, cred, err := w.orgs.IssueSecret(w.t.Context(), o, c, life)
	if err != nil {
		w.t.Fatalf("IssueSecret: %v", err)
	}
	return text, cred
}

// proves reports whether the secret is good for the client.
func (w *world) proves(c org.Client, text string) bool {
	w.t.Helper()
	a, err := w.orgs.Applicant(w.t.Context(), string(c.ID))
	if err != nil {
		w.t.Fatalf("Applicant: %v", err)
	}
	_, ok := a.Secret(text)
	return ok
}

// token grants one by the secret.
func (w *world) token(c org.Client, text string) string {
	w.t.Helper()
	a, err := w.orgs.Applicant(w.t.Context(), string(c.ID))
	if err != nil {
		w.t.Fatal(err)
	}
	cred, ok := a.Secret(text)
	if !ok {
		w.t.Fatal("the secret proves nothing")
	}
	token, life, err := w.orgs.Grant(w.t.Context(), a, cred)
	if err != nil || life <= 0 || life > org.AccessLife {
		w.t.Fatalf("Grant = %v, %v", life, err)
	}
	return token
}

func TestSecretsOfAClient(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client, other := w.client(o, c.ID), w.client(o, c.ID)
	static, _ := w.issue(o, c.ID, 0)
	second, _ := w.issue(o, c.ID, 0)
	theirs, _ := w.secret(o, other, 0)
	var texts []string
	for i := range 5 {
		text, cred := w.secret(o, client, 0)
		if !strings.HasPrefix(text, "ghcs_") || len(text) != 48 || !cred.Expires.Equal(w.now().Add(org.SecretLife).Truncate(time.Millisecond)) {
			t.Errorf("the secret has %d characters and expires %v", len(text), cred.Expires)
		}
		texts = append(texts, text)
		for j, text := range texts {
			if want := j > i-org.MaxSecrets; w.proves(client, text) != want {
				t.Errorf("after %d secrets the one numbered %d is good: %v, want %v", i+1, j, !want, want)
			}
		}
	}
	if !w.good(static) || !w.good(second) || !w.proves(other, theirs) {
		t.Error("secrets of one client ended static tokens, or another client's secret")
	}
	for range org.MaxCredentials {
		w.issue(o, c.ID, 0)
	}
	if w.good(static) || !w.proves(client, texts[4]) {
		t.Error("rotating static tokens is to end the old ones, and no client's secret")
	}
	if w.proves(other, texts[4]) || w.proves(client, theirs) {
		t.Error("a secret proves another client")
	}
	if _, _, err := w.orgs.IssueSecret(t.Context(), o, client, org.MaxSecretLife+time.Hour); !fault.Is(err, fault.Invalid) {
		t.Errorf("a secret of more than three years: %v", err)
	}
	if _, _, err := w.orgs.IssueSecret(t.Context(), o, client, -time.Hour); !fault.Is(err, fault.Invalid) {
		t.Errorf("a secret that has expired: %v", err)
	}
	short, _ := w.secret(o, client, time.Hour)
	w.pass(time.Hour)
	if w.proves(client, short) {
		t.Error("an expired secret is good")
	}
}

func TestTrusts(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	good := org.Trust{Issuer: "https://login.example.com/t/v2.0", Subject: "s", Audiences: []string{"api://app/.default", "https://x/.default"}}
	cred, err := w.orgs.AddTrust(t.Context(), o, client, good)
	if err != nil || !slices.Equal(cred.Trust.Audiences, []string{"api://app", "https://x/.default"}) || cred.Hash != "" {
		t.Errorf("AddTrust = %+v, %v; want the audience as Entra ID's assertions have it", cred, err)
	}
	if good.Audiences[0] != "api://app/.default" {
		t.Error("the caller's list was changed")
	}
	of := func(subject string) org.Trust {
		other := good
		other.Subject = subject
		return other
	}
	for i := range org.MaxTrusts - 1 {
		if _, err := w.orgs.AddTrust(t.Context(), o, client, of(fmt.Sprint("s", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.orgs.AddTrust(t.Context(), o, client, of("more")); !fault.Is(err, fault.Conflict) || fault.Coded(err, org.TrustThere) {
		t.Errorf("one trust too many: %v, want a conflict", err)
	}
	if _, err := w.orgs.AddTrust(t.Context(), o, client, good); !fault.Coded(err, org.TrustThere) {
		t.Errorf("a trust that is there already: %v, want a conflict of its own", err)
	}
	if err := w.orgs.Revoke(t.Context(), o, c.ID, cred.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.orgs.AddTrust(t.Context(), o, client, good); err != nil {
		t.Errorf("a trust in the place of a revoked one: %v", err)
	}
	a, err := w.orgs.Applicant(t.Context(), string(client.ID))
	if err != nil || len(a.Trusts()) != org.MaxTrusts {
		t.Errorf("the client has %d trusts, %v", len(a.Trusts()), err)
	}
	if _, ok := a.Secret(""); ok {
		t.Error("a trust, which has no hash, is proved by an empty secret")
	}
	for name, edit := range map[string]func(*org.Trust){
		"no issuer": func(t *org.Trust) { t.Issuer = "" }, "an issuer by http": func(t *org.Trust) { t.Issuer = "http://login.example.com" }, "an issuer that is no address": func(t *org.Trust) { t.Issuer = "Entra" },
		"an issuer with a user": func(t *org.Trust) { t.Issuer = "https://a:b@login.example.com" }, "no subject": func(t *org.Trust) { t.Subject = "" }, "a subject with a space": func(t *org.Trust) { t.Subject = "a b" },
		"a long subject": func(t *org.Trust) { t.Subject = strings.Repeat("x", 501) }, "no audience": func(t *org.Trust) { t.Audiences = nil }, "an empty audience": func(t *org.Trust) { t.Audiences = []string{""} },
		"six audiences": func(t *org.Trust) { t.Audiences = strings.Split("abcdef", "") }, "keys by http": func(t *org.Trust) { t.Keys = "http://login.example.com/keys" }, "keys in a file": func(t *org.Trust) { t.Keys = "file:///etc/passwd" },
		"its own word without keys": func(t *org.Trust) { t.Issuer = string(client.ID) }, "a line break": func(t *org.Trust) { t.Subject = "a\nb" },
	} {
		bad := good
		edit(&bad)
		if _, err := w.orgs.AddTrust(t.Context(), o, client, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("a trust with %s: %v, want invalid", name, err)
		}
	}
}

func TestTheEndOfAClient(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client, other := w.client(o, c.ID), w.client(o, c.ID)
	text, _ := w.secret(o, client, 0)
	theirs, _ := w.secret(o, other, 0)
	static, _ := w.issue(o, c.ID, 0)
	token, another := w.token(client, text), w.token(other, theirs)
	for _, token := range []string{token, another} {
		if a, err := w.orgs.Authenticate(t.Context(), token); err != nil || a.Connection.ID != c.ID || a.Org.Digest("k", "x") != o.Digest("k", "x") {
			t.Fatalf("Authenticate = %+v, %v", a, err)
		}
	}
	for range 2 { // twice is once
		if err := w.orgs.RevokeClient(t.Context(), o, client.ID); err != nil {
			t.Fatal(err)
		}
	}
	if w.good(token) || w.proves(client, text) {
		t.Error("the client's end leaves its token or its secret")
	}
	if !w.good(another) || !w.good(static) || !w.proves(other, theirs) {
		t.Error("the client's end ended others' credentials")
	}
	if _, _, err := w.orgs.IssueSecret(t.Context(), o, client, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("a secret for an ended client: %v, want a conflict", err)
	}
	if _, err := w.orgs.AddTrust(t.Context(), o, client, org.Trust{Issuer: "https://i.example", Subject: "s", Audiences: []string{"a"}}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a trust for an ended client: %v, want a conflict", err)
	}
	all, err := w.orgs.Clients(t.Context(), o)
	if err != nil || len(all) != 2 {
		t.Errorf("Clients = %+v, %v; want both, ended or not", all, err)
	}
	for _, have := range all {
		if have.Revoked.IsZero() != (have.ID == other.ID) {
			t.Errorf("%s was revoked: %v", have.ID, have.Revoked)
		}
	}
}

// Who may write all of an organization's own partition, as functions/scim may,
// makes no secret with that, lets no issuer in, and brings nothing back.
func TestRecordsProveNothing(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	old, cred := w.secret(o, client, 0)
	if err := w.orgs.Revoke(t.Context(), o, c.ID, cred.ID); err != nil {
		t.Fatal(err)
	}
	record := func(k org.Credential) {
		t.Helper()
		b, _ := json.Marshal(k)
		if _, err := w.mem.Commit(t.Context(), table.Put(table.Key{Part: o.Part(), Sort: "K#" + string(c.ID) + "#" + string(k.ID)}, b)); err != nil {
			t.Fatal(err)
		}
	}
	record(org.Credential{ID: identity.MintCredential(), Client: client.ID, Hash: secret.Hash("mine"), Created: w.now()})
	record(org.Credential{ID: identity.MintCredential(), Hash: secret.Hash("ghsc_" + strings.Repeat("x", 43)), Created: w.now()})
	record(org.Credential{ID: identity.MintCredential(), Client: client.ID, Trust: &org.Trust{Issuer: "https://mine.example", Subject: "s", Audiences: []string{"a"}}, Created: w.now()})
	cred.Hash = secret.Hash(old)
	record(cred)
	if w.proves(client, "mine") || w.proves(client, old) || w.good("ghsc_"+strings.Repeat("x", 43)) {
		t.Error("a record lets in who has no proof")
	}
	if a, err := w.orgs.Applicant(t.Context(), string(client.ID)); err != nil || len(a.Trusts()) != 0 {
		t.Errorf("a record of a trust is one: %v, %v", a.Trusts(), err)
	}
	// And no record of a client's shows what its secret is compared with.
	_, cred = w.secret(o, client, 0)
	all, err := w.orgs.Credentials(t.Context(), o, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if k.ID == cred.ID && k.Hash != "" {
			t.Error("the record of a client's secret has its hash")
		}
	}
}

// What proved an ended credential is gone, and so is all of an ended client.
func TestProofsEnd(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	proofs := func() (n int) {
		t.Helper()
		for _, err := range w.mem.Query(t.Context(), "CLI#"+string(client.ID), table.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	for range 5 {
		w.secret(o, client, 0)
	}
	trust, err := w.orgs.AddTrust(t.Context(), o, client, org.Trust{Issuer: "https://i.example", Subject: "s", Audiences: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := proofs(); n != 1+org.MaxSecrets+1 {
		t.Errorf("of a client with three secrets and a trust %d items are left, want 5", n)
	}
	if err := w.orgs.Revoke(t.Context(), o, c.ID, trust.ID); err != nil {
		t.Fatal(err)
	}
	if n := proofs(); n != 1+org.MaxSecrets {
		t.Errorf("after the trust's end %d items are left, want 4", n)
	}
	if err := w.orgs.RevokeClient(t.Context(), o, client.ID); err != nil {
		t.Fatal(err)
	}
	if n := proofs(); n != 0 {
		t.Errorf("of an ended client %d items are left", n)
	}
}

// What is known of credentials and clients that have ended is kept for KeepEnded,
// and then by nobody, but for the credential that was used last; what is good
// stays.
func TestEndedCredentialsAreForgotten(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client, ended := w.client(o, c.ID), w.client(o, c.ID)
	w.secret(o, ended, 0)
	_, revoked := w.issue(o, c.ID, 2*time.Hour)
	expiring, _ := w.issue(o, c.ID, time.Hour)
	lapsed, _ := w.secret(o, client, time.Hour)
	standing, _ := w.secret(o, client, org.MaxSecretLife)
	if !w.good(expiring) { // the use is recorded, and leaves the end as it was
		t.Fatal("a new token is not good")
	}
	w.pass(time.Hour)
	if err := w.orgs.Revoke(t.Context(), o, c.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.orgs.RevokeClient(t.Context(), o, ended.ID); err != nil {
		t.Fatal(err)
	}
	token, _ := w.issue(o, c.ID, 0)
	listed := func(credentials, clients int) {
		t.Helper()
		all, err := w.orgs.Credentials(t.Context(), o, c.ID)
		if err != nil || len(all) != credentials {
			t.Errorf("%d credentials are listed, %v; want %d", len(all), err, credentials)
		}
		named, err := w.orgs.Clients(t.Context(), o)
		if err != nil || len(named) != clients {
			t.Errorf("%d clients are listed, %v; want %d", len(named), err, clients)
		}
	}
	stored := func(part, prefix string, want int) {
		t.Helper()
		n := 0
		for _, err := range w.mem.Query(t.Context(), part, table.Range{Prefix: prefix}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != want {
			t.Errorf("%d items are at %s %s, want %d", n, part, prefix, want)
		}
	}
	w.pass(org.KeepEnded - time.Second)
	w.mem.RemoveExpired(w.now())
	listed(6, 2)
	stored("TOK#"+secret.Hash(expiring), "", 1)
	if w.good(expiring) || w.proves(client, lapsed) {
		t.Error("what has expired is good")
	}
	w.pass(time.Second)
	listed(3, 1) // also where the table has not removed anything yet
	if _, err := w.orgs.Client(t.Context(), o, ended.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a client that ended %v ago: %v, want it not found", org.KeepEnded, err)
	}
	w.pass(time.Minute)
	w.mem.RemoveExpired(w.now())
	stored(o.Part(), "K#", 3)
	stored(o.Part(), "A#", 1)
	stored("TOK#"+secret.Hash(expiring), "", 0)
	stored("CLI#"+string(client.ID), "K#", 1)
	if all, err := w.orgs.Credentials(t.Context(), o, c.ID); err != nil || all[0].LastUsed.IsZero() {
		t.Errorf("of the connection's credentials, %+v, %v, none was ever used; the one that expired was", all, err)
	}
	if !w.good(token) || !w.proves(client, standing) {
		t.Error("of what is good something was forgotten")
	}
	// Once another was used, the one from before goes with the next that is issued.
	w.issue(o, c.ID, 0)
	listed(3, 1)
	w.mem.RemoveExpired(w.now())
	stored(o.Part(), "K#", 3)
}

// Of a secret and the client's end, asked for at once, no secret is left.
func TestASecretThatRacesWithTheEnd(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		o, c := w.connection()
		client := w.client(o, c.ID)
		text, err := "", error(nil)
		var wait sync.WaitGroup
		wait.Go(func() { text, _, err = w.orgs.IssueSecret(t.Context(), o, client, 0) })
		wait.Go(func() {
			if err := w.orgs.RevokeClient(t.Context(), o, client.ID); err != nil {
				t.Errorf("RevokeClient: %v", err)
			}
		})
		wait.Wait()
		if err == nil && w.proves(client, text) {
			t.Fatal("a secret outlives its client")
		}
		all, _ := w.orgs.Credentials(t.Context(), o, c.ID)
		for _, cred := range all {
			if cred.Good(w.now()) {
				t.Fatal("a credential of an ended client is good")
			}
		}
	}
}

func TestClientsOfAnotherOrganization(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	other := w.create(org.Spec{Name: "Other"})
	client := w.client(o, c.ID)
	_, cred := w.secret(o, client, 0)
	for name, err := range map[string]error{
		"read":              second(w.orgs.Client(t.Context(), other, client.ID)),
		"end":               w.orgs.RevokeClient(t.Context(), other, client.ID),
		"issue a secret":    third(w.orgs.IssueSecret(t.Context(), other, client, 0)),
		"trust":             second(w.orgs.AddTrust(t.Context(), other, client, org.Trust{Issuer: "https://i.example", Subject: "s", Audiences: []string{"a"}})),
		"revoke its secret": w.orgs.Revoke(t.Context(), other, c.ID, cred.ID),
		"make one":          second(w.orgs.CreateClient(t.Context(), other, c.ID, "x")),
		"what is no id":     second(w.orgs.Client(t.Context(), o, "#")),
		"nobody's id":       second(w.orgs.Client(t.Context(), o, identity.MintClient())),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s through another organization: %v, want not found", name, err)
		}
	}
	if _, err := w.orgs.CreateClient(t.Context(), o, c.ID, "a\nb"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a name with a line break: %v", err)
	}
}

// An access token is looked up at the price of a static one: four items, and
// nothing while it is remembered; and an unknown client costs as many reads as a
// known one.
func TestWhatTokensCost(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	text, _ := w.secret(o, client, 0)
	static, _ := w.issue(o, c.ID, 0)
	token := w.token(client, text)
	w.good(static)
	w.good(token) // both have recorded their use
	l := ledger.New(w.mem)
	orgs := org.New(l, w.key, w.now, time.Minute)
	spent := func(f func()) ledger.Units {
		r := l.Do(f)
		return ledger.Units{Read: r.Read, Write: r.Write}
	}
	auth := func(token string) func() {
		return func() {
			if _, err := orgs.Authenticate(t.Context(), token); err != nil {
				t.Errorf("Authenticate: %v", err)
			}
		}
	}
	one, two := spent(auth(static)), spent(auth(token))
	if one != two {
		t.Errorf("an access token costs %+v, a static one %+v", two, one)
	}
	if again := spent(auth(token)); again != (ledger.Units{}) {
		t.Errorf("a token that is remembered costs %+v", again)
	}
	ask := func(id string) func() {
		return func() {
			a, err := orgs.Applicant(t.Context(), id)
			if err != nil {
				t.Errorf("Applicant: %v", err)
			}
			a.Secret("x")
		}
	}
	known := spent(ask(string(client.ID)))
	for _, id := range []string{string(identity.MintClient()), "", "#", strings.Repeat("x", 5000), "\xff", string(o.ID)} {
		if unknown := spent(ask(id)); unknown != known {
			t.Errorf("an unknown client costs %+v, a known one %+v", unknown, known)
		}
	}
}

// What stands under a token's key without an end is none of ours.
func TestAnAccessTokenHasAnEnd(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	_, cred := w.issue(o, c.ID, 0)
	token := "ghat_" + secret.Token()
	data := `{"o":"` + string(o.ID) + `","c":"` + string(c.ID) + `","k":"` + string(cred.ID) + `"}`
	if _, err := w.mem.Commit(t.Context(), table.Create(table.Key{Part: "ACC#" + secret.Hash(token), Sort: "#"}, []byte(data))); err != nil {
		t.Fatal(err)
	}
	if w.good(token) {
		t.Error("an access token without an end is good")
	}
}

// meanwhile is a table in which something happens just before the first commit.
type meanwhile struct {
	table.Table
	once sync.Once
	do   func()
}

func (m *meanwhile) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	m.once.Do(m.do)
	return m.Table.Commit(ctx, writes...)
}

// Two that add the last one there is room for, having read the same.
func TestNoMoreThanTheLimit(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	client := w.client(o, c.ID)
	beside := func(do func()) *org.Store {
		return org.New(&meanwhile{Table: w.mem, do: do}, w.key, w.now, 0)
	}
	good := func(of func(org.Credential) bool) (n int) {
		all, err := w.orgs.Credentials(t.Context(), o, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, cred := range all {
			if cred.Good(w.now()) && of(cred) {
				n++
			}
		}
		return n
	}
	w.issue(o, c.ID, 0)
	if _, _, err := beside(func() { w.issue(o, c.ID, 0) }).Issue(t.Context(), o, c.ID, 0); err != nil {
		t.Fatal(err)
	}
	if n := good(org.Credential.Static); n != org.MaxCredentials {
		t.Errorf("%d static tokens are good, want %d", n, org.MaxCredentials)
	}
	for range org.MaxSecrets - 1 {
		w.secret(o, client, 0)
	}
	if _, _, err := beside(func() { w.secret(o, client, 0) }).IssueSecret(t.Context(), o, client, 0); err != nil {
		t.Fatal(err)
	}
	if n := good(func(c org.Credential) bool { return !c.Static() }); n != org.MaxSecrets {
		t.Errorf("%d secrets are good, want %d", n, org.MaxSecrets)
	}
	// And of a secret and the client's end the end has the last word.
	if _, _, err := beside(func() {
		if err := w.orgs.RevokeClient(t.Context(), o, client.ID); err != nil {
			t.Error(err)
		}
	}).IssueSecret(t.Context(), o, client, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("a secret while the client ends: %v, want a conflict", err)
	}
	if n := good(func(c org.Credential) bool { return !c.Static() }); n != 0 {
		t.Errorf("%d secrets of an ended client are good", n)
	}
}
