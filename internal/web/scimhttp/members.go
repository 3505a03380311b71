package scimhttp

import (
	"net/http"

	"gatehouse/internal/fault"
)

// maxMemberPage is how many members one page of /Groups/{id}/members has at
// most: they are small.
const maxMemberPage = 1000

// members answers at /Groups/{id}/members, an extension of ours for groups that
// are too large to be answered whole: a ListResponse whose resources are the
// values that `members` would have, in an order that stays the same.
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
	start, err := number("startIndex", p.startIndex, 1)
	if err != nil {
		return err
	}
	count, err := number("count", p.count, usualPage)
	if err != nil {
		return err
	}
	start, count = max(start, 1), min(max(count, 0), maxMemberPage)
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
	page, err := c.dir.Roster.MemberPage(c.r.Context(), g, start, count)
	if err != nil {
		return err
	}
	resources := make([][]byte, len(page.Resources))
	size := 0
	for i, m := range page.Resources {
		resources[i] = c.h.appendMember(make([]byte, 0, 160+len(c.h.base)), m)
		size += len(resources[i]) + 1
	}
	return c.send(http.StatusOK, appendPage(make([]byte, 0, size+200), paging{start: start}, page.Total, "", resources))
}
