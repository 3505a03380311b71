package conformance

import "slices"

// extensions are about schema extensions (RFC 7643 §3.3), by the enterprise one.
var extensions = []Check{
	{"EXTRA-EXT-CONTAINER", func(p *probe) { p.contained(p.user(enterprise())) }},
	{"RFC7643-3.3-L981", func(p *probe) {
		u := p.user(enterprise())
		p.contained(p.get("/Users/" + u.text("id")))
		for _, e := range p.all("/Users") {
			if at(e, "id") == u.at("id") {
				p.contained(reply{asked: "GET /Users", tree: e})
			}
		}
	}},
	{"EXTRA-EXT-ROUNDTRIP", func(p *probe) {
		r := p.get("/Users/" + p.user(enterprise()).text("id"))
		for name, want := range enterprise()[enterpriseURN].(object) {
			p.is(r, want, enterpriseURN, name)
		}
	}},
	{"EXTRA-EXT-SCHEMAS", func(p *probe) {
		r := p.get("/Users/" + p.user(enterprise()).text("id"))
		if !slices.Contains(elements(r.at("schemas")), any(enterpriseURN)) {
			p.failf("%s: schemas = %s, want %s in it", r.asked, show(r.at("schemas")), enterpriseURN)
		}
	}},
}

func enterprise() object {
	return object{
		"schemas":     array{userURN, enterpriseURN},
		enterpriseURN: object{"employeeNumber": "701984", "costCenter": "4130", "organization": "Analytical", "division": "Engines", "department": "Programs"},
	}
}

// contained wants the extension's attributes in its container, and nowhere else.
func (p *probe) contained(r reply) {
	p.is(r, "Programs", enterpriseURN, "department")
	for name := range enterprise()[enterpriseURN].(object) {
		p.is(r, nil, name)
	}
}
