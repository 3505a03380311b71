package org

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// MaxCredentials is how many credentials of one connection are good at once:
// the one in use and the one that replaces it.
const MaxCredentials = 2

// useGrain is how exactly the last use of a credential is recorded: finer would
// cost a write a request.
const useGrain = 5 * time.Minute

// tokenPrefix lets scanners of source code recognise a leaked secret.
const tokenPrefix = "ghsc_"

// Credential is what is known of one way to prove that one speaks for a
// connection: a static token, or an OAuth client's secret, or the trust in
// another issuer's word for the client. Of secrets it holds everything but the
// secret.
//
// It is a record, and by itself proves nothing: that a static token is good says
// TOK#, and of an OAuth client it says CLI#, where functions/scim writes neither.
type Credential struct {
	ID       identity.Credential `json:"id"`
	Hash     string              `json:"hash,omitempty"`   // of a static token, or in an OAuth client's proof; a trust has none
	Client   identity.Client     `json:"client,omitempty"` // empty for a static token
	Trust    *Trust              `json:"trust,omitempty"`
	Created  time.Time           `json:"created"`
	Expires  time.Time           `json:"expires,omitzero"`
	Revoked  time.Time           `json:"revoked,omitzero"`
	LastUsed time.Time           `json:"lastUsed,omitzero"` // to five minutes
}

// Good reports whether the credential opens anything at now.
func (c Credential) Good(now time.Time) bool {
	return c.Revoked.IsZero() && (c.Expires.IsZero() || now.Before(c.Expires))
}

// Static reports whether the credential is a static token.
func (c Credential) Static() bool { return c.Client == "" }

// like reports whether both are of one sort, of which so many are good at once.
func (c Credential) like(other Credential) bool {
	return c.Client == other.Client && (c.Trust == nil) == (other.Trust == nil)
}

// holder is what TOK#<sha256> and ACC#<sha256> say.
type holder struct {
	Org        identity.Org        `json:"o"`
	Connection identity.Connection `json:"c"`
	Credential identity.Credential `json:"k"`
	Expires    time.Time           `json:"e,omitzero"`
}

// Access is who a good secret speaks for.
type Access struct {
	Org        *Org
	Connection Connection
	Credential identity.Credential
}

func credentialKey(o *Org, c identity.Connection, k identity.Credential) table.Key {
	return table.Key{Part: o.Part(), Sort: "K#" + string(c) + "#" + string(k)}
}

func tokenKey(hash string) table.Key { return table.Key{Part: "TOK#" + hash, Sort: sortSelf} }

// Issue mints a credential and returns its secret, which is shown this once: a
// hash is all that is kept. Of the connection's credentials the newest
// MaxCredentials stay good; older ones are revoked in the same commit.
// A lifetime of zero means: until it is revoked.
func (s *Store) Issue(ctx context.Context, o *Org, id identity.Connection, lifetime time.Duration) (string, Credential, error) {
	return s.issue(ctx, o, id, lifetime, nil)
}

// IssueAfter is Issue for who was shown the connection's static tokens: newest is
// the newest of them, good or not; empty: there was none. Where there is a newer
// one it issues nothing and returns ErrNewer, so of two that were shown the same
// one issues.
func (s *Store) IssueAfter(ctx context.Context, o *Org, id identity.Connection, newest identity.Credential, lifetime time.Duration) (string, Credential, error) {
	return s.issue(ctx, o, id, lifetime, after(newest))
}

// ErrNewer says that a credential was issued since the newest that the caller
// was shown.
var ErrNewer = fault.New(fault.Conflict, "", "Another credential was issued meanwhile. Look at the list again.")

// after accepts a list of one sort whose newest is the one named.
func after(newest identity.Credential) func([]Credential) error {
	return func(all []Credential) error {
		var last identity.Credential
		if n := len(all); n > 0 {
			last = all[n-1].ID
		}
		if last != newest {
			return ErrNewer
		}
		return nil
	}
}

func (s *Store) issue(ctx context.Context, o *Org, id identity.Connection, lifetime time.Duration, accept func([]Credential) error) (string, Credential, error) {
	if _, err := s.Connection(ctx, o, id); err != nil {
		return "", Credential{}, err
	}
	token := tokenPrefix + secret.Token()
	c, err := s.add(ctx, o, id, Credential{Hash: secret.Hash(token)}, lifetime, kind{
		limit:  MaxCredentials,
		accept: accept,
		owner: func() (table.Item, error) {
			items, err := s.table.Get(ctx, connectionKey(o, id))
			if err == nil && len(items) == 0 {
				err = notFound("connection")
			}
			if err != nil {
				return table.Item{}, fmt.Errorf("read connection: %w", err)
			}
			return items[0], nil
		},
		with: func(c Credential) []table.Write {
			return []table.Write{table.Create(tokenKey(c.Hash), encode(holder{Org: o.ID, Connection: id, Credential: c.ID, Expires: c.Expires}))}
		},
	})
	if err != nil {
		return "", Credential{}, err
	}
	return token, c, nil
}

// kind is what is particular to a sort of credentials.
type kind struct {
	limit int
	// owner is whose credentials of the sort are, as read; it refuses one that may
	// have no more.
	owner func() (table.Item, error)
	// accept is asked about the credentials of the sort, oldest first and ended ones
	// among them, upon which one more is committed; nil: any will do.
	accept func([]Credential) error
	// full refuses one more than the limit; nil: the oldest ends.
	full error
	// with is what is written besides; may be nil.
	with func(Credential) []table.Write
}

// add stores a credential beside the connection's others. Of those of its sort
// the newest limit stay good; older ones are revoked in the same commit. The
// owner is written anew as it was: of several who add at once, each reads what
// the one before has added.
func (s *Store) add(ctx context.Context, o *Org, id identity.Connection, c Credential, lifetime time.Duration, of kind) (Credential, error) {
	now := s.now().UTC().Truncate(time.Millisecond)
	for {
		owner, err := of.owner()
		if err != nil {
			return Credential{}, err
		}
		all, items, err := s.credentials(ctx, o, id)
		if err != nil {
			return Credential{}, err
		}
		if of.accept != nil {
			var like []Credential
			for _, have := range all {
				if have.like(c) {
					like = append(like, have)
				}
			}
			if err := of.accept(like); err != nil {
				return Credential{}, err
			}
		}
		// Later than the newest there is, also within one millisecond or under a
		// clock that went back: which are the newest must never be a tie.
		c.Created = now
		if n := len(all); n > 0 && !all[n-1].Created.Before(now) {
			c.Created = all[n-1].Created.Add(time.Millisecond)
		}
		c.ID = identity.MintCredential()
		if lifetime > 0 {
			c.Expires = now.Add(lifetime)
		}
		record := c
		if !c.Static() {
			record.Hash = ""
		}
		writes := []table.Write{table.Replace(owner, owner.Data), table.Create(credentialKey(o, id, c.ID), encode(record))}
		if of.with != nil {
			writes = append(writes, of.with(c)...)
		}
		good := 1
		for i := len(all) - 1; i >= 0; i-- {
			if !all[i].Good(now) || !all[i].like(c) {
				continue
			}
			if good++; good <= of.limit {
				continue
			}
			if of.full != nil {
				return Credential{}, of.full
			}
			w, err := s.revocation(ctx, all[i], items[i], now)
			if err != nil {
				return Credential{}, err
			}
			writes = append(writes, w...)
		}
		_, err = s.table.Commit(ctx, writes...)
		s.cache.forget(o.ID, id) // also where the answer was lost: it may have happened
		if table.Conflicts(err) {
			continue // another rotation, or a last use, came between
		}
		if err != nil {
			return Credential{}, fmt.Errorf("issue credential: %w", err)
		}
		return c, nil
	}
}

// Revoke ends a credential: at once for this store, within its cache's time for
// others. Revoking twice is revoking once.
func (s *Store) Revoke(ctx context.Context, o *Org, id identity.Connection, k identity.Credential) error {
	for {
		all, items, err := s.credentials(ctx, o, id)
		if err != nil {
			return err
		}
		at := -1
		for i := range all {
			if all[i].ID == k {
				at = i
			}
		}
		if at < 0 {
			return notFound("credential")
		}
		if !all[at].Revoked.IsZero() {
			s.cache.forget(o.ID, id) // revoked elsewhere, perhaps
			return nil
		}
		writes, err := s.revocation(ctx, all[at], items[at], s.now().UTC().Truncate(time.Millisecond))
		if err != nil {
			return err
		}
		_, err = s.table.Commit(ctx, writes...)
		s.cache.forget(o.ID, id) // also where the answer was lost: it may have happened
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("revoke credential: %w", err)
		}
		return nil
	}
}

// revocation is the writes that end a credential: what proves it is forgotten,
// its record stays for the admins.
func (s *Store) revocation(ctx context.Context, c Credential, it table.Item, now time.Time) ([]table.Write, error) {
	key := proofKey(c.Client, c.ID)
	if c.Static() {
		key = tokenKey(c.Hash)
	}
	proof, err := s.table.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}
	c.Revoked = now
	writes := []table.Write{table.Replace(it, encode(c))}
	for _, p := range proof {
		writes = append(writes, table.Delete(p))
	}
	return writes, nil
}

// Credentials returns the connection's credentials, oldest first, ended ones
// among them.
func (s *Store) Credentials(ctx context.Context, o *Org, id identity.Connection) ([]Credential, error) {
	all, _, err := s.credentials(ctx, o, id)
	return all, err
}

func (s *Store) credentials(ctx context.Context, o *Org, id identity.Connection) ([]Credential, []table.Item, error) {
	var all []Credential
	var items []table.Item
	for it, err := range s.table.Query(ctx, o.Part(), table.Range{Prefix: "K#" + string(id) + "#"}) {
		var c Credential
		if err == nil {
			err = decode(it, &c)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list credentials: %w", err)
		}
		all, items = append(all, c), append(items, it)
	}
	sort.Sort(&byAge{all, items})
	return all, items, nil
}

type byAge struct {
	all   []Credential
	items []table.Item
}

func (b *byAge) Len() int { return len(b.all) }
func (b *byAge) Less(i, j int) bool {
	if c := b.all[i].Created.Compare(b.all[j].Created); c != 0 {
		return c < 0
	}
	return b.items[i].Version < b.items[j].Version
}
func (b *byAge) Swap(i, j int) {
	b.all[i], b.all[j] = b.all[j], b.all[i]
	b.items[i], b.items[j] = b.items[j], b.items[i]
}

// errUnauthorized is one answer for every way of not being known: missing,
// malformed, unknown, revoked and expired look alike.
var errUnauthorized = &fault.Error{Kind: fault.Unauthorized, Msg: "The credential is missing or not valid."}

// Authenticate returns whom a static token or an access token speaks for. The
// look-up goes by hash, so its time tells nothing of the secrets that are stored.
// An access token is as good as the credential that it was granted for. Every refusal is the
// same Unauthorized.
func (s *Store) Authenticate(ctx context.Context, token string) (Access, error) {
	key := tokenKey
	switch {
	case len(token) < 20 || len(token) > 200:
		return Access{}, errUnauthorized
	case strings.HasPrefix(token, accessPrefix):
		key = accessKey
	case !strings.HasPrefix(token, tokenPrefix):
		return Access{}, errUnauthorized
	}
	hash := secret.Hash(token)
	now := s.now()
	if a, expires, ok := s.cache.get(hash, now); ok {
		if !expires.IsZero() && !now.Before(expires) {
			return Access{}, errUnauthorized
		}
		return a, nil
	}
	generation := s.cache.generation()
	items, err := s.table.Get(ctx, key(hash))
	if err != nil {
		return Access{}, fmt.Errorf("look up a credential: %w", err)
	}
	if len(items) == 0 {
		return Access{}, errUnauthorized
	}
	var h holder
	if err := decode(items[0], &h); err != nil {
		return Access{}, err
	}
	if !h.Expires.IsZero() && !now.Before(h.Expires) || h.Expires.IsZero() && strings.HasPrefix(token, accessPrefix) {
		return Access{}, errUnauthorized
	}
	o := &Org{ID: h.Org}
	found, err := s.table.Get(ctx,
		table.Key{Part: o.Part(), Sort: sortSelf}, connectionKey(o, h.Connection), credentialKey(o, h.Connection, h.Credential))
	if err != nil {
		return Access{}, fmt.Errorf("look up a credential's connection: %w", err)
	}
	if len(found) != 3 {
		return Access{}, errUnauthorized
	}
	a := Access{Org: o, Credential: h.Credential}
	var c Credential
	if err := decode(found[0], o); err != nil {
		return Access{}, err
	}
	if err := decode(found[1], &a.Connection); err != nil {
		return Access{}, err
	}
	if err := decode(found[2], &c); err != nil {
		return Access{}, err
	}
	if !c.Good(now) {
		return Access{}, errUnauthorized
	}
	s.bind(o)
	if now.Sub(c.LastUsed) >= useGrain {
		c.LastUsed = now.UTC().Truncate(time.Second)
		// Whatever comes of it: another writer has recorded a use as late, or
		// the store is full and must go on answering reads.
		s.table.Commit(ctx, table.Replace(found[2], encode(c)))
	}
	s.cache.put(hash, generation, cached{access: a, expires: h.Expires, until: now.Add(min(s.cache.ttl, useGrain))})
	return a, nil
}

// credentialCache remembers good credentials by the hash of their secret.
type credentialCache struct {
	ttl time.Duration
	mu  sync.RWMutex
	gen uint64 // counts the forgetting, so that a look-up begun before is not kept after
	m   map[string]cached
}

type cached struct {
	access  Access
	expires time.Time // of the credential
	until   time.Time // of the memory
}

// maxCached bounds the memory: an operator with more connections pays a read.
const maxCached = 10_000

func (c *credentialCache) get(hash string, now time.Time) (Access, time.Time, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.m[hash]
	return e.access, e.expires, ok && now.Before(e.until)
}

func (c *credentialCache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.gen
}

func (c *credentialCache) put(hash string, generation uint64, e cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.gen || c.ttl <= 0 {
		return
	}
	if c.m == nil || len(c.m) >= maxCached {
		c.m = make(map[string]cached)
	}
	c.m[hash] = e
}

func (c *credentialCache) forget(o identity.Org, id identity.Connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	for h, e := range c.m {
		if e.access.Org.ID == o && e.access.Connection.ID == id {
			delete(c.m, h)
		}
	}
}
