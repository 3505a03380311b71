package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gatehouse/internal/peers/load"
)

// at is a time in milliseconds at a size.
type at struct {
	size int
	each float64
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
		if err == nil && count == 0 && !b.warm[name] && !slow(took, b.each) {
			// The first time that a runtime does something is its slowest.
			warm := asked
			warm.For, warm.Settle = b.each/2, time.Millisecond
			from := tried
			var before load.Cost
			before, err = s.Run(ctx, warm, func(i int) load.Request { return what(i + from) })
			tried += before.N
			b.warm[name] = true
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
			r.Load = cost.Own / float64(cost.N) * 1000
			b.slow[key] = at{size, r.P50 / float64(asked.Clients)} // the others wait for their turn
			if (name == caseGet || name == casePatch || name == caseCreate) && len(b.ids) < size {
				r.Note = strings.TrimPrefix(r.Note+fmt.Sprintf("; with %s users", thousands(len(b.ids))), "; ")
			}
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
