package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"gatehouse/internal/app"
)

type clientCmd struct {
	Create clientCreateCmd `cmd:"" help:"Make an OAuth client of a connection, and its first secret."`
	List   clientListCmd   `cmd:"" help:"List an organization's OAuth clients, with secrets, trusts and their last use."`
	Rotate clientRotateCmd `cmd:"" help:"Issue another secret. Three are good at once; none ends unless --replaces names it."`
	Trust  clientTrustCmd  `cmd:"" help:"Take another issuer's signed word for a client: workload identity federation."`
	Revoke clientRevokeCmd `cmd:"" help:"End a secret or a trust, or the whole client, and with it the tokens that it got."`
}

type clientCreateCmd struct {
	at
	Org        string `required:"" help:"Id or address of the organization."`
	Connection string `required:"" help:"Id of the connection."`
	Name       string `required:"" help:"Name, as admins know it."`
	NoSecret   bool   `help:"Without a secret: for a client that another issuer vouches for. See client trust."`
	Expires    string `help:"Lifetime of the secret, such as 8760h, three years at most. Default: two years."`
}

func (c *clientCreateCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "client create",
		app.ClientCreate{Org: c.Org, Connection: c.Connection, Name: c.Name, NoSecret: c.NoSecret, Expires: c.Expires}, func(a app.ClientAnswer) string {
			text := clientText(a)
			if c.NoSecret {
				text += fmt.Sprintf("Next         gatehouse client trust --org %s --client %s --issuer URL --subject ID --audience NAME\n", c.Org, a.Client)
			}
			return text
		})
}

// clientText is what goes into an identity provider's form.
func clientText(a app.ClientAnswer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Client ID    %s\nToken URL    %s\nBase URL     %s\n", a.Client, a.TokenURL, a.SCIM)
	if a.Credential != "" {
		fmt.Fprintf(&b, "Credential   %s\n", a.Credential)
	}
	if a.Secret != "" {
		fmt.Fprintf(&b, "Secret       %s\nExpires      %s\nThe secret is shown this once.\n", a.Secret, when(a.Expires))
	}
	return b.String()
}

type clientListCmd struct {
	at
	Org string `required:"" help:"Id or address of the organization."`
}

func (c *clientListCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "client list", app.ClientArgs{Org: c.Org}, func(all []app.ClientView) string {
		if len(all) == 0 {
			return "No OAuth clients yet. Make one with: gatehouse client create --org " + c.Org + " --connection ID --name NAME\n"
		}
		return columns(func(w io.Writer) {
			for _, a := range all {
				fmt.Fprintf(w, "%s\t%s\tconnection %s\t%s\n", a.Client, a.Name, a.Connection, clientStanding(a))
				credentialLines(w, "\t", a.Credentials)
			}
		})
	})
}

// clientStanding says of a client whether it can get a token.
func clientStanding(a app.ClientView) string {
	switch {
	case !a.Revoked.IsZero():
		return "revoked " + when(a.Revoked)
	case !slices.ContainsFunc(a.Credentials, func(k app.CredentialView) bool { return k.State == app.Good }):
		return "no valid secret or trust"
	}
	return "good"
}

type clientRotateCmd struct {
	at
	Org      string  `required:"" help:"Id or address of the organization."`
	Client   string  `required:"" help:"Id of the client."`
	Replaces *string `help:"Id of the secret that ends as this one is made; needed where three are good. Default: none ends." placeholder:"ID"`
	Expires  string  `help:"Lifetime of the secret, such as 8760h, three years at most. Default: two years."`
}

func (c *clientRotateCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	replaced, err := named(c.Replaces)
	if err != nil {
		return err
	}
	return do(ctx, all, c.at, out, "client rotate", app.ClientArgs{Org: c.Org, Client: c.Client, Replaces: replaced, Expires: c.Expires}, clientText)
}

type clientTrustCmd struct {
	at
	Org      string   `required:"" help:"Id or address of the organization."`
	Client   string   `required:"" help:"Id of the client."`
	Issuer   string   `required:"" help:"Who signs (iss), such as https://login.microsoftonline.com/TENANT/v2.0; or the client's own id, if it signs for itself."`
	Subject  string   `required:"" help:"Whom the issuer has to name (sub): for Entra ID the object id that its page shows."`
	Audience []string `help:"Whom the issuer has to address (aud); may come several times. Default: the token URL, where the outside address is known." sep:"none"`
	Keys     string   `name:"jwks-url" help:"Where the issuer's keys are. Default: where its discovery document says."`
}

func (c *clientTrustCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "client trust",
		app.ClientTrust{Org: c.Org, Client: c.Client, Issuer: c.Issuer, Subject: c.Subject, Audiences: c.Audience, Keys: c.Keys}, clientText)
}

type clientRevokeCmd struct {
	at
	Org        string `required:"" help:"Id or address of the organization."`
	Client     string `required:"" help:"Id of the client."`
	Credential string `help:"Id of the secret or trust to end. Either this or --all." xor:"which" required:""`
	All        bool   `help:"End the client, with every secret and trust." xor:"which" required:""`
}

func (c *clientRevokeCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "client revoke", app.ClientArgs{Org: c.Org, Client: c.Client, Credential: c.Credential, All: c.All}, func(app.Done) string { return "Revoked.\n" })
}
