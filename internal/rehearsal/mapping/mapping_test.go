package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"gatehouse/infra"
)

func TestChildrenComeAfterTheirParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStream(), &function{takes: time.Second}
		for n := range 5 {
			for i := range 30 {
				s.put(fmt.Sprintf("part%d/a", i%4), fmt.Sprintf("%d.%02d", n, i))
			}
			s.split()
		}
		m := begin(t, s, f, func(o *Options) { o.Stream.Parallel = 3 })
		settle(t, m)
		total := 0
		for key, values := range f.values() {
			total += len(values)
			if !slices.IsSorted(values) {
				t.Errorf("%s came as %q", key, values)
			}
		}
		if total != 150 {
			t.Errorf("%d records came, want 150", total)
		}
		if f.most < 2 || f.most > 3 {
			t.Errorf("%d batches were under way at once, want 2 or 3", f.most)
		}
		// A shard that appears later is found, too.
		s.put("part9/a", "late")
		s.split()
		s.put("part9/a", "later")
		settle(t, m)
		if got := f.values()["part9/a"]; !slices.Equal(got, []string{"late", "later"}) {
			t.Errorf("the late records came as %q", got)
		}
	})
}

func TestBatchesAreCutBySizeAndWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStream(), &function{}
		m := begin(t, s, f, func(o *Options) { o.Stream.Window = 5 * time.Second })
		start := time.Now()
		for i := range 23 {
			s.put("p/a", fmt.Sprint(i))
		}
		time.Sleep(4 * time.Second)
		if got := f.sizes(); !slices.Equal(got, []int{10, 10}) {
			t.Errorf("after 4 s the batches are of %d records, want 10 and 10", got)
		}
		settle(t, m)
		if got := f.sizes(); !slices.Equal(got, []int{10, 10, 3}) {
			t.Errorf("the batches are of %d records, want 10, 10 and 3", got)
		}
		if took := time.Since(start); took < 5*time.Second {
			t.Errorf("the last batch came after %v, want 5 s at least", took)
		}
	})
}

func TestABatchIsNoLargerThanAnEventMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStream(), &function{}
		for range 40 {
			s.put("p/a", strings.Repeat("x", 390<<10))
		}
		m := begin(t, s, f, func(o *Options) { o.Stream.BatchSize, o.Stream.Window = 100, time.Second })
		settle(t, m)
		if got := f.sizes(); len(got) != 3 || got[0]+got[1]+got[2] != 40 {
			t.Errorf("the batches are of %d records, want three that have 40", got)
		}
	})
}

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStream(), &function{}
		m := begin(t, s, f, func(o *Options) {
			o.Stream.Filters = []json.RawMessage{[]byte(`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"f":{"S":["feed"]}}}}`), []byte(`{"eventName":["REMOVE"]}`)}
		})
		s.put("p/a", "feed")
		s.put("p/b", "welcome")
		s.record(types.OperationTypeModify, "p/c", nil)
		s.record("UNKNOWN", "p/d", nil) // DynamoDB Local's time to live
		settle(t, m)
		var got []string
		for _, b := range f.batches {
			for _, c := range b {
				by := ""
				if c.Identity != nil {
					by = " by " + c.Identity.PrincipalID
				}
				got = append(got, c.Name+" "+c.key()+by)
			}
		}
		want := []string{"INSERT p/a", "REMOVE p/d by dynamodb.amazonaws.com"}
		if !slices.Equal(got, want) {
			t.Errorf("the function was told %q, want %q", got, want)
		}
	})
}

// unrun is a throttled invocation.
type unrun struct{}

func (unrun) Error() string { return "TooManyRequests" }
func (unrun) Ran() bool     { return false }

func TestFailedInvocations(t *testing.T) {
	crash := errors.New("Runtime exited")
	tests := []struct {
		name   string
		change func(*infra.Stream)
		answer func(n int, batch []change) (string, error)
		sizes  []int    // of the batches
		lost   []string // start, end and condition of what was discarded
		counts Counts
	}{
		{
			name: "a partial failure resumes at the lowest",
			answer: func(n int, b []change) (string, error) {
				if n > 1 {
					return "", nil
				}
				return failures(b, 5, 3, 9), nil
			},
			sizes: []int{10, 7}, counts: Counts{Invocations: 2, Failures: 1},
		},
		{
			name: "an unknown name fails the whole batch",
			answer: func(n int, b []change) (string, error) {
				return when(n == 1, `{"batchItemFailures":[{"itemIdentifier":"7"}]}`), nil
			},
			sizes: []int{10, 10}, counts: Counts{Invocations: 2, Failures: 1},
		},
		{
			name: "an empty name fails the whole batch",
			answer: func(n int, b []change) (string, error) {
				return when(n == 1, `{"batchItemFailures":[{"itemIdentifier":""}]}`), nil
			},
			sizes: []int{10, 10}, counts: Counts{Invocations: 2, Failures: 1},
		},
		{
			name: "a name under another key fails the whole batch",
			answer: func(n int, b []change) (string, error) {
				return when(n == 1, `{"batchItemFailures":[{"id":"7"}]}`), nil
			},
			sizes: []int{10, 10}, counts: Counts{Invocations: 2, Failures: 1},
		},
		{
			name:   "an answer that is no object fails the whole batch",
			answer: func(n int, b []change) (string, error) { return when(n == 1, `"done"`), nil },
			sizes:  []int{10, 10}, counts: Counts{Invocations: 2, Failures: 1},
		},
		{
			name:   "null and nothing are success",
			answer: func(int, []change) (string, error) { return "null", nil },
			sizes:  []int{10}, counts: Counts{Invocations: 1},
		},
		{
			name:   "without partial responses nobody reads the answer",
			change: func(s *infra.Stream) { s.Partial = false },
			answer: func(n int, b []change) (string, error) { return failures(b, 0), nil },
			sizes:  []int{10}, counts: Counts{Invocations: 1},
		},
		{
			name:   "an error is tried again whole",
			answer: func(n int, _ []change) (string, error) { return "", whenErr(n <= 3, crash) },
			sizes:  []int{10, 10, 10, 10}, counts: Counts{Invocations: 4, Failures: 3},
		},
		{
			name:   "an error halves the batch, and splitting is no retry",
			change: func(s *infra.Stream) { s.Bisect, s.Retries = true, 0 },
			answer: func(n int, b []change) (string, error) {
				return "", whenErr(slices.ContainsFunc(b, func(c change) bool { return c.value() == "7" }), crash)
			},
			sizes: []int{10, 5, 5, 2, 3, 1, 2},
			lost:  []string{"108 108 RetryAttemptsExhausted 4 Unhandled"}, counts: Counts{Invocations: 7, Failures: 4, Bisections: 3, Discarded: 1},
		},
		{
			name:   "a poison record that is reported takes the rest of its batch along",
			change: func(s *infra.Stream) { s.Bisect, s.Retries = true, 2 },
			answer: func(n int, b []change) (string, error) {
				if i := slices.IndexFunc(b, func(c change) bool { return c.value() == "7" }); i >= 0 {
					return failures(b, i), nil
				}
				return "", nil
			},
			sizes: []int{10, 3, 3}, lost: []string{"108 110 RetryAttemptsExhausted 3 "}, counts: Counts{Invocations: 3, Failures: 3, Discarded: 3},
		},
		{
			name:   "a throttled invocation is no try",
			change: func(s *infra.Stream) { s.Retries = 0 },
			answer: func(n int, _ []change) (string, error) { return "", whenErr(n <= 5, unrun{}) },
			sizes:  []int{10, 10, 10, 10, 10, 10}, counts: Counts{Invocations: 1},
		},
		{
			name:   "what is too old is given up",
			change: func(s *infra.Stream) { s.MaxAge = time.Minute },
			answer: func(int, []change) (string, error) { return "", crash },
			lost:   []string{"101 110 RecordAgeExceeded 10 Unhandled"}, counts: Counts{Invocations: 10, Failures: 10, Discarded: 10},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f := newStream(), &function{answer: tt.answer}
				for i := range 10 {
					s.put("p/a", fmt.Sprint(i))
				}
				var lost []string
				m := begin(t, s, f, func(o *Options) {
					if tt.change != nil {
						tt.change(&o.Stream)
					}
					o.Discard = func(m []byte) { lost = append(lost, discarded(t, m)) }
				})
				settle(t, m)
				if got := f.sizes(); len(tt.sizes) > 0 && !slices.Equal(got, tt.sizes) {
					t.Errorf("the batches are of %d records, want %d", got, tt.sizes)
				}
				if !slices.Equal(lost, tt.lost) {
					t.Errorf("discarded are %q, want %q", lost, tt.lost)
				}
				if got := m.Counts(); got != tt.counts {
					t.Errorf("Counts() = %+v, want %+v; batches of %d", got, tt.counts, f.sizes())
				}
			})
		})
	}
}

func when(is bool, answer string) string {
	if is {
		return answer
	}
	return `{"batchItemFailures":[]}`
}

func whenErr(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// discarded reads an on-failure message.
func discarded(t *testing.T, message []byte) string {
	var m struct {
		RequestContext struct {
			RequestID, FunctionARN, Condition string
			ApproximateInvokeCount            int
		}
		ResponseContext struct {
			StatusCode                     int
			ExecutedVersion, FunctionError string
		}
		Version            string
		Timestamp          time.Time
		DDBStreamBatchInfo struct {
			ShardID, StartSequenceNumber, EndSequenceNumber                 string
			ApproximateArrivalOfFirstRecord, ApproximateArrivalOfLastRecord time.Time
			BatchSize                                                       int
			StreamARN                                                       string
		}
	}
	if err := json.Unmarshal(message, &m); err != nil {
		t.Errorf("the on-failure message is no JSON: %v", err)
	}
	b := m.DDBStreamBatchInfo
	start, end := strings.TrimLeft(b.StartSequenceNumber, "0"), strings.TrimLeft(b.EndSequenceNumber, "0")
	if m.Version != "1.0" || m.ResponseContext.StatusCode != 200 || m.ResponseContext.ExecutedVersion != "$LATEST" ||
		len(m.RequestContext.RequestID) != 36 || !strings.HasSuffix(m.RequestContext.FunctionARN, ":stack-feed") ||
		b.ShardID != "shard-0" || !strings.Contains(b.StreamARN, "/stream/") || m.Timestamp.IsZero() || b.ApproximateArrivalOfFirstRecord.IsZero() {
		t.Errorf("the on-failure message is %s", message)
	}
	return fmt.Sprintf("%s %s %s %d %s", start, end, m.RequestContext.Condition, m.RequestContext.ApproximateInvokeCount, m.ResponseContext.FunctionError)
}

func TestSeedReordersAcrossKeysOnly(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			s, f := newStream(), &function{takes: 10 * time.Millisecond}
			for i := range 200 {
				s.put(fmt.Sprintf("part%d/%d", i%7, i%3), fmt.Sprintf("%03d", i))
			}
			m := begin(t, s, f, func(o *Options) { o.Seed, o.Stream.BatchSize = seed+1, 20 })
			settle(t, m)
			byPart, inOrder, total := map[string]string{}, true, 0
			latest := ""
			for _, b := range f.batches {
				for i, c := range b {
					total++
					if i > 0 && c.D.Sequence <= b[i-1].D.Sequence {
						t.Errorf("within a batch %s follows %s", c.D.Sequence, b[i-1].D.Sequence)
					}
					if part := c.D.Keys["p"].S; c.value() <= byPart[part] {
						t.Errorf("%s of %s follows %s", c.value(), part, byPart[part])
					} else {
						byPart[part] = c.value()
					}
					inOrder = inOrder && c.value() > latest
					latest = c.value()
				}
			}
			if total != 200 || inOrder {
				t.Errorf("%d records came, want 200; in the order of the stream: %v", total, inOrder)
			}
		})
	}
}

func TestPositionsOutliveAMapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		var at Positions
		for i := range 20 {
			s.put(fmt.Sprintf("part%d/a", i%5), fmt.Sprintf("%02d", i))
		}
		first := &function{takes: time.Second}
		m := begin(t, s, first, func(o *Options) { o.Positions, o.Stream.BatchSize, o.Stream.Parallel = &at, 2, 5 })
		time.Sleep(1500 * time.Millisecond) // some are done and some under way
		m.Close()
		done := len(first.sizes())
		if done == 0 || done == 10 {
			t.Fatalf("%d batches were begun before the end, want some and not all", done)
		}
		s.split()
		s.expire = 3
		second := &function{}
		m = begin(t, s, second, func(o *Options) { o.Positions = &at })
		settle(t, m)
		seen := map[string]int{}
		for _, f := range []*function{first, second} {
			for _, values := range f.values() {
				for _, v := range values {
					seen[v]++
				}
			}
		}
		if len(seen) != 20 {
			t.Errorf("%d of 20 records came", len(seen))
		}
		m.Close()
		third := &function{}
		settle(t, begin(t, s, third, func(o *Options) { o.Positions = &at }))
		if got := third.sizes(); len(got) != 0 {
			t.Errorf("what was done came again, in batches of %d", got)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"BatchSize":      func(o *Options) { o.Stream.BatchSize = 0 },
		"Parallel":       func(o *Options) { o.Stream.Parallel = 11 },
		"Window":         func(o *Options) { o.Stream.Window = time.Hour },
		"Retry":          func(o *Options) { o.Stream.Retries = -2 },
		"five filters":   func(o *Options) { o.Stream.Filters = make([]json.RawMessage, 6) },
		"is not known":   func(o *Options) { o.Stream.Filters = []json.RawMessage{[]byte(`{"n":[{"numeric":["=",1]}]}`)} },
		"HASH attribute": func(o *Options) { o.Hash = "" },
	} {
		o := Options{Stream: infra.Stream{BatchSize: 1}, StreamARN: "arn", Hash: "p"}
		change(&o)
		if m, err := Start(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start() = %v, want an error with %q", err, want)
			if m != nil {
				m.Close()
			}
		}
	}
}
