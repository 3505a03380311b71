package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/peers/load"
)

// plan says how much is measured.
type plan struct {
	name    string
	each    time.Duration // a case's length
	settle  time.Duration // how long a server must be quiet to be idle
	patient time.Duration // the longest that one request may take
	users   []int         // sizes of the store, rising; at the second the wide cases run
	members []int         // sizes of groups
	clients []int
	few     []int // clients of the lookups
	adds    int   // members added in one case at most
	race    int   // members added by raceClients clients to one group
	million bool  // a last size for ours
}

const raceClients = 64

var (
	whole = plan{name: "whole", each: 2500 * time.Millisecond, settle: 500 * time.Millisecond, patient: 20 * time.Second,
		users: []int{1000, 10_000, 100_000}, members: []int{10, 1000, 10_000, 100_000},
		clients: []int{1, 16, 64}, few: []int{1, 16}, adds: 3000, race: 2000}
	short = plan{name: "short", each: 700 * time.Millisecond, settle: 300 * time.Millisecond, patient: 20 * time.Second,
		users: []int{1000, 5000}, members: []int{10, 1000},
		clients: []int{1, 16, 64}, few: []int{1, 16}, adds: 400, race: 300}
)

// bench measures one contender.
type bench struct {
	plan
	*running
	who      contender
	out      *measurements
	log      io.Writer
	deadline time.Time // no case is begun after it

	next, patched, mailed atomic.Int64 // users created, activations changed, users created who get a mail

	mu    sync.Mutex
	ids   []string
	rate  float64         // of the latest fill, users a second
	slow  map[string]at   // how long a request of each case took at the latest
	warm  map[string]bool // the cases that were asked before
	stuck string          // why nothing more is asked
}

func newBench(p plan, r *running, who contender, out *measurements, log io.Writer, share time.Duration) *bench {
	return &bench{plan: p, running: r, who: who, out: out, log: log, deadline: time.Now().Add(share), slow: map[string]at{}, warm: map[string]bool{}}
}

// measure runs all cases that the contender knows. What it cannot do is noted,
// case by case; an error is one of the run.
func (b *bench) measure(ctx context.Context) error {
	fmt.Fprintf(b.log, "\n%s\n%-22s %8s %8s %9s %10s %10s %12s\n", b.who.name, "case", "size", "clients", "ops/s", "p50 ms", "p99 ms", "CPU-s/1,000")
	sizes := b.users
	if b.million && b.who.name == oursName {
		sizes = append(sizes[:len(sizes):len(sizes)], 1_000_000)
	}
	for i, n := range sizes {
		if b.who.bare && i > 1 {
			break
		}
		why := b.fill(ctx, n)
		if why == "" {
			b.remember(n)
		}
		for _, c := range b.few {
			b.run(ctx, caseLookup, n, c, why, b.lookups(min(n, int(b.next.Load()))))
		}
		if b.who.bare {
			if i == 1 {
				b.wide(ctx, n)
			}
			continue
		}
		if i >= 1 {
			b.pages(ctx, n, why)
		}
		if i == 1 {
			b.wide(ctx, n)
			b.additions(ctx, 0, n)
			b.lose(ctx)
		}
		if i >= 2 && i < len(b.users) {
			b.additions(ctx, b.users[i-1], n)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if b.welcoming != nil {
		b.mails(ctx, len(b.ids))
	}
	return ctx.Err()
}

// late says why a case is not begun; empty: it is.
func (b *bench) late() string {
	if b.stuck != "" {
		return b.stuck
	}
	if time.Now().After(b.deadline) {
		return "its share of the time was used up"
	}
	return ""
}

// create is the next new user, whose id is kept.
func (b *bench) create(int) load.Request {
	return createUser(int(b.next.Add(1))-1, func(body []byte) error {
		id := idOf(body)
		b.mu.Lock()
		b.ids = append(b.ids, id)
		b.mu.Unlock()
		if id == "" {
			return errors.New("the user has no id")
		}
		return nil
	})
}

// fill creates users until there are n, and says why it did not.
func (b *bench) fill(ctx context.Context, n int) string {
	missing := n - len(b.ids)
	if missing <= 0 {
		return ""
	}
	if why := b.late(); why != "" {
		return why
	}
	// The cases that follow want some of the time too.
	if left := time.Until(b.deadline); b.rate > 0 && float64(missing)/b.rate > 0.85*left.Seconds() {
		return fmt.Sprintf("%s users would take %.0f s of %.0f", thousands(n), float64(missing)/b.rate, left.Seconds())
	}
	cost, err := b.Run(ctx, load.Plan{Clients: 32, Count: missing, Each: b.patient, Settle: b.settle}, b.create)
	if err != nil {
		return b.reason(ctx, err)
	}
	b.rate = cost.Rate()
	fmt.Fprintf(b.log, "%d users; %.0f more a second\n", n, b.rate)
	return ""
}

// remember notes the memory with n users.
func (b *bench) remember(n int) {
	mib, err := b.RSS()
	if err != nil {
		fmt.Fprintln(b.log, err)
		return
	}
	b.out.Memory = append(b.out.Memory, memory{Contender: b.who.name, Users: n, MiB: mib})
	fmt.Fprintf(b.log, "memory %d MiB\n", int(mib))
}

func (b *bench) lookups(n int) func(int) load.Request {
	return func(i int) load.Request { return lookup(scatter(i, n)) }
}

// scatter gives numbers below n in an order without locality, each once in n.
func scatter(i, n int) int {
	const prime = 7919
	return int(uint64(i) * prime % uint64(max(n, 1)))
}

func (b *bench) wide(ctx context.Context, n int) {
	ids := b.ids[:min(n, len(b.ids))]
	why := ""
	if len(ids) == 0 {
		why = cmp.Or(b.late(), "there are no users")
	}
	for _, c := range b.clients {
		b.run(ctx, caseGet, n, c, why, func(i int) load.Request { return getUser(ids[scatter(i, len(ids))]) })
	}
	if !b.who.bare {
		for _, c := range b.clients {
			b.run(ctx, casePatch, n, c, why, func(int) load.Request {
				// Counted over all the cases, so that each one is a change.
				i := int(b.patched.Add(1)) - 1
				return setActive(ids[i%len(ids)], i/len(ids)%2 == 1)
			})
		}
	}
	for _, c := range b.clients {
		b.run(ctx, caseCreate, n, c, "", b.create)
	}
}

// mails creates users who are sent a welcome mail, by the other connection: they
// are not listed on the first. Its cost includes the mails.
func (b *bench) mails(ctx context.Context, n int) {
	for _, c := range b.clients {
		b.runCount(ctx, *b.welcoming, caseMail, n, c, 0, "", func(int) load.Request {
			return createUser(firstMailed+int(b.mailed.Add(1)), nil)
		})
	}
}

// firstMailed is beyond the number of every other user.
const firstMailed = 5_000_000

func (b *bench) pages(ctx context.Context, n int, why string) {
	b.run(ctx, caseFirstPage, n, 1, why, func(int) load.Request { return page(1, min(n, 100)) })
	b.run(ctx, caseLastPage, n, 1, why, func(int) load.Request { return page(max(1, n-99), min(n, 100)) })
}
