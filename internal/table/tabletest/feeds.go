package tabletest

import (
	"fmt"
	"time"

	"gatehouse/internal/table"
)

var feeds = []Sentence{
	{"the feed brings every wanted change with its new image", feedImages},
	{"a deleted item comes as the zero item", feedDeletes},
	{"checks, failed commits and unwanted keys give no change", feedSilence},
	{"changes of one key come in commit order", feedOrder},
	{"positions grow by one with each entry and name it, and Entries begins after one", feedPositions},
	{"an entry names its commit", feedCommit},
	{"entries stay until every subscription has passed them", feedKept},
	{"Pass never goes back", feedPass},
	{"Appended closes with the next entry", feedAppended},
	{"what was committed is there after reopening, feed and positions included", reopened},
}

// changes returns what the feed brought for partitions of this run.
func (r *run) changes(read *uint64) []table.Change {
	r.Helper()
	var all []table.Change
	if r.Changes != nil {
		got, err := r.Changes()
		if err != nil {
			r.Fatalf("reading the feed = %v, want success", err)
		}
		all = got
	} else {
		for _, e := range r.entries(*read, 1000) {
			all = append(all, e.Change)
			*read = e.Position
		}
	}
	var own []table.Change
	for _, c := range all {
		if len(c.Key.Part) > 8 && c.Key.Part[len(c.Key.Part)-8:] == r.id {
			own = append(own, c)
		}
	}
	return own
}

func (r *run) entries(after uint64, limit int) []table.Entry {
	r.Helper()
	entries, err := r.Feed.Entries(r.ctx, after, limit)
	if err != nil {
		r.Fatalf("Entries(%d, %d) = %v, want success", after, limit, err)
	}
	return entries
}

func feedImages(r *run) {
	var read uint64
	a, b, until := r.key(toFirst, "1"), r.key(toSecond, "1"), time.Now().Add(time.Hour).Truncate(time.Second)
	v := r.commit(table.Create(a, []byte("1")).Count(2).Until(until), table.Put(b, nil))
	w := r.commit(table.Add(a, 1, 0, 9), table.Replace(r.item(b), []byte("b")))
	want := []table.Item{
		{Key: a, Version: v, Data: []byte("1"), N: 2, Expires: until}, {Key: b, Version: v},
		{Key: a, Version: w, Data: []byte("1"), N: 3, Expires: until}, {Key: b, Version: w, Data: []byte("b")},
	}
	got := r.changes(&read)
	for _, item := range want {
		n := 0
		for _, c := range got {
			if c.Key == item.Key && same(c.New, item) && c.ID != "" {
				n++
			}
		}
		if n != 1 {
			r.Errorf("the feed brings %s %d times, want once", show(item), n)
		}
	}
	if len(got) != len(want) {
		r.Errorf("the feed brings %d changes, want %d", len(got), len(want))
	}
	if again := r.changes(&read); len(again) != 0 {
		r.Errorf("the feed brings %d changes after the last, want none", len(again))
	}
}

func feedDeletes(r *run) {
	var read uint64
	k := r.key(toFirst, "1")
	r.commit(table.Create(k, []byte("1")))
	r.commit(table.Delete(r.item(k)))
	r.commit(table.Create(k, []byte("2")))
	got := r.changes(&read)
	if len(got) != 3 {
		r.Fatalf("the feed brings %d changes of an item created, deleted and created, want 3", len(got))
	}
	if got[1].Key != k || got[1].New.Exists() || !got[0].New.Exists() || !got[2].New.Exists() {
		r.Errorf("the feed brings %s, %s, %s; want an item, nothing and an item",
			show(got[0].New), show(got[1].New), show(got[2].New))
	}
}

func feedSilence(r *run) {
	var read uint64
	k, unwanted, other := r.key(toFirst, "1"), r.key("unwanted:", "1"), r.key(toFirst, "2")
	r.commit(table.Create(k, nil), table.Create(unwanted, nil))
	r.commit(table.Check(r.item(k)), table.Add(unwanted, 1, 0, 9))
	r.conflict([]table.Key{k}, table.Create(k, nil), table.Put(other, nil))
	r.refused("two writes for one key", table.Put(other, nil), table.Put(other, nil))
	r.commit(table.Delete(r.item(unwanted)))
	for i, c := range r.changes(&read) {
		if i > 0 || c.Key != k {
			r.Errorf("the feed brings a change of %v in place %d, want %v alone", c.Key, i, k)
		}
	}
}

func feedOrder(r *run) {
	var read uint64
	a, b := r.key(toFirst, "1"), r.key(toBoth, "1")
	for i := range 30 {
		r.commit(table.Put(a, nil).Count(int64(i)), table.Put(b, nil).Count(int64(i)))
	}
	next := map[table.Key]int64{}
	for _, c := range r.changes(&read) {
		if c.New.N != next[c.Key] {
			r.Errorf("the feed brings change %d of %v in place %d", c.New.N, c.Key, next[c.Key])
		}
		next[c.Key]++
	}
	if next[a] != 30 || next[b] != 30 {
		r.Errorf("the feed brings %d and %d changes of two keys, want 30 each", next[a], next[b])
	}
}

// embedded reports whether the table has a Feed of its own; where changes are
// pushed the sentences about positions are the pusher's.
func (r *run) embedded() bool {
	if r.Feed == nil {
		r.Skip("this table's changes are pushed: it has no positions")
	}
	return true
}

func feedPositions(r *run) {
	r.embedded()
	begin := r.Feed.End()
	for i := range 5 {
		r.commit(table.Put(r.key(toFirst, fmt.Sprint(i)), nil), table.Put(r.key("unwanted:", "1"), nil))
	}
	if end := r.Feed.End(); end != begin+5 {
		r.Errorf("End after 5 wanted changes = %d, want %d", end, begin+5)
	}
	for after := begin; after <= begin+6; after++ {
		want := max(0, min(3, int(begin+5)-int(after)))
		got := r.entries(after, 3)
		if len(got) != want {
			r.Errorf("Entries(%d, 3) with 5 entries after %d returned %d, want %d", after, begin, len(got), want)
		}
		for i, e := range got {
			if e.Position != after+uint64(i)+1 || e.Change.Key.Sort != fmt.Sprint(e.Position-begin-1) {
				r.Errorf("Entries(%d, 3)[%d] is entry %d of %v", after, i, e.Position, e.Change.Key)
			}
			if e.Change.ID != fmt.Sprint(e.Position) {
				r.Errorf("entry %d names its delivery %q, want its position", e.Position, e.Change.ID)
			}
		}
	}
}

func feedCommit(r *run) {
	r.embedded()
	begin := r.Feed.End()
	k := r.key(toFirst, "1")
	v := r.commit(table.Create(k, nil))
	w := r.commit(table.Delete(r.item(k)))
	got := r.entries(begin, 10)
	if len(got) != 2 || got[0].Commit != v || got[1].Commit != w {
		r.Errorf("entries of two commits name %v, want %q and %q", got, v, w)
	}
}

func feedKept(r *run) {
	r.embedded()
	begin := r.Feed.End()
	for i := range 10 {
		r.commit(table.Put(r.key(toBoth, fmt.Sprint(i)), nil))
	}
	r.Feed.Pass(first.Name, begin+8)
	r.Feed.Pass(second.Name, begin+3)
	if got := r.entries(begin+3, 10); len(got) != 7 || got[0].Position != begin+4 {
		r.Errorf("%d entries are left of 10 when one subscription has passed 8 and one 3, want 7", len(got))
	}
	r.Feed.Pass(second.Name, begin+10)
	if got := r.entries(begin+8, 10); len(got) != 2 || got[0].Position != begin+9 {
		r.Errorf("%d entries are left of 10 when all subscriptions have passed 8, want 2 at least", len(got))
	}
	if subs := r.Feed.Subscriptions(); len(subs) != 2 || subs[0].Name != first.Name || subs[1].Name != second.Name {
		r.Errorf("Subscriptions() = %d of them, want those that the table was opened with", len(subs))
	}
}

func feedPass(r *run) {
	r.embedded()
	begin := r.Feed.End()
	r.commit(table.Put(r.key(toFirst, "1"), nil), table.Put(r.key(toFirst, "2"), nil))
	r.Feed.Pass(first.Name, begin+2)
	r.Feed.Pass(first.Name, begin+1)
	if got := r.Feed.Passed(first.Name); got != begin+2 {
		r.Errorf("Passed after Pass(%d) and Pass(%d) = %d", begin+2, begin+1, got)
	}
	if got := r.Feed.Passed(second.Name); got > begin {
		r.Errorf("Passed of a subscription that passed nothing = %d, want no more than %d", got, begin)
	}
}

func feedAppended(r *run) {
	r.embedded()
	appended := r.Feed.Appended()
	r.commit(table.Put(r.key("unwanted:", "1"), nil))
	select {
	case <-appended:
		r.Errorf("Appended closed without a new entry")
	default:
	}
	r.commit(table.Put(r.key(toFirst, "1"), nil))
	select {
	case <-appended:
	case <-time.After(2 * time.Second):
		r.Errorf("Appended did not close within 2 s after a new entry")
	}
	select {
	case <-r.Feed.Appended():
		r.Errorf("Appended returns a channel that closed with an earlier entry")
	default:
	}
}

func reopened(r *run) {
	if r.Reopen == nil {
		r.Skip("this table does not outlive its process")
	}
	k, gone, until := r.key(toBoth, "1"), r.key(toBoth, "2"), time.Now().Add(time.Hour).Truncate(time.Second)
	v := r.commit(table.Create(k, []byte("kept")).Count(7).Until(until), table.Create(gone, nil))
	r.commit(table.Delete(r.item(gone)))
	var begin, end uint64
	if r.Feed != nil {
		end = r.Feed.End()
		begin = end - 3
		r.Feed.Pass(first.Name, begin+1)
	}
	s, err := r.Reopen()
	if err != nil {
		r.Fatalf("reopening = %v, want success", err)
	}
	r.Subject = s
	r.stored(table.Item{Key: k, Version: v, Data: []byte("kept"), N: 7, Expires: until})
	r.absent(gone)
	r.sorts(k.Part, table.Range{}, "1")
	if r.Feed == nil {
		return
	}
	if got := r.entries(begin, 10); len(got) != 3 || got[0].Change.Key != k || got[2].Change.New.Exists() {
		r.Errorf("after reopening the feed holds %d entries, want the 3 that were not passed by all", len(got))
	}
	if got := r.Feed.Passed(first.Name); got != begin+1 {
		r.Errorf("Passed after closing and reopening = %d, want %d", got, begin+1)
	}
	r.commit(table.Put(k, nil))
	if got := r.Feed.End(); got != end+1 {
		r.Errorf("End after reopening and one change more = %d, want %d", got, end+1)
	}
}
