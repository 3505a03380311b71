package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/pump"
)

// do carries a command out and gives its answer as --json prints it.
func do(t *testing.T, op *app.Operator, name string, args any) (map[string]any, error) {
	t.Helper()
	in, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	ans, err := op.Do(t.Context(), name, in)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(map[string]any{"answer": ans})
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Answer any }
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if m, ok := out.Answer.(map[string]any); ok {
		return m, nil
	}
	return map[string]any{"list": out.Answer}, nil
}

// commands is do for commands that have to go through.
func commands(t *testing.T, op *app.Operator) func(name string, args any) map[string]any {
	return func(name string, args any) map[string]any {
		t.Helper()
		out, err := do(t, op, name, args)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
}

func TestAnOperatorsDay(t *testing.T) {
	w := newWorld(t, nil)
	op := &app.Operator{App: w.app}
	must := commands(t, op)
	good := func(token any) bool {
		_, err := w.app.Orgs.Authenticate(t.Context(), token.(string))
		return err == nil
	}
	o := must("org create", app.OrgCreate{Name: "Acme GmbH", Language: "de", Admin: "boss@acme.test"})
	if o["slug"] != "acme-gmbh" || o["admin"] == "" || o["signIn"] != "https://gatehouse.test/o/acme-gmbh/sign-in" {
		t.Errorf("org create answers %v", o)
	}
	if n := len(must("org list", nil)["list"].([]any)); n != 2 {
		t.Errorf("org list has %d organizations, want 2", n)
	}
	must("org invite", app.OrgInvite{Org: "acme-gmbh", Admin: "deputy@acme.test"})
	drain := w.pump(pump.Options{})
	drain()
	if got := w.out.to(); got["boss@acme.test"] != 1 || got["deputy@acme.test"] != 1 {
		t.Errorf("the invited admins have %v mails, want one each", got)
	}
	first := must("connection create", app.ConnectionCreate{Org: o["org"].(string), Name: "Okta", NoWelcome: true})
	if first["scim"] != "https://gatehouse.test/scim/v2" || !good(first["token"]) {
		t.Errorf("connection create answers %v", first)
	}
	c := app.ConnectionArgs{Org: "acme-gmbh", Connection: first["connection"].(string)}
	second := must("connection rotate", c)
	if !good(first["token"]) || !good(second["token"]) {
		t.Error("after one rotation not both credentials are good")
	}
	// Asked again, as by who did not get the answer: neither ends.
	_, err := do(t, op, "connection rotate", c)
	if said := fault.Of(err); !fault.Is(err, fault.Conflict) || !strings.Contains(said.Msg, first["credential"].(string)+" (created ") ||
		!strings.Contains(said.Msg, second["credential"].(string)+" (created ") || !strings.Contains(said.Msg, "--replaces") {
		t.Errorf("a third token is refused with %v, want which are good and how to go on", err)
	}
	if !good(first["token"]) || !good(second["token"]) {
		t.Error("a refused rotation ended a credential")
	}
	instead := c
	instead.Replaces = first["credential"].(string)
	third := must("connection rotate", instead)
	if good(first["token"]) || !good(second["token"]) || !good(third["token"]) {
		t.Error("after the first was replaced not the other two credentials are good")
	}
	_, err = do(t, op, "connection rotate", instead)
	if said := fault.Of(err); !fault.Is(err, fault.Conflict) || strings.Contains(said.Msg, instead.Replaces) || !strings.Contains(said.Msg, third["credential"].(string)) {
		t.Errorf("replacing the first again is refused with %v, want which are good", err)
	}
	one := c
	one.Credential = second["credential"].(string)
	must("connection revoke", one)
	if good(second["token"]) || !good(third["token"]) {
		t.Error("revoking one credential did not end it alone")
	}
	c.Welcome = "on"
	must("connection welcome", c)
	c.Discovery = "plain"
	must("connection discovery", c)
	list := must("connection list", app.ConnectionArgs{Org: "acme-gmbh"})["list"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["noWelcome"] != false || list[0].(map[string]any)["discovery"] != "plain" || len(list[0].(map[string]any)["credentials"].([]any)) != 3 {
		t.Errorf("connection list answers %v", list)
	}
	if text := fmt.Sprint(list); strings.Contains(text, third["token"].(string)) || strings.Contains(text, secret.Hash(third["token"].(string))) {
		t.Error("connection list shows a secret or its hash")
	}
	rate := 50
	changed := must("connection update", app.ConnectionUpdate{Org: "acme-gmbh", Connection: c.Connection, Name: "Entra ID", Dialect: "strict", Rate: &rate})
	shown := must("connection show", app.ConnectionArgs{Org: "acme-gmbh", Connection: c.Connection})
	if fmt.Sprint(changed) != fmt.Sprint(shown) {
		t.Errorf("connection update answers %v, connection show %v", changed, shown)
	}
	if shown["name"] != "Entra ID" || shown["dialect"] != "strict" || shown["rate"] != 50. || shown["scim"] != "https://gatehouse.test/scim/v2" || shown["lastUsed"] == nil || len(shown["coercions"].([]any)) != 0 || len(shown["credentials"].([]any)) != 3 {
		t.Errorf("connection show answers %v", shown)
	}
	a, err := w.app.Orgs.Authenticate(t.Context(), third["token"].(string))
	if err != nil || a.Connection.Dialect != "strict" || a.Connection.Rate != 50 {
		t.Errorf("after the update requests are read as %+v, %v", a.Connection, err)
	}
	w.app.Orgs.CountCoercions(a, maps.All(map[string]int{"upserted": 2}))
	rate = 0
	shown = must("connection update", app.ConnectionUpdate{Org: "acme-gmbh", Connection: c.Connection, Rate: &rate})
	if shown["rate"] != 0. || shown["dialect"] != "strict" || shown["coercions"].([]any)[0].(map[string]any)["count"] != 2. {
		t.Errorf("connection update of the rate alone answers %v", shown)
	}
	c.All = true
	must("connection revoke", c)
	if good(third["token"]) {
		t.Error("revoking all left a credential good")
	}
	if strings.Contains(w.log.String(), "acme.test") || strings.Contains(w.log.String(), "ghsc_") {
		t.Error("the log names a person or a secret")
	}
}

func TestCommandsRefuse(t *testing.T) {
	w := newWorld(t, nil)
	op := &app.Operator{App: w.app}
	conn := string(w.dir.Connection().ID)
	for _, c := range []struct {
		name string
		args any
		kind fault.Kind
	}{
		{"fly", nil, fault.Invalid},
		{"", nil, fault.Invalid},
		{"org create", "text", fault.Invalid},
		{"org create", map[string]any{"name": "x", "colour": "red"}, fault.Invalid},
		{"org create", app.OrgCreate{}, fault.Invalid},
		{"org create", app.OrgCreate{Name: "x", Slug: "example"}, fault.Conflict},
		{"org create", app.OrgCreate{Name: "y", Admin: "nobody"}, fault.Invalid},
		{"org invite", app.OrgInvite{Org: "nowhere", Admin: "a@b.test"}, fault.NotFound},
		{"connection create", app.ConnectionCreate{Org: "example", Name: "x", Expires: "soon"}, fault.Invalid},
		{"connection create", app.ConnectionCreate{Org: "example", Name: "x", Expires: "-1h"}, fault.Invalid},
		{"connection create", app.ConnectionCreate{Org: "nowhere", Name: "x"}, fault.NotFound},
		{"connection rotate", app.ConnectionArgs{Org: "example", Connection: "zzzzz"}, fault.NotFound},
		{"connection rotate", app.ConnectionArgs{Org: "example", Connection: "../.."}, fault.NotFound},
		{"connection revoke", app.ConnectionArgs{Org: "example", Connection: conn, Credential: "zzzzzzzzzz"}, fault.NotFound},
		{"connection revoke", app.ConnectionArgs{Org: "example", Connection: "zzzzz", All: true}, fault.NotFound},
		{"connection revoke", app.ConnectionArgs{Org: "example", Connection: conn}, fault.Invalid},
		{"connection revoke", app.ConnectionArgs{Org: "example", Connection: conn, Credential: "zzzzzzzzzz", All: true}, fault.Invalid},
		{"connection welcome", app.ConnectionArgs{Org: "example", Connection: conn, Welcome: "maybe"}, fault.Invalid},
		{"connection welcome", app.ConnectionArgs{Org: "example", Connection: "\x00", Welcome: "on"}, fault.NotFound},
		{"connection discovery", app.ConnectionArgs{Org: "example", Connection: conn, Discovery: "maybe"}, fault.Invalid},
		{"connection discovery", app.ConnectionArgs{Org: "example", Connection: "\x00", Discovery: "full"}, fault.NotFound},
		{"connection show", app.ConnectionArgs{Org: "example", Connection: "zzzzz"}, fault.NotFound},
		{"connection show", app.ConnectionArgs{Org: "nowhere", Connection: conn}, fault.NotFound},
		{"connection update", app.ConnectionUpdate{Org: "example", Connection: conn, Dialect: "loose"}, fault.Invalid},
		{"connection update", app.ConnectionUpdate{Org: "example", Connection: "zzzzz", Dialect: "strict"}, fault.NotFound},
		{"connection create", app.ConnectionCreate{Org: "example", Name: "x", Rate: 3}, fault.Invalid},
	} {
		if _, err := do(t, op, c.name, c.args); !fault.Is(err, c.kind) {
			t.Errorf("%s %+v = %v, want it refused as %v", c.name, c.args, err, c.kind)
		}
	}
	if list, err := do(t, op, "org list", nil); err != nil || len(list["list"].([]any)) != 1 {
		t.Errorf("after the refusals org list = %v, %v; want the one organization from before", list, err)
	}
}

// What the feed gives up on is listed without naming anybody, and replayed.
func TestDeadWork(t *testing.T) {
	w := newWorld(t, func(m table.Table) table.Table { return &dead{Table: m} })
	op := &app.Operator{App: w.app}
	if _, err := w.dir.Join(t.Context(), person("ada@example.com")); err != nil {
		t.Fatal(err)
	}
	w.pump(pump.Options{Tries: 2})()
	list, err := do(t, op, "dead list", nil)
	if err != nil || len(list["list"].([]any)) != 1 {
		t.Fatalf("dead list = %v, %v; want the one event", list, err)
	}
	if text := fmt.Sprint(list); strings.Contains(text, "ada@") {
		t.Errorf("dead list names a person: %s", text)
	}
	w.app.Table.(*dead).alive = true
	ans, err := do(t, op, "dead replay", nil)
	if err != nil || ans["done"] != 1.0 || ans["failed"] != 0.0 {
		t.Errorf("dead replay = %v, %v; want one done", ans, err)
	}
	w.logIsWhole()
	if list, _ := do(t, op, "dead list", nil); len(list["list"].([]any)) != 0 {
		t.Errorf("after the replay dead list = %v, want none", list)
	}
}

func TestPrepare(t *testing.T) {
	tab, key, now := memory.New(), secret.Mint(), time.Now()
	for range 2 {
		if err := app.Prepare(t.Context(), tab, key, now); err != nil {
			t.Fatalf("preparing a table: %v", err)
		}
	}
	if err := app.Prepare(t.Context(), tab, secret.Mint(), now); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), key.Fingerprint()) {
		t.Errorf("with another server key: %v, want it refused", err)
	}
	k := table.Key{Part: "META", Sort: "#"}
	for _, data := range []string{`{"schema":2,"key":"` + key.Fingerprint() + `"}`, `{}`, `damaged`} {
		if _, err := tab.Commit(t.Context(), table.Put(k, []byte(data))); err != nil {
			t.Fatal(err)
		}
		if err := app.Prepare(t.Context(), tab, key, now); err == nil {
			t.Errorf("a table founded as %s is served", data)
		}
	}
	if err := app.Prepare(t.Context(), &dead{Table: memory.New()}, key, now); !errors.Is(err, errLost) {
		t.Errorf("a table that does not answer: %v, want its error", err)
	}
}

// A face that sends nothing brings no sender.
func TestNewWithoutASender(t *testing.T) {
	a := app.New(app.Ports{Table: memory.New(), Key: secret.Mint(), URL: "https://gatehouse.test", Now: time.Now})
	if a.Courier == nil || a.Accounts == nil {
		t.Error("New left something out")
	}
}

// failing is a table whose commits fail but for the first so many.
type failing struct {
	table.Table
	good int
}

func (f *failing) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if f.good--; f.good < 0 {
		return "", errLost
	}
	return f.Table.Commit(ctx, writes...)
}

// A command whose second step fails says what stands, and the command that goes
// on from there does.
func TestHalfACommand(t *testing.T) {
	f := &failing{good: 1000}
	w := newWorld(t, func(tab table.Table) table.Table { f.Table = tab; return f })
	op := &app.Operator{App: w.app}
	must := commands(t, op)
	conn := must("connection create", app.ConnectionCreate{Org: w.org.Slug, Name: "Okta"})["connection"].(string)
	for _, c := range []struct {
		name, next, id string
		args           any
		goOn           func(id string) any
	}{
		{"connection create", "connection rotate", "--connection ", app.ConnectionCreate{Org: w.org.Slug, Name: "Entra"},
			func(id string) any { return app.ConnectionArgs{Org: w.org.Slug, Connection: id} }},
		{"client create", "client rotate", "--client ", app.ClientCreate{Org: w.org.Slug, Connection: conn, Name: "Entra"},
			func(id string) any { return app.ClientArgs{Org: w.org.Slug, Client: id} }},
	} {
		f.good = 1
		_, err := do(t, op, c.name, c.args)
		f.good = 1000
		if err == nil || !errors.Is(err, errLost) {
			t.Fatalf("%s whose second step fails = %v", c.name, err)
		}
		_, id, ok := strings.Cut(fault.Of(err).Msg, " was made; issue its ")
		_, id, is := strings.Cut(id, "with: gatehouse "+c.next+" --org "+w.org.Slug+" "+c.id)
		if !ok || !is {
			t.Fatalf("%s whose second step fails says %q, want what was made and how to go on", c.name, fault.Of(err).Msg)
		}
		if ans := must(c.next, c.goOn(id)); ans["token"] == nil && ans["secret"] == nil {
			t.Errorf("%s, as %s said, answers %v", c.next, c.name, ans)
		}
	}
}
