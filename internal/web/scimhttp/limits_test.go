package scimhttp_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/org"
	"gatehouse/internal/web/scimhttp"
)

// TestLimitsAtTheirEdges: what is just within a limit is taken, what is one
// beyond is refused.
func TestLimitsAtTheirEdges(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com", `"title":"x"`)

	// 1 MB a body: of white space, since the rest has limits of its own.
	body := person("wide@example.com")
	pad := func(n int) string { return body + strings.Repeat(" ", n-len(body)) }
	w.do("POST", "/Users", pad(1<<20)).want(201)
	w.do("POST", "/Users", pad(1<<20+1)).refused(413, "")

	// 4 MB where a group is the body, 1 MB where groups are looked for.
	g := w.group("Team")
	for _, c := range []struct {
		method, path, body string
		limit, ok          int
	}{
		{"POST", "/Groups", team("Crew"), 4 << 20, 201},
		{"PUT", "/Groups/" + g, team("Gang"), 4 << 20, 200},
		{"PATCH", "/Groups/" + g, patch(`{"op":"replace","path":"displayName","value":"Band"}`), 4 << 20, 204},
		{"POST", "/Groups/.search", `{"schemas":["` + searchURN + `"]}`, 1 << 20, 200},
		{"PUT", "/Users/" + ada, person("ada@example.com"), 1 << 20, 200},
	} {
		pad := func(n int) string { return c.body + strings.Repeat(" ", n-len(c.body)) }
		w.do(c.method, c.path, pad(c.limit)).want(c.ok)
		if d := w.do(c.method, c.path, pad(c.limit+1)).refused(413, "").text("detail"); !strings.Contains(d, strconv.Itoa(c.limit)) {
			t.Errorf("%s %s of a byte too many is refused with %q, want the limit %d", c.method, c.path, d, c.limit)
		}
	}

	// 32 objects and arrays inside each other: the body is one of them.
	deep := func(n int) string {
		return person("deep"+strconv.Itoa(n)+"@example.com", `"shoes":`+strings.Repeat("[", n-1)+strings.Repeat("]", n-1))
	}
	w.do("POST", "/Users", deep(32)).want(201)
	w.do("POST", "/Users", deep(33)).refused(400, "invalidSyntax")

	// A filter: 16 groups deep, 1 KB a literal, 256 comparisons, 8 KB.
	for filter, taken := range map[string]bool{
		strings.Repeat("(", 16) + "title pr" + strings.Repeat(")", 16):        true,
		strings.Repeat("(", 17) + "title pr" + strings.Repeat(")", 17):        false,
		strings.Repeat("not (", 16) + "title pr" + strings.Repeat(")", 16):    true,
		strings.Repeat("not (", 17) + "title pr" + strings.Repeat(")", 17):    false,
		strings.Repeat("(", 15) + "emails[type pr]" + strings.Repeat(")", 15): true,
		strings.Repeat("(", 16) + "emails[type pr]" + strings.Repeat(")", 16): false,
		`title ne "` + strings.Repeat("x", 1024) + `"`:                        true,
		`title ne "` + strings.Repeat("x", 1025) + `"`:                        false,
		`title ne "` + strings.Repeat("ä", 512) + `"`:                         true,
		`title ne "` + strings.Repeat("ä", 512) + `x"`:                        false,
		strings.Repeat("title pr or ", 255) + "title pr":                      true,
		strings.Repeat("title pr or ", 256) + "title pr":                      false,
		"title pr" + strings.Repeat(" ", 8<<10-8):                             true,
		"title pr" + strings.Repeat(" ", 8<<10-7):                             false,
	} {
		for _, a := range []answer{
			w.get("/Users?filter=" + url.QueryEscape(filter)),
			w.do("POST", "/Users/.search", `{"schemas":["`+searchURN+`"],"filter":`+strconv.Quote(filter)+`}`),
		} {
			if taken {
				a.want(200)
			} else {
				a.refused(400, "invalidFilter")
			}
		}
	}

	// 64 KB a resource, by POST and by PATCH, and a refused one changes nothing.
	roles := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = `{"value":"` + strconv.Itoa(i) + strings.Repeat("r", 4000) + `"}`
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	w.do("POST", "/Users", person("full@example.com", `"roles":`+roles(16))).want(201)
	w.do("POST", "/Users", person("over@example.com", `"roles":`+roles(17))).refused(413, "")
	w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","path":"roles","value":`+roles(16)+`}`)).want(200)
	tag := w.get("/Users/" + ada).header.Get("ETag")
	w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","path":"entitlements","value":`+roles(1)+`}`)).refused(413, "")
	if now := w.get("/Users/" + ada).header.Get("ETag"); now != tag {
		t.Errorf("a refused PATCH made %s of the version %s", now, tag)
	}
}

// TestLargeBodiesAtOnce: four are served at a time, two of one organization, each
// until it is answered; others go on. The organization's own third is 429.
func TestLargeBodiesAtOnce(t *testing.T) {
	w := newWorld(t)
	large := func(name string) string { return team(name) + strings.Repeat(" ", 1<<20) }
	// Three organizations, the first with two connections.
	tokens := []string{w.token}
	_, second := w.connect(w.org, "")
	tokens = append(tokens, second)
	for _, name := range []string{"Other GmbH", "Third GmbH"} {
		o, err := w.orgs.Create(t.Context(), org.Spec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		_, token := w.connect(o, "")
		tokens = append(tokens, token)
	}
	as := func(i int) []string { return []string{"Authorization", "Bearer " + tokens[i]} }
	whose := []int{0, 1, 2, 2, 0, 3} // of each group; the first four are served
	at := make([]string, len(whose))
	for i := range at {
		at[i] = "/Groups/" + w.do("POST", "/Groups", team(fmt.Sprint("Team ", i)), as(whose[i])...).want(201).text("id")
	}
	arrived, gate := make(chan bool, len(at)), make(chan bool)
	w.table.breaks(func(op string) error {
		if op == "commit" {
			arrived <- true
			<-gate
		}
		return nil
	})
	var wait sync.WaitGroup
	put := func(i int) { w.do("PUT", at[i], large(fmt.Sprint("Crew ", i)), as(whose[i])...).want(200) }
	for i := range 2 {
		wait.Go(func() { put(i) })
		<-arrived
	}
	if a := w.do("PUT", at[4], large("Crew 4")).refused(429, ""); a.header.Get("Retry-After") != "1" {
		t.Errorf("an organization's third is to come again after %q, want 1", a.header.Get("Retry-After"))
	}
	for i := range 2 {
		wait.Go(func() { put(2 + i) })
		<-arrived
	}
	if a := w.do("PUT", at[5], large("Crew 5"), as(3)...).refused(503, ""); a.header.Get("Retry-After") != "1" {
		t.Errorf("a third organization's first is to come again after %q, want 1", a.header.Get("Retry-After"))
	}
	announced := func(n int64) *http.Request {
		r := httptest.NewRequest("PUT", scimhttp.Prefix+at[4], strings.NewReader(large("Crew 4")))
		r.Header.Set("Authorization", "Bearer "+w.token)
		r.ContentLength = n
		return r
	}
	for _, n := range []int64{int64(len(large("Crew 4"))), -1} {
		if a := w.serve(announced(n)).refused(429, ""); a.header.Get("Retry-After") != "1" {
			t.Errorf("the fifth of a length of %d is to come again after %q, want 1", n, a.header.Get("Retry-After"))
		}
	}
	w.get(at[4]).want(200).is("displayName", `"Team 4"`)
	wait.Go(func() { w.do("PUT", at[4], team("Small")+strings.Repeat(" ", 1<<20-len(team("Small")))).want(200) })
	<-arrived
	close(gate)
	wait.Wait()
	// Whoever has their answer, whatever it is, makes room for others.
	for range 5 {
		w.do("PUT", at[4], large("")).refused(400, "invalidValue")
	}
	w.serve(announced(-1)).want(200)
	if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("what clients did is logged as our error: %s", log)
	}
}

// onWire is the answer to a request whose body comes over a connection.
type onWire struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (o onWire) SetReadDeadline(t time.Time) error { return o.conn.SetReadDeadline(t) }

// TestLargeBodiesThatDribble: a large body that does not come in 15 seconds loses
// its room, and is not taken; one that comes slowly is.
func TestLargeBodiesThatDribble(t *testing.T) {
	for _, c := range []struct {
		seconds, status int // how long the body takes, a byte a second at its end
		least, most     time.Duration
	}{
		{10, 200, 9 * time.Second, 11 * time.Second},
		{60, 408, 15 * time.Second, 16 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			at := "/Groups/" + w.group("Team")
			began := time.Now()
			var wait sync.WaitGroup
			for range 2 { // all that the organization may have
				ours, theirs := net.Pipe()
				r := httptest.NewRequest("PUT", scimhttp.Prefix+at, theirs)
				r.Header.Set("Authorization", "Bearer "+w.token)
				r.ContentLength = -1
				wait.Go(func() {
					defer ours.Close()
					if _, err := io.WriteString(ours, team("Crew")+strings.Repeat(" ", 1<<20)); err != nil {
						t.Errorf("the first megabyte: %v", err)
					}
					for range c.seconds {
						time.Sleep(time.Second)
						if _, err := io.WriteString(ours, " "); err != nil {
							return // it is read no more
						}
					}
				})
				wait.Go(func() {
					defer theirs.Close()
					rec := httptest.NewRecorder()
					w.ServeHTTP(onWire{rec, theirs}, r)
					if took := time.Since(began); rec.Code != c.status || took < c.least || took > c.most {
						t.Errorf("a body that takes %d s is answered %d after %v, want %d between %v and %v: %s", c.seconds, rec.Code, took, c.status, c.least, c.most, rec.Body)
					}
				})
			}
			time.Sleep(5 * time.Second)
			w.do("PUT", at, team("Band")+strings.Repeat(" ", 1<<20)).refused(429, "")
			wait.Wait()
			if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("what clients did is logged as our error: %s", log)
			}
			w.do("PUT", at, team("Band")+strings.Repeat(" ", 1<<20)).want(200)
		})
	}
}
