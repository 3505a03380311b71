package patch

import (
	"slices"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// MemberKind is what a MemberOp does.
type MemberKind uint8

const (
	Add     MemberKind = iota + 1 // add IDs; those who are members already stay
	Remove                        // remove IDs; those who are no members are passed over
	Replace                       // IDs are the members from now on; never empty
	Clear                         // no members from now on; no IDs
	Choose                        // as Choice decides, some go, and IDs come or do not
)

func (k MemberKind) String() string {
	names := [...]string{Add: "add", Remove: "remove", Replace: "replace", Clear: "clear", Choose: "choose"}
	if int(k) < len(names) {
		return names[k]
	}
	return ""
}

// MemberOp is one step in the change of a group's members. IDs are as the
// client wrote them, each once, in order; nobody looked whether they exist.
type MemberOp struct {
	Kind   MemberKind
	IDs    []string
	Types  map[string]string // see MemberTypes
	Choice *Choice           // of Choose
}

// SplitMembers parts a PATCH of a group into what concerns the document and
// the steps that concern its members, each in order. Neither looks at the
// other, so both together are the request. Errors are those of Apply.
//
// In Compat a `remove` of members that lists values removes those; in Strict
// it clears the group, as the RFC has it; in Interop it is refused.
func (r Request) SplitMembers(m schema.Mode) (rest Request, ops []MemberOp, err error) {
	rest.report = r.report
	for _, op := range r.ops {
		if op.whole {
			op.value, ops, err = splitValue(op, ops, m, &rest.report, true)
			if err != nil {
				return Request{}, nil, op.at.tell(err)
			}
			if len(op.value.Members()) > 0 {
				rest.ops = append(rest.ops, op)
			}
			continue
		}
		var bent schema.Report
		if had := len(op.value.Members()); had > 0 && op.inCore(schema.Group, m, &bent) {
			op.value, ops, err = splitValue(op, ops, m, &rest.report, false)
			if err != nil {
				return Request{}, nil, op.at.tell(err)
			}
			if len(op.value.Members()) == 0 {
				bent.Add(schema.PathName)
				rest.report.Merge(bent)
				continue
			}
			rest.ops = append(rest.ops, op)
			continue
		}
		ref, ok := atMembers(op.path.Attr, m, &rest.report)
		if !ok {
			rest.ops = append(rest.ops, op)
			continue
		}
		step, err := memberOp(op, ref, m, &rest.report)
		if err != nil {
			return Request{}, nil, op.at.tell(err)
		}
		if step.Kind != 0 {
			ops = append(ops, step)
		}
	}
	var work *filter.Budget
	counted := len(rest.ops)
	for i := range ops {
		if c := ops[i].Choice; c != nil {
			if work == nil {
				work, c.anew = new(filter.Budget), rounds
			}
			c.work = work
			counted++
		}
	}
	if counted > MaxOperations {
		return Request{}, nil, tooManyOperations()
	}
	return rest, ops, nil
}

// splitValue takes the members out of the value of an operation without a path:
// in Compat also out of an object under the core schema's URN, once (outermost),
// as Apply reads it. Where something else is left in there, Apply counts it.
func splitValue(op operation, ops []MemberOp, m schema.Mode, report *schema.Report, outermost bool) (value.Value, []MemberOp, error) {
	left := make([]value.Member, 0, len(op.value.Members()))
	for _, mem := range op.value.Members() {
		var bent schema.Report
		if outermost && m == schema.Compat && mem.Value.Kind() == value.Object && schema.Group.IsOwn(mem.Name, m, &bent) {
			had := len(mem.Value.Members())
			inner := op
			inner.value = mem.Value
			var err error
			if mem.Value, ops, err = splitValue(inner, ops, m, report, false); err != nil {
				return op.value, ops, err
			}
			if had > 0 && len(mem.Value.Members()) == 0 {
				bent.Add(schema.PathName)
				report.Merge(bent)
				continue
			}
			left = append(left, mem)
			continue
		}
		path := filter.Path{Attr: mem.Name}
		ref, ok := atMembers(mem.Name, m, report)
		if !ok && m == schema.Compat {
			if p, err := filter.ParsePath(mem.Name); err == nil && p.Filter != nil {
				path = p
				ref, ok = atMembers(p.Attr, m, report)
			}
		}
		if !ok {
			left = append(left, mem)
			continue
		}
		if path.Filter != nil {
			report.Add(schema.PathName)
		}
		step, err := memberOp(operation{verb: op.verb, path: path, value: mem.Value, at: op.at}, ref, m, report)
		if err != nil {
			return op.value, ops, err
		}
		if step.Kind != 0 {
			ops = append(ops, step)
		}
	}
	return value.Obj(left...), ops, nil
}

func whole() error {
	return refuse(fault.InvalidPath, "Members are added and removed as wholes: the path must be `members` or `members[…]`.")
}

// memberOp reads one operation whose path is at the members; Kind 0 is none.
func memberOp(op operation, ref schema.Ref, m schema.Mode, report *schema.Report) (MemberOp, error) {
	if sub := ref.Attr.Find(op.path.Sub); ref.Sub != nil || op.path.Sub != "" {
		if ref.Sub != nil {
			sub = ref.Sub
		}
		if sub != nil && sub.Mutability == schema.ReadOnly {
			return MemberOp{}, readOnly(ref.In(sub))
		}
		return MemberOp{}, whole()
	}
	if op.path.Filter != nil {
		return choose(op, ref, m, report)
	}
	if op.verb != remove {
		return assign(op.verb, op.value, m, report)
	}
	switch k := op.value.Kind(); {
	case k == value.Absent || k == value.Null || m == schema.Strict:
		return MemberOp{Kind: Clear}, nil
	case m == schema.Interop:
		return MemberOp{}, refuse(fault.InvalidSyntax, "The operation remove takes no `value`: choose by a filter in the path.")
	}
	// Entra and JumpCloud list whom to remove; emptying the group instead is the
	// classic loss of data. An empty list removes nobody.
	report.Add(schema.RemoveListed)
	ids, err := ReadMembers(listOf(op.value), m, report)
	if err != nil || len(ids) == 0 {
		return MemberOp{}, err
	}
	return MemberOp{Kind: Remove, IDs: ids}, nil
}

// assign reads an add or a replace.
func assign(v verb, of value.Value, m schema.Mode, report *schema.Report) (MemberOp, error) {
	of = listOf(of)
	ids, err := ReadMembers(of, m, report)
	switch {
	case err != nil:
		return MemberOp{}, err
	case v == add && len(ids) > 0:
		return MemberOp{Kind: Add, IDs: ids, Types: MemberTypes(of)}, nil
	case v == add:
		return MemberOp{}, nil
	case len(ids) > 0:
		return MemberOp{Kind: Replace, IDs: ids, Types: MemberTypes(of)}, nil
	}
	return MemberOp{Kind: Clear}, nil
}

// listOf makes a list of a single member in the value of an operation, in every
// mode, as given does for other attributes. In a body it is none.
func listOf(v value.Value) value.Value {
	if v.Kind() == value.Object {
		return value.Arr(v)
	}
	return v
}

// ReadMembers reads the `members` of a POST or PUT body, or the value of an
// operation on them: the ids, each once, in order; nil for an absent, null or
// empty value. A member without an id is refused rather than passed over, since
// a list that shrinks by a mistake would remove people. Errors are
// *fault.Error, Invalid with invalidValue. The report counts what was bent.
func ReadMembers(v value.Value, m schema.Mode, report *schema.Report) ([]string, error) {
	list := v.Elements()
	switch {
	case v.IsNothing():
		return nil, nil
	case m == schema.Compat && v.Kind() == value.String && v.Text() == "":
		report.Add(schema.EmptyString)
		return nil, nil
	case m == schema.Compat && (v.Kind() == value.Object || v.Kind() == value.String):
		report.Add(schema.SingleForMany)
		list = []value.Value{v}
	case v.Kind() != value.Array:
		return nil, refuse(fault.InvalidValue, "members must be an array.")
	}
	ids := make([]string, 0, len(list))
	var seen map[string]bool
	if len(list) > 16 {
		seen = make(map[string]bool, len(list))
	}
	for _, e := range list {
		id := e
		if e.Kind() == value.Object {
			id = e.Get("value")
			if err := checkMember(e, m, report); err != nil {
				return nil, err
			}
		} else if m != schema.Compat {
			return nil, refuse(fault.InvalidValue, "Each of the members must be an object.")
		} else if e.Kind() == value.String {
			report.Add(schema.BareValue)
		}
		if id.Kind() != value.String || id.Text() == "" {
			return nil, refuse(fault.InvalidValue, "Each of the members must have an id as its `value`.")
		}
		if len(id.Text()) > schema.MaxString {
			return nil, refuse(fault.InvalidValue, "members.value is longer than %d bytes.", schema.MaxString)
		}
		if seen != nil {
			if seen[id.Text()] {
				report.Add(schema.DuplicateValue)
				continue
			}
			seen[id.Text()] = true
		} else if slices.Contains(ids, id.Text()) {
			report.Add(schema.DuplicateValue)
			continue
		}
		ids = append(ids, id.Text())
	}
	return ids, nil
}

// memberAttr is the schema of a member.
var memberAttr = func() *schema.Attribute {
	ref, _ := schema.Group.Resolve("members", schema.Strict)
	return ref.Attr
}()

// checkMember holds an element of members to the schema: its sub-attributes are
// texts, and in Interop there are no others. What a member says besides its id
// follows from that, so Compat passes over what it cannot be.
func checkMember(e value.Value, m schema.Mode, report *schema.Report) error {
	for _, sub := range e.Members() {
		a := memberAttr.Find(sub.Name)
		switch {
		case a == nil && m == schema.Interop:
			return refuse(fault.InvalidSyntax, "%.128q is no attribute of members.", sub.Name)
		case a == nil:
			report.Add(schema.UnknownAttribute)
		case sub.Value.Kind() == value.String || sub.Value.IsNothing():
		case m != schema.Compat:
			return refuse(fault.InvalidValue, "members.%s must be a string.", a.Name)
		case a.Name != "value": // which is refused by who reads it
			report.Add(schema.ReadOnlyPassed)
		}
	}
	return nil
}

// MemberTypes reads the types, "User" or "Group", that the members of such a
// value are said to be, by id; who is said nothing of is left out. Nil where
// nothing is said. Nobody looked whether it is true.
func MemberTypes(v value.Value) map[string]string {
	list := v.Elements()
	if v.Kind() == value.Object {
		list = []value.Value{v}
	}
	var types map[string]string
	for _, e := range list {
		id, t := e.Get("value"), e.Get("type")
		if id.Kind() != value.String || t.Kind() != value.String || t.Text() == "" {
			continue
		}
		if types == nil {
			types = make(map[string]string, len(list))
		}
		types[id.Text()] = t.Text()
	}
	return types
}
