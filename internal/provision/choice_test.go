package provision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/internal/fault"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

// choice is a step that removes those for whom it holds, and if there are some,
// adds the ids.
func choice(holds func(roster.Member) bool, among []string, ids ...string) provision.MemberOp {
	return provision.MemberOp{Kind: provision.ChooseMembers, IDs: ids, Choice: &provision.Choice{
		Among: among, Most: 1000,
		Pick: func(now []roster.Member) (gone []roster.Member, come bool, err error) {
			gone = slices.DeleteFunc(slices.Clone(now), func(m roster.Member) bool { return !holds(m) })
			return gone, len(gone) > 0, nil
		},
	}}
}

func isGroup(m roster.Member) bool { return m.Group }

// TestStepsInOrder: whatever the steps are, each works on what those before it
// made of the members.
func TestStepsInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorldOver(t, func(tab table.Table) table.Table { return tab })
		ids := w.crowd(w.a, 6)
		for i := range 3 {
			g, err := w.a.CreateGroup(t.Context(), group(fmt.Sprint("Inner ", i)), nil)
			if err != nil {
				rt.Fatal(err)
			}
			ids = append(ids, string(g.ID))
		}
		first := rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID[string]).Draw(rt, "first")
		g, err := w.a.CreateGroup(t.Context(), group("Team"), first)
		if err != nil {
			rt.Fatal(err)
		}
		want := map[string]bool{}
		for _, id := range first {
			want[id] = true
		}
		var ops []provision.MemberOp
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			some := rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID[string]).Draw(rt, "ids")
			kind := rapid.SampledFrom([]provision.MemberKind{provision.AddMembers, provision.RemoveMembers, provision.ReplaceMembers, provision.ChooseMembers}).Draw(rt, "kind")
			if kind != provision.ChooseMembers {
				if kind == provision.ReplaceMembers {
					clear(want)
				}
				for _, id := range some {
					want[id] = kind != provision.RemoveMembers
				}
				ops = append(ops, op(kind, some...)...)
				continue
			}
			marked := rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID[string]).Draw(rt, "marked")
			var among []string
			if rapid.Bool().Draw(rt, "named") {
				among = some
			}
			comes := rapid.SampledFrom(ids).Draw(rt, "comes")
			ops = append(ops, choice(func(m roster.Member) bool { return slices.Contains(marked, m.ID) }, among, comes))
			any := false
			for _, id := range ids {
				if want[id] && slices.Contains(marked, id) && (among == nil || slices.Contains(among, id)) {
					want[id], any = false, true
				}
			}
			want[comes] = want[comes] || any
		}
		if _, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, ops); err != nil {
			rt.Fatal(err)
		}
		maps.DeleteFunc(want, func(_ string, in bool) bool { return !in })
		if got := w.members(w.a, g.ID); !maps.Equal(got, want) {
			rt.Errorf("the group lists %v, want %v", got, want)
		}
		w.finish()
	})
}

// meddling does something else before the first commit that it is armed for.
type meddling struct {
	table.Table
	first func()
}

func (m *meddling) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if f := m.first; f != nil {
		m.first = nil
		f()
	}
	return m.Table.Commit(ctx, writes...)
}

// TestAChoiceIsOfOneMoment: who becomes a member between the choice and its
// commit is chosen from, too, also where there was nothing to do before.
func TestAChoiceIsOfOneMoment(t *testing.T) {
	for name, size := range map[string]int{"one commit": 3, "a journal": 60} {
		t.Run(name, func(t *testing.T) {
			var m *meddling
			w := newWorldOver(t, func(tab table.Table) table.Table { m = &meddling{Table: tab}; return m })
			users := w.crowd(w.a, 3)
			var inner []string
			for i := range size + 1 {
				g, err := w.a.CreateGroup(t.Context(), group(fmt.Sprint("Inner ", i)), nil)
				if err != nil {
					t.Fatal(err)
				}
				inner = append(inner, string(g.ID))
			}
			last := inner[size]
			g, err := w.a.CreateGroup(t.Context(), group("Team"), append(slices.Clone(inner[:size]), users...))
			if err != nil {
				t.Fatal(err)
			}
			m.first = func() {
				if _, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.AddMembers, last)); err != nil {
					t.Error(err)
				}
			}
			if _, changed, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, []provision.MemberOp{choice(isGroup, nil)}); err != nil || !changed {
				t.Errorf("the groups are not removed: %v", err)
			}
			if got := w.members(w.a, g.ID); len(got) != len(users) || !got[users[0]] {
				t.Errorf("the group lists %d members, want the %d users", len(got), len(users))
			}
			w.finish()
		})
	}
}

// peeking does something else after the read that it is armed for, if that comes
// before a commit.
type peeking struct {
	table.Table
	at    int // which of the reads to come; 0: none
	after func()
}

func (p *peeking) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	p.at = 0
	return p.Table.Commit(ctx, writes...)
}

func (p *peeking) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	items, err := p.Table.Get(ctx, keys...)
	if p.at > 0 {
		if p.at--; p.at == 0 {
			p.after()
		}
	}
	return items, err
}

// TestANamedChoiceIsOfOneMoment: of two who each replace the same members by
// somebody else one finds them gone, wherever the other comes between.
func TestANamedChoiceIsOfOneMoment(t *testing.T) {
	for name, size := range map[string]int{"one commit": 1, "a journal": 50} {
		t.Run(name, func(t *testing.T) {
			for at := 1; at <= 12; at++ {
				var p *peeking
				w := newWorldOver(t, func(tab table.Table) table.Table { p = &peeking{Table: tab}; return p })
				ids := w.crowd(w.a, size+2)
				old, mine, yours := ids[:size], ids[size], ids[size+1]
				g, err := w.a.CreateGroup(t.Context(), group("Team"), old)
				if err != nil {
					t.Fatal(err)
				}
				swap := func(to string) error {
					_, err := w.a.ChangeMembers(t.Context(), string(g.ID),
						[]provision.MemberOp{choice(func(m roster.Member) bool { return slices.Contains(old, m.ID) }, old, to)})
					return err
				}
				p.at, p.after = at, func() {
					if err := swap(yours); err != nil {
						t.Error(err)
					}
				}
				if err := swap(mine); err != nil {
					t.Error(err)
				}
				if got := w.members(w.a, g.ID); len(got) != 1 || !got[mine] && !got[yours] {
					t.Errorf("with the other after read %d the group lists %d members, want one of the two new ones", at, len(got))
				}
				w.finish()
			}
		})
	}
}

// TestAChoiceFromAllGivesUp: it reads everybody each time that another comes
// between its look and its commit, so it does not try for ever.
func TestAChoiceFromAllGivesUp(t *testing.T) {
	for name, behind := range map[string][]provision.MemberOp{"alone": nil, "before a whole list": op(provision.ReplaceMembers)} {
		t.Run(name, func(t *testing.T) {
			var m *meddling
			w := newWorldOver(t, func(tab table.Table) table.Table { m = &meddling{Table: tab}; return m })
			ids := w.crowd(w.a, 20)
			g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:1])
			if err != nil {
				t.Fatal(err)
			}
			came, looks := 1, 0
			add := func() {
				if _, err := w.a.ChangeMembers(t.Context(), string(g.ID), op(provision.AddMembers, ids[came])); err != nil {
					t.Error(err)
				}
				came++
			}
			step := choice(func(r roster.Member) bool {
				if r.ID == ids[0] {
					looks++
					if m.first = nil; came < len(ids) {
						m.first = add
					}
				}
				return r.ID == ids[0]
			}, nil)
			_, err = w.a.ChangeMembers(t.Context(), string(g.ID), append([]provision.MemberOp{step}, behind...))
			if !fault.Is(err, fault.Unavailable) || looks > 8 {
				t.Errorf("a choice that others get ahead of gives %v after %d looks, want unavailable after 8", err, looks)
			}
			if got := w.members(w.a, g.ID); !got[ids[0]] || len(got) != came {
				t.Errorf("the group lists %d members, want the %d that were and came", len(got), came)
			}
			w.finish()
		})
	}
}

// TestChoicesAreBounded: beyond that who is meant is to be named by id, which
// works in a group of any size.
func TestChoicesAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.crowd(w.a, 30)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), ids)
	if err != nil {
		t.Fatal(err)
	}
	change := func(ops ...provision.MemberOp) error {
		for _, op := range ops {
			if op.Choice != nil {
				op.Choice.Most = 29
			}
		}
		return third(w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, ops))
	}
	none := func(roster.Member) bool { return false }
	if err := change(choice(isGroup, nil)); !fault.Coded(err, fault.TooMany) {
		t.Errorf("a choice from 30 of 29 gives %v, want too many", err)
	}
	if err := change(choice(func(roster.Member) bool { return true }, ids[:1])); err != nil {
		t.Errorf("a choice from one in 30: %v", err)
	}
	if err := change(choice(none, nil), choice(none, nil), choice(none, nil), choice(none, nil), choice(none, nil)); err != nil {
		t.Errorf("five choices from 29: %v", err)
	}
	if err := change(choice(none, nil), choice(none, nil), choice(none, nil), choice(none, nil), choice(none, nil), choice(none, nil)); !fault.Coded(err, fault.TooMany) {
		t.Errorf("six choices from 29 give %v, want too many", err)
	}
	if err := change(choice(none, []string{"", "x", string(g.ID) + "x", ids[0]})); err != nil {
		t.Errorf("a choice from ids that are nobody's: %v", err)
	}
	wrong := errors.New("wrong")
	if err := change(provision.MemberOp{Kind: provision.ChooseMembers, Choice: &provision.Choice{
		Pick: func([]roster.Member) ([]roster.Member, bool, error) { return nil, false, wrong },
	}}); !errors.Is(err, wrong) {
		t.Errorf("a choice that fails gives %v", err)
	}
	if err := change(op(provision.AddMembers, ids...)...); err != nil {
		t.Fatal(err)
	}
	if err := change(append(op(provision.ReplaceMembers, ids...), choice(none, nil))...); err != nil {
		t.Errorf("a choice from a list of 30, which is named: %v", err)
	}
	if err := change(append([]provision.MemberOp{choice(isGroup, nil)}, op(provision.ReplaceMembers, ids...)...)...); !fault.Coded(err, fault.TooMany) {
		t.Errorf("a choice from 30 of 29 before a list gives %v, want too many", err)
	}
}
