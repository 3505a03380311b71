package provision_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// tester is what tests, benchmarks and rapid's checks have in common.
type tester interface {
	rapid.TB
	Cleanup(func())
	Context() context.Context
}

// world is one organization with two directories over a table in memory.
type world struct {
	t      tester
	table  table.Table
	orgs   *org.Store
	org    *org.Org
	s      *provision.Service
	a, b   provision.Directory
	mu     sync.Mutex
	clock  time.Time
	key    secret.Key
	memory *memory.Table // nil where the test brought a table
}

// newWorld makes a world over the table. Without one it is a table in memory
// whose every item is checked when the test ends: see check.
func newWorld(t tester, tab table.Table) *world {
	t.Helper()
	w := &world{t: t, table: tab, clock: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	if tab == nil {
		w.memory = whole()
		w.table = yielding{w.memory}
		t.Cleanup(w.finish)
	}
	w.open()
	return w
}

// newWorldOver is newWorld for a decorator of the memory's table.
func newWorldOver(t tester, decorate func(table.Table) table.Table) *world {
	t.Helper()
	m := whole()
	w := &world{t: t, memory: m, table: decorate(m), clock: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	w.open()
	return w
}

// whole is a table in memory whose feed keeps every change.
func whole() *memory.Table {
	return memory.New(table.Subscription{Name: "all", Wants: func(table.Key) bool { return true }})
}

func (w *world) open() {
	w.t.Helper()
	w.key = secret.Mint()
	w.orgs = org.New(w.table, w.key, w.now, 0)
	w.s = provision.New(w.table, w.now)
	var err error
	if w.org, err = w.orgs.Create(w.t.Context(), org.Spec{Name: "Example GmbH"}); err != nil {
		w.t.Fatal(err)
	}
	w.a, w.b = w.directory("First", false), w.directory("Second", false)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Millisecond)
	return w.clock
}

func (w *world) directory(name string, suppress bool) provision.Directory {
	c, err := w.orgs.CreateConnection(w.t.Context(), w.org, org.Connection{Name: name, SuppressWelcome: suppress})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.s.As(w.org, c, audit.Actor{Kind: "connection", ID: string(c.ID)})
}

// doc reads JSON as the document that a client's POST comes to.
func doc(t rapid.TB, text string) provision.Doc {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err == nil {
		v, _, err = schema.User.Settle(v, schema.Compat)
	}
	if err != nil {
		t.Fatalf("document %s: %v", text, err)
	}
	return provision.Doc{Attributes: v}
}

func person(t rapid.TB, name string, more string) provision.Doc {
	return doc(t, fmt.Sprintf(`{"userName":%q,"active":true,"emails":[{"value":%q,"type":"work","primary":true}]%s}`, name, name, more))
}

func (w *world) join(d provision.Directory, name string) roster.User {
	w.t.Helper()
	u, err := d.Join(w.t.Context(), person(w.t, name, ""))
	if err != nil {
		w.t.Fatalf("Join(%q): %v", name, err)
	}
	return u
}

// crowd joins n users and returns their ids as clients write them.
func (w *world) crowd(d provision.Directory, n int) []string {
	w.t.Helper()
	return w.crowdNamed(d, "crowd", n)
}

func (w *world) crowdNamed(d provision.Directory, name string, n int) []string {
	w.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = string(w.join(d, fmt.Sprintf("%s%d@example.com", name, i)).ID)
	}
	return ids
}

func (w *world) events(subject string) []audit.Event {
	w.t.Helper()
	out, err := audit.LogOf(w.table, w.org).Timeline(w.t.Context(), subject, 100, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func set(name string, v value.Value) func(roster.User) (provision.Doc, error) {
	return func(u roster.User) (provision.Doc, error) {
		d := u.Doc().Clone()
		d.Set(name, v)
		settled, _, err := schema.User.Settle(d, schema.Compat)
		return provision.Doc{Attributes: settled, Extensions: u.Ext}, err
	}
}

func group(name string) provision.Doc {
	return provision.Doc{Attributes: value.Obj(value.M("displayName", value.Str(name)))}
}

func second[A any](_ A, err error) error      { return err }
func third[A, B any](_ A, _ B, e error) error { return e }

// members lists the group as its readers see it.
func (w *world) members(d provision.Directory, g identity.Group) map[string]bool {
	w.t.Helper()
	out := map[string]bool{}
	for m, err := range d.Roster.Members(w.t.Context(), g) {
		if err != nil {
			w.t.Fatal(err)
		}
		if out[m.ID] {
			w.t.Errorf("group %s lists %s twice", g, m.ID)
		}
		out[m.ID] = true
	}
	return out
}

var _ tester = (*testing.T)(nil)

// yielding gives way to other goroutines before every call, so that calls of
// different clients mix however few processors there are.
type yielding struct{ table.Table }

func (y yielding) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	runtime.Gosched()
	return y.Table.Get(ctx, keys...)
}

func (y yielding) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	runtime.Gosched()
	return y.Table.Query(ctx, part, r)
}

func (y yielding) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	runtime.Gosched()
	return y.Table.Commit(ctx, writes...)
}
