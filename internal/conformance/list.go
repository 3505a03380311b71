package conformance

import (
	"encoding/json"
	"fmt"
)

// lists are about queries and their pages (RFC 7644 §3.4.2, §3.4.3).
var lists = []Check{
	{"RFC7644-3.4.2-L817", func(p *probe) {
		p.user()
		p.user()
		p.group()
		for _, r := range []reply{
			p.get("/Users?count=1"), p.get("/Groups?count=1"), p.ok(p.query("/Users", "filter", "userName pr")),
			p.ok(p.call("POST", "/Users/.search", object{"schemas": array{searchURN}, "count": 1})),
		} {
			p.is(r, array{listURN}, "schemas")
		}
		// totalResults counts what there is, not what is on the page.
		r := p.get("/Users?count=1")
		if n, _ := r.at("totalResults").(json.Number); len(n) == 0 || n == "0" || n == "1" {
			p.failf("%s: totalResults = %s, want all of two users at least", r.asked, show(r.at("totalResults")))
		}
	}},
	{"RFC7644-3.4.2-L847", func(p *probe) {
		for _, endpoint := range []string{"/Users", "/Groups"} {
			r := p.query(endpoint, "filter", `externalId eq "nobody-has-this"`)
			if r.status != 200 || fmt.Sprint(r.at("totalResults")) != "0" || len(elements(r.at("Resources"))) > 0 {
				p.failf("%s = %d with totalResults %s, want 200 with 0", r.asked, r.status, show(r.at("totalResults")))
			}
		}
	}},
	{"RFC7644-3.4.2.1-L912", func(p *probe) {
		// What is too many for this provider is tested in package scimhttp, with
		// limits within a test's reach. Here: it is never more than it said.
		p.user()
		most, _ := p.get("/ServiceProviderConfig").at("filter", "maxResults").(json.Number)
		limit, err := most.Int64()
		if err != nil || limit < 1 {
			p.stopf("filter.maxResults = %s, want a number", show(most))
		}
		r := p.call("GET", "/Users?count=1000000", nil)
		if n := len(elements(r.at("Resources"))); r.good() && (n == 0 || int64(n) > limit) {
			p.failf("%s answers %d resources, want 1 to %d", r.asked, n, limit)
		} else if !r.good() {
			p.refused(r, 400, "tooMany")
		}
	}},
	{"RFC7644-3.4.2.4-L1358", func(p *probe) {
		p.user()
		first := p.get("/Users?startIndex=1&count=1").ids()
		for _, start := range []string{"0", "-1", "-1000000"} {
			r := p.call("GET", "/Users?count=1&startIndex="+start, nil)
			if !r.good() || !sameSet(r.ids(), first) || fmt.Sprint(r.at("startIndex")) != "1" {
				p.failf("%s = %d with startIndex %s and %q, want what startIndex=1 gives: %q", r.asked, r.status, show(r.at("startIndex")), r.ids(), first)
			}
		}
	}},
	{"RFC7644-3.4.2.4-L1363", func(p *probe) {
		for range 3 {
			p.user()
			p.group()
		}
		for _, endpoint := range []string{"/Users", "/Groups"} {
			for count, want := range map[string]int{"2": 2, "1": 1, "0": 0, "-5": 0} {
				r := p.get(endpoint + "?count=" + count)
				if n := len(elements(r.at("Resources"))); n > want || n == 0 && want > 0 {
					p.failf("%s answers %d resources, want %d", r.asked, n, want)
				}
			}
		}
	}},
	{"RFC7644-3.4.3-L1476", func(p *probe) {
		u := p.user()
		body := object{"schemas": array{searchURN}, "filter": `id eq "` + u.text("id") + `"`}
		if r := p.call("POST", "/Users/.search", body); !r.good() || !sameSet(r.ids(), []string{u.text("id")}) {
			p.failf("%s = %d with %q, want the user", r.asked, r.status, r.ids())
		}
		for _, schemas := range []array{nil, {}, {listURN}} {
			body["schemas"] = schemas
			p.refused(p.call("POST", "/Users/.search", body), 400, "")
		}
	}},
}

// projections are about attributes and excludedAttributes (RFC 7644 §3.9).
var projections = []Check{
	{"RFC7644-3.4.2.5-L1438", func(p *probe) {
		u := p.user(object{"title": "Countess", "nickName": "Ada", "name": object{"givenName": "Ada", "familyName": "Lovelace"}})
		id := u.text("id")
		for _, at := range []struct {
			path  string
			found func(reply) any
		}{
			{"/Users/" + id + "?", func(r reply) any { return r.tree }},
			{"/Users?filter=id+eq+%22" + id + "%22&", func(r reply) any { return r.at("Resources", 0) }},
		} {
			r := p.get(at.path + "attributes=title,name.givenName")
			r.tree = at.found(r)
			p.is(r, "Countess", "title")
			p.is(r, object{"givenName": "Ada"}, "name")
			p.is(r, nil, "nickName")
			r = p.get(at.path + "excludedAttributes=title,name.givenName")
			r.tree = at.found(r)
			p.is(r, nil, "title")
			p.is(r, object{"familyName": "Lovelace"}, "name")
			p.is(r, "Ada", "nickName")
		}
	}},
	{"RFC7644-3.4.2.5-L1449", func(p *probe) {
		u := p.user(object{"title": "Countess"})
		for _, path := range []string{"/Users/" + u.text("id") + "?excludedAttributes=id", "/Users/" + u.text("id") + "?excludedAttributes=id,title"} {
			p.is(p.get(path), u.at("id"), "id")
		}
		r := p.ok(p.query("/Users", "filter", `id eq "`+u.text("id")+`"`, "excludedAttributes", "id"))
		p.is(r, u.at("id"), "Resources", 0, "id")
	}},
	{"RFC7644-3.9-L3596", func(p *probe) {
		u := p.user(object{"title": "Countess", "nickName": "Ada"})
		path := "/Users/" + u.text("id")
		for _, r := range []reply{
			p.get(path + "?attributes=title"), p.get(path + "?attributes=" + userURN + ":title"),
			p.ok(p.call("PATCH", path+"?attributes=title", object{"schemas": array{patchURN}, "Operations": array{op("add", "nickName", "Augusta")}})),
		} {
			p.is(r, u.at("id"), "id")
			p.is(r, "Countess", "title")
			for _, name := range []string{"nickName", "userName", "meta"} {
				p.is(r, nil, name)
			}
		}
	}},
}
