package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gatehouse/internal/app"
)

type connectionShowCmd struct {
	at
	Org        string `required:"" help:"Id or address of the organization."`
	Connection string `required:"" help:"Id of the connection."`
}

func (c *connectionShowCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "connection show", app.ConnectionArgs{Org: c.Org, Connection: c.Connection}, connectionText)
}

type connectionUpdateCmd struct {
	at
	Org        string `required:"" help:"Id or address of the organization."`
	Connection string `required:"" help:"Id of the connection."`
	Name       string `help:"Name, as admins know it."`
	Dialect    string `help:"How its client speaks: compat, strict or interop."`
	Rate       *int   `help:"Requests a second that it may make, 25 or more; 0: what is usual here."`
}

func (c *connectionUpdateCmd) Validate() error {
	if c.Name == "" && c.Dialect == "" && c.Rate == nil {
		return fmt.Errorf("say what to change: --name, --dialect or --rate")
	}
	return nil
}

func (c *connectionUpdateCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "connection update",
		app.ConnectionUpdate{Org: c.Org, Connection: c.Connection, Name: c.Name, Dialect: c.Dialect, Rate: c.Rate}, connectionText)
}

func connectionText(a app.ConnectionShown) string {
	var b strings.Builder
	rate, mails := "what is usual here", "on"
	if a.Rate > 0 {
		rate = fmt.Sprintf("%d requests a second", a.Rate)
	}
	if a.NoWelcome {
		mails = "off"
	}
	fmt.Fprintf(&b, "Connection     %s (%s)\nBase URL       %s\nDialect        %s\nDiscovery      %s\nRate           %s\nWelcome emails %s\nUsers, groups  %d, %d\nLast used      %s\n",
		a.Name, a.Connection, a.SCIM, a.Dialect, a.Discovery, rate, mails, a.Users, a.Groups, when(a.LastUsed))
	b.WriteString(columns(func(w io.Writer) { credentialLines(w, "", a.Credentials) }))
	if len(a.Coercions) == 0 {
		b.WriteString("Its messages fitted as they came.\n")
		return b.String()
	}
	b.WriteString("In what its messages were bent to fit (docs/scim-divergences.md says what each means):\n")
	b.WriteString(columns(func(w io.Writer) {
		for _, c := range a.Coercions {
			fmt.Fprintf(w, "%s\t%d times\tfirst %s\tlast %s\n", c.Rule, c.Count, when(c.First), when(c.Last))
		}
	}))
	return b.String()
}

func credentialLines(w io.Writer, before string, all []app.CredentialView) {
	for _, k := range all {
		what := k.Kind
		if k.Trust != nil {
			what = "trust in " + k.Trust.Issuer
		}
		of := ""
		if k.Client != "" {
			of = " of client " + k.Client
		}
		fmt.Fprintf(w, "%s%s %s%s\t%s\tcreated %s\tlast used %s\texpires %s\n", before, what, k.ID, of, standing(k), when(k.Created), when(k.LastUsed), when(k.Expires))
	}
}

// standing says of a credential whether it is good, or since when it is not.
func standing(k app.CredentialView) string {
	switch k.State {
	case app.Revoked:
		return "revoked " + when(k.Revoked)
	case app.Expired:
		return "expired " + when(k.Expires)
	}
	return "good"
}
