package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/org"
)

// program is the command line on a data folder of its own.
type program struct {
	t    *testing.T
	data string
	said string // on stderr, by the last command
}

func newProgram(t *testing.T) *program { return &program{t: t, data: t.TempDir() + "/data"} }

// run carries a command out, which has to end with the code, and returns its
// answer.
func (p *program) run(code int, args ...string) string {
	p.t.Helper()
	var out, errs bytes.Buffer
	got := run(p.t.Context(), append(args, "--data", p.data), &out, &errs)
	if p.said = errs.String(); got != code {
		p.t.Fatalf("gatehouse %v = %d, %q; want %d", args, got, p.said, code)
	}
	return out.String()
}

// A connection is changed and shown on a store at rest, and what is not given
// stays.
func TestConnectionUpdateAndShow(t *testing.T) {
	gatehouse := newProgram(t).run
	gatehouse(0, "org", "create", "--name", "Example")
	var made app.CredentialAnswer
	if err := json.Unmarshal([]byte(gatehouse(0, "connection", "create", "--org", "example", "--name", "Okta", "--rate", "30", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	of := []string{"--org", "example", "--connection", made.Connection}
	text := gatehouse(0, append([]string{"connection", "update", "--dialect", "interop"}, of...)...)
	for _, want := range []string{"Okta (" + made.Connection + ")", "Dialect        interop\n", "Rate           30 requests a second\n", "/scim/v2\n", made.Credential, "fitted as they came"} {
		if !strings.Contains(text, want) {
			t.Errorf("connection update prints\n%s\nwithout %q", text, want)
		}
	}
	var client app.ClientAnswer
	if err := json.Unmarshal([]byte(gatehouse(0, append([]string{"client", "create", "--name", "Payroll", "--json"}, of...)...)), &client); err != nil {
		t.Fatal(err)
	}
	text = gatehouse(0, append([]string{"connection", "show"}, of...)...)
	for _, want := range []string{"token " + made.Credential + " ", "secret " + client.Credential + " of client " + client.Client} {
		if !strings.Contains(text, want) {
			t.Errorf("connection show prints\n%s\nwithout %q", text, want)
		}
	}
	gatehouse(0, append([]string{"connection", "update", "--rate", "0", "--name", "Entra"}, of...)...)
	if text := gatehouse(0, append([]string{"connection", "show"}, of...)...); !strings.Contains(text, "Rate           what is usual here\n") || !strings.Contains(text, "Entra (") || !strings.Contains(text, "interop") {
		t.Errorf("connection show prints\n%s", text)
	}
	if text := gatehouse(0, append([]string{"connection", "show"}, of...)...); !strings.Contains(text, "Discovery      standard\n") {
		t.Errorf("connection show prints\n%s", text)
	}
	gatehouse(0, append(append([]string{"connection", "discovery"}, of...), "plain")...)
	if text := gatehouse(0, append([]string{"connection", "show"}, of...)...); !strings.Contains(text, "Discovery      plain\n") {
		t.Errorf("connection show after connection discovery prints\n%s", text)
	}
	gatehouse(2, append([]string{"connection", "update"}, of...)...)
	gatehouse(1, append([]string{"connection", "update", "--rate", "3"}, of...)...)
	gatehouse(1, append([]string{"connection", "update", "--dialect", "loose"}, of...)...)
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	if text := connectionText(app.ConnectionShown{Coercions: []org.Coercion{{Rule: "stringBoolean", Count: 12, First: at, Last: at.Add(time.Hour)}}}); !strings.Contains(text, "stringBoolean  12 times  first 2026-11-22 09:00 UTC  last 2026-11-22 10:00 UTC") {
		t.Errorf("coercions are printed as\n%s", text)
	}
}

// A credential that has run out is not called good, and its date is said.
func TestExpiredCredentials(t *testing.T) {
	gatehouse := newProgram(t).run
	gatehouse(0, "org", "create", "--name", "Example")
	var token app.CredentialAnswer
	if err := json.Unmarshal([]byte(gatehouse(0, "connection", "create", "--org", "example", "--name", "Okta", "--expires", "1ns", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	of := []string{"--org", "example", "--connection", token.Connection}
	var secret app.ClientAnswer
	if err := json.Unmarshal([]byte(gatehouse(0, append([]string{"client", "create", "--name", "Payroll", "--expires", "1ns", "--json"}, of...)...)), &secret); err != nil {
		t.Fatal(err)
	}
	gatehouse(0, append([]string{"connection", "rotate", "--expires", "8760h"}, of...)...)
	var shown app.ConnectionShown
	if err := json.Unmarshal([]byte(gatehouse(0, append([]string{"connection", "show", "--json"}, of...)...)), &shown); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{app.Expired, app.Expired, app.Good} {
		if got := shown.Credentials[i].State; got != want {
			t.Errorf("credential %d of the connection is %q, want %q", i, got, want)
		}
	}
	for name, text := range map[string]string{
		"connection show": gatehouse(0, append([]string{"connection", "show"}, of...)...),
		"connection list": gatehouse(0, "connection", "list", "--org", "example"),
		"client list":     gatehouse(0, "client", "list", "--org", "example"),
	} {
		found := 0
		for line := range strings.Lines(text) {
			if strings.Contains(line, token.Credential) || strings.Contains(line, secret.Credential) {
				found++
				if expired := "expired " + when(shown.Credentials[0].Expires); !strings.Contains(line, expired) || strings.Contains(line, "good") {
					t.Errorf("%s prints %q, want %q", name, line, expired)
				}
			}
		}
		if want := map[string]int{"connection show": 2, "connection list": 2, "client list": 1}[name]; found != want || strings.Contains(text, "good") != (name != "client list") {
			t.Errorf("%s prints %d credentials that expired, want %d beside what is good:\n%s", name, found, want, text)
		}
	}
	// A client is as good as what it has.
	own := []string{"--org", "example", "--client", secret.Client}
	for _, step := range []struct {
		do   []string
		want string
	}{
		{nil, "no valid secret or trust"},
		{[]string{"client", "rotate"}, "good"},
		{[]string{"client", "revoke", "--all"}, "revoked 2"},
	} {
		if step.do != nil {
			gatehouse(0, append(step.do, own...)...)
		}
		line, _, _ := strings.Cut(gatehouse(0, "client", "list", "--org", "example"), "\n")
		if !strings.Contains(line, secret.Client) || !strings.Contains(line, step.want) {
			t.Errorf("after %v client list prints %q of the client, want %q", step.do, line, step.want)
		}
	}
	// What a script's empty variable leaves there ends nothing, and does not pass
	// for having ended something.
	before := gatehouse(0, append([]string{"connection", "show"}, of...)...)
	gatehouse(1, append([]string{"connection", "revoke", "--credential", ""}, of...)...)
	gatehouse(1, append([]string{"connection", "rotate", "--replaces", ""}, of...)...)
	gatehouse(1, append([]string{"client", "revoke", "--credential", ""}, own...)...)
	gatehouse(1, append([]string{"client", "rotate", "--replaces", ""}, own...)...)
	if after := gatehouse(0, append([]string{"connection", "show"}, of...)...); after != before {
		t.Errorf("empty ids changed the connection from\n%s\nto\n%s", before, after)
	}
	gatehouse(0, append([]string{"connection", "revoke", "--credential", token.Credential}, of...)...)
	if text := gatehouse(0, append([]string{"connection", "show"}, of...)...); !strings.Contains(text, "revoked 2") || strings.Count(text, "expired 2") != 1 {
		t.Errorf("connection show prints, after the expired token was revoked,\n%s", text)
	}
}

// On a store at rest nobody knows the token URL unless it is said: a trust that
// is for another would never be met.
func TestTrustNamesAnAudience(t *testing.T) {
	t.Setenv("GATEHOUSE_URL", "")
	os.Unsetenv("GATEHOUSE_URL")
	p := newProgram(t)
	p.run(0, "org", "create", "--name", "Example")
	out := p.run(0, "connection", "create", "--org", "example", "--name", "Entra", "--json")
	var made app.CredentialAnswer
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	out = p.run(0, "client", "create", "--org", "example", "--connection", made.Connection, "--name", "Entra", "--no-secret", "--json")
	var client app.ClientAnswer
	if err := json.Unmarshal([]byte(out), &client); err != nil {
		t.Fatal(err)
	}
	trust := []string{"client", "trust", "--org", "example", "--client", client.Client, "--issuer", "https://login.example.com/t/v2.0", "--subject", "s"}
	p.run(1, trust...)
	if !strings.Contains(p.said, "--audience") || !strings.Contains(p.said, "--url") {
		t.Errorf("client trust without an audience says %q, want what to say", p.said)
	}
	p.run(0, append(trust, "--audience", "api://x")...)
	p.run(0, append(trust, "--url", "https://gatehouse.example.com")...)
	out = p.run(0, "client", "list", "--org", "example", "--json")
	var list []app.ClientView
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || len(list[0].Credentials) != 2 {
		t.Fatalf("client list = %s, %v; want one client with two trusts", out, err)
	}
	for i, want := range []string{"api://x", "https://gatehouse.example.com/oauth/token"} {
		if got := list[0].Credentials[i].Trust.Audiences; len(got) != 1 || got[0] != want {
			t.Errorf("the trust is for %v, want %s", got, want)
		}
	}
}

// A connection of a directory that uses OAuth has no secret that nobody holds;
// a token can be made later.
func TestConnectionWithoutAToken(t *testing.T) {
	gatehouse := newProgram(t).run
	gatehouse(0, "org", "create", "--name", "Example")
	if text := gatehouse(0, "connection", "create", "--org", "example", "--name", "Okta", "--no-token"); strings.Contains(text, "oken ") || strings.Contains(text, "Credential") || !strings.Contains(text, "gatehouse client create --org example --connection ") {
		t.Errorf("connection create --no-token prints\n%s\nwant what to do next, and no token", text)
	}
	out := gatehouse(0, "connection", "create", "--org", "example", "--name", "Entra", "--no-token", "--json")
	var made app.CredentialAnswer
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Connection == "" || made.SCIM == "" || strings.Contains(out, "token") || strings.Contains(out, "credential") {
		t.Errorf("connection create --no-token --json = %s, %v", out, err)
	}
	of := []string{"--org", "example", "--connection", made.Connection}
	show := func() (c app.ConnectionShown) {
		t.Helper()
		if err := json.Unmarshal([]byte(gatehouse(0, append([]string{"connection", "show", "--json"}, of...)...)), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := show(); len(c.Credentials) != 0 {
		t.Errorf("a connection without a token has the credentials %+v", c.Credentials)
	}
	gatehouse(0, append([]string{"connection", "rotate"}, of...)...)
	if c := show(); len(c.Credentials) != 1 || c.Credentials[0].Kind != "token" {
		t.Errorf("after connection rotate it has %+v, want a token", c.Credentials)
	}
	gatehouse(2, "connection", "create", "--org", "example", "--name", "Both", "--no-token", "--expires", "8760h")
}

// A rotation that is typed again, since its answer was lost, is refused and ends
// nothing; who names what it replaces goes on.
func TestRotateAgain(t *testing.T) {
	p := newProgram(t)
	p.run(0, "org", "create", "--name", "Example")
	var token app.CredentialAnswer
	if err := json.Unmarshal([]byte(p.run(0, "connection", "create", "--org", "example", "--name", "Entra", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	var secret app.ClientAnswer
	if err := json.Unmarshal([]byte(p.run(0, "client", "create", "--org", "example", "--connection", token.Connection, "--name", "Entra", "--json")), &secret); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rotate []string
		used   string // the credential that is in use
		others int    // that may be good beside it
	}{
		{[]string{"connection", "rotate", "--org", "example", "--connection", token.Connection}, token.Credential, org.MaxCredentials - 1},
		{[]string{"client", "rotate", "--org", "example", "--client", secret.Client}, secret.Credential, org.MaxSecrets - 1},
	} {
		for range c.others {
			p.run(0, c.rotate...)
		}
		p.run(1, c.rotate...)
		if !strings.Contains(p.said, c.used+" (created ") || strings.Count(p.said, "never used") != 1+c.others || !strings.Contains(p.said, "--replaces ID") {
			t.Errorf("%v again says %q, want what is good and how to go on", c.rotate, p.said)
		}
		_, rest, _ := strings.Cut(p.said, c.used)
		_, lost, _ := strings.Cut(rest, "), ")
		lost, _, _ = strings.Cut(lost, " (")
		p.run(0, append(c.rotate, "--replaces", lost)...)
		p.run(1, append(c.rotate, "--replaces", lost)...)
		if strings.Contains(p.said, lost) || !strings.Contains(p.said, c.used+" (") {
			t.Errorf("replacing %s again says %q, want what is good", lost, p.said)
		}
	}
}
