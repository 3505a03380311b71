// Package mapping is Lambda's event source mapping for a DynamoDB stream: it
// reads the stream's shards, children after their parents, filters the records,
// and gives them to a function in batches, in lanes told apart by partition key,
// with partial batch responses, bisection, retries, an age limit and an
// on-failure message, as the template sets them.
//
// It differs from Lambda in this: it reads ahead without a limit; it looks for
// new shards when one ends, or a few polls after they appear; a record that
// DynamoDB Local reports as removed by its time to live, under a name of its own,
// is told as DynamoDB would tell it; and where AWS documents no more, it takes
// the harder reading: retries are counted for a batch and what remains of it
// together, also when a partial response has moved on, and a batch whose first
// record is reported as failed is not halved. Invocations that were throttled
// are repeated and not counted.
package mapping

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"gatehouse/infra"
	"gatehouse/internal/rehearsal/pattern"
)

// Streams is what is needed of a *dynamodbstreams.Client.
type Streams interface {
	DescribeStream(context.Context, *dynamodbstreams.DescribeStreamInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error)
	GetShardIterator(context.Context, *dynamodbstreams.GetShardIteratorInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error)
	GetRecords(context.Context, *dynamodbstreams.GetRecordsInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error)
}

// Lambda polls a shard four times a second.
const defaultPoll = 250 * time.Millisecond

// Options of a mapping.
type Options struct {
	Stream      infra.Stream // as the template says
	Streams     Streams
	StreamARN   string
	Hash        string // name of the table's HASH attribute
	FunctionARN string
	Region      string
	// Invoke calls the function. An error whose method Ran() bool gives false
	// says that it was not run at all.
	Invoke func(ctx context.Context, event []byte) ([]byte, error)
	// Discard takes the on-failure message; nil where there is no destination.
	Discard func(message []byte)
	Poll    time.Duration // between reads of a shard at its end; 0: Lambda's 250 ms
	// Backoff is how long to wait before the nth retry; nil: it doubles from
	// 100 ms up to a minute.
	Backoff func(n int) time.Duration
	// Positions remembers how far shards were read when the mapping is closed
	// and another is started; nil: it begins at the trim horizon.
	Positions *Positions
	// Seed, if not 0, cuts batches at random and holds records back, so that
	// records of different partition keys change places between batches. The
	// order for one partition key, and by sequence number within a batch, stays.
	Seed uint64
	Log  *slog.Logger // of errors of the stream's reader; nil: slog.Default
}

// Counts are what a mapping has done.
type Counts struct {
	Invocations int64
	Failures    int64 // of them; partial failures included
	Bisections  int64
	Discarded   int64 // records
}

// Mapping is a running mapping.
type Mapping struct {
	o       Options
	filters []pattern.Pattern
	stop    context.CancelFunc
	work    sync.WaitGroup
	ended   chan struct{} // takes one: a shard was read to its end

	ticks     atomic.Uint64 // grows with each Settled; orders reads and questions
	described atomic.Uint64 // the tick at which the latest DescribeStream was asked

	invocations, failures, bisections, discarded atomic.Int64

	mu     sync.Mutex
	shards map[string]*shard
	known  int // shards in the latest description
}

// Start begins to read the stream. It fails when a filter is not understood or
// the settings are out of Lambda's bounds.
func Start(o Options) (*Mapping, error) {
	m := &Mapping{o: o, ended: make(chan struct{}, 1), shards: map[string]*shard{}}
	s := &m.o.Stream
	switch {
	case m.o.Hash == "" || m.o.StreamARN == "":
		return nil, errors.New("start a mapping: no stream, or no HASH attribute")
	case s.BatchSize < 1 || s.BatchSize > 10000:
		return nil, errors.New("start a mapping: BatchSize is not within 1 and 10,000")
	case s.Parallel < 0 || s.Parallel > 10:
		return nil, errors.New("start a mapping: ParallelizationFactor is not within 1 and 10")
	case s.Window < 0 || s.Window > 300*time.Second:
		return nil, errors.New("start a mapping: MaximumBatchingWindowInSeconds is not within 0 and 300")
	case s.Retries < -1 || s.Retries > 10000:
		return nil, errors.New("start a mapping: MaximumRetryAttempts is not within -1 and 10,000")
	case len(s.Filters) > 5:
		return nil, errors.New("start a mapping: there are more than five filters")
	}
	s.Parallel = max(s.Parallel, 1)
	for _, raw := range s.Filters {
		p, err := pattern.Parse(raw)
		if err != nil {
			return nil, err
		}
		m.filters = append(m.filters, p)
	}
	if m.o.Poll == 0 {
		m.o.Poll = defaultPoll
	}
	if m.o.Backoff == nil {
		m.o.Backoff = backoff
	}
	if m.o.Positions == nil {
		m.o.Positions = new(Positions)
	}
	if m.o.Log == nil {
		m.o.Log = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.work.Go(func() { m.follow(ctx) })
	return m, nil
}

func backoff(n int) time.Duration {
	return min(100*time.Millisecond<<min(n-1, 20), time.Minute)
}

// Counts tells what it has done so far.
func (m *Mapping) Counts() Counts {
	return Counts{m.invocations.Load(), m.failures.Load(), m.bisections.Load(), m.discarded.Load()}
}

// Settle waits until a reading of all shards that began after the call found
// nothing, and no record waits or is with the function.
func (m *Mapping) Settle(ctx context.Context) error {
	asked := m.ticks.Add(1)
	for !m.settled(asked) {
		if err := sleep(ctx, m.o.Poll/4); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mapping) settled(asked uint64) bool {
	if m.described.Load() < asked {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.shards) < m.known {
		return false
	}
	for _, s := range m.shards {
		if !s.quiet(asked) {
			return false
		}
	}
	return true
}

// Close stops it. What is with the function at that moment is given to it again
// by the next mapping with the same Positions.
func (m *Mapping) Close() {
	m.stop()
	m.work.Wait()
}

// random returns a source for one lane, nil when nothing is left to chance.
func (m *Mapping) random(lane uint64) *rand.Rand {
	if m.o.Seed == 0 {
		return nil
	}
	return rand.New(rand.NewPCG(m.o.Seed, lane))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
