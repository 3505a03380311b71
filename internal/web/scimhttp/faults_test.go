package scimhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
	"gatehouse/internal/web/scimhttp"
)

// Canaries are what no log may tell.
var canaries = []string{"Canary-Given", "canary.name", "canary.mail", "Canary-Title", "Canary-Password", "CANARY-EXT", "Canary-Team", "canary-agent", "Canary-Method", "canary-path", "canary-param", "Canary-Unknown"}

const canary = `{"schemas":["` + userURN + `"],"userName":"canary.name@example.com","active":true,"externalId":"CANARY-EXT","title":"Canary-Title",
	"name":{"givenName":"Canary-Given"},"emails":[{"value":"canary.mail@example.com","type":"work"}],"password":"Canary-Password",
	"Canary-Unknown":{"canary-param":"canary-path"}}`

func TestNothingOfPeopleIsLogged(t *testing.T) {
	w := newWorld(t)
	id := w.do("POST", "/Users?canary-param=canary-param", canary, "User-Agent", "canary-agent").want(201).text("id")
	g := w.group("Canary-Team", id)
	story := []struct {
		status             int
		method, path, body string
	}{
		{200, "GET", "/Users/" + id + "?attributes=canary-param", ""},
		{200, "GET", "/Users?filter=userName+eq+%22canary.name@example.com%22", ""},
		{200, "GET", "/Users?filter=title+co+%22Canary-Title%22", ""},
		{200, "POST", "/Users/.search", `{"schemas":["` + searchURN + `"],"filter":"emails eq \"canary.mail@example.com\""}`},
		{409, "POST", "/Users", canary},
		{409, "POST", "/Groups", team("Canary-Team")},
		{400, "POST", "/Users", canary + "canary-path"},
		{400, "POST", "/Users", strings.Replace(canary, `"active":true`, `"active":"Canary-Title"`, 1)},
		{400, "POST", "/Users", `{"Canary-Title":1,"Canary-Title":2}`},
		{400, "GET", "/Users?filter=canary.name+xx+%22canary.mail%22", ""},
		{400, "GET", "/Users?count=Canary-Title", ""},
		{400, "PATCH", "/Users/" + id, patch(`{"op":"Canary-Method","path":"Canary-Title"}`)},
		{400, "PATCH", "/Groups/" + g, patch(`{"op":"add","path":"members","value":[{"value":"canary.name"}]}`)},
		{404, "GET", "/Users/canary.name@example.com", ""},
		{404, "GET", "/canary-path", ""},
		{405, "Canary-Method", "/Users", ""},
		{412, "PUT", "/Users/" + id, canary},
		{413, "POST", "/Users", strings.Repeat("Canary-Title ", 100_000)},
		{415, "POST", "/Users", canary},
		{401, "GET", "/Users/canary-path", ""},
		{200, "POST", "/Bulk", bulkOf(post("/Users", "Canary-Title", canary), drop("/Users/canary.name"), change("/Groups/"+g, `{"op":"add","path":"Canary-Title","value":[{"value":"bulkId:canary-path"}]}`), `"Canary-Unknown"`)},
		{413, "POST", "/Bulk", strings.Repeat("Canary-Title ", 100_000)},
		{200, "PUT", "/Users/" + id, canary},
		{200, "PATCH", "/Users/" + id, patch(`{"op":"Replace","path":"active","value":"False"}`)},
	}
	for _, s := range story {
		headers := []string{"User-Agent", "canary-agent"}
		switch s.status {
		case 412:
			headers = append(headers, "If-Match", `"Canary-Title"`)
		case 415:
			headers = append(headers, "Content-Type", "text/canary-path")
		case 401:
			headers = append(headers, "Authorization", "Bearer ghsc_canary.name.canary.name.canary.name")
		}
		w.do(s.method, s.path, s.body, headers...).want(s.status)
	}
	for _, breakage := range []func(string) error{
		func(op string) error { return errors.New("the disk is on fire") },
		func(op string) error { panic("Canary-Title " + op) },
		func(op string) error { panic(fmt.Errorf("canary.name@example.com: %s", op)) },
		func(op string) error { panic(value.Str("Canary-Title")) },
		func(op string) error { return []error{nil}[len(op)] },
	} {
		w.table.breaks(breakage)
		w.do("POST", "/Users", canary).refused(500, "")
		w.get("/Users/"+id).refused(500, "")
		w.get("/Users?filter=userName+eq+%22canary.name@example.com%22").refused(500, "")
		w.do("PATCH", "/Groups/"+g, patch(`{"op":"replace","path":"displayName","value":"Canary-Team"}`)).refused(500, "")
		w.bulk(bulkOf(post("/Users", "Canary-Title", canary), drop("/Users/"+id))).statuses(500, 500)
	}
	w.table.breaks(nil)
	w.do("DELETE", "/Users/"+id, "").want(204)
	log := w.log.String()
	for _, c := range append(canaries, w.token, w.token[5:]) {
		if i := strings.Index(log, c); i >= 0 {
			t.Errorf("the log tells %q: …%s…", c, log[max(0, i-200):min(len(log), i+100)])
		}
	}
	for _, want := range []string{`"route":"/Users/{id}"`, `"method":"other"`, `"status":409`, `"status":500`, `"coerced":{`, `"stringBoolean":1`, `"operationCase":1`, `"passwordDropped":1`, `"connection":"` + string(w.conn.ID), `index out of range`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %s", want)
		}
	}
}

func TestFailuresOfTheTable(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	title := patch(`{"op":"replace","path":"title","value":"x"}`)
	for _, c := range []struct {
		name   string
		err    error
		status int
	}{
		{"broken", errors.New("disk on fire at /var/lib/secret"), 500},
		{"refused", fmt.Errorf("an item of 500000 bytes: %w", table.ErrRefused), 500},
		{"full", fmt.Errorf("write: %w", table.ErrFull), 507},
		{"cut off", context.Canceled, 503},
		{"too late", fmt.Errorf("commit: %w", context.DeadlineExceeded), 503},
	} {
		w.table.breaks(func(op string) error {
			if op == "commit" {
				return c.err
			}
			return nil
		})
		for _, a := range []answer{
			w.do("POST", "/Users", person("bo@example.com")), w.do("PATCH", "/Users/"+id, title), w.do("PUT", "/Users/"+id, person("ada@example.com", `"title":"x"`)),
			w.do("DELETE", "/Users/"+id, ""), w.do("POST", "/Groups", team("Engines", id)),
		} {
			a.refused(c.status, "")
			d := a.text("detail")
			ref := reference.FindString(d)
			if ref == "" || strings.Contains(d, "fire") || strings.Contains(d, "secret") {
				t.Errorf("%s, %s: the detail %q has no reference, or tells of our insides", c.name, a.asked, d)
			}
			if log := w.log.String(); ref != "" && !strings.Contains(log, `"reference":"`+strings.TrimPrefix(ref, "Reference: ")+`"`) {
				t.Errorf("%s: the log does not know %q", c.name, ref)
			}
			if (a.header.Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("%s: Retry-After = %q, want whole seconds for 503 only", c.name, a.header.Get("Retry-After"))
			}
			if c.status == 507 && !strings.Contains(d, "room") {
				t.Errorf("the detail %q does not say that there is no room", d)
			}
		}
		w.get("/Users").want(200) // reading goes on
	}
	if !strings.Contains(w.log.String(), "disk on fire") {
		t.Error("the log does not tell the cause")
	}
	w.table.breaks(nil)
	w.get("/Users").list(id).lacks("Resources.0.title")

	// A store that fails while a credential is looked up is no wrong credential.
	_, token := w.connect(w.org, "")
	w.table.breaks(func(string) error { return errors.New("gone") })
	w.get("/Users", "Authorization", "Bearer "+token).refused(500, "")
}

func TestRequestsThatEndEarly(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	for name, ctx := range map[string]func() (context.Context, context.CancelFunc){
		"cut off": func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) },
		"too late": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), -time.Second)
		},
	} {
		ctx, cancel := ctx()
		cancel()
		for _, path := range []string{"/Users/" + id, "/Users", "/Users?filter=title+pr", "/Groups"} {
			r := httptest.NewRequest("GET", scimhttp.Prefix+path, nil).WithContext(ctx)
			r.Header.Set("Authorization", "Bearer "+w.token)
			a := w.serve(r)
			a.asked = name + ", " + a.asked
			a.refused(503, "")
		}
	}
	// A handler that was told to abort is not to answer.
	w.table.breaks(func(string) error { panic(http.ErrAbortHandler) })
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v, want http.ErrAbortHandler to pass", p)
		}
	}()
	w.get("/Users/" + id)
}
