package mapping

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Reasons for which records are discarded.
const (
	exhausted = "RetryAttemptsExhausted"
	tooOld    = "RecordAgeExceeded"
)

// process gives the batch to the function until it is done or given up. tries
// counts the retries that were used, calls the invocations that the batch was
// in.
func (s *shard) process(ctx context.Context, batch []record, tries, calls int) {
	o := &s.m.o.Stream
	failed := "" // how the latest invocation failed: Lambda's functionError
	for waits := 0; ctx.Err() == nil; {
		if batch = s.expire(batch, calls, failed); len(batch) == 0 {
			return
		}
		answer, err := s.m.o.Invoke(ctx, event(batch))
		if ctx.Err() != nil {
			return
		}
		var unrun interface{ Ran() bool }
		if errors.As(err, &unrun) && !unrun.Ran() {
			waits++
			if sleep(ctx, s.m.o.Backoff(waits)) != nil {
				return
			}
			continue
		}
		calls++
		s.m.invocations.Add(1)
		first, whole := 0, true // the first that is not done; nothing is known of the others
		failed = "Unhandled"
		if err == nil {
			failed = ""
			if first = len(batch); o.Partial {
				first, whole = firstFailed(batch, answer)
			}
		}
		s.finish(batch[:first])
		if batch = batch[first:]; len(batch) == 0 {
			return
		}
		s.m.failures.Add(1)
		if whole && o.Bisect && len(batch) > 1 {
			// Halves are tried at once, and splitting uses up no retry.
			s.m.bisections.Add(1)
			s.process(ctx, batch[:len(batch)/2], tries, calls)
			s.process(ctx, batch[len(batch)/2:], tries, calls)
			return
		}
		if o.Retries >= 0 && tries >= o.Retries {
			s.discard(batch, exhausted, calls, failed)
			return
		}
		tries++
		if sleep(ctx, s.m.o.Backoff(tries)) != nil {
			return
		}
	}
}

func (s *shard) finish(batch []record) {
	for _, r := range batch {
		s.progress.finish(r.place)
	}
}

// expire discards what is too old at the head of the batch.
func (s *shard) expire(batch []record, calls int, failed string) []record {
	limit := s.m.o.Stream.MaxAge
	if limit <= 0 {
		return batch
	}
	n := 0
	for n < len(batch) && time.Since(batch[n].at) > limit {
		n++
	}
	if n > 0 {
		s.discard(batch[:n], tooOld, calls, failed)
	}
	return batch[n:]
}

// event is what the function is given.
func event(batch []record) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	for i, r := range batch {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(r.event)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// firstFailed reads a partial batch response: the index of the lowest sequence
// number that it names. An answer that is not understood, and a name that is
// empty or of no record, say that the whole batch failed.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
func firstFailed(batch []record, answer []byte) (first int, whole bool) {
	if len(bytes.TrimSpace(answer)) == 0 {
		return len(batch), false
	}
	var response *struct {
		Failures []map[string]any `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &response); err != nil {
		return 0, true
	}
	first = len(batch)
	if response == nil {
		return first, false
	}
	for _, f := range response.Failures {
		name, _ := f["itemIdentifier"].(string)
		at := -1
		for i, r := range batch {
			if r.sequence == name {
				at = i
			}
		}
		if at < 0 {
			return 0, true
		}
		first = min(first, at)
	}
	return first, false
}

// discard passes over the batch and tells the on-failure destination where it
// was, not what was in it.
func (s *shard) discard(batch []record, condition string, calls int, failed string) {
	s.m.discarded.Add(int64(len(batch)))
	if s.m.o.Discard != nil {
		s.m.o.Discard(s.message(batch, condition, calls, failed))
	}
	s.finish(batch)
}

type requestContext struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Calls       int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	Status  int    `json:"statusCode"`
	Version string `json:"executedVersion"`
	Failed  string `json:"functionError,omitempty"`
}

type batchInfo struct {
	Shard string `json:"shardId"`
	Start string `json:"startSequenceNumber"`
	End   string `json:"endSequenceNumber"`
	First string `json:"approximateArrivalOfFirstRecord"`
	Last  string `json:"approximateArrivalOfLastRecord"`
	Size  int    `json:"batchSize"`
	ARN   string `json:"streamArn"`
}

// message has the form that
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
// shows. A batch that was never given to the function has no responseContext.
func (s *shard) message(batch []record, condition string, calls int, failed string) []byte {
	var id [16]byte
	rand.Read(id[:])
	first, last := batch[0], batch[len(batch)-1]
	m := struct {
		Request   requestContext   `json:"requestContext"`
		Response  *responseContext `json:"responseContext,omitempty"`
		Version   string           `json:"version"`
		Timestamp string           `json:"timestamp"`
		Batch     batchInfo        `json:"DDBStreamBatchInfo"`
	}{
		Request:   requestContext{fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), s.m.o.FunctionARN, condition, calls},
		Version:   "1.0",
		Timestamp: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		Batch: batchInfo{
			Shard: s.id, Start: first.sequence, End: last.sequence, Size: len(batch), ARN: s.m.o.StreamARN,
			First: first.at.UTC().Format(time.RFC3339), Last: last.at.UTC().Format(time.RFC3339),
		},
	}
	if calls > 0 {
		m.Response = &responseContext{200, "$LATEST", failed}
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}
