package org_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// world is a store over a table that can fail, and a clock.
type world struct {
	t     *testing.T
	mem   *memory.Table
	table *failing
	key   secret.Key
	orgs  *org.Store
	mu    sync.Mutex
	clock time.Time
}

const believed = time.Minute

func newWorld(t *testing.T) *world {
	w := &world{t: t, mem: memory.New(), key: secret.Mint(), clock: time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}
	w.table = &failing{Table: w.mem}
	w.orgs = org.New(w.table, w.key, w.now, believed)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) create(spec org.Spec) *org.Org {
	w.t.Helper()
	o, err := w.orgs.Create(w.t.Context(), spec)
	if err != nil {
		w.t.Fatalf("Create(%+v): %v", spec, err)
	}
	return o
}

// connection makes an organization with one connection.
func (w *world) connection() (*org.Org, org.Connection) {
	w.t.Helper()
	o := w.create(org.Spec{Name: "Example"})
	c, err := w.orgs.CreateConnection(w.t.Context(), o, org.Connection{Name: "Directory"})
	if err != nil {
		w.t.Fatal(err)
	}
	return o, c
}

var errInjected = errors.New("the table does not answer")

// failing loses the answers of commits, counts what is read, and lets a test
// act in between.
type failing struct {
	table.Table
	mu    sync.Mutex
	lose  int // answers of so many commits are lost
	reads int
	onGet func(keys []table.Key) // before a read
}

func (f *failing) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	f.mu.Lock()
	f.reads++
	on := f.onGet
	f.mu.Unlock()
	items, err := f.Table.Get(ctx, keys...)
	if on != nil {
		on(keys)
	}
	return items, err
}

func (f *failing) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	v, err := f.Table.Commit(ctx, writes...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.lose > 0 {
		f.lose--
		return "", errInjected
	}
	return v, err
}

func TestCreate(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		spec org.Spec
		slug string
	}{
		{org.Spec{Name: "Example GmbH"}, "example-gmbh"},
		{org.Spec{Name: "Example GmbH"}, "example-gmbh-2"},
		{org.Spec{Name: "  Example, GmbH!  "}, "example-gmbh-3"},
		{org.Spec{Name: "Müller & Söhne", Language: "de"}, "mueller-soehne"},
		{org.Spec{Name: "Mu\u0308ller & So\u0308hne"}, "mueller-soehne-2"},
		{org.Spec{Name: "Société Générale"}, "societe-generale"},
		{org.Spec{Name: "ＡＢＣ"}, "abc"},
		{org.Spec{Name: "日本"}, "organization"},
		{org.Spec{Name: "--"}, "organization-2"},
		{org.Spec{Name: strings.Repeat("long ", 40)}, "long-long-long-long-long-long-long-long"},
		{org.Spec{Name: "Chosen", Slug: "my-own"}, "my-own"},
		{org.Spec{Name: "One letter", Slug: "x"}, "x"},
	} {
		o := w.create(c.spec)
		if o.Slug != c.slug {
			t.Errorf("Create(%+v) has the address %q, want %q", c.spec, o.Slug, c.slug)
		}
		for how, find := range map[string]func() (*org.Org, error){
			"Get":    func() (*org.Org, error) { return w.orgs.Get(t.Context(), o.ID) },
			"BySlug": func() (*org.Org, error) { return w.orgs.BySlug(t.Context(), o.Slug) },
			"Find":   func() (*org.Org, error) { return w.orgs.Find(t.Context(), string(o.ID)) },
		} {
			got, err := find()
			if err != nil || got.ID != o.ID || got.Digest("k", "x") != o.Digest("k", "x") {
				t.Errorf("%s does not find what Create(%+v) made: %v", how, c.spec, err)
			}
		}
	}
	n := 0
	for o, err := range w.orgs.All(t.Context()) {
		if err != nil || o.Name == "" {
			t.Fatalf("All yields %+v, %v", o, err)
		}
		n++
	}
	if n != 12 {
		t.Errorf("All yields %d organizations, want 12", n)
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t)
	w.create(org.Spec{Name: "First", Slug: "taken"})
	for _, c := range []struct {
		spec org.Spec
		kind fault.Kind
	}{
		{org.Spec{}, fault.Invalid},
		{org.Spec{Name: " \t "}, fault.Invalid},
		{org.Spec{Name: "two\nlines"}, fault.Invalid},
		{org.Spec{Name: "a\x00b"}, fault.Invalid},
		{org.Spec{Name: "\xff"}, fault.Invalid},
		{org.Spec{Name: strings.Repeat("x", 201)}, fault.Invalid},
		{org.Spec{Name: "x", Language: "fr"}, fault.Invalid},
		{org.Spec{Name: "x", Slug: "-x"}, fault.Invalid},
		{org.Spec{Name: "x", Slug: "x-"}, fault.Invalid},
		{org.Spec{Name: "x", Slug: "UPPER"}, fault.Invalid},
		{org.Spec{Name: "x", Slug: "a/b"}, fault.Invalid},
		{org.Spec{Name: "x", Slug: "a#b"}, fault.Invalid},
		{org.Spec{Name: "x", Slug: strings.Repeat("x", 51)}, fault.Invalid},
		{org.Spec{Name: "Second", Slug: "taken"}, fault.Conflict},
	} {
		if _, err := w.orgs.Create(t.Context(), c.spec); !fault.Is(err, c.kind) {
			t.Errorf("Create(%+v) = %v, want it refused as %v", c.spec, err, c.kind)
		}
	}
}

func TestOfManyWhoWantOneAddressOneGetsIt(t *testing.T) {
	w := newWorld(t)
	var wait sync.WaitGroup
	slugs, taken := make(chan string, 64), make(chan error, 64)
	for i := range 32 {
		wait.Go(func() {
			spec := org.Spec{Name: "Same Name"}
			if i%2 == 0 {
				spec = org.Spec{Name: "Another", Slug: "wanted"}
			}
			if o, err := w.orgs.Create(t.Context(), spec); err != nil {
				taken <- err
			} else {
				slugs <- o.Slug
			}
		})
	}
	wait.Wait()
	close(slugs)
	close(taken)
	seen := map[string]bool{}
	for s := range slugs {
		if seen[s] {
			t.Errorf("two organizations have the address %q", s)
		}
		seen[s] = true
	}
	for err := range taken {
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("who came second got %v, want a conflict", err)
		}
	}
	if len(seen) != 17 {
		t.Errorf("%d organizations were made, want the 16 without an own address and one with it", len(seen))
	}
}

func TestNothingIsFoundThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	o, c := w.connection()
	other := w.create(org.Spec{Name: "Other"})
	ctx := t.Context()
	for what, err := range map[string]error{
		"an unknown id":            second(w.orgs.Get(ctx, identity.MintOrg())),
		"a malformed id":           second(w.orgs.Get(ctx, "../x")),
		"an empty id":              second(w.orgs.Get(ctx, "")),
		"an unknown address":       second(w.orgs.BySlug(ctx, "nobody")),
		"a malformed address":      second(w.orgs.BySlug(ctx, "a#b")),
		"neither":                  second(w.orgs.Find(ctx, "\x00")),
		"another's connection":     second(w.orgs.Connection(ctx, other, c.ID)),
		"manual":                   second(w.orgs.Connection(ctx, o, identity.Manual)),
		"welcome of another's":     w.orgs.SetWelcome(ctx, other, c.ID, true),
		"discovery of another's":   w.orgs.SetDiscovery(ctx, other, c.ID, "plain"),
		"discovery of a malformed": w.orgs.SetDiscovery(ctx, o, "a\x00#", "plain"),
		"welcome of a malformed":   w.orgs.SetWelcome(ctx, o, "a\x00#", true),
		"a credential for another": third(w.orgs.Issue(ctx, other, c.ID, 0)),
		"a credential for manual":  third(w.orgs.Issue(ctx, o, identity.Manual, 0)),
		"an unknown credential":    w.orgs.Revoke(ctx, o, c.ID, identity.MintCredential()),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v, want not found", what, err)
		}
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestConnections(t *testing.T) {
	w := newWorld(t)
	o := w.create(org.Spec{Name: "Example"})
	ctx := t.Context()
	for _, c := range []org.Connection{{}, {Name: "a\r\nb"}, {Name: "x", Dialect: "klingon"}} {
		if _, err := w.orgs.CreateConnection(ctx, o, c); !fault.Is(err, fault.Invalid) {
			t.Errorf("CreateConnection(%+v) = %v, want it refused as invalid", c, err)
		}
	}
	want := map[identity.Connection]string{}
	for i, dialect := range append([]string{""}, org.Dialects...) {
		c, err := w.orgs.CreateConnection(ctx, o, org.Connection{Name: fmt.Sprint("C", i), Dialect: dialect, ID: "abcde"})
		if err != nil {
			t.Fatal(err)
		}
		if c.ID == "abcde" {
			t.Error("a caller chose the connection's id")
		}
		if dialect == "" {
			dialect = "compat"
		}
		want[c.ID] = dialect
	}
	all, err := w.orgs.Connections(ctx, o)
	if err != nil || len(all) != len(want) {
		t.Fatalf("Connections lists %d, %v; want %d", len(all), err, len(want))
	}
	for _, c := range all {
		if c.Dialect != want[c.ID] {
			t.Errorf("connection %s speaks %q, want %q", c.ID, c.Dialect, want[c.ID])
		}
	}
	if err := w.orgs.SetWelcome(ctx, o, all[0].ID, true); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.orgs.Connection(ctx, o, all[0].ID); !got.SuppressWelcome {
		t.Error("SetWelcome does not suppress")
	}
}

// Settings that are changed at once are all kept.
func TestSettingsAreChangedApart(t *testing.T) {
	w := newWorld(t)
	o := w.create(org.Spec{Name: "Example"})
	c, err := w.orgs.CreateConnection(t.Context(), o, org.Connection{Name: "C", Dialect: "strict"})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			if err := w.orgs.SetWelcome(t.Context(), o, c.ID, i%2 == 0 || i > 10); err != nil {
				t.Error(err)
			}
			if i > 10 {
				return
			}
			if err := w.orgs.SetDiscovery(t.Context(), o, c.ID, "plain"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if err := w.orgs.SetWelcome(t.Context(), o, c.ID, true); err != nil {
		t.Fatal(err)
	}
	got, err := w.orgs.Connection(t.Context(), o, c.ID)
	if err != nil || got.Discovery != "plain" || !got.SuppressWelcome || got.Dialect != "strict" || got.Name != "C" {
		t.Errorf("after changes at once the connection is %+v (%v)", got, err)
	}
}

// An Org is printed by somebody sooner or later.
func TestPrintingAnOrganizationDoesNotShowItsKey(t *testing.T) {
	w := newWorld(t)
	o := w.create(org.Spec{Name: "Example"})
	k := w.key.Derive("org", string(o.ID))
	text := fmt.Sprintf("%v %+v %#v %+v", o, o, *o, *o)
	if strings.Contains(text, k.Reveal()[:8]) || strings.Contains(text, fmt.Sprintf("%d %d %d", k[0], k[1], k[2])) || strings.Contains(text, fmt.Sprintf("%#x, %#x, %#x", k[0], k[1], k[2])) {
		t.Errorf("an organization is printed with its key: %s", text)
	}
}

func TestDigestsTellKindsAndOrganizationsApart(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(org.Spec{Name: "A"}), w.create(org.Spec{Name: "B"})
	seen := map[string]string{}
	for name, d := range map[string]string{
		"a": a.Digest("userName", "x"), "a, another kind": a.Digest("email", "x"), "a, another text": a.Digest("userName", "y"), "b": b.Digest("userName", "x"),
	} {
		if len(d) != 26 || seen[d] != "" {
			t.Errorf("the digest of %s is %q, as of %q", name, d, seen[d])
		}
		seen[d] = name
	}
	if got, want := a.Part("U", "c", "0"), "O#"+string(a.ID)+"#U#c#0"; got != want {
		t.Errorf("Part = %q, want %q", got, want)
	}
}

// No organization's address can be taken for another's id.
func TestAddressesAreNoIDs(t *testing.T) {
	w := newWorld(t)
	o, err := w.orgs.Create(t.Context(), org.Spec{Name: "Victim"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.orgs.Create(t.Context(), org.Spec{Name: "Other", Slug: string(o.ID)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("creating an organization whose address is another's id = %v, want a refusal", err)
	}
	if _, err := w.orgs.Create(t.Context(), org.Spec{Name: "Other", Slug: "mercedesbenz"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("creating an organization whose address could be an id = %v, want a refusal", err)
	}
	made, err := w.orgs.Create(t.Context(), org.Spec{Name: "Mercedesbenz"})
	if err != nil || made.Slug != "mercedesbenz-2" {
		t.Errorf("a name that could be an id gives %+v, %v; want the address mercedesbenz-2", made, err)
	}
	// As earlier versions allowed it.
	if _, err := w.mem.Commit(t.Context(), table.Create(table.Key{Part: "SLUG#" + string(o.ID), Sort: "#"}, []byte(made.ID))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{string(o.ID), o.Slug} {
		if got, err := w.orgs.Find(t.Context(), name); err != nil || got.ID != o.ID {
			t.Errorf("Find(%q) = %+v, %v; want %s", name, got, err, o.ID)
		}
	}
}
