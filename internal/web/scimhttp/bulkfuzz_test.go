package scimhttp_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/scim/value"
	"gatehouse/internal/table/ledger"
	"gatehouse/internal/web/scimhttp"
)

// Whatever is sent, it is refused or answered operation by operation, in order,
// and nothing of it is a failure of ours.
func FuzzBulk(f *testing.F) {
	for _, name := range []string{"rfc7644-3.7.1-bulk_request-circular_conflict.json", "rfc7644-3.7.2-bulk_request-enterprise_user.json", "rfc7644-3.7.2-bulk_request-temporary_identifier.json", "rfc7644-3.7.3-bulk_request-multiple_operations.json"} {
		f.Add(sample(f, name))
	}
	f.Add(bulkOf(post("/Users", "a", person("a@example.com", boss("bulkId:b"))), post("/Users", "b", person("b@example.com", boss("bulkId:a"))), drop("/Users/bulkId:a")))
	f.Add(bulkOf(change("/Groups/bulkId:x", `{"op":"remove","path":"members[value eq \"bulkId:\\\"\" or value eq \"bulkId:x\"]"}`), put("Users/%41?attributes=id", person("c@example.com"))))
	f.Add(stopping(2, post("/Users", "self", person("d@example.com", boss("bulkId:self"))), `7`, `{}`, post("/Groups", "g", team("g", "bulkId:self", "bulkId:nobody"))))
	f.Fuzz(func(t *testing.T, body string) {
		w := newWorld(t)
		a := w.do("POST", "/Bulk", body)
		if a.status >= 500 {
			t.Fatalf("%q = %d %s", body, a.status, a.body)
		}
		if a.status != 200 {
			return
		}
		sent, err := value.Parse([]byte(body))
		if err != nil {
			t.Fatalf("%q is taken and is no JSON", body)
		}
		ops, told := sent.Get("Operations").Elements(), a.at("Operations").Elements()
		if n := sent.Get("failOnErrors"); n.IsNothing() && len(told) != len(ops) {
			t.Fatalf("%q has %d operations, and %d are told of", body, len(ops), len(told))
		}
		for _, o := range told {
			n, err := strconv.Atoi(o.Get("status").Text())
			if err != nil || n < 200 || n >= 500 && n != 501 || (n >= 400) != (o.Get("response").Kind() == value.Object) {
				t.Fatalf("%q: an operation ends with %s", body, o.Append(nil))
			}
			// Those that are not told of are left out, and the rest keeps its order.
			at := slices.IndexFunc(ops, func(sent value.Value) bool { return sent.Get("bulkId").Text() == o.Get("bulkId").Text() })
			if at < 0 {
				t.Fatalf("%q: %s is told of out of its place", body, o.Append(nil))
			}
			ops = ops[at+1:]
			if n == 201 {
				path := strings.TrimPrefix(o.Get("location").Text(), outside+scimhttp.Prefix)
				if got := w.get(path).status; got != 200 && !strings.Contains(body, "DELETE") {
					t.Fatalf("%q: %s was created and answers %d", body, path, got)
				}
			}
		}
	})
}

// A path whose ids nobody replaces stays as it is, and of one with a reference
// nothing but the reference changes.
func FuzzBulkPath(f *testing.F) {
	for _, s := range []string{`members`, `members[value eq "bulkId:x"]`, `a["\"" eq "x\\"]`, `"`, `"\`, `"\"`, `""""`, `members[value eq "x" or value eq "y"]`, "\"\xff\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if got := scimhttp.RewritePath(path, func(s string) string { return s }); got != path {
			t.Fatalf("%q becomes %q with nothing to replace", path, got)
		}
		whole := path + `[value eq "bulkId:x"]`
		got := scimhttp.RewritePath(whole, func(s string) string { return strings.ReplaceAll(s, "bulkId:x", "ID") })
		if strings.Count(path, `"`)%2 == 0 && !strings.ContainsAny(path, `\`) && got != scimhttp.RewritePath(path, func(s string) string { return strings.ReplaceAll(s, "bulkId:x", "ID") })+`[value eq "ID"]` {
			t.Fatalf("%q becomes %q", whole, got)
		}
	})
}

// Creating in bulk costs what creating costs.
func TestBulkCapacity(t *testing.T) {
	const n = 100
	cost := func(do func(w *world)) ledger.Report {
		w := newWorld(t)
		l := ledger.New(w.table.Table)
		w.table.Table = l
		w.get("/Users?count=0").want(200) // the credential is known
		l.Reset()
		do(w)
		return l.Snapshot()
	}
	single := cost(func(w *world) {
		for i := range n {
			w.do("POST", "/Users", usual(i)).want(201)
		}
	})
	whole := cost(func(w *world) {
		var ops []string
		for i := range n {
			ops = append(ops, post("/Users", strconv.Itoa(i), usual(i)))
		}
		w.bulk(bulkOf(ops...)).statuses(slices.Repeat([]int{201}, n)...)
	})
	if whole.Write != single.Write || whole.Read != single.Read {
		t.Errorf("%d creates in bulk take %d write and %d read units, one by one %d and %d", n, whole.Write, whole.Read, single.Write, single.Read)
	}
}

// Bulk requests that meet lose nothing.
func TestBulkSideBySide(t *testing.T) {
	w := newWorld(t)
	g := w.group("Engines")
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			var ops []string
			for k := range 20 {
				id := fmt.Sprintf("%d-%d", i, k)
				ops = append(ops, post("/Users", id, person(id+"@example.com")),
					change("/Groups/"+g, `{"op":"add","path":"members","value":[{"value":"bulkId:`+id+`"}]}`),
					post("/Users", "same"+id, person(fmt.Sprintf("same%d@example.com", k))))
			}
			for k, o := range w.bulk(bulkOf(ops...)).ops {
				if s := o.Get("status").Text(); k%3 == 0 && s != "201" || k%3 == 1 && s != "204" || s != "201" && s != "204" && s != "409" {
					t.Errorf("operation %d = %s", k, o.Append(nil))
				}
			}
		})
	}
	all.Wait()
	if got := len(w.members(g)); got != 120 {
		t.Errorf("the group has %d members, want 120", got)
	}
	w.get("/Users?count=0").is("totalResults", "140")
}

// What a megabyte can be made of costs no more than reading it: no list of a
// request is walked for each entry of another.
func TestBulkHostileShapes(t *testing.T) {
	repeat := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	var names strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&names, `,"a%d":1`, i)
	}
	circle := func(extra string) string {
		return bulkOf(post("/Users", "a", person("a@example.com", boss("bulkId:b"))), post("/Users", "b", person("b@example.com", boss("bulkId:a")+extra)))
	}
	var forward []string
	for i := range 999 {
		forward = append(forward, post("/Users", strconv.Itoa(i), person(fmt.Sprintf("u%d@example.com", i), boss("bulkId:"+strconv.Itoa(i+1)))))
	}
	long := strings.Repeat("x", 100_000)
	for name, body := range map[string]string{
		"mentions of what is deleted":  bulkOf(put("/Users/y", `{"userName":"y","x":[`+repeat(`"x"`, 90_000)+`]}`), repeat(drop("/Users/x"), 900)),
		"unknown references":           bulkOf(post("/Users", "a", `{"x":[`+unknowns(40_000)+`]}`)),
		"many attributes in a circle":  circle(names.String()),
		"many attributes in a PATCH":   bulkOf(`{"method":"PATCH","path":"/Users/x","data":` + patch(`{"op":"add","value":{"b":1`+names.String()+`}}`) + `}`),
		"quotes in a path":             bulkOf(change("/Users/x", `{"op":"remove","path":"`+strings.Repeat(`\"bulkId:a\"`, 60_000)+`"}`)),
		"deletes and then creates":     bulkOf(repeat(drop("/Users/x"), 500), strings.Join(forward[:499], ",")),
		"changes of names":             bulkOf(repeat(change("/Users/x", `{"op":"add","path":"userName","value":"x"}`), 1000)),
		"a chain of what comes later":  bulkOf(append(forward, post("/Users", "999", person("last@example.com")))...),
		"a bulkId of 100 KB, wanted":   bulkOf(post("/Users", long, `{}`), repeat(change("/Users/bulkId:"+long, `{"op":"remove","path":"title"}`), 5)),
		"one circle of a thousand":     bulkOf(append(forward, post("/Users", "999", person("last@example.com", boss("bulkId:0"))))...),
		"operations inside operations": bulkOf(post("/Bulk", "a", bulkOf(post("/Bulk", "b", bulkOf())))),
	} {
		w := newWorld(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		a := w.do("POST", "/Bulk", body)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		// Memory tells of work on a busy machine too; the time is for loops that
		// take none.
		memory := int(after.TotalAlloc-before.TotalAlloc) >> 20
		if a.status != 200 || memory > 256 || took > 30*time.Second || len(a.body) > 1<<20 {
			t.Errorf("%s = %d after %v and %d MB with %d bytes %.300s", name, a.status, took, memory, len(a.body), a.body)
		} else {
			t.Logf("%-30s %4d KB %v %d MB", name, len(body)>>10, took, memory)
		}
	}
}

// unknowns are n references to nothing.
func unknowns(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"bulkId:%d"`, i)
	}
	return strings.Join(list, ",")
}
