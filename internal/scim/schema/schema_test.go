package schema_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

func parse(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s) fails: %v", text, err)
	}
	return v
}

func file(t testing.TB, name string) value.Value {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(b))
}

// TestSchemasAreTheRFCs compares every attribute with RFC 7643 §8.7.1. Where
// ours differ, the reason stands in the definition.
func TestSchemasAreTheRFCs(t *testing.T) {
	differ := map[string]bool{}
	for _, path := range []string{
		"User.groups.value.caseExact", "User.groups.$ref.caseExact", // an id and an address
		"Group.members.value.caseExact", "Group.members.$ref.caseExact",
		"EnterpriseUser.manager.$ref.caseExact",
		"EnterpriseUser.manager.value.required", "EnterpriseUser.manager.$ref.required", // §4.3
		"Group.displayName.required", // §4.2; some editions of the example lack it
	} {
		differ[path] = true
	}
	for name, urn := range map[string]string{
		"rfc7643-8.7.1-schema-user.json":            schema.UserURN,
		"rfc7643-8.7.1-schema-group.json":           schema.GroupURN,
		"rfc7643-8.7.1-schema-enterprise_user.json": schema.EnterpriseURN,
	} {
		want := file(t, name)
		at := slices.IndexFunc(schema.Schemas(), func(s *schema.Schema) bool { return s.ID == urn })
		if at < 0 {
			t.Fatalf("there is no schema %s", urn)
		}
		s := schema.Schemas()[at]
		got := s.Value("https://example.test/scim/v2")
		for _, m := range []string{"id", "name"} {
			if !value.Equal(got.Get(m), want.Get(m)) {
				t.Errorf("the %s of %s is %q, want %q", m, urn, got.Get(m).Text(), want.Get(m).Text())
			}
		}
		if l := got.At("meta", "location").Text(); l != "https://example.test/scim/v2/Schemas/"+urn {
			t.Errorf("the location of %s is %q", urn, l)
		}
		compareAttributes(t, s.Name, got.Get("attributes"), want.Get("attributes"), differ)
	}
}

func compareAttributes(t *testing.T, at string, got, want value.Value, differ map[string]bool) {
	names := func(v value.Value) (out []string) {
		for _, a := range v.Elements() {
			out = append(out, a.Get("name").Text())
		}
		return out
	}
	if g, w := names(got), names(want); !slices.Equal(g, w) {
		t.Fatalf("the attributes of %s are %q, want %q", at, g, w)
	}
	for i, w := range want.Elements() {
		g := got.Elements()[i]
		path := at + "." + w.Get("name").Text()
		for _, c := range []string{"type", "multiValued", "required", "mutability", "returned", "caseExact", "uniqueness", "canonicalValues", "referenceTypes"} {
			if differ[path+"."+c] || w.Get(c).IsNothing() || g.Get(c).Kind() == value.Absent && !w.Get(c).Bool() {
				continue
			}
			if !value.Equal(g.Get(c), w.Get(c)) {
				t.Errorf("%s of %s is %s, want %s", c, path, g.Get(c).Append(nil), w.Get(c).Append(nil))
			}
		}
		if g.Get("description").Text() == "" {
			t.Errorf("%s has no description", path)
		}
		compareAttributes(t, path, g.Get("subAttributes"), w.Get("subAttributes"), differ)
	}
}

// TestRenderedSchemasHoldNoNulls: Entra fails on them.
func TestRenderedSchemasHoldNoNulls(t *testing.T) {
	for _, s := range schema.Schemas() {
		if text := string(s.Value("u").Append(nil)); strings.Contains(text, "null") || strings.Contains(text, ":messages:") {
			t.Errorf("the schema %s is rendered as %s", s.ID, text)
		}
	}
	for _, rt := range schema.All() {
		v := rt.Value("https://h/scim/v2", false)
		if strings.Contains(string(v.Append(nil)), "null") {
			t.Errorf("the resource type %s is rendered with null", rt.Name)
		}
		if v.Get("schema").Text() != rt.Schema.ID || v.Get("id").Text() != rt.Name || v.At("meta", "location").Text() != "https://h/scim/v2/ResourceTypes/"+rt.Name {
			t.Errorf("the resource type %s is rendered as %s", rt.Name, v.Append(nil))
		}
	}
	ext := schema.User.Value("", false).Get("schemaExtensions").Elements()
	if len(ext) != 2 || ext[0].Get("schema").Text() != schema.EnterpriseURN || ext[0].Get("required").Bool() || ext[1].Get("schema").Text() != schema.ProductURN || ext[1].Get("required").Bool() {
		t.Errorf("the extensions of User are %v, want the enterprise one and the products, both optional", ext)
	}
	if ext := schema.User.Value("", true).Get("schemaExtensions").Elements(); len(ext) != 1 || ext[0].Get("schema").Text() != schema.EnterpriseURN {
		t.Errorf("the plain extensions of User are %v, want the enterprise one", ext)
	}
	if schema.Group.Value("", false).Get("schemaExtensions").Kind() != value.Absent {
		t.Error("groups have extensions")
	}
}

func TestResolve(t *testing.T) {
	const ent = schema.EnterpriseURN
	for _, c := range []struct {
		rt   *schema.ResourceType
		path string
		mode schema.Mode
		want string // empty: unknown
	}{
		{schema.User, "userName", 0, "userName"},
		{schema.User, "USERNAME", 0, "userName"},
		{schema.User, "name.GIVENNAME", 0, "name.givenName"},
		{schema.User, "id", 0, "id"},
		{schema.User, "meta.lastmodified", 0, "meta.lastModified"},
		{schema.User, "schemas", 0, "schemas"},
		{schema.User, schema.UserURN + ":userName", 0, "userName"},
		{schema.User, strings.ToUpper(schema.UserURN) + ":name.familyName", 0, "name.familyName"},
		{schema.User, schema.UserURN + ":externalId", 0, "externalId"},
		{schema.User, ent + ":employeeNumber", 0, ent + ":employeeNumber"},
		{schema.User, ent + ":manager.$REF", 0, ent + ":manager.$ref"},
		{schema.User, strings.ToUpper(ent), 0, ent},
		{schema.User, "urn:scim:schemas:extension:enterprise:1.0:department", schema.Compat, ent + ":department"},
		{schema.User, "urn:scim:schemas:core:1.0:userName", schema.Compat, "userName"},
		{schema.User, "urn:scim:schemas:core:1.0:userName", schema.Strict, ""},
		{schema.User, "employeeNumber", 0, ""},
		{schema.User, "name.nothing", 0, ""},
		{schema.User, "name.givenName.more", 0, ""},
		{schema.User, "userName.x", 0, ""},
		{schema.User, ent + ":manager.x", 0, ""},
		{schema.User, ent + "X:manager", 0, ""},
		{schema.User, schema.UserURN, 0, ""},
		{schema.User, "urn:x:userName", 0, ""},
		{schema.User, "", 0, ""},
		{schema.User, ":", 0, ""},
		{schema.Group, "members.value", 0, "members.value"},
		{schema.Group, ent + ":manager", 0, ""},
	} {
		r, ok := c.rt.Resolve(c.path, c.mode)
		if ok != (c.want != "") || ok && r.Path() != c.want {
			t.Errorf("%s.Resolve(%q, %s) = %q, %t; want %q", c.rt.Name, c.path, c.mode, r.Path(), ok, c.want)
		}
		if !ok && r != (schema.Ref{}) {
			t.Errorf("%s.Resolve(%q) finds nothing but gives %+v", c.rt.Name, c.path, r)
		}
	}
}

// TestFind: what Compat finds besides, and that it is counted.
func TestFind(t *testing.T) {
	const ent = schema.EnterpriseURN
	for _, c := range []struct {
		rt               *schema.ResourceType
		path, want, bent string
	}{
		{schema.User, "userName", "userName", ""},
		{schema.User, ent + ":department", ent + ":department", ""},
		{schema.User, "DEPARTMENT", ent + ":department", "unqualifiedName"},
		{schema.User, "manager.value", ent + ":manager.value", "unqualifiedName"},
		{schema.User, "urn:scim:schemas:core:1.0:userName", "userName", "oldSchema"},
		{schema.User, "urn:scim:schemas:extension:enterprise:1.0:manager", ent + ":manager", "oldSchema"},
		{schema.User, "urn:scim:schemas:extension:enterprise:1.0", ent, "oldSchema"},
		{schema.User, "urn:scim:schemas:core:1.0:nothing", "", ""},
		{schema.User, "urn:scim:schemas:core:1.0:department", "", ""},
		{schema.User, "urn:scim:schemas:core:1.0", "", ""},
		{schema.User, "urn:x:department", "", ""},
		{schema.User, "manager.shoe", "", ""},
		{schema.User, "products", "", ""}, // of our own extension
		{schema.User, "members", "", ""},
		{schema.Group, "department", "", ""},
		{schema.Group, "urn:scim:schemas:core:1.0:Group:members", "members", "oldSchema"},
	} {
		for _, m := range []schema.Mode{schema.Compat, schema.Strict, schema.Interop} {
			want, bent := c.want, c.bent
			if bent != "" && m != schema.Compat {
				want, bent = "", ""
			}
			var report schema.Report
			r, ok := c.rt.Find(c.path, m, &report)
			if ok != (want != "") || r.Path() != want || rules(report) != bent {
				t.Errorf("%s.Find(%q, %s) = %q, %t and bends %q; want %q and %q", c.rt.Name, c.path, m, r.Path(), ok, rules(report), want, bent)
			}
		}
	}
	// What the type has itself goes first.
	rt := &schema.ResourceType{Name: "Thing", Schema: &schema.Schema{ID: "urn:thing", Attributes: []schema.Attribute{{Name: "x", Type: schema.String}}},
		Extensions: []schema.Extension{{Schema: &schema.Schema{ID: "urn:more", Attributes: []schema.Attribute{{Name: "x", Type: schema.String}, {Name: "id", Type: schema.String}}}}}}
	for _, name := range []string{"x", "id"} {
		var report schema.Report
		if r, ok := rt.Find(name, schema.Compat, &report); !ok || r.URN != "" || !report.IsZero() {
			t.Errorf("Find(%q) = %q, %t and bends %q; want the type's own", name, r.Path(), ok, rules(report))
		}
	}
}

// TestResolveTakesTheLongestURN: a URN may begin as another does.
func TestResolveTakesTheLongestURN(t *testing.T) {
	one := func(urn string) *schema.Schema {
		return &schema.Schema{ID: urn, Attributes: []schema.Attribute{{Name: "x", Type: schema.String}, {Name: "y", Type: schema.Complex, Sub: []schema.Attribute{{Name: "x", Type: schema.String}}}}}
	}
	for _, exts := range [][]schema.Extension{{{Schema: one("urn:a")}, {Schema: one("urn:a:y")}}, {{Schema: one("urn:a:y")}, {Schema: one("urn:a")}}} {
		rt := &schema.ResourceType{Name: "Thing", Schema: one("urn:thing"), Extensions: exts}
		for path, urn := range map[string]string{"urn:a:x": "urn:a", "urn:a:y": "urn:a:y", "urn:a:y:x": "urn:a:y", "urn:a:y.x": "urn:a"} {
			if r, ok := rt.Resolve(path, schema.Strict); !ok || r.URN != urn {
				t.Errorf("Resolve(%q) = %q, %t; want it in %q", path, r.Path(), ok, urn)
			}
		}
	}
}

func TestModes(t *testing.T) {
	for name, want := range map[string]schema.Mode{"": schema.Compat, "compat": schema.Compat, "STRICT": schema.Strict, "Interop": schema.Interop} {
		if got, err := schema.ParseMode(name); err != nil || got != want {
			t.Errorf("ParseMode(%q) = %s, %v; want %s", name, got, err, want)
		}
	}
	if _, err := schema.ParseMode("lax"); err == nil {
		t.Error("ParseMode(\"lax\") is taken")
	}
	for _, m := range []schema.Mode{schema.Compat, schema.Strict, schema.Interop} {
		if back, err := schema.ParseMode(m.String()); err != nil || back != m {
			t.Errorf("ParseMode(%q) = %s, %v", m.String(), back, err)
		}
	}
}

func TestSameFoldsAsNamesDo(t *testing.T) {
	user, _ := schema.User.Resolve("userName", 0)
	id, _ := schema.User.Resolve("externalId", 0)
	for _, c := range []struct {
		x, y          string
		folded, exact bool
	}{
		{"ana", "ana", true, true},
		{"ana", "ANA", true, false},
		{"stra\u00dfe", "STRASSE", true, false},
		{"\uff41na", "ana", true, false},    // full width
		{"u\u0308ber", "über", true, false}, // not composed
		{"ana", "ann", false, false},
		{" ana", "ana", true, false},
	} {
		if got := user.Attr.Same(c.x, c.y); got != c.folded {
			t.Errorf("userName: Same(%q, %q) = %t", c.x, c.y, got)
		}
		if got := id.Attr.Same(c.x, c.y); got != c.exact {
			t.Errorf("externalId: Same(%q, %q) = %t", c.x, c.y, got)
		}
	}
}

func TestReport(t *testing.T) {
	var r schema.Report
	if !r.IsZero() {
		t.Error("the zero Report is not empty")
	}
	r.Add(schema.StringBoolean)
	r.Add(schema.StringBoolean)
	var o schema.Report
	o.Add(schema.Upserted)
	r.Merge(o)
	o.Add(schema.StringBoolean)
	r.Cover(o) // is covered
	got := map[string]int{}
	for name, n := range r.Rules() {
		got[name] = n
	}
	if len(got) != 2 || got["stringBoolean"] != 2 || got["upserted"] != 1 || r.IsZero() || r.Count(schema.StringBoolean) != 2 {
		t.Errorf("the report counts %v", got)
	}
	o.Cover(r)
	if o != r {
		t.Error("a report that covers another has not its counts")
	}
	names := map[string]bool{}
	for i := schema.Rule(0); i.String() != "unknown"; i++ {
		if i.String() == "" || names[i.String()] {
			t.Errorf("rule %d is named %q, as another one or not at all", i, i)
		}
		names[i.String()] = true
	}
}
