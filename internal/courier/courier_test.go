package courier_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

func always(err error) func(int) error { return func(int) error { return err } }

func later(code string) error   { return &mail.Reason{Code: code, Err: mail.ErrLater} }
func refused(code string) error { return &mail.Reason{Code: code, Err: mail.ErrRefused} }

func TestWelcome(t *testing.T) {
	w := newWorld(t, mail.Repeats, nil)
	u := w.join()
	for range 3 {
		w.queue(u)
	}
	w.deliver()
	w.queue(u)
	w.settle(time.Hour)
	w.want(u, "sent #1 attempts=1 ")
	if w.total() != 1 {
		t.Fatalf("a user who was queued four times has %d mails, want 1", w.total())
	}
	for id, mails := range w.sender.mails {
		m := mails[0]
		if len(id) != 26 || m.To.Addr != "canary."+string(u)+"@example.test" || m.To.Name != "" || m.Subject != "Your account at Example GmbH" || m.Language != "en" || m.From != w.config.From {
			t.Errorf("the mail is %+v", m)
		}
	}
}

// TestTransitions has a row for each way from state to state.
func TestTransitions(t *testing.T) {
	open := func(n int) error {
		if n == 1 {
			return errOpen
		}
		return nil
	}
	for _, c := range []struct {
		name    string
		promise mail.Promise
		fail    func(int) error
		before  func(*world, identity.User) // the first delivery
		after   func(*world, identity.User) // it
		pass    time.Duration
		want    string
		mails   int
	}{
		{name: "sent", want: "sent #1 attempts=1 ", mails: 1},
		{name: "refused and not tried again", fail: always(refused("550 5.1.1")), pass: 24 * time.Hour, want: "refused #1 attempts=1 550 5.1.1"},
		{name: "refused by a word with a digit", fail: always(refused("smtputf8")), want: "refused #1 attempts=1 smtputf8"},
		{name: "not taken: waits", fail: always(later("451 4.7.1")), want: "queued #1 attempts=1 451 4.7.1"},
		{name: "not taken: again after a minute", fail: always(later("timeout")), pass: 2 * time.Minute, want: "queued #1 attempts=2 timeout"},
		{name: "never taken: dead", fail: always(later("connect")), pass: 30 * time.Hour, want: "dead #1 attempts=8 connect"},
		{name: "taken at last", fail: func(n int) error {
			if n < 5 {
				return later("connect")
			}
			return nil
		}, pass: 5 * time.Hour, want: "sent #1 attempts=5 ", mails: 1},
		{name: "left open, repeats: stays", promise: mail.Repeats, fail: open, want: "sending #1 attempts=1 dropped", mails: 1},
		{name: "left open, repeats: again after the lease", promise: mail.Repeats, fail: open, pass: 4 * time.Minute, want: "sent #1 attempts=2 ", mails: 2},
		{name: "left open, once: again at once", promise: mail.Once, fail: open, want: "sent #1 attempts=2 ", mails: 1},
		{name: "left open, settles: waits for the report", promise: mail.Settles, fail: open, pass: 14 * time.Minute, want: "sending #1 attempts=1 dropped", mails: 1},
		{name: "left open, settles: again without a report", promise: mail.Settles, fail: open, pass: 17 * time.Minute, want: "sent #1 attempts=2 ", mails: 2},
		{name: "left open, settles: reported", promise: mail.Settles, fail: open, after: func(w *world, _ identity.User) { w.report(w.t) }, pass: time.Hour, want: "sent #1 attempts=1 ", mails: 1},
		{name: "always left open, repeats: dead", promise: mail.Repeats, fail: always(errOpen), pass: 2 * time.Hour, want: "dead #1 attempts=8 dropped", mails: 8},
		{name: "always left open, once: dead", promise: mail.Once, fail: always(errOpen), pass: 30 * time.Hour, want: "dead #1 attempts=8 dropped", mails: 1},
		{name: "an error without a reason is left open", promise: mail.Repeats, fail: always(errors.New("canary")), want: "sending #1 attempts=1 unknown"},
		{name: "a reason of another form", fail: always(refused("550 canary@example.test")), want: "refused #1 attempts=1 unknown"},
		{name: "deleted meanwhile", before: func(w *world, u identity.User) { w.remove(u) }, want: "cancelled #1 attempts=0 deleted"},
		{name: "suspended meanwhile", before: func(w *world, u identity.User) {
			w.store(u, `{"userName":"u","active":false}`)
		}, want: "cancelled #1 attempts=0 suspended"},
		{name: "activated meanwhile", before: func(w *world, u identity.User) {
			w.store(u, `{"userName":"u"}`, func(u *roster.User) { u.Activated = w.now() })
		}, want: "cancelled #1 attempts=0 activated"},
		{name: "no address", before: func(w *world, u identity.User) { w.store(u, `{"userName":"u"}`) }, want: "undeliverable #1 attempts=0 no-address"},
		{name: "no usable address", before: func(w *world, u identity.User) {
			w.store(u, `{"userName":"u","emails":[{"value":"a..b@example.test"}]}`)
		}, want: "undeliverable #1 attempts=0 no-address"},
		{name: "deleted while waiting", fail: always(later("connect")), after: func(w *world, u identity.User) { w.remove(u) }, pass: time.Hour, want: "cancelled #1 attempts=1 deleted"},
		{name: "suspended while left open", fail: always(errOpen), after: func(w *world, u identity.User) { w.store(u, `{"active":false}`) }, pass: time.Hour, want: "cancelled #1 attempts=1 suspended", mails: 1},
		{name: "active again after being cancelled", before: func(w *world, u identity.User) {
			w.store(u, `{"active":false}`)
			w.deliver()
			w.store(u, `{"userName":"a@example.test"}`)
			w.queue(u)
		}, want: "sent #1 attempts=1 ", mails: 1},
		{name: "dead, replayed", fail: func(n int) error {
			if n <= 8 {
				return later("connect")
			}
			return nil
		}, after: func(w *world, u identity.User) {
			w.settle(30 * time.Hour)
			w.want(u, "dead #1 attempts=8 connect")
			if err := w.Replay(w.t.Context(), w.org, u); err != nil {
				w.t.Errorf("Replay: %v", err)
			}
		}, pass: time.Minute, want: "sent #1 attempts=1 ", mails: 1},
		{name: "resent after it was sent", after: func(w *world, u identity.User) { w.resend(u) }, pass: time.Minute, want: "sent #2 attempts=1 ", mails: 2},
		{name: "resent while waiting", fail: func(n int) error {
			if n == 1 {
				return later("connect")
			}
			return nil
		}, after: func(w *world, u identity.User) { w.resend(u) }, pass: time.Hour, want: "sent #2 attempts=1 ", mails: 1},
		{name: "resent while left open", promise: mail.Repeats, fail: open, after: func(w *world, u identity.User) { w.resend(u) }, pass: time.Hour, want: "sent #2 attempts=1 ", mails: 2},
		{name: "resent before its first attempt", before: func(w *world, u identity.User) { w.resend(u) }, want: "sent #1 attempts=1 ", mails: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.promise, nil)
			w.sender.fail = c.fail
			u := w.join()
			w.queue(u)
			if c.before != nil {
				c.before(w, u)
			}
			w.deliver()
			if c.after != nil {
				c.after(w, u)
			}
			w.settle(c.pass)
			w.want(u, c.want)
			if w.total() != c.mails {
				t.Errorf("there are %d mails, want %d", w.total(), c.mails)
			}
		})
	}
}

// TestReports takes every report in every order after every outcome.
func TestReports(t *testing.T) {
	order := []courier.Status{courier.Sent, courier.Refused, courier.Delivered, courier.Bounced, courier.Complained}
	rank := map[courier.Status]int{}
	for i, s := range order {
		rank[s] = i + 1
	}
	for i := range order {
		for j := range order {
			w := newWorld(t, mail.Settles, nil)
			u := w.join()
			w.queue(u)
			w.deliver()
			id := w.sender.reports[0].ID
			best := courier.Sent
			for _, s := range []courier.Status{order[i], order[j], order[i]} {
				if err := w.Settle(t.Context(), courier.Report{ID: id, Status: s}); err != nil {
					t.Fatalf("Settle(%s): %v", s, err)
				}
				if rank[s] > rank[best] {
					best = s
				}
			}
			w.settle(time.Hour)
			if got := w.state(u).Status; got != best {
				t.Errorf("after the reports %s, %s, %s the message is %s, want %s", order[i], order[j], order[i], got, best)
			}
			if w.total() != 1 {
				t.Errorf("after the reports %s and %s there are %d mails", order[i], order[j], w.total())
			}
		}
	}
}

func TestReportAfterDead(t *testing.T) {
	w := newWorld(t, mail.Settles, nil)
	w.sender.fail = always(errOpen)
	u := w.join()
	w.queue(u)
	w.settle(6 * time.Hour)
	w.want(u, "dead #1 attempts=8 dropped")
	w.report(t)
	if got := w.state(u).Status; got != courier.Sent {
		t.Errorf("a dead message that was reported as sent is %s", got)
	}
}

func TestReportRefusals(t *testing.T) {
	w := newWorld(t, mail.Settles, nil)
	u := w.join()
	w.queue(u)
	w.deliver()
	id := w.sender.reports[0].ID
	for _, c := range []struct {
		r    courier.Report
		kind fault.Kind
	}{
		{courier.Report{ID: "unknown", Status: courier.Sent}, fault.NotFound},
		{courier.Report{ID: id, Status: courier.Queued}, fault.Invalid},
		{courier.Report{ID: id, Status: "nonsense"}, fault.Invalid},
	} {
		if err := w.Settle(t.Context(), c.r); !fault.Is(err, c.kind) {
			t.Errorf("Settle(%+v) = %v, want %v", c.r, err, c.kind)
		}
	}
	w.pass(31 * 24 * time.Hour)
	if err := w.Settle(t.Context(), courier.Report{ID: id, Status: courier.Bounced}); !fault.Is(err, fault.NotFound) {
		t.Errorf("Settle after 31 days = %v, want not found", err)
	}
}

func (w *world) links() (secrets []string) {
	for _, mails := range w.sender.mails {
		for _, m := range mails {
			_, rest, _ := strings.Cut(m.Text, "https://gate.example/activate/")
			secrets = append(secrets, strings.Fields(rest)[0])
		}
	}
	return secrets
}

func TestLink(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	u := w.join()
	w.queue(u)
	w.deliver()
	s := w.links()[0]
	if len(s) != 43 || w.Links().Activation(s) != "https://gate.example/activate/"+s {
		t.Fatalf("the secret %q has %d characters, want 43", s, len(s))
	}
	for range 2 { // looking up uses nothing up
		i, err := w.Lookup(t.Context(), s)
		if err != nil || i.Org != w.org.ID || i.User != u || i.Generation != 1 || i.Expired || !i.Expires.Equal(w.now().Add(courier.LinkLife)) {
			t.Fatalf("Lookup = %+v, %v", i, err)
		}
	}
	w.pass(courier.LinkLife)
	i, err := w.Lookup(t.Context(), s)
	if err != nil || !i.Expired {
		t.Errorf("Lookup after 7 days = %+v, %v, want an expired invitation", i, err)
	}
	w.pass(30 * 24 * time.Hour)
	if _, err := w.Lookup(t.Context(), s); !fault.Is(err, fault.NotFound) {
		t.Errorf("Lookup after 37 days = %v, want not found", err)
	}
	for _, bad := range []string{"", "x", s + "A", s[:42], strings.Repeat("A", 43), strings.Repeat("/", 43), strings.Repeat("\x00", 43)} {
		if _, err := w.Lookup(t.Context(), bad); !fault.Is(err, fault.NotFound) {
			t.Errorf("Lookup(%q) = %v, want not found", bad, err)
		}
	}
}

func TestSpend(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	u := w.join()
	w.queue(u)
	w.deliver()
	s := w.links()[0]
	one, err := w.Lookup(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := w.Lookup(t.Context(), s)
	if _, err := w.table.Commit(t.Context(), w.Spend(one)); err != nil {
		t.Fatalf("Spend: %v", err)
	}
	if _, err := w.table.Commit(t.Context(), w.Spend(two)); !table.Conflicts(err, two.Key()) {
		t.Errorf("a second Spend = %v, want a conflict at the invitation", err)
	}
	if _, err := w.Lookup(t.Context(), s); !fault.Is(err, fault.NotFound) {
		t.Errorf("Lookup of a spent link = %v, want not found", err)
	}
}

func TestResendVoidsTheLink(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	u := w.join()
	w.queue(u)
	w.deliver()
	first := w.links()[0]
	old, err := w.Lookup(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	w.resend(u)
	if _, err := w.Lookup(t.Context(), first); !fault.Is(err, fault.NotFound) {
		t.Errorf("Lookup of the first link after a resend = %v, want not found", err)
	}
	if _, err := w.table.Commit(t.Context(), w.Spend(old)); !table.Conflicts(err, old.Key()) {
		t.Errorf("Spend of the first link after a resend = %v, want a conflict", err)
	}
	w.deliver()
	good := 0
	for _, s := range w.links() {
		if i, err := w.Lookup(t.Context(), s); err == nil && i.Generation == 2 {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d links of generation 2 are good, want 1", good)
	}
}

func TestResendLimit(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	u := w.join()
	w.queue(u)
	w.deliver()
	for range courier.ResendsPerDay {
		w.resend(u)
		w.deliver()
	}
	err := w.Resend(t.Context(), w.org, u, "admin")
	if f := fault.Of(err); f == nil || f.Kind != fault.Throttled || f.Retry != 24*time.Hour {
		t.Errorf("resend %d in a day = %v, want throttled for 24 hours", courier.ResendsPerDay+1, err)
	}
	w.pass(24 * time.Hour)
	w.resend(u)
	w.deliver()
	if w.total() != courier.ResendsPerDay+2 {
		t.Errorf("there are %d mails, want %d", w.total(), courier.ResendsPerDay+2)
	}
	w.want(u, "sent #7 attempts=1 ")
	if err := w.Resend(t.Context(), w.org, "nobody", "x"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Resend to no id = %v, want not found", err)
	}
}

func TestReplayOfWhatHasNotFailed(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	u := w.join()
	if err := w.Replay(t.Context(), w.org, u); !fault.Is(err, fault.NotFound) {
		t.Errorf("Replay without a message = %v, want not found", err)
	}
	w.queue(u)
	w.deliver()
	if err := w.Replay(t.Context(), w.org, u); !fault.Is(err, fault.Conflict) {
		t.Errorf("Replay of a sent message = %v, want a conflict", err)
	}
}

func TestDailyLimit(t *testing.T) {
	w := newWorld(t, mail.Once, func(c *courier.Config) { c.DailyLimit = 3 })
	var users []identity.User
	for range 8 {
		u := w.join()
		users = append(users, u)
		w.queue(u)
	}
	count := func() (sent, waiting int) {
		for _, u := range users {
			switch s := w.state(u); {
			case s.Status == courier.Sent:
				sent++
			case s.Status == courier.Queued && s.Reason == courier.ReasonLimit && s.Attempts == 0 && !s.Next.IsZero():
				waiting++
			}
		}
		return sent, waiting
	}
	for day, want := range []int{3, 6, 8} {
		w.settle(2 * time.Minute)
		if sent, waiting := count(); sent != want || waiting != 8-want {
			t.Errorf("day %d: %d sent and %d waiting, want %d and %d", day+1, sent, waiting, want, 8-want)
		}
		w.pass(12 * time.Hour)
		if day == 0 {
			w.settle(3 * time.Hour) // from 23:00 to 2:00
		} else {
			w.settle(13 * time.Hour)
		}
	}
	// A second attempt of one message does not count again: all were sent.
	if w.total() != 8 {
		t.Errorf("there are %d mails, want 8", w.total())
	}
}

// TestLinkOfALateMail: what waited for days goes out with a link of full life.
func TestLinkOfALateMail(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	u := w.join()
	w.queue(u)
	w.pass(6 * 24 * time.Hour)
	w.deliver()
	i, err := w.Lookup(t.Context(), w.links()[0])
	if err != nil || !i.Expires.Equal(w.now().Add(courier.LinkLife)) {
		t.Errorf("the link of a mail sent after 6 days is good until %v (%v), want 7 days from now", i.Expires, err)
	}
	for _, mails := range w.sender.mails {
		if !strings.Contains(mails[0].Text, "5 December 2026, 11:00 (UTC)") {
			t.Errorf("the mail says another time: %s", mails[0].Text)
		}
	}
}

func TestWanted(t *testing.T) {
	o := org.Org{ID: "0123456789ab"}
	u := string(identity.MintUser("abcde"))
	for _, c := range []struct {
		k    table.Key
		want bool
	}{
		{table.Key{Part: o.Part("MSG", u), Sort: "welcome#0001"}, true},
		{table.Key{Part: o.Part("MSG", u), Sort: "welcome#9999"}, true},
		{table.Key{Part: o.Part("MSG", u), Sort: "welcome#0000"}, false},
		{table.Key{Part: o.Part("MSG", u), Sort: "welcome#1"}, false},
		{table.Key{Part: o.Part("MSG", u), Sort: "other#0001"}, false},
		{table.Key{Part: o.Part("MSG", u), Sort: "#"}, false},
		{table.Key{Part: o.Part("MSG", "x"), Sort: "welcome#0001"}, false},
		{table.Key{Part: o.Part("U", u), Sort: "welcome#0001"}, false},
		{table.Key{Part: "O#short#MSG#" + u, Sort: "welcome#0001"}, false},
		{table.Key{Part: "LNK#x", Sort: "#"}, false},
	} {
		if got := courier.Wanted(c.k); got != c.want {
			t.Errorf("Wanted(%v) = %v, want %v", c.k, got, c.want)
		}
	}
}

func TestForeignReferences(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	for _, ref := range []due.Ref{{}, {Kind: courier.DueKind}, {Kind: courier.DueKind, Org: w.org.ID, ID: "x#welcome#0001"}, {Kind: "other", Org: w.org.ID, ID: string(w.join()) + "#welcome#0001"}} {
		if w.Due(t.Context(), ref) == nil {
			t.Errorf("Due(%+v) took it", ref)
		}
	}
	if w.Dispatch(t.Context(), table.Key{Part: "x", Sort: "y"}) == nil {
		t.Error("Dispatch took a foreign key")
	}
	if err := w.Queue(t.Context(), w.org, "nobody", courier.Welcome); err == nil {
		t.Error("Queue took a foreign id")
	}
}

// TestSweepAheadOfUs: a sweep whose clock is ahead takes a message's due work
// too early; the message must not be forgotten.
func TestSweepAheadOfUs(t *testing.T) {
	w := newWorld(t, mail.Repeats, nil)
	w.sender.fail = func(n int) error {
		if n == 1 {
			return later("connect")
		}
		return nil
	}
	u := w.join()
	w.queue(u)
	w.deliver()
	ahead := *w.sweeper
	ahead.Now = func() time.Time { return w.now().Add(3 * time.Minute) }
	if _, err := ahead.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(u, "queued #1 attempts=1 connect")
	w.settle(2 * time.Minute)
	w.want(u, "sent #1 attempts=2 ")
}

func TestStatesOfMany(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	var users []identity.User
	for i := range 230 {
		u := w.join()
		users = append(users, u)
		if i%3 > 0 {
			w.queue(u)
		}
	}
	w.deliver()
	w.resend(users[1])
	all, err := w.States(t.Context(), w.org, users...)
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range users {
		s, ok := all[u]
		want := courier.Sent
		if i == 1 {
			want = courier.Queued
		}
		if ok != (i%3 > 0) || ok && s.Status != want {
			t.Errorf("user %d: state %+v, %v", i, s, ok)
		}
	}
}

// TestCanary runs a story with every failure and looks for the person in what
// is logged, in errors, in keys and in stored messages.
func TestCanary(t *testing.T) {
	for name, fail := range map[string]func(int) error{
		"taken": nil, "refused": always(refused("550 canary@example.test")), "later": always(later("451 canary")),
		"open": always(errors.New("canary@example.test hung up")),
	} {
		w := newWorld(t, mail.Settles, func(c *courier.Config) { c.DailyLimit = 50 })
		w.sender.fail = fail
		u := w.join()
		w.queue(u)
		w.settle(12 * time.Hour)
		w.Resend(t.Context(), w.org, u, "Canary@example.test")
		w.settle(time.Hour)
		seen := w.log.String() + w.faults.seen.String()
		low := strings.ToLower(seen)
		for _, secret := range append(w.links(), "canary") {
			if strings.Contains(low, strings.ToLower(secret)) {
				t.Errorf("%s: %q stands in a log line, a key or a message", name, secret)
			}
		}
		for _, must := range []string{"mail: ", "lnk#", "mid#", "#mails#", "due#2026"} {
			if !strings.Contains(low, must) {
				t.Errorf("%s: there is no %q in what was searched", name, must)
			}
		}
	}
}
