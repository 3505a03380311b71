package scimhttp_test

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"testing"
)

// TestRootQueries: a query at the root is over all resource types (RFC 7644
// §3.4.2.1), users first.
func TestRootQueries(t *testing.T) {
	for _, dialect := range []string{"compat", "strict", "interop"} {
		t.Run(dialect, func(t *testing.T) {
			w := newWorld(t, dialect)
			ada := w.user("ada@example.com", `"displayName":"Smith, Ada"`, `"externalId":"7"`)
			bo := w.user("bo@example.com", `"title":"x"`)
			poets := w.group("Poets", bo)
			smiths := w.do("POST", "/Groups", `{"schemas":["`+groupURN+`"],"displayName":"Smith Family","externalId":"7","members":[{"value":"`+ada+`"}]}`).want(201).text("id")
			users, groups := []string{ada, bo}, []string{poets, smiths}
			slices.Sort(users)
			slices.Sort(groups)
			all := slices.Concat(users, groups)
			for filter, want := range map[string][]string{
				"":                             all,
				`meta.resourceType eq "User"`:  users,
				`meta.resourceType eq "Group"`: groups,
				`meta.resourceType eq "Role"`:  {},
				`meta.resourceType ne "User"`:  groups,
				`(meta.resourceType eq "User") or (meta.resourceType eq "Group")`: all,
				`meta.resourceType eq "User" and title pr`:                        {bo},
				`displayName sw "smith"`:                                          {ada, smiths},
				`externalId eq "7"`:                                               {ada, smiths},
				`id eq "` + poets + `"`:                                           {poets},
				`userName eq "ADA@example.com"`:                                   {ada},
				`userName pr`:                                                     users,
				`not (userName pr)`:                                               groups,
				`members.value eq "` + bo + `"`:                                   {poets},
				`userName eq "bo@example.com" or members.value eq "` + bo + `"`:   {bo, poets},
				`schemas eq "` + groupURN + `"`:                                   groups,
				groupURN + `:displayName pr`:                                      groups,
				`meta.created gt "2020-01-01T00:00:00Z" and displayName co "o"`:   {poets},
				`groups.value eq "` + smiths + `"`:                                {ada},
			} {
				query := "?filter=" + url.QueryEscape(filter)
				body := `{"schemas":["` + searchURN + `"],"filter":` + strconv.Quote(filter) + `}`
				if filter == "" {
					query, body = "", `{"schemas":["`+searchURN+`"]}`
				}
				for _, a := range []answer{w.get(query), w.get("/" + query), w.do("POST", "/.search", body)} {
					a.want(200).list(want...)
				}
			}
			// In order, and every page of every size.
			for _, filter := range []string{"", "&filter=id+pr", "&filter=displayName+pr+or+userName+pr", "&sortBy=meta.created"} {
				order := w.get("?count=100" + filter).ids()
				if filter != "&sortBy=meta.created" && !slices.Equal(order, all) {
					t.Errorf("the root lists %v, want users by id, then groups by id: %v", order, all)
				}
				for start := 1; start <= 6; start++ {
					for count := range 6 {
						a := w.get(fmt.Sprintf("?startIndex=%d&count=%d%s", start, count, filter)).is("totalResults", "4").is("startIndex", strconv.Itoa(start))
						if want := order[min(start-1, 4):min(start-1+count, 4)]; !slices.Equal(a.ids(), want) {
							t.Errorf("%s = %v, want %v", a.asked, a.ids(), want)
						}
					}
				}
			}
			// Each type answers with what it has of what was asked for.
			a := w.get("?attributes=userName,displayName&filter=" + url.QueryEscape(`displayName sw "Smith"`))
			a.is("Resources.0", `{"schemas":["`+userURN+`"],"id":"`+ada+`","userName":"ada@example.com","displayName":"Smith, Ada"}`)
			a.is("Resources.1", `{"schemas":["`+groupURN+`"],"id":"`+smiths+`","displayName":"Smith Family"}`)
			w.get("?excludedAttributes=members,emails").is("totalResults", "4").lacks("Resources.0.emails").lacks("Resources.2.members")
			w.get("?attributes=id&excludedAttributes=name").refused(400, "invalidValue")
			w.get("?filter=active+gt+true").refused(400, "invalidFilter")
			w.get("?filter=x").refused(400, "invalidFilter")
			if dialect == "compat" {
				w.get("?filter=shoeSize+eq+9").list()
			} else {
				w.get("?filter=shoeSize+eq+9").refused(400, "invalidFilter")
			}
			w.do("POST", "", "{}").refused(405, "")
			w.do("DELETE", "/", "").refused(405, "")
			w.get("/.search").refused(405, "")

			// What would look at too much is refused; what the counters or an index
			// answer is not.
			w.Bound(3, 0, 0)
			w.get("?filter=title+pr").list(bo) // no group can have that
			w.get("?filter=displayName+pr").refused(400, "tooMany")
			w.get("?sortBy=displayName").refused(400, "tooMany")
			w.get("").is("totalResults", "4")
			w.get("?filter=meta.resourceType+eq+%22Group%22").list(groups...)
			w.get("?filter=externalId+eq+%227%22").list(ada, smiths)

			// Another connection sees nothing of it.
			_, w.token = w.connect(w.org, dialect)
			w.get("").list()
			w.get("?filter=id+eq+%22" + ada + "%22").list()
		})
	}
}

// TestOktasTypes: roles and entitlements can be looked for, by Okta's names.
func TestOktasTypes(t *testing.T) {
	w := newWorld(t)
	for endpoint, urn := range map[string]string{"/Roles": "urn:okta:scim:schemas:core:1.0:Role", "/Entitlements": "urn:okta:scim:schemas:core:1.0:Entitlement"} {
		name := endpoint[1 : len(endpoint)-1]
		w.get("/ResourceTypes/"+name).want(200).is("endpoint", strconv.Quote(endpoint)).is("schema", strconv.Quote(urn))
		s := w.get("/Schemas/" + urn).want(200)
		var names []string
		for _, a := range s.at("attributes").Elements() {
			names = append(names, a.Get("name").Text())
			if a.Get("mutability").Text() != "readOnly" {
				t.Errorf("%s of %s is %s, want readOnly", a.Get("name").Text(), urn, a.Get("mutability").Text())
			}
		}
		if !slices.Equal(names, []string{"displayName", "type", "description"}) {
			t.Errorf("the attributes of %s are %v", urn, names)
		}
		w.get(endpoint).want(200).list().is("Resources", "[]").is("startIndex", "1").is("itemsPerPage", "0")
		w.get(endpoint + "?filter=displayName+eq+%22x%22&sortBy=type&count=5&startIndex=2&attributes=id").want(200).list()
		w.get(endpoint + "?cursor&count=5").want(200).list().lacks("nextCursor")
		w.get(endpoint+"?filter=x").refused(400, "invalidFilter")
		w.do("POST", endpoint+"/.search", `{"schemas":["`+searchURN+`"]}`).want(200).list()
		w.get(endpoint+"/x").refused(404, "")
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			path := endpoint + "/x"
			if method == "POST" {
				path = endpoint
			}
			a := w.do(method, path, `{"schemas":["`+urn+`"],"displayName":"x"}`).refused(405, "")
			if got := a.header.Get("Allow"); got != "GET, HEAD" {
				t.Errorf("%s %s: Allow = %q", method, path, got)
			}
		}
	}
}

// TestProducts: the extension is declared, read-only, and absent while nobody
// has products, even from who asks for it.
func TestProducts(t *testing.T) {
	const urn = "urn:gatehouse:params:scim:schemas:extension:product:2.0:User"
	w := newWorld(t)
	s := w.get("/Schemas/"+urn).want(200).is("attributes.0.name", `"products"`).is("attributes.0.returned", `"request"`).
		is("attributes.0.mutability", `"readOnly"`).is("attributes.0.multiValued", "true")
	if got := len(s.at("attributes.0.subAttributes").Elements()); got != 3 {
		t.Errorf("products have %d sub-attributes, want value, display and since", got)
	}
	ada := w.user("ada@example.com", `"`+urn+`":{"products":[{"value":"p"}]}`)
	for _, q := range []string{"", "?attributes=" + urn + ":products", "?attributes=" + urn, "?attributes=" + urn + ":products.value"} {
		a := w.get("/Users/"+ada+q).want(200).is("schemas", `["`+userURN+`"]`)
		if a.tree.Get(urn).Kind() != 0 {
			t.Errorf("%s shows %s, and nobody has products", a.asked, a.tree.Get(urn).Append(nil))
		}
	}
	w.find("/Users", urn+":products pr").list()
	w.find("/Users", urn+`:products eq "p"`).list()
	w.find("/Users", urn+`:products[value eq "p" and since gt "2020-01-01T00:00:00Z"]`).list()
	w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","path":"`+urn+`:products","value":[{"value":"p"}]}`)).refused(400, "mutability")
	w.do("PATCH", "/Users/"+ada, patch(`{"op":"add","value":{"`+urn+`":{"products":[{"value":"p"}]}}}`)).want(200) // passed over, as a body's is
	newWorld(t, "strict").do("POST", "/Users", person("bo@example.com", `"`+urn+`":{"products":[{"value":"p"}]}`)).want(201).is("schemas", `["`+userURN+`"]`)
}
