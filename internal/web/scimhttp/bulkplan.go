package scimhttp

import (
	"net/http"
	"strings"

	"gatehouse/internal/identity"
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
// DELETE of what it mentions and the other way around, and where a name might be
// let go of by one and taken by the other. It adds no wait against the order.
func (b *bulk) link(steps []step) {
	l := linker{steps: steps, created: map[string]int{}, own: map[string]int{}, deleted: map[string]int{}, mentioned: map[string][]int{}, names: map[string]int{}, types: map[string]*traffic{}}
	doomed := map[string]bool{}
	for _, o := range b.ops {
		if o.err == nil && o.method == http.MethodDelete && len(o.parts) > 1 {
			doomed[o.parts[1]] = true
		}
	}
	for i := range steps {
		l.link(i, doomed)
	}
}

// linker remembers, of the steps so far, the last of each kind that a later one
// may have to wait for.
type linker struct {
	steps     []step
	created   map[string]int   // the POST with a bulkId
	own       map[string]int   // the last on a resource
	deleted   map[string]int   // the DELETE of an id
	mentioned map[string][]int // who mentioned an id that some operation deletes
	names     map[string]int   // the last that took a name
	types     map[string]*traffic
}

// traffic is who, of one resource type, took or let go of names since the last
// that did both.
type traffic struct{ took, freed []int }

func (l *linker) wait(i, on int) {
	if i != on {
		l.steps[i].needs++
		l.steps[on].before = append(l.steps[on].before, i)
	}
}

func (l *linker) link(i int, doomed map[string]bool) {
	s := l.steps[i]
	o := s.op
	if o.err != nil || len(o.parts) > 0 && o.parts[0] == "Me" {
		if !s.mend && o.method == http.MethodPost {
			l.created[o.bulkID] = i
		}
		return
	}
	for _, ref := range o.refs {
		if on, ok := l.created[ref]; ok {
			l.wait(i, on)
		}
	}
	self := o.resource()
	if on, ok := l.own[self]; ok {
		l.wait(i, on)
	}
	l.own[self] = i
	if o.method == http.MethodPost {
		l.created[o.bulkID] = i // who comes after its mending waits for that
	}
	l.mentions(i, doomed)
	if !s.mend {
		l.naming(i)
	}
}

// resource is what the operation writes to.
func (o *operation) resource() string {
	if o.method == http.MethodPost {
		return refPrefix + o.bulkID
	}
	return o.parts[1]
}

func (l *linker) mentions(i int, doomed map[string]bool) {
	o := l.steps[i].op
	if o.method == http.MethodDelete {
		id := o.parts[1]
		for _, on := range l.mentioned[id] {
			l.wait(i, on)
		}
		l.deleted[id] = i
	}
	if len(doomed) == 0 {
		return
	}
	own := o.resource()
	o.rewrite(func(text string) string {
		if text == own || !doomed[text] {
			return text
		}
		if on, ok := l.deleted[text]; ok {
			l.wait(i, on)
		}
		if m := l.mentioned[text]; len(m) == 0 || m[len(m)-1] != i {
			l.mentioned[text] = append(m, i)
		}
		return text
	})
}

// naming orders those who may take a name among those who may let go of one: by
// which resource is not known before it is read. Two that take a name each
// disturb each other only if it is the same.
func (l *linker) naming(i int) {
	o := l.steps[i].op
	kind := o.parts[0]
	t := l.types[kind]
	if t == nil {
		t = &traffic{}
		l.types[kind] = t
	}
	takes, frees := o.naming()
	switch {
	case takes && frees:
		for _, on := range t.took {
			l.wait(i, on)
		}
		for _, on := range t.freed {
			if len(t.took) == 0 || on != t.took[0] { // the last that did both stands in both
				l.wait(i, on)
			}
		}
		t.took, t.freed = []int{i}, []int{i}
	case takes:
		for _, on := range t.freed {
			l.wait(i, on)
		}
		t.took = append(t.took, i)
	case frees:
		for _, on := range t.took {
			l.wait(i, on)
		}
		t.freed = append(t.freed, i)
	}
	if !takes {
		return
	}
	for _, name := range unique {
		if v := o.data.Get(name); v.Kind() == value.String {
			key := kind + " " + name + " " + identity.Fold(v.Text())
			if on, ok := l.names[key]; ok {
				l.wait(i, on)
			}
			l.names[key] = i
		}
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
	ops := o.data.Get("Operations")
	list := ops.Elements()
	if ops.Kind() == value.Object {
		list = []value.Value{ops}
	}
	for _, op := range list {
		if namesUnique(op.Get("path").Text()) {
			return true, true
		}
		for _, m := range op.Get("value").Members() {
			// Below an extension's URN as well: an attribute of that name there is
			// taken for one here.
			if namesUnique(m.Name) || m.Value.Kind() == value.Object && isURN(m.Name) {
				return true, true
			}
		}
	}
	return false, false
}

func namesUnique(text string) bool {
	text = strings.ToLower(text)
	for _, name := range unique {
		if strings.Contains(text, strings.ToLower(name)) {
			return true
		}
	}
	return false
}
