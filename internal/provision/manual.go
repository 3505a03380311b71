package provision

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Invitation is a user made by hand.
type Invitation struct {
	Email    string
	Name     string // may be empty
	Language string // "en", "de", or empty: the organization's
	Admin    bool   // organization admin
}

// CheckAddress refuses as Invalid what Invite would not take for an email
// address, white space around it ignored.
func CheckAddress(email string) error {
	email = strings.TrimSpace(email)
	if roster.Email(value.Obj(value.M("userName", value.Str(email)))) == "" {
		return fault.New(fault.Invalid, fault.InvalidValue, "%.100q is not an email address.", email)
	}
	return nil
}

// Invite creates a user of the connection manual and has the welcome email
// queued. An address that anybody in the organization goes by is a Conflict.
func (s *Service) Invite(ctx context.Context, o *org.Org, by audit.Actor, in Invitation) (roster.User, error) {
	d := s.Manual(o, by)
	in.Email = strings.TrimSpace(in.Email)
	if err := CheckAddress(in.Email); err != nil {
		return roster.User{}, err
	}
	doc := value.Obj(value.M("userName", value.Str(in.Email)))
	if in.Name != "" {
		doc.Set("displayName", value.Str(in.Name))
	}
	if in.Language != "" {
		doc.Set("preferredLanguage", value.Str(in.Language))
	}
	doc.Set("active", value.Boolean(true))
	doc.Set("emails", value.Arr(value.Obj(value.M("value", value.Str(in.Email)), value.M("type", value.Str("work")), value.M("primary", value.Boolean(true)))))
	for range tries {
		u := roster.User{ID: identity.MintUser(identity.Manual), Seal: secret.Mint(), Admin: in.Admin}
		u.SetDoc(doc, 0)
		writes, data, err := d.joining(&u, audit.UserJoined)
		if err != nil {
			return roster.User{}, err
		}
		claim := d.Roster.NameClaimKey(in.Email)
		writes = append(writes, table.Create(claim, roster.EncodeClaim(u.ID)))
		writes = append(writes, countAdmin(d.Roster, &u, true)...)
		v, err := s.table.Commit(ctx, writes...)
		switch {
		case err == nil:
			return u.Stored(d.Roster, v, data)
		case table.Conflicts(err, claim):
			return roster.User{}, taken("email address")
		case !table.Conflicts(err):
			return roster.User{}, fmt.Errorf("invite user: %w", err)
		}
	}
	return roster.User{}, busy(nil)
}

// Activation returns the writes by which a user becomes activated, for the
// commit that stores the password: the two are true together or not at all. Who
// was activated before, is suspended or is gone cannot be.
func (s *Service) Activation(ctx context.Context, o *org.Org, id identity.User) ([]table.Write, error) {
	r := roster.Of(s.table, o)
	u, err := r.User(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if !u.Active() {
		return nil, fault.New(fault.Forbidden, "", "This account is suspended.")
	}
	if !u.Activated.IsZero() {
		return nil, fault.New(fault.Conflict, "", "This account has a password already.")
	}
	u.Activated = s.now().UTC()
	u.LastEvent = identity.MintEvent(s.now(), u.LastEvent)
	event, err := audit.Event{ID: u.LastEvent, Subject: string(id), Kind: audit.UserActivated,
		Actor: audit.Actor{Kind: "user", ID: string(id)}}.Write(o, &u.Seal)
	if err != nil {
		return nil, err
	}
	writes := []table.Write{table.Replace(u.Item, u.Encode(false)), event}
	if u.Admin {
		writes = append(writes, table.Add(r.ReadyAdminsKey(), 1, 1, most))
	}
	links, err := r.Users(ctx, u.Links...)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		l.Activated = u.Activated
		writes = append(writes, table.Replace(l.Item, l.Encode(false)))
	}
	return writes, nil
}
