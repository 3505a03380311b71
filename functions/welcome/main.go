// Command welcome sends what is queued in the outbox: the second consumer of the
// table's stream.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/app"
	"gatehouse/internal/aws"
	"gatehouse/internal/aws/ses"
)

func main() { aws.Run(handler) }

func handler(h *aws.Home) (lambda.Handler, error) {
	a, err := h.Mailer(ses.Open)
	if err != nil {
		return nil, err
	}
	return h.Stream(app.WelcomeName, a.Courier), nil
}
