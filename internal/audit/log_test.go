package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// events stores n events of several subjects and returns their items.
func events(t *testing.T, tab table.Table, o *org.Org, n int) []table.Item {
	t.Helper()
	out := make([]table.Item, n)
	for i := range out {
		out[i] = stored(t, tab, o, audit.Event{ID: identity.MintEvent(now.Add(time.Duration(i) * time.Millisecond)), Subject: fmt.Sprint("subject", i%17), Kind: audit.UserChanged}, nil)
	}
	return out
}

// whole asserts that the log holds the events, each once, numbered from 1
// without a gap, and that the events know their numbers.
func whole(t *testing.T, tab table.Table, o *org.Org, want []table.Item) {
	t.Helper()
	log := audit.LogOf(tab, o)
	got, err := log.Read(context.Background(), 1, len(want)+10, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last, err := log.Last(context.Background()); err != nil || last != int64(len(want)) || len(got) != len(want) {
		t.Errorf("the log ends with number %d and holds %d entries (%v), want %d", last, len(got), err, len(want))
	}
	numbers := map[identity.Event]int64{}
	for i, e := range got {
		if e.Number != int64(i+1) {
			t.Fatalf("entry %d of the log has number %d", i+1, e.Number)
		}
		if numbers[e.ID] != 0 {
			t.Errorf("event %s has the numbers %d and %d", e.ID, numbers[e.ID], e.Number)
		}
		numbers[e.ID] = e.Number
	}
	for _, it := range want {
		now, err := tab.Get(context.Background(), it.Key)
		if err != nil || len(now) != 1 || now[0].N == 0 || now[0].N != numbers[identity.Event(it.Sort)] || string(now[0].Data) != string(it.Data) {
			t.Errorf("event %v says number %v (%v), the log %d", it.Key, now, err, numbers[identity.Event(it.Sort)])
		}
	}
}

// losing fails some commits, before they happen or after, and mixes callers.
type losing struct {
	table.Table
	mu  sync.Mutex
	rng *rand.Rand
}

var errLost = errors.New("the table does not answer")

func (l *losing) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	l.mu.Lock()
	fate := l.rng.IntN(6)
	l.mu.Unlock()
	runtime.Gosched()
	if fate == 0 {
		return "", errLost
	}
	v, err := l.Table.Commit(ctx, writes...)
	if fate == 1 && err == nil {
		return "", errLost
	}
	return v, err
}

// TestAppend: many append overlapping, shuffled, repeated batches at once, with
// commits that fail in between; each tries until it was told yes, as the feed
// does.
func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails bool
	}{{"with answers", false}, {"with lost answers", true}} {
		t.Run(c.name, func(t *testing.T) {
			mem := memory.New()
			o := newOrg(t, mem)
			all := events(t, mem, o, 700)
			var tab table.Table = mem
			if c.fails {
				tab = &losing{Table: mem, rng: rand.New(rand.NewPCG(1, 2))}
			}
			var wait sync.WaitGroup
			for g := range 8 {
				wait.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(g), 3))
					mine := append([]table.Item(nil), all...)
					rng.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
					for len(mine) > 0 {
						batch := mine[:min(len(mine), 1+rng.IntN(130))]
						mine = mine[len(batch):]
						batch = append(batch[:len(batch):len(batch)], batch[rng.IntN(len(batch))])
						for tries := 0; ; tries++ {
							err := audit.LogOf(tab, o).Append(t.Context(), batch)
							if err == nil {
								break
							}
							if !c.fails || tries == 100 {
								t.Errorf("Append: %v", err)
								break
							}
						}
					}
				})
			}
			wait.Wait()
			whole(t, mem, o, all)
			if err := audit.LogOf(mem, o).Append(t.Context(), all); err != nil {
				t.Errorf("appending all once more: %v", err)
			}
			whole(t, mem, o, all)
		})
	}
}

func TestAppendOfLargeEvents(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	var all []table.Item
	var changes []audit.Change
	for i := range 8 { // 120 KB an event: twenty do not fit one commit with their copies
		changes = append(changes, audit.Change{Path: fmt.Sprint("p", i), After: value.Str(string(make15k()))})
	}
	for i := range 20 {
		all = append(all, stored(t, tab, o, audit.Event{ID: identity.MintEvent(now), Subject: fmt.Sprint(i), Kind: audit.UserChanged, Changes: changes}, nil))
	}
	if err := audit.LogOf(tab, o).Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	whole(t, tab, o, all)
}

func make15k() []byte {
	b := make([]byte, 15<<10)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

func TestAppendPassesOverWhatIsNotThere(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	all := events(t, tab, o, 3)
	numbered := all[0]
	numbered.N = 7 // the feed shows the change by which an event got its number
	if err := audit.LogOf(tab, o).Append(t.Context(), []table.Item{{}, numbered, all[1], all[1]}); err != nil {
		t.Fatal(err)
	}
	whole(t, tab, o, all[1:2])
}

func TestReading(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	log := audit.LogOf(tab, o)
	if got, err := log.Latest(t.Context(), 10); err != nil || len(got) != 0 {
		t.Errorf("Latest of an empty log = %d events, %v", len(got), err)
	}
	all := events(t, tab, o, 250)
	if err := log.Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from        int64
		count       int
		first, last int64 // 0: none
	}{
		{1, 10, 1, 10}, {0, 3, 1, 3}, {-5, 3, 1, 3}, {245, 100, 245, 250}, {250, 1, 250, 250}, {251, 5, 0, 0}, {1, 0, 0, 0}, {3, 230, 3, 232},
	} {
		got, err := log.Read(t.Context(), c.from, c.count, nil)
		if err != nil {
			t.Fatal(err)
		}
		var first, last int64
		if len(got) > 0 {
			first, last = got[0].Number, got[len(got)-1].Number
		}
		if first != c.first || last != c.last {
			t.Errorf("Read(%d, %d) gives numbers %d to %d, want %d to %d", c.from, c.count, first, last, c.first, c.last)
		}
	}
	latest, err := log.Latest(t.Context(), 300)
	if err != nil || len(latest) != 250 || latest[0].Number != 250 || latest[249].Number != 1 {
		t.Errorf("Latest(300) gives %d events (%v), want all 250 from the newest", len(latest), err)
	}
	if latest, _ = log.Latest(t.Context(), 2); len(latest) != 2 || latest[0].Number != 250 || latest[1].Number != 249 {
		t.Errorf("Latest(2) = %v", latest)
	}
	line, err := log.Timeline(t.Context(), "subject3", 5, nil)
	if err != nil || len(line) != 5 || line[0].ID <= line[1].ID || line[0].Subject != "subject3" {
		t.Errorf("Timeline = %v, %v; want the five newest of the subject", line, err)
	}
}

func TestTheLogOpensWithTheKeysOfItsSubjects(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	seal := secret.Mint()
	change := []audit.Change{{Path: "title", After: value.Str("En")}}
	here := stored(t, tab, o, audit.Event{ID: identity.MintEvent(now), Subject: "here", Kind: audit.UserChanged, Changes: change}, &seal)
	gone := stored(t, tab, o, audit.Event{ID: identity.MintEvent(now), Subject: "gone", Kind: audit.UserChanged, Changes: change}, &seal)
	log := audit.LogOf(tab, o)
	if err := log.Append(t.Context(), []table.Item{here, gone}); err != nil {
		t.Fatal(err)
	}
	got, err := log.Read(t.Context(), 1, 2, func(_ context.Context, subject string) (*secret.Key, error) {
		if subject == "here" {
			return &seal, nil
		}
		return nil, nil
	})
	if err != nil || len(got) != 2 || len(got[0].Changes) != 1 || got[0].Changes[0].After.Text() != "En" || len(got[1].Changes) != 0 {
		t.Errorf("Read with keys = %+v, %v; want changes of who is here only", got, err)
	}
	if _, err := log.Read(t.Context(), 1, 2, func(context.Context, string) (*secret.Key, error) { return nil, errLost }); !errors.Is(err, errLost) {
		t.Errorf("Read where keys cannot be read = %v, want the error", err)
	}
}
