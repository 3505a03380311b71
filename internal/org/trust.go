package org

import (
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
)

// Trust is whose word for a client is taken, and which word: a signed assertion
// (RFC 7523 §3) that says exactly this issuer, this subject and one of these
// audiences.
type Trust struct {
	Issuer    string   `json:"issuer"`         // an https address, or the client's own id where it signs for itself
	Subject   string   `json:"subject"`        // RFC 7523 wants the client's id; Entra ID says the id of its service object
	Audiences []string `json:"audiences"`      // one to five
	Keys      string   `json:"keys,omitempty"` // address of the issuer's JWK Set; empty: the issuer's discovery document says it
}

// maxClaim bounds each text of a trust.
const maxClaim = 500

// entraScope ends the audience as Entra ID's page shows it for copying; the
// assertion comes without it.
const entraScope = "/.default"

// Codes of the fault that refuses a trust: which part of it is wrong.
const (
	BadIssuer   = "issuer"
	BadSubject  = "subject"
	BadAudience = "audience"
	BadKeys     = "keys"
)

// TrustThere is the code of the fault that refuses a trust which the client has.
const TrustThere = "there"

// same reports whether both take the same words.
func (t Trust) same(other Trust) bool {
	return t.Issuer == other.Issuer && t.Subject == other.Subject && t.Keys == other.Keys && slices.Equal(t.Audiences, other.Audiences)
}

// check returns the trust as it is stored.
func (t Trust) check(client identity.Client) (Trust, error) {
	bad := func(part, format string, args ...any) (Trust, error) {
		return Trust{}, fault.New(fault.Invalid, part, format, args...)
	}
	if len(t.Audiences) == 0 || len(t.Audiences) > 5 {
		return bad(BadAudience, "A trust names one to five audiences.")
	}
	t.Audiences = append([]string(nil), t.Audiences...)
	for i, a := range t.Audiences {
		if strings.HasPrefix(a, "api://") {
			a = strings.TrimSuffix(a, entraScope)
		}
		t.Audiences[i] = a
		if !claim(a) {
			return bad(BadAudience, "An audience has 1 to %d characters, without spaces.", maxClaim)
		}
	}
	if !claim(t.Issuer) {
		return bad(BadIssuer, "The issuer has 1 to %d characters, without spaces.", maxClaim)
	}
	if !claim(t.Subject) {
		return bad(BadSubject, "The subject has 1 to %d characters, without spaces.", maxClaim)
	}
	if !secure(t.Issuer) && t.Issuer != string(client) {
		return bad(BadIssuer, "The issuer has to be an https address, such as https://login.microsoftonline.com/TENANT/v2.0, or the client's own id.")
	}
	if t.Keys == "" && !secure(t.Issuer) {
		return bad(BadKeys, "A client that signs for itself has to say where its keys are.")
	}
	if t.Keys != "" && (!claim(t.Keys) || !secure(t.Keys)) {
		return bad(BadKeys, "The address of the key set has to be an https address of the issuer.")
	}
	return t, nil
}

// claim takes printable ASCII without spaces.
func claim(s string) bool {
	return s != "" && len(s) <= maxClaim && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func secure(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}
