// A function that is all functions of a small stack: it does as its name says,
// and writes a line of what it did.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"gatehouse/internal/aws/secrets"
)

func main() {
	name := os.Getenv("AWS_LAMBDA_FUNCTION_NAME")
	switch name[strings.LastIndexByte(name, '-')+1:] {
	case "web":
		lambda.Start(web)
	case "feed":
		lambda.Start(feed)
	case "discarded":
		lambda.Start(discarded)
	case "mailevents":
		lambda.Start(mailEvents)
	case "sweep":
		lambda.Start(sweep)
	}
}

func web(_ context.Context, r events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	fmt.Println("asked for", r.RawPath)
	return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: os.Getenv("GATEHOUSE_URL") + " " + r.RawPath + " " + os.Getenv("WORD")}, nil
}

// feed never does a change whose value is "poison".
func feed(_ context.Context, e events.DynamoDBEvent) (r events.DynamoDBEventResponse, err error) {
	for _, c := range e.Records {
		key, value := c.Change.Keys["p"].String(), c.Change.NewImage["f"].String()
		time.Sleep(2 * time.Millisecond)
		if value == "poison" {
			r.BatchItemFailures = append(r.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: c.Change.SequenceNumber})
			continue
		}
		fmt.Println("fed", key, value)
	}
	return r, nil
}

func discarded(_ context.Context, e events.SQSEvent) (r events.SQSEventResponse, err error) {
	for _, m := range e.Records {
		var b struct {
			RequestContext struct{ Condition string }
			Batch          struct{ BatchSize int } `json:"DDBStreamBatchInfo"`
		}
		if err := json.Unmarshal([]byte(m.Body), &b); err != nil {
			r.BatchItemFailures = append(r.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			continue
		}
		fmt.Println("discarded", b.Batch.BatchSize, b.RequestContext.Condition)
	}
	return r, nil
}

func mailEvents(_ context.Context, e events.EventBridgeEvent) error {
	time.Sleep(2 * time.Millisecond)
	fmt.Println("told", e.ID)
	return nil
}

func sweep(ctx context.Context, e events.EventBridgeEvent) error {
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}, nil
	})
	reader := secrets.Reader{Config: aws.Config{Region: os.Getenv("AWS_REGION"), Credentials: credentials}, Endpoint: os.Getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER")}
	text, err := reader.Read(ctx, os.Getenv("GATEHOUSE_SECRET"))
	fmt.Println("swept", e.DetailType, len(text), err)
	return err
}
