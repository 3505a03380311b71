package provision_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
)

func (w *world) activate(id identity.User) {
	w.t.Helper()
	writes, err := w.s.Activation(w.t.Context(), w.org, id)
	if err == nil {
		_, err = w.table.Commit(w.t.Context(), writes...)
	}
	if err != nil {
		w.t.Fatalf("activate: %v", err)
	}
}

// TestAnInvitedDeputyIsNoReplacement: the only administrator who can sign in
// stays, however many were invited and never came.
func TestAnInvitedDeputyIsNoReplacement(t *testing.T) {
	w := newWorld(t, nil)
	ctx, by := t.Context(), audit.Actor{Kind: "operator"}
	invite := func(email string) identity.User {
		t.Helper()
		u, err := w.s.Invite(ctx, w.org, by, provision.Invitation{Email: email, Admin: true})
		if err != nil {
			t.Fatal(err)
		}
		return u.ID
	}
	boss := invite("boss@example.com")
	w.activate(boss)
	deputy := invite("deputy@example.com")
	link, err := w.a.Join(ctx, person(t, "boss@example.com", ""))
	if err != nil {
		t.Fatal(err)
	}
	off := set("active", value.Boolean(false))
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, off); !fault.Is(err, fault.Forbidden) {
		t.Errorf("suspending the only admin with a password: %v, want forbidden", err)
	}
	if err := w.a.Leave(ctx, string(link.ID), nil); !fault.Is(err, fault.Forbidden) {
		t.Errorf("deleting the only admin with a password: %v, want forbidden", err)
	}
	w.activate(deputy)
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, off); err != nil {
		t.Errorf("suspending one of two admins with passwords: %v", err)
	}
}

// TestActiveUnsaid: where a directory takes active away, what it said last holds.
func TestActiveUnsaid(t *testing.T) {
	w := newWorld(t, nil)
	u, err := w.a.Join(t.Context(), doc(t, `{"userName":"ada@example.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Doc().Get("active"); got.Kind() != value.Bool || !got.Bool() {
		t.Errorf("a new user whom the directory says nothing of has active %v, want true", got)
	}
	forget := func(u roster.User) (provision.Doc, error) {
		d := u.Doc().Clone()
		d.Delete("active")
		return provision.Doc{Attributes: d}, nil
	}
	for _, active := range []bool{true, false} {
		if _, _, err := w.a.Change(t.Context(), string(u.ID), nil, set("active", value.Boolean(active))); err != nil {
			t.Fatal(err)
		}
		for again, change := range []bool{true, false} {
			got, changed, err := w.a.Change(t.Context(), string(u.ID), nil, forget)
			if err != nil || changed != change || got.Active() != active || got.Doc().Get("active").Kind() != value.Absent {
				t.Errorf("clearing active when it is %v, time %d: active %v, changed %v, %s, %v", active, again, got.Active(), changed, got.Doc().Append(nil), err)
			}
		}
		got, _, err := w.a.Change(t.Context(), string(u.ID), nil, set("title", value.Str(fmt.Sprint("Title ", active))))
		if err != nil || got.Active() != active {
			t.Errorf("another change where active is not said and was %v: active %v, %v", active, got.Active(), err)
		}
		got, err = w.a.User(t.Context(), string(u.ID), false)
		if err != nil || got.Active() != active {
			t.Errorf("read where active is not said and was %v: active %v, %v", active, got.Active(), err)
		}
	}
}

// TestOneOfManyReplacementsHasTheLastWord: whoever sends whole lists of members
// at the same time, the group has one of these lists in the end, not a mixture.
func TestOneOfManyReplacementsHasTheLastWord(t *testing.T) {
	for _, size := range []int{5, 100} {
		t.Run(fmt.Sprintf("%d members each", size), func(t *testing.T) {
			w := newWorld(t, nil)
			g, err := w.a.CreateGroup(t.Context(), group("Team"), nil)
			if err != nil {
				t.Fatal(err)
			}
			var lists [4][]string
			for i := range lists {
				for j := range size {
					lists[i] = append(lists[i], string(w.join(w.a, fmt.Sprintf("u%d-%d@example.com", i, j)).ID))
				}
				slices.Sort(lists[i])
			}
			var wait sync.WaitGroup
			for _, list := range lists {
				wait.Go(func() {
					_, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, []provision.MemberOp{{Kind: provision.ReplaceMembers, IDs: list}})
					if err != nil && !fault.Is(err, fault.Unavailable) {
						t.Errorf("ChangeGroup: %v", err)
					}
				})
			}
			wait.Wait()
			var got []string
			for id, err := range w.a.Roster.Members(t.Context(), g.ID) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, id.ID)
			}
			slices.Sort(got)
			if !slices.ContainsFunc(lists[:], func(l []string) bool { return slices.Equal(l, got) }) {
				t.Errorf("the group has %d members that nobody sent together, want one of the lists of %d", len(got), size)
			}
		})
	}
}

// TestOneRecordGovernsAPerson: a directory that renames its record of an admin
// and brings the admin's name again would hold two switches of one account.
func TestOneRecordGovernsAPerson(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	var admins []identity.User
	for _, email := range []string{"boss@example.com", "deputy@example.com"} {
		u, err := w.s.Invite(ctx, w.org, audit.Actor{Kind: "operator"}, provision.Invitation{Email: email, Admin: true})
		if err != nil {
			t.Fatal(err)
		}
		w.activate(u.ID)
		admins = append(admins, u.ID)
	}
	link, err := w.a.Join(ctx, person(t, "boss@example.com", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range []func(roster.User) (provision.Doc, error){set("userName", value.Str("away@example.com")), set("active", value.Boolean(false))} {
		if _, _, err := w.a.Change(ctx, string(link.ID), nil, edit); err != nil {
			t.Fatal(err)
		}
	}
	for name, d := range map[string]provision.Directory{"the same": w.a, "another": w.b} {
		if _, err := d.Join(ctx, person(t, "boss@example.com", "")); !fault.Coded(err, fault.Uniqueness) {
			t.Errorf("%s directory brings the name again: %v, want a uniqueness conflict", name, err)
		}
	}
	if u, err := w.a.Roster.User(ctx, admins[0], false); err != nil || u.Stage() != identity.Suspended {
		t.Errorf("the suspended admin is %s, %v; want suspended still", u.Stage(), err)
	}
	if err := w.a.Leave(ctx, string(link.ID), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.b.Join(ctx, person(t, "boss@example.com", "")); err != nil {
		t.Errorf("once the record is gone another directory brings the name: %v", err)
	}
}
