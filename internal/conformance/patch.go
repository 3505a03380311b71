package conformance

import (
	"fmt"
	"net/http"
	"time"
)

// patches are about PATCH (RFC 7644 §3.5.2).
var patches = []Check{
	{"RFC7644-3.5-L1609", func(p *probe) {
		p.is(p.get("/ServiceProviderConfig"), true, "patch", "supported")
		u := p.user()
		p.ok(p.patch("/Users/"+u.text("id"), op("add", "nickName", "Ada")))
		p.is(p.get("/Users/"+u.text("id")), "Ada", "nickName")
	}},
	{"RFC7644-3.5.2-L1805", func(p *probe) {
		path := "/Users/" + p.user().text("id")
		ops := array{op("add", "title", "Countess")}
		for _, body := range []object{{"Operations": ops}, {"schemas": array{}, "Operations": ops}, {"schemas": array{userURN}, "Operations": ops}} {
			p.refused(p.call("PATCH", path, body), 400, "")
		}
		p.is(p.get(path), nil, "title")
	}},
	{"RFC7644-3.5.2-L1808", func(p *probe) {
		path := "/Users/" + p.user().text("id")
		for _, body := range []object{{"schemas": array{patchURN}}, {"schemas": array{patchURN}, "Operations": array{}}, {"schemas": array{patchURN}, "Operations": nil}} {
			p.refused(p.call("PATCH", path, body), 400, "")
		}
	}},
	{"RFC7644-3.5.2-L1810", func(p *probe) {
		path := "/Users/" + p.user().text("id")
		for _, o := range []object{{"path": "title", "value": "x"}, {"op": nil, "path": "title", "value": "x"}, {"op": "move", "path": "title", "value": "x"}, {"op": array{"add", "remove"}, "path": "title", "value": "x"}} {
			p.refused(p.patch(path, o), 400, "")
		}
		twice := fmt.Sprintf(`{"schemas":[%q],"Operations":[{"op":"add","op":"remove","path":"title","value":"x"}]}`, patchURN)
		p.refused(p.call("PATCH", path, twice), 400, "")
	}},
	{"RFC7644-3.5.2-L1886", func(p *probe) {
		path := "/Users/" + p.user().text("id")
		for _, o := range []object{
			op("replace", "active", "maybe"), op("replace", "title", array{"a", "b"}), op("add", "emails", "ada@home.example"), op("replace", "name.givenName", object{"value": "Ada"}),
			op("add", "noSuchAttribute", "x"), op("add", "name.noSuchPart", "x"),
		} {
			p.refused(p.patch(path, o), 400, "")
		}
	}},
	{"RFC7644-3.5.2-L1888", func(p *probe) {
		a := p.user().text("id")
		u, g := "/Users/"+a, "/Groups/"+p.group(a).text("id")
		for _, o := range []object{op("replace", "id", "mine"), op("replace", "meta.created", "1999-01-01T00:00:00Z"), op("add", "groups", array{object{"value": "x"}})} {
			p.refused(p.patch(u, o), 400, "mutability")
		}
		p.refused(p.patch(g, op("replace", `members[value eq "`+a+`"].value`, "x")), 400, "")
	}},
	{"RFC7644-3.5.2-L1927", func(p *probe) {
		for _, o := range []object{
			op("add", "emails", array{object{"value": "third@home.example", "primary": true}}),
			op("replace", `emails[value eq "second@work.example"].primary`, true),
		} {
			u := p.user(object{"emails": preferred(true, false)})
			p.ok(p.patch("/Users/"+u.text("id"), o))
			r := p.get("/Users/" + u.text("id"))
			for _, e := range elements(r.at("emails")) {
				primary := fmt.Sprint(at(e, "primary")) == "true"
				if at(e, "value") == "first@home.example" && primary {
					p.failf("%s: the address that was primary still is, after %s", r.asked, show(o))
				}
				if at(e, "value") == "third@home.example" && !primary {
					p.failf("%s: the address that was made primary is not", r.asked)
				}
			}
		}
	}},
	{"RFC7644-3.5.2-L1931", func(p *probe) {
		u := p.user(object{"title": "Miss"})
		r := p.patch("/Users/"+u.text("id"), op("replace", "title", "Countess"), op("remove", "userName"))
		if r.good() {
			p.failf("%s with an operation that fails = %d, want an error", r.asked, r.status)
		}
		p.is(p.get("/Users/"+u.text("id")), "Miss", "title")
		p.ok(p.patch("/Users/"+u.text("id"), op("replace", "title", "Countess"), op("add", "nickName", "Ada")))
		r = p.get("/Users/" + u.text("id"))
		p.is(r, "Countess", "title")
		p.is(r, "Ada", "nickName")
	}},
	{"RFC7644-3.5.2-L1933", func(p *probe) {
		u := p.user(object{"title": "Miss", "emails": preferred(true, false)})
		before := p.get("/Users/" + u.text("id"))
		p.patch("/Users/"+u.text("id"), op("remove", "emails"), op("replace", "title", "Countess"), op("replace", "id", "mine"))
		p.same("a user after a PATCH that failed", p.get("/Users/"+u.text("id")).tree, before.tree)
	}},
	{"RFC7644-3.5.2-L1939", func(p *probe) {
		for _, path := range []string{"/Users/" + p.user().text("id"), "/Groups/" + p.group().text("id")} {
			r := p.patch(path, op("add", "externalId", p.name()))
			switch {
			case r.status == http.StatusOK && r.at("externalId") != nil && r.at("meta") != nil:
			case r.status == http.StatusNoContent && len(r.body) == 0:
			default:
				p.failf("%s = %d with %.200s, want 200 with the resource, or 204 without a body", r.asked, r.status, r.body)
			}
			r = p.call("PATCH", path+"?attributes=externalId", object{"schemas": array{patchURN}, "Operations": array{op("add", "externalId", p.name())}})
			if r.status != http.StatusOK || r.at("externalId") == nil {
				p.failf("%s that asks for attributes = %d with %.200s, want 200 with them", r.asked, r.status, r.body)
			}
		}
	}},
	{"RFC7644-3.5.2.1-L1972", func(p *probe) {
		path := "/Users/" + p.user().text("id")
		for _, o := range []object{op("add", "title"), {"op": "add"}, op("add", "emails")} {
			p.refused(p.patch(path, o), 400, "")
		}
	}},
	{"RFC7644-3.5.2.1-L1988", func(p *probe) {
		u := p.user(object{"name": object{"familyName": "Lovelace"}})
		path := "/Users/" + u.text("id")
		p.refused(p.patch(path, op("add", "name", "Ada Lovelace")), 400, "")
		p.ok(p.patch(path, op("add", "name", object{"givenName": "Ada"})))
		p.is(p.get(path), object{"familyName": "Lovelace", "givenName": "Ada"}, "name")
	}},
	{"RFC7644-3.5.2.1-L2004", func(p *probe) {
		u := p.user(object{"title": "Countess", "emails": preferred(true, false)})
		path := "/Users/" + u.text("id")
		before := p.get(path)
		time.Sleep(2 * time.Millisecond) // the timestamp's unit is the millisecond
		for _, o := range []object{op("add", "title", "Countess"), op("add", "emails", array{preferred(true, false)[0]})} {
			p.ok(p.patch(path, o))
			p.is(p.get(path), before.at("meta", "lastModified"), "meta", "lastModified")
		}
		a := p.user().text("id")
		g := "/Groups/" + p.group(a).text("id")
		before = p.get(g)
		time.Sleep(2 * time.Millisecond)
		p.ok(p.patch(g, op("add", "members", array{object{"value": a}})))
		p.is(p.get(g), before.at("meta", "lastModified"), "meta", "lastModified")
	}},
	{"RFC7644-3.5.2.2-L2146", func(p *probe) {
		u := p.user(object{"title": "Countess", "name": object{"givenName": "Ada", "familyName": "Lovelace"}, "active": true})
		path := "/Users/" + u.text("id")
		p.ok(p.patch(path, op("remove", "title"), op("remove", "name.givenName"), op("remove", "active")))
		r := p.get(path)
		p.is(r, nil, "title")
		p.is(r, object{"familyName": "Lovelace"}, "name")
		p.is(r, nil, "active")
		p.ok(p.patch(path, op("remove", "name")))
		p.is(p.get(path), nil, "name")
	}},
	{"RFC7644-3.5.2.2-L2151", func(p *probe) {
		u := p.user(object{"emails": preferred(true, false), "phoneNumbers": array{object{"value": "555", "type": "mobile"}}})
		path := "/Users/" + u.text("id")
		p.ok(p.patch(path, op("remove", "emails"), op("remove", `phoneNumbers[type eq "mobile"]`)))
		r := p.get(path)
		p.is(r, nil, "emails")
		p.is(r, nil, "phoneNumbers")
		g := "/Groups/" + p.group(u.text("id")).text("id")
		p.ok(p.patch(g, op("remove", "members")))
		p.is(p.get(g), nil, "members")
	}},
	{"RFC7644-3.5.2.2-L2167", func(p *probe) {
		u, g := "/Users/"+p.user().text("id"), "/Groups/"+p.group().text("id")
		for _, name := range []string{"userName", "id", "meta", "meta.created"} {
			p.refused(p.patch(u, op("remove", name)), 400, "mutability")
		}
		p.refused(p.patch(g, op("remove", "displayName")), 400, "mutability")
	}},
	{"RFC7644-3.5.2.3-L2376", func(p *probe) {
		path := "/Users/" + p.user().text("id")
		p.ok(p.patch(path, op("replace", "title", "Countess"), op("replace", "name.givenName", "Ada"), op("replace", "emails", preferred(true, false))))
		r := p.get(path)
		p.is(r, "Countess", "title")
		p.is(r, object{"givenName": "Ada"}, "name")
		p.sameValues(r, preferred(true, false))
	}},
	{"RFC7644-3.5.2.3-L2387", func(p *probe) {
		numbers := array{object{"value": "1", "type": "work"}, object{"value": "2", "type": "work"}, object{"value": "3", "type": "home"}}
		u := p.user(object{"phoneNumbers": numbers})
		path := "/Users/" + u.text("id")
		p.ok(p.patch(path, op("replace", `phoneNumbers[type eq "work"].display`, "at work")))
		for _, n := range elements(p.get(path).at("phoneNumbers")) {
			work := at(n, "type") == "work"
			if (at(n, "display") == "at work") != work {
				p.failf("after replacing display of those at work, a number is %s", show(n))
			}
		}
		p.ok(p.patch(path, op("replace", `phoneNumbers[value eq "3"]`, object{"value": "3", "type": "mobile"})))
		found := false
		for _, n := range elements(p.get(path).at("phoneNumbers")) {
			found = found || at(n, "value") == "3" && at(n, "type") == "mobile"
		}
		if !found {
			p.failf("the replaced number is not there: %s", show(p.get(path).at("phoneNumbers")))
		}
	}},
	{"RFC7644-3.5.2.3-L2396", func(p *probe) {
		path := "/Users/" + p.user(object{"emails": preferred(true, false)}).text("id")
		for _, o := range []object{
			op("replace", `emails[type eq "other"].value`, "x@other.example"), op("replace", `emails[type eq "other"]`, object{"value": "x@other.example"}), op("replace", `phoneNumbers[type eq "work"].value`, "1"),
		} {
			p.refused(p.patch(path, o), 400, "noTarget")
		}
	}},
}
