package provision_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

var operator = audit.Actor{Kind: "operator"}

// addresses is a list of as many e-mail addresses as a user may have.
func addresses(prefix string) value.Value {
	var out []value.Value
	for i := range schema.MaxEmails {
		out = append(out, value.Obj(value.M("value", value.Str(fmt.Sprintf("%s%d@example.com", prefix, i)))))
	}
	return value.Arr(out...)
}

// Whatever a directory may send fits the writes of one commit.
func TestTheLargestChangesFitOneCommit(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	for _, email := range []string{"boss@example.com", "deputy@example.com"} {
		if _, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: email, Admin: true}); err != nil {
			t.Fatal(err)
		}
	}
	d := person(t, "boss@example.com", `,"externalId":"X1"`)
	d.Attributes = d.Attributes.With("emails", addresses("a"))
	link, err := w.a.Join(ctx, d) // adopted
	if err != nil {
		t.Fatalf("adoption of a user with %d addresses: %v", schema.MaxEmails, err)
	}
	for i := range 12 { // as many as end in the commit of a deletion
		if _, err := w.a.CreateGroup(ctx, group(fmt.Sprint("Group ", i)), []string{string(link.ID)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, func(u roster.User) (provision.Doc, error) {
		next := u.Doc().Clone()
		next.Set("emails", addresses("b"))
		next.Set("userName", value.Str("other@example.com"))
		next.Set("externalId", value.Str("X2"))
		next.Set("active", value.Boolean(false))
		return provision.Doc{Attributes: next}, nil
	}); err != nil {
		t.Errorf("another %d addresses, names and access at once: %v", schema.MaxEmails, err)
	}
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, set("active", value.Boolean(true))); err != nil {
		t.Fatal(err)
	}
	if err := w.a.Leave(ctx, string(link.ID), nil); err != nil {
		t.Errorf("deletion of an admin with %d addresses and 12 groups: %v", schema.MaxEmails, err)
	}
	ids := w.crowd(w.a, 150)
	g, err := w.a.CreateGroup(ctx, provision.Doc{Attributes: group("Large").Attributes.With("externalId", value.Str("G"))}, ids)
	if err != nil || g.Count != len(ids) {
		t.Fatalf("a group of %d counts %d, %v", len(ids), g.Count, err)
	}
	tag := func(now string) bool { return now == g.Tag() }
	if _, _, err := w.a.ChangeGroup(ctx, string(g.ID), tag, nil, op(provision.ReplaceMembers)); err != nil {
		t.Errorf("removing %d members under a precondition: %v", len(ids), err)
	}
}

// A directory that renames a linked user, and back, is not in its own way.
func TestALinkTakesItsNameBack(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	boss, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: "boss@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	link := w.join(w.a, "boss@example.com")
	for _, name := range []string{"other@example.com", "BOSS@example.com", "boss@example.com"} {
		if _, _, err := w.a.Change(ctx, string(link.ID), nil, set("userName", value.Str(name))); err != nil {
			t.Errorf("renaming the link to %q: %v", name, err)
		}
	}
	claim, err := w.a.Roster.ByUserName(ctx, "boss@example.com")
	if err != nil || fmt.Sprint(claim.IDs) != fmt.Sprint([]identity.User{boss.ID, link.ID}) {
		t.Errorf("the name leads to %v, %v; want %s and its link %s", claim.IDs, err, boss.ID, link.ID)
	}
	other := w.join(w.b, "third@example.com")
	if _, _, err := w.b.Change(ctx, string(other.ID), nil, set("userName", value.Str("boss@example.com"))); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("renaming a user to the name of one made by hand: %v, want a uniqueness conflict", err)
	}
}

// Who was made by hand and is deleted leaves the directories' records as they
// are: they stand alone, and can be deleted themselves.
func TestALinkOutlivesWhomItMeant(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	boss, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: "boss@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	link := w.join(w.a, "boss@example.com")
	if err := w.s.Manual(w.org, operator).Leave(ctx, string(boss.ID), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.a.Change(ctx, string(link.ID), nil, set("active", value.Boolean(false))); err != nil {
		t.Errorf("suspending a link that stands alone: %v", err)
	}
	if err := w.a.Leave(ctx, string(link.ID), nil); err != nil {
		t.Errorf("deleting a link that stands alone: %v", err)
	}
	if _, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: "boss@example.com"}); err != nil {
		t.Errorf("inviting the address anew: %v", err)
	}
}

// Access that a directory takes away from its link is taken from whom it means,
// and the way back is open.
func TestDeletionInTheDirectoryTakesAccess(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	boss, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: "boss@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	link := w.join(w.a, "boss@example.com")
	if err := w.a.Leave(ctx, string(link.ID), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := w.a.Roster.User(ctx, boss.ID, false); err != nil || got.Active() || len(got.Links) != 0 {
		t.Errorf("after its link was deleted the user made by hand is active %v with links %v, %v", got.Active(), got.Links, err)
	}
	again := w.join(w.a, "boss@example.com")
	if got, err := w.a.Roster.User(ctx, boss.ID, false); err != nil || !got.Active() || again.ID == link.ID || again.Target != boss.ID {
		t.Errorf("brought again, the user made by hand is active %v, %v; the link %s means %s", got.Active(), err, again.ID, again.Target)
	}
}

func TestInvitationsAreChecked(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	for _, email := range []string{"", " ", "nobody", "a@b\r\nBcc: c@d.test", "a@b,c@d", "<a@b>", strings.Repeat("x", 250) + "@b.test", "@"} {
		if _, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: email}); !fault.Is(err, fault.Invalid) {
			t.Errorf("Invite(%q) = %v, want it refused as invalid", email, err)
		}
	}
	w.join(w.a, "ada@example.com")
	if _, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: "ADA@example.com"}); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("inviting who is there: %v, want a uniqueness conflict", err)
	}
	u, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: " grace@example.com ", Name: "Grace", Language: "de"})
	if err != nil || u.Email() != "grace@example.com" || u.Language("en") != "de" || u.Name() != "Grace" {
		t.Errorf("Invite = %q, %q, %q, %v", u.Email(), u.Language("en"), u.Name(), err)
	}
}

// Groups are as closed as users: another connection finds nothing, changes
// nothing, and cannot smuggle its ids in.
func TestGroupsOfAnotherConnection(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	ours, theirs := w.crowd(w.a, 2), string(w.join(w.b, "theirs@example.com").ID)
	g, err := w.a.CreateGroup(ctx, group("Team"), ours[:1])
	if err != nil {
		t.Fatal(err)
	}
	_, notThere := w.b.Group(ctx, string(identity.MintGroup(w.b.Connection().ID)))
	for what, err := range map[string]error{
		"read":        second(w.b.Group(ctx, string(g.ID))),
		"add":         third(w.b.ChangeGroup(ctx, string(g.ID), nil, nil, op(provision.AddMembers, theirs))),
		"rename":      third(w.b.ChangeGroup(ctx, string(g.ID), nil, func(roster.Group) (provision.Doc, error) { return group("Mine"), nil }, nil)),
		"delete":      w.b.DeleteGroup(ctx, string(g.ID), nil),
		"a user's id": second(w.a.Group(ctx, ours[0])),
		"malformed":   second(w.a.Group(ctx, "x#M#y")),
	} {
		if err == nil || err.Error() != notThere.Error() {
			t.Errorf("%s of another connection's group: %v, want %v", what, err, notThere)
		}
	}
	unknown := string(identity.MintUser(w.a.Connection().ID))
	for what, id := range map[string]string{"another connection's": theirs, "nobody's": unknown, "a group's": string(g.ID), "a malformed": "x", "an empty": ""} {
		for _, kind := range []provision.MemberKind{provision.AddMembers, provision.ReplaceMembers} {
			if _, _, err := w.a.ChangeGroup(ctx, string(g.ID), nil, nil, op(kind, ours[1], id)); !fault.Coded(err, fault.InvalidValue) {
				t.Errorf("%s id as a member: %v, want invalidValue", what, err)
			}
		}
		if _, _, err := w.a.ChangeGroup(ctx, string(g.ID), nil, nil, op(provision.RemoveMembers, id)); err != nil {
			t.Errorf("removing %s id: %v, want success: it is not a member afterwards", what, err)
		}
	}
	if got := w.members(w.a, g.ID); len(got) != 1 || !got[ours[0]] {
		t.Errorf("after refused changes the group lists %v, want %s alone", got, ours[0])
	}
}

func TestGroupNames(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	one, err := w.a.CreateGroup(ctx, group("Team"), nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := w.a.CreateGroup(ctx, group("Other"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rename := func(g roster.Group, name string) error {
		return third(w.a.ChangeGroup(ctx, string(g.ID), nil, func(roster.Group) (provision.Doc, error) { return group(name), nil }, nil))
	}
	if err := second(w.a.CreateGroup(ctx, group("TEAM"), nil)); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("a second group of the name in capitals: %v, want a uniqueness conflict", err)
	}
	if err := rename(two, "team"); !fault.Coded(err, fault.Uniqueness) {
		t.Errorf("renaming to a taken name: %v, want a uniqueness conflict", err)
	}
	if err := rename(one, "TEAM"); err != nil {
		t.Errorf("writing one's own name otherwise: %v", err)
	}
	if err := second(w.b.CreateGroup(ctx, group("Team"), nil)); err != nil {
		t.Errorf("another connection's group of the name: %v", err)
	}
	// A dialect that does not ask for unique names lets them meet.
	c, err := w.orgs.CreateConnection(ctx, w.org, org.Connection{Name: "Strict", Dialect: "strict"})
	if err != nil {
		t.Fatal(err)
	}
	strict := w.s.As(w.org, c, operator)
	for range 2 {
		if err := second(strict.CreateGroup(ctx, group("Same"), nil)); err != nil {
			t.Errorf("a group of a name that need not be unique: %v", err)
		}
	}
	if found, err := strict.Roster.GroupsByName(ctx, c.ID, "SAME"); err != nil || len(found) != 2 {
		t.Errorf("GroupsByName finds %v, %v; want both", found, err)
	}
}

// TestNameAndMembersChangeTogether: a PATCH or PUT of both is one commit, so
// that a crash leaves neither half.
func TestNameAndMembersChangeTogether(t *testing.T) {
	w := newWorld(t, nil)
	u := w.join(w.a, "ada@example.com")
	g, err := w.a.CreateGroup(t.Context(), group("Before"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rename := func(roster.Group) (provision.Doc, error) { return group("After"), nil }
	_, changed, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, rename, []provision.MemberOp{{Kind: provision.AddMembers, IDs: []string{string(u.ID)}}})
	if err != nil || !changed {
		t.Fatalf("ChangeGroup of name and members: changed %v, %v", changed, err)
	}
	events := w.events(string(g.ID))
	if len(events) != 2 || events[0].Kind != audit.GroupChanged || len(events[0].Changes) != 2 || !events[0].Has(audit.Settle) {
		t.Errorf("the latest of %d events is %+v, want one group.changed with the name and the member", len(events), events[0])
	}
}

// TestAChangedGroupIsAsStored: the group that a change returns, which is put
// together from what was read and written, is the one that is read afterwards.
func TestAChangedGroupIsAsStored(t *testing.T) {
	w := newWorld(t, nil)
	var ids []string
	for i := range 12 {
		u, err := w.a.Join(t.Context(), doc(t, fmt.Sprintf(`{"userName":"u%d"}`, i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(u.ID))
	}
	g, err := w.a.CreateGroup(t.Context(), group("G"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rename := func(g roster.Group) (provision.Doc, error) { return group(g.Name() + "x"), nil }
	all := provision.Match(func(string) bool { return true })
	for _, change := range []struct {
		name  string
		match provision.Match
		edit  func(roster.Group) (provision.Doc, error)
		ops   []provision.MemberOp
	}{
		{name: "one more", ops: []provision.MemberOp{{Kind: provision.AddMembers, IDs: ids[:1]}}},
		{name: "several, guarded", match: all, ops: []provision.MemberOp{{Kind: provision.AddMembers, IDs: ids[1:]}}},
		{name: "fewer, guarded", match: all, ops: []provision.MemberOp{{Kind: provision.RemoveMembers, IDs: ids[3:6]}}},
		{name: "a name", edit: rename},
		{name: "a name, and members", edit: rename, ops: []provision.MemberOp{{Kind: provision.ReplaceMembers, IDs: ids[2:9]}}},
		{name: "nobody", ops: []provision.MemberOp{{Kind: provision.ReplaceMembers}}},
	} {
		got, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), change.match, change.edit, change.ops)
		if err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		is, err := w.a.Group(t.Context(), string(g.ID))
		if err != nil {
			t.Fatal(err)
		}
		if got.Tag() != is.Tag() || got.Count != is.Count || !got.Modified.Equal(is.Modified) || !got.Created.Equal(is.Created) || got.Name() != is.Name() {
			t.Errorf("%s: the change returns %d members, %v, %q with the tag %s; stored are %d, %v, %q with %s",
				change.name, got.Count, got.Modified, got.Name(), got.Tag(), is.Count, is.Modified, is.Name(), is.Tag())
		}
	}
}
