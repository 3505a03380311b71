package e2e

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/local/maildir"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/web/portal"
	"gatehouse/internal/web/scimhttp"
)

// faulty is a table that fails on demand, in ways that no request from outside
// can bring about.
type faulty struct {
	table.Table
	how atomic.Int32
}

const (
	sound int32 = iota
	failing
	panicking
)

// trouble fails with as much of the writes as a careless message could hold.
func (f *faulty) trouble(writes ...table.Write) error {
	switch f.how.Load() {
	case failing:
		return errors.New("the table is out of order")
	case panicking:
		var said strings.Builder
		for _, w := range writes {
			fmt.Fprintf(&said, "%s %s\n", w.Key, w.Data)
		}
		panic(said.String() + canaries["an address"] + canaries["a given name"])
	}
	return nil
}

func (f *faulty) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := f.trouble(); err != nil {
		return nil, err
	}
	return f.Table.Get(ctx, keys...)
}

func (f *faulty) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if err := f.trouble(); err != nil {
		return func(yield func(table.Item, error) bool) { yield(table.Item{}, err) }
	}
	return f.Table.Query(ctx, part, r)
}

func (f *faulty) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if err := f.trouble(writes...); err != nil {
		return "", err
	}
	return f.Table.Commit(ctx, writes...)
}

// inside is the product in this process, over a table that can be told to fail.
type inside struct {
	*app.App
	table      *faulty
	log        *syncText
	org        app.OrgAnswer
	credential app.CredentialAnswer
}

func openInside(t *testing.T) *inside {
	t.Helper()
	w := &inside{log: new(syncText), table: &faulty{Table: memory.New()}}
	sender, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.App = app.New(app.Ports{
		Table: w.table, Sender: sender, Key: secret.Mint(), URL: "http://gatehouse.test", Now: time.Now,
		Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	})
	op := &app.Operator{App: w.App}
	made, err := op.Do(t.Context(), "org create", []byte(`{"name":"Aviary"}`))
	if err != nil {
		t.Fatal(err)
	}
	w.org = made.(app.OrgAnswer)
	connected, err := op.Do(t.Context(), "connection create", []byte(plain(object{"org": w.org.Org, "name": "okta"})))
	if err != nil {
		t.Fatal(err)
	}
	w.credential = connected.(app.CredentialAnswer)
	return w
}

// serve serves the handler until the test ends.
func (w *inside) serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// knows fails the test unless the log knows the reference that the text gives.
func (w *inside) knows(t *testing.T, asked, text string) {
	t.Helper()
	ref := reference.FindStringSubmatch(text)
	if ref == nil || !strings.Contains(w.log.String(), ref[1]) {
		t.Errorf("%s = %q, want a reference that the log knows", asked, text)
	}
	if found := leaks(text, canaries); len(found) > 0 {
		t.Errorf("%s tells %q: %s", asked, found, text)
	}
}

// silent fails the test if the log holds a canary or one of the secrets.
func (w *inside) silent(t *testing.T, secrets ...string) {
	t.Helper()
	values := map[string]string{}
	for what, v := range canaries {
		values[what] = v
	}
	for i, v := range secrets {
		values[fmt.Sprintf("secret %d", i)] = v
	}
	for _, what := range leaks(w.log.String(), values) {
		t.Errorf("%s stands in the log", what)
	}
}

// TestCanaryFaults lets the table fail and panic under SCIM, in this process,
// since no request from outside can make it do so: the client reads a fixed
// sentence with a reference, and the log holds the reference and nobody's data.
func TestCanaryFaults(t *testing.T) {
	w := openInside(t)
	base := w.serve(t, scimhttp.New(scimhttp.Config{URL: w.URL, Orgs: w.Orgs, Provision: w.Provision, Log: w.Log, Now: w.Now}))
	c := &client{base: base + scimhttp.Prefix, token: w.credential.Token}
	p := person(canaries["an address"], canaries["a given name"], canaries["a family name"])
	id := c.send(t, "POST", "/Users", p).want(t, 201).text("id")
	p["userName"] = canaries["a new address"]

	for _, how := range []int32{failing, panicking} {
		for _, r := range []struct {
			method, path string
			body         any
		}{
			{"POST", "/Users", p},
			{"PUT", "/Users/" + id, p},
			{"PATCH", "/Users/" + id, patchOp(object{"op": "replace", "path": "title", "value": canaries["a title"]})},
			{"GET", "/Users/" + id, nil},
			{"GET", filtered("/Users", `userName eq "`+canaries["an address"]+`"`), nil},
			{"DELETE", "/Users/" + id, nil},
			{"POST", "/Groups", object{"schemas": []string{groupSchema}, "displayName": canaries["a group's name"]}},
		} {
			w.table.how.Store(how)
			a := c.send(t, r.method, r.path, r.body)
			w.table.how.Store(sound)
			a.isError(t, http.StatusInternalServerError, "")
			w.knows(t, a.asked, a.text("detail"))
		}
	}
	c.get(t, "/Users/"+id).lacks(t, "title")
	w.silent(t, c.token)
}

// TestCanaryPageFaults does the same under the pages.
func TestCanaryPageFaults(t *testing.T) {
	w := openInside(t)
	handler, err := portal.New(portal.Config{URL: w.URL, Table: w.table, Orgs: w.Orgs, Account: w.Accounts, Courier: w.Courier, Now: w.Now, Logger: w.Log})
	if err != nil {
		t.Fatal(err)
	}
	base := w.serve(t, handler)
	signIn := base + "/o/" + w.org.Slug + "/sign-in"
	v := new(visitor)
	p, err := v.open(signIn)
	if err != nil {
		t.Fatal(err)
	}
	link := "secretsecretsecretsecretsecretsecretsecret0"
	for _, how := range []int32{failing, panicking} {
		for what, visit := range map[string]func() (page, error){
			"signing in": func() (page, error) {
				return v.submit(p, map[string]string{"email": canaries["an address"], "password": canaries["a password"]})
			},
			"a link": func() (page, error) { return new(visitor).open(base + "/activate/" + link) },
			"an unknown org": func() (page, error) {
				return new(visitor).open(base + "/o/" + canaries["an unknown path"] + "/sign-in")
			},
		} {
			w.table.how.Store(how)
			got, err := visit()
			w.table.how.Store(sound)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got.status != http.StatusInternalServerError {
				t.Errorf("%s = %d, want 500: %s", what, got.status, got.text())
			}
			w.knows(t, what, got.text())
		}
	}
	w.silent(t, link)
}
