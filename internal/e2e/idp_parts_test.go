package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Scenes that several fixtures share.

func ana(w *scene) {
	w.userID = w.user(w.t, "ana.ruiz@corp.test", object{"externalId": "8a0f2d9e-1111-4c2e-9b8e-0f4f7f0d0001"})
}

func anaAndBo(w *scene) {
	ana(w)
	w.userID2 = w.user(w.t, "bo.li@corp.test")
	w.thirdID = w.user(w.t, "cy.woo@corp.test")
}

func anaUnderBo(w *scene) {
	anaAndBo(w)
	w.patch(w.t, "/Users/"+w.userID, object{"op": "add", "path": enterpriseSchema + ":manager", "value": object{"value": w.userID2}}).want(w.t, 200)
	w.get(w.t, "/Users/"+w.userID).is(w.t, enterpriseSchema+".manager.value", w.userID2)
}

// groupOf makes a group of those of the three whom the string names.
func groupOf(who string) func(*scene) {
	return func(w *scene) {
		anaAndBo(w)
		var ids []string
		for _, c := range who {
			ids = append(ids, map[rune]string{'a': w.userID, 'b': w.userID2, 'c': w.thirdID}[c])
		}
		w.groupID = w.group(w.t, "Finance EU", ids...)
		w.wantMembers(ids...)
	}
}

// many creates n users, some at a time.
func many(n int) func(*scene) {
	return func(w *scene) {
		forEach(n, 4, func(i int) error {
			a, err := w.try("POST", "/Users", person(fmt.Sprintf("u%04d@corp.test", i), "Uma", fmt.Sprint(i)))
			if err == nil && a.again && a.status == 409 { // the first had come through
				return nil
			}
			if err != nil || a.status != 201 {
				w.t.Errorf("creating user %d = %d, %v; body %s", i, a.status, err, a.body)
			}
			return err
		})
	}
}

// forEach calls f for 0 to n-1 from several goroutines and returns the first
// error.
func forEach(n, workers int, f func(i int) error) error {
	var wg sync.WaitGroup
	next, failed := make(chan int), make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	close(failed)
	return <-failed
}

// pages walks a listing and fails the test unless every page but the last is
// full and tells its place, and n ids come, none twice.
func (w *scene) pages(path string, count, n int) []string {
	w.t.Helper()
	var ids []string
	for first := 1; first <= n; first += count {
		a := w.get(w.t, fmt.Sprintf("%s?startIndex=%d&count=%d", path, first, count))
		w.page(a, first, min(count, n-first+1), n)
		ids = append(ids, a.ids()...)
	}
	slices.Sort(ids)
	if distinct := slices.Compact(slices.Clone(ids)); len(ids) != n || len(distinct) != n {
		w.t.Errorf("%s in pages of %d gave %d ids, %d distinct, want %d", path, count, len(ids), len(distinct), n)
	}
	return ids
}

func (w *scene) page(a answer, first, size, total int) {
	w.t.Helper()
	for path, want := range map[string]int{"startIndex": first, "itemsPerPage": size, "totalResults": total} {
		if n, ok := a.at(path).(json.Number); !ok || n.String() != itoa(want) {
			w.t.Errorf("%s: %s = %s, want the number %d", a.asked, path, show(a.at(path), true), want)
		}
	}
	if got := len(a.ids()); got != size {
		w.t.Errorf("%s: %d resources, want %d", a.asked, got, size)
	}
}

func bareOf(schema string) func(*scene, answer) {
	return func(w *scene, a answer) {
		w.t.Helper()
		schemas, _ := a.at("schemas").([]any)
		if !slices.ContainsFunc(schemas, func(v any) bool { return v == schema }) {
			w.t.Errorf("%s: schemas = %v, want %s", a.asked, schemas, schema)
		}
		if _, ok := lookup(a.tree, "Resources"); ok {
			w.t.Errorf("%s is a list, want the bare object", a.asked)
		}
	}
}

func listOf(ids ...string) func(*scene, answer) {
	return func(w *scene, a answer) {
		w.t.Helper()
		var got []string
		resources, _ := a.at("Resources").([]any)
		for _, r := range resources {
			id, _ := lookup(r, "id")
			got = append(got, plain(id))
		}
		for _, id := range ids {
			if !slices.Contains(got, id) {
				w.t.Errorf("%s: ids %v, want %s among them", a.asked, got, id)
			}
		}
	}
}

func noMembers(w *scene, a answer) {
	w.t.Helper()
	if strings.Contains(string(a.body), `"members"`) {
		w.t.Errorf("%s holds members: %s", a.asked, a.body)
	}
}

func inactive(w *scene, _ answer) {
	w.t.Helper()
	after := w.after()
	if v := after.at("active"); v != false {
		w.t.Errorf("active = %s, want the boolean false", show(v, true))
	}
	w.onlyChanged(after, "active")
}

// parts gives each fixture of the file its meaning.
var parts = map[string]part{
	"okta-lookup-miss": {nil, func(w *scene, a answer) {
		w.list(a)
		a.is(w.t, "startIndex", "1")
		a.is(w.t, "Resources", "[]")
	}},
	"okta-create": {nil, func(w *scene, a answer) {
		id := a.text("id")
		if id == "" {
			w.t.Errorf("no id: %s", a.body)
		}
		if got := a.header.Get("Location"); got == "" || got != a.text("meta.location") || !strings.HasSuffix(got, "/Users/"+id) {
			w.t.Errorf("Location = %q, want meta.location %q that ends in the id", got, a.text("meta.location"))
		}
		a.lacks(w.t, "password")
		a.lacks(w.t, "groups")
		a.is(w.t, "schemas[0]", userSchema)
		a.is(w.t, "externalId", "00u1okta9ana")
		a.is(w.t, "locale", "en-US")
		a.is(w.t, "active", "true")
		if got, want := plain(w.get(w.t, "/Users/"+id).tree), plain(a.tree); got != want {
			w.t.Errorf("GET = %s, want what POST answered: %s", got, want)
		}
	}},
	"okta-create-dup": {ana, func(w *scene, a answer) {
		a.isError(w.t, 409, "uniqueness")
		w.list(w.get(w.t, "/Users"), w.userID)
	}},
	"okta-put-update": {func(w *scene) { groupOf("a")(w) }, func(w *scene, a answer) {
		a.is(w.t, "id", w.userID)
		a.is(w.t, "name.givenName", "Anita")
		a.is(w.t, "name.familyName", "Ruiz")
		a.lacks(w.t, "name.middleName")
		a.is(w.t, "meta.created", w.before.text("meta.created"))
		a.is(w.t, "groups[0].value", w.groupID)
		// The documented rule: PUT clears what it omits (RFC 7644 §3.5.1).
		a.lacks(w.t, "displayName")
		a.lacks(w.t, "externalId")
		if got, want := plain(w.after().tree), plain(a.tree); got != want {
			w.t.Errorf("GET = %s, want what PUT answered: %s", got, want)
		}
	}},
	"okta-patch-deactivate": {ana, inactive},
	"okta-patch-password": {ana, func(w *scene, a answer) {
		after := w.after()
		w.onlyChanged(after)
		if strings.Contains(string(a.body)+string(after.body)+w.server.log(), "N3w-secret") {
			w.t.Errorf("the password is echoed or logged")
		}
	}},
	"okta-import-page2": {many(205), func(w *scene, a answer) {
		w.page(a, 101, 100, 205)
		w.pages("/Users", 100, 205)
		if again := w.get(w.t, "/Users?startIndex=101&count=100"); !slices.Equal(again.ids(), a.ids()) {
			w.t.Errorf("the page in another order the second time: %v, then %v", a.ids(), again.ids())
		}
	}},
	"okta-group-create": {nil, func(w *scene, a answer) {
		a.is(w.t, "displayName", "Finance EU")
		a.lacks(w.t, "members")
		w.get(w.t, "/Groups/"+a.text("id")).is(w.t, "displayName", "Finance EU")
	}},
	"okta-group-lookup": {func(w *scene) {
		w.list(w.get(w.t, filtered("/Groups", `displayName eq "Finance EU"`)))
		w.groupID = w.group(w.t, "Finance EU")
		w.group(w.t, "Finance US")
	}, func(w *scene, a answer) { w.list(a, w.groupID) }},
	"okta-group-rename": {groupOf("ab"), func(w *scene, _ answer) { w.unchanged(w.after()) }},
	"okta-group-delta":  {groupOf("ac"), func(w *scene, _ answer) { w.wantMembers(w.userID2, w.thirdID) }},
	"okta-group-replace": {groupOf("c"), func(w *scene, _ answer) {
		w.wantMembers(w.userID, w.userID2)
		many(205)(w)
		ids := w.pages("/Users", 100, 208)
		w.patch(w.t, w.resource, object{"op": "replace", "path": "members", "value": refs(ids)}).want(w.t, 200, 204)
		w.wantMembers(ids...)
	}},
	"okta-group-delete": {groupOf("ab"), func(w *scene, _ answer) {
		w.send(w.t, "GET", w.resource, nil).isError(w.t, 404, "")
		w.send(w.t, "DELETE", w.resource, nil).isError(w.t, 404, "")
		w.list(w.get(w.t, "/Users"), w.userID, w.userID2, w.thirdID)
		eventually(w.t, 5*time.Second, func() error {
			if a := w.get(w.t, "/Users/"+w.userID); !empty(a.at("groups")) {
				return fmt.Errorf("the user is still in %s", a.text("groups"))
			}
			return nil
		})
	}},
	// It is to hold a role at least; there are none until there are products.
	"okta-roles-list": {nil, func(w *scene, a answer) {
		a.is(w.t, "schemas[0]", listSchema)
		a.is(w.t, "totalResults", "0")
		a.is(w.t, "itemsPerPage", "0")
		w.get(w.t, "/Schemas/urn:okta:scim:schemas:core:1.0:Role").is(w.t, "id", "urn:okta:scim:schemas:core:1.0:Role")
	}},
	"okta-bad-auth": {ana, func(w *scene, a answer) {
		a.isError(w.t, 401, "")
		if a.header.Get("WWW-Authenticate") == "" {
			w.t.Errorf("no WWW-Authenticate")
		}
	}},
	"okta-missing-id": {nil, func(w *scene, a answer) { a.isError(w.t, 404, "") }},

	"entra-test-connection": {ana, func(w *scene, a answer) { w.list(a) }},
	"entra-lookup-externalid": {func(w *scene) {
		w.list(w.get(w.t, filtered("/Users", `externalId eq "8a0f2d9e-1111-4c2e-9b8e-0f4f7f0d0001"`)))
		anaAndBo(w)
	}, func(w *scene, a answer) { w.list(a, w.userID) }},
	"entra-lookup-email": {func(w *scene) {
		ana(w)
		w.user(w.t, "bo.li@corp.test", object{"emails": []object{{"type": "home", "value": "ana.ruiz@corp.test"}}})
	}, func(w *scene, a answer) { w.list(a, w.userID) }},
	"entra-create": {nil, func(w *scene, a answer) {
		a.is(w.t, "userName", "ana.ruiz@corp.test")
		a.is(w.t, "name.formatted", "Ana Ruiz")
		a.lacks(w.t, "roles")
		a.lacks(w.t, enterpriseSchema)
	}},
	"entra-create-nulls": {nil, func(w *scene, a answer) {
		for _, path := range []string{"addresses", "phoneNumbers", "preferredLanguage", "title"} {
			a.lacks(w.t, path)
		}
		a.is(w.t, "emails[0].value", "ana2@corp.test")
	}},
	"entra-disable-legacy": {ana, inactive},
	"entra-disable-flag":   {ana, inactive},
	"entra-multi-flag": {ana, func(w *scene, _ answer) {
		after := w.after()
		after.is(w.t, "displayName", "A. Ruiz")
		after.is(w.t, "name.givenName", "A.")
		after.is(w.t, "name.familyName", "Ruiz")
		after.is(w.t, enterpriseSchema+".employeeNumber", "E-77")
		after.is(w.t, "emails", plain([]object{{"primary": true, "type": "work", "value": "a.ruiz@corp.test"}}))
		for _, key := range []string{`"name.givenName"`, `"name.familyName"`, `User:employeeNumber"`} {
			if strings.Contains(string(after.body), key) {
				w.t.Errorf("the key %s is stored as it was sent: %s", key, after.body)
			}
		}
		if !strings.Contains(plain(after.at("schemas")), enterpriseSchema) {
			w.t.Errorf("schemas = %s, want the extension among them", plain(after.at("schemas")))
		}
	}},
	"entra-add-email-absent": {ana, func(w *scene, _ answer) {
		after := w.after()
		after.is(w.t, "phoneNumbers", plain([]object{{"type": "mobile", "value": "55501234567"}}))
		w.onlyChanged(after, "phoneNumbers")
	}},
	"entra-manager-string": {anaAndBo, func(w *scene, _ answer) {
		w.after().is(w.t, enterpriseSchema+".manager.value", w.userID2)
	}},
	"entra-manager-clear": {anaUnderBo, func(w *scene, _ answer) {
		w.after().lacks(w.t, enterpriseSchema+".manager")
	}},
	"entra-manager-check": {anaUnderBo, func(w *scene, a answer) {
		w.list(a, w.userID)
		if got := plain(without(a.at("Resources[0]"), "schemas")); got != plain(object{"id": w.userID}) {
			w.t.Errorf("with attributes=id the resource is %s", got)
		}
		w.list(w.get(w.t, filtered("/Users", fmt.Sprintf(`id eq "%s" and manager eq "%s"`, w.userID, w.thirdID))))
	}},
	// The compat dialect takes no operation for nothing to do.
	"entra-empty-ops": {ana, func(w *scene, a answer) {
		a.want(w.t, 200, 204)
		w.unchanged(w.after())
	}},
	"entra-group-create": {nil, func(w *scene, a answer) {
		a.is(w.t, "schemas", plain([]string{groupSchema}))
		a.is(w.t, "externalId", "b1e1a7c4-2222-4c2e-9b8e-0f4f7f0d0002")
		a.is(w.t, "displayName", "Finance EU")
	}},
	"entra-group-lookup": {groupOf("ab"), func(w *scene, a answer) {
		w.list(a, w.groupID)
		noMembers(w, a)
	}},
	"entra-group-get": {groupOf("ab"), func(w *scene, a answer) {
		a.is(w.t, "id", w.groupID)
		noMembers(w, a)
	}},
	"entra-member-check": {groupOf("ab"), func(w *scene, a answer) {
		w.list(a, w.groupID)
		w.list(w.get(w.t, filtered("/Groups", fmt.Sprintf(`id eq "%s" and members eq "%s"`, w.groupID, w.thirdID))))
	}},
	"entra-member-add": {groupOf("c"), func(w *scene, _ answer) {
		w.wantMembers(w.userID, w.userID2, w.thirdID)
		w.before = w.after()
		w.patch(w.t, w.resource, object{"op": "Add", "path": "members", "value": []object{{"$ref": nil, "value": w.userID}, {"$ref": nil, "value": w.userID2}}}).want(w.t, 200, 204)
		w.unchanged(w.after())
	}},
	"entra-member-remove-legacy": {groupOf("abc"), func(w *scene, _ answer) { w.wantMembers(w.userID2, w.thirdID) }},
	"entra-page": {many(12), func(w *scene, a answer) {
		w.page(a, 6, 5, 12)
		w.pages("/Users", 5, 12)
	}},
	"onelogin-lookup": {ana, func(w *scene, a answer) {
		w.list(a)
		applicationJSON(w, a)
	}},
	"onelogin-groups": {func(w *scene) {
		w.groupID = w.group(w.t, "Finance EU")
		w.thirdID = w.group(w.t, "Finance US")
	}, func(w *scene, a answer) {
		w.list(a, w.groupID, w.thirdID)
		applicationJSON(w, a)
	}},
	"jumpcloud-member-remove": {groupOf("abc"), func(w *scene, _ answer) { w.wantMembers(w.userID2, w.thirdID) }},
	"ping-group-scan": {func(w *scene) {
		for i := range 120 {
			w.group(w.t, fmt.Sprintf("Group %d", i))
		}
	}, func(w *scene, a answer) {
		w.page(a, 1, 100, 120)
		w.pages("/Groups", 100, 120)
	}},
	"rippling-config": {nil, func(w *scene, a answer) {
		a.is(w.t, "patch.supported", "true")
		a.is(w.t, "filter.supported", "true")
		a.is(w.t, "etag.supported", "true")
		a.is(w.t, "changePassword.supported", "false")
	}},
	"sailpoint-discovery-1": {nil, bareOf("urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig")},
	"sailpoint-discovery-2": {nil, listOf("User", "Group")},
	"sailpoint-discovery-3": {nil, func(w *scene, a answer) {
		listOf(userSchema, groupSchema, enterpriseSchema)(w, a)
		// The fifth that must answer is the single schema.
		one := w.get(w.t, "/Schemas/"+userSchema)
		one.is(w.t, "id", userSchema)
		bareOf("urn:ietf:params:scim:schemas:core:2.0:Schema")(w, one)
	}},
	"sailpoint-discovery-4": {nil, func(w *scene, a answer) {
		bareOf("urn:ietf:params:scim:schemas:core:2.0:ResourceType")(w, a)
		a.is(w.t, "schema", userSchema)
		a.is(w.t, "endpoint", "/Users")
	}},
	"authentik-user-put": {ana, func(w *scene, a answer) {
		a.is(w.t, "id", w.userID)
		a.is(w.t, "userName", "ana")
		w.after().is(w.t, "externalId", "ak-user-1")
	}},
	"rfc-remove-nopath":  {ana, func(w *scene, a answer) { a.isError(w.t, 400, "noTarget"); w.unchanged(w.after()) }},
	"rfc-filter-nospace": {groupOf("abc"), func(w *scene, _ answer) { w.wantMembers(w.userID2, w.thirdID) }},
	"rfc-primary": {ana, func(w *scene, _ answer) {
		emails, _ := w.after().at("emails").([]any)
		var primary []string
		for _, e := range emails {
			if v, _ := lookup(e, "primary"); v == true {
				address, _ := lookup(e, "value")
				primary = append(primary, plain(address))
			}
		}
		if len(emails) != 2 || !slices.Equal(primary, []string{"second@corp.test"}) {
			w.t.Errorf("primary e-mails = %v of %d, want second@corp.test of 2", primary, len(emails))
		}
	}},
	"rfc-add-existing": {groupOf("ab"), func(w *scene, _ answer) { w.unchanged(w.after()) }},
}

func applicationJSON(w *scene, a answer) {
	w.t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/json" {
		w.t.Errorf("%s: Content-Type = %q, want what Accept asked for, application/json", a.asked, got)
	}
}
