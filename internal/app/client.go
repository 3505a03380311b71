package app

import (
	"context"
	"strings"
	"time"

	"gatehouse/internal/egress"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// tokenPath is where access tokens are granted.
const tokenPath = "/oauth/token"

// Arguments and answers of the commands about OAuth clients.
type (
	ClientCreate struct {
		Org        string `json:"org"`
		Connection string `json:"connection"`
		Name       string `json:"name"`
		NoSecret   bool   `json:"noSecret,omitempty"` // for a client that proves itself by assertions alone
		Expires    string `json:"expires,omitempty"`  // lifetime of the secret, "8760h"
	}
	ClientArgs struct {
		Org        string `json:"org"`
		Client     string `json:"client,omitempty"`
		Credential string `json:"credential,omitempty"` // one secret or trust
		All        bool   `json:"all,omitempty"`        // the client ends, with every secret and trust
		Replaces   string `json:"replaces,omitempty"`   // the good secret that ends with the rotation; empty: none
		Expires    string `json:"expires,omitempty"`
	}
	ClientTrust struct {
		Org       string   `json:"org"`
		Client    string   `json:"client"`
		Issuer    string   `json:"issuer"`
		Subject   string   `json:"subject"`
		Audiences []string `json:"audiences,omitempty"` // none: our token endpoint
		Keys      string   `json:"keys,omitempty"`
	}
	// ClientAnswer is what goes into an identity provider's form.
	ClientAnswer struct {
		Org        string    `json:"org"`
		Connection string    `json:"connection"`
		Client     string    `json:"client"`
		Credential string    `json:"credential,omitempty"` // the secret's or the trust's
		Secret     string    `json:"secret,omitempty"`     // shown this once
		Expires    time.Time `json:"expires,omitzero"`     // of the secret
		TokenURL   string    `json:"tokenUrl"`
		SCIM       string    `json:"scim"`
	}
	ClientView struct {
		Org         string           `json:"org"`
		Connection  string           `json:"connection"`
		Client      string           `json:"client"`
		Name        string           `json:"name"`
		Created     time.Time        `json:"created"`
		Revoked     time.Time        `json:"revoked,omitzero"`
		Credentials []CredentialView `json:"credentials"`
	}
)

func (op *Operator) clientAnswer(o *org.Org, c org.Client) ClientAnswer {
	return ClientAnswer{Org: string(o.ID), Connection: string(c.Connection), Client: string(c.ID),
		TokenURL: op.App.URL + tokenPath, SCIM: op.App.SCIM()}
}

func (op *Operator) clientCreate(ctx context.Context, in ClientCreate) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	life, err := secretLife(in.Expires) // rather than a client without a secret
	if err != nil {
		return nil, err
	}
	c, err := op.App.Orgs.CreateClient(ctx, o, identity.Connection(in.Connection), in.Name)
	if err != nil {
		return nil, err
	}
	if in.NoSecret {
		return op.clientAnswer(o, c), nil
	}
	ans, err := op.issueSecret(ctx, o, c, "", life)
	if err != nil {
		return nil, half(err, "The client "+string(c.ID)+" was made; issue its secret with: gatehouse client rotate --org "+o.Slug+" --client "+string(c.ID))
	}
	return ans, nil
}

func secretLife(s string) (time.Duration, error) {
	life, err := lifetime(s)
	if err == nil && life > org.MaxSecretLife {
		err = fault.New(fault.Invalid, "", "A client's secret is good for three years at most: %dh.", int(org.MaxSecretLife/time.Hour))
	}
	return life, err
}

func (op *Operator) issueSecret(ctx context.Context, o *org.Org, c org.Client, replaced identity.Credential, life time.Duration) (any, error) {
	text, cred, err := op.App.Orgs.IssueSecretReplacing(ctx, o, c, replaced, life)
	if err != nil {
		return nil, op.notRotated(ctx, err, o, c.Connection, c.ID)
	}
	ans := op.clientAnswer(o, c)
	ans.Credential, ans.Secret, ans.Expires = string(cred.ID), text, cred.Expires
	return ans, nil
}

// client finds the client that a command names.
func (op *Operator) client(ctx context.Context, inOrg, inClient string) (*org.Org, org.Client, error) {
	o, err := op.App.Orgs.Find(ctx, inOrg)
	if err != nil {
		return nil, org.Client{}, err
	}
	c, err := op.App.Orgs.Client(ctx, o, identity.Client(inClient))
	return o, c, err
}

func (op *Operator) clientRotate(ctx context.Context, in ClientArgs) (any, error) {
	o, c, err := op.client(ctx, in.Org, in.Client)
	if err != nil {
		return nil, err
	}
	life, err := secretLife(in.Expires)
	if err != nil {
		return nil, err
	}
	return op.issueSecret(ctx, o, c, identity.Credential(in.Replaces), life)
}

func (op *Operator) clientTrust(ctx context.Context, in ClientTrust) (any, error) {
	o, c, err := op.client(ctx, in.Org, in.Client)
	if err != nil {
		return nil, err
	}
	if len(in.Audiences) == 0 {
		if op.Guessed {
			// It would be stored, and no assertion would ever be for it.
			return nil, fault.New(fault.Invalid, "", "Say whom the issuer addresses with --audience, or name the outside address with --url: the token URL is not known here.")
		}
		in.Audiences = []string{op.App.URL + tokenPath}
	}
	for _, address := range []string{in.Issuer, in.Keys} {
		// What is never fetched is refused now, to who can mend it; what an address
		// has to be otherwise the trust says.
		if !strings.HasPrefix(address, "https://") {
			continue
		}
		if err := egress.Check(address); err != nil {
			return nil, fault.New(fault.Invalid, "", "%.200q cannot be asked for keys: it has to be an address on the public internet.", address)
		}
	}
	cred, err := op.App.Orgs.AddTrust(ctx, o, c, org.Trust{Issuer: in.Issuer, Subject: in.Subject, Audiences: in.Audiences, Keys: in.Keys})
	if err != nil {
		return nil, err
	}
	ans := op.clientAnswer(o, c)
	ans.Credential = string(cred.ID)
	return ans, nil
}

// clientRevoke ends one secret or trust, or the client.
func (op *Operator) clientRevoke(ctx context.Context, in ClientArgs) (any, error) {
	o, c, err := op.client(ctx, in.Org, in.Client)
	if err != nil {
		return nil, err
	}
	if err := oneOrAll(in.Credential, in.All); err != nil {
		return nil, err
	}
	if in.All {
		if err := op.App.Orgs.RevokeClient(ctx, o, c.ID); err != nil {
			return nil, err
		}
		return Done{true}, nil
	}
	all, err := op.App.Orgs.Credentials(ctx, o, c.Connection)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if string(k.ID) != in.Credential || k.Client != c.ID {
			continue
		}
		if err := op.App.Orgs.Revoke(ctx, o, c.Connection, k.ID); err != nil {
			return nil, err
		}
		return Done{true}, nil
	}
	return nil, fault.New(fault.NotFound, "", "The client has no such credential.")
}

func (op *Operator) clientList(ctx context.Context, in ClientArgs) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	all, err := op.App.Orgs.Clients(ctx, o)
	if err != nil {
		return nil, err
	}
	credentials := map[identity.Connection][]org.Credential{}
	out := []ClientView{}
	for _, c := range all {
		if _, known := credentials[c.Connection]; !known {
			if credentials[c.Connection], err = op.App.Orgs.Credentials(ctx, o, c.Connection); err != nil {
				return nil, err
			}
		}
		v := ClientView{Org: string(o.ID), Connection: string(c.Connection), Client: string(c.ID), Name: c.Name,
			Created: c.Created, Revoked: c.Revoked, Credentials: []CredentialView{}}
		for _, k := range credentials[c.Connection] {
			if k.Client == c.ID {
				view := credentialView(k, op.App.Now())
				view.Client = "" // as v says
				v.Credentials = append(v.Credentials, view)
			}
		}
		out = append(out, v)
	}
	return out, nil
}
