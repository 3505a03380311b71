package tabletest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"gatehouse/internal/table"
)

var races = []Sentence{
	{"of many creators of one item one gets through", oneCreator},
	{"of writers that read the same version one gets through", oneReplacer},
	{"concurrent Adds all count", allAdds},
	{"concurrent commits of several items never mix", transfers},
}

const racers = 8

// together runs f in several goroutines that start at once, and returns their
// errors.
func together(f func(i int) error) []error {
	errs := make([]error, racers)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-gate
			errs[i] = f(i)
		})
	}
	close(gate)
	wg.Wait()
	return errs
}

// oneWinner asserts that one error is nil and the others are conflicts at k.
func (r *run) oneWinner(k table.Key, errs []error) {
	r.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !table.Conflicts(err, k):
			r.Errorf("a racer for %v got %v, want success or a conflict there", k, err)
		}
	}
	if won != 1 {
		r.Errorf("%d of %d racers for %v got through, want 1", won, len(errs), k)
	}
}

func oneCreator(r *run) {
	for round := range 5 {
		k := r.key("a", fmt.Sprint(round))
		r.oneWinner(k, together(func(i int) error {
			_, err := r.Table.Commit(r.ctx, table.Create(k, nil), table.Put(r.key("b", fmt.Sprint(i)), nil))
			return err
		}))
	}
}

func oneReplacer(r *run) {
	k := r.key("a", "1")
	r.commit(table.Create(k, nil))
	for range 5 {
		old := r.item(k)
		r.oneWinner(k, together(func(i int) error {
			_, err := r.Table.Commit(r.ctx, table.Replace(old, fmt.Append(nil, i)))
			return err
		}))
	}
}

func allAdds(r *run) {
	k, each := r.key("a", "1"), 20
	for _, err := range together(func(int) error {
		for range each {
			if _, err := r.Table.Commit(r.ctx, table.Add(k, 1, 0, 1<<40)); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			r.Errorf("Add without contention for its bounds = %v, want success", err)
		}
	}
	if n := r.item(k).N; n != int64(racers*each) {
		r.Errorf("counter after %d concurrent Adds of 1 = %d", racers*each, n)
	}
	var through atomic.Int64
	seats := r.key("a", "seats")
	for _, err := range together(func(int) error {
		for range 5 {
			_, err := r.Table.Commit(r.ctx, table.Add(seats, 1, 0, 13))
			if err == nil {
				through.Add(1)
			} else if !table.Conflicts(err, seats) {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			r.Errorf("Add for one of 13 seats = %v, want success or a conflict", err)
		}
	}
	if n := r.item(seats).N; n != 13 || through.Load() != 13 {
		r.Errorf("%d Adds for 13 seats got through and the counter is %d, want 13 and 13", through.Load(), n)
	}
}

// transfers moves a counter between two partitions from all sides: what is
// gone from one is in the other, and every acknowledged move left its mark.
func transfers(r *run) {
	a, b := r.key("a", "1"), r.key("b", "1")
	r.commit(table.Add(a, 2, 0, 4), table.Add(b, 2, 0, 4))
	var moved atomic.Int64
	errs := together(func(i int) error {
		delta := int64(1 - i%2*2)
		for j := range 10 {
			mark := r.key("m", fmt.Sprintf("%d %d", i, j))
			writes := []table.Write{table.Add(a, delta, 0, 4), table.Create(mark, nil), table.Add(b, -delta, 0, 4)}
			if i/2%2 == 0 {
				slices.Reverse(writes)
			}
			_, err := r.Table.Commit(r.ctx, writes...)
			if err == nil {
				moved.Add(1)
			} else if !table.Conflicts(err) {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		r.Errorf("a transfer failed: %v", err)
	}
	if sum := r.item(a).N + r.item(b).N; sum != 4 {
		r.Errorf("two counters after transfers sum up to %d, want 4", sum)
	}
	if marks := len(r.query(r.key("m", "x").Part, table.Range{})); marks != int(moved.Load()) {
		r.Errorf("%d transfers were acknowledged and %d left their mark", moved.Load(), marks)
	}
}
