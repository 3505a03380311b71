package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
)

type orgCmd struct {
	Create orgCreateCmd `cmd:"" help:"Make an organization."`
	Invite orgInviteCmd `cmd:"" help:"Invite an admin."`
	List   orgListCmd   `cmd:"" help:"List organizations."`
}

type orgCreateCmd struct {
	at
	Name     string `required:"" help:"Name, as people know it."`
	Slug     string `help:"Its address: URL/o/SLUG/. Default: made from the name."`
	Language string `help:"Language of who names none: en or de." default:"en"`
	Admin    string `help:"Email address of the first admin, who is invited by mail."`
}

func (c *orgCreateCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "org create", app.OrgCreate{Name: c.Name, Slug: c.Slug, Language: c.Language, Admin: c.Admin}, orgText)
}

type orgInviteCmd struct {
	at
	Org   string `required:"" help:"Id or address of the organization."`
	Admin string `required:"" help:"Email address of the admin."`
}

func (c *orgInviteCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "org invite", app.OrgInvite{Org: c.Org, Admin: c.Admin}, orgText)
}

type orgListCmd struct{ at }

func (c *orgListCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "org list", struct{}{}, func(all []app.OrgAnswer) string {
		if len(all) == 0 {
			return "No organizations yet. Make one with: gatehouse org create --name NAME --admin EMAIL\n"
		}
		return columns(func(w io.Writer) {
			for _, o := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", o.Org, o.Name, o.SignIn)
			}
		})
	})
}

func orgText(o app.OrgAnswer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Organization %s (%s)\nSign in at   %s\n", o.Name, o.Org, o.SignIn)
	if o.Admin != "" {
		fmt.Fprintf(&b, "Admin        invited by mail (user %s)\n", o.Admin)
	}
	fmt.Fprintf(&b, "Next         gatehouse connection create --org %s --name NAME\n", o.Slug)
	return b.String()
}

type connectionCmd struct {
	Create    connectionCreateCmd    `cmd:"" help:"Make a connection and, unless it is to use OAuth, its token."`
	List      connectionListCmd      `cmd:"" help:"List an organization's connections, with credentials and their last use."`
	Show      connectionShowCmd      `cmd:"" help:"Show a connection: its address, rate, credentials, and in what its messages were bent to fit."`
	Update    connectionUpdateCmd    `cmd:"" help:"Change a connection's name, dialect or rate. What it stored stays as it is."`
	Rotate    connectionRotateCmd    `cmd:"" help:"Issue another token. Two are good at once; none ends unless --replaces names it."`
	Revoke    connectionRevokeCmd    `cmd:"" help:"End a credential, or all of a connection's."`
	Welcome   connectionWelcomeCmd   `cmd:"" help:"Switch the welcome emails of a connection's future users on or off."`
	Discovery connectionDiscoveryCmd `cmd:"" help:"Choose what a connection's client is told by SCIM discovery."`
}

type connectionCreateCmd struct {
	at
	Org       string `required:"" help:"Id or address of the organization."`
	Name      string `required:"" help:"Name, as admins know it."`
	Dialect   string `help:"How its client speaks: compat, strict or interop." default:"compat"`
	Rate      int    `help:"Requests a second that it may make, 25 or more. Default: what is usual here."`
	NoWelcome bool   `help:"Its users get no welcome email."`
	Discovery string `help:"What its client is told there is: standard, plain (without cursors, for clients that refuse what they do not know) or full (with Okta's types and products)." enum:"standard,plain,full" default:"standard"`
	NoToken   bool   `help:"Without a static token: for a directory that uses OAuth (see client create). connection rotate makes one later." xor:"token"`
	Expires   string `help:"Lifetime of the token, such as 8760h. Default: until it is revoked." xor:"token"`
}

func (c *connectionCreateCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "connection create",
		app.ConnectionCreate{Org: c.Org, Name: c.Name, Dialect: c.Dialect, Rate: c.Rate, NoWelcome: c.NoWelcome, Discovery: c.Discovery, NoToken: c.NoToken, Expires: c.Expires}, func(a app.CredentialAnswer) string {
			text := credentialText(a)
			if c.NoToken {
				text += fmt.Sprintf("Next         gatehouse client create --org %s --connection %s --name NAME\n", c.Org, a.Connection)
			}
			return text
		})
}

func credentialText(a app.CredentialAnswer) string {
	text := fmt.Sprintf("Connection   %s\nBase URL     %s\n", a.Connection, a.SCIM)
	if a.Token != "" {
		text += fmt.Sprintf("Credential   %s\nToken        %s\nThe token is shown this once.\n", a.Credential, a.Token)
	}
	return text
}

type connectionListCmd struct {
	at
	Org string `required:"" help:"Id or address of the organization."`
}

func (c *connectionListCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "connection list", app.ConnectionArgs{Org: c.Org}, func(all []app.ConnectionAnswer) string {
		if len(all) == 0 {
			return "No connections yet. Make one with: gatehouse connection create --org " + c.Org + " --name NAME\n"
		}
		return columns(func(w io.Writer) {
			for _, a := range all {
				mails := "welcome emails on"
				if a.NoWelcome {
					mails = "welcome emails off"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d users\t%d groups\t%s\n", a.Connection, a.Name, a.Dialect, a.Users, a.Groups, mails)
				credentialLines(w, "\t", a.Credentials)
			}
		})
	})
}

func columns(write func(io.Writer)) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	write(w)
	w.Flush()
	return b.String()
}

type connectionRotateCmd struct {
	at
	Org        string  `required:"" help:"Id or address of the organization."`
	Connection string  `required:"" help:"Id of the connection."`
	Replaces   *string `help:"Id of the token that ends as this one is made; needed where two are good. Default: none ends." placeholder:"ID"`
	Expires    string  `help:"Lifetime of the credential, such as 8760h. Default: until it is revoked."`
}

func (c *connectionRotateCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	replaced, err := named(c.Replaces)
	if err != nil {
		return err
	}
	return do(ctx, all, c.at, out, "connection rotate",
		app.ConnectionArgs{Org: c.Org, Connection: c.Connection, Replaces: replaced, Expires: c.Expires}, credentialText)
}

// named is what --replaces names. Given and empty, as by a script whose variable
// is not set, it is refused: who gave it believes that something ends.
func named(replaces *string) (string, error) {
	switch {
	case replaces == nil:
		return "", nil
	case *replaces == "":
		return "", fault.New(fault.Invalid, "", "--replaces names nothing. Leave it away where nothing is to end.")
	}
	return *replaces, nil
}

type connectionRevokeCmd struct {
	at
	Org        string `required:"" help:"Id or address of the organization."`
	Connection string `required:"" help:"Id of the connection."`
	Credential string `help:"Id of the credential to end. Either this or --all." xor:"which" required:""`
	All        bool   `help:"End every credential of the connection; nobody gets in with them any more." xor:"which" required:""`
}

func (c *connectionRevokeCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "connection revoke",
		app.ConnectionArgs{Org: c.Org, Connection: c.Connection, Credential: c.Credential, All: c.All}, func(app.Done) string { return "Revoked.\n" })
}

type connectionWelcomeCmd struct {
	at
	Org        string `required:"" help:"Id or address of the organization."`
	Connection string `required:"" help:"Id of the connection."`
	Welcome    string `arg:"" enum:"on,off" help:"on or off."`
}

func (c *connectionWelcomeCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "connection welcome",
		app.ConnectionArgs{Org: c.Org, Connection: c.Connection, Welcome: c.Welcome}, func(app.Done) string {
			return "Welcome emails of future users are " + c.Welcome + ".\n"
		})
}

type connectionDiscoveryCmd struct {
	at
	Org        string `required:"" help:"Id or address of the organization."`
	Connection string `required:"" help:"Id of the connection."`
	Discovery  string `arg:"" enum:"standard,plain,full" help:"standard: what the RFCs know. plain: without RFC 9865, for clients that refuse what they do not know. full: with Okta's types and the products."`
}

func (c *connectionDiscoveryCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "connection discovery",
		app.ConnectionArgs{Org: c.Org, Connection: c.Connection, Discovery: c.Discovery}, func(app.Done) string {
			return "Discovery is " + c.Discovery + ".\n"
		})
}

type deadCmd struct {
	List   deadListCmd   `cmd:"" help:"List what was given up."`
	Replay deadReplayCmd `cmd:"" help:"Try all of it again."`
}

type deadListCmd struct {
	at
	Limit int `help:"How many at most; whether there are more is told on stderr." default:"1000"`
}

func (c *deadListCmd) Validate() error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit is a number above 0")
	}
	return nil
}

func (c *deadListCmd) Run(ctx context.Context, all *cli, out io.Writer, errs notes) error {
	// One more than is shown: where it comes, there are more.
	raw, err := ask(ctx, all, c.at, "dead list", app.DeadList{Limit: c.Limit + 1})
	if err != nil {
		return err
	}
	var letters []json.RawMessage
	if err := json.Unmarshal(raw, &letters); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	more := len(letters) > c.Limit
	if more {
		if raw, err = json.Marshal(letters[:c.Limit]); err != nil {
			return err
		}
	}
	if err := tell(c.at, out, raw, deadText); err != nil {
		return err
	}
	if more {
		errs.note(c.JSON, fmt.Sprintf("There are more than these %d. See more with --limit; gatehouse dead replay tries all of them.", c.Limit))
	}
	return nil
}

func deadText(all []app.Dead) string {
	if len(all) == 0 {
		return "Nothing was given up.\n"
	}
	return columns(func(w io.Writer) {
		for _, d := range all {
			fmt.Fprintf(w, "%s\t%s\ttried %d times\t%s\n", d.Consumer, when(d.At), d.Tries, d.What)
		}
	})
}

type deadReplayCmd struct{ at }

func (c *deadReplayCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "dead replay", struct{}{}, func(r app.Replayed) string {
		text := fmt.Sprintf("%d done, %d still fail.\n", r.Done, r.Failed)
		if r.Stopped {
			text += "Stopped before the end: there may be more.\n"
		}
		return text
	})
}
