package org

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// useGrain is how exactly the last use of a credential is recorded: finer would
// cost a write a request.
const useGrain = 5 * time.Minute

// useWait is how long recording it may take.
const useWait = time.Second

// Access is who a good secret speaks for.
type Access struct {
	Org        *Org
	Connection Connection
	Credential identity.Credential
}

// errUnauthorized is one answer for every way of not being known: missing,
// malformed, unknown, revoked and expired look alike.
var errUnauthorized = &fault.Error{Kind: fault.Unauthorized, Msg: "The credential is missing or not valid."}

// Authenticate returns whom a static token or an access token speaks for. The
// look-up goes by hash, so its time tells nothing of the secrets that are stored.
// An access token is as good as the credential that it was granted for. Every
// refusal is the same Unauthorized.
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
		// the store is full and must go on answering reads, or takes no writes and
		// holds the request up for a second at most.
		short, cancel := context.WithTimeout(ctx, useWait)
		s.table.Commit(short, table.Replace(found[2], encode(c)))
		cancel()
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
