package scimhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/web/scimhttp"
)

// Groups are members of groups: their type is told, they are found by it, and a
// user shows the groups above only to who asks for groups.
func TestNestedGroups(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.user("ada@example.com"), w.user("bob@example.com")
	team := w.group("Team", ada)
	floor := w.group("Floor", team)
	house := w.group("House", floor, bob)
	w.do("PATCH", "/Groups/"+team, patch(fmt.Sprintf(`{"op":"add","path":"members","value":[{"value":%q,"type":"Group"}]}`, house))).want(204)
	w.do("PATCH", "/Groups/"+team, patch(fmt.Sprintf(`{"op":"add","path":"members","value":[{"value":%q}]}`, team))).refused(400, "invalidValue")

	got := map[string]string{}
	for _, m := range w.get("/Groups/" + house).want(200).tree.Get("members").Elements() {
		got[m.Get("value").Text()] = m.Get("type").Text() + " " + m.Get("$ref").Text()
	}
	want := map[string]string{
		floor: "Group " + outside + "/scim/v2/Groups/" + floor,
		bob:   "User " + outside + "/scim/v2/Users/" + bob,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the members are %v, want %v", got, want)
	}
	if a := w.find("/Groups", `members.value eq "`+floor+`"`).want(200); fmt.Sprint(ids(a)) != fmt.Sprint([]string{house}) {
		t.Errorf("the group that has the floor as its member is %v, want the house", ids(a))
	}
	if a := w.find("/Groups", `id eq "`+house+`" and members.value eq "`+floor+`"`).want(200); len(ids(a)) != 1 {
		t.Errorf("the house is found %d times by its member, want once", len(ids(a)))
	}
	if a := w.find("/Users", `groups.value eq "`+team+`"`).want(200); fmt.Sprint(ids(a)) != fmt.Sprint([]string{ada}) {
		t.Errorf("the users in the team are %v, want ada", ids(a))
	}

	types := func(a answer) map[string]string {
		out := map[string]string{}
		for _, g := range a.tree.Get("groups").Elements() {
			out[g.Get("value").Text()] = g.Get("type").Text()
		}
		return out
	}
	plain := w.get("/Users/" + ada).want(200)
	if got := types(plain); fmt.Sprint(got) != fmt.Sprint(map[string]string{team: "direct"}) {
		t.Errorf("unasked, the user shows the groups %v, want the team", got)
	}
	all := map[string]string{team: "direct", floor: "indirect", house: "indirect"}
	asked := w.get("/Users/" + ada + "?attributes=groups").want(200)
	for path, got := range map[string]map[string]string{
		"the user":        types(asked),
		"by value":        types(w.get("/Users/" + ada + "?attributes=userName,groups.value,groups.type").want(200)),
		"a list's user":   types(first(w.get("/Users?attributes=groups&count=10"), ada)),
		"a found user":    types(first(w.get("/Users?attributes=groups&filter=userName%20eq%20%22ada@example.com%22"), ada)),
		"an answer to it": types(w.do("PATCH", "/Users/"+ada+"?attributes=groups", patch(`{"op":"replace","path":"title","value":"Countess"}`)).want(200)),
	} {
		if fmt.Sprint(got) != fmt.Sprint(all) {
			t.Errorf("asked for groups, %s shows %v, want %v", path, got, all)
		}
	}
	// The tag of what was asked for tells of groups above.
	tag := w.get("/Users/" + ada + "?attributes=groups").want(200).header.Get("ETag")
	w.get("/Users/"+ada+"?attributes=groups", "If-None-Match", tag).want(304)
	w.do("PATCH", "/Groups/"+house, patch(fmt.Sprintf(`{"op":"remove","path":"members[value eq \"%s\"]"}`, floor))).want(204)
	if got := types(w.get("/Users/"+ada+"?attributes=groups", "If-None-Match", tag).want(200)); fmt.Sprint(got) != fmt.Sprint(map[string]string{team: "direct", floor: "indirect"}) {
		t.Errorf("after the floor left the house the user shows %v", got)
	}
	w.do("DELETE", "/Groups/"+team, "").want(204)
	if left := w.members(floor); len(left) != 0 {
		t.Errorf("the floor lists %v, whose only member was deleted", left)
	}
}

func ids(a answer) []string {
	var out []string
	for _, r := range a.tree.Get("Resources").Elements() {
		out = append(out, r.Get("id").Text())
	}
	return out
}

// first returns the resource with the id out of a list.
func first(list answer, id string) answer {
	list.Helper()
	for _, r := range list.want(200).tree.Get("Resources").Elements() {
		if r.Get("id").Text() == id {
			list.tree = r
			return list
		}
	}
	list.Fatalf("%s does not list %s", list.asked, id)
	return list
}

// A type that contradicts is refused in strict alone.
func TestContradictingTypes(t *testing.T) {
	for _, dialect := range []string{"compat", "strict", "interop"} {
		w := newWorld(t, dialect)
		u := w.user("ada@example.com")
		said := fmt.Sprintf(`"members":[{"value":%q,"type":"Group"}]`, u)
		post := w.do("POST", "/Groups", fmt.Sprintf(`{"schemas":[%q],"displayName":"One",%s}`, groupURN, said))
		g := w.group("Two")
		put := w.do("PUT", "/Groups/"+g, fmt.Sprintf(`{"schemas":[%q],"displayName":"Two",%s}`, groupURN, said))
		change := w.do("PATCH", "/Groups/"+g, patch(fmt.Sprintf(`{"op":"add","path":"members","value":[{"value":%q,"type":"Group"}]}`, u)))
		if dialect == "strict" {
			post.refused(400, "invalidValue")
			put.refused(400, "invalidValue")
			change.refused(400, "invalidValue")
			continue
		}
		post.want(201)
		put.want(200)
		change.want(204)
	}
}

func TestPagesOfMembers(t *testing.T) {
	w := newWorld(t)
	var people []string
	for i := range 25 {
		people = append(people, w.user(fmt.Sprintf("p%d@example.com", i)))
	}
	inner := w.group("Inner")
	g := w.group("Team", append(people, inner)...)
	at := "/Groups/" + g + "/members"
	a := w.get(at).want(200)
	if s := a.tree.Get("schemas").Elements(); len(s) != 1 || s[0].Text() != listURN || a.text("totalResults") != "26" || a.text("itemsPerPage") != "26" || a.text("startIndex") != "1" {
		t.Errorf("the first page is %.200s", a.body)
	}
	if a.header.Get("ETag") != w.get("/Groups/"+g).header.Get("ETag") {
		t.Error("a page's tag is not the group's")
	}
	w.get(at, "If-None-Match", a.header.Get("ETag")).want(304)
	seen := map[string]bool{}
	for start := 1; start <= 26; {
		page := w.get(at + "?startIndex=" + strconv.Itoa(start) + "&count=7").want(200)
		list := page.tree.Get("Resources").Elements()
		if page.text("itemsPerPage") != strconv.Itoa(len(list)) || len(list) != min(7, 27-start) {
			t.Fatalf("the page at %d has %d members and says %s", start, len(list), page.text("itemsPerPage"))
		}
		for _, m := range list {
			kind, endpoint := "User", "/Users/"
			if m.Get("value").Text() == inner {
				kind, endpoint = "Group", "/Groups/"
			}
			if m.Get("type").Text() != kind || m.Get("$ref").Text() != outside+"/scim/v2"+endpoint+m.Get("value").Text() || len(m.Members()) != 3 {
				t.Errorf("a member is %s", m.Append(nil))
			}
			seen[m.Get("value").Text()] = true
		}
		start += len(list)
	}
	if len(seen) != 26 {
		t.Errorf("the pages list %d members, want 26", len(seen))
	}
	behind := map[string]bool{}
	for cursor, more := "", true; more; more = cursor != "" {
		page := w.get(at + "?count=7&cursor=" + cursor).want(200)
		for _, m := range page.tree.Get("Resources").Elements() {
			behind[m.Get("value").Text()] = true
		}
		if cursor = page.text("nextCursor"); page.text("totalResults") != "26" || (cursor != "") != (len(behind) < 26) {
			t.Fatalf("after %d members the cursor is %q", len(behind), cursor)
		}
	}
	if len(behind) != 26 {
		t.Errorf("page behind page there are %d members, want 26", len(behind))
	}
	other := w.get("/Groups/" + w.group("Other", people...) + "/members?count=7&cursor=").want(200).text("nextCursor")
	w.get(at+"?count=7&cursor="+other).refused(400, "invalidCursor")
	if none := w.get(at + "?count=0").want(200); none.text("totalResults") != "26" || len(none.tree.Get("Resources").Elements()) != 0 {
		t.Errorf("a page of none is %s", none.body)
	}
	if beyond := w.get(at + "?startIndex=27").want(200); len(beyond.tree.Get("Resources").Elements()) != 0 {
		t.Errorf("a page beyond the end is %s", beyond.body)
	}
	w.get(at + "?startIndex=-5&count=-1").want(200)
	w.get(at+"?count=x").refused(400, "invalidValue")
	w.get(at+"?filter=value%20pr").refused(400, "invalidFilter")
	w.get("/Groups/"+w.nobody()+"/members").refused(404, "")
	w.get("/Users/"+people[0]+"/members").refused(404, "")
	w.do("POST", at, "{}").refused(405, "")
	w.get(at+"/x").refused(404, "")
	w.do("GET", at, "", "Authorization", "").refused(401, "")
}

// enlist makes n more users members of the group, by writing what would be
// stored of them. It returns their ids.
func (w *world) enlist(g identity.Group, n int) []string {
	w.Helper()
	r := provision.New(w.table, w.clock).Roster(w.org)
	ids := make([]string, n)
	counts := map[table.Key]int64{}
	var writes []table.Write
	flush := func() {
		w.Helper()
		if _, err := w.table.Commit(context.Background(), writes...); err != nil {
			w.Fatal(err)
		}
		writes = writes[:0]
	}
	for i := range ids {
		u := roster.User{ID: identity.MintUser(w.conn.ID), Seal: secret.Mint()}
		u.SetDoc(value.Obj(value.M("userName", value.Str(string(u.ID)))), 0)
		m := roster.UserMember(u.ID)
		ids[i] = m.ID
		writes = append(writes, table.Put(r.UserKey(u.ID), u.Encode(true)), table.Put(r.MembershipKey(m, g), nil), table.Put(r.MemberKey(g, m), nil))
		counts[r.MemberHeaderKey(g, m)]++
		if len(writes)+3 > table.MaxWrites {
			flush()
		}
	}
	for k, n := range counts {
		if len(writes) == table.MaxWrites {
			flush()
		}
		writes = append(writes, table.Add(k, n, 0, roster.Range))
	}
	flush()
	return ids
}

// Twenty thousand members are one answer, which fits what a function on AWS may
// answer with; one more are pages.
func TestTwentyThousandMembers(t *testing.T) {
	w := newWorld(t)
	g := identity.Group(w.group("Large"))
	s := provision.New(w.table, w.clock)
	w.enlist(g, 20_000)
	// The longest name that a certificate of ACM can be for.
	long := "https://" + strings.Repeat("a", 52) + ".example.com"
	h := scimhttp.New(scimhttp.Config{URL: long, Orgs: w.orgs, Provision: s, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	req := httptest.NewRequest("GET", "/scim/v2/Groups/"+string(g), nil)
	req.Header.Set("Authorization", "Bearer "+w.token)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if n := rec.Body.Len(); rec.Code != 200 || n > 5_000_000 || strings.Count(rec.Body.String(), `"type":"User"`) != 20_000 {
		t.Errorf("a group of 20,000 answers %d with %d bytes and %d members", rec.Code, n, strings.Count(rec.Body.String(), `"type":"User"`))
	} else {
		t.Logf("20,000 members are %d bytes", n)
	}
	// A filter of a PATCH looks at as many; whom it names, at any number.
	byType := patch(`{"op":"remove","path":"members[type eq \"Group\"]"}`)
	w.do("PATCH", "/Groups/"+string(g), byType).want(204)
	someone := w.enlist(g, 1)[0]
	if d := w.do("PATCH", "/Groups/"+string(g), byType).refused(400, "tooMany").text("detail"); !strings.Contains(d, "members[value eq") {
		t.Errorf("the refusal does not say what to do: %s", d)
	}
	w.table.counts()
	w.do("PATCH", "/Groups/"+string(g), patch(`{"op":"remove","path":"members[value eq \"`+someone+`\" and type eq \"Group\"]"}`)).want(204)
	if reads, writes := w.table.counts(); reads > 6 || writes > 0 {
		t.Errorf("to look at one of 20,001 takes %d reads and %d commits", reads, writes)
	}
	// And so does that of a query, whatever else it asks of them.
	for filter, found := range map[string]bool{
		`members[value eq "` + someone + `" and type eq "User"]`:                                              true,
		`members[value eq "` + someone + `" and type eq "Group"]`:                                             false,
		`members[value eq "` + w.nobody() + `" and type eq "User"]`:                                           false,
		`members[type eq "User" and value eq "` + w.nobody() + `"] or members.value eq "` + someone + `"`:     true,
		`not (members[value eq "` + someone + `"])`:                                                           false,
		`displayName sw "L" and members[value eq "` + someone + `"].type ne "Group" and meta.lastModified pr`: true,
	} {
		a := w.find("/Groups", `id eq "`+string(g)+`" and (`+filter+`)`)
		if found {
			a.list(string(g))
		} else {
			a.list()
		}
	}
	w.find("/Groups", `id eq "`+string(g)+`" and members[value eq "`+someone+`"] and members.type eq "User"`).refused(400, "tooMany")
	w.do("PATCH", "/Groups/"+string(g), patch(`{"op":"remove","path":"members[value eq \"`+someone+`\"]"}`)).want(204)
	w.enlist(g, 1)
	if a := w.get("/Groups/" + string(g)).want(200); a.tree.Get("members").Kind() != 0 {
		t.Error("a group of 20,001 comes with members")
	}
	if d := w.get("/Groups/"+string(g)+"?attributes=members").refused(400, "tooMany").text("detail"); !strings.Contains(d, "/Groups/"+string(g)+"/members") {
		t.Errorf("the refusal does not say where they are: %s", d)
	}
	if a := w.get("/Groups/" + string(g) + "/members?startIndex=20001&count=5000").want(200); a.text("totalResults") != "20001" || a.text("itemsPerPage") != "1" {
		t.Errorf("the last page is %s", a.body)
	}
}

// TestALargeGroupGoesBackAsItCame: a client that changes what it read and puts it
// back can do so with every group that it can read.
func TestALargeGroupGoesBackAsItCame(t *testing.T) {
	w := newWorld(t)
	g := w.group("Large")
	w.enlist(identity.Group(g), 20_000)
	read := w.get("/Groups/" + g).want(200)
	tag := read.header.Get("ETag")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	put := w.do("PUT", "/Groups/"+g, string(read.body)).want(200)
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("%d bytes are put in %v; %d MB are allocated", len(read.body), took, allocated)
	if now := put.header.Get("ETag"); now != tag || !bytes.Equal(put.body, read.body) {
		t.Errorf("what was read and put back has the tag %s and %d bytes, want %s and %d", now, len(put.body), tag, len(read.body))
	}
	if allocated > 200 {
		t.Errorf("%d MB are allocated for a body of %d MB", allocated, len(read.body)>>20)
	}
	// All that SCIM has for a member, as a client may send it.
	full := strings.ReplaceAll(string(read.body), `"type":"User"`, `"type":"User","display":"somebody"`)
	w.do("PUT", "/Groups/"+g, full).want(200)
}

// TestAGroupThatComesWithoutMembersKeepsThem: who puts back what GET answered
// removes nobody, however large the group is.
func TestAGroupThatComesWithoutMembersKeepsThem(t *testing.T) {
	for _, dialect := range []string{"compat", "strict", "interop"} {
		w := newWorld(t, dialect)
		three := []string{w.user("ada@example.com"), w.user("bo@example.com"), w.user("cy@example.com")}
		at := "/Groups/" + w.group("Team", three...)
		w.Bound(0, 2, 0)
		read := w.get(at).want(200).lacks("members")
		for _, match := range []string{"", read.header.Get("ETag")} {
			if d := w.do("PUT", at, string(read.body), "If-Match", match).refused(400, "tooMany").text("detail"); !strings.Contains(d, "PATCH") {
				t.Errorf("the refusal does not say what to do: %s", d)
			}
		}
		w.get(at+"/members?count=0").is("totalResults", "3")
		w.do("PATCH", at, patch(`{"op":"replace","path":"displayName","value":"Crew"}`)).want(204)
		for _, none := range []string{"[]", "null"} {
			w.do("PUT", at, `{"schemas":["`+groupURN+`"],"displayName":"Crew","members":`+none+`}`).want(200)
			w.get(at+"/members?count=0").is("totalResults", "0")
			w.do("PUT", at, team("Crew", three...)).want(200)
		}
		// Whom GET shows a PUT without members removes.
		w.Bound(0, 3, 0)
		w.do("PUT", at, `{"schemas":["`+groupURN+`"],"displayName":"Crew"}`).want(200)
		w.get(at+"/members?count=0").is("totalResults", "0")
	}
}

// TestADeletedGroupIsShownByNobody: its users know of the deletion as soon as its
// client does. No feed runs here.
func TestADeletedGroupIsShownByNobody(t *testing.T) {
	w := newWorld(t)
	g := w.group("Large")
	users := w.enlist(identity.Group(g), 5000)
	w.get("/Users/"+users[0]).is("groups.0.value", `"`+g+`"`)
	began := time.Now()
	w.do("DELETE", "/Groups/"+g, "").want(204)
	t.Logf("a group of 5,000 is deleted in %v", time.Since(began))
	for _, id := range users {
		w.get("/Users/" + id).want(200).lacks("groups")
	}
	w.find("/Users", `groups.value eq "`+g+`"`).list()
}

// TestAChangeIsNotRefusedByItsAnswer: what was done is not answered with an
// error because the answer would be too large.
func TestAChangeIsNotRefusedByItsAnswer(t *testing.T) {
	w := newWorld(t)
	w.Bound(1<<30, 2, 0)
	ids := []string{w.user("ada@example.com"), w.user("bo@example.com"), w.user("cy@example.com")}
	refs := make([]string, len(ids))
	for i, id := range ids {
		refs[i] = `{"value":"` + id + `"}`
	}
	all := strings.Join(refs, ",")
	made := w.do("POST", "/Groups?attributes=members,displayName", `{"schemas":["`+groupURN+`"],"displayName":"Team","members":[`+all+`]}`).want(201).lacks("members")
	g := made.text("id")
	w.do("PUT", "/Groups/"+g+"?attributes=members", `{"schemas":["`+groupURN+`"],"displayName":"Crew","members":[`+all+`]}`).want(200).lacks("members")
	w.do("PATCH", "/Groups/"+g+"?attributes=members", patch(`{"op":"replace","path":"displayName","value":"Gang"}`)).want(200).lacks("members")
	w.get("/Groups/"+g).want(200).lacks("members").is("displayName", `"Gang"`)
	w.get("/Groups/"+g+"?attributes=members").refused(400, "tooMany")
	w.get("/Groups/"+g+"?attributes=members.value").refused(400, "tooMany")
	for _, out := range []string{"meta", "displayName", "externalId"} {
		w.get("/Groups/" + g + "?excludedAttributes=" + out).want(200).lacks("members")
	}
	w.get("/Groups?excludedAttributes=meta").is("totalResults", "1")
}

// TestTheTagOfAPatch: only who named the state that it changes learns the tag of
// the next one; with another's it could overwrite what it never saw.
func TestTheTagOfAPatch(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	g := w.group("Team")
	add := patch(`{"op":"add","path":"members","value":[{"value":"` + ada + `"}]}`)
	if tag := w.do("PATCH", "/Groups/"+g, add).want(204).header.Get("ETag"); tag != "" {
		t.Errorf("a PATCH without If-Match is answered with the tag %s", tag)
	}
	was := w.get("/Groups/" + g).header.Get("ETag")
	is := w.do("PATCH", "/Groups/"+g, patch(`{"op":"remove","path":"members"}`), "If-Match", was).want(204).header.Get("ETag")
	if now := w.get("/Groups/" + g).header.Get("ETag"); is != now || is == was {
		t.Errorf("a PATCH of %s is answered with the tag %s, GET with %s", was, is, now)
	}
}

// TestStepsAreLookedUpTogether: a PATCH of a step a member costs no read for each.
func TestStepsAreLookedUpTogether(t *testing.T) {
	w := newWorld(t)
	g := w.group("Team")
	steps := make([]string, 200)
	for i := range steps {
		steps[i] = `{"op":"add","path":"members","value":[{"value":"` + w.user(fmt.Sprintf("u%d@example.com", i)) + `"}]}`
	}
	w.table.counts()
	w.do("PATCH", "/Groups/"+g, patch(strings.Join(steps, ","))).want(204)
	if reads, _ := w.table.counts(); reads > 60 {
		t.Errorf("200 steps take %d reads", reads)
	}
}
