// Package courier carries mails to people: an outbox of messages, their
// rendering, one attempt after another to send them, and what became of them.
//
// A message is keyed by its business (user, kind, generation), so that whoever
// asks for it twice asks for one mail. It does not decide that somebody gets a
// mail: package provision and the feed's handlers do; and it does not know how
// a mail travels: a mail.Sender does.
//
// What it promises depends on the sender. With one that knows its messages
// (mail.Once) a message is exactly one mail, whatever crashes. With one that
// reports (mail.Settles) it is one, unless both our write and the report are
// lost. With one that does neither (mail.Repeats) it is one, and at most one
// more for each crash or lost answer.
//
// # States
//
//	queued ──claim──▶ sending ──taken──▶ sent ──▶ delivered ──▶ bounced ──▶ complained
//	  ▲  │               │  │
//	  │  │               │  └─refused by the carrier─▶ refused
//	  │  │               └─tried too often───────────▶ dead
//	  │  └─nowhere to write to──▶ undeliverable
//	  │  └─not wanted any more──▶ cancelled
//	  └──not taken for now, or left open and safe to repeat
//
// A message in sending has a lease. When it runs out, the attempt is taken for
// lost and the next one begins; its end is due work in the commit that claims.
// An organization whose mails stall pauses, so that it takes one attempt's time
// from the others and no more. A carrier that is busy costs a message no
// attempt; one that takes none at all is asked by one message, for all.
//
// Reports of the carrier move a message to the right only, from any state; a
// refusal can also follow the taking.
//
// # Keys
//
//	O#o#MSG#<user>      <kind>#<generation>   a message, without address, name or text
//	O#o#MAILS#<day>     #                     how many messages the organization sent that day (UTC), where that is limited
//	LNK#<sha256>        #                     whom a link's secret stands for; looked up before an organization is known
//	MID#<message>       #                     the message a carrier's report is about, where carriers report
package courier

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/internal/due"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// Kind says what a message is for.
type Kind string

// Welcome invites a user to create a password.
const Welcome Kind = "welcome"

// DueKind is the kind of due work whose handler is Service.Due.
const DueKind = "mail"

const (
	// MaxAttempts is how often a message is tried before it is dead.
	MaxAttempts = 8
	// ResendsPerDay is how many generations of one message may be queued for a
	// user within 24 hours.
	ResendsPerDay = 5

	defaultLease = 2 * time.Minute
	// settleTime is how long a carrier that reports gets for its report before
	// an attempt that was left open is repeated.
	settleTime = 15 * time.Minute
	// sendTime is what one attempt may take at most.
	sendTime = 90 * time.Second
	// reportTime is how long reports about a message can still come.
	reportTime = 30 * 24 * time.Hour
	// markTime is what writing down an outcome may take when the work itself
	// was called off.
	markTime = 10 * time.Second
	parallel = 8
	// maxPatience is the longest that a message waits, at least, before it asks
	// a busy carrier again.
	maxPatience = 30 * time.Minute
)

// backoff is how long a message waits after its n-th attempt was not taken.
var backoff = [MaxAttempts - 1]time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// Config is what a Service needs.
type Config struct {
	Table  table.Table
	Orgs   *org.Store
	Sender mail.Sender
	Links  Links
	From   mail.Address // of every mail
	Now    func() time.Time
	// Lease is how long one attempt has, from claim to mark; 0: two minutes.
	// With a sender that reports it is at least 15 minutes.
	Lease time.Duration
	// DailyLimit is how many messages an organization sends in a day (UTC);
	// what is beyond waits for the next. 0: no limit.
	DailyLimit int
	Parallel   int          // messages of one batch sent at once; 0: 8
	Log        *slog.Logger // nil: slog.Default()
}

// Service is the courier. Its methods may be called concurrently, by several
// programs over one table too.
type Service struct {
	table    table.Table
	orgs     *org.Store
	sender   mail.Sender
	links    Links
	from     mail.Address
	now      func() time.Time
	lease    time.Duration
	limit    int
	parallel int
	log      *slog.Logger
	turns    turns
	gate     gate
}

// New returns a courier. Wanted and Consume make it the feed's consumer, Due
// the handler of due work of DueKind.
func New(c Config) *Service {
	s := &Service{
		table: c.Table, orgs: c.Orgs, sender: c.Sender, links: c.Links, from: c.From, now: c.Now,
		lease: c.Lease, limit: c.DailyLimit, parallel: c.Parallel, log: c.Log,
	}
	if s.lease <= 0 {
		s.lease = defaultLease
	}
	if s.sender.Promise() == mail.Settles {
		s.lease = max(s.lease, settleTime)
	}
	if s.parallel <= 0 {
		s.parallel = parallel
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// Links returns what makes and reads the links in the mails.
func (s *Service) Links() Links { return s.links }

// Due looks at a message whose time has come. What it finds not yet due, it
// makes due again.
func (s *Service) Due(ctx context.Context, ref due.Ref) error {
	n, ok := parseRef(ref)
	if !ok {
		return fmt.Errorf("due mail: a reference of another form")
	}
	if again, shut := s.gate.shut(n, s.now()); shut {
		return s.remind(ctx, n, again)
	}
	if again, ok := s.turns.take(n.org, s.now()); !ok {
		return s.remind(ctx, n, after(n, again))
	}
	wake, err := s.inOwnTurn(ctx, n)
	if err != nil || wake.IsZero() {
		return err
	}
	if _, err := s.table.Commit(ctx, due.At(wake, ref)); err != nil {
		return fmt.Errorf("make a message due again: %w", err)
	}
	return nil
}

// State is where a message stands, for an admin's eyes.
type State struct {
	Status     Status
	At         time.Time // since when
	Attempts   int
	Reason     string    // a carrier's code ("550 5.1.1") or one of the Reason constants; may be empty
	Generation int       // 1: the first; each resend adds one
	Next       time.Time // queued: not before; sending: end of the lease; else zero
}

// States returns where the newest welcome message of each user stands; users
// without one are left out.
func (s *Service) States(ctx context.Context, o *org.Org, users ...identity.User) (map[identity.User]State, error) {
	out := make(map[identity.User]State, len(users))
	names := make([]name, 0, len(users))
	for _, u := range users {
		names = append(names, name{org: o.ID, user: u, kind: Welcome, generation: 1})
	}
	// The first generation tells which is the newest: two reads, and the second
	// only for those that were sent again.
	for len(names) > 0 {
		batch := names[:min(len(names), table.MaxGet)]
		names = names[len(batch):]
		found, err := s.load(ctx, batch...)
		if err != nil {
			return nil, err
		}
		var newer []name
		for _, m := range found {
			if m.Latest > m.generation {
				n := m.name
				n.generation = m.Latest
				newer = append(newer, n)
			}
			out[m.user] = m.state()
		}
		if len(newer) == 0 {
			continue
		}
		if found, err = s.load(ctx, newer...); err != nil {
			return nil, err
		}
		for _, m := range found {
			out[m.user] = m.state()
		}
	}
	return out, nil
}
