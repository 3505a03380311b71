package rehearsal

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/fakes/lambda"
)

// Chaos is what goes wrong on purpose. The zero Chaos is none. What is drawn is
// the same for a seed and the number of an invocation among its function's;
// which event is invoked as which is up to the machine.
type Chaos struct {
	Seed uint64
	// Twice names the folders of functions to which every invocation that is not
	// killed is given a second time: after the first or beside it.
	Twice []string
	// Kill gives, by folder, the share of invocations in whose midst, or just
	// before whose answer is heard, the environment is killed; but no event has
	// that fate more than twice, as often as Lambda repeats an asynchronous
	// invocation.
	Kill map[string]float64
	// Within bounds when an environment is killed; 0: 20 ms.
	Within time.Duration
	// Cut cuts the stream's batches at random and lets records of different
	// partitions change places.
	Cut bool
	// Fate, if not nil, is asked where nothing of the above applies.
	Fate func(lambda.Call) lambda.Fate
}

// Asynchronous are the folders of functions that AWS may call twice for one
// event: all but those that answer requests.
var Asynchronous = []string{"feed", "welcome", "mailevents", "sweep", "discarded"}

func (c Chaos) plan() func(lambda.Call) lambda.Fate {
	within := c.Within
	if within == 0 {
		within = 20 * time.Millisecond
	}
	var mu sync.Mutex
	kills := map[uint64]int{} // of an event, by its hash
	return func(call lambda.Call) lambda.Fate {
		h := fnv.New64a()
		h.Write([]byte(call.Function))
		random := rand.New(rand.NewPCG(c.Seed^h.Sum64(), uint64(call.Number)))
		again, share, delay, lose := random.IntN(2) == 0, random.Float64(), time.Duration(random.Int64N(int64(within))), random.IntN(2) == 0
		var fate lambda.Fate
		drawn := false
		if slices.Contains(c.Twice, call.Function) {
			drawn, fate.Again = true, lambda.After
			if again {
				fate.Again = lambda.Beside
			}
		}
		if share < c.Kill[call.Function] {
			h.Write(call.Event)
			mu.Lock()
			kills[h.Sum64()]++
			killed := kills[h.Sum64()]
			mu.Unlock()
			if killed <= 2 {
				drawn = true
				// What called it calls again; a second delivery would hide the end
				// of the first.
				fate.Again = lambda.Once
				if fate.Lose = lose; !lose {
					fate.Kill = lambda.KillAfter(delay)
				}
			}
		}
		if !drawn && c.Fate != nil {
			return c.Fate(call)
		}
		return fate
	}
}
