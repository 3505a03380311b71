package discarded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/aws/dynamo/discarded"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/identity"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

var ctx = context.Background()

func prefixed(name string) table.Subscription {
	return table.Subscription{Name: name, Wants: func(k table.Key) bool { return strings.HasPrefix(k.Part, name) }}
}

type world struct {
	*testing.T
	server *fake.Server
	table  *dynamo.Table
	arn    string
	log    bytes.Buffer
	d      *discarded.Discarded
}

func newWorld(t *testing.T) *world {
	server := fake.Shared(t)
	name := "table-" + identity.Random(10)
	out, err := server.Client().CreateTable(ctx, dynamo.Schema(name))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, server: server, arn: *out.TableDescription.LatestStreamArn}
	w.table = dynamo.New(server.Client(), name, dynamo.Options{Subscriptions: []table.Subscription{prefixed("feed"), prefixed("welcome")}})
	w.d = &discarded.Discarded{Streams: server.Streams(), Table: w.table, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	return w
}

func (w *world) commit(writes ...table.Write) {
	w.Helper()
	if _, err := w.table.Commit(ctx, writes...); err != nil {
		w.Fatalf("Commit = %v, want success", err)
	}
}

// shard is one of the stream's, with its records up to now.
type shard struct {
	id      string
	records []types.Record
}

func (w *world) shards() (all []shard) {
	w.Helper()
	client := w.server.Streams()
	stream, err := client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &w.arn})
	if err != nil {
		w.Fatal(err)
	}
	for _, s := range stream.StreamDescription.Shards {
		at, err := client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{StreamArn: &w.arn, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			w.Fatal(err)
		}
		sh := shard{id: *s.ShardId}
		for next := at.ShardIterator; next != nil; {
			page, err := client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next})
			if err != nil {
				w.Fatal(err)
			}
			if len(page.Records) == 0 {
				break
			}
			sh.records, next = append(sh.records, page.Records...), page.NextShardIterator
		}
		all = append(all, sh)
	}
	return all
}

// message is what Lambda sends to the queue of failures.
func (w *world) message(id, function, shard, start, end string) events.SQSMessage {
	body, err := json.Marshal(map[string]any{
		"requestContext": map[string]any{"requestId": "c9b8fa9f", "functionArn": "arn:aws:lambda:eu-test-1:000000000000:function:" + function,
			"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 101},
		"responseContext": map[string]any{"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
		"version":         "1.0", "timestamp": "2026-11-22T00:13:49.717Z",
		"DDBStreamBatchInfo": map[string]any{"shardId": shard, "startSequenceNumber": start, "endSequenceNumber": end,
			"approximateArrivalOfFirstRecord": "2026-11-22T00:13:19Z", "approximateArrivalOfLastRecord": "2026-11-22T00:13:19Z", "batchSize": 3, "streamArn": w.arn},
	})
	if err != nil {
		w.Fatal(err)
	}
	return events.SQSMessage{MessageId: id, Body: string(body)}
}

func (w *world) handle(messages ...events.SQSMessage) (failed []string) {
	w.Helper()
	answer, err := w.d.Handle(ctx, events.SQSEvent{Records: messages})
	if err != nil {
		w.Fatalf("Handle = %v, want success", err)
	}
	for _, f := range answer.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	return failed
}

func (w *world) dead(consumer string) (sorts []string, letters []pump.DeadLetter) {
	w.Helper()
	for d, err := range pump.DeadLetters(ctx, w.table, consumer) {
		if err != nil {
			w.Fatalf("DeadLetters(%q) = %v, want success", consumer, err)
		}
		letters, sorts = append(letters, d), append(sorts, fmt.Sprintf("%s:%d", d.Change.Key.Sort, d.Change.New.N))
	}
	return sorts, letters
}

func sequence(r types.Record) string { return *r.Dynamodb.SequenceNumber }

// TestHandle holds that the batch's changes for the consumer become dead
// letters, and no others, in whichever shard they were.
func TestHandle(t *testing.T) {
	w := newWorld(t)
	fill := func(from int) {
		for i := from; i < from+4; i++ {
			w.commit(table.Put(table.Key{Part: "feed", Sort: fmt.Sprint("f", i)}, []byte("canary")).Count(int64(i)),
				table.Put(table.Key{Part: "welcome", Sort: fmt.Sprint("w", i)}, nil), table.Put(table.Key{Part: "other", Sort: "o"}, nil))
		}
	}
	fill(0)
	if err := w.server.Rollover(); err != nil {
		t.Fatal(err)
	}
	fill(4)
	items, err := w.table.Get(ctx, table.Key{Part: "feed", Sort: "f4"})
	if err != nil || len(items) != 1 {
		t.Fatalf("Get = %v, %v, want one item", items, err)
	}
	w.commit(table.Delete(items[0])) // the mapping's filter lets no deletion through
	shards := w.shards()
	if len(shards) < 2 {
		t.Fatalf("%d shards after a roll-over, want several", len(shards))
	}
	first, last := shards[0], shards[len(shards)-1]
	n := len(first.records)
	// All of the closed shard but its first commit; all of the open one.
	messages := []events.SQSMessage{
		w.message("m1", "stack-feed", first.id, sequence(first.records[3]), sequence(first.records[n-1])),
		w.message("m2", "stack-name-feed:live", last.id, sequence(last.records[0]), sequence(last.records[len(last.records)-1])),
		w.message("m3", "stack-welcome", first.id, sequence(first.records[0]), sequence(first.records[2])),
		{MessageId: "m4", Body: "{"},
		{MessageId: "m5", Body: "{}"},
	}
	for range 2 { // twice is once
		if failed := w.handle(messages...); strings.Join(failed, " ") != "m4 m5" {
			t.Errorf("Handle fails %q, want the two messages that are none", failed)
		}
		if got, _ := w.dead("feed"); strings.Join(got, " ") != "f1:1 f2:2 f3:3 f4:4 f5:5 f6:6 f7:7" {
			t.Errorf("dead letters of feed = %q, want those of both batches", got)
		}
		if got, _ := w.dead("welcome"); strings.Join(got, " ") != "w0:0" {
			t.Errorf("dead letters of welcome = %q, want the first alone", got)
		}
	}
	_, letters := w.dead("feed")
	if d := letters[0]; !d.Whole || string(d.Change.New.Data) != "canary" || d.Tries != 101 || !strings.Contains(d.Reason, "RetryAttemptsExhausted") || d.Commit == "" {
		t.Errorf("dead letter = %+v, want the change whole", d)
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Errorf("the log tells content: %s", w.log.String())
	}
}

// TestManyLanes holds that what the other lanes of the shard did already gets no
// letter, whether that shows in the record or only in the item as it is stored,
// and that a thousand letters are written in time.
func TestManyLanes(t *testing.T) {
	w := newWorld(t)
	w.d.Done = func(consumer string, c table.Change, now table.Item) bool {
		return consumer == "feed" && (c.New.N != 0 || now.N != 0)
	}
	events := short.Size(1200, 120)
	at := func(i int) table.Key { return table.Key{Part: "feed", Sort: fmt.Sprintf("%04d", i)} }
	each := func(write func(i int) table.Write, step int) {
		t.Helper()
		var writes []table.Write
		for i := 0; i < events; i += step {
			if writes = append(writes, write(i)); len(writes) == table.MaxWrites {
				w.commit(writes...)
				writes = nil
			}
		}
		if writes != nil {
			w.commit(writes...)
		}
	}
	each(func(i int) table.Write { return table.Create(at(i), []byte("event")) }, 1)
	// Every sixth was done by another lane: its number is a record of its own.
	each(func(i int) table.Write { return table.Put(at(i), []byte("event")).Count(int64(i) + 1) }, 6)
	w.commit(table.Put(table.Key{Part: "welcome", Sort: "1"}, nil).Count(7))
	first := w.shards()[0]
	records := first.records
	m := w.message("m1", "stack-feed", first.id, sequence(records[0]), sequence(records[len(records)-1]))
	begin := time.Now()
	if failed := w.handle(m, w.message("m2", "stack-welcome", first.id, sequence(records[0]), sequence(records[len(records)-1]))); failed != nil {
		t.Fatalf("Handle fails %q, want none", failed)
	}
	took := time.Since(begin)
	letters, _ := w.dead("feed")
	t.Logf("%d records became %d letters in %v", len(records), len(letters), took.Round(time.Millisecond))
	if took > 30*time.Second {
		t.Errorf("%d records took %v, want seconds", len(records), took)
	}
	if len(letters) != events*5/6 {
		t.Errorf("%d letters of feed, want %d: of each event that has no number yet", len(letters), events*5/6)
	}
	for _, l := range letters {
		var i int
		if fmt.Sscanf(l, "%d", &i); i%6 == 0 || !strings.HasSuffix(l, ":0") {
			t.Fatalf("a letter of event %s, which has its number", l)
		}
	}
	if got, _ := w.dead("welcome"); len(got) != 1 {
		t.Errorf("letters of welcome = %q, want one: Done tells nothing about it", got)
	}
	if failed := w.handle(m); failed != nil {
		t.Errorf("Handle again fails %q, want none", failed)
	}
	if again, _ := w.dead("feed"); len(again) != len(letters) {
		t.Errorf("%d letters after the message came again, want %d", len(again), len(letters))
	}
}

// TestTrimmed holds that records which the stream holds no longer leave a
// letter that says so.
func TestTrimmed(t *testing.T) {
	w := newWorld(t)
	w.commit(table.Put(table.Key{Part: "feed", Sort: "1"}, nil))
	w.shards()
	if failed := w.handle(w.message("m1", "stack-feed", "shardId-00000000000000000001-00000000", "100000000000000000001", "100000000000000000002")); failed != nil {
		t.Fatalf("Handle of a batch in a shard that is gone fails %q, want a letter", failed)
	}
	_, letters := w.dead("feed")
	if len(letters) != 1 || letters[0].Whole || letters[0].Change.ID != "100000000000000000001" || !strings.Contains(letters[0].Reason, "no longer holds") {
		t.Errorf("dead letters = %+v, want one that tells of the loss", letters)
	}
}

// TestUnavailable holds that a stream that cannot be read, or a table that
// cannot be written, leaves the message in the queue.
func TestUnavailable(t *testing.T) {
	w := newWorld(t)
	w.commit(table.Put(table.Key{Part: "feed", Sort: "1"}, nil))
	first := w.shards()[0]
	m := w.message("m1", "stack-feed", first.id, sequence(first.records[0]), sequence(first.records[0]))
	missing := *w.d
	missing.Table = dynamo.New(w.server.Client(), "no-such-table", dynamo.Options{})
	answer, err := missing.Handle(ctx, events.SQSEvent{Records: []events.SQSMessage{m}})
	if err != nil || len(answer.BatchItemFailures) != 1 {
		t.Errorf("Handle without a table = %v, %v, want the message failed", answer, err)
	}
	deaf := *w.d
	limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	deaf.Streams = dynamodbstreams.NewFromConfig(fake.Config("http://127.0.0.1:1"))
	if answer, err := deaf.Handle(limited, events.SQSEvent{Records: []events.SQSMessage{m}}); err != nil || len(answer.BatchItemFailures) != 1 {
		t.Errorf("Handle without a stream = %v, %v, want the message failed", answer, err)
	}
	if failed := w.handle(m); failed != nil {
		t.Errorf("Handle = %q failed, want none", failed)
	}
}
