package schema_test

import (
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

const rendered = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + ent + `"],"id":"1","externalId":"e","userName":"ana","name":{"familyName":"Ruiz","givenName":"Ana"},` +
	`"emails":[{"value":"a@b","type":"work","primary":true},{"value":"c@d"}],"groups":[{"value":"g"}],"` + ent + `":{"department":"d","manager":{"value":"m","$ref":"../Users/m"}},"meta":{"resourceType":"User","version":"v"}}`

func TestProjection(t *testing.T) {
	const head = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + ent + `"],"id":"1"`
	one := func(s string) []string { return []string{s} }
	for _, c := range []struct {
		attributes, excluded []string
		want                 string
	}{
		{nil, nil, rendered},
		{one(""), one(" , "), rendered},
		{one("userName"), nil, head + `,"userName":"ana"}`},
		{one("USERNAME,displayName, externalid"), nil, head + `,"externalId":"e","userName":"ana"}`},
		{[]string{"userName", "meta.version"}, nil, head + `,"userName":"ana","meta":{"version":"v"}}`},
		{one("id"), nil, head + `}`},
		{one("nothing"), nil, head + `}`},
		{one("name.givenName"), nil, head + `,"name":{"givenName":"Ana"}}`},
		{one("name,name.givenName"), nil, head + `,"name":{"familyName":"Ruiz","givenName":"Ana"}}`},
		{one("emails.type"), nil, head + `,"emails":[{"type":"work"}]}`},
		{one("emails.display"), nil, head + `}`},
		{one(schema.UserURN + ":name.familyName"), nil, head + `,"name":{"familyName":"Ruiz"}}`},
		{one(ent), nil, head + `,"` + ent + `":{"department":"d","manager":{"value":"m","$ref":"../Users/m"}}}`},
		{one(ent + ":department"), nil, head + `,"` + ent + `":{"department":"d"}}`},
		{one(ent + ":manager.$ref"), nil, head + `,"` + ent + `":{"manager":{"$ref":"../Users/m"}}}`},
		{one("department"), nil, head + `}`},
		{nil, one("id,schemas,userName,name,emails,groups,meta,externalId," + ent), head + `}`},
		{nil, one("name.givenName,emails.value,groups," + ent + ":manager,meta"), head + `,"externalId":"e","userName":"ana","name":{"familyName":"Ruiz"},"emails":[{"type":"work","primary":true}],"` + ent + `":{"department":"d"}}`},
		{nil, one("nothing,urn:x:y"), rendered},
	} {
		var report schema.Report
		p, err := schema.ParseProjection(schema.User, c.attributes, c.excluded, schema.Strict, &report)
		if err != nil || !report.IsZero() {
			t.Errorf("ParseProjection(%q, %q) fails: %v, and bends %q", c.attributes, c.excluded, err, rules(report))
			continue
		}
		in := parse(t, rendered)
		if got := string(p.Apply(in).Append(nil)); got != c.want {
			t.Errorf("attributes %q, excludedAttributes %q give\n%s, want\n%s", c.attributes, c.excluded, got, c.want)
		}
		if string(in.Append(nil)) != rendered {
			t.Errorf("Apply changed the resource")
		}
	}
}

// TestProjectionBends: names that Compat understands, and nobody else.
func TestProjectionBends(t *testing.T) {
	for _, c := range []struct {
		attributes, want, bent string
	}{
		{"department", `"` + ent + `":{"department":"d"}`, "unqualifiedName"},
		{"MANAGER.value,department", `"` + ent + `":{"department":"d","manager":{"value":"m"}}`, "unqualifiedName=2"},
		{"urn:scim:schemas:core:1.0:userName", `"userName":"ana"`, "oldSchema"},
		{"urn:scim:schemas:extension:enterprise:1.0:department", `"` + ent + `":{"department":"d"}`, "oldSchema"},
		{"urn:scim:schemas:core:1.0:nothing,nothing,products", "", ""},
	} {
		for _, m := range []schema.Mode{schema.Compat, schema.Strict, schema.Interop} {
			var report schema.Report
			p, err := schema.ParseProjection(schema.User, []string{c.attributes}, nil, m, &report)
			if err != nil {
				t.Fatal(err)
			}
			want, bent := "", ""
			if m == schema.Compat {
				want, bent = c.want, c.bent
			}
			got := p.Apply(parse(t, rendered)).Without("schemas").Without("id")
			if text := string(got.Append(nil)); text != "{"+want+"}" || rules(report) != bent {
				t.Errorf("%s: attributes %q give %s and bend %q, want {%s} and %q", m, c.attributes, text, rules(report), want, bent)
			}
		}
	}
}

func TestProjectionRefusesBoth(t *testing.T) {
	_, err := schema.ParseProjection(schema.User, []string{"userName"}, []string{"name"}, schema.Compat, new(schema.Report))
	if !fault.Is(err, fault.Invalid) || !fault.Coded(err, fault.InvalidValue) {
		t.Errorf("attributes with excludedAttributes give %v, want Invalid, invalidValue", err)
	}
}

func TestProjectionWants(t *testing.T) {
	for _, c := range []struct {
		rt                   *schema.ResourceType
		attributes, excluded string
		name                 string
		want, standard       bool
	}{
		{schema.User, "", "", "groups", true, true},
		{schema.User, "", "", "password", false, true},
		{schema.User, "", "groups", "groups", false, false},
		{schema.User, "", "groups.display", "groups", true, false},
		{schema.User, "id", "", "groups", false, false},
		{schema.User, "groups.value", "", "groups", true, false},
		{schema.User, "nothing", "", "groups", false, false},
		{schema.User, "", "nothing", "groups", true, true},
		{schema.Group, "", "Members", "members", false, false},
		{schema.Group, "displayName", "", "members", false, false},
		{schema.Group, "urn:ietf:params:scim:schemas:core:2.0:Group:members", "", "members", true, false},
		{schema.Group, "displayName", "", "id", true, false},
		{schema.Group, "", "id", "id", true, false},
		{schema.Group, "", "", "nothing", false, true},
	} {
		p, err := schema.ParseProjection(c.rt, []string{c.attributes}, []string{c.excluded}, schema.Strict, new(schema.Report))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Wants(c.name); got != c.want {
			t.Errorf("%s with attributes %q, excludedAttributes %q: Wants(%q) = %t", c.rt.Name, c.attributes, c.excluded, c.name, got)
		}
		if got := p.IsDefault(); got != c.standard {
			t.Errorf("%s with attributes %q, excludedAttributes %q: IsDefault() = %t", c.rt.Name, c.attributes, c.excluded, got)
		}
	}
}

// TestReturnedRules covers what the RFC's users have no example of.
func TestReturnedRules(t *testing.T) {
	rt := &schema.ResourceType{Name: "Thing", Schema: &schema.Schema{ID: "urn:test:Thing", Attributes: []schema.Attribute{
		{Name: "a", Type: schema.String, Returned: schema.Always},
		{Name: "d", Type: schema.String},
		{Name: "r", Type: schema.String, Returned: schema.Request},
		{Name: "n", Type: schema.String, Returned: schema.Never},
		{Name: "c", Type: schema.Complex, Sub: []schema.Attribute{
			{Name: "a", Type: schema.String, Returned: schema.Always},
			{Name: "d", Type: schema.String},
			{Name: "r", Type: schema.String, Returned: schema.Request},
			{Name: "n", Type: schema.String, Returned: schema.Never},
		}},
	}}}
	const thing = `{"id":"1","a":"1","d":"1","r":"1","n":"1","c":{"a":"1","d":"1","r":"1","n":"1"}}`
	for _, c := range []struct{ attributes, excluded, want string }{
		{"", "", `{"id":"1","a":"1","d":"1","c":{"a":"1","d":"1"}}`},
		{"r,n", "", `{"id":"1","a":"1","r":"1","c":{"a":"1"}}`},
		{"c", "", `{"id":"1","a":"1","c":{"a":"1","d":"1"}}`},
		{"c,c.r", "", `{"id":"1","a":"1","c":{"a":"1","d":"1","r":"1"}}`},
		{"c.r,c.n", "", `{"id":"1","a":"1","c":{"a":"1","r":"1"}}`},
		{"", "a,d,c.a,c.d", `{"id":"1","a":"1","c":{"a":"1"}}`},
		{"", "c", `{"id":"1","a":"1","d":"1"}`},
		{"", "r", `{"id":"1","a":"1","d":"1","c":{"a":"1","d":"1"}}`},
	} {
		p, err := schema.ParseProjection(rt, []string{c.attributes}, []string{c.excluded}, schema.Strict, new(schema.Report))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.Apply(parse(t, thing)).Append(nil)); got != c.want {
			t.Errorf("attributes %q, excludedAttributes %q give %s, want %s", c.attributes, c.excluded, got, c.want)
		}
	}
}

func BenchmarkProjection(b *testing.B) {
	in, err := value.Parse([]byte(rendered))
	if err != nil {
		b.Fatal(err)
	}
	for name, attributes := range map[string]string{"default": "", "two": "userName,emails.value"} {
		b.Run(name, func(b *testing.B) {
			p, err := schema.ParseProjection(schema.User, []string{attributes}, nil, schema.Strict, new(schema.Report))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Apply(in)
			}
		})
	}
}
