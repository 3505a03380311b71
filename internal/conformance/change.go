package conformance

import (
	"net/http"
	"strings"
)

// creations are about POST (RFC 7644 §3.3).
var creations = []Check{
	{"RFC7644-3.3-L584", func(p *probe) {
		g := p.group().text("id")
		for endpoint, body := range map[string]object{"/Users": p.person(object{"groups": array{object{"value": g}}}), "/Groups": p.team()} {
			body["id"], body["meta"] = "mine", object{"location": "https://elsewhere.example/1"}
			r := p.call("POST", endpoint, body)
			if !r.good() {
				p.failf("%s with readOnly attributes = %d, want them ignored", r.asked, r.status)
				continue
			}
			if r.text("id") == "mine" || r.text("meta", "location") == "https://elsewhere.example/1" || r.at("groups") != nil {
				p.failf("%s takes readOnly attributes: %.300s", r.asked, r.body)
			}
		}
	}},
	{"RFC7644-3.3-L602", func(p *probe) {
		for _, r := range []reply{p.user(), p.group()} {
			if r.status != http.StatusCreated {
				p.failf("%s = %d, want 201", r.asked, r.status)
			}
		}
	}},
	{"RFC7644-3.3-L603", func(p *probe) {
		body := p.person(object{"title": "Countess", "name": object{"givenName": "Ada"}})
		r := p.post("/Users", body)
		for _, name := range []string{"userName", "title", "name"} {
			p.is(r, body[name], name)
		}
	}},
	{"RFC7644-3.3-L605", func(p *probe) {
		for _, r := range []reply{p.user(), p.group()} {
			home := r.header.Get("Location")
			if home == "" || r.at("meta", "location") != home {
				p.failf("%s: Location = %q and meta.location = %s, want the same", r.asked, home, show(r.at("meta", "location")))
			} else if !strings.HasSuffix(home, "/"+r.text("id")) {
				p.failf("%s: Location = %q does not end in the id %s", r.asked, home, r.text("id"))
			}
		}
	}},
	{"RFC7644-3.3-L625", func(p *probe) {
		u := p.user()
		for _, name := range []string{u.text("userName"), swapCase(u.text("userName"))} {
			p.refused(p.call("POST", "/Users", object{"schemas": array{userURN}, "userName": name}), 409, "uniqueness")
		}
	}},
}

// replacements are about PUT (RFC 7644 §3.5.1).
var replacements = []Check{
	{"RFC7644-3.2-L490", func(p *probe) {
		r := p.call("PUT", "/Users/nobody-has-this-id", p.person())
		if r.good() {
			p.failf("%s of one who is not there = %d, want an error", r.asked, r.status)
		}
		if r := p.call("PUT", "/Groups/nobody-has-this-id", p.team()); r.good() {
			p.failf("%s of one that is not there = %d, want an error", r.asked, r.status)
		}
	}},
	{"RFC7644-3.5.1-L1637", func(p *probe) {
		body := p.person()
		p.refused(p.call("PUT", "/Users/nobody-has-this-id-either", body), 404, "")
		p.refused(p.call("GET", "/Users/nobody-has-this-id-either", nil), 404, "")
		for _, e := range p.all("/Users") {
			if at(e, "userName") == body["userName"] {
				p.failf("PUT created %v", at(e, "id"))
			}
		}
	}},
	{"RFC7644-3.5-L1607", func(p *probe) {
		u := p.user()
		body := object{"schemas": array{userURN}, "userName": u.at("userName"), "nickName": "Ada"}
		if r := p.call("PUT", "/Users/"+u.text("id"), body); !r.good() {
			p.failf("%s = %d, want PUT to be supported", r.asked, r.status)
		}
		g := p.group()
		if r := p.call("PUT", "/Groups/"+g.text("id"), object{"schemas": array{groupURN}, "displayName": g.at("displayName")}); !r.good() {
			p.failf("%s = %d, want PUT to be supported", r.asked, r.status)
		}
	}},
	{"RFC7644-3.5.1-L1644", func(p *probe) {
		u := p.user(object{"title": "Miss", "name": object{"givenName": "Ada", "middleName": "Augusta"}, "emails": preferred(true, false)})
		path := "/Users/" + u.text("id")
		emails := array{object{"value": "new@home.example", "type": "home"}}
		p.ok(p.call("PUT", path, object{"schemas": array{userURN}, "userName": u.at("userName"), "title": "Countess", "name": object{"givenName": "Augusta"}, "emails": emails, "password": "New-Password-1"}))
		r := p.get(path)
		p.is(r, "Countess", "title")
		p.is(r, object{"givenName": "Augusta"}, "name")
		p.sameValues(r, emails)
	}},
	{"RFC7644-3.5.1-L1665", func(p *probe) {
		g := p.group().text("id")
		u := p.user()
		path := "/Users/" + u.text("id")
		r := p.call("PUT", path, object{"schemas": array{userURN}, "userName": u.at("userName"), "id": "mine", "meta": object{"created": "1999-01-01T00:00:00Z"}, "groups": array{object{"value": g}}})
		if !r.good() {
			p.stopf("%s with readOnly attributes = %d, want them ignored", r.asked, r.status)
		}
		r = p.get(path)
		p.is(r, u.at("id"), "id")
		p.is(r, u.at("meta", "created"), "meta", "created")
		p.is(r, nil, "groups")
	}},
	{"RFC7644-3.5.1-L1667", func(p *probe) {
		u, g := p.user(), p.group()
		p.refused(p.call("PUT", "/Users/"+u.text("id"), object{"schemas": array{userURN}, "title": "Countess"}), 400, "")
		p.refused(p.call("PUT", "/Groups/"+g.text("id"), object{"schemas": array{groupURN}, "members": array{}}), 400, "")
	}},
}

// deletions are about DELETE (RFC 7644 §3.6).
var deletions = []Check{
	{"RFC7644-3.6-L2642", func(p *probe) {
		for endpoint, body := range map[string]object{"/Users": p.person(), "/Groups": p.team()} {
			path := endpoint + "/" + p.post(endpoint, body).text("id")
			p.ok(p.call("DELETE", path, nil))
			p.refused(p.call("GET", path, nil), 404, "")
			p.refused(p.call("PUT", path, body), 404, "")
			p.refused(p.patch(path, op("add", "displayName", "x")), 404, "")
			p.refused(p.call("DELETE", path, nil), 404, "")
		}
	}},
	{"RFC7644-3.6-L2644", func(p *probe) {
		for endpoint, body := range map[string]object{"/Users": p.person(), "/Groups": p.team()} {
			id := p.post(endpoint, body).text("id")
			p.ok(p.call("DELETE", endpoint+"/"+id, nil))
			p.finds(endpoint, `id eq "`+id+`"`)
			for _, e := range p.all(endpoint) {
				if at(e, "id") == id {
					p.failf("%s lists %s, which is deleted", endpoint, id)
				}
			}
		}
	}},
	{"RFC7644-3.6-L2657", func(p *probe) {
		for endpoint, body := range map[string]object{"/Users": p.person(), "/Groups": p.team()} {
			r := p.call("DELETE", endpoint+"/"+p.post(endpoint, body).text("id"), nil)
			if r.status != http.StatusNoContent || len(r.body) > 0 {
				p.failf("%s = %d with %d bytes, want 204 without a body", r.asked, r.status, len(r.body))
			}
		}
	}},
}
