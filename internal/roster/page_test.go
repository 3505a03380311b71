package roster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// people stores n users of the connection, the i-th in i%4 groups, and as many
// groups; it returns their ids in order.
func people(t *testing.T, tab table.Table, r roster.Roster, c identity.Connection, n int) (users []identity.User, groups []identity.Group) {
	t.Helper()
	commit := func(writes ...table.Write) {
		if _, err := tab.Commit(t.Context(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		u, g := roster.User{ID: identity.MintUser(c)}, roster.Group{ID: identity.MintGroup(c)}
		u.SetDoc(parse(t, fmt.Sprintf(`{"userName":"u%d"}`, i)), 0)
		writes := []table.Write{table.Create(r.UserKey(u.ID), u.Encode(true)), table.Create(r.GroupKey(g.ID), g.Encode())}
		for _, k := range slices.Concat(sliced(r.CounterKeys(u.ID)), sliced(r.GroupCounterKeys(g.ID))) {
			writes = append(writes, table.Add(k, 1, 0, 1<<20))
		}
		for range i % 4 {
			writes = append(writes, table.Create(r.MembershipKey(roster.UserMember(u.ID), identity.MintGroup(c)), nil))
		}
		commit(writes...)
		users, groups = append(users, u.ID), append(groups, g.ID)
	}
	slices.Sort(users)
	slices.Sort(groups)
	return users, groups
}

func sliced(k [2]table.Key) []table.Key { return k[:] }

func TestPages(t *testing.T) {
	tab := memory.New()
	r := open(t, tab)
	const c, other = identity.Connection("abcde"), identity.Connection("abcdf")
	people(t, tab, r, other, 50) // whom nobody of c sees
	for _, n := range []int{0, 1, 700} {
		c := identity.Connection(fmt.Sprintf("%05d", n+1))
		users, groups := people(t, tab, r, c, n)
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for i := range 300 {
			start, count := 1+rng.IntN(n+3), rng.IntN(120)
			switch i {
			case 0:
				start, count = 1, n+10
			case 1:
				start, count = n+1, 10
			case 2:
				start, count = max(n, 1), 1
			case 3:
				start, count = 1<<40, 10
			}
			want := []identity.User{}
			if start <= n {
				want = users[start-1 : min(n, start-1+count)]
			}
			page, err := r.UserPage(t.Context(), c, start, count, true)
			if err != nil {
				t.Fatal(err)
			}
			got := []identity.User{}
			for _, u := range page.Resources {
				got = append(got, u.ID)
				if i := slices.Index(users, u.ID); i < 0 || !slices.IsSorted(u.Groups) {
					t.Errorf("UserPage(%d, %d) has the user %s with groups %v", start, count, u.ID, u.Groups)
				}
			}
			if !slices.Equal(got, want) || page.Total != n {
				t.Fatalf("UserPage(%d, %d) of %d users = %d users, total %d; want %d, total %d", start, count, n, len(got), page.Total, len(want), n)
			}
			list, err := r.GroupPage(t.Context(), c, start, count)
			if err != nil {
				t.Fatal(err)
			}
			wantGroups := []identity.Group{}
			if start <= n {
				wantGroups = groups[start-1 : min(n, start-1+count)]
			}
			gotGroups := []identity.Group{}
			for _, g := range list.Resources {
				gotGroups = append(gotGroups, g.ID)
			}
			if !slices.Equal(gotGroups, wantGroups) || list.Total != n {
				t.Fatalf("GroupPage(%d, %d) of %d groups = %d, total %d; want %d, total %d", start, count, n, len(gotGroups), list.Total, len(wantGroups), n)
			}
		}
		memberships := 0
		all, err := r.UserPage(t.Context(), c, 1, n+1, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all.Resources {
			memberships += len(u.Groups)
		}
		want := 0
		for i := range n {
			want += i % 4
		}
		if memberships != want {
			t.Errorf("a listing of %d users shows %d memberships, want %d", n, memberships, want)
		}
		if without, _ := r.UserPage(t.Context(), c, 1, n+1, false); len(without.Resources) > 3 && without.Resources[3].Groups != nil {
			t.Error("a listing without groups shows some")
		}
		walked := 0
		for u, err := range r.AllUsers(t.Context(), c) {
			if err != nil || u.ID != users[walked] {
				t.Fatalf("AllUsers yields %s as number %d, %v", u.ID, walked, err)
			}
			walked++
		}
		if total, err := r.Total(t.Context(), c); err != nil || total != n || walked != n {
			t.Errorf("Total = %d and AllUsers yields %d (%v), want %d", total, walked, err, n)
		}
		if total, err := r.GroupTotal(t.Context(), c); err != nil || total != n {
			t.Errorf("GroupTotal = %d, %v; want %d", total, err, n)
		}
	}
}

func TestMalformedIdsFindNothing(t *testing.T) {
	r := open(t, memory.New())
	for _, id := range []string{"", "x", "../../../../../../../../..", "abcde0123456789abcdefghjk\x00", "abcdeZZZZ456789abcdefghjkm"} {
		if _, err := r.User(t.Context(), identity.User(id), true); !fault.Is(err, fault.NotFound) {
			t.Errorf("User(%q) = %v, want not found", id, err)
		}
		if _, err := r.Group(t.Context(), identity.Group(id)); !fault.Is(err, fault.NotFound) {
			t.Errorf("Group(%q) = %v, want not found", id, err)
		}
	}
}
