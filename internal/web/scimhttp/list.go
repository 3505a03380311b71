package scimhttp

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
)

// listing is a query for resources and the page of the answer as it grows.
type listing struct {
	paging
	types []listed
	order *order // nil: that of ids, type by type
	scan  int    // candidates that may still be looked at, where no index helps
	work  filter.Budget
	limit int // bytes of resources

	total     int // matches so far; in the end, all of them
	resources [][]byte
	size      int
	full      bool // the page ends before count, for its size
	more      bool // something follows the page
	lastPart  int  // of the last resource of the page
	lastID    string
	last      place // behind it, in a sorted list
}

// listed is one of the resource types that a query is over.
type listed struct {
	*schema.ResourceType
	part       int           // its place among them
	filter     *filter.Bound // nil: everything
	projection schema.Projection
	by         schema.Ref // what is sorted by; zero: nothing that this type has
}

// uses reports whether filter or order look at the attribute with the name, one
// of the type's own.
func (t *listed) uses(name string) bool {
	return t.filter != nil && t.filter.Uses(name) || t.by.Attr != nil && t.by.URN == "" && t.by.Attr.Name == name
}

// list answers the query in the URL (RFC 7644 §3.4.2) over the resource types.
func (c *call) list(types ...*schema.ResourceType) error {
	p, err := c.parameters()
	if err != nil {
		return err
	}
	return c.query(types, p)
}

// search answers the query of a SearchRequest, for what does not fit into a URL
// or is not to stand in one (RFC 7644 §3.4.3).
func (c *call) search(types ...*schema.ResourceType) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	p, err := searchParameters(body, c.mode, &c.report)
	if err != nil {
		return err
	}
	return c.query(types, p)
}

func (c *call) query(types []*schema.ResourceType, p parameters) error {
	l, err := c.listing(types, p)
	if err != nil {
		return err
	}
	if l.order != nil {
		err = c.sorted(l)
	} else {
		err = c.inOrder(l)
	}
	if err != nil {
		return err
	}
	next := ""
	if l.cursor && l.more && len(l.resources) > 0 {
		at := behind(l.lastPart, l.lastID)
		if l.order != nil {
			at = l.last
		}
		next = c.next(l.paging, at)
	}
	return c.send(http.StatusOK, appendPage(make([]byte, 0, l.size+len(l.resources)+400), l.paging, l.total, next, l.resources))
}

// inOrder fills the page in the order of ids, type by type.
func (c *call) inOrder(l *listing) error {
	for i := range l.types {
		t := &l.types[i]
		var err error
		switch {
		case t.filter != nil && t.filter.Never():
		case t.filter != nil:
			err = c.matches(l, t)
		case t.ResourceType == schema.User:
			err = fill(l, t, c.users(t))
		case t.ResourceType == schema.Group:
			err = fill(l, t, c.groups(t))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *call) listing(types []*schema.ResourceType, p parameters) (*listing, error) {
	l := &listing{types: make([]listed, len(types)), limit: c.h.maxAnswer, scan: c.h.maxScan, work: c.h.maxWork}
	var bent schema.Report // names and filter are read for each type, but were sent once
	for i, rt := range types {
		t := &l.types[i]
		*t = listed{ResourceType: rt, part: i}
		var report schema.Report
		var err error
		if t.projection, err = schema.ParseProjection(rt, p.attributes, p.excluded, c.mode, &report); err != nil {
			return nil, err
		}
		bent.Cover(report)
	}
	c.report.Merge(bent)
	// A page may be asked for in the URL and the next one in a SearchRequest.
	list := strings.TrimSuffix(strings.TrimSuffix(c.route, "/.search"), "/") + "\x00"
	if p.filter != nil {
		e, err := filter.Parse(*p.filter)
		if err != nil {
			return nil, err
		}
		bound, err := filter.BindAcross(e, types, c.mode)
		if err != nil {
			return nil, err
		}
		bent = schema.Report{}
		for i, b := range bound {
			if !b.Always() {
				l.types[i].filter = b
			}
			bent.Cover(b.Report())
		}
		c.report.Merge(bent)
		list += *p.filter
	}
	by, err := c.order(l, p)
	if err != nil {
		return nil, err
	}
	l.paging, err = c.paging(list+"\x00"+by, p)
	return l, err
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

// found counts one more match, in the order of ids, and reports whether it
// belongs to the page.
func (l *listing) found(part int, id string) bool {
	l.total++
	switch {
	case l.cursor && (part < l.from.part || part == l.from.part && id <= l.from.after()), !l.cursor && l.total < l.start:
		return false
	case len(l.resources) == l.count || l.full:
		l.more = true
		return false
	}
	return true
}

// add puts a rendered resource on the page and reports whether it fits. Where it
// would make the answer too large the page ends before it: a client goes on at
// startIndex + itemsPerPage, or at the cursor.
func (l *listing) add(rendered []byte, part int, id string) bool {
	if l.full = l.full || l.size+len(rendered) > l.limit && len(l.resources) > 0; l.full {
		l.more = true
		return false
	}
	l.resources = append(l.resources, rendered)
	l.size += len(rendered)
	l.lastPart, l.lastID = part, id
	return true
}

// room is how many resources the page still takes.
func (l *listing) room() int {
	if l.full {
		return 0
	}
	return l.count - len(l.resources)
}

// begin counts n resources of a type, and returns the id behind which those of
// the page begin; false where none of them can be on it.
func (l *listing) begin(t *listed, n int) (after string, some bool) {
	l.total += n
	switch {
	case t.part < l.from.part || n == 0:
		return "", false
	case l.room() == 0:
		l.more = true // the page is full, and they follow it
		return "", false
	case t.part == l.from.part:
		after = l.from.after()
	}
	return after, true
}

// shelf is where the resources of a type stand that no filter chooses: the
// counters tell how many there are, and lead to an index; a cursor leads to a key.
type shelf[R any] struct {
	page   func(start, count int) (roster.Page[R], error)
	total  func() (int, error)
	after  func(id string, count int) (list []R, more bool, err error)
	render func(*R) (id string, rendered []byte, err error)
}

// fill puts a type's resources on the page.
func fill[R any](l *listing, t *listed, s shelf[R]) error {
	var list []R
	if !l.cursor {
		page, err := s.page(max(1, l.start-l.total), l.room())
		if err != nil {
			return err
		}
		l.total += page.Total
		list = page.Resources
	} else {
		n, err := s.total()
		if err != nil {
			return err
		}
		after, some := l.begin(t, n)
		if !some {
			return nil
		}
		var more bool
		if list, more, err = s.after(after, l.room()); err != nil {
			return err
		}
		l.more = l.more || more
	}
	for i := range list {
		id, rendered, err := s.render(&list[i])
		if err != nil {
			return err
		}
		if !l.add(rendered, t.part, id) {
			break
		}
	}
	return nil
}

func (c *call) users(t *listed) shelf[roster.User] {
	ctx, conn, groups := c.r.Context(), c.dir.Connection().ID, t.projection.Wants("groups")
	return shelf[roster.User]{
		page: func(start, count int) (roster.Page[roster.User], error) {
			return c.dir.Roster.UserPage(ctx, conn, start, count, groups)
		},
		total: func() (int, error) { return c.dir.Roster.Total(ctx, conn) },
		after: func(id string, count int) ([]roster.User, bool, error) {
			return c.dir.Roster.UsersAfter(ctx, conn, identity.User(id), count, groups)
		},
		render: func(u *roster.User) (string, []byte, error) {
			b, err := c.renderUser(u, t.projection)
			return string(u.ID), b, err
		},
	}
}

func (c *call) groups(t *listed) shelf[roster.Group] {
	ctx, conn := c.r.Context(), c.dir.Connection().ID
	return shelf[roster.Group]{
		page: func(start, count int) (roster.Page[roster.Group], error) {
			return c.dir.Roster.GroupPage(ctx, conn, start, count)
		},
		total: func() (int, error) { return c.dir.Roster.GroupTotal(ctx, conn) },
		after: func(id string, count int) ([]roster.Group, bool, error) {
			return c.dir.Roster.GroupsAfter(ctx, conn, identity.Group(id), count)
		},
		render: func(g *roster.Group) (string, []byte, error) {
			b, err := c.renderGroup(g, t.projection)
			return string(g.ID), b, err
		},
	}
}
