package provision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

var errInjected = errors.New("the table does not answer")

// failing fails one commit: before it happens, or after it did, so that only
// its answer is lost.
type failing struct {
	table.Table
	countdown int // 1: the next commit fails; 0: none
	after     bool
}

func (f *failing) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if f.countdown == 0 {
		return f.Table.Commit(ctx, writes...)
	}
	if f.countdown--; f.countdown > 0 {
		return f.Table.Commit(ctx, writes...)
	}
	if f.after {
		if _, err := f.Table.Commit(ctx, writes...); err != nil {
			f.countdown = 1 // a conflict is an answer, which came through: the next one is lost
			return "", err
		}
	}
	return "", errInjected
}

// stage is a world with everything that the use cases need.
type stage struct {
	*world
	fail  *failing
	users []string // of a; the first is in every group
	admin roster.User
	link  roster.User // of a, to the admin; a second admin is there
	team  roster.Group
	left  audit.Event // a deletion that waits for its sweep
	ended audit.Event
}

func newStage(t *testing.T) *stage {
	s := &stage{}
	s.world = newWorldOver(t, func(m table.Table) table.Table {
		s.fail = &failing{Table: m}
		return s.fail
	})
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.users = s.crowd(s.a, 60)
	for _, email := range []string{"boss@example.com", "deputy@example.com"} {
		s.admin, err = s.s.Invite(ctx, s.org, operator, provision.Invitation{Email: email, Admin: true})
		must(err)
	}
	s.link, err = s.a.Join(ctx, person(t, "deputy@example.com", ""))
	must(err)
	s.team, err = s.a.CreateGroup(ctx, group("Team"), s.users[:5])
	must(err)
	leaver, crowded := s.join(s.a, "leaver@example.com"), s.team
	for i := range 20 {
		crowded, err = s.a.CreateGroup(ctx, group(fmt.Sprint("Group ", i)), []string{s.users[0], string(leaver.ID)})
		must(err)
	}
	must(third(s.a.ChangeGroup(ctx, string(crowded.ID), nil, nil, op(provision.AddMembers, s.users...))))
	must(s.a.Leave(ctx, string(leaver.ID), nil))
	s.left = s.events(string(leaver.ID))[0]
	s.fail.countdown = 2 // the first sweep, so that something is left for the feed
	must(s.a.DeleteGroup(ctx, string(crowded.ID), nil))
	s.ended = s.events(string(crowded.ID))[0]
	return s
}

// useCases are everything that commits. Each is safe to try again: what it
// gives the second time, after an attempt that happened, is again.
var useCases = []struct {
	name  string
	do    func(ctx context.Context, s *stage) error
	again func(err error) bool
}{
	{"join", func(ctx context.Context, s *stage) error {
		return second(s.a.Join(ctx, person(s.t, "new@example.com", `,"externalId":"N"`)))
	}, isTaken},
	{"join of a taken name", func(ctx context.Context, s *stage) error {
		if err := second(s.b.Join(ctx, person(s.t, "crowd1@example.com", ""))); !isTaken(err) {
			return err
		}
		return nil
	}, nil},
	{"adoption", func(ctx context.Context, s *stage) error {
		return second(s.a.Join(ctx, doc(s.t, `{"userName":"boss@example.com","active":false}`)))
	}, isTaken},
	{"invitation", func(ctx context.Context, s *stage) error {
		return second(s.s.Invite(ctx, s.org, operator, provision.Invitation{Email: "third@example.com", Admin: true}))
	}, isTaken},
	{"rename", func(ctx context.Context, s *stage) error {
		return third(s.a.Change(ctx, s.users[0], nil, set("userName", value.Str("other@example.com"))))
	}, nil},
	{"suspension of a linked admin", func(ctx context.Context, s *stage) error {
		return third(s.a.Change(ctx, string(s.link.ID), nil, set("active", value.Boolean(false))))
	}, nil},
	{"leave of who is in a few groups", func(ctx context.Context, s *stage) error { return s.a.Leave(ctx, s.users[1], nil) }, gone},
	{"leave of who is in many groups", func(ctx context.Context, s *stage) error { return s.a.Leave(ctx, s.users[0], nil) }, gone},
	{"leave of a linked admin", func(ctx context.Context, s *stage) error { return s.a.Leave(ctx, string(s.link.ID), nil) }, gone},
	{"leave of an admin", func(ctx context.Context, s *stage) error {
		return s.s.Manual(s.org, operator).Leave(ctx, string(s.admin.ID), nil)
	}, gone},
	{"group of sixty", func(ctx context.Context, s *stage) error {
		return second(s.a.CreateGroup(ctx, group("Sixty"), s.users))
	}, isTaken},
	{"sixty members and another name", func(ctx context.Context, s *stage) error {
		return third(s.a.ChangeGroup(ctx, string(s.team.ID), nil, func(roster.Group) (provision.Doc, error) { return group("Everybody"), nil },
			op(provision.AddMembers, s.users...)))
	}, nil},
	{"other members", func(ctx context.Context, s *stage) error {
		return third(s.a.ChangeGroup(ctx, string(s.team.ID), nil, nil, op(provision.ReplaceMembers, s.users[3:]...)))
	}, nil},
	{"deletion of a group", func(ctx context.Context, s *stage) error { return s.a.DeleteGroup(ctx, string(s.team.ID), nil) }, gone},
	{"sweep of a user", func(ctx context.Context, s *stage) error { return s.s.Sweep(ctx, s.org, s.left) }, nil},
	{"sweep of a group", func(ctx context.Context, s *stage) error { return s.s.Sweep(ctx, s.org, s.ended) }, nil},
	{"activation", func(ctx context.Context, s *stage) error {
		writes, err := s.s.Activation(ctx, s.org, s.admin.ID)
		if err == nil {
			_, err = s.table.Commit(ctx, writes...)
		}
		return err
	}, func(err error) bool { return fault.Is(err, fault.Conflict) }},
}

func isTaken(err error) bool { return fault.Coded(err, fault.Uniqueness) }

// TestEveryCommitThatFails fails each commit of each use case, before and after
// it happened: what is stored makes sense at once, and a second try ends well.
func TestEveryCommitThatFails(t *testing.T) {
	for _, c := range useCases {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after %v", c.name, after), func(t *testing.T) {
				commits := 0
				for nth := 1; ; nth++ {
					s := newStage(t)
					s.fail.countdown, s.fail.after = nth, after
					before, err := snapshot(s.memory)
					if err != nil {
						t.Fatal(err)
					}
					err = c.do(t.Context(), s)
					if s.fail.countdown > 0 {
						s.fail.countdown = 0
						if err != nil {
							t.Errorf("without a failure: %v", err)
						}
						break
					}
					commits++
					if !errors.Is(err, errInjected) || !fault.Is(err, fault.Internal) {
						t.Errorf("with commit %d failing: %v, want the table's own error as an internal one", nth, err)
					}
					if now, _ := snapshot(s.memory); nth == 1 && !after && !maps.EqualFunc(before, now, sameItem) {
						t.Errorf("a first commit that did not happen changed the table")
					}
					s.check(false)
					err = c.do(t.Context(), s)
					if after && nth == 1 && c.again != nil && err != nil && c.again(err) {
						err = nil
					}
					// A group whose creation is a journal exists after the first.
					if nth > 1 && c.again != nil && err != nil && c.again(err) {
						err = nil
					}
					if err != nil {
						t.Errorf("trying again after commit %d failed: %v", nth, err)
					}
					s.check(false)
					s.finish()
				}
				if commits == 0 {
					t.Error("the use case commits nothing")
				}
			})
		}
	}
}

func sameItem(a, b table.Item) bool {
	return a.Version == b.Version && a.N == b.N && string(a.Data) == string(b.Data)
}

// TestTheCheckFinds plants what it is there to find.
func TestTheCheckFinds(t *testing.T) {
	for name, damage := range map[string]func(s *stage) table.Write{
		"a user without its claim": func(s *stage) table.Write {
			return table.Delete(s.item(s.a.Roster.NameClaimKey("crowd1@example.com")))
		},
		"a claim without its user":    func(s *stage) table.Write { return table.Delete(s.item(s.a.Roster.UserKey(s.id(1)))) },
		"an address without its user": func(s *stage) table.Write { return table.Put(s.a.Roster.EmailKey("x@example.com", s.id(1)), nil) },
		"a user who is counted twice": func(s *stage) table.Write { return table.Add(s.a.Roster.CounterKeys(s.id(1))[0], 1, 0, 9999) },
		"a member who does not know": func(s *stage) table.Write {
			return table.Delete(s.item(s.a.Roster.MembershipKey(s.member(1), s.team.ID)))
		},
		"a membership that is not listed": func(s *stage) table.Write { return table.Put(s.a.Roster.MembershipKey(s.member(50), s.team.ID), nil) },
		"a header that counts wrongly": func(s *stage) table.Write {
			return table.Add(s.a.Roster.MemberHeaderKey(s.team.ID, s.member(1)), 1, 0, 9999)
		},
		"an admin too many":         func(s *stage) table.Write { return table.Add(s.a.Roster.AdminsKey(), 1, 0, 9999) },
		"an item of nobody's":       func(s *stage) table.Write { return table.Put(table.Key{Part: s.org.Part("Q"), Sort: "#"}, nil) },
		"a tombstone of the living": func(s *stage) table.Write { return table.Put(s.a.Roster.TombstoneKey(s.id(1)), nil) },
		"a mark of sweeping": func(s *stage) table.Write {
			return table.Put(s.a.Roster.SweepingKey(roster.UserMember(identity.MintUser("abcde"))), nil)
		},
		"a link that is unknown": func(s *stage) table.Write {
			p := s.admin
			p.Links = nil
			return table.Replace(s.item(s.a.Roster.UserKey(p.ID)), p.Encode(true))
		},
	} {
		s := newStage(t)
		if err := s.sweepAll(newRNG()); err != nil {
			t.Fatal(err)
		}
		if found := s.faults(true); len(found) > 0 {
			t.Fatalf("the check finds in what is whole: %v", found)
		}
		if _, err := s.table.Commit(t.Context(), damage(s)); err != nil {
			t.Fatal(err)
		}
		if len(s.faults(true)) == 0 {
			t.Errorf("the check does not find %s", name)
		}
	}
}

func (s *stage) member(i int) roster.Member { return roster.UserMember(s.id(i)) }

func (s *stage) id(i int) identity.User { return identity.User(s.users[i]) }

func (s *stage) item(k table.Key) table.Item {
	s.t.Helper()
	items, err := s.table.Get(s.t.Context(), k)
	if err != nil || len(items) != 1 {
		s.t.Fatalf("Get(%v) finds %d items, %v", k, len(items), err)
	}
	return items[0]
}

func newRNG() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
