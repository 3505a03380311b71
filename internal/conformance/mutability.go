package conformance

import (
	"bytes"
)

// mutabilities are about who may write what (RFC 7643 §7). What users and groups
// have of each kind: id, meta and groups are readOnly, the sub-attributes of
// members immutable, password is writeOnly.
var mutabilities = []Check{
	{"EXTRA-MUT-IMMUTABLE", func(p *probe) {
		a, b := p.user().text("id"), p.user().text("id")
		g := p.group(a).text("id")
		p.same("the member given at creation", p.members(g), []string{a})
		r := p.patch("/Groups/"+g, op("replace", `members[value eq "`+a+`"].value`, b))
		if r.status != 400 {
			p.failf("%s of a member's value = %d, want 400", r.asked, r.status)
		}
	}},
	{"RFC7643-7-L1766", func(p *probe) {
		a, b := p.user().text("id"), p.user().text("id")
		g := p.group(a).text("id")
		for _, o := range []object{
			op("replace", `members[value eq "`+a+`"].value`, b),
			op("replace", `members[value eq "`+a+`"].type`, "Group"),
			op("replace", "members.value", b),
		} {
			p.patch("/Groups/"+g, o)
			p.same("the member after "+show(o), p.members(g), []string{a})
			p.is(p.get("/Groups/"+g), "User", "members", 0, "type")
		}
	}},
	{"RFC7644-3.5.1-L1660", func(p *probe) {
		a, b := p.user().text("id"), p.user().text("id")
		g := p.post("/Groups", p.team(a))
		path := "/Groups/" + g.text("id")
		same := p.get(path).at("members")
		p.ok(p.call("PUT", path, object{"schemas": array{groupURN}, "displayName": g.at("displayName"), "members": same}))
		p.is(p.get(path), same, "members")
		// What contradicts is refused, or is not taken.
		other := object{"value": a, "type": "Group", "$ref": p.s.URL + "/Users/" + b}
		if r := p.call("PUT", path, object{"schemas": array{groupURN}, "displayName": g.at("displayName"), "members": array{other}}); r.status != 400 {
			p.ok(r)
			p.is(p.get(path), same, "members")
		}
	}},
	{"EXTRA-MUT-WRITEONLY", func(p *probe) {
		for _, r := range p.secret("Correct-Horse-1") {
			p.is(r, nil, "password")
		}
	}},
	{"EXTRA-MUT-READONLY", func(p *probe) {
		g := p.group().text("id")
		r := p.call("POST", "/Users", p.person(object{"id": "mine", "meta": object{"created": "1999-01-01T00:00:00Z"}, "groups": array{object{"value": g}}}))
		if !r.good() {
			p.stopf("%s with readOnly attributes = %d, want them ignored", r.asked, r.status)
		}
		if r.at("id") == "mine" || r.at("meta", "created") == "1999-01-01T00:00:00Z" {
			p.failf("%s takes readOnly attributes: %.300s", r.asked, r.body)
		}
		p.is(p.get("/Users/"+r.text("id")), nil, "groups")
	}},
	{"RFC7643-7-L1759", func(p *probe) {
		u := p.user()
		path := "/Users/" + u.text("id")
		g := p.group().text("id")
		for _, o := range []object{
			op("replace", "id", "mine"), op("replace", "meta.created", "1999-01-01T00:00:00Z"), op("add", "meta", object{"resourceType": "Planet"}),
			op("add", "groups", array{object{"value": g}}), op("remove", "meta.created"),
		} {
			p.patch(path, o)
		}
		r := p.get(path)
		p.is(r, u.at("id"), "id")
		p.is(r, u.at("meta", "created"), "meta", "created")
		p.is(r, u.at("meta", "resourceType"), "meta", "resourceType")
		p.is(r, nil, "groups")
	}},
	{"RFC7643-7-L1769", func(p *probe) {
		for _, r := range p.secret("Correct-Horse-2") {
			for _, e := range append(elements(r.at("Resources")), r.tree) {
				if o, _ := e.(object); o["password"] != nil {
					p.failf("%s returns the password", r.asked)
				}
			}
		}
	}},
}

// returns are about what is answered (RFC 7643 §7).
var returns = []Check{
	{"EXTRA-RET-ALWAYS", func(p *probe) {
		u := p.user()
		p.is(p.get("/Users/"+u.text("id")+"?excludedAttributes=id"), u.at("id"), "id")
		g := p.group()
		p.is(p.get("/Groups/"+g.text("id")+"?excludedAttributes=id,displayName"), g.at("id"), "id")
	}},
	{"EXTRA-RET-NEVER", func(p *probe) {
		for _, r := range p.secret("Correct-Horse-3") {
			if bytes.Contains(r.body, []byte(`"password"`)) {
				p.failf("%s has a password: %.300s", r.asked, r.body)
			}
		}
	}},
}

// secret gives a user a password in every way, and returns all answers of which
// it could be a part.
func (p *probe) secret(password string) []reply {
	body := p.person(object{"password": password})
	u := p.post("/Users", body)
	path := "/Users/" + u.text("id")
	return []reply{
		u, p.get(path), p.get(path + "?attributes=password"), p.get(path + "?attributes=userName,password"),
		p.ok(p.query("/Users", "filter", `id eq "`+u.text("id")+`"`)),
		p.ok(p.query("/Users", "filter", `id eq "`+u.text("id")+`"`, "attributes", "password")),
		p.ok(p.call("PUT", path, body)),
		p.ok(p.patch(path, op("replace", "password", password))),
		p.ok(p.call("PATCH", path+"?attributes=password", object{"schemas": array{patchURN}, "Operations": array{op("add", "title", "x")}})),
	}
}
