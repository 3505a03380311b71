// Package app puts the product together over ports that a home has opened, and
// hands out its faces: SCIM, the portal, the feed's consumers, the sweep, and
// the operator's commands.
//
// It knows no technology, and a face builds only what it needs.
package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/courier"
	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Ports are what a home opens.
type Ports struct {
	Table  table.Table
	Key    secret.Key // the server's
	URL    string     // the outside address, without a slash at its end
	Sender mail.Sender
	From   mail.Address
	Lease  time.Duration // of one attempt to send; 0: the courier's own
	Daily  int           // mails of one organization in a day; 0: no limit
	Rate   int           // requests a second of a connection that has no rate of its own; 0: no limit
	Now    func() time.Time
	Log    *slog.Logger
	// CredentialCache is how long a good credential is believed.
	CredentialCache time.Duration
}

// Core is what users and groups need: all that SCIM is served with. A function
// that asks for no more links no more.
type Core struct {
	Ports
	Orgs      *org.Store
	Provision *provision.Service
}

// NewCore puts it together. It reads nothing.
func NewCore(p Ports) Core {
	c := Core{Ports: p, Orgs: org.New(p.Table, p.Key, p.Now, p.CredentialCache), Provision: provision.New(p.Table, p.Now)}
	c.Orgs.Rate = p.Rate
	return c
}

// App is the product over its ports.
type App struct {
	Core
	Courier  *courier.Service
	Accounts *account.Service
}

// New puts the product together. It reads nothing.
func New(p Ports) *App {
	if p.Sender == nil {
		p.Sender = noSender{}
	}
	a := &App{Core: NewCore(p)}
	a.Courier = courier.New(courier.Config{
		Table: p.Table, Orgs: a.Orgs, Sender: p.Sender, From: p.From, Now: p.Now, Log: p.Log,
		Lease: p.Lease, DailyLimit: p.Daily, Links: courier.Links{Key: p.Key.Derive("links"), URL: p.URL},
	})
	a.Accounts = account.New(account.Config{
		Table: p.Table, Orgs: a.Orgs, Courier: a.Courier, Provision: a.Provision, Key: p.Key, Now: p.Now,
	})
	return a
}

// noSender stands in where a face sends nothing: a message that reaches it all
// the same waits for a face that does.
type noSender struct{}

func (noSender) Send(context.Context, mail.Message) (string, error) {
	return "", &mail.Reason{Code: "no-sender", Err: mail.ErrBusy}
}

func (noSender) Promise() mail.Promise { return mail.Repeats }

// Sweeper returns what is to be called every minute.
func (a *App) Sweeper() *due.Sweeper {
	return &due.Sweeper{
		Table: a.Table, Now: a.Now, Log: a.Log,
		Since: a.founded,
		Handlers: map[string]func(context.Context, due.Ref) error{
			courier.DueKind:   a.Courier.Due,
			provision.DueKind: a.resume,
		},
	}
}

// resume goes on with a change of a group's members that nobody is at any more.
func (a *App) resume(ctx context.Context, ref due.Ref) error {
	g, ok := identity.ParseGroup(ref.ID)
	if !ok {
		return fmt.Errorf("resume a change of members: %q is no group", ref.ID)
	}
	o, err := a.Orgs.Get(ctx, ref.Org)
	if err != nil {
		return fmt.Errorf("resume a change of members: %w", err)
	}
	return a.Provision.Resume(ctx, o, g)
}

// SchemaVersion is the form of the items in the table. A program serves only
// tables of its own.
const SchemaVersion = 1

// foundation is what the table's first item says.
type foundation struct {
	Schema int       `json:"schema"`
	Key    string    `json:"key"` // fingerprint of the server's key
	Made   time.Time `json:"made"`
}

var foundationKey = table.Key{Part: "META", Sort: "#"}

// Founded reports whether the table was prepared before.
func Founded(ctx context.Context, t table.Table) (bool, error) {
	f, err := ReadFoundation(ctx, t)
	return f.item != nil, err
}

// Prepare founds an empty table, and refuses one of another schema version or
// one whose names were keyed by another server key: with it nobody would be
// found.
func Prepare(ctx context.Context, t table.Table, key secret.Key, now time.Time) error {
	f, err := ReadFoundation(ctx, t)
	if err != nil {
		return err
	}
	return f.Prepare(ctx, t, key, now)
}

// Foundation is the first item of a table as it was read. A home whose key comes
// over the network reads both at once.
type Foundation struct{ item *table.Item } // nil: the table was empty

// ReadFoundation reads what Prepare goes by.
func ReadFoundation(ctx context.Context, t table.Table) (Foundation, error) {
	items, err := t.Get(ctx, foundationKey)
	if err != nil {
		return Foundation{}, fmt.Errorf("read the table's foundation: %w", err)
	}
	if len(items) == 0 {
		return Foundation{}, nil
	}
	return Foundation{&items[0]}, nil
}

// founded returns when the table was founded; now, if nobody has yet.
func (a *App) founded(ctx context.Context) (time.Time, error) {
	f, err := ReadFoundation(ctx, a.Table)
	if err != nil || f.item == nil {
		return a.Now(), err
	}
	said, err := f.said()
	return said.Made, err
}

func (f Foundation) said() (said foundation, err error) {
	if err := json.Unmarshal(f.item.Data, &said); err != nil {
		return said, fmt.Errorf("read the table's foundation: %w", err)
	}
	return said, nil
}

// Prepare is Prepare of the table that the foundation was read from.
func (f Foundation) Prepare(ctx context.Context, t table.Table, key secret.Key, now time.Time) error {
	for f.item == nil {
		b, err := json.Marshal(foundation{Schema: SchemaVersion, Key: key.Fingerprint(), Made: now.UTC().Truncate(time.Second)})
		if err != nil {
			return fmt.Errorf("found the table: %w", err)
		}
		if _, err := t.Commit(ctx, table.Create(foundationKey, b)); err != nil && !table.Conflicts(err) {
			return fmt.Errorf("found the table: %w", err)
		}
		// Whoever founded it: read what they wrote.
		if f, err = ReadFoundation(ctx, t); err != nil {
			return err
		}
	}
	said, err := f.said()
	if err != nil {
		return err
	}
	switch {
	case said.Schema != SchemaVersion:
		return fault.New(fault.Unavailable, "", "The store has schema version %d; this program serves version %d. Use the program that wrote it, or migrate.", said.Schema, SchemaVersion)
	case said.Key != key.Fingerprint():
		return fault.New(fault.Unavailable, "", "The store was made with another server key. Bring back the key that belongs to it.")
	}
	return nil
}
