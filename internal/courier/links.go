package courier

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

const (
	// LinkLife is how long an activation link is good.
	LinkLife = 7 * 24 * time.Hour
	// linkMemory is how long a link that ran out is still recognised, so that
	// its page can offer a new one.
	linkMemory = 30 * 24 * time.Hour
	// renewBelow: a message that is sent for the first time when its link has
	// less than this left gets the whole life again.
	renewBelow = 6 * 24 * time.Hour
)

// Links derives the secrets in the links from the server's key, so that
// rendering a message again gives the same link and nothing that opens an
// account is stored.
type Links struct {
	Key secret.Key
	URL string // where people reach Gatehouse, without a slash at the end
}

// Activation returns the address of the page that the secret opens.
func (l Links) Activation(secret string) string { return l.URL + "/activate/" + secret }

const secretLen = 43 // 256 bits as base64url

func (l Links) secret(n name) string {
	m := l.Key.MAC("activation", string(n.org), string(n.user), string(n.kind), strconv.Itoa(n.generation))
	return base64.RawURLEncoding.EncodeToString(m[:])
}

// messageID names the mail wherever it goes. It tells nothing and cannot be
// guessed from the user's id.
func (l Links) messageID(n name) identity.Message {
	m := l.Key.MAC("message", string(n.org), string(n.user), string(n.kind), strconv.Itoa(n.generation))
	return identity.Message(identity.Encode(m[:16]))
}

// link is what LNK#<sha256> says.
type link struct {
	Org        identity.Org  `json:"o"`
	User       identity.User `json:"u"`
	Generation int           `json:"g"`
	Expires    time.Time     `json:"x"`
}

func linkKey(secretText string) table.Key {
	return table.Key{Part: "LNK#" + secret.Hash(secretText), Sort: "#"}
}

func (l Links) key(n name) table.Key { return linkKey(l.secret(n)) }

func (n name) linkData(expires time.Time) []byte {
	b, err := json.Marshal(link{Org: n.org, User: n.user, Generation: n.generation, Expires: expires})
	if err != nil {
		panic(err) // strings, a number, and a time of our own
	}
	return b
}

// createLink is the write that makes the message's link good until expires.
func (l Links) createLink(n name, expires time.Time) table.Write {
	return table.Create(l.key(n), n.linkData(expires)).Until(expires.Add(linkMemory))
}

// Invitation is what a link's secret stands for.
type Invitation struct {
	Org        identity.Org
	User       identity.User
	Generation int
	Expires    time.Time
	Expired    bool // good for asking for a new one only
	item       table.Item
}

// Key is where the invitation is stored: a commit with Spend that conflicts
// there lost against another use, or against a newer link.
func (i Invitation) Key() table.Key { return i.item.Key }

// Lookup returns what the secret of a link stands for. One that was spent,
// voided by a newer link, made up, or that ran out more than 30 days ago gives
// the same NotFound. Looking up uses nothing up.
func (s *Service) Lookup(ctx context.Context, secretText string) (Invitation, error) {
	unknown := fault.New(fault.NotFound, "", "This link is not valid, or has been used.")
	if len(secretText) != secretLen {
		return Invitation{}, unknown
	}
	if b, err := base64.RawURLEncoding.DecodeString(secretText); err != nil || len(b) != secret.Size {
		return Invitation{}, unknown
	}
	now := s.now()
	items, err := s.table.Get(ctx, linkKey(secretText))
	if err != nil {
		return Invitation{}, fmt.Errorf("look up a link: %w", err)
	}
	if len(items) == 0 || items[0].Expired(now) {
		return Invitation{}, unknown
	}
	var l link
	if err := json.Unmarshal(items[0].Data, &l); err != nil {
		return Invitation{}, fmt.Errorf("look up a link: the item is damaged")
	}
	return Invitation{
		Org: l.Org, User: l.User, Generation: l.Generation, Expires: l.Expires,
		Expired: !now.Before(l.Expires), item: items[0],
	}, nil
}

// Spend is the write that uses the link up. It stands in the commit that stores
// the password: of two uses at once one conflicts at the invitation's Key, and
// so does one that meets a newer link. Whether the invitation has expired is
// the caller's to check.
func (s *Service) Spend(i Invitation) table.Write { return table.Delete(i.item) }
