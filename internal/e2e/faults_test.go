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

// TestCanaryFaults lets the table fail and panic under SCIM, in this process,
// since no request from outside can make it do so: the client reads a fixed
// sentence with a reference, and the log holds the reference and nobody's data.
func TestCanaryFaults(t *testing.T) {
	log := new(syncText)
	tab := &faulty{Table: memory.New()}
	sender, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := app.New(app.Ports{
		Table: tab, Sender: sender, Key: secret.Mint(), URL: "http://gatehouse.test", Now: time.Now,
		Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	handler := httptest.NewServer(scimhttp.New(scimhttp.Config{URL: a.URL, Orgs: a.Orgs, Provision: a.Provision, Log: a.Log, Now: a.Now}))
	defer handler.Close()
	op := &app.Operator{App: a}
	made, err := op.Do(t.Context(), "org create", []byte(`{"name":"Aviary"}`))
	if err != nil {
		t.Fatal(err)
	}
	connected, err := op.Do(t.Context(), "connection create", []byte(plain(object{"org": made.(app.OrgAnswer).Org, "name": "okta"})))
	if err != nil {
		t.Fatal(err)
	}
	c := &client{base: handler.URL + scimhttp.Prefix, token: connected.(app.CredentialAnswer).Token}
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
			tab.how.Store(how)
			a := c.send(t, r.method, r.path, r.body)
			tab.how.Store(sound)
			a.isError(t, http.StatusInternalServerError, "")
			ref := reference.FindString(a.text("detail"))
			if ref == "" || !strings.Contains(log.String(), strings.TrimPrefix(ref, "Reference: ")) {
				t.Errorf("%s: the detail is %q, want a reference that the log knows", a.asked, a.text("detail"))
			}
			if found := leaks(string(a.body), canaries); len(found) > 0 {
				t.Errorf("%s tells the client %q", a.asked, found)
			}
		}
	}
	c.get(t, "/Users/"+id).lacks(t, "title")
	values := map[string]string{"the token": c.token}
	for what, v := range canaries {
		values[what] = v
	}
	for _, what := range leaks(log.String(), values) {
		t.Errorf("%s stands in the log", what)
	}
}
