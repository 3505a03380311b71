// Package discarded turns the batches that a stream's event source mapping gave
// up on into dead letters.
//
// Lambda tells the mapping's on-failure queue which records those were, not
// what they held, so they are read from the stream again, which keeps them for
// 24 hours. It is a package of its own since only the function behind that
// queue needs the client of the streams. It does not try the changes again.
package discarded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Discarded is the handler of the queue's function.
type Discarded struct {
	Streams *dynamodbstreams.Client
	Table   table.Table  // where the dead letters are written
	Log     *slog.Logger // nil: slog.Default()
}

// Open opens the stream. endpoint tells where it is if not in the region's own
// place.
func Open(t table.Table, cfg aws.Config, endpoint string, log *slog.Logger) *Discarded {
	return &Discarded{Table: t, Log: log, Streams: dynamodbstreams.NewFromConfig(cfg, func(o *dynamodbstreams.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})}
}

// batch is the part of Lambda's message that says which records were given up.
type batch struct {
	RequestContext struct {
		FunctionARN   string `json:"functionArn"`
		Condition     string `json:"condition"`
		ApproxInvokes int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	Info struct {
		Shard  string `json:"shardId"`
		Start  string `json:"startSequenceNumber"`
		End    string `json:"endSequenceNumber"`
		Stream string `json:"streamArn"`
	} `json:"DDBStreamBatchInfo"`
}

// Handle buries the changes of every batch in the messages. A message that
// fails is reported and comes again; burying is safe to repeat.
func (d *Discarded) Handle(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	var answer events.SQSEventResponse
	for _, m := range e.Records {
		if err := d.message(ctx, m.Body); err != nil {
			d.log().Error("burying a discarded batch failed", "message", m.MessageId, "error", err)
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return answer, nil
}

func (d *Discarded) message(ctx context.Context, body string) error {
	var b batch
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return fmt.Errorf("read a message about a discarded batch: %w", err)
	}
	consumer, ok := consumerOf(b.RequestContext.FunctionARN)
	if !ok || b.Info.Stream == "" || b.Info.Shard == "" || !isNumber(b.Info.Start) || !isNumber(b.Info.End) {
		return errors.New("read a message about a discarded batch: it does not say whose it was, or which records")
	}
	reason := fmt.Errorf("given up by the event source mapping: %s", b.RequestContext.Condition)
	buried := 0
	for r, err := range d.records(ctx, b) {
		if err != nil {
			var gone *types.TrimmedDataAccessException
			var unknown *types.ResourceNotFoundException
			if !errors.As(err, &gone) && !errors.As(err, &unknown) {
				return err
			}
			return d.lost(ctx, b, consumer, err)
		}
		delivery, err := dynamo.Read(Record(r))
		entry := table.Entry{Commit: delivery.Commit(), Change: delivery.Change}
		switch {
		case err != nil:
			err = pump.BuryUnread(ctx, d.Table, consumer, entry, b.RequestContext.ApproxInvokes, err)
		case delivery.Removed || !delivery.Change.New.Exists() || !delivery.Wants(consumer):
			continue // the mapping's filter left it out
		default:
			err = pump.Bury(ctx, d.Table, consumer, entry, b.RequestContext.ApproxInvokes, reason)
		}
		if err != nil {
			return err
		}
		buried++
	}
	d.log().Error("a discarded batch became dead letters", "consumer", consumer, "changes", buried, "condition", b.RequestContext.Condition)
	return nil
}

// lost leaves a letter for records that the stream holds no longer, so that
// nobody takes their absence for success.
func (d *Discarded) lost(ctx context.Context, b batch, consumer string, because error) error {
	entry := table.Entry{Change: table.Change{ID: b.Info.Start}}
	reason := fmt.Errorf("the stream no longer holds the records %s to %s of %s: %w", b.Info.Start, b.Info.End, b.Info.Shard, because)
	if err := pump.BuryUnread(ctx, d.Table, consumer, entry, b.RequestContext.ApproxInvokes, reason); err != nil {
		return err
	}
	d.log().Error("the records of a discarded batch are gone", "consumer", consumer, "shard", b.Info.Shard, "start", b.Info.Start, "end", b.Info.End)
	return nil
}

// emptyPages bounds how many pages in a row may be empty before the shard is
// taken to have ended.
const emptyPages = 100

// records yields the records of the batch, oldest first.
func (d *Discarded) records(ctx context.Context, b batch) func(func(types.Record, error) bool) {
	return func(yield func(types.Record, error) bool) {
		at, err := d.Streams.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: &b.Info.Stream, ShardId: &b.Info.Shard, SequenceNumber: &b.Info.Start,
			ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber,
		})
		if err != nil {
			yield(types.Record{}, fmt.Errorf("find a discarded batch in the stream: %w", err))
			return
		}
		empty := 0
		for next := at.ShardIterator; next != nil && empty < emptyPages; empty++ {
			page, err := d.Streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next})
			if err != nil {
				yield(types.Record{}, fmt.Errorf("read a discarded batch from the stream: %w", err))
				return
			}
			for _, r := range page.Records {
				empty = 0
				if r.Dynamodb == nil || !isNumber(aws.ToString(r.Dynamodb.SequenceNumber)) {
					yield(types.Record{}, errors.New("read a discarded batch from the stream: a record without a sequence number"))
					return
				}
				if later(*r.Dynamodb.SequenceNumber, b.Info.End) || !yield(r, nil) {
					return
				}
				if *r.Dynamodb.SequenceNumber == b.Info.End {
					return
				}
			}
			next = page.NextShardIterator
		}
		yield(types.Record{}, fmt.Errorf("read a discarded batch from the stream: shard %s ends before record %s", b.Info.Shard, b.Info.End))
	}
}

// consumerOf returns the consumer's name: what follows the last hyphen of the
// function's name.
func consumerOf(functionARN string) (string, bool) {
	// arn:aws:lambda:REGION:ACCOUNT:function:NAME[:VERSION]
	fields := strings.Split(functionARN, ":")
	if len(fields) < 7 {
		return "", false
	}
	_, name, ok := cutLast(fields[6], "-")
	return name, ok && name != ""
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func isNumber(s string) bool { return s != "" && len(s) <= 40 && strings.Trim(s, "0123456789") == "" }

// later compares two sequence numbers.
func later(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) > len(b) || len(a) == len(b) && a > b
}

func (d *Discarded) log() *slog.Logger {
	if d.Log == nil {
		return slog.Default()
	}
	return d.Log
}

// Record returns a record of the streams' client in the form in which Lambda
// hands it to a function.
func Record(r types.Record) events.DynamoDBEventRecord {
	out := events.DynamoDBEventRecord{
		AWSRegion:    aws.ToString(r.AwsRegion),
		EventID:      aws.ToString(r.EventID),
		EventName:    string(r.EventName),
		EventSource:  aws.ToString(r.EventSource),
		EventVersion: aws.ToString(r.EventVersion),
	}
	if u := r.UserIdentity; u != nil {
		out.UserIdentity = &events.DynamoDBUserIdentity{Type: aws.ToString(u.Type), PrincipalID: aws.ToString(u.PrincipalId)}
	}
	if s := r.Dynamodb; s != nil {
		out.Change = events.DynamoDBStreamRecord{
			Keys:           image(s.Keys),
			NewImage:       image(s.NewImage),
			SequenceNumber: aws.ToString(s.SequenceNumber),
			SizeBytes:      aws.ToInt64(s.SizeBytes),
			StreamViewType: string(s.StreamViewType),
		}
		if s.ApproximateCreationDateTime != nil {
			out.Change.ApproximateCreationDateTime = events.SecondsEpochTime{Time: *s.ApproximateCreationDateTime}
		}
	}
	return out
}

// image keeps the types that items have; any other becomes null, which no
// attribute of ours is.
func image(a map[string]types.AttributeValue) map[string]events.DynamoDBAttributeValue {
	if a == nil {
		return nil
	}
	out := make(map[string]events.DynamoDBAttributeValue, len(a))
	for name, value := range a {
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			out[name] = events.NewStringAttribute(value.Value)
		case *types.AttributeValueMemberN:
			out[name] = events.NewNumberAttribute(value.Value)
		case *types.AttributeValueMemberB:
			out[name] = events.NewBinaryAttribute(value.Value)
		default:
			out[name] = events.NewNullAttribute()
		}
	}
	return out
}
