package provision_test

import (
	"fmt"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/provision"
	"gatehouse/internal/table"
)

// TestAWholeListOfWhoCouldNotReadIt: it empties no group of more members than it
// was made for, also where the group grows just before the commit.
func TestAWholeListOfWhoCouldNotReadIt(t *testing.T) {
	for _, c := range []struct {
		members, most int
		grows, taken  bool
	}{
		{3, 3, false, true}, {3, 2, false, false}, {3, 3, true, false}, {3, 4, true, true},
		// By a journal, that is.
		{60, 60, false, true}, {60, 59, false, false}, {60, 60, true, false}, {60, 100, true, true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			var m *meddling
			w := newWorldOver(t, func(tab table.Table) table.Table { m = &meddling{Table: tab}; return m })
			ids := w.crowd(w.a, c.members+1)
			g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[1:])
			if err != nil {
				t.Fatal(err)
			}
			want := c.members
			if c.grows {
				want++
				m.first = func() {
					if _, err := w.a.ChangeMembers(t.Context(), string(g.ID), op(provision.AddMembers, ids[0])); err != nil {
						t.Error(err)
					}
				}
			}
			_, _, err = w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, []provision.MemberOp{{Kind: provision.ReplaceMembers, Most: c.most}})
			if c.taken {
				want = 0
			}
			if (err == nil) != c.taken || err != nil && !fault.Coded(err, fault.TooMany) {
				t.Errorf("the list gives %v, want it taken: %v", err, c.taken)
			}
			if got := w.members(w.a, g.ID); len(got) != want {
				t.Errorf("the group lists %d members, want %d", len(got), want)
			}
			w.finish()
		})
	}
}
