package scimhttp_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/web/scimhttp"
)

func TestUserLifeOverHTTP(t *testing.T) {
	w := newWorld(t)
	a := w.do("POST", "/Users", person("ada@example.com", `"externalId":"X-1","password":"Secret-0","id":"mine","meta":{"version":"v"},"groups":[{"value":"g"}]`,
		`"`+enterprise+`":{"department":"Engines","manager":{"value":"m1"}}`)).want(201)
	id := a.text("id")
	home := outside + scimhttp.Prefix + "/Users/" + id
	if id == "mine" || strings.Contains(id, "bulkId") || len(id) != 26 {
		t.Errorf("id = %q, want one of the server's own", id)
	}
	for name, want := range map[string]string{"Content-Type": "application/scim+json", "Location": home, "Content-Location": home, "ETag": a.text("meta.version"), "Cache-Control": "no-store"} {
		if got := a.header.Get(name); got != want || want == "" {
			t.Errorf("POST: %s = %q, want %q", name, got, want)
		}
	}
	a.is("schemas", `["`+userURN+`","`+enterprise+`"]`).is("meta.resourceType", `"User"`).is("meta.location", strconv.Quote(home)).
		is("meta.lastModified", string(a.at("meta.created").Append(nil))).
		is("externalId", `"X-1"`).is("active", "true").is("emails.0.primary", "true").
		lacks("password").lacks("groups")
	if v := a.text("meta.version"); !strings.HasPrefix(v, `W/"`) {
		t.Errorf("meta.version = %s, want a weak entity tag", v)
	}

	got := w.get("/Users/" + id).want(200)
	if string(got.body) != string(a.body) {
		t.Errorf("GET = %s, want what POST answered: %s", got.body, a.body)
	}
	if got.header.Get("ETag") != a.header.Get("ETag") || got.header.Get("Location") != "" || got.header.Get("Content-Location") != home {
		t.Errorf("GET: headers %v, want ETag and Content-Location, no Location", got.header)
	}

	p := w.do("PATCH", "/Users/"+id, patch(`{"op":"replace","path":"name.givenName","value":"Augusta"}`, `{"op":"remove","path":"`+enterprise+`"}`)).want(200).
		is("name.givenName", `"Augusta"`).is("name.familyName", `"Lovelace"`).is("schemas", `["`+userURN+`"]`)
	if p.header.Get("ETag") == a.header.Get("ETag") || p.text("meta.lastModified") <= a.text("meta.lastModified") || p.text("meta.created") != a.text("meta.created") {
		t.Errorf("PATCH: meta %s, after %s: want another version, a later lastModified, the same created", p.at("meta").Append(nil), a.at("meta").Append(nil))
	}
	same := w.do("PATCH", "/Users/"+id, patch(`{"op":"add","path":"name.givenName","value":"Augusta"}`)).want(200)
	if string(same.body) != string(p.body) {
		t.Errorf("a PATCH that changes nothing = %s, want %s", same.body, p.body)
	}

	u := w.do("PUT", "/Users/"+id, `{"schemas":["`+userURN+`"],"userName":"ada@example.com","title":"Countess","name":null,"emails":[]}`).want(200).
		is("title", `"Countess"`).is("active", "true").lacks("name").lacks("emails").lacks("externalId")
	if u.text("id") != id {
		t.Errorf("PUT: id = %q, want %q", u.text("id"), id)
	}
	w.find("/Users", `externalId eq "X-1"`).list()
	for _, body := range []string{`{"schemas":["` + userURN + `"],"title":"x"}`, `{"schemas":["` + userURN + `"],"userName":null}`, `{"schemas":["` + userURN + `"],"userName":7e}`} {
		if r := w.do("PUT", "/Users/"+id, body); r.status != 400 {
			t.Errorf("PUT of %s = %d, want 400", body, r.status)
		}
	}

	if d := w.do("DELETE", "/Users/"+id, "").want(204); len(d.body) > 0 || d.header.Get("Content-Type") != "" {
		t.Errorf("DELETE answers %q, %v; want nothing", d.body, d.header)
	}
	for _, m := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		body := map[string]string{"PUT": person("ada@example.com"), "PATCH": patch(`{"op":"add","path":"title","value":"x"}`)}[m]
		w.do(m, "/Users/"+id, body).refused(404, "")
	}
	w.get("/Users").list()
	if again := w.user("ada@example.com"); again == id {
		t.Errorf("the name used again gave the old id %s", id)
	}
}

func TestGroupLifeOverHTTP(t *testing.T) {
	w := newWorld(t)
	ada, bo := w.user("ada@example.com"), w.user("bo@example.com")
	a := w.do("POST", "/Groups", team("Engines", ada)).want(201)
	id := a.text("id")
	home := outside + scimhttp.Prefix + "/Groups/" + id
	if a.header.Get("Location") != home || a.header.Get("ETag") != a.text("meta.version") {
		t.Errorf("POST: headers %v, want Location %s and ETag %s", a.header, home, a.text("meta.version"))
	}
	a.is("members.0.value", strconv.Quote(ada)).is("members.0.$ref", strconv.Quote(outside+scimhttp.Prefix+"/Users/"+ada)).
		is("members.0.type", `"User"`).is("meta.resourceType", `"Group"`).is("meta.lastModified", string(a.at("meta.created").Append(nil)))

	p := w.do("PATCH", "/Groups/"+id, patch(`{"op":"add","path":"members","value":[{"value":"`+bo+`"}]}`)).want(204)
	if len(p.body) > 0 || w.get("/Groups/"+id).header.Get("ETag") == a.header.Get("ETag") {
		t.Errorf("PATCH answers %q, want no body and another version afterwards", p.body)
	}
	w.get("/Users/"+bo).is("groups.0.value", strconv.Quote(id)).is("groups.0.type", `"direct"`).is("groups.0.$ref", strconv.Quote(home))
	w.do("PATCH", "/Groups/"+id+"?attributes=displayName", patch(`{"op":"replace","path":"displayName","value":"Machines"}`)).want(200).
		is("displayName", `"Machines"`).lacks("members")

	u := w.do("PUT", "/Groups/"+id, team("Machines", bo)).want(200).is("members.0.value", strconv.Quote(bo)).lacks("members.1")
	if got := w.get("/Groups/" + id); string(got.body) != string(u.body) {
		t.Errorf("GET = %s, want what PUT answered: %s", got.body, u.body)
	}
	w.do("PUT", "/Groups/"+id, `{"schemas":["`+groupURN+`"],"displayName":"Machines"}`).want(200).lacks("members")

	w.do("DELETE", "/Groups/"+id, "").want(204)
	w.do("DELETE", "/Groups/"+id, "").refused(404, "")
	w.get("/Groups/"+id).refused(404, "")
	w.get("/Groups").list()
	w.get("/Users/" + bo).lacks("groups")
	w.group("Machines") // the name is free again
}

func TestConflicts(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com", `"externalId":"X-1"`)
	bo := w.user("bo@example.com")
	w.do("POST", "/Users", person("ADA@Example.com")).refused(409, "uniqueness")
	w.do("POST", "/Users", person("eve@example.com", `"externalId":"X-1"`)).refused(409, "uniqueness")
	w.do("PUT", "/Users/"+bo, person("ada@example.com")).refused(409, "uniqueness")
	w.do("PATCH", "/Users/"+bo, patch(`{"op":"replace","path":"userName","value":"Ada@example.com"}`)).refused(409, "uniqueness")
	w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","path":"userName","value":"ADA@example.com"}`)).want(200).is("userName", `"ADA@example.com"`)
	w.get("/Users").list(ada, bo)

	w.group("Engines")
	g := w.group("Machines")
	w.do("POST", "/Groups", team("engines")).refused(409, "uniqueness")
	w.do("PATCH", "/Groups/"+g, patch(`{"op":"replace","path":"displayName","value":"ENGINES"}`)).refused(409, "uniqueness")
	w.get("/Groups/"+g).is("displayName", `"Machines"`)

	strict := newWorld(t, "strict")
	strict.group("Engines")
	strict.do("POST", "/Groups", team("Engines")).want(201)
}

func TestPreconditions(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	first := w.get("/Users/" + id).header.Get("ETag")
	strong := strings.TrimPrefix(first, "W/")
	for _, tag := range []string{first, strong, `"other", ` + first, "*"} {
		if a := w.get("/Users/"+id, "If-None-Match", tag).want(304); len(a.body) > 0 || a.header.Get("ETag") != first || a.header.Get("Content-Type") != "" {
			t.Errorf("If-None-Match: %s answers %q, %v; want no body, the ETag", tag, a.body, a.header)
		}
	}
	w.get("/Users/"+id, "If-None-Match", `W/"other"`).want(200)
	w.do("HEAD", "/Users/"+id, "", "If-None-Match", first).want(304)
	w.get("/Users?count=1", "If-None-Match", "*").want(200)

	title := func(s string) string { return patch(`{"op":"replace","path":"title","value":"` + s + `"}`) }
	w.do("PATCH", "/Users/"+id, title("one"), "If-Match", first).want(200)
	for _, stale := range []string{first, `"x"`, "garbage", `W/"`} {
		w.do("PATCH", "/Users/"+id, title("two"), "If-Match", stale).refused(412, "")
		w.do("PUT", "/Users/"+id, person("ada@example.com"), "If-Match", stale).refused(412, "")
		w.do("DELETE", "/Users/"+id, "", "If-Match", stale).refused(412, "")
	}
	w.get("/Users/"+id).is("title", `"one"`)
	w.do("PATCH", "/Users/"+id, title("three"), "If-Match", "*").want(200)
	w.do("DELETE", "/Users/"+id, "", "If-Match", w.get("/Users/"+id).text("meta.version")).want(204)
	w.do("PATCH", "/Users/"+id, title("four"), "If-Match", "*").refused(404, "")

	g := w.group("Engines")
	tag := w.get("/Groups/" + g).header.Get("ETag")
	w.get("/Groups/"+g, "If-None-Match", tag).want(304)
	w.do("PUT", "/Groups/"+g, team("Machines"), "If-Match", tag).want(200)
	for _, m := range []string{"PUT", "PATCH", "DELETE"} {
		body := map[string]string{"PUT": team("Old"), "PATCH": patch(`{"op":"replace","path":"displayName","value":"Old"}`)}[m]
		w.do(m, "/Groups/"+g, body, "If-Match", tag).refused(412, "")
	}
	w.get("/Groups/"+g).is("displayName", `"Machines"`)

	// Clients of the interoperability profile must not send entity tags.
	interop := newWorld(t, "interop")
	id = interop.user("ada@example.com")
	interop.do("PATCH", "/Users/"+id, title("x"), "If-Match", "stale").want(200)
}

// A group's version is its own and its members' (the bar 8).
func TestGroupVersionFollowsItsMembers(t *testing.T) {
	w := newWorld(t)
	ada, bo := w.user("ada@example.com"), w.user("bo@example.com")
	g := w.group("Engines")
	type version struct{ tag, modified string }
	read := func() version {
		a := w.get("/Groups/" + g + "?excludedAttributes=members").want(200)
		if a.header.Get("ETag") != a.text("meta.version") {
			t.Errorf("ETag = %s, want meta.version %s", a.header.Get("ETag"), a.text("meta.version"))
		}
		if l := w.find("/Groups", `id eq "`+g+`"`); l.text("Resources.0.meta.version") != a.text("meta.version") {
			t.Errorf("the list tells version %s, GET tells %s", l.text("Resources.0.meta.version"), a.text("meta.version"))
		}
		return version{a.text("meta.version"), a.text("meta.lastModified")}
	}
	add := func(id string) string { return patch(`{"op":"add","path":"members","value":[{"value":"` + id + `"}]}`) }
	was := read()
	for _, step := range []struct {
		name, body string
		moves      bool
	}{
		{"a first member", add(ada), true},
		{"the same again", add(ada), false},
		{"a second member", add(bo), true},
		{"a removed member", patch(`{"op":"remove","path":"members[value eq \"` + ada + `\"]"}`), true},
		{"who is no member removed", patch(`{"op":"remove","path":"members[value eq \"` + ada + `\"]"}`), false},
		{"the same name", patch(`{"op":"replace","value":{"id":"` + g + `","displayName":"Engines"}}`), false},
		{"another name", patch(`{"op":"replace","path":"displayName","value":"Machines"}`), true},
		{"the same members", patch(`{"op":"replace","path":"members","value":[{"value":"` + bo + `"}]}`), false},
		{"no operation", patch(), false},
	} {
		w.do("PATCH", "/Groups/"+g, step.body, "If-Match", was.tag).want(204)
		is := read()
		if moved := is.tag != was.tag; moved != step.moves || (is.modified > was.modified) != step.moves {
			t.Errorf("%s: version %v after %v, want moved: %v", step.name, is, was, step.moves)
		}
		if step.moves {
			w.do("PATCH", "/Groups/"+g, add(ada), "If-Match", was.tag).refused(412, "")
		}
		was = is
	}
	w.do("DELETE", "/Users/"+bo, "").want(204)
	if is := read(); is.tag == was.tag {
		t.Error("a member was deleted and the group kept its version")
	}
}

func TestActive(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	w.do("PATCH", "/Users/"+id, patch(`{"op":"Replace","path":"active","value":"False"}`)).want(200).is("active", "false")
	w.get("/Users").list(id)
	w.find("/Users", `userName eq "ada@example.com"`).list(id)
	// A profile update that does not speak of it lets nobody in again.
	w.do("PUT", "/Users/"+id, `{"schemas":["`+userURN+`"],"userName":"ada@example.com","title":"x"}`).want(200).is("active", "false")
	w.do("PUT", "/Users/"+id, `{"schemas":["`+userURN+`"],"userName":"ada@example.com","active":null}`).want(200).is("active", "false")
	// Taken away, it is unassigned; that lets nobody in either.
	for _, op := range []string{`{"op":"remove","path":"active"}`, `{"op":"replace","path":"active","value":null}`, `{"op":"replace","value":{"active":null}}`} {
		w.do("PATCH", "/Users/"+id, patch(op)).want(200).lacks("active")
		w.get("/Users/" + id).lacks("active")
		w.find("/Users", "active pr").list()
		w.do("PUT", "/Users/"+id, `{"schemas":["`+userURN+`"],"userName":"ada@example.com"}`).want(200).is("active", "false")
	}
	w.do("PUT", "/Users/"+id, person("ada@example.com")).want(200).is("active", "true")
}

func TestPatchIsAtomic(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	before := w.get("/Users/" + ada)
	w.do("PATCH", "/Users/"+ada, patch(`{"op":"replace","path":"title","value":"kept?"}`, `{"op":"remove","path":"userName"}`)).refused(400, "mutability")
	if after := w.get("/Users/" + ada); string(after.body) != string(before.body) {
		t.Errorf("after a PATCH that was refused: %s, want %s", after.body, before.body)
	}
	g := w.group("Engines")
	before = w.get("/Groups/" + g)
	for _, ops := range []string{
		patch(`{"op":"add","path":"members","value":[{"value":"`+ada+`"}]}`, `{"op":"remove","path":"displayName"}`),
		patch(`{"op":"replace","path":"displayName","value":"Machines"}`, `{"op":"add","path":"members","value":[{"value":"`+w.nobody()+`"}]}`),
	} {
		if a := w.do("PATCH", "/Groups/"+g, ops); a.status != 400 {
			t.Errorf("%s = %d, want 400", ops, a.status)
		}
		if after := w.get("/Groups/" + g); string(after.body) != string(before.body) {
			t.Errorf("after a PATCH that was refused: %s, want %s", after.body, before.body)
		}
	}
}

func TestPatchRefusals(t *testing.T) {
	w := newWorld(t, "strict")
	id := w.user("ada@example.com")
	for _, c := range []struct{ scimType, body string }{
		{"noTarget", patch(`{"op":"remove"}`)},
		{"noTarget", patch(`{"op":"replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}`)},
		{"mutability", patch(`{"op":"replace","path":"id","value":"x"}`)},
		{"mutability", patch(`{"op":"remove","path":"userName"}`)},
		{"mutability", patch(`{"op":"add","path":"groups","value":[{"value":"x"}]}`)},
		{"invalidPath", patch(`{"op":"add","path":"nothing","value":"x"}`)},
		{"invalidPath", patch(`{"op":"add","path":"name.","value":"x"}`)},
		{"invalidFilter", patch(`{"op":"remove","path":"emails[type xx \"work\"]"}`)},
		{"invalidValue", patch(`{"op":"replace","path":"active","value":"maybe"}`)},
		{"invalidValue", patch(`{"op":"add","path":"title"}`)},
		{"invalidSyntax", patch(`{"op":"move","path":"title","value":"x"}`)},
		{"invalidSyntax", patch(`"op"`)},
		{"invalidSyntax", patch()},
		{"invalidSyntax", `{"Operations":[{"op":"add","path":"title","value":"x"}]}`},
		{"invalidSyntax", `{"schemas":["` + patchURN + `"]}`},
		{"invalidSyntax", `[]`},
	} {
		a := w.do("PATCH", "/Users/"+id, c.body)
		a.refused(400, c.scimType)
	}
	w.get("/Users/" + id).lacks("title")
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC), "2026-11-01T08:00:00.000Z"},
		{time.Date(2026, 11, 1, 8, 0, 0, 7_999_999, time.UTC), "2026-11-01T08:00:00.007Z"},
		{time.Date(2026, 1, 1, 0, 30, 0, 120_000_000, time.FixedZone("", 3600)), "2025-12-31T23:30:00.120Z"},
	} {
		if got := scimhttp.Time(c.at); got != c.want {
			t.Errorf("%v is written %q, want %q", c.at, got, c.want)
		}
	}
}

// TestWhatIsKeptDoesNotDependOnActive: in strict nothing is bent, whether the
// message says active or leaves it to us.
func TestWhatIsKeptDoesNotDependOnActive(t *testing.T) {
	for _, dialect := range []string{"strict", "interop"} {
		w := newWorld(t, dialect)
		const rest = `"nickName":"","emails":[{"type":"work"}],"name":{"givenName":""}`
		said := w.do("POST", "/Users", `{"schemas":["`+userURN+`"],"userName":"said","active":true,`+rest+`}`).want(201)
		left := w.do("POST", "/Users", `{"schemas":["`+userURN+`"],"userName":"left",`+rest+`}`).want(201)
		put := w.do("PUT", "/Users/"+left.text("id"), `{"schemas":["`+userURN+`"],"userName":"left",`+rest+`}`).want(200)
		for _, name := range []string{"nickName", "emails", "name", "active"} {
			want := string(said.at(name).Append(nil))
			for how, a := range map[string]answer{"POST": left, "PUT": put} {
				if got := string(a.at(name).Append(nil)); got != want {
					t.Errorf("%s: %s without active keeps %s as %q, with it as %q", dialect, how, name, got, want)
				}
			}
		}
	}
}
