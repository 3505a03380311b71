package oauth

import (
	"errors"
	"fmt"
	"net/http"
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
	cred, uses, err := x.convince(p, assertion)
	if err != nil {
		return "", 0, err
	}
	// What is limited is counted in the token's own commit: what is refused counts
	// nowhere, so a replayed assertion takes nothing from its client's rate.
	rate := x.h.grants(x.a.Client)
	limits := []limit{{rate, busy(http.StatusTooManyRequests, "grants", "Too many tokens in one minute. A token is good for an hour: keep it.", rate.end.Sub(x.h.Now()), nil)}}
	if uses != nil {
		limits = append([]limit{{*uses, unknown("replayed")}}, limits...)
	}
	var writes []table.Write
	for _, l := range limits {
		if x.h.full.has(l.counter) {
			return "", 0, l.beyond // and a flood of them writes nothing
		}
		writes = append(writes, l.add())
	}
	token, life, err := x.h.Orgs.Grant(x.r.Context(), x.a, cred, writes...)
	for _, l := range limits {
		if table.Conflicts(err, l.key) {
			x.h.full.add(l.counter, x.h.Now())
			return "", 0, l.beyond
		}
	}
	return token, life, err
}

// limit is a counter of tokens, and what is told beyond it.
type limit struct {
	counter
	beyond *refusal
}

// convince returns the credential by which the client proved itself, and the
// counter of the proof's uses where they are limited.
func (x *exchange) convince(p proof, assertion jwt.Token) (org.Credential, *counter, error) {
	if p.assertion != "" {
		return x.assert(assertion)
	}
	cred, ok := x.a.Secret(p.secret)
	if !ok {
		return org.Credential{}, nil, unknown("secret")
	}
	return cred, nil, nil
}
