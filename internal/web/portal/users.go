package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
)

// pageSize is how many users a page of the complete list has.
const pageSize = 50

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
	v := usersView{Arrivals: arrivals, Rows: rows, Conflicts: len(conflicts)}
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

func (p *portal) toUsers(x *exchange) error { return x.redirect(x.base() + "admin/users") }
