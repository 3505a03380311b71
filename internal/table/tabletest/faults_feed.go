package tabletest

import (
	"context"
	"slices"

	"gatehouse/internal/table"
)

var feedFaults = []Fault{
	{Name: "the feed brings keys without images", Breaks: "the feed brings every wanted change with its new image", plant: fed(func(es []table.Entry) []table.Entry {
		for i := range es {
			es[i].Change.New.Data = nil
		}
		return es
	})},
	{Name: "the feed brings the image of now", Breaks: "the feed brings every wanted change with its new image", plant: imageOfNow},
	{Name: "the feed brings a change twice", Breaks: "the feed brings every wanted change with its new image", plant: fed(func(es []table.Entry) []table.Entry { return append(es, es[:min(1, len(es))]...) })},
	{Name: "the feed loses the second change of a commit", Breaks: "the feed brings every wanted change with its new image", plant: fed(func(es []table.Entry) []table.Entry {
		return slices.CompactFunc(es, func(a, b table.Entry) bool { return a.Commit == b.Commit })
	})},
	{Name: "the feed leaves out deletions", Breaks: "a deleted item comes as the zero item", plant: fed(func(es []table.Entry) []table.Entry {
		return slices.DeleteFunc(es, func(e table.Entry) bool { return !e.Change.New.Exists() })
	})},
	{Name: "a deletion comes with what was deleted", Breaks: "a deleted item comes as the zero item", plant: fed(func(es []table.Entry) []table.Entry {
		for i := range es {
			if !es[i].Change.New.Exists() {
				es[i].Change.New = table.Item{Key: es[i].Change.Key, Version: es[i].Commit}
			}
		}
		return es
	})},
	{Name: "the feed brings what nobody wants", Breaks: "checks, failed commits and unwanted keys give no change",
		plant: func(s Subject) Subject { return s }, subs: wantAll},
	{Name: "checks give changes", Breaks: "checks, failed commits and unwanted keys give no change", plant: rewritten(func(w table.Write, stored table.Item) table.Write {
		if w.Op == table.OpCheck {
			w.Op, w.Data, w.N, w.Expires = table.OpReplace, stored.Data, stored.N, stored.Expires
		}
		return w
	})},
	{Name: "failed commits give changes", Breaks: "checks, failed commits and unwanted keys give no change", plant: failedChanges},
	{Name: "the feed is in no order", Breaks: "changes of one key come in commit order", plant: fed(func(es []table.Entry) []table.Entry { slices.Reverse(es); return es })},
	{Name: "the feed brings the last change of a key alone", Breaks: "changes of one key come in commit order", plant: fed(func(es []table.Entry) []table.Entry {
		last := map[table.Key]table.Version{}
		for _, e := range es {
			last[e.Change.Key] = e.Commit
		}
		return slices.DeleteFunc(es, func(e table.Entry) bool { return last[e.Change.Key] != e.Commit })
	})},
	{Name: "positions skip", Breaks: "positions grow by one with each entry and name it, and Entries begins after one", plant: fed(func(es []table.Entry) []table.Entry {
		for i := range es {
			es[i].Position *= 2
		}
		return es
	})},
	{Name: "Entries begins at its position", Breaks: "positions grow by one with each entry and name it, and Entries begins after one", plant: entries(func(ctx context.Context, f table.Feed, after uint64, limit int) ([]table.Entry, error) {
		return f.Entries(ctx, max(after, 1)-1, limit)
	})},
	{Name: "Entries knows no limit", Breaks: "positions grow by one with each entry and name it, and Entries begins after one", plant: entries(func(ctx context.Context, f table.Feed, after uint64, _ int) ([]table.Entry, error) {
		return f.Entries(ctx, after, 1<<20)
	})},
	{Name: "entries name no commit", Breaks: "an entry names its commit", plant: fed(func(es []table.Entry) []table.Entry {
		for i := range es {
			es[i].Commit = es[i].Change.New.Version
		}
		return es
	})},
	{Name: "entries go when one subscription has passed them", Breaks: "entries stay until every subscription has passed them", plant: feedWith(func(f *hookedFeed) {
		f.pass = func(_ string, position uint64) {
			for _, s := range f.Subscriptions() {
				f.Feed.Pass(s.Name, position)
			}
		}
		f.entries = func(ctx context.Context, inner table.Feed, after uint64, limit int) ([]table.Entry, error) {
			es, err := inner.Entries(ctx, after, limit)
			return slices.DeleteFunc(es, func(e table.Entry) bool { return e.Position <= inner.Passed(first.Name) }), err
		}
	})},
	{Name: "Pass goes back", Breaks: "Pass never goes back", plant: feedWith(func(f *hookedFeed) {
		at := map[string]uint64{}
		f.pass = func(name string, position uint64) { at[name] = position }
		f.passed = func(name string) uint64 { return at[name] }
	})},
	{Name: "all subscriptions share a position", Breaks: "Pass never goes back", plant: feedWith(func(f *hookedFeed) {
		f.passed = func(string) uint64 { return max(f.Feed.Passed(first.Name), f.Feed.Passed(second.Name)) }
	})},
	{Name: "Appended never closes", Breaks: "Appended closes with the next entry", plant: feedWith(func(f *hookedFeed) { f.appended = func() <-chan struct{} { return make(chan struct{}) } })},
	{Name: "Appended is closed all the time", Breaks: "Appended closes with the next entry", plant: feedWith(func(f *hookedFeed) {
		f.appended = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }
	})},
	{Name: "the last commit is lost on closing", Breaks: "what was committed is there after reopening, feed and positions included", plant: reopening(func(s Subject) Subject {
		s.Table = &hooked{Table: s.Table, get: func(context.Context, table.Table, []table.Key) ([]table.Item, error) { return nil, nil }}
		return s
	})},
	{Name: "deletions are lost on closing", Breaks: "what was committed is there after reopening, feed and positions included", plant: reopening(func(s Subject) Subject {
		return gotten(func(items []table.Item) []table.Item {
			if len(items) == 0 {
				return []table.Item{{Version: "restored"}}
			}
			return items
		})(s)
	})},
	{Name: "the feed is lost on closing", Breaks: "what was committed is there after reopening, feed and positions included", plant: reopening(fed(func([]table.Entry) []table.Entry { return nil }))},
	{Name: "positions are lost on closing", Breaks: "what was committed is there after reopening, feed and positions included", plant: reopening(feedWith(func(f *hookedFeed) { f.passed = func(string) uint64 { return 0 } }))},
	{Name: "the feed begins anew after reopening", Breaks: "what was committed is there after reopening, feed and positions included", plant: reopening(feedWith(func(f *hookedFeed) {
		begin := f.Feed.End()
		f.end = func() uint64 { return f.Feed.End() - begin }
	}))},
}

// hookedFeed is a feed with other methods in front.
type hookedFeed struct {
	table.Feed
	entries  func(ctx context.Context, f table.Feed, after uint64, limit int) ([]table.Entry, error)
	end      func() uint64
	passed   func(string) uint64
	pass     func(string, uint64)
	appended func() <-chan struct{}
}

func (h *hookedFeed) Entries(ctx context.Context, after uint64, limit int) ([]table.Entry, error) {
	if h.entries == nil {
		return h.Feed.Entries(ctx, after, limit)
	}
	return h.entries(ctx, h.Feed, after, limit)
}

func (h *hookedFeed) End() uint64 {
	if h.end == nil {
		return h.Feed.End()
	}
	return h.end()
}

func (h *hookedFeed) Passed(name string) uint64 {
	if h.passed == nil {
		return h.Feed.Passed(name)
	}
	return h.passed(name)
}

func (h *hookedFeed) Pass(name string, position uint64) {
	if h.pass == nil {
		h.Feed.Pass(name, position)
		return
	}
	h.pass(name, position)
}

func (h *hookedFeed) Appended() <-chan struct{} {
	if h.appended == nil {
		return h.Feed.Appended()
	}
	return h.appended()
}

func feedWith(f func(*hookedFeed)) func(Subject) Subject {
	return func(s Subject) Subject {
		h := &hookedFeed{Feed: s.Feed}
		f(h)
		s.Feed = h
		return s
	}
}

func entries(f func(context.Context, table.Feed, uint64, int) ([]table.Entry, error)) func(Subject) Subject {
	return feedWith(func(h *hookedFeed) { h.entries = f })
}

// fed changes the entries that the feed returns.
func fed(f func([]table.Entry) []table.Entry) func(Subject) Subject {
	return entries(func(ctx context.Context, inner table.Feed, after uint64, limit int) ([]table.Entry, error) {
		es, err := inner.Entries(ctx, after, limit)
		return f(es), err
	})
}

// reopening plants a fault in the table that Reopen returns. A table that does
// not outlive its process stands in for itself.
func reopening(plant func(Subject) Subject) func(Subject) Subject {
	return func(s Subject) Subject {
		reopen := s.Reopen
		whole := s
		s.Reopen = func() (Subject, error) {
			if reopen == nil {
				return plant(whole), nil
			}
			again, err := reopen()
			return plant(again), err
		}
		return s
	}
}

// imageOfNow brings what is stored when the feed is read.
func imageOfNow(s Subject) Subject {
	t := s.Table
	return fed(func(es []table.Entry) []table.Entry {
		for i := range es {
			es[i].Change.New = stored(context.Background(), t, es[i].Change.Key)
		}
		return es
	})(s)
}

// failedChanges leaves a change of each commit that conflicts.
func failedChanges(s Subject) Subject {
	return onCommit(func(ctx context.Context, t table.Table, ws []table.Write) (table.Version, error) {
		v, err := t.Commit(ctx, ws...)
		if table.Conflicts(err) {
			for _, w := range ws {
				if old := stored(ctx, t, w.Key); old.Exists() {
					_, _ = t.Commit(ctx, table.Replace(old, old.Data))
				}
			}
		}
		return v, err
	})(s)
}

// wantAll makes subscriptions want everything.
func wantAll(subs []table.Subscription) []table.Subscription {
	all := slices.Clone(subs)
	for i := range all {
		all[i].Wants = func(table.Key) bool { return true }
	}
	return all
}
