package org

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// AccessLife is how long an access token is good.
const AccessLife = time.Hour

// accessPrefix tells an access token from a static one.
const accessPrefix = "ghat_"

func accessKey(hash string) table.Key { return table.Key{Part: "ACC#" + hash, Sort: sortSelf} }

// Applicant is who asks for an access token and has proved nothing yet: what a
// client's id leads to, or nothing, in the same form.
type Applicant struct {
	Org        *Org
	Connection identity.Connection
	Client     identity.Client
	Known      bool // there is such a client; not for the one who asks

	good []Credential // the newest first
}

// Applicant looks a client up by what was sent as its id. One that does not
// exist costs the same reads as one that does.
func (s *Store) Applicant(ctx context.Context, id string) (Applicant, error) {
	a := Applicant{}
	if _, ok := identity.ParseClient(id); ok {
		a.Client = identity.Client(id)
	} else {
		id = string(identity.MintClient()) // nobody has it
	}
	now := s.now()
	owner := clientOwnerKey(identity.Client(id))
	for it, err := range s.table.Query(ctx, owner.Part, table.Range{}) {
		if err != nil {
			return Applicant{}, fmt.Errorf("look up an OAuth client: %w", err)
		}
		if it.Sort == owner.Sort {
			var h holder
			if err := decode(it, &h); err != nil {
				return Applicant{}, err
			}
			a.Org, a.Connection, a.Known = &Org{ID: h.Org}, h.Connection, true
			continue
		}
		var c Credential
		if err := decode(it, &c); err != nil {
			return Applicant{}, err
		}
		if c.Client == a.Client && c.Good(now) {
			a.good = append(a.good, c)
		}
	}
	if !a.Known {
		a.good = nil // an ended client's, if anything
	}
	slices.SortFunc(a.good, func(one, two Credential) int { return two.Created.Compare(one.Created) })
	return a, nil
}

// Secret returns the credential whose secret it is. Every secret is compared, in
// constant time.
func (a Applicant) Secret(text string) (Credential, bool) {
	given := []byte(secret.Hash(text))
	var found Credential
	ok := false
	for _, c := range a.good {
		if c.Trust == nil && subtle.ConstantTimeCompare([]byte(c.Hash), given) == 1 {
			found, ok = c, true
		}
	}
	return found, ok
}

// Trusts returns the credentials that are trusts, the newest first.
func (a Applicant) Trusts() []Credential {
	var out []Credential
	for _, c := range a.good {
		if c.Trust != nil {
			out = append(out, c)
		}
	}
	return out
}

// Grant mints an access token for an applicant that proved itself by the
// credential, and returns it with how long it is good: an hour, or as long as
// the credential. What else the proof calls for is written in the same commit;
// a conflict there grants nothing. Only a hash is kept.
func (s *Store) Grant(ctx context.Context, a Applicant, c Credential, with ...table.Write) (string, time.Duration, error) {
	now := s.now()
	life := AccessLife
	if !c.Expires.IsZero() {
		life = min(life, c.Expires.Sub(now).Truncate(time.Second))
	}
	token := accessPrefix + secret.Token()
	end := now.Add(life).UTC().Truncate(time.Millisecond)
	h := holder{Org: a.Org.ID, Connection: a.Connection, Credential: c.ID, Expires: end}
	// The store forgets it a minute after it has ended: it cuts to whole seconds.
	w := table.Create(accessKey(secret.Hash(token)), encode(h)).Until(end.Add(time.Minute))
	if _, err := s.table.Commit(ctx, append(with, w)...); err != nil {
		return "", 0, fmt.Errorf("grant an access token: %w", err)
	}
	return token, life, nil
}
