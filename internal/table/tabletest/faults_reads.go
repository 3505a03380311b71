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
	{Name: "Get forgets the counter", Breaks: "Get returns an item whole: data, counter, expiry and version", plant: each(func(i *table.Item) { i.N = 0 })},
	{Name: "Get forgets the expiry", Breaks: "Get returns an item whole: data, counter, expiry and version", plant: each(func(i *table.Item) { i.Expires = time.Time{} })},
	{Name: "the counter is a float", Breaks: "Get returns an item whole: data, counter, expiry and version", plant: each(func(i *table.Item) { i.N = int64(float64(i.N)) })},
	{Name: "Get returns items in the order of keys", Breaks: "Get keeps the order of the keys and leaves out what does not exist", plant: gotten(func(items []table.Item) []table.Item {
		slices.SortFunc(items, func(a, b table.Item) int { return strings.Compare(a.Key.String(), b.Key.String()) })
		return items
	})},
	{Name: "Get returns zero items for keys without one", Breaks: "Get keeps the order of the keys and leaves out what does not exist", plant: onGet(func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
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
	{Name: "Get takes any number of keys", Breaks: "Get refuses more than 100 keys, malformed keys and a key given twice", plant: onGet(func(ctx context.Context, t table.Table, keys []table.Key) (all []table.Item, err error) {
		for c := range slices.Chunk(keys, table.MaxGet) {
			items, err := t.Get(ctx, c...)
			if err != nil {
				return nil, err
			}
			all = append(all, items...)
		}
		return all, nil
	})},
	{Name: "Get takes a key twice", Breaks: "Get refuses more than 100 keys, malformed keys and a key given twice", plant: onGet(func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
		var once []table.Key
		for _, k := range keys {
			if !slices.Contains(once, k) {
				once = append(once, k)
			}
		}
		return t.Get(ctx, once...)
	})},
	{Name: "Get finds nothing under malformed keys", Breaks: "Get refuses more than 100 keys, malformed keys and a key given twice", plant: onGet(func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
		return t.Get(ctx, slices.DeleteFunc(slices.Clone(keys), func(k table.Key) bool { return table.CheckKeys(k) != nil })...)
	})},
	{Name: "Get is eventually consistent", Breaks: "a read sees every commit that was answered before it began", plant: staleGet},
	{Name: "Query is eventually consistent", Breaks: "a read sees every commit that was answered before it began", plant: staleQuery},
	{Name: "data is text", Breaks: "data is any bytes, and empty data is data of an item that exists", plant: each(func(i *table.Item) { i.Data = bytes.ToValidUTF8(i.Data, []byte("\ufffd")) })},
	{Name: "an item without data does not exist", Breaks: "data is any bytes, and empty data is data of an item that exists", plant: gotten(func(items []table.Item) []table.Item {
		return slices.DeleteFunc(items, func(i table.Item) bool { return len(i.Data) == 0 })
	})},
	{Name: "the table keeps the caller's bytes", Breaks: "a table keeps no hold on the bytes that it was handed", plant: keepBytes},
	{Name: "expired items are hidden from Get", Breaks: "an item that has expired is stored until the table removes it", plant: gotten(func(items []table.Item) []table.Item {
		return slices.DeleteFunc(items, func(i table.Item) bool { return i.Expired(time.Now()) })
	})},
	{Name: "Create overwrites an expired item", Breaks: "an item that has expired is stored until the table removes it", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpCreate && stored.Exists() && stored.Expired(time.Now()) {
			w.Op = table.OpPut
		}
		return w
	})},
	{Name: "an ended context does not end a Query", Breaks: "a context that has ended gives its error", plant: onQuery(func(_ context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
		return t.Query(context.Background(), part, r)
	})},
	{Name: "an ended context does not end a Commit", Breaks: "a context that has ended gives its error", plant: onCommit(func(_ context.Context, t table.Table, ws []table.Write) (table.Version, error) {
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
	{Name: "Query yields partitions that begin with its own", Breaks: "Query yields one partition and nothing of its neighbours", plant: onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
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
	{Name: "sort keys are ordered without case", Breaks: "Query yields in the byte order of sort keys, or against it", plant: reordered(func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })},
	{Name: "sort keys are ordered as UTF-16", Breaks: "Query yields in the byte order of sort keys, or against it", plant: reordered(utf16Order)},
	{Name: "numbers in sort keys are ordered as numbers", Breaks: "Query yields in the byte order of sort keys, or against it", plant: reordered(func(a, b string) int {
		if a == "10" && b == "9" || a == "9" && b == "10" {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})},
	{Name: "Descending is forgotten", Breaks: "Query yields in the byte order of sort keys, or against it", plant: ranged(func(r *table.Range) { r.Descending = false })},
	{Name: "Prefix is forgotten", Breaks: "Prefix selects the sort keys that begin so", plant: ranged(func(r *table.Range) { r.Prefix = "" })},
	{Name: "Prefix is a lower bound", Breaks: "Prefix selects the sort keys that begin so", plant: ranged(func(r *table.Range) {
		if !r.Descending && r.After == "" && r.Prefix != "" {
			r.After, r.Prefix = r.Prefix[:len(r.Prefix)-1]+string(r.Prefix[len(r.Prefix)-1]-1), ""
		}
	})},
	{Name: "After is yielded too", Breaks: "After leaves out all up to a sort key that need not exist, in either direction", plant: ranged(func(r *table.Range) {
		if n := len(r.After); n > 0 && !r.Descending && r.After[n-1] < 0x80 && r.After[n-1] > 1 {
			r.After = r.After[:n-1] + string(r.After[n-1]-1) + "\u007f"
		}
	})},
	{Name: "After must exist", Breaks: "After leaves out all up to a sort key that need not exist, in either direction", plant: onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
		if r.After != "" && !stored(ctx, t, table.Key{Part: part, Sort: r.After}).Exists() {
			return func(func(table.Item, error) bool) {}
		}
		return t.Query(ctx, part, r)
	})},
	{Name: "After is forgotten when descending", Breaks: "After leaves out all up to a sort key that need not exist, in either direction", plant: ranged(func(r *table.Range) {
		if r.Descending {
			r.After = ""
		}
	})},
	{Name: "After is forgotten with a Prefix", Breaks: "After leaves out all up to a sort key that need not exist, in either direction", plant: ranged(func(r *table.Range) {
		if r.Prefix != "" {
			r.After = ""
		}
	})},
	{Name: "Limit is forgotten", Breaks: "Limit ends a Query after so many items", plant: ranged(func(r *table.Range) { r.Limit = 0 })},
	{Name: "Limit counts before Prefix", Breaks: "Limit ends a Query after so many items", plant: onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
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
	{Name: "Query ends with its first page of items", Breaks: "Query reads on over pages", plant: listed(func(_ table.Range, items []table.Item) []table.Item { return items[:min(len(items), 128)] })},
	{Name: "Query ends with its first MB", Breaks: "Query reads on over pages", plant: listed(func(_ table.Range, items []table.Item) []table.Item {
		size := 0
		for i, item := range items {
			if size += item.Size(); size > 1<<20 {
				return items[:i]
			}
		}
		return items
	})},
	{Name: "a Query that is being read refuses commits", Breaks: "Query ends when its reader does, and its reader may commit", plant: lockingQuery},
	{Name: "Query goes on when its reader has ended", Breaks: "Query ends when its reader does, and its reader may commit", plant: onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
		return func(yield func(table.Item, error) bool) {
			for item, err := range t.Query(ctx, part, r) {
				yield(item, err) // the runtime panics if this goes on
			}
		}
	})},
	{Name: "a malformed partition is empty", Breaks: "Query refuses a malformed partition", plant: onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
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
