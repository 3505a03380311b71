package dynamodb_test

import (
	"context"
	"errors"
	"testing"

	fake "gatehouse/internal/fakes/dynamodb"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// TestProxy holds that a bare client sees each fault as DynamoDB's, and that
// what the fault says of the write is true.
func TestProxy(t *testing.T) {
	server, ctx := fake.Shared(t), context.Background()
	name := aws.String("proxied")
	_, err := server.Client().CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("p"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("p"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fault  fake.Fault
		code   string // of the error; "": another kind of error
		failed bool
		wrote  bool
	}{
		{fake.None, "", false, true},
		{fake.Conflict, "TransactionCanceledException", true, false},
		{fake.CancelThrottled, "TransactionCanceledException", true, false},
		{fake.Throughput, "ProvisionedThroughputExceededException", true, false},
		{fake.RequestLimit, "RequestLimitExceeded", true, false},
		{fake.Throttling, "ThrottlingException", true, false},
		{fake.ServerError, "InternalServerError", true, false},
		{fake.ServerErrorDone, "InternalServerError", true, true},
		{fake.InProgress, "TransactionInProgressException", true, true},
		{fake.LostRequest, "", true, false},
		{fake.LostAnswer, "", true, true},
		{fake.Torn, "", true, true},
		{fake.Late, "", false, true},
		{fake.Unprocessed, "", false, true}, // it befalls no transaction
	} {
		proxy, err := fake.NewProxy(server.Endpoint, func(fake.Call) fake.Fault { return c.fault })
		if err != nil {
			t.Fatal(err)
		}
		client := dynamodb.NewFromConfig(fake.Config(proxy.Endpoint), func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
		item := map[string]types.AttributeValue{"p": &types.AttributeValueMemberS{Value: "item " + string(c.fault)}}
		_, err = client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: name, Item: item}},
			{Put: &types.Put{TableName: name, Item: map[string]types.AttributeValue{"p": &types.AttributeValueMemberS{Value: "beside"}}}},
		}})
		var api smithy.APIError
		code := ""
		if errors.As(err, &api) {
			code = api.ErrorCode()
		}
		if (err != nil) != c.failed || code != c.code {
			t.Errorf("a transaction under %q = %v, want failure %t with code %q", c.fault, err, c.failed, c.code)
		}
		var cancelled *types.TransactionCanceledException
		if errors.As(err, &cancelled) && len(cancelled.CancellationReasons) != 2 {
			t.Errorf("a transaction of two under %q is cancelled with %d reasons, want 2", c.fault, len(cancelled.CancellationReasons))
		}
		out, err := server.Client().GetItem(ctx, &dynamodb.GetItemInput{TableName: name, Key: item, ConsistentRead: aws.Bool(true)})
		if err != nil || (len(out.Item) > 0) != c.wrote {
			t.Errorf("after a transaction under %q the item is there: %t (%v), want %t", c.fault, len(out.Item) > 0, err, c.wrote)
		}
		if err := proxy.Close(); err != nil {
			t.Errorf("Close = %v, want success", err)
		}
	}
}

func TestSeeded(t *testing.T) {
	a, b := fake.Seeded(7, 3, fake.Faults...), fake.Seeded(7, 3, fake.Faults...)
	hit := 0
	for i := range 300 {
		x, y := a(fake.Call{}), b(fake.Call{})
		if x != y {
			t.Fatalf("call %d under one seed meets %q and %q", i, x, y)
		}
		if x != fake.None {
			hit++
		}
	}
	if hit < 60 || hit > 140 {
		t.Errorf("%d of 300 calls meet a fault at one in 3, want about 100", hit)
	}
}
