package portal

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/roster"
)

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
