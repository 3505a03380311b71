package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

// types are about the data types (RFC 7643 §2.3), by attributes that users have.
// No attribute of theirs is an integer, and none that a client may write is a
// dateTime: package schema tests those with a resource type made for it.
var types = []Check{
	{"EXTRA-TYPE-BOOL", func(p *probe) {
		u := p.user(object{"active": false, "emails": array{object{"value": "ada@home.example", "type": "home", "primary": true}}})
		for _, r := range []reply{u, p.get("/Users/" + u.text("id"))} {
			p.is(r, false, "active")
			p.is(r, true, "emails", 0, "primary")
		}
		p.ok(p.patch("/Users/"+u.text("id"), op("replace", "active", true)))
		p.is(p.get("/Users/"+u.text("id")), true, "active")
	}},
	{"EXTRA-TYPE-DT", func(p *probe) {
		u := p.user()
		r := p.get("/Users/" + u.text("id"))
		for _, name := range []string{"created", "lastModified"} {
			if _, ok := dateTime(u.text("meta", name)); !ok {
				p.failf("%s: meta.%s = %s, want a dateTime", u.asked, name, show(u.at("meta", name)))
			}
			p.is(r, u.at("meta", name), "meta", name)
		}
	}},
	{"RFC7643-2.3.5-L527", func(p *probe) {
		r := p.get("/Users/" + p.user().text("id"))
		for _, name := range []string{"created", "lastModified"} {
			date, clock, both := strings.Cut(r.text("meta", name), "T")
			if !both || len(date) < len("2008-01-23") || len(clock) < len("04:56:22") {
				p.failf("%s: meta.%s = %s, want a date and a time", r.asked, name, show(r.at("meta", name)))
			}
		}
		if r := p.query("/Users", "filter", `meta.created gt "2008-01-23"`); r.status != 400 {
			p.failf("%s = %d, want 400 for a date without a time", r.asked, r.status)
		}
	}},
	{"RFC7643-2.3.5-L531", func(p *probe) {
		r := p.get("/Users/" + p.user().text("id"))
		for _, name := range []string{"created", "lastModified"} {
			if s, ok := r.at("meta", name).(string); !ok {
				p.failf("%s: meta.%s = %s, want a JSON string", r.asked, name, show(r.at("meta", name)))
			} else if _, ok := dateTime(s); !ok {
				p.failf("%s: meta.%s = %q is no xsd:dateTime", r.asked, name, s)
			}
		}
	}},
	{"RFC7643-2.3.4-L521", func(p *probe) {
		p.user()
		for _, n := range []struct {
			path string
			at   []any
		}{
			{"/Users?count=1", []any{"totalResults"}}, {"/Users?count=1", []any{"startIndex"}}, {"/Users?count=1", []any{"itemsPerPage"}},
			{"/ServiceProviderConfig", []any{"filter", "maxResults"}}, {"/ServiceProviderConfig", []any{"bulk", "maxOperations"}}, {"/ServiceProviderConfig", []any{"bulk", "maxPayloadSize"}},
		} {
			r := p.get(n.path)
			if number, ok := r.at(n.at...).(json.Number); !ok || strings.ContainsAny(number.String(), ".eE") {
				p.failf("%s: %s = %s, want an integer", r.asked, show(n.at), show(r.at(n.at...)))
			}
		}
	}},
	{"EXTRA-TYPE-BIN", func(p *probe) {
		text := base64.StdEncoding.EncodeToString([]byte("any bytes \x00\xff\xfe"))
		u := p.user(object{"x509Certificates": array{object{"value": text}}})
		p.is(p.get("/Users/"+u.text("id")), text, "x509Certificates", 0, "value")
	}},
	{"RFC7643-2.3.6-L537", func(p *probe) {
		for _, text := range []string{"not base64!", "a b=", "YQ=a"} {
			r := p.call("POST", "/Users", p.person(object{"x509Certificates": array{object{"value": text}}}))
			if r.status != 400 {
				p.failf("%s with the binary value %q = %d, want 400", r.asked, text, r.status)
			}
		}
	}},
	{"EXTRA-TYPE-REF", func(p *probe) {
		u := p.user(object{"profileUrl": "https://people.example/ada?x=1#y", "photos": array{object{"value": "https://photos.example/Ada.png", "type": "photo"}}})
		r := p.get("/Users/" + u.text("id"))
		p.is(r, "https://people.example/ada?x=1#y", "profileUrl")
		p.is(r, "https://photos.example/Ada.png", "photos", 0, "value")
	}},
	{"RFC7643-2.3.7-L552", func(p *probe) {
		for _, text := range []string{"https://people.example/ada", "../people/ada", "urn:example:ada"} {
			p.is(p.user(object{"profileUrl": text}), text, "profileUrl")
		}
		for _, text := range []string{"not a URI", "http://[", "https://people.example/%zz"} {
			r := p.call("POST", "/Users", p.person(object{"profileUrl": text}))
			if r.status != 400 {
				p.failf("%s with the reference %q = %d, want 400", r.asked, text, r.status)
			}
		}
	}},
	{"RFC7643-2.3.7-L555", func(p *probe) {
		// Whether absolute or relative, a reference means a resource below the
		// whole base URL.
		base, err := url.Parse(p.s.URL + "/")
		if err != nil {
			p.stopf("%v", err)
		}
		for _, ref := range p.references() {
			u, err := base.Parse(strings.TrimPrefix(ref, "/"))
			if err != nil || !strings.HasPrefix(u.String(), base.String()) {
				p.failf("the reference %q does not lead below %s", ref, base)
			}
		}
	}},
	{"RFC7643-2.3.7-L577", func(p *probe) {
		for _, ref := range p.references() {
			u, err := url.Parse(ref)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				p.failf("the reference %q is no HTTP address", ref)
			}
		}
	}},
	{"RFC7643-2.3.7-L578", func(p *probe) {
		u := p.user()
		g := p.get("/Groups/" + p.group(u.text("id")).text("id"))
		ref := g.text("members", 0, "$ref")
		if r := p.call("GET", ref, nil); !r.good() || r.at("id") != u.at("id") {
			p.failf("%s = %d, want the member %s", r.asked, r.status, u.text("id"))
		}
		p.ok(p.call("DELETE", "/Users/"+u.text("id"), nil))
		if r := p.call("GET", ref, nil); r.status != 404 {
			p.failf("%s of one who is deleted = %d, want 404", r.asked, r.status)
		}
	}},
	{"EXTRA-TYPE-COMPLEX", func(p *probe) {
		name := object{"formatted": "Countess Ada Lovelace", "familyName": "Lovelace", "givenName": "Ada", "middleName": "Augusta", "honorificPrefix": "Countess", "honorificSuffix": "I"}
		u := p.user(object{"name": name})
		p.is(p.get("/Users/"+u.text("id")), name, "name")
	}},
}

// references are those of a group to its member, and back.
func (p *probe) references() []string {
	u := p.user().text("id")
	g := p.group(u).text("id")
	refs := []string{p.get("/Groups/"+g).text("members", 0, "$ref"), p.get("/Users/"+u).text("groups", 0, "$ref")}
	for _, r := range refs {
		if r == "" {
			p.stopf("a group and its member have no $ref to one another")
		}
	}
	return refs
}
