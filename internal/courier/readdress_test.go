package courier_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/roster"
	"gatehouse/internal/short"
)

// move gives the user the n-th address, and returns the event that says so.
func (w *world) move(id identity.User, n int, after identity.Event, also ...func(*roster.User)) identity.Event {
	w.t.Helper()
	e := identity.MintEvent(w.now(), after)
	also = append(also, func(u *roster.User) { u.LastEvent = e })
	w.store(id, fmt.Sprintf(`{"userName":"u","emails":[{"value":%q}],"active":true}`, address(n)), also...)
	return e
}

func address(n int) string { return fmt.Sprintf("a%d@example.test", n) }

func (w *world) readdress(id identity.User, e identity.Event) {
	w.t.Helper()
	if err := w.Readdress(w.t.Context(), w.org, id, e); err != nil {
		w.t.Fatalf("Readdress: %v", err)
	}
}

// opens returns to whom links went that still open something.
func (w *world) opens() []string {
	w.t.Helper()
	var out []string
	for _, mails := range w.sender.mails {
		for _, m := range mails {
			_, rest, _ := strings.Cut(m.Text, "/activate/")
			if _, err := w.Lookup(w.t.Context(), rest[:43]); err == nil {
				out = append(out, m.To.Addr)
			} else if !fault.Is(err, fault.NotFound) {
				w.t.Fatalf("Lookup: %v", err)
			}
		}
	}
	return out
}

func (w *world) wantOpens(want ...string) {
	w.t.Helper()
	if got := w.opens(); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("links that work went to %q, want %q", got, want)
	}
}

// TestReaddress: the new address gets a mail of its own and the old link is
// void; the event once more, or one that was overtaken, changes nothing.
func TestReaddress(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	id := identity.MintUser("abcde")
	joined := w.move(id, 0, "")
	w.queue(id)
	w.deliver()
	w.wantOpens(address(0))
	first := w.move(id, 1, joined)
	second := w.move(id, 2, first)
	w.readdress(id, second)
	w.wantOpens()
	writes := w.faults.step
	w.readdress(id, second)
	if n := w.faults.step - writes; n != 0 {
		t.Errorf("the event's repetition made %d commits, want none", n)
	}
	w.deliver()
	w.wantOpens(address(2))
	for _, e := range []identity.Event{second, first, joined, second} {
		w.readdress(id, e)
		w.deliver()
	}
	w.want(id, "sent #2 attempts=1 ")
	if n := w.total(); n != 2 {
		t.Errorf("%d mails after one change of address, want 2", n)
	}
}

// TestReaddressOfWhatHasNotGone: a message that waits goes to the address that
// the user has then; one mail is enough, before the event and after.
func TestReaddressOfWhatHasNotGone(t *testing.T) {
	for name, run := range map[string]func(w *world, id identity.User, joined identity.Event) identity.Event{
		"waiting": func(w *world, id identity.User, joined identity.Event) identity.Event {
			w.queue(id)
			e := w.move(id, 1, joined)
			w.readdress(id, e)
			return e
		},
		"the event overtook the welcome": func(w *world, id identity.User, joined identity.Event) identity.Event {
			e := w.move(id, 1, joined)
			w.readdress(id, e)
			w.queue(id)
			return e
		},
		"the mail overtook the event": func(w *world, id identity.User, joined identity.Event) identity.Event {
			w.queue(id)
			return w.move(id, 1, joined)
		},
		"suspended, then resumed": func(w *world, id identity.User, joined identity.Event) identity.Event {
			w.store(id, `{"userName":"u","emails":[{"value":"a0@example.test"}],"active":false}`)
			w.queue(id)
			w.deliver()
			e := w.move(id, 1, joined)
			w.readdress(id, e)
			w.queue(id)
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mail.Repeats, nil)
			id := identity.MintUser("abcde")
			e := run(w, id, w.move(id, 0, ""))
			w.deliver()
			w.readdress(id, e)
			w.deliver()
			w.want(id, "sent #1 attempts=1 ")
			w.wantOpens(address(1))
		})
	}
}

// TestReaddressWhileClaiming: the courier has read the old address and is about
// to claim the message when the address changes.
func TestReaddressWhileClaiming(t *testing.T) {
	meddle := &meddler{}
	w := newWorld(t, mail.Repeats, func(c *courier.Config) {
		meddle.Table = c.Table
		c.Table = meddle
	})
	id := identity.MintUser("abcde")
	joined := w.move(id, 0, "")
	w.queue(id)
	meddle.first = func() { w.readdress(id, w.move(id, 1, joined)) }
	w.deliver()
	w.wantOpens(address(1))
	if n := w.total(); n != 1 {
		t.Errorf("%d mails went out, want the one to the new address", n)
	}
}

// TestReaddressOfTries: where any attempt may have reached the old address its
// link is void, though a later one went to the new.
func TestReaddressOfTries(t *testing.T) {
	w := newWorld(t, mail.Repeats, nil)
	id := identity.MintUser("abcde")
	w.sender.fail = func(n int) error {
		if n == 1 {
			return errOpen
		}
		return nil
	}
	joined := w.move(id, 0, "")
	w.queue(id)
	w.deliver()
	e := w.move(id, 1, joined)
	w.settle(10 * time.Minute)
	if n := w.total(); n != 2 {
		t.Fatalf("%d attempts went out, want 2", n)
	}
	w.readdress(id, e)
	w.deliver()
	w.wantOpens(address(1))
	w.want(id, "sent #2 attempts=1 ")

	// Replaying forgets the attempts, not that there were some.
	w.sender.fail = always(refused("550"))
	w.pass(time.Hour)
	w.resend(id)
	w.deliver()
	if err := w.Replay(t.Context(), w.org, id); err != nil {
		t.Fatalf("Replay: %v", err)
	}
	w.readdress(id, w.move(id, 2, e))
	w.want(id, "queued #4 attempts=0 ")
}

// TestReaddressOfNothing: no message, a password, nobody: nothing is sent.
func TestReaddressOfNothing(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	id := identity.MintUser("abcde")
	e := w.move(id, 0, "")
	w.readdress(id, e)
	w.deliver()
	if s := w.state(id); s.Status != "" || w.total() != 0 {
		t.Errorf("without a message asked for there is one: %+v", s)
	}
	w.queue(id)
	w.deliver()
	e = w.move(id, 1, e, func(u *roster.User) { u.Activated = w.now() })
	w.readdress(id, e)
	w.want(id, "sent #1 attempts=1 ")
	w.remove(id)
	w.readdress(id, identity.MintEvent(w.now(), e))
	w.want(id, "sent #1 attempts=1 ")
	if err := w.Readdress(t.Context(), w.org, "nobody", e); err == nil {
		t.Error("Readdress of an id of another form = nil, want an error")
	}
}

// TestReaddressLimit: the 21st mail within a day waits until the day is over,
// while each change voids the old link at once. People's resends do not count
// against it, nor it against theirs.
func TestReaddressLimit(t *testing.T) {
	w := newWorld(t, mail.Once, nil)
	id := identity.MintUser("abcde")
	e := w.move(id, 0, "")
	w.queue(id)
	w.deliver()
	for n := 1; n <= courier.ReaddressesPerDay+3; n++ {
		w.pass(time.Minute)
		e = w.move(id, n, e)
		w.readdress(id, e)
		if got := w.opens(); len(got) != 0 {
			t.Fatalf("after change %d a link works that went to %q", n, got)
		}
		w.deliver()
		if n == 7 {
			w.pass(time.Minute)
			w.resend(id)
			w.deliver()
			w.wantOpens(address(7))
		}
	}
	if got, want := w.total(), 2+courier.ReaddressesPerDay; got != want {
		t.Errorf("%d mails within a day, want %d", got, want)
	}
	w.want(id, "queued #23 attempts=0 "+courier.ReasonOften)
	w.settle(24 * time.Hour)
	w.want(id, "sent #23 attempts=1 ")
	w.wantOpens(address(courier.ReaddressesPerDay + 3))
}

// TestReaddressCrashes crashes at every step of what follows a change of
// address; the event is repeated until it is done.
func TestReaddressCrashes(t *testing.T) {
	for name, promise := range promises {
		t.Run(name, func(t *testing.T) {
			for step := 1; step <= 6; step++ {
				for mode := range 2 {
					w := newWorld(t, promise, nil)
					id := identity.MintUser("abcde")
					e := w.move(id, 0, "")
					w.queue(id)
					w.deliver()
					e = w.move(id, 1, e)
					w.faults.plan(step, mode == 1)
					for try := 0; w.Readdress(t.Context(), w.org, id, e) != nil; try++ {
						w.restart()
						if try > 3 {
							t.Fatal("Readdress fails without a crash")
						}
					}
					w.fetch()
					w.consume(w.pending)
					w.restart()
					w.readdress(id, e)
					w.finish(t, []identity.User{id})
					if s := w.state(id); s.Generation != 2 || s.Status != courier.Sent {
						t.Errorf("the message stands at %+v, want the second generation sent", s)
					}
					if got := len(w.sender.mails); got != 2 {
						t.Errorf("%d different mails, want 2", got)
					}
					for _, to := range w.opens() {
						if to != address(1) {
							t.Errorf("a link works that went to %q", to)
						}
					}
					if t.Failed() {
						t.Fatalf("crashed at step %d (after: %v)", step, mode == 1)
					}
				}
			}
		})
	}
}

// TestReaddressModel: changes of address whose events come late, shuffled and
// repeated, between attempts that fail or are left open, and crashes. In the
// end every link that works went to the present address, somebody has one, and
// there was no more than one generation for each change.
func TestReaddressModel(t *testing.T) {
	for name, promise := range promises {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(short.Size(150, 30)) {
				w := newWorld(t, promise, nil)
				r := rand.New(rand.NewPCG(seed, 11))
				w.sender.fail = func(n int) error {
					switch {
					case n > 8:
					case r.IntN(6) == 0:
						return errOpen
					case r.IntN(6) == 0:
						return later("451 4.7.1")
					}
					return nil
				}
				id := identity.MintUser("abcde")
				last := w.move(id, 0, "")
				var events []identity.Event
				for range 80 {
					switch r.IntN(8) {
					case 0:
						w.Queue(t.Context(), w.org, id, courier.Welcome) // a crash can end it
					case 1:
						if len(events) < 6 {
							last = w.move(id, len(events)+1, last)
							events = append(events, last)
						}
					case 2, 3:
						if len(events) > 0 {
							w.Readdress(t.Context(), w.org, id, events[r.IntN(len(events))]) // so it can here
						}
					case 4:
						w.fetch()
						w.consume(shuffled(r, w.pending))
					case 5:
						w.sweep()
					case 6:
						w.pass(time.Duration(r.IntN(180)) * time.Second)
					case 7:
						if w.faults.done < 4 {
							w.faults.plan(1+r.IntN(5), r.IntN(2) == 0)
						}
					}
					if w.faults.down() {
						w.restart()
					}
				}
				w.faults.plan(-1, false)
				w.restart()
				w.queue(id)
				for range 2 {
					for _, i := range r.Perm(len(events)) {
						w.readdress(id, events[i])
					}
					w.finish(t, []identity.User{id})
				}
				if s := w.state(id); s.Generation > 1+len(events) || s.Status != courier.Sent {
					t.Errorf("after %d changes the message stands at %+v", len(events), s)
				}
				now := 0
				for _, to := range w.opens() {
					if now++; to != address(len(events)) {
						t.Errorf("a link works that went to %q, want %q", to, address(len(events)))
					}
				}
				if now == 0 {
					t.Error("nobody has a link that works")
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}
