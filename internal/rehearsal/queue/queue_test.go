package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/infra"
)

func bodies(list []Message) (out []string) {
	for _, m := range list {
		out = append(out, m.Body)
	}
	return out
}

func TestVisibility(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Visibility: time.Minute})
		q.Send("a")
		q.Send("b")
		first := q.Receive(1)
		if got := bodies(first); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("Receive(1) = %q, want a", got)
		}
		if got := bodies(q.Receive(10)); !slices.Equal(got, []string{"b"}) {
			t.Fatalf("Receive(10) = %q, want b: a is hidden", got)
		}
		time.Sleep(time.Minute)
		again := q.Receive(10)
		if got := bodies(again); !slices.Equal(got, []string{"a", "b"}) || again[0].Receives != 2 || again[0].ID != first[0].ID || !again[0].First.Equal(first[0].First) {
			t.Fatalf("Receive(10) after a minute = %+v, want both for the second time", again)
		}
		q.Delete(first[0].Receipt)
		if n := len(q.Messages()); n != 2 {
			t.Fatalf("an old receipt left %d messages, want 2", n)
		}
		q.Delete(again[0].Receipt)
		q.Hide(again[1].Receipt, time.Second)
		time.Sleep(time.Second)
		if got := bodies(q.Receive(10)); !slices.Equal(got, []string{"b"}) {
			t.Fatalf("Receive(10) = %q, want b, which was hidden for a second", got)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := New(Options{})
		q := New(Options{Visibility: time.Second, MaxReceive: 3, Dead: dead})
		q.Send("a")
		for n := range 3 {
			if got := len(q.Receive(1)); got != 1 {
				t.Fatalf("receive %d gave %d messages", n, got)
			}
			time.Sleep(time.Second)
		}
		if got := q.Receive(1); len(got) != 0 || len(q.Messages()) != 0 {
			t.Fatalf("a fourth receive gave %v", got)
		}
		if got := bodies(dead.Messages()); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("the dead-letter queue has %q, want a", got)
		}
	})
}

func TestSource(t *testing.T) {
	tests := []struct {
		name    string
		partial bool
		answer  func(ids []string) (string, error)
		again   []string // come a second time
	}{
		{"all done", true, func([]string) (string, error) { return `{"batchItemFailures":[]}`, nil }, nil},
		{"null", true, func([]string) (string, error) { return `null`, nil }, nil},
		{"nothing", true, func([]string) (string, error) { return ``, nil }, nil},
		{"an error", true, func([]string) (string, error) { return ``, errors.New("exit") }, []string{"a", "b", "c"}},
		{"one failed", true, func(ids []string) (string, error) {
			return fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q}]}`, ids[1]), nil
		}, []string{"b"}},
		{"one failed, and nobody asks", false, func(ids []string) (string, error) {
			return fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q}]}`, ids[1]), nil
		}, nil},
		{"an unknown name", true, func([]string) (string, error) { return `{"batchItemFailures":[{"itemIdentifier":"x"}]}`, nil }, []string{"a", "b", "c"}},
		{"an empty name", true, func([]string) (string, error) { return `{"batchItemFailures":[{"itemIdentifier":""}]}`, nil }, []string{"a", "b", "c"}},
		{"no object", true, func([]string) (string, error) { return `7`, nil }, []string{"a", "b", "c"}},
	}
	for _, tt := range tests {
		for _, again := range []time.Duration{0, time.Second} {
			t.Run(fmt.Sprint(tt.name, again), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q := New(Options{ARN: "arn:aws:sqs:us-east-1:123456789012:discarded", Visibility: time.Minute})
					for _, b := range []string{"a", "b", "c"} {
						q.Send(b)
					}
					var second []string
					var secondAt time.Duration
					calls, start := 0, time.Now()
					s := &Source{Queue: q, Source: infra.QueueSource{BatchSize: 10, Partial: tt.partial}, Region: "us-east-1", Again: again}
					s.Invoke = func(_ context.Context, event []byte) ([]byte, error) {
						var e struct{ Records []sqsMessage }
						if err := json.Unmarshal(event, &e); err != nil {
							t.Errorf("the event is no JSON: %v", err)
						}
						var ids, texts []string
						for _, r := range e.Records {
							ids, texts = append(ids, r.ID), append(texts, r.Body)
							if r.Source != "aws:sqs" || r.ARN != q.ARN() || r.Attributes["ApproximateReceiveCount"] != fmt.Sprint(calls+1) || len(r.MD5) != 32 {
								t.Errorf("a record is %+v", r)
							}
						}
						if calls++; calls == 1 {
							answer, err := tt.answer(ids)
							return []byte(answer), err
						}
						second, secondAt = texts, time.Since(start)
						return []byte(`{}`), nil
					}
					ctx, stop := context.WithCancel(t.Context())
					ended := make(chan error)
					go func() { ended <- s.Run(ctx) }()
					time.Sleep(5 * time.Minute)
					stop()
					if err := <-ended; err != nil {
						t.Fatalf("Run() = %v", err)
					}
					if !slices.Equal(second, tt.again) || len(q.Messages()) != 0 {
						t.Errorf("%q came again, want %q; %d are left", second, tt.again, len(q.Messages()))
					}
					if want := max(again, time.Minute*time.Duration(b2i(again == 0))); len(tt.again) > 0 && secondAt != want {
						t.Errorf("they came after %v, want %v", secondAt, want)
					}
				})
			})
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
