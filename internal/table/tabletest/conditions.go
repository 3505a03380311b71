package tabletest

import (
	"math"
	"time"

	"gatehouse/internal/table"
)

var conditions = []Sentence{
	{"Commit applies all writes or none", allOrNone},
	{"a conflict names every key whose condition failed, and no other", conflictKeys},
	{"Create writes an item that must not exist", create},
	{"Replace writes an item only as it was read, and keeps counter and expiry unless With changes them", replace},
	{"Delete removes an item only as it was read", remove},
	{"Check writes nothing and passes only while the item is as it was read", check},
	{"Add changes the counter and keeps data and expiry; an absent item counts as zero", add},
	{"Add ends within its bounds, both included, or conflicts", addBounds},
	{"Until on an Add gives an expiry to an item that has none", addUntil},
	{"Put writes the whole item whatever is stored", put},
}

func allOrNone(r *run) {
	a, b, c, d := r.key("a", "1"), r.key("b", "1"), r.key("c", "1"), r.key("d", "1")
	r.commit(table.Create(a, []byte("a")), table.Create(b, []byte("b")).Count(5))
	oldA, oldB := r.item(a), r.item(b)
	for _, failing := range []table.Write{
		table.Create(a, nil),
		table.Replace(table.Item{Key: a, Version: oldA.Version + "x"}, nil),
		table.Delete(table.Item{Key: a, Version: oldA.Version + "x"}),
		table.Check(table.Item{Key: a, Version: oldA.Version + "x"}),
		table.Add(a, 1, 5, 6),
	} {
		r.conflict([]table.Key{a}, table.Create(c, nil), table.Put(d, nil), failing, table.Delete(oldB))
		r.conflict([]table.Key{a}, failing, table.Add(c, 1, 0, 9), table.Replace(oldB, []byte("new")))
		r.absent(c, d)
		r.stored(oldA)
		r.stored(oldB)
	}
	v := r.commit(table.Replace(oldA, []byte("new")), table.Delete(oldB), table.Create(c, nil), table.Add(d, 3, 0, 9))
	r.stored(table.Item{Key: a, Version: v, Data: []byte("new")})
	r.absent(b)
	r.stored(table.Item{Key: c, Version: v})
	r.stored(table.Item{Key: d, Version: v, N: 3})
}

func conflictKeys(r *run) {
	a, b, c, d, e := r.key("a", "1"), r.key("b", "1"), r.key("a", "2"), r.key("a", "3"), r.key("a", "4")
	r.commit(table.Put(a, nil), table.Put(b, nil), table.Put(c, nil))
	itemC := r.item(c)
	stale := r.item(b)
	stale.Version += "x"
	r.conflict([]table.Key{a, b, e},
		table.Create(a, nil), table.Check(stale), table.Check(itemC), table.Put(d, nil), table.Add(e, 1, 2, 3))
	if _, err := r.Table.Commit(r.ctx, table.Create(a, nil), table.Create(d, nil)); !table.Conflicts(err, a) || table.Conflicts(err, d) {
		r.Errorf("Conflicts tells %v apart wrongly: at the existing item %t, want true; at the absent one %t, want false",
			err, table.Conflicts(err, a), table.Conflicts(err, d))
	}
	r.absent(d, e)
}

func create(r *run) {
	k := r.key("a", "1")
	v := r.commit(table.Create(k, []byte("first")))
	r.conflict([]table.Key{k}, table.Create(k, []byte("second")))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("first")})
	r.commit(table.Delete(r.item(k)))
	v = r.commit(table.Create(k, []byte("third")))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("third")})
}

func replace(r *run) {
	k, none, until := r.key("a", "1"), r.key("a", "2"), time.Now().Add(time.Hour).Truncate(time.Second)
	r.commit(table.Create(k, []byte("1")).Count(7).Until(until))
	old := r.item(k)
	v := r.commit(table.Replace(old, []byte("2")))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("2"), N: 7, Expires: until})
	r.conflict([]table.Key{k}, table.Replace(old, []byte("3")))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("2"), N: 7, Expires: until})
	later := until.Add(time.Hour)
	v = r.commit(table.Replace(r.item(k), []byte("4")).Count(0).Until(later))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("4"), Expires: later})
	old = r.item(k)
	r.commit(table.Delete(old))
	r.conflict([]table.Key{k}, table.Replace(old, []byte("5")))
	r.conflict([]table.Key{none}, table.Replace(table.Item{Key: none, Version: v}, nil))
	r.absent(k, none)
}

func remove(r *run) {
	k := r.key("a", "1")
	r.commit(table.Create(k, nil))
	old := r.item(k)
	r.commit(table.Replace(old, []byte("2")))
	r.conflict([]table.Key{k}, table.Delete(old))
	now := r.item(k)
	r.commit(table.Delete(now))
	r.absent(k)
	r.sorts(k.Part, table.Range{})
	r.conflict([]table.Key{k}, table.Delete(now))
}

func check(r *run) {
	k, other := r.key("a", "1"), r.key("b", "1")
	r.commit(table.Create(k, []byte("1")).Count(3))
	old := r.item(k)
	v := r.commit(table.Check(old), table.Create(other, nil))
	r.stored(old)
	r.stored(table.Item{Key: other, Version: v})
	r.commit(table.Check(old))
	r.stored(old)
	r.commit(table.Replace(old, []byte("2")))
	r.conflict([]table.Key{k}, table.Check(old), table.Put(other, []byte("new")))
	now := r.item(k)
	r.commit(table.Delete(now))
	r.conflict([]table.Key{k}, table.Check(now), table.Put(other, []byte("new")))
	r.stored(table.Item{Key: other, Version: v})
	r.absent(k)
}

func add(r *run) {
	k, until := r.key("a", "1"), time.Now().Add(time.Hour).Truncate(time.Second)
	v := r.commit(table.Add(k, 5, 0, 10))
	r.stored(table.Item{Key: k, Version: v, N: 5})
	v = r.commit(table.Add(k, -5, 0, 10))
	r.stored(table.Item{Key: k, Version: v})
	r.conflict([]table.Key{k}, table.Create(k, nil)) // a counter at zero is an item all the same
	r.commit(table.Replace(r.item(k), []byte("data")).Until(until).Count(2))
	v = r.commit(table.Add(k, 3, math.MinInt64, math.MaxInt64))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("data"), N: 5, Expires: until})
	negative := r.key("a", "2")
	v = r.commit(table.Add(negative, -3, -3, 0))
	r.stored(table.Item{Key: negative, Version: v, N: -3})
	zero := r.key("a", "3")
	v = r.commit(table.Add(zero, 0, 0, 0))
	r.stored(table.Item{Key: zero, Version: v})
}

func addBounds(r *run) {
	k, none := r.key("a", "1"), r.key("a", "2")
	r.commit(table.Add(k, 3, 0, 3))
	r.conflict([]table.Key{k}, table.Add(k, 1, 0, 3))
	r.conflict([]table.Key{k}, table.Add(k, -4, 0, 3))
	r.conflict([]table.Key{none}, table.Add(none, 1, 2, 3))
	r.conflict([]table.Key{none}, table.Add(none, -1, 0, 3))
	r.absent(none)
	if n := r.item(k).N; n != 3 {
		r.Errorf("counter after refused Adds = %d, want 3", n)
	}
	r.commit(table.Add(k, -3, 0, 3))
	r.commit(table.Add(k, 3, 0, 3))
	r.commit(table.Put(k, nil).Count(math.MaxInt64 - 1))
	r.conflict([]table.Key{k}, table.Add(k, 2, math.MinInt64, math.MaxInt64))
	r.commit(table.Put(k, nil).Count(math.MinInt64 + 1))
	r.conflict([]table.Key{k}, table.Add(k, -2, math.MinInt64, math.MaxInt64))
}

func addUntil(r *run) {
	k, until := r.key("a", "1"), time.Now().Add(time.Hour).Truncate(time.Second)
	r.commit(table.Add(k, 1, 0, 9))
	v := r.commit(table.Add(k, 1, 0, 9).Until(until))
	r.stored(table.Item{Key: k, Version: v, N: 2, Expires: until})
	v = r.commit(table.Add(k, 1, 0, 9).Until(until.Add(time.Hour)))
	r.stored(table.Item{Key: k, Version: v, N: 3, Expires: until})
	made := r.key("a", "2")
	v = r.commit(table.Add(made, 1, 0, 9).Until(until))
	r.stored(table.Item{Key: made, Version: v, N: 1, Expires: until})
}

func put(r *run) {
	k, until := r.key("a", "1"), time.Now().Add(time.Hour).Truncate(time.Second)
	v := r.commit(table.Put(k, []byte("1")).Count(4).Until(until))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("1"), N: 4, Expires: until})
	v = r.commit(table.Put(k, []byte("2")))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("2")})
	v = r.commit(table.Put(k, nil))
	r.stored(table.Item{Key: k, Version: v})
}
