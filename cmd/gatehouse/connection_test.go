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

// A connection is changed and shown on a store at rest, and what is not given
// stays.
func TestConnectionUpdateAndShow(t *testing.T) {
	data := t.TempDir() + "/data"
	gatehouse := func(code int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), append(args, "--data", data), &out, &errs); got != code {
			t.Fatalf("gatehouse %v = %d, %q; want %d", args, got, errs.String(), code)
		}
		return out.String()
	}
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
	data := t.TempDir() + "/data"
	gatehouse := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(args, "--data", data), &out, &errs); code != 0 {
			t.Fatalf("gatehouse %v = %d, %q", args, code, errs.String())
		}
		return out.String()
	}
	gatehouse("org", "create", "--name", "Example")
	var token app.CredentialAnswer
	if err := json.Unmarshal([]byte(gatehouse("connection", "create", "--org", "example", "--name", "Okta", "--expires", "1ns", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	of := []string{"--org", "example", "--connection", token.Connection}
	var secret app.ClientAnswer
	if err := json.Unmarshal([]byte(gatehouse(append([]string{"client", "create", "--name", "Payroll", "--expires", "1ns", "--json"}, of...)...)), &secret); err != nil {
		t.Fatal(err)
	}
	gatehouse(append([]string{"connection", "rotate", "--expires", "8760h"}, of...)...)
	var shown app.ConnectionShown
	if err := json.Unmarshal([]byte(gatehouse(append([]string{"connection", "show", "--json"}, of...)...)), &shown); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{app.Expired, app.Expired, app.Good} {
		if got := shown.Credentials[i].State; got != want {
			t.Errorf("credential %d of the connection is %q, want %q", i, got, want)
		}
	}
	for name, text := range map[string]string{
		"connection show": gatehouse(append([]string{"connection", "show"}, of...)...),
		"connection list": gatehouse("connection", "list", "--org", "example"),
		"client list":     gatehouse("client", "list", "--org", "example"),
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
		if want := map[string]int{"connection show": 2, "connection list": 2, "client list": 1}[name]; found != want || !strings.Contains(text, "good") {
			t.Errorf("%s prints %d credentials that expired, want %d beside what is good:\n%s", name, found, want, text)
		}
	}
	gatehouse(append([]string{"connection", "revoke", "--credential", token.Credential}, of...)...)
	if text := gatehouse(append([]string{"connection", "show"}, of...)...); !strings.Contains(text, "revoked 2") || strings.Count(text, "expired 2") != 1 {
		t.Errorf("connection show prints, after the expired token was revoked,\n%s", text)
	}
}

// On a store at rest nobody knows the token URL unless it is said: a trust that
// is for another would never be met.
func TestTrustNamesAnAudience(t *testing.T) {
	t.Setenv("GATEHOUSE_URL", "")
	os.Unsetenv("GATEHOUSE_URL")
	data := t.TempDir() + "/data"
	gatehouse := func(code int, args ...string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), append(args, "--data", data), &out, &errs); got != code {
			t.Fatalf("gatehouse %v = %d, %q; want %d", args, got, errs.String(), code)
		}
		return out.String(), errs.String()
	}
	gatehouse(0, "org", "create", "--name", "Example")
	out, _ := gatehouse(0, "connection", "create", "--org", "example", "--name", "Entra", "--json")
	var made app.CredentialAnswer
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	out, _ = gatehouse(0, "client", "create", "--org", "example", "--connection", made.Connection, "--name", "Entra", "--no-secret", "--json")
	var client app.ClientAnswer
	if err := json.Unmarshal([]byte(out), &client); err != nil {
		t.Fatal(err)
	}
	trust := []string{"client", "trust", "--org", "example", "--client", client.Client, "--issuer", "https://login.example.com/t/v2.0", "--subject", "s"}
	if _, errs := gatehouse(1, trust...); !strings.Contains(errs, "--audience") || !strings.Contains(errs, "--url") {
		t.Errorf("client trust without an audience says %q, want what to say", errs)
	}
	gatehouse(0, append(trust, "--audience", "api://x")...)
	gatehouse(0, append(trust, "--url", "https://gatehouse.example.com")...)
	out, _ = gatehouse(0, "client", "list", "--org", "example", "--json")
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
	data := t.TempDir() + "/data"
	gatehouse := func(code int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), append(args, "--data", data), &out, &errs); got != code {
			t.Fatalf("gatehouse %v = %d, %q; want %d", args, got, errs.String(), code)
		}
		return out.String()
	}
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
