package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

const (
	core = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]`
	ent  = schema.EnterpriseURN
)

// rules renders a report as "rule rule=2".
func rules(r schema.Report) string {
	var out []string
	for name, n := range r.Rules() {
		if n > 1 {
			name += "=" + string(rune('0'+n))
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// TestNormalize: what a client sends, what is stored, and what was bent. A
// want that begins with "400" is a refusal with that code, whose sentence holds
// the rest.
func TestNormalize(t *testing.T) {
	all := []schema.Mode{schema.Compat, schema.Strict, schema.Interop}
	compat, strict, interop := all[:1], all[1:2], all[2:]
	exact := all[1:]
	long := strings.Repeat("x", schema.MaxString+1)
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.ReplaceAll(format, "#", strings.Repeat("i", i)))
		}
		return b.String()
	}
	for _, c := range []struct {
		modes []schema.Mode
		in    string
		want  string
		bent  string
	}{
		// Names, order, what is the server's.
		{all, `{` + core + `,"USERNAME":"ana","Name":{"FAMILYNAME":"Ruiz","givenname":"Ana"}}`, `{"userName":"ana","name":{"familyName":"Ruiz","givenName":"Ana"}}`, ""},
		{all, `{` + core + `,"title":"x","userName":"ana","externalId":"e1"}`, `{"externalId":"e1","userName":"ana","title":"x"}`, ""},
		{all, `{` + core + `,"id":"1","meta":{"version":"x"},"groups":[{"value":"g"}],"userName":"a"}`, `{"userName":"a"}`, ""},
		{all, `{` + core + `,"userName":"a","password":"secret"}`, `{"userName":"a"}`, "passwordDropped"},
		{all, `{` + core + `,"userName":"a","` + ent + `":{"manager":{"value":"m","displayName":"Bo"},"department":"d"}}`,
			`{"userName":"a","` + ent + `":{"department":"d","manager":{"value":"m"}}}`, ""},
		{all, `{` + core + `,"userName":"a","` + strings.ToUpper(ent) + `":{"department":"d"}}`, `{"userName":"a","` + ent + `":{"department":"d"}}`, ""},

		// Unassigned is one state.
		{all, `{` + core + `,"userName":"a","title":null,"emails":[],"roles":null,"name":{"givenName":null},"` + ent + `":{"manager":null}}`, `{"userName":"a"}`, ""},
		{all, `{` + core + `,"userName":"a","emails":[null],"name":{},"` + ent + `":{}}`, `{"userName":"a"}`, ""},
		{compat, `{` + core + `,"userName":"a","title":"","name":{"middleName":"","givenName":"A"}}`, `{"userName":"a","name":{"givenName":"A"}}`, "emptyString=2"},
		{exact, `{` + core + `,"userName":"a","title":"","name":{"middleName":"","givenName":"A"}}`, `{"userName":"a","name":{"givenName":"A","middleName":""},"title":""}`, ""},
		{compat, `{` + core + `,"userName":"a","emails":[{"value":"","type":"work","primary":true},{"value":"a@b"}]}`, `{"userName":"a","emails":[{"value":"a@b"}]}`, "emptyString emptyElement"},
		{compat, `{` + core + `,"userName":"a","name":"","` + ent + `":{"manager":""}}`, `{"userName":"a"}`, "emptyString=2"},
		{strict, `{` + core + `,"userName":"a","emails":[{"type":"work"}]}`, `{"userName":"a","emails":[{"type":"work"}]}`, ""},

		// Required.
		{all, `{` + core + `}`, "400 invalidValue userName", ""},
		{all, `{` + core + `,"userName":null}`, "400 invalidValue userName", ""},
		{all, `{` + core + `,"userName":""}`, "400 invalidValue userName", "emptyString"},
		{all, `{` + core + `,"userName":" \t"}`, "400 invalidValue", ""},
		{all, `{` + core + `,"userName":"  "}`, "400 invalidValue userName", ""},

		// Types.
		{compat, `{` + core + `,"userName":"a","active":"False","emails":[{"value":"x","primary":"True"}]}`, `{"userName":"a","active":false,"emails":[{"value":"x","primary":true}]}`, "stringBoolean=2"},
		{exact, `{` + core + `,"userName":"a","active":"False"}`, "400 invalidValue active", ""},
		{all, `{` + core + `,"userName":"a","active":"yes"}`, "400 invalidValue active", ""},
		{all, `{` + core + `,"userName":"a","active":1}`, "400 invalidValue active", ""},
		{compat, `{` + core + `,"userName":"a","active":""}`, `{"userName":"a"}`, "emptyString"},
		{compat, `{` + core + `,"userName":"a","` + ent + `":{"employeeNumber":701984}}`, `{"userName":"a","` + ent + `":{"employeeNumber":"701984"}}`, "numberForString"},
		{exact, `{` + core + `,"userName":"a","` + ent + `":{"employeeNumber":701984}}`, "400 invalidValue " + ent + ":employeeNumber", ""},
		{all, `{` + core + `,"userName":true}`, "400 invalidValue userName", ""},
		{all, `{` + core + `,"userName":{"value":"a"}}`, "400 invalidValue userName", ""},
		{all, `{` + core + `,"userName":["a","b"]}`, "400 invalidValue userName", ""},
		{all, `{` + core + `,"userName":"a","name":"Ana Ruiz"}`, "400 invalidValue name must be an object", ""},
		{all, `{` + core + `,"userName":"a","name":{"givenName":{"x":1}}}`, "400 invalidValue name.givenName", ""},
		{all, `{` + core + `,"userName":"a","` + ent + `":"x"}`, "400 invalidValue " + ent, ""},
		{compat, `{` + core + `,"userName":"a","` + ent + `":{"manager":"m1"}}`, `{"userName":"a","` + ent + `":{"manager":{"value":"m1"}}}`, "bareValue"},
		{compat, `{` + core + `,"userName":"a","` + ent + `":{"manager":[{"value":"m1"}]}}`, `{"userName":"a","` + ent + `":{"manager":{"value":"m1"}}}`, "manyForSingle"},
		{exact, `{` + core + `,"userName":"a","` + ent + `":{"manager":"m1"}}`, "400 invalidValue manager must be an object", ""},
		{exact, `{` + core + `,"userName":"a","` + ent + `":{"manager":[{"value":"m1"}]}}`, "400 invalidValue manager must be an object", ""},
		{compat, `{` + core + `,"userName":"a","` + ent + `":{"manager":[{"value":"m1"},{"value":"m2"}]}}`, "400 invalidValue manager", ""},
		{compat, `{` + core + `,"userName":"a","emails":"a@b"}`, `{"userName":"a","emails":[{"value":"a@b"}]}`, "bareValue singleForMany"},
		{compat, `{` + core + `,"userName":"a","emails":{"value":"a@b"}}`, `{"userName":"a","emails":[{"value":"a@b"}]}`, "singleForMany"},
		{exact, `{` + core + `,"userName":"a","emails":{"value":"a@b"}}`, "400 invalidValue emails must be an array", ""},
		{exact, `{` + core + `,"userName":"a","emails":["a@b"]}`, "400 invalidValue emails must be an object", ""},
		{all, `{` + core + `,"userName":"a","emails":[["a@b"]]}`, "400 invalidValue emails", ""},
		{all, `{` + core + `,"userName":"a","roles":[{"value":"{\"id\":\"r\",\"displayName\":\"R\"}"}]}`, `{"userName":"a","roles":[{"value":"{\"id\":\"r\",\"displayName\":\"R\"}"}]}`, ""},
		{all, `{` + core + `,"userName":"a","x509Certificates":[{"value":"MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQA="}]}`, `{"userName":"a","x509Certificates":[{"value":"MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQA="}]}`, ""},
		{all, `{` + core + `,"userName":"a","x509Certificates":[{"value":"not base64!"}]}`, "400 invalidValue x509Certificates.value must be base64", ""},
		{exact, `{` + core + `,"userName":"a","profileUrl":"not a uri"}`, "400 invalidValue profileUrl must be a URI", ""},
		{compat, `{` + core + `,"userName":"a","profileUrl":"not a uri"}`, `{"userName":"a","profileUrl":"not a uri"}`, ""},
		// ISO 3166 says US; RFC 7643 §8.2 itself has USA, and so have directories.
		{all, `{` + core + `,"userName":"a","addresses":[{"country":"USA","type":"anything"}]}`, `{"userName":"a","addresses":[{"country":"USA","type":"anything"}]}`, ""},

		// One primary; each value once.
		{all, `{` + core + `,"userName":"a","emails":[{"value":"x","primary":true},{"value":"y","primary":true}]}`, "400 invalidValue more than one primary", ""},
		{compat, `{` + core + `,"userName":"a","emails":[{"value":"x","primary":"true"},{"value":"y","primary":"TRUE"}]}`, "400 invalidValue more than one primary", "stringBoolean=2"},
		{all, `{` + core + `,"userName":"a","emails":[{"value":"x","type":"work"},{"value":"X","type":"WORK","primary":true},{"value":"x","type":"home"}]}`,
			`{"userName":"a","emails":[{"value":"x","type":"work","primary":true},{"value":"x","type":"home"}]}`, "duplicateValue"},
		{all, `{` + core + `,"userName":"a","photos":[{"value":"p","type":"photo"},{"value":"P","type":"photo"}]}`, `{"userName":"a","photos":[{"value":"p","type":"photo"},{"value":"P","type":"photo"}]}`, ""},
		{all, `{` + core + `,"userName":"a","addresses":[{"locality":"B"},{"locality":"B","primary":true},{"locality":"C"}]}`, `{"userName":"a","addresses":[{"locality":"B","primary":true},{"locality":"C"}]}`, "duplicateValue"},

		// Unknown attributes and schemas.
		{all[:2], `{` + core + `,"userName":"a","shoeSize":9,"name":{"nick":"x"}}`, `{"userName":"a"}`, "unknownAttribute=2"},
		{interop, `{` + core + `,"userName":"a","shoeSize":9}`, `400 invalidSyntax "shoeSize"`, ""},
		{interop, `{` + core + `,"userName":"a","name":{"nick":"x"}}`, `400 invalidSyntax "nick"`, ""},
		{interop, `{` + core + `,"userName":"a","` + ent + `":{"x":"x"}}`, `400 invalidSyntax "x"`, ""},
		{all[:2], `{` + core + `,"userName":"a","urn:example:2.0:User":{"shoeSize":9}}`, `{"userName":"a"}`, "unknownSchema"},
		{interop, `{` + core + `,"userName":"a","urn:example:2.0:User":{"shoeSize":9}}`, `400 invalidSyntax "urn:example:2.0:User"`, ""},
		{compat, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:x"],"userName":"a"}`, `{"userName":"a"}`, "unknownSchema"},
		{strict, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:x"],"userName":"a"}`, `{"userName":"a"}`, "unknownSchema"},
		{interop, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:x"],"userName":"a"}`, `400 invalidSyntax "urn:x"`, ""},
		{compat, `{"userName":"a"}`, `{"userName":"a"}`, "missingSchema"},
		{exact, `{"userName":"a"}`, "400 invalidSyntax `schemas`", ""},
		{exact, `{"schemas":[],"userName":"a"}`, "400 invalidSyntax `schemas`", ""},
		{exact, `{"schemas":["` + ent + `"],"userName":"a"}`, "400 invalidSyntax `schemas`", ""},
		{all, `{"schemas":[7],"userName":"a"}`, "400 invalidSyntax `schemas`", ""},
		{all, `{"schemas":{},"userName":"a"}`, "400 invalidSyntax `schemas`", ""},
		{compat, `{"schemas":"urn:ietf:params:scim:schemas:core:2.0:User","userName":"a"}`, `{"userName":"a"}`, "singleForMany"},
		{compat, `{"schemas":["urn:scim:schemas:core:1.0","urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a"}`, `{"userName":"a"}`, "oldSchema"},
		{compat, `{"schemas":["urn:scim:schemas:core:2.0"],"id":null,"userName":"a","active":"true"}`, `{"userName":"a","active":true}`, "oldSchema stringBoolean"},
		{exact, `{"schemas":["urn:scim:schemas:core:1.0","urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a"}`, `400 invalidSyntax "urn:scim:schemas:core:1.0"`, ""},
		{compat, `{` + core + `,"userName":"a","urn:scim:schemas:extension:enterprise:1.0":{"department":"d"}}`, `{"userName":"a","` + ent + `":{"department":"d"}}`, "oldSchema"},
		{exact, `{` + core + `,"userName":"a","urn:scim:schemas:extension:enterprise:1.0":{"department":"d"}}`, `400 invalidSyntax "urn:scim:schemas`, ""},

		// Paths in names.
		{compat, `{` + core + `,"userName":"a","name.givenName":"A","name.familyName":"R","` + ent + `:department":"d","` + ent + `:manager.value":"m"}`,
			`{"userName":"a","name":{"familyName":"R","givenName":"A"},"` + ent + `":{"department":"d","manager":{"value":"m"}}}`, "pathName=4"},
		{compat, `{` + core + `,"userName":"a","name":{"givenName":"A"},"name.familyName":"R","` + ent + `":{"manager.value":"m"}}`,
			`{"userName":"a","name":{"familyName":"R","givenName":"A"},"` + ent + `":{"manager":{"value":"m"}}}`, "pathName=2"},
		{compat, `{"urn:ietf:params:scim:schemas:core:2.0:User":{"userName":"a"},` + core + `}`, `{"userName":"a"}`, "pathName"},
		{compat, `{` + core + `,"userName":"a","name":{"givenName":"A"},"name.givenName":"B"}`, `400 invalidSyntax "name.givenName" is given twice`, ""},
		{compat, `{` + core + `,"userName":"a","urn:ietf:params:scim:schemas:core:2.0:User:userName":"b"}`, `400 invalidSyntax "userName" is given twice`, ""},
		{strict, `{` + core + `,"userName":"a","name.givenName":"A"}`, `{"userName":"a"}`, "unknownAttribute"},
		{compat, `{` + core + `,"userName":"a","urn:scim:schemas:core:1.0:title":"T"}`, `{"userName":"a","title":"T"}`, "oldSchema pathName"},

		// Extensions without their URN: what stands under the URN goes first, and
		// what does not fit is somebody's own.
		{compat, `{` + core + `,"userName":"a","department":"d","manager.value":"m"}`, `{"userName":"a","` + ent + `":{"department":"d","manager":{"value":"m"}}}`, "pathName unqualifiedName=2"},
		{compat, `{` + core + `,"userName":"a","department":"d","` + ent + `":{"division":"v"}}`, `{"userName":"a","` + ent + `":{"division":"v","department":"d"}}`, "unqualifiedName"},
		{compat, `{` + core + `,"userName":"a","department":"x","` + ent + `":{"department":"d"}}`, `{"userName":"a","` + ent + `":{"department":"d"}}`, "unknownAttribute"},
		{compat, `{` + core + `,"userName":"a","` + ent + `":{"department":"d"},"department":"x"}`, `{"userName":"a","` + ent + `":{"department":"d"}}`, "unknownAttribute"},
		{compat, `{` + core + `,"userName":"a","department":"x","` + ent + `:department":"d"}`, `{"userName":"a","` + ent + `":{"department":"d"}}`, "unknownAttribute pathName"},
		{compat, `{` + core + `,"userName":"a","` + ent + `":{"department":null},"department":"x"}`, `{"userName":"a"}`, "unknownAttribute"},
		{compat, `{` + core + `,"userName":"a","manager.value":"x","` + ent + `":{"manager":"m"}}`, `{"userName":"a","` + ent + `":{"manager":{"value":"m"}}}`, "unknownAttribute bareValue"},
		{compat, `{` + core + `,"userName":"a","manager":"m","employeeNumber":7}`, `{"userName":"a","` + ent + `":{"employeeNumber":"7","manager":{"value":"m"}}}`, "numberForString bareValue unqualifiedName=2"},
		{compat, `{` + core + `,"userName":"a","organization":{"id":1},"division":["x","y"],"costCenter":"` + long + `"}`, `{"userName":"a"}`, "unknownAttribute=3"},
		{compat, `{` + core + `,"userName":"a","department":null,"manager.displayName":"Bo","products":["p"]}`, `{"userName":"a"}`, "unknownAttribute"},
		{compat, `{` + core + `,"userName":"a","department":""}`, `{"userName":"a"}`, "emptyString unqualifiedName"},
		{strict, `{` + core + `,"userName":"a","department":"d"}`, `{"userName":"a"}`, "unknownAttribute"},
		{interop, `{` + core + `,"userName":"a","department":"d"}`, `400 invalidSyntax "department"`, ""},

		// Hostile texts are kept as they are; lines must be lines.
		{all, `{` + core + `,"userName":"a\u202eb","displayName":"<script>alert(1)</script>\r\nBcc: x"}`, `{"userName":"a` + "\u202e" + `b","displayName":"\u003cscript>alert(1)\u003c/script>\r\nBcc: x"}`, ""},
		{all, `{` + core + `,"userName":"a\nb"}`, "400 invalidValue userName holds control characters", ""},
		{all, `{` + core + `,"userName":"a\u0085b"}`, "400 invalidValue userName holds control characters", ""},
		{all, `{` + core + `,"userName":"a\u2028b"}`, "400 invalidValue userName holds control characters", ""},
		{all, `{` + core + `,"userName":"a","externalId":"x\u0000"}`, "400 invalidValue externalId holds control characters", ""},
		{all, `{` + core + `,"userName":"a","emails":[{"value":"a@b\r\nBcc: c@d"}]}`, "400 invalidValue emails.value holds control characters", ""},

		// Sizes.
		{all, `{` + core + `,"userName":"a","name":{"givenName":"` + strings.Repeat("ä", 5000) + `"}}`, "400 invalidValue name.givenName is longer than 4096 bytes", ""},
		{all, `{` + core + `,"userName":"` + long + `"}`, "400 invalidValue userName is longer", ""},
		{all, `{` + core + `,"userName":"a","title":"` + long[1:] + `"}`, `{"userName":"a","title":"` + long[1:] + `"}`, ""},
		{all, `{` + core + `,"userName":"a","emails":[` + many(schema.MaxEmails+1, `{"value":"#@x"}`) + `]}`, "400 invalidValue emails takes at most 40 values", ""},
		{all, `{` + core + `,"userName":"a","roles":[` + many(schema.MaxElements+1, `{"value":"#@x"}`) + `]}`, "400 invalidValue roles takes at most 100 values", ""},
		{all, `{` + core + `,"userName":"a","roles":[` + many(20, `{"value":"#`+long[100:]+`"}`) + `]}`, "400 tooLarge at most 64 KB", ""},
		{all, `{` + core + `,"userName":"a","x509Certificates":[{"value":"` + strings.Repeat("AAAA", 4<<10) + `"}]}`, `{"userName":"a","x509Certificates":[{"value":"` + strings.Repeat("AAAA", 4<<10) + `"}]}`, ""},
		{all, `{` + core + `,"userName":"a","x509Certificates":[{"value":"` + strings.Repeat("AAAA", 4<<10+1) + `"}]}`, "400 invalidValue x509Certificates.value is longer", ""},

		// No document.
		{all, `[]`, "400 invalidSyntax JSON object", ""},
		{all, `null`, "400 invalidSyntax JSON object", ""},
		{all, `"x"`, "400 invalidSyntax JSON object", ""},
	} {
		for _, m := range c.modes {
			checkNormal(t, schema.User, m, c.in, c.want, c.bent)
		}
	}
}

func checkNormal(t *testing.T, rt *schema.ResourceType, m schema.Mode, in, want, bent string) {
	t.Helper()
	got, _, report, err := rt.Normalize(parse(t, in), m)
	text := string(got.Append(nil))
	if err != nil {
		f := fault.Of(err)
		text = "400 " + f.Code + " " + f.Msg
		if f.Kind != fault.Invalid {
			t.Errorf("%s: Normalize(%.200s) fails with kind %s", m, in, f.Kind)
		}
		code, rest, _ := strings.Cut(strings.TrimPrefix(want, "400 "), " ")
		if !strings.HasPrefix(want, "400 ") || f.Code != code || !strings.Contains(f.Msg, rest) {
			t.Errorf("%s: Normalize(%.200s) = %s, want %.300s", m, in, text, want)
		}
		return
	}
	if text != want {
		t.Errorf("%s: Normalize(%.200s) = %.300s, want %.300s", m, in, text, want)
	}
	if r := rules(report); r != bent {
		t.Errorf("%s: Normalize(%.200s) bends %q, want %q", m, in, r, bent)
	}
	settled(t, rt, got, m)
}

// settled checks that a stored document settles to itself, in the mode that
// made it and in the others, so that a connection's mode can be changed.
func settled(t *testing.T, rt *schema.ResourceType, doc value.Value, made schema.Mode) {
	t.Helper()
	for _, m := range []schema.Mode{schema.Compat, schema.Strict, schema.Interop} {
		again, _, err := rt.Settle(doc, m)
		if err != nil {
			t.Errorf("what %s made of a %s does not settle in %s: %v", made, rt.Name, m, err)
			continue
		}
		a, b := string(doc.Append(nil)), string(again.Append(nil))
		if m == made && a != b {
			t.Errorf("%s: %.300s settles to %.300s", m, a, b)
		}
	}
}

func TestNormalizeGroup(t *testing.T) {
	const group = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]`
	for _, c := range []struct{ in, want, bent string }{
		{`{` + group + `,"displayName":"Finance","members":[{"value":"u"}],"externalId":"e"}`, `{"externalId":"e","displayName":"Finance"}`, ""},
		{`{` + group + `,"displayName":"Finance","members":"whatever"}`, `{"displayName":"Finance"}`, ""},
		{`{` + group + `}`, "400 invalidValue displayName", ""},
		{`{` + group + `,"displayName":""}`, "400 invalidValue displayName", ""},
	} {
		checkNormal(t, schema.Group, schema.Compat, c.in, c.want, c.bent)
	}
	// Entra names a schema of its own and sends nothing of it.
	checkNormal(t, schema.Group, schema.Compat, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"displayName":"F","meta":{"resourceType":"Group"}}`, `{"displayName":"F"}`, "unknownSchema")
}

// TestRFCUsersAreStoredWhole: of the RFC's own users nothing but what the
// server owns may be lost, in any mode.
func TestRFCUsersAreStoredWhole(t *testing.T) {
	files, _ := filepath.Glob("testdata/rfc7643-8.[123]*.json")
	if len(files) != 3 {
		t.Fatalf("testdata has %d users of the RFC, want 3", len(files))
	}
	for _, f := range files {
		in := file(t, filepath.Base(f))
		for _, m := range []schema.Mode{schema.Compat, schema.Strict} {
			got, _, report, err := schema.User.Normalize(in, m)
			if err != nil {
				t.Errorf("%s: %s is refused: %v", m, f, err)
				continue
			}
			want := in.Without("id").Without("meta").Without("schemas").Without("groups").Without("password")
			if e := want.Get(ent); e.Kind() == value.Object {
				mgr := e.Get("manager")
				want = want.With(ent, e.With("manager", mgr.Without("displayName")))
			}
			if !value.Equal(got, want) {
				t.Errorf("%s: %s is stored as\n%s, want\n%s (%s)", m, f, got.Append(nil), want.Append(nil), rules(report))
			}
			settled(t, schema.User, got, m)
		}
	}
}

func TestNormalizeLeavesItsInputAlone(t *testing.T) {
	in := file(t, "user-739.json")
	before := string(in.Append(nil))
	if _, _, _, err := schema.User.Normalize(in, schema.Compat); err != nil {
		t.Fatal(err)
	}
	if after := string(in.Append(nil)); after != before {
		t.Errorf("Normalize changed its input to %s", after)
	}
}

// TestOtherTypes covers the types that no attribute of the RFC's users has.
func TestOtherTypes(t *testing.T) {
	rt := &schema.ResourceType{Name: "Thing", Schema: &schema.Schema{ID: "urn:test:Thing", Attributes: []schema.Attribute{
		{Name: "count", Type: schema.Integer},
		{Name: "ratio", Type: schema.Decimal},
		{Name: "since", Type: schema.DateTime},
		{Name: "tags", Type: schema.String, MultiValued: true},
		{Name: "flags", Type: schema.Boolean, MultiValued: true},
	}}, Extensions: []schema.Extension{{Schema: &schema.Schema{ID: "urn:test:Must", Attributes: []schema.Attribute{{Name: "x", Type: schema.String}}}, Required: true}}}
	const tail = `,"urn:test:Must":{"x":"1"}}`
	for _, c := range []struct {
		mode     schema.Mode
		in, want string
		bent     string
	}{
		{0, `{"schemas":["urn:test:Thing"],"count":7,"ratio":1.5e3,"since":"2008-01-23T04:56:22Z"` + tail, `{"count":7,"ratio":1.5e3,"since":"2008-01-23T04:56:22Z"` + tail, ""},
		{0, `{"schemas":["urn:test:Thing"],"count":"7"` + tail, `{"count":7` + tail, "stringNumber"},
		{1, `{"schemas":["urn:test:Thing"],"count":"7"` + tail, "400 invalidValue count", ""},
		{0, `{"schemas":["urn:test:Thing"],"count":7.0` + tail, "400 invalidValue integer", ""},
		{0, `{"schemas":["urn:test:Thing"],"count":1e3` + tail, "400 invalidValue integer", ""},
		{0, `{"schemas":["urn:test:Thing"],"since":"yesterday"` + tail, "400 invalidValue date", ""},
		{0, `{"schemas":["urn:test:Thing"],"since":"2008-01-23T04:56:22"` + tail, `{"since":"2008-01-23T04:56:22"` + tail, ""},
		{0, `{"schemas":["urn:test:Thing"],"tags":["a","b","A",null,""]` + tail, `{"tags":["a","b"]` + tail, "emptyString emptyElement duplicateValue"},
		{0, `{"schemas":["urn:test:Thing"],"flags":[true,false,"true"]` + tail, `{"flags":[true,false]` + tail, "stringBoolean duplicateValue"},
		{0, `{"schemas":["urn:test:Thing"],"count":7}`, "400 invalidValue urn:test:Must", ""},
		{0, `{"schemas":["urn:test:Thing"],"count":7,"urn:test:Must":{"x":""}}`, "400 invalidValue urn:test:Must", ""},
	} {
		checkNormal(t, rt, c.mode, c.in, c.want, c.bent)
	}
}

func FuzzNormalize(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(0))
	}
	f.Add([]byte(`{"userName":"a","emails":[{"value":"x","primary":"True"},"y",{"value":"X"}],"name.givenName":"A"}`), uint8(0))
	f.Add([]byte(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a","name":{"givenName":"","x":1},"roles":[{"type":"t"}]}`), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, mode uint8) {
		v, err := value.Parse(text)
		if err != nil {
			return
		}
		before := string(v.Append(nil))
		for _, rt := range schema.All() {
			m := schema.Mode(mode % 3)
			doc, _, _, err := rt.Normalize(v, m)
			if string(v.Append(nil)) != before {
				t.Fatalf("Normalize changed its input %q", text)
			}
			if err != nil {
				if f := fault.Of(err); f.Kind != fault.Invalid || f.Code == "" || f.Msg == "" {
					t.Fatalf("Normalize(%q) fails with %#v", text, err)
				}
				continue
			}
			if n := len(doc.Append(nil)); n > schema.MaxResource {
				t.Fatalf("Normalize(%q) makes a document of %d bytes", text, n)
			}
			settled(t, rt, doc, m)
		}
	})
}

// A group's members, by whatever name a dialect takes for theirs.
func TestApart(t *testing.T) {
	const urn = schema.GroupURN
	for in, want := range map[string][3]string{ // compat, strict, interop: the members, or a code
		`"members":["a"]`:                                      {`["a"]`, `["a"]`, `["a"]`},
		`"MEMBERS":"a"`:                                        {`"a"`, `"a"`, `"a"`},
		`"members":null`:                                       {`null`, `null`, `null`},
		`"members":[]`:                                         {`[]`, `[]`, `[]`},
		`"externalId":"e"`:                                     {``, ``, ``},
		`"` + urn + `:members":["a"]`:                          {`["a"]`, ``, `400`},
		`"` + urn + `:members":null`:                           {`null`, ``, `400`},
		`"` + urn + `":{"members":["a"]}`:                      {`["a"]`, ``, `400`},
		`"` + urn + `":{"` + urn + `:members":["a"]}`:          {`["a"]`, ``, `400`},
		`"urn:scim:schemas:core:1.0:members":["a"]`:            {`["a"]`, `400`, `400`},
		`"members":["a"],"` + urn + `:members":["a"]`:          {`400`, `["a"]`, `400`},
		`"members":["a"],"` + urn + `":{"members":["b"]}`:      {`400`, `["a"]`, `400`},
		`"members":["a"],"` + urn + `":{"members":null}`:       {`["a"]`, `["a"]`, `400`},
		`"` + urn + `":{"members":["b"]},"members":[]`:         {`["b"]`, `[]`, `400`},
		`"members.value":"a","x:members":["a"],"Members.x":[]`: {`{"value":"a"}`, ``, `400`},
		`"members.value":"a","` + urn + `:members.type":"b"`:   {`{"value":"a","type":"b"}`, ``, `400`},
		`"members.value":"a","members.display":"A"`:            {`{"value":"a"}`, ``, `400`},
		`"members.value":null`:                                 {``, ``, `400`},
		`"members":null,"members.value":"a"`:                   {`{"value":"a"}`, `null`, `400`},
		`"members.value":"a","members":[]`:                     {`{"value":"a"}`, `[]`, `400`},
		`"members.value":"a","members":["b"]`:                  {`400`, `["b"]`, `400`},
		`"members":["b"],"members.value":"a"`:                  {`400`, `["b"]`, `400`},
		`"members.value":"a","` + urn + `:members.value":"b"`:  {`400`, ``, `400`},
	} {
		for m, want := range want {
			doc, apart, _, err := schema.Group.Normalize(parse(t, `{"schemas":["`+urn+`"],"displayName":"N",`+in+`}`), schema.Mode(m))
			got := string(apart.Get("members").Append(nil))
			switch {
			case err != nil && !fault.Coded(err, fault.InvalidSyntax):
				t.Errorf("%s: Normalize(%s) fails with %v", schema.Mode(m), in, err)
			case err != nil:
				got = "400"
			case apart.Get("members").Kind() == value.Absent:
				got = ""
			}
			if got != want || doc.Get("members").Kind() != value.Absent {
				t.Errorf("%s: Normalize(%s) gives %s and the members %s, want %s", schema.Mode(m), in, doc.Append(nil), got, want)
			}
		}
	}
}

func BenchmarkNormalize(b *testing.B) {
	v := file(b, "user-739.json")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := schema.User.Normalize(v, schema.Compat); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndNormalize(b *testing.B) {
	text := file(b, "user-739.json").Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		v, err := value.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, _, err := schema.User.Normalize(v, schema.Compat); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSettle(b *testing.B) {
	v, _, _, err := schema.User.Normalize(file(b, "user-739.json"), schema.Compat)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := schema.User.Settle(v, schema.Compat); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCoerce(t *testing.T) {
	for _, c := range []struct {
		path, in string
		mode     schema.Mode
		want     string
		bent     string
	}{
		{"active", `"True"`, schema.Compat, `true`, "stringBoolean"},
		{"active", `"True"`, schema.Strict, "400", ""},
		{"name.givenName", `""`, schema.Compat, ``, "emptyString"},
		{"emails", `{"value":"a"}`, schema.Compat, `[{"value":"a"}]`, "singleForMany"},
		{"emails.primary", `"false"`, schema.Compat, `false`, "stringBoolean"},
		{ent + ":manager", `"m"`, schema.Compat, `{"value":"m"}`, "bareValue"},
		{ent, `{"department":"d","shoe":1}`, schema.Compat, `{"department":"d"}`, "unknownAttribute"},
		{ent, `null`, schema.Compat, ``, ""},
		{ent, `7`, schema.Compat, `400`, ""},
	} {
		ref, ok := schema.User.Resolve(c.path, c.mode)
		if !ok {
			t.Fatalf("Resolve(%q) finds nothing", c.path)
		}
		var report schema.Report
		v, err := schema.User.Coerce(ref, parse(t, c.in), c.mode, &report)
		got := ""
		switch {
		case err != nil:
			got = "400"
			if !fault.Coded(err, fault.InvalidValue) {
				t.Errorf("Coerce(%s, %s) fails with %v, want invalidValue", c.path, c.in, err)
			}
		case v.Kind() != value.Absent:
			got = string(v.Append(nil))
		}
		if got != c.want || rules(report) != c.bent {
			t.Errorf("%s: Coerce(%s, %s) = %s, bending %q; want %s, %q", c.mode, c.path, c.in, got, rules(report), c.want, c.bent)
		}
	}
}

func TestSettleRefusesWhatIsNoDocument(t *testing.T) {
	if _, _, err := schema.User.Settle(value.Str("x"), schema.Compat); !fault.Coded(err, fault.InvalidSyntax) {
		t.Errorf("Settle of a string gives %v, want invalidSyntax", err)
	}
}
