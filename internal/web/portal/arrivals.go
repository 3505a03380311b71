package portal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"sync"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
)

const (
	arrivalsShown  = 20  // newest users on the page
	arrivalsSought = 200 // entries of the log that are looked through for them
)

// arrivals remembers, for each organization, who arrived last, as of an entry
// of its log: while the log has not grown, a page that polls costs one read and
// the mails' states.
type arrivals struct {
	mu   sync.Mutex
	byID map[identity.Org]newest
}

type newest struct {
	last  int64 // entry of the log
	users []roster.User
}

const maxRemembered = 1000 // organizations

func (a *arrivals) get(o identity.Org) (newest, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.byID[o]
	return e, ok
}

func (a *arrivals) put(o identity.Org, e newest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil || len(a.byID) >= maxRemembered {
		a.byID = map[identity.Org]newest{}
	}
	a.byID[o] = e
}

// latest returns the users who arrived last, newest first.
func (p *portal) latest(x *exchange) ([]roster.User, error) {
	log := audit.LogOf(p.Table, x.org)
	last, err := log.Last(x.ctx())
	if err != nil {
		return nil, err
	}
	if e, ok := p.arrivals.get(x.org.ID); ok && e.last == last {
		return e.users, nil
	}
	events, err := log.Latest(x.ctx(), arrivalsSought)
	if err != nil {
		return nil, err
	}
	var ids []identity.User
	for _, e := range events {
		if e.Kind != audit.UserJoined && e.Kind != audit.UserAdopted {
			continue
		}
		if id, ok := identity.ParseUser(e.Subject); ok && !slices.Contains(ids, id) && len(ids) < arrivalsShown {
			ids = append(ids, id)
		}
	}
	e := newest{last: last}
	if e.users, err = roster.Of(p.Table, x.org).Users(x.ctx(), ids...); err != nil {
		return nil, err
	}
	p.arrivals.put(x.org.ID, e)
	return e.users, nil
}

// arrived is the live part: its version names what it shows, times in words
// included.
func (p *portal) arrived(x *exchange, names map[identity.Connection]string) (arrivalsView, error) {
	users, err := p.latest(x)
	if err != nil {
		return arrivalsView{}, err
	}
	v := arrivalsView{}
	if v.Rows, err = p.rows(x, users, names); err != nil {
		return arrivalsView{}, err
	}
	var b bytes.Buffer
	shown := view{Lang: x.lang, Now: p.Now(), Base: x.base(), Part: "arrivals", Data: v}
	if err := p.pages[x.lang].execute(&b, "users", shown); err != nil {
		return arrivalsView{}, err
	}
	sum := sha256.Sum256(b.Bytes())
	v.Version = base64.RawURLEncoding.EncodeToString(sum[:12])
	return v, nil
}

// arrivalsPart answers the page that polls: nothing while nothing has changed.
// It keeps nobody signed in; where the session is over the page says so, and
// polls no more.
func (p *portal) arrivalsPart(x *exchange) error {
	if err := x.findSession(x.glance); err != nil {
		return err
	}
	if err := x.findOrg(); err != nil {
		return err
	}
	if x.session == nil || x.session.Org.ID != x.org.ID || !x.session.Admin {
		if x.r.Header.Get("HX-Request") == "" || x.session != nil {
			return p.admin(p.toUsers)(x)
		}
		return x.render(http.StatusOK, "users", view{Part: "signed-out"})
	}
	names, _, err := p.connections(x)
	if err != nil {
		return err
	}
	v, err := p.arrived(x, names)
	if err != nil {
		return err
	}
	if x.r.URL.Query().Get("v") == v.Version {
		return x.nothing()
	}
	return x.render(http.StatusOK, "users", view{Part: "arrivals", Data: v})
}

func (x *exchange) nothing() error {
	x.status = http.StatusNoContent
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}
