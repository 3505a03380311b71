package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

func TestClients(t *testing.T) {
	w := newWorld(t, nil)
	op := &app.Operator{App: w.app}
	must := commands(t, op)
	must("org create", app.OrgCreate{Name: "Acme"})
	must("org create", app.OrgCreate{Name: "Other"})
	conn := must("connection create", app.ConnectionCreate{Org: "acme", Name: "Entra"})["connection"].(string)
	c := must("client create", app.ClientCreate{Org: "acme", Connection: conn, Name: "Provisioning", Expires: "8760h"})
	id := c["client"].(string)
	if c["tokenUrl"] != "https://gatehouse.test/oauth/token" || c["scim"] != "https://gatehouse.test/scim/v2" || c["connection"] != conn || c["secret"] == nil {
		t.Errorf("client create answers %v", c)
	}
	if end, err := time.Parse(time.RFC3339, c["expires"].(string)); err != nil || end.Sub(w.app.Now()) > 8760*time.Hour || end.Sub(w.app.Now()) < 8759*time.Hour {
		t.Errorf("the secret expires %v, %v; want in 8760 hours", end, err)
	}
	bare := must("client create", app.ClientCreate{Org: "acme", Connection: conn, Name: "Federated", NoSecret: true})
	if bare["secret"] != nil || bare["credential"] != nil || bare["client"] == "" {
		t.Errorf("client create without a secret answers %v", bare)
	}
	trust := must("client trust", app.ClientTrust{Org: "acme", Client: id, Issuer: "https://login.example.com/t/v2.0", Subject: "s"})
	if trust["credential"] == "" || trust["secret"] != nil || trust["tokenUrl"] != c["tokenUrl"] {
		t.Errorf("client trust answers %v", trust)
	}

	// proves reports whether the client has a good credential of the id.
	credentials := func() map[string]bool {
		good := map[string]bool{}
		for _, v := range must("client list", app.ClientArgs{Org: "acme"})["list"].([]any) {
			for _, k := range v.(map[string]any)["credentials"].([]any) {
				k := k.(map[string]any)
				good[k["id"].(string)] = k["revoked"] == nil
				if tr, ok := k["trust"].(map[string]any); ok && tr["audiences"].([]any)[0] != "https://gatehouse.test/oauth/token" {
					t.Errorf("a trust without an audience is for %v, want the token URL", tr["audiences"])
				}
			}
		}
		return good
	}
	secret, word := c["credential"].(string), trust["credential"].(string)
	if g := credentials(); len(g) != 2 || !g[secret] || !g[word] {
		t.Errorf("the credentials are %v", g)
	}
	kinds := map[string]any{}
	for _, k := range must("connection list", app.ConnectionArgs{Org: "acme"})["list"].([]any)[0].(map[string]any)["credentials"].([]any) {
		k := k.(map[string]any)
		kinds[k["id"].(string)] = k["kind"]
		if (k["kind"] == "token") != (k["client"] == nil) || (k["kind"] == "trust") != (k["trust"] != nil) || k["client"] != nil && k["client"] != id {
			t.Errorf("connection list shows %v, want whose it is", k)
		}
	}
	if len(kinds) != 3 || kinds[secret] != "secret" || kinds[word] != "trust" {
		t.Errorf("connection list shows credentials of the kinds %v, want a token, a secret and a trust", kinds)
	}

	for name, args := range map[string]struct {
		command string
		args    any
		kind    fault.Kind
	}{
		"another organization's":          {"client rotate", app.ClientArgs{Org: "other", Client: id}, fault.NotFound},
		"another organization's, to end":  {"client revoke", app.ClientArgs{Org: "other", Client: id, All: true}, fault.NotFound},
		"neither one nor all, to end":     {"client revoke", app.ClientArgs{Org: "acme", Client: id}, fault.Invalid},
		"another client's secret, to end": {"client revoke", app.ClientArgs{Org: "acme", Client: bare["client"].(string), Credential: secret}, fault.NotFound},
		"keys at the metadata of a cloud": {"client trust", app.ClientTrust{Org: "acme", Client: id, Issuer: "https://i.example", Subject: "s", Keys: "https://169.254.169.254/keys"}, fault.Invalid},
		"an issuer on this machine":       {"client trust", app.ClientTrust{Org: "acme", Client: id, Issuer: "https://localhost:8443", Subject: "s"}, fault.Invalid},
		"no client":                       {"client trust", app.ClientTrust{Org: "acme", Client: "x", Issuer: "https://i.example", Subject: "s"}, fault.NotFound},
		"four years":                      {"client rotate", app.ClientArgs{Org: "acme", Client: id, Expires: "35040h"}, fault.Invalid},
		"four years at first":             {"client create", app.ClientCreate{Org: "acme", Connection: conn, Name: "x", Expires: "35040h"}, fault.Invalid},
		"no lifetime":                     {"client create", app.ClientCreate{Org: "acme", Connection: conn, Name: "x", Expires: "soon"}, fault.Invalid},
		"no connection":                   {"client create", app.ClientCreate{Org: "acme", Connection: "00000", Name: "x"}, fault.NotFound},
	} {
		if _, err := do(t, op, args.command, args.args); !fault.Is(err, args.kind) {
			t.Errorf("%s: %v, want %v", name, err, args.kind)
		}
	}
	if n := len(must("client list", app.ClientArgs{Org: "acme"})["list"].([]any)); n != 2 {
		t.Errorf("there are %d clients, want two: what is refused makes none", n)
	}

	second := must("client rotate", app.ClientArgs{Org: "acme", Client: id})["credential"].(string)
	third := must("client rotate", app.ClientArgs{Org: "acme", Client: id})["credential"].(string)
	_, err := do(t, op, "client rotate", app.ClientArgs{Org: "acme", Client: id})
	if said := fault.Of(err); !fault.Is(err, fault.Conflict) || !strings.Contains(said.Msg, secret+" (") || !strings.Contains(said.Msg, third+" (") || strings.Contains(said.Msg, word) {
		t.Errorf("a fourth secret is refused with %v, want which three are good", err)
	}
	must("client rotate", app.ClientArgs{Org: "acme", Client: id, Replaces: third})
	if g := credentials(); !g[secret] || !g[second] || g[third] {
		t.Errorf("after the third secret was replaced the credentials are %v", g)
	}
	must("client revoke", app.ClientArgs{Org: "acme", Client: id, Credential: secret})
	if g := credentials(); g[secret] || !g[second] || !g[word] {
		t.Errorf("after one secret ended the credentials are %v", g)
	}
	// Every credential of the connection is also its clients'.
	must("connection revoke", app.ConnectionArgs{Org: "acme", Connection: conn, All: true})
	if g := credentials(); g[second] || g[word] {
		t.Errorf("after all of the connection's credentials ended the clients' are %v", g)
	}
}

// A directory that speaks OAuth alone is seen to ask: by its client's secret.
func TestLastUseOfAClient(t *testing.T) {
	w := newWorld(t, nil)
	op := &app.Operator{App: w.app}
	must := commands(t, op)
	must("org create", app.OrgCreate{Name: "Acme"})
	conn := must("connection create", app.ConnectionCreate{Org: "acme", Name: "Entra"})["connection"].(string)
	c := must("client create", app.ClientCreate{Org: "acme", Connection: conn, Name: "Provisioning"})
	of := app.ConnectionArgs{Org: "acme", Connection: conn}
	if shown := must("connection show", of); shown["lastUsed"] != nil {
		t.Errorf("a connection that nobody used was last used %v", shown["lastUsed"])
	}
	who, err := w.app.Orgs.Applicant(t.Context(), c["client"].(string))
	if err != nil {
		t.Fatal(err)
	}
	cred, ok := who.Secret(c["secret"].(string))
	if !ok {
		t.Fatal("the client's secret is not good")
	}
	token, _, err := w.app.Orgs.Grant(t.Context(), who, cred)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.app.Orgs.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	shown := must("connection show", of)
	last := shown["lastUsed"]
	if last == nil {
		t.Errorf("connection show answers %v after its client asked, want when it was last used", shown)
	}
	for _, k := range shown["credentials"].([]any) {
		k := k.(map[string]any)
		if (k["kind"] == "secret") != (k["lastUsed"] != nil) || k["lastUsed"] != nil && k["lastUsed"] != last {
			t.Errorf("connection show has %v among the credentials, want the secret alone used, at %v", k, last)
		}
	}
}

// between is a table in which something happens just before a commit.
type between struct {
	table.Table
	do func()
}

func (b *between) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if do := b.do; do != nil {
		b.do = nil
		do()
	}
	return b.Table.Commit(ctx, writes...)
}

// All credentials end, also one that was issued while the others were ended.
func TestRevokeAllBesideARotation(t *testing.T) {
	b := &between{}
	w := newWorld(t, func(tab table.Table) table.Table { b.Table = tab; return b })
	op := &app.Operator{App: w.app}
	ans, err := do(t, op, "connection create", app.ConnectionCreate{Org: string(w.org.ID), Name: "Two"})
	if err != nil {
		t.Fatal(err)
	}
	conn := ans["connection"].(string)
	beside := org.New(w.mem, w.app.Key, time.Now, 0)
	late := ""
	b.do = func() {
		if late, _, err = beside.Issue(t.Context(), w.org, identity.Connection(conn), 0); err != nil {
			t.Error(err)
		}
	}
	if _, err := do(t, op, "connection revoke", app.ConnectionArgs{Org: string(w.org.ID), Connection: conn, All: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := beside.Authenticate(t.Context(), late); late == "" || !fault.Is(err, fault.Unauthorized) {
		t.Errorf("a token that was issued beside revoking all is good: %v", err)
	}
}
