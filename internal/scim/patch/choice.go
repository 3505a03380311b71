package patch

import (
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// Choice is a step on the members that a filter selects. What it comes to is
// known only where the members are.
type Choice struct {
	Among []string // the ids of those whom it may select; nil: anybody

	verb  verb
	bound *filter.Bound
	id    string // of whom the operation's value names; empty: nobody
	only  bool   // the filter is made of `eq` terms alone
	mode  schema.Mode
	work  *filter.Budget // of all choices of the request, each time that they decide
	anew  int            // of the first of them: how often it may still begin anew

	at place
}

// rounds is how often the choices of a request may decide with a whole budget:
// as often as a change that reads all members is tried.
const rounds = 8

// Picked is what a Choice comes to.
type Picked struct {
	Gone     []int // the places of those who are members no more
	Come     bool  // whom the step's IDs name are members from then on
	Upserted bool  // so they are, though there was nobody to replace
}

// Pick decides about n members, each as GET shows it. As in other attributes, a
// remove that selects nobody succeeds, and what else selects nobody is refused
// (noTarget) or, where the filter says by `eq` who is meant, adds. Who is a
// member cannot become another (mutability). What all the choices of a request
// look at is bounded (tooMany). They decide in order, and may do so anew: when the
// first one does, what they looked at before counts no more, the first eight times.
func (c *Choice) Pick(n int, member func(i int) value.Value) (Picked, error) {
	if c.anew > 0 {
		c.anew--
		*c.work = filter.MaxWork
	}
	var chosen []int
	for i := range n {
		if c.bound.Match(member(i), c.work) {
			chosen = append(chosen, i)
		}
	}
	if err := c.work.Err(); err != nil {
		return Picked{}, c.at.tell(err)
	}
	switch {
	case c.verb == remove:
		return Picked{Gone: chosen}, nil
	case len(chosen) == 0 && (!c.only || c.verb == replace && c.mode != schema.Compat):
		return Picked{}, c.at.tell(refuse(fault.NoTarget, "No value of members matches the filter in the path."))
	case len(chosen) == 0:
		return Picked{Come: c.id != "", Upserted: c.id != "" && c.verb == replace}, nil
	case c.verb == replace:
		return Picked{Gone: chosen, Come: c.id != ""}, nil
	}
	for _, i := range chosen {
		if c.id != "" && member(i).Get("value").Text() != c.id {
			return Picked{}, c.at.tell(refuse(fault.Mutability, "members.value cannot be changed once it has a value."))
		}
	}
	return Picked{}, nil
}

// choose reads an operation at a filter over the members. One that removes whom
// it names needs no choice. In Compat a remove that lists values besides removes
// those of them whom the filter selects: the other reading takes from the group
// whom the client did not list. An empty list takes nothing from a filter that
// names whom it means.
func choose(op operation, ref schema.Ref, m schema.Mode, report *schema.Report) (MemberOp, error) {
	bound, err := filter.BindElement(op.path.Filter, ref, m)
	if err != nil {
		return MemberOp{}, err
	}
	if name := unfilled(op.path.Filter); name != "" {
		return MemberOp{}, refuse(fault.InvalidFilter, "No member has a %s to choose it by.", name)
	}
	report.Merge(bound.Report())
	ids, named, exactly := namedBy(op.path.Filter)
	if k := op.value.Kind(); op.verb == remove && m == schema.Compat && k != value.Absent && k != value.Null {
		listed, err := ReadMembers(listOf(op.value), m, report)
		if err != nil {
			return MemberOp{}, err
		}
		if len(listed) > 0 || !named {
			report.Add(schema.RemoveListed)
			if named {
				listed = slices.DeleteFunc(listed, func(id string) bool { return !slices.Contains(ids, id) })
			}
			if ids, named = listed, true; len(ids) == 0 {
				return MemberOp{}, nil
			}
		}
	}
	if op.verb == remove && exactly {
		if len(ids) == 0 {
			return MemberOp{}, nil
		}
		return MemberOp{Kind: Remove, IDs: ids}, nil
	}
	terms, only := bound.Terms()
	step := MemberOp{Kind: Choose, Choice: &Choice{verb: op.verb, bound: bound, only: only, mode: m, at: op.at}}
	if named {
		step.Choice.Among = append([]string{}, ids...)
	}
	if op.verb == remove {
		return step, nil
	}
	one, err := oneMember(op.value, terms, m, report)
	if err != nil || one.IsNothing() {
		return step, err
	}
	if step.IDs, err = ReadMembers(one, m, report); err != nil {
		return MemberOp{}, err
	}
	step.Choice.id, step.Types = step.IDs[0], MemberTypes(one)
	return step, nil
}

// oneMember is the value of an operation on one member, with the id that the
// filter says if it has none, as a list of one; Absent if it stands for
// unassigned. What else the filter says is of who was chosen, not of who comes.
func oneMember(v value.Value, terms []value.Member, m schema.Mode, report *schema.Report) (value.Value, error) {
	if v.Kind() == value.Array && m == schema.Compat && len(v.Elements()) == 1 {
		report.Add(schema.ManyForSingle)
		v = v.Elements()[0]
	}
	switch {
	case v.IsNothing():
		return value.Value{}, nil
	case m == schema.Compat && v.Kind() == value.String && v.Text() == "":
		report.Add(schema.EmptyString)
		return value.Value{}, nil
	case v.Kind() == value.Array:
		return value.Value{}, refuse(fault.InvalidValue, "The value of one of the members must be an object.")
	}
	if v.Kind() == value.Object {
		for _, t := range terms {
			if t.Name == "value" && v.Get(t.Name).Kind() == value.Absent {
				v = v.With(t.Name, t.Value)
			}
		}
	}
	return value.Arr(v), nil
}

// unfilled is the name of a sub-attribute that a filter over members looks at
// and nobody ever has, as `display`; empty if there is none. A filter on it
// selects nobody, or by ne and not everybody, and neither is what is meant.
func unfilled(e filter.Expr) string {
	switch e := e.(type) {
	case filter.And:
		return unfilledIn(e.Terms)
	case filter.Or:
		return unfilledIn(e.Terms)
	case filter.Not:
		return unfilled(e.Term)
	case filter.Compare:
		if a := memberAttr.Find(e.Path); a != nil && a.Mutability == schema.ReadOnly {
			return a.Name
		}
	}
	return ""
}

func unfilledIn(terms []filter.Expr) string {
	for _, t := range terms {
		if name := unfilled(t); name != "" {
			return name
		}
	}
	return ""
}

// namedBy reads the ids of those whom a filter over members may select. Named is
// false where it does not tell them; exactly says that it selects whoever of
// them is a member.
func namedBy(e filter.Expr) (ids []string, named, exactly bool) {
	switch e := e.(type) {
	case filter.Or:
		exactly = true
		for _, t := range e.Terms {
			more, named, all := namedBy(t)
			if !named {
				return nil, false, false
			}
			for _, id := range more {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
			exactly = exactly && all
		}
		return ids, true, exactly
	case filter.And:
		exactly = true
		for _, t := range e.Terms {
			some, told, all := namedBy(t)
			exactly = exactly && all
			switch {
			case told && named:
				ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(some, id) })
			case told:
				ids, named = some, true
			}
		}
		return ids, named, exactly
	case filter.Compare:
		if e.Op != filter.Eq || !strings.EqualFold(e.Path, "value") || e.With.Kind() != value.String && e.With.Kind() != value.Number {
			return nil, false, false
		}
		if e.With.Text() == "" { // nobody's
			return nil, true, true
		}
		return []string{e.With.Text()}, true, true
	}
	return nil, false, false
}
