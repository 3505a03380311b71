package tabletest

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/table"
)

var readFaults = []Fault{
	{"Get forgets the counter", "Get returns an item whole: data, counter, expiry and version", each(func(i *table.Item) { i.N = 0 })},
	{"Get forgets the expiry", "Get returns an item whole: data, counter, expiry and version", each(func(i *table.Item) { i.Expires = time.Time{} })},
	{"the counter is a float", "Get returns an item whole: data, counter, expiry and version", each(func(i *table.Item) { i.N = int64(float64(i.N)) })},
	{"Get returns items in the order of keys", "Get keeps the order of the keys and leaves out what does not exist",
		gotten(func(items []table.Item) []table.Item {
			slices.SortFunc(items, func(a, b table.Item) int { return strings.Compare(a.Key.String(), b.Key.String()) })
			return items
		})},
	{"Get returns zero items for keys without one", "Get keeps the order of the keys and leaves out what does not exist",
		onGet(func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
			var out []table.Item
			for _, k := range keys {
				items, err := t.Get(ctx, k)
				if err != nil {
					return nil, err
				}
				out = append(out, append(items, table.Item{Key: k})[0])
			}
			return out, nil
		})},
	{"Get takes any number of keys", "Get refuses more than 100 keys, malformed keys and a key given twice",
		onGet(func(ctx context.Context, t table.Table, keys []table.Key) (all []table.Item, err error) {
			for c := range slices.Chunk(keys, table.MaxGet) {
				items, err := t.Get(ctx, c...)
				if err != nil {
					return nil, err
				}
				all = append(all, items...)
			}
			return all, nil
		})},
	{"Get takes a key twice", "Get refuses more than 100 keys, malformed keys and a key given twice",
		onGet(func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
			var once []table.Key
			for _, k := range keys {
				if !slices.Contains(once, k) {
					once = append(once, k)
				}
			}
			return t.Get(ctx, once...)
		})},
	{"Get finds nothing under malformed keys", "Get refuses more than 100 keys, malformed keys and a key given twice",
		onGet(func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
			return t.Get(ctx, slices.DeleteFunc(slices.Clone(keys), func(k table.Key) bool { return table.CheckKeys(k) != nil })...)
		})},
	{"Get is eventually consistent", "a read sees every commit that was answered before it began", staleGet},
	{"Query is eventually consistent", "a read sees every commit that was answered before it began", staleQuery},
	{"data is text", "data is any bytes, and empty data is data of an item that exists",
		each(func(i *table.Item) { i.Data = bytes.ToValidUTF8(i.Data, []byte("\ufffd")) })},
	{"an item without data does not exist", "data is any bytes, and empty data is data of an item that exists",
		gotten(func(items []table.Item) []table.Item {
			return slices.DeleteFunc(items, func(i table.Item) bool { return len(i.Data) == 0 })
		})},
	{"the table keeps the caller's bytes", "a table keeps no hold on the bytes that it was handed", keepBytes},
	{"expired items are hidden from Get", "an item that has expired is stored until the table removes it",
		gotten(func(items []table.Item) []table.Item {
			return slices.DeleteFunc(items, func(i table.Item) bool { return i.Expired(time.Now()) })
		})},
	{"Create overwrites an expired item", "an item that has expired is stored until the table removes it",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpCreate && stored.Exists() && stored.Expired(time.Now()) {
				w.Op = table.OpPut
			}
			return w
		})},
	{"an ended context does not end a Query", "a context that has ended gives its error",
		onQuery(func(_ context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			return t.Query(context.Background(), part, r)
		})},
	{"an ended context does not end a Commit", "a context that has ended gives its error",
		onCommit(func(_ context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			return t.Commit(context.Background(), ws...)
		})},
}

// staleGet answers the first Get after a commit from before it.
func staleGet(s Subject) Subject {
	var mu sync.Mutex
	old := map[table.Key]table.Item{}
	s.Table = &hooked{Table: s.Table,
		commit: func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			before := map[table.Key]table.Item{}
			for _, w := range ws {
				before[w.Key] = stored(ctx, t, w.Key)
			}
			v, err := t.Commit(ctx, ws...)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				old = before
			}
			return v, err
		},
		get: func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
			items, err := t.Get(ctx, keys...)
			mu.Lock()
			defer mu.Unlock()
			for i := range items {
				if before, ok := old[items[i].Key]; ok && before.Exists() {
					items[i] = before
					delete(old, before.Key)
				}
			}
			return items, err
		},
	}
	return s
}

// staleQuery does not yield what the newest commit made.
func staleQuery(s Subject) Subject {
	var newest atomic.Value
	newest.Store(table.Version(""))
	s.Table = &hooked{Table: s.Table,
		commit: func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			v, err := t.Commit(ctx, ws...)
			if err == nil {
				newest.Store(v)
			}
			return v, err
		},
		query: func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			return func(yield func(table.Item, error) bool) {
				for item, err := range t.Query(ctx, part, r) {
					if err == nil && item.Version == newest.Load() {
						continue
					}
					if !yield(item, err) {
						return
					}
				}
			}
		},
	}
	return s
}

// keepBytes answers with the bytes that the writer handed in.
func keepBytes(s Subject) Subject {
	var mu sync.Mutex
	kept := map[table.Version]map[table.Key][]byte{}
	s.Table = &hooked{Table: s.Table,
		commit: func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			v, err := t.Commit(ctx, ws...)
			mu.Lock()
			defer mu.Unlock()
			kept[v] = map[table.Key][]byte{}
			for _, w := range ws {
				kept[v][w.Key] = w.Data
			}
			return v, err
		},
		get: func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
			items, err := t.Get(ctx, keys...)
			mu.Lock()
			defer mu.Unlock()
			for i, item := range items {
				if data := kept[item.Version][item.Key]; data != nil {
					items[i].Data = data
				}
			}
			return items, err
		},
	}
	return s
}

var queryFaults = []Fault{
	{"Query yields partitions that begin with its own", "Query yields one partition and nothing of its neighbours",
		onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			return func(yield func(table.Item, error) bool) {
				for _, p := range []string{part, part + "x", part + "!"} {
					for item, err := range t.Query(ctx, p, r) {
						if !yield(item, err) {
							return
						}
					}
				}
			}
		})},
	{"sort keys are ordered without case", "Query yields in the byte order of sort keys, or against it",
		reordered(func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })},
	{"sort keys are ordered as UTF-16", "Query yields in the byte order of sort keys, or against it", reordered(utf16Order)},
	{"numbers in sort keys are ordered as numbers", "Query yields in the byte order of sort keys, or against it",
		reordered(func(a, b string) int {
			if a == "10" && b == "9" || a == "9" && b == "10" {
				return len(a) - len(b)
			}
			return strings.Compare(a, b)
		})},
	{"Descending is forgotten", "Query yields in the byte order of sort keys, or against it", ranged(func(r *table.Range) { r.Descending = false })},
	{"Prefix is forgotten", "Prefix selects the sort keys that begin so", ranged(func(r *table.Range) { r.Prefix = "" })},
	{"Prefix is a lower bound", "Prefix selects the sort keys that begin so", ranged(func(r *table.Range) {
		if !r.Descending && r.After == "" && r.Prefix != "" {
			r.After, r.Prefix = r.Prefix[:len(r.Prefix)-1]+string(r.Prefix[len(r.Prefix)-1]-1), ""
		}
	})},
	{"After is yielded too", "After leaves out all up to a sort key that need not exist, in either direction", ranged(func(r *table.Range) {
		if n := len(r.After); n > 0 && !r.Descending && r.After[n-1] < 0x80 && r.After[n-1] > 1 {
			r.After = r.After[:n-1] + string(r.After[n-1]-1) + "\u007f"
		}
	})},
	{"After must exist", "After leaves out all up to a sort key that need not exist, in either direction",
		onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			if r.After != "" && !stored(ctx, t, table.Key{Part: part, Sort: r.After}).Exists() {
				return func(func(table.Item, error) bool) {}
			}
			return t.Query(ctx, part, r)
		})},
	{"After is forgotten when descending", "After leaves out all up to a sort key that need not exist, in either direction", ranged(func(r *table.Range) {
		if r.Descending {
			r.After = ""
		}
	})},
	{"After is forgotten with a Prefix", "After leaves out all up to a sort key that need not exist, in either direction", ranged(func(r *table.Range) {
		if r.Prefix != "" {
			r.After = ""
		}
	})},
	{"Limit is forgotten", "Limit ends a Query after so many items", ranged(func(r *table.Range) { r.Limit = 0 })},
	{"Limit counts before Prefix", "Limit ends a Query after so many items",
		onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			return func(yield func(table.Item, error) bool) {
				whole := r
				whole.Prefix = ""
				for item, err := range t.Query(ctx, part, whole) {
					if err == nil && !strings.HasPrefix(item.Sort, r.Prefix) {
						continue
					}
					if !yield(item, err) {
						return
					}
				}
			}
		})},
	{"Query ends with its first page of items", "Query reads on over pages",
		listed(func(_ table.Range, items []table.Item) []table.Item { return items[:min(len(items), 128)] })},
	{"Query ends with its first MB", "Query reads on over pages",
		listed(func(_ table.Range, items []table.Item) []table.Item {
			size := 0
			for i, item := range items {
				if size += item.Size(); size > 1<<20 {
					return items[:i]
				}
			}
			return items
		})},
	{"a Query that is being read refuses commits", "Query ends when its reader does, and its reader may commit", lockingQuery},
	{"Query goes on when its reader has ended", "Query ends when its reader does, and its reader may commit",
		onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			return func(yield func(table.Item, error) bool) {
				for item, err := range t.Query(ctx, part, r) {
					yield(item, err) // the runtime panics if this goes on
				}
			}
		})},
	{"a malformed partition is empty", "Query refuses a malformed partition",
		onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			if table.CheckPart(part) != nil {
				return func(func(table.Item, error) bool) {}
			}
			return t.Query(ctx, part, r)
		})},
}

func reordered(compare func(a, b string) int) func(Subject) Subject {
	return listed(func(r table.Range, items []table.Item) []table.Item {
		slices.SortStableFunc(items, func(a, b table.Item) int {
			if r.Descending {
				a, b = b, a
			}
			return compare(a.Sort, b.Sort)
		})
		return items
	})
}

func utf16Order(a, b string) int {
	// Characters beyond the basic plane sort below U+E000 and what follows.
	place := func(r rune) rune {
		if r > 0xffff {
			return 0xd800
		}
		return r
	}
	return slices.CompareFunc([]rune(a), []rune(b), func(x, y rune) int { return int(place(x)) - int(place(y)) })
}

func lockingQuery(s Subject) Subject {
	var reading atomic.Int64
	s.Table = &hooked{Table: s.Table,
		query: func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
			return func(yield func(table.Item, error) bool) {
				reading.Add(1)
				defer reading.Add(-1)
				for item, err := range t.Query(ctx, part, r) {
					if !yield(item, err) {
						return
					}
				}
			}
		},
		commit: func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			if reading.Load() > 0 {
				return "", context.DeadlineExceeded
			}
			return t.Commit(ctx, ws...)
		},
	}
	return s
}
