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
	parts = slices.Clone(o.parts)
	if o.method != http.MethodPost {
		parts[1] = see(parts[1])
	}
	r := rewriter{see: see, patch: o.method == http.MethodPatch}
	if o.method == http.MethodPost || o.method == http.MethodPut {
		r.rt, _ = resourceType(o.parts[0])
	}
	if o.method != http.MethodDelete {
		data = r.rewrite("", o.data)
	}
	return parts, data
}

// rewriter rewrites a message: a PATCH, or a resource of the type.
type rewriter struct {
	see   func(string) string
	patch bool
	rt    *schema.ResourceType // until the outermost object is entered
}

// rewrite copies: what was parsed is not modified.
func (r rewriter) rewrite(name string, v value.Value) value.Value {
	switch v.Kind() {
	case value.String:
		return value.Str(r.text(name, v.Text()))
	case value.Array:
		out := slices.Clone(v.Elements())
		for i := range out {
			out[i] = r.rewrite("", out[i])
		}
		return value.Arr(out...)
	case value.Object:
		out := slices.Clone(v.Members())
		rt := r.rt
		r.rt = nil
		for i := range out {
			if !passedOver(rt, out[i].Name) {
				out[i].Value = r.rewrite(out[i].Name, out[i].Value)
			}
		}
		return value.Obj(out...)
	}
	return v
}

func (r rewriter) text(name, text string) string {
	switch {
	case strings.EqualFold(name, "$ref"):
		tail := strings.LastIndexByte(text, '/') + 1
		return text[:tail] + r.see(text[tail:])
	case r.patch && strings.EqualFold(name, "path"):
		return rewritePath(text, r.see)
	}
	return r.see(text)
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

// rewritePath rewrites the quoted literals of a path such as
// members[value eq "bulkId:x"]. One that is no JSON string is left for the
// path's own parser to refuse.
func rewritePath(path string, see func(string) string) string {
	var out []byte
	for {
		start := strings.IndexByte(path, '"')
		end := start + 1
		for start >= 0 && end < len(path) && path[end] != '"' {
			if path[end] == '\\' {
				end++
			}
			end++
		}
		if start < 0 || end >= len(path) {
			return string(append(out, path...))
		}
		literal := path[start : end+1]
		out = append(out, path[:start]...)
		if v, err := value.Parse([]byte(literal)); err != nil || see(v.Text()) == v.Text() {
			out = append(out, literal...)
		} else {
			out = value.AppendString(out, see(v.Text()))
		}
		path = path[end+1:]
	}
}

// part takes out of the body of a POST the attributes that refer to bulkIds
// which stand for nothing yet, an extension as a whole: now is what can be
// created, later are the operations of a PATCH that add the rest.
func part(rt *schema.ResourceType, data value.Value, late []string) (now value.Value, later []value.Value) {
	var kept []value.Member
	waits := false
	r := rewriter{see: func(text string) string {
		ref, ok := strings.CutPrefix(text, refPrefix)
		waits = waits || ok && slices.Contains(late, ref)
		return text
	}}
	for _, m := range data.Members() {
		waits = false
		if !passedOver(rt, m.Name) {
			r.rewrite(m.Name, m.Value)
		}
		if waits {
			later = append(later, value.Obj(value.M("op", value.Str("add")), value.M("path", value.Str(m.Name)), value.M("value", m.Value)))
		} else {
			kept = append(kept, m)
		}
	}
	return value.Obj(kept...), later
}

// patchOf is the message that holds the operations.
func patchOf(ops value.Value) value.Value {
	return value.Obj(value.M("schemas", value.Strs(patch.URN)), value.M("Operations", ops))
}
