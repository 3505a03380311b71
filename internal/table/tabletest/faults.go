package tabletest

import (
	"context"
	"iter"
	"slices"

	"gatehouse/internal/table"
)

// Fault is a way in which a table can break one sentence of the contract.
type Fault struct {
	Name   string
	Breaks string // the Text of the sentence
	plant  func(Subject) Subject
	subs   func([]table.Subscription) []table.Subscription // what the table is opened with instead; may be nil
}

// Faulty returns the factory of tables that are as those of f, but for the
// fault.
func Faulty(f Factory, fault Fault) Factory {
	return func(t TB, subs ...table.Subscription) Subject {
		if fault.subs != nil {
			subs = fault.subs(subs)
		}
		return fault.plant(f(t, subs...))
	}
}

// Faults holds at least one fault for each of the Sentences.
var Faults = concatFaults(readFaults, queryFaults, conditionFaults, limitFaults, versionFaults, raceFaults, feedFaults, []Fault{
	{Name: "the second Put of a commit loses its data", Breaks: "any sequence of operations does what a simple model does", plant: onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		kept, puts := slices.Clone(ws), 0
		for i := range kept {
			if kept[i].Op == table.OpPut {
				if puts++; puts == 2 {
					kept[i].Data = nil
				}
			}
		}
		return t.Commit(ctx, kept...)
	})},
})

func concatFaults(lists ...[]Fault) (all []Fault) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// hooked is a table with other methods in front.
type hooked struct {
	table.Table
	get    func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error)
	query  func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error]
	commit func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error)
}

func (h *hooked) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if h.get == nil {
		return h.Table.Get(ctx, keys...)
	}
	return h.get(ctx, h.Table, keys)
}

func (h *hooked) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if h.query == nil {
		return h.Table.Query(ctx, part, r)
	}
	return h.query(ctx, h.Table, part, r)
}

func (h *hooked) Commit(ctx context.Context, ws ...table.Write) (table.Version, error) {
	if h.commit == nil {
		return h.Table.Commit(ctx, ws...)
	}
	return h.commit(ctx, h.Table, ws)
}

func onGet(f func(context.Context, table.Table, []table.Key) ([]table.Item, error)) func(Subject) Subject {
	return func(s Subject) Subject { s.Table = &hooked{Table: s.Table, get: f}; return s }
}

func onQuery(f func(context.Context, table.Table, string, table.Range) iter.Seq2[table.Item, error]) func(Subject) Subject {
	return func(s Subject) Subject { s.Table = &hooked{Table: s.Table, query: f}; return s }
}

func onCommit(f func(context.Context, table.Table, []table.Write) (table.Version, error)) func(Subject) Subject {
	return func(s Subject) Subject { s.Table = &hooked{Table: s.Table, commit: f}; return s }
}

// gotten changes the items that Get returns.
func gotten(f func([]table.Item) []table.Item) func(Subject) Subject {
	return onGet(func(ctx context.Context, t table.Table, keys []table.Key) ([]table.Item, error) {
		items, err := t.Get(ctx, keys...)
		return f(items), err
	})
}

// each changes each item that Get returns.
func each(f func(*table.Item)) func(Subject) Subject {
	return gotten(func(items []table.Item) []table.Item {
		for i := range items {
			f(&items[i])
		}
		return items
	})
}

// ranged changes the range of a Query.
func ranged(f func(*table.Range)) func(Subject) Subject {
	return onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
		f(&r)
		return t.Query(ctx, part, r)
	})
}

// listed changes the items that a Query yields, read as a whole.
func listed(f func(r table.Range, items []table.Item) []table.Item) func(Subject) Subject {
	return onQuery(func(ctx context.Context, t table.Table, part string, r table.Range) iter.Seq2[table.Item, error] {
		return func(yield func(table.Item, error) bool) {
			var items []table.Item
			for item, err := range t.Query(ctx, part, r) {
				if err != nil {
					yield(item, err)
					return
				}
				items = append(items, item)
			}
			for _, item := range f(r, items) {
				if !yield(item, nil) {
					return
				}
			}
		}
	})
}

// rewritten changes each write of a commit, with the item that is stored.
func rewritten(f func(w table.Write, stored table.Item) table.Write) func(Subject) Subject {
	return onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		out := make([]table.Write, len(ws))
		for i, w := range ws {
			out[i] = f(w, stored(ctx, t, w.Key))
		}
		return t.Commit(ctx, out...)
	})
}

// blind drops the condition of one kind of write.
func blind(op table.Op) func(Subject) Subject {
	return rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op != op {
			return w
		}
		switch {
		case op == table.OpCreate, op == table.OpReplace:
			w.Op, w.If = table.OpPut, ""
		case stored.Exists():
			w.If = stored.Version
		default: // nothing is there: let it pass
			w = table.Put(table.Key{Part: w.Key.Part, Sort: w.Key.Sort + "?"}, nil)
		}
		return w
	})
}

// unrefused does something else instead of a commit that should be refused.
func unrefused(f func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error), when func([]table.Write) bool) func(Subject) Subject {
	return onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		if when(ws) {
			return f(ctx, t, ws)
		}
		return t.Commit(ctx, ws...)
	})
}

func stored(ctx context.Context, t table.Table, k table.Key) table.Item {
	if items, err := t.Get(ctx, k); err == nil && len(items) == 1 {
		return items[0]
	}
	return table.Item{}
}

// split commits the writes one by one.
func split(ctx context.Context, t table.Table, ws []table.Write) (v table.Version, err error) {
	for _, w := range ws {
		if v, err = t.Commit(ctx, w); err != nil {
			return "", err
		}
	}
	return v, nil
}
