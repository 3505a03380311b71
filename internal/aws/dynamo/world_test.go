package dynamo_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/aws/dynamo/discarded"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// made creates a table of its own on the server and returns its name.
func made(t testing.TB, s *fake.Server) string {
	t.Helper()
	name := "table-" + identity.Random(10)
	if _, err := s.Client().CreateTable(context.Background(), dynamo.Schema(name)); err != nil {
		t.Fatalf("CreateTable of the schema = %v, want success", err)
	}
	t.Cleanup(func() { // the server has little memory
		if _, err := s.Client().DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Errorf("DeleteTable = %v, want success", err)
		}
	})
	return name
}

func key(part, sort string) table.Key { return table.Key{Part: part, Sort: sort} }

// reader reads a table's stream to the end, all its shards, and keeps what it
// read: several may share it.
type reader struct {
	client *dynamodbstreams.Client
	writer *dynamodb.Client
	table  string
	arn    string

	mu    sync.Mutex
	next  map[string]*string // iterators by shard; nil: read to the end
	order []string
	all   []streams.Record
	shard map[string]string // by sequence number
}

func newReader(t testing.TB, s *fake.Server, name string) *reader {
	t.Helper()
	out, err := s.Client().DescribeTable(context.Background(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil || out.Table.LatestStreamArn == nil {
		t.Fatalf("DescribeTable = %v, want a table with a stream", err)
	}
	return &reader{client: s.Streams(), writer: s.Client(), table: name, arn: *out.Table.LatestStreamArn,
		next: map[string]*string{}, shard: map[string]string{}}
}

// read returns all records up to now, and where they end: it writes an item and
// reads until that comes.
func (r *reader) read() ([]streams.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, mark := context.Background(), identity.Random(20)
	if _, err := r.writer.PutItem(ctx, &dynamodb.PutItemInput{TableName: &r.table, Item: map[string]types.AttributeValue{
		"p": &types.AttributeValueMemberS{Value: "mark"}, "s": &types.AttributeValueMemberS{Value: mark},
	}}); err != nil {
		return nil, err
	}
	for begin := time.Now(); time.Since(begin) < 20*time.Second; {
		if err := r.shards(ctx); err != nil {
			return nil, err
		}
		for _, id := range r.order {
			for r.next[id] != nil {
				page, err := r.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: r.next[id]})
				if err != nil {
					return nil, err
				}
				r.next[id] = page.NextShardIterator
				marked := false
				for _, rec := range page.Records { // to the end: there is no second reading
					marked = marked || rec.Dynamodb.Keys["s"].(*streams.AttributeValueMemberS).Value == mark
					r.shard[*rec.Dynamodb.SequenceNumber] = id
					if rec.Dynamodb.Keys["p"].(*streams.AttributeValueMemberS).Value != "mark" {
						r.all = append(r.all, rec)
					}
				}
				if marked {
					return slices.Clone(r.all), nil
				}
				if len(page.Records) == 0 {
					break
				}
			}
		}
	}
	return nil, fmt.Errorf("the stream did not bring the mark within 20 s")
}

// shards adds those that are new, parents first as the stream lists them.
func (r *reader) shards(ctx context.Context) error {
	out, err := r.client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &r.arn})
	if err != nil {
		return err
	}
	for _, s := range out.StreamDescription.Shards {
		if _, known := r.next[*s.ShardId]; known {
			continue
		}
		it, err := r.client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: &r.arn, ShardId: s.ShardId, ShardIteratorType: streams.ShardIteratorTypeTrimHorizon})
		if err != nil {
			return err
		}
		r.next[*s.ShardId] = it.ShardIterator
		r.order = append(r.order, *s.ShardId)
	}
	return nil
}

// changes returns the changes since the place that it is given, as the
// subscriptions' functions get them: images by the attribute that the mapping
// filters by, deletions by their keys.
func (r *reader) changes(since *int, subs []table.Subscription) ([]table.Change, error) {
	all, err := r.read()
	if err != nil {
		return nil, err
	}
	var out []table.Change
	for _, rec := range all[*since:] {
		d, err := dynamo.Read(discarded.Record(rec))
		if err != nil {
			return nil, err
		}
		wanted := slices.ContainsFunc(subs, func(s table.Subscription) bool {
			if !d.Change.New.Exists() {
				return s.Wants(d.Change.Key)
			}
			return slices.Contains(d.For, s.Name)
		})
		if wanted && !d.Removed {
			out = append(out, d.Change)
		}
	}
	*since = len(all)
	return out, nil
}

// client returns one whose calls go to the address.
func client(endpoint string) *dynamodb.Client {
	return dynamo.Client(fake.Config(endpoint), endpoint)
}

func prefixed(name string) table.Subscription {
	return table.Subscription{Name: name, Wants: func(k table.Key) bool { return strings.HasPrefix(k.Part, name+"#") }}
}

var ctx = context.Background()

var quiet = slog.New(slog.DiscardHandler)
