package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"gatehouse/infra"
)

// Source gives a queue's messages to a function, one batch at a time: fewer at
// once than Lambda, which begins with five.
type Source struct {
	Queue  *Queue
	Source infra.QueueSource // as the template says
	Region string
	// Invoke calls the function.
	Invoke func(ctx context.Context, event []byte) ([]byte, error)
	// Again is how long a message that failed stays hidden; 0: for what is left
	// of its visibility timeout, as in SQS.
	Again time.Duration
}

type sqsMessage struct {
	ID         string            `json:"messageId"`
	Receipt    string            `json:"receiptHandle"`
	Body       string            `json:"body"`
	Attributes map[string]string `json:"attributes"`
	Others     struct{}          `json:"messageAttributes"`
	MD5        string            `json:"md5OfBody"`
	Source     string            `json:"eventSource"`
	ARN        string            `json:"eventSourceARN"`
	Region     string            `json:"awsRegion"`
}

// Run works until the context ends. It fails at once when the settings are out
// of Lambda's bounds.
func (s *Source) Run(ctx context.Context) error {
	if s.Source.BatchSize < 1 || s.Source.BatchSize > 10000 {
		return errors.New("run a queue's mapping: BatchSize is not within 1 and 10,000")
	}
	for ctx.Err() == nil {
		arrived := s.Queue.Arrived()
		if batch := s.Queue.Receive(s.Source.BatchSize); len(batch) > 0 {
			s.give(ctx, batch)
			continue
		}
		var visible <-chan time.Time
		if d, ok := s.Queue.next(); ok {
			visible = time.After(d)
		}
		select {
		case <-arrived:
		case <-visible:
		case <-ctx.Done():
		}
	}
	return nil
}

// give hands the batch to the function and deletes what it did.
func (s *Source) give(ctx context.Context, batch []Message) {
	answer, err := s.Invoke(ctx, s.event(batch))
	failed := map[string]bool{}
	whole := err != nil
	if !whole && s.Source.Partial {
		failed, whole = failures(batch, answer)
	}
	for _, m := range batch {
		switch {
		case !whole && !failed[m.ID]:
			s.Queue.Delete(m.Receipt)
		case s.Again > 0:
			s.Queue.Hide(m.Receipt, s.Again)
		}
	}
}

func (s *Source) event(batch []Message) []byte {
	var e struct {
		Records []sqsMessage
	}
	for _, m := range batch {
		e.Records = append(e.Records, sqsMessage{
			ID: m.ID, Receipt: m.Receipt, Body: m.Body, MD5: sum(m.Body),
			Source: "aws:sqs", ARN: s.Queue.ARN(), Region: s.Region,
			Attributes: map[string]string{
				"ApproximateReceiveCount":          strconv.Itoa(m.Receives),
				"SentTimestamp":                    strconv.FormatInt(m.Sent.UnixMilli(), 10),
				"SenderId":                         "AIDAREHEARSAL",
				"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.First.UnixMilli(), 10),
			},
		})
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings only
	}
	return b
}

// failures reads a partial batch response. An answer that is not understood, and
// a name that is empty or of no message, say that the whole batch failed.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func failures(batch []Message, answer []byte) (failed map[string]bool, whole bool) {
	var response *struct {
		Failures []map[string]any `json:"batchItemFailures"`
	}
	if len(bytes.TrimSpace(answer)) == 0 {
		return nil, false
	}
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, true
	}
	if response == nil {
		return nil, false
	}
	known := map[string]bool{}
	for _, m := range batch {
		known[m.ID] = true
	}
	failed = map[string]bool{}
	for _, f := range response.Failures {
		id, _ := f["itemIdentifier"].(string)
		if !known[id] {
			return nil, true
		}
		failed[id] = true
	}
	return failed, false
}
