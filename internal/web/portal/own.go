package portal

import (
	"net/http"

	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
)

// maxGroups is how many groups a page names.
const maxGroups = 50

type accountView struct {
	Name, Email, UserName string
	Groups                []string
	MoreGroups            int
}

// ownAccount answers: am I signed in, who am I here, and what do I have.
func (p *portal) ownAccount(x *exchange) error {
	u := x.session.User
	groups, more, err := p.groupsOf(x, u)
	if err != nil {
		return err
	}
	v := accountView{Name: u.Name(), Email: u.Email(), UserName: u.UserName(), Groups: groups, MoreGroups: more}
	page := view{Section: "account", Data: v}
	if x.r.URL.Query().Has("created") {
		page.Notice = &notice{Kind: "good", Text: "account.created"}
	}
	return x.render(http.StatusOK, "account", page)
}

// groupsOf returns the names of the user's groups, by the user's own id and by
// those that directories know the user by, and how many there are beyond
// maxGroups.
func (p *portal) groupsOf(x *exchange, u roster.User) (names []string, more int, err error) {
	r := roster.Of(p.Table, x.org)
	var ids []identity.Group
	for _, id := range append([]identity.User{u.ID}, u.Links...) {
		of, err := r.GroupsWithMember(x.ctx(), string(id))
		if err != nil {
			return nil, 0, err
		}
		ids = append(ids, of...)
	}
	named := min(len(ids), maxGroups)
	groups, err := r.GroupsOf(x.ctx(), ids[:named]...)
	if err != nil {
		return nil, 0, err
	}
	for _, g := range groups {
		names = append(names, g.Name())
	}
	return names, len(ids) - named, nil
}
