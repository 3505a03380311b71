// Package dynamo is the table over DynamoDB: one table without indexes, whose
// stream is the feed.
//
// A lone Create, Replace or Put is a PutItem, at half the price; every other
// commit is a transaction that DynamoDB recognises when it is sent again. The
// package repeats calls itself, since only it knows what a repeat may find: a
// condition that failed against the commit's own version is success, and one
// that failed after a lost answer tells nothing.
//
// It is not a mapper and has no schema but one item's (see Schema). It makes no
// table, and it knows no organizations.
package dynamo

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/table"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Options are what a table is opened with. The zero Options are those of a
// program without consumers.
type Options struct {
	Now           func() time.Time     // mints versions; nil: time.Now
	Subscriptions []table.Subscription // whose names are written into the items that they want
	Log           *slog.Logger         // nil: slog.Default()
}

// Table is a table.Table.
type Table struct {
	client *dynamodb.Client
	name   string
	now    func() time.Time
	subs   []table.Subscription
	log    *slog.Logger
}

// New returns the table of that name. It makes no call. The client's retries
// are switched off: the table has its own.
func New(client *dynamodb.Client, name string, o Options) *Table {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	own := dynamodb.New(client.Options(), func(c *dynamodb.Options) {
		c.RetryMaxAttempts, c.Retryer = 0, aws.NopRetryer{}
		c.HTTPClient = whole{c.HTTPClient}
		c.DisableValidateResponseChecksum = true // whole does it
	})
	return &Table{client: own, name: name, now: o.Now, subs: slices.Clone(o.Subscriptions), log: o.Log}
}

// Client returns a client for New. The endpoint is for tests and for private
// endpoints; empty, it follows from the region.
func Client(cfg aws.Config, endpoint string) *dynamodb.Client {
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
		o.EndpointDiscovery.EnableEndpointDiscovery = aws.EndpointDiscoveryDisabled
	})
}

// Names of an item's attributes, one letter each since they are paid for.
const (
	attrPart    = "p" // S, the partition key
	attrSort    = "s" // S, the sort key
	attrVersion = "v" // S
	attrData    = "d" // B; absent: empty
	attrN       = "n" // N; absent: 0
	attrExpires = "x" // N, Unix seconds; absent: never
	attrFor     = "f" // S, names of the subscriptions that want the key, with a space between; absent: none
)

// Expires is the attribute that DynamoDB's time to live goes by.
const Expires = attrExpires

// Schema returns the table as it has to be made: keys, stream and billing. The
// template says the same, and adds what guards a table in production (time to
// live on Expires, point-in-time recovery, deletion protection).
func Schema(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrPart), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrSort), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(attrPart), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(attrSort), KeyType: types.KeyTypeRange},
		},
		StreamSpecification: &types.StreamSpecification{
			StreamEnabled:  aws.Bool(true),
			StreamViewType: types.StreamViewTypeNewImage,
		},
	}
}

// wantedBy returns the value of the key's attrFor.
func (t *Table) wantedBy(k table.Key) string {
	names := ""
	for _, s := range t.subs {
		if s.Wants(k) {
			names += " " + s.Name
		}
	}
	return strings.TrimPrefix(names, " ")
}
