package scimhttp_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestWhatOthersGetWrong has one test for each mistake that other service
// providers were found to make, measured against six of them or reported by
// their users. Adds that are lost in parallel are below.
func TestWhatOthersGetWrong(t *testing.T) {
	for name, test := range map[string]func(*testing.T, *world, string, string){
		"the groups of a user are shown": func(t *testing.T, w *world, ada, bo string) {
			g := w.group("Engines", ada)
			w.get("/Users/"+ada).is("groups.0.value", `"`+g+`"`)
			w.find("/Users", `groups.value eq "`+g+`"`).list(ada)
		},
		"a deleted user leaves the groups": func(t *testing.T, w *world, ada, bo string) {
			g := w.group("Engines", ada, bo)
			w.do("DELETE", "/Users/"+ada, "").want(204)
			if got := w.members(g); !slices.Equal(got, []string{bo}) {
				t.Errorf("members = %v, want %s", got, bo)
			}
			w.find("/Groups", `members eq "`+ada+`"`).list()
		},
		"a manager as a string": func(t *testing.T, w *world, ada, bo string) {
			path := "/Users/" + ada
			w.do("PATCH", path, patch(`{"op":"Add","path":"`+enterprise+`:manager","value":"`+bo+`"}`)).want(200)
			manager := func() string { return w.get(path).tree.At(enterprise, "manager", "value").Text() }
			if got := manager(); got != bo {
				t.Errorf("manager = %q, want %q", got, bo)
			}
			w.do("PATCH", path, patch(`{"op":"Replace","path":"`+enterprise+`:manager","value":""}`)).want(200).is("schemas", `["`+userURN+`"]`)
			if got := manager(); got != "" {
				t.Errorf("manager = %q after it was cleared", got)
			}
			w.do("POST", "/Users", person("cy@example.com", `"`+enterprise+`":{"manager":"`+bo+`"}`)).want(201)
		},
		"a value that is absent is created by a filter": func(t *testing.T, w *world, ada, bo string) {
			for _, op := range []string{"Add", "Replace"} {
				id := map[string]string{"Add": ada, "Replace": bo}[op]
				w.do("PATCH", "/Users/"+id, patch(`{"op":"`+op+`","path":"phoneNumbers[type eq \"mobile\"].value","value":"555"}`)).want(200).
					is("phoneNumbers", `[{"value":"555","type":"mobile"}]`)
			}
		},
		"remove members that are listed, and only those": func(t *testing.T, w *world, ada, bo string) {
			g := w.group("Engines", ada, bo)
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"`+ada+`"}]}`)).want(204)
			if got := w.members(g); !slices.Equal(got, []string{bo}) {
				t.Errorf("members = %v, want %s", got, bo)
			}
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"remove","path":"members","value":[]}`)).want(204)
			if got := w.members(g); !slices.Equal(got, []string{bo}) {
				t.Errorf("members = %v after an empty list was removed, want %s", got, bo)
			}
		},
		"booleans as strings": func(t *testing.T, w *world, ada, bo string) {
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"Replace","path":"active","value":"False"}`)).want(200).is("active", "false")
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","value":{"active":"True"}}`)).want(200).is("active", "true")
			w.do("PUT", "/Users/"+ada, strings.Replace(person("ada@example.com"), `"active":true`, `"active":"false"`, 1)).want(200).is("active", "false")
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","path":"active","value":"perhaps"}`)).refused(400, "invalidValue")
		},
		"userName without regard to case": func(t *testing.T, w *world, ada, bo string) {
			w.find("/Users", `userName eq "ADA@EXAMPLE.COM"`).list(ada)
			w.find("/Users", `userName sw "ADA"`).list(ada)
			w.do("POST", "/Users", person("Ada@Example.Com")).refused(409, "uniqueness")
		},
		"totalResults counts all, and pages are cut after the filter": func(t *testing.T, w *world, ada, bo string) {
			for i := range 9 {
				w.user(fmt.Sprintf("u%d@example.com", i), `"title":"x"`)
			}
			first := w.get("/Users?filter=title+eq+%22x%22&count=4").is("totalResults", "9").is("itemsPerPage", "4")
			last := w.get("/Users?filter=title+eq+%22x%22&count=4&startIndex=9").is("totalResults", "9").is("itemsPerPage", "1")
			if slices.Contains(first.ids(), last.ids()[0]) {
				t.Errorf("%s stands on the first and on the last page", last.ids()[0])
			}
			w.get("/Users?count=4").is("totalResults", "11")
		},
		"a member once, however often added": func(t *testing.T, w *world, ada, bo string) {
			g := w.do("POST", "/Groups", team("Engines", ada, ada)).want(201).text("id")
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"add","path":"members","value":[{"value":"`+ada+`"},{"value":"`+ada+`"},{"value":"`+bo+`"}]}`)).want(204)
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"add","value":{"members":[{"value":"`+bo+`"}]}}`)).want(204)
			if got, want := w.members(g), 2; len(got) != want {
				t.Errorf("members = %v, want each of two once", got)
			}
			if got := w.get("/Users/" + ada).at("groups").Elements(); len(got) != 1 {
				t.Errorf("a user in one group shows %d", len(got))
			}
		},
		"no filter is too strange": func(t *testing.T, w *world, ada, bo string) {
			for _, f := range []string{`name eq "x"`, `name pr`, `emails`, `emails[`, `emails[]`, `emails[pr]`, `emails.value.x eq 1`, `addresses eq "x"`, `meta eq "x"`, `meta.version pr`, `x509Certificates.value gt "x"`,
				`active eq null`, `not`, `not (`, `()`, `a.b.c.d eq "x"`, `urn: eq "x"`, enterprise + ` eq "x"`, enterprise + `: pr`, `emails[type eq "work"].value`, `emails[type eq "work"].nothing eq "x"`, `schemas pr`, `groups.display sw "x"`, `userName eq 1`, `userName eq true`, `$ref pr`} {
				if a := w.find("/Users", f); a.status != 200 && a.status != 400 {
					t.Errorf("filter %q = %d, want an answer or a refusal", f, a.status)
				}
			}
		},
		"If-Match is heeded": func(t *testing.T, w *world, ada, bo string) {
			old := w.get("/Users/" + ada).header.Get("ETag")
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","path":"title","value":"x"}`), "If-Match", old).want(200)
			for _, method := range []string{"PUT", "PATCH", "DELETE"} {
				body := map[string]string{"PUT": person("ada@example.com"), "PATCH": patch(`{"op":"add","path":"title","value":"y"}`)}[method]
				w.do(method, "/Users/"+ada, body, "If-Match", old).refused(412, "")
			}
			w.get("/Users/"+ada).is("title", `"x"`)
		},
		"a PATCH that fails keeps nothing, not even its first operation": func(t *testing.T, w *world, ada, bo string) {
			before := string(w.get("/Users/" + ada).body)
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","path":"title","value":"x"}`, `{"op":"replace","path":"userName","value":"bo@example.com"}`)).refused(409, "uniqueness")
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","path":"title","value":"x"}`, `{"op":"remove","path":"userName"}`)).refused(400, "mutability")
			if after := string(w.get("/Users/" + ada).body); after != before {
				t.Errorf("refused PATCHes changed %s to %s", before, after)
			}
			g := w.group("Engines", ada)
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"add","path":"members","value":[{"value":"`+bo+`"}]}`, `{"op":"replace","path":"displayName","value":7.5e}`)).refused(400, "invalidSyntax")
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"add","path":"members","value":[{"value":"`+bo+`"}]}`, `{"op":"remove","path":"displayName"}`)).refused(400, "mutability")
			if got := w.members(g); !slices.Equal(got, []string{ada}) {
				t.Errorf("members = %v after refused PATCHes, want %s", got, ada)
			}
		},
		"malformed JSON is the client's fault": func(t *testing.T, w *world, ada, bo string) {
			for _, body := range []string{`{`, `{"userName":}`, `[]`, `"x"`, `{"userName":"x",}`, "{\"userName\":\"\x00\"}"} {
				w.do("POST", "/Users", body).refused(400, "invalidSyntax")
				w.do("PATCH", "/Users/"+ada, body).refused(400, "invalidSyntax")
			}
		},
		"a bad op and hyphenated names are the client's fault": func(t *testing.T, w *world, ada, bo string) {
			for _, op := range []string{`{"op":"move","path":"title","value":"x"}`, `{"op":7,"path":"title"}`, `{"path":"title","value":"x"}`, `"replace"`} {
				w.do("PATCH", "/Users/"+ada, patch(op)).refused(400, "invalidSyntax")
			}
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","path":"employee-number","value":"x"}`)).want(200) // unknown, so passed over
			w.find("/Users", `employee-number eq "x"`).list()
		},
		"dotted names and URNs without a path": func(t *testing.T, w *world, ada, bo string) {
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","value":{"name.givenName":"Augusta","`+enterprise+`:employeeNumber":"7"}}`)).want(200).is("name.givenName", `"Augusta"`).is("name.familyName", `"Lovelace"`)
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","path":"`+enterprise+`:department","value":"Engines"}`)).want(200)
			if got := string(w.get("/Users/" + ada).tree.Get(enterprise).Append(nil)); got != `{"employeeNumber":"7","department":"Engines"}` {
				t.Errorf("the extension is %s", got)
			}
			w.find("/Users", enterprise+`:department eq "engines"`).list(ada)
		},
		"a filtered removal removes, and what it does not find is no error": func(t *testing.T, w *world, ada, bo string) {
			g := w.group("Engines", ada, bo)
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"remove","path":"members[value eq \"`+ada+`\"]"}`)).want(204)
			w.do("PATCH", "/Groups/"+g, patch(`{"op":"remove","path":"members[value eq \"`+ada+`\"]"}`)).want(204)
			if got := w.members(g); !slices.Equal(got, []string{bo}) {
				t.Errorf("members = %v, want %s", got, bo)
			}
		},
		"an upsert keeps the other values": func(t *testing.T, w *world, ada, bo string) {
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","path":"emails[type eq \"home\"].value","value":"ada@home.test"}`)).want(200).
				is("emails", `[{"value":"ada@example.com","type":"work","primary":true},{"value":"ada@home.test","type":"home"}]`)
		},
		"a dummy password is taken": func(t *testing.T, w *world, ada, bo string) {
			w.do("POST", "/Users", person("cy@example.com", `"password":"x"`)).want(201).lacks("password")
		},
		"who is suspended stays to be found, and who is new is active": func(t *testing.T, w *world, ada, bo string) {
			w.get("/Users/"+ada).is("active", "true")
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","value":{"active":false}}`)).want(200)
			w.find("/Users", `userName eq "ada@example.com"`).list(ada).is("Resources.0.active", "false")
			w.get("/Users").list(ada, bo)
		},
		"nobody is adopted from another connection": func(t *testing.T, w *world, ada, bo string) {
			_, w.token = w.connect(w.org, "")
			w.do("POST", "/Users", person("ada@example.com")).refused(409, "uniqueness")
			w.find("/Users", `emails eq "ada@example.com"`).list()
		},
		"an id of any form is 404": func(t *testing.T, w *world, ada, bo string) {
			w.get("/Users/not-a-uuid").refused(404, "")
		},
		"a user's own id in a PATCH is no change": func(t *testing.T, w *world, ada, bo string) {
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","value":{"id":"`+ada+`","title":"x"}}`)).want(200).is("title", `"x"`)
			w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","value":{"id":"`+bo+`"}}`)).refused(400, "mutability")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test(t, w, w.user("ada@example.com"), w.user("bo@example.com"))
		})
	}
}

// No acknowledged add may be lost, however many come at once.
func TestParallelAddsToOneGroup(t *testing.T) {
	w := newWorld(t)
	g := w.group("Engines")
	var ids []string
	for i := range 200 {
		ids = append(ids, w.user(fmt.Sprintf("u%d@example.com", i)))
	}
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			for i := n; i < len(ids); i += 16 {
				if a := w.do("PATCH", "/Groups/"+g, patch(`{"op":"add","path":"members","value":[{"value":"`+ids[i]+`"}]}`)); a.status != 204 {
					t.Errorf("adding a member = %d %s, want 204", a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if got := w.members(g); !slices.Equal(got, ids) {
		t.Errorf("%d members after 200 acknowledged adds, want all of them", len(got))
	}
}

// Changes of one user at once: none is lost, and a version that several name
// admits one of them.
func TestParallelChangesOfOneUser(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	tag := w.get("/Users/" + id).header.Get("ETag")
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 16 {
		wg.Go(func() {
			if a := w.do("PATCH", "/Users/"+id, patch(fmt.Sprintf(`{"op":"add","path":"roles","value":[{"value":"r%d"}]}`, i))); a.status != 200 {
				t.Errorf("adding a role = %d %s, want 200", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if got := w.get("/Users/" + id).at("roles").Elements(); len(got) != 16 {
		t.Errorf("%d roles after 16 were added at once", len(got))
	}
	w.do("PATCH", "/Users/"+id, patch(`{"op":"add","path":"title","value":"x"}`), "If-Match", tag).refused(412, "")
	tag = w.get("/Users/" + id).header.Get("ETag")
	for i := range 16 {
		wg.Go(func() {
			a := w.do("PATCH", "/Users/"+id, patch(fmt.Sprintf(`{"op":"add","path":"title","value":"t%d"}`, i)), "If-Match", tag)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	wg.Wait()
	if statuses[200] != 1 || statuses[412] != 15 {
		t.Errorf("16 changes of one version gave %v, want one 200 and fifteen 412", statuses)
	}
}

// Of those who add to one version of a group, one is admitted.
func TestParallelAddsToOneVersionOfAGroup(t *testing.T) {
	w := newWorld(t)
	g := w.group("Engines")
	var ids []string
	for i := range 16 {
		ids = append(ids, w.user(fmt.Sprintf("u%d@example.com", i)))
	}
	tag := w.get("/Groups/" + g).header.Get("ETag")
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for _, id := range ids {
		wg.Go(func() {
			a := w.do("PATCH", "/Groups/"+g, patch(`{"op":"add","path":"members","value":[{"value":"`+id+`"}]}`), "If-Match", tag)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	wg.Wait()
	if got := w.members(g); statuses[204] != 1 || statuses[412] != 15 || len(got) != 1 {
		t.Errorf("16 adds to one version gave %v and %d members, want one 204, fifteen 412, one member", statuses, len(got))
	}
}
