package scimhttp_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/web/scimhttp"
)

// usual is a user of 739 bytes, as the capacity figures have it.
func usual(i int) string {
	return fmt.Sprintf(`{"schemas":[%q,%q],"externalId":"00u%09d","userName":"user%09d@example.com","name":{"formatted":"Augusta Ada Lovelace","givenName":"Augusta","familyName":"Lovelace"},`+
		`"displayName":"Ada Lovelace","active":true,"locale":"en-GB","preferredLanguage":"en","timezone":"Europe/London","title":"Analyst","emails":[{"value":"user%09d@example.com","type":"work","primary":true}],`+
		`"phoneNumbers":[{"value":"+44 20 7946 0000","type":"mobile"}],%q:{"employeeNumber":"%09d","department":"Engines","costCenter":"4130"}}`, userURN, enterprise, i, i, i, enterprise, i)
}

// discard is the cheapest way to take an answer.
type discard struct {
	header http.Header
	status int
	id     string
	keep   bool // read the id out of a created user
}

func (d *discard) Header() http.Header    { return d.header }
func (d *discard) WriteHeader(status int) { d.status = status }
func (d *discard) Write(b []byte) (int, error) {
	if d.keep {
		v, err := value.Parse(b)
		if err != nil {
			return 0, err
		}
		d.id = v.Get("id").Text()
	}
	return len(b), nil
}

// BenchmarkHandler measures the handler alone: no network, a table in memory,
// a log that is written and thrown away.
func BenchmarkHandler(b *testing.B) {
	const users = 10_000
	t := memory.New()
	orgs := org.New(t, secret.Mint(), time.Now, time.Minute)
	h := scimhttp.New(scimhttp.Config{URL: outside, Orgs: orgs, Provision: provision.New(t, time.Now), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Now: time.Now})
	ctx := context.Background()
	o, err := orgs.Create(ctx, org.Spec{Name: "Bench"})
	if err != nil {
		b.Fatal(err)
	}
	c, err := orgs.CreateConnection(ctx, o, org.Connection{Name: "Bench", SuppressWelcome: true})
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := orgs.Issue(ctx, o, c.ID, 0)
	if err != nil {
		b.Fatal(err)
	}
	call := func(b *testing.B, status int, method, path, body string, keep bool) string {
		r := httptest.NewRequest(method, scimhttp.Prefix+path, nil)
		if body != "" {
			r = httptest.NewRequest(method, scimhttp.Prefix+path, strings.NewReader(body))
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/scim+json")
		w := &discard{header: http.Header{}, keep: keep}
		if h.ServeHTTP(w, r); w.status != status {
			b.Fatalf("%s %s = %d, want %d", method, path, w.status, status)
		}
		return w.id
	}
	ids := make([]string, users)
	for i := range ids {
		ids[i] = call(b, 201, "POST", "/Users", usual(i), true)
	}
	next := users
	group := call(b, 201, "POST", "/Groups", team("Engines"), true)
	for _, bench := range []struct {
		name string
		f    func(b *testing.B, i int)
	}{
		{"create", func(b *testing.B, i int) { next++; call(b, 201, "POST", "/Users", usual(next), false) }},
		{"get", func(b *testing.B, i int) { call(b, 200, "GET", "/Users/"+ids[i%users], "", false) }},
		{"patch active", func(b *testing.B, i int) {
			call(b, 200, "PATCH", "/Users/"+ids[i%users], patch(fmt.Sprintf(`{"op":"replace","path":"active","value":%v}`, i/users%2 == 1)), false)
		}},
		{"userName eq", func(b *testing.B, i int) {
			call(b, 200, "GET", fmt.Sprintf("/Users?filter=userName+eq+%%22user%09d@example.com%%22", i%users), "", false)
		}},
		{"page of 100", func(b *testing.B, i int) {
			call(b, 200, "GET", fmt.Sprintf("/Users?startIndex=%d&count=100", 1+i*100%(users-100)), "", false)
		}},
		{"add member", func(b *testing.B, i int) {
			call(b, 204, "PATCH", "/Groups/"+group, patch(`{"op":"add","path":"members","value":[{"value":"`+ids[i%users]+`"}]}`), false)
		}},
		{"filter by scan of 10,000", func(b *testing.B, i int) {
			if i == 0 {
				h.Bound(1<<30, 0, 0)
			}
			call(b, 200, "GET", "/Users?filter=title+sw+%22x%22", "", false)
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				bench.f(b, i)
			}
		})
	}
}
