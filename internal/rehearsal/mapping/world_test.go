package mapping

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"gatehouse/infra"
)

// stream is DynamoDB Streams in memory: shards that end and have children.
type stream struct {
	mu       sync.Mutex
	shards   []*fakeShard
	sequence int
	expire   int // so many reads are told that their iterator has expired
	reads    []string
}

type fakeShard struct {
	id, parent string
	records    []types.Record
	ended      bool
}

func newStream() *stream { return &stream{shards: []*fakeShard{{id: "shard-0"}}, sequence: 100} }

// split ends the last shard and gives it a child.
func (s *stream) split() {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.shards[len(s.shards)-1]
	last.ended = true
	s.shards = append(s.shards, &fakeShard{id: fmt.Sprintf("shard-%d", len(s.shards)), parent: last.id})
}

// put appends a change of the key.
func (s *stream) put(key, value string) {
	s.record(types.OperationTypeInsert, key, map[string]types.AttributeValue{"f": &types.AttributeValueMemberS{Value: value}})
}

func (s *stream) record(name types.OperationType, key string, image map[string]types.AttributeValue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	part, sort, _ := strings.Cut(key, "/")
	last := s.shards[len(s.shards)-1]
	last.records = append(last.records, types.Record{
		EventID: aws.String(fmt.Sprint("event-", s.sequence)), EventName: name,
		Dynamodb: &types.StreamRecord{
			ApproximateCreationDateTime: aws.Time(time.Now()),
			Keys:                        map[string]types.AttributeValue{"p": &types.AttributeValueMemberS{Value: part}, "s": &types.AttributeValueMemberS{Value: sort}},
			NewImage:                    image, SequenceNumber: aws.String(fmt.Sprintf("%021d", s.sequence)), SizeBytes: aws.Int64(26), StreamViewType: types.StreamViewTypeNewImage,
		},
	})
}

func (s *stream) DescribeStream(_ context.Context, in *dynamodbstreams.DescribeStreamInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// One shard a page.
	next := 0
	if in.ExclusiveStartShardId != nil {
		next, _ = strconv.Atoi(strings.TrimPrefix(*in.ExclusiveStartShardId, "shard-"))
		next++
	}
	shard := s.shards[next]
	d := &types.StreamDescription{Shards: []types.Shard{{ShardId: aws.String(shard.id), ParentShardId: aws.String(shard.parent)}}}
	if next+1 < len(s.shards) {
		d.LastEvaluatedShardId = aws.String(shard.id)
	}
	return &dynamodbstreams.DescribeStreamOutput{StreamDescription: d}, nil
}

func (s *stream) find(id string) *fakeShard {
	for _, shard := range s.shards {
		if shard.id == id {
			return shard
		}
	}
	return nil
}

func (s *stream) GetShardIterator(_ context.Context, in *dynamodbstreams.GetShardIteratorInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := 0
	if in.ShardIteratorType == types.ShardIteratorTypeAfterSequenceNumber {
		for i, r := range s.find(*in.ShardId).records {
			if *r.Dynamodb.SequenceNumber <= *in.SequenceNumber {
				at = i + 1
			}
		}
	}
	return &dynamodbstreams.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprintf("%s %d", *in.ShardId, at))}, nil
}

func (s *stream) GetRecords(_ context.Context, in *dynamodbstreams.GetRecordsInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expire > 0 {
		s.expire--
		return nil, &types.ExpiredIteratorException{}
	}
	var id string
	var at int
	fmt.Sscan(*in.ShardIterator, &id, &at)
	shard := s.find(id)
	s.reads = append(s.reads, id)
	out := &dynamodbstreams.GetRecordsOutput{Records: shard.records[at:min(len(shard.records), at+50)]}
	at += len(out.Records)
	if !shard.ended || at < len(shard.records) {
		out.NextShardIterator = aws.String(fmt.Sprintf("%s %d", id, at))
	}
	return out, nil
}

// function is a function that keeps what it was given.
type function struct {
	mu      sync.Mutex
	batches [][]change
	busy    int
	most    int
	answer  func(n int, batch []change) (string, error) // of the nth invocation, from 1; nil: all is well
	takes   time.Duration
}

type change struct {
	Name     string `json:"eventName"`
	Identity *struct {
		PrincipalID string `json:"principalId"`
	} `json:"userIdentity"`
	D struct {
		Keys     map[string]struct{ S string }
		NewImage map[string]struct{ S string }
		Sequence string `json:"SequenceNumber"`
	} `json:"dynamodb"`
}

func (c change) key() string   { return c.D.Keys["p"].S + "/" + c.D.Keys["s"].S }
func (c change) value() string { return c.D.NewImage["f"].S }

func (f *function) invoke(ctx context.Context, event []byte) ([]byte, error) {
	var e struct{ Records []change }
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.batches = append(f.batches, e.Records)
	n, answer := len(f.batches), f.answer
	f.busy++
	f.most = max(f.most, f.busy)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.busy--
		f.mu.Unlock()
	}()
	if err := sleep(ctx, f.takes); err != nil {
		return nil, err
	}
	if answer == nil {
		return []byte(`{"batchItemFailures":[]}`), nil
	}
	text, err := answer(n, e.Records)
	return []byte(text), err
}

// values are what it was given of each key, in order.
func (f *function) values() map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string][]string{}
	for _, b := range f.batches {
		for _, c := range b {
			all[c.key()] = append(all[c.key()], c.value())
		}
	}
	return all
}

// sizes are how many records each batch had.
func (f *function) sizes() (list []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.batches {
		list = append(list, len(b))
	}
	return list
}

func failures(batch []change, indexes ...int) string {
	var list []string
	for _, i := range indexes {
		list = append(list, fmt.Sprintf(`{"itemIdentifier":%q}`, batch[i].D.Sequence))
	}
	return `{"batchItemFailures":[` + strings.Join(list, ",") + `]}`
}

// begin starts a mapping of the stream to the function.
func begin(t *testing.T, s *stream, f *function, change func(*Options)) *Mapping {
	t.Helper()
	o := Options{
		Stream:  infra.Stream{BatchSize: 10, Parallel: 1, Retries: -1, Partial: true},
		Streams: s, StreamARN: "arn:aws:dynamodb:us-east-1:123456789012:table/people/stream/now", Hash: "p",
		FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:stack-feed", Region: "us-east-1", Invoke: f.invoke,
	}
	if change != nil {
		change(&o)
	}
	m, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func settle(t *testing.T, m *Mapping) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := m.Settle(ctx); err != nil {
		t.Fatalf("Settle() = %v", err)
	}
}
