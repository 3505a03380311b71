// Package audit records every mutation as an event in the very commit that it
// describes, and keeps each organization's log of them.
//
// It does not decide what happens after an event: its effects are named by who
// decided them, and carried out by the feed.
package audit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Keys of this package:
//
//	O#o#EV#<subject>  <event>   an event, created in the commit that it describes; its counter
//	                            is its number in the log, zero until it is there
//	O#o#EV#<subject>#<event>  6 digits  a page of an event of many members: see Page
//	O#o#LOG           #         counter: the last number given
//	O#o#LOG#s         16 digits an entry of the log: a copy of the event; s = number modulo 8
const logShards = 8

// Kind says what happened.
type Kind string

const (
	UserJoined    Kind = "user.joined"
	UserAdopted   Kind = "user.adopted" // a directory's user was linked to one made by hand
	UserChanged   Kind = "user.changed"
	UserSuspended Kind = "user.suspended"
	UserResumed   Kind = "user.resumed"
	UserActivated Kind = "user.activated"
	UserLeft      Kind = "user.left"
	GroupCreated  Kind = "group.created"
	GroupChanged  Kind = "group.changed"
	GroupMembers  Kind = "group.members"
	GroupDeleted  Kind = "group.deleted"
)

// Effect is work that the event calls for, done by the feed: at least once, so
// each is safe to repeat.
type Effect string

const (
	Welcome   Effect = "welcome"   // queue the welcome email, if none was queued
	Readdress Effect = "readdress" // end the link that was mailed, and send a new one to where the user is written to now
	Sweep     Effect = "sweep"     // remove what a deletion left behind
	Settle    Effect = "settle"    // check that added members were not deleted meanwhile
)

// Actor is who did it: a connection's client, a user, the operator at the
// command line, or Gatehouse itself.
type Actor struct {
	Kind string // "connection", "user", "operator", "system"
	ID   string // the connection's, and the credential's after a slash; the user's
}

func (a Actor) String() string {
	if a.ID == "" {
		return a.Kind
	}
	return a.Kind + ":" + a.ID
}

// Change is one path with what stood there before and after; Absent for
// nothing. The empty path is the whole resource.
type Change struct {
	Path   string
	Before value.Value
	After  value.Value
}

// Event is one mutation.
type Event struct {
	ID      identity.Event
	Subject string // the id of the user or group
	Kind    Kind
	Actor   Actor
	Effects []Effect
	Changes []Change // empty when sealed by a key that is gone
	Sealed  bool     // Changes were sealed
	Paged   bool     // pages name the members; Changes count them

	Number int64      // in the organization's log; zero: not there yet
	Item   table.Item // as read
}

type head struct {
	Kind    Kind   `json:"k"`
	Actor   string `json:"w"`
	Effects string `json:"f,omitempty"`
	Sealed  bool   `json:"s,omitempty"`
	Paged   bool   `json:"p,omitempty"`
}

// maxValue is how long a value in an event may be; a longer one is replaced by
// its hash and length.
const maxValue = 16 << 10

// Write returns the write that creates the event. Changes are sealed under seal
// when it is given: personal values are readable for as long as the key is kept.
func (e Event) Write(o *org.Org, seal *secret.Key) (table.Write, error) {
	h := head{Kind: e.Kind, Actor: e.Actor.String(), Sealed: seal != nil, Paged: e.Paged}
	for i, f := range e.Effects {
		if i > 0 {
			h.Effects += " "
		}
		h.Effects += string(f)
	}
	hb, err := json.Marshal(h)
	if err != nil {
		return table.Write{}, fmt.Errorf("write event: %w", err)
	}
	data := append(binary.AppendUvarint(make([]byte, 0, len(hb)+2), uint64(len(hb))), hb...)
	body := encodeChanges(e.Changes)
	if seal != nil {
		if body, err = sealed(*seal, body, e.ID); err != nil {
			return table.Write{}, fmt.Errorf("seal event: %w", err)
		}
	}
	return table.Create(Key(o, e.Subject, e.ID), append(data, body...)), nil
}

// Key is where the event is stored.
func Key(o *org.Org, subject string, id identity.Event) table.Key {
	return table.Key{Part: o.Part("EV", subject), Sort: string(id)}
}

// ParseKey tells whether the key is an event's, whose, and about what.
func ParseKey(k table.Key) (identity.Org, string, bool) {
	rest, ok := strings.CutPrefix(k.Part, "O#")
	if !ok {
		return "", "", false
	}
	o, rest, _ := strings.Cut(rest, "#")
	subject, ok := strings.CutPrefix(rest, "EV#")
	return identity.Org(o), subject, ok && !strings.Contains(subject, "#") // else a page of one
}

// EncodeChanges returns the changes as an event holds them, for one that is
// written later.
func EncodeChanges(changes []Change) []byte { return encodeChanges(changes) }

// DecodeChanges reads what EncodeChanges returned.
func DecodeChanges(b []byte) ([]Change, error) { return decodeChanges(b) }

func encodeChanges(changes []Change) []byte {
	b := []byte{'['}
	for i, c := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = value.AppendString(b, c.Path)
		b = append(b, ',')
		b = appendBounded(b, c.Before)
		b = append(b, ',')
		b = appendBounded(b, c.After)
		b = append(b, ']')
	}
	return append(b, ']')
}

func appendBounded(b []byte, v value.Value) []byte {
	from := len(b)
	b = v.Append(b)
	if n := len(b) - from; n > maxValue {
		sum := sha256.Sum256(b[from:])
		b = value.Obj(value.M("sha256", value.Str(hex.EncodeToString(sum[:]))), value.M("bytes", value.Num(int64(n)))).Append(b[:from])
	}
	return b
}

func decodeChanges(b []byte) ([]Change, error) {
	v, err := value.Parse(b)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, e := range v.Elements() {
		p := e.Elements()
		if len(p) != 3 {
			return nil, errors.New("a change has not three parts")
		}
		out = append(out, Change{p[0].Text(), present(p[1]), present(p[2])})
	}
	return out, nil
}

func present(v value.Value) value.Value {
	if v.Kind() == value.Null {
		return value.Value{}
	}
	return v
}

// sealed is AES-256-GCM with a random nonce; the event's id is authenticated
// with it, so that no event's values can be put into another.
func sealed(key secret.Key, plain []byte, id identity.Event) ([]byte, error) {
	g, err := gcm(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, g.NonceSize(), g.NonceSize()+len(plain)+g.Overhead())
	rand.Read(out)
	return g.Seal(out, out, plain, []byte(id)), nil
}

func opened(key secret.Key, box []byte, id identity.Event) ([]byte, error) {
	g, err := gcm(key)
	if err != nil {
		return nil, err
	}
	if len(box) < g.NonceSize() {
		return nil, errors.New("too short to be sealed")
	}
	return g.Open(nil, box[:g.NonceSize()], box[g.NonceSize():], []byte(id))
}

func gcm(key secret.Key) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// Open reads an event from its item. Without the key that sealed it, or with
// another, it comes without Changes.
func Open(it table.Item, seal *secret.Key) (Event, error) {
	_, subject, ok := ParseKey(it.Key)
	if !ok {
		return Event{}, fmt.Errorf("read %v: not an event", it.Key)
	}
	e, err := open(it.Data, identity.Event(it.Sort), seal)
	e.Subject, e.Number, e.Item = subject, it.N, it
	if err != nil {
		return Event{}, fmt.Errorf("read %v: %w", it.Key, err)
	}
	return e, nil
}

func open(data []byte, id identity.Event, seal *secret.Key) (Event, error) {
	n, w := binary.Uvarint(data)
	if w <= 0 || n > uint64(len(data)-w) {
		return Event{}, errors.New("the event is damaged")
	}
	var h head
	if err := json.Unmarshal(data[w:w+int(n)], &h); err != nil {
		return Event{}, fmt.Errorf("the event is damaged: %w", err)
	}
	e := Event{ID: id, Kind: h.Kind, Sealed: h.Sealed, Paged: h.Paged}
	e.Actor.Kind, e.Actor.ID, _ = strings.Cut(h.Actor, ":")
	for f := range strings.FieldsSeq(h.Effects) {
		e.Effects = append(e.Effects, Effect(f))
	}
	body := data[w+int(n):]
	if h.Sealed {
		if seal == nil {
			return e, nil
		}
		plain, err := opened(*seal, body, id)
		if err != nil {
			return e, nil // sealed by a key that is gone: what happened stays known, not to whom
		}
		body = plain
	}
	changes, err := decodeChanges(body)
	if err != nil {
		return Event{}, fmt.Errorf("the event is damaged: %w", err)
	}
	e.Changes = changes
	return e, nil
}

// Has reports whether the event calls for the effect.
func (e Event) Has(f Effect) bool {
	for _, g := range e.Effects {
		if g == f {
			return true
		}
	}
	return false
}

// Diff lists what differs between two resources: attribute by attribute,
// sub-attributes of singular ones by "name.givenName", extensions by their URN
// and a colon; multi-valued attributes as wholes.
func Diff(before, after value.Value) []Change { return diff(nil, "", "", before, after) }

// diff compares what stands at the path; separator joins the names of members
// to it.
func diff(out []Change, path, separator string, before, after value.Value) []Change {
	if value.Equal(before, after) {
		return out
	}
	if before.Kind() != value.Object || after.Kind() != value.Object {
		return append(out, Change{path, before, after})
	}
	below := func(name string) (string, string) {
		if path == "" && strings.HasPrefix(name, "urn:") {
			return name, ":"
		}
		return path + separator + name, "."
	}
	for _, m := range before.Members() {
		p, sep := below(m.Name)
		out = diff(out, p, sep, m.Value, after.Get(m.Name))
	}
	for _, m := range after.Members() {
		if before.Get(m.Name).Kind() == value.Absent {
			p, _ := below(m.Name)
			out = append(out, Change{p, value.Value{}, m.Value})
		}
	}
	return out
}
