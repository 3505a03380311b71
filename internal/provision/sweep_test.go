package provision_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

// showing returns how many of the users show the group.
func (w *world) showing(g roster.Group, users []string) int {
	w.t.Helper()
	n := 0
	for _, id := range users {
		u, err := w.a.User(w.t.Context(), id, true)
		if err != nil {
			w.t.Fatal(err)
		}
		if slices.Contains(u.Groups, g.ID) {
			n++
		}
	}
	return n
}

// TestADeletedGroupLeavesItsMembers: once the deletion is answered nobody shows
// the group, although the feed has not come by yet, or comes by meanwhile.
func TestADeletedGroupLeavesItsMembers(t *testing.T) {
	for _, feed := range []string{"later", "meanwhile"} {
		t.Run("the feed comes "+feed, func(t *testing.T) {
			var m *meddling
			w := newWorldOver(t, func(tab table.Table) table.Table { m = &meddling{Table: tab}; return m })
			users := w.crowd(w.a, 700)
			inner, err := w.a.CreateGroup(t.Context(), group("Inner"), nil)
			if err != nil {
				t.Fatal(err)
			}
			g, err := w.a.CreateGroup(t.Context(), group("Team"), append(slices.Clone(users), string(inner.ID)))
			if err != nil {
				t.Fatal(err)
			}
			if feed == "meanwhile" {
				m.first = func() { // before the deletion's own commit
					m.first = func() { // before the first of its sweep
						if err := w.s.Sweep(t.Context(), w.org, w.events(string(g.ID))[0]); err != nil {
							t.Errorf("the feed's sweep: %v", err)
						}
					}
				}
			}
			if err := w.a.DeleteGroup(t.Context(), string(g.ID), nil); err != nil {
				t.Fatal(err)
			}
			if n := w.showing(g, users); n > 0 {
				t.Errorf("%d of %d users show a group that is deleted", n, len(users))
			}
			if in, err := w.a.Roster.Memberships(t.Context(), roster.GroupMember(inner.ID), 10); err != nil || len(in) > 0 {
				t.Errorf("the group that was in it is in %v (%v), want none", in, err)
			}
			w.finish()
		})
	}
}

// TestSweepsAtOnce: of several who sweep one group none fails, and nothing is
// counted twice.
func TestSweepsAtOnce(t *testing.T) {
	s := newStage(t)
	errs := make(chan error)
	for range 4 {
		go func() { errs <- s.s.Sweep(t.Context(), s.org, s.ended) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Errorf("a sweep beside others: %v", err)
		}
	}
	s.finish()
}

// stuck takes so many commits; those after them never end by themselves.
type stuck struct {
	table.Table
	left int
}

func (s *stuck) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if s.left--; s.left < 0 {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return s.Table.Commit(ctx, writes...)
}

// TestADeletionDoesNotWaitForItsSweep: it answers after five seconds at most, or
// a quarter of what time there is, and the feed does the rest.
func TestADeletionDoesNotWaitForItsSweep(t *testing.T) {
	for name, c := range map[string]struct{ has, takes time.Duration }{
		"a request without an end": {0, 5 * time.Second},
		"a long request":           {time.Minute, 5 * time.Second},
		"a short request":          {8 * time.Second, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var st *stuck
				w := newWorldOver(t, func(tab table.Table) table.Table { st = &stuck{tab, 1 << 30}; return st })
				users := w.crowd(w.a, 100)
				g, err := w.a.CreateGroup(t.Context(), group("Team"), users)
				if err != nil {
					t.Fatal(err)
				}
				ctx := t.Context()
				if c.has > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.has)
					defer cancel()
				}
				began := time.Now()
				st.left = 2 // the deletion, and one of its sweep
				if err := w.a.DeleteGroup(ctx, string(g.ID), nil); err != nil {
					t.Errorf("a deletion whose sweep is stuck: %v", err)
				}
				if took := time.Since(began); took != c.takes {
					t.Errorf("it took %v, want %v", took, c.takes)
				}
				if n := w.showing(g, users); n == 0 || n == len(users) {
					t.Errorf("%d of %d users show the group, want some", n, len(users))
				}
				if err := w.a.DeleteGroup(t.Context(), string(g.ID), nil); !fault.Is(err, fault.NotFound) {
					t.Errorf("the group is deleted again: %v", err)
				}
				st.left = 1 << 30
				if err := w.s.Sweep(t.Context(), w.org, w.events(string(g.ID))[0]); err != nil {
					t.Error(err)
				}
				if n := w.showing(g, users); n > 0 {
					t.Errorf("%d of %d users show the group after the feed's sweep", n, len(users))
				}
				w.finish()
			})
		})
	}
}
