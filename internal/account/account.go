// Package account is how a person comes in: the link that activates a user, the
// password that it creates, sign-in, and sessions.
//
// It changes users only through package provision, queues mails only through
// package courier, and shows nothing: the portal does.
package account

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Keys of this package. n: the first hexadecimal digit of the user's bucket.
//
//	O#o#PW#c#n      <user>      a password, hashed (PHC string)
//	O#o#SS#<user>   <sha256>    a session of the user's, so that all can be ended
//	SES#<sha256>    #           a session; looked up before an organization is known
//	RATE#<mac>      <window>    a counter of tries; expires with its window
const sortSelf = "#"

func passwordKey(o *org.Org, id identity.User) table.Key {
	return table.Key{Part: o.Part("PW", string(id.Connection()), id.Bucket()[:1]), Sort: string(id)}
}

func sessionKey(hash string) table.Key { return table.Key{Part: "SES#" + hash, Sort: sortSelf} }

func sessionsPart(o *org.Org, id identity.User) string { return o.Part("SS", string(id)) }

// Config is what a Service stands on. Every field but Hashes is needed.
type Config struct {
	Table     table.Table
	Orgs      *org.Store
	Courier   *courier.Service
	Provision *provision.Service
	Key       secret.Key // the server's
	Now       func() time.Time
	// Hashes is how many passwords are hashed at once, 19 MiB each; zero: 2.
	// Some more wait; the rest is told to come back.
	Hashes int
}

// Service activates users, signs them in and knows their sessions. All methods
// may be called concurrently.
type Service struct {
	table     table.Table
	orgs      *org.Store
	courier   *courier.Service
	provision *provision.Service
	now       func() time.Time
	csrf      secret.Key
	rate      secret.Key
	hasher    *hasher
}

// New returns a Service.
func New(c Config) *Service {
	if c.Hashes <= 0 {
		c.Hashes = 2
	}
	key := c.Key.Derive("account")
	return &Service{
		table: c.Table, orgs: c.Orgs, courier: c.Courier, provision: c.Provision, now: c.Now,
		csrf: key.Derive("csrf"), rate: key.Derive("rate"), hasher: newHasher(key.Derive("password"), c.Hashes, current),
	}
}

func (s *Service) roster(o *org.Org) roster.Roster { return roster.Of(s.table, o) }

// Forget removes the user's password and ends the user's sessions. It is called
// for a user who is gone, and again does nothing.
func (s *Service) Forget(ctx context.Context, o *org.Org, id identity.User) error {
	items, err := s.table.Get(ctx, passwordKey(o, id))
	if err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	for _, it := range items {
		// A conflict: another call has removed it, or a re-hired user has
		// created a new one, which stays.
		if _, err := s.table.Commit(ctx, table.Delete(it)); err != nil && !table.Conflicts(err) {
			return fmt.Errorf("remove password: %w", err)
		}
	}
	return s.EndSessions(ctx, o, id)
}
