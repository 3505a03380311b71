// Command portal answers people, and directories that ask for access tokens:
// the pages and the token endpoint behind the HTTP API.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/aws"
	"gatehouse/internal/aws/lambdahttp"
	"gatehouse/internal/egress"
	"gatehouse/internal/web/oauth"
	"gatehouse/internal/web/portal"
)

func main() {
	go portal.Prepare()
	aws.Run(handler)
}

func handler(h *aws.Home) (lambda.Handler, error) {
	a := h.App()
	// lambdahttp gives requests the address that API Gateway saw.
	pages, err := portal.New(portal.Config{
		URL: a.URL, Table: a.Table, Orgs: a.Orgs, Account: a.Accounts, Courier: a.Courier, Askable: egress.Check, Now: a.Now, Logger: a.Log,
	})
	if err != nil {
		return nil, err
	}
	granting := oauth.New(oauth.Config{
		URL: a.URL, Orgs: a.Orgs, Table: a.Table, Key: a.Key, Fetch: egress.New(), Now: a.Now, Log: a.Log, Client: portal.ClientIn(""),
	})
	return lambdahttp.New(granting.Before(pages), a.Log), nil
}
