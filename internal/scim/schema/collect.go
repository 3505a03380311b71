package schema

import (
	"strings"

	"gatehouse/internal/scim/value"
)

// collect puts the members of a document where they belong. nested is true for
// the members of a container under the core schema's own URN.
func (n *settler) collect(v value.Value, raw []value.Value, nested bool) error {
	own := n.rt.Schema.Attributes
	members := v.Members()
	for at := range members {
		m := &members[at]
		if i := find(own, m.Name); i >= 0 {
			a := &own[i]
			switch {
			case a.Apart:
				if err := n.putApart(Ref{Attr: a}, m.Value); err != nil {
					return err
				}
			case a.Mutability == ReadOnly, m.Value.IsNothing():
			case a.Mutability == WriteOnly:
				n.report.Add(PasswordDropped)
			default:
				if err := n.put(&raw[1+i], a.Name, m.Value); err != nil {
					return err
				}
			}
			continue
		}
		if i := find(common, m.Name); i >= 0 {
			if i == externalID && !m.Value.IsNothing() {
				if err := n.put(&raw[0], m.Name, m.Value); err != nil {
					return err
				}
			}
			continue
		}
		if s, alias := n.known(m.Name); s != nil {
			if alias {
				n.report.Add(OldSchema)
			}
			if err := n.collectSchema(s, *m, raw, nested); err != nil {
				return err
			}
			continue
		}
		if err := n.unknown(*m, raw); err != nil {
			return err
		}
	}
	return nil
}

func (n *settler) put(slot *value.Value, name string, v value.Value) error {
	if slot.Kind() != value.Absent {
		return badSyntax("%.64q is given twice, under two names.", name)
	}
	*slot = v
	return nil
}

// putApart keeps the value of an attribute that has no place in the document, or
// that of a part of it, as in "members.value". A value that says nothing is kept
// too: who reads it tells it from none.
func (n *settler) putApart(ref Ref, v value.Value) error {
	a := ref.Attr
	had := n.apart.Get(a.Name)
	if ref.Sub != nil {
		if had.IsNothing() {
			had = value.Value{}
		}
		if err := n.graft(&had, ref.Path(), []string{ref.Sub.Name}, v); err != nil {
			return err
		}
		n.apart = n.apart.With(a.Name, had)
		return nil
	}
	switch {
	case had.Kind() != value.Absent && v.IsNothing():
		return nil
	case !had.IsNothing():
		return badSyntax("%.64q is given twice, under two names.", a.Name)
	case n.apart.Kind() == value.Absent:
		n.apart = value.Obj(value.M(a.Name, v))
	default:
		n.apart = n.apart.With(a.Name, v)
	}
	return nil
}

// collectSchema takes a container: an extension's, or in Compat one under the
// core schema's own URN, whose members belong to the document itself.
func (n *settler) collectSchema(s *Schema, m value.Member, raw []value.Value, nested bool) error {
	if m.Value.IsNothing() {
		return nil
	}
	for i := range n.rt.Extensions {
		if n.rt.Extensions[i].Schema == s {
			return n.put(&raw[1+len(n.rt.Schema.Attributes)+i], s.ID, m.Value)
		}
	}
	if n.mode == Compat && !nested && m.Value.Kind() == value.Object {
		n.report.Add(PathName)
		return n.collect(m.Value, raw, true)
	}
	return n.unknown(value.M(m.Name, m.Value), nil)
}

// unknown handles a member that is no attribute. Compat reads a path in a name
// ("name.givenName", "urn:…:User:department") as what it says, and "department"
// as the extension's; whatever is left is refused in Interop and passed over
// otherwise (RFC 7643 §2 has nothing to say about it).
func (n *settler) unknown(m value.Member, raw []value.Value) error {
	urn := strings.IndexByte(m.Name, ':') >= 0
	if n.mode == Compat && raw != nil {
		var bent Report
		if ref, ok := n.rt.Find(m.Name, n.mode, &bent); ok && ref.Attr != nil {
			if whole := ref.Attr.Apart && ref.Sub == nil; !whole && (!writable(ref) || m.Value.IsNothing()) {
				return nil
			}
			if urn || strings.IndexByte(m.Name, '.') >= 0 {
				bent.Add(PathName)
			}
			if ref.URN != "" && !urn {
				n.late = append(n.late, late{ref, m.Value, bent})
				return nil
			}
			n.report.Merge(bent)
			if ref.Attr.Apart {
				return n.putApart(ref, m.Value)
			}
			return n.putPath(ref, m.Value, raw)
		}
	}
	switch {
	case n.mode == Interop:
		return badSyntax("%.128q is no attribute of a %s.", m.Name, n.rt.Name)
	case n.mode == Strict && OldURN(m.Name):
		return badSyntax("%.128q is of SCIM 1.x.", m.Name)
	case urn:
		n.report.Add(UnknownSchema)
	default:
		n.report.Add(UnknownAttribute)
	}
	return nil
}

// late is an attribute of an extension that the message names without the
// extension's URN.
type late struct {
	ref  Ref
	v    value.Value
	bent Report
}

// putLate puts those attributes when all else is in its place: what the message
// says under the URN goes first, wherever it stands. What does not fit there may
// be an attribute of the client's own by the same name, and is passed over.
func (n *settler) putLate(raw []value.Value) {
	for _, l := range n.late {
		v, err := n.rt.Coerce(l.ref, l.v, n.mode, &l.bent)
		if err != nil || n.putPath(l.ref, v, raw) != nil {
			n.report.Add(UnknownAttribute)
			continue
		}
		n.report.Merge(l.bent)
	}
}

func writable(ref Ref) bool {
	a := ref.Attr
	return a.Mutability != ReadOnly && a.Mutability != WriteOnly && ref.Leaf().Mutability != ReadOnly
}

// putPath puts a value where a path leads, making the object that it leads
// through.
func (n *settler) putPath(ref Ref, v value.Value, raw []value.Value) error {
	var names []string
	at := 0
	own := n.rt.Schema.Attributes
	if ref.URN != "" {
		names = append(names, ref.Attr.Name)
		for i := range n.rt.Extensions {
			if n.rt.Extensions[i].Schema.ID == ref.URN {
				at = 1 + len(own) + i
			}
		}
	} else if ref.Attr != &common[externalID] {
		at = 1 + find(own, ref.Attr.Name)
	}
	if ref.Sub != nil {
		names = append(names, ref.Sub.Name)
	}
	return n.graft(&raw[at], ref.Path(), names, v)
}

func (n *settler) graft(at *value.Value, path string, names []string, v value.Value) error {
	if len(names) == 0 {
		return n.put(at, path, v)
	}
	switch at.Kind() {
	case value.Absent:
		*at = value.Obj()
	case value.Object:
	default:
		return badSyntax("%.128q is given twice, under two names.", path)
	}
	inner := at.Get(names[0])
	if err := n.graft(&inner, path, names[1:], v); err != nil {
		return err
	}
	*at = at.With(names[0], inner)
	return nil
}
