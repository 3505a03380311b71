package scimhttp

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// refPrefix makes a bulkId a reference to what its operation creates (RFC 7644
// §3.7.2).
const refPrefix = "bulkId:"

// rewrite shows see every text of the operation in which an id can stand, and
// returns path and data with what see made of them; the operation itself stays.
// An id is the second part of the path, a whole string of the data, what follows
// the last slash of a $ref, or a quoted literal in the path of a PATCH. A text
// that holds "bulkId:" somewhere else is a person's and stays what it is.
func (o *operation) rewrite(see func(text string) string) (parts []string, data value.Value) {
	parts = o.parts
	if len(parts) > 1 {
		if id := see(parts[1]); id != parts[1] {
			parts = slices.Clone(parts)
			parts[1] = id
		}
	}
	switch o.method {
	case http.MethodDelete:
		return parts, value.Value{}
	case http.MethodPatch:
		ops := o.data.Get("Operations")
		if ops.Kind() == value.Object { // one operation for a list of one
			return parts, o.data.With("Operations", rewriteOp(ops, see))
		}
		return parts, o.data.With("Operations", rewriteEach(ops, func(op value.Value) value.Value { return rewriteOp(op, see) }))
	}
	rt, _ := resourceType(o.parts[0])
	return parts, rewriteMembers(o.data, func(m value.Member) value.Value {
		if passedOver(rt, m.Name) {
			return m.Value
		}
		return rewriteValue(m.Value, m.Name, see)
	})
}

// passedOver tells whether a POST or PUT leaves the attribute unread because
// only the server sets it: a user that comes with its groups refers to none.
func passedOver(rt *schema.ResourceType, name string) bool {
	if rt == nil {
		return false
	}
	ref, ok := rt.Resolve(name, schema.Compat)
	return ok && ref.Attr != nil && ref.Attr.Mutability == schema.ReadOnly
}

// rewriteOp rewrites one operation of a PATCH.
func rewriteOp(op value.Value, see func(string) string) value.Value {
	return rewriteMembers(op, func(m value.Member) value.Value {
		if strings.EqualFold(m.Name, "path") && m.Value.Kind() == value.String {
			if path := rewritePath(m.Value.Text(), see); path != m.Value.Text() {
				return value.Str(path)
			}
			return m.Value
		}
		return rewriteValue(m.Value, m.Name, see)
	})
}

func rewriteValue(v value.Value, name string, see func(string) string) value.Value {
	switch v.Kind() {
	case value.String:
		text := v.Text()
		head := ""
		if strings.EqualFold(name, "$ref") {
			head = text[:strings.LastIndexByte(text, '/')+1]
		}
		if tail := text[len(head):]; see(tail) != tail {
			return value.Str(head + see(tail))
		}
	case value.Array:
		return rewriteEach(v, func(e value.Value) value.Value { return rewriteValue(e, "", see) })
	case value.Object:
		return rewriteMembers(v, func(m value.Member) value.Value { return rewriteValue(m.Value, m.Name, see) })
	}
	return v
}

// rewriteEach and rewriteMembers copy: what was parsed is not modified.
func rewriteEach(v value.Value, f func(value.Value) value.Value) value.Value {
	if v.Kind() != value.Array {
		return v
	}
	out := make([]value.Value, len(v.Elements()))
	for i, e := range v.Elements() {
		out[i] = f(e)
	}
	return value.Arr(out...)
}

func rewriteMembers(v value.Value, f func(value.Member) value.Value) value.Value {
	if v.Kind() != value.Object {
		return v
	}
	out := make([]value.Member, len(v.Members()))
	for i, m := range v.Members() {
		out[i] = value.M(m.Name, f(m))
	}
	return value.Obj(out...)
}

// rewritePath rewrites the quoted literals of a path such as
// members[value eq "bulkId:x"]. One that is no JSON string is left for the
// path's own parser to refuse.
func rewritePath(path string, see func(string) string) string {
	if !strings.Contains(path, `"`) {
		return path
	}
	var out []byte
	for {
		start := strings.IndexByte(path, '"')
		if start < 0 {
			return string(append(out, path...))
		}
		end := start + 1
		for end < len(path) && path[end] != '"' {
			if path[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(path) {
			return string(append(out, path...))
		}
		literal := path[start : end+1]
		out = append(out, path[:start]...)
		if v, err := value.Parse([]byte(literal)); err == nil && see(v.Text()) != v.Text() {
			out = value.AppendString(out, see(v.Text()))
		} else {
			out = append(out, literal...)
		}
		path = path[end+1:]
	}
}

// part takes what refers to late bulkIds out of the body of a POST: now is what
// can be created before they are there, and later the operations of a PATCH that
// add the rest. An attribute goes as a whole, a value of an array by itself.
func part(rt *schema.ResourceType, data value.Value, late []string) (now value.Value, later []value.Value) {
	waits := func(name string, v value.Value) bool {
		found := false
		rewriteValue(v, name, func(text string) string {
			ref, ok := strings.CutPrefix(text, refPrefix)
			found = found || ok && slices.Contains(late, ref)
			return text
		})
		return found
	}
	add := func(path string, v value.Value) {
		later = append(later, value.Obj(value.M("op", value.Str("add")), value.M("path", value.Str(path)), value.M("value", v)))
	}
	var parting func(v value.Value, prefix string) value.Value
	parting = func(v value.Value, prefix string) value.Value {
		var kept []value.Member
		for _, m := range v.Members() {
			path := prefix + m.Name
			switch {
			case passedOver(rt, path) || !waits(m.Name, m.Value):
				kept = append(kept, m)
			case m.Value.Kind() == value.Object && isURN(m.Name):
				if rest := parting(m.Value, path+":"); len(rest.Members()) > 0 {
					kept = append(kept, value.M(m.Name, rest))
				}
			case m.Value.Kind() == value.Array:
				var stay, wait []value.Value
				for _, e := range m.Value.Elements() {
					if waits("", e) {
						wait = append(wait, e)
					} else {
						stay = append(stay, e)
					}
				}
				if len(stay) > 0 {
					kept = append(kept, value.M(m.Name, value.Arr(stay...)))
				}
				add(path, value.Arr(wait...))
			default:
				add(path, m.Value)
			}
		}
		return value.Obj(kept...)
	}
	return parting(data, ""), later
}

// patchOf is the message that holds the operations.
func patchOf(ops []value.Value) value.Value {
	return value.Obj(value.M("schemas", value.Strs(patch.URN)), value.M("Operations", value.Arr(ops...)))
}

func isURN(name string) bool {
	return len(name) > 4 && strings.EqualFold(name[:4], "urn:")
}
