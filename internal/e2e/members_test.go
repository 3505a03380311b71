package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/short"
)

// passive makes users who get no mail, from several clients at once.
func passive(t *testing.T, s *site, prefix string, n int) []string {
	t.Helper()
	const makers = 16
	ids := make([]string, n)
	errs := make([]error, makers)
	var work sync.WaitGroup
	for m := range makers {
		work.Go(func() {
			c := s.client("")
			for i := m; i < n; i += makers {
				name := fmt.Sprintf("%s%d@members.test", prefix, i)
				a, err := c.try("POST", "/Users", object{"schemas": []string{userSchema}, "userName": name, "active": false})
				if err == nil && a.status != http.StatusCreated {
					err = fmt.Errorf("%s = %d: %s", a.asked, a.status, a.body)
				}
				if err != nil {
					errs[m] = err
					return
				}
				ids[i] = a.text("id")
			}
		})
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return ids
}

func newGroup(t *testing.T, c *client, name string, members ...string) string {
	t.Helper()
	return c.send(t, "POST", "/Groups?attributes=id", object{"schemas": []string{groupSchema}, "displayName": name, "members": refs(members)}).want(t, 201).text("id")
}

// TestKilledInALargeChange ends the program with SIGKILL in the middle of PATCHes
// of 5,000 members, at moments that differ. Started again it comes to either
// none or all of the change by itself, and before the next write to the group.
func TestKilledInALargeChange(t *testing.T) {
	const size = 5000
	rounds := short.Size(8, 3)
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, options{dir: dir})
	c := s.client("")
	ids := passive(t, &s.site, "m", size+rounds+1)
	crowd, others := ids[:size], ids[size:]
	group := newGroup(t, c, "Crowd")

	change := func(add bool) object {
		if add {
			return patchOp(object{"op": "add", "path": "members", "value": refs(crowd)})
		}
		return patchOp(object{"op": "replace", "path": "members", "value": []object{}})
	}
	state := func(c *client) (tag string, n int) {
		a := c.get(t, "/Groups/"+group+"/members?count=0")
		fmt.Sscan(a.text("totalResults"), &n)
		return a.header.Get("ETag"), n
	}
	empty, _ := state(c)
	a := c.send(t, "PATCH", "/Groups/"+group, change(true), "If-Match", empty).want(t, 204)
	whole := a.took
	if tag, n := state(c); n != size || tag != a.header.Get("ETag") || tag == empty {
		t.Fatalf("after adding %d members there are %d, and the tag is %s, not the %s that was answered", size, n, tag, a.header.Get("ETag"))
	}
	none, all := 0, 0
	for round := range rounds {
		before, had := state(c)
		add := had == 0
		want := size
		if !add {
			want = 0
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.try("PATCH", "/Groups/"+group, change(add)) // whatever becomes of it
		}()
		time.Sleep(time.Duration(rand.Int64N(int64(whole)))) // not a wait for anything: the moment is what varies
		s.kill()
		<-done
		transport.CloseIdleConnections()
		s = start(t, options{dir: dir})
		c = s.client("")
		if round%2 == 0 {
			// The next write to the group comes after the whole of it.
			c.send(t, "PATCH", "/Groups/"+group, patchOp(object{"op": "add", "path": "members", "value": refs(others[:1])})).want(t, 204)
			_, n := state(c)
			if n != want+1 && n != had+1 {
				t.Fatalf("round %d: after the next write the group has %d members, want %d or %d", round, n, want+1, had+1)
			}
			c.send(t, "PATCH", "/Groups/"+group, patchOp(object{"op": "remove", "path": `members[value eq "` + others[0] + `"]`})).want(t, 204)
		} else {
			eventually(t, 15*time.Second, func() error {
				if tag, n := state(c); tag == before && n != had || tag != before && n != want {
					return fmt.Errorf("round %d: the group has %d members, which were %d and were to be %d", round, n, had, want)
				}
				return nil
			})
		}
		tag, n := state(c)
		switch {
		case n == had:
			none++
		case n != want:
			t.Fatalf("round %d: the group has %d members, want %d or %d", round, n, had, want)
		case tag == before:
			t.Fatalf("round %d: the group has other members and the same tag", round)
		default:
			all++
		}
		if add == (n == size) && len(c.members(t, group)) != n {
			t.Fatalf("round %d: %d members are listed, and %d counted", round, len(c.members(t, group)), n)
		}
	}
	t.Logf("a change of %d members takes %v; of %d that were killed %d happened and %d did not", size, whole.Round(time.Millisecond), rounds, all, none)
}

// TestManyClientsOfOneGroup patches one group from 64 clients at once.
func TestManyClientsOfOneGroup(t *testing.T) {
	manyClients(t, &start(t, options{}).site, 64, 10_000)
}

func TestRehearsalManyClientsOfOneGroup(t *testing.T) {
	t.Parallel()
	s, _ := rehearseSite(t, nil) // of as many environments at once as an account may be held to
	manyClients(t, s, 16, 500)
}

// manyClients changes memberships of one group, as many as are wanted in all:
// each client those of people of its own, so that the outcome is known. One of
// them changes so many at once that each of its changes is a journal.
func manyClients(t *testing.T, s *site, clients, changes int) {
	const own, large = 5, 45
	ids := passive(t, s, "p", clients*own+large)
	group := newGroup(t, s.client(""), "Everybody", ids[:clients]...)
	want := map[string]bool{}
	for _, id := range ids[:clients] {
		want[id] = true
	}
	var mu sync.Mutex
	made, again := 0, 0
	errs := make([]error, clients)
	var work sync.WaitGroup
	for i := range clients {
		work.Go(func() {
			to, crowd := s.client(""), &crowd{}
			rng := rand.New(rand.NewPCG(uint64(i), 5))
			var mine []string
			for k := range own {
				mine = append(mine, ids[k*clients+i])
			}
			if i == 0 {
				mine = append(mine, ids[clients*own:]...)
			}
			in := map[string]bool{ids[i]: true}
			for n := 0; n < changes/clients; {
				some := slices.Clone(mine)
				rng.Shuffle(len(some), func(a, b int) { some[a], some[b] = some[b], some[a] })
				if i != 0 {
					some = some[:1+rng.IntN(own)]
				}
				is := rng.IntN(2) == 0
				operation := object{"op": "add", "path": "members", "value": refs(some)}
				if !is {
					operation["op"] = "remove" // as Entra does
				}
				if _, err := crowd.persist(to, "PATCH", "/Groups/"+group, patchOp(operation), 204); err != nil {
					errs[i] = err
					return
				}
				for _, id := range some {
					if in[id] != is {
						n++
					}
					in[id] = is
				}
				mu.Lock()
				made++
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			again += crowd.again
			for id, is := range in {
				if delete(want, id); is {
					want[id] = true
				}
			}
		})
	}
	begin := time.Now()
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d clients made %d changes of memberships in %d requests, %d of them repeated, in %v", clients, changes, made, again, time.Since(begin).Round(time.Millisecond))
	if got := s.client("").members(t, group); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("the group lists %d members, want the %d of the model", len(got), len(want))
	}
}
