package filter

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// Match reports whether a resource, rendered whole (with schemas, id, meta,
// and what Uses names), satisfies the filter.
//
// Of a multi-valued attribute any value will do, for `ne` too. What has no
// value equals null, and is not equal to anything else.
func (b *Bound) Match(resource value.Value) bool { return b.root.match(resource) }

// node is a filter that can be matched, against a resource or, inside
// brackets, against one value.
type node interface{ match(value.Value) bool }

type (
	all      []node
	some     []node
	not      struct{ node }
	constant bool // known without looking

	// element holds when one value of the attribute matches inner.
	element struct {
		ref   schema.Ref
		inner node
	}

	comparison struct {
		ref   schema.Ref
		op    Op
		with  value.Value // in the attribute's type
		local bool        // inside brackets: matched against one value of the attribute
		null  bool        // the literal is null
		exact bool        // case counts

		text   string // the literal, if it is one of text
		folded string // as values are compared with it
		number float64
		time   time.Time
	}
)

func (n all) match(v value.Value) bool {
	for _, t := range n {
		if !t.match(v) {
			return false
		}
	}
	return true
}

func (n some) match(v value.Value) bool {
	for _, t := range n {
		if t.match(v) {
			return true
		}
	}
	return false
}

func (n not) match(v value.Value) bool { return !n.node.match(v) }

func (n constant) match(value.Value) bool { return bool(n) }

func (n *element) match(v value.Value) bool {
	v = top(v, n.ref)
	if v.Kind() != value.Array {
		return v.Kind() == value.Object && n.inner.match(v)
	}
	for _, e := range v.Elements() {
		if n.inner.match(e) {
			return true
		}
	}
	return false
}

// top is the value of the attribute that ref names, sub-attribute aside.
func top(v value.Value, ref schema.Ref) value.Value {
	if ref.URN != "" {
		v = v.Get(ref.URN)
	}
	if ref.Attr == nil {
		return v
	}
	return v.Get(ref.Attr.Name)
}

func (n *comparison) isText() bool {
	t := n.ref.Leaf().Type
	return t == schema.String || t == schema.Reference
}

func (n *comparison) match(v value.Value) bool {
	if !n.local {
		v = top(v, n.ref)
	}
	if n.op == Pr || n.null {
		return n.present(v) == (n.op != Eq)
	}
	if v.Kind() != value.Array {
		return n.one(v)
	}
	values := 0
	for _, e := range v.Elements() {
		if n.ref.Sub != nil {
			e = e.Get(n.ref.Sub.Name)
		}
		if e.IsNothing() {
			continue
		}
		values++
		if n.test(e) {
			return true
		}
	}
	return values == 0 && n.op == Ne
}

func (n *comparison) one(v value.Value) bool {
	if n.ref.Sub != nil {
		v = v.Get(n.ref.Sub.Name)
	}
	if v.IsNothing() {
		return n.op == Ne
	}
	return n.test(v)
}

func (n *comparison) present(v value.Value) bool {
	if n.ref.Sub == nil {
		return present(v)
	}
	if v.Kind() != value.Array {
		return present(v.Get(n.ref.Sub.Name))
	}
	for _, e := range v.Elements() {
		if present(e.Get(n.ref.Sub.Name)) {
			return true
		}
	}
	return false
}

// present reports whether there is a non-empty value, or one inside.
func present(v value.Value) bool {
	switch v.Kind() {
	case value.Absent, value.Null:
		return false
	case value.String:
		return v.Text() != ""
	case value.Array:
		for _, e := range v.Elements() {
			if present(e) {
				return true
			}
		}
		return false
	case value.Object:
		for _, m := range v.Members() {
			if present(m.Value) {
				return true
			}
		}
		return false
	}
	return true
}

// test compares one value, which is there.
func (n *comparison) test(v value.Value) bool {
	if n.with.Kind() == value.Bool {
		return v.Kind() == value.Bool && (v.Bool() == n.with.Bool()) == (n.op == Eq)
	}
	leaf := n.ref.Leaf()
	switch leaf.Type {
	case schema.Integer, schema.Decimal:
		f, err := strconv.ParseFloat(v.Text(), 64)
		return err == nil && n.ordered(cmp.Compare(f, n.number))
	case schema.DateTime:
		if n.op == Co || n.op == Sw || n.op == Ew {
			break
		}
		t, ok := schema.ReadTime(v.Text())
		return ok && n.ordered(t.Compare(n.time))
	}
	s := v.Text()
	switch n.op {
	case Eq:
		return leaf.Same(s, n.text)
	case Ne:
		return !leaf.Same(s, n.text)
	}
	if !n.exact {
		s = fold(s)
	}
	switch n.op {
	case Co:
		return strings.Contains(s, n.folded)
	case Sw:
		return strings.HasPrefix(s, n.folded)
	case Ew:
		return strings.HasSuffix(s, n.folded)
	}
	// What eq takes for the same is neither greater nor less.
	if leaf.Same(v.Text(), n.text) {
		return n.ordered(0)
	}
	return n.ordered(strings.Compare(s, n.folded))
}

func (n *comparison) ordered(c int) bool {
	switch n.op {
	case Eq:
		return c == 0
	case Ne:
		return c != 0
	case Gt:
		return c > 0
	case Ge:
		return c >= 0
	case Lt:
		return c < 0
	}
	return c <= 0
}

// fold is identity.Fold without its trimming, for texts of which parts are
// compared: a space at the end of what is looked for counts.
func fold(s string) string {
	const guard = "|"
	s = identity.Fold(guard + s + guard)
	return s[len(guard) : len(s)-len(guard)]
}
