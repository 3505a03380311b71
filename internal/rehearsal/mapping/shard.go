package mapping

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Positions remember how far each shard was processed. The zero Positions know
// of nothing. They may be used by one mapping at a time.
type Positions struct {
	mu   sync.Mutex
	at   map[string]string // shard to the sequence number up to which all is done
	done map[string]bool   // shards that are processed whole
}

func (p *Positions) get(shard string) (after string, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at[shard], p.done[shard]
}

func (p *Positions) set(shard, sequence string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[string]string{}
	}
	p.at[shard] = sequence
}

func (p *Positions) finish(shard string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = map[string]bool{}
	}
	p.done[shard] = true
}

// follow starts a reader for each shard as soon as its parent is done.
func (m *Mapping) follow(ctx context.Context) {
	for {
		asked := m.ticks.Load()
		list, err := m.describe(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.o.Log.Warn("describe a stream", "err", err)
		default:
			m.begin(ctx, list)
			m.described.Store(asked)
		}
		for polls := 0; polls < 4 && m.described.Load() >= m.ticks.Load(); polls++ {
			select {
			case <-m.ended:
				polls = 4
			case <-time.After(m.o.Poll):
			case <-ctx.Done():
				return
			}
		}
		if err != nil && sleep(ctx, m.o.Poll) != nil {
			return
		}
	}
}

func (m *Mapping) describe(ctx context.Context) (list []types.Shard, err error) {
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &m.o.StreamARN}
	for {
		out, err := m.o.Streams.DescribeStream(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describe the stream: %w", err)
		}
		list = append(list, out.StreamDescription.Shards...)
		if in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId; in.ExclusiveStartShardId == nil {
			return list, nil
		}
	}
}

func (m *Mapping) begin(ctx context.Context, list []types.Shard) {
	listed := map[string]bool{}
	for _, s := range list {
		listed[aws.ToString(s.ShardId)] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = 0
	for _, d := range list {
		id, parent := aws.ToString(d.ShardId), aws.ToString(d.ParentShardId)
		after, done := m.o.Positions.get(id)
		if done {
			continue
		}
		m.known++
		if m.shards[id] != nil {
			continue
		}
		if _, done := m.o.Positions.get(parent); listed[parent] && !done {
			continue // a parent that is not listed was trimmed
		}
		s := &shard{m: m, id: id, progress: progress{save: func(sequence string) { m.o.Positions.set(id, sequence) }}}
		m.shards[id] = s
		m.work.Go(func() { s.run(ctx, after) })
	}
}

// shard is one that is being read.
type shard struct {
	m        *Mapping
	id       string
	lanes    []*lane
	progress progress

	mu    sync.Mutex
	empty uint64 // the tick before the latest read that found nothing
}

// quiet tells whether a read since the tick found nothing and nothing waits.
func (s *shard) quiet(asked uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.empty >= asked && s.progress.none()
}

// run reads the shard and, at its end, waits for the lanes, so that the
// children of the shard are begun when all of it is done.
func (s *shard) run(ctx context.Context, after string) {
	var lanes sync.WaitGroup
	for n := range s.m.o.Stream.Parallel {
		l := newLane(s, s.m.random(uint64(n)))
		s.lanes = append(s.lanes, l)
		lanes.Go(func() { l.run(ctx) })
	}
	whole := s.read(ctx, after)
	for _, l := range s.lanes {
		l.close()
	}
	lanes.Wait()
	if !whole || ctx.Err() != nil {
		return
	}
	s.m.o.Positions.finish(s.id)
	s.m.mu.Lock()
	delete(s.m.shards, s.id)
	s.m.mu.Unlock()
	select {
	case s.m.ended <- struct{}{}:
	default:
	}
}

// read gives the lanes all records and tells whether it came to the end of the
// shard.
func (s *shard) read(ctx context.Context, after string) bool {
	for ctx.Err() == nil {
		iterator, err := s.iterator(ctx, after)
		for err == nil && iterator != nil {
			asked := s.m.ticks.Load()
			var out *dynamodbstreams.GetRecordsOutput
			if out, err = s.m.o.Streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator}); err != nil {
				break
			}
			if err = s.take(out.Records); err != nil {
				break
			}
			if n := len(out.Records); n > 0 {
				after = aws.ToString(out.Records[n-1].Dynamodb.SequenceNumber)
			}
			iterator = out.NextShardIterator
			if len(out.Records) == 0 {
				s.mu.Lock()
				s.empty = asked
				s.mu.Unlock()
				if iterator != nil && sleep(ctx, s.m.o.Poll) != nil {
					return false
				}
			}
		}
		if err == nil {
			return true
		}
		var expired *types.ExpiredIteratorException
		var trimmed *types.TrimmedDataAccessException
		if errors.As(err, &trimmed) { // it stood still for a day: what is left comes from the horizon
			after = ""
		}
		if ctx.Err() == nil && !errors.As(err, &expired) {
			s.m.o.Log.Warn("read a shard", "err", err)
		}
		if sleep(ctx, s.m.o.Poll) != nil {
			return false
		}
	}
	return false
}

func (s *shard) iterator(ctx context.Context, after string) (*string, error) {
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &s.m.o.StreamARN, ShardId: &s.id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	if after != "" {
		in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &after
	}
	out, err := s.m.o.Streams.GetShardIterator(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("get an iterator of a shard: %w", err)
	}
	return out.ShardIterator, nil
}

// take gives the records that a filter wants to their lanes, those of one read
// together; all or none.
func (s *shard) take(list []types.Record) error {
	records := make([]record, 0, len(list))
	for _, r := range list {
		rec, err := s.m.record(r)
		if err != nil {
			return err
		}
		records = append(records, rec)
	}
	byLane := make([][]record, len(s.lanes))
	for _, rec := range records {
		rec.place = s.progress.add(rec.sequence)
		if !s.m.wants(rec.event) {
			s.progress.finish(rec.place)
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(rec.key))
		n := h.Sum32() % uint32(len(s.lanes))
		byLane[n] = append(byLane[n], rec)
	}
	for n, l := range s.lanes {
		if len(byLane[n]) > 0 {
			l.push(byLane[n])
		}
	}
	return nil
}

func (m *Mapping) wants(event []byte) bool {
	for _, f := range m.filters {
		if f.Match(event) {
			return true
		}
	}
	return len(m.filters) == 0
}

// progress finds how far everything is done while records end in any order.
type progress struct {
	save func(sequence string)

	mu   sync.Mutex
	open []*place
}

type place struct {
	sequence string
	done     bool
}

func (p *progress) add(sequence string) *place {
	at := &place{sequence: sequence}
	p.mu.Lock()
	p.open = append(p.open, at)
	p.mu.Unlock()
	return at
}

func (p *progress) finish(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at.done = true
	n := 0
	for n < len(p.open) && p.open[n].done {
		n++
	}
	if n > 0 {
		p.save(p.open[n-1].sequence)
		p.open = slices.Delete(p.open, 0, n)
	}
}

// none tells that nothing is under way.
func (p *progress) none() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) == 0
}
