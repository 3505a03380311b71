package oauth

import (
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/jwt"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// token answers RFC 6749 §4.4.2 by §5.1.
func (x *exchange) token() (map[string]any, error) {
	all, err := form(x.r)
	if err != nil {
		return nil, err
	}
	p, err := prove(x.r, all)
	if err != nil {
		return nil, err
	}
	if err := checkGrant(all); err != nil {
		return nil, err
	}
	var assertion jwt.Token
	if p.assertion != "" {
		if assertion, err = jwt.Parse(p.assertion); err != nil {
			return nil, unknown("assertion-form")
		}
		if p.client == "" {
			p.client = assertion.Claims.Subject // RFC 7521 §4.2: then the assertion names the client
		}
	}
	ctx := x.r.Context()
	if x.a, err = x.h.Orgs.Applicant(ctx, p.client); err != nil {
		return nil, fmt.Errorf("look up the client: %w", err)
	}
	token, life, err := x.grant(p, assertion)
	var no *refusal
	if errors.As(err, &no) && no.code == "invalid_client" {
		return nil, x.h.failed(ctx, x.h.Client(x.r), no)
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(life / time.Second), "scope": Scope}, nil
}

// grant looks into the proof, and mints a token if it convinces.
func (x *exchange) grant(p proof, assertion jwt.Token) (string, time.Duration, error) {
	cred, writes, err := x.convince(p, assertion)
	if err != nil {
		return "", 0, err
	}
	if err := x.h.granting(x.r.Context(), x.a.Client); err != nil {
		return "", 0, err
	}
	token, life, err := x.h.Orgs.Grant(x.r.Context(), x.a, cred, writes...)
	if table.Conflicts(err) {
		return "", 0, unknown("replayed") // the one condition there is
	}
	return token, life, err
}

// convince returns the credential by which the client proved itself, and what is
// to be written with the token.
func (x *exchange) convince(p proof, assertion jwt.Token) (org.Credential, []table.Write, error) {
	if p.assertion != "" {
		return x.assert(assertion)
	}
	cred, ok := x.a.Secret(p.secret)
	if !ok {
		return org.Credential{}, nil, unknown("secret")
	}
	return cred, nil, nil
}
