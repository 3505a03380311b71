package filter

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// MaxWork is the Budget of one request: some 300 comparisons of short
// texts with each of 10,000 users, or a second or two of one processor.
const MaxWork Budget = 256 << 20

// Budget is how much may still be looked at, in bytes: those of a text for each
// comparison with it, and 64 for the comparison itself. In a text that is not
// ASCII each byte counts as 64, since it takes that long to fold.
type Budget int

// Spend takes n bytes and reports whether there were as many.
func (b *Budget) Spend(n int) bool {
	*b -= Budget(n)
	return *b >= 0
}

// Err is nil until the budget is spent, then *fault.Error, Invalid with tooMany.
func (b *Budget) Err() error {
	if *b >= 0 {
		return nil
	}
	return fault.New(fault.Invalid, fault.TooMany, "There is too much to compare: the filter's comparisons together with all that they would have to look at. Use fewer, or choose by eq on what is indexed.")
}

// weight is what a text counts in a Budget.
func weight(s string) int {
	if ascii(s) {
		return len(s)
	}
	return 64 * len(s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Match reports whether a resource, rendered whole (with schemas, id, meta,
// and what Uses names), satisfies the filter. With the budget spent it has
// stopped, and what it reports means nothing: see Err.
//
// Of a multi-valued attribute any value will do, for `ne` too. What has no
// value equals null, and is not equal to anything else.
func (b *Bound) Match(resource value.Value, left *Budget) bool { return b.root.match(resource, left) }

// node is a filter that can be matched, against a resource or, inside
// brackets, against one value.
type node interface {
	match(value.Value, *Budget) bool
}

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
		weight int    // of text
		number float64
		time   time.Time
	}
)

func (n all) match(v value.Value, left *Budget) bool {
	for _, t := range n {
		if !t.match(v, left) {
			return false
		}
	}
	return true
}

func (n some) match(v value.Value, left *Budget) bool {
	for _, t := range n {
		if t.match(v, left) {
			return true
		}
	}
	return false
}

func (n not) match(v value.Value, left *Budget) bool { return !n.node.match(v, left) }

func (n constant) match(value.Value, *Budget) bool { return bool(n) }

func (n *element) match(v value.Value, left *Budget) bool {
	v = top(v, n.ref)
	if v.Kind() != value.Array {
		return v.Kind() == value.Object && n.inner.match(v, left)
	}
	for _, e := range v.Elements() {
		if n.inner.match(e, left) {
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

func (n *comparison) match(v value.Value, left *Budget) bool {
	if !n.local {
		v = top(v, n.ref)
	}
	if !left.Spend(64 + 8*len(v.Elements())) {
		return false
	}
	if n.op == Pr || n.null {
		return n.present(v) == (n.op != Eq)
	}
	if v.Kind() != value.Array {
		return n.one(v, left)
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
		if n.test(e, left) {
			return true
		}
	}
	return values == 0 && n.op == Ne
}

func (n *comparison) one(v value.Value, left *Budget) bool {
	if n.ref.Sub != nil {
		v = v.Get(n.ref.Sub.Name)
	}
	if v.IsNothing() {
		return n.op == Ne
	}
	return n.test(v, left)
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
func (n *comparison) test(v value.Value, left *Budget) bool {
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
	if !left.Spend(weight(s) + n.weight) {
		return false
	}
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
	if ascii(s) {
		return strings.ToLower(s)
	}
	const guard = "|"
	s = identity.Fold(guard + s + guard)
	return s[len(guard) : len(s)-len(guard)]
}
