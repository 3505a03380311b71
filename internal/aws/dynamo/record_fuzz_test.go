package dynamo_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"

	"github.com/aws/aws-lambda-go/events"
)

// FuzzHandle holds of any event that Lambda's library reads: Handle does not
// panic, every change that it does not report reached the consumer with a key
// that a table takes, and every failure that it reports is of the batch.
func FuzzHandle(f *testing.F) {
	for _, seed := range []string{
		`{"Records":[]}`,
		`{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"p":{"S":"a"},"s":{"S":"1"}},"NewImage":{"p":{"S":"a"},"s":{"S":"1"},"v":{"S":"vvvvvvvvvvvvvvvvvvvv"},"d":{"B":"AAE="},"n":{"N":"-3"},"x":{"N":"1795355156"},"f":{"S":"feed"}},"SequenceNumber":"111"}}]}`,
		`{"Records":[{"eventName":"MODIFY","dynamodb":{"Keys":{"p":{"S":"a"},"s":{"S":"1"}},"NewImage":{"p":{"S":"a"},"s":{"S":"2"},"v":{"S":"v"}},"SequenceNumber":"111"}},{"eventName":"REMOVE","dynamodb":{"Keys":{"p":{"S":"a"},"s":{"S":"1"}},"SequenceNumber":"112"}}]}`,
		`{"Records":[{"eventName":"REMOVE","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"dynamodb":{"Keys":{"p":{"S":"a"},"s":{"S":"1"}},"SequenceNumber":"5"}}]}`,
		`{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"p":{"N":"1"},"s":{"NULL":true}},"NewImage":{"n":{"N":"1e400"},"d":{"BS":["AA=="]},"v":{"L":[]},"x":{"M":{}}},"SequenceNumber":"9"}}]}`,
		`{"Records":[{"eventName":"INSERT","dynamodb":{"SequenceNumber":"9"}},{"dynamodb":{"SequenceNumber":"9"}},{}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e events.DynamoDBEvent
		if json.Unmarshal(b, &e) != nil {
			return
		}
		var got []table.Change
		s := &dynamo.Stream{Table: memory.New(), Name: "feed", Log: quiet, To: answering(func(b []table.Change) []error {
			got = append(got, b...)
			return nil
		})}
		answer, err := s.Handle(context.Background(), e)
		if err != nil {
			if !errors.Is(err, dynamo.ErrMalformed) || len(got) > 0 {
				t.Fatalf("Handle = %v after %d changes were delivered, want ErrMalformed before any", err, len(got))
			}
			return
		}
		failed := map[string]bool{}
		for _, i := range answer.BatchItemFailures {
			failed[i.ItemIdentifier] = true
			if !slices.ContainsFunc(e.Records, func(r events.DynamoDBEventRecord) bool { return r.Change.SequenceNumber == i.ItemIdentifier }) {
				t.Errorf("Handle reports %q, which is not in the batch", i.ItemIdentifier)
			}
		}
		delivered := map[string]int{}
		for _, c := range got {
			delivered[c.ID]++
			if table.CheckKeys(c.Key) != nil || c.New.Exists() && c.New.Key != c.Key {
				t.Errorf("the consumer got %+v, want a key that a table takes, and the item under it", c)
			}
		}
		for _, r := range e.Records {
			id := r.Change.SequenceNumber
			if failed[id] || delivered[id] > 0 {
				continue
			}
			if d, err := dynamo.Read(r); err != nil || !d.Removed {
				t.Errorf("record %q is neither reported nor delivered, and is no removal", id)
			}
		}
	})
}
