package patch

import (
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// MaxOperations is how many operations one PATCH may have, those aside that say by
// ids who is a member; beyond: Invalid with Code TooLarge (413). Far more than a
// user has attributes, and it bounds the work.
const MaxOperations = 1000

func tooManyOperations() error {
	return refuse(fault.TooLarge, "A PATCH may have at most %d operations besides those that say by ids who is a member.", MaxOperations)
}

// Apply applies the operations in order to doc, a settled document of the
// resource type that may carry `id` besides: an equal id in an operation is no
// change, another one is refused (mutability). doc itself is not changed. The
// result is settled, and carries the id if doc did; it is value.Equal to doc
// when nothing changed.
//
// Where the RFC leaves it open: a `replace` of an element that a filter selects
// keeps what the filter compares by `eq`, so that the same path finds it again;
// `add` at a filter that selects nothing makes an element of the filter's `eq`
// terms; a `remove` that selects nothing succeeds.
//
// Errors are *fault.Error of Kind Invalid: mutability, noTarget, invalidPath,
// invalidFilter, invalidValue, invalidSyntax, tooMany, TooLarge.
func (r Request) Apply(rt *schema.ResourceType, doc value.Value, m schema.Mode) (value.Value, schema.Report, error) {
	if len(r.ops) > MaxOperations {
		return value.Value{}, r.report, tooManyOperations()
	}
	e := editor{rt: rt, mode: m, report: r.report, id: doc.Get("id"), doc: doc.Without("id"), work: filter.MaxWork}
	for i := range r.ops {
		if err := e.apply(&r.ops[i]); err != nil {
			return value.Value{}, e.report, r.ops[i].at.tell(err)
		}
	}
	out, report, err := rt.Settle(e.doc, m)
	e.report.Merge(report)
	if err != nil {
		return value.Value{}, e.report, err
	}
	if e.id.Kind() != value.Absent {
		out = value.Obj(append([]value.Member{value.M("id", e.id)}, out.Members()...)...)
	}
	return out, e.report, nil
}

// editor holds the document between operations. Values in it are shared with
// the document that was given, so they are replaced, never changed.
type editor struct {
	rt     *schema.ResourceType
	mode   schema.Mode
	report schema.Report
	id     value.Value
	doc    value.Value
	work   filter.Budget // of all that is compared
	keys   schema.Keys
}

// target is what an operation does, and where.
type target struct {
	verb  verb
	ref   schema.Ref
	path  filter.Path // for its filter and the sub-attribute behind it
	value value.Value
	whole bool // named by a member of a value without a path
}

func (e *editor) apply(op *operation) error {
	if op.whole {
		return e.members(op.verb, op.value, "", true)
	}
	if op.inCore(e.rt, e.mode, &e.report) {
		e.report.Add(schema.PathName)
		return e.members(op.verb, op.value, "", false)
	}
	ref, ok := e.rt.Find(op.path.Attr, e.mode, &e.report)
	if !ok {
		if e.mode != schema.Compat {
			return refuse(e.undefined(), "%.128q is no attribute of a %s.", op.path.Attr, e.rt.Name)
		}
		e.report.Add(unknownRule(op.path.Attr))
		return nil
	}
	return e.at(target{verb: op.verb, ref: ref, path: op.path, value: op.value})
}

// undefined is the code for a path to an attribute that there is not: the
// interoperability profile has one code for whatever no schema defines.
func (e *editor) undefined() string {
	if e.mode == schema.Interop {
		return fault.InvalidSyntax
	}
	return fault.InvalidPath
}

func unknownRule(name string) schema.Rule {
	if strings.IndexByte(name, ':') >= 0 {
		return schema.UnknownSchema
	}
	return schema.UnknownAttribute
}

// members applies an operation without a path: each member of the value is an
// attribute. within is the extension whose container the value is.
func (e *editor) members(v verb, of value.Value, within string, outermost bool) error {
	for _, m := range of.Members() {
		name := m.Name
		if within != "" {
			name = within + ":" + name
		}
		t := target{verb: v, value: m.Value, whole: true}
		var ok bool
		var bent schema.Report
		t.ref, ok = e.rt.Find(name, e.mode, &bent)
		if ok && bent.Count(schema.UnqualifiedName) > 0 && !e.fits(t) {
			e.report.Add(schema.UnknownAttribute)
			continue
		}
		e.report.Merge(bent)
		if ok && e.plain(m.Name, t.ref) {
			if err := e.at(t); err != nil {
				return err
			}
			continue
		}
		if e.mode == schema.Compat {
			done, err := e.pathName(t, name, outermost)
			if done || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		switch {
		case e.mode == schema.Interop:
			return refuse(fault.InvalidSyntax, "%.128q is no attribute of a %s.", m.Name, e.rt.Name)
		case e.mode == schema.Strict && schema.OldURN(m.Name):
			return refuse(fault.InvalidSyntax, "%.128q is of SCIM 1.x.", m.Name)
		}
		e.report.Add(unknownRule(m.Name))
	}
	return nil
}

// fits reports whether the attribute takes the value. One of an extension that is
// named without the URN and does not fit may be the client's own by that name.
func (e *editor) fits(t target) bool {
	_, err := e.rt.Coerce(t.ref, t.value, e.mode, new(schema.Report))
	return err == nil
}

// plain reports whether a member's name is that of an attribute or extension,
// not a path to one.
func (e *editor) plain(name string, ref schema.Ref) bool {
	return ref.Attr == nil || ref.Sub == nil && strings.EqualFold(name, ref.Attr.Name)
}

// pathName applies a member whose name is a path, as Entra sends them
// ("name.givenName", "urn:…:User:employeeNumber"); false if it is none.
func (e *editor) pathName(t target, name string, outermost bool) (bool, error) {
	if outermost && t.value.Kind() == value.Object && e.rt.IsOwn(name, e.mode, &e.report) {
		e.report.Add(schema.PathName)
		return true, e.members(t.verb, t.value, "", false)
	}
	if t.ref.Attr == nil {
		p, err := filter.ParsePath(name)
		if err != nil || p.Filter == nil {
			return false, nil
		}
		var ok bool
		if t.ref, ok = e.rt.Find(p.Attr, e.mode, &e.report); !ok {
			return false, nil
		}
		t.path = p
	}
	e.report.Add(schema.PathName)
	return true, e.at(t)
}

// at applies an operation at its target.
func (e *editor) at(t target) error {
	if done, err := e.owned(t); done || err != nil {
		return err
	}
	switch a := t.ref.Attr; {
	case a == nil:
		return e.container(t)
	case t.path.Filter != nil:
		if !a.MultiValued || a.Type != schema.Complex || t.ref.Sub != nil {
			return refuse(fault.InvalidPath, "%s has no values for a filter to choose from.", t.ref.Path())
		}
		return e.selected(t)
	case t.ref.Sub != nil && a.MultiValued:
		return e.every(t)
	case t.ref.Sub != nil:
		return e.part(t)
	case a.MultiValued:
		return e.many(t)
	case a.Type == schema.Complex:
		return e.complex(t)
	}
	return e.simple(t)
}

// owned handles what is not the client's to change.
func (e *editor) owned(t target) (done bool, err error) {
	a := t.ref.Attr
	if a == nil {
		return false, nil
	}
	if t.path.Sub != "" {
		sub := a.Find(t.path.Sub)
		if sub == nil {
			if e.mode == schema.Compat {
				e.report.Add(schema.UnknownAttribute)
				return true, nil
			}
			return false, refuse(e.undefined(), "%s has no sub-attribute %.64q.", t.ref.Path(), t.path.Sub)
		}
		if sub.Mutability == schema.ReadOnly {
			return false, readOnly(t.ref.In(sub))
		}
	}
	switch {
	case a.Apart:
		return false, fault.New(fault.Internal, "", "%s is kept apart from the document.", t.ref.Path())
	case a.Mutability == schema.WriteOnly:
		e.report.Add(schema.PasswordDropped)
		return true, nil
	case a.Name == "schemas" && t.ref.URN == "":
		// It follows from what the document holds (RFC 7644 §3.5.2).
		return true, nil
	case a.Name == "id" && t.ref.URN == "" && t.verb != remove && e.id.Kind() == value.String && value.Equal(t.value, e.id):
		return true, nil // Okta sends the id along with a group's new name
	case a.Mutability == schema.ReadOnly && t.whole && e.mode == schema.Compat && a.Name != "id":
		e.report.Add(schema.ReadOnlyPassed)
		return true, nil
	case a.Mutability == schema.ReadOnly, t.ref.Sub != nil && t.ref.Sub.Mutability == schema.ReadOnly:
		return false, readOnly(t.ref)
	}
	return false, nil
}

func readOnly(ref schema.Ref) error {
	return refuse(fault.Mutability, "%s cannot be changed by a client.", ref.Path())
}

// get returns the value of the attribute, sub-attribute aside.
func (e *editor) get(ref schema.Ref) value.Value {
	v := e.doc
	if ref.URN != "" {
		v = v.Get(ref.URN)
	}
	return v.Get(ref.Attr.Name)
}

// set gives the attribute its value; Absent, or an empty array or object,
// unassigns it. An extension's container comes and goes with its values.
func (e *editor) set(ref schema.Ref, v value.Value) {
	if v.Kind() == value.Object && len(v.Members()) == 0 || v.IsNothing() {
		v = value.Value{}
	}
	if ref.URN == "" {
		e.doc = put(e.doc, ref.Attr.Name, v)
		return
	}
	c := put(e.doc.Get(ref.URN), ref.Attr.Name, v)
	if len(c.Members()) == 0 {
		e.doc = e.doc.Without(ref.URN)
		return
	}
	e.doc = e.doc.With(ref.URN, c)
}

// put is With, or Without where there is nothing to put.
func put(v value.Value, name string, to value.Value) value.Value {
	if to.Kind() == value.Absent {
		return v.Without(name)
	}
	return v.With(name, to)
}

func (e *editor) coerce(ref schema.Ref, v value.Value) (value.Value, error) {
	return e.rt.Coerce(ref, v, e.mode, &e.report)
}

// immutable refuses to change what may be given once (RFC 7644 §3.5.2).
func immutable(ref schema.Ref, old, to value.Value) error {
	if ref.Leaf().Mutability != schema.Immutable || old.Kind() == value.Absent || value.Equal(old, to) {
		return nil
	}
	return refuse(fault.Mutability, "%s cannot be changed once it has a value.", ref.Path())
}
