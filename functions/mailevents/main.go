// Command mailevents writes down what SES reports about mails.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/aws"
	"gatehouse/internal/aws/lambdatask"
	"gatehouse/internal/aws/ses"
)

func main() { aws.Run(handler) }

func handler(h *aws.Home) (lambda.Handler, error) {
	a := h.App()
	return lambda.NewHandler(lambdatask.Do(ses.Handler(a.Courier.Settle, a.Log))), nil
}
