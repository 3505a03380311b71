package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
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
	whole = plan{name: "whole", each: 3 * time.Second, settle: 500 * time.Millisecond, patient: 20 * time.Second,
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
	rate  float64       // of the latest fill, users a second
	slow  map[string]at // how long a request of each case took at the latest
	stuck string        // why nothing more is asked
}

// at is a time in milliseconds at a size.
type at struct {
	size int
	each float64
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

// run measures one case, unless there is a reason not to.
func (b *bench) run(ctx context.Context, name string, size, clients int, why string, what func(i int) load.Request) {
	b.runCount(ctx, b.Server, name, size, clients, 0, why, what)
}

func (b *bench) runCount(ctx context.Context, s load.Server, name string, size, clients, count int, why string, what func(i int) load.Request) {
	r := result{Contender: b.who.name, Case: name, Size: size, Clients: clients}
	key := fmt.Sprint(name, clients)
	if why == "" {
		why = b.late()
	}
	if last, ok := b.slow[key]; why == "" && ok && last.size >= 1000 && size > last.size {
		// What walks over everything takes in proportion; what does not is quick.
		if expected := last.each / float64(last.size) * float64(size); last.each > 50 && expected > millis(b.patient) {
			why = fmt.Sprintf("%.1f s each at %s, so beyond %v here", last.each/1000, thousands(last.size), b.patient)
		}
	}
	asked := load.Plan{Clients: clients, For: b.each, Count: count, Each: b.patient, Settle: b.settle}
	if why == "" {
		// One request alone tells whether several at once would be worth the
		// wait; a second one, whether the first was unlucky.
		c, tried, took := s.Client(), 0, time.Duration(0)
		var err error
		for ; err == nil && (tried == 0 || tried == 1 && slow(took, b.each)); tried++ {
			begin := time.Now()
			_, err = c.Do(what(tried), begin.Add(b.patient))
			took = time.Since(begin)
		}
		c.Close()
		if err == nil && slow(took, b.each) && clients > 1 {
			asked.Clients = 1
			r.Note = fmt.Sprintf("one client: %.1f s each", took.Seconds())
		}
		var cost load.Cost
		if err == nil {
			if asked.Count > 0 {
				asked.Count = max(asked.Count-tried, 1)
			}
			cost, err = s.Run(ctx, asked, func(i int) load.Request { return what(i + tried) })
		}
		if err != nil {
			why = b.reason(ctx, err)
		} else {
			r.N, r.Seconds, r.P50, r.P99, r.CPU = cost.N, cost.Took.Seconds(), millis(cost.P50), millis(cost.P99), cost.PerThousand()
			if b.slow == nil {
				b.slow = map[string]at{}
			}
			b.slow[key] = at{size, r.P50 / float64(asked.Clients)} // the others wait for their turn
			if name == caseCreate {
				b.rate = max(b.rate, r.rate()) // a runtime that was cold at first is warm by now
			}
		}
	}
	if why != "" {
		r.Note = why
	}
	b.out.add(r)
	b.tell(r)
}

// slow tells a request of which many clients at once would make a case much
// longer than it is to be.
func slow(took, each time.Duration) bool { return took > max(each/2, 200*time.Millisecond) }

// reason puts a failure into words. A server that did not answer in time may
// still be at it: what it is asked next would be told too slow.
func (b *bench) reason(ctx context.Context, err error) string {
	var status *load.StatusError
	var wrong *load.WrongError
	switch {
	case errors.As(err, &status):
		fmt.Fprintln(b.log, err)
		return fmt.Sprintf("answered with %d", status.Status)
	case errors.As(err, &wrong):
		return wrong.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		wait, cancel := context.WithTimeout(ctx, 2*b.patient)
		defer cancel()
		if b.Idle(wait, b.settle) != nil {
			b.stuck = "it was still busy with a request before"
		}
		return fmt.Sprintf("no answer within %v", b.patient)
	default:
		fmt.Fprintln(b.log, err)
		b.stuck = "it stopped answering"
		return b.stuck
	}
}

func (b *bench) tell(r result) {
	if r.N == 0 {
		fmt.Fprintf(b.log, "%-22s %8d %8d %9s %s\n", r.Case, r.Size, r.Clients, "–", r.Note)
		return
	}
	fmt.Fprintf(b.log, "%-22s %8d %8d %9.0f %10.2f %10.2f %12.3f %s\n", r.Case, r.Size, r.Clients, r.rate(), r.P50, r.P99, r.CPU, r.Note)
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
	// The rest of the cases wants some of the time too.
	if left := time.Until(b.deadline); b.rate > 0 && float64(missing)/b.rate > 0.75*left.Seconds() {
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

// additions measures adding one member to groups of the sizes above the one and
// up to the other.
func (b *bench) additions(ctx context.Context, above, upTo int) {
	for _, size := range b.members {
		if size <= above || size > upTo {
			continue
		}
		// Groups are many enough that none grows by more than half, or by all
		// additions there are.
		perGroup := min(max(size/2, 5), b.adds)
		groups := max(1, b.adds/perGroup)
		why := b.fill(ctx, size+perGroup)
		var made []string
		for g := 0; g < groups && why == ""; g++ {
			var id string
			id, why = b.group(ctx, fmt.Sprintf("Group %d of %d", g, size), b.ids[:size])
			made = append(made, id)
		}
		var spare []string
		if why == "" {
			spare = b.ids[size:]
		}
		b.runCount(ctx, b.Server, caseAdd, size, 16, groups*perGroup, why, func(i int) load.Request {
			return addMembers(made[i%groups], spare[i/groups])
		})
	}
}

// group makes one with the members, and says why it did not.
func (b *bench) group(ctx context.Context, name string, members []string) (id, why string) {
	c := b.Client()
	defer c.Close()
	first := min(len(members), b.who.chunk)
	request := createGroup(name, members[:first])
	for {
		if why := b.late(); why != "" {
			return "", why
		}
		body, err := c.Do(request, time.Now().Add(b.patient))
		if err != nil {
			return "", "making the group: " + b.reason(ctx, err)
		}
		if id == "" {
			id = idOf(body)
		}
		if first >= len(members) {
			return id, ""
		}
		more := min(len(members)-first, b.who.chunk)
		request = addMembers(id, members[first:first+more]...)
		first += more
	}
}

// lose lets many clients add to one group, and looks which of the additions that
// were acknowledged are there.
func (b *bench) lose(ctx context.Context) {
	l := lost{Contender: b.who.name, Clients: raceClients}
	var id string
	why := b.fill(ctx, b.race+1)
	if why == "" {
		id, why = b.group(ctx, "Everybody's", b.ids[:1])
	}
	if why != "" {
		l.Note = why
		b.out.Lost = append(b.out.Lost, l)
		return
	}
	var next atomic.Int64
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	end := time.Now().Add(10 * b.each)
	var wg sync.WaitGroup
	for range raceClients {
		wg.Go(func() {
			c := b.Client()
			defer c.Close()
			for time.Now().Before(end) && ctx.Err() == nil {
				i := int(next.Add(1))
				if i > b.race {
					return
				}
				member := b.ids[i]
				_, err := c.Do(addMembers(id, member), time.Now().Add(b.patient))
				mu.Lock()
				if err == nil {
					acknowledged[member] = true
				} else {
					l.Refused++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	l.Acknowledged = len(acknowledged)
	c := b.Client()
	defer c.Close()
	body, err := c.Do(getGroup(id), time.Now().Add(b.patient))
	var group struct {
		Members []struct {
			Value string `json:"value"`
		} `json:"members"`
	}
	if err == nil {
		err = json.Unmarshal(body, &group)
	}
	if err != nil {
		l.Note = "reading the group: " + b.reason(ctx, err)
	}
	for _, m := range group.Members {
		delete(acknowledged, m.Value)
	}
	if err == nil {
		l.Lost = len(acknowledged)
	}
	b.out.Lost = append(b.out.Lost, l)
	fmt.Fprintf(b.log, "%d clients added to one group: %d acknowledged, %d refused, %d lost %s\n", raceClients, l.Acknowledged, l.Refused, l.Lost, l.Note)
}

// thousands writes a number with commas.
func thousands(n int) string {
	text := fmt.Sprint(n)
	var parts []string
	for len(text) > 3 {
		parts = append([]string{text[len(text)-3:]}, parts...)
		text = text[:len(text)-3]
	}
	return strings.Join(append([]string{text}, parts...), ",")
}
