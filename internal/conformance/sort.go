package conformance

import "slices"

// sorts are about sorting (RFC 7644 §3.4.2.3).
var sorts = []Check{
	{"RFC7644-3.4.2.3-L1319", func(p *probe) {
		s := p.sortable()
		s.sorted("nickName", "", 0, 1, 2)
		s.sorted("externalId", "", 1, 2, 0)
	}},
	{"RFC7644-3.4.2.3-L1321", func(p *probe) {
		s := p.sortable()
		s.sorted("nickName", "ascending", 0, 1, 2)
		s.sorted("nickName", "descending", 2, 1, 0)
		// Case counts here, and capitals come first.
		s.sorted("externalId", "ascending", 1, 2, 0)
		s.sorted("externalId", "descending", 0, 2, 1)
		s.sorted("name.familyName", "descending", 1, 0, 2)
	}},
}

// sortables are three users with a title of their own, by their ids.
type sortables struct {
	*probe
	title string
	ids   []string
}

func (p *probe) sortable() sortables {
	s := sortables{probe: p, title: p.name()}
	for _, u := range []object{
		{"nickName": "ada", "externalId": "a-" + s.title, "name": object{"familyName": "Li"}},
		{"nickName": "Bo", "externalId": "B-" + s.title, "name": object{"familyName": "Ma"}},
		{"nickName": "cy", "externalId": "C-" + s.title, "name": object{"familyName": "Ko"}},
	} {
		u["title"] = s.title
		s.ids = append(s.ids, p.user(u).text("id"))
	}
	return s
}

// sorted wants the three in the order of the places.
func (s sortables) sorted(by, order string, places ...int) {
	parameters := []string{"filter", `title eq "` + s.title + `"`, "sortBy", by}
	if order != "" {
		parameters = append(parameters, "sortOrder", order)
	}
	r := s.ok(s.query("/Users", parameters...))
	var want []string
	for _, i := range places {
		want = append(want, s.ids[i])
	}
	if got := r.ids(); !slices.Equal(got, want) {
		s.failf("%s gives the order %q, want %q", r.asked, got, want)
	}
}
