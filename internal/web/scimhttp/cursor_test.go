package scimhttp_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/identity"
)

// pages follows a list by cursor and returns the ids of each page.
func (w *world) pages(path string, between ...func(page int)) (pages [][]string) {
	w.Helper()
	at := ""
	for {
		a := w.get(path + "&cursor=" + at).want(200).lacks("startIndex").lacks("previousCursor")
		ids := []string{}
		for _, r := range a.at("Resources").Elements() {
			ids = append(ids, r.Get("id").Text())
		}
		pages = append(pages, ids)
		if got := a.text("itemsPerPage"); got != strconv.Itoa(len(ids)) {
			w.Errorf("%s: itemsPerPage = %s of %d resources", a.asked, got, len(ids))
		}
		at = a.text("nextCursor")
		if at == "" {
			a.lacks("nextCursor")
			return pages
		}
		if !unreserved.MatchString(at) {
			w.Fatalf("%s: the cursor %q has other than unreserved characters (RFC 3986 §2.3)", a.asked, at)
		}
		for _, f := range between {
			f(len(pages))
		}
		if len(pages) > 1000 {
			w.Fatalf("%s: no end after 1000 pages", a.asked)
		}
	}
}

var unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// TestCursors: every list, whole, in the order that one page of it has (RFC 9865 §2).
func TestCursors(t *testing.T) {
	w := newWorld(t)
	for i := range 11 {
		w.group(fmt.Sprintf("Team %d.%d", i%4, i), w.user(fmt.Sprintf("u%d@example.com", i), fmt.Sprintf(`"title":"T%d"`, i%3)))
	}
	for _, path := range []string{
		"/Users?", "/Groups?", "?", "/Users?filter=title+eq+%22t1%22", "/Groups?filter=displayName+sw+%22team+1%22", "?filter=displayName+pr+or+title+pr",
		"?filter=meta.resourceType+eq+%22Group%22", "/Users?sortBy=title&sortOrder=descending", "/Groups?sortBy=displayName", "?sortBy=displayName",
		"/Users?filter=title+ne+%22T0%22&sortBy=userName", "/Users?sortBy=nickName", "/Users?filter=userName+eq+%22u1@example.com%22",
		"/Users?filter=id+eq+%22nobody%22", "/Users?attributes=id", "/Roles?",
	} {
		whole := w.get(path + "&count=500").want(200)
		order, total := whole.tree.Get("Resources").Elements(), whole.text("totalResults")
		for _, count := range []int{1, 2, 5, 11, 22, 500} {
			asked := fmt.Sprintf("%s&count=%d", path, count)
			w.get(asked+"&cursor").is("totalResults", total)
			var got []string
			pages := w.pages(asked)
			for i, p := range pages {
				if len(p) != count && i < len(pages)-1 || len(p) == 0 && len(order) > 0 {
					t.Errorf("%s: page %d of %d has %d resources", asked, i+1, len(pages), len(p))
				}
				got = append(got, p...)
			}
			var want []string
			for _, r := range order {
				want = append(want, r.Get("id").Text())
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: the pages hold %v, want %v", asked, got, want)
			}
		}
		w.get(path+"&cursor=&count=0").is("totalResults", total).is("itemsPerPage", "0").is("Resources", "[]").lacks("nextCursor")
		w.get(path+"&cursor=&count=-3").is("totalResults", total).is("itemsPerPage", "0").lacks("nextCursor")
		// Without the parameter, pages go by index (§2.4).
		w.get(path+"&count=1").lacks("nextCursor").is("startIndex", "1")
	}
	// A page that would be too large ends early, and goes on.
	w.Bound(0, 0, 2000)
	for _, path := range []string{"/Users?", "/Groups?", "?", "/Users?filter=title+pr", "?sortBy=id&sortOrder=descending"} {
		want := 11
		if strings.HasPrefix(path, "?") {
			want = 22
		}
		got := slices.Concat(w.pages(path)...)
		if slices.Sort(got); len(slices.Compact(got)) != want {
			t.Errorf("%s: pages of 2000 bytes hold %d resources, want %d, each once", path, len(got), want)
		}
	}
}

// Cursors go by SearchRequest too, and from one form of a query to the other.
func TestCursorsInSearchRequests(t *testing.T) {
	w := newWorld(t)
	var all []string
	for i := range 5 {
		all = append(all, w.user(fmt.Sprintf("u%d@example.com", i)))
	}
	slices.Sort(all)
	search := func(path, members string) answer {
		return w.do("POST", path+"/.search", `{"schemas":["`+searchURN+`"],"count":2,`+members+`}`)
	}
	first := search("/Users", `"cursor":""`).want(200).is("totalResults", "5").lacks("startIndex")
	next := first.text("nextCursor")
	second := search("/Users", `"cursor":"`+next+`"`).want(200)
	third := w.get("/Users?count=2&cursor=" + second.text("nextCursor")).want(200).lacks("nextCursor")
	if got := slices.Concat(first.ids(), second.ids(), third.ids()); len(got) != 5 {
		t.Errorf("the pages hold %v, want %v", got, all)
	}
	search("", `"cursor":""`).want(200).is("totalResults", "5")
	search("", `"cursor":"`+next+`"`).refused(400, "invalidCursor")
	search("/Users", `"cursor":7`).refused(400, "invalidValue")
	search("/Users", `"cursor":null`).want(200).is("startIndex", "1")
	search("/Users", `"sortBy":"userName","sortOrder":"DESCENDING","cursor":""`).want(200).is("Resources.0.userName", `"u4@example.com"`)
	search("/Users", `"sortBy":7`).refused(400, "invalidValue")
}

// Whoever comes or goes between two pages, all others are met once.
func TestCursorsWhileOthersComeAndGo(t *testing.T) {
	for _, path := range []string{"/Users?", "/Users?filter=title+pr", "?filter=meta.resourceType+eq+%22User%22+and+title+pr", "/Users?sortBy=nickName", "/Users?sortBy=userName&sortOrder=descending", "?"} {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t)
			stay, go_ := map[string]int{}, []string{}
			for i := range 40 {
				id := w.user(fmt.Sprintf("u%02d@example.com", i), `"title":"x"`, fmt.Sprintf(`"nickName":"n%d"`, i%5))
				if i%3 == 0 {
					go_ = append(go_, id)
				} else {
					stay[id] = 0
				}
			}
			met := w.pages(path+"&count=3", func(page int) {
				if page <= len(go_) {
					w.do("DELETE", "/Users/"+go_[page-1], "").want(204)
				}
				if page < 10 {
					w.user(fmt.Sprintf("a%02d@example.com", page), `"title":"x"`, `"nickName":"n2"`)
				}
			})
			for _, id := range slices.Concat(met...) {
				if n, ok := stay[id]; ok {
					stay[id] = n + 1
				}
			}
			for id, n := range stay {
				if n != 1 {
					t.Errorf("%s: %s, who was there all the time, is met %d times", path, id, n)
				}
			}
		})
	}
}

// The last resources of a page may be gone, or sort elsewhere, when the next one
// is asked for.
func TestCursorsOfSortedListsFindTheirPlace(t *testing.T) {
	for name, between := range map[string]func(w *world, page []string){
		"the last is deleted": func(w *world, p []string) { w.do("DELETE", "/Users/"+p[3], "").want(204) },
		"the last two are deleted": func(w *world, p []string) {
			w.do("DELETE", "/Users/"+p[3], "").want(204)
			w.do("DELETE", "/Users/"+p[2], "").want(204)
		},
		"the last is renamed": func(w *world, p []string) {
			w.do("PATCH", "/Users/"+p[3], patch(`{"op":"replace","path":"userName","value":"zz"}`)).want(200)
		},
		"the last becomes the first": func(w *world, p []string) {
			w.do("PATCH", "/Users/"+p[3], patch(`{"op":"replace","path":"userName","value":"a"}`)).want(200)
		},
		"one comes before":     func(w *world, p []string) { w.user("b") },
		"the first is deleted": func(w *world, p []string) { w.do("DELETE", "/Users/"+p[0], "").want(204) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var ids []string
			for i := range 8 {
				ids = append(ids, w.user(fmt.Sprintf("u%d@example.com", i)))
			}
			first := w.get("/Users?sortBy=userName&count=4&cursor").want(200)
			var page []string
			for _, r := range first.at("Resources").Elements() {
				page = append(page, r.Get("id").Text())
			}
			if !slices.Equal(page, ids[:4]) {
				t.Fatalf("the first page is %v, want %v", page, ids[:4])
			}
			between(w, page)
			second := w.get("/Users?sortBy=userName&count=4&cursor=" + first.text("nextCursor")).want(200)
			for i, id := range ids[4:] {
				if got := second.text(fmt.Sprintf("Resources.%d.id", i)); got != id {
					t.Errorf("the %d. of the second page is %s, want %s", i+1, got, id)
				}
			}
		})
	}
}

// TestCursorErrors: RFC 9865 §2.1, and what §5 asks of cursors.
func TestCursorErrors(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.user(fmt.Sprintf("u%d@example.com", i), `"title":"x"`)
		w.group(fmt.Sprint("Team ", i))
	}
	const list = "/Users?count=2&filter=title+pr&cursor="
	good := w.get(list).want(200).text("nextCursor")
	w.get(list + good).want(200)

	// Bent anywhere, cut, or made up: one answer.
	refused := w.get(list+"nonsense").refused(400, "invalidCursor")
	for i := range good {
		c := byte('A')
		if good[i] == c {
			c = 'B'
		}
		bad := good[:i] + string(c) + good[i+1:]
		for _, cursor := range []string{bad, good[:i+1] + "0" + good[i+1:], good[i+1:]} {
			if cursor == "" {
				continue
			}
			if a := w.get(list + cursor); string(a.body) != string(refused.body) {
				t.Fatalf("%s = %s, want it refused as any other: %s", a.asked, a.body, refused.body)
			}
		}
	}
	w.get(list+url.QueryEscape(good+"\x00 é/"+good)).refused(400, "invalidCursor")
	w.get("/Users?count=2&filter=title+pr&cursor=%zz").refused(400, "invalidValue")

	// Of another list, order or filter.
	for _, other := range []string{"/Users?count=2&cursor=", "/Users?count=2&filter=title+pr+and+active+eq+true&cursor=", "/Groups?count=2&filter=title+pr&cursor=", "?count=2&filter=title+pr&cursor=",
		"/Users?count=2&filter=title+pr&sortBy=title&cursor=", "/Roles?count=2&filter=displayName+pr&cursor="} {
		if a := w.get(other + good); string(a.body) != string(refused.body) {
			t.Errorf("%s = %s, want %s", a.asked, a.body, refused.body)
		}
	}
	sorted := w.get("/Users?count=2&sortBy=title&cursor=").text("nextCursor")
	w.get("/Users?count=2&sortBy=TITLE&sortOrder=ascending&cursor=" + sorted).want(200)
	w.get("/Users?count=2&sortBy=title&sortOrder=descending&cursor="+sorted).refused(400, "invalidCursor")
	w.get("/Users?count=2&sortBy=userName&cursor="+sorted).refused(400, "invalidCursor")
	w.get("/Users?count=2&filter=title+pr&attributes=id&cursor=" + good).want(200) // which is no other place

	// The count of the first page, and none that is none.
	for _, count := range []string{"3", "1", "0", "-1", ""} {
		w.get("/Users?filter=title+pr&count="+count+"&cursor="+good).refused(400, "invalidCount")
	}
	w.get("/Users?filter=title+pr&cursor="+good).refused(400, "invalidCount")
	for _, count := range []string{"many", "1.5", "1e2"} {
		w.get("/Users?cursor&count="+count).refused(400, "invalidCount")
	}
	if a := w.get("/Users?cursor=&count=501").want(200).is("itemsPerPage", "5"); a.text("nextCursor") != "" {
		t.Error("a list of one page has a next one")
	}
	w.get("/Users?cursor=&startIndex=3&count=2").want(200).is("itemsPerPage", "2").lacks("startIndex")
	strict := newWorld(t, "strict")
	strict.get("/Users?cursor=&count=501").refused(400, "invalidCount")
	strict.get("/Users?cursor=&count=500").want(200)
	strict.get("/Users?cursor=&startIndex=1").refused(400, "invalidValue")

	// Another connection, though of the same organization, and another credential.
	mine := w.token
	_, w.token = w.connect(w.org, "")
	if a := w.get(list + good); string(a.body) != string(refused.body) {
		t.Errorf("another connection's cursor: %s, want %s", a.body, refused.body)
	}
	token, cred, err := w.orgs.Issue(context.Background(), w.org, w.conn.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.token = token
	w.get(list + good).want(200)
	if err := w.orgs.Revoke(context.Background(), w.org, w.conn.ID, cred.ID); err != nil {
		t.Fatal(err)
	}
	w.get(list+good).refused(401, "") // a cursor opens nothing
	w.token = mine

	// Good for an hour from its own page on.
	w.pass(59 * time.Minute)
	next := w.get(list + good).want(200).text("nextCursor")
	w.pass(59 * time.Minute)
	w.get(list+good).refused(400, "expiredCursor")
	w.get("/Users?count=2&cursor="+good).refused(400, "invalidCursor") // which says nothing about it
	w.get(list + next).want(200)
	w.pass(time.Hour)
	w.get(list+next).refused(400, "expiredCursor")
}

// A cursor stands in URLs: it holds nothing of a person, and nobody reads one
// out of two.
func TestCursorsHoldNobody(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"canary-one", "canary-two", "canary-three"} {
		w.user(n+"@example.com", `"title":"canary-title"`, `"nickName":"canary"`)
	}
	for _, list := range []string{"/Users?", "/Users?filter=title+eq+%22canary-title%22", "/Users?sortBy=userName", "/Users?sortBy=nickName&sortOrder=descending", "?sortBy=title"} {
		c := w.get(list + "&count=1&cursor").text("nextCursor")
		plain, err := base64.RawURLEncoding.DecodeString(c[:max(0, len(c)-26)])
		if c == "" || err != nil || strings.Contains(strings.ToLower(c+string(plain)), "canary") {
			t.Errorf("%s: the cursor is %q, %q (%v)", list, c, plain, err)
		}
		if len(c) > 400 {
			t.Errorf("%s: the cursor has %d characters", list, len(c))
		}
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Errorf("the log tells of people: %s", w.log)
	}
}

// A page far on costs what the first one costs: as many reads.
func TestPagesByCursorCostTheSame(t *testing.T) {
	w := newWorld(t)
	for i := range 300 {
		w.user(fmt.Sprintf("u%d@example.com", i))
	}
	var reads []int
	at := ""
	for {
		w.table.counts()
		a := w.get("/Users?count=20&cursor=" + at).want(200)
		n, _ := w.table.counts()
		reads = append(reads, n)
		if at = a.text("nextCursor"); at == "" {
			break
		}
	}
	// Users lie in 16 partitions: a page begins in one and may end in another.
	if first, most := reads[0], slices.Max(reads); len(reads) != 15 || most > first+4 {
		t.Errorf("the pages took %v reads, want all about as many as the first", reads)
	}
}

func TestPlainDiscovery(t *testing.T) {
	w := newWorld(t)
	const pagination = `{"cursor":true,"index":true,"defaultPaginationMethod":"index","defaultPageSize":100,"maxPageSize":500,"cursorTimeout":3600}`
	w.get("/ServiceProviderConfig").is("pagination", pagination)
	w.get("/ServiceProviderConfig", "Authorization", "").is("pagination", pagination)
	if err := w.orgs.SetDiscovery(context.Background(), w.org, w.conn.ID, "plain"); err != nil {
		t.Fatal(err)
	}
	w.get("/ServiceProviderConfig").lacks("pagination").is("sort.supported", "true")
	w.get("/ResourceTypes").is("totalResults", "2")
	w.get("/Schemas").is("totalResults", "3")
	w.get("/ResourceTypes/User").is("schemaExtensions", `[{"schema":"`+enterprise+`","required":false}]`)
	w.get("/ResourceTypes/Role").want(200) // who asks for it knows it
	w.get("/Schemas/urn:okta:scim:schemas:core:1.0:Role").want(200)
	w.get("/Users?cursor=").want(200).lacks("startIndex") // what is not told works all the same
	w.get("/Roles").list()
	if err := w.orgs.SetDiscovery(context.Background(), w.org, w.conn.ID, "standard"); err != nil {
		t.Fatal(err)
	}
	w.get("/ServiceProviderConfig").is("pagination", pagination)
	if c, err := w.orgs.Connection(context.Background(), w.org, w.conn.ID); err != nil || c.Discovery != "standard" || c.Name != "Directory" {
		t.Errorf("the connection is %+v (%v)", c, err)
	}
	if err := w.orgs.SetDiscovery(context.Background(), w.org, identity.MintConnection(), "plain"); err == nil {
		t.Error("a connection that does not exist can be set")
	}
}
