package provision_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
	"gatehouse/internal/table/ledger"
)

// mortal lets a program commit so many times; then it is dead, and not even the
// answer to its last commit reaches it.
type mortal struct {
	table.Table
	left int // commits; below zero: immortal
	last bool
}

func (m *mortal) dead() bool { return m.left == 0 }

func (m *mortal) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if m.dead() {
		return "", errInjected
	}
	v, err := m.Table.Commit(ctx, writes...)
	if m.left--; m.dead() && m.last {
		return "", errInjected
	}
	return v, err
}

func (m *mortal) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if m.dead() {
		return nil, errInjected
	}
	return m.Table.Get(ctx, keys...)
}

// reborn is the directory in a new program over what the old one left, a while
// later.
func (w *world) reborn() provision.Directory {
	w.mu.Lock()
	w.clock = w.clock.Add(time.Minute)
	w.mu.Unlock()
	w.s = provision.New(w.memory, w.now)
	return w.s.As(w.org, w.a.Connection(), operator)
}

// TestALargeChangeHappensWhollyOrNotAtAll ends the program after each commit of
// a large change, its answer given or lost. What is left is the change or
// nothing of it: by itself, and before anything else is written to the group.
func TestALargeChangeHappensWhollyOrNotAtAll(t *testing.T) {
	const old, size = 30, 110
	kinds := []struct {
		name string
		ops  func(ids []string) []provision.MemberOp
		want func(ids []string) []string
	}{
		{"adding", func(ids []string) []provision.MemberOp { return op(provision.AddMembers, ids...) }, func(ids []string) []string { return ids }},
		{"replacing", func(ids []string) []provision.MemberOp { return op(provision.ReplaceMembers, ids[old/2:]...) }, func(ids []string) []string { return ids[old/2:] }},
		{"adding and removing", func(ids []string) []provision.MemberOp {
			return append(op(provision.AddMembers, ids...), op(provision.RemoveMembers, ids[:old]...)...)
		}, func(ids []string) []string { return ids[old:] }},
	}
	follows := map[string]func(w *world, d provision.Directory, g, other string) error{
		"nothing": func(w *world, d provision.Directory, g, other string) error { w.resume(); return nil },
		"an addition": func(w *world, d provision.Directory, g, other string) error {
			return second(d.ChangeMembers(w.t.Context(), g, op(provision.AddMembers, other)))
		},
		"a name": func(w *world, d provision.Directory, g, other string) error {
			return third(d.ChangeGroup(w.t.Context(), g, nil, func(roster.Group) (provision.Doc, error) { return group("Renamed"), nil }, nil))
		},
	}
	for _, kind := range kinds {
		for next, follow := range follows {
			for _, lost := range []bool{false, true} {
				if next != "nothing" && (lost || kind.name == "replacing") {
					continue // nothing new: what is stored is the same, and helped along the same
				}
				deaths := 0
				for at := 1; ; at++ {
					var m *mortal
					w := newWorldOver(t, func(tab table.Table) table.Table { m = &mortal{Table: tab, left: -1}; return m })
					ids := w.crowd(w.a, size+1)
					ids, other := ids[:size], ids[size]
					g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:old])
					if err != nil {
						t.Fatal(err)
					}
					m.left, m.last = at, lost
					_, _, err = w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, kind.ops(ids))
					if !m.dead() || err == nil && !lost {
						break
					}
					deaths++
					m.left = -1
					w.check(false)
					d := w.reborn()
					if err := follow(w, d, string(g.ID), other); err != nil {
						t.Fatalf("%s, dead after commit %d, then %s: %v", kind.name, at, next, err)
					}
					want := map[string]bool{}
					for _, id := range kind.want(ids) {
						want[id] = true
					}
					got := w.members(d, g.ID)
					delete(got, other)
					if !maps.Equal(got, want) {
						t.Fatalf("%s, dead after commit %d, then %s: %d members, want %d", kind.name, at, next, len(got), len(want))
					}
					now, err := d.Group(t.Context(), string(g.ID))
					if err != nil || now.Tag() == g.Tag() || now.Busy() || now.Count < len(want) {
						t.Fatalf("%s, dead after commit %d, then %s: the tag is %s as it was %s, busy %v, %d members, %v", kind.name, at, next, now.Tag(), g.Tag(), now.Busy(), now.Count, err)
					}
					large := 0
					for _, e := range w.events(string(g.ID)) {
						if e.Paged {
							large++
						}
					}
					if large != 1 {
						t.Fatalf("%s, dead after commit %d, then %s: %d events of the request, want one", kind.name, at, next, large)
					}
					w.finish()
				}
				if deaths < 4 {
					t.Errorf("%s, then %s: the program died %d times, want at least 4", kind.name, next, deaths)
				}
			}
		}
	}
}

// Before its first commit a large change is nothing.
func TestALargeChangeThatDoesNotBegin(t *testing.T) {
	w := newWorldOver(t, func(tab table.Table) table.Table { return &failing{Table: tab} })
	ids := w.crowd(w.a, 60)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.table.(*failing).countdown = 1
	if _, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.AddMembers, ids...)); err == nil {
		t.Fatal("a change whose first commit failed succeeds")
	}
	if now, err := w.a.Group(t.Context(), string(g.ID)); err != nil || now.Tag() != g.Tag() || now.Count != 0 {
		t.Errorf("after a change that did not begin the group has %d members and the tag moved: %v, %v", now.Count, now.Tag() != g.Tag(), err)
	}
	w.finish()
}

// A request is one event, and its pages name everybody once.
func TestALargeChangeIsOneEvent(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.crowd(w.a, 230)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:130])
	if err != nil {
		t.Fatal(err)
	}
	rename := func(roster.Group) (provision.Doc, error) { return group("Crowd"), nil }
	if _, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, rename, op(provision.ReplaceMembers, ids[100:]...)); err != nil {
		t.Fatal(err)
	}
	events := w.events(string(g.ID))
	if len(events) != 2 {
		t.Fatalf("a creation and a change are %d events, want 2", len(events))
	}
	for i, want := range []struct {
		kind           audit.Kind
		added, removed []string
		changes        int
	}{{audit.GroupChanged, ids[130:], ids[:100], 2}, {audit.GroupCreated, ids[:130], nil, 2}} {
		e := events[i]
		var added, removed []string
		for p, err := range audit.Pages(t.Context(), w.table, w.org, e.Subject, e.ID) {
			if err != nil {
				t.Fatal(err)
			}
			added, removed = append(added, p.Added...), append(removed, p.Removed...)
		}
		slices.Sort(added)
		slices.Sort(removed)
		if !slices.Equal(added, slices.Sorted(slices.Values(want.added))) || !slices.Equal(removed, slices.Sorted(slices.Values(want.removed))) {
			t.Errorf("the pages of %s add %d and remove %d, want %d and %d", e.Kind, len(added), len(removed), len(want.added), len(want.removed))
		}
		if e.Kind != want.kind || !e.Paged || len(e.Changes) != want.changes || !e.Has(audit.Settle) || e.Actor.Kind != "connection" {
			t.Errorf("the event is %+v, want %s of the connection with %d changes, to be settled", e, want.kind, want.changes)
		}
		last := e.Changes[len(e.Changes)-1]
		if n := last.After.Get("count").Text(); n != fmt.Sprint(len(want.added)) {
			t.Errorf("the event counts %s added members, want %d", n, len(want.added))
		}
	}
}

// Large and small changes, removals, whole lists and deletions of users from 64
// clients at once: nobody is lost or comes back, and what is stored makes sense.
func TestLargeAndSmallChangesMeet(t *testing.T) {
	const clients, own, rounds = 64, 12, 6
	w := newWorld(t, nil)
	ids := w.crowd(w.a, clients*own)
	g, err := w.a.CreateGroup(t.Context(), group("Everybody"), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Each client decides about people of its own alone, so that the outcome is
	// known; the first have so many that each of their changes is a journal.
	const large = 45
	crowd := w.crowdNamed(w.a, "large", 4*large)
	want := map[string]bool{}
	var mu sync.Mutex
	together(clients, func(i int) {
		rng := rand.New(rand.NewPCG(uint64(i), 11))
		mine := ids[i*own : (i+1)*own]
		in := map[string]bool{}
		for round := range rounds {
			some := slices.Clone(mine[:1+rng.IntN(len(mine))])
			remove := rng.IntN(3) == 0
			if i < 4 {
				some, remove = append(some, crowd[i*large:(i+1)*large]...), round%2 == 1
			}
			kind := provision.AddMembers
			if remove {
				kind = provision.RemoveMembers
			}
			if err := third(w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(kind, some...))); err != nil {
				t.Errorf("a change among many: %v", err)
			}
			for _, id := range some {
				in[id] = kind == provision.AddMembers
			}
		}
		if i%8 == 7 {
			if err := w.a.Leave(t.Context(), mine[0], nil); err != nil {
				t.Errorf("a deletion among many: %v", err)
			}
			delete(in, mine[0])
		}
		mu.Lock()
		defer mu.Unlock()
		for id, is := range in {
			if is {
				want[id] = true
			}
		}
	})
	if got := w.members(w.a, g.ID); !maps.Equal(got, want) {
		t.Errorf("after parallel changes the group lists %d members, want the %d of the model", len(got), len(want))
	}
}

// Whoever wants to write to a group that is locked helps, and then decides anew.
func TestWritersHelpAJournal(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *world, d provision.Directory, g roster.Group, ids []string) error
		want func(ids []string) []string // nil: the group is gone
	}{
		"deletion of the group": {func(w *world, d provision.Directory, g roster.Group, ids []string) error {
			return d.DeleteGroup(w.t.Context(), string(g.ID), nil)
		}, nil},
		"deletion of a member": {func(w *world, d provision.Directory, g roster.Group, ids []string) error {
			return d.Leave(w.t.Context(), ids[0], nil)
		}, func(ids []string) []string { return ids[1:] }},
		"deletion of who is to be added": {func(w *world, d provision.Directory, g roster.Group, ids []string) error {
			return d.Leave(w.t.Context(), ids[100], nil)
		}, func(ids []string) []string { return append(slices.Clone(ids[:100]), ids[101:]...) }},
		"a whole list": {func(w *world, d provision.Directory, g roster.Group, ids []string) error {
			return third(d.ChangeGroup(w.t.Context(), string(g.ID), nil, nil, op(provision.ReplaceMembers, ids[:3]...)))
		}, func(ids []string) []string { return ids[:3] }},
		"a change under the tag of before": {func(w *world, d provision.Directory, g roster.Group, ids []string) error {
			err := third(d.ChangeGroup(w.t.Context(), string(g.ID), func(now string) bool { return now == g.Tag() }, nil, op(provision.RemoveMembers, ids...)))
			if !fault.Coded(err, fault.Stale) {
				return fmt.Errorf("%w, want stale", err)
			}
			return nil
		}, func(ids []string) []string { return ids }},
		"a change that comes to nothing": {func(w *world, d provision.Directory, g roster.Group, ids []string) error {
			return third(d.ChangeGroup(w.t.Context(), string(g.ID), nil, nil, op(provision.AddMembers, ids[100])))
		}, func(ids []string) []string { return ids }},
	} {
		t.Run(name, func(t *testing.T) {
			var m *mortal
			w := newWorldOver(t, func(tab table.Table) table.Table { m = &mortal{Table: tab, left: -1}; return m })
			ids := w.crowd(w.a, 120)
			g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:3])
			if err != nil {
				t.Fatal(err)
			}
			m.left = 2
			if err := third(w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.AddMembers, ids...))); err == nil {
				t.Fatal("a program that died answers")
			}
			d := w.reborn()
			if err := c.do(w, d, g, ids); err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				if _, err := d.Group(t.Context(), string(g.ID)); !gone(err) {
					t.Errorf("the deleted group answers %v", err)
				}
			} else {
				w.resume()
				want := map[string]bool{}
				for _, id := range c.want(ids) {
					want[id] = true
				}
				if got := w.members(d, g.ID); !maps.Equal(got, want) {
					t.Errorf("the group lists %d members, want %d", len(got), len(want))
				}
			}
			w.finish()
		})
	}
}

// Somebody who is at work is not disturbed: the sweep looks again later, and a
// journal that is held has one holder.
func TestAJournalInProgressIsLeftAlone(t *testing.T) {
	var m *mortal
	w := newWorldOver(t, func(tab table.Table) table.Table { m = &mortal{Table: tab, left: -1}; return m })
	ids := w.crowd(w.a, 120)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.left = 2
	if err := third(w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.AddMembers, ids...))); err == nil {
		t.Fatal("a program that died answers")
	}
	s := provision.New(w.memory, w.now)
	if err := s.Resume(t.Context(), w.org, g.ID); err != nil {
		t.Fatal(err)
	}
	m.left = -1
	now, err := s.As(w.org, w.a.Connection(), operator).Group(t.Context(), string(g.ID))
	if err != nil || !now.Busy() || now.Count == 0 || now.Count == len(ids) {
		t.Errorf("while its lease runs the change was resumed: busy %v, %d members, %v", now.Busy(), now.Count, err)
	}
	w.finish()
	if now, err := w.a.Group(t.Context(), string(g.ID)); err != nil || now.Busy() || now.Count != len(ids) {
		t.Errorf("after the lease the change is not whole: busy %v, %d members, %v", now.Busy(), now.Count, err)
	}
}

// TestBulkCapacity adds thousands at once: at most 4.5 write units a new member,
// with the journal, the event and all.
func TestBulkCapacity(t *testing.T) {
	var m *ledger.Ledger
	w := newWorldOver(t, func(tab table.Table) table.Table { m = ledger.New(tab); return m })
	ids := w.crowd(w.a, 5000)
	for _, n := range []int{500, 1000, 5000} {
		g, err := w.a.CreateGroup(t.Context(), group(fmt.Sprint("Group ", n)), nil)
		if err != nil {
			t.Fatal(err)
		}
		m.Reset()
		if err := third(w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.AddMembers, ids[:n]...))); err != nil {
			t.Fatal(err)
		}
		each := float64(m.Snapshot().Write) / float64(n)
		t.Logf("adding %d members at once: %.2f write units and %.2f read units each", n, each, float64(m.Snapshot().Read)/float64(n))
		if each > 4.5 {
			t.Errorf("adding %d members at once takes %.2f write units each, want at most 4.5", n, each)
		}
	}
}

// Groups may be members, in circles too, and leave like users.
func TestGroupsInGroups(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	u := w.join(w.a, "ada@example.com")
	make := func(name string, members ...string) roster.Group {
		t.Helper()
		g, err := w.a.CreateGroup(ctx, group(name), members)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	team := make("Team", string(u.ID))
	floor := make("Floor", string(team.ID), string(u.ID))
	house := make("House", string(floor.ID))
	add := func(g roster.Group, id string) error {
		return second(w.a.ChangeMembers(ctx, string(g.ID), op(provision.AddMembers, id)))
	}
	if err := add(team, string(house.ID)); err != nil {
		t.Fatalf("closing a circle: %v", err)
	}
	if err := add(team, string(team.ID)); !fault.Coded(err, fault.InvalidValue) {
		t.Errorf("a group in itself: %v, want invalidValue", err)
	}
	foreign, err := w.b.CreateGroup(ctx, group("Foreign"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := add(team, string(foreign.ID)); !fault.Coded(err, fault.InvalidValue) {
		t.Errorf("another connection's group as a member: %v, want invalidValue", err)
	}
	of := func(id string) (out []identity.Group) {
		t.Helper()
		out, err := w.a.Roster.GroupsWithMember(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := of(string(team.ID)); !slices.Equal(got, []identity.Group{floor.ID}) {
		t.Errorf("the team is in %v, want the floor", got)
	}
	ada, err := w.a.User(ctx, string(u.ID), true)
	if err != nil {
		t.Fatal(err)
	}
	tag := ada.ViewTag()
	if err := w.a.Roster.Ancestry().Of(ctx, &ada); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ada.Indirect, []identity.Group{house.ID}) || ada.ViewTag() == tag {
		t.Errorf("who is in team and floor is indirectly in %v, want the house alone; the tag tells of it: %v", ada.Indirect, ada.ViewTag() != tag)
	}
	if page, err := w.a.Roster.GroupPage(ctx, w.a.Connection().ID, 1, 10); err != nil || len(page.Resources) != 3 || page.Total != 3 {
		t.Errorf("the list has %d of %d groups, %v; want 3", len(page.Resources), page.Total, err)
	}
	if err := w.a.DeleteGroup(ctx, string(floor.ID), nil); err != nil {
		t.Fatal(err)
	}
	if got := w.members(w.a, house.ID); len(got) != 0 {
		t.Errorf("the house lists %v, whose floor is deleted", got)
	}
	// One that is in many others is hidden at once, and swept by the feed.
	for i := range 20 {
		make(fmt.Sprint("Other ", i), string(house.ID))
	}
	some := make("Some", string(house.ID), string(u.ID))
	if err := w.a.DeleteGroup(ctx, string(house.ID), nil); err != nil {
		t.Fatal(err)
	}
	if got := w.members(w.a, some.ID); len(got) != 1 || !got[string(u.ID)] {
		t.Errorf("a group lists %v, want the user alone: the other member is deleted", got)
	}
	if err := w.a.Leave(ctx, string(u.ID), nil); err != nil {
		t.Fatal(err)
	}
}

// Strict clients must not say that a group is a user; others may be wrong.
func TestTypesOfMembers(t *testing.T) {
	w := newWorld(t, nil)
	for _, dialect := range []string{"compat", "strict"} {
		c := w.a.Connection()
		c.Dialect = dialect
		d := w.s.As(w.org, c, operator)
		u := w.join(d, dialect+"@example.com")
		inner, err := d.CreateGroup(t.Context(), group("Inner "+dialect), nil)
		if err != nil {
			t.Fatal(err)
		}
		outer, err := d.CreateGroup(t.Context(), group("Outer "+dialect), nil)
		if err != nil {
			t.Fatal(err)
		}
		for id, types := range map[string][2]string{string(u.ID): {"User", "Group"}, string(inner.ID): {"group", "User"}} {
			for i, said := range types {
				ops := op(provision.AddMembers, id)
				ops[0].Types = map[string]string{id: said}
				corrected := false
				ops[0].Corrected = func(of string) { corrected = of == id }
				err := third(d.ChangeGroup(t.Context(), string(outer.ID), nil, nil, ops))
				if wrong := i == 1; err == nil && corrected != wrong {
					t.Errorf("%s: adding %s as a %s tells of a correction: %v, want %v", dialect, id, said, corrected, wrong)
				}
				if refused := dialect == "strict" && i == 1; refused != fault.Coded(err, fault.InvalidValue) || !refused && err != nil {
					t.Errorf("%s: adding %s as a %s: %v, want it refused: %v", dialect, id, said, err, refused)
				}
			}
		}
		if got, err := d.Group(t.Context(), string(outer.ID)); err != nil || got.Count != 2 {
			t.Errorf("%s: the group has %d members, %v; want 2", dialect, got.Count, err)
		}
	}
}

// A page of members is a page wherever it begins, and together they are all.
// GATEHOUSE_LARGE=1 asks for those of 100,000.
func TestPagesOfMembers(t *testing.T) {
	var m *ledger.Ledger
	w := newWorldOver(t, func(tab table.Table) table.Table { m = ledger.New(tab); return m })
	g, err := w.a.CreateGroup(t.Context(), group("Large"), nil)
	if err != nil {
		t.Fatal(err)
	}
	size, most := 25_000, 110.0
	if os.Getenv("GATEHOUSE_LARGE") != "" {
		size, most = 100_000, 400
	}
	f := fill(t, w.memory)
	want := map[string]bool{}
	for range size {
		some := roster.UserMember(identity.MintUser(w.a.Connection().ID))
		f.put(table.Put(w.a.Roster.MemberKey(g.ID, some), nil))
		f.counts[w.a.Roster.MemberHeaderKey(g.ID, some)]++
		want[some.ID] = true
	}
	f.done()
	if g, err = w.a.Group(t.Context(), string(g.ID)); err != nil {
		t.Fatal(err)
	}
	got, worst := map[string]bool{}, 0.0
	page := func(start, count int) []roster.Member {
		m.Reset()
		p, err := w.a.Roster.MemberPage(t.Context(), g, start, count)
		if err != nil || p.Total != size || len(p.Resources) != max(0, min(count, size-start+1)) {
			t.Fatalf("MemberPage(%d, %d) has %d of %d members, %v", start, count, len(p.Resources), p.Total, err)
		}
		worst = max(worst, float64(m.Snapshot().Read))
		return p.Resources
	}
	for start := 1; start <= size; start += 1000 {
		for _, member := range page(start, 1000) {
			got[member.ID] = true
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the pages list %d members together, want %d", len(got), len(want))
	}
	behind, seen := "", map[string]bool{}
	for more := true; more; {
		m.Reset()
		ms, next, err := w.a.Roster.MembersAfter(t.Context(), g.ID, behind, 1000)
		if more = next; err != nil || len(ms) != min(1000, size-len(seen)) {
			t.Fatalf("MembersAfter gives %d members after %d, %v", len(ms), len(seen), err)
		}
		for _, member := range ms {
			seen[member.ID] = true
			behind = member.ID
		}
		if n := m.Snapshot().Read; n > 60 {
			t.Errorf("a thousand members behind others take %d read units, want at most 60", n)
		}
	}
	if !maps.Equal(seen, want) {
		t.Errorf("page behind page there are %d members, want %d", len(seen), len(want))
	}
	t.Logf("the dearest page of 1,000 among %d members takes %.0f read units", size, worst)
	if worst > most {
		t.Errorf("a page of 1,000 members takes %.0f read units, want at most %.0f", worst, most)
	}
	for _, at := range []int{1, 2, size/4 - 1, size / 4, size/4 + 1, size / 2, size * 7 / 9, size - 1, size, size + 1} {
		some := page(at, 3)
		if at > 1 && at <= size {
			if before := page(at-1, 2); len(before) == 2 && before[1] != some[0] {
				t.Errorf("the member at %d is %s, and %s from the place before it", at, some[0].ID, before[1].ID)
			}
		}
	}
}

// Who is deleted is on no page, although still counted.
func TestPagesWithoutTheDeleted(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.crowd(w.a, 10)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), ids)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.memory.Commit(t.Context(), table.Put(w.a.Roster.SweepingKey(roster.Member{ID: ids[4]}), nil)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for start := 1; start <= 10; start += 3 {
		p, err := w.a.Roster.MemberPage(t.Context(), mustGroup(t, w, g.ID), start, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range p.Resources {
			seen[m.ID] = true
		}
	}
	after, more, err := w.a.Roster.MembersAfter(t.Context(), g.ID, "", 9)
	if err != nil || more || len(after) != 9 || slices.Contains(after, roster.Member{ID: ids[4]}) {
		t.Errorf("MembersAfter gives %d of 9 members and more: %v, %v", len(after), more, err)
	}
	if len(seen) != 9 || seen[ids[4]] {
		t.Errorf("the pages list %d of 9 members, the deleted among them: %v", len(seen), seen[ids[4]])
	}
	if _, err := w.memory.Commit(t.Context(), table.Delete((&stage{world: w}).item(w.a.Roster.SweepingKey(roster.Member{ID: ids[4]})))); err != nil {
		t.Fatal(err)
	}
}

func mustGroup(t *testing.T, w *world, id identity.Group) roster.Group {
	t.Helper()
	g, err := w.a.Group(t.Context(), string(id))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// preempted lets something happen before the next commit.
type preempted struct {
	table.Table
	by func()
}

func (p *preempted) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if by := p.by; by != nil {
		p.by = nil
		by()
	}
	return p.Table.Commit(ctx, writes...)
}

// A change that was decided before the lock and comes to its commit after it is
// kept out by the header's bounds: it helps, and is decided anew.
func TestALockKeepsOutWhoReadBeforeIt(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(d provision.Directory, g string, ids []string) error
		want func(ids []string) []string
	}{
		"an addition": {func(d provision.Directory, g string, ids []string) error {
			return second(d.ChangeMembers(context.Background(), g, op(provision.AddMembers, ids[100])))
		}, func(ids []string) []string { return append(ids[50:101:101], ids[0]) }},
		"a removal": {func(d provision.Directory, g string, ids []string) error {
			return second(d.ChangeMembers(context.Background(), g, op(provision.RemoveMembers, ids[0])))
		}, func(ids []string) []string { return ids[50:100] }},
		"a list": {func(d provision.Directory, g string, ids []string) error {
			return third(d.ChangeGroup(context.Background(), g, nil, nil, op(provision.ReplaceMembers, ids[:2]...)))
		}, func(ids []string) []string { return ids[:2] }},
	} {
		var p *preempted
		w := newWorldOver(t, func(tab table.Table) table.Table { p = &preempted{Table: tab}; return p })
		ids := w.crowd(w.a, 101)
		g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:10])
		if err != nil {
			t.Fatal(err)
		}
		p.by = func() {
			dying := provision.New(&mortal{Table: w.memory, left: 2}, w.now).As(w.org, w.a.Connection(), operator)
			if err := third(dying.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.ReplaceMembers, append(ids[50:100:100], ids[0])...))); err == nil {
				t.Error("a program that died answers")
			}
			w.mu.Lock()
			w.clock = w.clock.Add(time.Minute)
			w.mu.Unlock()
		}
		if err := c.do(w.a, string(g.ID), ids); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[string]bool{}
		for _, id := range c.want(ids) {
			want[id] = true
		}
		now := mustGroup(t, w, g.ID)
		if got := w.members(w.a, g.ID); now.Busy() || !maps.Equal(got, want) {
			t.Errorf("%s that met a lock: the group is busy %v and lists %d members, want %d", name, now.Busy(), len(got), len(want))
		}
		w.finish()
	}
}
