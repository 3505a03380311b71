// Command discarded turns changes that Lambda gave up on into dead letters,
// which an operator can see and replay.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/app"
	"gatehouse/internal/aws"
	"gatehouse/internal/aws/dynamo/discarded"
	"gatehouse/internal/aws/lambdatask"
)

func main() { aws.RunTable(handler) }

func handler(h *aws.Home) (lambda.Handler, error) {
	table, config, log := h.Table()
	d := discarded.Open(table, config, h.Endpoint("DYNAMODB_STREAMS"), log)
	d.Done = app.Finished
	return lambda.NewHandler(lambdatask.Wrap(d.Handle)), nil
}
