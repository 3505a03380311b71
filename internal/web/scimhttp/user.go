package scimhttp

import (
	"net/http"

	"gatehouse/internal/fault"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// trace finds the user's indirect groups where the client asks for groups by
// name: they cost a look at every group above.
func (c *call) trace(u *roster.User, p schema.Projection) error {
	if !p.Asks("groups") {
		return nil
	}
	if c.ancestry == nil {
		c.ancestry = c.dir.Roster.Ancestry()
	}
	err := c.ancestry.Of(c.r.Context(), u)
	if c.changed && fault.Coded(err, fault.TooMany) {
		return nil
	}
	return err
}

// renderUser renders a user with the memberships that it was read with.
func (c *call) renderUser(u *roster.User, p schema.Projection) ([]byte, error) {
	if err := c.trace(u, p); err != nil {
		return nil, err
	}
	room := make([]byte, 0, len(u.Raw)+640+120*len(u.Groups))
	return project(c.h.appendUser(room, u, p.Wants("groups")), p)
}

// sendUser answers with one user.
func (c *call) sendUser(status int, u *roster.User, p schema.Projection) error {
	b, err := c.renderUser(u, p)
	if err != nil {
		return err
	}
	return c.sendResource(status, c.h.base+"/Users/"+string(u.ID), u.ViewTag(), b)
}

func (c *call) getUser(id string) error {
	p, err := c.projection(schema.User)
	if err != nil {
		return err
	}
	u, err := c.dir.User(c.r.Context(), id, p.Wants("groups"))
	if err != nil {
		return err
	}
	if err := c.trace(&u, p); err != nil { // the tag tells of it
		return err
	}
	if err := c.fits(u.ViewTag()); err != nil {
		return err
	}
	if c.notModified(u.ViewTag()) {
		return nil
	}
	return c.sendUser(http.StatusOK, &u, p)
}

// normalized reads the body of a POST or PUT as a document to store and what it
// says of attributes that stand apart from the document.
func (c *call) normalized(rt *schema.ResourceType) (provision.Doc, value.Value, error) {
	body, err := c.body()
	if err != nil {
		return provision.Doc{}, value.Value{}, err
	}
	doc, apart, report, err := rt.Normalize(body, c.mode)
	c.report = report
	if err != nil {
		return provision.Doc{}, value.Value{}, err
	}
	return provision.Doc{Attributes: doc, Extensions: extensions(rt, doc)}, apart, nil
}

func (c *call) postUser() error {
	p, err := c.projection(schema.User)
	if err != nil {
		return err
	}
	doc, _, err := c.normalized(schema.User)
	if err != nil {
		return err
	}
	u, err := c.dir.Join(c.r.Context(), doc)
	if err != nil {
		return err
	}
	c.changed = true
	return c.sendUser(http.StatusCreated, &u, p)
}

// putUser replaces the attributes: what is left out is cleared (RFC 7644 §3.5.1),
// but for active, which stays what it was. Only a PATCH takes that away.
func (c *call) putUser(id string) error {
	p, err := c.projection(schema.User)
	if err != nil {
		return err
	}
	doc, _, err := c.normalized(schema.User)
	if err != nil {
		return err
	}
	return c.changeUser(id, p, func(u roster.User) (provision.Doc, error) { return doc.SayActive(u.Active()), nil })
}

func (c *call) patchUser(id string) error {
	p, err := c.projection(schema.User)
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	req, err := patch.Parse(body, c.mode)
	if err != nil {
		return err
	}
	return c.changeUser(id, p, func(u roster.User) (provision.Doc, error) {
		return c.apply(req, schema.User, u.Doc(), id)
	})
}

func (c *call) changeUser(id string, p schema.Projection, edit func(roster.User) (provision.Doc, error)) error {
	u, _, err := c.dir.Change(c.r.Context(), id, c.ifMatch(), edit)
	if err != nil {
		return err
	}
	c.changed = true
	return c.sendUser(http.StatusOK, &u, p)
}

// apply patches a stored document. The id goes in with it, so that an operation
// that names it is understood, and comes out again.
func (c *call) apply(req patch.Request, rt *schema.ResourceType, doc value.Value, id string) (provision.Doc, error) {
	with := value.Obj(append([]value.Member{value.M("id", value.Str(id))}, doc.Members()...)...)
	out, report, err := req.Apply(rt, with, c.mode)
	c.report = report
	if err != nil {
		return provision.Doc{}, err
	}
	out = out.Without("id")
	return provision.Doc{Attributes: out, Extensions: extensions(rt, out)}, nil
}
