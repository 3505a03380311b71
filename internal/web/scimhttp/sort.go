package scimhttp

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// Sorting (RFC 7644 §3.4.2.3) looks at every match before the first is answered,
// so it is bounded as filters without an index are. Of each it keeps the value
// that it sorts by; those on the page are read again.

// order is how a listing is sorted.
type order struct{ descending bool }

// order reads sortBy and sortOrder into the listing and returns both in one
// spelling. What names nothing to sort by is refused (invalidPath), but passed
// over in Compat, as an unknown attribute of a filter is.
func (c *call) order(l *listing, p parameters) (string, error) {
	if p.sortBy == nil || strings.TrimSpace(*p.sortBy) == "" {
		return "", nil
	}
	var o order
	switch dir := p.sortOrder; {
	case dir == nil || strings.TrimSpace(*dir) == "" || strings.EqualFold(*dir, "ascending"):
	case strings.EqualFold(*dir, "descending"):
		o.descending = true
	default:
		return "", fault.New(fault.Invalid, fault.InvalidValue, "sortOrder is ascending or descending.")
	}
	by, known := "", false
	var bent schema.Report
	for i := range l.types {
		t := &l.types[i]
		var report schema.Report
		ref, ok := sortable(t.ResourceType, strings.TrimSpace(*p.sortBy), c.mode, &report)
		if !ok {
			continue
		}
		bent.Cover(report)
		known = true
		t.by = ref
		by = ref.Path()
	}
	c.report.Merge(bent)
	switch {
	case !known && c.mode == schema.Compat:
		c.report.Add(schema.UnknownSort)
		return "", nil
	case !known:
		return "", fault.New(fault.Invalid, fault.InvalidPath, "%.128q is no attribute to sort by.", *p.sortBy)
	case by == "id" && !o.descending && len(l.types) == 1:
		return "", nil // so they come
	}
	l.order = &o
	return by + " " + strconv.FormatBool(o.descending), nil
}

// sortable finds the attribute to sort by; a complex one goes by its value, as
// in filters.
func sortable(rt *schema.ResourceType, path string, m schema.Mode, report *schema.Report) (schema.Ref, bool) {
	ref, ok := rt.Find(path, m, report)
	if !ok || ref.Attr == nil {
		return ref, false
	}
	if ref.Leaf().Type == schema.Complex {
		sub := ref.Attr.Find("value")
		return ref.In(sub), sub != nil
	}
	return ref, true
}

// rank is the value that a resource is sorted by. The zero rank is that of one
// without a value.
type rank struct {
	has    bool
	number float64
	time   time.Time
	text   string // folded where case does not count
}

// rankOf reads the value: of several the primary one, or else the first.
func rankOf(ref schema.Ref, v value.Value) rank {
	if ref.Attr == nil {
		return rank{}
	}
	if ref.URN != "" {
		v = v.Get(ref.URN)
	}
	if v = v.Get(ref.Attr.Name); v.Kind() == value.Array {
		list := v.Elements()
		if len(list) == 0 {
			return rank{}
		}
		v = list[max(0, slices.IndexFunc(list, func(e value.Value) bool { return e.Get("primary").Bool() }))]
	}
	if ref.Sub != nil {
		v = v.Get(ref.Sub.Name)
	}
	if v.IsNothing() || v.Kind() == value.String && v.Text() == "" {
		return rank{}
	}
	r := rank{has: true}
	ok := true
	switch leaf := ref.Leaf(); leaf.Type {
	case schema.Boolean:
		if v.Bool() {
			r.number = 1
		}
	case schema.Integer, schema.Decimal:
		var err error
		r.number, err = strconv.ParseFloat(v.Text(), 64)
		ok = err == nil
	case schema.DateTime:
		r.time, ok = schema.ReadTime(v.Text())
	default:
		if r.text = v.Text(); !leaf.CaseExact && leaf.Type != schema.Binary {
			r.text = identity.Fold(r.text)
		}
	}
	if !ok {
		return rank{}
	}
	return r
}

// compare orders ranks ascending, those without a value last.
func (r rank) compare(o rank) int {
	if r.has != o.has {
		if r.has {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(r.number, o.number), r.time.Compare(o.time), cmp.Compare(r.text, o.text))
}

// ranked is a match before it is on a page.
type ranked struct {
	rank
	id    string
	part  int
	group *roster.Group // nil: a user, who is read again
}

// sorted fills the page in the order that was asked for.
func (c *call) sorted(l *listing) error {
	var all []*ranked
	for i := range l.types {
		t := &l.types[i]
		var err error
		switch {
		case t.filter != nil && t.filter.Never():
		case t.ResourceType == schema.User:
			err = c.eachUser(l, t, false, func(u *roster.User, v value.Value, _ []byte) error {
				all = append(all, &ranked{rankOf(t.by, v), string(u.ID), t.part, nil})
				return nil
			})
		case t.ResourceType == schema.Group:
			err = c.eachGroup(l, t, func(g *roster.Group, v value.Value) error {
				all = append(all, &ranked{rankOf(t.by, v), string(g.ID), t.part, g})
				return nil
			})
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(x, y *ranked) int {
		n := x.compare(y.rank)
		if l.order.descending {
			n = -n
		}
		// Ids settle ties, so that pages have one order between them.
		return cmp.Or(n, cmp.Compare(x.part, y.part), cmp.Compare(x.id, y.id))
	})
	l.total = len(all)
	first := min(l.start-1, len(all))
	if l.cursor {
		first = c.resume(l.from, all)
	}
	end := first
	for i := first; i < len(all) && l.room() > 0; i++ {
		b, err := c.renderRanked(all[i], &l.types[all[i].part])
		if fault.Is(err, fault.NotFound) {
			continue // deleted since it was looked at
		}
		if err != nil {
			return err
		}
		if l.add(b, all[i].part, all[i].id) {
			l.more, end = i+1 < len(all), i
		}
	}
	if l.cursor && l.more {
		l.last = c.landmarks(all, end)
	}
	return nil
}

func (c *call) renderRanked(r *ranked, t *listed) ([]byte, error) {
	if r.group != nil {
		return c.renderGroup(r.group, t.projection)
	}
	u, err := c.dir.User(c.r.Context(), r.id, t.projection.Wants("groups"))
	if err != nil {
		return nil, err
	}
	return c.renderUser(&u, t.projection)
}

// maxLandmarks is how many of a page's last resources a cursor remembers. One
// that is deleted, or sorts elsewhere by now, is no landmark any more; only where
// none of them is the page begins by number.
const maxLandmarks = 3

// landmarks is the place behind the i-th.
func (c *call) landmarks(all []*ranked, i int) place {
	p := place{offset: i + 1}
	for j := i; j >= 0 && len(p.anchors) < maxLandmarks; j-- {
		p.anchors = append(p.anchors, anchor{all[j].id, c.mark(all[j])})
	}
	return p
}

// resume returns how many stand before the page that begins at the place.
func (c *call) resume(p place, all []*ranked) int {
	for _, a := range p.anchors {
		for i := range all {
			if all[i].id == a.id && c.mark(all[i]) == a.mark {
				return i + 1
			}
		}
	}
	return min(p.offset, len(all))
}

// mark stands for a rank in a cursor, where the value itself must not: it may be
// a name.
func (c *call) mark(r *ranked) string {
	text := strconv.FormatFloat(r.number, 'g', -1, 64) + " " + strconv.FormatInt(r.time.UnixNano(), 10) + " " + strconv.FormatBool(r.has) + " " + r.text
	return c.who.Org.Digest("sorted", r.id+text)[:8]
}
