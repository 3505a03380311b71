package courier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

// Report is what a carrier says about a message on its own account.
type Report struct {
	ID      identity.Message
	Status  Status // Sent, Delivered, Bounced, Complained, or Refused
	Carrier string // the carrier's own id; may be empty
	Reason  string // a code without an address; may be empty
}

// Settle takes a report. Reports may come late, repeatedly and in any order: a
// message moves up only, from sent over refused, delivered and bounced to
// complained. A report of a message that is unknown, or no longer known, gives
// NotFound. Reports can be taken for messages sent in the last 30 days.
func (s *Service) Settle(ctx context.Context, r Report) error {
	items, err := s.table.Get(ctx, settleKey(r.ID))
	if err != nil {
		return fmt.Errorf("look up a report's message: %w", err)
	}
	if len(items) == 0 || items[0].Expired(s.now()) {
		return fault.New(fault.NotFound, "", "There is no such message.")
	}
	var k table.Key
	if err := json.Unmarshal(items[0].Data, &k); err != nil {
		return fmt.Errorf("look up a report's message: the item is damaged")
	}
	n, ok := parseName(k)
	if !ok {
		return fmt.Errorf("look up a report's message: the item is damaged")
	}
	if r.Status.progress() == 0 {
		return fault.New(fault.Invalid, "", "A carrier does not report a message as %.20q.", string(r.Status))
	}
	return s.taken(ctx, n, r.Status, carrierID(r.Carrier), code(r.Reason))
}

func settleKey(id identity.Message) table.Key {
	return table.Key{Part: "MID#" + string(id), Sort: "#"}
}

// settleWrite lets a report find the message by its id. Whoever writes it
// writes the same.
func settleWrite(id identity.Message, n name, now time.Time) table.Write {
	b, err := json.Marshal(n.key())
	if err != nil {
		panic(err) // two strings
	}
	return table.Put(settleKey(id), b).Until(now.Add(reportTime))
}

// reasonOf is the carrier's code for a failure, in a form that can hold no
// address and no sentence.
func reasonOf(err error) string {
	var r *mail.Reason
	if errors.As(err, &r) {
		return either(code(r.Code), ReasonUnknown)
	}
	return ReasonUnknown
}

// codes are a reply's status ("550 5.1.1") and words such as "timeout",
// "smtputf8" or "Permanent.General". What initializes a package slows the start
// of every function that links it, and few of them see a code.
var codes = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:[0-9]{3}(?: [245]\.[0-9]{1,3}\.[0-9]{1,3})?|[A-Za-z][0-9A-Za-z.-]{0,39})$`)
})

// code returns a carrier's code, empty for anything that is not one.
func code(s string) string {
	if codes().MatchString(s) {
		return s
	}
	return ""
}

// maxCarrierID is how many characters a carrier's id of a message may have.
const maxCarrierID = 120

// carrierID returns a carrier's id of a message, empty for anything else.
func carrierID(s string) string {
	if len(s) > maxCarrierID || strings.ContainsFunc(s, func(r rune) bool {
		return (r >= utf8.RuneSelf || !letter(r)) && !strings.ContainsRune("@._-", r)
	}) {
		return ""
	}
	return s
}

func either(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

func (s *Service) user(ctx context.Context, o *org.Org, id identity.User) (roster.User, error) {
	return roster.Of(s.table, o).User(ctx, id, false)
}

// tell logs where a message stands now: ids and codes, no person.
func (s *Service) tell(m message) {
	level := slog.LevelInfo
	switch m.Status {
	case Dead, Bounced, Complained:
		level = slog.LevelError
	case Refused, Undeliverable:
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "mail: "+string(m.Status),
		"org", string(m.org), "user", string(m.user), "kind", string(m.kind), "generation", m.generation,
		"attempts", m.Attempts, "reason", m.Reason)
}
