package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/fakes/ses"
	"gatehouse/internal/identity"
	"gatehouse/internal/rehearsal"
)

// settle lets the stack work until nothing is left but what waits for a lease:
// messages whose sender died, or could not say how it ended.
func (a *rehearsed) settle(t *testing.T, w *within, c *crowd) (waiting []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		a.r.Tick()
		if err := a.r.Settle(ctx); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 20*time.Second, func() error {
		waiting = nil
		for name, state := range w.states(t, c.ids) {
			switch mails := len(a.ses.Inbox(name)); {
			case state.Status == courier.Sending && mails == 0:
				if left := time.Until(state.Next); left < 5*time.Minute {
					t.Errorf("the lease of the message to %s runs out in %v, want minutes", name, left)
				}
				waiting = append(waiting, name)
			case state.Status == courier.Queued || state.Status == courier.Sending || state.Status == courier.Sent:
				return fmt.Errorf("the message to %s is %s with %d mails", name, state.Status, mails)
			}
		}
		return nil
	})
	return waiting
}

// finish lets the leases run out, in this process.
func (a *rehearsed) finish(t *testing.T, w *within, c *crowd) {
	t.Helper()
	w.pass(16 * time.Minute)
	for range 5 {
		w.sweeps(t)
		w.pass(time.Minute)
	}
	if left := a.settle(t, w, c); len(left) > 0 {
		t.Errorf("after their leases these messages still wait: %q", left)
	}
}

// outcome is what can be seen in the end, a line for each thing, in the words of
// the story: no ids, no times.
func (a *rehearsed) outcome(t *testing.T, s *site, w *within, c *crowd) []string {
	t.Helper()
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	names := map[string]string{}
	for name, id := range c.ids {
		names[id] = name
	}
	to := s.client("")
	list := func(path string) []any {
		all, _ := to.get(t, path+"?count=200").at("Resources").([]any)
		return all
	}
	for _, u := range list("/Users") {
		say("user %s: active %s, title %q", at(u, "userName"), at(u, "active"), at(u, "title"))
	}
	for _, g := range list("/Groups") {
		members := []string{}
		for _, id := range to.members(t, at(g, "id")) {
			members = append(members, cmp.Or(names[id], "a stranger"))
		}
		slices.Sort(members)
		say("group %s: %q", at(g, "displayName"), members)
	}
	states, kinds := w.states(t, c.ids), w.log(t)
	for _, life := range lives {
		for n := range c.clients {
			name := address(life.name, n)
			var happened []string
			for _, e := range kinds[c.ids[name]] {
				happened = append(happened, string(e))
			}
			say("log of %s: %q", name, happened)
			if life.mails != oneOrNone {
				say("mail of %s: %d %s", name, len(a.ses.Inbox(name)), cmp.Or(states[name].Status, courier.Cancelled))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// at is a resource's attribute as text.
func at(resource any, path string) string {
	v, _ := lookup(resource, path)
	return plain(v)
}

// counted fails the test unless everybody has the mails that the story says, and
// nobody else any.
func (a *rehearsed) counted(t *testing.T, c *crowd) {
	t.Helper()
	count := map[string]int{}
	for _, m := range a.ses.All() {
		for _, to := range m.To {
			count[to]++
		}
	}
	for _, life := range lives {
		for n := range c.clients {
			name := address(life.name, n)
			if got := count[name]; got != life.mails && (life.mails != oneOrNone || got > 1) {
				t.Errorf("%s has %d mails, want %d", name, got, life.mails)
			}
			delete(count, name)
		}
	}
	if delete(count, a.where.AdminEmail); len(count) > 0 {
		t.Errorf("others have mails: %v", count)
	}
}

// clean fails the test if anything was given up or not allowed.
func (a *rehearsed) clean(t *testing.T, s *site) {
	t.Helper()
	if got := strings.TrimSpace(s.run(t, []string{"dead", "list", "--json"})); got != "[]" {
		t.Errorf("dead letters: %s", got)
	}
	if dead := a.r.DeadMessages(); len(dead) > 0 {
		t.Errorf("%d messages in dead-letter queues: %s", len(dead), dead[0])
	}
	for _, lost := range a.r.Lost() {
		t.Errorf("%s lost an event: %v", lost.Function, lost.Err)
	}
	for folder, n := range a.r.Counts() {
		if n.Discarded > 0 {
			t.Errorf("%s: %d records were given up", folder, n.Discarded)
		}
	}
	if denied := a.r.Denied(); len(denied) > 0 {
		t.Errorf("the functions' roles do not allow what they did: %q", denied)
	}
}

// log returns what happened to each subject, in order, and fails the test unless
// the organization's log is numbered from 1 without gaps and has every event
// once.
func (w *within) log(t *testing.T) map[string][]audit.Kind {
	t.Helper()
	log := audit.LogOf(w.Table, w.org)
	last, err := log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := log.Read(t.Context(), 1, int(last), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != int(last) {
		t.Errorf("the log has %d entries, and its last number is %d", len(entries), last)
	}
	out, seen := map[string][]audit.Kind{}, map[identity.Event]bool{}
	for i, e := range entries {
		if e.Number != int64(i+1) || seen[e.ID] {
			t.Errorf("entry %d of the log has the number %d; seen before: %v", i+1, e.Number, seen[e.ID])
		}
		seen[e.ID] = true
		out[e.Subject] = append(out[e.Subject], e.Kind)
	}
	for subject, kinds := range out {
		events, err := log.Timeline(t.Context(), subject, 1000, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) != len(kinds) {
			t.Errorf("the log has %d entries about a subject of %d events", len(kinds), len(events))
		}
	}
	return out
}

// TestRehearsalChaos lets the same crowd live on a calm stack, on one where all
// that AWS may do to the functions behind the stream, the bus and the schedule is
// done, and on one whose table fails now and then. It must make no difference.
func TestRehearsalChaos(t *testing.T) {
	t.Parallel()
	const clients = 4
	// tell returns what can be seen in the end, and how many messages waited for a
	// lease when everything else was done.
	tell := func(t *testing.T, change func(*rehearsal.Options), trouble func(*rehearsed), calm func()) ([]string, *rehearsed, int) {
		t.Helper()
		begin := time.Now()
		s, a := rehearseSite(t, func(o *rehearsal.Options, _ *ses.Options) {
			o.Clock, o.Again = 0, 20*time.Millisecond
			change(o)
		})
		c := &crowd{clients: clients, tick: a.r.Tick}
		trouble(a)
		c.live(t, s)
		lived := time.Since(begin)
		w := a.within(t)
		waiting := a.settle(t, w, c)
		a.ses.Fail(nil)
		calm()
		a.finish(t, w, c)
		lines := a.outcome(t, s, w, c)
		a.counted(t, c)
		a.clean(t, s)
		t.Logf("%d clients in %v, all in %v: %d mails, %d requests repeated, %d messages waited for a lease", clients,
			lived.Round(time.Second/10), time.Since(begin).Round(time.Second/10), len(a.ses.All()), c.again, len(waiting))
		for _, folder := range rehearsal.Asynchronous {
			t.Logf("%s: %+v, %+v", folder, a.r.Host().Met(folder), a.r.Counts()[folder])
		}
		return lines, a, len(waiting)
	}
	nothing := func() {}

	calm, _, waiting := tell(t, func(*rehearsal.Options) {}, func(*rehearsed) {}, nothing)
	if waiting > 0 {
		t.Errorf("on a calm stack %d messages wait for a lease, want none", waiting)
	}
	differ := func(t *testing.T, got []string) {
		t.Helper()
		for _, line := range got {
			if !slices.Contains(calm, line) {
				t.Errorf("only here: %s", line)
			}
		}
		for _, line := range calm {
			if !slices.Contains(got, line) {
				t.Errorf("only on a calm stack: %s", line)
			}
		}
	}

	t.Run("functions", func(t *testing.T) {
		victims := rehearsal.Asynchronous[:4]
		got, a, waiting := tell(t, func(o *rehearsal.Options) {
			o.Chaos = rehearsal.Chaos{Seed: 4, Twice: victims, Kill: map[string]float64{}, Within: 30 * time.Millisecond, Cut: true}
			for _, folder := range victims {
				o.Chaos.Kill[folder] = .4
			}
			o.Chaos.Kill["sweep"] = .7 // it is called least
		}, atTheWorst, nothing)
		differ(t, got)
		if waiting == 0 {
			t.Error("no message waited for a lease, want that of the sender that died before SES took it")
		}
		for _, folder := range victims {
			if met := a.r.Host().Met(folder); met.Twice == 0 || met.Killed == 0 || met.Lost == 0 {
				t.Errorf("%s met %+v, want some of each", folder, met)
			}
		}
	})

	t.Run("table", func(t *testing.T) {
		var proxy *dynamodb.Proxy
		got, _, _ := tell(t, func(o *rehearsal.Options) {
			var err error
			if proxy, err = dynamodb.NewProxy(o.DynamoDB, nil); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { proxy.Close() })
			o.Streams, o.DynamoDB = o.DynamoDB, proxy.Endpoint
			o.Chaos = rehearsal.Chaos{Seed: 5, Twice: rehearsal.Asynchronous[:4], Cut: true}
		}, func(*rehearsed) { proxy.Set(storm(6)) }, func() { proxy.Set(nil) })
		differ(t, got)
		done, calls := proxy.Done()
		t.Logf("faults in %d calls: %v", calls, done)
		for _, fault := range []dynamodb.Fault{dynamodb.Conflict, dynamodb.Throttling, dynamodb.ServerErrorDone, dynamodb.LostAnswer, dynamodb.Torn} {
			if done[fault] == 0 {
				t.Errorf("no call met %q", fault)
			}
		}
	})
}

// storm lets one write in four and one read in twenty fail: reads are many.
func storm(seed uint64) dynamodb.Plan {
	writes, reads := dynamodb.Seeded(seed, 4, dynamodb.Faults...), dynamodb.Seeded(seed+1, 20, dynamodb.Faults...)
	return func(c dynamodb.Call) dynamodb.Fault {
		if c.Operation == "TransactWriteItems" || c.Operation == "PutItem" {
			return writes(c)
		}
		return reads(c)
	}
}

// atTheWorst kills senders at the two worst moments: when SES has read a mail
// and not taken it, and when it took one and has not answered.
func atTheWorst(a *rehearsed) {
	var mu sync.Mutex
	var before, after string
	a.ses.Fail(func(v ses.Visit) ses.Action {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(v.To, "stays") || v.Times > 0 {
			return ses.Action{}
		}
		switch {
		case before == "":
			before = v.To
			a.r.Kill("welcome")
			return ses.Action{Drop: true}
		case after == "":
			after = v.To
			a.r.Kill("welcome")
			return ses.Action{Drop: true, Keep: true}
		}
		return ses.Action{}
	})
}
