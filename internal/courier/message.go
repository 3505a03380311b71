package courier

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/due"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// Status is a message's state; see the package's drawing.
type Status string

const (
	Queued        Status = "queued"        // waits for an attempt
	Sending       Status = "sending"       // an attempt is under way, or was lost
	Sent          Status = "sent"          // the carrier has it
	Delivered     Status = "delivered"     // the recipient's server has it
	Bounced       Status = "bounced"       // the recipient's server gave it back
	Complained    Status = "complained"    // the recipient called it spam
	Refused       Status = "refused"       // the carrier will never take it
	Undeliverable Status = "undeliverable" // the user has no usable address
	Cancelled     Status = "cancelled"     // not wanted any more
	Dead          Status = "dead"          // tried too often; Replay or Resend starts anew
)

// Reasons of ours, beside the carriers' codes.
const (
	ReasonDeleted    = "deleted"    // cancelled: the user or the organization is gone
	ReasonSuspended  = "suspended"  // cancelled: the user is not active
	ReasonActivated  = "activated"  // cancelled: the user has a password already
	ReasonSuperseded = "superseded" // cancelled: a newer generation was queued
	ReasonNoAddress  = "no-address" // undeliverable
	ReasonLimit      = "limit"      // queued: the organization's day is full
	ReasonOften      = "often"      // queued: the user's address changed too often within a day
	ReasonLost       = "lost"       // an attempt ended without a word
	ReasonUnknown    = "unknown"    // a failure that the carrier gave no code for
)

// progress orders what carriers report; a message moves up only. A refusal can
// follow the taking (SES looks for malware then), but not the delivery. Zero:
// the carrier has not taken it, as far as we know.
func (s Status) progress() int {
	switch s {
	case Sent:
		return 1
	case Refused:
		return 2
	case Delivered:
		return 3
	case Bounced:
		return 4
	case Complained:
		return 5
	}
	return 0
}

// open reports whether there is something left to do.
func (s Status) open() bool { return s == Queued || s == Sending }

// name is a message's business: what its key, its id and its link's secret
// follow from.
type name struct {
	org        identity.Org
	user       identity.User
	kind       Kind
	generation int // from 1
}

const (
	partMark      = "#MSG#"
	maxGeneration = 9999 // four digits, so that sort keys sort by number
)

func (n name) sort() string { return fmt.Sprintf("%s#%04d", n.kind, n.generation) }

func (n name) key() table.Key {
	return table.Key{Part: n.part("MSG", string(n.user)), Sort: n.sort()}
}

// part returns a partition of the message's organization.
func (n name) part(words ...string) string {
	o := org.Org{ID: n.org}
	return o.Part(words...)
}

func (n name) ref() due.Ref {
	return due.Ref{Kind: DueKind, Org: n.org, ID: string(n.user) + "#" + n.sort()}
}

// parseName reads a message's key; false if it is another item's.
func parseName(k table.Key) (name, bool) {
	rest, ok := strings.CutPrefix(k.Part, "O#")
	if !ok {
		return name{}, false
	}
	o, u, ok := strings.Cut(rest, partMark)
	if !ok {
		return name{}, false
	}
	return makeName(o, u, k.Sort)
}

func parseRef(ref due.Ref) (name, bool) {
	u, sort, ok := strings.Cut(ref.ID, "#")
	if !ok || ref.Kind != DueKind {
		return name{}, false
	}
	return makeName(string(ref.Org), u, sort)
}

func makeName(o, u, sort string) (name, bool) {
	kind, digits, ok := strings.Cut(sort, "#")
	if !ok || len(digits) != 4 || Kind(kind) != Welcome {
		return name{}, false
	}
	g, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || g == 0 {
		return name{}, false
	}
	n := name{kind: Kind(kind), generation: int(g)}
	var okOrg, okUser bool
	n.org, okOrg = identity.ParseOrg(o)
	n.user, okUser = identity.ParseUser(u)
	return n, okOrg && okUser
}

// Wanted tells the keys of messages, for the feed.
func Wanted(k table.Key) bool {
	_, ok := parseName(k)
	return ok
}

// message is a message as stored. It holds no person: who it goes to is read
// when it is sent.
type message struct {
	name
	item table.Item // as read; zero: not stored yet
	body
}

type body struct {
	Status     Status    `json:"s"`
	Since      time.Time `json:"t"`
	Queued     time.Time `json:"q"`           // when this generation was asked for
	Cause      string    `json:"c,omitempty"` // why, for generations after the first
	Attempts   int       `json:"a,omitempty"`
	Busy       int       `json:"b,omitempty"` // how often in a row the carrier took none at all
	Tried      bool      `json:"d,omitempty"` // an attempt was made, also one before a replay: somebody may have the mail
	Wake       time.Time `json:"w,omitzero"`  // queued: not before; sending: end of the lease
	Expires    time.Time `json:"x"`           // of its link
	Reason     string    `json:"r,omitempty"`
	Carrier    string    `json:"i,omitempty"` // the carrier's own id
	Counted    bool      `json:"n,omitempty"` // counts against its organization's day
	Superseded bool      `json:"o,omitempty"` // a newer generation exists: to be tried no more
	// Event is the user's event that the address of the first attempt is no older
	// than; empty before it.
	Event  identity.Event `json:"e,omitempty"`
	Latest int            `json:"l,omitempty"` // in the first generation: the newest, if there is another
}

func (m message) encode() []byte {
	b, err := json.Marshal(m.body)
	if err != nil {
		panic(err) // strings, numbers, flags, and times between 1970 and 9999
	}
	return b
}

// become moves the message to a status.
func (m *message) become(s Status, reason string, now time.Time) {
	m.Status, m.Reason, m.Since, m.Wake = s, reason, whole(now), time.Time{}
}

func (m message) state() State {
	return State{Status: m.Status, At: m.Since, Attempts: m.Attempts, Reason: m.Reason, Generation: m.generation, Next: m.Wake}
}

// whole is the grain of stored times.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// load returns those of the messages that exist, in the order of the names.
func (s *Service) load(ctx context.Context, names ...name) ([]message, error) {
	keys := make([]table.Key, len(names))
	for i, n := range names {
		keys[i] = n.key()
	}
	items, err := s.table.Get(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	out := make([]message, 0, len(items))
	for _, it := range items {
		n, _ := parseName(it.Key)
		m := message{name: n, item: it}
		if err := json.Unmarshal(it.Data, &m.body); err != nil {
			return nil, fmt.Errorf("read %v: the item is damaged", it.Key)
		}
		out = append(out, m)
	}
	return out, nil
}

// one is load for a single message; false if there is none.
func (s *Service) one(ctx context.Context, n name) (message, bool, error) {
	found, err := s.load(ctx, n)
	if err != nil || len(found) == 0 {
		return message{}, false, err
	}
	return found[0], true, nil
}

// queuedNow tells from a change whether an attempt is due.
func queuedNow(it table.Item, now time.Time) bool {
	var b body
	return it.Exists() && json.Unmarshal(it.Data, &b) == nil && b.Status == Queued && !now.Before(b.Wake)
}

// stored returns the message as it was read.
func (m message) stored() body {
	var b body
	json.Unmarshal(m.item.Data, &b) // it was read from these bytes
	return b
}
