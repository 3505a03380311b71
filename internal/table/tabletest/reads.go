package tabletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/table"
)

var reads = []Sentence{
	{"Get returns an item whole: data, counter, expiry and version", getWhole},
	{"Get keeps the order of the keys and leaves out what does not exist", getOrder},
	{"Get refuses more than 100 keys, malformed keys and a key given twice", getRefuses},
	{"a read sees every commit that was answered before it began", readYourWrites},
	{"data is any bytes, and empty data is data of an item that exists", anyBytes},
	{"a table keeps no hold on the bytes that it was handed", ownBytes},
	{"an item that has expired is stored until the table removes it", expired},
	{"a context that has ended gives its error", endedContext},
}

func getWhole(r *run) {
	k := r.key("a", "1")
	until := time.Now().Add(time.Hour)
	v := r.commit(table.Create(k, []byte("data")).Count(-42).Until(until))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("data"), N: -42, Expires: until.Truncate(time.Second)})
	large := r.key("a", "2")
	v = r.commit(table.Create(large, nil).Count(1<<62 + 1))
	r.stored(table.Item{Key: large, Version: v, N: 1<<62 + 1})
}

func getOrder(r *run) {
	a, b, c := r.key("a", "1"), r.key("b", "1"), r.key("a", "2")
	r.commit(table.Put(a, nil), table.Put(b, nil), table.Put(c, nil))
	keys := []table.Key{c, r.key("a", "none"), b, r.key("none", "1"), a}
	got := r.get(keys...)
	want := []table.Key{c, b, a}
	if len(got) != len(want) {
		r.Fatalf("Get of 5 keys, 3 of them stored, returned %d items, want 3", len(got))
	}
	for i := range want {
		if got[i].Key != want[i] {
			r.Errorf("Get(%v) returned %v in place %d, want %v", keys, got[i].Key, i, want[i])
		}
	}
	if got := r.get(); len(got) != 0 {
		r.Errorf("Get() returned %d items, want none", len(got))
	}
}

// badParts are what neither part of a key may be.
var badParts = map[string]string{
	"empty":             "",
	"too long":          strings.Repeat("x", table.MaxKey+1),
	"with NUL":          "a\x00b",
	"no valid UTF-8":    "a\xff",
	"a lone surrogate":  "a\xed\xa0\x80",
	"too long in bytes": strings.Repeat("é", table.MaxKey/2+1),
}

func getRefuses(r *run) {
	k := r.key("a", "1")
	r.commit(table.Put(k, nil))
	refused := func(why string, keys ...table.Key) {
		if _, err := r.Table.Get(r.ctx, keys...); !errors.Is(err, table.ErrRefused) {
			r.Errorf("Get with %s = %v, want ErrRefused", why, err)
		}
	}
	refused("a key given twice", k, r.key("a", "2"), k)
	var many []table.Key
	for i := range table.MaxGet {
		many = append(many, r.key("a", fmt.Sprint(i)))
	}
	r.get(many...)
	refused("101 keys", append(many, r.key("b", "1"))...)
	for why, bad := range badParts {
		refused("a part that is "+why, table.Key{Part: bad, Sort: "1"})
		refused("a sort key that is "+why, k, table.Key{Part: k.Part, Sort: bad})
	}
}

func readYourWrites(r *run) {
	k := r.key("a", "1")
	for i := range 20 {
		v := r.commit(table.Put(k, fmt.Append(nil, i)))
		r.stored(table.Item{Key: k, Version: v, Data: fmt.Append(nil, i)})
		got := r.query(k.Part, table.Range{})
		if len(got) != 1 || got[0].Version != v {
			r.Errorf("Query after commit %d does not yield what it wrote", i)
		}
	}
	r.commit(table.Delete(r.item(k)))
	r.absent(k)
	r.sorts(k.Part, table.Range{})
}

func anyBytes(r *run) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, data := range [][]byte{all, nil, {}, {0}, []byte("\xff\xfe"), bytes.Repeat([]byte("long "), 20_000)} {
		k := r.key("a", fmt.Sprint(i))
		v := r.commit(table.Create(k, data))
		r.stored(table.Item{Key: k, Version: v, Data: data})
		r.conflict([]table.Key{k}, table.Create(k, data))
	}
}

func ownBytes(r *run) {
	k := r.key("a", "1")
	data := []byte("as it was")
	v := r.commit(table.Put(k, data))
	copy(data, "otherwise")
	r.stored(table.Item{Key: k, Version: v, Data: []byte("as it was")})
}

func expired(r *run) {
	// A minute ago: no store removes anything so soon.
	k, past := r.key("a", "1"), time.Now().Add(-time.Minute)
	v := r.commit(table.Create(k, []byte("old")).Until(past))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("old"), Expires: past.Truncate(time.Second)})
	r.sorts(k.Part, table.Range{}, "1")
	r.conflict([]table.Key{k}, table.Create(k, nil))
	old := r.item(k)
	if !old.Expired(time.Now()) {
		r.Errorf("Expired = false for an item that expired a minute ago")
	}
	v = r.commit(table.Replace(old, []byte("new")).Until(time.Time{}))
	r.stored(table.Item{Key: k, Version: v, Data: []byte("new")})
}

func endedContext(r *run) {
	k := r.key("a", "1")
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.Table.Get(ctx, k); !errors.Is(err, context.Canceled) {
		r.Errorf("Get with an ended context = %v, want %v", err, context.Canceled)
	}
	if _, err := r.Table.Commit(ctx, table.Put(k, nil)); !errors.Is(err, context.Canceled) {
		r.Errorf("Commit with an ended context = %v, want %v", err, context.Canceled)
	}
	n := 0
	for _, err := range r.Table.Query(ctx, k.Part, table.Range{}) {
		n++
		if !errors.Is(err, context.Canceled) {
			r.Errorf("Query with an ended context = %v, want %v", err, context.Canceled)
		}
	}
	if n != 1 {
		r.Errorf("Query with an ended context yields %d times, want its error once", n)
	}
}
