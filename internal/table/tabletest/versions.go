package tabletest

import (
	"time"

	"gatehouse/internal/table"
)

var versions = []Sentence{
	{"all items of a commit carry the version that it returned", oneVersion},
	{"a version has 20 characters and tells the millisecond of its commit", versionForm},
	{"versions along one item strictly grow", versionsGrow},
	{"every commit has a version of its own", ownVersion},
}

func oneVersion(r *run) {
	a, b, c, d := r.key("a", "1"), r.key("b", "1"), r.key("c", "1"), r.key("d", "1")
	r.commit(table.Put(c, nil), table.Put(d, nil))
	v := r.commit(table.Create(a, nil), table.Put(b, nil), table.Replace(r.item(c), nil), table.Add(d, 1, 0, 9))
	for _, k := range []table.Key{a, b, c, d} {
		if got := r.item(k).Version; got != v {
			r.Errorf("version of %v = %q, want %q as Commit returned it", k, got, v)
		}
	}
}

func versionForm(r *run) {
	k := r.key("a", "1")
	before := time.Now().Add(-time.Second)
	v := r.commit(table.Create(k, nil))
	if len(v) != 20 {
		r.Errorf("version %q has %d characters, want 20", v, len(v))
	}
	if t := v.Time(); t.Before(before) || t.After(time.Now().Add(time.Second)) {
		r.Errorf("version %q tells the time %v, want about now", v, t)
	}
}

func versionsGrow(r *run) {
	k := r.key("a", "1")
	last := r.commit(table.Create(k, nil))
	for i := range 60 {
		var w table.Write
		switch i % 3 {
		case 0:
			w = table.Replace(r.item(k), nil)
		case 1:
			w = table.Add(k, 1, 0, 1000)
		case 2:
			w = table.Put(k, nil)
		}
		v := r.commit(w, table.Put(r.key("b", "1"), nil))
		if v <= last {
			r.Errorf("version of commit %d = %q, want one after %q", i, v, last)
		}
		last = v
	}
}

func ownVersion(r *run) {
	seen := map[table.Version]bool{}
	for range 60 {
		v := r.commit(table.Put(r.key("a", "1"), nil))
		if seen[v] {
			r.Errorf("version %q names two commits", v)
		}
		seen[v] = true
	}
	old := r.item(r.key("a", "1"))
	r.commit(table.Put(old.Key, old.Data))
	r.conflict([]table.Key{old.Key}, table.Check(old)) // the same content, and another commit
}
