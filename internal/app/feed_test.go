package app_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/pump"
)

var errLost = errors.New("the table does not answer")

// losing fails some commits, before they happen or after.
type losing struct {
	table.Table
	mu  sync.Mutex
	rng *rand.Rand
	off bool
}

func (l *losing) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	l.mu.Lock()
	fate := l.rng.IntN(12)
	if l.off {
		fate = 9
	}
	l.mu.Unlock()
	if fate == 0 {
		return "", errLost
	}
	v, err := l.Table.Commit(ctx, writes...)
	if fate == 1 && err == nil {
		return "", errLost
	}
	return v, err
}

// story changes users and groups from several clients at once and returns the
// users who stay, by name.
func (w *world) story(clients, each int) (stay map[string]identity.User) {
	w.t.Helper()
	ctx := w.t.Context()
	stay = map[string]identity.User{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	must := func(err error) {
		if err != nil {
			w.t.Errorf("the story: %v", err)
		}
	}
	for c := range clients {
		wait.Go(func() {
			var ids []string
			for i := range each {
				name := fmt.Sprintf("user-%d-%d@example.com", c, i)
				u, err := w.dir.Join(ctx, person(name))
				must(err)
				ids = append(ids, string(u.ID))
				mu.Lock()
				stay[name] = u.ID
				mu.Unlock()
				switch i % 5 {
				case 1:
					for range 2 {
						_, _, err = w.dir.Change(ctx, string(u.ID), nil, flip)
						must(err)
					}
				case 2:
					must(w.dir.Leave(ctx, string(u.ID), nil))
					mu.Lock()
					delete(stay, name)
					mu.Unlock()
					ids = ids[:len(ids)-1]
				}
			}
			g, err := w.dir.CreateGroup(ctx, provision.Doc{Attributes: value.Obj(value.M("displayName", value.Str(fmt.Sprint("Group ", c))))}, ids)
			must(err)
			if c%2 == 0 {
				must(w.dir.DeleteGroup(ctx, string(g.ID), nil))
			}
		})
	}
	wait.Wait()
	return stay
}

// flip suspends and resumes.
func flip(u roster.User) (provision.Doc, error) {
	d := u.Doc().Clone()
	d.Set("active", value.Boolean(!u.Active()))
	return provision.Doc{Attributes: d}, nil
}

// TestFeedUnderChaos: batches are shuffled across keys and repeated, at once
// and late, and commits fail or lose their answers. Every user who stays has
// one welcome message and one mail; the log has every event once, without gaps;
// nothing is left of the deleted.
func TestFeedUnderChaos(t *testing.T) {
	for seed := range uint64(short.Size(5, 2)) {
		for _, loses := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed %d, losing answers %v", seed, loses), func(t *testing.T) {
				l := &losing{rng: rand.New(rand.NewPCG(seed, 9)), off: !loses}
				w := newWorld(t, func(m table.Table) table.Table { l.Table = m; return l })
				drain := w.pump(pump.Options{Chaos: pump.NewChaos(seed), Tries: 100, Batch: 20})
				stay := w.story(8, 15)
				drain()
				w.settled(stay, loses)
			})
		}
	}
}

func (w *world) settled(stay map[string]identity.User, loses bool) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	mails := w.out.to()
	for name, id := range stay {
		messages := 0
		for _, err := range w.mem.Query(ctx, w.org.Part("MSG", string(id)), table.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			messages++
		}
		if messages != 1 {
			t.Errorf("%s has %d welcome messages, want 1", name, messages)
		}
		states, err := w.app.Courier.States(ctx, w.org, id)
		if err != nil {
			t.Fatal(err)
		}
		// A mark that was lost leaves the message to its lease, by design.
		if s := states[id].Status; s != courier.Sent && !(loses && (s == courier.Sending || s == courier.Queued)) {
			t.Errorf("the message to %s is %q, want sent", name, s)
		}
		if mails[name] > 1 {
			t.Errorf("%s has %d mails, want 1", name, mails[name])
		}
		if states[id].Status == courier.Sent && mails[name] != 1 {
			t.Errorf("%s has %d mails though the message says sent", name, mails[name])
		}
	}
	w.logIsWhole()
	// Nothing is left of the deleted groups.
	page, err := w.dir.Roster.GroupPage(ctx, w.dir.Connection().ID, 1, 100)
	if err != nil || page.Total != 4 {
		t.Fatalf("%d groups are left, %v; want 4", page.Total, err)
	}
	left := map[identity.Group]bool{}
	for _, g := range page.Resources {
		left[g.ID] = true
	}
	for u, err := range w.dir.Roster.AllUsers(ctx, w.dir.Connection().ID) {
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range u.Groups {
			if !left[g] {
				t.Errorf("user %s is still a member of a deleted group", u.ID)
			}
		}
	}
	if text := w.log.String(); strings.Contains(text, "example.com") {
		t.Error("the log names a person")
	}
}

// logIsWhole compares the organization's log with the events in the table.
func (w *world) logIsWhole() {
	w.t.Helper()
	ctx := context.Background()
	log := audit.LogOf(w.mem, w.org)
	got, err := log.Read(ctx, 1, 1<<20, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	subjects := map[string]bool{}
	seen := map[identity.Event]bool{}
	for i, e := range got {
		if e.Number != int64(i+1) || seen[e.ID] {
			w.t.Fatalf("entry %d of the log has number %d, seen before: %v", i+1, e.Number, seen[e.ID])
		}
		seen[e.ID], subjects[e.Subject] = true, true
	}
	stored := 0
	for s := range subjects {
		line, err := log.Timeline(ctx, s, 1000, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range line {
			if stored++; e.Number == 0 || !seen[e.ID] {
				w.t.Errorf("event %s of kind %s is not in the log", e.ID, e.Kind)
			}
		}
	}
	// A subject without any entry would not be missed above: each user and group
	// has its first event there.
	for u, err := range w.dir.Roster.AllUsers(ctx, w.dir.Connection().ID) {
		if err != nil || !subjects[string(u.ID)] {
			w.t.Errorf("the log knows nothing of user %s (%v)", u.ID, err)
		}
	}
	if last, err := log.Last(ctx); err != nil || int(last) != len(got) || stored != len(got) {
		w.t.Errorf("the log ends with number %d, holds %d entries for %d events, %v", last, len(got), stored, err)
	}
}

// panicking panics where the message of a user is looked for.
type panicking struct {
	table.Table
	user identity.User
}

func (p panicking) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	for _, k := range keys {
		if p.user != "" && strings.Contains(k.Part, "#MSG#"+string(p.user)) {
			panic("canary@example.com")
		}
	}
	return p.Table.Get(ctx, keys...)
}

// One event that makes an effect panic fails alone, and is retried.
func TestAPanicIsTheFailureOfOneEvent(t *testing.T) {
	p := &panicking{}
	w := newWorld(t, func(m table.Table) table.Table { p.Table = m; return p })
	var batch []table.Change
	var last roster.User
	for i := range 3 {
		u, err := w.dir.Join(t.Context(), person(fmt.Sprintf("user%d@example.com", i)))
		if err != nil {
			t.Fatal(err)
		}
		items, err := w.mem.Get(t.Context(), audit.Key(w.org, string(u.ID), u.LastEvent))
		if err != nil || len(items) != 1 {
			t.Fatal("the event is not there", err)
		}
		batch, last = append(batch, table.Change{Key: items[0].Key, New: items[0]}), u
	}
	p.user = last.ID
	errs := w.app.Feed().Consume(t.Context(), batch)
	for i, err := range errs {
		if failed := err != nil; failed != (i == 2) {
			t.Errorf("event %d failed: %v, want only the last to fail", i, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the failure says what was panicked with: %v", err)
		}
	}
	p.user = ""
	for _, err := range w.app.Feed().Consume(t.Context(), batch) {
		if err != nil {
			t.Errorf("the batch again: %v", err)
		}
	}
}

func TestSubscriptions(t *testing.T) {
	w := newWorld(t, nil)
	u := identity.MintUser(w.dir.Connection().ID)
	for _, c := range []struct {
		name string
		key  table.Key
		want string
	}{
		{"an event", audit.Key(w.org, string(u), identity.Event("e")), app.FeedName},
		{"a message", table.Key{Part: w.org.Part("MSG", string(u)), Sort: "welcome#0001"}, app.WelcomeName},
		{"a user", w.dir.Roster.UserKey(u), ""},
		{"an entry of the log", table.Key{Part: w.org.Part("LOG", "1"), Sort: "0000000000000001"}, ""},
		{"a counter", w.dir.Roster.CounterKeys(u)[0], ""},
		{"a credential", table.Key{Part: "TOK#x", Sort: "#"}, ""},
	} {
		for _, s := range app.Subscriptions() {
			if got := s.Wants(c.key); got != (s.Name == c.want) {
				t.Errorf("the subscription %q wants %s: %v", s.Name, c.name, got)
			}
		}
	}
}

// overlap returns a key that two of the subscriptions want, and who they are.
func overlap(subs []table.Subscription, keys []table.Key) (key table.Key, names []string) {
	for _, k := range keys {
		names = nil
		for _, s := range subs {
			if s.Wants(k) {
				names = append(names, s.Name)
			}
		}
		if len(names) > 1 {
			return k, names
		}
	}
	return table.Key{}, nil
}

// TestOneConsumerForAKey: on AWS the filter of an event source mapping compares
// the whole attribute that names who wants the item, so a key that two wanted
// would reach neither. The keys are all that a story writes.
func TestOneConsumerForAKey(t *testing.T) {
	mem := memory.New(table.Subscription{Name: "all", Wants: func(table.Key) bool { return true }})
	a := app.New(app.Ports{Table: mem, Key: secret.Mint(), URL: "https://gatehouse.test", Sender: &outbox{}, From: mail.Address{Addr: "gatehouse@gatehouse.test"},
		Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	w := &world{t: t, mem: mem, app: a}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(app.Prepare(t.Context(), mem, a.Key, time.Now()))
	var err error
	w.org, err = a.Orgs.Create(t.Context(), org.Spec{Name: "Example"})
	must(err)
	c, err := a.Orgs.CreateConnection(t.Context(), w.org, org.Connection{Name: "Directory"})
	must(err)
	_, err = a.Provision.Invite(t.Context(), w.org, audit.Actor{Kind: "operator"}, provision.Invitation{Email: "boss@example.com", Admin: true})
	must(err)
	w.dir = a.Provision.As(w.org, c, audit.Actor{Kind: "connection", ID: string(c.ID)})
	w.story(2, 5)
	to := map[string]table.Consumer{app.FeedName: a.Feed(), app.WelcomeName: a.Courier}
	wanted := map[string]int{}
	var keys []table.Key
	for at := uint64(0); at < mem.End(); at++ {
		entries, err := mem.Entries(t.Context(), at, 1)
		must(err)
		change := entries[0].Change
		keys = append(keys, change.Key)
		for _, s := range app.Subscriptions() {
			if !s.Wants(change.Key) {
				continue
			}
			wanted[s.Name]++
			if to[s.Name] != nil {
				for _, err := range to[s.Name].Consume(t.Context(), []table.Change{change}) {
					must(err)
				}
			}
		}
	}
	for _, s := range app.Subscriptions() {
		if wanted[s.Name] == 0 {
			t.Errorf("the story writes nothing that %q wants: it cannot tell whether another wants the same", s.Name)
		}
	}
	if k, names := overlap(app.Subscriptions(), keys); names != nil {
		t.Errorf("%q want the key %v, want one of them alone", names, k)
	}
	for _, s := range app.Subscriptions() {
		planted := append(app.Subscriptions(), table.Subscription{Name: "planted", Wants: s.Wants})
		if _, names := overlap(planted, keys); names == nil {
			t.Errorf("a second subscription to what %q wants is not noticed", s.Name)
		}
	}
}

// A directory that suspends a user before the mail went, and resumes later,
// means the user to get in: the message that the suspension cancelled goes then.
func TestWhoWasSuspendedBeforeTheMailGetsItWhenResumed(t *testing.T) {
	w := newWorld(t, nil)
	u, err := w.dir.Join(t.Context(), person("ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	change := func() {
		t.Helper()
		if _, _, err := w.dir.Change(t.Context(), string(u.ID), nil, flip); err != nil {
			t.Fatal(err)
		}
	}
	change()
	drain := w.pump(pump.Options{})
	drain()
	if n := w.out.to()["ada@example.com"]; n != 0 {
		t.Fatalf("a suspended user has %d mails, want none", n)
	}
	for range 3 {
		change()
		drain()
	}
	if n := w.out.to()["ada@example.com"]; n != 1 {
		t.Errorf("after being suspended and resumed the user has %d mails, want 1", n)
	}
}
