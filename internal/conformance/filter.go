package conformance

import "net/http"

// filters are about filters (RFC 7644 §3.4.2.2).
var filters = []Check{
	{"RFC7643-7-L1748", func(p *probe) {
		x := "Exact-" + p.name()
		u := p.user(object{"externalId": x})
		id := u.text("id")
		p.finds("/Users", `userName eq "`+swapCase(u.text("userName"))+`"`, id)
		p.finds("/Users", `externalId eq "`+x+`"`, id)
		p.finds("/Users", `externalId eq "`+swapCase(x)+`"`)
	}},
	{"RFC7644-3.4.2.1-L918", func(p *probe) {
		u, g := p.user(object{"title": "Countess of " + p.name()}), p.group()
		p.across(`title eq "`+u.text("title")+`"`, u.text("id"))
		// What a type does not have is no value of its: it is neither there nor
		// equal to anything.
		p.across(`displayName eq "`+g.text("displayName")+`" and not (title pr)`, g.text("id"))
		p.across(`title pr and displayName eq "` + g.text("displayName") + `"`)
		p.across(`userName eq "`+u.text("userName")+`" or displayName eq "`+g.text("displayName")+`"`, u.text("id"), g.text("id"))
	}},
	{"RFC7644-3.4.2.2-L944", func(p *probe) {
		u := p.user()
		p.finds("/Users", `id eq "`+u.text("id")+`"`, u.text("id"))
		for _, f := range []string{"", " ", "userName", `"ada"`, "eq", "()"} {
			p.refused(p.query("/Users", "filter", f), 400, "")
		}
	}},
	{"RFC7644-3.4.2.2-L1001", func(p *probe) {
		for _, f := range []string{"active gt true", "active ge false", `emails[primary gt false]`, `x509Certificates.value gt "YQ=="`} {
			p.refused(p.query("/Users", "filter", f), 400, "invalidFilter")
		}
	}},
	{"RFC7644-3.4.2.2-L1127", func(p *probe) {
		x := p.name()
		id := p.user(object{"externalId": x, "name": object{"givenName": "Ada"}, "emails": preferred(true, false)}).text("id")
		mine := `externalId eq "` + x + `"`
		for _, f := range []string{
			mine, mine + " and name.givenName pr", "(" + mine + ")", "not (" + mine + " and nickName pr) and " + mine, mine + ` and emails[type eq "work" and value co "work.example"]`,
			mine + ` and (name.givenName eq "Eve" or name.givenName sw "A")`, userURN + ":" + mine, mine + ` and name.givenName ne "Eve"`, mine + ` and name.givenName ew "da"`,
			mine + ` and active eq true or nickName eq "nobody has this"`, mine + ` and meta.created gt "2001-01-01T00:00:00Z"`, mine + ` and name.givenName le "Bo"`,
		} {
			p.finds("/Users", f, id)
		}
		for _, f := range []string{mine + " and", "(" + mine, mine + ")", "not " + "nickName pr and", `title eq "x`, "title eq", `emails[type eq "work"`, mine + " " + mine, "title eq x", "title pr pr"} {
			p.refused(p.query("/Users", "filter", f), 400, "")
		}
	}},
	{"RFC7644-3.4.2.2-L1197", func(p *probe) {
		name := "Given-" + p.name()
		u := p.user(object{"name": object{"givenName": name}})
		p.finds("/Users", `name.givenName eq "`+name+`"`, u.text("id"))
		p.refused(p.query("/Users", "filter", `name eq "`+name+`"`), 400, "")
	}},
	{"RFC7644-3.4.2.2-L1208", func(p *probe) {
		for _, f := range []string{`userName regex "a.*"`, `userName like "a"`, `userName = "a"`, `title eq "x" xor title eq "y"`} {
			r := p.query("/Users", "filter", f)
			p.refused(r, 400, "invalidFilter")
			if r.status == 400 && r.text("detail") == "" {
				p.failf("%s: the refusal says nothing", r.asked)
			}
		}
	}},
	{"RFC7644-3.4.2.2-L1217", func(p *probe) {
		x := "Exact-" + p.name()
		u := p.user(object{"externalId": x})
		id, name := u.text("id"), u.text("userName")
		p.finds("/Users", `id eq "`+id+`" and userName eq "`+swapCase(name)+`"`, id)
		p.finds("/Users", `id eq "`+id+`" and externalId sw "Exact-"`, id)
		p.finds("/Users", `id eq "`+id+`" and externalId sw "eXACT-"`)
		p.finds("/Users", `externalId eq "`+swapCase(x)+`"`)
	}},
}

// across queries all resource types at once.
func (p *probe) across(filter string, want ...string) {
	r := p.call("POST", "/.search", object{"schemas": array{searchURN}, "filter": filter, "count": 100})
	if !r.good() && r.status != http.StatusNotFound { // for nothing, which another check is about
		p.failf("%s with %q = %d, want success; body %.300s", r.asked, filter, r.status, r.body)
	} else if got := r.ids(); !sameSet(got, want) {
		p.failf("%s with %q finds %q, want %q", r.asked, filter, got, want)
	}
}
