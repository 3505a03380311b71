package scimhttp

import (
	"context"
	"net/http"

	"gatehouse/internal/fault"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// wantMembers tells whether the members of the group go into the answer. A
// group too large to be listed whole comes without them, and says so to who
// insists, unless it is the answer to a change that is made.
func (c *call) wantMembers(g *roster.Group, p schema.Projection) (bool, error) {
	if !p.Wants("members") {
		return false, nil
	}
	if g.Count <= c.h.maxMembers {
		return true, nil
	}
	if c.changed || !p.Asks("members") {
		return false, nil
	}
	return false, fault.New(fault.Invalid, fault.TooMany, "The group has more than %d members; they are not listed in one answer. GET /Groups/%s/members lists them by pages.", c.h.maxMembers, g.ID)
}

func (c *call) membersOf(ctx context.Context, g *roster.Group) ([]roster.Member, error) {
	if g.Count <= 0 {
		return nil, nil
	}
	members := make([]roster.Member, 0, g.Count)
	for m, err := range c.dir.Roster.Members(ctx, g.ID) {
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	roster.SortMembers(members)
	return members, nil
}

// renderGroup renders a group with its members where they are wanted.
func (c *call) renderGroup(g *roster.Group, p schema.Projection) ([]byte, error) {
	want, err := c.wantMembers(g, p)
	if err != nil {
		return nil, err
	}
	var members []roster.Member
	if want {
		if members, err = c.membersOf(c.r.Context(), g); err != nil {
			return nil, err
		}
	}
	return project(c.h.appendGroup(make([]byte, 0, len(g.Raw)+512+130*len(members)), g, members), p)
}

func (c *call) sendGroup(status int, g *roster.Group, p schema.Projection) error {
	b, err := c.renderGroup(g, p)
	if err != nil {
		return err
	}
	return c.sendResource(status, c.h.base+"/Groups/"+string(g.ID), g.Tag(), b)
}

func (c *call) getGroup(id string) error {
	p, err := c.projection(schema.Group)
	if err != nil {
		return err
	}
	g, err := c.dir.Group(c.r.Context(), id)
	if err != nil {
		return err
	}
	if err := c.fits(g.Tag()); err != nil {
		return err
	}
	if c.notModified(g.Tag()) {
		return nil
	}
	return c.sendGroup(http.StatusOK, &g, p)
}

// belated is what shows only when members are looked up, as often as a change is
// decided anew; it is counted once.
type belated struct {
	wrong    map[string]bool // ids whose type is not what the client says
	upserted map[int]bool    // steps that were to replace somebody, and only add
}

func newBelated() belated { return belated{map[string]bool{}, map[int]bool{}} }

func (b belated) corrected(id string) { b.wrong[id] = true }

func (b belated) count(report *schema.Report) {
	for range b.wrong {
		report.Add(schema.ReadOnlyPassed)
	}
	for _, is := range b.upserted {
		if is {
			report.Add(schema.Upserted)
		}
	}
}

func (c *call) postGroup() error {
	p, err := c.projection(schema.Group)
	if err != nil {
		return err
	}
	doc, body, err := c.normalized(schema.Group)
	if err != nil {
		return err
	}
	ids, err := patch.ReadMembers(body.Get("members"), c.mode, &c.report)
	if err != nil {
		return err
	}
	late := newBelated()
	g, err := c.dir.CreateGroupOf(c.r.Context(), doc,
		provision.MemberOp{Kind: provision.AddMembers, IDs: ids, Types: patch.MemberTypes(body.Get("members")), Corrected: late.corrected})
	if err != nil {
		return err
	}
	c.changed = true
	late.count(&c.report)
	return c.sendGroup(http.StatusCreated, &g, p)
}

// putGroup replaces name and members. A body without members leaves nobody in
// the group (RFC 7644 §3.5.1): that is how identity providers that only PUT
// empty one. But where GET does not show the members, such a body may be what
// GET answered, and is refused.
func (c *call) putGroup(id string) error {
	p, err := c.projection(schema.Group)
	if err != nil {
		return err
	}
	doc, body, err := c.normalized(schema.Group)
	if err != nil {
		return err
	}
	ids, err := patch.ReadMembers(body.Get("members"), c.mode, &c.report)
	if err != nil {
		return err
	}
	most := 0
	if body.Get("members").Kind() == value.Absent {
		most = c.h.maxMembers
	}
	late := newBelated()
	g, _, err := c.dir.ChangeGroup(c.r.Context(), id, c.ifMatch(),
		func(roster.Group) (provision.Doc, error) { return doc, nil },
		[]provision.MemberOp{{Kind: provision.ReplaceMembers, IDs: ids, Most: most, Types: patch.MemberTypes(body.Get("members")), Corrected: late.corrected}})
	if err != nil {
		return err
	}
	c.changed = true
	late.count(&c.report)
	return c.sendGroup(http.StatusOK, &g, p)
}

// patchGroup answers 204, as Entra prefers for groups, unless the client asks
// for attributes.
func (c *call) patchGroup(id string) error {
	p, err := c.projection(schema.Group)
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
	rest, steps, err := req.SplitMembers(c.mode)
	if err != nil {
		return err
	}
	c.report = rest.Report()
	var edit func(roster.Group) (provision.Doc, error)
	if !rest.IsEmpty() {
		edit = func(g roster.Group) (provision.Doc, error) {
			return c.apply(rest, schema.Group, g.Doc(), id)
		}
	}
	match := c.ifMatch()
	late := newBelated()
	var g roster.Group
	if ops := c.memberOps(steps, late); edit == nil && match == nil {
		_, err = c.dir.ChangeMembers(c.r.Context(), id, ops)
	} else {
		g, _, err = c.dir.ChangeGroup(c.r.Context(), id, match, edit, ops)
	}
	if err != nil {
		return err
	}
	c.changed = true
	late.count(&c.report)
	if !p.IsDefault() {
		if g, err = c.dir.Group(c.r.Context(), id); err != nil {
			return err
		}
		return c.sendGroup(http.StatusOK, &g, p)
	}
	if match != nil && !g.Newer {
		// The client knew the state that it changed, so it knows the one that the
		// tag is of. Another's tag would let it overwrite what it never saw.
		c.w.Header().Set("ETag", etag(g.Tag()))
	}
	c.sendNothing(http.StatusNoContent)
	return nil
}

func (c *call) memberOps(steps []patch.MemberOp, late belated) []provision.MemberOp {
	out := make([]provision.MemberOp, len(steps))
	for i, s := range steps {
		out[i] = provision.MemberOp{IDs: s.IDs, Types: s.Types, Corrected: late.corrected}
		switch s.Kind {
		case patch.Add:
			out[i].Kind = provision.AddMembers
		case patch.Remove:
			out[i].Kind = provision.RemoveMembers
		case patch.Replace, patch.Clear:
			out[i].Kind = provision.ReplaceMembers
		case patch.Choose:
			out[i].Kind = provision.ChooseMembers
			out[i].Choice = &provision.Choice{Among: s.Choice.Among, Most: c.h.maxMembers, Pick: func(now []roster.Member) ([]roster.Member, bool, error) {
				picked, err := s.Choice.Pick(len(now), func(i int) value.Value { return c.h.member(now[i]) })
				late.upserted[i] = picked.Upserted
				gone := make([]roster.Member, len(picked.Gone))
				for i, at := range picked.Gone {
					gone[i] = now[at]
				}
				return gone, picked.Come, err
			}}
		}
	}
	return out
}

// member is a member as GET shows it.
func (h *Handler) member(m roster.Member) value.Value {
	v, _ := value.Parse(h.appendMember(nil, m)) // we rendered it
	return v
}
