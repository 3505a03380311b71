package provision_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
	"gatehouse/internal/table/ledger"
	"gatehouse/internal/table/memory"
)

// sample is the user of 739 bytes that figures are told for, as a directory
// sends it: the n-th of those who have names, addresses and an externalId of
// their own, of the same lengths.
func sample(t testing.TB, n int) provision.Doc {
	t.Helper()
	b, err := os.ReadFile("../scim/schema/testdata/user-739.json")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for old, own := range map[string]string{
		"ana.ruiz@corp.test": fmt.Sprintf("a%07d@corp.test", n),
		"ana@home.test":      fmt.Sprintf("%03s@home.test", strconv.FormatInt(int64(n), 36)),
		"00u1okta9ana":       fmt.Sprintf("00u1%08d", n),
	} {
		if len(old) != len(own) || !strings.Contains(text, old) {
			t.Fatalf("user %d cannot have %q for %q", n, own, old)
		}
		text = strings.ReplaceAll(text, old, own)
	}
	if len(text) != 739 {
		t.Fatalf("the user of the budgets has %d bytes, want 739", len(text))
	}
	v, err := value.Parse([]byte(text))
	if err == nil {
		v, _, _, err = schema.User.Normalize(v, schema.Compat)
	}
	if err != nil {
		t.Fatal(err)
	}
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
		m := roster.UserMember(u.ID)
		f.put(table.Put(r.MembershipKey(m, g), nil))
		f.put(table.Put(r.MemberKey(g, m), nil))
		f.counts[r.MemberHeaderKey(g, m)]++
	}
	return u.ID
}

// report takes one figure: what, its units, and the most it may be.
type report func(what string, got, most int, unit string)

func asserting(t *testing.T) report {
	return func(what string, got, most int, unit string) {
		t.Helper()
		t.Logf("%-75s %5d %s (at most %d)", what, got, unit, most)
		if got > most {
			t.Errorf("%s takes %d %s, want at most %d", what, got, unit, most)
		}
	}
}

func TestCapacity(t *testing.T) { capacity(t, asserting(t)) }

func capacity(t testing.TB, tell report) {
	tab := memory.New()
	m := ledger.New(tab)
	w := newWorld(t, m)
	ctx, d := t.Context(), w.a
	r := d.Roster
	writes := func(what string, most int, f func() error) {
		t.Helper()
		m.Reset()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		tell(what, int(m.Snapshot().Write), most, "write units")
	}
	reads := func(what string, most int, f func() error) {
		t.Helper()
		m.Reset()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		tell(what, int(m.Snapshot().Read), most, "read units")
	}

	ids := make([]string, 1)
	writes("create a user", 16, func() error {
		u, err := d.Join(ctx, sample(t, 1))
		ids[0] = string(u.ID)
		return err
	})
	for _, kb := range []int{1, 4, 16} {
		doc := sample(t, 100+kb)
		doc.Attributes = doc.Attributes.Clone()
		doc.Attributes.Set("nickName", value.Str(fmt.Sprintf("%0*d", kb<<10, 1)))
		// Both the user and its event grow.
		writes(fmt.Sprintf("create a user with %d KB more", kb), 16+4*kb, func() error {
			_, err := d.Join(ctx, doc)
			return err
		})
	}
	for i := range 5 {
		if _, err := d.CreateGroup(ctx, group(fmt.Sprint("Team ", i)), ids); err != nil {
			t.Fatal(err)
		}
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
		f := fill(t, tab)
		for range size {
			some := roster.UserMember(identity.MintUser(d.Connection().ID))
			f.put(table.Put(r.MemberKey(g.ID, some), nil))
			f.counts[r.MemberHeaderKey(g.ID, some)]++
		}
		f.done()
		add := []provision.MemberOp{{Kind: provision.AddMembers, IDs: ids}}
		writes(fmt.Sprintf("add a member to a group of %d", size), 8, func() error {
			_, _, err := d.ChangeGroup(ctx, string(g.ID), nil, nil, add)
			return err
		})
		m.Reset()
		if _, _, err := d.ChangeGroup(ctx, string(g.ID), nil, nil, add); err != nil {
			t.Fatal(err)
		}
		tell(fmt.Sprintf("add who is a member of a group of %d", size), int(m.Snapshot().Write), 0, "write units")
		// A precondition checks the group and every header beside.
		match := func(string) bool { return true }
		writes(fmt.Sprintf("remove a member of a group of %d under If-Match", size), 16, func() error {
			_, _, err := d.ChangeGroup(ctx, string(g.ID), match, nil, []provision.MemberOp{{Kind: provision.RemoveMembers, IDs: ids}})
			return err
		})
		if _, _, err := d.ChangeGroup(ctx, string(g.ID), nil, nil, add); err != nil {
			t.Fatal(err)
		}
		writes(fmt.Sprintf("remove a member of a group of %d", size), 8, func() error {
			_, _, err := d.ChangeGroup(ctx, string(g.ID), nil, nil, []provision.MemberOp{{Kind: provision.RemoveMembers, IDs: ids}})
			return err
		})
	}
}

// TestPageCapacity lists users from anywhere in a hundred thousand.
func TestPageCapacity(t *testing.T) {
	pages(t, asserting(t), short.Size(100_000, 20_000), 0, 32)
	pages(t, asserting(t), 10_000, 5, 50)
}

func pages(t testing.TB, tell report, users, inGroups, most int) {
	tab := memory.New()
	m := ledger.New(tab)
	w := newWorld(t, m)
	ctx, c, r := t.Context(), w.a.Connection().ID, w.a.Roster
	var groups []identity.Group
	for range inGroups {
		groups = append(groups, identity.MintGroup(c))
	}
	f := fill(t, tab)
	doc := sample(t, 1)
	for range users {
		f.user(r, c, doc, groups...)
	}
	f.done()
	page := func(start int) int {
		t.Helper()
		m.Reset()
		p, err := r.UserPage(ctx, c, start, 100, true)
		if want := min(100, users-start+1); err != nil || len(p.Resources) != want || p.Total != users {
			t.Fatalf("UserPage(%d, 100) has %d of %d users (%v), want %d of %d", start, len(p.Resources), p.Total, err, want, users)
		}
		for _, u := range p.Resources {
			if len(u.Groups) != inGroups {
				t.Fatalf("UserPage(%d, 100): user %s is in %d groups, want %d", start, u.ID, len(u.Groups), inGroups)
			}
		}
		return int(m.Snapshot().Read)
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

// TestBusiestPartition creates users as at 500 a second, which no partition may
// feel with more than 250 write units a second; then does what the feed does.
func TestBusiestPartition(t *testing.T) { busiest(t, asserting(t), 4000) }

const (
	perSecond = 500 // creations
	hottest   = 250 // write units a second of one partition; DynamoDB's own limit is 1,000
)

func busiest(t testing.TB, tell report, users int) {
	tab := memory.New(app.Subscriptions()...)
	m := ledger.New(tab)
	w := newWorld(t, m)
	m.Reset()
	// stage tells what was written since the last reset, for one creation and in
	// the busiest partition of each kind.
	stage := func(what string, most int) {
		t.Helper()
		tell(what+", each", (int(m.Snapshot().Write)+users/2)/users, most, "write units")
		where, busy := m.Snapshot().BusiestWrite()
		worst := int(busy)
		where = strings.TrimPrefix(strings.TrimPrefix(where, w.org.Part()), "#")
		tell(fmt.Sprintf("%s, busiest partition (%s) at %d/s", what, where, perSecond), worst*perSecond/users, hottest, "write units/s")
		m.Reset()
	}
	for i := range users {
		if _, err := w.a.Join(t.Context(), sample(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	stage("creating a user", 16)

	a := app.New(app.Ports{Table: m, Key: w.key, URL: "https://gatehouse.test", Sender: carrier{}, From: mail.Address{Addr: "g@gatehouse.test"}, Now: w.now, Log: slog.New(slog.DiscardHandler)})
	deliver := func(name string, to table.Consumer) {
		t.Helper()
		entries, err := tab.Entries(t.Context(), tab.Passed(name), int(tab.End()))
		if err != nil {
			t.Fatal(err)
		}
		wants := app.Subscriptions()[0].Wants
		if name == app.WelcomeName {
			wants = app.Subscriptions()[1].Wants
		}
		var batch []table.Change
		for _, e := range entries {
			if wants(e.Change.Key) {
				batch = append(batch, e.Change)
			}
		}
		for b := range slices.Chunk(batch, 100) {
			for _, err := range to.Consume(t.Context(), b) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		tab.Pass(name, entries[len(entries)-1].Position)
	}
	deliver(app.FeedName, a.Feed())
	stage("the feed: log and queued mail", 8)
	deliver(app.WelcomeName, a.Courier)
	stage("the welcome handler: claim, link, mark", 5)
}

// carrier takes every mail.
type carrier struct{}

func (carrier) Send(_ context.Context, m mail.Message) (string, error) { return string(m.ID), nil }
func (carrier) Promise() mail.Promise                                  { return mail.Once }

// BenchmarkCapacity prints the table of capacity units; GATEHOUSE_LARGE=1 lists
// a million users too.
func BenchmarkCapacity(b *testing.B) {
	printing := func(what string, got, most int, unit string) {
		fmt.Printf("%-75s %5d %s (at most %d)\n", what, got, unit, most) // b.Log keeps ten lines
	}
	for b.Loop() {
		capacity(b, printing)
		pages(b, printing, 100_000, 0, 32)
		pages(b, printing, 20_000, 5, 50)
		if os.Getenv("GATEHOUSE_LARGE") != "" {
			pages(b, printing, 1_000_000, 0, 32)
		}
		busiest(b, printing, 20_000)
	}
}
