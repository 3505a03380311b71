package schema

import (
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/scim/value"
)

// Limits of what is stored. Strings are measured in bytes of UTF-8.
const (
	MaxString   = 4 << 10  // a string or reference; beyond: 400 invalidValue
	MaxBinary   = 16 << 10 // a binary value in base64; beyond: 400 invalidValue
	MaxElements = 100      // values of a multi-valued attribute; beyond: 400 invalidValue
	MaxEmails   = 40       // values of emails: each is an index item of the commit
	MaxResource = 64 << 10 // a stored resource as JSON; beyond: Invalid with Code TooLarge (413)
)

// Normalize brings the body of a POST or PUT into the form that is stored:
// attributes spelled and ordered as the schema has them; without schemas, id,
// meta, password and whatever else a client does not own (readOnly), and without
// what is unassigned; extensions under their canonical URN; types as the schema
// says, coerced in Compat. Texts are kept as they came, whatever they hold.
//
// What the body says of attributes that are kept apart (see patch.ReadMembers
// for a group's members) is returned as an object of their values as they came,
// by the schema's names, whatever the dialect lets the body call them; Absent
// where it says nothing of any.
//
// Errors are *fault.Error of Kind Invalid: invalidSyntax for the message's form
// and unknown names (Interop), invalidValue for values, TooLarge for a document
// beyond MaxResource. The Report counts what was bent. v is not changed, and
// the result shares parts of it.
func (rt *ResourceType) Normalize(v value.Value, m Mode) (doc, apart value.Value, report Report, err error) {
	n := settler{rt: rt, mode: m}
	if v.Kind() != value.Object {
		return value.Value{}, value.Value{}, n.report, fault.New(fault.Invalid, fault.InvalidSyntax, "A %s is a JSON object.", rt.Name)
	}
	if err := n.schemas(v.Get("schemas")); err != nil {
		return value.Value{}, value.Value{}, n.report, err
	}
	doc, err = n.document(v)
	return doc, n.apart, n.report, err
}

// Settle is Normalize for a document that is no message: `schemas` is neither
// asked for nor looked at. A settled document settles to itself.
func (rt *ResourceType) Settle(doc value.Value, m Mode) (value.Value, Report, error) {
	n := settler{rt: rt, mode: m, stored: true}
	if doc.Kind() != value.Object {
		return value.Value{}, n.report, fault.New(fault.Invalid, fault.InvalidSyntax, "A %s is a JSON object.", rt.Name)
	}
	out, err := n.document(doc)
	return out, n.report, err
}

// Coerce brings one value into the form in which the attribute, sub-attribute
// or container at ref is stored; Absent if it stands for unassigned. A value
// for a multi-valued attribute gives an array. What the whole document must
// fulfil (required attributes, one primary, size) is Settle's to check.
func (rt *ResourceType) Coerce(ref Ref, v value.Value, m Mode, report *Report) (value.Value, error) {
	n := settler{rt: rt, mode: m}
	var out value.Value
	var err error
	switch {
	case ref.Attr == nil:
		out, err = n.container(ref.URN, v)
	case ref.Sub != nil:
		out, err = n.scalar(ref, v)
	default:
		out, err = n.attribute(ref, v)
	}
	report.Merge(n.report)
	return out, err
}

// settler carries one document's normalization.
type settler struct {
	rt     *ResourceType
	mode   Mode
	stored bool // what a connection stored in another mode must not be refused now
	late   []late
	apart  value.Value // see Normalize
	report Report
	keys   Keys
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.InvalidValue, format, args...)
}

func badSyntax(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.InvalidSyntax, format, args...)
}

// schemas checks the message's `schemas` (RFC 7643 §3). Only Strict and Interop
// insist on it: what a body is follows from its endpoint.
func (n *settler) schemas(v value.Value) error {
	list := v.Elements()
	switch {
	case v.Kind() == value.Array:
	case n.mode == Compat && v.IsNothing():
	case n.mode == Compat && v.Kind() == value.String:
		list = []value.Value{v}
		n.report.Add(SingleForMany)
	default:
		return badSyntax("`schemas` must be an array of URNs that names %s.", n.rt.Schema.ID)
	}
	own := false
	for _, e := range list {
		if e.Kind() != value.String {
			return badSyntax("`schemas` must be an array of URNs.")
		}
		s, alias := n.known(e.Text())
		switch {
		case alias:
			n.report.Add(OldSchema)
		case s == nil && n.mode == Interop:
			return badSyntax("`schemas` names %.128q, which is no schema of a %s.", e.Text(), n.rt.Name)
		case s == nil && n.mode == Strict && OldURN(e.Text()):
			return badSyntax("`schemas` names %.128q, which is of SCIM 1.x.", e.Text())
		case s == nil:
			n.report.Add(UnknownSchema)
		}
		own = own || s == n.rt.Schema
	}
	if !own {
		if n.mode != Compat {
			return badSyntax("`schemas` does not name %s.", n.rt.Schema.ID)
		}
		n.report.Add(MissingSchema)
	}
	return nil
}

// OldURN reports whether a name is one of SCIM 1.x, or begins with one. Strict
// refuses them.
func OldURN(urn string) bool {
	const old = "urn:scim:schemas:"
	return len(urn) > len(old) && sameName(urn[:len(old)], old)
}

// known finds the schema of a URN among those of the resource type.
func (n *settler) known(urn string) (s *Schema, alias bool) {
	if ok, alias := n.rt.Schema.is(urn, n.mode); ok {
		return n.rt.Schema, alias
	}
	for i := range n.rt.Extensions {
		if ok, alias := n.rt.Extensions[i].Schema.is(urn, n.mode); ok {
			return n.rt.Extensions[i].Schema, alias
		}
	}
	return nil, false
}

// slots is room for a document's attributes, in the order of the schema:
// externalId, the schema's own, one for each extension.
type slots [40]value.Value

// document normalizes a whole document.
func (n *settler) document(v value.Value) (value.Value, error) {
	own := n.rt.Schema.Attributes
	var room slots
	raw := room[:]
	if need := 1 + len(own) + len(n.rt.Extensions); need <= len(room) {
		raw = raw[:need]
	} else {
		raw = make([]value.Value, need)
	}
	if err := n.collect(v, raw, false); err != nil {
		return value.Value{}, err
	}
	n.putLate(raw)
	size := 0
	for i := range raw {
		if raw[i].Kind() == value.Absent {
			continue
		}
		var err error
		switch {
		case i == 0:
			raw[i], err = n.attribute(Ref{Attr: &common[externalID]}, raw[i])
		case i <= len(own) && n.stays(&own[i-1], &raw[i]):
		case i <= len(own):
			raw[i], err = n.attribute(Ref{Attr: &own[i-1]}, raw[i])
		default:
			raw[i], err = n.container(n.rt.Extensions[i-1-len(own)].Schema.ID, raw[i])
		}
		if err != nil {
			return value.Value{}, err
		}
		if raw[i].Kind() != value.Absent {
			size++
		}
	}
	if err := n.required(raw); err != nil {
		return value.Value{}, err
	}
	out := make([]value.Member, 0, size)
	for i := range raw {
		if raw[i].Kind() == value.Absent {
			continue
		}
		name := common[externalID].Name
		switch {
		case i > len(own):
			name = n.rt.Extensions[i-1-len(own)].Schema.ID
		case i > 0:
			name = own[i-1].Name
		}
		out = append(out, value.M(name, raw[i]))
	}
	doc := value.Obj(out...)
	// A byte of text takes six at most when written (\u001f), and what is not
	// text is short, so most documents need not be written to be measured.
	if bound(&doc) > MaxResource && len(doc.Append(nil)) > MaxResource {
		return value.Value{}, fault.New(fault.Invalid, fault.TooLarge, "A %s is stored in at most %d KB, and this one is larger.", n.rt.Name, MaxResource>>10)
	}
	return doc, nil
}

// bound is no less than the length of v as JSON.
func bound(v *value.Value) int {
	size := 6*len(v.Text()) + 6
	members, elements := v.Members(), v.Elements()
	for i := range members {
		size += len(members[i].Name) + 6 + bound(&members[i].Value)
	}
	for i := range elements {
		size += 1 + bound(&elements[i])
	}
	return size
}

// required checks what a document may not lack.
func (n *settler) required(raw []value.Value) error {
	own := n.rt.Schema.Attributes
	for i := range own {
		a := &own[i]
		if !a.Required || a.Apart {
			continue
		}
		v := raw[1+i]
		if v.Kind() == value.Absent || v.Kind() == value.String && identity.Fold(v.Text()) == "" {
			return invalid("A %s must have a %s.", n.rt.Name, a.Name)
		}
	}
	for i, e := range n.rt.Extensions {
		v := raw[1+len(own)+i]
		if v.Kind() == value.Absent {
			if e.Required {
				return invalid("A %s must have the extension %s.", n.rt.Name, e.Schema.ID)
			}
			continue
		}
		for j := range e.Schema.Attributes {
			if a := &e.Schema.Attributes[j]; a.Required && v.Get(a.Name).Kind() == value.Absent {
				return invalid("A %s with the extension %s must have its %s.", n.rt.Name, e.Schema.ID, a.Name)
			}
		}
	}
	return nil
}

// container normalizes an extension's object.
func (n *settler) container(urn string, v value.Value) (value.Value, error) {
	if v.IsNothing() {
		return value.Value{}, nil
	}
	if v.Kind() != value.Object {
		return value.Value{}, invalid("%s must be an object.", urn)
	}
	return n.object(Ref{URN: urn}, n.rt.extension(urn).Attributes, v)
}

// Place returns the settled document with another value of one of the type's own
// attributes, where the schema's order has it. The rest stays as it is.
func (rt *ResourceType) Place(doc value.Value, name string, v value.Value) value.Value {
	at := find(rt.Schema.Attributes, name)
	members := doc.Members()
	out := make([]value.Member, 0, len(members)+1)
	placed := false
	for _, m := range members {
		i := find(rt.Schema.Attributes, m.Name)
		switch {
		case i == at:
			continue
		case !placed && (i > at || rt.extension(m.Name) != nil):
			out, placed = append(out, value.M(rt.Schema.Attributes[at].Name, v)), true
		}
		out = append(out, m)
	}
	if !placed {
		out = append(out, value.M(rt.Schema.Attributes[at].Name, v))
	}
	return value.Obj(out...)
}
