// Package org keeps organizations, their connections, and the credentials by
// which directories are known.
//
// It knows no users: package roster does, under keys that an Org makes.
package org

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Keys of this package:
//
//	ORGS            <org>            every organization, for the operator's lists
//	SLUG#<slug>     #                the organization that a page's address names
//	O#<org>         #                the organization
//	O#<org>         C#<connection>   a connection
//	O#<org>         K#<connection>#<credential>   the record of a credential; what proves it is at TOK# or CLI#
//	O#<org>         R#<connection>   by which rules its messages were bent, how often (coercion.go)
//	O#<org>#RL#<connection>  <window>   requests of ten seconds, counted; gone with it (rate.go)
//	TOK#<sha256>    #                whose a secret is; looked up before an organization is known
//	O#<org>         A#<connection>#<client>       an OAuth client; its secrets and trusts are credentials
//	CLI#<client>    #                whose an OAuth client is; looked up before an organization is known
//	CLI#<client>    K#<credential>   by what it proves itself: the hash of a secret, or a trust
//	ACC#<sha256>    #                whose an access token is, for an hour
const (
	partOrgs = "ORGS"
	sortSelf = "#"
)

// Org is a customer. Everything belongs to exactly one; an Org is the only
// maker of keys of its own, so nothing written through it can be another's.
type Org struct {
	ID       identity.Org `json:"id"`
	Name     string       `json:"name"`
	Slug     string       `json:"slug"`     // its own address: <url>/o/<slug>/
	Language string       `json:"language"` // "en" or "de": for whoever names none
	Created  time.Time    `json:"created"`

	key *secret.Key // under which names become keys; a pointer, so that printing an Org does not show it
}

// Part returns the partition of the organization that the words name.
func (o *Org) Part(words ...string) string {
	n := 2 + len(o.ID)
	for _, w := range words {
		n += 1 + len(w)
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteString("O#")
	b.WriteString(string(o.ID))
	for _, w := range words {
		b.WriteByte('#')
		b.WriteString(w)
	}
	return b.String()
}

// Digest returns 26 characters that stand for a name or an address in keys:
// HMAC-SHA-256, cut to 16 bytes, under the organization's key. What kind of
// name it is goes in, so that equal texts of two kinds do not meet.
func (o *Org) Digest(kind, text string) string {
	m := o.key.MAC(kind, text)
	return identity.Encode(m[:16])
}

// Connection is one configured way into an organization.
type Connection struct {
	ID              identity.Connection `json:"id"`
	Name            string              `json:"name"`
	Dialect         string              `json:"dialect"`         // "compat", "strict" or "interop"
	SuppressWelcome bool                `json:"suppressWelcome"` // its users get no welcome email
	Discovery       string              `json:"discovery"`       // what its client is told there is: "standard", "plain" or "full"
	Rate            int                 `json:"rate,omitzero"`   // requests a second that it may make; 0: as many as is usual here
	Created         time.Time           `json:"created"`
}

// Store keeps organizations over a table.
type Store struct {
	// Rate is how many requests a second a connection may make that has no rate
	// of its own; 0: any number. To be set before the store is used.
	Rate int

	table  table.Table
	key    secret.Key
	now    func() time.Time
	cache  credentialCache
	meters meters
	counts counts
}

// New returns a store over t. The server's key makes the keys of organizations.
// A credential that was found good is believed for cacheFor, except after a
// Revoke through this very store, which takes hold at once.
func New(t table.Table, key secret.Key, now func() time.Time, cacheFor time.Duration) *Store {
	return &Store{table: t, key: key, now: now, cache: credentialCache{ttl: cacheFor}}
}

// Spec is what an operator says of a new organization.
type Spec struct {
	Name     string // 1 to 200 characters
	Slug     string // empty: made from the name
	Language string // "en" (or empty) or "de"
}

// maxSlug is how many characters an organization's address may have.
const maxSlug = 50

// slugForm reports whether an address is readable and valid as one segment of a
// path: letters, digits and inner hyphens.
func slugForm(s string) bool {
	if s == "" || len(s) > maxSlug || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// idForm reports whether an address could be an organization's id: commands take
// either, and would not know which is meant.
func idForm(slug string) bool {
	_, ok := identity.ParseOrg(slug)
	return ok
}

// Create makes an organization. A slug that the operator chose and that is
// taken gives a Conflict; one made from the name gets a number. None has the form
// of an id.
func (s *Store) Create(ctx context.Context, spec Spec) (*Org, error) {
	name, err := label("organization", spec.Name)
	if err != nil {
		return nil, err
	}
	switch spec.Language {
	case "":
		spec.Language = "en"
	case "en", "de":
	default:
		return nil, fault.New(fault.Invalid, "", "The language %.20q is not known: choose en or de.", spec.Language)
	}
	chosen := spec.Slug != ""
	if chosen && !slugForm(spec.Slug) {
		return nil, fault.New(fault.Invalid, "", "An address has 1 to 50 characters of a-z, 0-9 and inner hyphens.")
	}
	if chosen && idForm(spec.Slug) {
		return nil, fault.New(fault.Invalid, "", "The address %q could be an organization's id: choose another, such as one with a hyphen.", spec.Slug)
	}
	base, first := spec.Slug, 1
	if !chosen {
		if base = slugOf(name); idForm(base) {
			first = 2
		}
	}
	for try := first; try <= 1000; try++ {
		slug := base
		if try > 1 {
			slug = base + "-" + strconv.Itoa(try)
		}
		o := &Org{ID: identity.MintOrg(), Name: name, Slug: slug, Language: spec.Language, Created: s.now().UTC().Truncate(time.Millisecond)}
		claim := table.Key{Part: "SLUG#" + slug, Sort: sortSelf}
		_, err := s.table.Commit(ctx,
			table.Create(table.Key{Part: o.Part(), Sort: sortSelf}, encode(o)),
			table.Create(claim, []byte(o.ID)),
			table.Create(table.Key{Part: partOrgs, Sort: string(o.ID)}, []byte(slug)))
		if err == nil {
			return s.bind(o), nil
		}
		if !table.Conflicts(err, claim) {
			return nil, fmt.Errorf("create organization: %w", err)
		}
		if chosen {
			return nil, fault.New(fault.Conflict, fault.Uniqueness, "The address %q is taken by another organization.", slug)
		}
	}
	return nil, fault.New(fault.Conflict, fault.Uniqueness, "Every address made from this name is taken: choose one.")
}

// slugOf makes an address from a name: letters without their marks, everything
// else a hyphen.
func slugOf(name string) string {
	german := strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss")
	var b strings.Builder
	for _, r := range norm.NFKD.String(german.Replace(norm.NFC.String(strings.ToLower(name)))) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r):
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 40 {
			break
		}
	}
	if slug := strings.Trim(b.String(), "-"); slug != "" {
		return slug
	}
	return "organization"
}

// label checks a name that admins see: not a place for line breaks or controls.
func label(of, name string) (string, error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n == 0 || n > 200 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fault.New(fault.Invalid, "", "The name of %s %s has 1 to 200 characters without line breaks.", article(of), of)
	}
	return name, nil
}

func article(of string) string {
	if strings.ContainsRune("aeio", rune(of[0])) {
		return "an"
	}
	return "a"
}

func (s *Store) bind(o *Org) *Org {
	key := s.key.Derive("org", string(o.ID))
	o.key = &key
	return o
}

// notFound is the fault for an organization, connection or credential that is not
// there.
func notFound(what string) error { return fault.New(fault.NotFound, "", "There is no such %s.", what) }

// Get returns the organization with the id.
func (s *Store) Get(ctx context.Context, id identity.Org) (*Org, error) {
	if _, ok := identity.ParseOrg(string(id)); !ok {
		return nil, notFound("organization")
	}
	o := &Org{ID: id}
	if err := s.read(ctx, "organization", table.Key{Part: o.Part(), Sort: sortSelf}, o); err != nil {
		return nil, err
	}
	return s.bind(o), nil
}

// BySlug returns the organization whose address it is.
func (s *Store) BySlug(ctx context.Context, slug string) (*Org, error) {
	if !slugForm(slug) {
		return nil, notFound("organization")
	}
	items, err := s.table.Get(ctx, table.Key{Part: "SLUG#" + slug, Sort: sortSelf})
	if err != nil {
		return nil, fmt.Errorf("look up an address: %w", err)
	}
	if len(items) == 0 {
		return nil, notFound("organization")
	}
	return s.Get(ctx, identity.Org(items[0].Data))
}

// Find takes an id or an address, as an operator types it. Where it could be
// both it is the id: no other organization can have that.
func (s *Store) Find(ctx context.Context, idOrSlug string) (*Org, error) {
	if o, err := s.Get(ctx, identity.Org(idOrSlug)); err == nil || !fault.Is(err, fault.NotFound) {
		return o, err
	}
	return s.BySlug(ctx, idOrSlug)
}

// All yields every organization, in the order of ids.
func (s *Store) All(ctx context.Context) iter.Seq2[*Org, error] {
	return func(yield func(*Org, error) bool) {
		for it, err := range s.table.Query(ctx, partOrgs, table.Range{}) {
			var o *Org
			if err == nil {
				o, err = s.Get(ctx, identity.Org(it.Sort))
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// Dialects are the words for how a connection's client speaks; the first is
// the default.
var Dialects = []string{"compat", "strict", "interop"}

// Discoveries are the words for what a connection's client is told by SCIM
// discovery, the first unless another is chosen: what RFC 7643, 7644 and 9865
// know; without the last, for clients that refuse what they do not know; or with
// Okta's types and the products besides, which some would try to write to.
var Discoveries = []string{"standard", "plain", "full"}

// CreateConnection makes a connection of the organization. The zero Dialect is
// compat.
func (s *Store) CreateConnection(ctx context.Context, o *Org, c Connection) (Connection, error) {
	name, err := label("connection", c.Name)
	if err != nil {
		return Connection{}, err
	}
	c.Name = name
	if c.Dialect == "" {
		c.Dialect = Dialects[0]
	}
	if c.Discovery == "" {
		c.Discovery = Discoveries[0]
	}
	if err := c.check(); err != nil {
		return Connection{}, err
	}
	c.Created = s.now().UTC().Truncate(time.Millisecond)
	for {
		c.ID = identity.MintConnection()
		_, err := s.table.Commit(ctx, table.Create(connectionKey(o, c.ID), encode(c)))
		if table.Conflicts(err) {
			continue // 25 bits met again
		}
		if err != nil {
			return Connection{}, fmt.Errorf("create connection: %w", err)
		}
		return c, nil
	}
}

func connectionKey(o *Org, c identity.Connection) table.Key {
	return table.Key{Part: o.Part(), Sort: "C#" + string(c)}
}

// Connection returns the organization's connection with the id.
func (s *Store) Connection(ctx context.Context, o *Org, id identity.Connection) (Connection, error) {
	if _, ok := identity.ParseConnection(string(id)); !ok {
		return Connection{}, notFound("connection")
	}
	c := Connection{}
	err := s.read(ctx, "connection", connectionKey(o, id), &c)
	return c, err
}

// connectionItem is Connection for who writes it anew.
func (s *Store) connectionItem(ctx context.Context, o *Org, id identity.Connection) (table.Item, error) {
	items, err := s.table.Get(ctx, connectionKey(o, id))
	if err != nil {
		return table.Item{}, fmt.Errorf("read connection: %w", err)
	}
	if len(items) == 0 {
		return table.Item{}, notFound("connection")
	}
	return items[0], nil
}

// Connections returns the organization's connections in the order of ids. The
// connection manual is not among them: it has no settings.
func (s *Store) Connections(ctx context.Context, o *Org) ([]Connection, error) {
	var out []Connection
	for it, err := range s.table.Query(ctx, o.Part(), table.Range{Prefix: "C#"}) {
		var c Connection
		if err == nil {
			err = decode(it, &c)
		}
		if err != nil {
			return nil, fmt.Errorf("list connections: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}

func (s *Store) read(ctx context.Context, what string, k table.Key, into any) error {
	items, err := s.table.Get(ctx, k)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	if len(items) == 0 {
		return notFound(what)
	}
	return decode(items[0], into)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of strings, numbers and times only
	}
	return b
}

func decode(it table.Item, into any) error {
	if err := json.Unmarshal(it.Data, into); err != nil {
		return fmt.Errorf("read the item %v: %w", it.Key, err)
	}
	return nil
}
