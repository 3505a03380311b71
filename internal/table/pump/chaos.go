package pump

import (
	"math/rand/v2"
	"sync"

	"gatehouse/internal/table"
)

// Chaos makes deliveries as unkind as the contract of table.Consumer allows:
// batches are shuffled across keys, never within one, and changes and whole
// batches come again, at once or late. It is for tests, which are repeatable
// by its seed where the order of commits is.
type Chaos struct {
	mu  sync.Mutex
	rng *rand.Rand
}

// NewChaos returns the chaos of a seed.
func NewChaos(seed uint64) *Chaos {
	return &Chaos{rng: rand.New(rand.NewPCG(seed, seed))}
}

// remembered is how many earlier batches can come again.
const remembered = 8

// deliver calls once with every change, in an order that a stream could have,
// and returns the errors in the order of changes. What repeats answer counts
// for nothing: the change was answered before.
func (c *Chaos) deliver(l *lane, changes []table.Change, call func([]table.Change) []error) []error {
	order := c.shuffle(changes)
	batch := make([]table.Change, len(order))
	for at, i := range order {
		batch[at] = changes[i]
	}
	if len(l.past) > 0 && c.chance(8) {
		call(l.past[c.intn(len(l.past))])
	}
	repeated := batch
	if len(batch) < l.p.o.Batch && c.chance(3) {
		repeated = append(batch[:len(batch):len(batch)], batch[c.intn(len(batch))])
	}
	answers := call(repeated)
	if l.past = append(l.past, batch); len(l.past) > remembered {
		l.past = l.past[1:]
	}
	if answers == nil {
		if c.chance(6) {
			call(batch)
		}
		return nil
	}
	errs := make([]error, len(changes))
	for at, i := range order {
		errs[i] = answers[at]
	}
	return errs
}

// shuffle returns the indices of changes in random order, those of one key in
// their own.
func (c *Chaos) shuffle(changes []table.Change) []int {
	c.mu.Lock()
	order := c.rng.Perm(len(changes))
	c.mu.Unlock()
	places := map[table.Key][]int{}
	for at, i := range order {
		places[changes[i].Key] = append(places[changes[i].Key], at)
	}
	for i, ch := range changes {
		order[places[ch.Key][0]] = i
		places[ch.Key] = places[ch.Key][1:]
	}
	return order
}

func (c *Chaos) chance(in int) bool { return c.intn(in) == 0 }

func (c *Chaos) intn(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}
