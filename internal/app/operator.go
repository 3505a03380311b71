package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
)

// Operator carries out what an operator types: in the serving program, where
// the command line reaches it over a socket, or in the command line itself.
type Operator struct {
	App *App
	// Guessed says that nobody named the outside address, and that no program
	// answers at the one in App.
	Guessed bool
	// Home adds the commands that only a home can carry out, by name.
	Home map[string]func(ctx context.Context, args json.RawMessage) (any, error)
}

// Arguments and answers of the commands. Answers are what --json prints.
type (
	OrgCreate struct {
		Name     string `json:"name"`
		Slug     string `json:"slug,omitempty"`
		Language string `json:"language,omitempty"`
		Admin    string `json:"admin,omitempty"` // email address of the first admin
	}
	OrgInvite struct {
		Org   string `json:"org"`
		Admin string `json:"admin"`
	}
	OrgAnswer struct {
		Org    string `json:"org"`
		Name   string `json:"name"`
		Slug   string `json:"slug"`
		SignIn string `json:"signIn"`          // where its people sign in
		Admin  string `json:"admin,omitempty"` // id of the invited admin
	}
	ConnectionCreate struct {
		Org       string `json:"org"` // id or address
		Name      string `json:"name"`
		Dialect   string `json:"dialect,omitempty"`
		Rate      int    `json:"rate,omitempty"` // requests a second; 0: what is usual
		NoWelcome bool   `json:"noWelcome,omitempty"`
		Discovery string `json:"discovery,omitempty"`
		NoToken   bool   `json:"noToken,omitempty"` // for a directory that uses OAuth
		Expires   string `json:"expires,omitempty"` // lifetime of the token, "8760h"
	}
	ConnectionArgs struct {
		Org        string `json:"org"`
		Connection string `json:"connection"`
		Credential string `json:"credential,omitempty"`
		All        bool   `json:"all,omitempty"`      // every credential ends
		Replaces   string `json:"replaces,omitempty"` // the good token that ends with the rotation; empty: none
		Expires    string `json:"expires,omitempty"`
		Welcome    string `json:"welcome,omitempty"`   // "on" or "off"
		Discovery  string `json:"discovery,omitempty"` // as in org.Discoveries
	}
	CredentialAnswer struct {
		Org        string `json:"org"`
		Connection string `json:"connection"`
		Credential string `json:"credential,omitempty"` // none, where no token was asked for
		Token      string `json:"token,omitempty"`      // shown this once
		SCIM       string `json:"scim"`                 // base URL
		SignIn     string `json:"signIn"`
	}
	ConnectionAnswer struct {
		Org         string           `json:"org"`
		Connection  string           `json:"connection"`
		Name        string           `json:"name"`
		Dialect     string           `json:"dialect"`
		Rate        int              `json:"rate"` // requests a second that it may make; 0: what is usual there
		NoWelcome   bool             `json:"noWelcome"`
		Discovery   string           `json:"discovery"`
		Users       int              `json:"users"`
		Groups      int              `json:"groups"`
		Credentials []CredentialView `json:"credentials"`
	}
	CredentialView struct {
		ID       string     `json:"id"`
		Kind     string     `json:"kind"`             // "token"; of an OAuth client "secret" or "trust"
		Client   string     `json:"client,omitempty"` // the OAuth client that it is of
		Trust    *org.Trust `json:"trust,omitempty"`
		Created  time.Time  `json:"created"`
		LastUsed time.Time  `json:"lastUsed,omitzero"` // to five minutes
		Expires  time.Time  `json:"expires,omitzero"`
		Revoked  time.Time  `json:"revoked,omitzero"`
		State    string     `json:"state"` // Good, Revoked or Expired, as the program that answers has it
	}
	Done struct {
		Done bool `json:"done"`
	}
)

// States of a credential.
const (
	Good    = "good"
	Revoked = "revoked"
	Expired = "expired"
)

// errCommand is the fault for what this program does not know.
func errCommand(name string) error {
	return fault.New(fault.Invalid, "", "The command %.40q is not known.", name)
}

// Do carries out one command.
func (op *Operator) Do(ctx context.Context, name string, args json.RawMessage) (any, error) {
	switch name {
	case "org create":
		return run(ctx, args, op.orgCreate)
	case "org list":
		return op.orgList(ctx)
	case "org invite":
		return run(ctx, args, op.orgInvite)
	case "connection create":
		return run(ctx, args, op.connectionCreate)
	case "connection list":
		return run(ctx, args, op.connectionList)
	case "connection show":
		return run(ctx, args, op.connectionShow)
	case "connection update":
		return run(ctx, args, op.connectionUpdate)
	case "connection rotate":
		return run(ctx, args, op.connectionRotate)
	case "connection revoke":
		return run(ctx, args, op.connectionRevoke)
	case "connection welcome":
		return run(ctx, args, op.connectionWelcome)
	case "connection discovery":
		return run(ctx, args, op.connectionDiscovery)
	case "client create":
		return run(ctx, args, op.clientCreate)
	case "client list":
		return run(ctx, args, op.clientList)
	case "client rotate":
		return run(ctx, args, op.clientRotate)
	case "client trust":
		return run(ctx, args, op.clientTrust)
	case "client revoke":
		return run(ctx, args, op.clientRevoke)
	case "dead list":
		return run(ctx, args, op.deadList)
	case "dead replay":
		return op.deadReplay(ctx)
	}
	if f, ok := op.Home[name]; ok {
		return f(ctx, args)
	}
	return nil, errCommand(name)
}

func run[A any](ctx context.Context, args json.RawMessage, f func(context.Context, A) (any, error)) (any, error) {
	var a A
	d := json.NewDecoder(bytes.NewReader(args))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Msg: "The command's arguments are not understood; is the command line of another version?", Err: err}
	}
	return f(ctx, a)
}

var byOperator = audit.Actor{Kind: "operator"}

// SignIn returns the address at which the organization's people sign in.
func (a *App) SignIn(o *org.Org) string { return a.URL + "/o/" + o.Slug + "/sign-in" }

func (op *Operator) orgCreate(ctx context.Context, in OrgCreate) (any, error) {
	if in.Admin != "" {
		if err := provision.CheckAddress(in.Admin); err != nil {
			return nil, err // rather than an organization without an admin
		}
	}
	o, err := op.App.Orgs.Create(ctx, org.Spec{Name: in.Name, Slug: in.Slug, Language: in.Language})
	if err != nil {
		return nil, err
	}
	ans := OrgAnswer{Org: string(o.ID), Name: o.Name, Slug: o.Slug, SignIn: op.App.SignIn(o)}
	if in.Admin == "" {
		return ans, nil
	}
	u, err := op.App.Provision.Invite(ctx, o, byOperator, provision.Invitation{Email: in.Admin, Admin: true})
	if err != nil {
		return nil, half(err, "The organization "+o.Slug+" was made; invite its admin with: gatehouse org invite --org "+o.Slug+" --admin EMAIL")
	}
	ans.Admin = string(u.ID)
	return ans, nil
}

// half says of a command that failed after its first step what stands, and how
// to go on: typed again it would make another, or be refused.
func half(err error, stands string) error {
	f := fault.Of(err)
	msg := f.Msg
	if msg == "" {
		msg = "It was not done to the end: " + err.Error() + "."
	}
	return &fault.Error{Kind: f.Kind, Code: f.Code, Retry: f.Retry, Err: err, Msg: msg + " " + stands}
}

func (op *Operator) orgInvite(ctx context.Context, in OrgInvite) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	u, err := op.App.Provision.Invite(ctx, o, byOperator, provision.Invitation{Email: in.Admin, Admin: true})
	if err != nil {
		return nil, err
	}
	return OrgAnswer{Org: string(o.ID), Name: o.Name, Slug: o.Slug, SignIn: op.App.SignIn(o), Admin: string(u.ID)}, nil
}

func (op *Operator) orgList(ctx context.Context) (any, error) {
	out := []OrgAnswer{}
	for o, err := range op.App.Orgs.All(ctx) {
		if err != nil {
			return nil, err
		}
		out = append(out, OrgAnswer{Org: string(o.ID), Name: o.Name, Slug: o.Slug, SignIn: op.App.SignIn(o)})
	}
	return out, nil
}

func lifetime(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fault.New(fault.Invalid, "", "%.40q is not a lifetime such as 8760h.", s)
	}
	return d, nil
}

func (op *Operator) connectionCreate(ctx context.Context, in ConnectionCreate) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	life, err := lifetime(in.Expires)
	if err != nil {
		return nil, err
	}
	if in.NoToken && life > 0 {
		return nil, fault.New(fault.Invalid, "", "There is no token to have a lifetime: give either.")
	}
	c, err := op.App.Orgs.CreateConnection(ctx, o, org.Connection{Name: in.Name, Dialect: in.Dialect, Rate: in.Rate, SuppressWelcome: in.NoWelcome, Discovery: in.Discovery})
	if err != nil {
		return nil, err
	}
	if in.NoToken {
		return op.credentialAnswer(o, c.ID), nil
	}
	ans, err := op.issue(ctx, o, c.ID, "", life)
	if err != nil {
		return nil, half(err, "The connection "+string(c.ID)+" was made; issue its token with: gatehouse connection rotate --org "+o.Slug+" --connection "+string(c.ID))
	}
	return ans, nil
}

func (op *Operator) credentialAnswer(o *org.Org, c identity.Connection) CredentialAnswer {
	return CredentialAnswer{Org: string(o.ID), Connection: string(c), SCIM: op.App.SCIM(), SignIn: op.App.SignIn(o)}
}

func (op *Operator) issue(ctx context.Context, o *org.Org, c identity.Connection, replaced identity.Credential, life time.Duration) (any, error) {
	token, cred, err := op.App.Orgs.IssueReplacing(ctx, o, c, replaced, life)
	if err != nil {
		return nil, op.notRotated(ctx, err, o, c, "")
	}
	ans := op.credentialAnswer(o, c)
	ans.Credential, ans.Token = string(cred.ID), token
	return ans, nil
}

// notRotated says of a rotation that was refused for what is good which
// credentials these are, and how to go on. One whose answer was lost is the one
// that nobody uses. An empty client stands for the connection's static tokens.
func (op *Operator) notRotated(ctx context.Context, err error, o *org.Org, c identity.Connection, client identity.Client) error {
	full := errors.Is(err, org.ErrFull)
	if !full && !errors.Is(err, org.ErrNotGood) {
		return err
	}
	all, failed := op.App.Orgs.Credentials(ctx, o, c)
	if failed != nil {
		return err // which says as much without the list
	}
	minute := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	var good []string
	for _, k := range all {
		if k.Client != client || k.Trust != nil || !k.Good(op.App.Now()) {
			continue
		}
		used := "never used"
		if !k.LastUsed.IsZero() {
			used = "last used " + minute(k.LastUsed)
		}
		good = append(good, fmt.Sprintf("%s (created %s, %s)", k.ID, minute(k.Created), used))
	}
	list := strings.Join(good, ", ")
	msg := "Nothing was issued: what is to be replaced is not among those that are good: " + list + "."
	switch {
	case full:
		msg = fmt.Sprintf("Nothing was issued: %d are good already, and one more would end another: %s. Name the one that is to end with --replaces ID, or end it by itself with revoke.", len(good), list)
	case list == "":
		msg = "Nothing was issued: what is to be replaced is not good, and nothing else is. Rotate without --replaces."
	}
	return &fault.Error{Kind: fault.Conflict, Msg: msg, Err: err}
}

func (op *Operator) connectionRotate(ctx context.Context, in ConnectionArgs) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	life, err := lifetime(in.Expires)
	if err != nil {
		return nil, err
	}
	return op.issue(ctx, o, identity.Connection(in.Connection), identity.Credential(in.Replaces), life)
}

// connectionRevoke ends one credential, or all of the connection's: its OAuth
// clients have none left then.
func (op *Operator) connectionRevoke(ctx context.Context, in ConnectionArgs) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	c, err := op.App.Orgs.Connection(ctx, o, identity.Connection(in.Connection))
	if err != nil {
		return nil, err
	}
	if err := oneOrAll(in.Credential, in.All); err != nil {
		return nil, err
	}
	if !in.All {
		if err := op.App.Orgs.Revoke(ctx, o, c.ID, identity.Credential(in.Credential)); err != nil {
			return nil, err
		}
		return Done{true}, nil
	}
	// Somebody may rotate meanwhile: it is done when none is left.
	for {
		all, err := op.App.Orgs.Credentials(ctx, o, c.ID)
		if err != nil {
			return nil, err
		}
		done := true
		for _, k := range all {
			done = done && !k.Revoked.IsZero()
			// What is not there any more was forgotten meanwhile.
			if err := op.App.Orgs.Revoke(ctx, o, c.ID, k.ID); err != nil && !fault.Is(err, fault.NotFound) {
				return nil, err
			}
		}
		if done {
			return Done{true}, nil
		}
	}
}

// oneOrAll refuses what ends neither one credential nor, expressly, all: a script
// whose variable is empty must not lock a directory out.
func oneOrAll(credential string, all bool) error {
	if all != (credential == "") {
		return fault.New(fault.Invalid, "", "Say which credential ends, or that all of them do.")
	}
	return nil
}

func (op *Operator) connectionWelcome(ctx context.Context, in ConnectionArgs) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	if in.Welcome != "on" && in.Welcome != "off" {
		return nil, fault.New(fault.Invalid, "", "Welcome emails are switched on or off.")
	}
	if err := op.App.Orgs.SetWelcome(ctx, o, identity.Connection(in.Connection), in.Welcome == "off"); err != nil {
		return nil, err
	}
	return Done{true}, nil
}

func (op *Operator) connectionDiscovery(ctx context.Context, in ConnectionArgs) (any, error) {
	o, err := op.App.Orgs.Find(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	if in.Discovery == "" {
		return nil, fault.New(fault.Invalid, "", "Choose a discovery: %s.", strings.Join(org.Discoveries, ", "))
	}
	if err := op.App.Orgs.SetDiscovery(ctx, o, identity.Connection(in.Connection), in.Discovery); err != nil {
		return nil, err
	}
	return Done{true}, nil
}

// Demo is an organization to try things with.
type Demo struct {
	Org, Connection, Token, Admin, Slug string
}

// MakeDemo makes the organization, its first admin and a connection.
func (op *Operator) MakeDemo(ctx context.Context, name, slug, admin string) (Demo, error) {
	o, err := op.App.Orgs.Create(ctx, org.Spec{Name: name, Slug: slug})
	if err != nil {
		return Demo{}, fmt.Errorf("make the demo organization: %w", err)
	}
	if _, err := op.App.Provision.Invite(ctx, o, byOperator, provision.Invitation{Email: admin, Admin: true}); err != nil {
		return Demo{}, fmt.Errorf("invite the demo admin: %w", err)
	}
	c, err := op.App.Orgs.CreateConnection(ctx, o, org.Connection{Name: "Demo directory"})
	if err != nil {
		return Demo{}, fmt.Errorf("make the demo connection: %w", err)
	}
	token, _, err := op.App.Orgs.Issue(ctx, o, c.ID, 0)
	if err != nil {
		return Demo{}, fmt.Errorf("issue the demo credential: %w", err)
	}
	return Demo{Org: string(o.ID), Connection: string(c.ID), Token: token, Admin: admin, Slug: o.Slug}, nil
}
