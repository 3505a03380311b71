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
	limit int    // bytes of resources

	total     int // matches so far; in the end, all of them
	resources [][]byte
	size      int
	full      bool  // the page ends before count, for its size
	more      bool  // something follows the page
	last      place // behind the last resource of the page
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
	p, err := searchParameters(body, c.mode)
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
		next = c.next(l.paging, l.last)
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
			err = c.userPage(l, t)
		case t.ResourceType == schema.Group:
			err = c.groupPage(l, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *call) listing(types []*schema.ResourceType, p parameters) (*listing, error) {
	l := &listing{types: make([]listed, len(types)), limit: c.h.maxAnswer, scan: c.h.maxScan}
	for i, rt := range types {
		t := &l.types[i]
		*t = listed{ResourceType: rt, part: i}
		var err error
		if t.projection, err = schema.ParseProjection(rt, p.attributes, p.excluded); err != nil {
			return nil, err
		}
	}
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
		for i, b := range bound {
			if !b.Always() {
				l.types[i].filter = b
			}
		}
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
func (l *listing) add(rendered []byte, at place) bool {
	if l.full = l.full || l.size+len(rendered) > l.limit && len(l.resources) > 0; l.full {
		l.more = true
		return false
	}
	l.resources = append(l.resources, rendered)
	l.size += len(rendered)
	l.last = at
	return true
}

// room is how many resources the page still takes.
func (l *listing) room() int {
	if l.full {
		return 0
	}
	return l.count - len(l.resources)
}

// begin returns the id behind which this part of the page begins, and false
// where all of the part stands before the page.
func (l *listing) begin(part int) (after string, ok bool) {
	switch {
	case part < l.from.part:
		return "", false
	case part == l.from.part:
		return l.from.after(), true
	}
	return "", true
}

// userPage lists users that no filter chooses: the counters tell how many there
// are, and lead to an index; a cursor leads to a key.
func (c *call) userPage(l *listing, t *listed) error {
	ctx, conn := c.r.Context(), c.dir.Connection().ID
	groups := t.projection.Wants("groups")
	add := func(u *roster.User) (bool, error) {
		if !groups {
			u.Groups = nil
		}
		b, err := c.renderUser(u, t.projection)
		return err == nil && l.add(b, behind(t.part, string(u.ID))), err
	}
	if !l.cursor {
		page, err := c.dir.Roster.UserPage(ctx, conn, max(1, l.start-l.total), l.room(), groups)
		l.total += page.Total
		for i := 0; err == nil && i < len(page.Resources) && !l.full; i++ {
			_, err = add(&page.Resources[i])
		}
		return err
	}
	n, err := c.dir.Roster.Total(ctx, conn)
	if err != nil {
		return err
	}
	l.total += n
	after, ok := l.begin(t.part)
	if !ok || l.count == 0 {
		return nil
	}
	for u, err := range c.dir.Roster.UsersAfter(ctx, conn, identity.User(after), l.room()+1) {
		if err != nil {
			return err
		}
		if l.room() == 0 {
			l.more = true
			return nil
		}
		if fits, err := add(&u); err != nil || !fits {
			return err
		}
	}
	return nil
}

func (c *call) groupPage(l *listing, t *listed) error {
	ctx, conn := c.r.Context(), c.dir.Connection().ID
	var groups []roster.Group
	switch {
	case !l.cursor:
		page, err := c.dir.Roster.GroupPage(ctx, conn, max(1, l.start-l.total), l.room())
		if err != nil {
			return err
		}
		groups = page.Resources
		l.total += page.Total
	default:
		n, err := c.dir.Roster.GroupTotal(ctx, conn)
		if err != nil {
			return err
		}
		l.total += n
		after, ok := l.begin(t.part)
		if !ok || l.count == 0 {
			return nil
		}
		// Behind a full page one is looked for, to know whether there is more.
		var more bool
		if groups, more, err = c.dir.Roster.GroupsAfter(ctx, conn, identity.Group(after), max(1, l.room())); err != nil {
			return err
		}
		if l.room() == 0 {
			more, groups = len(groups) > 0, nil
		}
		l.more = l.more || more
	}
	for i := range groups {
		g := &groups[i]
		b, err := c.renderGroup(g, t.projection)
		if err != nil {
			return err
		}
		if !l.add(b, behind(t.part, string(g.ID))) {
			break
		}
	}
	return nil
}
