// Package tabletest is the one suite that every table passes: each sentence of
// the contract of package table as a subtest, a comparison with a simple model,
// and races. Faults lists what each sentence catches, planted and proved.
//
// It tests behaviour through the port alone. What only one table has, such as
// crashes and full disks of an embedded one, is tested beside that table.
package tabletest

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// TB is what the suite needs of a test; *testing.T is one.
type TB interface {
	rapid.TB
	Cleanup(func())
}

// Subject is a table under test.
type Subject struct {
	Table table.Table
	// Feed is the table's own feed, where it has one.
	Feed table.Feed
	// Changes returns what the feed brought since the last call, with
	// everything that was committed before this one. It stands in for Feed
	// where changes are pushed, and may be nil beside one.
	Changes func() ([]table.Change, error)
	// Reopen closes the table and opens it again with what it keeps. Nil: the
	// table does not outlive its process, and says so in the subtest's skip.
	Reopen func() (Subject, error)
}

// Factory makes an empty table, or one that is shared by all subtests, since
// these use partitions of their own; what it opens it closes at the end of the
// test. Its feed keeps what the subscriptions want.
type Factory func(t TB, subs ...table.Subscription) Subject

// Test runs the suite.
func Test(t *testing.T, f Factory) {
	for _, s := range Sentences {
		t.Run(s.Text, func(t *testing.T) { s.check(start(t, f)) })
	}
}

// Sentence is one of the contract, and how it is checked.
type Sentence struct {
	Text  string
	check func(*run)
}

// Sentences are the contract of table.Table and table.Feed.
var Sentences = concat(reads, queries, conditions, limits, versions, races, feeds, models)

func concat(lists ...[]Sentence) (all []Sentence) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// run is one subtest: a subject, and partitions that nobody else uses.
type run struct {
	TB
	Subject
	ctx context.Context
	id  string
}

func start(t TB, f Factory) *run {
	s := f(t, first, second)
	if s.Feed == nil && s.Changes == nil {
		t.Fatalf("the factory gave a table without a feed; every table has one")
	}
	return &run{TB: t, Subject: s, ctx: context.Background(), id: identity.Random(8)}
}

// Partitions whose names begin so are wanted by the first subscription, by the
// second, or by both.
const (
	toFirst  = "first:"
	toSecond = "second:"
	toBoth   = "both:"
)

var (
	first  = table.Subscription{Name: "first", Wants: wants(toFirst)}
	second = table.Subscription{Name: "second", Wants: wants(toSecond)}
)

func wants(prefix string) table.Wanted {
	return func(k table.Key) bool {
		return strings.HasPrefix(k.Part, prefix) || strings.HasPrefix(k.Part, toBoth)
	}
}

// key returns a key in the run's own partition of that name.
func (r *run) key(part, sort string) table.Key {
	return table.Key{Part: part + r.id, Sort: sort}
}

// commit commits what must go through.
func (r *run) commit(writes ...table.Write) table.Version {
	r.Helper()
	v, err := r.Table.Commit(r.ctx, writes...)
	if err != nil {
		r.Fatalf("Commit(%s) = %v, want success", told(writes), err)
	}
	return v
}

// conflict commits what must fail, at these keys and no others.
func (r *run) conflict(keys []table.Key, writes ...table.Write) {
	r.Helper()
	_, err := r.Table.Commit(r.ctx, writes...)
	if got, ok := conflicts(err); !ok || !sameKeys(got, keys) {
		r.Fatalf("Commit(%s) = %v, want a conflict at %v", told(writes), err, keys)
	}
}

// item reads what must exist.
func (r *run) item(k table.Key) table.Item {
	r.Helper()
	items := r.get(k)
	if len(items) != 1 {
		r.Fatalf("Get(%v) returned %d items, want 1", k, len(items))
	}
	return items[0]
}

func (r *run) get(keys ...table.Key) []table.Item {
	r.Helper()
	items, err := r.Table.Get(r.ctx, keys...)
	if err != nil {
		r.Fatalf("Get of %d keys = %v, want success", len(keys), err)
	}
	return items
}

func (r *run) query(part string, rg table.Range) []table.Item {
	r.Helper()
	var items []table.Item
	for item, err := range r.Table.Query(r.ctx, part, rg) {
		if err != nil {
			r.Fatalf("Query(%q, %+v) = %v, want success", part, rg, err)
		}
		items = append(items, item)
	}
	return items
}

// stored asserts that the item under the key is this one.
func (r *run) stored(want table.Item) {
	r.Helper()
	if got := r.item(want.Key); !same(got, want) {
		r.Errorf("Get(%v) = %s, want %s", want.Key, show(got), show(want))
	}
}

// absent asserts that nothing is stored under the keys.
func (r *run) absent(keys ...table.Key) {
	r.Helper()
	for _, k := range keys {
		if items := r.get(k); len(items) > 0 {
			r.Errorf("Get(%v) = %s, want nothing", k, show(items[0]))
		}
	}
}

// sorts asserts that a query yields items with these sort keys, in this order.
func (r *run) sorts(part string, rg table.Range, want ...string) {
	r.Helper()
	var got []string
	for _, item := range r.query(part, rg) {
		got = append(got, item.Sort)
		if item.Part != part {
			r.Errorf("Query(%q, %+v) yields an item of partition %q", part, rg, item.Part)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		r.Errorf("Query(%q, %+v) = %q, want %q", part, rg, got, want)
	}
}
