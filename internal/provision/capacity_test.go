package provision_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// budget is what the bar allows one operation, in capacity units.
type budget struct {
	name          string
	reads, writes int // at most; a negative one is not bounded
}

// sample is the user of 739 bytes that figures are told for, as a directory
// sends it, under another name and externalId of the same length.
func sample(t testing.TB, n int) provision.Doc {
	t.Helper()
	text, err := os.ReadFile("../scim/schema/testdata/user-739.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(text) != 739 {
		t.Fatalf("the user of the budgets has %d bytes, want 739", len(text))
	}
	v, err := value.Parse(text)
	if err == nil {
		v, _, err = schema.User.Normalize(v, schema.Compat)
	}
	if err != nil {
		t.Fatal(err)
	}
	v = v.Clone()
	v.Set("userName", value.Str(fmt.Sprintf("a%07d@corp.test", n)[:len("ana.ruiz@corp.test")]))
	v.Set("externalId", value.Str(fmt.Sprintf("00u1%08d", n)))
	return provision.Doc{Attributes: v, Extensions: 1}
}

// filler writes items straight into the table, hundreds in a commit: what Join
// and ChangeGroup would have stored, without claims and events.
type filler struct {
	t      testing.TB
	tab    table.Table
	writes []table.Write
	counts map[table.Key]int64
}

func fill(t testing.TB, tab table.Table) *filler {
	return &filler{t: t, tab: tab, counts: map[table.Key]int64{}}
}

func (f *filler) put(w table.Write) {
	if f.writes = append(f.writes, w); len(f.writes) == table.MaxWrites {
		f.flush()
	}
}

func (f *filler) flush() {
	if len(f.writes) == 0 {
		return
	}
	if _, err := f.tab.Commit(f.t.Context(), f.writes...); err != nil {
		f.t.Fatal(err)
	}
	f.writes = f.writes[:0]
}

// done writes the counters and headers.
func (f *filler) done() {
	f.flush()
	for k, n := range f.counts {
		f.put(table.Put(k, nil).Count(n))
	}
	f.flush()
}

// user stores one more user, a member of the groups.
func (f *filler) user(r roster.Roster, c identity.Connection, doc provision.Doc, groups ...identity.Group) identity.User {
	u := roster.User{ID: identity.MintUser(c), Seal: secret.Mint(), Welcomed: true, LastEvent: identity.MintEvent(time.Now())}
	u.SetDoc(doc.Attributes, doc.Extensions)
	f.put(table.Put(r.UserKey(u.ID), u.Encode(true)))
	for _, k := range r.CounterKeys(u.ID) {
		f.counts[k]++
	}
	for _, g := range groups {
		f.put(table.Put(r.MembershipKey(u.ID, g), nil))
		f.put(table.Put(r.MemberKey(g, u.ID), nil))
		f.counts[r.MemberHeaderKey(g, u.ID)]++
	}
	return u.ID
}

// report takes one figure: what, its units, and the most it may be.
type report func(what string, got, most int, unit string)

func asserting(t *testing.T) report {
	return func(what string, got, most int, unit string) {
		t.Helper()
		t.Logf("%-50s %4d %s (at most %d)", what, got, unit, most)
		if got > most {
			t.Errorf("%s takes %d %s, want at most %d", what, got, unit, most)
		}
	}
}

func TestCapacity(t *testing.T) { capacity(t, asserting(t)) }

func capacity(t testing.TB, tell report) {
	m := &meter{Table: memory.New(), parts: map[string]int{}}
	w := newWorld(t, m)
	ctx, d := t.Context(), w.a
	r := d.Roster
	writes := func(what string, most int, f func() error) {
		t.Helper()
		m.reset()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		tell(what, m.writes, most, "write units")
	}
	reads := func(what string, most int, f func() error) {
		t.Helper()
		m.reset()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		tell(what, m.reads, most, "read units")
	}

	var ids []string
	writes("create a user", 16, func() error {
		u, err := d.Join(ctx, sample(t, 1))
		ids = append(ids, string(u.ID))
		return err
	})
	for _, kb := range []int{1, 4, 16} {
		doc := sample(t, 100+kb)
		doc.Attributes.Set("nickName", value.Str(fmt.Sprintf("%0*d", kb<<10, 1)))
		// Both the user and its event grow.
		writes(fmt.Sprintf("create a user with %d KB more", kb), 16+4*kb, func() error {
			_, err := d.Join(ctx, doc)
			return err
		})
	}
	var groups []roster.Group
	for i := range 5 {
		g, err := d.CreateGroup(ctx, group(fmt.Sprint("Team ", i)), ids)
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	writes("patch active", 4, func() error {
		_, _, err := d.Change(ctx, ids[0], nil, set("active", value.Boolean(false)))
		return err
	})
	writes("patch displayName", 4, func() error {
		_, _, err := d.Change(ctx, ids[0], nil, set("displayName", value.Str("Ana Maria Ruiz")))
		return err
	})
	reads("get a user in five groups by id", 1, func() error {
		u, err := d.User(ctx, ids[0], true)
		if err == nil && len(u.Groups) != 5 {
			err = fmt.Errorf("%d groups", len(u.Groups))
		}
		return err
	})
	name := sample(t, 1).Attributes.Get("userName").Text()
	reads("userName eq", 2, func() error {
		claim, err := r.ByUserName(ctx, name)
		if err == nil {
			_, err = d.User(ctx, string(claim.IDs[0]), true)
		}
		return err
	})
	reads("externalId eq", 2, func() error {
		claim, err := r.ByExternalID(ctx, d.Connection().ID, sample(t, 1).Attributes.Get("externalId").Text())
		if err == nil {
			_, err = d.User(ctx, string(claim.IDs[0]), true)
		}
		return err
	})

	for _, size := range []int{10, 100_000} {
		g, err := d.CreateGroup(ctx, group(fmt.Sprint("Group of ", size)), nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fill(t, m.Table)
		for range size {
			some := identity.MintUser(d.Connection().ID)
			f.put(table.Put(r.MemberKey(g.ID, some), nil))
			f.counts[r.MemberHeaderKey(g.ID, some)]++
		}
		f.done()
		add := []provision.MemberOp{{Kind: provision.AddMembers, IDs: ids}}
		writes(fmt.Sprintf("add a member to a group of %d", size), 8, func() error {
			_, _, err := d.ChangeGroup(ctx, string(g.ID), nil, nil, add)
			return err
		})
		m.reset()
		if _, _, err := d.ChangeGroup(ctx, string(g.ID), nil, nil, add); err != nil {
			t.Fatal(err)
		}
		tell(fmt.Sprintf("add who is a member of a group of %d", size), m.writes, 0, "write units")
		writes(fmt.Sprintf("remove a member of a group of %d", size), 8, func() error {
			_, _, err := d.ChangeGroup(ctx, string(g.ID), nil, nil, []provision.MemberOp{{Kind: provision.RemoveMembers, IDs: ids}})
			return err
		})
	}
}

// TestPageCapacity lists users from anywhere in a hundred thousand.
func TestPageCapacity(t *testing.T) {
	pages(t, asserting(t), 100_000, 0, 32)
	pages(t, asserting(t), 10_000, 5, 50)
}

func pages(t testing.TB, tell report, users, inGroups, most int) {
	m := &meter{Table: memory.New(), parts: map[string]int{}}
	w := newWorld(t, m)
	ctx, c, r := t.Context(), w.a.Connection().ID, w.a.Roster
	var groups []identity.Group
	for range inGroups {
		groups = append(groups, identity.MintGroup(c))
	}
	f := fill(t, m.Table)
	doc := sample(t, 1)
	for range users {
		f.user(r, c, doc, groups...)
	}
	f.done()
	page := func(start int) int {
		t.Helper()
		m.reset()
		p, err := r.UserPage(ctx, c, start, 100, true)
		if want := min(100, users-start+1); err != nil || len(p.Resources) != want || p.Total != users {
			t.Fatalf("UserPage(%d, 100) has %d of %d users (%v), want %d of %d", start, len(p.Resources), p.Total, err, want, users)
		}
		for _, u := range p.Resources {
			if len(u.Groups) != inGroups {
				t.Fatalf("UserPage(%d, 100): user %s is in %d groups, want %d", start, u.ID, len(u.Groups), inGroups)
			}
		}
		return m.reads
	}
	of := fmt.Sprintf("of %d users in %d groups each", users, inGroups)
	first := page(1)
	tell("the first page of 100 "+of, first, most, "read units")
	rng, worst := rand.New(rand.NewPCG(1, 2)), 0
	for range 200 {
		worst = max(worst, page(1+rng.IntN(users)))
	}
	tell("the worst of 200 pages "+of, worst, 2*first, "read units")
}

var _ = audit.Welcome
