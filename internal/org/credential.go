package org

import (
	"context"
	"fmt"
	"sort"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// MaxCredentials is how many credentials of one connection are good at once:
// the one in use and the one that replaces it.
const MaxCredentials = 2

// KeepEnded is how long what is known of a credential, or of an OAuth client, is
// kept after its end, so that admins see why a directory does not get in. A
// credential is forgotten then if another was issued since; the one that was used
// last never is, since it tells when the directory came last.
const KeepEnded = 90 * 24 * time.Hour

// forgetAtOnce bounds the records that one commit lets go.
const forgetAtOnce = 20

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

// kept returns until when the record is kept; zero: the credential has no end.
func (c Credential) kept() time.Time {
	end := c.Expires
	if !c.Revoked.IsZero() && (end.IsZero() || c.Revoked.Before(end)) {
		end = c.Revoked
	}
	if end.IsZero() {
		return end
	}
	return end.Add(KeepEnded)
}

// forgotten returns the write of what proves the credential, so that the store
// forgets it some time after the credential has expired: a clock that is ahead for
// an hour or a day takes nothing away that is good.
func (c Credential) forgotten(w table.Write) table.Write { return w.Until(c.kept()) }

// forget returns the writes by which the store forgets the records of what has
// ended, in their time.
func forget(all []Credential, items []table.Item, now time.Time) []table.Write {
	last := 0
	for i := range all {
		if all[i].LastUsed.After(all[last].LastUsed) {
			last = i
		}
	}
	var writes []table.Write
	for i, c := range all {
		if len(writes) == forgetAtOnce || c.Good(now) || !items[i].Expires.IsZero() || i == last && !c.LastUsed.IsZero() {
			continue
		}
		until := c.kept()
		if until.Before(now) {
			until = now
		}
		writes = append(writes, table.Replace(items[i], items[i].Data).Until(until))
	}
	return writes
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

func credentialKey(o *Org, c identity.Connection, k identity.Credential) table.Key {
	return table.Key{Part: o.Part(), Sort: "K#" + string(c) + "#" + string(k)}
}

func tokenKey(hash string) table.Key { return table.Key{Part: "TOK#" + hash, Sort: sortSelf} }

// Issue mints a credential and returns its secret, which is shown this once: a
// hash is all that is kept. Of the connection's credentials the newest
// MaxCredentials stay good; older ones are revoked in the same commit.
// A lifetime of zero means: until it is revoked.
func (s *Store) Issue(ctx context.Context, o *Org, id identity.Connection, lifetime time.Duration) (string, Credential, error) {
	return s.issue(ctx, o, id, lifetime, kind{})
}

// IssueAfter is Issue for who was shown the connection's static tokens: newest is
// the newest of them, good or not; empty: there was none. Where there is a newer
// one it issues nothing and returns ErrNewer, so of two that were shown the same
// one issues.
func (s *Store) IssueAfter(ctx context.Context, o *Org, id identity.Connection, newest identity.Credential, lifetime time.Duration) (string, Credential, error) {
	return s.issue(ctx, o, id, lifetime, kind{accept: after(newest)})
}

// IssueReplacing is Issue for who says what ends by it: the good static token
// replaced, in the same commit; empty: none. Where MaxCredentials are good and
// none is named it issues nothing and returns ErrFull, and where the one named is
// not good ErrNotGood: so a repetition, after an answer that was lost, never ends
// the token that is in use.
func (s *Store) IssueReplacing(ctx context.Context, o *Org, id identity.Connection, replaced identity.Credential, lifetime time.Duration) (string, Credential, error) {
	return s.issue(ctx, o, id, lifetime, s.replacing(replaced))
}

// Refusals of IssueReplacing and IssueSecretReplacing.
var (
	ErrFull    = fault.New(fault.Conflict, "", "As many credentials of this sort are good as may be at once. Say which one the new one replaces.")
	ErrNotGood = fault.New(fault.Conflict, "", "The credential that is to be replaced is not among the good ones.")
)

// replacing is of the kind in which nothing ends but the one that is named.
func (s *Store) replacing(named identity.Credential) kind {
	of := kind{ends: named, full: ErrFull}
	if named != "" {
		of.accept = func(all []Credential) error {
			for _, have := range all {
				if have.ID == named && have.Good(s.now()) {
					return nil
				}
			}
			return ErrNotGood
		}
	}
	return of
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

func (s *Store) issue(ctx context.Context, o *Org, id identity.Connection, lifetime time.Duration, of kind) (string, Credential, error) {
	if _, err := s.Connection(ctx, o, id); err != nil {
		return "", Credential{}, err
	}
	of.limit = MaxCredentials
	of.owner = func() (table.Item, error) { return s.connectionItem(ctx, o, id) }
	of.with = func(c Credential) []table.Write {
		return []table.Write{c.forgotten(table.Create(tokenKey(c.Hash), encode(holder{Org: o.ID, Connection: id, Credential: c.ID, Expires: c.Expires})))}
	}
	token := tokenPrefix + secret.Token()
	c, err := s.add(ctx, o, id, Credential{Hash: secret.Hash(token)}, lifetime, of)
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
	// ends is a good one of the sort that ends with the commit; empty: none is named.
	ends identity.Credential
	// full refuses one more than the limit; nil: the oldest ends.
	full error
	// with is what is written besides; may be nil.
	with func(Credential) []table.Write
}

// add stores a credential beside the connection's others. Of those of its sort
// the newest limit stay good; older ones, and the one that is named, are revoked
// in the same commit. The owner is written anew as it was: of several who add at
// once, each reads what the one before has added.
func (s *Store) add(ctx context.Context, o *Org, id identity.Connection, c Credential, lifetime time.Duration, of kind) (Credential, error) {
	if lifetime < 0 {
		return Credential{}, fault.New(fault.Invalid, "", "The lifetime of a credential cannot be negative.")
	}
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
		writes = append(writes, forget(all, items, now)...)
		if of.with != nil {
			writes = append(writes, of.with(c)...)
		}
		good := 1
		for i := len(all) - 1; i >= 0; i-- {
			if !all[i].Good(now) || !all[i].like(c) {
				continue
			}
			switch {
			case all[i].ID == of.ends:
			case good < of.limit:
				good++
				continue
			case of.full != nil:
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

// Credentials returns the connection's credentials, oldest first, among them
// those that ended within KeepEnded, and older ones until another is issued.
func (s *Store) Credentials(ctx context.Context, o *Org, id identity.Connection) ([]Credential, error) {
	all, _, err := s.credentials(ctx, o, id)
	return all, err
}

func (s *Store) credentials(ctx context.Context, o *Org, id identity.Connection) ([]Credential, []table.Item, error) {
	var all []Credential
	var items []table.Item
	now := s.now()
	for it, err := range s.table.Query(ctx, o.Part(), table.Range{Prefix: "K#" + string(id) + "#"}) {
		var c Credential
		if it.Expired(now) {
			continue
		}
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
