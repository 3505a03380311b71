// Command feed carries out the effects of events and appends the organizations'
// logs: the first consumer of the table's stream.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/app"
	"gatehouse/internal/aws"
)

func main() { aws.Run(handler) }

func handler(h *aws.Home) (lambda.Handler, error) {
	return h.Stream(app.FeedName, h.App().Feed()), nil
}
