package conformance

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// messages are about what requests and answers look like, whatever they are of.
var messages = []Check{
	{"RFC7644-3.1-L436", func(p *probe) {
		p.user()
		for _, r := range []reply{
			p.call("GET", "/Users?count=1", nil),
			p.call("POST", "/Users/.search", object{"schemas": array{searchURN}, "count": 1}),
			p.call("GET", "/Users/nobody-has-this-id", nil),
		} {
			if urn := r.text("schemas", 0); !strings.HasPrefix(urn, messagePrefix) {
				p.failf("%s is answered by the message %q, want %s…", r.asked, urn, messagePrefix)
			}
		}
	}},
	{"RFC7644-3.11-L3683", func(p *probe) {
		// 501 is the answer of who has no /Me; 308 leads to the resource.
		r := p.call("GET", "/Me", nil)
		home := r.header.Get("Location")
		switch {
		case r.status == http.StatusNotImplemented && home == "":
		case r.status == http.StatusPermanentRedirect && home != "":
		case r.good() && home != "" && home == r.text("meta", "location"):
		default:
			p.failf("%s = %d with Location %q, want 501, or the resource's permanent location", r.asked, r.status, home)
		}
	}},
	{"RFC7644-3.12-L3707", func(p *probe) {
		u := p.user()
		id := u.text("id")
		for _, r := range []reply{
			p.call("GET", "/Users/nobody-has-this-id", nil),
			p.call("GET", "/nothing/at/all", nil),
			p.call("GET", "/Users", nil, "Authorization", "Bearer wrong"),
			p.call("POST", "/Users", `{"schemas":`),
			p.call("POST", "/Users", object{"schemas": array{userURN}, "userName": at(u.tree, "userName")}),
			p.call("PATCH", "/Users/"+id, object{"schemas": array{patchURN}, "Operations": "none"}),
			p.call("DELETE", "/Schemas", nil),
			p.call("POST", "/Users", "userName=x", "Content-Type", "application/x-www-form-urlencoded"),
		} {
			if r.status < 400 {
				p.failf("%s = %d, want an error", r.asked, r.status)
				continue
			}
			p.is(r, errorURN, "schemas", 0)
			p.is(r, fmt.Sprint(r.status), "status")
			if r.text("detail") == "" {
				p.failf("%s: the error has no detail: %.300s", r.asked, r.body)
			}
			if t := r.at("scimType"); t != nil && !scimTypes[fmt.Sprint(t)] {
				p.failf("%s: scimType = %v is none of RFC 7644 §3.12", r.asked, t)
			}
		}
	}},
	{"RFC7644-3.13-L3956", func(p *probe) {
		root, found := strings.CutSuffix(p.s.URL, "/v2")
		if !found {
			p.stopf("the base URL %s names no version", p.s.URL)
		}
		if r := p.call("GET", p.s.URL+"/Users", nil); !r.good() {
			p.failf("%s = %d, want success", r.asked, r.status)
		}
		for _, version := range []string{"/v1", "/v9"} {
			if r := p.call("GET", root+version+"/Users", nil); r.good() {
				p.failf("%s = %d: a version that is not served is answered", r.asked, r.status)
			}
		}
	}},
	{"RFC7644-3.8-L3537", func(p *probe) {
		const name = "Zoë 李小龍 Łukasz 🦉"
		for _, contentType := range []string{"application/scim+json", "application/scim+json; charset=utf-8", "application/json"} {
			r := p.call("POST", "/Users", p.person(object{"displayName": name}), "Content-Type", contentType)
			if !r.good() {
				p.failf("%s with Content-Type %s = %d, want success", r.asked, contentType, r.status)
				continue
			}
			r = p.get("/Users/" + r.text("id"))
			p.is(r, name, "displayName")
			if !utf8.Valid(r.body) {
				p.failf("%s: the answer is not UTF-8", r.asked)
			}
		}
	}},
	{"RFC7644-3.8-L3551", func(p *probe) {
		id := p.user().text("id")
		for _, accept := range []string{"application/scim+json", "", "*/*"} {
			for _, path := range []string{"/Users/" + id, "/Users?count=1", "/ServiceProviderConfig", "/Users/nobody-has-this-id"} {
				r := p.call("GET", path, nil, "Accept", accept)
				if ct := r.header.Get("Content-Type"); !scimMedia.MatchString(ct) {
					p.failf("%s with Accept %q: Content-Type = %q, want application/scim+json", r.asked, accept, ct)
				}
			}
		}
		if r := p.call("GET", "/Users/"+id, nil, "Accept", "application/json"); !r.good() || r.at("id") == nil {
			p.failf("%s with Accept application/json = %d, want the user", r.asked, r.status)
		}
	}},
}

var scimMedia = regexp.MustCompile(`(?i)^application/scim\+json(; *charset="?utf-8"?)?$`)

// scimTypes are RFC 7644's and RFC 9865's.
var scimTypes = map[string]bool{"invalidFilter": true, "tooMany": true, "uniqueness": true, "mutability": true, "invalidSyntax": true,
	"invalidPath": true, "noTarget": true, "invalidValue": true, "invalidVers": true, "sensitive": true,
	"invalidCursor": true, "expiredCursor": true, "invalidCount": true}

// authentication is about who may ask.
var authentication = []Check{
	{"RFC7644-2-L307", func(p *probe) {
		for _, credential := range []string{"", "Bearer wrong"} {
			r := p.call("GET", "/Users", nil, "Authorization", credential)
			if r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" {
				p.failf("%s with Authorization %q = %d with WWW-Authenticate %q, want 401 that names a scheme", r.asked, credential, r.status, r.header.Get("WWW-Authenticate"))
			}
		}
	}},
}
