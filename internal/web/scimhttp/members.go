package scimhttp

import (
	"net/http"

	"gatehouse/internal/fault"
	"gatehouse/internal/roster"
)

// members answers at /Groups/{id}/members, an extension of ours for groups that
// are too large to be answered whole: a ListResponse whose resources are the
// values that `members` would have, in an order that stays the same. Its total
// is the group's count, which holds who is deleted until the feed has swept; no
// page does.
func (c *call) members(id string) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return &methodError{"GET, HEAD"}
	}
	p, err := c.parameters()
	if err != nil {
		return err
	}
	if p.filter != nil {
		return fault.New(fault.Invalid, fault.InvalidFilter, "Members are listed without a filter. Whether somebody is one: GET /Groups?filter=id eq \"…\" and members.value eq \"…\".")
	}
	page, err := c.paging("members of "+id, p)
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
	c.w.Header().Set("ETag", etag(g.Tag()))
	if c.notModified(g.Tag()) {
		return nil
	}
	var members []roster.Member
	next := ""
	if page.cursor {
		var more bool
		members, more, err = c.dir.Roster.MembersAfter(c.r.Context(), g.ID, page.from.after(), page.count)
		if more {
			next = c.next(page, behind(0, members[len(members)-1].ID))
		}
	} else {
		var found roster.Page[roster.Member]
		found, err = c.dir.Roster.MemberPage(c.r.Context(), g, page.start, page.count)
		members = found.Resources
	}
	if err != nil {
		return err
	}
	resources := make([][]byte, len(members))
	size := 0
	for i, m := range members {
		resources[i] = c.h.appendMember(make([]byte, 0, 160+len(c.h.base)), m)
		size += len(resources[i]) + 1
	}
	return c.send(http.StatusOK, appendPage(make([]byte, 0, size+300), page, g.Count, next, resources))
}
