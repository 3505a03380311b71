package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"gatehouse/infra"
	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/rehearsal/bus"
	"gatehouse/internal/rehearsal/guard"
	"gatehouse/internal/rehearsal/mapping"
	"gatehouse/internal/rehearsal/pattern"
	"gatehouse/internal/rehearsal/queue"
)

// openTable makes the table unless it is there.
func (r *Rehearsal) openTable(ctx context.Context) (*types.TableDescription, error) {
	if r.o.Streams == "" {
		r.o.Streams = r.o.DynamoDB
	}
	client := ddb.NewFromConfig(dynamodb.Config(r.o.DynamoDB))
	name := r.o.Stack.Table
	_, err := client.CreateTable(ctx, dynamo.Schema(name))
	var there *types.ResourceInUseException
	if err != nil && !errors.As(err, &there) {
		return nil, fmt.Errorf("make the table: %w", err)
	}
	out, err := client.DescribeTable(ctx, &ddb.DescribeTableInput{TableName: &name})
	if err != nil {
		return nil, fmt.Errorf("describe the table: %w", err)
	}
	if out.Table.LatestStreamArn == nil {
		return nil, errors.New("the table has no stream")
	}
	return out.Table, nil
}

// hashOf is the name of the table's HASH attribute.
func hashOf(table *types.TableDescription) string {
	for _, k := range table.KeySchema {
		if k.KeyType == types.KeyTypeHash {
			return aws.ToString(k.AttributeName)
		}
	}
	return ""
}

// newGuard makes what stands before the services.
func (r *Rehearsal) newGuard(hash string) (*guard.Guard, error) {
	s := r.o.Stack
	return guard.Start(guard.Options{
		Functions: s.Functions, Region: r.region, Account: r.number, Table: s.Table, Hash: hash, ConfigurationSet: s.ConfigurationSet,
		Secret: s.Secret, Text: r.o.Key, DynamoDB: r.o.DynamoDB, Streams: r.o.Streams, SES: r.o.SES, Open: r.o.Unguarded,
	})
}

// wire starts what calls functions: mappings, rules and schedules.
func (r *Rehearsal) wire(ctx context.Context, table *types.TableDescription) error {
	if err := r.wireQueues(ctx); err != nil {
		return err
	}
	b := bus.Options{Region: r.region, Account: r.number}
	if r.o.Again > 0 {
		b.Waits = []time.Duration{r.o.Again, r.o.Again}
	}
	r.bus = bus.New(b)
	for _, folder := range slices.Sorted(maps.Keys(r.o.Stack.Functions)) {
		f := r.o.Stack.Functions[folder]
		invoke := func(ctx context.Context, event []byte) ([]byte, error) { return r.invoke(ctx, folder, event) }
		for _, rule := range f.Rules {
			p, err := pattern.Parse(rule.Pattern)
			if err != nil {
				return fmt.Errorf("a rule of %s: %w", folder, err)
			}
			r.bus.Rule(folder, p, invoke)
		}
		for _, s := range f.Schedules {
			r.bus.Every(folder, s.Every, invoke)
		}
		for n, s := range f.Streams {
			name := folder
			if n > 0 {
				name = fmt.Sprint(folder, n)
			}
			m, err := r.wireStream(name, f, s, table, invoke)
			if err != nil {
				return fmt.Errorf("the stream of %s: %w", folder, err)
			}
			r.mappings[name] = m
		}
	}
	r.account.join(r.bus)
	if r.o.Clock > 0 {
		r.work.Go(func() { r.bus.Run(ctx, r.o.Clock) })
	}
	return nil
}

func (r *Rehearsal) wireStream(name string, f infra.Function, s infra.Stream, table *types.TableDescription, invoke bus.Invoke) (*mapping.Mapping, error) {
	o := mapping.Options{
		Stream: s, Streams: dynamodbstreams.NewFromConfig(dynamodb.Config(r.o.Streams)), StreamARN: *table.LatestStreamArn, Hash: hashOf(table),
		FunctionARN: f.ARN, Region: r.region, Invoke: invoke, Poll: r.o.Poll, Positions: r.account.position(name),
	}
	if s.OnFailure != "" {
		q, ok := r.o.Stack.Queues[s.OnFailure]
		if !ok {
			return nil, fmt.Errorf("there is no queue %s", s.OnFailure)
		}
		to := r.account.queue(queue.Options{ARN: q.ARN})
		o.Discard = func(message []byte) { to.Send(string(message)) }
	}
	if r.o.Again > 0 {
		o.Backoff = func(int) time.Duration { return r.o.Again }
	}
	if r.o.Chaos.Cut {
		h := fnv.New64a()
		h.Write([]byte(name))
		o.Seed = r.o.Chaos.Seed ^ h.Sum64() | 1
	}
	return mapping.Start(o)
}

// wireQueues makes the queues, those for dead letters first, and starts the
// mappings that read them.
func (r *Rehearsal) wireQueues(ctx context.Context) error {
	queues := r.o.Stack.Queues
	for _, q := range queues {
		o := queue.Options{ARN: q.ARN, Visibility: q.Visibility, MaxReceive: q.MaxReceive}
		if q.Dead != "" {
			dead, ok := queues[q.Dead]
			if !ok {
				return fmt.Errorf("%s has a dead-letter queue that is not there", q.ARN)
			}
			if dead.Dead != "" {
				return fmt.Errorf("the dead-letter queue of %s has one itself", q.ARN)
			}
			o.Dead = r.account.queue(queue.Options{ARN: dead.ARN, Visibility: dead.Visibility})
		}
		r.account.queue(o)
	}
	for folder, f := range r.o.Stack.Functions {
		for _, s := range f.Queues {
			q, ok := queues[s.Queue]
			if !ok {
				return fmt.Errorf("%s reads the queue %s, which is not there", folder, s.Queue)
			}
			if s.BatchSize < 1 {
				return fmt.Errorf("%s reads %s in batches of %d", folder, s.Queue, s.BatchSize)
			}
			from := r.account.queue(queue.Options{ARN: q.ARN})
			r.sources = append(r.sources, from)
			source := &queue.Source{Queue: from, Source: s, Region: r.region, Again: r.o.Again,
				Invoke: func(ctx context.Context, event []byte) ([]byte, error) { return r.invoke(ctx, folder, event) }}
			r.work.Go(func() { source.Run(ctx) }) // its only error was looked for above
		}
	}
	return nil
}

// Settle waits until nothing is left to do: no record of the stream, no message
// of a queue, no event of the bus, no invocation under way, and none of them
// made by the others meanwhile. Work that is due later, and events that SES has
// not published yet, are not waited for.
func (r *Rehearsal) Settle(ctx context.Context) error {
	for {
		before := r.calls.Load()
		for name, m := range r.mappings {
			if err := m.Settle(ctx); err != nil {
				return fmt.Errorf("wait for the stream of %s: %w", name, err)
			}
		}
		for !r.quiet() {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("wait for queues and the bus: %w", context.Cause(ctx))
			}
		}
		if r.calls.Load() == before {
			return nil
		}
	}
}

func (r *Rehearsal) quiet() bool {
	for _, q := range r.sources {
		if len(q.Messages()) > 0 {
			return false
		}
	}
	return r.bus.Pending() == 0 && r.under.Load() == 0
}
