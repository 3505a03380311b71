package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// bulks are about bulk operations (RFC 7644 §3.7).
var bulks = []Check{
	{"RFC7644-3.7-L2775", func(p *probe) {
		r := p.bulk(object{}, p.bulkUser("a"))
		if r.status != http.StatusOK {
			p.failf("%s = %d, want 200", r.asked, r.status)
		}
		p.is(r, array{bulkAnswerURN}, "schemas")
	}},
	{"RFC7644-3.7-L2779", func(p *probe) {
		bad := object{"method": "POST", "path": "/Users", "bulkId": "bad", "data": object{"schemas": array{userURN}}}
		good := p.bulkUser("good")
		p.ok(p.bulk(object{}, bad, object{"method": "DELETE", "path": "/Users/nobody-has-this-id"}, good))
		p.finds("/Users", `userName eq "`+good["data"].(object)["userName"].(string)+`"`, p.idOf(good))
		// The client may bound the failures: what comes behind is not done.
		late := p.bulkUser("late")
		p.ok(p.bulk(object{"failOnErrors": 1}, bad, late))
		p.finds("/Users", `userName eq "`+late["data"].(object)["userName"].(string)+`"`)
	}},
	{"RFC7644-3.7-L2789", func(p *probe) {
		r := p.ok(p.bulk(object{}, p.bulkUser("one"), p.bulkUser("two")))
		for i, id := range []string{"one", "two"} {
			p.is(r, id, "Operations", i, "bulkId")
			home, _ := r.at("Operations", i, "location").(string)
			if u := p.call("GET", home, nil); home == "" || !u.good() {
				p.failf("%s: operation %s has the location %q, want that of the new user", r.asked, id, home)
			}
		}
	}},
	{"RFC7644-3.7.1-L2814", func(p *probe) {
		team := func(name, of string) object {
			return object{"method": "POST", "path": "/Groups", "bulkId": name, "data": object{"schemas": array{groupURN}, "displayName": p.name(), "members": array{object{"type": "Group", "value": "bulkId:" + of}}}}
		}
		r := p.bulk(object{}, team("a", "b"), team("b", "a"))
		switch {
		case r.status == http.StatusConflict: // a provider may give up
		case !r.good():
			p.failf("%s with groups that hold each other = %d, want success or 409; body %.300s", r.asked, r.status, r.body)
		case code(r.at("Operations", 0)) == "409" || code(r.at("Operations", 1)) == "409":
		default:
			ids := make([]string, 2)
			for i := range ids {
				home, _ := r.at("Operations", i, "location").(string)
				ids[i] = home[strings.LastIndex(home, "/")+1:]
			}
			for i, id := range ids {
				if id == "" {
					p.stopf("%s: operation %d is %s, want a location, or 409", r.asked, i, show(r.at("Operations", i)))
				}
				p.same("the members of a group in a circle", p.members(id), []string{ids[1-i]})
			}
		}
	}},
	{"RFC7644-3.7.3-L3201", func(p *probe) {
		u, v := p.user(), p.user()
		r := p.ok(p.bulk(object{},
			p.bulkUser("new"),
			object{"method": "PATCH", "path": "/Users/" + u.text("id"), "data": object{"schemas": array{patchURN}, "Operations": array{op("add", "title", "Countess")}}},
			object{"method": "DELETE", "path": "/Users/" + v.text("id")},
			object{"method": "POST", "path": "/Users", "bulkId": "bad", "data": object{"schemas": array{userURN}}},
		))
		operations := elements(r.at("Operations"))
		if len(operations) != 4 {
			p.stopf("%s tells of %d operations, want 4: %.300s", r.asked, len(operations), r.body)
		}
		for i, method := range []string{"POST", "PATCH", "DELETE", "POST"} {
			p.is(r, method, "Operations", i, "method")
			if home, _ := at(operations[i], "location").(string); i < 3 && home == "" {
				p.failf("%s: operation %d has no location: %s", r.asked, i, show(operations[i]))
			}
		}
		if at(operations[3], "response") == nil {
			p.failf("%s: the operation that failed does not say why: %s", r.asked, show(operations[3]))
		}
		p.is(p.get("/Users/"+u.text("id")), "Countess", "title")
	}},
	{"RFC7644-3.7.3-L3206", func(p *probe) {
		u := p.user()
		r := p.ok(p.bulk(object{},
			p.bulkUser("new"),
			object{"method": "DELETE", "path": "/Users/" + u.text("id")},
			object{"method": "DELETE", "path": "/Users/" + u.text("id")},
			object{"method": "POST", "path": "/Users", "bulkId": "bad", "data": object{"schemas": array{userURN}}},
		))
		for i, want := range []string{"201", "204", "404", "400"} {
			p.is(r, want, "Operations", i, "status")
		}
		for i := 2; i < 4; i++ {
			if detail, _ := r.at("Operations", i, "response", "detail").(string); detail == "" {
				p.failf("%s: the failure of operation %d is not explained", r.asked, i)
			}
		}
	}},
	{"RFC7644-3.7.4-L3495", func(p *probe) {
		r := p.get("/ServiceProviderConfig")
		p.is(r, true, "bulk", "supported")
		for _, name := range []string{"maxOperations", "maxPayloadSize"} {
			if n, err := r.number("bulk", name); err != nil || n < 1 {
				p.failf("%s: bulk.%s = %s, want a limit", r.asked, name, show(r.at("bulk", name)))
			}
		}
	}},
	{"RFC7644-3.7.4-L3499", func(p *probe) {
		config := p.get("/ServiceProviderConfig")
		operations, err1 := config.number("bulk", "maxOperations")
		size, err2 := config.number("bulk", "maxPayloadSize")
		if err1 != nil || err2 != nil || operations < 1 || size < 1 || operations > 1e6 || size > 1e8 {
			p.stopf("%s: bulk = %s, want limits that can be passed", config.asked, show(config.at("bulk")))
		}
		many := make([]object, operations+1)
		for i := range many {
			many[i] = object{"method": "DELETE", "path": "/Users/x"}
		}
		large := p.bulkUser("large")
		large["data"].(object)["title"] = strings.Repeat("x", int(size))
		for limit, r := range map[int64]reply{operations: p.bulk(object{}, many...), size: p.bulk(object{}, large)} {
			p.refused(r, http.StatusRequestEntityTooLarge, "")
			if detail := r.text("detail"); r.status == http.StatusRequestEntityTooLarge && !strings.Contains(detail, fmt.Sprint(limit)) {
				p.failf("%s: the refusal %q does not name the limit %d", r.asked, detail, limit)
			}
		}
	}},
}

func (p *probe) bulk(more object, operations ...object) reply {
	body := object{"schemas": array{bulkURN}, "Operations": operations}
	for k, v := range more {
		body[k] = v
	}
	return p.call("POST", "/Bulk", body)
}

func (p *probe) bulkUser(bulkID string) object {
	return object{"method": "POST", "path": "/Users", "bulkId": bulkID, "data": p.person()}
}

// idOf looks up the user that a bulk operation made.
func (p *probe) idOf(operation object) string {
	name := operation["data"].(object)["userName"]
	for _, e := range p.all("/Users") {
		if at(e, "userName") == name {
			id, _ := at(e, "id").(string)
			return id
		}
	}
	return "no user"
}

// code is the status of an operation, however it is written.
func code(operation any) string { return fmt.Sprint(at(operation, "status")) }

func (r reply) number(path ...any) (int64, error) {
	n, _ := r.at(path...).(json.Number)
	return n.Int64()
}
