package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// representations are about `schemas` and the form of a resource (RFC 7643 §2,
// §3).
var representations = []Check{
	{"RFC7643-2.1-L366", func(p *probe) {
		for _, r := range []reply{p.get("/Users/" + p.user().text("id")), p.get("/Groups/" + p.group().text("id"))} {
			if o, _ := r.tree.(object); o == nil || len(elements(o["schemas"])) == 0 {
				p.failf("%s is answered by %.200s, want a JSON object with schemas", r.asked, r.body)
			}
		}
	}},
	{"RFC7643-3-L709", func(p *probe) {
		u, g := p.user().text("id"), p.group().text("id")
		for _, path := range []string{"/Users/" + u, "/Groups/" + g, "/Users?count=1", "/Groups?count=1", "/ServiceProviderConfig", "/Schemas", "/Schemas/" + userURN,
			"/ResourceTypes", "/ResourceTypes/User", "/Users/" + u + "?attributes=userName"} {
			r := p.get(path)
			p.urns(r.asked, r.tree)
			for i, e := range elements(r.at("Resources")) {
				p.urns(fmt.Sprintf("%s: resource %d", r.asked, i), e)
			}
		}
		r := p.call("GET", "/Users/nobody-has-this-id", nil)
		p.urns(r.asked, r.tree)
	}},
	{"RFC7643-3-L711", func(p *probe) {
		for endpoint, body := range map[string]object{
			"/Users":  p.person(object{enterpriseURN: object{"department": "Engines"}}),
			"/Groups": p.team(),
		} {
			allowed := p.urnsOf(endpoint)
			r := p.get(endpoint + "/" + p.post(endpoint, body).text("id"))
			for _, urn := range elements(r.at("schemas")) {
				if !slices.Contains(allowed, fmt.Sprint(urn)) {
					p.failf("%s: schemas has %v, which is none of %q", r.asked, urn, allowed)
				}
			}
		}
	}},
	{"RFC7643-3-L713", func(p *probe) {
		body := p.person(object{"schemas": array{userURN, userURN, enterpriseURN, enterpriseURN}, enterpriseURN: object{"department": "Engines"}})
		r := p.call("POST", "/Users", body)
		if r.good() { // or it is refused
			r = p.get("/Users/" + r.text("id"))
		} else {
			r = p.get("/Users/" + p.user(object{enterpriseURN: object{"department": "Engines"}}).text("id"))
		}
		seen := map[any]bool{}
		for _, urn := range elements(r.at("schemas")) {
			if seen[urn] {
				p.failf("%s: schemas has %v twice", r.asked, urn)
			}
			seen[urn] = true
		}
	}},
	{"RFC7643-3.3-L976", func(p *probe) {
		for path, base := range map[string]string{"/Users/" + p.user().text("id"): userURN, "/Groups/" + p.group().text("id"): groupURN} {
			r := p.get(path)
			if !slices.Contains(elements(r.at("schemas")), any(base)) {
				p.failf("%s: schemas = %s, want %s in it", r.asked, show(r.at("schemas")), base)
			}
		}
	}},
	{"RFC7643-3.1-L852", func(p *probe) {
		for endpoint, body := range map[string]object{"/Users": p.person(), "/Groups": p.team()} {
			body["externalId"] = p.name()
			r := p.get(endpoint + "/" + p.post(endpoint, body).text("id"))
			p.is(r, body["externalId"], "externalId")
			if meta, _ := r.at("meta").(object); r.text("id") == "" || meta == nil {
				p.failf("%s lacks id or meta: %.300s", r.asked, r.body)
			}
		}
	}},
	{"RFC7643-2.3.8-L592", func(p *probe) {
		// The same user, with what it has in one order and in the other.
		forward := fmt.Sprintf(`{"schemas":[%q],"userName":%q,"name":{"givenName":"Ada","familyName":"Lovelace"},"emails":[{"value":"ada@home.example","type":"home"}]}`, userURN, p.name())
		backward := fmt.Sprintf(`{"emails":[{"type":"home","value":"ada@home.example"}],"name":{"familyName":"Lovelace","givenName":"Ada"},"userName":%q,"schemas":[%q]}`, p.name(), userURN)
		a, b := p.ok(p.call("POST", "/Users", forward)), p.ok(p.call("POST", "/Users", backward))
		for _, name := range []string{"name", "emails"} {
			p.same("a user sent in another order: "+name, b.at(name), a.at(name))
		}
		p.ok(p.call("PATCH", "/Users/"+a.text("id"), fmt.Sprintf(`{"Operations":[{"value":"Countess","path":"title","op":"add"}],"schemas":[%q]}`, patchURN)))
		p.is(p.get("/Users/"+a.text("id")), "Countess", "title")
	}},
	{"RFC7643-2.5-L682", func(p *probe) {
		without := p.get("/Users/" + p.user().text("id"))
		with := p.get("/Users/" + p.user(object{"title": nil, "emails": array{}, "phoneNumbers": nil}).text("id"))
		u := p.user(object{"title": "Countess", "emails": array{object{"value": "ada@home.example", "type": "home"}}, "phoneNumbers": array{object{"value": "1", "type": "home"}}})
		cleared := p.ok(p.call("PUT", "/Users/"+u.text("id"), p.person(object{"title": nil, "emails": array{}, "phoneNumbers": nil})))
		for _, name := range []string{"title", "emails", "phoneNumbers"} {
			for _, r := range []reply{without, with, cleared} {
				p.is(r, nil, name)
			}
		}
		v := p.user(object{"title": "Countess"})
		p.ok(p.patch("/Users/"+v.text("id"), op("replace", "title", nil)))
		p.is(p.get("/Users/"+v.text("id")), nil, "title")
	}},
}

// urns wants schemas with at least one URN.
func (p *probe) urns(what string, resource any) {
	list := elements(at(resource, "schemas"))
	for _, urn := range list {
		if s, _ := urn.(string); !strings.HasPrefix(s, "urn:") {
			p.failf("%s: schemas has %s, want URNs", what, show(urn))
		}
	}
	if len(list) == 0 {
		p.failf("%s: schemas = %s, want URNs", what, show(at(resource, "schemas")))
	}
}

// urnsOf are the schemas of the resource type at the endpoint.
func (p *probe) urnsOf(endpoint string) []string {
	for _, rt := range p.resourceTypes() {
		if at(rt, "endpoint") != endpoint {
			continue
		}
		urns := []string{fmt.Sprint(at(rt, "schema"))}
		for _, e := range elements(at(rt, "schemaExtensions")) {
			urns = append(urns, fmt.Sprint(at(e, "schema")))
		}
		return urns
	}
	p.stopf("/ResourceTypes has nothing at %s", endpoint)
	return nil
}

// identifiers are about id and externalId (RFC 7643 §3.1).
var identifiers = []Check{
	{"RFC7643-3.1-L866", func(p *probe) {
		for _, endpoint := range []string{"/Users", "/Groups"} {
			body := p.person()
			if endpoint == "/Groups" {
				body = p.team()
			}
			r := p.post(endpoint, body)
			p.is(p.get(endpoint+"/"+r.text("id")), r.text("id"), "id")
			for i, e := range p.all(endpoint) {
				if id, _ := at(e, "id").(string); id == "" {
					p.failf("%s: resource %d has no id", endpoint, i)
				}
			}
		}
	}},
	{"RFC7643-3.1-L867", func(p *probe) {
		for range 3 {
			p.user()
			p.group()
		}
		seen := map[string]bool{}
		for _, endpoint := range []string{"/Users", "/Groups"} {
			for _, e := range p.all(endpoint) {
				id, _ := at(e, "id").(string)
				if seen[id] {
					p.failf("two resources have the id %q", id)
				}
				seen[id] = true
			}
		}
	}},
	{"RFC7643-3.1-L868", func(p *probe) {
		body := p.person()
		id := p.post("/Users", body).text("id")
		p.is(p.get("/Users/"+id), id, "id")
		p.ok(p.call("PUT", "/Users/"+id, object{"schemas": array{userURN}, "userName": body["userName"], "title": "Countess"}))
		p.is(p.get("/Users/"+id), id, "id")
		p.ok(p.patch("/Users/"+id, op("replace", "userName", p.name())))
		p.is(p.get("/Users/"+id), id, "id")
		p.ok(p.call("DELETE", "/Users/"+id, nil))
		if again := p.post("/Users", body).text("id"); again == id {
			p.failf("the id %s of a deleted user is another's now", id)
		}
	}},
	{"RFC7643-3.1-L872", func(p *probe) {
		for endpoint, body := range map[string]object{"/Users": p.person(), "/Groups": p.team()} {
			body["id"] = "mine-" + p.name()
			r := p.call("POST", endpoint, body)
			if r.good() && r.text("id") == body["id"] {
				p.failf("%s with an id of the client's takes it", r.asked)
			}
			if r := p.call("GET", endpoint+"/"+body["id"].(string), nil); r.good() {
				p.failf("%s = %d: an id of the client's is known", r.asked, r.status)
			}
		}
	}},
	{"RFC7643-3.1-L873", func(p *probe) {
		for _, r := range []reply{p.user(), p.group()} {
			if strings.Contains(r.text("id"), "bulkId") {
				p.failf("%s gives the id %q, which holds bulkId", r.asked, r.text("id"))
			}
		}
	}},
	{"RFC7643-3.1-L890", func(p *probe) {
		for _, r := range []reply{p.get("/Users/" + p.user().text("id")), p.get("/Groups/" + p.group().text("id"))} {
			p.is(r, nil, "externalId")
		}
	}},
}

// metas are about meta (RFC 7643 §3.1).
var metas = []Check{
	{"RFC7643-3.1-L855", func(p *probe) {
		for _, r := range []reply{p.user(), p.group()} {
			for _, name := range []string{"resourceType", "created", "lastModified", "location"} {
				if v := r.at("meta", name); v == nil || v == "" {
					p.failf("%s: meta.%s = %s, want a value of the server's", r.asked, name, show(r.at("meta", name)))
				}
			}
		}
	}},
	{"RFC7643-3.1-L911", func(p *probe) {
		meta := object{"resourceType": "Planet", "created": "1999-01-01T00:00:00Z", "lastModified": "1999-01-01T00:00:00Z", "location": "https://elsewhere.example/Users/1", "version": `W/"mine"`}
		check := func(r reply) {
			for name, theirs := range meta {
				if r.at("meta", name) == theirs {
					p.failf("%s: meta.%s = %v, which the client sent", r.asked, name, theirs)
				}
			}
		}
		u := p.ok(p.call("POST", "/Users", p.person(object{"meta": meta})))
		check(u)
		check(p.ok(p.call("PUT", "/Users/"+u.text("id"), p.person(object{"meta": meta}))))
		check(p.get("/Users/" + u.text("id")))
	}},
	{"RFC7643-3.1-L920", func(p *probe) {
		r := p.get("/Users/" + p.user().text("id"))
		if _, ok := dateTime(r.text("meta", "created")); !ok {
			p.failf("%s: meta.created = %s, want a dateTime", r.asked, show(r.at("meta", "created")))
		}
	}},
	{"RFC7643-3.1-L925", func(p *probe) {
		for _, r := range []reply{p.user(), p.get("/Users/" + p.user().text("id")), p.get("/Groups/" + p.group().text("id"))} {
			p.is(r, r.at("meta", "created"), "meta", "lastModified")
		}
	}},
	{"RFC7643-3.1-L927", func(p *probe) {
		for _, r := range []reply{p.user(), p.group()} {
			endpoint := r.asked[strings.LastIndex(r.asked, "/"):]
			for _, r := range []reply{r, p.get(endpoint + "/" + r.text("id"))} {
				if home := r.header.Get("Content-Location"); home == "" || home != r.text("meta", "location") {
					p.failf("%s: Content-Location = %q and meta.location = %s, want the same", r.asked, home, show(r.at("meta", "location")))
				}
			}
		}
	}},
	{"RFC7644-3.3.1-L712", func(p *probe) {
		for _, r := range []reply{p.user(), p.get("/Users/" + p.user().text("id"))} {
			p.is(r, "User", "meta", "resourceType")
		}
		for _, r := range []reply{p.group(), p.get("/Groups/" + p.group().text("id"))} {
			p.is(r, "Group", "meta", "resourceType")
		}
	}},
}

// dateTime reads an xsd:dateTime as XML Schema Part 2 §3.3.7 has it, with a date
// and a time.
func dateTime(s string) (time.Time, bool) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
