package tabletest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/table"
)

var queries = []Sentence{
	{"Query yields one partition and nothing of its neighbours", onePartition},
	{"Query yields in the byte order of sort keys, or against it", byteOrder},
	{"Prefix selects the sort keys that begin so", prefix},
	{"After leaves out all up to a sort key that need not exist, in either direction", after},
	{"Limit ends a Query after so many items", limit},
	{"Query reads on over pages", pages},
	{"Query ends when its reader does, and its reader may commit", reader},
	{"Query refuses a malformed partition", queryRefuses},
}

func onePartition(r *run) {
	k := r.key("a", "m")
	neighbours := []string{k.Part + "x", k.Part + "!", k.Part[:len(k.Part)-1], k.Part + " m"}
	writes := []table.Write{table.Put(k, nil)}
	for _, part := range neighbours {
		for _, sort := range []string{"a", "m", "z"} {
			writes = append(writes, table.Put(table.Key{Part: part, Sort: sort}, nil))
		}
	}
	r.commit(writes...)
	for _, rg := range []table.Range{{}, {Descending: true}, {After: "b"}, {After: "z", Descending: true}, {Prefix: "m"}} {
		r.sorts(k.Part, rg, "m")
	}
	for _, part := range neighbours {
		r.sorts(part, table.Range{}, "a", "m", "z")
	}
	r.sorts(k.Part+"none", table.Range{})
}

// inOrder are sort keys in byte order, which is neither that of UTF-16 nor
// that of any language.
var inOrder = []string{"!", "#", "10", "9", "A", "Z", "a", "a!", "aa", "ab", "b", "z", "Ä", "ä", "ﬁ", "😀", "😀a"}

func (r *run) fill(part string) string {
	shuffled := slices.Clone(inOrder)
	for i := range shuffled { // any order but the right one
		j := (i * 7) % len(shuffled)
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	}
	var writes []table.Write
	for _, s := range shuffled {
		writes = append(writes, table.Put(r.key(part, s), []byte(s)))
	}
	r.commit(writes...)
	return r.key(part, "x").Part
}

func byteOrder(r *run) {
	part := r.fill("a")
	r.sorts(part, table.Range{}, inOrder...)
	back := slices.Clone(inOrder)
	slices.Reverse(back)
	r.sorts(part, table.Range{Descending: true}, back...)
}

func prefix(r *run) {
	part := r.fill("a")
	r.sorts(part, table.Range{Prefix: "a"}, "a", "a!", "aa", "ab")
	r.sorts(part, table.Range{Prefix: "a", Descending: true}, "ab", "aa", "a!", "a")
	r.sorts(part, table.Range{Prefix: "😀"}, "😀", "😀a")
	r.sorts(part, table.Range{Prefix: "none"})
	r.sorts(part, table.Range{Prefix: "none", Descending: true})
}

func after(r *run) {
	part := r.fill("a")
	r.sorts(part, table.Range{After: "b"}, "z", "Ä", "ä", "ﬁ", "😀", "😀a")
	r.sorts(part, table.Range{After: "c"}, "z", "Ä", "ä", "ﬁ", "😀", "😀a")
	r.sorts(part, table.Range{After: "A", Descending: true}, "9", "10", "#", "!")
	r.sorts(part, table.Range{After: "B", Descending: true}, "A", "9", "10", "#", "!")
	r.sorts(part, table.Range{After: "😀a"})
	r.sorts(part, table.Range{After: "!", Descending: true})
	r.sorts(part, table.Range{Prefix: "a", After: "a!"}, "aa", "ab")
	r.sorts(part, table.Range{Prefix: "a", After: "a!", Descending: true}, "a")
	r.sorts(part, table.Range{Prefix: "a", After: "Z"}, "a", "a!", "aa", "ab")
	r.sorts(part, table.Range{Prefix: "a", After: "b"})
	r.sorts(part, table.Range{Prefix: "a", After: "b", Descending: true}, "ab", "aa", "a!", "a")
	r.sorts(part, table.Range{Prefix: "a", After: "Z", Descending: true})
}

func limit(r *run) {
	part := r.fill("a")
	r.sorts(part, table.Range{Limit: 3}, "!", "#", "10")
	r.sorts(part, table.Range{Limit: 2, Descending: true}, "😀a", "😀")
	r.sorts(part, table.Range{Limit: 2, Prefix: "a"}, "a", "a!")
	r.sorts(part, table.Range{Limit: 2, Prefix: "a", After: "a"}, "a!", "aa")
	r.sorts(part, table.Range{Limit: len(inOrder) + 1}, inOrder...)
	r.sorts(part, table.Range{Limit: len(inOrder)}, inOrder...)
}

// pages reads more items and more bytes than DynamoDB's page of 1 MB holds.
func pages(r *run) {
	var want []string
	for c := range 3 {
		var writes []table.Write
		for i := range table.MaxWrites {
			s := fmt.Sprintf("%04d", c*table.MaxWrites+i)
			want = append(want, s)
			writes = append(writes, table.Put(r.key("many", s), nil))
		}
		r.commit(writes...)
	}
	part := r.key("many", "x").Part
	r.sorts(part, table.Range{}, want...)
	r.sorts(part, table.Range{Limit: 250}, want[:250]...)
	slices.Reverse(want)
	r.sorts(part, table.Range{Descending: true}, want...)

	var large []table.Write
	data := bytes.Repeat([]byte("x"), 380<<10)
	for i := range 6 {
		large = append(large, table.Put(r.key("large", fmt.Sprint(i)), data))
	}
	r.commit(large...)
	part = r.key("large", "x").Part
	r.sorts(part, table.Range{}, "0", "1", "2", "3", "4", "5")
	r.sorts(part, table.Range{Descending: true, Limit: 5}, "5", "4", "3", "2", "1")
}

func reader(r *run) {
	part := r.fill("a")
	n := 0
	for item, err := range r.Table.Query(r.ctx, part, table.Range{}) {
		if err != nil {
			r.Fatalf("Query(%q) = %v, want success", part, err)
		}
		if n++; n == 3 {
			break
		}
		r.commit(table.Delete(item))
	}
	r.sorts(part, table.Range{}, inOrder[2:]...)
}

func queryRefuses(r *run) {
	for why, bad := range badParts {
		n := 0
		for _, err := range r.Table.Query(r.ctx, bad, table.Range{}) {
			n++
			if !errors.Is(err, table.ErrRefused) {
				r.Errorf("Query of a partition that is %s = %v, want ErrRefused", why, err)
			}
		}
		if n != 1 {
			r.Errorf("Query of a partition that is %s yields %d times, want its error once", why, n)
		}
	}
	r.sorts(strings.Repeat("x", table.MaxKey-8)+r.id, table.Range{})
}
