package conformance

// values are about multi-valued attributes (RFC 7643 §2.4) and the case of texts
// (§7).
var values = []Check{
	{"EXTRA-MV-ROUNDTRIP", func(p *probe) {
		emails := array{
			object{"value": "ada@work.example", "type": "work"},
			object{"value": "ada@home.example", "type": "home"},
			object{"value": "ada@other.example", "type": "other", "display": "Ada"},
		}
		p.sameValues(p.get("/Users/"+p.user(object{"emails": emails}).text("id")), emails)
	}},
	{"EXTRA-MV-COMPLEX-PRIMARY", func(p *probe) {
		r := p.call("POST", "/Users", p.person(object{"emails": preferred(true, true)}))
		p.refused(r, 400, "")
	}},
	{"RFC7643-2.4-L634", func(p *probe) {
		// Whether it is refused or mended: two are never answered.
		if r := p.call("POST", "/Users", p.person(object{"emails": preferred(true, true)})); r.good() {
			p.onePrimary(r)
			p.onePrimary(p.get("/Users/" + r.text("id")))
		}
		u := p.user(object{"emails": preferred(true, false)})
		path := "/Users/" + u.text("id")
		p.call("PUT", path, p.person(object{"emails": preferred(true, true)}))
		p.onePrimary(p.get(path))
		p.patch(path, op("add", "emails", array{object{"value": "third@home.example", "primary": true}}))
		p.onePrimary(p.get(path))
	}},
	{"RFC7643-2.4-L655", func(p *probe) {
		r := p.get("/Users/" + p.user(object{"emails": preferred(false, false), "phoneNumbers": array{object{"value": "555", "type": "mobile"}}}).text("id"))
		for _, e := range elements(r.at("emails")) {
			if t, _ := at(e, "type").(string); t == "" {
				p.failf("%s: the address %v has no type", r.asked, at(e, "value"))
			}
		}
		p.is(r, "mobile", "phoneNumbers", 0, "type")
	}},
	{"RFC7643-2.4-L663", func(p *probe) {
		twice := array{object{"value": "ada@home.example", "type": "home"}, object{"value": "ada@home.example", "type": "home"}, object{"value": "ada@home.example", "type": "work"}}
		r := p.call("POST", "/Users", p.person(object{"emails": twice}))
		if !r.good() {
			return // refused, so never returned
		}
		p.sameValues(p.get("/Users/"+r.text("id")), array{twice[0], twice[2]})
	}},
	{"EXTRA-CASE-EXACT", func(p *probe) {
		x := "Case-" + p.name()
		u := p.user(object{"externalId": x})
		p.finds("/Users", `externalId eq "`+x+`"`, u.text("id"))
		p.finds("/Users", `externalId eq "`+swapCase(x)+`"`)
	}},
	{"EXTRA-CASE-INSENSITIVE", func(p *probe) {
		u := p.user()
		p.finds("/Users", `userName eq "`+swapCase(u.text("userName"))+`"`, u.text("id"))
	}},
	{"RFC7643-7-L1750", func(p *probe) {
		x := "MiXeD-" + p.name()
		p.is(p.get("/Users/"+p.user(object{"externalId": x}).text("id")), x, "externalId")
	}},
}

func preferred(first, second bool) array {
	return array{object{"value": "first@home.example", "type": "home", "primary": first}, object{"value": "second@work.example", "type": "work", "primary": second}}
}

func (p *probe) onePrimary(r reply) {
	n := 0
	for _, e := range elements(r.at("emails")) {
		if at(e, "primary") == true || at(e, "primary") == "true" {
			n++
		}
	}
	if n > 1 {
		p.failf("%s: %d values are primary: %s", r.asked, n, show(r.at("emails")))
	}
}

// sameValues wants these emails in any order, leaving aside a primary that is
// false, which is the same as none.
func (p *probe) sameValues(r reply, want array) {
	key := func(e any) string {
		return show(array{at(e, "value"), at(e, "type"), at(e, "display")})
	}
	var got, wanted []string
	for _, e := range elements(r.at("emails")) {
		got = append(got, key(e))
	}
	for _, e := range want {
		wanted = append(wanted, key(e))
	}
	if !sameSet(got, wanted) {
		p.failf("%s: emails = %s, want %s", r.asked, show(r.at("emails")), show(want))
	}
}

func swapCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}
