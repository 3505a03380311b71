package account

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

// tries bounds how often an activation is decided anew because a directory
// changed the user meanwhile.
const tries = 16

// Invite is what an activation link opens: whom it is for. Expired ones activate
// nobody; their holder may ask for a new one.
type Invite struct {
	Org     *org.Org
	User    roster.User
	Expired bool

	secret string
	link   courier.Invitation
}

// errLink is one answer for every link that opens nothing: unknown, used,
// replaced by a newer one, or of a user who is suspended or gone.
func errLink() error {
	return fault.New(fault.NotFound, "", "This link is not valid.")
}

// Invite looks up a link's secret and uses nothing up. NotFound for a link that
// opens nothing.
func (s *Service) Invite(ctx context.Context, secret string) (Invite, error) {
	link, err := s.courier.Lookup(ctx, secret)
	if fault.Is(err, fault.NotFound) {
		return Invite{}, errLink()
	}
	if err != nil {
		return Invite{}, fmt.Errorf("look up a link: %w", err)
	}
	o, err := s.orgs.Get(ctx, link.Org)
	if fault.Is(err, fault.NotFound) {
		return Invite{}, errLink()
	}
	if err != nil {
		return Invite{}, err
	}
	u, err := s.roster(o).User(ctx, link.User, false)
	if fault.Is(err, fault.NotFound) || err == nil && u.Stage() != identity.Invited {
		return Invite{}, errLink()
	}
	if err != nil {
		return Invite{}, err
	}
	return Invite{Org: o, User: u, Expired: link.Expired, secret: secret, link: link}, nil
}

// Activate gives the invited user the password and uses the link up, in one
// commit: of two who open one link, one creates the password and the other gets
// NotFound. A password that fails a rule gives a *PasswordError and leaves the
// link as it was.
//
// The token is that of a new session. It is empty where the account is ready
// and the session could not be made: the user signs in with the password.
func (s *Service) Activate(ctx context.Context, inv Invite, password string) (token string, err error) {
	if inv.Expired {
		return "", errLink()
	}
	if err := CheckPassword(password, inv.Org, &inv.User); err != nil {
		return "", err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return "", err
	}
	if err := s.store(ctx, inv, hash); err != nil {
		return "", err
	}
	if u, err := s.roster(inv.Org).User(ctx, inv.User.ID, false); err == nil && u.Stage() == identity.Active {
		token, _ = s.begin(ctx, inv.Org, &u)
	}
	return token, nil
}

// store commits the activation, the hash and the use of the link.
func (s *Service) store(ctx context.Context, inv Invite, hash string) error {
	var last error
	for range tries {
		writes, err := s.provision.Activation(ctx, inv.Org, inv.User.ID)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) || fault.Is(err, fault.Forbidden) {
			return errLink() // suspended, activated or deleted since the link was looked up
		}
		if err != nil {
			return fmt.Errorf("activate: %w", err)
		}
		// The password needs no condition of its own: who holds the link, used
		// up in this commit, is the one writer.
		writes = append(writes, s.courier.Spend(inv.link), table.Put(passwordKey(inv.Org, inv.User.ID), []byte(hash)))
		if _, last = s.table.Commit(ctx, writes...); last == nil {
			return nil
		}
		if !table.Conflicts(last) {
			return fmt.Errorf("activate: %w", last)
		}
		if inv, err = s.Invite(ctx, inv.secret); err != nil {
			return err
		}
		if inv.Expired {
			return errLink()
		}
	}
	return &fault.Error{Kind: fault.Unavailable, Msg: "Your account is changing just now. Try again in a moment.", Err: last, Retry: time.Second}
}

// Renew queues a new link, to the address where the expired one went. It tells
// nothing of what it did: an unknown secret, a link that is still good and too
// many requests do nothing and give nil too.
func (s *Service) Renew(ctx context.Context, secret string) error {
	inv, err := s.Invite(ctx, secret)
	if fault.Is(err, fault.NotFound) || err == nil && !inv.Expired {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.courier.Resend(ctx, inv.Org, inv.User.ID, "expired"); err != nil && !fault.Is(err, fault.Throttled) {
		return fmt.Errorf("renew a link: %w", err)
	}
	return nil
}
