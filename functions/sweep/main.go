// Command sweep looks every minute at what is due.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/aws"
	"gatehouse/internal/aws/ses"
)

func main() { aws.Run(handler) }

func handler(h *aws.Home) (lambda.Handler, error) {
	a, err := h.Mailer(ses.Open)
	if err != nil {
		return nil, err
	}
	return h.Sweep(a), nil
}
