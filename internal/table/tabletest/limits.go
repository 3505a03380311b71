package tabletest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/table"
)

var limits = []Sentence{
	{"Commit takes 1 to 100 writes", writeCount},
	{"Commit takes items of up to 400 KB and 4 MB in all", sizes},
	{"Commit takes keys of up to 1,024 bytes and refuses malformed ones", keys},
	{"Commit refuses two writes for one key", twoWrites},
	{"Commit refuses to replace, delete or check what was not found", notFound},
}

// refused asserts that a commit is refused and writes nothing.
func (r *run) refused(why string, writes ...table.Write) {
	r.Helper()
	if _, err := r.Table.Commit(r.ctx, writes...); !errors.Is(err, table.ErrRefused) {
		r.Errorf("Commit with %s = %v, want ErrRefused", why, err)
	}
}

func writeCount(r *run) {
	var writes []table.Write
	for i := range table.MaxWrites + 1 {
		writes = append(writes, table.Create(r.key("a", fmt.Sprint(i)), nil))
	}
	r.refused("101 writes", writes...)
	r.absent(writes[0].Key, writes[table.MaxWrites].Key)
	v := r.commit(writes[:table.MaxWrites]...)
	r.stored(table.Item{Key: writes[table.MaxWrites-1].Key, Version: v})
	r.refused("no write")
	r.commit(table.Put(r.key("b", "1"), nil))
}

func sizes(r *run) {
	k := r.key("a", "1")
	frame := table.Item{Key: k, Version: table.Version(strings.Repeat("v", 20)), Data: []byte("x")}.Size() - 1
	data := bytes.Repeat([]byte("x"), table.MaxItem)
	r.refused("an item a byte too large", table.Create(k, data[:table.MaxItem-frame+1]))
	r.absent(k)
	v := r.commit(table.Create(k, data[:table.MaxItem-frame]))
	r.stored(table.Item{Key: k, Version: v, Data: data[:table.MaxItem-frame]})

	var writes []table.Write
	for i := range 11 {
		writes = append(writes, table.Put(r.key("b", fmt.Sprint(i)), data[:390<<10]))
	}
	r.refused("more than 4 MB", writes...)
	r.absent(writes[0].Key)
	r.commit(writes[:10]...)
	if n := len(r.query(writes[0].Key.Part, table.Range{})); n != 10 {
		r.Errorf("after a commit of 10 large items Query yields %d, want 10", n)
	}
}

func keys(r *run) {
	longest := table.Key{
		Part: r.id + strings.Repeat("p", table.MaxKey-len(r.id)),
		Sort: strings.Repeat("é", table.MaxKey/2),
	}
	v := r.commit(table.Create(longest, nil))
	r.stored(table.Item{Key: longest, Version: v})
	r.sorts(longest.Part, table.Range{}, longest.Sort)
	odd := table.Key{Part: r.id + " \t\n\"'\\%", Sort: "\x01\x7f￿\U0010ffff"}
	v = r.commit(table.Create(odd, nil))
	r.stored(table.Item{Key: odd, Version: v})
	r.sorts(odd.Part, table.Range{Prefix: "\x01"}, odd.Sort)
	good := r.key("a", "1")
	for why, bad := range badParts {
		r.refused("a part that is "+why, table.Put(good, nil), table.Put(table.Key{Part: bad, Sort: "1"}, nil))
		r.refused("a sort key that is "+why, table.Put(good, nil), table.Put(table.Key{Part: good.Part, Sort: bad}, nil))
	}
	r.absent(good)
}

func twoWrites(r *run) {
	k := r.key("a", "1")
	r.refused("two writes for one key", table.Put(k, nil), table.Put(r.key("a", "2"), nil), table.Put(k, nil))
	r.absent(k)
	r.commit(table.Put(k, nil))
	old := r.item(k)
	r.refused("a check beside a write for one key", table.Check(old), table.Add(k, 1, 0, 9))
	r.stored(old)
}

func notFound(r *run) {
	none, k := table.Item{Key: r.key("a", "none")}, r.key("a", "1")
	r.refused("a replace of the zero item", table.Put(k, nil), table.Replace(none, nil))
	r.refused("a delete of the zero item", table.Put(k, nil), table.Delete(none))
	r.refused("a check of the zero item", table.Put(k, nil), table.Check(none))
	r.refused("an add with data", table.Write{Op: table.OpAdd, Key: k, Data: []byte("x"), Max: 9})
	r.refused("a write without an operation", table.Write{Key: k})
	r.absent(k, none.Key)
}
