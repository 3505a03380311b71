package patch

import (
	"slices"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// list is a multi-valued attribute while an operation works on it.
type list struct {
	ref     schema.Ref
	values  []value.Value
	primary []bool // for each value: this operation made it primary
}

func (e *editor) list(ref schema.Ref) *list {
	old := e.get(ref).Elements()
	return &list{ref, append(make([]value.Value, 0, len(old)+1), old...), make([]bool, len(old), len(old)+1)}
}

func (l *list) change(i int, v value.Value, given value.Value) {
	l.values[i] = v
	l.primary[i] = l.primary[i] || given.Get("primary").Bool()
}

func (l *list) append(v value.Value) {
	l.values = append(l.values, v)
	l.primary = append(l.primary, v.Get("primary").Bool())
}

// store writes the list back. A value that the operation made primary takes
// that from whichever had it (RFC 7644 §3.5.2).
func (e *editor) store(l *list) error {
	chosen := -1
	for i, p := range l.primary {
		if !p || !l.values[i].Get("primary").Bool() {
			continue
		}
		if chosen >= 0 {
			return refuse(fault.InvalidValue, "%s can have one primary value only.", l.ref.Path())
		}
		chosen = i
	}
	for i := range l.values {
		if chosen >= 0 && i != chosen && l.values[i].Get("primary").Bool() {
			l.values[i] = l.values[i].With("primary", value.Boolean(false))
		}
	}
	if most := l.ref.Attr.Most(); len(l.values) > most {
		return refuse(fault.InvalidValue, "%s takes at most %d values.", l.ref.Path(), most)
	}
	kept := l.values[:0]
	for _, v := range l.values {
		if v.Kind() != value.Object || len(v.Members()) > 0 {
			kept = append(kept, v)
		}
	}
	e.set(l.ref, value.Arr(kept...))
	return nil
}

// given reads the values of an operation on a multi-valued attribute; a single
// one is a list of one in every mode, since the RFC speaks of "a new value".
func (e *editor) given(t target) ([]value.Value, error) {
	v := t.value
	if v.Kind() == value.Object {
		v = value.Arr(v)
	}
	v, err := e.coerce(t.ref, v)
	return v.Elements(), err
}

// many applies an operation to all values of an attribute.
func (e *editor) many(t target) error {
	if t.ref.Attr.Mutability == schema.Immutable && len(e.get(t.ref).Elements()) > 0 {
		return refuse(fault.Mutability, "%s cannot be changed once it has a value.", t.ref.Path())
	}
	switch t.verb {
	case remove:
		return e.removeMany(t)
	case replace:
		values, err := e.given(t)
		if err != nil {
			return err
		}
		e.set(t.ref, value.Arr(values...))
		return nil
	}
	values, err := e.given(t)
	if err != nil {
		return err
	}
	l := e.list(t.ref)
	if err := e.compares(len(values), len(l.values)+len(values), 8); err != nil {
		return err
	}
	keys := make([]schema.Key, len(l.values), len(l.values)+len(values))
	for i, v := range l.values {
		keys[i] = e.keys.Of(t.ref.Attr, v)
		if err := e.compares(1, keys[i].Size(), 1); err != nil {
			return err
		}
	}
	for _, v := range values {
		key := e.keys.Of(t.ref.Attr, v)
		i := slices.Index(keys, key)
		switch {
		case i < 0:
			l.append(v)
			keys = append(keys, key)
		case v.Kind() == value.Object: // which leaves its key what it was
			l.change(i, e.union(t.ref.Attr, l.values[i], v), v)
		}
	}
	return e.store(l)
}

// compares spends what it takes to compare n values with m others, each bytes
// of the budget.
func (e *editor) compares(n, m, each int) error {
	if e.work.Spend(n * m * each) {
		return nil
	}
	return refuse(fault.TooMany, "There is too much to compare: the values that the operations list together with those that there are. Send fewer in one request.")
}

// union is v with the parts of more that it lacks or that differ. What is the
// same but for its case stays as it is: the value is there already.
func (e *editor) union(a *schema.Attribute, v, more value.Value) value.Value {
	for _, m := range more.Members() {
		old := v.Get(m.Name)
		if sub := a.Find(m.Name); old.Kind() == value.String && m.Value.Kind() == value.String && e.keys.Text(sub, old.Text()) == e.keys.Text(sub, m.Value.Text()) {
			continue
		}
		v = v.With(m.Name, m.Value)
	}
	return v
}

// removeMany removes all values of an attribute or, in Compat, those that the
// operation lists: that is what Entra and JumpCloud mean, and the other reading
// loses data.
func (e *editor) removeMany(t target) error {
	unassign := func() error {
		if t.ref.Attr.Required {
			return refuse(fault.Mutability, "%s is required and cannot be removed.", t.ref.Path())
		}
		e.set(t.ref, value.Value{})
		return nil
	}
	switch k := t.value.Kind(); {
	case k == value.Absent || k == value.Null || e.mode == schema.Strict:
		return unassign()
	case e.mode == schema.Interop:
		return refuse(fault.InvalidSyntax, "The operation remove takes no `value`: choose by a filter in the path.")
	}
	e.report.Add(schema.RemoveListed)
	values, err := e.given(t)
	if err != nil {
		return err
	}
	l := e.list(t.ref)
	if err := e.compares(len(values), len(l.values), 64); err != nil {
		return err
	}
	listed := make([][]part, len(values))
	for i, v := range values {
		listed[i] = e.meant(t.ref.Attr, v)
	}
	out := l.values[:0]
	for _, v := range l.values {
		if !among(listed, e.parts(t.ref.Attr, v)) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return unassign()
	}
	e.set(t.ref, value.Arr(out...))
	return nil
}

// part is a sub-attribute with its value as values are compared, or all that an
// element is that has none.
type part struct {
	of   *schema.Attribute
	text string
	on   bool
	kind value.Kind
}

func (e *editor) parts(a *schema.Attribute, v value.Value) []part {
	if a.Type != schema.Complex {
		return []part{e.partOf(a, v)}
	}
	out := make([]part, 0, len(v.Members()))
	for _, m := range v.Members() {
		if sub := a.Find(m.Name); sub != nil {
			out = append(out, e.partOf(sub, m.Value))
		}
	}
	return out
}

func (e *editor) partOf(a *schema.Attribute, v value.Value) part {
	return part{a, e.keys.Text(a, v.Text()), v.Bool(), v.Kind()}
}

// meant are the parts by which an operation says which value it lists. A display
// text is for people: it does not tell values apart, unless it is all there is.
func (e *editor) meant(a *schema.Attribute, v value.Value) []part {
	parts := e.parts(a, v)
	if len(parts) < 2 {
		return parts
	}
	return slices.DeleteFunc(parts, func(p part) bool { return p.of.Name == "display" })
}

// among reports whether one of those that are listed means the value with the
// parts: it has every part that is given.
func among(listed [][]part, parts []part) bool {
	for _, given := range listed {
		if len(given) > 0 && !slices.ContainsFunc(given, func(p part) bool { return !slices.Contains(parts, p) }) {
			return true
		}
	}
	return false
}

// every applies an operation to a sub-attribute of all values.
func (e *editor) every(t target) error {
	l := e.list(t.ref)
	t.path.Sub = t.ref.Sub.Name
	t.ref.Sub = nil
	l.ref = t.ref
	matches := make([]int, len(l.values))
	for i := range matches {
		matches[i] = i
	}
	return e.sub(t, l, matches, nil, true)
}

// selected applies an operation to the values that a filter selects.
func (e *editor) selected(t target) error {
	bound, err := filter.BindElement(t.path.Filter, t.ref, e.mode)
	if err != nil {
		return err
	}
	e.report.Merge(bound.Report())
	l := e.list(t.ref)
	var matches []int
	for i := range l.values {
		if bound.Match(l.values[i], &e.work) {
			matches = append(matches, i)
		}
	}
	if err := e.work.Err(); err != nil {
		return err
	}
	terms, only := bound.Terms()
	if len(matches) == 0 && t.verb != remove {
		// Entra replaces what is not there yet; the RFC wants that refused.
		if !only || t.verb == replace && e.mode != schema.Compat {
			return refuse(fault.NoTarget, "No value of %s matches the filter in the path.", t.ref.Path())
		}
		if t.verb == replace {
			e.report.Add(schema.Upserted)
		}
	}
	if t.path.Sub != "" {
		return e.sub(t, l, matches, terms, only)
	}
	return e.records(t, l, matches, terms)
}

// sub sets or unassigns one sub-attribute of the chosen values, or makes a
// value of the terms if there is none.
func (e *editor) sub(t target, l *list, matches []int, terms []value.Member, make bool) error {
	ref := t.ref.In(t.ref.Attr.Find(t.path.Sub))
	var to value.Value
	if t.verb != remove {
		var err error
		if to, err = e.coerce(ref, t.value); err != nil {
			return err
		}
	} else if ref.Sub.Required && len(matches) > 0 {
		return refuse(fault.Mutability, "%s is required and cannot be removed.", ref.Path())
	}
	part := []value.Member{value.M(ref.Sub.Name, to)}
	for _, i := range matches {
		v, err := merge(t.ref, l.values[i], part)
		if err != nil {
			return err
		}
		l.change(i, v, value.Obj(part...))
	}
	if len(matches) == 0 && make && to.Kind() != value.Absent {
		l.append(value.Obj(terms...).With(ref.Sub.Name, to))
	}
	return e.store(l)
}

// records adds to, replaces or removes the chosen values as wholes.
func (e *editor) records(t target, l *list, matches []int, terms []value.Member) error {
	var to value.Value
	if t.verb != remove {
		v := t.value
		if v.Kind() == value.Array && e.mode == schema.Compat && len(v.Elements()) == 1 {
			e.report.Add(schema.ManyForSingle)
			v = v.Elements()[0]
		}
		if v.Kind() == value.Array && len(v.Elements()) > 0 {
			return refuse(fault.InvalidValue, "The value of one %s must be an object.", t.ref.Path())
		}
		if !v.IsNothing() {
			var err error
			if to, err = e.element(t.ref, v); err != nil {
				return err
			}
		}
	}
	if to.Kind() == value.Absent {
		if t.verb == add {
			return nil
		}
		return e.removeChosen(l, matches)
	}
	full := to
	for _, m := range terms {
		if full.Get(m.Name).Kind() == value.Absent {
			full = full.With(m.Name, m.Value)
		}
	}
	for _, i := range matches {
		if t.verb == replace {
			l.change(i, full, full)
			continue
		}
		v, err := merge(t.ref, l.values[i], to.Members())
		if err != nil {
			return err
		}
		l.change(i, v, to)
	}
	if len(matches) == 0 {
		l.append(full)
	}
	return e.store(l)
}

// element coerces one value of a multi-valued attribute.
func (e *editor) element(ref schema.Ref, v value.Value) (value.Value, error) {
	one := *ref.Attr
	one.MultiValued = false
	return e.coerce(schema.Ref{URN: ref.URN, Attr: &one}, v)
}

func (e *editor) removeChosen(l *list, matches []int) error {
	if len(matches) == len(l.values) && len(matches) > 0 && l.ref.Attr.Required {
		return refuse(fault.Mutability, "%s is required and cannot be removed.", l.ref.Path())
	}
	kept := l.values[:0]
	for i, v := range l.values {
		if len(matches) > 0 && matches[0] == i {
			matches = matches[1:]
			continue
		}
		kept = append(kept, v)
	}
	e.set(l.ref, value.Arr(kept...))
	return nil
}
