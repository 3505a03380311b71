package provision

import (
	"context"
	"maps"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
)

// MemberKind is what a MemberOp does to the list of members.
type MemberKind uint8

const (
	AddMembers MemberKind = iota + 1
	RemoveMembers
	ReplaceMembers // the ids are the members from then on; no ids: nobody
	ChooseMembers  // as Choice has it, some go, and the ids become members or do not
)

// MemberOp is one step of a change of members; steps apply in order.
type MemberOp struct {
	Kind  MemberKind
	IDs   []string
	Types map[string]string // what the client says the ids are, "User" or "Group", where it does

	Choice *Choice // of ChooseMembers

	// Most is, of ReplaceMembers, how many members the group may have for it, of
	// whom the client cannot have read more; 0: any number.
	Most int

	// Corrected is told of each id that is something else than Types says, once or
	// more often. Nil: nobody wants to know.
	Corrected func(id string)
}

// Choice decides about a step by who the members are when its turn comes.
type Choice struct {
	Among []string // whom it may choose, by their ids; nil: anybody
	Most  int      // to choose from anybody: how many members the group may have

	// Pick says which of the members go, and whether those come whom the step
	// names. It is called as often as the change is decided anew.
	Pick func(now []roster.Member) (gone []roster.Member, come bool, err error)
}

// looks is how many times a Choice's Most all choices of a change may look at.
const looks = 5

// correct tells of those whom the step names whose type is not what it says.
func (op MemberOp) correct(ms ...roster.Member) {
	for _, m := range ms {
		if said := op.Types[m.ID]; said != "" && !strings.EqualFold(said, typeOf(m)) && op.Corrected != nil {
			op.Corrected(m.ID)
		}
	}
}

// typeOf is what clients call the member's type.
func typeOf(m roster.Member) string {
	if m.Group {
		return "Group"
	}
	return "User"
}

// net is what steps come to: whom to add, who is not a member yet, and whom to
// remove, who is.
type net struct {
	add, remove []roster.Member
	whole       bool            // the steps say who the members are:
	list        []roster.Member // these
	looked      bool            // the steps depend on who the members were
	everybody   bool            // ... and all of them were read for it
	most        int             // how many there may be for it; 0: any number
}

func (n net) size() int { return len(n.add) + len(n.remove) }

// tied tells whether all of the members have to be as they were read.
func (n net) tied() bool { return n.whole || n.looked }

// named looks up whom the steps add, all at once: a request may hold a step for
// each of thousands.
func (d Directory) named(ctx context.Context, g identity.Group, ops []MemberOp) (map[string]roster.Member, error) {
	var ids []string
	types := map[string]string{}
	for _, op := range ops {
		if op.Kind != RemoveMembers {
			ids = append(ids, op.IDs...)
			maps.Copy(types, op.Types)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := d.members(ctx, g, ids, types)
	if err != nil {
		return nil, err
	}
	known := make(map[string]roster.Member, len(list))
	for _, m := range list {
		known[m.ID] = m
	}
	for _, op := range ops {
		for id := range op.Types {
			op.correct(known[id])
		}
	}
	return known, nil
}

// netMembers finds out what the steps come to.
func (d Directory) netMembers(ctx context.Context, g roster.Group, ops []MemberOp) (net, error) {
	if len(ops) == 0 {
		return net{}, nil
	}
	known, err := d.named(ctx, g.ID, ops)
	if err != nil {
		return net{}, err
	}
	t := tally{d: d, want: map[string]word{}}
	if err := t.bound(g, ops); err != nil {
		return net{}, err
	}
	if err := t.look(ctx, g, ops); err != nil {
		return net{}, err
	}
	for _, op := range ops {
		if err := ctx.Err(); err != nil { // a choice reads no store, which would look at it
			return net{}, err
		}
		if err := t.apply(op, known); err != nil {
			return net{}, err
		}
	}
	if t.whole {
		return t.replaced(ctx, g.ID)
	}
	return t.changed(ctx, g.ID)
}

// tally is what steps said so far of who is a member.
type tally struct {
	d     Directory
	whole bool            // who is not spoken of is none
	want  map[string]word // by id
	order []string        // of the ids in want

	// For choices: the members among whom they choose, as they were read.
	read   map[string]roster.Member
	all    []roster.Member // everybody, in order; nil where choices name whom they mean
	chose  bool            // one did, by who the members were
	looked int             // how many the choices have looked at
	most   int

	listed int // how many members a whole list is refused beyond; 0: any number
}

// word is the last one on an id.
type word struct {
	in bool
	m  roster.Member
}

func (t *tally) say(m roster.Member, in bool) {
	if _, known := t.want[m.ID]; !known {
		t.order = append(t.order, m.ID)
	}
	t.want[m.ID] = word{in, m}
}

// bound refuses a whole list for a group of more members than it may have.
func (t *tally) bound(g roster.Group, ops []MemberOp) error {
	for _, op := range ops {
		if op.Kind != ReplaceMembers || op.Most == 0 {
			continue
		}
		if t.listed = op.Most; g.Count > op.Most {
			return fault.New(fault.Invalid, fault.TooMany, "The group has more than %d members, which are not listed with it, and a body without `members` would remove them all. Change the group by PATCH, or send `\"members\": []` to remove everybody.", op.Most)
		}
	}
	return nil
}

// look reads the members that the choices among the steps choose from: those
// whom they name, or if one does not, everybody. Behind a whole list, that is
// what they choose from.
func (t *tally) look(ctx context.Context, g roster.Group, ops []MemberOp) error {
	var ids []string
	everybody, replaced := false, false
	for _, op := range ops {
		replaced = replaced || op.Kind == ReplaceMembers
		if op.Choice == nil {
			continue
		}
		if t.most = op.Choice.Most; replaced {
			continue
		}
		everybody = everybody || op.Choice.Among == nil
		for _, id := range op.Choice.Among {
			if _, err := t.d.own(id); err == nil {
				ids = append(ids, id)
			}
		}
	}
	if !everybody {
		slices.Sort(ids)
		return t.lookUp(ctx, g.ID, slices.Compact(ids))
	}
	if g.Count > t.most {
		return tooManyLooks(t.most)
	}
	t.read, t.all = map[string]roster.Member{}, []roster.Member{}
	for m, err := range t.d.Roster.Members(ctx, g.ID) {
		if err != nil {
			return err
		}
		t.read[m.ID] = m
		t.all = append(t.all, m)
	}
	return nil
}

// lookUp reads who of the ids is a member. The group may still list who is deleted
// and waits to be swept.
func (t *tally) lookUp(ctx context.Context, g identity.Group, ids []string) error {
	are, err := t.d.Roster.AreMembers(ctx, g, ids...)
	if err != nil || len(are) == 0 {
		return err
	}
	var listed []roster.Member
	for _, id := range ids {
		if m, ok := are[id]; ok {
			listed = append(listed, m)
		}
	}
	there, err := t.d.Roster.Existing(ctx, listed...)
	if err != nil {
		return err
	}
	maps.DeleteFunc(are, func(_ string, m roster.Member) bool { return !there[m] })
	t.read = are
	return nil
}

func tooManyLooks(n int) error {
	return fault.New(fault.Invalid, fault.TooMany, "Filters over members would have to look at more than %d of them. Name whom you mean: `members[value eq \"…\"]`.", n)
}

func (t *tally) apply(op MemberOp, known map[string]roster.Member) error {
	switch op.Kind {
	case ReplaceMembers:
		t.whole, t.want, t.order = true, map[string]word{}, nil
		fallthrough
	case AddMembers:
		for _, id := range op.IDs {
			t.say(known[id], true)
		}
	case RemoveMembers:
		// Who never was a member is not one afterwards: success (RFC 7644 §3.5.2.2).
		for _, s := range op.IDs {
			if _, err := t.d.own(s); err == nil {
				t.say(roster.Member{ID: s}, false)
			}
		}
	case ChooseMembers:
		t.chose = t.chose || !t.whole
		now, err := t.among(op.Choice.Among)
		if err != nil {
			return err
		}
		gone, come, err := op.Choice.Pick(now)
		if err != nil {
			return err
		}
		for _, m := range gone {
			t.say(m, false)
		}
		for _, id := range op.IDs {
			if come {
				t.say(known[id], true)
			}
		}
	}
	return nil
}

// among returns those of the ids who are members by now; nil ids: everybody is
// meant.
func (t *tally) among(ids []string) ([]roster.Member, error) {
	if t.looked += len(ids); ids == nil {
		t.looked += len(t.all) + len(t.order)
	}
	if t.looked > looks*t.most {
		return nil, tooManyLooks(looks * t.most)
	}
	var now []roster.Member
	if ids == nil {
		for _, m := range t.all {
			if _, said := t.want[m.ID]; !said && !t.whole {
				now = append(now, m)
			}
		}
		ids = t.order
	}
	for _, id := range ids {
		w, said := t.want[id]
		if !said && !t.whole {
			w.m, w.in = t.read[id]
		}
		if w.in {
			now = append(now, w.m)
		}
	}
	return now, nil
}

// replaced compares the members with those who are to be all of them.
func (t *tally) replaced(ctx context.Context, g identity.Group) (net, error) {
	n := net{whole: true, most: t.listed, looked: t.chose, everybody: t.chose}
	for _, id := range t.order {
		if t.want[id].in {
			n.list = append(n.list, t.want[id].m)
		}
	}
	for m, err := range t.d.Roster.Members(ctx, g) {
		if err != nil {
			return net{}, err
		}
		if t.want[m.ID].in {
			delete(t.want, m.ID)
		} else {
			n.remove = append(n.remove, m)
		}
	}
	for _, m := range n.list {
		if t.want[m.ID].in {
			n.add = append(n.add, m)
		}
	}
	return n, nil
}

// changed compares those of whom the steps speak with who is a member.
func (t *tally) changed(ctx context.Context, g identity.Group) (net, error) {
	n := net{looked: t.chose, everybody: t.all != nil}
	are := t.read
	if t.all == nil {
		var err error
		if are, err = t.d.Roster.AreMembers(ctx, g, t.order...); err != nil {
			return net{}, err
		}
	}
	for _, id := range t.order {
		is, listed := are[id]
		switch {
		case t.want[id].in && !listed:
			n.add = append(n.add, t.want[id].m)
		case !t.want[id].in && listed:
			n.remove = append(n.remove, is)
		}
	}
	return n, nil
}
