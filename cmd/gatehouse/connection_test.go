package main

import (
	"bytes"
	"encoding/json"
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
