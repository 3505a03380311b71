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
	{"what does not conflict is written all the same", "Commit applies all writes or none",
		onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
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
	{"the writes before a conflict stay", "Commit applies all writes or none", onCommit(split)},
	{"a conflict names its first key alone", "a conflict names every key whose condition failed, and no other", conflicting(func(_ []table.Write, keys []table.Key) []table.Key { return keys[:1] })},
	{"a conflict names all keys", "a conflict names every key whose condition failed, and no other", conflicting(func(ws []table.Write, _ []table.Key) []table.Key {
		var all []table.Key
		for _, w := range ws {
			all = append(all, w.Key)
		}
		return all
	})},
	{"a conflict is an error without keys", "a conflict names every key whose condition failed, and no other",
		onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			v, err := t.Commit(ctx, ws...)
			if table.Conflicts(err) {
				err = errors.New("transaction cancelled")
			}
			return v, err
		})},
	{"Create overwrites", "Create writes an item that must not exist", blind(table.OpCreate)},
	{"Replace overwrites whatever is there", "Replace writes an item only as it was read, and keeps counter and expiry unless With changes them", blind(table.OpReplace)},
	{"Replace makes an item that is gone", "Replace writes an item only as it was read, and keeps counter and expiry unless With changes them",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpReplace && !stored.Exists() {
				w.Op, w.If = table.OpPut, ""
			}
			return w
		})},
	{"Replace resets the counter", "Replace writes an item only as it was read, and keeps counter and expiry unless With changes them",
		rewritten(func(w table.Write, _ table.Item) table.Write {
			if w.Op == table.OpReplace {
				w.N = 0
			}
			return w
		})},
	{"Delete removes whatever is there", "Delete removes an item only as it was read", blind(table.OpDelete)},
	{"Delete leaves an item without data", "Delete removes an item only as it was read",
		rewritten(func(w table.Write, _ table.Item) table.Write {
			if w.Op == table.OpDelete {
				w.Op = table.OpReplace
			}
			return w
		})},
	{"Check always passes", "Check writes nothing and passes only while the item is as it was read", blind(table.OpCheck)},
	{"Check writes", "Check writes nothing and passes only while the item is as it was read",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpCheck {
				w.Op, w.Data, w.N, w.Expires = table.OpReplace, stored.Data, stored.N, stored.Expires
			}
			return w
		})},
	{"Check passes when the item is gone", "Check writes nothing and passes only while the item is as it was read",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpCheck && !stored.Exists() {
				return table.Add(table.Key{Part: w.Key.Part, Sort: w.Key.Sort + "?"}, 0, 0, 0)
			}
			return w
		})},
	{"Add loses the data", "Add changes the counter and keeps data and expiry; an absent item counts as zero",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpAdd && w.Holds(stored) {
				return table.Put(w.Key, nil).Count(stored.N + w.N).Until(stored.Expires)
			}
			return w
		})},
	{"Add needs an item", "Add changes the counter and keeps data and expiry; an absent item counts as zero",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpAdd && !stored.Exists() {
				w.Min, w.Max = 1, 0
			}
			return w
		})},
	{"a counter at zero is removed", "Add changes the counter and keeps data and expiry; an absent item counts as zero",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpAdd && stored.Exists() && w.Holds(stored) && stored.N+w.N == 0 {
				return table.Delete(stored)
			}
			return w
		})},
	{"Add has no bounds", "Add ends within its bounds, both included, or conflicts",
		rewritten(func(w table.Write, _ table.Item) table.Write {
			if w.Op == table.OpAdd {
				w.Min, w.Max = -1<<63, 1<<63-1
			}
			return w
		})},
	{"Add leaves out its upper bound", "Add ends within its bounds, both included, or conflicts",
		rewritten(func(w table.Write, _ table.Item) table.Write { w.Max--; return w })},
	{"Add checks its bounds before adding", "Add ends within its bounds, both included, or conflicts",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpAdd && w.Min <= stored.N && stored.N <= w.Max {
				w.Min, w.Max = -1<<63, 1<<63-1
			}
			return w
		})},
	{"counters wrap around", "Add ends within its bounds, both included, or conflicts",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if sum := stored.N + w.N; w.Op == table.OpAdd && !w.Holds(stored) && w.Min <= sum && sum <= w.Max {
				return table.Put(w.Key, stored.Data).Count(sum)
			}
			return w
		})},
	{"Until is forgotten on Add", "Until on an Add gives an expiry to an item that has none",
		rewritten(func(w table.Write, _ table.Item) table.Write {
			if w.Op == table.OpAdd {
				w.Expires = table.Item{}.Expires
			}
			return w
		})},
	{"Until on Add prolongs", "Until on an Add gives an expiry to an item that has none",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpAdd && stored.Exists() && w.Holds(stored) && !w.Expires.IsZero() {
				return table.Replace(stored, stored.Data).Count(stored.N + w.N).Until(w.Expires)
			}
			return w
		})},
	{"Put keeps the counter", "Put writes the whole item whatever is stored",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpPut && w.N == 0 {
				w.N = stored.N
			}
			return w
		})},
	{"Put without data keeps the data", "Put writes the whole item whatever is stored",
		rewritten(func(w table.Write, stored table.Item) table.Write {
			if w.Op == table.OpPut && w.Data == nil {
				w.Data = stored.Data
			}
			return w
		})},
	{"Put conflicts with an item", "Put writes the whole item whatever is stored",
		rewritten(func(w table.Write, _ table.Item) table.Write {
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
	{"a commit has any number of writes", "Commit takes 1 to 100 writes",
		unrefused(split, func(ws []table.Write) bool { return len(ws) > table.MaxWrites })},
	{"a commit of no writes succeeds", "Commit takes 1 to 100 writes",
		unrefused(func(context.Context, table.Table, []table.Write) (table.Version, error) {
			return table.MintVersion(table.Version("").Time()), nil
		}, func(ws []table.Write) bool { return len(ws) == 0 })},
	{"a commit has at most 25 writes", "Commit takes 1 to 100 writes",
		onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			if len(ws) > 25 {
				return "", table.ErrRefused
			}
			return t.Commit(ctx, ws...)
		})},
	{"items are cut to 400 KB", "Commit takes items of up to 400 KB and 4 MB in all",
		rewritten(func(w table.Write, _ table.Item) table.Write {
			if len(w.Data) > table.MaxItem-1000 && table.CheckWrites([]table.Write{w}) != nil {
				w.Data = w.Data[:table.MaxItem-1000]
			}
			return w
		})},
	{"a commit has any size", "Commit takes items of up to 400 KB and 4 MB in all",
		unrefused(split, func(ws []table.Write) bool {
			return len(ws) < 50 && len(ws) > 1 && table.CheckWrites(ws) != nil && table.CheckWrites(ws[:1]) == nil && len(ws[0].Data) > 1000
		})},
	{"a commit has at most 1 MB", "Commit takes items of up to 400 KB and 4 MB in all",
		onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			size := 0
			for _, w := range ws {
				size += len(w.Data)
			}
			if size > 1<<20 {
				return "", table.ErrRefused
			}
			return t.Commit(ctx, ws...)
		})},
	{"malformed keys are left out", "Commit takes keys of up to 1,024 bytes and refuses malformed ones",
		without(func(w table.Write) bool { return table.CheckKeys(w.Key) != nil })},
	{"keys are cut to 255 bytes", "Commit takes keys of up to 1,024 bytes and refuses malformed ones",
		rewritten(func(w table.Write, _ table.Item) table.Write {
			if table.CheckKeys(w.Key) == nil && len(w.Key.Sort) > 255 {
				w.Key.Sort = strings.ToValidUTF8(w.Key.Sort[:255], "")
			}
			return w
		})},
	{"of two writes for one key the last counts", "Commit refuses two writes for one key",
		unrefused(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
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
	{"a Replace of nothing is a Put", "Commit refuses to replace, delete or check what was not found",
		rewritten(func(w table.Write, _ table.Item) table.Write {
			if w.Op == table.OpReplace && w.If == "" {
				w.Op = table.OpPut
			}
			return w
		})},
	{"a Check of nothing passes", "Commit refuses to replace, delete or check what was not found",
		without(func(w table.Write) bool { return w.Op == table.OpCheck && w.If == "" })},
}

var versionFaults = []Fault{
	{"each item has a version of its own", "all items of a commit carry the version that it returned",
		onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
			if slices.ContainsFunc(ws, func(w table.Write) bool { return !w.Holds(stored(ctx, t, w.Key)) }) {
				return t.Commit(ctx, ws...)
			}
			return split(ctx, t, ws)
		})},
	{"versions are longer", "a version has 20 characters and tells the millisecond of its commit",
		mapped(func(v table.Version) table.Version { return v + "0" }, func(v table.Version) table.Version { return v[:max(0, len(v)-1)] })},
	{"versions run backwards", "versions along one item strictly grow", mapped(inverted, inverted)},
	{"versions count seconds", "every commit has a version of its own", secondVersions},
	{"versions follow the content", "every commit has a version of its own",
		onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
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
	{"Create looks, then writes", "of many creators of one item one gets through", looksThenWrites(table.OpCreate)},
	{"Replace looks, then writes", "of writers that read the same version one gets through", looksThenWrites(table.OpReplace)},
	{"Add reads, then writes", "concurrent Adds all count", looksThenWrites(table.OpAdd)},
	{"a commit is made write by write", "concurrent commits of several items never mix",
		onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
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
