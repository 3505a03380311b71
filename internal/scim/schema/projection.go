package schema

import (
	"strings"

	"gatehouse/internal/scim/value"
)

// Projection is what of a resource a client asked for with `attributes` or
// `excludedAttributes` (RFC 7644 §3.9). It is made by ParseProjection.
type Projection struct {
	rt      *ResourceType
	only    bool // names are what is wanted; else what is not
	partial bool // there are names
	names   []Ref
}

// ParseProjection reads the two parameters; each entry may hold several names
// with commas between them. Names may be URN-qualified and have
// sub-attributes; unknown ones are passed over in every mode. Both together are
// refused (Invalid, invalidValue). The report counts what was bent.
func ParseProjection(rt *ResourceType, attributes, excluded []string, m Mode, report *Report) (Projection, error) {
	p := Projection{rt: rt}
	wanted, some := p.parse(attributes, m, report)
	unwanted, others := p.parse(excluded, m, report)
	if some && others {
		return Projection{}, invalid("Give `attributes` or `excludedAttributes`, not both.")
	}
	p.only, p.partial = some, some || len(unwanted) > 0
	p.names = unwanted
	if some {
		p.names = wanted
	}
	return p, nil
}

// maxNames bounds the work of a projection; no schema has as many attributes.
const maxNames = 256

func (p Projection) parse(params []string, m Mode, report *Report) (refs []Ref, some bool) {
	for _, param := range params {
		for name := range strings.SplitSeq(param, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			some = true
			if len(refs) == maxNames {
				return refs, some
			}
			if r, ok := p.rt.Find(name, m, report); ok {
				refs = append(refs, r)
			}
		}
	}
	return refs, some
}

// IsDefault reports whether the client asked for nothing in particular.
func (p Projection) IsDefault() bool { return !p.partial }

// Wants reports whether the attribute with the name, one of the resource
// type's own, can be part of the answer, so that what would be left out need
// not be read.
func (p Projection) Wants(name string) bool {
	r, ok := p.rt.resolveOwn(name)
	return ok && p.shows("", r.Attr) != hidden
}

// Asks reports whether the client named the attribute, one of the resource
// type's own, or a part of it in `attributes`: for what costs too much to be
// answered unasked.
func (p Projection) Asks(name string) bool {
	r, ok := p.rt.resolveOwn(name)
	if !ok || !p.only {
		return false
	}
	for _, n := range p.names {
		if n.URN == r.URN && n.Attr == r.Attr {
			return true
		}
	}
	return false
}

type showing uint8

const (
	hidden showing = iota
	whole
	parts // some sub-attributes only
)

// shows tells what of an attribute is part of the answer.
func (p Projection) shows(urn string, a *Attribute) showing {
	switch a.returned() {
	case Always:
		return whole
	case Never:
		return hidden
	}
	if !p.only {
		if a.returned() == Request {
			return hidden
		}
		s := whole
		for _, r := range p.names {
			if r.URN != urn || r.Attr != nil && r.Attr != a {
				continue
			}
			if r.Sub == nil {
				return hidden
			}
			s = parts
		}
		return s
	}
	s := hidden
	for i := range a.Sub {
		// A sub-attribute that is always returned would come without being asked
		// for, if its attribute is there at all; only then is it a part.
		if a.Sub[i].returned() == Always {
			s = parts
		}
	}
	for _, r := range p.names {
		if r.URN != urn || r.Attr != nil && r.Attr != a {
			continue
		}
		switch {
		case r.Attr == nil && a.returned() == Request:
		case r.Sub == nil:
			return whole
		default:
			s = parts
		}
	}
	return s
}

// showsSub tells whether a sub-attribute of an attribute shown in parts is part
// of the answer; whole attributes show all but `never` and `request`.
func (p Projection) showsSub(urn string, a, sub *Attribute, s showing) bool {
	switch sub.returned() {
	case Always:
		return true
	case Never:
		return false
	}
	named := false
	for _, r := range p.names {
		named = named || r.URN == urn && r.Attr == a && r.Sub == sub
	}
	switch {
	case p.only && (s == parts || sub.returned() == Request):
		return named
	case sub.returned() == Request:
		return false
	}
	return p.only || !named
}

// Apply returns what of a rendered resource is to be answered: always
// `returned: always` (id, schemas), never `never`, `request` only when asked.
// The resource itself is not changed.
func (p Projection) Apply(resource value.Value) value.Value {
	if !p.partial && p.rt.answersWhole(resource) {
		return resource
	}
	out := make([]value.Member, 0, len(resource.Members()))
	for _, m := range resource.Members() {
		if r, ok := p.rt.resolveOwn(m.Name); ok {
			if v := p.attribute("", r.Attr, m.Value); v.Kind() != value.Absent {
				out = append(out, value.M(m.Name, v))
			}
			continue
		}
		if list := p.rt.extension(m.Name); list != nil {
			if v := p.container(list, m.Value); v.Kind() != value.Absent {
				out = append(out, value.M(m.Name, v))
			}
			continue
		}
		// What no schema has is the server's own affair; it goes out whole, or
		// not at all.
		if !p.only {
			out = append(out, m)
		}
	}
	return value.Obj(out...)
}

// answersWhole reports whether everything that the resource holds is returned
// by default, as nearly every resource's is.
func (rt *ResourceType) answersWhole(resource value.Value) bool {
	whole := func(list []Attribute, name string) (answered, found bool) {
		i := find(list, name)
		if i < 0 {
			return false, false
		}
		r := list[i].Returned
		return r != Never && r != Request && list[i].shown(), true
	}
	members := resource.Members()
	for i := range members {
		answered, found := whole(rt.Schema.Attributes, members[i].Name)
		if !found {
			answered, found = whole(common, members[i].Name)
		}
		if e := rt.extension(members[i].Name); !found && e != nil {
			answered = true
			for _, m := range members[i].Value.Members() {
				a, _ := whole(e.Attributes, m.Name)
				answered = answered && a
			}
		}
		if !answered {
			return false
		}
	}
	return true
}

func (p Projection) container(s *Schema, v value.Value) value.Value {
	out := make([]value.Member, 0, len(v.Members()))
	for _, m := range v.Members() {
		i := find(s.Attributes, m.Name)
		if i < 0 {
			continue
		}
		if e := p.attribute(s.ID, &s.Attributes[i], m.Value); e.Kind() != value.Absent {
			out = append(out, value.M(m.Name, e))
		}
	}
	if len(out) == 0 {
		return value.Value{}
	}
	return value.Obj(out...)
}

// attribute is what is left of the attribute's value; Absent for nothing.
func (p Projection) attribute(urn string, a *Attribute, v value.Value) value.Value {
	s := p.shows(urn, a)
	switch {
	case s == hidden:
		return value.Value{}
	case s == whole && a.shown():
		return v
	case v.Kind() != value.Array:
		return p.object(urn, a, s, v)
	}
	out := make([]value.Value, 0, len(v.Elements()))
	for _, e := range v.Elements() {
		if e = p.object(urn, a, s, e); e.Kind() != value.Absent {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return value.Value{}
	}
	return value.Arr(out...)
}

// shown reports whether an attribute shown whole shows all its sub-attributes.
func (a *Attribute) shown() bool {
	for i := range a.Sub {
		if r := a.Sub[i].Returned; r == Never || r == Request {
			return false
		}
	}
	return true
}

func (p Projection) object(urn string, a *Attribute, s showing, v value.Value) value.Value {
	if v.Kind() != value.Object {
		return v
	}
	out := make([]value.Member, 0, len(v.Members()))
	for _, m := range v.Members() {
		if sub := a.Find(m.Name); sub != nil && p.showsSub(urn, a, sub, s) {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return value.Value{}
	}
	return value.Obj(out...)
}

// extension returns the extension with the URN, nil if the type has none.
func (rt *ResourceType) extension(urn string) *Schema {
	for i := range rt.Extensions {
		if sameName(rt.Extensions[i].Schema.ID, urn) {
			return rt.Extensions[i].Schema
		}
	}
	return nil
}
