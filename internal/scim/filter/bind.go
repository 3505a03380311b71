package filter

import (
	"strconv"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// Bound is a filter whose paths are resolved in a resource type. It may be
// used concurrently.
type Bound struct {
	root   node
	uses   []string
	report schema.Report
}

// Report counts what was bent when the filter was bound.
func (b *Bound) Report() schema.Report { return b.report }

// Bind resolves the paths of e. A complex attribute that is named without a
// sub-attribute is compared by its `value` (`members eq`, `emails co`). An
// unknown attribute has no value in Compat and is refused otherwise. Errors are
// *fault.Error, Invalid with invalidFilter.
func Bind(e Expr, rt *schema.ResourceType, m schema.Mode) (*Bound, error) {
	b := binder{rt: rt, mode: m, lenient: m == schema.Compat}
	root, err := b.bind(e)
	if err != nil {
		return nil, err
	}
	return &Bound{root, b.uses, b.report}, nil
}

// BindAcross is Bind for a query over several resource types: one Bound for
// each. What one of them does not have has no value there, in every mode (RFC
// 7644 §3.4.2.1); what none of them has is for the mode to judge.
func BindAcross(e Expr, types []*schema.ResourceType, m schema.Mode) ([]*Bound, error) {
	if len(types) == 1 {
		b, err := Bind(e, types[0], m)
		return []*Bound{b}, err
	}
	out := make([]*Bound, len(types))
	for i, rt := range types {
		b := binder{rt: rt, mode: m, across: types, lenient: m == schema.Compat}
		root, err := b.bind(e)
		if err != nil {
			return nil, err
		}
		out[i] = &Bound{root, b.uses, b.report}
	}
	return out, nil
}

// Always reports whether every resource of the type matches, whatever it holds,
// as with `meta.resourceType eq "User"` for users.
func (b *Bound) Always() bool { return b.root == constant(true) }

// Never reports whether no resource of the type can match.
func (b *Bound) Never() bool { return b.root == constant(false) }

// BindElement resolves a filter over the values of one attribute, as it stands
// in brackets: Match is given one value of the attribute. An unknown
// sub-attribute is refused in every mode, since a PATCH that selects by it
// would quietly do nothing.
func BindElement(e Expr, ref schema.Ref, m schema.Mode) (*Bound, error) {
	b := binder{mode: m, of: &ref}
	root, err := b.bind(e)
	if err != nil {
		return nil, err
	}
	return &Bound{root, nil, b.report}, nil
}

// Equality is a condition that every match fulfils: the attribute at the
// canonical path (a complex one by its sub-attribute "value") equals Value.
type Equality struct {
	Path  string // "userName", "emails.value", "urn:…:User:employeeNumber"
	Value string // as written; to be folded where the attribute is not caseExact
}

// Equalities returns the conditions of the form `attribute eq "string"` among
// the terms of the outermost `and`, those within brackets included: a resource
// that does not fulfil all of them does not match. Several on a multi-valued
// attribute may speak of different values.
func (b *Bound) Equalities() []Equality { return equalities(nil, b.root) }

func equalities(list []Equality, n node) []Equality {
	switch n := n.(type) {
	case all:
		for _, t := range n {
			list = equalities(list, t)
		}
	case *element:
		return equalities(list, n.inner)
	case *comparison:
		if n.op == Eq && !n.null && n.isText() {
			list = append(list, Equality{n.ref.Path(), n.text})
		}
	}
	return list
}

// Exact reports whether the filter is made of its Equalities alone, with `and`
// between them. Brackets still say more: that one value fulfils them together.
func (b *Bound) Exact() bool { return exact(b.root) }

func exact(n node) bool {
	switch n := n.(type) {
	case all:
		for _, t := range n {
			if !exact(t) {
				return false
			}
		}
		return true
	case *element:
		return exact(n.inner)
	case *comparison:
		return n.op == Eq && !n.null && n.isText()
	}
	return false
}

// Named returns whose values of the multi-valued attribute, one of the resource
// type's own, the filter looks at, by their `value`; one may be there twice. All
// is false where it may look at others: not every comparison says by `eq` whose
// it is, alone or beside others in brackets.
func (b *Bound) Named(attr string) (names []string, all bool) {
	return named(nil, b.root, attr)
}

func named(names []string, n node, attr string) ([]string, bool) {
	each := func(terms []node) ([]string, bool) {
		ok := true
		for _, t := range terms {
			if names, ok = named(names, t, attr); !ok {
				return nil, false
			}
		}
		return names, true
	}
	switch n := n.(type) {
	case all:
		return each(n)
	case some:
		return each(n)
	case not:
		return named(names, n.node, attr)
	case *element:
		if !own(n.ref, attr) {
			return names, true
		}
		more, ok := chosen(n.inner, attr)
		return append(names, more...), ok
	case *comparison:
		switch {
		case !own(n.ref, attr):
			return names, true
		case n.op == Eq && !n.null && n.isText() && n.ref.Path() == attr+".value":
			return append(names, n.text), true
		}
		return nil, false
	}
	return names, true
}

// chosen returns by their `value` the only ones for whom a filter in brackets can
// hold; false where it does not name them.
func chosen(n node, attr string) (names []string, ok bool) {
	switch n := n.(type) {
	case all:
		for _, t := range n {
			if names, ok = chosen(t, attr); ok {
				return names, true
			}
		}
	case some:
		for _, t := range n {
			more, ok := chosen(t, attr)
			if !ok {
				return nil, false
			}
			names = append(names, more...)
		}
		return names, true
	case *comparison:
		if n.op == Eq && !n.null && n.isText() && n.ref.Path() == attr+".value" {
			return []string{n.text}, true
		}
	}
	return nil, false
}

// own reports whether ref is the type's own attribute of the name, or a part.
func own(ref schema.Ref, attr string) bool {
	return ref.URN == "" && ref.Attr != nil && ref.Attr.Name == attr
}

// Terms returns the sub-attributes that a value must have, and with what, to
// fulfil the filter: those compared by `eq` among the terms of the outermost
// `and`. only reports whether the filter says nothing else, so that PATCH can
// make an element that it would have found.
func (b *Bound) Terms() (terms []value.Member, only bool) {
	list, ok := b.root.(all)
	if !ok {
		list = all{b.root}
	}
	only = true
	for _, t := range list {
		if c, ok := t.(*comparison); ok && c.op == Eq && !c.null && c.ref.Sub != nil {
			terms = append(terms, value.M(c.ref.Sub.Name, c.with))
			continue
		}
		only = false
	}
	return terms, only
}

// Uses reports whether the filter looks at the attribute with the name, one of
// the resource type's own.
func (b *Bound) Uses(name string) bool {
	for _, u := range b.uses {
		if u == name {
			return true
		}
	}
	return false
}

type binder struct {
	rt      *schema.ResourceType
	across  []*schema.ResourceType // the query is over all of these
	mode    schema.Mode
	lenient bool        // an unknown attribute has no value
	of      *schema.Ref // inside brackets: the attribute whose values are meant
	uses    []string
	report  schema.Report
}

func refuse(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.InvalidFilter, format, args...)
}

func (b *binder) bind(e Expr) (node, error) {
	switch e := e.(type) {
	case And:
		return b.join(e.Terms, true)
	case Or:
		return b.join(e.Terms, false)
	case Not:
		n, err := b.bind(e.Term)
		if c, ok := n.(constant); ok {
			return !c, err
		}
		return not{n}, err
	case Compare:
		return b.compare(e)
	case Element:
		return b.element(e)
	}
	return nil, refuse("The filter is empty.")
}

// join binds the terms of an And or an Or. A constant among them either decides
// or says nothing: neutral is the one that says nothing.
func (b *binder) join(terms []Expr, neutral constant) (node, error) {
	out := make([]node, 0, len(terms))
	decided := false
	for _, t := range terms {
		n, err := b.bind(t) // all of them: a mistake is one wherever it stands
		if err != nil {
			return nil, err
		}
		c, ok := n.(constant)
		decided = decided || ok && c != neutral
		if !ok {
			out = append(out, n)
		}
	}
	switch {
	case decided:
		return !neutral, nil
	case len(out) == 0:
		return neutral, nil
	case len(out) == 1:
		return out[0], nil
	case bool(neutral):
		return all(out), nil
	}
	return some(out), nil
}

// resolve finds the attribute of a path; false for one that is unknown.
func (b *binder) resolve(path string) (schema.Ref, bool) {
	if b.of == nil {
		r, ok := b.rt.Find(path, b.mode, &b.report)
		if ok && r.URN == "" && r.Attr != nil {
			b.uses = append(b.uses, r.Attr.Name)
		}
		return r, ok
	}
	if sub := b.of.Attr.Find(path); sub != nil {
		return b.of.In(sub), true
	}
	// A value without sub-attributes goes by the name "value".
	return *b.of, b.of.Attr.Type != schema.Complex && path == "value"
}

// elsewhere reports whether another type that the query is over has the
// attribute.
func (b *binder) elsewhere(path string) bool {
	for _, rt := range b.across {
		if _, ok := rt.Find(path, b.mode, new(schema.Report)); ok {
			return true
		}
	}
	return false
}

func (b *binder) element(e Element) (node, error) {
	ref, ok := b.resolve(e.Path)
	switch {
	case !ok && b.of == nil && b.elsewhere(e.Path):
		return constant(false), nil
	case !ok && b.lenient:
		b.report.Add(schema.UnknownAttribute)
		return constant(false), nil
	case !ok:
		return nil, refuse("%.128q is no attribute that could be compared.", e.Path)
	case ref.Attr == nil || ref.Sub != nil || ref.Attr.Type != schema.Complex && !ref.Attr.MultiValued:
		return nil, refuse("%.128q has no values to choose from in brackets.", e.Path)
	}
	in := binder{rt: b.rt, across: b.across, mode: b.mode, lenient: b.lenient, of: &ref}
	inner, err := in.bind(e.Filter)
	if err != nil {
		return nil, err
	}
	if e.Sub != "" {
		n, err := in.compare(Compare{e.Sub, e.Op, e.With, e.Cased})
		if err != nil {
			return nil, err
		}
		inner = both(inner, n)
	}
	b.report.Merge(in.report)
	if inner == constant(false) {
		return inner, nil
	}
	return &element{ref, inner}, nil
}

func (b *binder) compare(e Compare) (node, error) {
	path, op, with := e.Path, e.Op, e.With
	if e.Cased {
		if b.mode != schema.Compat {
			return nil, refuse("The value behind %s is to be written in lower case: %s.", path, with.Append(nil))
		}
		b.report.Add(schema.LiteralCase)
	}
	ref, ok := b.resolve(path)
	switch {
	case !ok && (b.lenient || b.of == nil && b.elsewhere(path)):
		if !b.elsewhere(path) {
			b.report.Add(schema.UnknownAttribute)
		}
		// It has no value, which is a match for "not equal" and for null only.
		return constant(op == Ne && with.Kind() != value.Null || op == Eq && with.Kind() == value.Null), nil
	case !ok:
		return nil, refuse("%.128q is no attribute that could be compared.", path)
	}
	n := &comparison{ref: ref, op: op, with: with, local: b.of != nil}
	if op == Pr {
		return n, nil
	}
	if with.Kind() == value.Null {
		if op != Eq && op != Ne {
			return nil, refuse("%s can be compared with null by eq and ne only.", path)
		}
		n.null = true
		return n, nil
	}
	if ref.Attr == nil {
		return nil, refuse("%s is an extension: name an attribute of it.", ref.Path())
	}
	if leaf := ref.Leaf(); leaf.Type == schema.Complex {
		sub := leaf.Find("value")
		if sub == nil {
			return nil, refuse("%s has parts: name one of them, such as %s.%s.", ref.Path(), ref.Path(), leaf.Sub[0].Name)
		}
		n.ref = ref.In(sub)
	}
	if err := b.literal(n); err != nil {
		return nil, err
	}
	if b.of == nil && n.ref.Path() == "meta.resourceType" {
		// Every resource of the type has the same: a query over several types
		// need not look at those that it leaves out.
		left := MaxWork
		return constant(n.test(value.Str(b.rt.Name), &left)), nil
	}
	return n, nil
}

// both is the And of two nodes.
func both(x, y node) node {
	switch {
	case x == constant(false) || y == constant(true):
		return x
	case x == constant(true) || y == constant(false):
		return y
	}
	return all{x, y}
}

// literal brings the literal into the attribute's type.
func (b *binder) literal(n *comparison) error {
	leaf, path := n.ref.Leaf(), n.ref.Path()
	ordering := n.op == Gt || n.op == Ge || n.op == Lt || n.op == Le
	part := n.op == Co || n.op == Sw || n.op == Ew
	switch leaf.Type {
	case schema.Boolean:
		if ordering || part {
			return refuse("%s is true or false: it cannot be compared by %s.", path, n.op)
		}
		// Entra sends `primary eq "True"`.
		if t, ok := schema.ReadBool(n.with.Text()); ok && b.mode == schema.Compat && n.with.Kind() == value.String {
			b.report.Add(schema.StringBoolean)
			n.with = value.Boolean(t)
		}
		if n.with.Kind() != value.Bool {
			return refuse("%s is to be compared with true or false.", path)
		}
		return nil
	case schema.Integer, schema.Decimal:
		if part {
			return refuse("%s is a number: it cannot be compared by %s.", path, n.op)
		}
		f, err := strconv.ParseFloat(n.with.Text(), 64)
		if err != nil || n.with.Kind() != value.Number && b.mode != schema.Compat {
			return refuse("%s is to be compared with a number.", path)
		}
		if n.with.Kind() != value.Number {
			b.report.Add(schema.StringNumber)
		}
		n.number = f
		return nil
	case schema.Binary:
		if ordering {
			return refuse("%s is binary: it cannot be compared by %s.", path, n.op)
		}
	}
	if n.with.Kind() == value.Number && b.mode == schema.Compat {
		b.report.Add(schema.NumberForString)
		n.with = value.Str(n.with.Text())
	}
	if n.with.Kind() != value.String {
		return refuse("%s is to be compared with a string.", path)
	}
	n.text = n.with.Text()
	n.weight = weight(n.text)
	if leaf.Type == schema.DateTime && !part {
		t, ok := schema.ReadTime(n.text)
		if !ok {
			return refuse("%s is to be compared with a date and time, such as \"2008-01-23T04:56:22Z\".", path)
		}
		n.time = t
		return nil
	}
	n.exact = leaf.CaseExact || leaf.Type == schema.Binary
	n.folded = n.text
	if !n.exact {
		n.folded = fold(n.text)
	}
	return nil
}
