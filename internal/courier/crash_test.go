package courier_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/short"
)

var promises = map[string]mail.Promise{"once": mail.Once, "repeats": mail.Repeats, "settles": mail.Settles}

// finish runs without further crashes until every message came to an end.
func (w *world) finish(t *testing.T, users []identity.User) {
	t.Helper()
	w.faults.plan(-1, false)
	w.restart()
	for range 3000 {
		w.deliver()
		w.report(t)
		w.sweep()
		if len(w.pending) == 0 && w.ended(users) {
			return
		}
		w.pass(30 * time.Second)
	}
	for _, u := range users {
		t.Errorf("user %s: the message stands at %+v after 25 hours", u, w.state(u))
	}
}

func (w *world) ended(users []identity.User) bool {
	for _, u := range users {
		if s := w.state(u).Status; s == courier.Queued || s == courier.Sending || s == "" {
			return false
		}
	}
	return true
}

// report lets a carrier that reports do so.
func (w *world) report(t *testing.T) {
	t.Helper()
	for _, r := range w.sender.reports {
		if err := w.Settle(t.Context(), r); err != nil {
			t.Fatalf("Settle: %v", err)
		}
	}
}

// bound is how many mails the promise allows for n messages after crashes.
func bound(p mail.Promise, n, crashes int) int {
	if p == mail.Repeats {
		return n + crashes
	}
	return n
}

func (w *world) judge(t *testing.T, users []identity.User) {
	t.Helper()
	most := bound(w.sender.promise, len(users), w.faults.done)
	if got := w.total(); got < len(users) || got > most {
		t.Errorf("%d users have %d mails after %d crashes, want %d to %d", len(users), got, w.faults.done, len(users), most)
	}
	if got := len(w.sender.mails); got != len(users) {
		t.Errorf("%d users have %d different mails", len(users), got)
	}
	for _, u := range users {
		if s := w.state(u); s.Status != courier.Sent {
			t.Errorf("user %s: the message stands at %s, want sent", u, s.Status)
		}
	}
}

// TestEveryCrash crashes at every step from the queueing to the mark, before
// and after it takes hold, and once more at every step of what follows.
func TestEveryCrash(t *testing.T) {
	for name, promise := range promises {
		t.Run(name, func(t *testing.T) {
			runs := 0
			for first := 1; first <= 6; first++ {
				for second := range short.Size(7, 2) {
					for mode := range 4 {
						w := newWorld(t, promise, nil)
						user := w.join()
						w.faults.plan(first, mode&1 != 0)
						for try := 0; w.Queue(t.Context(), w.org, user, courier.Welcome) != nil; try++ {
							w.restart()
							if try > 3 {
								t.Fatal("Queue fails without a crash")
							}
						}
						planned := false
						for range 40 {
							w.fetch()
							w.consume(w.pending)
							w.sweep()
							for _, r := range w.sender.reports {
								w.Settle(t.Context(), r) // a crash can end it
							}
							if w.faults.down() {
								w.restart()
								if second > 0 && !planned {
									planned = true
									w.faults.plan(second, mode&2 != 0)
								}
								continue
							}
							w.pass(30 * time.Second)
						}
						w.finish(t, []identity.User{user})
						w.judge(t, []identity.User{user})
						if t.Failed() {
							t.Fatalf("crashed at step %d (after: %v), then at %d (after: %v)", first, mode&1 != 0, second, mode&2 != 0)
						}
						runs++
					}
				}
			}
			t.Logf("%d runs", runs)
		})
	}
}

// TestModel lets chance decide: deliveries that are repeated, shuffled, late,
// cut off; sweeps at any moment, crashes at any step, carriers that leave the
// outcome open or take nothing for a while, reports late and repeated.
func TestModel(t *testing.T) {
	seeds := short.Size(150, 30)
	for name, promise := range promises {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(seeds) {
				w := newWorld(t, promise, nil)
				r := rand.New(rand.NewPCG(seed, 7))
				open := 0
				w.sender.fail = func(n int) error {
					switch {
					case n > 8:
					case r.IntN(6) == 0:
						open++
						return errOpen
					case r.IntN(6) == 0:
						return &mail.Reason{Code: "451 4.7.1", Err: mail.ErrLater}
					}
					return nil
				}
				var users []identity.User
				for range 1 + r.IntN(4) {
					users = append(users, w.join())
				}
				queued := map[identity.User]bool{}
				crashes := r.IntN(4)
				for range 120 {
					switch r.IntN(8) {
					case 0, 1:
						u := users[r.IntN(len(users))]
						if w.Queue(t.Context(), w.org, u, courier.Welcome) == nil {
							queued[u] = true
						}
					case 2, 3:
						w.fetch()
						w.consume(shuffled(r, w.pending))
					case 4: // late and once more
						if n := len(w.past); n > 0 {
							again := shuffled(r, w.past)[:1+r.IntN(n)]
							w.Consume(t.Context(), again)
						}
					case 5:
						w.sweep()
					case 6:
						w.pass(time.Duration(r.IntN(180)) * time.Second)
					case 7:
						if crashes > 0 {
							crashes--
							w.faults.plan(1+r.IntN(5), r.IntN(2) == 0)
						}
						if !w.faults.down() && r.IntN(2) == 0 {
							for _, report := range w.sender.reports {
								w.Settle(t.Context(), report) // a crash can end it
							}
						}
					}
					if w.faults.down() {
						w.restart()
					}
				}
				w.faults.plan(-1, false)
				w.restart()
				for _, u := range users {
					w.queue(u)
				}
				w.finish(t, users)
				if promise == mail.Repeats {
					w.faults.done += open // a lost answer is as good as a crash
				}
				w.judge(t, users)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			t.Logf("%d seeds", seeds)
		})
	}
}
