package scimhttp_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/web/scimhttp"
)

func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	w.get("/ResourceTypes").is("totalResults", "2")
	w.get("/Schemas").is("totalResults", "3")
	w.get("/ResourceTypes/User").is("schemaExtensions", `[{"schema":"`+enterprise+`","required":false}]`)
	if err := w.orgs.SetDiscovery(t.Context(), w.org, w.conn.ID, "full"); err != nil {
		t.Fatal(err)
	}
	base := outside + scimhttp.Prefix
	c := w.get("/ServiceProviderConfig").want(200).lacks("Resources").
		is("schemas", `["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"]`).
		is("patch.supported", "true").is("bulk.supported", "true").is("bulk.maxOperations", "1000").is("bulk.maxPayloadSize", "1048576").
		is("filter.supported", "true").is("filter.maxResults", "500").is("changePassword.supported", "false").is("sort.supported", "true").is("etag.supported", "true").
		is("meta.resourceType", `"ServiceProviderConfig"`).is("meta.location", strconv.Quote(base+"/ServiceProviderConfig"))
	for i, scheme := range []string{"oauthbearertoken", "oauth2"} {
		c.is("authenticationSchemes."+strconv.Itoa(i)+".type", strconv.Quote(scheme))
		for _, part := range []string{"type", "name", "description"} {
			if c.text("authenticationSchemes."+strconv.Itoa(i)+"."+part) == "" {
				t.Errorf("the authentication scheme %s has no %s", scheme, part)
			}
		}
	}

	types := w.get("/ResourceTypes").want(200).is("schemas.0", strconv.Quote(listURN)).is("totalResults", "4").is("itemsPerPage", "4").is("startIndex", "1")
	all := w.get("/Schemas").want(200).is("schemas.0", strconv.Quote(listURN)).is("totalResults", "6")
	if got := all.ids(); !slices.Equal(got, []string{userURN, enterprise, schema.ProductURN, groupURN, schema.RoleURN, schema.EntitlementURN}) {
		t.Errorf("/Schemas lists %v", got)
	}
	for i, name := range []string{"User", "Group", "Role", "Entitlement"} {
		one := w.get("/ResourceTypes/"+name).want(200).lacks("Resources").is("id", strconv.Quote(name)).is("name", strconv.Quote(name)).
			is("endpoint", strconv.Quote("/"+name+"s")).is("meta.location", strconv.Quote(base+"/ResourceTypes/"+name)).is("meta.resourceType", `"ResourceType"`)
		if in := types.at("Resources").Elements()[i]; !value.Equal(in, one.tree) {
			t.Errorf("/ResourceTypes lists %s, alone it is %s", in.Append(nil), one.body)
		}
		if !slices.Contains(all.ids(), one.text("schema")) {
			t.Errorf("the schema %s of %s is not among /Schemas", one.text("schema"), name)
		}
		for _, e := range one.at("schemaExtensions").Elements() {
			if !slices.Contains(all.ids(), e.Get("schema").Text()) {
				t.Errorf("the extension %s of %s is not among /Schemas", e.Get("schema").Text(), name)
			}
		}
	}
	for i, urn := range all.ids() {
		one := w.get("/Schemas/"+urn).want(200).lacks("Resources").is("id", strconv.Quote(urn)).is("meta.location", strconv.Quote(base+"/Schemas/"+urn))
		if in := all.at("Resources").Elements()[i]; !value.Equal(in, one.tree) {
			t.Errorf("/Schemas lists another %s than it is alone", urn)
		}
		w.get("/Schemas/" + strings.ToUpper(urn)).want(200)
	}
	if listed := string(all.at("Resources").Append(nil)); strings.Contains(listed, "urn:ietf:params:scim:api:") || strings.Contains(listed, ":null") {
		t.Error("/Schemas lists messages, or nulls")
	}

	for _, path := range []string{"/ServiceProviderConfig", "/Schemas", "/ResourceTypes", "/Schemas/" + userURN, "/ResourceTypes/User"} {
		plain := w.get(path).want(200)
		for _, q := range []string{"?startIndex=3&count=0", "?sortBy=id", "?attributes=id", "?count=nonsense", "?&", "?aadOptscim062020"} {
			if got := w.get(path + q).want(200); string(got.body) != string(plain.body) {
				t.Errorf("%s is not what %s is", got.asked, path)
			}
		}
		w.get(path+"?filter=id+eq+%22User%22").refused(403, "")
	}
}

// Every declared attribute can be set by a PATCH and comes back.
func TestWhatIsDeclaredIsStored(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	for _, s := range []struct{ urn, prefix string }{{userURN, ""}, {enterprise, enterprise + ":"}} {
		for _, a := range w.get("/Schemas/" + s.urn).at("attributes").Elements() {
			name := a.Get("name").Text()
			if a.Get("mutability").Text() != "readWrite" || a.Get("type").Text() == "complex" {
				continue
			}
			want := map[string]string{"boolean": "false", "reference": `"https://example.com/x"`}[a.Get("type").Text()]
			if want == "" {
				want = `"new ` + name + `"`
			}
			got := w.do("PATCH", "/Users/"+id, patch(`{"op":"replace","path":"`+s.prefix+name+`","value":`+want+`}`)).want(200)
			v := got.tree
			if s.prefix != "" {
				v = v.Get(s.urn)
			}
			if v = v.Get(name); string(v.Append(nil)) != want {
				t.Errorf("%s%s = %s after PATCH, want %s", s.prefix, name, v.Append(nil), want)
			}
		}
	}
	if n := len(schema.Schemas()); n != 6 {
		t.Errorf("%d schemas, and this test knows 6: two can be written, one is a group's, three are read only", n)
	}
}
