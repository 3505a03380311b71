package provision_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
)

// together runs f in n goroutines that start at once.
func together(n int, f func(i int)) {
	gate := make(chan struct{})
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	wait.Wait()
}

func op(kind provision.MemberKind, ids ...string) []provision.MemberOp {
	return []provision.MemberOp{{Kind: kind, IDs: ids}}
}

// Parallel changes of one group lost up to half of the members at peers.
func TestParallelChangesOfOneGroupAreAllKept(t *testing.T) {
	const clients, each = 64, 32 // 2,048 changes
	w := newWorld(t, nil)
	ids := w.crowd(w.a, clients*4)
	g, err := w.a.CreateGroup(t.Context(), group("Everybody"), ids[:clients])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, id := range ids[:clients] {
		want[id] = true
	}
	var mu sync.Mutex
	together(clients, func(i int) {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		// Each client owns some users, so that the outcome is known; the batches
		// of two clients meet in the headers all the same.
		own := []string{ids[i], ids[clients+i], ids[2*clients+i], ids[3*clients+i]}
		in := map[string]bool{}
		for range each {
			some := own[:1+rng.IntN(len(own))]
			kind, is := provision.AddMembers, true
			if rng.IntN(3) == 0 {
				kind, is = provision.RemoveMembers, false
			}
			if _, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(kind, some...)); err != nil {
				t.Errorf("a change among many: %v", err)
			}
			for _, id := range some {
				in[id] = is
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for id, is := range in {
			if delete(want, id); is {
				want[id] = true
			}
		}
	})
	if got := w.members(w.a, g.ID); !maps.Equal(got, want) {
		t.Errorf("after %d parallel changes the group lists %d members, want the %d of the model", clients*each, len(got), len(want))
	}
	if got, err := w.a.Group(t.Context(), string(g.ID)); err != nil || got.Count != len(want) {
		t.Errorf("the group counts %d members (%v), want %d", got.Count, err, len(want))
	}
}

func TestParallelAddsOfOneMemberAreOneMembership(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.crowd(w.a, 50)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), nil)
	if err != nil {
		t.Fatal(err)
	}
	together(32, func(i int) {
		if _, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, op(provision.AddMembers, ids...)); err != nil {
			t.Errorf("one of many who add the same: %v", err)
		}
	})
	if got, err := w.a.Group(t.Context(), string(g.ID)); err != nil || got.Count != len(ids) {
		t.Errorf("the group counts %d members (%v), want %d", got.Count, err, len(ids))
	}
}

func TestANewMemberMovesTheTagAndARepeatedOneDoesNot(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.crowd(w.a, 50)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name  string
		ops   []provision.MemberOp
		moves bool
	}{
		{"a new member", op(provision.AddMembers, ids[1]), true},
		{"the same again", op(provision.AddMembers, ids[1]), false},
		{"the same twice in one request", op(provision.AddMembers, ids[1], ids[1]), false},
		{"removing who is not one", op(provision.RemoveMembers, ids[2]), false},
		{"removing nobody's id", op(provision.RemoveMembers, "x", string(identity.MintUser(w.b.Connection().ID))), false},
		{"adding and removing", append(op(provision.AddMembers, ids[3]), op(provision.RemoveMembers, ids[3])...), false},
		{"replacing by the same", op(provision.ReplaceMembers, ids[1], ids[0]), false},
		{"fifty members", op(provision.AddMembers, ids...), true},
		{"one for another", append(op(provision.RemoveMembers, ids[0]), op(provision.AddMembers, ids[0])...), false},
		{"removing one", op(provision.RemoveMembers, ids[4]), true},
		{"replacing by nobody", op(provision.ReplaceMembers), true},
		{"replacing nobody by nobody", op(provision.ReplaceMembers), false},
	} {
		before := len(w.events(string(g.ID)))
		next, changed, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, step.ops)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if moved := next.Tag() != g.Tag(); moved != step.moves || changed != step.moves {
			t.Errorf("%s: the tag moved %v and changed is %v, want %v", step.name, moved, changed, step.moves)
		}
		if !step.moves && (!next.Modified.Equal(g.Modified) || len(w.events(string(g.ID))) != before) {
			t.Errorf("%s: the group was modified or has an event more", step.name)
		}
		if read, err := w.a.Group(t.Context(), string(g.ID)); err != nil || read.Tag() != next.Tag() {
			t.Errorf("%s: the answered tag is not the stored one (%v)", step.name, err)
		}
		g = next
	}
}

func TestOfWritersWithOneTagOneGetsThrough(t *testing.T) {
	const clients = 32
	w := newWorld(t, nil)
	ids := w.crowd(w.a, 3*clients)
	g, err := w.a.CreateGroup(t.Context(), group("Team"), ids[:1])
	if err != nil {
		t.Fatal(err)
	}
	u, err := w.a.User(t.Context(), ids[0], true)
	if err != nil {
		t.Fatal(err)
	}
	of := func(tag string) provision.Match { return func(now string) bool { return now == tag } }
	for _, c := range []struct {
		name   string
		change func(i int) error
	}{
		{"a user's attribute", func(i int) error {
			return third(w.a.Change(t.Context(), ids[0], of(u.Tag()), set("title", value.Str(fmt.Sprint(i)))))
		}},
		{"a group's members", func(i int) error {
			return third(w.a.ChangeGroup(t.Context(), string(g.ID), of(g.Tag()), nil, op(provision.AddMembers, ids[clients+i])))
		}},
		{"a group's name", func(i int) error {
			return third(w.a.ChangeGroup(t.Context(), string(g.ID), of(g.Tag()), func(roster.Group) (provision.Doc, error) {
				return group(fmt.Sprint("Name ", i)), nil
			}, nil))
		}},
		{"a group's name or its members", func(i int) error {
			if i%2 == 0 {
				return third(w.a.ChangeGroup(t.Context(), string(g.ID), of(g.Tag()), nil, op(provision.RemoveMembers, ids[0])))
			}
			return third(w.a.ChangeGroup(t.Context(), string(g.ID), of(g.Tag()), func(roster.Group) (provision.Doc, error) {
				return group(fmt.Sprint("New name ", i)), nil
			}, nil))
		}},
		{"a group's being", func(i int) error {
			if i%2 == 0 {
				return third(w.a.ChangeGroup(t.Context(), string(g.ID), of(g.Tag()), nil, op(provision.AddMembers, ids[2*clients+i])))
			}
			return w.a.DeleteGroup(t.Context(), string(g.ID), of(g.Tag()))
		}},
	} {
		var won, stale atomic.Int32
		if now, err := w.a.Group(t.Context(), string(g.ID)); err == nil {
			g = now
		}
		together(clients, func(i int) {
			switch err := c.change(i); {
			case err == nil:
				won.Add(1)
			case fault.Coded(err, fault.Stale) || gone(err): // deleted by the one who got through
				stale.Add(1)
			default:
				t.Errorf("%s, with a tag that others have too: %v", c.name, err)
			}
		})
		if won.Load() != 1 || stale.Load() != clients-1 {
			t.Errorf("%s: of %d writers with one tag %d got through and %d were told that it is stale, want 1 and %d", c.name, clients, won.Load(), stale.Load(), clients-1)
		}
	}
}

// Everything at once on few names, users and groups: whatever wins, what is
// stored makes sense, and nothing is left of the deleted.
func TestChaos(t *testing.T) {
	for seed := range short.Size(10, 4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, nil)
			ctx := t.Context()
			var mu sync.Mutex
			users, groups := w.crowd(w.a, 60), []string{}
			for i := range 3 {
				g, err := w.a.CreateGroup(ctx, group(fmt.Sprint("Start ", i)), users[:20*i])
				if err != nil {
					t.Fatal(err)
				}
				groups = append(groups, string(g.ID))
			}
			pick := func(rng *rand.Rand, from *[]string, n int) []string {
				mu.Lock()
				defer mu.Unlock()
				out := make([]string, n)
				for i := range out {
					out[i] = (*from)[rng.IntN(len(*from))]
				}
				return out
			}
			keep := func(to *[]string, id string) {
				mu.Lock()
				defer mu.Unlock()
				*to = append(*to, id)
			}
			allowed := func(what string, err error) {
				var f *fault.Error
				if err == nil || errors.As(err, &f) && (f.Kind == fault.NotFound || f.Kind == fault.Invalid || f.Code == fault.Uniqueness || f.Kind == fault.Forbidden) {
					return
				}
				t.Errorf("%s in the chaos: %v", what, err)
			}
			together(16, func(i int) {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
				name := func() string { return fmt.Sprintf("user%d@example.com", rng.IntN(10)) }
				for range 30 {
					switch rng.IntN(10) {
					case 0, 1:
						u, err := w.a.Join(ctx, person(t, name(), fmt.Sprintf(`,"externalId":"X%d"`, rng.IntN(20))))
						if allowed("Join", err); err == nil {
							keep(&users, string(u.ID))
						}
					case 2:
						_, err := w.s.Invite(ctx, w.org, operator, provision.Invitation{Email: name(), Admin: rng.IntN(2) == 0})
						allowed("Invite", err)
					case 3:
						allowed("Leave", w.a.Leave(ctx, pick(rng, &users, 1)[0], nil))
					case 4:
						allowed("rename", third(w.a.Change(ctx, pick(rng, &users, 1)[0], nil, set("userName", value.Str(name())))))
					case 5:
						allowed("suspend", third(w.a.Change(ctx, pick(rng, &users, 1)[0], nil, set("active", value.Boolean(rng.IntN(2) == 0)))))
					case 6:
						g, err := w.a.CreateGroup(ctx, group(fmt.Sprint("Group ", rng.IntN(5))), pick(rng, &users, 3))
						if allowed("CreateGroup", err); err == nil {
							keep(&groups, string(g.ID))
						}
					case 7:
						allowed("DeleteGroup", w.a.DeleteGroup(ctx, pick(rng, &groups, 1)[0], nil))
					default:
						kind := []provision.MemberKind{provision.AddMembers, provision.RemoveMembers, provision.ReplaceMembers}[rng.IntN(3)]
						allowed("ChangeGroup", third(w.a.ChangeGroup(ctx, pick(rng, &groups, 1)[0], nil, func(g roster.Group) (provision.Doc, error) {
							return group(fmt.Sprint("Group ", rng.IntN(5))), nil
						}, op(kind, pick(rng, &users, 5)...))))
					}
					if rng.IntN(8) == 0 {
						if err := w.sweepAll(rng); err != nil {
							t.Errorf("a sweep in the chaos: %v", err)
						}
					}
				}
			})
		})
	}
}

// interrupting does something before one of the reads, and counts the commits
// of whoever is interrupted.
type interrupting struct {
	table.Table
	left    int
	what    func()
	inside  bool
	commits int
}

func (i *interrupting) before() {
	if i.left--; i.left == 0 {
		i.inside = true
		i.what()
		i.inside = false
	}
}

func (i *interrupting) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	v, err := i.Table.Commit(ctx, writes...)
	if err == nil && !i.inside {
		i.commits++
	}
	return v, err
}

func (i *interrupting) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	i.before()
	return i.Table.Get(ctx, keys...)
}

func (i *interrupting) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	i.before()
	return i.Table.Query(ctx, part, r)
}

// Whoever names a tag is told that it is stale, also where somebody else did
// the same meanwhile, at whatever step.
func TestATagIsStaleThoughOthersDidTheSame(t *testing.T) {
	for _, c := range []struct {
		name string
		ops  func(id string) []provision.MemberOp
	}{
		{"removing", func(id string) []provision.MemberOp { return op(provision.RemoveMembers, id) }},
		{"replacing by nobody", func(string) []provision.MemberOp { return op(provision.ReplaceMembers) }},
	} {
		interrupted := 0
		for at := 1; ; at++ {
			var i *interrupting
			w := newWorldOver(t, func(m table.Table) table.Table { i = &interrupting{Table: m}; return i })
			ids := w.crowd(w.a, 1)
			g, err := w.a.CreateGroup(t.Context(), group("Team"), ids)
			if err != nil {
				t.Fatal(err)
			}
			done := false
			i.commits, i.left, i.what = 0, at, func() {
				done = true
				if _, _, err := w.a.ChangeGroup(t.Context(), string(g.ID), nil, nil, c.ops(ids[0])); err != nil {
					t.Errorf("%s, the other: %v", c.name, err)
				}
			}
			_, _, err = w.a.ChangeGroup(t.Context(), string(g.ID), func(now string) bool { return now == g.Tag() }, nil, c.ops(ids[0]))
			if !done {
				break
			}
			interrupted++
			first := err == nil && i.commits == 1 // the other came after its commit
			if !first && !fault.Coded(err, fault.Stale) {
				t.Errorf("%s, while another did the same before read %d: %v, want stale", c.name, at, err)
			}
		}
		if interrupted < 3 {
			t.Errorf("%s: %d reads were interrupted, want at least 3", c.name, interrupted)
		}
	}
}
