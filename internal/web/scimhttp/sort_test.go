package scimhttp_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestSort: RFC 7644 §3.4.2.3.
func TestSort(t *testing.T) {
	w := newWorld(t)
	id := map[string]string{}
	name := map[string]string{}
	for _, u := range []struct{ name, more string }{
		{"a", `"title":"beta","externalId":"b","active":true,"emails":[{"value":"z@x"},{"value":"c@x","primary":true}],"name":{"givenName":"Émile"},"` + enterprise + `":{"department":"2","manager":{"value":"m2"}}`},
		{"B", `"title":"Alpha","externalId":"B","active":false,"emails":[{"value":"b@x"},{"value":"a@x"}],"name":{"givenName":"eve"},"` + enterprise + `":{"department":"10"}`},
		{"c", `"externalId":"a","name":{"givenName":"Zoe"},"profileUrl":"https://x/b"`},
		{"D", `"title":"alpha","active":false,"emails":[{"type":"work","value":"D@x"}],"name":{"givenName":"ada"},"profileUrl":"https://x/A"`},
		{"e", `"title":"Ålpha","externalId":"C","emails":[{"display":"no value","primary":true},{"value":"0@x"}],"name":{"familyName":"only"}`},
	} {
		body := `{"schemas":["` + userURN + `","` + enterprise + `"],"userName":"` + u.name + `",` + u.more + `}`
		id[u.name] = w.do("POST", "/Users", body).want(201).text("id")
		name[id[u.name]] = u.name
	}
	// Ids settle what is equal.
	byID := func(names ...string) string {
		slices.SortFunc(names, func(x, y string) int { return strings.Compare(id[x], id[y]) })
		return strings.Join(names, "")
	}
	for _, c := range []struct{ by, up, down string }{
		{"userName", "aBcDe", "eDcBa"},
		{"USERNAME", "aBcDe", "eDcBa"},
		{userURN + ":userName", "aBcDe", "eDcBa"},
		{"externalId", "BecaD", "DaceB"}, // B C a b, then none
		{"title", byID("B", "D") + "ae" + "c", "c" + "ea" + byID("B", "D")},
		{"name.givenName", "DBcae", "eacBD"},                       // ada eve Zoe Émile, then none
		{"emails", "BaD" + byID("c", "e"), byID("c", "e") + "DaB"}, // b c D by primary or first; a primary one without value has none
		{"emails.value", "BaD" + byID("c", "e"), byID("c", "e") + "DaB"},
		{"emails.type", "D" + byID("a", "B", "c", "e"), byID("a", "B", "c", "e") + "D"},
		{"active", byID("B", "D") + byID("a", "c", "e"), byID("a", "c", "e") + byID("B", "D")},
		{"meta.created", "aBcDe", "eDcBa"},
		{"meta.lastModified", "aBcDe", "eDcBa"},
		{"profileUrl", "Dc" + byID("a", "B", "e"), byID("a", "B", "e") + "cD"},
		{enterprise + ":department", "Ba" + byID("c", "D", "e"), byID("c", "D", "e") + "aB"}, // text, not numbers
		{enterprise + ":manager", "a" + byID("B", "c", "D", "e"), byID("B", "c", "D", "e") + "a"},
		{enterprise + ":manager.value", "a" + byID("B", "c", "D", "e"), byID("B", "c", "D", "e") + "a"},
		{"id", byID("a", "B", "c", "D", "e"), reverse(byID("a", "B", "c", "D", "e"))},
		{"nickName", byID("a", "B", "c", "D", "e"), byID("a", "B", "c", "D", "e")},
		{"password", byID("a", "B", "c", "D", "e"), byID("a", "B", "c", "D", "e")},
		{"meta.resourceType", byID("a", "B", "c", "D", "e"), byID("a", "B", "c", "D", "e")},
	} {
		for order, want := range map[string]string{"": c.up, "ascending": c.up, "ASCENDING": c.up, "descending": c.down, "Descending": c.down} {
			path := "/Users?sortBy=" + url.QueryEscape(c.by) + "&sortOrder=" + order
			if order == "" {
				path = "/Users?sortBy=" + url.QueryEscape(c.by)
			}
			read := func(a answer) (got string) {
				for _, r := range a.want(200).at("Resources").Elements() {
					got += name[r.Get("id").Text()]
				}
				return got
			}
			a := w.get(path).is("totalResults", "5")
			if got := read(a); got != want {
				t.Errorf("%s = %s, want %s", a.asked, got, want)
				continue
			}
			// Its pages are parts of it, whatever of a resource is answered.
			for count := 1; count <= 5; count++ {
				got := ""
				for start := 1; start <= 5; start += count {
					got += read(w.get(fmt.Sprintf("%s&startIndex=%d&count=%d&attributes=meta", path, start, count)).is("totalResults", "5"))
				}
				if got != want {
					t.Errorf("%s in pages of %d = %s, want %s", a.asked, count, got, want)
				}
			}
			filtered := strings.NewReplacer("c", "", "D", "").Replace(want)
			if got := read(w.get(path+"&filter="+url.QueryEscape(`userName eq "a" or userName eq "b" or userName eq "E"`)).is("totalResults", "3")); got != filtered {
				t.Errorf("%s, filtered = %s, want %s", a.asked, got, filtered)
			}
		}
	}
	w.get("/Users?sortBy=userName&startIndex=6").is("totalResults", "5").is("itemsPerPage", "0").is("startIndex", "6")
	w.get("/Users?sortBy=userName&count=0").is("totalResults", "5").is("Resources", "[]")
	w.get("/Users?sortOrder=descending").list(id["a"], id["B"], id["c"], id["D"], id["e"])
	w.get("/Users?sortBy=userName&sortOrder=sideways").refused(400, "invalidValue")
	w.get("/Users?sortBy=userName&sortBy=title").refused(400, "invalidValue")
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func TestSortOfGroups(t *testing.T) {
	w := newWorld(t)
	ada, bo := w.user("ada@example.com"), w.user("bo@example.com")
	first, second := min(ada, bo), max(ada, bo)
	z, y, x := w.group("zulu", second), w.group("Yankee"), w.group("x-ray", first, second)
	order := func(query string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range w.get("/Groups?" + query).want(200).at("Resources").Elements() {
			got = append(got, r.Get("id").Text())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s = %v, want %v", query, got, want)
		}
	}
	order("sortBy=displayName", x, y, z)
	order("sortBy=displayName&sortOrder=descending&excludedAttributes=members", z, y, x)
	order("sortBy=members.value", x, z, y)
	order("sortBy=members&sortOrder=descending", y, z, x)
	order("sortBy=members&filter="+url.QueryEscape(`members.value eq "`+second+`"`), x, z)
	order("sortBy=meta.created&sortOrder=descending", x, y, z)
	w.get("/Groups?sortBy=displayName").is("Resources.2.members.0.value", `"`+second+`"`)
	w.Bound(0, 2, 0)
	w.get("/Groups?sortBy=members").refused(400, "tooMany")
}

// What there is nothing to sort by is refused, but for Compat, which passes it
// over and counts that.
func TestSortByNothing(t *testing.T) {
	for _, dialect := range []string{"compat", "strict", "interop"} {
		w := newWorld(t, dialect)
		ids := []string{w.user("b@example.com"), w.user("a@example.com")}
		slices.Sort(ids)
		for _, by := range []string{"shoeSize", "name", "addresses", "emails.shoe", "a b", "emails[type eq \"work\"]", enterprise, "urn:x:y", ".", "name.givenName.x"} {
			for _, path := range []string{"/Users", ""} {
				a := w.get(path + "?sortBy=" + url.QueryEscape(by))
				if dialect != "compat" {
					a.refused(400, "invalidPath")
					continue
				}
				if got := a.want(200).ids(); !slices.Equal(got, ids) {
					t.Errorf("%s = %v, want the order of ids", a.asked, got)
				}
			}
		}
		for _, none := range []string{"sortBy=", "sortBy=%20", "sortBy=&sortOrder=descending"} {
			if got := w.get("/Users?" + none).want(200).ids(); !slices.Equal(got, ids) {
				t.Errorf("%s: %s = %v, want the order of ids", dialect, none, got)
			}
		}
		if got := strings.Count(w.log.String(), `"coerced":{"unknownSort":1}`); got != map[string]int{"compat": 20}[dialect] {
			t.Errorf("%s: %d requests were logged to have an unknown sortBy passed over", dialect, got)
		}
		// Entra leaves the URN of an extension out.
		if a := w.get("/Users?sortBy=department"); dialect == "compat" && a.status != 200 || dialect != "compat" && a.status != 400 {
			t.Errorf("%s: sortBy=department = %d", dialect, a.status)
		}
	}
}

func TestSortThatLooksAtTooMuch(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.user(fmt.Sprintf("u%d@example.com", i), `"title":"x"`)
		w.group(fmt.Sprint("Team ", i))
	}
	w.Bound(3, 0, 0)
	for _, path := range []string{"/Users?sortBy=userName", "/Groups?sortBy=displayName", "?sortBy=id", "/Users?sortBy=userName&filter=title+pr", "/Users?sortBy=userName&count=0"} {
		a := w.get(path).refused(400, "tooMany")
		if d := a.text("detail"); !strings.Contains(d, "sorts") || !strings.Contains(d, "more than 3 ") {
			t.Errorf("%s: %q, want a sentence that says what is too much", path, d)
		}
	}
	w.get("/Users?sortBy=id").is("totalResults", "4") // so they lie
	w.get("/Users?sortBy=userName&filter=userName+eq+%22u1@example.com%22").is("totalResults", "1")
}
