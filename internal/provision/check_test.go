package provision_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// items is everything that a table holds, by key.
type items map[table.Key]table.Item

// snapshot replays the table's feed.
func snapshot(m *memory.Table) (items, error) {
	all, err := m.Entries(context.Background(), 0, int(m.End()))
	if err != nil {
		return nil, err
	}
	out := items{}
	for _, e := range all {
		if e.Change.New.Exists() {
			out[e.Change.Key] = e.Change.New
		} else {
			delete(out, e.Change.Key)
		}
	}
	return out, nil
}

// sweepAll does what the feed would: every event's effects on the roster, each
// event twice, in an order of its own.
func (w *world) sweepAll(rng *rand.Rand) error {
	ctx := context.Background()
	all, err := snapshot(w.memory)
	if err != nil {
		return err
	}
	var events []audit.Event
	for k, it := range all {
		if _, _, ok := audit.ParseKey(k); !ok {
			continue
		}
		e, err := audit.Open(it, nil)
		if err != nil {
			return err
		}
		if e.Has(audit.Sweep) || e.Has(audit.Settle) {
			events = append(events, e, e)
		}
	}
	slices.SortFunc(events, func(a, b audit.Event) int { return strings.Compare(string(a.ID), string(b.ID)) })
	rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for _, e := range events {
		if err := w.s.Sweep(ctx, w.org, e); err != nil {
			return fmt.Errorf("sweep of %s: %w", e.Kind, err)
		}
	}
	return nil
}

// finish sweeps, and checks that what is stored makes sense.
func (w *world) finish() {
	w.t.Helper()
	w.resume()
	if err := w.sweepAll(newRNG()); err != nil {
		w.t.Errorf("sweeping: %v", err)
	}
	w.check(true)
}

// resume does what the sweep of due work would, once every lease has run out.
func (w *world) resume() {
	w.t.Helper()
	w.mu.Lock()
	w.clock = w.clock.Add(time.Minute)
	w.mu.Unlock()
	sweeper := due.Sweeper{Table: w.memory, Now: w.now, Handlers: map[string]func(context.Context, due.Ref) error{
		provision.DueKind: func(ctx context.Context, ref due.Ref) error {
			return w.s.Resume(ctx, w.org, identity.Group(ref.ID))
		},
	}}
	if r, err := sweeper.Sweep(context.Background()); err != nil || r.Failed+r.Dead > 0 {
		w.t.Errorf("the sweep of due work: %+v, %v", r, err)
	}
}

// check walks the whole table and reports everything that contradicts
// something else: claims, indexes, counters, memberships, headers, links,
// events and tombstones. Before a sweep, what deletions leave behind may stand.
func (w *world) check(swept bool) {
	w.t.Helper()
	faults := w.faults(swept)
	for i, f := range faults {
		if i == 20 {
			w.t.Errorf("and %d more", len(faults)-i)
			break
		}
		w.t.Errorf("%s", f)
	}
}

func (w *world) faults(swept bool) []string {
	w.t.Helper()
	all, err := snapshot(w.memory)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &checker{all: all, r: roster.Of(nil, w.org), swept: swept, parts: map[string][]string{},
		users: map[identity.User]roster.User{}, groups: map[identity.Group]roster.Group{}, counts: map[table.Key]int64{}}
	c.run()
	slices.Sort(c.faults)
	return c.faults
}

type checker struct {
	all    items
	r      roster.Roster
	swept  bool
	parts  map[string][]string // words of a partition's name after the organization's
	users  map[identity.User]roster.User
	groups map[identity.Group]roster.Group
	counts map[table.Key]int64 // what counters and headers should say
	admins int64
	ready  int64 // admins who have a password
	faults []string
}

func (c *checker) wrong(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *checker) has(k table.Key) bool { return c.all[k].Exists() }

func (c *checker) run() {
	own := c.r.Org().Part()
	for k, it := range c.all {
		rest, ok := strings.CutPrefix(k.Part, own+"#")
		if !ok {
			continue
		}
		words := strings.Split(rest, "#")
		switch {
		case words[0] == "U" && len(k.Sort) == 26:
			u, err := roster.User{ID: identity.User(k.Sort)}.Stored(c.r, it.Version, it.Data)
			if err != nil || c.r.UserKey(u.ID) != k {
				c.wrong("the user at %v does not read: %v", k, err)
				continue
			}
			c.users[u.ID] = u
		case words[0] == "G" && len(k.Sort) == 26:
			g, err := roster.Group{ID: identity.Group(k.Sort)}.Stored(c.r, it.Version, it.Data)
			if err != nil || c.r.GroupKey(g.ID) != k {
				c.wrong("the group at %v does not read: %v", k, err)
				continue
			}
			c.groups[g.ID] = g
		}
	}
	for _, u := range c.users {
		c.user(u)
	}
	for _, g := range c.groups {
		c.group(g)
	}
	for k, it := range c.all {
		if rest, ok := strings.CutPrefix(k.Part, own+"#"); ok {
			c.item(k, it, strings.Split(rest, "#"))
		}
	}
	for _, g := range c.groups {
		for _, k := range c.r.HeaderKeys(g.ID) {
			if _, locked := roster.Counted(c.all[k]); locked != (g.Journal != "") {
				c.wrong("the header %v is locked: %v, and the journal of the group is %q", k, locked, g.Journal)
			}
		}
	}
	for k, n := range c.counts {
		if got, _ := roster.Counted(c.all[k]); got != n {
			c.wrong("the counter %v says %d, want %d", k, c.all[k].N, n)
		}
	}
	if n := c.all[c.r.AdminsKey()].N; n != c.admins {
		c.wrong("the counter of admins says %d, want %d", n, c.admins)
	}
	if n := c.all[c.r.ReadyAdminsKey()].N; n != c.ready {
		c.wrong("the counter of admins with a password says %d, want %d", n, c.ready)
	}
}

func (c *checker) user(u roster.User) {
	if claim := strings.Fields(string(c.all[c.r.NameClaimKey(u.UserName())].Data)); !slices.Contains(claim, string(u.ID)) {
		c.wrong("user %s does not hold the claim of its userName: %v do", u.ID, claim)
	}
	if x := u.Doc().Get("externalId").Text(); x != "" {
		if got := string(c.all[c.r.ExternalClaimKey(u.ID.Connection(), x)].Data); got != string(u.ID) {
			c.wrong("the externalId of user %s is claimed by %q", u.ID, got)
		}
	}
	for _, a := range roster.Emails(u.Doc()) {
		if !c.has(c.r.EmailKey(a, u.ID)) {
			c.wrong("an address of user %s is not indexed", u.ID)
		}
	}
	for _, k := range c.r.CounterKeys(u.ID) {
		c.counts[k]++
	}
	if u.Admin && u.Active() {
		c.admins++
		if !u.Activated.IsZero() {
			c.ready++
		}
	}
	for _, l := range u.Links {
		if link, ok := c.users[l]; !ok || link.Target != u.ID {
			c.wrong("user %s names the link %s, which means %q", u.ID, l, link.Target)
		}
	}
	if person, ok := c.users[u.Target]; ok {
		if !slices.Contains(person.Links, u.ID) {
			c.wrong("the link %s is unknown to %s, whom it means", u.ID, person.ID)
		}
		if person.Activated.IsZero() != u.Activated.IsZero() {
			c.wrong("the link %s and %s, whom it means, are not activated together", u.ID, person.ID)
		}
	}
	if !c.has(audit.Key(c.r.Org(), string(u.ID), u.LastEvent)) {
		c.wrong("the last event of user %s does not exist", u.ID)
	}
	if c.has(c.r.TombstoneKey(u.ID)) {
		c.wrong("user %s lives and has a tombstone", u.ID)
	}
}

func (c *checker) group(g roster.Group) {
	if got := string(c.all[c.r.GroupNameKey(g.ID.Connection(), g.Name(), g.ID, g.Unique)].Data); got != string(g.ID) {
		c.wrong("the name of group %s leads to %q", g.ID, got)
	}
	if x := g.Doc().Get("externalId").Text(); x != "" && !c.has(c.r.GroupExternalKey(x, g.ID)) {
		c.wrong("the externalId of group %s is not indexed", g.ID)
	}
	for _, k := range c.r.GroupCounterKeys(g.ID) {
		c.counts[k]++
	}
}

// item accounts for one item: it belongs to something that is there, or to
// nothing known.
func (c *checker) item(k table.Key, it table.Item, words []string) {
	switch words[0] {
	case "U":
		if user, g, ok := strings.Cut(k.Sort, "#M#"); ok {
			c.membership(roster.UserMember(identity.User(user)), identity.Group(g))
		}
	case "G":
		if group, g, ok := strings.Cut(k.Sort, "#M#"); ok {
			c.membership(roster.GroupMember(identity.Group(group)), identity.Group(g))
		}
	case "N":
		g := identity.Group(words[1])
		if words[2] == "j" {
			if group := c.groups[g]; group.Journal == "" || c.swept {
				c.wrong("a journal of group %s is left: %v", g, k)
			}
			return
		}
		if k.Sort == "#" {
			if _, ok := c.groups[g]; !ok && c.swept {
				c.wrong("a header of the deleted group %s is left: %d", g, it.N)
			}
			c.counts[k] += 0
			return
		}
		c.counts[table.Key{Part: k.Part, Sort: "#"}]++
		if m := (roster.Member{ID: k.Sort, Group: len(it.Data) > 0}); c.r.MemberKey(g, m) != k || !c.has(c.r.MembershipKey(m, g)) {
			c.wrong("group %s lists %s, who does not know of it", g, k.Sort)
		}
	case "UN":
		ids := strings.Fields(string(it.Data))
		for _, id := range ids {
			if u, ok := c.users[identity.User(id)]; !ok || c.r.NameClaimKey(u.UserName()) != k {
				c.wrong("the claim %v is held by %s, who does not go by the name", k, id)
			}
		}
		if len(ids) == 0 {
			c.wrong("the claim %v is held by nobody", k)
		}
	case "X":
		if u, ok := c.users[identity.User(it.Data)]; !ok || c.r.ExternalClaimKey(u.ID.Connection(), u.Doc().Get("externalId").Text()) != k {
			c.wrong("the externalId claim %v is held by %s, who has not that externalId", k, it.Data)
		}
	case "E":
		u := c.users[identity.User(k.Sort)]
		if !slices.ContainsFunc(roster.Emails(u.Doc()), func(a string) bool { return c.r.EmailKey(a, u.ID) == k }) {
			c.wrong("the address index %v names somebody without the address", k)
		}
	case "GN":
		g, ok := c.groups[identity.Group(it.Data)]
		if !ok || c.r.GroupNameKey(g.ID.Connection(), g.Name(), g.ID, g.Unique) != k {
			c.wrong("the group name %v leads to %s, which has not that name", k, it.Data)
		}
	case "GX":
		if g, ok := c.groups[identity.Group(k.Sort)]; !ok || c.r.GroupExternalKey(g.Doc().Get("externalId").Text(), g.ID) != k {
			c.wrong("the group externalId %v leads to a group that has it not", k)
		}
	case "CU", "CG":
		c.counts[k] += 0 // one that counts nothing must say so
	case "T":
		if _, ok := c.users[identity.User(k.Sort)]; ok {
			c.wrong("%s has a tombstone and lives", k.Sort)
		}
	case "SW":
		if c.lives(roster.Member{ID: k.Sort}) || c.lives(roster.Member{ID: k.Sort, Group: true}) || c.swept {
			c.wrong("%s is marked as being swept", k.Sort)
		}
	case "EV":
		if len(words) > 2 {
			c.page(k, identity.Group(words[1]), identity.Event(words[2]))
			return
		}
		c.event(it, words[1])
	case "CF", "LOG":
	default:
		c.wrong("nobody accounts for the item %v", k)
	}
}

func (c *checker) lives(m roster.Member) bool { return c.has(c.r.ResourceKey(m)) }

func (c *checker) membership(m roster.Member, g identity.Group) {
	if it := c.all[c.r.MemberKey(g, m)]; !it.Exists() || string(it.Data) != string(m.Data()) {
		c.wrong("%v is a member of %s, which does not list it as that", m, g)
	}
	if !c.lives(m) && c.swept {
		c.wrong("the deleted %v is still a member of %s", m, g)
	}
	if _, ok := c.groups[g]; !ok && c.swept {
		c.wrong("%v is still a member of the deleted group %s", m, g)
	}
}

// page looks at a page of an event: the event is there, or its journal is.
func (c *checker) page(k table.Key, g identity.Group, e identity.Event) {
	if !c.has(audit.Key(c.r.Org(), string(g), e)) && c.groups[g].Journal != e {
		c.wrong("the page %v belongs to no event", k)
	}
}

func (c *checker) event(it table.Item, subject string) {
	e, err := audit.Open(it, nil)
	if err != nil {
		c.wrong("%v", err)
		return
	}
	u, ok := c.users[identity.User(subject)]
	if ok && e.ID > u.LastEvent {
		c.wrong("the event %s of user %s is newer than the last that the user knows", e.ID, u.ID)
	}
	if ok && e.Sealed {
		if opened, err := audit.Open(it, &u.Seal); err != nil || len(opened.Changes) == 0 && e.Kind != audit.UserActivated {
			c.wrong("the event %s of user %s does not open with the user's key: %v", e.Kind, u.ID, err)
		}
	}
	if e.Kind == audit.UserLeft && !c.has(c.r.TombstoneKey(identity.User(subject))) {
		c.wrong("user %s left without a tombstone", subject)
	}
	if e.Kind == audit.UserLeft && ok {
		c.wrong("user %s left and is there", subject)
	}
}

// gone reports whether the error says that there is no such thing.
func gone(err error) bool { return fault.Is(err, fault.NotFound) }
