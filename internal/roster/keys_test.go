package roster_test

import (
	"strings"
	"testing"

	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// allKeys makes one of every key.
func allKeys(r roster.Roster, name string) []table.Key {
	const c = identity.Connection("abcde")
	u, g := identity.MintUser(c), identity.MintGroup(c)
	m, in := roster.UserMember(u), roster.GroupMember(identity.MintGroup(c))
	users, groups := r.CounterKeys(u), r.GroupCounterKeys(g)
	return append([]table.Key{
		r.UserKey(u), r.MembershipKey(m, g), r.MembershipKey(in, g), r.NameClaimKey(name), r.ExternalClaimKey(c, name), r.EmailKey(name, u), r.TombstoneKey(u), r.SweepingKey(m),
		r.ConflictKey(name, c), r.AdminsKey(), r.GroupKey(g), r.GroupNameKey(c, name, g, true), r.GroupNameKey(c, name, g, false), r.GroupExternalKey(name, g),
		r.MemberKey(g, m), r.MemberHeaderKey(g, m), r.MemberKey(g, in), r.JournalKey(g), users[0], users[1], groups[0], groups[1],
	}, r.HeaderKeys(g)...)
}

func TestEveryKeyBelongsToItsOrganizationAndHoldsNoName(t *testing.T) {
	tab := memory.New()
	a, b := open(t, tab), open(t, tab)
	for _, name := range []string{"canary@example.com", "x", strings.Repeat("long", 2000), "a#b#M#c", "\x00", "\u202e"} {
		of := map[table.Key]bool{}
		for _, k := range allKeys(a, name) {
			of[k] = true
			if k.Part != a.Org().Part() && !strings.HasPrefix(k.Part, a.Org().Part()+"#") {
				t.Errorf("the key %v does not begin with its organization", k)
			}
			if len(name) > 1 && strings.Contains(k.String(), name) || strings.Contains(k.String(), "canary") {
				t.Errorf("the key %v holds a name", k)
			}
			if err := table.CheckKeys(k); err != nil {
				t.Errorf("no table takes the key for a name of %d bytes: %v", len(name), err)
			}
			if len(k.Part)+len(k.Sort) > 160 {
				t.Errorf("the key %v has %d bytes; keys of names are to have one length", k, len(k.Part)+len(k.Sort))
			}
		}
		for _, k := range allKeys(b, name) {
			if of[k] {
				t.Errorf("two organizations have the key %v", k)
			}
		}
	}
}

func TestFoldedNamesShareTheirClaim(t *testing.T) {
	r := open(t, memory.New())
	for _, c := range []struct {
		name string
		same bool
		a, b table.Key
	}{
		{"userName without case", true, r.NameClaimKey("Ada@Example.com"), r.NameClaimKey("ada@example.COM")},
		{"externalId with case", false, r.ExternalClaimKey("abcde", "X"), r.ExternalClaimKey("abcde", "x")},
		{"externalId of two connections", false, r.ExternalClaimKey("abcde", "X"), r.ExternalClaimKey("abcdf", "X")},
		{"address without case", true, r.EmailKey("A@x.test", "u"), r.EmailKey("a@X.TEST", "u")},
		{"group name without case", true, r.GroupNameKey("abcde", "Team", "g", true), r.GroupNameKey("abcde", "TEAM", "g", true)},
		{"group name of two connections", false, r.GroupNameKey("abcde", "Team", "g", true), r.GroupNameKey("abcdf", "Team", "g", true)},
	} {
		if got := c.a == c.b; got != c.same {
			t.Errorf("%s: the keys %v and %v are the same: %v, want %v", c.name, c.a, c.b, got, c.same)
		}
	}
	if name, address := r.NameClaimKey("x@y.test"), r.EmailKey("x@y.test", "u"); strings.TrimPrefix(name.Part, r.Org().Part("UN")) == strings.TrimPrefix(address.Part, r.Org().Part("E")) {
		t.Error("a userName and an address of the same text have one digest: keys would tell who has both")
	}
}
