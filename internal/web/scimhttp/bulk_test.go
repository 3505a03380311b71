package scimhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/scim/value"
	"gatehouse/internal/web/scimhttp"
)

const (
	bulkURN     = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkDoneURN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
)

// bulkOf is the body of a bulk request.
func bulkOf(ops ...string) string {
	return fmt.Sprintf(`{"schemas":[%q],"Operations":[%s]}`, bulkURN, strings.Join(ops, ","))
}

// stopping is bulkOf with failOnErrors.
func stopping(after int, ops ...string) string {
	return strings.Replace(bulkOf(ops...), "{", fmt.Sprintf(`{"failOnErrors":%d,`, after), 1)
}

// post, put, change and drop are operations.
func post(path, bulkID, data string) string {
	return fmt.Sprintf(`{"method":"POST","path":%q,"bulkId":%q,"data":%s}`, path, bulkID, data)
}
func put(path, data string) string {
	return fmt.Sprintf(`{"method":"PUT","path":%q,"data":%s}`, path, data)
}
func change(path string, ops ...string) string {
	return fmt.Sprintf(`{"method":"PATCH","path":%q,"data":%s}`, path, patch(ops...))
}
func drop(path string) string { return fmt.Sprintf(`{"method":"DELETE","path":%q}`, path) }

// boss is an enterprise extension with a manager.
func boss(id string) string { return fmt.Sprintf(`%q:{"manager":{"value":%q}}`, enterprise, id) }

// bulk makes the request and checks what holds for every answer.
func (w *world) bulk(body string, headers ...string) results {
	w.Helper()
	a := w.do("POST", "/Bulk", body, headers...).want(200).is("schemas", `["`+bulkDoneURN+`"]`)
	r := results{a, a.at("Operations").Elements()}
	for i, o := range r.ops {
		status := o.Get("status")
		n, err := strconv.Atoi(status.Text())
		if status.Kind() != value.String || err != nil || n < 200 || n > 599 {
			w.Errorf("operation %d has the status %s, want a string of three digits", i, status.Append(nil))
		}
		e := o.Get("response")
		if failed := n >= 400; failed != (e.Kind() == value.Object) || failed && (e.Get("status").Text() != status.Text() || e.Get("detail").Text() == "" || e.Get("schemas").Elements()[0].Text() != errorURN) {
			w.Errorf("operation %d = %s, want a SCIM error as its response where it failed and none otherwise", i, o.Append(nil))
		}
	}
	return r
}

// results are what a bulk request answers.
type results struct {
	answer
	ops []value.Value
}

// statuses fails the test unless those are the operations' statuses.
func (r results) statuses(want ...int) results {
	r.Helper()
	var got []int
	for _, o := range r.ops {
		n, _ := strconv.Atoi(o.Get("status").Text())
		got = append(got, n)
	}
	if !slices.Equal(got, want) {
		r.Fatalf("the operations end with %v, want %v: %.3000s", got, want, r.body)
	}
	return r
}

// id is that of the resource at the location of the i-th operation.
func (r results) id(i int) string {
	r.Helper()
	location := r.ops[i].Get("location").Text()
	if !strings.HasPrefix(location, outside+scimhttp.Prefix+"/") {
		r.Fatalf("operation %d has the location %q", i, location)
	}
	return location[strings.LastIndexByte(location, '/')+1:]
}

func (r results) detail(i int) string { return r.ops[i].At("response", "detail").Text() }

// says fails the test unless the i-th operation's error is of the type and its
// detail holds the words.
func (r results) says(i int, scimType, words string) results {
	r.Helper()
	if got := r.ops[i].At("response", "scimType").Text(); got != scimType {
		r.Errorf("operation %d has scimType %q, want %q: %s", i, got, scimType, r.detail(i))
	}
	if !strings.Contains(r.detail(i), words) {
		r.Errorf("operation %d says %q, want it to say %q", i, r.detail(i), words)
	}
	return r
}

func (w *world) managerOf(id string) string {
	w.Helper()
	return w.get("/Users/"+id).want(200).tree.At(enterprise, "manager", "value").Text()
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The RFC's own examples do what it says of them.
func TestBulkExamplesOfTheRFC(t *testing.T) {
	t.Run("temporary identifier", func(t *testing.T) {
		w := newWorld(t, "strict")
		r := w.bulk(sample(t, "rfc7644-3.7.2-bulk_request-temporary_identifier.json")).statuses(201, 201)
		for i, bulkID := range []string{"qwerty", "ytrewq"} {
			path := []string{"/Users/", "/Groups/"}[i] + r.id(i)
			stored := w.get(path).want(200)
			for name, want := range map[string]string{"method": "POST", "bulkId": bulkID, "version": stored.header.Get("ETag"), "location": stored.text("meta.location")} {
				if got := r.ops[i].Get(name).Text(); got != want && !(name == "version" && i == 0) {
					t.Errorf("operation %d has %s %q, want %q", i, name, got, want)
				}
			}
		}
		w.get("/Groups/"+r.id(1)).is("displayName", `"Tour Guides"`).is("members.0.value", `"`+r.id(0)+`"`)
	})
	t.Run("enterprise user", func(t *testing.T) {
		w := newWorld(t, "strict")
		r := w.bulk(sample(t, "rfc7644-3.7.2-bulk_request-enterprise_user.json")).statuses(201, 201)
		if got := w.managerOf(r.id(1)); got != r.id(0) {
			t.Errorf("the manager is %q, want %q", got, r.id(0))
		}
	})
	t.Run("circular reference", func(t *testing.T) {
		w := newWorld(t)
		outer := w.group("Outer")
		nests := w.do("POST", "/Groups", team("Inner", outer)).status == 201
		r := w.bulk(sample(t, "rfc7644-3.7.1-bulk_request-circular_conflict.json"))
		if !nests { // the references cannot be kept, and that is said
			r.statuses(400, 409).says(1, "", "was created")
			w.get("/Groups/"+r.id(1)).is("displayName", `"Group B"`).lacks("members")
			return
		}
		r.statuses(201, 201)
		a, b := r.id(0), r.id(1)
		w.get("/Groups/"+a).is("members.0.value", `"`+b+`"`).is("meta.version", string(value.Str(r.ops[0].Get("version").Text()).Append(nil)))
		w.get("/Groups/"+b).is("members.0.value", `"`+a+`"`)
	})
	t.Run("multiple operations", func(t *testing.T) {
		text := sample(t, "rfc7644-3.7.3-bulk_request-multiple_operations.json")
		w := newWorld(t)
		w.bulk(text).statuses(201, 404) // stops at the first error
		w = newWorld(t)
		r := w.bulk(strings.Replace(text, `"failOnErrors": 1`, `"failOnErrors": 9`, 1)).statuses(201, 404, 404, 404)
		for i, id := range []string{"", "b7c14771-226c-4d05-8860-134711653041", "5d8d29d3-342c-4b5f-8683-a3cb6763ffcc", "e9025315-6bea-44e1-899c-1e07454e468b"} {
			if id != "" && r.id(i) != id {
				t.Errorf("operation %d has the location of %q, want %q", i, r.id(i), id)
			}
		}
		// With resources that are there, each method does what it says.
		w = newWorld(t)
		b, d, e := w.user("b@example.com"), w.user("d@example.com", `"nickName":"Dee"`), w.user("e@example.com")
		tag := func(id string) string { return string(value.Str(w.get("/Users/" + id).header.Get("ETag")).Append(nil)) }
		text = strings.NewReplacer("b7c14771-226c-4d05-8860-134711653041", b, "5d8d29d3-342c-4b5f-8683-a3cb6763ffcc", d, "e9025315-6bea-44e1-899c-1e07454e468b", e,
			`"W\\/\"3694e05e9dff591\""`, tag(b), `"W/\"edac3253e2c0ef2\""`, tag(d), `"W\\/\"0ee8add0a938e1a\""`, tag(e)).Replace(text)
		r = w.bulk(text).statuses(201, 200, 200, 204)
		w.get("/Users/"+b).is("userName", `"Bob"`).is("meta.version", string(value.Str(r.ops[1].Get("version").Text()).Append(nil)))
		w.get("/Users/"+d).is("userName", `"Dave"`).lacks("nickName")
		w.get("/Users/" + e).want(404)
		if v := r.ops[3].Get("version"); v.Kind() != value.Absent {
			t.Errorf("a deleted resource has the version %s", v.Append(nil))
		}
		w.bulk(text).statuses(409) // the user is there already, and one error was accepted
	})
	t.Run("payload too large", func(t *testing.T) {
		want, err := value.Parse([]byte(sample(t, "rfc7644-3.7.4-error-payload_too_large.json")))
		if err != nil {
			t.Fatal(err)
		}
		if got := newWorld(t).do("POST", "/Bulk", strings.Repeat(" ", 1<<20+1)).refused(413, ""); !value.Equal(got.tree, want) {
			t.Errorf("the answer is %s, want %s", got.body, want.Append(nil))
		}
	})
}

func TestBulkRefusedAsAWhole(t *testing.T) {
	ada := post("/Users", "a", person("ada@example.com"))
	many := make([]string, 1001)
	for i := range many {
		many[i] = drop("/Users/x")
	}
	for name, c := range map[string]struct {
		body, dialect  string
		status         int
		scimType, says string
	}{
		"no schemas, strict":        {strings.Replace(bulkOf(ada), bulkURN, patchURN, 1), "strict", 400, "invalidSyntax", bulkURN},
		"no schemas, interop":       {`{"Operations":[` + ada + `]}`, "interop", 400, "invalidSyntax", bulkURN},
		"no operations":             {`{"schemas":["` + bulkURN + `"]}`, "", 400, "invalidSyntax", "Operations"},
		"operations are no list":    {`{"schemas":["` + bulkURN + `"],"Operations":` + ada + `}`, "", 400, "invalidSyntax", "Operations"},
		"an empty list, strict":     {bulkOf(), "strict", 400, "invalidSyntax", "no operation"},
		"failOnErrors as a word":    {strings.Replace(stopping(1, ada), "1", `"many"`, 1), "", 400, "invalidValue", "failOnErrors"},
		"failOnErrors as a text":    {strings.Replace(stopping(1, ada), "1", `"1"`, 1), "strict", 400, "invalidValue", "failOnErrors"},
		"failOnErrors as a part":    {strings.Replace(stopping(1, ada), "1", `1.5`, 1), "", 400, "invalidValue", "failOnErrors"},
		"failOnErrors below zero":   {stopping(-1, ada), "", 400, "invalidValue", "failOnErrors"},
		"failOnErrors as a boolean": {strings.Replace(stopping(1, ada), "1", `true`, 1), "", 400, "invalidValue", "failOnErrors"},
		"1,001 operations":          {bulkOf(many...), "", 413, "", "maxOperations (1000)"},
		"no JSON":                   {"{", "", 400, "invalidSyntax", ""},
		"an array":                  {"[" + ada + "]", "", 400, "invalidSyntax", ""},
	} {
		w := newWorld(t, c.dialect)
		a := w.do("POST", "/Bulk", c.body)
		if a.status != c.status {
			t.Errorf("%s = %d %.300s, want %d", name, a.status, a.body, c.status)
			continue
		}
		a.refused(c.status, c.scimType)
		if !strings.Contains(a.text("detail"), c.says) {
			t.Errorf("%s says %q, want it to say %q", name, a.text("detail"), c.says)
		}
		w.get("/Users").list()
	}
	w := newWorld(t)
	w.bulk(bulkOf(many[1:]...)).statuses(slices.Repeat([]int{404}, 1000)...)
	w.bulk(bulkOf()).statuses() // Entra's validator sends PATCHes without any
	w.bulk(`{"Operations":[` + ada + `],"failOnErrors":"3"}`).statuses(201)
	w.do("POST", "/Bulk", bulkOf(ada), "Content-Type", "text/plain").refused(415, "")
	w.do("POST", "/Bulk", bulkOf(ada), "Authorization", "").refused(401, "")
	if log := w.log.String(); !strings.Contains(log, `"missingSchema":1`) || !strings.Contains(log, `"noOperations":1`) || !strings.Contains(log, `"stringNumber":1`) {
		t.Errorf("what the tolerant dialect passed over is not counted: %s", log)
	}
}

// What is wrong with one operation is that one's error, and the rest is done.
func TestBulkOperationsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	type broken struct {
		op, scimType, says string
		status             int
	}
	all := []broken{
		{`7`, "invalidSyntax", "object", 400},
		{`{}`, "invalidSyntax", "method", 400},
		{`{"method":"GET","path":"/Users/` + ada + `"}`, "invalidSyntax", "method", 400},
		{`{"method":7,"path":"/Users"}`, "invalidSyntax", "`method`", 400},
		{`{"method":"POST","path":"/Users","data":` + person("x@example.com") + `}`, "invalidSyntax", "bulkId", 400},
		{`{"method":"POST","path":"/Users","bulkId":"","data":` + person("x@example.com") + `}`, "invalidSyntax", "bulkId", 400},
		{`{"method":"POST","path":"/Users","bulkId":3,"data":` + person("x@example.com") + `}`, "invalidSyntax", "bulkId", 400},
		{`{"method":"POST","path":"/Users","bulkId":"n1"}`, "invalidSyntax", "`data`", 400},
		{post("/Users", "n2", `[]`), "invalidSyntax", "`data`", 400},
		{post("/Users/"+ada, "n3", person("x@example.com")), "invalidSyntax", "path", 400},
		{post("/Users/.search", "n4", `{}`), "invalidSyntax", "path", 400},
		{post("/Bulk", "n5", bulkOf()), "invalidSyntax", "bulk", 400},
		{post("/Nothing", "n6", `{}`), "", "nothing", 404},
		{post("/Schemas", "n7", `{}`), "", "allowed", 405},
		{post("/Me", "n8", person("x@example.com")), "", "/Me", 501},
		{drop("/Me"), "", "/Me", 501},
		{drop("/Users"), "invalidSyntax", "path", 400},
		{drop("/Users//"), "", "nothing", 404},
		{drop("/Users/%zz"), "invalidSyntax", "percent", 400},
		{drop("/Users/" + ada + "/emails"), "", "nothing", 404},
		{drop("/ServiceProviderConfig/x"), "", "allowed", 405},
		{`{"method":"DELETE"}`, "invalidSyntax", "path", 400},
		{`{"method":"DELETE","path":"/Users/` + ada + `","version":7}`, "invalidSyntax", "version", 400},
		{`{"method":"PUT","path":"/Users/` + ada + `"}`, "invalidSyntax", "`data`", 400},
		{`{"method":"PATCH","path":"/Users/` + ada + `","data":{}}`, "invalidSyntax", "schemas", 400},
		{change("/Users/"+ada, `{"op":"add","path":"userName","value":7}`, `{"op":"bad"}`), "invalidSyntax", "Operation 2", 400},
		{change("/Users/"+w.nobody(), `{"op":"add","path":"title","value":"x"}`), "", "no such user", 404},
		{post("/Users", "n9", person("ada@example.com")), "uniqueness", "userName", 409},
		{post("/Users", "n10", `{"schemas":["`+userURN+`"]}`), "invalidValue", "userName", 400},
		{post("/Users", "n11", person("x@example.com", boss("bulkId:nobody"))), "invalidValue", "nobody", 400},
		{drop("/Users/bulkId:nobody"), "invalidValue", "nobody", 400},
		{change("/Groups/"+w.nobody(), `{"op":"remove","path":"members[value eq \"bulkId:nobody\"]"}`), "invalidValue", "nobody", 400},
	}
	var ops []string
	var want []int
	for i, b := range all {
		ops = append(ops, b.op, post("/Users", "good"+strconv.Itoa(i), person(fmt.Sprintf("good%d@example.com", i))))
		want = append(want, b.status, 201)
	}
	r := w.bulk(bulkOf(ops...)).statuses(want...)
	for i, b := range all {
		r.says(2*i, b.scimType, b.says)
		// A location is told of all but a failed POST.
		o := r.ops[2*i]
		named := strings.Contains(b.op, `"path"`) && !strings.Contains(b.op, `"POST"`)
		if has := o.Get("location").Kind() != value.Absent; has != named {
			t.Errorf("%s = %s, want a location for all that has one", b.op, o.Append(nil))
		}
	}
	w.get("/Users?count=0").is("totalResults", strconv.Itoa(1+len(all)))

	// A bulkId twice stands for neither.
	r = w.bulk(bulkOf(post("/Users", "same", person("same@example.com")), post("/Groups", "same", team("Same")), post("/Groups", "refers", team("Refers", "bulkId:same")),
		post("/Users", "same", person("third@example.com")), post("/Users", "other", person("other@example.com")))).statuses(400, 400, 409, 400, 201)
	for _, i := range []int{0, 1, 3} {
		r.says(i, "invalidValue", `"same"`)
	}
	r.says(2, "", `"same"`)
}

func TestBulkReferences(t *testing.T) {
	w := newWorld(t)
	cy := w.user("cy@example.com")
	old := w.group("Old", cy)
	r := w.bulk(bulkOf(
		// Forward, in data, in the path of the operation, in that of a PATCH, in a $ref.
		post("/Groups", "g", fmt.Sprintf(`{"schemas":[%q],"displayName":"Engines","members":[{"value":"bulkId:a","$ref":"https://x.example/v2/Users/bulkId:a"},{"value":%q}]}`, groupURN, cy)),
		change("/Groups/"+old, `{"op":"add","path":"members","value":[{"value":"bulkId:a"},{"value":"bulkId:b"}]}`),
		change("/Groups/"+old, `{"op":"remove","path":"members[value eq \"bulkId:b\" or value eq \"`+cy+`\"]"}`),
		change("/Users/bulkId:b", `{"op":"add","path":"title","value":"Engineer"}`),
		change("/Users/"+cy, `{"op":"add","path":"`+enterprise+`:manager","value":"bulkId:b"}`, `{"op":"add","path":"`+enterprise+`:manager.$ref","value":"../Users/bulkId:b"}`),
		post("/Users", "a", person("ada@example.com", boss("bulkId:b"))),
		post("/Users", "b", person("bo@example.com", `"nickName":"see bulkId:a"`)),
		drop("/Users/bulkId:c"),
		post("/Users", "c", person("del@example.com")),
	)).statuses(201, 204, 204, 200, 200, 201, 201, 204, 201)
	g, a, b := r.id(0), r.id(5), r.id(6)
	for group, want := range map[string][]string{g: {a, cy}, old: {a}} {
		slices.Sort(want)
		if got := w.members(group); !slices.Equal(got, want) {
			t.Errorf("the members of %s are %v, want %v", group, got, want)
		}
	}
	if w.managerOf(a) != b || w.managerOf(cy) != b {
		t.Errorf("the managers are %q and %q, want %q", w.managerOf(a), w.managerOf(cy), b)
	}
	w.get("/Users/"+b).is("title", `"Engineer"`).is("nickName", `"see bulkId:a"`)
	w.get("/Users/" + r.id(8)).want(404)
	if r.id(7) != r.id(8) || r.id(3) != b {
		t.Errorf("the locations of what was named by bulkId are %s and %s, want those of %s and %s", r.id(7), r.id(3), r.id(8), b)
	}

	// What fails takes along what needs it, and says so; the rest is done.
	r = w.bulk(bulkOf(
		post("/Users", "x", person("bo@example.com")),
		post("/Groups", "y", team("Needs x", "bulkId:x")),
		change("/Users/bulkId:y", `{"op":"add","path":"title","value":"x"}`),
		post("/Groups", "z", team("Needs a", a)),
	)).statuses(409, 409, 409, 201).says(1, "", `"x"`).says(1, "", "409").says(2, "", `"y"`)
	for i := range 2 {
		if r.ops[i].Get("location").Kind() != value.Absent {
			t.Errorf("a POST that failed has a location: %s", r.ops[i].Append(nil))
		}
	}
	w.find("/Groups", `displayName eq "Needs x"`).list()

	// A bulkId is any text, quotes and slashes too.
	odd := `a"b\/] c`
	quoted := string(value.Str(odd).Append(nil))
	filter := string(value.Str(`members[value eq ` + string(value.Str("bulkId:"+odd).Append(nil)) + `]`).Append(nil))
	w.bulk(bulkOf(
		fmt.Sprintf(`{"method":"POST","path":"/Users","bulkId":%s,"data":%s}`, quoted, person("odd@example.com")),
		post("/Groups", "odd group", strings.Replace(team("Odd", "X"), `"X"`, string(value.Str("bulkId:"+odd).Append(nil)), 1)),
		change("/Groups/bulkId:odd group", `{"op":"remove","path":`+filter+`}`),
	)).statuses(201, 201, 204)
	if id := w.find("/Groups", `displayName eq "Odd"`).ids()[0]; len(w.members(id)) != 0 {
		t.Errorf("the members are %v, want nobody", w.members(id))
	}
}

// Resources that refer to each other are created and then told of each other.
func TestBulkCircles(t *testing.T) {
	manager := func(w *world, r results, of map[int]int) {
		t.Helper()
		for i, m := range of {
			if got := w.managerOf(r.id(i)); got != r.id(m) {
				t.Errorf("the manager of %d is %q, want %q", i, got, r.id(m))
			}
			if got := w.get("/Users/" + r.id(i)).header.Get("ETag"); got != r.ops[i].Get("version").Text() {
				t.Errorf("the version of %d is told as %q, and is %q", i, r.ops[i].Get("version").Text(), got)
			}
		}
	}
	user := func(bulkID, managers string) string {
		return post("/Users", bulkID, person(bulkID+"@example.com", boss("bulkId:"+managers), `"title":"x"`))
	}
	for _, stop := range []bool{false, true} {
		for _, dialect := range []string{"", "strict", "interop"} {
			form := bulkOf
			if stop {
				form = func(ops ...string) string { return stopping(1, ops...) }
			}
			w := newWorld(t, dialect)
			manager(w, w.bulk(form(user("a", "b"), user("b", "a"))).statuses(201, 201), map[int]int{0: 1, 1: 0})
			manager(w, w.bulk(form(user("self", "self"))).statuses(201), map[int]int{0: 0})
			manager(w, w.bulk(form(user("c", "d"), user("d", "e"), user("e", "c"), user("f", "e"))).statuses(201, 201, 201, 201), map[int]int{0: 1, 1: 2, 2: 0, 3: 2})
			r := w.bulk(form(user("g", "h"), user("h", "g"), change("/Users/bulkId:g", `{"op":"remove","path":"title"}`), drop("/Users/bulkId:h"))).statuses(201, 201, 200, 204)
			w.get("/Users/" + r.id(0)).lacks("title")
			if got := w.managerOf(r.id(0)); got != r.id(1) {
				t.Errorf("the manager is %q, want %q, whoever that was", got, r.id(1))
			}
		}
	}

	// Where one of the circle cannot be, the other is there and says what it lacks.
	for _, form := range []func(...string) string{bulkOf, func(ops ...string) string { return stopping(1, ops...) }} {
		w := newWorld(t)
		w.user("a@example.com")
		r := w.bulk(form(user("a", "b"), user("b", "a"))).statuses(409, 409).says(0, "uniqueness", "userName").says(1, "", "was created").says(1, "", `"a"`)
		w.get("/Users/"+r.id(1)).is("userName", `"b@example.com"`)
		if got := w.managerOf(r.id(1)); got != "" {
			t.Errorf("the manager is %q, want none", got)
		}
		w = newWorld(t)
		w.user("b@example.com")
		w.bulk(bulkOf(user("a", "b"), user("b", "a"))).statuses(409, 409).says(0, "", `"b"`).says(1, "uniqueness", "userName")
		w.find("/Users", `userName eq "a@example.com"`).list()
	}
	// Stopped between the two.
	w := newWorld(t)
	w.user("x@example.com")
	a := post("/Users", "a", person("a@example.com", boss("bulkId:b"), `"displayName":"bulkId:c"`))
	r := w.bulk(stopping(1, a, user("b", "a"), post("/Users", "c", person("x@example.com")))).statuses(409, 409).
		says(0, "", "was created").says(0, "", "was not processed").says(1, "uniqueness", "userName")
	w.get("/Users/"+r.id(0)).is("userName", `"b@example.com"`)
	// Created, and refused when it was to be told of the other.
	w = newWorld(t, "strict")
	r = w.bulk(bulkOf(user("d", "e"), post("/Users", "e", person("e@example.com", `"ims":"bulkId:d"`)))).statuses(201, 400).says(1, "invalidValue", "was created")
	w.get("/Users/"+r.id(1)).is("userName", `"e@example.com"`)
	// What only the server sets is passed over, and so is a reference in it.
	r = w.bulk(bulkOf(post("/Users", "f", person("f@example.com", `"groups":[{"value":"bulkId:g"}]`, `"meta":{"location":"bulkId:nobody"}`)), post("/Groups", "g", team("G", "bulkId:f")))).statuses(201, 201)
	if got := w.members(r.id(1)); !slices.Equal(got, []string{r.id(0)}) {
		t.Errorf("the members are %v, want %s", got, r.id(0))
	}
}

func TestBulkStops(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	bad := change("/Users/"+w.nobody(), `{"op":"add","path":"title","value":"x"}`)
	good := func(n string) string { return post("/Users", n, person(n+"@example.com")) }
	w.bulk(stopping(1, good("a"), bad, good("b"), drop("/Users/"+ada))).statuses(201, 404)
	w.get("/Users/" + ada).want(200)
	w.bulk(stopping(2, bad, good("b"), bad, good("c"), bad)).statuses(404, 201, 404)
	w.bulk(stopping(3, bad, good("c"), bad)).statuses(404, 201, 404)
	w.bulk(stopping(0, bad, bad, bad, good("d"))).statuses(404, 404, 404, 201)
	w.bulk(stopping(1, `7`, good("e"))).statuses(400)
	// What an operation refers to comes before it; what is told keeps the order.
	w.bulk(stopping(1, post("/Groups", "g", team("Forward", "bulkId:e")), good("e"), bad, good("f"))).statuses(201, 201, 404)
	r := w.bulk(stopping(1, post("/Groups", "h", team("Never", "bulkId:late")), bad, post("/Users", "late", person("ada@example.com")), good("f"))).statuses(409)
	if got := r.ops[0].Get("bulkId").Text(); got != "late" {
		t.Errorf("the one operation that is told of is %q, want the one that failed", got)
	}
	w.find("/Users", `userName eq "f@example.com"`).list()
	w.find("/Groups", `displayName eq "Never"`).list()
}

// The outcome is that of one after the other, whatever runs side by side.
func TestBulkKeepsTheOrderThatMatters(t *testing.T) {
	for range 5 {
		w := newWorld(t)
		ada, bo := w.user("ada@example.com"), w.user("bo@example.com")
		g := w.group("Engines")
		// A name is free again after a DELETE, and not before.
		w.bulk(bulkOf(post("/Users", "too early", person("ada@example.com")), drop("/Users/"+ada), post("/Users", "in time", person("ada@example.com")))).statuses(409, 204, 201)
		// Names change hands.
		cy := w.user("cy@example.com")
		r := w.bulk(bulkOf(
			change("/Users/"+bo, `{"op":"replace","path":"userName","value":"dee@example.com"}`),
			put("/Users/"+cy, person("bo@example.com")),
			post("/Users", "c", person("cy@example.com")),
			post("/Users", "again", person("CY@example.com")),
		)).statuses(200, 200, 201, 409)
		// Who is added and then deleted; who is deleted and then added.
		w.bulk(bulkOf(
			change("/Groups/"+g, `{"op":"add","path":"members","value":[{"value":"`+bo+`"}]}`), drop("/Users/"+bo),
			drop("/Users/"+cy), change("/Groups/"+g, `{"op":"add","path":"members","value":[{"value":"`+cy+`"}]}`),
		)).statuses(204, 204, 204, 400)
		if got := w.members(g); len(got) != 0 {
			t.Errorf("the members are %v, want nobody", got)
		}
		// One resource.
		c := r.id(2)
		var titles []string
		for i := range 30 {
			titles = append(titles, change("/Users/"+c, fmt.Sprintf(`{"op":"replace","path":"title","value":"%d"}`, i)))
		}
		w.bulk(bulkOf(titles...)).statuses(slices.Repeat([]int{200}, 30)...)
		w.get("/Users/"+c).is("title", `"29"`)
	}
}

// What depends on who is in a group comes after every DELETE that stands before
// it, and before those behind it, though neither mentions the other.
func TestBulkKeepsTheOrderOfDeletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		versioned := func(w *world, g, op string) string {
			tag := string(value.Str(w.get("/Groups/" + g).header.Get("ETag")).Append(nil))
			return strings.Replace(op, "{", `{"version":`+tag+`,`, 1)
		}
		for name, c := range map[string]struct {
			op            func(w *world, g, other string) string
			before, after int // its status before the DELETE of a member, and after it
		}{
			"a version": {func(w *world, g, _ string) string {
				return versioned(w, g, change("/Groups/"+g, `{"op":"replace","path":"displayName","value":"Crew"}`))
			}, 204, 412},
			"a DELETE with a version": {func(w *world, g, _ string) string {
				return versioned(w, g, drop("/Groups/"+g))
			}, 204, 412},
			"a filter": {func(_ *world, g, other string) string {
				return change("/Groups/"+g, fmt.Sprintf(`{"op":"replace","path":"members[type pr]","value":{"value":%q}}`, other))
			}, 204, 400},
			"how many there are": {func(w *world, g, other string) string {
				w.do("PATCH", "/Groups/"+g, patch(fmt.Sprintf(`{"op":"add","path":"members","value":[{"value":%q}]}`, other))).want(204)
				w.Bound(0, 1, 0)
				return put("/Groups/"+g, fmt.Sprintf(`{"schemas":[%q],"displayName":"Crew"}`, groupURN))
			}, 400, 200},
		} {
			for i := range 16 {
				w := newWorld(t, "strict")
				member := "/Users/" + w.user("ada@example.com")
				if i&1 > 0 {
					member = "/Groups/" + w.group("Inner")
				}
				g := w.group("Team", member[strings.LastIndexByte(member, '/')+1:])
				op := c.op(w, g, w.user("bo@example.com"))
				// One of two that are on their way together is overtaken.
				var commits atomic.Int32
				w.table.breaks(func(op string) error {
					if op == "commit" && commits.Add(1) == 1 {
						time.Sleep(time.Second)
					}
					return nil
				})
				if i&2 > 0 {
					w.bulk(bulkOf(op, drop(member))).statuses(c.before, 204)
				} else {
					w.bulk(bulkOf(drop(member), op)).statuses(204, c.after)
				}
				if t.Failed() {
					t.Fatalf("%s: as above", name)
				}
			}
		}
	})
}

func TestBulkVersions(t *testing.T) {
	for dialect, stale := range map[string]int{"": 412, "strict": 412, "interop": 204} {
		w := newWorld(t, dialect)
		ada := w.user("ada@example.com")
		tag := string(value.Str(w.get("/Users/" + ada).header.Get("ETag")).Append(nil))
		with := func(version, op string) string {
			return strings.Replace(op, "{", `{"version":`+version+`,`, 1)
		}
		title := change("/Users/"+ada, `{"op":"replace","path":"title","value":"x"}`)
		r := w.bulk(bulkOf(with(tag, title))).statuses(200)
		if got := w.get("/Users/" + ada).header.Get("ETag"); got != r.ops[0].Get("version").Text() {
			t.Errorf("the version is told as %q, and is %q", r.ops[0].Get("version").Text(), got)
		}
		w.bulk(bulkOf(with(tag, drop("/Users/"+ada))), "If-Match", `"not this request's"`).statuses(stale)
	}
}

// A failure of ours is one operation's, and the rest is done.
func TestBulkFailuresOfTheTable(t *testing.T) {
	good := func(i int) string { return post("/Users", strconv.Itoa(i), person(fmt.Sprintf("u%d@example.com", i))) }
	for name, c := range map[string]struct {
		breaks func() error
		status int
	}{
		"an error":               {func() error { return errors.New("canary: the disk is on fire") }, 500},
		"a panic":                {func() error { panic("canary") }, 500},
		"cut off":                {func() error { return context.Canceled }, 503},
		"a fault of the runtime": {func() error { return []error{nil}[len(t.Name())] }, 500},
	} {
		w := newWorld(t)
		w.get("/Users") // the credential is known
		commits := make(chan struct{}, 100)
		w.table.breaks(func(op string) error {
			if op != "commit" {
				return nil
			}
			commits <- struct{}{}
			if len(commits)%3 == 0 {
				return c.breaks()
			}
			return nil
		})
		var ops []string
		for i := range 9 {
			ops = append(ops, good(i))
		}
		r := w.bulk(bulkOf(ops...))
		w.table.breaks(nil)
		failed := 0
		for _, o := range r.ops {
			if o.Get("status").Text() == strconv.Itoa(c.status) {
				failed++
			} else if o.Get("status").Text() != "201" {
				t.Errorf("%s: %s", name, o.Append(nil))
			}
		}
		if failed != 3 || strings.Contains(string(r.body), "canary") {
			t.Errorf("%s: %d of 9 operations failed with %d, want 3, and nothing of our insides: %s", name, failed, c.status, r.body)
		}
		w.get("/Users?count=0").is("totalResults", "6")
		// The whole again does the rest.
		again := w.bulk(bulkOf(ops...))
		for _, o := range again.ops {
			if s := o.Get("status").Text(); s != "201" && s != "409" {
				t.Errorf("%s, again: %s", name, o.Append(nil))
			}
		}
		w.get("/Users?count=0").is("totalResults", "9")
	}
}

func TestBulkIsOneLineOfTheLog(t *testing.T) {
	w := newWorld(t)
	before := strings.Count(w.log.String(), "\n")
	w.bulk(bulkOf(
		post("/Users", "canary-id", person("canary@example.com", `"title":"canary"`)),
		post("/Users", "b", strings.Replace(person("b@example.com"), `"active":true`, `"active":"True"`, 1)),
		post("/Users", "c", strings.Replace(person("c@example.com"), `"active":true`, `"active":"False"`, 1)),
		drop("/Users/canary"),
		post("/Groups", "canary-group", team("canary", "bulkId:canary-none")),
	)).statuses(201, 201, 201, 404, 400)
	log := w.log.String()
	if n := strings.Count(log, "\n") - before; n != 1 {
		t.Errorf("a bulk request is %d lines of the log, want one: %s", n, log)
	}
	for _, want := range []string{`"route":"/Bulk"`, `"operations":5`, `"failures":2`, `"stringBoolean":2`, `"status":200`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %s: %s", want, log)
		}
	}
	if strings.Contains(log, "canary") {
		t.Errorf("the log tells of people: %s", log)
	}
}

// What another connection has is as unknown in a bulk request as alone.
func TestBulkIsolation(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	g := w.group("Engines", ada)
	_, other := w.connect(w.org, "")
	w.bulk(bulkOf(drop("/Users/"+ada), drop("/Groups/"+g), put("/Users/"+ada, person("x@example.com")),
		post("/Groups", "m", team("Mine", ada)), post("/Users", "u", person("ada@example.com")),
	), "Authorization", "Bearer "+other).statuses(404, 404, 404, 400, 409)
	w.get("/Groups/"+g).is("members.0.value", `"`+ada+`"`)
}

func TestMe(t *testing.T) {
	w := newWorld(t)
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		r := httptest.NewRequest(m, scimhttp.Prefix+"/Me", strings.NewReader(person("me@example.com")))
		r.Header.Set("Authorization", "Bearer "+w.token)
		a := w.serve(r).refused(501, "")
		if l := a.header.Get("Location"); l != "" {
			t.Errorf("%s /Me has the Location %q of nobody", m, l)
		}
		w.serve(httptest.NewRequest(m, scimhttp.Prefix+"/Me", nil)).refused(401, "")
	}
	w.get("/Users").list()
}
