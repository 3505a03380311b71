package portal

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// clientView is an OAuth client with what it proves itself by.
type clientView struct {
	org.Client
	Ended   bool
	Secrets credentialList
	Trusts  credentialList
	Full    bool // may have no more trusts
}

// tokenURL is where access tokens are granted (package web/oauth).
func (p *portal) tokenURL() string { return p.URL + "/oauth/token" }

// scimURL is the service provider's base URL (package web/scimhttp).
func (p *portal) scimURL() string { return p.URL + "/scim/v2" }

// clients are those of the connection, ended ones last.
func (p *portal) clients(x *exchange, c org.Connection, creds []org.Credential) ([]clientView, error) {
	all, err := p.Orgs.Clients(x.ctx(), x.org)
	if err != nil {
		return nil, err
	}
	var standing, ended []clientView
	for _, cl := range all {
		if cl.Connection != c.ID {
			continue
		}
		if !cl.Revoked.IsZero() {
			ended = append(ended, clientView{Client: cl, Ended: true})
			continue
		}
		v := clientView{Client: cl, Secrets: p.list(creds, secretsOf(cl), org.MaxSecrets), Trusts: p.list(creds, trustsOf(cl), org.MaxTrusts)}
		v.Full = v.Trusts.Good >= org.MaxTrusts
		standing = append(standing, v)
	}
	byAge := func(a, b clientView) int { return a.Created.Compare(b.Created) }
	slices.SortStableFunc(standing, byAge)
	slices.SortStableFunc(ended, byAge)
	return append(standing, ended...), nil
}

// clientOf returns the connection and its client that the address names.
func (p *portal) clientOf(x *exchange) (org.Connection, org.Client, error) {
	c, err := p.connectionOf(x)
	if err != nil {
		return org.Connection{}, org.Client{}, err
	}
	cl, err := p.Orgs.Client(x.ctx(), x.org, identity.Client(x.r.PathValue("client")))
	if fault.Is(err, fault.NotFound) || err == nil && cl.Connection != c.ID {
		return org.Connection{}, org.Client{}, errNoPage
	}
	return c, cl, err
}

// addClient makes a client that has no credential yet. A name that another one
// has is refused, and with it a form that is sent twice.
func (p *portal) addClient(x *exchange) error {
	c, err := p.connectionOf(x)
	if err != nil {
		return err
	}
	f := field{Value: x.r.PostForm.Get("name")}
	cl, err := p.Orgs.CreateClient(x.ctx(), x.org, c.ID, f.Value)
	switch {
	case err == nil:
		return x.redirect(x.connectionPath(c) + "?added#" + string(cl.ID))
	case fault.Coded(err, org.NameTaken):
		f.Error = "client.name-taken"
	case fault.Is(err, fault.Invalid):
		f.Error = "client.name-bad"
	default:
		return err
	}
	f.Focus = true
	return p.connectionPage(x, c, http.StatusUnprocessableEntity, view{Failed: true}, f)
}

// revokeClient ends a client with all that it has.
func (p *portal) revokeClient(x *exchange) error {
	c, cl, err := p.clientOf(x)
	if err != nil {
		return err
	}
	if err := p.Orgs.RevokeClient(x.ctx(), x.org, cl.ID); err != nil {
		return err
	}
	return x.redirect(x.connectionPath(c) + "?ended")
}

// issueSecret issues a secret of a client. Those before stay good, as many as
// there may be.
func (p *portal) issueSecret(x *exchange) error {
	c, cl, err := p.clientOf(x)
	if err != nil {
		return err
	}
	life, err := x.lifetime(secretLives)
	if err != nil {
		return err
	}
	text, k, err := p.Orgs.IssueSecretAfter(x.ctx(), x.org, cl, x.seen(), life)
	if errors.Is(err, org.ErrNewer) {
		return x.redirect(x.connectionPath(c) + "?repeated#" + string(cl.ID))
	}
	if err != nil {
		return err
	}
	return p.shownOnce(x, c, text, k)
}

// trustView is the page of the form for a trust.
type trustView struct {
	Connection                      org.Connection
	Client                          org.Client
	Path                            string // of the connection's page
	URL, TokenURL                   string
	Issuer, Subject, Audience, Keys field
}

// trustPage asks whose word for the client is to be taken.
func (p *portal) trustPage(x *exchange) error {
	c, cl, err := p.clientOf(x)
	if err != nil {
		return err
	}
	if !cl.Revoked.IsZero() {
		return errNoPage
	}
	v := trustView{}
	v.Issuer.Focus = true
	return p.trustForm(x, c, cl, http.StatusOK, view{}, v)
}

func (p *portal) trustForm(x *exchange, c org.Connection, cl org.Client, status int, page view, v trustView) error {
	v.Connection, v.Client, v.Path, v.URL, v.TokenURL = c, cl, x.connectionPath(c), p.scimURL(), p.tokenURL()
	for _, f := range []struct {
		to                *field
		name, label, hint string
	}{
		{&v.Issuer, "issuer", "trust.issuer", "trust.issuer-hint"}, {&v.Subject, "subject", "trust.subject", "trust.subject-hint"},
		{&v.Audience, "audience", "trust.audience", "trust.audience-hint"}, {&v.Keys, "keys", "trust.keys", "trust.keys-hint"},
	} {
		f.to.Name, f.to.Label, f.to.Hint, f.to.Type, f.to.Autocomplete = f.name, f.label, f.hint, "text", "off"
	}
	page.Section, page.Data = "connections", v
	return x.render(status, "trust", page)
}

// addTrust takes another issuer's word for the client from now on.
func (p *portal) addTrust(x *exchange) error {
	c, cl, err := p.clientOf(x)
	if err != nil {
		return err
	}
	form := x.r.PostForm
	v := trustView{Issuer: field{Value: form.Get("issuer")}, Subject: field{Value: form.Get("subject")}, Audience: field{Value: form.Get("audience")}, Keys: field{Value: form.Get("keys")}}
	t := org.Trust{
		Issuer: strings.TrimSpace(v.Issuer.Value), Subject: strings.TrimSpace(v.Subject.Value),
		Audiences: strings.Fields(v.Audience.Value), Keys: strings.TrimSpace(v.Keys.Value),
	}
	if len(t.Audiences) == 0 {
		t.Audiences = []string{p.tokenURL()}
	}
	if t.Issuer == "" {
		v.Issuer.Error = "trust.issuer-missing"
	}
	if t.Subject == "" {
		v.Subject.Error = "trust.subject-missing"
	}
	// Package org knows the form of addresses, not which of them are never asked.
	never := func(address string) bool {
		return p.Askable != nil && strings.HasPrefix(address, "https://") && p.Askable(address) != nil
	}
	if never(t.Issuer) {
		v.Issuer.Error = "trust.never-asked"
	}
	if never(t.Keys) {
		v.Keys.Error = "trust.never-asked"
	}
	if v.Issuer.Error == "" && v.Subject.Error == "" && v.Keys.Error == "" {
		_, err := p.Orgs.AddTrust(x.ctx(), x.org, cl, t)
		if err == nil {
			return x.redirect(x.connectionPath(c) + "?trusted#" + string(cl.ID))
		}
		switch fault.Of(err).Code {
		case org.TrustThere: // a form that is sent twice adds one
			v.Issuer.Error = "trust.there"
		case org.BadIssuer:
			v.Issuer.Error = "trust.issuer-bad"
		case org.BadSubject:
			v.Subject.Error = "trust.subject-bad"
		case org.BadAudience:
			v.Audience.Error = "trust.audience-bad"
		case org.BadKeys:
			v.Keys.Error = "trust.keys-bad"
		default:
			return err
		}
	}
	for _, f := range []*field{&v.Issuer, &v.Subject, &v.Audience, &v.Keys} {
		if f.Error != "" {
			f.Focus = true
			break
		}
	}
	return p.trustForm(x, c, cl, http.StatusUnprocessableEntity, view{Failed: true}, v)
}
