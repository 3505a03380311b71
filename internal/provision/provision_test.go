package provision_test

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

func TestJoinAnswersWhatIsStored(t *testing.T) {
	w := newWorld(t, nil)
	u := w.join(w.a, "ada@example.com")
	if got := u.ID.Connection(); got != w.a.Connection().ID {
		t.Errorf("the user's id names connection %q, want %q", got, w.a.Connection().ID)
	}
	if u.Created != u.Changed.Time() {
		t.Errorf("created %v and last changed %v differ for a new user", u.Created, u.Changed.Time())
	}
	got, err := w.a.User(t.Context(), string(u.ID), true)
	if err != nil {
		t.Fatal(err)
	}
	if got.Changed != u.Changed || string(got.Raw) != string(u.Raw) || !got.Created.Equal(u.Created) {
		t.Errorf("read back %+v, want what Join answered: %+v", got, u)
	}
	if got.Stage() != identity.Invited {
		t.Errorf("stage = %q, want invited", got.Stage())
	}
	events := w.events(string(u.ID))
	if len(events) != 1 || events[0].Kind != audit.UserJoined || !events[0].Has(audit.Welcome) {
		t.Errorf("events = %+v, want one user.joined that welcomes", events)
	}
	if len(events[0].Changes) != 0 {
		t.Error("the event shows personal values without the key that seals them")
	}
	opened, err := audit.Open(events[0].Item, &got.Seal)
	if err != nil || len(opened.Changes) != 1 || opened.Changes[0].After.Get("userName").Text() != "ada@example.com" {
		t.Errorf("with the user's key the event opens to %+v, %v", opened.Changes, err)
	}
}

func TestNamesAreUniqueInTheOrganization(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join(w.a, "ada@example.com")
	if _, err := w.a.Join(t.Context(), person(t, "ADA@Example.com", "")); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("the same name in capitals: %v, want a uniqueness conflict", err)
	}
	if got, _ := w.a.Roster.Conflicts(t.Context(), 10); len(got) != 0 {
		t.Errorf("a directory's own duplicate opened conflicts: %+v", got)
	}
	if _, err := w.b.Join(t.Context(), person(t, "ada@example.com", "")); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("another directory's claim: %v, want a uniqueness conflict", err)
	}
	got, err := w.b.Roster.Conflicts(t.Context(), 10)
	if err != nil || len(got) != 1 || got[0].Holder != ada.ID || got[0].Wanted != w.b.Connection().ID {
		t.Errorf("conflicts = %+v, %v; want one between %s and connection %s", got, err, ada.ID, w.b.Connection().ID)
	}
	if err := w.a.Leave(t.Context(), string(ada.ID), nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.b.Roster.Conflicts(t.Context(), 10); len(got) != 0 {
		t.Errorf("conflicts after the holder left = %+v, want none", got)
	}
	if again := w.join(w.b, "ada@example.com"); again.ID == ada.ID {
		t.Error("a deleted user's id was used again")
	}
}

func TestExternalIDsAreUniqueInTheConnection(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.a.Join(t.Context(), person(t, "a@example.com", `,"externalId":"X1"`)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.a.Join(t.Context(), person(t, "b@example.com", `,"externalId":"X1"`)); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("the same externalId twice: %v, want a uniqueness conflict", err)
	}
	if _, err := w.a.Join(t.Context(), person(t, "c@example.com", `,"externalId":"x1"`)); err != nil {
		t.Errorf("externalId is compared with case, but: %v", err)
	}
	if _, err := w.b.Join(t.Context(), person(t, "d@example.com", `,"externalId":"X1"`)); err != nil {
		t.Errorf("another connection's externalId is its own affair, but: %v", err)
	}
}

func TestChange(t *testing.T) {
	w := newWorld(t, nil)
	u := w.join(w.a, "ada@example.com")
	same, changed, err := w.a.Change(t.Context(), string(u.ID), nil, set("displayName", value.Value{}))
	if err != nil || changed || same.Changed != u.Changed {
		t.Errorf("a change of nothing: changed %v, version %s, %v; want none at version %s", changed, same.Changed, err, u.Changed)
	}
	next, changed, err := w.a.Change(t.Context(), string(u.ID), nil, set("displayName", value.Str("Ada")))
	if err != nil || !changed || next.Changed <= u.Changed || !next.Created.Equal(u.Created) {
		t.Fatalf("Change = created %v, version %s, %v, %v", next.Created, next.Changed, changed, err)
	}
	stale := provision.Match(func(tag string) bool { return tag == string(u.Changed) })
	if _, _, err := w.a.Change(t.Context(), string(u.ID), stale, set("displayName", value.Str("Eve"))); !fault.Coded(err, fault.Stale) {
		t.Errorf("a change of an old version: %v, want stale", err)
	}
	if err := w.a.Leave(t.Context(), string(u.ID), stale); !fault.Coded(err, fault.Stale) {
		t.Errorf("deleting an old version: %v, want stale", err)
	}
	if _, _, err := w.a.Change(t.Context(), string(u.ID), nil, set("userName", value.Str("lovelace@example.com"))); err != nil {
		t.Fatal(err)
	}
	if c, _ := w.a.Roster.ByUserName(t.Context(), "ada@example.com"); len(c.IDs) != 0 {
		t.Errorf("the old name still leads to %v", c.IDs)
	}
	if c, _ := w.a.Roster.ByUserName(t.Context(), "LOVELACE@example.com"); len(c.IDs) != 1 || c.IDs[0] != u.ID {
		t.Errorf("the new name leads to %v, want %s", c.IDs, u.ID)
	}
	w.join(w.b, "grace@example.com")
	if _, _, err := w.a.Change(t.Context(), string(u.ID), nil, set("userName", value.Str("grace@example.com"))); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("renaming to a taken name: %v, want a uniqueness conflict", err)
	}
}

// A welcome is asked for when what stands in its way is gone, and again with each
// resumption, since a suspension cancels what has not gone: that no second mail
// comes of it is tested with the feed.
func TestWelcomeIsAskedFor(t *testing.T) {
	w := newWorld(t, nil)
	welcomes := func(id identity.User) (n int) {
		for _, e := range w.events(string(id)) {
			if e.Has(audit.Welcome) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name, doc string
		at        string // when the welcome is decided: "join", "later", or "never"
		suppress  bool
	}{
		{"an active user", `{"userName":"a1@example.com","active":true}`, "join", false},
		{"who is not said to be active", `{"userName":"a2@example.com"}`, "join", false},
		{"who is not active yet", `{"userName":"a3@example.com","active":false}`, "later", false},
		{"without an address", `{"userName":"a4"}`, "later", false},
		{"of a connection that suppresses", `{"userName":"a5@example.com","active":true}`, "never", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := w.a
			if c.suppress {
				d = w.directory("Quiet", true)
			}
			u, err := d.Join(t.Context(), doc(t, c.doc))
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			if c.at == "join" {
				want = 1
			}
			if got := welcomes(u.ID); got != want {
				t.Errorf("%d welcomes after joining, want %d", got, want)
			}
			if c.at != "never" {
				want = 3
			}
			for range 2 {
				for _, e := range []func(roster.User) (provision.Doc, error){
					set("emails", value.Arr(value.Obj(value.M("value", value.Str("w@example.com"))))),
					set("active", value.Boolean(true)), set("active", value.Boolean(false)), set("active", value.Boolean(true)),
				} {
					if _, _, err := d.Change(t.Context(), string(u.ID), nil, e); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := welcomes(u.ID); got != want {
				t.Errorf("%d welcomes in the end, want %d", got, want)
			}
		})
	}
}

func TestAConnectionSeesOnlyItsOwn(t *testing.T) {
	w := newWorld(t, nil)
	u := w.join(w.a, "ada@example.com")
	g, err := w.a.CreateGroup(t.Context(), group("Team"), []string{string(u.ID)})
	if err != nil {
		t.Fatal(err)
	}
	_, notThere := w.b.User(t.Context(), string(identity.MintUser(w.b.Connection().ID)), true)
	for what, err := range map[string]error{
		"read":          second(w.b.User(t.Context(), string(u.ID), true)),
		"change":        third(w.b.Change(t.Context(), string(u.ID), nil, set("displayName", value.Str("x")))),
		"delete":        w.b.Leave(t.Context(), string(u.ID), nil),
		"malformed id":  second(w.b.User(t.Context(), "../"+string(u.ID), true)),
		"an empty id":   second(w.b.User(t.Context(), "", true)),
		"a deleted one": notThere,
	} {
		if !fault.Is(err, fault.NotFound) || fault.Of(err).Msg != fault.Of(notThere).Msg {
			t.Errorf("%s of another connection's user: %v, want %v", what, err, notThere)
		}
	}
	if _, err := w.b.CreateGroup(t.Context(), group("Spies"), []string{string(u.ID)}); !fault.Coded(err, fault.InvalidValue) {
		t.Errorf("another connection's user as a member: %v, want invalidValue", err)
	}
	if _, err := w.b.Group(t.Context(), string(g.ID)); !fault.Is(err, fault.NotFound) {
		t.Errorf("another connection's group: %v, want not found", err)
	}
}

func TestAdoption(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	boss, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: "boss@example.com", Admin: true})
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.a.Join(ctx, person(t, "Boss@example.com", `,"externalId":"B","displayName":"The Boss"`))
	if err != nil {
		t.Fatalf("a directory brings a user made by hand: %v", err)
	}
	if link.Target != boss.ID || link.ID.Connection() != w.a.Connection().ID {
		t.Errorf("the link %s means %s, want an id of the connection that means %s", link.ID, link.Target, boss.ID)
	}
	if e := w.events(string(link.ID)); len(e) != 1 || e[0].Kind != audit.UserAdopted || e[0].Has(audit.Welcome) {
		t.Errorf("events of the link = %+v, want one user.adopted without a welcome", e)
	}
	if n, _ := w.a.Roster.Total(ctx, w.a.Connection().ID); n != 1 {
		t.Errorf("the directory counts %d users, want 1", n)
	}
	if _, err := w.a.Join(ctx, person(t, "boss@example.com", "")); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("the same directory brings it again: %v, want a uniqueness conflict", err)
	}
	if _, err := w.b.Join(ctx, person(t, "boss@example.com", "")); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("a second directory brings the user made by hand: %v, want a uniqueness conflict", err)
	}
	if got, err := w.b.Roster.Conflicts(ctx, 10); err != nil || len(got) != 1 || got[0].Holder != boss.ID || got[0].Wanted != w.b.Connection().ID {
		t.Errorf("conflicts = %+v, %v; want one about the user made by hand", got, err)
	}

	off := set("active", value.Boolean(false))
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, off); !fault.Is(err, fault.Forbidden) {
		t.Errorf("suspending the last admin: %v, want forbidden", err)
	}
	if err := w.a.Leave(ctx, string(link.ID), nil); !fault.Is(err, fault.Forbidden) {
		t.Errorf("deleting the last admin: %v, want forbidden", err)
	}
	if err := w.s.Manual(w.org, operator).Leave(ctx, string(boss.ID), nil); !fault.Is(err, fault.Forbidden) {
		t.Errorf("deleting the last admin by hand: %v, want forbidden", err)
	}
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, set("userName", value.Str("taken-over@evil.example"))); err != nil {
		t.Fatalf("renaming the link: %v", err)
	}
	if got, _ := w.a.Roster.User(ctx, boss.ID, false); got.UserName() != "boss@example.com" || got.Email() != "boss@example.com" {
		t.Errorf("a directory changed an admin's sign-in to %q, %q", got.UserName(), got.Email())
	}

	if _, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: "deputy@example.com", Admin: true}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, off); err != nil {
		t.Fatalf("suspending one of two admins: %v", err)
	}
	if got, _ := w.a.Roster.User(ctx, boss.ID, false); got.Stage() != identity.Suspended {
		t.Errorf("the user made by hand is %s, want suspended as the directory says", got.Stage())
	}
	if _, err := w.s.Activation(ctx, w.org, boss.ID); !fault.Is(err, fault.Forbidden) {
		t.Errorf("activating a suspended user: %v, want forbidden", err)
	}
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, set("active", value.Boolean(true))); err != nil {
		t.Fatal(err)
	}
	writes, err := w.s.Activation(ctx, w.org, boss.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.table.Commit(ctx, writes...); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.a.User(ctx, string(link.ID), false); got.Stage() != identity.Active {
		t.Errorf("after activation the link is %s, want active", got.Stage())
	}
}

func TestActivationKeepsTheTag(t *testing.T) {
	w := newWorld(t, nil)
	u := w.join(w.a, "ada@example.com")
	writes, err := w.s.Activation(t.Context(), w.org, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.table.Commit(t.Context(), writes...); err != nil {
		t.Fatal(err)
	}
	got, err := w.a.User(t.Context(), string(u.ID), false)
	if err != nil || got.Changed != u.Changed || !got.Created.Equal(u.Created) || got.Stage() != identity.Active {
		t.Errorf("after activation: version %s, created %v, %s, %v; want version %s, an active user", got.Changed, got.Created, got.Stage(), err, u.Changed)
	}
	if _, err := w.s.Activation(t.Context(), w.org, u.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("activating twice: %v, want a conflict", err)
	}
}

func TestLeaveIsGoneFromEveryAnswer(t *testing.T) {
	for _, n := range []int{0, 3, 40} {
		t.Run(fmt.Sprintf("%d groups", n), func(t *testing.T) {
			w := newWorld(t, nil)
			ctx := t.Context()
			u, stays := w.join(w.a, "ada@example.com"), w.join(w.a, "bob@example.com")
			var groups []roster.Group
			for i := range n {
				g, err := w.a.CreateGroup(ctx, group(fmt.Sprint("Team ", i)), []string{string(u.ID), string(stays.ID)})
				if err != nil {
					t.Fatal(err)
				}
				groups = append(groups, g)
			}
			if err := w.a.Leave(ctx, string(u.ID), nil); err != nil {
				t.Fatal(err)
			}
			gone := func(when string) {
				t.Helper()
				if _, err := w.a.User(ctx, string(u.ID), true); !fault.Is(err, fault.NotFound) {
					t.Errorf("%s, the user answers %v, want not found", when, err)
				}
				if page, err := w.a.Roster.UserPage(ctx, w.a.Connection().ID, 1, 10, true); err != nil || page.Total != 1 || len(page.Resources) != 1 || page.Resources[0].ID != stays.ID {
					t.Errorf("%s, the list has total %d and %d users, %v; want the one who stays", when, page.Total, len(page.Resources), err)
				}
				for _, g := range groups {
					var members []identity.User
					for m, err := range w.a.Roster.Members(ctx, g.ID) {
						if err != nil {
							t.Fatal(err)
						}
						members = append(members, identity.User(m.ID))
					}
					if len(members) != 1 || members[0] != stays.ID {
						t.Errorf("%s, a group lists %v, want only who stays", when, members)
					}
				}
			}
			gone("at once")
			if err := w.a.Leave(ctx, string(u.ID), nil); !fault.Is(err, fault.NotFound) {
				t.Errorf("deleting twice: %v, want not found", err)
			}
			left := w.events(string(u.ID))[0]
			for range 2 { // the feed repeats
				if err := w.s.Sweep(ctx, w.org, left); err != nil {
					t.Fatal(err)
				}
			}
			gone("after the sweep")
			for _, g := range groups {
				if got, err := w.a.Roster.Group(ctx, g.ID); err != nil || got.Count != 1 {
					t.Errorf("a group counts %d members, %v; want 1", got.Count, err)
				}
			}
			k := w.a.Roster.UserKey(u.ID)
			for it, err := range w.table.Query(ctx, k.Part, table.Range{Prefix: k.Sort}) {
				t.Errorf("%v is left of the user (%v)", it.Key, err)
			}
			if stone, err := w.table.Get(ctx, w.a.Roster.TombstoneKey(u.ID)); err != nil || len(stone) != 1 {
				t.Errorf("%d tombstones, %v; want one", len(stone), err)
			}
		})
	}
}

func TestEventsOfOneSubjectKeepTheirOrderWhenClocksDisagree(t *testing.T) {
	w := newWorld(t, nil)
	u := w.join(w.a, "ada@example.com")
	for i := range 5 {
		w.clock = w.clock.Add(-time.Hour) // another environment, whose clock is late
		if _, _, err := w.a.Change(t.Context(), string(u.ID), nil, set("displayName", value.Str(fmt.Sprint("Name ", i)))); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := w.a.User(t.Context(), string(u.ID), false)
	events, err := audit.LogOf(w.table, w.org).Timeline(t.Context(), string(u.ID), 10, &got.Seal)
	if err != nil || len(events) != 6 {
		t.Fatalf("%d events, %v; want 6", len(events), err)
	}
	for i, e := range events[:5] {
		if want := fmt.Sprint("Name ", 4-i); e.Changes[0].After.Text() != want {
			t.Errorf("event %d of the timeline tells %q, want %q", i, e.Changes[0].After.Text(), want)
		}
	}
}
