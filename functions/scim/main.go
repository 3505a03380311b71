// Command scim answers identity providers: SCIM behind the HTTP API.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/aws"
	"gatehouse/internal/aws/lambdahttp"
	"gatehouse/internal/web/scimhttp"
)

func main() { aws.Run(handler) }

func handler(h *aws.Home) (lambda.Handler, error) {
	a := h.Core()
	adapter := lambdahttp.New(scimhttp.New(scimhttp.Config{
		URL: a.URL, Orgs: a.Orgs, Provision: a.Provision, Log: a.Log, Now: a.Now, Frozen: true,
	}), a.Log)
	adapter.Refuse = scimhttp.Refusal
	return adapter, nil
}
