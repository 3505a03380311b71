package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/jwt"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// How long key sets are believed, and how often they are fetched.
const (
	ringFresh = time.Hour        // then it is fetched again: a key that was withdrawn is believed no longer
	ringStale = 12 * time.Hour   // for so long it is believed where fetching fails
	ringTried = time.Minute      // between two fetches, whatever keys are asked for
	ringRead  = 5 * time.Minute  // between two looks at what others fetched
	ringWait  = 5 * time.Second  // that a token request waits for issuers, for all that it asks together
	ringFetch = 20 * time.Second // that fetching may take: discovery and the keys, of which egress gives each ten
	maxStored = 200 << 10        // bytes of a key set
	maxRings  = 1000             // remembered in one process
)

// rings are the key sets of issuers. They are kept in the table too: an
// environment on Lambda lives shortly, and the keys are to outlive an hour in
// which their issuer does not answer, and the minute to hold for all of them.
type rings struct {
	table table.Table
	fetch Fetcher
	now   func() time.Time
	log   *slog.Logger

	mu sync.Mutex
	m  map[string]*ring
}

// ring is one issuer's.
type ring struct {
	turn chan struct{} // holds a token while nobody is at it
	held atomic.Pointer[held]
	look atomic.Pointer[look] // what is under way

	// What follows is for who has the turn.

	set     jwt.Set
	said    stored
	item    table.Item // as read or written last; the zero Item: none yet
	read    time.Time  // when the table was looked at
	attempt time.Time  // when this process fetched last
}

// held is a set that is believed without a look at the table.
type held struct {
	set   jwt.Set
	until time.Time
	stale time.Time // from then on it is believed no longer, whatever happens
}

// stored is what JWKS#<hash> says.
type stored struct {
	Keys    json.RawMessage `json:"keys,omitempty"` // the document as it came
	Fetched time.Time       `json:"fetched,omitzero"`
	Tried   time.Time       `json:"tried"` // when somebody began to fetch
}

// held returns the issuer's keys if they are at hand, without waiting for anybody.
func (rs *rings) held(t org.Trust) (jwt.Set, bool) {
	h := rs.ring(t).held.Load()
	if h == nil || !rs.now().Before(h.until) {
		return jwt.Set{}, false
	}
	return h.set, true
}

// hold lets everybody have the set for as long as it needs no other look.
func (r *ring) hold() {
	h := &held{r.set, r.read.Add(ringRead), r.said.Fetched.Add(ringStale)}
	if old := r.said.Fetched.Add(ringFresh); old.Before(h.until) {
		h.until = old
	}
	r.held.Store(h)
}

// keys returns the issuer's keys, fetched anew where they are old, or where
// again says that they do not fit; but not within a minute of the last try. The
// context is the time that the request has. Fetching has its own, and goes on
// for those who come next: an issuer that needs longer is asked all the same,
// and whoever waits in vain gets the keys from before, if they are not too old.
//
// doubt is nil where the set is what the issuer says, as far as it may be asked;
// else, what to answer to a signature that the set does not fit.
func (rs *rings) keys(wait context.Context, t org.Trust, again bool) (set jwt.Set, doubt, err error) {
	r := rs.ring(t)
	if l := r.look.Load(); l != nil && l.late.Load() || wait.Err() != nil || !r.take(wait) {
		return rs.before(r)
	}
	l := &look{done: make(chan struct{})}
	r.look.Store(l)
	go func() {
		defer func() {
			if p := recover(); p != nil { // what the issuer sent may hold anything
				l.err = fmt.Errorf("panic with a %T\n%s", p, debug.Stack())
			}
			r.hold()
			r.look.Store(nil)
			r.turn <- struct{}{}
			close(l.done)
		}()
		l.set, l.doubt, l.err = rs.ask(context.WithoutCancel(wait), r, t, again)
	}()
	select {
	case <-l.done:
		return l.set, l.doubt, l.err
	case <-wait.Done():
		l.late.Store(true)
		return rs.before(r)
	}
}

// look is one at the table, and perhaps at the issuer.
type look struct {
	late  atomic.Bool   // somebody has waited for it in vain: nobody else need
	done  chan struct{} // closed when the rest is said
	set   jwt.Set
	doubt error
	err   error
}

// before returns the set from before what is under way.
func (rs *rings) before(r *ring) (set jwt.Set, doubt, err error) {
	h := r.held.Load()
	if h == nil || h.set.Len() == 0 || !rs.now().Before(h.stale) {
		return jwt.Set{}, nil, unfetched(ringWait)
	}
	return h.set, unfetched(ringWait), nil
}

// ask is keys for who has the turn.
func (rs *rings) ask(ctx context.Context, r *ring, t org.Trust, again bool) (set jwt.Set, doubt, err error) {
	now := rs.now()
	key := ringKey(t)
	if r.set.Len() == 0 || now.Sub(r.read) >= ringRead { // others may have got the first
		if err := rs.load(ctx, r, key); err != nil {
			return jwt.Set{}, nil, err
		}
		r.hold()
	}
	if again || r.set.Len() == 0 || now.Sub(r.said.Fetched) >= ringFresh {
		if err := rs.renew(ctx, r, key, t); err != nil {
			return jwt.Set{}, nil, err
		}
	}
	later := unfetched(ringTried - now.Sub(r.said.Tried))
	if r.set.Len() == 0 || now.Sub(r.said.Fetched) >= ringStale {
		return jwt.Set{}, nil, later
	}
	if r.said.Tried.After(r.said.Fetched) { // whoever tried after these came has failed, or is not done
		doubt = later
	}
	return r.set, doubt, nil
}

// take waits for the turn, and reports whether it came. A turn that is free is
// taken whatever the time, so that the answer is not by chance.
func (r *ring) take(wait context.Context) bool {
	select {
	case <-r.turn:
		return true
	default:
	}
	select {
	case <-r.turn:
		return true
	case <-wait.Done():
		return false
	}
}

func unfetched(retry time.Duration) *refusal {
	return busy(http.StatusServiceUnavailable, "keys", "The keys of the assertion's issuer cannot be fetched for now. Wait as long as Retry-After says, then try again.", max(time.Second, retry), nil)
}

func ringName(t org.Trust) string {
	if t.Keys != "" {
		return "keys " + t.Keys
	}
	return "issuer " + t.Issuer
}

func ringKey(t org.Trust) table.Key {
	h := sha256.Sum256([]byte(ringName(t)))
	return table.Key{Part: "JWKS#" + identity.Encode(h[:16]), Sort: "#"}
}

func (rs *rings) ring(t org.Trust) *ring {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	name := ringName(t)
	if r := rs.m[name]; r != nil {
		return r
	}
	if rs.m == nil || len(rs.m) >= maxRings {
		rs.m = map[string]*ring{}
	}
	r := &ring{turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	rs.m[name] = r
	return r
}

// load takes what the table has.
func (rs *rings) load(ctx context.Context, r *ring, key table.Key) error {
	items, err := rs.table.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read a key set: %w", err)
	}
	r.read = rs.now()
	if len(items) == 0 {
		r.item, r.said, r.set = table.Item{}, stored{}, jwt.Set{}
		return nil
	}
	var s stored
	if err := json.Unmarshal(items[0].Data, &s); err != nil {
		return fmt.Errorf("read a key set: the item is damaged")
	}
	r.item, r.said = items[0], s
	r.set = jwt.Set{}
	if len(s.Keys) > 0 {
		if r.set, err = jwt.ParseSet(s.Keys); err != nil {
			return fmt.Errorf("read a key set: %w", err)
		}
	}
	return nil
}

// renew fetches the keys, unless somebody tried within the minute. That fetching
// fails is no error: the keys from before stay.
func (rs *rings) renew(ctx context.Context, r *ring, key table.Key, t org.Trust) error {
	now := rs.now()
	recent := func() bool {
		// Where there are no keys yet, a try of another process may be under way, and
		// whoever cannot wait for that one tries, too.
		tried := now.Sub(r.said.Tried)
		return now.Sub(r.attempt) < ringTried || tried < ringTried && (r.set.Len() > 0 || tried >= ringWait)
	}
	if recent() {
		return nil
	}
	// Of those who would fetch at once one does: the others' write conflicts.
	said := r.said
	said.Tried = now
	switch err := rs.save(ctx, r, key, said); {
	case table.Conflicts(err):
		if err := rs.load(ctx, r, key); err != nil {
			return err
		}
		if recent() {
			return nil
		}
	case err != nil:
		return err
	}
	r.attempt = now
	fetch, cancel := context.WithTimeout(ctx, ringFetch)
	defer cancel()
	doc, set, err := rs.get(fetch, t)
	if err != nil {
		rs.log.WarnContext(ctx, "an issuer's keys cannot be fetched", "item", key.Part, "error", err.Error())
		return nil
	}
	r.set = set
	said.Keys, said.Fetched = doc, now
	if err := rs.save(ctx, r, key, said); table.Conflicts(err) {
		r.said = said // another has fetched them besides
	} else if err != nil {
		return err
	}
	return nil
}

// save writes what is known over what was read.
func (rs *rings) save(ctx context.Context, r *ring, key table.Key, s stored) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write a key set: %w", err)
	}
	// It goes with the last trust that asked for it.
	until := rs.now().Add(30 * 24 * time.Hour)
	w := table.Create(key, b).Until(until)
	if r.item.Exists() {
		w = table.Replace(r.item, b).Until(until)
	}
	v, err := rs.table.Commit(ctx, w)
	if err != nil {
		return fmt.Errorf("write a key set: %w", err)
	}
	r.said, r.item = s, table.Item{Key: key, Version: v, Data: b, Expires: w.Expires}
	return nil
}

// get fetches the keys from where the trust says, or where the issuer's
// discovery document does (OpenID Connect Discovery §4).
func (rs *rings) get(ctx context.Context, t org.Trust) ([]byte, jwt.Set, error) {
	at := t.Keys
	if at == "" {
		b, err := rs.fetch.Get(ctx, strings.TrimSuffix(t.Issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, jwt.Set{}, fmt.Errorf("discover the keys: %w", err)
		}
		var doc struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if json.Unmarshal(b, &doc) != nil || doc.Keys == "" {
			return nil, jwt.Set{}, errors.New("discover the keys: the document names none")
		}
		if doc.Issuer != t.Issuer {
			return nil, jwt.Set{}, errors.New("discover the keys: the document is another issuer's")
		}
		at = doc.Keys
	}
	b, err := rs.fetch.Get(ctx, at)
	if err != nil {
		return nil, jwt.Set{}, fmt.Errorf("fetch the keys: %w", err)
	}
	if len(b) > maxStored {
		return nil, jwt.Set{}, fmt.Errorf("fetch the keys: they have more than %d bytes", maxStored)
	}
	set, err := jwt.ParseSet(b)
	if err != nil {
		return nil, jwt.Set{}, fmt.Errorf("fetch the keys: %w", err)
	}
	return b, set, nil
}
