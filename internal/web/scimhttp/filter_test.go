package scimhttp_test

import (
	"context"
	"fmt"
	"iter"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
	"gatehouse/internal/web/scimhttp"
)

func TestUserFilters(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com", `"externalId":"X-1","title":"Countess","displayName":"Ada L","phoneNumbers":[{"type":"mobile","value":"1"}]`,
		`"`+enterprise+`":{"employeeNumber":"7","manager":{"value":"boss"}}`)
	bo := w.do("POST", "/Users", `{"schemas":["`+userURN+`"],"userName":"Bo","active":false,"externalId":"x-1","emails":[{"value":"BO@example.com","type":"work"},{"value":"bo@home.example","type":"home"}]}`).want(201).text("id")
	g := w.group("Engines", bo)
	for filter, want := range map[string][]string{
		`userName eq "ada@example.com"`:                                   {ada},
		`userName eq "ADA@Example.com"`:                                   {ada},
		`USERNAME EQ "ada@example.com"`:                                   {ada},
		`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "bo"`:     {bo},
		`userName eq "nobody"`:                                            {},
		`id eq "` + bo + `"`:                                              {bo},
		`id eq "` + strings.ToUpper(bo) + `"`:                             {},
		`id eq "nonsense"`:                                                {},
		`id eq ""`:                                                        {},
		`externalId eq "X-1"`:                                             {ada},
		`externalId eq "x-1"`:                                             {bo},
		`emails.value eq "bo@EXAMPLE.com"`:                                {bo},
		`emails[type eq "work"].value eq "bo@example.com"`:                {bo},
		`emails[type eq "home"].value eq "bo@example.com"`:                {},
		`emails[type eq "work" and value eq "ada@example.com"]`:           {ada},
		`emails eq "bo@home.example"`:                                     {bo},
		`userName eq "bo" and active eq true`:                             {},
		`userName eq "bo" and active eq false`:                            {bo},
		`active eq "False"`:                                               {bo},
		`userName eq "bo" and externalId eq "x-1" and id eq "` + bo + `"`: {bo},
		`userName eq "bo" and externalId eq "X-1"`:                        {},
		`displayName eq "ada l"`:                                          {ada},
		`displayName ne "ada l"`:                                          {bo},
		`userName co "b"`:                                                 {bo},
		`emails co "example.com"`:                                         {ada, bo},
		`name.familyName sw "Love"`:                                       {ada},
		`title pr`:                                                        {ada},
		`not (title pr)`:                                                  {bo},
		`title pr or userName eq "bo"`:                                    {ada, bo},
		`userName eq "bo" or userName eq "ada@example.com"`:               {ada, bo},
		`phoneNumbers[type eq "mobile"] and active eq true`:               {ada},
		enterprise + `:employeeNumber eq "7"`:                             {ada},
		enterprise + `:manager eq "boss"`:                                 {ada},
		`manager eq "boss"`:                                               {ada},
		`manager.value eq "boss"`:                                         {ada},
		`groups.value eq "` + g + `"`:                                     {bo},
		`groups eq "` + g + `"`:                                           {bo},
		`schemas eq "` + enterprise + `"`:                                 {ada},
		`meta.resourceType eq "User"`:                                     {ada, bo},
		`meta.lastModified gt "2011-05-13T04:42:34Z"`:                     {ada, bo},
		`meta.created lt "2011-05-13T04:42:34Z"`:                          {},
		`userName gt "b"`:                                                 {bo},
		`nothing eq "x"`:                                                  {},
		`password eq "x"`:                                                 {},
		`title eq null`:                                                   {bo},
	} {
		w.find("/Users", filter).list(want...)
		body := fmt.Sprintf(`{"schemas":[%q],"filter":%s,"attributes":["id"]}`, searchURN, value.Str(filter).Append(nil))
		w.do("POST", "/Users/.search", body).list(want...)
	}
	for _, filter := range []string{
		"", " ", "userName", "userName eq", `userName eq bo`, `userName xx "bo"`, `userName eq "bo" and`, `(userName eq "bo"`, `userName eq "bo")`, `active gt true`,
		`userName eq "bo" nonsense`, `emails[type eq "work"`, `eq "x"`, `"userName" eq "x"`, `userName eq "` + strings.Repeat("x", 5000) + `"`, strings.Repeat("(", 500) + `title pr` + strings.Repeat(")", 500),
		"userName eq \"a\xff\"", `userName eq 'bo'`, `meta.created gt "yesterday"`,
	} {
		w.find("/Users", filter).refused(400, "invalidFilter")
	}
	// What cannot be read must not become a list of everybody.
	w.get("/Users?filter").refused(400, "invalidFilter")
	w.get("/Users?filter=userName+eq+%22a%zz%22").refused(400, "invalidValue")
	w.get("/Users?filter=userName+eq+%22a%22&filter=userName+pr").refused(400, "invalidValue")
	w.get(`/Users?filter=userName+eq+%22a;b%22`).list()
	w.get(`/Users?filter=userName%20eq%20%22Bo%22&`).list(bo)
	w.get(`/Users?&&filter=userName+eq+%22Bo%22&x=%zz&%zz=1`).list(bo)
	w.get(`/Users?aadOptscim062020&filter=userName+eq+%22Bo%22`).list(bo)
	w.get("/Users/" + bo + "?aadOptscim062020&").want(200)
	w.get("/Users/" + bo + "?filter=userName+eq+%22nobody%22").want(200)
}

func TestFiltersThatLookAtTooMuch(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 4 {
		ids = append(ids, w.user(fmt.Sprintf("u%d@example.com", i), fmt.Sprintf(`"externalId":"%d"`, i)))
	}
	for i := range 4 {
		w.group(fmt.Sprint("Team ", i), ids[:i]...)
	}
	w.Bound(4, 6, 0)
	w.find("/Users", `userName sw "u"`).list(ids...)
	w.find("/Groups", `members.type eq "User" and displayName pr`).is("totalResults", "3")
	w.Bound(3, 5, 0)
	for _, f := range []string{`userName sw "u"`, `title pr`, `userName eq "u1@example.com" or title pr`, `not (userName eq "u1@example.com")`, `id ne "x"`, `displayName eq "x"`} {
		if d := w.find("/Users", f).refused(400, "tooMany").text("detail"); !strings.Contains(d, " 3 ") || !strings.Contains(d, "userName") || !strings.Contains(d, "externalId") || !strings.Contains(d, "emails.value") {
			t.Errorf("the detail %q does not name the bound and what is indexed", d)
		}
	}
	if d := w.find("/Groups", `displayName sw "T"`).refused(400, "tooMany").text("detail"); !strings.Contains(d, "displayName") || !strings.Contains(d, "members.value") {
		t.Errorf("the detail %q does not name what is indexed", d)
	}
	w.find("/Users", `userName eq "u1@example.com" and title pr`).list()
	w.find("/Users", `externalId eq "1"`).list(ids[1])
	w.find("/Users", `emails.value eq "u1@example.com" and userName sw "u"`).list(ids[1])
	w.find("/Groups", `members eq "`+ids[2]+`"`).is("totalResults", "1")
	w.get("/Users").list(ids...)

	w.Bound(100, 0, 0)
	if d := w.find("/Groups", `members.type eq "User"`).refused(400, "tooMany").text("detail"); !strings.Contains(d, "5 members") || !strings.Contains(d, "members.value") {
		t.Errorf("the detail %q does not name the bound of members", d)
	}
}

// TestFiltersThatCompareTooMuch: what one request compares is bounded, also where
// there are few candidates, and however few members a group has.
func TestFiltersThatCompareTooMuch(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	g := w.group("Team", ada)
	many := func(term string) string { return strings.Repeat(term+" or ", 199) + term }
	for _, c := range []struct{ endpoint, filter, indexed, id string }{
		{"/Users", many(`title co "x"`), `userName eq "ada@example.com"`, ada},
		{"/Users", `emails.value eq "ada@example.com" and (` + many(`title co "x"`) + `)`, `emails.value eq "ada@example.com" and title pr`, ""},
		{"/Groups", many(`displayName co "x"`), `displayName eq "team"`, g},
		{"/Groups", many(`members.value co "#"`), `members.value eq "` + ada + `"`, g},
	} {
		w.BoundWork(5_000)
		if d := w.find(c.endpoint, c.filter).refused(400, "tooMany").text("detail"); !strings.Contains(d, "indexed") {
			t.Errorf("the detail %q does not say what to do", d)
		}
		w.get(c.endpoint+"?sortBy=id&sortOrder=descending&filter="+url.QueryEscape(c.filter)).refused(400, "tooMany")
		if a := w.find(c.endpoint, c.indexed); c.id == "" {
			a.list()
		} else {
			a.list(c.id)
		}
		w.BoundWork(filter.MaxWork)
		w.find(c.endpoint, c.filter).list()
	}
}

// deaf is a table that does not hear of the end of a request while it is read.
type deaf struct{ table.Table }

func (d deaf) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return d.Table.Query(context.WithoutCancel(ctx), part, r)
}

func (d deaf) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	return d.Table.Get(context.WithoutCancel(ctx), keys...)
}

// TestQueriesEndWithTheirRequest: nothing more is looked at for a client that went
// away, whatever the store has read already.
func TestQueriesEndWithTheirRequest(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	w.group("Team", ada)
	w.table.Table = deaf{w.table.Table}
	for _, path := range []string{
		"/Users?filter=title+pr", "/Users?sortBy=title", "/Users?filter=emails.value+eq+%22ada@example.com%22",
		"/Groups?filter=externalId+pr", "/Groups?sortBy=displayName", "/Groups?filter=displayName+eq+%22team%22",
	} {
		ctx, cancel := context.WithCancel(context.Background())
		r := httptest.NewRequest("GET", scimhttp.Prefix+path, nil).WithContext(ctx)
		r.Header.Set("Authorization", "Bearer "+w.token)
		w.table.breaks(func(op string) error {
			if op == "query" {
				cancel()
			}
			return nil
		})
		w.serve(r).refused(503, "")
		cancel()
		w.table.breaks(nil)
	}
}

func TestGroupFilters(t *testing.T) {
	w := newWorld(t)
	ada, bo := w.user("ada@example.com"), w.user("bo@example.com")
	engines := w.do("POST", "/Groups", `{"schemas":["`+groupURN+`"],"displayName":"Engines","externalId":"E","members":[{"value":"`+ada+`"},{"value":"`+bo+`"}]}`).want(201).text("id")
	poets := w.group("Poets", ada)
	empty := w.group("Nobody")
	for filter, want := range map[string][]string{
		`displayName eq "ENGINES"`:                                   {engines},
		`displayName eq "x"`:                                         {},
		`externalId eq "E"`:                                          {engines},
		`externalId eq "e"`:                                          {},
		`id eq "` + poets + `"`:                                      {poets},
		`id eq "x"`:                                                  {},
		`members eq "` + ada + `"`:                                   {engines, poets},
		`members.value eq "` + bo + `"`:                              {engines},
		`members[value eq "` + bo + `"]`:                             {engines},
		`members eq "x"`:                                             {},
		`members eq "` + mintUser() + `"`:                            {},
		`id eq "` + poets + `" and members eq "` + ada + `"`:         {poets},
		`id eq "` + poets + `" and members eq "` + bo + `"`:          {},
		`members eq "` + ada + `" and members eq "` + bo + `"`:       {engines},
		`displayName eq "engines" and members eq "` + bo + `"`:       {engines},
		`displayName eq "engines" and not (members eq "` + bo + `")`: {},
		`members eq "` + bo + `" or displayName eq "Poets"`:          {engines, poets},
		`not (members pr)`:                                           {empty},
		`members pr`:                                                 {engines, poets},
		`members.type eq "User"`:                                     {engines, poets},
		`members ne "` + ada + `"`:                                   {engines, empty},
		`meta.resourceType eq "Group" and displayName sw "P"`:        {poets},
		`displayName pr`:                                             {engines, poets, empty},
		`schemas eq "` + groupURN + `"`:                              {engines, poets, empty},
		`nothing eq "x"`:                                             {},
	} {
		a := w.find("/Groups", filter).list(want...)
		for _, r := range a.at("Resources").Elements() {
			if id := r.Get("id").Text(); len(r.Get("members").Elements()) != map[string]int{engines: 2, poets: 1}[id] {
				t.Errorf("%s: group %s shows members %v, want all of them", filter, id, texts(r.Get("members")))
			}
		}
		w.get("/Groups?excludedAttributes=members&filter=" + url.QueryEscape(filter)).list(want...).lacks("Resources.0.members")
	}
	w.do("DELETE", "/Users/"+bo, "").want(204)
	w.find("/Groups", `members eq "`+bo+`"`).list()
	w.find("/Groups", `id eq "`+engines+`" and members eq "`+bo+`"`).list()
}
