package lifecycle_test

import (
	"slices"
	"testing"

	"gatehouse/internal/audit"
	"gatehouse/internal/lifecycle"
)

func TestDecide(t *testing.T) {
	type facts = lifecycle.Facts
	none := facts{}
	is := facts{Exists: true, Active: true, Address: "ada@example.com"}
	with := func(f facts, change func(*facts)) facts { change(&f); return f }
	inactive := with(is, func(f *facts) { f.Active = false })
	silent := with(is, func(f *facts) { f.Address = "" })
	welcomed := with(is, func(f *facts) { f.Welcomed = true })
	elsewhere := with(welcomed, func(f *facts) { f.Address = "new@example.com" })
	activated := with(is, func(f *facts) { f.Activated = true })
	linked := with(is, func(f *facts) { f.Linked = true })
	suppress := lifecycle.Policy{SuppressWelcome: true}
	for _, c := range []struct {
		name          string
		before, after facts
		changed       bool
		policy        lifecycle.Policy
		move          lifecycle.Move
		event         audit.Kind
		effects       []audit.Effect
	}{
		{"nobody stays nobody", none, none, true, lifecycle.Policy{}, lifecycle.Nothing, "", nil},
		{"an active user joins", none, is, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserJoined, []audit.Effect{audit.Welcome}},
		{"a user joins quietly", none, is, true, suppress, lifecycle.Joiner, audit.UserJoined, nil},
		{"an inactive user joins", none, inactive, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserJoined, nil},
		{"a user without an address joins", none, silent, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserJoined, nil},
		{"a link joins", none, linked, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserAdopted, nil},
		{"nothing changes", is, is, false, lifecycle.Policy{}, lifecycle.Nothing, "", nil},
		{"an attribute changes", is, is, true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, nil},
		{"an attribute of a welcomed one changes", welcomed, welcomed, true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, nil},
		{"an attribute changes after the connection stopped suppressing", is, is, true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, nil},
		{"an address comes", silent, is, true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, []audit.Effect{audit.Welcome}},
		{"an address comes quietly", silent, is, true, suppress, lifecycle.Mover, audit.UserChanged, nil},
		{"an address goes", is, silent, true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, nil},
		{"an address of an inactive one comes", with(inactive, func(f *facts) { f.Address = "" }), inactive, true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, nil},
		{"a user is suspended", is, inactive, true, lifecycle.Policy{}, lifecycle.Leaver, audit.UserSuspended, nil},
		{"an inactive one becomes active", inactive, is, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserResumed, []audit.Effect{audit.Welcome}},
		{"a welcomed one is resumed", with(welcomed, func(f *facts) { f.Active = false }), welcomed, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserResumed, []audit.Effect{audit.Welcome}},
		{"a welcomed one is resumed quietly", with(welcomed, func(f *facts) { f.Active = false }), welcomed, true, suppress, lifecycle.Joiner, audit.UserResumed, nil},
		{"the address of a welcomed one comes back", with(welcomed, func(f *facts) { f.Address = "" }), welcomed, true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, []audit.Effect{audit.Readdress}},
		{"the address of a welcomed one goes", welcomed, with(welcomed, func(f *facts) { f.Address = "" }), true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, []audit.Effect{audit.Readdress}},
		{"a welcomed one moves to another address", welcomed, elsewhere, true, suppress, lifecycle.Mover, audit.UserChanged, []audit.Effect{audit.Readdress}},
		{"a welcomed one moves and is suspended", welcomed, with(elsewhere, func(f *facts) { f.Active = false }), true, lifecycle.Policy{}, lifecycle.Leaver, audit.UserSuspended, []audit.Effect{audit.Readdress}},
		{"an activated one moves", with(welcomed, func(f *facts) { f.Activated = true }), with(elsewhere, func(f *facts) { f.Activated = true }), true, lifecycle.Policy{}, lifecycle.Mover, audit.UserChanged, nil},
		{"one who was never welcomed moves", is, with(is, func(f *facts) { f.Address = "new@example.com" }), true, suppress, lifecycle.Mover, audit.UserChanged, nil},
		{"an activated one is resumed", with(activated, func(f *facts) { f.Active = false }), activated, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserResumed, nil},
		{"a link is resumed", with(linked, func(f *facts) { f.Active = false }), linked, true, lifecycle.Policy{}, lifecycle.Joiner, audit.UserResumed, nil},
		{"a user is deleted", is, none, true, lifecycle.Policy{}, lifecycle.Leaver, audit.UserLeft, []audit.Effect{audit.Sweep}},
		{"a suspended user is deleted", inactive, none, true, lifecycle.Policy{}, lifecycle.Leaver, audit.UserLeft, []audit.Effect{audit.Sweep}},
	} {
		d := lifecycle.Decide(c.before, c.after, c.changed, c.policy)
		if d.Move != c.move || d.Event != c.event || !slices.Equal(d.Effects, c.effects) {
			t.Errorf("when %s, Decide = %v, %q, %q; want %v, %q, %q", c.name, d.Move, d.Event, d.Effects, c.move, c.event, c.effects)
		}
		if want := slices.Contains(c.effects, audit.Welcome); d.Welcomes() != want {
			t.Errorf("when %s, Welcomes() = %v, want %v", c.name, d.Welcomes(), want)
		}
	}
}

// Whatever the facts: who is activated, is suspended, has no address or comes
// quietly is not welcomed, and who was welcomed only when resumed.
func TestWhoIsNeverWelcomed(t *testing.T) {
	for bits := range 1 << 13 {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		before := lifecycle.Facts{Exists: bit(0), Active: bit(1), Address: address(bit(2)), Activated: bit(3), Welcomed: bit(4), Linked: bit(5)}
		after := lifecycle.Facts{Exists: bit(6), Active: bit(7), Address: address(bit(8)), Activated: bit(9), Welcomed: bit(10), Linked: bit(11)}
		p := lifecycle.Policy{SuppressWelcome: bit(12)}
		for _, changed := range []bool{false, true} {
			d := lifecycle.Decide(before, after, changed, p)
			may := after.Exists && after.Active && after.Address != "" && !after.Activated && (!after.Welcomed || !before.Active || !before.Exists) && !after.Linked && !p.SuppressWelcome
			if d.Welcomes() && !may {
				t.Fatalf("Decide(%+v, %+v, %v, %+v) welcomes", before, after, changed, p)
			}
			if (d.Move == lifecycle.Nothing) != (d.Event == "") {
				t.Fatalf("Decide(%+v, %+v, %v, %+v) = %v with the event %q", before, after, changed, p, d.Move, d.Event)
			}
		}
	}
}

func address(some bool) string {
	if some {
		return "ada@example.com"
	}
	return ""
}
