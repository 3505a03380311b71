package scimhttp

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/identity"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/value"
)

// step is a place in the order of a bulk request: an operation, or the second
// half of a POST, which patches in what its first half could not refer to yet.
type step struct {
	op     *operation
	mend   bool
	needs  int   // how many steps have to be done before it
	before []int // the steps that wait for it
}

// order puts the operations into an order in which each follows the POSTs that
// it refers to, and otherwise that of the request. Where POSTs refer to each
// other in a circle, those that come first are told what they cannot refer to
// yet (late), and a step that mends it follows the last of those.
func (b *bulk) order() []step {
	const unseen, open, closed = 0, 1, 2
	state := make([]uint8, len(b.ops))
	waiting := map[int][]int{} // the place of a POST: of those who wait to be mended
	lacks := make([]int, len(b.ops))
	var steps []step
	var visit func(i int)
	visit = func(i int) {
		o := b.ops[i]
		state[i] = open
		for _, ref := range o.refs {
			switch j := b.creates[ref]; state[j] {
			case unseen:
				visit(j)
			case open: // only POSTs are referred to, so o is one
				o.late = append(o.late, ref)
				waiting[j] = append(waiting[j], i)
				lacks[i]++
			}
		}
		state[i] = closed
		steps = append(steps, step{op: o})
		for _, w := range waiting[i] {
			if lacks[w]--; lacks[w] == 0 {
				steps = append(steps, step{op: b.ops[w], mend: true})
			}
		}
	}
	for i := range b.ops {
		if state[i] == unseen {
			visit(i)
		}
	}
	return steps
}

// link finds which steps have to wait for which, so that the rest may run side
// by side and the outcome is still that of one after the other: an operation
// waits for what it refers to, for those before it on the same resource, for a
// DELETE of what it mentions and the other way around, where a name might be let
// go of by one and taken by the other, and, if it depends on who is in a group,
// for every DELETE and the other way around. It adds no wait against the order.
func (b *bulk) link(steps []step) {
	l := linker{steps: steps, at: map[string][]int{}}
	for _, o := range b.ops {
		if o.err == nil && o.method == http.MethodDelete {
			l.at[keyMentions+o.parts[1]], l.deletes = nil, true
		}
	}
	for i, s := range steps {
		if s.op.err == nil {
			l.link(i)
		} else if !s.mend {
			l.at[keyLast+refPrefix+s.op.bulkID] = []int{i}
		}
	}
}

// linker remembers the steps that a later one may have to wait for.
type linker struct {
	steps   []step
	at      map[string][]int // by one of the keys below
	deletes bool             // some operation does
}

const (
	keyLast     = "last "     // on a resource, by its id or reference
	keyMentions = "mentions " // of an id or reference that some operation deletes
	keyName     = "name "     // the last to take it
	keyTook     = "took "     // a name of a resource type, since the last that did both
	keyFreed    = "freed "    // the same for letting one go
	keyDeletes  = "deletes"   // those that may take members out of any group
	keyDepends  = "depends"   // those whose outcome depends on who is in a group
)

// wait makes the step i come after those that are remembered.
func (l *linker) wait(i int, key string) {
	for _, on := range l.at[key] {
		if on != i {
			l.steps[i].needs++
			l.steps[on].before = append(l.steps[on].before, i)
		}
	}
}

// follow makes the step i come after those that are remembered, and be
// remembered instead of them.
func (l *linker) follow(i int, key string) {
	l.wait(i, key)
	l.at[key] = []int{i}
}

func (l *linker) link(i int) {
	o := l.steps[i].op
	self := refPrefix + o.bulkID
	if o.method != http.MethodPost {
		self = o.parts[1]
	}
	l.follow(i, keyLast+self)
	for _, ref := range o.refs {
		l.wait(i, keyLast+refPrefix+ref)
	}
	if o.method == http.MethodDelete {
		l.wait(i, keyMentions+self)
	}
	if l.deletes {
		o.rewrite(func(text string) string {
			if m, doomed := l.at[keyMentions+text]; doomed && text != self && (len(m) == 0 || m[len(m)-1] != i) {
				l.wait(i, keyLast+text)
				l.at[keyMentions+text] = append(m, i)
			}
			return text
		})
		l.membership(i)
	}
	if !l.steps[i].mend {
		l.naming(i)
	}
}

// membership orders those who depend on who is in a group among the DELETEs: of
// which groups somebody is a member is not known before it is read.
func (l *linker) membership(i int) {
	o := l.steps[i].op
	depends, deletes := o.depends(), o.method == http.MethodDelete
	if depends {
		l.wait(i, keyDeletes)
	}
	if deletes {
		l.wait(i, keyDepends)
		l.at[keyDeletes] = append(l.at[keyDeletes], i)
	}
	if depends {
		l.at[keyDepends] = append(l.at[keyDepends], i)
	}
}

// naming orders those who may take a name among those who may let go of one: by
// which resource is not known before it is read. Two that take a name each
// disturb each other only if it is the same.
func (l *linker) naming(i int) {
	o := l.steps[i].op
	kind := o.parts[0]
	takes, frees := o.naming()
	if takes {
		l.wait(i, keyFreed+kind)
		for _, attribute := range unique {
			if text := o.data.Get(attribute).Text(); text != "" {
				l.follow(i, keyName+kind+attribute+identity.Fold(text))
			}
		}
	}
	if frees {
		l.wait(i, keyTook+kind)
	}
	if takes && frees {
		l.at[keyTook+kind], l.at[keyFreed+kind] = nil, nil
	}
	if takes {
		l.at[keyTook+kind] = append(l.at[keyTook+kind], i)
	}
	if frees {
		l.at[keyFreed+kind] = append(l.at[keyFreed+kind], i)
	}
}

// unique are the attributes that are claimed. Where one is not unique in a
// dialect, or is of another type's, nothing is lost but a wait.
var unique = [...]string{"userName", "externalId", "displayName"}

// naming tells whether the operation may take a name, and let go of one.
func (o *operation) naming() (takes, frees bool) {
	switch o.method {
	case http.MethodPost:
		return true, false
	case http.MethodDelete:
		return false, true
	case http.MethodPut:
		return true, true
	}
	for _, op := range o.changes() {
		touched := touches(op.Get("path").Text())
		for _, m := range op.Get("value").Members() {
			touched = touched || touches(m.Name)
		}
		if touched {
			return true, true
		}
	}
	return false, false
}

// changes are the operations of a PATCH.
func (o *operation) changes() []value.Value {
	ops := o.data.Get("Operations")
	if ops.Kind() == value.Object { // one operation for a list of one
		return []value.Value{ops}
	}
	return ops.Elements()
}

// depends tells whether the outcome may depend on who is in a group, beyond
// whom the operation mentions: by the group's version, by how many there are, or
// by a filter.
func (o *operation) depends() bool {
	if o.parts[0] != "Groups" || o.method == http.MethodPost {
		return false
	}
	if o.version != "" || o.method == http.MethodPut && o.data.Get("members").Kind() == value.Absent {
		return true
	}
	for _, op := range o.changes() {
		// What stands under a URN may be a group as a whole.
		if choosing(op.Get("path").Text()) || slices.ContainsFunc(op.Get("value").Members(), func(m value.Member) bool {
			return choosing(m.Name) || strings.HasPrefix(strings.ToLower(m.Name), "urn:")
		}) {
			return true
		}
	}
	return false
}

// choosing tells whether a path has a filter that selects by more than ids.
func choosing(path string) bool {
	if !strings.Contains(path, "[") {
		return false
	}
	p, err := filter.ParsePath(path)
	return err == nil && p.Filter != nil && !byID(p.Filter)
}

func byID(e filter.Expr) bool {
	switch e := e.(type) {
	case filter.Compare:
		return e.Op == filter.Eq && strings.EqualFold(e.Path, "value")
	case filter.Or:
		return !slices.ContainsFunc(e.Terms, func(t filter.Expr) bool { return !byID(t) })
	}
	return false
}

// touches tells whether a path may lead to a name; an extension may be written
// as a whole, so it may as well.
func touches(path string) bool {
	path = strings.ToLower(path)
	return strings.Contains(path, "username") || strings.Contains(path, "externalid") || strings.Contains(path, "displayname") || strings.HasPrefix(path, "urn:")
}
