package tabletest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"

	"gatehouse/internal/table"
)

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var conditionFaults = []Fault{
	{Name: "what does not conflict is written all the same", Breaks: "Commit applies all writes or none", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		v, err := t.Commit(ctx, ws...)
		if failed, ok := conflicts(err); ok {
			for _, w := range ws {
				if !slices.Contains(failed, w.Key) {
					_, _ = t.Commit(ctx, w)
				}
			}
		}
		return v, err
	})},
	{Name: "the writes before a conflict stay", Breaks: "Commit applies all writes or none", plant: onCommit(split)},
	{Name: "a conflict names its first key alone", Breaks: "a conflict names every key whose condition failed, and no other", plant: conflicting(func(_ []table.Write, keys []table.Key) []table.Key { return keys[:1] })},
	{Name: "a conflict names all keys", Breaks: "a conflict names every key whose condition failed, and no other", plant: conflicting(func(ws []table.Write, _ []table.Key) []table.Key {
		var all []table.Key
		for _, w := range ws {
			all = append(all, w.Key)
		}
		return all
	})},
	{Name: "a conflict is an error without keys", Breaks: "a conflict names every key whose condition failed, and no other", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		v, err := t.Commit(ctx, ws...)
		if table.Conflicts(err) {
			err = errors.New("transaction cancelled")
		}
		return v, err
	})},
	{Name: "Create overwrites", Breaks: "Create writes an item that must not exist", plant: blind(table.OpCreate)},
	{Name: "Replace overwrites whatever is there", Breaks: "Replace writes an item only as it was read, and keeps counter and expiry unless With changes them", plant: blind(table.OpReplace)},
	{Name: "Replace makes an item that is gone", Breaks: "Replace writes an item only as it was read, and keeps counter and expiry unless With changes them", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpReplace && !stored.Exists() {
			w.Op, w.If = table.OpPut, ""
		}
		return w
	})},
	{Name: "Replace resets the counter", Breaks: "Replace writes an item only as it was read, and keeps counter and expiry unless With changes them", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if w.Op == table.OpReplace {
			w.N = 0
		}
		return w
	})},
	{Name: "Delete removes whatever is there", Breaks: "Delete removes an item only as it was read", plant: blind(table.OpDelete)},
	{Name: "Delete leaves an item without data", Breaks: "Delete removes an item only as it was read", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if w.Op == table.OpDelete {
			w.Op = table.OpReplace
		}
		return w
	})},
	{Name: "Check always passes", Breaks: "Check writes nothing and passes only while the item is as it was read", plant: blind(table.OpCheck)},
	{Name: "Check writes", Breaks: "Check writes nothing and passes only while the item is as it was read", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpCheck {
			w.Op, w.Data, w.N, w.Expires = table.OpReplace, stored.Data, stored.N, stored.Expires
		}
		return w
	})},
	{Name: "Check passes when the item is gone", Breaks: "Check writes nothing and passes only while the item is as it was read", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpCheck && !stored.Exists() {
			return table.Add(table.Key{Part: w.Key.Part, Sort: w.Key.Sort + "?"}, 0, 0, 0)
		}
		return w
	})},
	{Name: "Add loses the data", Breaks: "Add changes the counter and keeps data and expiry; an absent item counts as zero", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpAdd && w.Holds(stored) {
			return table.Put(w.Key, nil).Count(stored.N + w.N).Until(stored.Expires)
		}
		return w
	})},
	{Name: "Add needs an item", Breaks: "Add changes the counter and keeps data and expiry; an absent item counts as zero", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpAdd && !stored.Exists() {
			w.Min, w.Max = 1, 0
		}
		return w
	})},
	{Name: "a counter at zero is removed", Breaks: "Add changes the counter and keeps data and expiry; an absent item counts as zero", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpAdd && stored.Exists() && w.Holds(stored) && stored.N+w.N == 0 {
			return table.Delete(stored)
		}
		return w
	})},
	{Name: "Add has no bounds", Breaks: "Add ends within its bounds, both included, or conflicts", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if w.Op == table.OpAdd {
			w.Min, w.Max = -1<<63, 1<<63-1
		}
		return w
	})},
	{Name: "Add leaves out its upper bound", Breaks: "Add ends within its bounds, both included, or conflicts", plant: rewritten(func(w table.Write, _ table.Item) table.Write { w.Max--; return w })},
	{Name: "Add checks its bounds before adding", Breaks: "Add ends within its bounds, both included, or conflicts", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpAdd && w.Min <= stored.N && stored.N <= w.Max {
			w.Min, w.Max = -1<<63, 1<<63-1
		}
		return w
	})},
	{Name: "counters wrap around", Breaks: "Add ends within its bounds, both included, or conflicts", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if sum := stored.N + w.N; w.Op == table.OpAdd && !w.Holds(stored) && w.Min <= sum && sum <= w.Max {
			return table.Put(w.Key, stored.Data).Count(sum)
		}
		return w
	})},
	{Name: "Until is forgotten on Add", Breaks: "Until on an Add gives an expiry to an item that has none", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if w.Op == table.OpAdd {
			w.Expires = table.Item{}.Expires
		}
		return w
	})},
	{Name: "Until on Add prolongs", Breaks: "Until on an Add gives an expiry to an item that has none", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpAdd && stored.Exists() && w.Holds(stored) && !w.Expires.IsZero() {
			return table.Replace(stored, stored.Data).Count(stored.N + w.N).Until(w.Expires)
		}
		return w
	})},
	{Name: "Put keeps the counter", Breaks: "Put writes the whole item whatever is stored", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpPut && w.N == 0 {
			w.N = stored.N
		}
		return w
	})},
	{Name: "Put without data keeps the data", Breaks: "Put writes the whole item whatever is stored", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpPut && w.Data == nil {
			w.Data = stored.Data
		}
		return w
	})},
	{Name: "Put conflicts with an item", Breaks: "Put writes the whole item whatever is stored", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if w.Op == table.OpPut {
			w.Op = table.OpCreate
		}
		return w
	})},
}

// conflicting changes the keys of conflicts.
func conflicting(f func([]table.Write, []table.Key) []table.Key) func(Subject) Subject {
	return onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		v, err := t.Commit(ctx, ws...)
		if keys, ok := conflicts(err); ok {
			err = &table.ConflictError{Keys: f(ws, keys)}
		}
		return v, err
	})
}

func anyWrite(is func(table.Write) bool) func([]table.Write) bool {
	return func(ws []table.Write) bool { return slices.ContainsFunc(ws, is) }
}

// without commits what is left when the writes that f names are left out.
func without(f func(table.Write) bool) func(Subject) Subject {
	return unrefused(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		left := slices.DeleteFunc(slices.Clone(ws), f)
		if len(left) == 0 {
			return table.MintVersion(table.Version("").Time()), nil
		}
		return t.Commit(ctx, left...)
	}, anyWrite(f))
}

var limitFaults = []Fault{
	{Name: "a commit has any number of writes", Breaks: "Commit takes 1 to 100 writes", plant: unrefused(split, func(ws []table.Write) bool { return len(ws) > table.MaxWrites })},
	{Name: "a commit of no writes succeeds", Breaks: "Commit takes 1 to 100 writes", plant: unrefused(func(context.Context, table.Table, []table.Write) (table.Version, error) {
		return table.MintVersion(table.Version("").Time()), nil
	}, func(ws []table.Write) bool { return len(ws) == 0 })},
	{Name: "a commit has at most 25 writes", Breaks: "Commit takes 1 to 100 writes", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		if len(ws) > 25 {
			return "", table.ErrRefused
		}
		return t.Commit(ctx, ws...)
	})},
	{Name: "items are cut to 400 KB", Breaks: "Commit takes items of up to 400 KB and 4 MB in all", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if len(w.Data) > table.MaxItem-1000 && table.CheckWrites([]table.Write{w}) != nil {
			w.Data = w.Data[:table.MaxItem-1000]
		}
		return w
	})},
	{Name: "a commit has any size", Breaks: "Commit takes items of up to 400 KB and 4 MB in all", plant: unrefused(split, func(ws []table.Write) bool {
		return len(ws) < 50 && len(ws) > 1 && table.CheckWrites(ws) != nil && table.CheckWrites(ws[:1]) == nil && len(ws[0].Data) > 1000
	})},
	{Name: "a commit has at most 1 MB", Breaks: "Commit takes items of up to 400 KB and 4 MB in all", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		size := 0
		for _, w := range ws {
			size += len(w.Data)
		}
		if size > 1<<20 {
			return "", table.ErrRefused
		}
		return t.Commit(ctx, ws...)
	})},
	{Name: "malformed keys are left out", Breaks: "Commit takes keys of up to 1,024 bytes and refuses malformed ones", plant: without(func(w table.Write) bool { return table.CheckKeys(w.Key) != nil })},
	{Name: "keys are cut to 255 bytes", Breaks: "Commit takes keys of up to 1,024 bytes and refuses malformed ones", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if table.CheckKeys(w.Key) == nil && len(w.Key.Sort) > 255 {
			w.Key.Sort = strings.ToValidUTF8(w.Key.Sort[:255], "")
		}
		return w
	})},
	{Name: "of two writes for one key the last counts", Breaks: "Commit refuses two writes for one key", plant: unrefused(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		last := map[table.Key]table.Write{}
		for _, w := range ws {
			last[w.Key] = w
		}
		var out []table.Write
		for _, w := range last {
			out = append(out, w)
		}
		return t.Commit(ctx, out...)
	}, func(ws []table.Write) bool {
		seen := map[table.Key]bool{}
		for _, w := range ws {
			if seen[w.Key] {
				return true
			}
			seen[w.Key] = true
		}
		return false
	})},
	{Name: "a Replace of nothing is a Put", Breaks: "Commit refuses to replace, delete or check what was not found", plant: rewritten(func(w table.Write, _ table.Item) table.Write {
		if w.Op == table.OpReplace && w.If == "" {
			w.Op = table.OpPut
		}
		return w
	})},
	{Name: "a Check of nothing passes", Breaks: "Commit refuses to replace, delete or check what was not found", plant: without(func(w table.Write) bool { return w.Op == table.OpCheck && w.If == "" })},
}

var versionFaults = []Fault{
	{Name: "each item has a version of its own", Breaks: "all items of a commit carry the version that it returned", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		if slices.ContainsFunc(ws, func(w table.Write) bool { return !w.Holds(stored(ctx, t, w.Key)) }) {
			return t.Commit(ctx, ws...)
		}
		return split(ctx, t, ws)
	})},
	{Name: "versions are longer", Breaks: "a version has 20 characters and tells the millisecond of its commit", plant: mapped(func(v table.Version) table.Version { return v + "0" }, func(v table.Version) table.Version { return v[:max(0, len(v)-1)] })},
	{Name: "versions run backwards", Breaks: "versions along one item strictly grow", plant: mapped(inverted, inverted)},
	{Name: "versions count seconds", Breaks: "every commit has a version of its own", plant: secondVersions},
	{Name: "versions follow the content", Breaks: "every commit has a version of its own", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		if len(ws) == 1 && ws[0].Op == table.OpPut {
			if old := stored(ctx, t, ws[0].Key); old.Exists() && string(old.Data) == string(ws[0].Data) && old.N == ws[0].N {
				return old.Version, nil
			}
		}
		return t.Commit(ctx, ws...)
	})},
}

// mapped shows other versions than the table's own.
func mapped(out, in func(table.Version) table.Version) func(Subject) Subject {
	return func(s Subject) Subject {
		s.Table = &hooked{Table: s.Table,
			get: func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
				items, err := t.Get(ctx, keys...)
				for i := range items {
					items[i].Version = out(items[i].Version)
				}
				return items, err
			},
			commit: func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
				ws = slices.Clone(ws)
				for i := range ws {
					if ws[i].If != "" {
						ws[i].If = in(ws[i].If)
					}
				}
				v, err := t.Commit(ctx, ws...)
				if err == nil {
					v = out(v)
				}
				return v, err
			},
		}
		return s
	}
}

// inverted turns the order of versions around.
func inverted(v table.Version) table.Version {
	return table.Version(strings.Map(func(r rune) rune {
		if i := strings.IndexRune(alphabet, r); i >= 0 {
			return rune(alphabet[len(alphabet)-1-i])
		}
		return r
	}, string(v)))
}

// secondVersions returns versions without what tells the commits of a second
// apart, and finds the right one again.
func secondVersions(s Subject) Subject {
	var mu sync.Mutex
	whole := map[table.Version]table.Version{}
	short := func(v table.Version) table.Version {
		mu.Lock()
		defer mu.Unlock()
		cut := v[:8] + "000000000000"
		whole[cut] = v
		return cut
	}
	return mapped(short, func(v table.Version) table.Version {
		mu.Lock()
		defer mu.Unlock()
		return whole[v]
	})(s)
}

var raceFaults = []Fault{
	{Name: "Create looks, then writes", Breaks: "of many creators of one item one gets through", plant: looksThenWrites(table.OpCreate)},
	{Name: "Replace looks, then writes", Breaks: "of writers that read the same version one gets through", plant: looksThenWrites(table.OpReplace)},
	{Name: "Add reads, then writes", Breaks: "concurrent Adds all count", plant: looksThenWrites(table.OpAdd)},
	{Name: "a commit is made write by write", Breaks: "concurrent commits of several items never mix", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		for _, w := range ws {
			if !w.Holds(stored(ctx, t, w.Key)) {
				return t.Commit(ctx, ws...)
			}
		}
		var v table.Version
		var err error
		for _, w := range ws {
			for range 20 { // let the others in, as a network would
				runtime.Gosched()
			}
			if v, err = t.Commit(ctx, w); err != nil {
				break
			}
		}
		return v, err
	})},
}

// looksThenWrites checks the condition of one kind of write before the commit
// instead of in it.
func looksThenWrites(op table.Op) func(Subject) Subject {
	return onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		out := make([]table.Write, len(ws))
		for i, w := range ws {
			if w.Op == op {
				if old := stored(ctx, t, w.Key); w.Holds(old) {
					next := w.Over(old, "v")
					for range 20 {
						runtime.Gosched()
					}
					w = table.Put(w.Key, next.Data).Count(next.N).Until(next.Expires)
				}
			}
			out[i] = w
		}
		return t.Commit(ctx, out...)
	})
}
