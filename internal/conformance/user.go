package conformance

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/mail"
)

// users are about the User (RFC 7643 §4.1).
var users = []Check{
	{"RFC7643-4.1.1-L1035", func(p *probe) {
		for _, body := range []object{
			{"schemas": array{userURN}, "title": "Countess"}, {"schemas": array{userURN}, "userName": ""}, {"schemas": array{userURN}, "userName": nil}, {"schemas": array{userURN}, "userName": " "},
		} {
			p.refused(p.call("POST", "/Users", body), 400, "")
		}
		u := p.user()
		for _, r := range []reply{u, p.get("/Users/" + u.text("id"))} {
			if r.text("userName") == "" {
				p.failf("%s has no userName: %.300s", r.asked, r.body)
			}
		}
	}},
	{"RFC7643-4.1.1-L1186", func(p *probe) {
		const password = "Correct-Horse-4"
		for _, r := range p.secret(password) {
			if bytes.Contains(r.body, []byte(password)) {
				p.failf("%s tells the password: %.300s", r.asked, r.body)
			}
		}
	}},
	{"RFC7643-4.1.1-L1222", func(p *probe) {
		// Not as text, not as a hash, not as null.
		for _, r := range p.secret("Correct-Horse-5") {
			for _, e := range append(elements(r.at("Resources")), r.tree) {
				if o, _ := e.(object); o != nil {
					if v, there := o["password"]; there {
						p.failf("%s: password = %s, want none in any form", r.asked, show(v))
					}
				}
			}
		}
	}},
	{"RFC7643-4.1.2-L1244", func(p *probe) {
		for _, address := range []string{"ada.lovelace+engines@mail.example", `"ada lovelace"@mail.example`} {
			r := p.get("/Users/" + p.user(object{"emails": array{object{"value": address, "type": "work"}}}).text("id"))
			p.is(r, address, "emails", 0, "value")
			if _, err := mail.ParseAddress(r.text("emails", 0, "value")); err != nil {
				p.failf("%s: %s is no address: %v", r.asked, show(r.at("emails", 0, "value")), err)
			}
		}
	}},
	{"RFC7643-4.1.2-L1322", func(p *probe) {
		// What a client sends in the code's form comes back in it; what it sends
		// in another is not looked at, since the RFC's own example has "USA".
		for _, country := range []string{"US", "SE", "DE"} {
			r := p.get("/Users/" + p.user(object{"addresses": array{object{"type": "work", "country": country}}}).text("id"))
			p.is(r, country, "addresses", 0, "country")
		}
	}},
	{"RFC7643-4.1.2-L1378", func(p *probe) {
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		der, err := x509.CreateCertificate(nil, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
		if err != nil {
			p.stopf("%v", err)
		}
		r := p.get("/Users/" + p.user(object{"x509Certificates": array{object{"value": base64.StdEncoding.EncodeToString(der)}}}).text("id"))
		got, err := base64.StdEncoding.DecodeString(r.text("x509Certificates", 0, "value"))
		if err != nil || !bytes.Equal(got, der) {
			p.failf("%s: the certificate comes back as %.100q, %v; want its DER in base64", r.asked, r.text("x509Certificates", 0, "value"), err)
		}
	}},
}
