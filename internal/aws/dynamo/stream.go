package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gatehouse/internal/table"

	"github.com/aws/aws-lambda-go/events"
)

// Stream hands batches of the table's stream to one consumer, as the function
// behind an event source mapping that takes partial failures.
//
// Lambda goes on at the lowest sequence number that is reported as failed, so
// what stands behind a change that fails comes again with it, and a shard waits
// for that change. A change is therefore buried as a dead letter (see package
// pump) once it has failed eight times and for a minute.
type Stream struct {
	Table table.Table // where tries are counted and dead letters written
	Name  string      // the consumer's
	To    table.Consumer
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: slog.Default()
}

// answerTime is what is left of the function's time when the consumer has to
// stop: enough to count tries and to answer.
const answerTime = 2 * time.Second

// delivery is a record on its way through one call of Handle.
type delivery struct {
	Delivery
	err    error // of reading it, or the consumer's
	failed bool  // to be reported: it comes again
}

// Handle is the function's handler. The consumer gets every change of the batch
// but those that cannot be read and those behind them for the same key.
//
// Failures are reported by sequence number. Once a change of a key is reported,
// so are all later ones of that key, since they have to come after it. The
// consumer's context ends two seconds before Handle's; what it had not done by
// then is reported, and counts as no try. Handle's own error says that a record
// has no sequence number to report it by: Lambda then repeats the whole batch.
func (s *Stream) Handle(ctx context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	batch, err := s.read(e)
	if err != nil {
		return events.DynamoDBEventResponse{}, err
	}
	working, cancel := beforeEnd(ctx)
	defer cancel()
	s.consume(working, batch)
	s.settle(ctx, working, batch)
	var answer events.DynamoDBEventResponse
	for _, d := range batch {
		if d.failed {
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: d.Change.ID})
		}
	}
	return answer, nil
}

// beforeEnd returns a context that leaves time to answer.
func beforeEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(answerTime, time.Until(end)/4)))
}

func (s *Stream) read(e events.DynamoDBEvent) ([]*delivery, error) {
	batch := make([]*delivery, 0, len(e.Records))
	for i, r := range e.Records {
		if !isSequence(r.Change.SequenceNumber) {
			return nil, fmt.Errorf("read record %d of %d, which has no sequence number: %w", i, len(e.Records), ErrMalformed)
		}
		d, err := Read(r)
		if err == nil && d.Removed {
			continue
		}
		batch = append(batch, &delivery{Delivery: d, err: err})
	}
	return batch, nil
}

// maxSequence is how many digits a sequence number has at most.
const maxSequence = 40

func isSequence(s string) bool {
	return s != "" && len(s) <= maxSequence && strings.Trim(s, "0123456789") == ""
}

// consume gives the consumer what can be read and does not stand behind what
// cannot, and notes its errors.
func (s *Stream) consume(ctx context.Context, batch []*delivery) {
	unread := map[table.Key]bool{}
	var rest []*delivery
	for _, d := range batch {
		switch {
		case d.err != nil:
			unread[d.Change.Key] = true
		case unread[d.Change.Key]:
			d.failed = true
		default:
			rest = append(rest, d)
		}
	}
	if len(rest) == 0 || s.call(ctx, rest) {
		return
	}
	// The consumer panicked over one of them. Each by itself, the others get
	// through.
	behind := map[table.Key]bool{}
	for _, d := range rest {
		if behind[d.Change.Key] {
			d.failed, d.err = true, nil
			continue
		}
		if s.call(ctx, []*delivery{d}); d.err != nil {
			behind[d.Change.Key] = true
		}
	}
}

// call calls the consumer and reports whether it returned.
func (s *Stream) call(ctx context.Context, ds []*delivery) (returned bool) {
	changes := make([]table.Change, len(ds))
	for i, d := range ds {
		changes[i] = d.Change
	}
	fail := func(err error) {
		for _, d := range ds {
			d.err = err
		}
	}
	defer func() {
		if r := recover(); r != nil {
			fail(fmt.Errorf("the consumer panicked with a %T", r))
		}
	}()
	switch errs := s.To.Consume(ctx, changes); {
	case errs == nil:
		fail(nil)
	case len(errs) != len(ds):
		fail(fmt.Errorf("the consumer answered %d changes with %d errors", len(ds), len(errs)))
	default:
		for i, d := range ds {
			d.err = errs[i]
		}
	}
	return true
}

// settle decides which changes are reported as failed: those that the consumer
// failed, but for those that are buried, and what stands behind them.
func (s *Stream) settle(ctx, working context.Context, batch []*delivery) {
	var tried []*delivery // the first of each key that failed
	first := map[table.Key]bool{}
	count, because := 0, error(nil)
	for _, d := range batch {
		if d.err == nil {
			continue
		}
		d.failed = true
		count, because = count+1, d.err
		// A consumer that ran out of time has not tried; a record that cannot
		// be read has.
		if !first[d.Change.Key] && (working.Err() == nil || errors.Is(d.err, ErrMalformed)) {
			tried = append(tried, d)
		}
		first[d.Change.Key] = true
	}
	if count > 0 {
		s.log().Warn("changes failed", "changes", count, "of", len(batch), "error", because)
	}
	if len(tried) > 0 {
		s.bury(ctx, tried)
	}
	behind := map[table.Key]bool{}
	for _, d := range batch {
		if behind[d.Change.Key] {
			d.failed = true
		}
		if d.failed {
			behind[d.Change.Key] = true
		}
	}
}

func (s *Stream) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Stream) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default().With("consumer", s.Name)
	}
	return s.Log.With("consumer", s.Name)
}
