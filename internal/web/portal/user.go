package portal

import (
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
)

const (
	timelineShown = 50
	linesShown    = 200 // lines of attributes, and of one event's changes
)

type userView struct {
	Row        userRow
	UserName   string
	Lines      []line
	Groups     []string
	MoreGroups int
	Target     identity.User // the user that this record means; empty: itself
	Links      []linkRow
	Mail       mailView
	Timeline   []entry
}

// line is one attribute by its path.
type line struct{ Path, Text string }

type linkRow struct {
	ID         identity.User
	Connection string
}

type mailView struct {
	Badge     badge
	Reason    string
	At        time.Time
	Sends     int
	CanResend bool
}

// entry is an event on the user's timeline.
type entry struct {
	At      time.Time
	Text    string // the text's name
	Actor   string // the text's name
	With    []any  // what the actor's text names
	Changes []change
}

type change struct{ Path, Before, After string }

// user is one user's page: what the directory says, what became of the mail,
// and what happened.
func (p *portal) user(x *exchange) error {
	u, err := p.found(x)
	if err != nil {
		return err
	}
	names, _, err := p.connections(x)
	if err != nil {
		return err
	}
	rows, err := p.rows(x, []roster.User{u}, names)
	if err != nil {
		return err
	}
	v := userView{Row: rows[0], UserName: u.UserName(), Target: u.Target}
	v.Lines = flatten(nil, "", u.Doc())
	if v.Groups, v.MoreGroups, err = p.groupsOf(x, u); err != nil {
		return err
	}
	for _, l := range u.Links {
		v.Links = append(v.Links, linkRow{l, names[l.Connection()]})
	}
	states, err := p.Courier.States(x.ctx(), x.org, person(u))
	if err != nil {
		return err
	}
	s := states[person(u)]
	v.Mail = mailView{
		Badge: rows[0].Mail, Reason: s.Reason, At: s.At, Sends: s.Generation,
		CanResend: u.Stage() == identity.Invited && u.Email() != "",
	}
	if v.Timeline, err = p.timeline(x, u, names); err != nil {
		return err
	}
	n := (*notice)(nil)
	switch {
	case x.r.URL.Query().Has("sent"):
		n = &notice{Kind: "good", Text: "user.sent"}
	case x.r.URL.Query().Has("often"):
		n = &notice{Kind: "bad", Text: "user.often"}
	}
	return x.render(http.StatusOK, "user", view{
		Section: "users", Notice: n, Data: v,
	})
}

// found returns the user that the address names, of this organization.
func (p *portal) found(x *exchange) (roster.User, error) {
	id, ok := identity.ParseUser(x.r.PathValue("user"))
	if !ok {
		return roster.User{}, errNoPage
	}
	u, err := roster.Of(p.Table, x.org).User(x.ctx(), id, false)
	if fault.Is(err, fault.NotFound) {
		return roster.User{}, errNoPage
	}
	return u, err
}

// welcome sends the welcome mail again: a new link, which voids the one before.
func (p *portal) welcome(x *exchange) error {
	u, err := p.found(x)
	if err != nil {
		return err
	}
	here := x.base() + "admin/users/" + string(u.ID)
	if u.Stage() != identity.Invited || u.Email() == "" {
		return x.redirect(here)
	}
	switch err := p.Courier.Resend(x.ctx(), x.org, person(u), "admin"); {
	case fault.Is(err, fault.Throttled):
		return x.redirect(here + "?often")
	case err != nil:
		return err
	}
	return x.redirect(here + "?sent")
}

// flatten lists a resource's values by path, as SCIM filters write them.
func flatten(out []line, path string, v value.Value) []line {
	if len(out) >= linesShown {
		return out
	}
	switch v.Kind() {
	case value.Absent:
		return out
	case value.Object:
		for _, m := range v.Members() {
			sep := "."
			if path == "" {
				sep = ""
			} else if strings.HasPrefix(path, "urn:") && !strings.Contains(path[strings.LastIndexByte(path, ':'):], ".") {
				sep = ":"
			}
			out = flatten(out, path+sep+m.Name, m.Value)
		}
		return out
	case value.Array:
		for _, e := range v.Elements() {
			out = append(out, line{path, plain(e)})
		}
		return out
	}
	return append(out, line{path, plain(v)})
}

// plain writes a value for people: the parts of a complex one after each other,
// its value first.
func plain(v value.Value) string {
	switch v.Kind() {
	case value.Absent, value.Null:
		return ""
	case value.Bool:
		if v.Bool() {
			return "true"
		}
		return "false"
	case value.Object:
		parts := []string{}
		if t := plain(v.Get("value")); t != "" {
			parts = append(parts, t)
		}
		for _, m := range v.Members() {
			if t := plain(m.Value); t != "" && !strings.EqualFold(m.Name, "value") {
				parts = append(parts, m.Name+": "+t)
			}
		}
		return strings.Join(parts, ", ")
	case value.Array:
		var parts []string
		for _, e := range v.Elements() {
			parts = append(parts, plain(e))
		}
		return strings.Join(parts, "; ")
	}
	return v.Text()
}

// eventTexts names the kinds of event that a user can have.
var eventTexts = map[audit.Kind]string{
	audit.UserJoined:    "event.joined",
	audit.UserAdopted:   "event.adopted",
	audit.UserChanged:   "event.changed",
	audit.UserSuspended: "event.suspended",
	audit.UserResumed:   "event.resumed",
	audit.UserActivated: "event.activated",
	audit.UserLeft:      "event.left",
}

// timeline is the user's latest events, newest first.
func (p *portal) timeline(x *exchange, u roster.User, names map[identity.Connection]string) ([]entry, error) {
	events, err := audit.LogOf(p.Table, x.org).Timeline(x.ctx(), string(u.ID), timelineShown, &u.Seal)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, e := range events {
		text := eventTexts[e.Kind]
		if text == "" {
			text = "event.other"
		}
		n := entry{At: e.ID.Time(), Text: text}
		n.Actor, n.With = actor(e.Actor, u, names)
		for _, c := range e.Changes {
			n.Changes = append(n.Changes, changes(c)...)
		}
		out = append(out, n)
	}
	return out, nil
}

// actor returns the text that says who did it, and what the text names.
func actor(a audit.Actor, u roster.User, names map[identity.Connection]string) (string, []any) {
	switch a.Kind {
	case "connection":
		id, _, _ := strings.Cut(a.ID, "/")
		if name, ok := names[identity.Connection(id)]; ok {
			return "actor.connection", []any{named(name)}
		}
		return "actor.connection.gone", nil
	case "user":
		if a.ID == string(u.ID) {
			return "actor.self", nil
		}
		return "actor.admin", nil
	case "operator":
		return "actor.operator", nil
	}
	return "actor.system", nil
}

// changes are the lines of a change: of a whole resource, one for each
// attribute.
func changes(c audit.Change) []change {
	if c.Path != "" {
		return []change{{c.Path, plain(c.Before), plain(c.After)}}
	}
	var out []change
	for _, l := range flatten(nil, "", c.Before) {
		out = append(out, change{Path: l.Path, Before: l.Text})
	}
	for _, l := range flatten(nil, "", c.After) {
		out = append(out, change{Path: l.Path, After: l.Text})
	}
	return out
}
