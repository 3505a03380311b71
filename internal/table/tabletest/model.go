package tabletest

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

var models = []Sentence{
	{"any sequence of operations does what a simple model does", likeModel},
}

// model is the contract written down as plainly as possible.
type model map[table.Key]table.Item

// commit applies the writes or returns the keys that conflict.
func (m model) commit(writes []table.Write, v table.Version) (failed []table.Key) {
	next := map[table.Key]table.Item{}
	for _, w := range writes {
		old, exists := m[w.Key]
		ok := true
		item := table.Item{Key: w.Key, Version: v, Data: w.Data, N: w.N, Expires: w.Expires}
		switch w.Op {
		case table.OpCreate:
			ok = !exists
		case table.OpReplace:
			ok = exists && old.Version == w.If
		case table.OpDelete:
			ok = exists && old.Version == w.If
			item = table.Item{}
		case table.OpCheck:
			ok = exists && old.Version == w.If
			item = old
		case table.OpAdd:
			item.Data, item.N, item.Expires = old.Data, old.N+w.N, old.Expires
			ok = item.N >= w.Min && item.N <= w.Max
		}
		if !ok {
			failed = append(failed, w.Key)
		}
		next[w.Key] = item
	}
	if failed != nil {
		return failed
	}
	for k, item := range next {
		if item.Exists() {
			m[k] = item
		} else {
			delete(m, k)
		}
	}
	return nil
}

func (m model) query(part string, r table.Range) (out []table.Item) {
	for k, item := range m {
		beyond := r.After == "" || k.Sort > r.After
		if r.Descending {
			beyond = r.After == "" || k.Sort < r.After
		}
		if k.Part == part && strings.HasPrefix(k.Sort, r.Prefix) && beyond {
			out = append(out, item)
		}
	}
	slices.SortFunc(out, func(a, b table.Item) int {
		if r.Descending {
			a, b = b, a
		}
		return strings.Compare(a.Sort, b.Sort)
	})
	if r.Limit > 0 && len(out) > r.Limit {
		out = out[:r.Limit]
	}
	return out
}

// likeModel runs random commits over few keys, most of them with items as they
// are stored and some with items of long ago, and reads everything after each.
func likeModel(r *run) {
	sorts := []string{"a", "aa", "ab", "b", "ä", "\x01", "zz"}
	rapid.Check(r.TB, func(t *rapid.T) {
		id := identity.Random(8)
		own := &run{TB: t, Subject: r.Subject, ctx: r.ctx, id: id}
		parts := []string{own.key("p", "x").Part, own.key("p", "x").Part + "a"}
		key := rapid.Custom(func(t *rapid.T) table.Key {
			return table.Key{Part: rapid.SampledFrom(parts).Draw(t, "part"), Sort: rapid.SampledFrom(sorts).Draw(t, "sort")}
		})
		m := model{}
		var history []table.Item
		for range rapid.IntRange(1, 12).Draw(t, "commits") {
			var writes []table.Write
			for _, k := range rapid.SliceOfNDistinct(key, 1, 4, rapid.ID).Draw(t, "keys") {
				writes = append(writes, randomWrite(t, k, m, history))
			}
			v, err := r.Table.Commit(r.ctx, writes...)
			got, isConflict := conflicts(err)
			if err != nil && !isConflict {
				t.Fatalf("Commit(%s) = %v, want success or a conflict", told(writes), err)
			}
			if want := m.commit(writes, v); !sameKeys(got, want) {
				t.Fatalf("Commit(%s) conflicts at %v, want %v", told(writes), got, want)
			}
			for _, item := range m {
				history = append(history, item)
			}
			own.likewise(m, parts, sorts)
			rg := table.Range{
				Prefix:     rapid.SampledFrom([]string{"", "", "a", "ä", "c"}).Draw(t, "prefix"),
				After:      rapid.SampledFrom(append([]string{"", "", "c"}, sorts...)).Draw(t, "after"),
				Descending: rapid.Bool().Draw(t, "descending"),
				Limit:      rapid.IntRange(0, 4).Draw(t, "limit"),
			}
			for _, part := range parts {
				own.equal(fmt.Sprintf("Query(%q, %+v)", part, rg), own.query(part, rg), m.query(part, rg))
			}
		}
	})
}

func randomWrite(t *rapid.T, k table.Key, m model, history []table.Item) table.Write {
	old := m[k]
	if rapid.IntRange(0, 3).Draw(t, "age") == 0 {
		for _, item := range history { // the oldest that is known: stale, or by chance not
			if item.Key == k {
				old = item
				break
			}
		}
	}
	data := []byte(rapid.SampledFrom([]string{"", "x", "\x00\xff", "longer data"}).Draw(t, "data"))
	n := int64(rapid.IntRange(-2, 3).Draw(t, "n"))
	ops := []table.Write{table.Create(k, data).Count(n), table.Put(k, data).Count(n), table.Add(k, n, -3, 3)}
	if old.Exists() {
		ops = append(ops, table.Replace(old, data), table.Replace(old, data).Count(n), table.Delete(old), table.Check(old))
	}
	return rapid.SampledFrom(ops).Draw(t, "write")
}

// likewise compares everything stored with the model.
func (r *run) likewise(m model, parts, sorts []string) {
	var keys []table.Key
	var want []table.Item
	for _, p := range parts {
		for _, s := range sorts {
			k := table.Key{Part: p, Sort: s}
			keys = append(keys, k)
			if item, ok := m[k]; ok {
				want = append(want, item)
			}
		}
	}
	r.equal("Get of all keys", r.get(keys...), want)
}

func (r *run) equal(what string, got, want []table.Item) {
	if len(got) != len(want) {
		r.Fatalf("%s returned %d items, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !same(got[i], want[i]) {
			r.Fatalf("%s returned %s in place %d, want %s", what, show(got[i]), i, show(want[i]))
		}
	}
}
