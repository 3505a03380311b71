package scimhttp_test

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/secret"
	"gatehouse/internal/web/scimhttp"
)

// Beyond its rate a connection gets 429 in SCIM's form, with whole seconds to
// wait, until they are over; other connections do not notice.
func TestRateLimit(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 25
	_, other := w.connect(w.org, "")
	// Credentials that are none are no connection's requests.
	for range 600 {
		w.get("/Users", "Authorization", "Bearer ghsc_"+secret.Token()).refused(401, "")
	}
	w.pass(10*time.Second - w.clock().Sub(w.clock().Truncate(10*time.Second)))
	taken := 0
	var last answer
	for range 300 {
		if last = w.get("/ServiceProviderConfig"); last.status == 429 {
			break
		}
		last.want(200)
		taken++
	}
	last.refused(429, "")
	if taken < 250 || taken > 275 {
		t.Errorf("%d requests were taken in one window, want 250", taken)
	}
	seconds, err := strconv.Atoi(last.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 10 {
		t.Fatalf("Retry-After = %q, want 1 to 10", last.header.Get("Retry-After"))
	}
	w.get("/Users", "Authorization", other).want(200)
	// What is refused is not done.
	w.do("POST", "/Users", person("ada@example.com")).refused(429, "")
	w.get("/Users").refused(429, "")
	w.pass(time.Duration(seconds) * time.Second)
	w.get("/Users").list()
	w.do("POST", "/Users", person("ada@example.com")).want(201)
}

// Where the counter fails requests are served, and the log says so.
func TestRateLimitFailsOpen(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 25
	id := w.user("ada@example.com")
	w.table.breaks(func(op string) error {
		if op == "commit" {
			return errors.New("no commit now")
		}
		return nil
	})
	for range 600 {
		w.get("/Users/" + id).want(200)
	}
	if n := strings.Count(w.log.String(), "requests are not counted"); n < 1 || n > 3 {
		t.Errorf("the log tells %d times that nothing was counted, want once in a while", n)
	}
}

// Without a limit, requests read and write what they did before there was one;
// with one, a write for 25.
func TestRateLimitCosts(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	w.get("/Users/" + id).want(200)
	for rate, writes := range map[int]int{0: 0, 1000: 4} {
		w.orgs.Rate = rate
		w.table.counts()
		for range 100 {
			w.get("/Users/" + id).want(200)
		}
		if r, n := w.table.counts(); r != 100 || n != writes {
			t.Errorf("at the rate %d 100 GETs take %d reads and %d commits, want 100 and %d", rate, r, n, writes)
		}
	}
}

// In Lambda nothing runs between requests, and the next may never come: counts
// are written with them, each at first and fewer in a long run.
func TestCoercionsWhereNothingRunsBetweenRequests(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	w.get("/Users/" + id)
	w.Handler = scimhttp.New(scimhttp.Config{
		URL: outside, Orgs: w.orgs, Provision: provision.New(w.table, w.clock), Log: slog.New(slog.DiscardHandler), Now: w.clock, Frozen: true,
	})
	other := org.New(w.table, secret.Mint(), w.clock, 0)
	stored := func() (n int64) {
		list, err := other.Coercions(t.Context(), w.org, w.conn.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			n += c.Count
		}
		return n
	}
	bent := func() {
		w.do("PATCH", "/Users/"+id, patch(`{"op":"Replace","path":"title","value":"Countess"}`)).want(200)
	}
	bent()
	if n := stored(); n != 1 {
		t.Errorf("after the first request %d coercions are written, want 1", n)
	}
	for range 10 {
		bent()
	}
	if n := stored(); n != 10 {
		t.Errorf("of 11 coercions at once %d are written, want all but a tenth", n)
	}
	w.pass(time.Minute)
	w.table.counts()
	w.get("/Users/" + id).want(200) // no coercion of its own; the credential is looked up again
	if n := stored(); n != 11 {
		t.Errorf("after a minute %d coercions are written, want 11", n)
	}
	// A table that takes no counts fails no request.
	w.pass(time.Minute)
	bent()
	w.pass(time.Minute)
	w.table.breaks(func(op string) error {
		if op == "commit" {
			return errors.New("no commit now")
		}
		return nil
	})
	w.get("/Users/" + id).want(200)
}

// A bulk request counts as many as it has operations. One that is larger than
// what is left is carried out: what it is above the rate is missing afterwards.
func TestRateLimitOfBulk(t *testing.T) {
	w := newWorld(t)
	w.orgs.Rate = 25 // 250 in ten seconds
	ops := make([]string, 300)
	for i := range ops {
		ops[i] = `{"method":"DELETE","path":"/Users/nobody"}`
	}
	body := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[` + strings.Join(ops, ",") + `]}`
	w.do("POST", "/Bulk", body).want(200)
	w.do("POST", "/Bulk", body).want(429)
	w.get("/Users").want(429)
	w.pass(10 * time.Second)
	w.get("/Users").want(200)
}
