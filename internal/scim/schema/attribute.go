package schema

import (
	"slices"

	"gatehouse/internal/scim/value"
)

// attribute normalizes the value of an attribute; ref names no sub-attribute.
func (n *settler) attribute(ref Ref, v value.Value) (value.Value, error) {
	if v.IsNothing() {
		return value.Value{}, nil
	}
	if ref.Attr.MultiValued {
		return n.many(ref, v)
	}
	// Entra sends the manager as an array of one.
	if v.Kind() == value.Array && n.mode == Compat && len(v.Elements()) == 1 {
		n.report.Add(ManyForSingle)
		if v = v.Elements()[0]; v.IsNothing() {
			return value.Value{}, nil
		}
	}
	return n.single(ref, v)
}

// single normalizes one value: a singular attribute's or an element.
func (n *settler) single(ref Ref, v value.Value) (value.Value, error) {
	if ref.Attr.Type != Complex {
		return n.scalar(ref, v)
	}
	if v.Kind() == value.String && n.mode == Compat {
		if v.Text() == "" {
			n.report.Add(EmptyString)
			return value.Value{}, nil
		}
		if sub := ref.Attr.Find("value"); sub != nil {
			n.report.Add(BareValue)
			e, err := n.scalar(ref.In(sub), v)
			if err != nil || e.Kind() == value.Absent {
				return value.Value{}, err
			}
			return value.Obj(value.M(sub.Name, e)), nil
		}
	}
	if v.Kind() != value.Object {
		return value.Value{}, invalid("%s must be an object.", ref.Path())
	}
	if n.plain(ref, v) {
		return v, nil
	}
	return n.object(ref, ref.Attr.Sub, v)
}

// plain reports whether an object of sub-attributes is in its stored form
// already, so that it need not be built anew: most are.
func (n *settler) plain(ref Ref, v value.Value) bool {
	last := -1
	members := v.Members()
	for at := range members {
		m := &members[at]
		i := last + 1
		for i < len(ref.Attr.Sub) && ref.Attr.Sub[i].Name != m.Name {
			i++
		}
		if i == len(ref.Attr.Sub) {
			return false
		}
		last = i
		if sub := &ref.Attr.Sub[i]; sub.Mutability == ReadOnly || !n.stays(sub, &m.Value) {
			return false
		}
	}
	return last >= 0
}

// stays reports whether the value of an attribute is in its stored form
// already. It answers for the common types; false means no more than that the
// value must be looked at. (A Value is large: passing it down and up again is
// most of the cost of normalizing one.)
func (n *settler) stays(a *Attribute, v *value.Value) bool {
	if a.MultiValued {
		return false
	}
	switch a.Type {
	case String, Reference:
		t := v.Text()
		return v.Kind() == value.String && t != "" && len(t) <= MaxString &&
			(!a.Line || oneLine(t)) && (a.Type == String || n.mode == Compat || n.stored)
	case Boolean:
		return v.Kind() == value.Bool
	}
	return false
}

// build is an object in the making: its members, with the places of
// their attributes in the list, ascending. Objects have few, so inserting them
// costs less than a slot for each attribute that there could be.
type build struct {
	members []value.Member
	places  []uint16
}

// at returns the member at a place, made Absent if there was none.
func (p *build) at(place int, name string) *value.Value {
	i := len(p.members)
	for i > 0 && int(p.places[i-1]) >= place {
		i--
	}
	if i < len(p.members) && int(p.places[i]) == place {
		return &p.members[i].Value
	}
	p.members = append(p.members, value.Member{})
	copy(p.members[i+1:], p.members[i:])
	p.places = append(p.places, 0)
	copy(p.places[i+1:], p.places[i:])
	p.members[i], p.places[i] = value.Member{Name: name}, uint16(place)
	return &p.members[i].Value
}

// object builds an object of the listed attributes, in their order. ref is the
// attribute whose sub-attributes they are, or the extension whose attributes.
func (n *settler) object(ref Ref, list []Attribute, v value.Value) (value.Value, error) {
	var room [16]uint16
	p := build{make([]value.Member, 0, min(len(v.Members()), len(list))), room[:0]}
	members := v.Members()
	for at := range members {
		m := &members[at]
		i := find(list, m.Name)
		if i < 0 {
			if err := n.stray(ref, list, *m, &p); err != nil {
				return value.Value{}, err
			}
			continue
		}
		if list[i].Mutability == ReadOnly || m.Value.IsNothing() {
			continue
		}
		if err := n.put(p.at(i, list[i].Name), m.Name, m.Value); err != nil {
			return value.Value{}, err
		}
	}
	kept := p.members[:0]
	for i := range p.members {
		a, m := &list[p.places[i]], &p.members[i]
		if !n.stays(a, &m.Value) {
			var err error
			if ref.Attr == nil {
				m.Value, err = n.attribute(Ref{URN: ref.URN, Attr: a}, m.Value)
			} else {
				m.Value, err = n.scalar(ref.In(a), m.Value)
			}
			if err != nil {
				return value.Value{}, err
			}
		}
		if m.Value.Kind() != value.Absent {
			kept = append(kept, *m)
		}
	}
	if len(kept) == 0 {
		return value.Value{}, nil
	}
	return value.Obj(kept...), nil
}

// stray handles a member of an object that is none of its attributes; in an
// extension's container Compat reads "manager.value" as a path.
func (n *settler) stray(ref Ref, list []Attribute, m value.Member, p *build) error {
	if ref.Attr == nil && n.mode == Compat {
		if r, ok := resolveIn(list, m.Name); ok {
			if m.Value.IsNothing() {
				return nil
			}
			n.report.Add(PathName)
			at := p.at(find(list, r.Attr.Name), r.Attr.Name)
			return n.graft(at, m.Name, []string{r.Sub.Name}, m.Value)
		}
	}
	if n.mode == Interop {
		return badSyntax("%.128q is no attribute of %s.", m.Name, ref.Path())
	}
	n.report.Add(UnknownAttribute)
	return nil
}

// many normalizes the values of a multi-valued attribute: each once, at most
// one of them primary.
func (n *settler) many(ref Ref, v value.Value) (value.Value, error) {
	list := v.Elements()
	if v.Kind() != value.Array {
		if n.mode != Compat {
			return value.Value{}, invalid("%s must be an array.", ref.Path())
		}
		n.report.Add(SingleForMany)
		list = []value.Value{v}
	}
	if len(list) > ref.Attr.Most() {
		return value.Value{}, invalid("%s takes at most %d values.", ref.Path(), ref.Attr.Most())
	}
	out := make([]value.Value, 0, len(list))
	var keys []Key // of out; one value alone is compared with none
	for _, e := range list {
		if e.IsNothing() {
			continue
		}
		e, err := n.single(ref, e)
		if err != nil {
			return value.Value{}, err
		}
		if e.Kind() == value.Absent || n.mode == Compat && hollow(ref.Attr, e) {
			n.report.Add(EmptyElement)
			continue
		}
		i := -1
		if len(list) > 1 {
			key := n.keys.Of(ref.Attr, e)
			if i = slices.Index(keys, key); i < 0 {
				keys = append(keys, key)
			}
		}
		if i >= 0 {
			n.report.Add(DuplicateValue)
			// The one that stays must not lose that its twin was preferred.
			if e.Get("primary").Bool() && !out[i].Get("primary").Bool() {
				out[i] = out[i].With("primary", value.Boolean(true))
			}
			continue
		}
		out = append(out, e)
	}
	first := -1
	for i := range out {
		if !out[i].Get("primary").Bool() {
			continue
		}
		if first >= 0 {
			return value.Value{}, invalid("%s has more than one primary value.", ref.Path())
		}
		first = i
	}
	if len(out) == 0 {
		return value.Value{}, nil
	}
	return value.Arr(out...), nil
}

// hollow reports whether an element tells nothing but what it is for: what is
// left when a directory clears an address by sending "" for its value.
func hollow(a *Attribute, e value.Value) bool {
	if a.Find("value") == nil {
		return false
	}
	for _, m := range e.Members() {
		if m.Name != "type" && m.Name != "primary" {
			return false
		}
	}
	return true
}
