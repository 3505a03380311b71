package ses_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"gatehouse/internal/aws/ses"
	"gatehouse/internal/courier"
	"gatehouse/internal/due"
	fake "gatehouse/internal/fakes/ses"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// world is the courier over SES, under a clock of its own: events come through
// the handler when the clock has reached their time.
type world struct {
	t *testing.T
	*courier.Service
	ses     *fake.Server
	table   *memory.Table
	org     *org.Org
	user    identity.User
	sweeper *due.Sweeper
	handle  func(context.Context, events.EventBridgeEvent) error
	read    uint64

	mu   sync.Mutex
	time time.Time
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// newWorld returns a world with one user at the address, for whom a welcome is
// queued.
func newWorld(t *testing.T, o fake.Options, wait time.Duration, address string) *world {
	t.Helper()
	w := &world{t: t, time: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)}
	o.Now, o.Hold = w.now, true
	o.Events = func(raw json.RawMessage) {
		if err := w.handle(t.Context(), event(t, raw)); err != nil {
			t.Errorf("the handler gives %v", err)
		}
	}
	w.ses = start(t, o)
	w.table = memory.New(table.Subscription{Name: "welcome", Wants: courier.Wanted})
	w.table.Now = w.now
	// A table that was swept before: the first look back of a day costs time.
	if _, err := w.table.Commit(t.Context(), table.Put(table.Key{Part: "DUE", Sort: "#cursor"}, []byte("202611221050"))); err != nil {
		t.Fatalf("set the sweep's cursor: %v", err)
	}
	key := secret.Key{1, 2, 3}
	orgs := org.New(w.table, key, w.now, 0)
	var err error
	if w.org, err = orgs.Create(t.Context(), org.Spec{Name: "Example GmbH"}); err != nil {
		t.Fatalf("create an organization: %v", err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	w.Service = courier.New(courier.Config{
		Table: w.table, Orgs: orgs, Sender: ses.New(connect(t, w.ses.URL(), wait), set), Now: w.now,
		Links: courier.Links{Key: key, URL: "https://gate.example"}, From: mail.Address{Name: "Gatehouse", Addr: sender},
		Log: log, Parallel: 1,
	})
	w.sweeper = &due.Sweeper{
		Table: w.table, Now: w.now, Parallel: 1, Log: log,
		Handlers: map[string]func(context.Context, due.Ref) error{courier.DueKind: w.Service.Due},
	}
	w.handle = ses.Handler(w.Service.Settle, log)

	v, err := value.Parse(fmt.Appendf(nil, `{"userName":"u","emails":[{"value":%q}],"active":true}`, address))
	if err != nil {
		t.Fatalf("parse a user: %v", err)
	}
	u := roster.User{ID: identity.MintUser("abcde")}
	u.SetDoc(v, 0)
	if _, err := w.table.Commit(t.Context(), table.Put(roster.Of(w.table, w.org).UserKey(u.ID), u.Encode(true))); err != nil {
		t.Fatalf("store a user: %v", err)
	}
	w.user = u.ID
	if err := w.Queue(t.Context(), w.org, u.ID, courier.Welcome); err != nil {
		t.Fatalf("Queue: %v", err)
	}
	return w
}

// settle lets time pass: the feed, the sweep, and SES's events.
func (w *world) settle(d time.Duration) {
	w.t.Helper()
	for end := w.now().Add(d); ; w.pass(30 * time.Second) {
		entries, err := w.table.Entries(w.t.Context(), w.read, 1000)
		if err != nil {
			w.t.Fatalf("read the feed: %v", err)
		}
		for _, e := range entries {
			w.read = e.Position
			if errs := w.Consume(w.t.Context(), []table.Change{e.Change}); errs != nil {
				w.t.Fatalf("Consume: %v", errs)
			}
		}
		if _, err := w.sweeper.Sweep(w.t.Context()); err != nil {
			w.t.Fatalf("Sweep: %v", err)
		}
		w.ses.Release()
		if !w.now().Before(end) {
			return
		}
	}
}

func (w *world) state() string {
	w.t.Helper()
	all, err := w.States(w.t.Context(), w.org, w.user)
	if err != nil {
		w.t.Fatalf("States: %v", err)
	}
	s := all[w.user]
	return fmt.Sprintf("%s attempts=%d %s", s.Status, s.Attempts, s.Reason)
}

func repeated(delays ...time.Duration) func(fake.Event) []fake.Course {
	var all []fake.Course
	for _, d := range delays {
		all = append(all, fake.Course{Delay: d})
	}
	return func(fake.Event) []fake.Course { return all }
}

// only lets the events of one type take a course, and loses all others.
func only(kind string, delays ...time.Duration) func(fake.Event) []fake.Course {
	course := repeated(delays...)
	return func(e fake.Event) []fake.Course {
		if e.Type != kind {
			return nil
		}
		return course(e)
	}
}

// TestCourier is the promise: no mail is lost, none comes twice while SES's
// events arrive, and an address that is refused is told, not tried again.
func TestCourier(t *testing.T) {
	throttle := fake.Action{Code: "ThrottlingException", Text: "Maximum sending rate exceeded."}
	lost := fake.Action{Drop: true, Keep: true}
	for _, c := range []struct {
		name    string
		to      string // empty: a person
		options fake.Options
		plan    func(fake.Visit) fake.Action
		wait    time.Duration
		pass    time.Duration // 0: an hour
		want    string
		mails   int // that SES took
	}{
		{name: "sent", want: "delivered attempts=1 ", mails: 1},
		{name: "throttled within an attempt", plan: fake.First(3, throttle), want: "delivered attempts=1 ", mails: 1},
		{name: "throttled for minutes", plan: fake.First(11, throttle), want: "delivered attempts=1 ", mails: 1},
		{name: "the day is full", plan: fake.First(7, fake.Action{Code: "ThrottlingException", Text: "Daily message quota exceeded."}), pass: 20 * time.Hour, want: "delivered attempts=1 ", mails: 1},
		{name: "paused for hours", plan: fake.First(6, fake.Action{Code: "SendingPausedException"}), pass: 20 * time.Hour, want: "delivered attempts=1 ", mails: 1},
		{name: "in the sandbox for good", options: fake.Options{Sandbox: true, Verified: []string{"gate.example"}}, pass: 20 * time.Hour, want: "queued attempts=0 sandbox"},
		{name: "refused", plan: fake.Always(fake.Action{Code: "MessageRejected", Text: "Contents contain a virus"}), pass: 20 * time.Hour, want: "refused attempts=1 message-rejected"},
		{name: "an address that SES cannot carry", to: "bücher@customer.test", pass: 20 * time.Hour, want: "refused attempts=1 smtputf8"},
		{name: "no such mailbox", options: fake.Options{Outcome: func(string) fake.Outcome { return fake.BouncesHard }}, pass: 20 * time.Hour, want: "bounced attempts=1 Permanent.General", mails: 1},
		{name: "out of office", options: fake.Options{Outcome: func(string) fake.Outcome { return fake.OutOfOffice }}, want: "delivered attempts=1 ", mails: 1},
		{name: "SES down, not taken", plan: fake.First(2, fake.Action{Code: "InternalFailure"}), want: "delivered attempts=3 ", mails: 1},

		{name: "answer lost", plan: fake.First(1, lost), want: "delivered attempts=1 ", mails: 1},
		{name: "answer torn", plan: fake.First(1, fake.Action{Torn: true, Keep: true}), want: "delivered attempts=1 ", mails: 1},
		{name: "taken, and a 500", plan: fake.First(1, fake.Action{Code: "InternalFailure", Keep: true}), want: "delivered attempts=1 ", mails: 1},
		{name: "throttled, then answer lost", plan: func(v fake.Visit) fake.Action {
			if v.Times < 2 {
				return throttle
			}
			return lost
		}, want: "delivered attempts=1 ", mails: 1},
		{name: "answer late", plan: fake.First(1, fake.Action{Late: make(chan struct{})}), wait: 100 * time.Millisecond, want: "delivered attempts=1 ", mails: 1},
		{name: "answer lost, events late", plan: fake.First(1, lost), options: fake.Options{Courses: repeated(14 * time.Minute)}, want: "delivered attempts=1 ", mails: 1},
		{name: "answer lost, only Send arrives", plan: fake.First(1, lost), options: fake.Options{Courses: only("Send", 10*time.Minute)}, want: "sent attempts=1 ", mails: 1},
		{name: "answer lost, Send lost, delivery arrives", plan: fake.First(1, lost), options: fake.Options{Courses: only("Delivery", 10*time.Minute)}, want: "delivered attempts=1 ", mails: 1},
		{name: "answer lost, events repeated", plan: fake.First(1, lost), options: fake.Options{Courses: repeated(0, time.Minute, 30*time.Minute)}, want: "delivered attempts=1 ", mails: 1},
		{name: "answer lost, events in the wrong order", plan: fake.First(1, lost), options: fake.Options{Courses: func(e fake.Event) []fake.Course {
			if e.Type == "Send" {
				return []fake.Course{{Delay: 5 * time.Minute}}
			}
			return []fake.Course{{Delay: time.Minute}}
		}}, want: "delivered attempts=1 ", mails: 1},
		{name: "answer lost, bounced", plan: fake.First(1, lost), options: fake.Options{Outcome: func(string) fake.Outcome { return fake.BouncesHard }}, want: "bounced attempts=1 Permanent.General", mails: 1},
		// Both our answer and the event are lost: the one case in which a second
		// mail is the price of losing none.
		{name: "answer lost, no event ever", plan: fake.First(1, lost), options: fake.Options{Courses: repeated()}, want: "sent attempts=2 ", mails: 2},
		{name: "no event ever", options: fake.Options{Courses: repeated()}, want: "sent attempts=1 ", mails: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.to == "" {
				c.to = person
			}
			w := newWorld(t, c.options, c.wait, c.to)
			w.ses.Fail(c.plan)
			w.settle(max(c.pass, time.Hour))
			if got := w.state(); got != c.want {
				t.Errorf("the message stands at %q, want %q", got, c.want)
			}
			if n := len(w.ses.All()); n != c.mails {
				t.Errorf("SES took %d mails, want %d", n, c.mails)
			}
		})
	}
}

// TestFirstDay: mails that were queued in the sandbox go by themselves when the
// account leaves it, however long that takes.
func TestFirstDay(t *testing.T) {
	w := newWorld(t, fake.Options{Sandbox: true, Verified: []string{"gate.example"}}, 0, person)
	w.settle(72 * time.Hour)
	if got := w.state(); got != "queued attempts=0 sandbox" {
		t.Fatalf("after three days in the sandbox the message stands at %q", got)
	}
	w.ses.Leave()
	w.settle(75 * time.Minute)
	if got := w.state(); got != "delivered attempts=1 " || len(w.ses.Inbox(person)) != 1 {
		t.Errorf("out of the sandbox the message stands at %q with %d mails, want it delivered once", got, len(w.ses.Inbox(person)))
	}
}

// TestEventBeforeAnswer: SES's event can be handled while the request that it is
// about still waits for its answer.
func TestEventBeforeAnswer(t *testing.T) {
	for name, answer := range map[string]fake.Action{
		"an answer": {}, "no answer": {Drop: true, Keep: true}, "another failure": {Code: "InternalFailure", Keep: true},
	} {
		taken, late := make(chan struct{}, 2), make(chan struct{})
		answer.Late = late
		w := newWorld(t, fake.Options{Courses: func(fake.Event) []fake.Course {
			select {
			case taken <- struct{}{}:
			default:
			}
			return []fake.Course{{}}
		}}, 0, person)
		w.ses.Fail(fake.Always(answer))
		go func() {
			defer close(late)
			<-taken
			<-taken
			w.ses.Release()
		}()
		w.settle(time.Hour)
		if got := w.state(); got != "delivered attempts=1 " || len(w.ses.All()) != 1 {
			t.Errorf("events before %s: the message stands at %q with %d mails, want it delivered, and one", name, got, len(w.ses.All()))
		}
	}
}
