package scimhttp_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"gatehouse/internal/scim/value"
)

func TestPaging(t *testing.T) {
	w := newWorld(t)
	var all []string
	for i := range 12 {
		all = append(all, w.user(fmt.Sprintf("u%d@example.com", i)))
	}
	order := w.get("/Users").list(all...).ids()
	groups := []string{}
	for i := range 12 {
		groups = append(groups, w.group(fmt.Sprint("Team ", i)))
	}
	groupOrder := w.get("/Groups").list(groups...).ids()
	for _, l := range []struct {
		path  string
		order []string
	}{{"/Users?", order}, {"/Groups?", groupOrder}, {"/Users?filter=userName+pr&", order}, {"/Groups?filter=displayName+sw+%22team%22&", groupOrder}, {"/Users?filter=active+eq+true&attributes=id&", order}} {
		for _, c := range []struct {
			query      string
			start      int
			from, upto int // of the order
		}{
			{"startIndex=1&count=5", 1, 0, 5},
			{"startIndex=6&count=5", 6, 5, 10},
			{"startIndex=11&count=5", 11, 10, 12},
			{"startIndex=12&count=1", 12, 11, 12},
			{"startIndex=13&count=5", 13, 12, 12},
			{"startIndex=999999999&count=5", 999999999, 12, 12},
			{"startIndex=99999999999999999999999&count=5", 1 << 40, 12, 12},
			{"startIndex=0&count=3", 1, 0, 3},
			{"startIndex=-7&count=3", 1, 0, 3},
			{"startIndex=-99999999999999999999999&count=3", 1, 0, 3},
			{"startIndex=4", 4, 3, 12},
			{"startIndex=&count=", 1, 0, 12},
			{"count=0", 1, 0, 0},
			{"count=-1", 1, 0, 0},
			{"count=99999999999999999999999", 1, 0, 12},
			{"count=2&count=2", 1, 0, 2},
			{"sortBy=id&sortOrder=Ascending&nothing=%zz&=&&aadOptscim062020", 1, 0, 12},
			{"", 1, 0, 12},
		} {
			a := w.get(l.path + c.query).want(200)
			a.is("totalResults", "12").is("startIndex", strconv.Itoa(c.start)).is("itemsPerPage", strconv.Itoa(c.upto-c.from))
			if got := a.ids(); !slices.Equal(got, l.order[c.from:c.upto]) {
				t.Errorf("%s: ids %v, want those from %d to %d of %v", a.asked, got, c.from, c.upto, l.order)
			}
			if a.at("Resources").Kind() != value.Array {
				t.Errorf("%s: Resources = %s, want an array", a.asked, a.at("Resources").Append(nil))
			}
		}
	}
	for _, q := range []string{"count=many", "startIndex=1.5", "count=1e2", "startIndex=0x10", "count=5&count=6", "startIndex=1&startIndex=2", "count=%zz"} {
		w.get("/Users?"+q).refused(400, "invalidValue")
	}
}

func TestPageOfAtMost500(t *testing.T) {
	w := newWorld(t)
	for i := range 501 {
		w.user(fmt.Sprintf("u%d@example.com", i))
	}
	w.get("/Users?count=1000").is("totalResults", "501").is("itemsPerPage", "500")
	w.get("/Users").is("totalResults", "501").is("itemsPerPage", "100")
	w.get("/Users?filter=userName+pr&startIndex=501").is("totalResults", "501").is("itemsPerPage", "1")
	if got := w.get("/ServiceProviderConfig").text("filter.maxResults"); got != "500" {
		t.Errorf("filter.maxResults = %s, want what a page holds, 500", got)
	}
}

// A page that would be too large ends early; whoever goes on behind its last
// resource meets every one once.
func TestLargePagesEndEarly(t *testing.T) {
	w := newWorld(t)
	var all, groups []string
	for i := range 9 {
		all = append(all, w.user(fmt.Sprintf("u%d@example.com", i)))
	}
	for i := range 9 {
		groups = append(groups, w.group(fmt.Sprint("Team ", i), all[:i]...))
	}
	w.Bound(0, 0, 2000)
	for path, want := range map[string][]string{"/Users?": all, "/Users?filter=userName+pr&": all, "/Groups?": groups, "/Groups?filter=displayName+pr&": groups} {
		var got []string
		pages := 0
		for start := 1; start <= len(want); pages++ {
			a := w.get(path+"startIndex="+strconv.Itoa(start)).want(200).is("totalResults", "9")
			n, _ := strconv.Atoi(a.text("itemsPerPage"))
			if n != len(a.ids()) || n == 0 || n > 1 && len(a.body) > 2300 {
				t.Fatalf("%s: itemsPerPage %d, %d resources, %d bytes; want at least one and at most 2000 bytes of several", a.asked, n, len(a.ids()), len(a.body))
			}
			got = append(got, a.ids()...)
			start += n
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || pages < 3 {
			t.Errorf("%s: %d pages with %v, want several with %v", path, pages, got, want)
		}
	}
}

func TestSearchRequests(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com", `"title":"Countess"`)
	w.group("Engines", ada)
	search := func(endpoint, members string) answer {
		return w.do("POST", endpoint+"/.search", `{"schemas":["`+searchURN+`"]`+members+`}`)
	}
	search("/Users", "").list(ada)
	search("/Users", `,"filter":null,"count":null,"attributes":[]`).list(ada)
	search("/Users", `,"attributes":["userName"],"startIndex":1,"count":1`).list(ada).is("Resources.0", `{"schemas":["`+userURN+`"],"id":"`+ada+`","userName":"ada@example.com"}`)
	search("/Users", `,"excludedAttributes":["emails","name"],"count":0`).is("totalResults", "1").is("Resources", "[]")
	search("/Groups", `,"filter":"members eq \"`+ada+`\"","excludedAttributes":["members"]`).is("totalResults", "1").lacks("Resources.0.members")
	for _, bad := range []string{`,"count":true`, `,"startIndex":[1]`, `,"count":1.5`, `,"filter":7`, `,"filter":{}`, `,"attributes":7`, `,"attributes":[7]`, `,"attributes":["id"],"excludedAttributes":["name"]`} {
		search("/Users", bad).refused(400, "invalidValue")
	}
	search("/Users", `,"filter":"userName xx"`).refused(400, "invalidFilter")
	search("/Users", `,"filter":""`).refused(400, "invalidFilter")
	w.do("POST", "/Users/.search", `{"filter":"title pr"}`).list(ada)
	strict := newWorld(t, "strict")
	strict.do("POST", "/Users/.search", `{"filter":"title pr"}`).refused(400, "invalidSyntax")
	strict.do("POST", "/Users/.search", `{"schemas":["`+searchURN+`"],"count":"1"}`).refused(400, "invalidValue")
}

func TestProjection(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com", `"externalId":"X"`, `"`+enterprise+`":{"department":"Engines","costCenter":"1"}`)
	g := w.group("Engines", id)
	start := `{"schemas":["` + userURN + `","` + enterprise + `"],"id":"` + id + `"`
	for query, want := range map[string]string{
		"attributes=userName":                       start + `,"userName":"ada@example.com"}`,
		"attributes=USERNAME,externalid":            start + `,"externalId":"X","userName":"ada@example.com"}`,
		"attributes=userName&attributes=externalId": start + `,"externalId":"X","userName":"ada@example.com"}`,
		"attributes=userName%2CexternalId":          start + `,"externalId":"X","userName":"ada@example.com"}`,
		"attributes=name.familyName":                start + `,"name":{"familyName":"Lovelace"}}`,
		"attributes=emails.value":                   start + `,"emails":[{"value":"ada@example.com"}]}`,
		"attributes=" + enterprise + ":department":  start + `,"` + enterprise + `":{"department":"Engines"}}`,
		"attributes=" + userURN + ":userName":       start + `,"userName":"ada@example.com"}`,
		"attributes=groups.value":                   start + `,"groups":[{"value":"` + g + `"}]}`,
		"attributes=password":                       start + `}`,
		"attributes=nothing":                        start + `}`,
		"attributes=id":                             start + `}`,
		"excludedAttributes=id,schemas,name,emails,groups,meta,externalId,active," + enterprise: start + `,"userName":"ada@example.com"}`,
	} {
		if got := w.get("/Users/" + id + "?" + query).want(200); string(got.body) != want {
			t.Errorf("%s = %s, want %s", got.asked, got.body, want)
		}
		for _, list := range []string{"/Users?", "/Users?filter=userName+eq+%22ada@example.com%22&", "/Users?filter=userName+pr&"} {
			if got := w.get(list + query).want(200); string(got.at("Resources.0").Append(nil)) != want {
				t.Errorf("%s: the resource is %s, want %s", got.asked, got.at("Resources.0").Append(nil), want)
			}
		}
	}
	w.get("/Users/"+id+"?attributes=userName&excludedAttributes=name").refused(400, "invalidValue")
	w.get("/Users?attributes=userName&excludedAttributes=name").refused(400, "invalidValue")
	w.get("/Users/"+id+"?attributes=").want(200).is("userName", `"ada@example.com"`)

	// Writes answer what was asked for, and refuse before they write.
	a := w.do("POST", "/Users?attributes=userName", person("bo@example.com")).want(201).lacks("emails").lacks("meta")
	bo := a.text("id")
	if a.header.Get("ETag") == "" || a.header.Get("Location") == "" {
		t.Errorf("POST with attributes: headers %v, want ETag and Location", a.header)
	}
	w.do("PUT", "/Users/"+bo+"?excludedAttributes=emails", person("bo@example.com")).want(200).lacks("emails").is("userName", `"bo@example.com"`)
	w.do("PATCH", "/Users/"+bo+"?attributes=title", patch(`{"op":"add","path":"title","value":"x"}`)).want(200).is("title", `"x"`).lacks("userName")
	w.do("POST", "/Groups?excludedAttributes=members", team("Poets", bo)).want(201).lacks("members")
	w.do("PUT", "/Groups/"+g+"?excludedAttributes=members", team("Engines", bo)).want(200).lacks("members")
	for _, path := range []string{"/Users?attributes=id&excludedAttributes=name", "/Users?attributes=%zz"} {
		w.do("POST", path, person("eve@example.com")).refused(400, "invalidValue")
	}
	w.find("/Users", `userName eq "eve@example.com"`).list()
}

func TestLargeGroups(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 150 {
		ids = append(ids, w.user(fmt.Sprintf("u%d@example.com", i)))
	}
	slices.Sort(ids)
	a := w.do("POST", "/Groups", team("Everybody", append(ids, ids[:50]...)...)).want(201)
	g := a.text("id")
	if got := texts(a.tree.Get("members")); !slices.Equal(got, ids) {
		t.Errorf("POST answers %d members, want %d, each once", len(got), len(ids))
	}
	w.do("PATCH", "/Groups/"+g, patch(`{"op":"remove","path":"members","value":[{"value":"`+ids[0]+`"}]}`)).want(204)
	if got := w.members(g); !slices.Equal(got, ids[1:]) {
		t.Errorf("after one is removed %d members, want %d", len(got), len(ids)-1)
	}
	w.do("PUT", "/Groups/"+g, team("Everybody", ids[:100]...)).want(200)
	if got := w.members(g); !slices.Equal(got, ids[:100]) {
		t.Errorf("after PUT %d members, want 100", len(got))
	}

	// Above the bound a group comes without its members, and says so to who insists.
	w.Bound(0, 99, 0)
	w.get("/Groups/"+g).want(200).lacks("members").is("displayName", `"Everybody"`)
	w.get("/Groups/"+g+"?attributes=members").refused(400, "tooMany")
	w.get("/Groups/" + g + "?excludedAttributes=members").want(200)
	w.get("/Groups").list(g).lacks("Resources.0.members")
	w.find("/Groups", `id eq "`+g+`" and members eq "`+ids[7]+`"`).list(g)
	w.find("/Groups", `id eq "`+g+`" and members[(value eq "`+ids[120]+`" or value eq "`+ids[7]+`") and type eq "User"]`).list(g)
	w.find("/Groups", `id eq "`+g+`" and members[value eq "`+ids[120]+`" or value eq "`+ids[121]+`"]`).list()
	w.do("PATCH", "/Groups/"+g, patch(`{"op":"add","path":"members","value":[{"value":"`+ids[149]+`"}]}`)).want(204)
}

func TestManyMemberships(t *testing.T) {
	w := newWorld(t, "strict")
	ada, bo := w.user("ada@example.com"), w.user("bo@example.com")
	var groups []string
	for i := range 20 {
		groups = append(groups, w.group(fmt.Sprint("Team ", i), ada, bo))
	}
	slices.Sort(groups)
	for _, a := range []answer{w.get("/Users/" + ada), w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","path":"title","value":"x"}`)), w.do("PUT", "/Users/"+ada, person("ada@example.com"))} {
		if got := texts(a.want(200).tree.Get("groups")); !slices.Equal(got, groups) {
			t.Errorf("%s shows groups %v, want %v", a.asked, got, groups)
		}
	}
	w.get("/Users?excludedAttributes=groups").lacks("Resources.0.groups")
	// More memberships than one commit ends: the user is gone from every answer
	// all the same, before the feed has swept.
	w.do("DELETE", "/Users/"+ada, "").want(204)
	for _, g := range groups {
		if got := w.members(g); !slices.Equal(got, []string{bo}) {
			t.Errorf("a group lists %v after one of them was deleted, want %s", got, bo)
		}
		w.find("/Groups", `id eq "`+g+`" and members eq "`+ada+`"`).list()
	}
	// A PATCH chooses from whom GET shows, too.
	cy := w.user("cy@example.com")
	for i, which := range []string{`value eq \"` + ada + `\"`, `value eq \"` + ada + `\" or value eq \"x\"`, `not (value eq \"` + bo + `\")`} {
		w.do("PATCH", "/Groups/"+groups[19-i], patch(`{"op":"replace","path":"members[`+which+`]","value":{"value":"`+cy+`"}}`)).refused(400, "noTarget")
		if got := w.members(groups[19-i]); !slices.Equal(got, []string{bo}) {
			t.Errorf("after a refused PATCH of members[%s] the group lists %v, want %s", which, got, bo)
		}
	}
	w.find("/Groups", `members eq "`+ada+`"`).list()
	w.find("/Groups", `members eq "`+bo+`" and members eq "`+ada+`"`).list()
	w.get("/Users").list(bo, cy)
}
