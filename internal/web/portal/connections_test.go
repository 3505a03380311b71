package portal

import (
	"maps"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/org"
	"gatehouse/internal/scim/schema"
)

// bent makes a busy connection whose messages were bent by every rule, with a
// credential in each state, and returns the path of its page.
func (w *world) bent() string {
	w.t.Helper()
	ctx := w.t.Context()
	c, err := w.orgs.CreateConnection(ctx, w.acme, org.Connection{Name: `Entra <b>ID</b>`, Rate: 250})
	w.must(err)
	for _, life := range []time.Duration{0, 8760 * time.Hour, time.Minute} { // the third ends the first
		_, _, err := w.orgs.Issue(ctx, w.acme, c.ID, life)
		w.must(err)
	}
	w.now = w.now.Add(2 * time.Minute)
	token, _, err := w.orgs.Issue(ctx, w.acme, c.ID, 0)
	w.must(err)
	a, err := w.orgs.Authenticate(ctx, token)
	w.must(err)
	rules := map[string]int{"ruleOfANewerVersion": 1}
	for r := schema.Rule(0); r.String() != "unknown"; r++ {
		rules[r.String()] = 1 + 1111*int(r)
	}
	w.orgs.CountCoercions(a, maps.All(rules))
	w.must(w.orgs.WriteCoercions(ctx, true))
	w.now = w.now.Add(3 * time.Minute)
	w.orgs.CountCoercions(a, maps.All(map[string]int{"stringBoolean": 1}))
	w.must(w.orgs.WriteCoercions(ctx, true))

	client, err := w.orgs.CreateClient(ctx, w.acme, c.ID, `Entra <i>ID</i>`)
	w.must(err)
	for range 4 { // the fourth ends the first
		_, _, err = w.orgs.IssueSecret(ctx, w.acme, client, 0)
		w.must(err)
	}
	for _, t := range []org.Trust{
		{Issuer: "https://login.microsoftonline.com/3f2c1a90-7d7e-4c7b-9a55-0d7c1e2f3a4b/v2.0", Subject: "8d1f0c7e-55aa-4c1c-8f5e-2b7a9c0d1e2f", Audiences: []string{"api://6a7b8c9d-1e2f-4a5b-8c7d-9e0f1a2b3c4d"}},
		{Issuer: "https://issuer.example/" + strings.Repeat("long", 40), Subject: "s", Audiences: []string{"a", "b"}, Keys: "https://issuer.example/keys"},
	} {
		_, err := w.orgs.AddTrust(ctx, w.acme, client, t)
		w.must(err)
	}
	ended, err := w.orgs.CreateClient(ctx, w.acme, c.ID, "Entra ID, before")
	w.must(err)
	w.must(w.orgs.RevokeClient(ctx, w.acme, ended.ID))
	return "/o/" + w.acme.Slug + "/admin/connections/" + string(c.ID)
}

func TestConnections(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	w.join(w.okta, erika)
	b.get("/o/acme-gmbh/admin/connections").want(t, 200, "Okta", "Compatible", "Never")
	page := w.bent()
	list := b.get("/o/acme-gmbh/admin/connections").want(t, 200, "Okta Compatible 1 0", "Entra <b>ID</b>", "3 minutes ago", "Connections")
	if strings.Contains(list.body, "<b>") || !strings.Contains(list.body, `href="`+page+`"`) || strings.Contains(list.text(), "By hand") {
		t.Errorf("the list shows %s", list.body)
	}
	one := b.get(page).want(t, 200, here+"/scim/v2", "250 requests a second", "What directories usually send", "Valid", "Revoked", "Expired", "Not until revoked", "22 Nov 2027", "Expired 4 minutes ago Never 22 Nov 2026",
		"“Replace” with a capital was read as “replace”. operationCase", "4,446 3 minutes ago just now",
		"Something was read differently, by a rule of a newer version. ruleOfANewerVersion 1")
	if strings.Contains(one.body, "ghsc_") || strings.Contains(one.body, "ghcs_") || strings.Contains(one.body, "<i>") {
		t.Error("the page shows a secret")
	}
	for _, c := range []string{"zzzzz", "..%2f..", "00000", "manual"} {
		b.get("/o/acme-gmbh/admin/connections/"+c).want(t, 404)
	}
	// Another organization's is not there, and nothing of it is told.
	other := w.org("Other")
	foreign := w.directory(other, "Foreign").Connection().ID
	b.get("/o/acme-gmbh/admin/connections/"+string(foreign)).want(t, 404)

	// A connection that was never used, whose only credential has run out.
	c, err := w.orgs.CreateConnection(t.Context(), w.acme, org.Connection{Name: "Fresh", Dialect: "interop"})
	w.must(err)
	_, _, err = w.orgs.Issue(t.Context(), w.acme, c.ID, time.Minute)
	w.must(err)
	w.now = w.now.Add(2 * time.Minute)
	b.get("/o/acme-gmbh/admin/connections/"+string(c.ID)).want(t, 200, "Fresh", "Interoperability profile", "No limit", "Never", "Expired", "Everything fitted as it came")
}

// The admin reads the same in German.
func TestConnectionInGerman(t *testing.T) {
	w := newWorld(t)
	w.admin(w.acme)
	page := w.bent()
	b := w.browser()
	b.language = "de"
	b.signIn(w.acme, "admin@acme-gmbh.example", password)
	b.get(page).want(t, 200, "Was anders gelesen wurde", "250 Anfragen je Sekunde", "Gültig", "Widerrufen", "Abgelaufen vor 4 Minuten Nie 22. November 2026", "4.446 vor 3 Minuten gerade eben", "Der Text „True“ oder „False“ wurde als Ja oder Nein gelesen.")
}
