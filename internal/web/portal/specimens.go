package portal

import (
	"net/http"
	"time"

	"gatehouse/internal/identity"
)

// specimens shows every partial on one page, in every state, filled with what
// directories send on a bad day: the browser test photographs it.
func (p *portal) specimens(x *exchange) error {
	now := p.Now()
	id := identity.User("00000" + "0a1b2c3d4e5f6g7h8j9k0")
	row := userRow{ID: id, Name: "Erika Mustermann", Email: "erika.mustermann@example.com", Connection: "Entra ID", Joined: now.Add(-3 * time.Minute)}
	var rows []userRow
	for i, name := range []string{
		"Erika Mustermann", "Søren Ångström", "محمد بن سلمان", `<script>alert("x")</script>`,
		"Wolfgang Amadeus-Theophilus von und zu Hohenschwangau-Neuschwanstein", "",
	} {
		r := row
		r.Name = name
		r.Stage = stageBadge([]identity.Stage{identity.Invited, identity.Active, identity.Suspended, identity.Deleted}[i%4])
		r.Mail = []badge{
			{Shape: "half", Tone: "wait", Text: "mail.queued"}, {Shape: "full", Tone: "good", Text: "mail.sent"},
			{Shape: "cross", Tone: "bad", Text: "mail.refused"}, {Shape: "ring", Tone: "calm", Text: "mail.none"},
		}[i%4]
		r.Joined = now.Add(-time.Duration(i*i*i) * 17 * time.Hour)
		rows = append(rows, r)
	}
	rows[2].MailText = "550 5.1.1"
	return x.render(http.StatusOK, "specimens", view{Section: "specimens", Data: specimensView{
		Notices: []notice{{Kind: "good", Text: "sign-in.created"}, {Kind: "wait", Text: "users.conflicts.more", With: []any{3}}, {Kind: "bad", Text: "sign-in.refused"}},
		Fields: []field{
			{Name: "name", Label: "sign-in.name", Type: "text", Value: "erika.mustermann@example.com"},
			{Name: "password", Label: "activate.password", Hint: "activate.hint", HintWith: []any{15}, Type: "password", Reveal: true},
			{Name: "refused", Label: "activate.password", Hint: "activate.hint", HintWith: []any{15}, Error: "activate.long", ErrorWith: []any{256}, Type: "password", Reveal: true},
		},
		Rows:  rows,
		Pager: pager{From: 51, To: 100, Total: 12345, Prev: "#prev", Next: "#next"},
		Timeline: []entry{
			{At: now.Add(-time.Minute), Text: "event.activated", Actor: "actor.self"},
			{At: now.Add(-2 * time.Hour), Text: "event.changed", Actor: "actor.connection", With: []any{"Entra ID"}, Changes: []change{
				{Path: "displayName", Before: "Erika M.", After: "Erika Mustermann"}, {Path: "title", After: "Leiterin"},
			}},
			{At: now.Add(-49 * time.Hour), Text: "event.joined", Actor: "actor.connection", With: []any{"Entra ID"}},
		},
		ID:    id,
		Lives: secretLives,
	}})
}

type specimensView struct {
	Notices  []notice
	Fields   []field
	Rows     []userRow
	Pager    pager
	Timeline []entry
	ID       identity.User
	Lives    lifetimes
}
