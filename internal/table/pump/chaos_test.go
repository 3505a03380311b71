package pump_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/pump"
)

// TestOrder is the contract of table.Consumer under random failures and chaos:
// a change is delivered for the first time only after everything earlier of
// its key was done or became a dead letter, and in the end everything was.
func TestOrder(t *testing.T) {
	shuffled, repeated := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		commits := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 60).Draw(rt, "keys")
		failures := rapid.SliceOfN(rapid.IntRange(0, 9), 8, 8).Draw(rt, "failures")
		synctest.Test(t, func(t *testing.T) {
			m := memory.New(sub("a"))
			done := map[string]bool{}
			tries, tried, total, last := map[string]int{}, map[string]int{}, map[string]int64{}, ""
			c := &consumer{}
			c.fail = func(ch table.Change) error {
				id := ch.Key.Sort
				name := fmt.Sprint(id, ":", ch.New.N)
				if name < last {
					shuffled++
				}
				last = name
				batch := len(c.batches)
				for i := int64(1); i < ch.New.N && tries[name] == 0; i++ {
					if before := fmt.Sprint(id, ":", i); !done[before] && tried[before] != batch {
						rt.Errorf("%s is delivered while %s is not done", name, before)
					}
				}
				tried[name] = batch
				if done[name] {
					repeated++
				}
				tries[name]++
				if failures[int(ch.New.N)%len(failures)] >= tries[name] {
					return errors.New("not now")
				}
				done[name] = true
				return nil
			}
			p := running(t, m, pump.Options{Batch: 7, Tries: 100, Chaos: pump.NewChaos(seed)}, pump.Route{Name: "a", To: c})
			for i, k := range commits {
				id := fmt.Sprint(k)
				total[id]++
				put(t, m, "a", id, total[id])
				if i%5 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			drain(t, p)
			for id, n := range total {
				for i := int64(1); i <= n; i++ {
					if !done[fmt.Sprint(id, ":", i)] {
						rt.Errorf("%s:%d was not done when Drain returned", id, i)
					}
				}
			}
		})
	})
	if shuffled == 0 || repeated == 0 {
		t.Errorf("chaos shuffled %d and repeated %d changes, want some of both", shuffled, repeated)
	}
}
