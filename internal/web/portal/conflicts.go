package portal

import (
	"net/http"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
)

const conflictsShown = 100

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
