// Package provision is the use cases that change users and groups: the only
// place that commits to them, whoever asks, a SCIM client, the portal, an import
// or a reconciliation.
//
// It speaks no protocol: callers bring normalized documents.
package provision

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/lifecycle"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Service commits changes of users and groups.
type Service struct {
	table table.Table
	now   func() time.Time
}

// New returns a service over t.
func New(t table.Table, now func() time.Time) *Service {
	return &Service{table: t, now: now}
}

// Roster returns the reading side for the organization.
func (s *Service) Roster(o *org.Org) roster.Roster { return roster.Of(s.table, o) }

// Directory is one connection at work: bound to its organization and to itself
// once, so that it reaches nothing else.
type Directory struct {
	Roster roster.Roster
	conn   org.Connection
	actor  audit.Actor
	s      *Service
}

// As binds a connection of the organization and who speaks for it.
func (s *Service) As(o *org.Org, c org.Connection, actor audit.Actor) Directory {
	return Directory{Roster: roster.Of(s.table, o), conn: c, actor: actor, s: s}
}

// Manual binds the connection of users made by hand.
func (s *Service) Manual(o *org.Org, actor audit.Actor) Directory {
	return s.As(o, org.Connection{ID: identity.Manual}, actor)
}

// Connection is the connection that the directory is bound to.
func (d Directory) Connection() org.Connection { return d.conn }

// Doc is a normalized resource: its attributes, and which extensions it has
// (bit i: the i-th of its resource type).
type Doc struct {
	Attributes value.Value
	Extensions uint8
}

// Match decides a precondition by the resource's entity tag, the opaque part
// between the quotes (RFC 7644 §3.14). A nil Match lets everything pass.
type Match func(tag string) bool

func (m Match) check(tag string) error {
	if m == nil || m(tag) {
		return nil
	}
	return fault.New(fault.Conflict, fault.Stale, "The resource has changed since the version that the request names.")
}

// tries bounds how often a change is decided anew because another came between;
// each round somebody else has made progress.
const tries = 64

func noUser() error { return fault.New(fault.NotFound, "", "There is no such user.") }

func busy(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Msg: "Too many changes of this resource at once. Try again.", Err: err, Retry: time.Second}
}

// own parses an id of a user of this connection. Any other id is of nobody.
func (d Directory) own(id string) (identity.User, error) {
	u, ok := identity.ParseUser(id)
	if !ok || u.Connection() != d.conn.ID {
		return "", noUser()
	}
	return u, nil
}

// User returns the connection's user with the id; with memberships if groups.
func (d Directory) User(ctx context.Context, id string, groups bool) (roster.User, error) {
	u, err := d.own(id)
	if err != nil {
		return roster.User{}, err
	}
	return d.Roster.User(ctx, u, groups)
}

// SayActive gives a document that does not say whether the user is active the
// value that holds. It is for whole documents: a profile update that leaves it
// out must not let a suspended user in, nor hide that others may come in.
func (doc Doc) SayActive(active bool) Doc {
	if doc.Attributes.Get("active").Kind() == value.Bool {
		return doc
	}
	return Doc{Attributes: schema.User.Place(doc.Attributes, "active", value.Boolean(active)), Extensions: doc.Extensions}
}

func facts(u *roster.User) lifecycle.Facts {
	return lifecycle.Facts{
		Exists: true, Active: u.Active(), Address: identity.Fold(u.Email()),
		Activated: !u.Activated.IsZero(), Welcomed: u.Welcomed, Linked: u.Target != "",
	}
}

func (d Directory) policy() lifecycle.Policy {
	return lifecycle.Policy{SuppressWelcome: d.conn.SuppressWelcome}
}

func taken(what string) error {
	return fault.New(fault.Conflict, fault.Uniqueness, "The %s is in use by another user.", what)
}

// Join creates a user. A userName that a user made by hand goes by is linked:
// the answer is a record of the connection's own that means that user. One that
// another directory's user goes by is a Conflict, kept for a person to look at.
func (d Directory) Join(ctx context.Context, doc Doc) (roster.User, error) {
	doc = doc.SayActive(true)
	name, externalID := doc.Attributes.Get("userName").Text(), doc.Attributes.Get("externalId").Text()
	for range tries {
		u := roster.User{ID: identity.MintUser(d.conn.ID), Seal: secret.Mint()}
		u.SetDoc(doc.Attributes, doc.Extensions)
		writes, data, err := d.joining(&u, audit.UserJoined)
		if err != nil {
			return roster.User{}, err
		}
		writes = append(writes, table.Create(d.Roster.NameClaimKey(name), roster.EncodeClaim(u.ID)))
		v, err := d.s.table.Commit(ctx, writes...)
		switch {
		case err == nil:
			return u.Stored(d.Roster, v, data)
		case table.Conflicts(err, d.Roster.NameClaimKey(name)):
			claim, err := d.Roster.ByUserName(ctx, name)
			if err != nil {
				return roster.User{}, err
			}
			if len(claim.IDs) == 0 {
				continue // let go of meanwhile
			}
			if _, known := claim.In(d.conn.ID); !known && claim.IDs[0].Connection() == identity.Manual {
				u, again, err := d.adopt(ctx, doc, claim)
				if again {
					continue
				}
				return u, err
			}
			return roster.User{}, d.refuseName(ctx, name, claim, claim.IDs[0].Connection())
		case externalID != "" && table.Conflicts(err, d.Roster.ExternalClaimKey(d.conn.ID, externalID)):
			return roster.User{}, taken("externalId")
		case table.Conflicts(err):
			continue // 101 random bits met again
		default:
			return roster.User{}, fmt.Errorf("create user: %w", err)
		}
	}
	return roster.User{}, busy(nil)
}

// joining is what every new record of a connection is made of, except for the
// claim of its name.
func (d Directory) joining(u *roster.User, kind audit.Kind) ([]table.Write, []byte, error) {
	doc := u.Doc()
	decision := lifecycle.Decide(lifecycle.Facts{}, facts(u), true, d.policy())
	u.LastEvent = identity.MintEvent(d.s.now())
	u.Welcomed = u.Welcomed || decision.Welcomes()
	event, err := audit.Event{
		ID: u.LastEvent, Subject: string(u.ID), Kind: kind, Actor: d.actor, Effects: decision.Effects,
		Changes: []audit.Change{{After: doc}},
	}.Write(d.Roster.Org(), &u.Seal)
	if err != nil {
		return nil, nil, err
	}
	data := u.Encode(true)
	writes := []table.Write{table.Create(d.Roster.UserKey(u.ID), data), event}
	if x := doc.Get("externalId").Text(); x != "" {
		writes = append(writes, table.Create(d.Roster.ExternalClaimKey(d.conn.ID, x), roster.EncodeClaim(u.ID)))
	}
	for _, a := range roster.Emails(doc) {
		writes = append(writes, table.Create(d.Roster.EmailKey(a, u.ID), nil))
	}
	return append(writes, d.count(u.ID, 1)...), data, nil
}

const most = 1 << 40 // more than any counter of ours counts

func (d Directory) count(id identity.User, delta int64) []table.Write {
	keys := d.Roster.CounterKeys(id)
	return []table.Write{table.Add(keys[0], delta, 0, most), table.Add(keys[1], delta, 0, most)}
}

// refuseName answers for a name that is taken and, where another directory
// governs who goes by it, leaves a note for a person: who holds the name, who
// wanted it.
func (d Directory) refuseName(ctx context.Context, name string, claim roster.Claim, governs identity.Connection) error {
	if governs != d.conn.ID && governs != identity.Manual {
		note := roster.Conflict{Holder: claim.IDs[0], Wanted: d.conn.ID, At: d.s.now().UTC().Truncate(time.Second)}
		// The latest attempt is as good a note as the first.
		if _, err := d.s.table.Commit(ctx, table.Put(d.Roster.ConflictKey(name, d.conn.ID), note.Encode())); err != nil {
			return fmt.Errorf("open a conflict: %w", err)
		}
	}
	return taken("userName")
}

// Change gives a user other attributes: edit gets a settled document, never
// modifies it, and returns another; it may be called more than once. Changed is
// false where the outcome equals what is stored: nothing was written.
func (d Directory) Change(ctx context.Context, id string, match Match, edit func(roster.User) (Doc, error)) (u roster.User, changed bool, err error) {
	own, err := d.own(id)
	if err != nil {
		return roster.User{}, false, err
	}
	var last error
	for range tries {
		u, err := d.Roster.User(ctx, own, true)
		if err != nil {
			return roster.User{}, false, err
		}
		if err := match.check(u.Tag()); err != nil {
			return roster.User{}, false, err
		}
		doc, err := edit(u)
		if err != nil {
			return roster.User{}, false, err
		}
		if value.Equal(u.Doc(), doc.Attributes) {
			return u, false, nil
		}
		next, writes, data, err := d.changing(ctx, u, doc)
		if err != nil {
			return roster.User{}, false, err
		}
		v, err := d.s.table.Commit(ctx, writes...)
		if err == nil {
			next, err = next.Stored(d.Roster, v, data)
			return next, true, err
		}
		if !table.Conflicts(err) {
			return roster.User{}, false, fmt.Errorf("change user: %w", err)
		}
		if err := d.changeRefused(ctx, err, u, doc); err != nil {
			return roster.User{}, false, err
		}
		last = err
	}
	return roster.User{}, false, busy(last)
}

// changing builds the commit that turns u into what doc says.
func (d Directory) changing(ctx context.Context, u roster.User, doc Doc) (roster.User, []table.Write, []byte, error) {
	before, after := u.Doc(), doc.Attributes
	next := u
	next.SetDoc(after, doc.Extensions)
	next.Suspended = after.Get("active").Kind() != value.Bool && !u.Active()
	decision := lifecycle.Decide(facts(&u), facts(&next), true, d.policy())
	next.LastEvent = identity.MintEvent(d.s.now(), u.LastEvent)
	next.Welcomed = u.Welcomed || decision.Welcomes()
	data := next.Encode(true)
	event, err := audit.Event{
		ID: next.LastEvent, Subject: string(u.ID), Kind: decision.Event, Actor: d.actor, Effects: decision.Effects,
		Changes: audit.Diff(before, after),
	}.Write(d.Roster.Org(), &u.Seal)
	if err != nil {
		return roster.User{}, nil, nil, err
	}
	writes := []table.Write{table.Replace(u.Item, data), event}
	more, err := d.moveClaims(ctx, u, before, after)
	if err != nil {
		return roster.User{}, nil, nil, err
	}
	writes = append(writes, more...)
	if was, is := u.Active(), next.Active(); was != is {
		more, err := d.access(ctx, u, is)
		if err != nil {
			return roster.User{}, nil, nil, err
		}
		writes = append(writes, more...)
	}
	return next, writes, data, nil
}

// access carries what a directory says of a link over to the user who is meant,
// and keeps count of the admins who can get in.
func (d Directory) access(ctx context.Context, u roster.User, active bool) ([]table.Write, error) {
	var writes []table.Write
	person := u
	if u.Target != "" {
		found, err := d.Roster.Users(ctx, u.Target)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, nil // the user made by hand is gone; the link stands alone
		}
		person = found[0]
		if person.Active() == active {
			return nil, nil
		}
		more, err := d.setActive(&person, active)
		if err != nil {
			return nil, err
		}
		writes = append(writes, more...)
	}
	return append(writes, countAdmin(d.Roster, &person, active)...), nil
}

// setActive writes the one attribute of a user made by hand that a directory's
// link governs.
func (d Directory) setActive(u *roster.User, active bool) ([]table.Write, error) {
	before := u.Doc()
	after := before.Clone()
	after.Set("active", value.Boolean(active))
	was := facts(u)
	u.LastEvent = identity.MintEvent(d.s.now(), u.LastEvent)
	u.SetDoc(after, u.Ext)
	// The policy is the link's connection's; the user was invited by hand.
	decision := lifecycle.Decide(was, facts(u), true, lifecycle.Policy{})
	event, err := audit.Event{ID: u.LastEvent, Subject: string(u.ID), Kind: decision.Event, Actor: d.actor, Effects: decision.Effects,
		Changes: audit.Diff(before, after)}.Write(d.Roster.Org(), &u.Seal)
	if err != nil {
		return nil, err
	}
	return []table.Write{table.Replace(u.Item, u.Encode(true)), event}, nil
}

// changeRefused explains a conflict that trying again would not mend; nil where
// it may.
func (d Directory) changeRefused(ctx context.Context, err error, u roster.User, doc Doc) error {
	if endsAdmins(d.Roster, err) {
		return lastAdmin()
	}
	if name := doc.Attributes.Get("userName").Text(); table.Conflicts(err, d.Roster.NameClaimKey(name)) {
		claim, err := d.Roster.ByUserName(ctx, name)
		if err != nil {
			return err
		}
		if id, _ := claim.In(d.conn.ID); len(claim.IDs) > 0 && id != u.ID && !admits(claim, u) {
			return d.refuseName(ctx, name, claim, claim.IDs[0].Connection())
		}
	}
	if x := doc.Attributes.Get("externalId").Text(); x != "" && table.Conflicts(err, d.Roster.ExternalClaimKey(d.conn.ID, x)) {
		claim, err := d.Roster.ByExternalID(ctx, d.conn.ID, x)
		if err != nil {
			return err
		}
		if id, ok := claim.In(d.conn.ID); ok && id != u.ID {
			return taken("externalId")
		}
	}
	return nil
}
