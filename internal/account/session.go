package account

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// How long a session lasts.
const (
	Absolute = 12 * time.Hour  // from sign-in, whatever happens
	Idle     = time.Hour       // from the last use that was recorded
	useGrain = 5 * time.Minute // how exactly a use is recorded: finer would cost a write a request
	tokenLen = 43              // 256 bits in base64url
)

// Session is who is signed in.
type Session struct {
	Org     *org.Org
	User    roster.User // as stored at this moment, without memberships
	Admin   bool        // organization admin
	Started time.Time
	Ends    time.Time // at the latest
}

// record is what SES#<sha256> says.
type record struct {
	Org       identity.Org  `json:"o"`
	User      identity.User `json:"u"`
	Activated int64         `json:"a"` // ms; the user's at sign-in: another activation is another life
	Admin     bool          `json:"r,omitempty"`
	Started   int64         `json:"s"` // ms
	Seen      int64         `json:"n"` // ms
}

func (r record) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings, numbers and flags only
	}
	return b
}

// until is when the session ends if it is not used again.
func (r record) until() time.Time {
	idle, absolute := time.UnixMilli(r.Seen).Add(Idle), time.UnixMilli(r.Started).Add(Absolute)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

// errSession is one answer for a token that is missing, malformed, unknown,
// expired or ended.
var errSession = &fault.Error{Kind: fault.Unauthorized, Msg: "You are not signed in."}

// begin makes a session for the user and returns its token, of which a hash is
// kept.
func (s *Service) begin(ctx context.Context, o *org.Org, u *roster.User) (string, error) {
	token := secret.Token()
	hash := secret.Hash(token)
	now := s.now()
	rec := record{
		Org: o.ID, User: u.ID, Activated: u.Activated.UnixMilli(), Admin: u.Admin,
		Started: now.UnixMilli(), Seen: now.UnixMilli(),
	}
	_, err := s.table.Commit(ctx,
		table.Create(sessionKey(hash), rec.encode()).Until(rec.until()),
		table.Create(table.Key{Part: sessionsPart(o, u.ID), Sort: hash}, nil).Until(now.Add(Absolute)))
	if err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return token, nil
}

// Session returns who the token speaks for, and records the use. A user who is
// no longer active, whose rights have changed or who was activated anew is not
// signed in any more, from the very commit that made it so.
func (s *Service) Session(ctx context.Context, token string) (Session, error) {
	return s.session(ctx, token, true)
}

// Glance is Session for what a page asks by itself: it keeps nobody signed in.
func (s *Service) Glance(ctx context.Context, token string) (Session, error) {
	return s.session(ctx, token, false)
}

func (s *Service) session(ctx context.Context, token string, use bool) (Session, error) {
	if len(token) != tokenLen {
		return Session{}, errSession
	}
	hash := secret.Hash(token)
	items, err := s.table.Get(ctx, sessionKey(hash))
	if err != nil {
		return Session{}, fmt.Errorf("read a session: %w", err)
	}
	now := s.now()
	if len(items) == 0 || items[0].Expired(now) {
		return Session{}, errSession
	}
	var rec record
	if err := json.Unmarshal(items[0].Data, &rec); err != nil {
		return Session{}, fmt.Errorf("read a session: %w", err)
	}
	o, err := s.orgs.Get(ctx, rec.Org)
	if err != nil {
		return Session{}, sessionFault(err)
	}
	u, err := s.roster(o).User(ctx, rec.User, false)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Session{}, err
	}
	if err != nil || u.Stage() != identity.Active || u.Admin != rec.Admin || u.Activated.UnixMilli() != rec.Activated {
		return Session{}, s.end(ctx, o, rec.User, hash)
	}
	if use && now.Sub(time.UnixMilli(rec.Seen)) >= useGrain {
		rec.Seen = now.UnixMilli()
		// Whatever comes of it: another request has recorded the use, or the
		// store is full and goes on answering reads.
		s.table.Commit(ctx, table.Replace(items[0], rec.encode()).Until(rec.until()))
	}
	return Session{
		Org: o, User: u, Admin: u.Admin,
		Started: time.UnixMilli(rec.Started).UTC(), Ends: time.UnixMilli(rec.Started).Add(Absolute).UTC(),
	}, nil
}

func sessionFault(err error) error {
	if fault.Is(err, fault.NotFound) {
		return errSession
	}
	return err
}

// end removes a session that no longer holds and returns errSession.
func (s *Service) end(ctx context.Context, o *org.Org, id identity.User, hash string) error {
	if err := s.remove(ctx, o, id, hash); err != nil {
		return err
	}
	return errSession
}

// SignOut ends the token's session; one that is over stays so.
func (s *Service) SignOut(ctx context.Context, token string) error {
	if len(token) != tokenLen {
		return nil
	}
	hash := secret.Hash(token)
	items, err := s.table.Get(ctx, sessionKey(hash))
	if err != nil {
		return fmt.Errorf("read a session: %w", err)
	}
	if len(items) == 0 {
		return nil
	}
	var rec record
	if err := json.Unmarshal(items[0].Data, &rec); err != nil {
		return fmt.Errorf("read a session: %w", err)
	}
	return s.remove(ctx, &org.Org{ID: rec.Org}, rec.User, hash)
}

// EndSessions ends every session of the user. It is called when a user is
// suspended, so that being resumed does not bring old sessions back, and when a
// password changes.
func (s *Service) EndSessions(ctx context.Context, o *org.Org, id identity.User) error {
	for it, err := range s.table.Query(ctx, sessionsPart(o, id), table.Range{}) {
		if err != nil {
			return fmt.Errorf("list sessions: %w", err)
		}
		if err := s.remove(ctx, o, id, it.Sort); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a session and its entry in the user's list, whichever of them
// there is. A use recorded meanwhile is read again.
func (s *Service) remove(ctx context.Context, o *org.Org, id identity.User, hash string) error {
	for {
		items, err := s.table.Get(ctx, sessionKey(hash), table.Key{Part: sessionsPart(o, id), Sort: hash})
		if err != nil {
			return fmt.Errorf("read a session: %w", err)
		}
		if len(items) == 0 {
			return nil
		}
		var writes []table.Write
		for _, it := range items {
			writes = append(writes, table.Delete(it))
		}
		_, err = s.table.Commit(ctx, writes...)
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
		return nil
	}
}

// CSRF returns the token that a form carries: it is bound to the cookie of the
// browser that the form was made for, a session's or an earlier one.
func (s *Service) CSRF(cookie string) string {
	m := s.csrf.MAC("form", cookie)
	return base64.RawURLEncoding.EncodeToString(m[:])
}

// CheckCSRF reports whether the form's token belongs to the cookie. Nothing
// belongs to no cookie.
func (s *Service) CheckCSRF(cookie, token string) bool {
	return cookie != "" && hmac.Equal([]byte(s.CSRF(cookie)), []byte(token))
}
