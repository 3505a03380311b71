package scimhttp_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ofTokens are the fixtures of the token endpoint, which package web/oauth runs.
var ofTokens = []string{"entra-token-cc", "entra-token-wif"}

// scene is the world of one fixture: two users, a third of whom its request
// does not speak, and a group.
type scene struct {
	*world
	ana, bo, cy, group string
}

// idpCase is what a fixture needs before its request, and what its sentence of
// expectation means after it.
type idpCase struct {
	members string               // of the group: letters of the users' names; "-": no group
	users   bool                 // ana exists
	pre     func(*scene)         // what more has to be there
	post    func(*scene, answer) // nil: the status says it all
}

// TestIdentityProviders makes the requests that identity providers make.
func TestIdentityProviders(t *testing.T) {
	data, err := os.ReadFile("testdata/idp-requests.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Fixtures []struct {
			ID      string
			Request struct {
				Method, Path string
				Headers      map[string]string
				Body         json.RawMessage
			}
			ExpectStatus []int
			Expect       string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, f := range file.Fixtures {
		if slices.Contains(ofTokens, f.ID) {
			continue
		}
		ran++
		t.Run(f.ID, func(t *testing.T) {
			c, ok := idpCases[f.ID]
			if !ok {
				t.Fatalf("nothing says what it means: %s", f.Expect)
			}
			s := c.scene(t)
			fill := strings.NewReplacer("{{userId}}", s.ana, "{{userId2}}", s.bo, "{{groupId}}", s.group)
			var headers []string
			for name, v := range f.Request.Headers {
				headers = append(headers, name, v)
			}
			a := s.do(f.Request.Method, fill.Replace(f.Request.Path), fill.Replace(string(f.Request.Body)), headers...)
			if !slices.Contains(f.ExpectStatus, a.status) {
				t.Fatalf("%s = %d, want %v (%s); body %s", a.asked, a.status, f.ExpectStatus, f.Expect, a.body)
			}
			if c.post != nil {
				c.post(s, a)
			}
		})
	}
	if ran != 50 || len(idpCases) != ran {
		t.Errorf("%d fixtures ran and %d are known, want 50", ran, len(idpCases))
	}
}

func (c idpCase) scene(t *testing.T) *scene {
	t.Helper()
	s := &scene{world: newWorld(t)}
	if c.users || c.members != "" {
		s.ana = s.user("ana.ruiz@corp.test", `"externalId":"8a0f2d9e-1111-4c2e-9b8e-0f4f7f0d0001"`, `"displayName":"Ana Ruiz"`)
		s.bo, s.cy = s.user("bo.li@corp.test"), s.user("cy.woo@corp.test")
	}
	if c.members != "" {
		var ids []string
		for _, letter := range c.members {
			if id := map[rune]string{'a': s.ana, 'b': s.bo, 'c': s.cy}[letter]; id != "" {
				ids = append(ids, id)
			}
		}
		s.group = s.world.group("Finance EU", ids...)
	}
	if c.pre != nil {
		c.pre(s)
	}
	return s
}

func (s *scene) wantMembers(want ...string) {
	s.Helper()
	slices.Sort(want)
	if got := s.members(s.group); !slices.Equal(got, want) {
		s.Errorf("members = %v, want %v", got, want)
	}
}

func (s *scene) anaIs(path, want string) {
	s.Helper()
	s.get("/Users/"+s.ana).is(path, want)
}

func inactive(s *scene, _ answer) {
	s.Helper()
	s.get("/Users/"+s.ana).is("active", "false").is("displayName", `"Ana Ruiz"`).is("emails.0.value", `"ana.ruiz@corp.test"`)
}

func onlyAna(s *scene, a answer) { s.Helper(); a.list(s.ana) }

func onlyGroup(s *scene, a answer) { s.Helper(); a.list(s.group) }

func noMembers(s *scene, a answer) {
	s.Helper()
	if strings.Contains(string(a.body), `"members"`) {
		s.Errorf("%s shows members: %s", a.asked, a.body)
	}
}

func manyUsers(n int) func(*scene) {
	return func(s *scene) {
		for i := range n {
			s.user(fmt.Sprintf("u%04d@corp.test", i))
		}
	}
}

func pageAt(start, size, total int) func(*scene, answer) {
	return func(s *scene, a answer) {
		s.Helper()
		a.is("startIndex", strconv.Itoa(start)).is("itemsPerPage", strconv.Itoa(size)).is("totalResults", strconv.Itoa(total))
		var all []string
		for first := 1; first <= total; first += size {
			all = append(all, s.get(fmt.Sprintf("/Users?startIndex=%d&count=%d", first, size)).ids()...)
		}
		if slices.Sort(all); len(slices.Compact(all)) != total {
			s.Errorf("pages of %d showed %d users, want %d, each once", size, len(all), total)
		}
	}
}

func bare(urn string) func(*scene, answer) {
	return func(s *scene, a answer) { s.Helper(); a.is("schemas", `["`+urn+`"]`).lacks("Resources") }
}

func listing(ids ...string) func(*scene, answer) {
	return func(s *scene, a answer) { s.Helper(); a.list(ids...) }
}

var idpCases = map[string]idpCase{
	"okta-lookup-miss": {post: func(s *scene, a answer) { a.list().is("startIndex", "1").is("Resources", "[]") }},
	"okta-create": {post: func(s *scene, a answer) {
		a.is("schemas", `["`+userURN+`"]`).lacks("password").lacks("groups").is("active", "true").is("locale", `"en-US"`)
		if got := a.header.Get("Location"); !strings.HasSuffix(got, "/Users/"+a.text("id")) {
			s.Errorf("Location = %q, want the user's address", got)
		}
	}},
	"okta-create-dup": {users: true, post: func(s *scene, a answer) { a.refused(409, "uniqueness") }},
	"okta-put-update": {members: "a", post: func(s *scene, a answer) {
		a.is("name", `{"familyName":"Ruiz","givenName":"Anita"}`).is("id", strconv.Quote(s.ana)).is("groups.0.value", strconv.Quote(s.group)).lacks("displayName")
	}},
	"okta-patch-deactivate": {users: true, post: inactive},
	"okta-patch-password": {users: true, post: func(s *scene, a answer) {
		if strings.Contains(string(a.body)+s.log.String(), "N3w-secret") {
			s.Error("the password is shown or logged")
		}
	}},
	"okta-import-page2":  {pre: manyUsers(205), post: pageAt(101, 100, 205)},
	"okta-group-create":  {post: func(s *scene, a answer) { a.is("displayName", `"Finance EU"`).lacks("members") }},
	"okta-group-lookup":  {members: "-", post: onlyGroup},
	"okta-group-rename":  {members: "ab", post: func(s *scene, a answer) { s.wantSameGroup(); s.wantMembers(s.ana, s.bo) }},
	"okta-group-delta":   {members: "ac", post: func(s *scene, a answer) { s.wantMembers(s.bo, s.cy) }},
	"okta-group-replace": {members: "c", post: func(s *scene, a answer) { s.wantMembers(s.ana, s.bo) }},
	"okta-group-delete": {members: "a", post: func(s *scene, a answer) {
		s.get("/Groups/"+s.group).refused(404, "")
		s.get("/Users/" + s.ana).want(200).lacks("groups")
	}},
	"okta-bad-auth":           {post: func(s *scene, a answer) { a.refused(401, "") }},
	"okta-missing-id":         {post: func(s *scene, a answer) { a.refused(404, "") }},
	"entra-test-connection":   {post: listing()},
	"entra-lookup-externalid": {users: true, post: onlyAna},
	"entra-lookup-email":      {users: true, post: onlyAna},
	"entra-create": {post: func(s *scene, a answer) {
		a.is("schemas", `["`+userURN+`"]`).is("externalId", `"8a0f2d9e-1111-4c2e-9b8e-0f4f7f0d0001"`).lacks("roles")
	}},
	"entra-create-nulls":   {post: func(s *scene, a answer) { a.lacks("addresses").lacks("phoneNumbers").is("externalId", `"aruiz"`) }},
	"entra-disable-legacy": {users: true, post: inactive},
	"entra-disable-flag":   {users: true, post: inactive},
	"entra-multi-flag": {users: true, post: func(s *scene, a answer) {
		a = s.get("/Users/"+s.ana).is("emails.0.value", `"a.ruiz@corp.test"`).is("displayName", `"A. Ruiz"`).is("name", `{"familyName":"Ruiz","givenName":"A."}`)
		if got := a.tree.At(enterprise, "employeeNumber").Text(); got != "E-77" {
			s.Errorf("employeeNumber = %q, want E-77", got)
		}
		if strings.Contains(string(a.body), "name.givenName") {
			s.Errorf("a path was stored as a name: %s", a.body)
		}
	}},
	"entra-add-email-absent": {users: true, post: func(s *scene, a answer) { s.anaIs("phoneNumbers", `[{"value":"55501234567","type":"mobile"}]`) }},
	"entra-manager-string": {users: true, post: func(s *scene, a answer) {
		if got := s.get("/Users/"+s.ana).tree.At(enterprise, "manager", "value").Text(); got != s.bo {
			s.Errorf("manager = %q, want %q", got, s.bo)
		}
	}},
	"entra-manager-clear":        {users: true, pre: underBo, post: func(s *scene, a answer) { s.anaIs("schemas", `["`+userURN+`"]`) }},
	"entra-manager-check":        {users: true, pre: underBo, post: onlyAna},
	"entra-empty-ops":            {users: true, post: func(s *scene, a answer) { s.anaIs("displayName", `"Ana Ruiz"`) }},
	"entra-group-create":         {post: func(s *scene, a answer) { a.is("schemas", `["`+groupURN+`"]`).is("displayName", `"Finance EU"`) }},
	"entra-group-lookup":         {members: "ab", post: func(s *scene, a answer) { onlyGroup(s, a); noMembers(s, a) }},
	"entra-group-get":            {members: "ab", post: noMembers},
	"entra-member-check":         {members: "ab", post: func(s *scene, a answer) { onlyGroup(s, a); noMembers(s, a) }},
	"entra-member-add":           {members: "ac", post: func(s *scene, a answer) { s.wantMembers(s.ana, s.bo, s.cy) }},
	"entra-member-remove-legacy": {members: "abc", post: func(s *scene, a answer) { s.wantMembers(s.bo, s.cy) }},
	"entra-page":                 {pre: manyUsers(12), post: pageAt(6, 5, 12)},
	"onelogin-lookup": {users: true, post: func(s *scene, a answer) {
		if a.list(); a.header.Get("Content-Type") != "application/json" {
			s.Errorf("Content-Type = %q, want application/json", a.header.Get("Content-Type"))
		}
	}},
	"onelogin-groups":         {members: "-", post: onlyGroup},
	"jumpcloud-member-remove": {members: "abc", post: func(s *scene, a answer) { s.wantMembers(s.bo, s.cy) }},
	"ping-group-scan":         {members: "-", post: onlyGroup},
	"rippling-config":         {post: func(s *scene, a answer) { a.is("patch.supported", "true").is("filter.supported", "true") }},
	"okta-roles-list":         {post: listing()},
	"sailpoint-discovery-1":   {post: bare("urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig")},
	"sailpoint-discovery-2":   {post: listing("User", "Group")},
	"sailpoint-discovery-3":   {post: listing(userURN, groupURN, enterprise)},
	"sailpoint-discovery-4":   {post: bare("urn:ietf:params:scim:schemas:core:2.0:ResourceType")},
	"authentik-user-put": {users: true, post: func(s *scene, a answer) {
		a.is("userName", `"ana"`).is("emails", `[{"value":"ana@corp.test","type":"other","primary":true}]`)
	}},
	"rfc-remove-nopath":  {users: true, post: func(s *scene, a answer) { a.refused(400, "noTarget") }},
	"rfc-filter-nospace": {members: "ab", post: func(s *scene, a answer) { s.wantMembers(s.bo) }},
	"rfc-primary": {users: true, post: func(s *scene, a answer) {
		if n := strings.Count(string(s.get("/Users/"+s.ana).body), `"primary":true`); n != 1 {
			s.Errorf("%d primary addresses, want one", n)
		}
		s.anaIs("emails.1.primary", "true")
	}},
	"rfc-add-existing": {members: "ab", post: func(s *scene, a answer) { s.wantSameGroup() }},
}

// wantSameGroup: nothing happened to the group since it was created.
func (s *scene) wantSameGroup() {
	s.Helper()
	if a := s.get("/Groups/" + s.group); a.text("meta.lastModified") != a.text("meta.created") {
		s.Errorf("the group changed: %s", a.at("meta").Append(nil))
	}
}

func underBo(s *scene) {
	s.do("PATCH", "/Users/"+s.ana, patch(`{"op":"add","path":"`+enterprise+`:manager","value":{"value":"`+s.bo+`"}}`)).want(200)
}
