package patch

import (
	"gatehouse/internal/fault"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// container applies an operation to an extension as a whole.
func (e *editor) container(t target) error {
	if t.path.Filter != nil {
		return refuse(fault.InvalidPath, "%s has no values for a filter to choose from.", t.ref.URN)
	}
	switch {
	case t.verb == remove, t.verb == replace && t.value.IsNothing():
		e.doc = e.doc.Without(t.ref.URN)
		return nil
	case t.value.IsNothing():
		return nil
	case t.value.Kind() != value.Object:
		return refuse(fault.InvalidValue, "%s must be an object.", t.ref.URN)
	}
	if t.verb == replace && e.mode == schema.Interop {
		e.doc = e.doc.Without(t.ref.URN)
	}
	return e.members(t.verb, t.value, t.ref.URN, false)
}

// simple applies an operation to a singular attribute without parts.
func (e *editor) simple(t target) error {
	var to value.Value
	if t.verb == remove {
		if t.ref.Attr.Required {
			return refuse(fault.Mutability, "%s is required and cannot be removed.", t.ref.Path())
		}
	} else {
		var err error
		if to, err = e.coerce(t.ref, t.value); err != nil {
			return err
		}
	}
	if err := immutable(t.ref, e.get(t.ref), to); err != nil {
		return err
	}
	e.set(t.ref, to)
	return nil
}

// complex applies an operation to a singular attribute with parts: they are
// merged; in Interop a replace replaces all of them.
func (e *editor) complex(t target) error {
	if t.verb == remove {
		if t.ref.Attr.Required {
			return refuse(fault.Mutability, "%s is required and cannot be removed.", t.ref.Path())
		}
		if err := immutable(t.ref, e.get(t.ref), value.Value{}); err != nil {
			return err
		}
		e.set(t.ref, value.Value{})
		return nil
	}
	old := e.get(t.ref)
	whole, err := e.coerce(t.ref, t.value)
	if err != nil {
		return err
	}
	if err := immutable(t.ref, old, whole); err != nil {
		return err
	}
	if whole.Kind() == value.Absent && t.value.Kind() != value.Object || t.verb == replace && e.mode == schema.Interop {
		e.set(t.ref, whole)
		return nil
	}
	parts := whole.Members()
	// What the value names without giving it a value is unassigned.
	for _, m := range t.value.Members() {
		if sub := t.ref.Attr.Find(m.Name); sub != nil && sub.Mutability != schema.ReadOnly && whole.Get(sub.Name).Kind() == value.Absent {
			parts = append(parts[:len(parts):len(parts)], value.M(sub.Name, value.Value{}))
		}
	}
	to, err := merge(t.ref, old, parts)
	if err != nil {
		return err
	}
	e.set(t.ref, to)
	return nil
}

// part applies an operation to a sub-attribute of a singular attribute.
func (e *editor) part(t target) error {
	var to value.Value
	if t.verb == remove {
		if t.ref.Sub.Required {
			return refuse(fault.Mutability, "%s is required and cannot be removed.", t.ref.Path())
		}
	} else {
		var err error
		if to, err = e.coerce(t.ref, t.value); err != nil {
			return err
		}
	}
	v, err := merge(t.ref, e.get(t.ref), []value.Member{value.M(t.ref.Sub.Name, to)})
	if err != nil {
		return err
	}
	e.set(t.ref, v)
	return nil
}

// merge gives sub-attributes their values; Absent unassigns. When a reference's
// `value` changes, the `$ref` that came with the old one goes, unless there is
// a new one.
func merge(ref schema.Ref, into value.Value, parts []value.Member) (value.Value, error) {
	out := into
	if out.Kind() != value.Object {
		out = value.Obj()
	}
	given := false
	for _, p := range parts {
		sub := ref.Attr.Find(p.Name)
		if err := immutable(ref.In(sub), into.Get(p.Name), p.Value); err != nil {
			return out, err
		}
		given = given || p.Name == "$ref"
		out = put(out, p.Name, p.Value)
	}
	if !given && ref.Attr.Find("$ref") != nil && into.Get("value").Kind() != value.Absent && !value.Equal(into.Get("value"), out.Get("value")) {
		out = out.Without("$ref")
	}
	return out, nil
}
