package portal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
)

const (
	arrivalsShown  = 20  // newest users on the page
	arrivalsSought = 200 // entries of the log that are looked through for them
	pageSize       = 50  // users on a page of the complete list
	conflictsShown = 100
)

// userRow is a user in a list.
type userRow struct {
	ID         identity.User
	Name       string
	Email      string
	Stage      badge
	Connection string
	Mail       badge
	MailText   string // a carrier's code; may be empty
	Joined     time.Time
	Link       bool // the directory's record of a user that it did not bring
}

type usersView struct {
	Arrivals    arrivalsView
	Connections []connectionLink
	Connection  string // of the list, by name
	Rows        []userRow
	Pager       pager
	Conflicts   int
}

type arrivalsView struct {
	Rows    []userRow
	Version string // of what the part shows
}

type connectionLink struct {
	Name string
	Href string
	Open bool
}

// users is the admin's page: who arrived last, live, and everybody by
// connection.
func (p *portal) users(x *exchange) error {
	names, all, err := p.connections(x)
	if err != nil {
		return err
	}
	arrivals, err := p.arrived(x, names)
	if err != nil {
		return err
	}
	q := x.r.URL.Query()
	open := identity.Manual
	if len(all) > 1 {
		open = all[0].ID
	}
	if asked := q.Get("connection"); asked != "" {
		at := slices.IndexFunc(all, func(c org.Connection) bool { return string(c.ID) == asked })
		if at < 0 {
			return errNoPage
		}
		open = all[at].ID
	}
	start, err := strconv.Atoi(q.Get("start"))
	if err != nil || start < 1 {
		start = 1
	}
	list, err := roster.Of(p.Table, x.org).UserPage(x.ctx(), open, start, pageSize, false)
	if err != nil {
		return err
	}
	rows, err := p.rows(x, list.Resources, names)
	if err != nil {
		return err
	}
	conflicts, err := roster.Of(p.Table, x.org).Conflicts(x.ctx(), conflictsShown)
	if err != nil {
		return err
	}
	v := usersView{Arrivals: arrivals, Connection: names[open], Rows: rows, Conflicts: len(conflicts)}
	for _, c := range all {
		v.Connections = append(v.Connections, connectionLink{Name: names[c.ID], Href: x.listAddress(c.ID, 1), Open: c.ID == open})
	}
	v.Pager = pager{From: start, To: start + len(rows) - 1, Total: list.Total}
	if start > 1 {
		v.Pager.Prev = x.listAddress(open, max(1, start-pageSize))
	}
	if v.Pager.To < list.Total && len(rows) > 0 {
		v.Pager.Next = x.listAddress(open, start+pageSize)
	}
	if len(rows) == 0 {
		v.Pager.From, v.Pager.To = 0, 0
	}
	return x.render(http.StatusOK, "users", view{Section: "users", Data: v})
}

func (x *exchange) listAddress(c identity.Connection, start int) string {
	to := x.base() + "admin/users?connection=" + url.QueryEscape(string(c))
	if start > 1 {
		to += "&start=" + strconv.Itoa(start)
	}
	return to + "#everybody"
}

// connections returns what the organization's connections are called, and the
// connections, the one for users made by hand last.
func (p *portal) connections(x *exchange) (map[identity.Connection]string, []org.Connection, error) {
	all, err := p.Orgs.Connections(x.ctx(), x.org)
	if err != nil {
		return nil, nil, err
	}
	byHand, err := p.pages[x.lang].text("users.by-hand")
	if err != nil {
		return nil, nil, err
	}
	all = append(all, org.Connection{ID: identity.Manual, Name: byHand})
	names := make(map[identity.Connection]string, len(all))
	for _, c := range all {
		names[c.ID] = c.Name
	}
	return names, all, nil
}

// rows puts users and what became of their mails together.
func (p *portal) rows(x *exchange, users []roster.User, names map[identity.Connection]string) ([]userRow, error) {
	ids := make([]identity.User, len(users))
	for i, u := range users {
		ids[i] = person(u)
	}
	// Two records of one person are possible in one list.
	states, err := p.Courier.States(x.ctx(), x.org, slices.Compact(slices.Sorted(slices.Values(ids)))...)
	if err != nil {
		return nil, err
	}
	rows := make([]userRow, len(users))
	for i, u := range users {
		state, mailed := states[ids[i]]
		rows[i] = userRow{
			ID: u.ID, Name: u.Name(), Email: u.Email(), Stage: stageBadge(u.Stage()), Connection: names[u.ID.Connection()],
			Mail: mailBadge(state, mailed), MailText: state.Reason, Joined: u.Created, Link: u.Target != "",
		}
	}
	return rows, nil
}

// person is the user that a record means.
func person(u roster.User) identity.User {
	if u.Target != "" {
		return u.Target
	}
	return u.ID
}

func stageBadge(s identity.Stage) badge {
	switch s {
	case identity.Active:
		return badge{Shape: "full", Tone: "good", Text: "stage.active"}
	case identity.Invited:
		return badge{Shape: "half", Tone: "wait", Text: "stage.invited"}
	case identity.Suspended:
		return badge{Shape: "bars", Tone: "bad", Text: "stage.suspended"}
	}
	return badge{Shape: "ring", Tone: "calm", Text: "stage.deleted"}
}

func mailBadge(s courier.State, mailed bool) badge {
	if !mailed {
		return badge{Shape: "ring", Tone: "calm", Text: "mail.none"}
	}
	b := badge{Text: "mail." + string(s.Status)}
	switch s.Status {
	case courier.Sent, courier.Delivered:
		b.Shape, b.Tone = "full", "good"
	case courier.Queued, courier.Sending:
		b.Shape, b.Tone = "half", "wait"
	case courier.Cancelled:
		b.Shape, b.Tone = "ring", "calm"
	default:
		b.Shape, b.Tone = "cross", "bad"
	}
	return b
}

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
// It keeps nobody signed in; whose session is over is sent to sign in by the
// page's being loaded again.
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
		x.w.Header().Set("HX-Refresh", "true")
		return x.nothing()
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

func (p *portal) toUsers(x *exchange) error { return x.redirect(x.base() + "admin/users") }

type searchView struct {
	Asked string
	Rows  []userRow
}

// search finds users by their whole userName or address. It is a POST, so that
// no address of a page holds a person's.
func (p *portal) search(x *exchange) error {
	v := searchView{Asked: strings.TrimSpace(x.r.PostForm.Get("q"))}
	if v.Asked == "" {
		return p.toUsers(x)
	}
	r := roster.Of(p.Table, x.org)
	claim, err := r.ByUserName(x.ctx(), v.Asked)
	if err != nil {
		return err
	}
	mailed, err := r.ByEmail(x.ctx(), "", v.Asked)
	if err != nil {
		return err
	}
	ids := slices.Compact(slices.Sorted(slices.Values(append(mailed, claim.IDs...))))
	users, err := r.Users(x.ctx(), ids[:min(len(ids), pageSize)]...)
	if err != nil {
		return err
	}
	if len(users) == 1 {
		return x.redirect(x.base() + "admin/users/" + string(users[0].ID))
	}
	names, _, err := p.connections(x)
	if err != nil {
		return err
	}
	if v.Rows, err = p.rows(x, users, names); err != nil {
		return err
	}
	return x.render(http.StatusOK, "search", view{Section: "users", Data: v})
}

type conflictRow struct {
	Holder identity.User
	Name   string
	HeldBy string
	Wanted string
	At     time.Time
}

// conflicts lists the names that two directories want.
func (p *portal) conflicts(x *exchange) error {
	r := roster.Of(p.Table, x.org)
	found, err := r.Conflicts(x.ctx(), conflictsShown)
	if err != nil {
		return err
	}
	names, _, err := p.connections(x)
	if err != nil {
		return err
	}
	var rows []conflictRow
	for _, c := range found {
		u, err := r.User(x.ctx(), c.Holder, false)
		if fault.Is(err, fault.NotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		rows = append(rows, conflictRow{Holder: u.ID, Name: u.UserName(), HeldBy: names[u.ID.Connection()], Wanted: names[c.Wanted], At: c.At})
	}
	return x.render(http.StatusOK, "conflicts", view{Section: "users", Data: rows})
}
