package conformance

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// discovery is about /ServiceProviderConfig, /Schemas and /ResourceTypes (RFC
// 7644 §4) and what RFC 7643 §5 to §7 say of their contents.
var discovery = []Check{
	{"RFC7643-2.1-L369", func(p *probe) {
		p.attributes(func(path string, a object) {
			name, _ := a["name"].(string)
			// The RFC's own $ref does not begin with a letter.
			if !attributeName.MatchString(name) && name != "$ref" {
				p.failf("/Schemas: the name of %s is no ATTRNAME", path)
			}
		})
	}},
	{"RFC7643-2.3.8-L595", func(p *probe) {
		p.attributes(func(path string, a object) {
			for _, sub := range elements(a["subAttributes"]) {
				if at(sub, "type") == "complex" || at(sub, "subAttributes") != nil {
					p.failf("/Schemas: %s has the complex sub-attribute %v", path, at(sub, "name"))
				}
			}
		})
	}},
	{"RFC7643-5-L1581", func(p *probe) {
		r := p.call("GET", "/ServiceProviderConfig", nil, "Authorization", "")
		if r.status != 200 || len(elements(r.at("authenticationSchemes"))) == 0 {
			p.failf("%s without a credential = %d, want 200 with authenticationSchemes", r.asked, r.status)
		}
	}},
	{"RFC7643-6-L1619", func(p *probe) {
		names := map[string]bool{}
		for i, rt := range p.resourceTypes() {
			name, _ := at(rt, "name").(string)
			if name == "" {
				p.failf("/ResourceTypes: type %d has no name", i)
			}
			names[name] = true
		}
		if !names["User"] || !names["Group"] {
			p.failf("/ResourceTypes names %v, want User and Group among them", names)
		}
	}},
	{"RFC7643-6-L1641", func(p *probe) {
		known := p.schemaIDs()
		for _, rt := range p.resourceTypes() {
			if id, _ := at(rt, "schema").(string); !known[id] {
				p.failf("/ResourceTypes: the schema %q of %v is none of /Schemas", id, at(rt, "name"))
			}
		}
	}},
	{"RFC7643-6-L1650", func(p *probe) {
		known, some := p.schemaIDs(), false
		for _, rt := range p.resourceTypes() {
			for _, e := range elements(at(rt, "schemaExtensions")) {
				some = true
				if id, _ := at(e, "schema").(string); !known[id] {
					p.failf("/ResourceTypes: the extension %q of %v is none of /Schemas", id, at(rt, "name"))
				}
			}
		}
		if !some {
			p.failf("/ResourceTypes names no extension; the enterprise extension is one")
		}
	}},
	{"RFC7643-6-L1655", func(p *probe) {
		// What a required extension means is tested where there is one: with a
		// resource type made for it, in package schema.
		for _, rt := range p.resourceTypes() {
			for _, e := range elements(at(rt, "schemaExtensions")) {
				switch required, ok := at(e, "required").(bool); {
				case !ok:
					p.failf("/ResourceTypes: whether %v has to have %v is %s, want true or false", at(rt, "name"), at(e, "schema"), show(at(e, "required")))
				case !required && at(rt, "endpoint") == "/Users":
					r := p.ok(p.call("POST", "/Users", p.person()))
					p.is(r, nil, at(e, "schema"))
				}
			}
		}
	}},
	{"RFC7643-7-L1691", func(p *probe) {
		for i, s := range p.schemas() {
			if id, _ := at(s, "id").(string); !strings.HasPrefix(id, "urn:") {
				p.failf("/Schemas: schema %d has the id %q, want a URN", i, id)
			} else if r := p.call("GET", "/Schemas/"+id, nil); r.status != 200 || r.text("id") != id {
				p.failf("%s = %d with id %q, want 200 with the schema", r.asked, r.status, r.text("id"))
			}
		}
	}},
	{"RFC7643-7-L1700", func(p *probe) {
		for _, s := range p.schemas() {
			if name, _ := at(s, "name").(string); name == "" {
				p.failf("/Schemas: %v has no name", at(s, "id"))
			}
		}
	}},
	{"RFC7644-3.1-L439", func(p *probe) {
		for id := range p.schemaIDs() {
			if strings.HasPrefix(id, messagePrefix) {
				p.failf("/Schemas lists %s, the schema of a message", id)
			}
		}
		for _, urn := range []string{listURN, patchURN, errorURN} {
			if r := p.call("GET", "/Schemas/"+urn, nil); r.good() {
				p.failf("%s = %d: the schema of a message is found", r.asked, r.status)
			}
		}
	}},
	{"RFC7644-4-L4068", func(p *probe) {
		r := p.get("/ServiceProviderConfig")
		p.is(r, array{configURN}, "schemas")
		for _, name := range []string{"patch", "bulk", "filter", "changePassword", "sort", "etag"} {
			if _, ok := r.at(name, "supported").(bool); !ok {
				p.failf("%s: %s.supported = %s, want true or false", r.asked, name, show(r.at(name, "supported")))
			}
		}
	}},
	{"RFC7644-4-L4098", func(p *probe) {
		r := p.get("/Schemas")
		p.is(r, array{listURN}, "schemas")
		p.same(r.asked+": totalResults", fmt.Sprint(r.at("totalResults")), fmt.Sprint(len(elements(r.at("Resources")))))
		known := map[string]bool{}
		for _, id := range r.ids() {
			known[id] = true
		}
		for _, id := range []string{userURN, groupURN, enterpriseURN} {
			if !known[id] {
				p.failf("%s lacks %s", r.asked, id)
			}
		}
	}},
	{"RFC7644-4-L4125", func(p *probe) {
		for _, path := range []string{"/Schemas", "/ResourceTypes", "/ServiceProviderConfig"} {
			plain := p.get(path)
			same := p.get(path + "?startIndex=2&count=1&sortBy=id&sortOrder=descending")
			if string(same.body) != string(plain.body) {
				p.failf("%s answers otherwise than without parameters", same.asked)
			}
			// A filter is ignored too, or refused as 403.
			if r := p.query(path, "filter", `id eq "x"`); r.status != http.StatusForbidden && string(r.body) != string(plain.body) {
				p.failf("%s = %d, want 403 or what it answers without a filter", r.asked, r.status)
			}
		}
	}},
}

var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9$_-]*$`)

func (p *probe) schemas() array { return p.discovered("/Schemas") }

func (p *probe) resourceTypes() array { return p.discovered("/ResourceTypes") }

func (p *probe) discovered(path string) array {
	list := elements(p.get(path).at("Resources"))
	if len(list) == 0 {
		p.stopf("%s lists nothing", path)
	}
	return list
}

func (p *probe) schemaIDs() map[string]bool {
	ids := map[string]bool{}
	for _, s := range p.schemas() {
		id, _ := at(s, "id").(string)
		ids[id] = true
	}
	return ids
}

// attributes visits every attribute and sub-attribute of every schema.
func (p *probe) attributes(visit func(path string, a object)) {
	n := 0
	var walk func(path string, list array)
	walk = func(path string, list array) {
		for _, e := range list {
			a, _ := e.(object)
			n++
			below := fmt.Sprintf("%s.%v", path, a["name"])
			visit(below, a)
			walk(below, elements(a["subAttributes"]))
		}
	}
	for _, s := range p.schemas() {
		walk(fmt.Sprint(at(s, "id")), elements(at(s, "attributes")))
	}
	if n == 0 {
		p.stopf("/Schemas defines no attribute")
	}
}
