package app

import (
	"cmp"
	"context"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// Arguments and answers about one connection.
type (
	// ConnectionUpdate changes what is given, and nothing else.
	ConnectionUpdate struct {
		Org        string `json:"org"`
		Connection string `json:"connection"`
		Name       string `json:"name,omitempty"`
		Dialect    string `json:"dialect,omitempty"`
		Rate       *int   `json:"rate,omitempty"` // 0: what is usual
	}
	// ConnectionShown is a connection with what can be said of its traffic.
	ConnectionShown struct {
		ConnectionAnswer
		SCIM      string         `json:"scim"`              // base URL
		LastUsed  time.Time      `json:"lastUsed,omitzero"` // the latest of its credentials, of whatever kind, to five minutes
		Coercions []org.Coercion `json:"coercions"`         // by rule
	}
)

// SCIM returns the base URL of the service provider.
func (a *App) SCIM() string { return a.URL + "/scim/v2" }

func (op *Operator) connectionList(ctx context.Context, in ConnectionArgs) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	all, err := op.App.Orgs.Connections(ctx, o)
	if err != nil {
		return nil, err
	}
	out := []ConnectionAnswer{}
	for _, c := range all {
		ans, err := op.connection(ctx, o, c)
		if err != nil {
			return nil, err
		}
		out = append(out, ans)
	}
	return out, nil
}

// connection tells of one connection.
func (op *Operator) connection(ctx context.Context, o *org.Org, c org.Connection) (ConnectionAnswer, error) {
	r := op.App.Provision.Roster(o)
	ans := ConnectionAnswer{Org: string(o.ID), Connection: string(c.ID), Name: c.Name, Dialect: c.Dialect, Rate: c.Rate,
		NoWelcome: c.SuppressWelcome, Discovery: cmp.Or(c.Discovery, org.Discoveries[0]), Credentials: []CredentialView{}}
	var err error
	if ans.Users, err = r.Total(ctx, c.ID); err != nil {
		return ans, err
	}
	if ans.Groups, err = r.GroupTotal(ctx, c.ID); err != nil {
		return ans, err
	}
	creds, err := op.App.Orgs.Credentials(ctx, o, c.ID)
	if err != nil {
		return ans, err
	}
	for _, k := range creds {
		ans.Credentials = append(ans.Credentials, credentialView(k, op.App.Now()))
	}
	return ans, nil
}

// credentialView tells of a credential everything but what it is recognised by.
func credentialView(k org.Credential, now time.Time) CredentialView {
	v := CredentialView{ID: string(k.ID), Kind: "token", Client: string(k.Client), Trust: k.Trust,
		Created: k.Created, LastUsed: k.LastUsed, Expires: k.Expires, Revoked: k.Revoked, State: Good}
	switch {
	case !k.Revoked.IsZero():
		v.State = Revoked
	case !k.Good(now):
		v.State = Expired
	}
	switch {
	case k.Trust != nil:
		v.Kind = "trust"
	case !k.Static():
		v.Kind = "secret"
	}
	return v
}

func (op *Operator) connectionShow(ctx context.Context, in ConnectionArgs) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	c, err := op.App.Orgs.Connection(ctx, o, identity.Connection(in.Connection))
	if err != nil {
		return nil, err
	}
	return op.shown(ctx, o, c)
}

func (op *Operator) shown(ctx context.Context, o *org.Org, c org.Connection) (any, error) {
	ans, err := op.connection(ctx, o, c)
	if err != nil {
		return nil, err
	}
	out := ConnectionShown{ConnectionAnswer: ans, SCIM: op.App.SCIM(), Coercions: []org.Coercion{}}
	for _, k := range ans.Credentials {
		if k.LastUsed.After(out.LastUsed) {
			out.LastUsed = k.LastUsed
		}
	}
	counted, err := op.App.Orgs.Coercions(ctx, o, c.ID)
	if err != nil {
		return nil, err
	}
	out.Coercions = append(out.Coercions, counted...)
	return out, nil
}

// connectionUpdate changes settings. What the connection stored stays as it is,
// whatever its dialect becomes.
func (op *Operator) connectionUpdate(ctx context.Context, in ConnectionUpdate) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	c, err := op.App.Orgs.UpdateConnection(ctx, o, identity.Connection(in.Connection), func(c *org.Connection) {
		if in.Name != "" {
			c.Name = in.Name
		}
		if in.Dialect != "" {
			c.Dialect = in.Dialect
		}
		if in.Rate != nil {
			c.Rate = *in.Rate
		}
	})
	if err != nil {
		return nil, err
	}
	return op.shown(ctx, o, c)
}
