package schema

import "strings"

// Ref is an attribute found by its path in a resource type.
type Ref struct {
	URN  string     // the extension's URN; empty for the type's own and the common attributes
	Attr *Attribute // nil: the extension's container itself
	Sub  *Attribute // nil: no sub-attribute is named
}

// Resolve finds an attribute by its path: `userName`, `name.givenName`,
// `urn:…:User:name.givenName`, `urn:…:enterprise:2.0:User:manager.value`, or an
// extension's URN alone. Names and URNs are compared without case (RFC 7644
// §3.10); known URNs are matched whole, since they hold dots and colons. The
// aliases of SCIM 1.x are known in Compat.
func (rt *ResourceType) Resolve(path string, m Mode) (Ref, bool) {
	r, _, ok := rt.resolve(path, m)
	return r, ok
}

// Find is Resolve as a message's paths are read: Compat takes an attribute of
// an extension without the URN, as Entra asks `manager eq "…"`, unless the type
// has one of that name itself. The report counts what was bent.
func (rt *ResourceType) Find(path string, m Mode, report *Report) (Ref, bool) {
	r, alias, ok := rt.resolve(path, m)
	if !ok && m == Compat {
		if r, ok = rt.unqualified(path); ok {
			report.Add(UnqualifiedName)
		}
	}
	if alias {
		report.Add(OldSchema)
	}
	return r, ok
}

// IsOwn reports whether the URN is that of the type's own schema, which in Compat
// may stand for the resource itself. The report counts an alias.
func (rt *ResourceType) IsOwn(urn string, m Mode, report *Report) bool {
	own, alias := rt.Schema.is(urn, m)
	if alias {
		report.Add(OldSchema)
	}
	return own
}

// unqualified finds an attribute among those of the extensions. Only what the
// RFCs define goes without saying where: nobody names what is ours by mistake,
// but a directory may well have products of its own.
func (rt *ResourceType) unqualified(path string) (Ref, bool) {
	for i := range rt.Extensions {
		s := rt.Extensions[i].Schema
		if s.Extra {
			continue
		}
		if r, ok := resolveIn(s.Attributes, path); ok {
			r.URN = s.ID
			return r, true
		}
	}
	return Ref{}, false
}

// resolve is Resolve that tells whether the URN was an alias.
func (rt *ResourceType) resolve(path string, m Mode) (r Ref, alias, ok bool) {
	if strings.IndexByte(path, ':') < 0 {
		r, ok = rt.resolveOwn(path)
		return r, false, ok
	}
	// The longest URN that the path begins with: one may be another's beginning.
	var best *Schema
	urn := 0
	consider := func(s *Schema, id string, other bool) {
		if len(id) > urn && len(path) >= len(id) && strings.EqualFold(path[:len(id)], id) && (len(path) == len(id) || path[len(id)] == ':') {
			best, urn, alias = s, len(id), other
		}
	}
	each := func(s *Schema) {
		consider(s, s.ID, false)
		if m == Compat {
			for _, a := range s.Aliases {
				consider(s, a, true)
			}
		}
	}
	each(rt.Schema)
	for i := range rt.Extensions {
		each(rt.Extensions[i].Schema)
	}
	switch {
	case best == nil, len(path) == urn && best == rt.Schema:
		return Ref{}, false, false
	case len(path) == urn:
		return Ref{URN: best.ID}, alias, true
	case best == rt.Schema:
		r, ok = rt.resolveOwn(path[urn+1:])
		return r, alias && ok, ok
	}
	if r, ok = resolveIn(best.Attributes, path[urn+1:]); ok {
		r.URN = best.ID
	}
	return r, alias && ok, ok
}

func (rt *ResourceType) resolveOwn(path string) (Ref, bool) {
	if r, ok := resolveIn(rt.Schema.Attributes, path); ok {
		return r, true
	}
	return resolveIn(common, path)
}

func resolveIn(list []Attribute, path string) (Ref, bool) {
	name, sub, dotted := strings.Cut(path, ".")
	i := find(list, name)
	if i < 0 {
		return Ref{}, false
	}
	r := Ref{Attr: &list[i]}
	if dotted {
		if r.Sub = r.Attr.Find(sub); r.Sub == nil {
			return Ref{}, false
		}
	}
	return r, true
}

// Leaf is the attribute that the path ends at; nil for a container.
func (r Ref) Leaf() *Attribute {
	if r.Sub != nil {
		return r.Sub
	}
	return r.Attr
}

// Path is the canonical path: "userName", "emails.value",
// "urn:…:enterprise:2.0:User:manager.value".
func (r Ref) Path() string {
	p := r.URN
	if r.Attr != nil {
		if p != "" {
			p += ":"
		}
		p += r.Attr.Name
	}
	if r.Sub != nil {
		p += "." + r.Sub.Name
	}
	return p
}

// In returns the Ref of a sub-attribute of r's attribute.
func (r Ref) In(sub *Attribute) Ref {
	r.Sub = sub
	return r
}
