// Package roster is one organization's users and groups as they are stored:
// their keys, their form, and every way of finding them.
//
// It decides nothing and commits nothing: package provision does.
package roster

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// User is a user as stored, or a link: a connection's own record of a user that
// it did not bring (Target).
type User struct {
	ID     identity.User
	Raw    []byte           // the SCIM attributes as one JSON object, normalized: no schemas, id, meta, groups
	Ext    uint8            // bit i: the resource has the i-th extension of its type
	Groups []identity.Group // direct memberships, ascending; only where they were asked for
	// Indirect are groups that contain the Groups, or each other; only where an
	// Ancestry found them.
	Indirect []identity.Group
	traced   bool   // an Ancestry was asked
	mark     uint64 // over Groups and Indirect, and when each began

	Changed   table.Version // the commit that last changed what a directory sees
	Created   time.Time
	Activated time.Time       // when the person created a password; zero: not yet
	Welcomed  bool            // a welcome email was decided on
	Admin     bool            // organization admin
	Suspended bool            // what holds where the attributes do not say whether the user is active
	Target    identity.User   // a link: the user that is meant
	Links     []identity.User // the links to this user
	LastEvent identity.Event
	Seal      secret.Key // seals the personal values of the user's events; gone with the user

	Item table.Item // as read; the zero Item for a user not yet stored
	doc  value.Value
}

// Encode returns the data of the user's item. Where visible is true the commit
// that writes it becomes Changed.
func (u User) Encode(visible bool) []byte {
	var h head
	if u.Seal != (secret.Key{}) {
		h = h.text('k', string(u.Seal[:]))
	}
	h = h.text('e', string(u.LastEvent)).number('a', millis(u.Activated)).
		flag('w', u.Welcomed).flag('r', u.Admin).flag('s', u.Suspended).text('t', string(u.Target)).number('x', uint64(u.Ext))
	for _, l := range u.Links {
		h = h.text('l', string(l))
	}
	if u.Item.Exists() {
		h = h.number('c', millis(u.Created)) // absent: the time of Changed
		if !visible {
			h = h.text('m', string(u.Changed)) // absent: the item's version
		}
	}
	return h.with(u.Raw)
}

func decodeUser(it table.Item) (User, error) {
	h, raw, err := split(it)
	if err != nil {
		return User{}, err
	}
	u := User{ID: identity.User(it.Sort), Raw: raw, Changed: it.Version, Item: it}
	for name, v := range h.fields() {
		switch name {
		case 'k':
			if len(v) != secret.Size {
				return User{}, fmt.Errorf("read %v: %w", it.Key, errDamaged)
			}
			u.Seal = secret.Key(v)
		case 'e':
			u.LastEvent = identity.Event(v)
		case 'a':
			u.Activated = fromMillis(count(v))
		case 'w':
			u.Welcomed = true
		case 'r':
			u.Admin = true
		case 's':
			u.Suspended = true
		case 't':
			u.Target = identity.User(v)
		case 'x':
			u.Ext = uint8(count(v))
		case 'l':
			u.Links = append(u.Links, identity.User(v))
		case 'c':
			u.Created = fromMillis(count(v))
		case 'm':
			u.Changed = table.Version(v)
		}
	}
	if u.Created.IsZero() {
		u.Created = u.Changed.Time()
	}
	return u, nil
}

// Stored returns u as it is once the commit with the version has written data.
func (u User) Stored(r Roster, v table.Version, data []byte) (User, error) {
	s, err := decodeUser(table.Item{Key: r.UserKey(u.ID), Version: v, Data: data})
	s.Groups, s.mark, s.doc = u.Groups, u.mark, u.doc
	return s, err
}

// Doc returns the attributes as a tree, not to be modified.
func (u *User) Doc() value.Value {
	if u.doc.Kind() == value.Absent && len(u.Raw) > 0 {
		u.doc, _ = value.Parse(u.Raw) // we wrote it; a damaged one reads as no attributes
	}
	return u.doc
}

// SetDoc gives the user other attributes.
func (u *User) SetDoc(doc value.Value, ext uint8) {
	u.doc, u.Raw, u.Ext = doc, doc.Append(nil), ext
}

// belong adds a membership, given as its item.
func (u *User) belong(g identity.Group, it table.Item) {
	u.Groups = append(u.Groups, g)
	h := fnv.New64a()
	h.Write([]byte(g))
	h.Write([]byte(it.Version))
	u.mark ^= h.Sum64()
}

// Tag names the state of the user's own attributes: the commit that last
// changed them. A precondition is about this.
func (u *User) Tag() string { return string(u.Changed) }

// ViewTag names what is shown of the user: the Tag, and behind a dot the state
// of the memberships where they were read and there are any.
func (u *User) ViewTag() string {
	if len(u.Groups) == 0 {
		return u.Tag()
	}
	return u.Tag() + "." + strconv.FormatUint(u.mark, 36)
}

// Active is what the directory says. Where it says nothing, since it took the
// attribute away, what it said last holds: RFC 7643 §4.1.1 leaves it open.
func (u *User) Active() bool {
	a := u.Doc().Get("active")
	if a.Kind() != value.Bool {
		return !u.Suspended
	}
	return a.Bool()
}

// Stage derives where the user stands.
func (u *User) Stage() identity.Stage { return identity.StageOf(u.Active(), !u.Activated.IsZero()) }

// UserName is the name that the directory knows the user by.
func (u *User) UserName() string { return u.Doc().Get("userName").Text() }

// Name is what to call the person: displayName, else the formatted or joined
// name, else the userName.
func (u *User) Name() string {
	d := u.Doc()
	n := d.Get("name")
	joined := strings.TrimSpace(n.Get("givenName").Text() + " " + n.Get("familyName").Text())
	for _, s := range []string{d.Get("displayName").Text(), n.Get("formatted").Text(), joined} {
		if strings.TrimSpace(s) != "" {
			return s
		}
	}
	return u.UserName()
}

// Email is where to write to: see Email.
func (u *User) Email() string { return Email(u.Doc()) }

// Email returns the primary address, else the one of type work, else the first,
// else the userName where it is an address; empty if there is none.
func Email(doc value.Value) string {
	best, rank := "", 0
	for _, e := range doc.Get("emails").Elements() {
		addr, r := e.Get("value").Text(), 1
		if strings.EqualFold(e.Get("type").Text(), "work") {
			r = 2
		}
		if e.Get("primary").Bool() {
			r = 3
		}
		if r > rank && looksLikeAddress(addr) {
			best, rank = addr, r
		}
	}
	if name := doc.Get("userName").Text(); best == "" && looksLikeAddress(name) {
		return name
	}
	return best
}

// looksLikeAddress is a first look; the mail adapters are strict.
func looksLikeAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && len(s) <= 254 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`<>,;:"()[]\`, r) })
}

// Emails returns every address of a normalized resource, each once by its
// folded form.
func Emails(doc value.Value) []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range doc.Get("emails").Elements() {
		if a := e.Get("value").Text(); a != "" && !seen[identity.Fold(a)] {
			seen[identity.Fold(a)] = true
			out = append(out, a)
		}
	}
	return out
}

// Language is the language to write in: "de" or "en", by preferredLanguage
// (which may be a list with weights), else locale, else the organization's.
func (u *User) Language(fallback string) string {
	for _, s := range []string{u.Doc().Get("preferredLanguage").Text(), u.Doc().Get("locale").Text()} {
		for _, tag := range strings.Split(s, ",") {
			tag, _, _ = strings.Cut(strings.TrimSpace(tag), ";")
			switch lang, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(tag), "_", "-"), "-"); lang {
			case "de", "en":
				return lang
			}
		}
	}
	return fallback
}

func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}

func fromMillis(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
