package oauth

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"gatehouse/internal/jwt"
)

// maxForm is how large a request may be, in bytes: an assertion and the rest.
const maxForm = jwt.MaxToken + 8<<10

// assertionType is RFC 7523 §2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// proof is how a client says who it is: one of the two is set.
type proof struct {
	client    string // empty with an assertion: its subject
	secret    string
	assertion string
}

// form reads the parameters (RFC 6749 §3.2): in the body alone, each once, and
// one without a value as if it were left out.
func form(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, invalid("query", "Parameters belong into the body, not into the address.")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, invalid("coding", "The body has to come as it is: no Content-Encoding is taken.")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, invalid("media", "The body has to be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxForm))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, code: "invalid_request", reason: "large", description: "The body is too large."}
	}
	if err != nil {
		return nil, invalid("body", "The body ended early.")
	}
	all, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalid("form", "The body is not form-encoded.")
	}
	for name, values := range all {
		switch {
		case len(values) > 1:
			return nil, invalid("twice", "A parameter may come once.")
		case !utf8.ValidString(name) || !utf8.ValidString(values[0]):
			return nil, invalid("utf-8", "The body has to be UTF-8.")
		case values[0] == "":
			delete(all, name)
		}
	}
	return all, nil
}

// checkGrant refuses what no client may ask for.
func checkGrant(all url.Values) error {
	switch all.Get("grant_type") {
	case "client_credentials":
	case "":
		return invalid("grant-missing", "The parameter grant_type is missing.")
	default:
		return &refusal{status: http.StatusBadRequest, code: "unsupported_grant_type", reason: "grant", description: "The grant type has to be client_credentials."}
	}
	asked := all.Get("scope")
	if asked == "" {
		return nil
	}
	// RFC 6749 §3.3: of what is asked a part may be granted, and the answer says
	// which. Clients of Entra ID ask for scim.readwrite too.
	for _, s := range strings.Split(asked, " ") {
		if s == Scope || s == Scope+".readwrite" {
			return nil
		}
	}
	return &refusal{status: http.StatusBadRequest, code: "invalid_scope", reason: "scope", description: "The scope has to be " + Scope + "."}
}

// prove reads how the client says who it is (RFC 6749 §2.3, RFC 7521 §4.2), in
// one way only.
func prove(r *http.Request, all url.Values) (proof, error) {
	basic := r.Header.Values("Authorization")
	ways := 0
	for _, given := range []bool{len(basic) > 0, all.Has("client_secret"), all.Has("client_assertion") || all.Has("client_assertion_type")} {
		if given {
			ways++
		}
	}
	if ways > 1 || len(basic) > 1 {
		return proof{}, invalid("two-ways", "The client may prove itself in one way only.")
	}
	p := proof{client: all.Get("client_id")}
	switch {
	case len(basic) > 0:
		id, text, ok := decodeBasic(basic[0])
		if !ok {
			return proof{}, unknown("header")
		}
		if p.client != "" && p.client != id {
			return proof{}, invalid("two-clients", "The parameter client_id is not the client of the Authorization header.")
		}
		p.client, p.secret = id, text
	case all.Has("client_secret"):
		if p.client == "" {
			return proof{}, invalid("client-missing", "The parameter client_id is missing.")
		}
		p.secret = all.Get("client_secret")
	case all.Has("client_assertion_type") && all.Get("client_assertion_type") != assertionType:
		return proof{}, invalid("assertion-type", "The client_assertion_type has to be "+assertionType+".")
	case all.Has("client_assertion") && !all.Has("client_assertion_type"):
		return proof{}, invalid("assertion-type", "The parameter client_assertion_type is missing.")
	case all.Has("client_assertion_type") && !all.Has("client_assertion"):
		return proof{}, invalid("assertion-missing", "The parameter client_assertion is missing.")
	case all.Has("client_assertion"):
		p.assertion = all.Get("client_assertion")
	default:
		return proof{}, unknown("nothing")
	}
	return p, nil
}

// decodeBasic reads RFC 6749 §2.3.1: id and secret are form-encoded before they
// are joined. Clients that forget to do so come to the same, since neither of
// ours has a character that it would change.
func decodeBasic(header string) (id, text string, ok bool) {
	scheme, rest, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", "", false
	}
	id, text, ok = strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	id, err1 := url.QueryUnescape(id)
	text, err2 := url.QueryUnescape(text)
	return id, text, err1 == nil && err2 == nil && utf8.ValidString(id) && id != "" && max(len(id), len(text)) <= maxForm
}
