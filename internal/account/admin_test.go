package account

import (
	"testing"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
)

// Whatever a directory says of the only admin: the admin gets in, by the
// address and the password of before.
func TestTheOnlyAdminSurvivesEveryDirectory(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	boss, err := w.provision.Invite(ctx, w.acme, audit.Actor{Kind: "operator"}, provision.Invitation{Email: "boss@acme.example", Admin: true})
	w.must(err)
	inv, err := w.Invite(ctx, w.link(w.acme, boss.ID))
	w.must(err)
	session, err := w.Activate(ctx, inv, password)
	w.must(err)

	person := func(active bool, email string) provision.Doc {
		return provision.Doc{Attributes: value.Obj(
			value.M("userName", value.Str("boss@acme.example")), value.M("active", value.Boolean(active)),
			value.M("emails", value.Arr(value.Obj(value.M("value", value.Str(email)), value.M("primary", value.Boolean(true))))))}
	}
	if _, err := w.okta.Join(ctx, person(false, "boss@acme.example")); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a directory that brings the only admin as inactive: %v, want forbidden", err)
	}
	link, err := w.okta.Join(ctx, person(true, "evil@evil.example"))
	w.must(err)
	if link.Target != boss.ID {
		t.Fatalf("the directory's record means %q, want the admin", link.Target)
	}
	change := func(doc provision.Doc) error {
		_, _, err := w.okta.Change(ctx, string(link.ID), nil, func(roster.User) (provision.Doc, error) { return doc, nil })
		return err
	}
	if err := change(person(false, "evil@evil.example")); !fault.Is(err, fault.Forbidden) {
		t.Errorf("suspending the only admin: %v, want forbidden", err)
	}
	if err := w.okta.Leave(ctx, string(link.ID), nil); !fault.Is(err, fault.Forbidden) {
		t.Errorf("deleting the only admin: %v, want forbidden", err)
	}
	renamed := person(true, "worse@evil.example")
	renamed.Attributes.Set("userName", value.Str("evil@evil.example"))
	w.must(change(renamed))

	if s, err := w.Session(ctx, session); err != nil || !s.Admin || s.User.Email() != "boss@acme.example" || s.User.UserName() != "boss@acme.example" {
		t.Errorf("the admin's session is of %s, admin %v, %v; want it as it was", s.User.Email(), s.Admin, err)
	}
	if _, err := w.SignIn(ctx, w.acme, Attempt{Name: "boss@acme.example", Password: password}); err != nil {
		t.Errorf("the admin's sign-in after all this = %v, want nil", err)
	}
}
