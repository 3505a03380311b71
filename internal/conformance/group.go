package conformance

import "slices"

// groups are about Groups and memberships (RFC 7643 §4.1.2, §4.2).
var groups = []Check{
	{"RFC7643-4.1.2-L1351", func(p *probe) {
		u := p.user().text("id")
		g := p.group(u).text("id")
		r := p.get("/Users/" + u)
		p.is(r, g, "groups", 0, "value")
		if r := p.call("GET", r.text("groups", 0, "$ref"), nil); r.text("id") != g {
			p.failf("%s = %d, want the group %s", r.asked, r.status, g)
		}
	}},
	{"RFC7643-4.1.2-L1354", func(p *probe) {
		g, other := p.group().text("id"), p.group().text("id")
		u := p.user(object{"groups": array{object{"value": other}}})
		path := "/Users/" + u.text("id")
		p.call("PUT", path, object{"schemas": array{userURN}, "userName": u.at("userName"), "groups": array{object{"value": other}}})
		p.patch(path, op("add", "groups", array{object{"value": other}}))
		p.same("the members of a group that only the user names", p.members(other), []string(nil))
		p.ok(p.patch("/Groups/"+g, op("add", "members", array{object{"value": u.at("id")}})))
		p.is(p.get(path), g, "groups", 0, "value")
		p.call("PUT", path, object{"schemas": array{userURN}, "userName": u.at("userName"), "groups": array{}})
		p.same("the members of a group that the user no longer names", p.members(g), []string{u.text("id")})
		p.ok(p.patch("/Groups/"+g, op("remove", `members[value eq "`+u.text("id")+`"]`)))
		p.is(p.get(path), nil, "groups")
	}},
}

// members are a group's, ascending.
func (p *probe) members(group string) []string {
	var ids []string
	for _, m := range elements(p.get("/Groups/" + group).at("members")) {
		id, _ := at(m, "value").(string)
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
