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
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Discarded is the handler of the queue's function.
//
// A batch is told by its first and last record. Between those stand, beside
// what the mapping's filter left out, the records of the shard's other lanes:
// they were done, or will be, or are told by a message of their own. A letter
// for one of them is superfluous, so Done keeps them out where it can tell; it
// is harmless, since consumers take repeats.
type Discarded struct {
	Streams *dynamodbstreams.Client
	Table   table.Table // where the dead letters are written
	// Done reports whether there is nothing left to do for the consumer about
	// the change, whose item is stored as now; the zero Item: it is gone. Nil:
	// nothing tells.
	Done func(consumer string, c table.Change, now table.Item) bool
	Log  *slog.Logger // nil: slog.Default()
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
	buried, done := 0, 0
	for page, err := range d.pages(ctx, b) {
		if err != nil {
			var gone *types.TrimmedDataAccessException
			var unknown *types.ResourceNotFoundException
			if !errors.As(err, &gone) && !errors.As(err, &unknown) {
				return err
			}
			return d.lost(ctx, b, consumer, err)
		}
		letters, err := d.open(ctx, consumer, page)
		if err != nil {
			return err
		}
		if err := d.bury(ctx, b, consumer, letters); err != nil {
			return err
		}
		buried, done = buried+len(letters), done+len(page)-len(letters)
	}
	d.log().Error("a discarded batch became dead letters", "consumer", consumer, "changes", buried, "others", done, "condition", b.RequestContext.Condition)
	return nil
}

// letter is a change that is to be buried.
type letter struct {
	entry  table.Entry
	unread error // why it cannot be read
}

// open returns what of the records the consumer has still to do.
func (d *Discarded) open(ctx context.Context, consumer string, page []types.Record) ([]letter, error) {
	var all []letter
	for _, r := range page {
		delivery, err := dynamo.Read(Record(r))
		// What the mapping's filter left out is no letter.
		if err == nil && (delivery.Removed || !delivery.Change.New.Exists() || !delivery.Wants(consumer)) {
			continue
		}
		all = append(all, letter{table.Entry{Commit: delivery.Commit(), Change: delivery.Change}, err})
	}
	if d.Done == nil {
		return all, nil
	}
	now := map[table.Key]table.Item{}
	for chunk := range slices.Chunk(all, table.MaxGet) {
		var keys []table.Key
		for _, l := range chunk {
			if l.unread == nil && !slices.Contains(keys, l.entry.Change.Key) {
				keys = append(keys, l.entry.Change.Key)
			}
		}
		items, err := d.Table.Get(ctx, keys...)
		if err != nil {
			return nil, fmt.Errorf("read what became of a discarded batch: %w", err)
		}
		for _, it := range items {
			now[it.Key] = it
		}
	}
	return slices.DeleteFunc(all, func(l letter) bool {
		return l.unread == nil && d.Done(consumer, l.entry.Change, now[l.entry.Change.Key])
	}), nil
}

// parallel is how many letters are written at once: a thousand take seconds.
const parallel = 32

func (d *Discarded) bury(ctx context.Context, b batch, consumer string, letters []letter) error {
	reason := fmt.Errorf("given up by the event source mapping: %s", b.RequestContext.Condition)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, l := range letters {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			err := l.unread
			if err != nil {
				err = pump.BuryUnread(ctx, d.Table, consumer, l.entry, b.RequestContext.ApproxInvokes, err)
			} else {
				err = pump.Bury(ctx, d.Table, consumer, l.entry, b.RequestContext.ApproxInvokes, reason)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
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

// pages yields the records of the batch, oldest first, as the stream pages them.
func (d *Discarded) pages(ctx context.Context, b batch) iter.Seq2[[]types.Record, error] {
	return func(yield func([]types.Record, error) bool) {
		at, err := d.Streams.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: &b.Info.Stream, ShardId: &b.Info.Shard, SequenceNumber: &b.Info.Start,
			ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber,
		})
		if err != nil {
			yield(nil, fmt.Errorf("find a discarded batch in the stream: %w", err))
			return
		}
		empty := 0
		for next := at.ShardIterator; next != nil && empty < emptyPages; empty++ {
			out, err := d.Streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next})
			if err != nil {
				yield(nil, fmt.Errorf("read a discarded batch from the stream: %w", err))
				return
			}
			page, last, err := cut(out.Records, b.Info.End)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) > 0 {
				empty = 0
				if !yield(page, nil) {
					return
				}
			}
			if last {
				return
			}
			next = out.NextShardIterator
		}
		yield(nil, fmt.Errorf("read a discarded batch from the stream: shard %s ends before record %s", b.Info.Shard, b.Info.End))
	}
}

// cut returns the records up to the end, and whether that is reached.
func cut(records []types.Record, end string) (page []types.Record, last bool, err error) {
	for i, r := range records {
		if r.Dynamodb == nil || !isNumber(aws.ToString(r.Dynamodb.SequenceNumber)) {
			return nil, false, errors.New("read a discarded batch from the stream: a record without a sequence number")
		}
		switch at := *r.Dynamodb.SequenceNumber; {
		case at == end:
			return records[:i+1], true, nil
		case later(at, end):
			return records[:i], true, nil
		}
	}
	return records, false, nil
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
