package provision_test

import (
	"context"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/provision"
	"gatehouse/internal/table"
)

// slowly is a table in which every shard of a group's members takes its time to
// be read.
type slowly struct {
	table.Table
	takes time.Duration
}

func (s *slowly) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if strings.Contains(part, "#N#") && !strings.HasSuffix(part, "#j") && r.After == "#" {
		time.Sleep(s.takes)
	}
	return s.Table.Query(ctx, part, r)
}

// TestALongListIsReadUnderItsLease: who reads the members for longer than a lease
// keeps the journal meanwhile, whoever else wants it.
func TestALongListIsReadUnderItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *slowly
		w := newWorldOver(t, func(tab table.Table) table.Table { s = &slowly{Table: tab}; return s })
		ids := w.crowd(w.a, 100)
		g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:60])
		if err != nil {
			t.Fatal(err)
		}
		d := provision.New(w.table, time.Now).As(w.org, w.a.Connection(), operator)
		s.takes = time.Second // of four shards
		began := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			if err := third(d.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.ReplaceMembers))); err != nil {
				t.Errorf("a group is emptied while others write to it: %v", err)
			}
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("that took %v, want its own time", took)
			}
		})
		for i := range 30 {
			time.Sleep(400 * time.Millisecond)
			all.Go(func() {
				if _, err := d.ChangeMembers(t.Context(), string(g.ID), op(provision.AddMembers, ids[60+i])); err != nil {
					t.Errorf("a member is added meanwhile: %v", err)
				}
			})
		}
		all.Wait()
		if now, err := d.Group(t.Context(), string(g.ID)); err != nil || now.Busy() {
			t.Errorf("the group is busy in the end (%v)", err)
		}
	})
}

// overtaken is a table that does something right after a commit that deletes a
// journal: after its end.
type overtaken struct {
	table.Table
	by func()
}

func (o *overtaken) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	v, err := o.Table.Commit(ctx, writes...)
	if by := o.by; by != nil && err == nil && writes[0].Op == table.OpDelete && strings.HasSuffix(writes[0].Key.Part, "#j") {
		o.by = nil
		by()
	}
	return v, err
}

// TestATagAfterAJournalIsNobodyElses: a client that is answered with a tag must
// not pass for one that has seen what others did since.
func TestATagAfterAJournalIsNobodyElses(t *testing.T) {
	var o *overtaken
	w := newWorldOver(t, func(tab table.Table) table.Table { o = &overtaken{Table: tab}; return o })
	ids := w.crowd(w.a, 170)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:2])
	if err != nil {
		t.Fatal(err)
	}
	add := func(tag string, who ...string) bool {
		t.Helper()
		g, _, err = w.a.ChangeGroup(t.Context(), string(g.ID), func(is string) bool { return is == tag }, nil, op(provision.AddMembers, who...))
		if err != nil {
			t.Fatal(err)
		}
		return g.Newer
	}
	if add(g.Tag(), ids[2:60]...) {
		t.Error("nobody came between, and the group is said to be newer than the change")
	}
	for name, by := range map[string][]string{"one who adds a member": ids[60:61], "another journal": ids[61:110]} {
		o.by = func() {
			if _, err := w.a.ChangeMembers(t.Context(), string(g.ID), op(provision.AddMembers, by...)); err != nil {
				t.Error(err)
			}
		}
		if g, err = w.a.Group(t.Context(), string(g.ID)); err != nil {
			t.Fatal(err)
		}
		if !add(g.Tag(), ids[110:165]...) && o.by == nil {
			t.Errorf("after %s the group is said to be as the change left it", name)
		}
		if err := third(w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.RemoveMembers, ids[110:165]...))); err != nil {
			t.Fatal(err)
		}
	}
}
