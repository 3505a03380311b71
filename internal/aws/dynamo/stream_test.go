package dynamo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/pump"

	"github.com/aws/aws-lambda-go/events"
)

// consumer keeps what it got, as "sort:counter" words, and fails what fail
// tells it to.
type consumer struct {
	mu   sync.Mutex
	got  []string
	fail func(context.Context, table.Change) error
}

func (c *consumer) Consume(ctx context.Context, batch []table.Change) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(batch))
	for i, ch := range batch {
		c.got = append(c.got, fmt.Sprintf("%s:%d", ch.Key.Sort, ch.New.N))
		if c.fail != nil {
			errs[i] = c.fail(ctx, ch)
		}
	}
	return errs
}

func (c *consumer) told() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.got, " ")
}

type attrs = map[string]events.DynamoDBAttributeValue

// record is one of the stream, as Lambda hands it over.
func record(sequence, sort string, n int64) events.DynamoDBEventRecord {
	keys := attrs{"p": events.NewStringAttribute("part"), "s": events.NewStringAttribute(sort)}
	image := attrs{"v": events.NewStringAttribute("vvvvvvvvvvvvvvvvvvvv"), "f": events.NewStringAttribute("feed"),
		"d": events.NewBinaryAttribute([]byte("data")), "n": events.NewNumberAttribute(fmt.Sprint(n))}
	for name, value := range keys {
		image[name] = value
	}
	return events.DynamoDBEventRecord{EventName: "INSERT", Change: events.DynamoDBStreamRecord{
		Keys: keys, NewImage: image, SequenceNumber: sequence, StreamViewType: "NEW_IMAGE"}}
}

func batchOf(records ...events.DynamoDBEventRecord) events.DynamoDBEvent {
	return events.DynamoDBEvent{Records: records}
}

// failures returns the sequence numbers that Handle reports.
func failures(t *testing.T, s *dynamo.Stream, ctx context.Context, e events.DynamoDBEvent) string {
	t.Helper()
	answer, err := s.Handle(ctx, e)
	if err != nil {
		t.Fatalf("Handle = %v, want success", err)
	}
	var words []string
	for _, f := range answer.BatchItemFailures {
		words = append(words, f.ItemIdentifier)
	}
	return strings.Join(words, " ")
}

func dead(t *testing.T, m table.Table) (all []pump.DeadLetter) {
	t.Helper()
	for d, err := range pump.DeadLetters(ctx, m, "feed") {
		if err != nil {
			t.Fatalf("DeadLetters = %v, want success", err)
		}
		all = append(all, d)
	}
	return all
}

func poison(sort string) func(context.Context, table.Change) error {
	return func(_ context.Context, ch table.Change) error {
		if ch.Key.Sort == sort {
			return errors.New("never")
		}
		return nil
	}
}

func TestHandle(t *testing.T) {
	malformed := record("300", "b", 1)
	malformed.Change.NewImage = attrs{"v": events.NewNumberAttribute("1")}
	keyless := record("301", "b", 1)
	keyless.Change.Keys = nil
	expired := events.DynamoDBEventRecord{EventName: "REMOVE", Change: events.DynamoDBStreamRecord{Keys: record("", "b", 1).Change.Keys, SequenceNumber: "302"},
		UserIdentity: &events.DynamoDBUserIdentity{Type: "Service", PrincipalID: "dynamodb.amazonaws.com"}}
	local := events.DynamoDBEventRecord{EventName: "", Change: events.DynamoDBStreamRecord{Keys: record("", "b", 1).Change.Keys, SequenceNumber: "304"}}
	deleted := events.DynamoDBEventRecord{EventName: "REMOVE", Change: events.DynamoDBStreamRecord{Keys: record("", "b", 1).Change.Keys, SequenceNumber: "303"}}
	for _, c := range []struct {
		name   string
		fail   func(context.Context, table.Change) error
		batch  events.DynamoDBEvent
		got    string
		failed string
	}{
		{"nothing", nil, batchOf(), "", ""},
		{"all well", nil, batchOf(record("1", "a", 1), record("2", "b", 1), record("3", "a", 2)), "a:1 b:1 a:2", ""},
		{"one fails", poison("b"), batchOf(record("1", "a", 1), record("2", "b", 1), record("3", "c", 1)), "a:1 b:1 c:1", "2"},
		{"what follows a failed one for its key", func(_ context.Context, ch table.Change) error {
			if ch.Key.Sort == "a" && ch.New.N == 1 {
				return errors.New("not now")
			}
			return nil
		}, batchOf(record("1", "a", 1), record("2", "b", 1), record("3", "a", 2), record("4", "c", 1)), "a:1 b:1 a:2 c:1", "1 3"},
		{"a malformed record, and what follows it for its key", nil, batchOf(record("1", "a", 1), malformed, record("400", "b", 2), record("401", "c", 1)), "a:1 c:1", "300 400"},
		{"a record without keys", nil, batchOf(keyless, record("400", "b", 2)), "b:2", "301"},
		{"an expired item", nil, batchOf(record("1", "b", 1), expired), "b:1", ""},
		{"an expired item as DynamoDB Local tells it", nil, batchOf(record("1", "b", 1), local), "b:1", ""},
		{"a deleted item", nil, batchOf(record("1", "b", 1), deleted), "b:1 b:0", ""},
		{"a consumer that panics over one", func(_ context.Context, ch table.Change) error {
			if ch.Key.Sort == "b" && ch.New.N == 1 {
				panic("poisonous")
			}
			return nil
		}, batchOf(record("1", "a", 1), record("2", "b", 1), record("3", "b", 2), record("4", "c", 1)), "a:1 b:1 a:1 b:1 c:1", "2 3"},
	} {
		m, to := memory.New(), &consumer{fail: c.fail}
		s := &dynamo.Stream{Table: m, Name: "feed", To: to, Log: quiet}
		failed := failures(t, s, ctx, c.batch)
		if failed != c.failed || to.told() != c.got {
			t.Errorf("%s: the consumer got %q and %q failed, want %q and %q", c.name, to.told(), failed, c.got, c.failed)
		}
	}
}

func TestHandleWithoutSequence(t *testing.T) {
	for _, sequence := range []string{"", "12x", strings.Repeat("1", 41)} {
		to := &consumer{}
		s := &dynamo.Stream{Table: memory.New(), Name: "feed", To: to, Log: quiet}
		if _, err := s.Handle(ctx, batchOf(record("1", "a", 1), record(sequence, "b", 1))); err == nil || to.told() != "" {
			t.Errorf("Handle of a record with the sequence number %q = %v and the consumer got %q, want an error before it gets anything", sequence, err, to.told())
		}
	}
}

func TestHandleOfAWrongAnswer(t *testing.T) {
	s := &dynamo.Stream{Table: memory.New(), Name: "feed", Log: quiet, To: answering(func(b []table.Change) []error { return []error{nil} })}
	if got := failures(t, s, ctx, batchOf(record("1", "a", 1), record("2", "b", 1))); got != "1 2" {
		t.Errorf("two changes answered with one error: %q failed, want both", got)
	}
	s.To = answering(func([]table.Change) []error { return nil })
	if got := failures(t, s, ctx, batchOf(record("1", "a", 1), record("2", "b", 1))); got != "" {
		t.Errorf("two changes answered with nil: %q failed, want none", got)
	}
}

type answering func([]table.Change) []error

func (f answering) Consume(_ context.Context, b []table.Change) []error { return f(b) }

// TestBury holds that a change is given up after eight tries and a minute, and
// not before either, and that the rest goes on.
func TestBury(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		tries int // after which it is buried
	}{
		{"tries in quick succession", 100 * time.Millisecond, 611},
		{"tries with long gaps", time.Minute, 8},
		{"ten seconds between tries", 10 * time.Second, 8},
	} {
		now := time.Unix(1_795_355_156, 0)
		m, to := memory.New(), &consumer{fail: poison("bad")}
		m.Now = func() time.Time { return now }
		s := &dynamo.Stream{Table: m, Name: "feed", To: to, Now: m.Now, Log: quiet}
		batch := batchOf(record("17", "bad", 1), record("18", "good", 1), record("19", "bad", 2))
		to.fail = func(_ context.Context, ch table.Change) error {
			if ch.Key.Sort == "bad" && ch.New.N == 1 {
				return errors.New("never")
			}
			return nil
		}
		tries := 1
		for ; tries < 1000; tries++ {
			if got := failures(t, s, ctx, batch); got == "" {
				break
			} else if got != "17 19" {
				t.Fatalf("%s: try %d fails %q, want the poison and what follows it", c.name, tries, got)
			}
			if n := len(dead(t, m)); n != 0 {
				t.Fatalf("%s: %d dead letters after try %d while it is still reported", c.name, n, tries)
			}
			now = now.Add(c.every)
		}
		if tries != c.tries {
			t.Errorf("%s: buried after %d tries, want %d", c.name, tries, c.tries)
		}
		letters := dead(t, m)
		if len(letters) != 1 {
			t.Fatalf("%s: %d dead letters, want 1", c.name, len(letters))
		}
		d := letters[0]
		if !d.Whole || d.Change.ID != "17" || d.Change.Key.Sort != "bad" || d.Tries != c.tries || string(d.Change.New.Data) != "data" || d.Reason != "never" {
			t.Errorf("%s: dead letter %+v, want the change whole", c.name, d)
		}
		to.fail = nil
		if err := pump.Replay(ctx, m, d, to); err != nil || !strings.HasSuffix(to.told(), "bad:1") {
			t.Errorf("%s: Replay = %v, want the change at the consumer", c.name, err)
		}
	}
}

// TestBuryWhatCannotBeRead holds that a malformed record is given up at last,
// and does not come back as a deletion.
func TestBuryWhatCannotBeRead(t *testing.T) {
	now := time.Unix(1_795_355_156, 0)
	m, to := memory.New(), &consumer{}
	s := &dynamo.Stream{Table: m, Name: "feed", To: to, Now: func() time.Time { return now }, Log: quiet}
	if _, err := m.Commit(ctx, table.Put(key("part", "b"), nil).Count(7)); err != nil {
		t.Fatal(err)
	}
	image, keyless := record("300", "b", 1), record("301", "c", 1)
	image.Change.NewImage = nil
	keyless.Change.Keys = attrs{"p": events.NewNullAttribute()}
	batch := batchOf(image, keyless, record("302", "a", 1))
	tries := 0
	for tries = 1; tries < 100 && failures(t, s, ctx, batch) != ""; tries++ {
		now = now.Add(15 * time.Second)
	}
	letters := dead(t, m)
	if tries != 8 || len(letters) != 2 {
		t.Fatalf("two records that cannot be read are %d dead letters after %d tries, want 2 after 8", len(letters), tries)
	}
	to.got = nil
	if err := pump.Replay(ctx, m, letters[0], to); err != nil || to.told() != "b:7" {
		t.Errorf("Replay of a change that could not be read = %v and delivers %q, want the item as it is stored", err, to.told())
	}
	if err := pump.Replay(ctx, m, letters[1], to); err == nil {
		t.Errorf("Replay of a change without a key = success, want an error")
	}
	if err := pump.Discard(ctx, m, letters[1]); err != nil {
		t.Errorf("Discard = %v, want success", err)
	}
}

// broken refuses commits of one partition.
type broken struct {
	table.Table
	part string
}

func (b broken) Commit(ctx context.Context, ws ...table.Write) (table.Version, error) {
	if strings.HasPrefix(ws[0].Key.Part, b.part) {
		return "", errors.New("not now")
	}
	return b.Table.Commit(ctx, ws...)
}

// TestNoTryNoLoss holds that a change stays failed while its tries cannot be
// counted, or its dead letter cannot be written.
func TestNoTryNoLoss(t *testing.T) {
	for _, part := range []string{"TRY#", "DEAD#"} {
		now := time.Unix(1_795_355_156, 0)
		m := memory.New()
		s := &dynamo.Stream{Table: broken{m, part}, Name: "feed", To: &consumer{fail: poison("a")}, Now: func() time.Time { return now }, Log: quiet}
		for range 20 {
			now = now.Add(time.Minute)
			if got := failures(t, s, ctx, batchOf(record("1", "a", 1))); got != "1" {
				t.Fatalf("while %s cannot be written %q failed, want the poison still", part, got)
			}
		}
		s.Table = m
		for range 10 {
			now = now.Add(time.Minute)
			failures(t, s, ctx, batchOf(record("1", "a", 1)))
		}
		if n := len(dead(t, m)); n != 1 {
			t.Errorf("%d dead letters once %s can be written again, want 1", n, part)
		}
	}
}

// TestDeadline holds that there is time to answer, and that a change which the
// consumer had no time for has not been tried.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, to := memory.New(), &consumer{}
		to.fail = func(ctx context.Context, ch table.Change) error {
			if ch.Key.Sort == "slow" {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		s := &dynamo.Stream{Table: m, Name: "feed", To: to, Log: quiet}
		begin := time.Now()
		for range 20 {
			limited, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			at := time.Now()
			if got := failures(t, s, limited, batchOf(record("1", "a", 1), record("2", "slow", 1), record("3", "b", 1))); got != "2 3" {
				t.Errorf("with a change that takes too long %q failed, want it and what was not begun", got)
			}
			if took := time.Since(at); took != 28*time.Second {
				t.Errorf("Handle with 30 s takes %v, want 28 s", took)
			}
			cancel()
		}
		if n := len(dead(t, m)); n != 0 || time.Since(begin) < 2*time.Minute {
			t.Errorf("%d dead letters of changes that were not tried, want none", n)
		}
	})
}

func TestRead(t *testing.T) {
	until := time.Unix(1_795_355_156, 0).UTC()
	r := record("7", "a", -3)
	r.Change.NewImage["x"] = events.NewNumberAttribute(fmt.Sprint(until.Unix()))
	r.Change.NewImage["f"] = events.NewStringAttribute("feed welcome")
	r.Change.NewImage["later"] = events.NewBooleanAttribute(true) // of a release to come
	d, err := dynamo.Read(r)
	if err != nil || d.Change.Key != key("part", "a") || d.Change.ID != "7" || d.Removed || d.Commit() != "vvvvvvvvvvvvvvvvvvvv" {
		t.Errorf("Read = %+v, %v, want the change", d, err)
	}
	if i := d.Change.New; i.N != -3 || !i.Expires.Equal(until) || !bytes.Equal(i.Data, []byte("data")) {
		t.Errorf("Read gives the item %+v, want it whole", i)
	}
	for name, want := range map[string]bool{"feed": true, "welcome": true, "fee": false, "": false} {
		if got := d.Wants(name); got != want {
			t.Errorf("Wants(%q) of a change for %q = %t, want %t", name, d.For, got, want)
		}
	}
	for name, spoil := range map[string]func(*events.DynamoDBEventRecord){
		"no keys":             func(r *events.DynamoDBEventRecord) { r.Change.Keys = nil },
		"no image":            func(r *events.DynamoDBEventRecord) { r.Change.NewImage = nil },
		"no version":          func(r *events.DynamoDBEventRecord) { delete(r.Change.NewImage, "v") },
		"an image of another": func(r *events.DynamoDBEventRecord) { r.Change.NewImage["s"] = events.NewStringAttribute("b") },
		"a counter of text":   func(r *events.DynamoDBEventRecord) { r.Change.NewImage["n"] = events.NewStringAttribute("1") },
		"a broken counter":    func(r *events.DynamoDBEventRecord) { r.Change.NewImage["n"] = events.NewNumberAttribute("1.5") },
		"null data":           func(r *events.DynamoDBEventRecord) { r.Change.NewImage["d"] = events.NewNullAttribute() },
		"an unknown kind":     func(r *events.DynamoDBEventRecord) { r.EventName = "REPLACE" },
	} {
		r := record("7", "a", 1)
		spoil(&r)
		if d, err := dynamo.Read(r); !errors.Is(err, dynamo.ErrMalformed) || d.Change.ID != "7" || strings.Contains(err.Error(), "data") {
			t.Errorf("Read of a record with %s = %+v, %v, want ErrMalformed without content", name, d, err)
		}
	}
}
