package roster_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

func TestAfter(t *testing.T) {
	tab := memory.New()
	r := open(t, tab)
	const c, other, none = identity.Connection("abcde"), identity.Connection("abcdf"), identity.Connection("abcdg")
	people(t, tab, r, other, 40)
	users, groups := people(t, tab, r, c, 300)
	read := func(c identity.Connection, after string, count int) (u []identity.User, g []identity.Group, moreUsers, more bool) {
		list, moreUsers, err := r.UsersAfter(t.Context(), c, identity.User(after), count, count%2 == 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range list {
			u = append(u, user.ID)
			if want, err := r.User(t.Context(), user.ID, count%2 == 0); err != nil || !slices.Equal(user.Groups, want.Groups) || user.ViewTag() != want.ViewTag() {
				t.Errorf("%s comes with groups %v, tag %s; want %v, %s (%v)", user.ID, user.Groups, user.ViewTag(), want.Groups, want.ViewTag(), err)
			}
		}
		found, more, err := r.GroupsAfter(t.Context(), c, identity.Group(after), count)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range found {
			g = append(g, group.ID)
		}
		return u, g, moreUsers, more
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		// Behind a user, a group, or an id that nobody has.
		after := [...]string{"", string(users[rng.IntN(300)]), string(groups[rng.IntN(300)]), string(identity.MintUser(c))}[i%4]
		count := rng.IntN(120)
		u, g, moreUsers, more := read(c, after, count)
		at, _ := slices.BinarySearch(users, identity.User(after+"~"))
		gat, _ := slices.BinarySearch(groups, identity.Group(after+"~"))
		if after == "" {
			at, gat = 0, 0
		}
		if want := users[at:min(len(users), at+count)]; !slices.Equal(u, want) || moreUsers != (count > 0 && at+count < len(users)) {
			t.Errorf("%d users after %q = %v, more: %t; want %v", count, after, u, moreUsers, want)
		}
		if want := groups[gat:min(len(groups), gat+count)]; !slices.Equal(g, want) || more != (count > 0 && gat+count < len(groups)) {
			t.Errorf("%d groups after %q = %v, more: %t; want %v", count, after, g, more, want)
		}
	}
	if u, g, moreUsers, more := read(none, "", 10); u != nil || g != nil || moreUsers || more {
		t.Errorf("a connection without anybody lists %v and %v", u, g)
	}
}

// Pages are read by key: whoever comes or goes meanwhile, those who stay are met
// once.
func TestAfterWhileOthersComeAndGo(t *testing.T) {
	tab := memory.New()
	r := open(t, tab)
	const c = identity.Connection("abcde")
	users, _ := people(t, tab, r, c, 200)
	stay := slices.Clone(users[:0])
	for i, u := range users {
		if i%3 > 0 {
			stay = append(stay, u)
		}
	}
	seen := map[identity.User]int{}
	after, page := identity.User(""), 0
	for {
		n := 0
		met, _, err := r.UsersAfter(t.Context(), c, after, 7, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range met {
			seen[u.ID]++
			after = u.ID
			n++
		}
		if n == 0 {
			break
		}
		// The last one of the page goes if it may, and others come before and
		// behind it.
		if i := slices.Index(users, after); i >= 0 && i%3 == 0 {
			items, err := tab.Get(t.Context(), r.UserKey(after))
			if err != nil || len(items) != 1 {
				t.Fatal(items, err)
			}
			if _, err := tab.Commit(t.Context(), table.Delete(items[0])); err != nil {
				t.Fatal(err)
			}
		}
		if page++; page < 10 {
			people(t, tab, r, c, 3)
		}
	}
	for _, u := range stay {
		if seen[u] != 1 {
			t.Errorf("%s, who was there all the time, is met %d times", u, seen[u])
		}
	}
}
