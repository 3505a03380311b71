// Package patch is the algebra of SCIM PATCH (RFC 7644 §3.5.2): a list of
// operations turns one document into another, all of them or none.
//
// Group members never stand in a document: SplitMembers takes the operations
// on them out, to be applied where members are kept.
package patch

import (
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// URN is the schema of the PATCH message.
const URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

// Request is a parsed PATCH: its operations, in order.
type Request struct {
	ops    []operation
	report schema.Report // what was bent in the envelope
}

type verb uint8

const (
	add verb = iota + 1
	remove
	replace
)

var verbs = [...]string{add: "add", remove: "remove", replace: "replace"}

func (v verb) String() string { return verbs[v] }

type operation struct {
	verb  verb
	whole bool // there is no path: the target is the resource itself
	path  filter.Path
	value value.Value // Absent: none was given
	at    place       // in the request as it came
}

// Parse reads a PATCH body. Errors are *fault.Error of Kind Invalid:
// invalidSyntax for the envelope, invalidPath or invalidFilter for a path,
// noTarget for a remove without one, invalidValue for a missing value.
func Parse(body value.Value, m schema.Mode) (Request, error) {
	var r Request
	if body.Kind() != value.Object {
		return r, refuse(fault.InvalidSyntax, "A PATCH is a JSON object with `schemas` and `Operations`.")
	}
	if !named(body.Get("schemas"), m) {
		return r, refuse(fault.InvalidSyntax, "`schemas` does not name %s.", URN)
	}
	if body.Get("schemas").Kind() == value.String {
		r.report.Add(schema.SingleForMany)
	}
	list := body.Get("Operations")
	ops := list.Elements()
	switch {
	case list.Kind() == value.Object && m == schema.Compat:
		r.report.Add(schema.SingleForMany)
		ops = []value.Value{list}
	case list.Kind() != value.Array:
		return r, refuse(fault.InvalidSyntax, "`Operations` must be an array of operations.")
	case len(ops) == 0 && m != schema.Compat:
		return r, refuse(fault.InvalidSyntax, "`Operations` holds no operation.")
	case len(ops) == 0:
		// Entra's validator sends this.
		r.report.Add(schema.NoOperations)
	}
	r.ops = make([]operation, len(ops))
	for i, v := range ops {
		var err error
		if r.ops[i], err = r.parse(v, m); err != nil {
			return Request{}, place{i, len(ops)}.tell(err)
		}
		r.ops[i].at = place{i, len(ops)}
	}
	return r, nil
}

// named reports whether `schemas` names the message.
func named(v value.Value, m schema.Mode) bool {
	if m == schema.Compat && v.Kind() == value.String {
		return strings.EqualFold(v.Text(), URN)
	}
	for _, e := range v.Elements() {
		if e.Kind() == value.String && strings.EqualFold(e.Text(), URN) {
			return true
		}
	}
	return false
}

func (r *Request) parse(v value.Value, m schema.Mode) (operation, error) {
	var op operation
	if v.Kind() != value.Object {
		return op, refuse(fault.InvalidSyntax, "An operation is an object with `op`, `path` and `value`.")
	}
	name := v.Get("op")
	for w := add; w <= replace; w++ {
		if name.Text() == w.String() {
			op.verb = w
		} else if m == schema.Compat && strings.EqualFold(name.Text(), w.String()) {
			op.verb = w
			r.report.Add(schema.OperationCase) // Entra sends "Replace"
		}
	}
	if name.Kind() != value.String || op.verb == 0 {
		return op, refuse(fault.InvalidSyntax, "`op` must be \"add\", \"remove\" or \"replace\".")
	}
	op.value = v.Get("value")
	path := v.Get("path")
	if m == schema.Compat && path.Kind() == value.String && path.Text() == "" {
		r.report.Add(schema.EmptyString)
		path = value.Value{}
	}
	switch {
	case path.Kind() == value.Absent, path.Kind() == value.Null:
		return op, op.pathless(m)
	case path.Kind() != value.String:
		return op, refuse(fault.InvalidPath, "`path` must be a string.")
	}
	var err error
	if op.path, err = filter.ParsePath(path.Text()); err != nil {
		return op, err
	}
	switch {
	case op.verb != remove && op.value.Kind() == value.Absent:
		return op, refuse(fault.InvalidValue, "The operation %s needs a `value`.", op.verb)
	case m == schema.Interop && op.verb != remove && op.path.Filter != nil && op.path.Sub == "":
		return op, refuse(fault.InvalidPath, "A path with a filter must end in a sub-attribute.")
	}
	return op, nil
}

func (op *operation) pathless(m schema.Mode) error {
	op.whole = true
	switch {
	case op.verb == remove:
		return refuse(fault.NoTarget, "The operation remove needs a `path`.")
	case m == schema.Interop:
		return refuse(fault.InvalidSyntax, "The operation %s needs a `path`.", op.verb)
	case op.value.Kind() != value.Object:
		return refuse(fault.InvalidValue, "Without a `path`, `value` must be an object of attributes.")
	}
	return nil
}

// inCore reports whether the path is the URN of the type's own schema alone: in
// Compat the value's members are attributes then, as without a path.
func (op *operation) inCore(rt *schema.ResourceType, m schema.Mode, report *schema.Report) bool {
	return m == schema.Compat && !op.whole && op.verb != remove && op.path.Filter == nil && op.value.Kind() == value.Object && rt.IsOwn(op.path.Attr, m, report)
}

// atMembers finds what a path leads to if that is a group's members or a part of
// them. Other paths are counted where they are applied.
func atMembers(path string, m schema.Mode, report *schema.Report) (schema.Ref, bool) {
	var bent schema.Report
	ref, ok := schema.Group.Find(path, m, &bent)
	if !ok || ref.Attr == nil || !ref.Attr.Apart {
		return schema.Ref{}, false
	}
	report.Merge(bent)
	return ref, true
}

// IsEmpty reports whether there is no operation (left).
func (r Request) IsEmpty() bool { return len(r.ops) == 0 }

// Report returns what was bent before Apply, in the envelope and the steps on
// members; Apply's own report counts it too.
func (r Request) Report() schema.Report { return r.report }

func refuse(code, format string, args ...any) error {
	return fault.New(fault.Invalid, code, format, args...)
}

// place is which of several operations one is.
type place struct{ i, n int }

// tell says in an error which operation it is of, if there are several.
func (p place) tell(err error) error {
	f := fault.Of(err)
	if p.n < 2 || f.Msg == "" {
		return err
	}
	told := *f
	told.Msg = "Operation " + strconv.Itoa(p.i+1) + ": " + f.Msg
	return &told
}
