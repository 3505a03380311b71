package conformance

import (
	"net/http"
	"regexp"
	"strings"
)

// tags are about entity tags (RFC 7643 §3.1 version, RFC 7644 §3.14).
var tags = []Check{
	{"RFC7643-3.1-L940", func(p *probe) {
		for _, path := range []string{"/Users/" + p.user().text("id"), "/Groups/" + p.group().text("id")} {
			whole, part := p.get(path), p.get(path+"?attributes=id")
			for _, tag := range []string{whole.text("meta", "version"), whole.header.Get("ETag")} {
				if tag != "" && !entityTag.MatchString(tag) {
					p.failf("%s: the version %q is no entity tag", whole.asked, tag)
				}
			}
			// One tag for two representations is a weak one.
			if tag := whole.header.Get("ETag"); tag != "" && tag == part.header.Get("ETag") && !strings.HasPrefix(tag, "W/") {
				p.failf("%s: the entity tag %s is that of a part of the resource too, and not marked as weak", whole.asked, tag)
			}
		}
	}},
	{"RFC7644-3.14-L3967", func(p *probe) {
		p.is(p.get("/ServiceProviderConfig"), true, "etag", "supported")
		u := p.user()
		path := "/Users/" + u.text("id")
		for _, r := range []reply{u, p.get(path), p.get("/Groups/" + p.group().text("id"))} {
			if tag := r.header.Get("ETag"); tag == "" || tag != r.text("meta", "version") {
				p.failf("%s: ETag = %q and meta.version = %s, want the same", r.asked, tag, show(r.at("meta", "version")))
			}
		}
		first := u.text("meta", "version")
		if r := p.call("GET", path, nil, "If-None-Match", first); r.status != http.StatusNotModified {
			p.failf("%s with If-None-Match of its version = %d, want 304", r.asked, r.status)
		}
		body := object{"schemas": array{patchURN}, "Operations": array{op("add", "title", "Countess")}}
		if r := p.call("PATCH", path, body, "If-Match", first); !r.good() {
			p.failf("%s with If-Match of its version = %d, want success", r.asked, r.status)
		}
		body["Operations"] = array{op("add", "title", "Queen")}
		for _, method := range []string{"PATCH", "PUT", "DELETE"} {
			b := any(body)
			if method == "PUT" {
				b = object{"schemas": array{userURN}, "userName": u.at("userName"), "title": "Queen"}
			}
			if r := p.call(method, path, b, "If-Match", first); r.status != http.StatusPreconditionFailed {
				p.failf("%s with If-Match of an older version = %d, want 412", r.asked, r.status)
			}
		}
		r := p.call("GET", path, nil)
		p.is(r, "Countess", "title")
	}},
}

var entityTag = regexp.MustCompile(`^(W/)?"[\x21\x23-\x7e]*"$`)
