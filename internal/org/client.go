package org

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Of an OAuth client so many secrets are good at once, so that each place that
// holds one can be changed in its own time; and so many trusts.
const (
	MaxSecrets = 3
	MaxTrusts  = 5
)

// Lifetimes of a client's secret. Identity providers' galleries want secrets
// that end, after one to three years.
const (
	SecretLife    = 2 * 365 * 24 * time.Hour
	MaxSecretLife = 3 * 366 * 24 * time.Hour
)

// secretPrefix lets scanners of source code recognise a leaked secret.
const secretPrefix = "ghcs_"

// Client is an OAuth client (RFC 6749 §2) of one connection: who asks for access
// tokens. Its id is no secret; what it proves itself by are credentials of the
// connection that name it.
type Client struct {
	ID         identity.Client     `json:"id"`
	Connection identity.Connection `json:"connection"`
	Name       string              `json:"name"`
	Created    time.Time           `json:"created"`
	Revoked    time.Time           `json:"revoked,omitzero"`
}

func clientKey(o *Org, c identity.Connection, id identity.Client) table.Key {
	return table.Key{Part: o.Part(), Sort: "A#" + string(c) + "#" + string(id)}
}

func clientOwnerKey(id identity.Client) table.Key {
	return table.Key{Part: "CLI#" + string(id), Sort: sortSelf}
}

// proofPrefix begins the sort keys of a client's proofs.
const proofPrefix = "K#"

// proofKey is where a client's secret or trust is looked up. It is not in the
// organization's own partition: who may write that, as functions/scim does, must
// not be able to let anybody in.
func proofKey(id identity.Client, k identity.Credential) table.Key {
	return table.Key{Part: clientOwnerKey(id).Part, Sort: proofPrefix + string(k)}
}

// proof is the write that makes the credential one of the client's.
func proof(c Credential) []table.Write {
	return []table.Write{c.forgotten(table.Create(proofKey(c.Client, c.ID), encode(c)))}
}

// NameTaken is the code of the fault that refuses a client whose name another
// one of the connection has.
const NameTaken = "name-taken"

// CreateClient makes a client of the connection that has no credential yet. A
// name that another one has which has not ended is a Conflict with the code
// NameTaken: of two that make the same at once one does.
func (s *Store) CreateClient(ctx context.Context, o *Org, id identity.Connection, name string) (Client, error) {
	if _, err := s.Connection(ctx, o, id); err != nil {
		return Client{}, err
	}
	name, err := label("OAuth client", name)
	if err != nil {
		return Client{}, err
	}
	for {
		// Written anew as it was: of several who make clients at once, each reads
		// what the one before has made.
		owner, err := s.connectionItem(ctx, o, id)
		if err != nil {
			return Client{}, err
		}
		all, _, err := s.clients(ctx, o)
		if err != nil {
			return Client{}, err
		}
		for _, have := range all {
			if have.Connection == id && have.Revoked.IsZero() && have.Name == name {
				return Client{}, fault.New(fault.Conflict, NameTaken, "The connection has an OAuth client of this name already.")
			}
		}
		c := Client{ID: identity.MintClient(), Connection: id, Name: name, Created: s.now().UTC().Truncate(time.Millisecond)}
		_, err = s.table.Commit(ctx,
			table.Replace(owner, owner.Data),
			table.Create(clientKey(o, id, c.ID), encode(c)),
			table.Create(clientOwnerKey(c.ID), encode(holder{Org: o.ID, Connection: id})))
		if table.Conflicts(err) {
			continue // another client was made, or a token issued, between
		}
		if err != nil {
			return Client{}, fmt.Errorf("create OAuth client: %w", err)
		}
		return c, nil
	}
}

// Client returns the organization's client with the id, ended or not.
func (s *Store) Client(ctx context.Context, o *Org, id identity.Client) (Client, error) {
	c, _, err := s.client(ctx, o, id)
	return c, err
}

func (s *Store) client(ctx context.Context, o *Org, id identity.Client) (Client, table.Item, error) {
	if _, ok := identity.ParseClient(string(id)); !ok {
		return Client{}, table.Item{}, notFound("OAuth client")
	}
	// Few there are, and the connection is in the key: that of an ended client is
	// nowhere else.
	all, items, err := s.clients(ctx, o)
	if err != nil {
		return Client{}, table.Item{}, err
	}
	for i, c := range all {
		if c.ID == id {
			return c, items[i], nil
		}
	}
	return Client{}, table.Item{}, notFound("OAuth client")
}

// Clients returns the organization's clients in the order of connections and
// ids, among them those that ended within KeepEnded.
func (s *Store) Clients(ctx context.Context, o *Org) ([]Client, error) {
	all, _, err := s.clients(ctx, o)
	return all, err
}

func (s *Store) clients(ctx context.Context, o *Org) ([]Client, []table.Item, error) {
	var all []Client
	var items []table.Item
	now := s.now()
	for it, err := range s.table.Query(ctx, o.Part(), table.Range{Prefix: "A#"}) {
		var c Client
		if it.Expired(now) {
			continue
		}
		if err == nil {
			err = decode(it, &c)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list OAuth clients: %w", err)
		}
		all, items = append(all, c), append(items, it)
	}
	return all, items, nil
}

// standing reads the client as the owner of new credentials. They are written
// over it as it was read, so that of a new secret and the client's end one comes
// first.
func (s *Store) standing(ctx context.Context, o *Org, id identity.Client) func() (table.Item, error) {
	return func() (table.Item, error) {
		c, it, err := s.client(ctx, o, id)
		if err == nil && !c.Revoked.IsZero() {
			err = fault.New(fault.Conflict, "", "The OAuth client has ended. Make another.")
		}
		return it, err
	}
}

// IssueSecret mints a secret of the client and returns it, which is shown this
// once. The newest MaxSecrets stay good. A lifetime of zero is SecretLife; the
// longest is MaxSecretLife.
func (s *Store) IssueSecret(ctx context.Context, o *Org, c Client, lifetime time.Duration) (string, Credential, error) {
	return s.issueSecret(ctx, o, c, lifetime, kind{})
}

// IssueSecretAfter is IssueSecret for who was shown the client's secrets, as
// IssueAfter is Issue.
func (s *Store) IssueSecretAfter(ctx context.Context, o *Org, c Client, newest identity.Credential, lifetime time.Duration) (string, Credential, error) {
	return s.issueSecret(ctx, o, c, lifetime, kind{accept: after(newest)})
}

// IssueSecretReplacing is IssueSecret for who says which secret ends by it, as
// IssueReplacing is Issue.
func (s *Store) IssueSecretReplacing(ctx context.Context, o *Org, c Client, replaced identity.Credential, lifetime time.Duration) (string, Credential, error) {
	return s.issueSecret(ctx, o, c, lifetime, s.replacing(replaced))
}

func (s *Store) issueSecret(ctx context.Context, o *Org, c Client, lifetime time.Duration, of kind) (string, Credential, error) {
	if lifetime == 0 {
		lifetime = SecretLife
	}
	if lifetime > MaxSecretLife {
		return "", Credential{}, fault.New(fault.Invalid, "", "A client's secret is good for three years at most: %dh.", int(MaxSecretLife/time.Hour))
	}
	of.limit, of.owner, of.with = MaxSecrets, s.standing(ctx, o, c.ID), proof
	text := secretPrefix + secret.Token()
	cred, err := s.add(ctx, o, c.Connection, Credential{Client: c.ID, Hash: secret.Hash(text)}, lifetime, of)
	if err != nil {
		return "", Credential{}, err
	}
	return text, cred, nil
}

// AddTrust lets the client prove itself by assertions of another issuer (RFC
// 7523 §2.2). Unlike secrets, an older trust is never ended by a newer one. What
// the client trusts already is a Conflict with the code TrustThere: of two that
// add the same at once one does.
func (s *Store) AddTrust(ctx context.Context, o *Org, c Client, t Trust) (Credential, error) {
	t, err := t.check(c.ID)
	if err != nil {
		return Credential{}, err
	}
	return s.add(ctx, o, c.Connection, Credential{Client: c.ID, Trust: &t}, 0, kind{
		limit: MaxTrusts, owner: s.standing(ctx, o, c.ID), with: proof,
		accept: func(all []Credential) error {
			for _, have := range all {
				if have.Good(s.now()) && have.Trust.same(t) {
					return fault.New(fault.Conflict, TrustThere, "The OAuth client trusts this issuer with the same subject, audience and keys already.")
				}
			}
			return nil
		},
		full: fault.New(fault.Conflict, "", "The OAuth client trusts %d issuers already. Revoke one first.", MaxTrusts),
	})
}

// RevokeClient ends the client, its secrets and trusts, and with them its access
// tokens: at once for this store, within its cache's time for others.
func (s *Store) RevokeClient(ctx context.Context, o *Org, id identity.Client) error {
	for {
		c, it, err := s.client(ctx, o, id)
		if err != nil {
			return err
		}
		if !c.Revoked.IsZero() {
			s.cache.forget(o.ID, c.Connection) // revoked elsewhere, perhaps
			return nil
		}
		now := s.now().UTC().Truncate(time.Millisecond)
		c.Revoked = now
		writes := []table.Write{table.Replace(it, encode(c)).Until(now.Add(KeepEnded))}
		owner, err := s.table.Get(ctx, clientOwnerKey(id))
		if err != nil {
			return fmt.Errorf("revoke OAuth client: %w", err)
		}
		for _, w := range owner {
			writes = append(writes, table.Delete(w))
		}
		all, items, err := s.credentials(ctx, o, c.Connection)
		if err != nil {
			return err
		}
		for i, have := range all {
			if have.Client != id || !have.Good(now) {
				continue // of the good there are MaxSecrets and MaxTrusts
			}
			w, err := s.revocation(ctx, have, items[i], now)
			if err != nil {
				return err
			}
			writes = append(writes, w...)
		}
		_, err = s.table.Commit(ctx, writes...)
		s.cache.forget(o.ID, c.Connection) // also where the answer was lost: it may have happened
		if table.Conflicts(err) {
			continue // a secret was issued, or used, between
		}
		if err != nil {
			return fmt.Errorf("revoke OAuth client: %w", err)
		}
		return nil
	}
}
