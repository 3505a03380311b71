package account

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

// Attempt is one try to sign in.
type Attempt struct {
	Name     string // userName or e-mail address
	Password string
	Client   string // where it comes from: an IP address, or a network
}

// errSignIn is one answer for an unknown name, a user who is invited, suspended
// or deleted, an ambiguous address, and a wrong password.
var errSignIn = &fault.Error{Kind: fault.Unauthorized, Msg: "The name or the password is not right."}

// maxNamesakes bounds how many users of one address are looked at.
const maxNamesakes = 16

// nobody is looked up where there is no user to look up, so that an unknown
// name costs the reads of a known one. Few functions that link this package
// sign anybody in, and chance has a price at the first use.
var nobody = sync.OnceValue(func() identity.User { return identity.MintUser(identity.Manual) })

// SignIn returns the token of a new session. Every refusal is the same
// Unauthorized at the same cost, whoever exists; too many of them give
// Throttled, whoever exists, before anything is hashed.
func (s *Service) SignIn(ctx context.Context, o *org.Org, a Attempt) (token string, err error) {
	limits := []counter{
		s.counter(triesOfName, "name", string(o.ID), identity.Fold(a.Name)),
		s.counter(triesOfAddress, "client", a.Client),
	}
	if err := s.take(ctx, limits...); err != nil {
		return "", err
	}
	u, err := s.find(ctx, o, a.Name)
	if err != nil {
		return "", err
	}
	id := u.ID
	if id == "" {
		id = nobody()
	}
	stored, err := s.table.Get(ctx, passwordKey(o, id))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	hash := ""
	if len(stored) > 0 && u.ID != "" {
		hash = string(stored[0].Data)
	}
	ok, again, err := s.hasher.verify(ctx, hash, a.Password)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errSignIn
	}
	if again {
		s.rehash(ctx, stored[0], a.Password)
	}
	if token, err = s.begin(ctx, o, &u); err != nil {
		return "", err
	}
	s.give(ctx, limits...)
	return token, nil
}

// rehash stores the password under today's parameters. What goes wrong is mended
// by the next sign-in.
func (s *Service) rehash(ctx context.Context, old table.Item, password string) {
	if hash, err := s.hasher.hash(ctx, password); err == nil {
		s.table.Commit(ctx, table.Replace(old, []byte(hash)))
	}
}

// find returns the one active user who goes by the name: as a userName, which
// is unique, else as an address, if it is one user's alone. The zero User if
// there is none.
func (s *Service) find(ctx context.Context, o *org.Org, name string) (roster.User, error) {
	r := s.roster(o)
	claim, err := r.ByUserName(ctx, name)
	if err != nil {
		return roster.User{}, err
	}
	mailed, err := r.ByEmail(ctx, "", name)
	if err != nil {
		return roster.User{}, err
	}
	if len(mailed) > maxNamesakes {
		mailed = nil
	}
	people, err := s.people(ctx, r, claim.IDs, mailed)
	if err != nil {
		return roster.User{}, err
	}
	for _, ids := range [][]identity.User{claim.IDs, mailed} {
		var found roster.User
		matches := 0
		for _, id := range ids {
			if u, ok := people[id]; ok && u.Stage() == identity.Active && u.ID != found.ID {
				found = u
				matches++
			}
		}
		if matches == 1 {
			return found, nil
		}
	}
	return roster.User{}, nil
}

// people reads the users, and for a link the user that is meant, in two reads
// whatever there is to read.
func (s *Service) people(ctx context.Context, r roster.Roster, named, mailed []identity.User) (map[identity.User]roster.User, error) {
	records, err := r.Users(ctx, unique(named, mailed)...)
	if err != nil {
		return nil, err
	}
	var targets []identity.User
	for _, u := range records {
		if u.Target != "" {
			targets = append(targets, u.Target)
		}
	}
	meant, err := r.Users(ctx, unique(targets)...)
	if err != nil {
		return nil, err
	}
	people := map[identity.User]roster.User{}
	for _, u := range records {
		if u.Target == "" {
			people[u.ID] = u
			continue
		}
		if at := slices.IndexFunc(meant, func(m roster.User) bool { return m.ID == u.Target }); at >= 0 {
			people[u.ID] = meant[at]
		}
	}
	return people, nil
}

// unique joins the ids, each once; nobody where there are none.
func unique(lists ...[]identity.User) []identity.User {
	ids := slices.Concat(lists...)
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 {
		return []identity.User{nobody()}
	}
	return ids
}
