package scimhttp_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gatehouse/internal/scim/value"
)

// randomOp is one operation of a random bulk request. Who it means it names by
// a place among those that were there before (0 and up), or by that of a POST in
// the request (-1 and down); nobody is none.
type randomOp struct {
	kind    string // "POST /Users" and so on; "add", "remove" and "choose" are PATCHes of members
	target  int
	name    string
	manager int
	members []int
}

const nobody = 1 << 20

// refers returns the POSTs that it needs, in the order in which they stand.
func (o randomOp) refers() []int {
	var out []int
	for _, r := range append([]int{o.target, o.manager}, o.members...) {
		if r < 0 && !slices.Contains(out, -1-r) {
			out = append(out, -1-r)
		}
	}
	return out
}

// path and data render the operation; name tells what a place is called, and
// whether it is told at all.
func (o randomOp) path(name func(int) (string, bool)) string {
	id, _ := name(o.target)
	switch o.kind {
	case "POST /Users", "POST /Groups":
		return o.kind[5:]
	case "add", "remove", "choose", "DELETE /Groups":
		return "/Groups/" + id
	}
	return "/Users/" + id
}

func (o randomOp) data(name func(int) (string, bool)) string {
	var list []string
	for _, m := range o.members {
		if id, ok := name(m); ok {
			list = append(list, id)
		}
	}
	manager, _ := name(o.manager)
	switch o.kind {
	case "POST /Users":
		if manager == "" {
			return person(o.name)
		}
		return person(o.name, boss(manager))
	case "PUT /Users":
		return person(o.name)
	case "POST /Groups":
		return team(o.name, list...)
	case "PATCH title":
		return patch(fmt.Sprintf(`{"op":"replace","path":"title","value":%q}`, o.name))
	case "PATCH userName":
		return patch(fmt.Sprintf(`{"op":"replace","value":{"userName":%q}}`, o.name))
	case "PATCH manager":
		return patch(fmt.Sprintf(`{"op":"replace","path":"%s:manager","value":{"value":%q}}`, enterprise, manager))
	case "add":
		return patch(fmt.Sprintf(`{"op":"add","path":"members","value":%s}`, memberList(list)))
	case "remove":
		return patch(fmt.Sprintf(`{"op":"remove","path":"members[value eq \"%s\"]"}`, strings.Join(list, `\" or value eq \"`)))
	}
	if o.kind == "choose" { // by who is there: refused if nobody is
		return patch(fmt.Sprintf(`{"op":"replace","path":"members[not (type eq \"Group\")]","value":%s}`, memberList(list)))
	}
	return ""
}

// memberList is what team has as its members.
func memberList(ids []string) string {
	_, list, _ := strings.Cut(team("", ids...), `"members":`)
	return strings.TrimSuffix(list, "}")
}

func (o randomOp) method() string {
	switch m, _, _ := strings.Cut(o.kind, " "); m {
	case "add", "remove", "choose":
		return "PATCH"
	default:
		return m
	}
}

const there = 4 // users before the request, and half as many groups

func randomOps(t *rapid.T) []randomOp {
	kinds := []string{"POST /Users", "POST /Users", "POST /Users", "POST /Groups", "PUT /Users", "PATCH title", "PATCH userName", "PATCH manager", "DELETE /Users", "DELETE /Groups", "add", "remove", "choose"}
	ops := make([]randomOp, rapid.IntRange(1, 14).Draw(t, "operations"))
	places := map[string][]int{"user": {0, 1, 2, 3}, "group": {there, there + 1}}
	for i := range ops {
		ops[i].kind = rapid.SampledFrom(kinds).Draw(t, "kind")
		switch ops[i].kind {
		case "POST /Users":
			places["user"] = append(places["user"], -1-i, -1-i)
		case "POST /Groups":
			places["group"] = append(places["group"], -1-i, -1-i)
		}
	}
	for i := range ops {
		o := &ops[i]
		o.target, o.manager = nobody, nobody
		some := func(of string) int { return rapid.SampledFrom(places[of]).Draw(t, of) }
		o.name = fmt.Sprintf("n%d", rapid.IntRange(0, 7).Draw(t, "name"))
		switch o.kind {
		case "POST /Users":
			if rapid.Bool().Draw(t, "has a manager") {
				o.manager = some("user")
			}
			continue
		case "PATCH manager":
			o.manager = some("user")
		case "choose":
			o.members = append(o.members, some("user"))
		case "POST /Groups", "add", "remove":
			for range rapid.IntRange(1, 3).Draw(t, "members") {
				o.members = append(o.members, some("user"))
			}
		}
		switch o.kind {
		case "add", "remove", "choose", "DELETE /Groups":
			o.target = some("group")
		case "POST /Groups":
		default:
			o.target = some("user")
		}
	}
	return ops
}

// stage is a world with what was there before the request.
func stage(t testing.TB) (*world, []string) {
	w := newWorld(t)
	var ids []string
	for i := range there {
		ids = append(ids, w.user(fmt.Sprintf("n%d", i)))
	}
	return w, append(ids, w.group("n0", ids[0], ids[1]), w.group("n1", ids[1], ids[2]))
}

// oneByOne does by single requests, each after what it refers to, what a bulk
// request of the operations says.
type oneByOne struct {
	w       *world
	ops     []randomOp
	before  []string
	state   []int // 1: begun, 2: done
	status  []int
	id      []string
	waiting map[int][]int
	late    [][]int
}

func (m *oneByOne) name(i int) (string, bool) {
	switch {
	case i == nobody:
		return "", false
	case i >= 0:
		return m.before[i], true
	}
	return m.id[-1-i], m.id[-1-i] != ""
}

func (m *oneByOne) do(i int) {
	o := m.ops[i]
	m.state[i] = 1
	missing := false
	for _, j := range o.refers() {
		if m.state[j] == 0 {
			m.do(j)
		}
		if m.state[j] == 1 {
			m.late[i] = append(m.late[i], j)
			m.waiting[j] = append(m.waiting[j], i)
		} else if m.id[j] == "" {
			missing = true
		}
	}
	if missing {
		m.status[i] = 409
	} else {
		// Who is not there yet has no name, and is left out.
		a := m.w.do(o.method(), o.path(m.name), o.data(m.name))
		m.status[i] = a.status
		if a.status == 201 {
			m.id[i] = a.text("id")
		}
	}
	m.state[i] = 2
	for _, late := range m.waiting[i] {
		m.late[late] = m.late[late][1:]
		if len(m.late[late]) > 0 || m.id[late] == "" {
			continue
		}
		if m.id[i] == "" { // users have one manager, and groups wait for nobody
			m.status[late] = 409
			continue
		}
		mend := randomOp{kind: "PATCH manager", target: -1 - late, manager: m.ops[late].manager}
		if a := m.w.do("PATCH", mend.path(m.name), mend.data(m.name)); a.status >= 400 {
			m.status[late] = a.status
		}
	}
}

// storedIn is everything that is stored, with ids replaced by what they mean.
func storedIn(w *world, before, created []string) string {
	var names []string
	for i, id := range before {
		names = append(names, id, "before"+strconv.Itoa(i))
	}
	for i, id := range created {
		if id != "" {
			names = append(names, id, "created"+strconv.Itoa(i))
		}
	}
	var lines []string
	for _, endpoint := range []string{"/Users", "/Groups"} {
		for _, r := range w.get(endpoint + "?count=500").want(200).at("Resources").Elements() {
			members := []string{}
			for _, m := range texts(r.Get("members")) {
				members = append(members, strings.NewReplacer(names...).Replace(m))
			}
			slices.Sort(members)
			lines = append(lines, fmt.Sprint(r.Get("id").Text(), " ", r.Get("userName").Text(), r.Get("displayName").Text(), " ", r.Get("title").Text(), " ", r.At(enterprise, "manager", "value").Text(), " ", members))
		}
	}
	for i := range lines {
		lines[i] = strings.NewReplacer(names...).Replace(lines[i])
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// drawn lets a world fail one draw rather than the test around it.
type drawn struct {
	testing.TB
	t *rapid.T
}

func (d drawn) Error(args ...any)                 { d.t.Error(args...) }
func (d drawn) Errorf(format string, args ...any) { d.t.Errorf(format, args...) }
func (d drawn) Fatal(args ...any)                 { d.t.Fatal(args...) }
func (d drawn) Fatalf(format string, args ...any) { d.t.Fatalf(format, args...) }

// A bulk request, much of it side by side, ends as its operations do one by one.
func TestBulkIsItsOperationsOneByOne(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		ops := randomOps(t)
		tb := drawn{outer, t}
		single, before := stage(tb)
		m := &oneByOne{w: single, ops: ops, before: before, state: make([]int, len(ops)), status: make([]int, len(ops)), id: make([]string, len(ops)), waiting: map[int][]int{}, late: make([][]int, len(ops))}
		for i := range ops {
			if m.state[i] == 0 {
				m.do(i)
			}
		}

		whole, beforeWhole := stage(tb)
		name := func(i int) (string, bool) {
			switch {
			case i == nobody:
				return "", false
			case i >= 0:
				return beforeWhole[i], true
			}
			return "bulkId:op" + strconv.Itoa(-1-i), true
		}
		var texts []string
		for i, o := range ops {
			op := value.Obj(value.M("method", value.Str(o.method())), value.M("path", value.Str(o.path(name))))
			if o.method() == "POST" {
				op.Set("bulkId", value.Str("op"+strconv.Itoa(i)))
			}
			text := string(op.Append(nil))
			if d := o.data(name); d != "" {
				text = text[:len(text)-1] + `,"data":` + d + "}"
			}
			texts = append(texts, text)
		}
		r := whole.bulk(bulkOf(texts...))
		created := make([]string, len(ops))
		for i, o := range ops {
			if got := r.ops[i].Get("status").Text(); got != strconv.Itoa(m.status[i]) {
				t.Fatalf("operation %d, %s, ends with %s and alone with %d; %s", i, texts[i], got, m.status[i], r.detail(i))
			}
			if location := r.ops[i].Get("location").Text(); o.method() == "POST" && location != "" {
				created[i] = r.id(i)
			}
		}
		if got, want := storedIn(whole, beforeWhole, created), storedIn(single, before, m.id); got != want {
			t.Fatalf("after\n%s\nthere is\n%s\nand after its operations one by one\n%s", strings.Join(texts, "\n"), got, want)
		}
	})
}

// What there is no time for is not begun, and says so; what was begun is told of.
func TestBulkRunsOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			of     time.Duration // the request's own time; 0: it has none
			did    int           // eight at once, a second each
			failOn int
		}{
			"by itself":             {0, 8 * 24, 0},
			"before the function":   {11 * time.Second, 8 * 9, 0},
			"one after the other":   {11 * time.Second, 9, 5},
			"without any to begin":  {2 * time.Second, 0, 0},
			"later than it matters": {time.Hour, 8 * 24, 0},
		} {
			w := newWorld(t)
			w.get("/Users") // the credential is known
			w.table.breaks(func(op string) error {
				if op == "commit" {
					time.Sleep(time.Second - time.Millisecond)
				}
				return nil
			})
			var ops []string
			for i := range 250 {
				ops = append(ops, post("/Users", strconv.Itoa(i), person(fmt.Sprintf("u%d@example.com", i))))
			}
			ops = append(ops, post("/Groups", "g", team("Last", "bulkId:249")))
			body := bulkOf(ops...)
			if c.failOn > 0 {
				body = stopping(c.failOn, ops...)
			}
			start := time.Now()
			a := w.within(c.of, "POST", "/Bulk", body)
			if took := time.Since(start); took > 25*time.Second || c.of > 0 && took > c.of-time.Second {
				t.Errorf("%s: the answer took %v of %v", name, took, c.of)
			}
			r := results{a, a.want(200).at("Operations").Elements()}
			want := slices.Repeat([]int{503}, len(ops))
			if c.failOn > 0 {
				want = want[:c.did+c.failOn]
			}
			for i := range c.did {
				want[i] = 201
			}
			r.statuses(want...)
			for i := c.did; i < len(want); i++ {
				r.says(i, "", "no time left")
			}
			w.table.breaks(nil)
			w.get("/Users?count=0").is("totalResults", strconv.Itoa(c.did))
			if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("%s: the log has errors for what was not begun: %.500s", name, log)
			}
		}
	})
}
