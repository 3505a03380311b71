package scimhttp

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
)

// listing is a query for resources and the page of the answer as it grows.
type listing struct {
	start, count int
	filter       *filter.Bound // nil: everything
	projection   schema.Projection
	limit        int // bytes of resources

	total     int // matches so far; in the end, all of them
	resources [][]byte
	size      int
	full      bool // the page ends before count, for its size
}

// list answers the query in the URL (RFC 7644 §3.4.2).
func (c *call) list(rt *schema.ResourceType) error {
	p, err := c.parameters()
	if err != nil {
		return err
	}
	return c.query(rt, p)
}

// search answers the query of a SearchRequest, for what does not fit into a URL
// or is not to stand in one (RFC 7644 §3.4.3).
func (c *call) search(rt *schema.ResourceType) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	p, err := searchParameters(body, c.mode)
	if err != nil {
		return err
	}
	return c.query(rt, p)
}

func (c *call) query(rt *schema.ResourceType, p parameters) error {
	l, err := c.listing(rt, p)
	if err != nil {
		return err
	}
	switch {
	case rt == schema.User && l.filter == nil:
		err = c.userPage(l)
	case rt == schema.User:
		err = c.matchUsers(l)
	case l.filter == nil:
		err = c.groupPage(l)
	default:
		err = c.matchGroups(l)
	}
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, appendList(make([]byte, 0, l.size+len(l.resources)+200), l.total, l.start, l.resources))
}

func (c *call) listing(rt *schema.ResourceType, p parameters) (*listing, error) {
	start, err := number("startIndex", p.startIndex, 1)
	if err != nil {
		return nil, err
	}
	count, err := number("count", p.count, usualPage)
	if err != nil {
		return nil, err
	}
	l := &listing{start: max(start, 1), count: min(max(count, 0), maxPage), limit: c.h.maxAnswer}
	if l.projection, err = schema.ParseProjection(rt, p.attributes, p.excluded); err != nil {
		return nil, err
	}
	if p.filter != nil {
		e, err := filter.Parse(*p.filter)
		if err != nil {
			return nil, err
		}
		if l.filter, err = filter.Bind(e, rt, c.mode); err != nil {
			return nil, err
		}
		c.report.Merge(l.filter.Report())
	}
	return l, nil
}

// most is more than any listing has.
const most = 1 << 40

// number reads startIndex or count. What is no whole number is refused; what is
// out of range is brought into it by the caller (RFC 7644 §3.4.2.4).
func number(name string, text *string, usual int) (int, error) {
	if text == nil || strings.TrimSpace(*text) == "" {
		return usual, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(*text), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // n is the bound that was passed
		return 0, fault.New(fault.Invalid, fault.InvalidValue, "%s is not a whole number.", name)
	}
	return int(max(-1, min(n, most))), nil
}

// found counts one more match and reports whether it belongs to the page.
func (l *listing) found() bool {
	l.total++
	return l.total >= l.start && len(l.resources) < l.count && !l.full
}

// add puts a rendered resource on the page. Where it would make the answer too
// large the page ends before it: a client goes on at startIndex + itemsPerPage.
func (l *listing) add(rendered []byte) {
	if l.full = l.full || l.size+len(rendered) > l.limit && len(l.resources) > 0; l.full {
		return
	}
	l.resources = append(l.resources, rendered)
	l.size += len(rendered)
}

func (c *call) userPage(l *listing) error {
	groups := l.projection.Wants("groups")
	page, err := c.dir.Roster.UserPage(c.r.Context(), c.dir.Connection().ID, l.start, l.count, groups)
	if err != nil {
		return err
	}
	l.total = page.Total
	for i := range page.Resources {
		b, err := c.renderUser(&page.Resources[i], l.projection)
		if err != nil {
			return err
		}
		if l.add(b); l.full {
			break
		}
	}
	return nil
}

func (c *call) groupPage(l *listing) error {
	page, err := c.dir.Roster.GroupPage(c.r.Context(), c.dir.Connection().ID, l.start, l.count)
	if err != nil {
		return err
	}
	l.total = page.Total
	for i := range page.Resources {
		b, err := c.renderGroup(&page.Resources[i], l.projection)
		if err != nil {
			return err
		}
		if l.add(b); l.full {
			break
		}
	}
	return nil
}

// appendList renders a ListResponse.
func appendList(b []byte, total, start int, resources [][]byte) []byte {
	b = append(b, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":`...)
	b = strconv.AppendInt(b, int64(total), 10)
	b = append(b, `,"startIndex":`...)
	b = strconv.AppendInt(b, int64(start), 10)
	b = append(b, `,"itemsPerPage":`...)
	b = strconv.AppendInt(b, int64(len(resources)), 10)
	b = append(b, `,"Resources":[`...)
	for i, r := range resources {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r...)
	}
	return append(b, `]}`...)
}
