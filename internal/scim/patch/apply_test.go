package patch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

const ent = schema.EnterpriseURN

func parse(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s) fails: %v", text, err)
	}
	return v
}

func request(ops string) string {
	return `{"schemas":["` + patch.URN + `"],"Operations":[` + ops + `]}`
}

// apply runs a PATCH as a server does: the result, or "400 code sentence".
func apply(t testing.TB, rt *schema.ResourceType, doc, ops string, m schema.Mode) (string, schema.Report) {
	t.Helper()
	v := parse(t, doc)
	r, err := patch.Parse(parse(t, request(ops)), m)
	var report schema.Report
	if err == nil {
		var out value.Value
		if out, report, err = r.Apply(rt, v, m); err == nil {
			if got := string(v.Append(nil)); got != string(parse(t, doc).Append(nil)) {
				t.Errorf("Apply(%s) changed its document to %s", ops, got)
			}
			return string(out.Append(nil)), report
		}
	}
	f := fault.Of(err)
	if f.Kind != fault.Invalid || f.Msg == "" {
		t.Errorf("%s: %s fails with %#v", m, ops, err)
	}
	return "400 " + f.Code + " " + f.Msg, report
}

func rules(r schema.Report) string {
	var out []string
	for name := range r.Rules() {
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// base is the user that most cases change; want texts say "=" for it.
const base = `{"userName":"ana","name":{"familyName":"Ruiz","givenName":"Ana"},"title":"Engineer","active":true,` +
	`"emails":[{"value":"a@work","type":"work","primary":true},{"value":"a@home","type":"home"}],` +
	`"` + ent + `":{"department":"D","manager":{"value":"m1","$ref":"../Users/m1"}}}`

// with renders base with parts exchanged.
func with(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(base) }

const (
	emails  = `"emails":[{"value":"a@work","type":"work","primary":true},{"value":"a@home","type":"home"}]`
	manager = `"manager":{"value":"m1","$ref":"../Users/m1"}`
)

type kase struct {
	modes []schema.Mode
	ops   string
	want  string
	bent  string
}

var (
	all    = []schema.Mode{schema.Compat, schema.Strict, schema.Interop}
	compat = all[:1]
	rfc    = all[:2] // where the interoperability profile differs
	strict = all[1:2]
	exact  = all[1:]
	inter  = all[2:]
)

func check(t *testing.T, rt *schema.ResourceType, doc string, cases []kase) {
	t.Helper()
	for _, c := range cases {
		for _, m := range c.modes {
			got, report := apply(t, rt, doc, c.ops, m)
			want := c.want
			if want == "=" {
				want = doc
			}
			if strings.HasPrefix(want, "400 ") {
				code, rest, _ := strings.Cut(want[4:], " ")
				if !strings.HasPrefix(got, "400 "+code+" ") || !strings.Contains(got, rest) {
					t.Errorf("%s: %s\ngives %s,\n want %s", m, c.ops, got, want)
				}
				continue
			}
			if got != want {
				t.Errorf("%s: %s\ngives %s,\n want %s", m, c.ops, got, want)
			}
			if b := rules(report); b != c.bent {
				t.Errorf("%s: %s bends %q, want %q", m, c.ops, b, c.bent)
			}
		}
	}
}

// TestWithoutPath is the first row of the table.
func TestWithoutPath(t *testing.T) {
	check(t, schema.User, base, []kase{
		{rfc, `{"op":"add","value":{"nickName":"An","emails":[{"value":"b@x"}],"name":{"middleName":"M"}}}`,
			with(`"Ana"}`, `"Ana","middleName":"M"},"nickName":"An"`, `"type":"home"}]`, `"type":"home"},{"value":"b@x"}]`), ""},
		{rfc, `{"op":"replace","value":{"title":"Boss","emails":[{"value":"b@x"}],"name":{"givenName":"Anita"}}}`,
			with(`"Ana"`, `"Anita"`, `Engineer`, `Boss`, emails, `"emails":[{"value":"b@x"}]`), ""},
		{rfc, `{"op":"replace","value":{"active":false}}`, with("true,", "false,", `"primary":false`, `"primary":true`), ""},
		{rfc, `{"op":"replace","value":{"TITLE":"Boss"}}`, with("Engineer", "Boss"), ""},
		{rfc, `{"op":"replace","value":{"title":null,"emails":[],"` + ent + `":null}}`, `{"userName":"ana","name":{"familyName":"Ruiz","givenName":"Ana"},"active":true}`, ""},
		{rfc, `{"op":"add","value":{"emails":[],"roles":null,"` + ent + `":null}}`, "=", ""},
		{rfc, `{"op":"replace","value":{"` + ent + `":{"department":"E"}}}`, with(`"D"`, `"E"`), ""},
		{rfc, `{"op":"add","value":{"` + strings.ToUpper(ent) + `":{"costCenter":"9"}}}`, with(`"department"`, `"costCenter":"9","department"`), ""},
		{rfc, `{"op":"replace","value":{}}`, "=", ""},
		{rfc, `{"op":"replace","value":{"schemas":["urn:x"]}}`, "=", ""},
		{rfc, `{"op":"remove"}`, "400 noTarget needs a `path`", ""},
		{rfc, `{"op":"remove","value":{"title":"Engineer"}}`, "400 noTarget", ""},
		{rfc, `{"op":"remove","path":null}`, "400 noTarget", ""},
		{compat, `{"op":"remove","path":""}`, "400 noTarget", ""},
		{exact, `{"op":"remove","path":""}`, "400 invalidPath", ""},
		{rfc, `{"op":"replace"}`, "400 invalidValue must be an object", ""},
		{rfc, `{"op":"add","value":[{"title":"x"}]}`, "400 invalidValue must be an object", ""},
		{rfc, `{"op":"add","value":"x"}`, "400 invalidValue must be an object", ""},
		{rfc, `{"op":"replace","value":{"userName":null}}`, "400 invalidValue userName", ""},
		{inter, `{"op":"replace","value":{"active":false}}`, "400 invalidSyntax needs a `path`", ""},
		{inter, `{"op":"remove"}`, "400 noTarget", ""},
		{compat, `{"op":"replace","value":{"shoeSize":9,"title":"Boss"}}`, with("Engineer", "Boss"), "unknownAttribute"},
		{strict, `{"op":"replace","value":{"shoeSize":9,"title":"Boss"}}`, with("Engineer", "Boss"), "unknownAttribute"},
		{compat, `{"op":"replace","value":{"groups":[{"value":"g"}],"meta":{"version":"x"},"password":"secret"}}`, "=", "readOnlyPassed passwordDropped"},
		{strict, `{"op":"replace","value":{"groups":[{"value":"g"}]}}`, "400 mutability groups", ""},
		{strict, `{"op":"replace","value":{"meta":{"version":"x"}}}`, "400 mutability meta", ""},
		{rfc, `{"op":"replace","value":{"id":"other"}}`, "400 mutability id", ""},
	})
}

// TestPathsInNames: keys that are paths, which Entra sends with its flag.
func TestPathsInNames(t *testing.T) {
	check(t, schema.User, base, []kase{
		{compat, `{"op":"replace","value":{"displayName":"A","name.givenName":"An","name.familyName":"R","` + ent + `:employeeNumber":"E-77"}}`,
			with(`"Ruiz","givenName":"Ana"}`, `"R","givenName":"An"},"displayName":"A"`, `"department"`, `"employeeNumber":"E-77","department"`), "pathName"},
		{compat, `{"op":"add","value":{"` + ent + `:manager":"m2","` + ent + `:department":""}}`, with(`"department":"D",`, "", manager, `"manager":{"value":"m2"}`), "bareValue emptyString pathName"},
		{compat, `{"op":"add","value":{"` + ent + `:manager.value":"m2"}}`, with(manager, `"manager":{"value":"m2"}`), "pathName"},
		{compat, `{"op":"add","value":{"` + ent + `":{"manager.value":"m2"}}}`, with(manager, `"manager":{"value":"m2"}`), "pathName"},
		{compat, `{"op":"replace","value":{"emails[type eq \"work\"].value":"b@work"}}`, with("a@work", "b@work"), "pathName"},
		{compat, `{"op":"replace","value":{"phoneNumbers[type eq \"mobile\"].value":"5"}}`, with(`,"`+ent, `,"phoneNumbers":[{"value":"5","type":"mobile"}],"`+ent), "pathName upserted"},
		{compat, `{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User:title":"Boss"}}`, with("Engineer", "Boss"), "pathName"},
		{compat, `{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"title":"Boss"}}}`, with("Engineer", "Boss"), "pathName"},
		{compat, `{"op":"replace","value":{"urn:scim:schemas:core:1.0":{"active":false}}}`, with("true,", "false,"), "oldSchema pathName"},
		{compat, `{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:USER","value":{"active":"False"}}`, with("true,", "false,"), "stringBoolean pathName"},
		{compat, `{"op":"add","path":"urn:scim:schemas:core:2.0","value":{"name.givenName":"An"}}`, with(`"Ana"`, `"An"`), "oldSchema pathName"},
		{compat, `{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User","value":{"urn:ietf:params:scim:schemas:core:2.0:User":{"active":false}}}`, "=", "unknownSchema pathName"},
		{compat, `{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User","value":false}`, "=", "unknownSchema"},
		{compat, `{"op":"remove","path":"urn:ietf:params:scim:schemas:core:2.0:User"}`, "=", "unknownSchema"},
		{strict, `{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User","value":{"active":false}}`, "400 invalidPath", ""},
		{inter, `{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User","value":{"active":false}}`, "400 invalidSyntax", ""},
		{compat, `{"op":"replace","value":{"name.shoe":"x","urn:x:y":"z","emails[shoe eq 1":"x"}}`, "=", "unknownAttribute unknownSchema"},
		{compat, `{"op":"replace","value":{"urn:scim:schemas:core:1.0:title":"Boss"}}`, with("Engineer", "Boss"), "oldSchema pathName"},
		{strict, `{"op":"replace","value":{"URN:SCIM:schemas:core:1.0:title":"Boss"}}`, "400 invalidSyntax is of SCIM 1.x", ""},
		{strict, `{"op":"replace","value":{"title":"Boss","urn:scim:schemas:extension:enterprise:1.0":{"department":"E"}}}`, "400 invalidSyntax is of SCIM 1.x", ""},
		{compat, `{"op":"replace","value":{"urn:scim:schemas:extension:enterprise:1.0":{"department":"E"}}}`, with(`"D"`, `"E"`), "oldSchema"},
		{compat, `{"op":"replace","value":{"department":"E","manager.value":"m2"}}`, with(`"D"`, `"E"`, manager, `"manager":{"value":"m2"}`), "pathName unqualifiedName"},
		{compat, `{"op":"replace","value":{"title":"Boss","organization":{"id":7},"manager.value":["x","y"]}}`, with("Engineer", "Boss"), "unknownAttribute"},
		{compat, `{"op":"replace","value":{"` + ent + `":{"organization":{"id":7}}}}`, "400 invalidValue organization", ""},
		{compat, `{"op":"replace","path":"organization","value":{"id":7}}`, "400 invalidValue organization", ""},
		{strict, `{"op":"replace","value":{"department":"E"}}`, "=", "unknownAttribute"},
		{strict, `{"op":"replace","value":{"name.givenName":"An"}}`, "=", "unknownAttribute"},
		{strict, `{"op":"replace","value":{"` + ent + `:department":"E"}}`, "=", "unknownSchema"},
	})
}

func TestSingularSimple(t *testing.T) {
	check(t, schema.User, base, []kase{
		{all, `{"op":"add","path":"title","value":"Boss"}`, with("Engineer", "Boss"), ""},
		{all, `{"op":"replace","path":"title","value":"Boss"}`, with("Engineer", "Boss"), ""},
		{all, `{"op":"replace","path":"nickName","value":"An"}`, with(`"title"`, `"nickName":"An","title"`), ""},
		{all, `{"op":"replace","path":"externalId","value":"e"}`, `{"externalId":"e",` + base[1:], ""},
		{all, `{"op":"remove","path":"title"}`, with(`"title":"Engineer",`, ""), ""},
		{all, `{"op":"remove","path":"nickName"}`, "=", ""},
		{all, `{"op":"replace","path":"title","value":null}`, with(`"title":"Engineer",`, ""), ""},
		{all, `{"op":"add","path":"title","value":"Engineer"}`, "=", ""},
		{all, `{"op":"replace","path":"title"}`, "400 invalidValue needs a `value`", ""},
		{all, `{"op":"remove","path":"userName"}`, "400 mutability userName is required", ""},
		{all, `{"op":"replace","path":"userName","value":""}`, "400 invalidValue userName", ""},
		{all, `{"op":"replace","path":"userName","value":"bo"}`, with(`"ana"`, `"bo"`), ""},
		{all, `{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:title","value":"Boss"}`, with("Engineer", "Boss"), ""},
		{all, `{"op":"replace","path":"title","value":{"x":1}}`, "400 invalidValue title must be a string", ""},
		{all, `{"op":"replace","path":"active","value":"maybe"}`, "400 invalidValue active", ""},
		{compat, `{"op":"Replace","path":"active","value":"False"}`, with("true,", "false,"), "stringBoolean operationCase"},
		{exact, `{"op":"replace","path":"active","value":"False"}`, "400 invalidValue active", ""},
		{compat, `{"op":"Add","path":"title","value":""}`, with(`"title":"Engineer",`, ""), "emptyString operationCase"},
		{strict, `{"op":"add","path":"title","value":""}`, with("Engineer", ""), ""},
		{all, `{"op":"replace","path":"title[value eq \"x\"]","value":"x"}`, "400 invalidPath", ""},
		{all, `{"op":"replace","path":"password","value":"secret"}`, "=", "passwordDropped"},
		{all, `{"op":"remove","path":"password"}`, "=", "passwordDropped"},
	})
}

func TestSingularComplex(t *testing.T) {
	check(t, schema.User, base, []kase{
		{all, `{"op":"add","path":"name","value":{"middleName":"M"}}`, with(`"Ana"}`, `"Ana","middleName":"M"}`), ""},
		{rfc, `{"op":"replace","path":"name","value":{"givenName":"Anita"}}`, with(`"Ana"}`, `"Anita"}`), ""},
		{inter, `{"op":"replace","path":"name","value":{"givenName":"Anita"}}`, with(`{"familyName":"Ruiz","givenName":"Ana"}`, `{"givenName":"Anita"}`), ""},
		{rfc, `{"op":"replace","path":"name","value":{"givenName":null,"formatted":"A R"}}`, with(`{"familyName":"Ruiz","givenName":"Ana"}`, `{"formatted":"A R","familyName":"Ruiz"}`), ""},
		{compat, `{"op":"replace","path":"name","value":{"givenName":""}}`, with(`,"givenName":"Ana"`, ``), "emptyString"},
		{rfc, `{"op":"replace","path":"name","value":{"givenName":null,"familyName":null}}`, with(`"name":{"familyName":"Ruiz","givenName":"Ana"},`, ``), ""},
		{all, `{"op":"remove","path":"name"}`, with(`"name":{"familyName":"Ruiz","givenName":"Ana"},`, ``), ""},
		{all, `{"op":"replace","path":"name","value":null}`, with(`"name":{"familyName":"Ruiz","givenName":"Ana"},`, ``), ""},
		{all, `{"op":"replace","path":"name.givenName","value":"Anita"}`, with(`"Ana"`, `"Anita"`), ""},
		{all, `{"op":"add","path":"NAME.MIDDLENAME","value":"M"}`, with(`"Ana"}`, `"Ana","middleName":"M"}`), ""},
		{all, `{"op":"remove","path":"name.givenName"}`, with(`,"givenName":"Ana"`, ``), ""},
		{all, `{"op":"remove","path":"name.middleName"}`, "=", ""},
		{all, `{"op":"remove","path":"name.givenName"},{"op":"remove","path":"name.familyName"}`, with(`"name":{"familyName":"Ruiz","givenName":"Ana"},`, ``), ""},
		{all, `{"op":"replace","path":"name","value":"Ana"}`, "400 invalidValue name must be an object", ""},
		{all, `{"op":"replace","path":"name.givenName","value":{}}`, "400 invalidValue name.givenName", ""},
		{all, `{"op":"replace","path":"name[givenName eq \"Ana\"].givenName","value":"x"}`, "400 invalidPath", ""},
	})
}

func TestManager(t *testing.T) {
	const path = `"path":"` + ent + `:manager"`
	const gone = `,` + manager
	check(t, schema.User, base, []kase{
		{compat, `{"op":"add",` + path + `,"value":"m2"}`, with(manager, `"manager":{"value":"m2"}`), "bareValue"},
		{compat, `{"op":"add",` + path + `,"value":"m1"}`, "=", "bareValue"},
		{compat, `{"op":"add",` + path + `,"value":[{"value":"m2"}]}`, with(manager, `"manager":{"value":"m2"}`), "manyForSingle"},
		{compat, `{"op":"replace",` + path + `,"value":""}`, with(gone, ""), "emptyString"},
		{all, `{"op":"replace",` + path + `,"value":null}`, with(gone, ""), ""},
		{all, `{"op":"remove",` + path + `}`, with(gone, ""), ""},
		{all, `{"op":"replace",` + path + `,"value":{"value":"m2","displayName":"Bo"}}`, with(manager, `"manager":{"value":"m2"}`), ""},
		{all, `{"op":"add",` + path + `,"value":{"value":"m2","$ref":"../Users/m2"}}`, with("m1", "m2"), ""},
		{all, `{"op":"replace","path":"` + ent + `:manager.value","value":"m2"}`, with(manager, `"manager":{"value":"m2"}`), ""},
		{compat, `{"op":"replace","path":"` + ent + `:manager.value","value":""}`, with(gone, ""), "emptyString"},
		{exact, `{"op":"add",` + path + `,"value":"m2"}`, "400 invalidValue manager must be an object", ""},
		{all, `{"op":"replace","path":"` + ent + `:manager.displayName","value":"Bo"}`, "400 mutability manager.displayName", ""},
		{compat, `{"op":"replace","path":"urn:scim:schemas:extension:enterprise:1.0:manager.value","value":"m2"}`, with(manager, `"manager":{"value":"m2"}`), "oldSchema"},
	})
}

func TestExtensions(t *testing.T) {
	const bare = `{"userName":"ana"}`
	const full = `{"userName":"ana","` + ent + `":{"department":"D"}}`
	check(t, schema.User, bare, []kase{
		{all, `{"op":"add","path":"` + ent + `:department","value":"D"}`, full, ""},
		{all, `{"op":"replace","path":"` + strings.ToUpper(ent) + `:DEPARTMENT","value":"D"}`, full, ""},
		{all, `{"op":"add","path":"` + ent + `","value":{"department":"D"}}`, full, ""},
		{all, `{"op":"remove","path":"` + ent + `"}`, "=", ""},
		{compat, `{"op":"add","path":"` + ent + `","value":{"shoe":"D"}}`, "=", "unknownAttribute"},
		{inter, `{"op":"add","path":"` + ent + `","value":{"shoe":"D"}}`, "400 invalidSyntax shoe", ""},
		{all, `{"op":"add","path":"` + ent + `","value":"x"}`, "400 invalidValue must be an object", ""},
		{rfc, `{"op":"add","path":"` + ent + `[department eq \"D\"]","value":{}}`, "400 invalidPath", ""},
	})
	check(t, schema.User, full, []kase{
		{all, `{"op":"remove","path":"` + ent + `:department"}`, bare, ""},
		{all, `{"op":"remove","path":"` + ent + `"}`, bare, ""},
		{all, `{"op":"replace","path":"` + ent + `","value":null}`, bare, ""},
		{all, `{"op":"add","path":"` + ent + `","value":null}`, "=", ""},
		{rfc, `{"op":"replace","path":"` + ent + `","value":{"costCenter":"9"}}`, `{"userName":"ana","` + ent + `":{"costCenter":"9","department":"D"}}`, ""},
		{inter, `{"op":"replace","path":"` + ent + `","value":{"costCenter":"9"}}`, `{"userName":"ana","` + ent + `":{"costCenter":"9"}}`, ""},
	})
}

func TestMultiValued(t *testing.T) {
	const third = `"type":"home"},{"value":"b@x"}]`
	check(t, schema.User, base, []kase{
		{all, `{"op":"add","path":"emails","value":[{"value":"b@x"}]}`, with(`"type":"home"}]`, third), ""},
		{all, `{"op":"add","path":"emails","value":{"value":"b@x"}}`, with(`"type":"home"}]`, third), ""},
		{compat, `{"op":"add","path":"emails","value":"b@x"}`, with(`"type":"home"}]`, third), "bareValue singleForMany"},
		{exact, `{"op":"add","path":"emails","value":"b@x"}`, "400 invalidValue emails", ""},
		{all, `{"op":"add","path":"emails","value":[{"value":"A@HOME","type":"HOME"}]}`, "=", ""},
		{all, `{"op":"add","path":"emails","value":[{"value":"a@home","type":"home"},{"value":"a@work","type":"work"}]}`, "=", ""},
		{all, `{"op":"add","path":"emails","value":[{"value":"a@home","type":"home","display":"x"}]}`, with(`"a@home"`, `"a@home","display":"x"`), ""},
		{all, `{"op":"add","path":"emails","value":[]}`, "=", ""},
		{all, `{"op":"replace","path":"emails","value":[{"value":"b@x"}]}`, with(emails, `"emails":[{"value":"b@x"}]`), ""},
		{all, `{"op":"replace","path":"emails","value":[{"value":"b@x"},{"value":"B@X"}]}`, with(emails, `"emails":[{"value":"b@x"}]`), "duplicateValue"},
		{all, `{"op":"replace","path":"emails","value":[]}`, with(emails+",", ""), ""},
		{all, `{"op":"replace","path":"emails","value":null}`, with(emails+",", ""), ""},
		{compat, `{"op":"replace","path":"emails","value":""}`, with(emails+",", ""), "singleForMany emptyString emptyElement"},
		{all, `{"op":"remove","path":"emails"}`, with(emails+",", ""), ""},
		{all, `{"op":"remove","path":"roles"}`, "=", ""},
		{all, `{"op":"add","path":"roles","value":[{"value":"r"}]}`, with(`,"`+ent, `,"roles":[{"value":"r"}],"`+ent), ""},
		{all, `{"op":"add","path":"emails","value":[7]}`, "400 invalidValue emails", ""},
		{all, `{"op":"add","path":"emails","value":[{"value":{}}]}`, "400 invalidValue emails.value", ""},

		// Remove what is listed, or all: see SplitMembers.
		{compat, `{"op":"remove","path":"emails","value":[{"value":"A@home"}]}`, with(`,{"value":"a@home","type":"home"}`, ""), "removeListed"},
		{compat, `{"op":"remove","path":"emails","value":[{"value":"a@home","type":"work"}]}`, "=", "removeListed"},
		{compat, `{"op":"remove","path":"emails","value":["a@home","a@work"]}`, with(emails+",", ""), "bareValue removeListed"},
		{compat, `{"op":"remove","path":"emails","value":[]}`, "=", "removeListed"},
		{strict, `{"op":"remove","path":"emails","value":[{"value":"a@home"}]}`, with(emails+",", ""), ""},
		{inter, `{"op":"remove","path":"emails","value":[{"value":"a@home"}]}`, "400 invalidSyntax", ""},

		// A sub-attribute of all values.
		{all, `{"op":"replace","path":"emails.display","value":"x"}`, with(`"a@work",`, `"a@work","display":"x",`, `"a@home",`, `"a@home","display":"x",`), ""},
		{all, `{"op":"remove","path":"emails.type"}`, with(`,"type":"work"`, "", `,"type":"home"`, ""), ""},
		{all, `{"op":"add","path":"phoneNumbers.value","value":"5"}`, with(`,"`+ent, `,"phoneNumbers":[{"value":"5"}],"`+ent), ""},
		{all, `{"op":"replace","path":"emails.primary","value":true}`, "400 invalidValue one primary", ""},
	})
}

func TestFilteredElements(t *testing.T) {
	const work, home = `{"value":"a@work","type":"work","primary":true}`, `{"value":"a@home","type":"home"}`
	check(t, schema.User, base, []kase{
		{rfc, `{"op":"add","path":"emails[type eq \"home\"]","value":{"display":"x"}}`, with(`"a@home"`, `"a@home","display":"x"`), ""},
		{rfc, `{"op":"add","path":"emails[type eq \"other\"]","value":{"value":"o@x"}}`, with(home, home+`,{"value":"o@x","type":"other"}`), ""},
		{rfc, `{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"b@work"}}`, with(work, `{"value":"b@work","type":"work"}`), ""},
		{rfc, `{"op":"replace","path":"emails[type eq \"work\"]","value":{"type":"other","value":"b@work"}}`, with(work, `{"value":"b@work","type":"other"}`), ""},
		{rfc, `{"op":"replace","path":"emails[value co \"@\"]","value":{"value":"b@x"}}`, with(work+","+home, `{"value":"b@x"}`), "duplicateValue"},
		{compat, `{"op":"replace","path":"emails[type eq \"other\"]","value":{"value":"o@x"}}`, with(home, home+`,{"value":"o@x","type":"other"}`), "upserted"},
		{strict, `{"op":"replace","path":"emails[type eq \"other\"]","value":{"value":"o@x"}}`, "400 noTarget", ""},
		{inter, `{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"b@work"}}`, "400 invalidPath must end in a sub-attribute", ""},
		{inter, `{"op":"add","path":"emails[type eq \"work\"]","value":{"value":"b@work"}}`, "400 invalidPath must end in a sub-attribute", ""},
		{rfc, `{"op":"replace","path":"emails[type eq \"home\"]","value":null}`, with(","+home, ""), ""},
		{rfc, `{"op":"replace","path":"emails[type eq \"home\"]","value":[{"value":"a"},{"value":"b"}]}`, "400 invalidValue", ""},
		{all, `{"op":"remove","path":"emails[type eq \"home\"]"}`, with(","+home, ""), ""},
		{all, `{"op":"remove","path":"emails[type eq \"other\"]"}`, "=", ""},
		{all, `{"op":"remove","path":"emails[type eq \"work\" and value ew \"work\"]"}`, with(work+",", ""), ""},
		{all, `{"op":"remove","path":"emails[type eq \"work\" or type eq \"home\"]"}`, with(emails+",", ""), ""},
		{all, `{"op":"remove","path":"emails[not (primary eq true)]"}`, with(","+home, ""), ""},
		{all, `{"op":"remove","path":"emails[shoe eq 9]"}`, "400 invalidFilter shoe", ""},
		{all, `{"op":"remove","path":"emails[primary gt true]"}`, "400 invalidFilter", ""},
		{all, `{"op":"remove","path":"emails[type eq]"}`, "400 invalidFilter", ""},
	})
}

func TestFilteredSubAttributes(t *testing.T) {
	const home = `{"value":"a@home","type":"home"}`
	mobile := with(`,"`+ent, `,"phoneNumbers":[{"value":"55501234567","type":"mobile"}],"`+ent)
	check(t, schema.User, base, []kase{
		{all, `{"op":"replace","path":"emails[type eq \"work\"].value","value":"b@work"}`, with("a@work", "b@work"), ""},
		{all, `{"op":"add","path":"emails[type eq \"WORK\"].VALUE","value":"b@work"}`, with("a@work", "b@work"), ""},
		{all, `{"op":"replace","path":"emails[type eq \"work\"].value","value":"a@work"}`, "=", ""},
		{all, `{"op":"add","path":"phoneNumbers[type eq \"mobile\"].value","value":"55501234567"}`, mobile, ""},
		{compat, `{"op":"Replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"55501234567"}`, mobile, "operationCase upserted"},
		{exact, `{"op":"replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"5"}`, "400 noTarget phoneNumbers", ""},
		{all, `{"op":"replace","path":"emails[value co \"nothing\"].value","value":"5"}`, "400 noTarget", ""},
		{all, `{"op":"add","path":"emails[type eq \"x\" or type eq \"y\"].value","value":"5"}`, "400 noTarget", ""},
		{all, `{"op":"add","path":"emails[type ne \"work\" and type ne \"home\"].value","value":"5"}`, "400 noTarget", ""},
		{all, `{"op":"remove","path":"emails[type eq \"work\"].primary"}`, with(`,"primary":true`, ""), ""},
		{all, `{"op":"remove","path":"emails[type eq \"other\"].value"}`, "=", ""},
		// Without its address the element says nothing; the RFC keeps it.
		{compat, `{"op":"replace","path":"emails[type eq \"home\"].value","value":""}`, with(","+home, ""), "emptyString emptyElement"},
		{compat, `{"op":"remove","path":"emails[type eq \"home\"].value"}`, with(","+home, ""), "emptyElement"},
		{strict, `{"op":"remove","path":"emails[type eq \"home\"].value"}`, with(home, `{"type":"home"}`), ""},
		{compat, `{"op":"remove","path":"emails[type eq \"home\"].value"},{"op":"add","path":"emails[type eq \"home\"].value","value":"n@home"}`, with("a@home", "n@home"), ""},
		{compat, `{"op":"add","path":"roles[primary eq \"True\"].value","value":"r"}`, with(`,"`+ent, `,"roles":[{"value":"r","primary":true}],"`+ent), "stringBoolean"},
		{compat, `{"op":"add","path":"emails[type eq \"work\"].shoe","value":"r"}`, "=", "unknownAttribute"},
		{strict, `{"op":"add","path":"emails[type eq \"work\"].shoe","value":"r"}`, `400 invalidPath "shoe"`, ""},
		{inter, `{"op":"add","path":"emails[type eq \"work\"].shoe","value":"r"}`, `400 invalidSyntax "shoe"`, ""},
	})
	// The wrong type, and addresses, which have no value.
	check(t, schema.User, `{"userName":"a","addresses":[{"streetAddress":"1","locality":"B","type":"work"}]}`, []kase{
		{all, `{"op":"replace","path":"addresses[type eq \"work\"].streetAddress","value":"1010 Broadway Ave"}`, `{"userName":"a","addresses":[{"streetAddress":"1010 Broadway Ave","locality":"B","type":"work"}]}`, ""},
		{rfc, `{"op":"replace","path":"addresses[type eq \"work\"]","value":{"locality":"C"}}`, `{"userName":"a","addresses":[{"locality":"C","type":"work"}]}`, ""},
		{rfc, `{"op":"add","path":"addresses[type eq \"work\"]","value":{"locality":"C"}}`, `{"userName":"a","addresses":[{"streetAddress":"1","locality":"C","type":"work"}]}`, ""},
		{all, `{"op":"replace","path":"addresses[type eq \"work\"].locality","value":["x","y"]}`, "400 invalidValue addresses.locality", ""},
	})
}

func TestPrimaryIsHandedOver(t *testing.T) {
	moved := with(`"work","primary":true`, `"work","primary":false`, `"type":"home"}`, `"type":"home","primary":true}`)
	added := with(`"work","primary":true`, `"work","primary":false`, `"type":"home"}]`, `"type":"home"},{"value":"c@x","primary":true}]`)
	check(t, schema.User, base, []kase{
		{all, `{"op":"add","path":"emails","value":[{"value":"c@x","primary":true}]}`, added, ""},
		{rfc, `{"op":"add","value":{"emails":[{"value":"c@x","primary":true}]}}`, added, ""},
		{compat, `{"op":"add","path":"emails","value":[{"value":"c@x","primary":"True"}]}`, added, "stringBoolean"},
		{all, `{"op":"add","path":"emails","value":[{"value":"a@home","type":"home","primary":true}]}`, moved, ""},
		{all, `{"op":"replace","path":"emails[type eq \"home\"].primary","value":true}`, moved, ""},
		{rfc, `{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"a@home","primary":true}}`, moved, ""},
		{rfc, `{"op":"add","path":"emails[type eq \"home\"]","value":{"primary":true}}`, moved, ""},
		{all, `{"op":"add","path":"emails[type eq \"work\"].primary","value":true}`, "=", ""},
		{all, `{"op":"replace","path":"emails[primary eq true].value","value":"b@work"}`, with("a@work", "b@work"), ""},
		{all, `{"op":"add","path":"emails","value":[{"value":"c@x","primary":true},{"value":"d@x","primary":true}]}`, "400 invalidValue primary", ""},
		{all, `{"op":"replace","path":"emails","value":[{"value":"c@x","primary":true},{"value":"d@x","primary":true}]}`, "400 invalidValue primary", ""},
		{all, `{"op":"replace","path":"emails[value co \"@\"].primary","value":true}`, "400 invalidValue primary", ""},
		{all, `{"op":"add","path":"emails","value":[{"value":"c@x","primary":true}]},{"op":"add","path":"emails","value":[{"value":"d@x","primary":true}]}`,
			with(`"work","primary":true`, `"work","primary":false`, `"type":"home"}]`, `"type":"home"},{"value":"c@x","primary":false},{"value":"d@x","primary":true}]`), ""},
	})
}

// TestPathsThatAreBent: an empty one, one of SCIM 1.x, one without its URN.
func TestPathsThatAreBent(t *testing.T) {
	check(t, schema.User, base, []kase{
		{compat, `{"op":"replace","path":"","value":{"title":"Boss"}}`, with("Engineer", "Boss"), "emptyString"},
		{compat, `{"op":"replace","path":"urn:scim:schemas:core:1.0:title","value":"Boss"}`, with("Engineer", "Boss"), "oldSchema"},
		{compat, `{"op":"replace","path":"urn:scim:schemas:extension:enterprise:1.0:department","value":"E"}`, with(`"D"`, `"E"`), "oldSchema"},
		{compat, `{"op":"replace","path":"urn:scim:schemas:extension:enterprise:1.0","value":{"department":"E"}}`, with(`"D"`, `"E"`), "oldSchema"},
		{compat, `{"op":"replace","path":"urn:scim:schemas:core:1.0:shoeSize","value":9}`, "=", "unknownSchema"},
		{compat, `{"op":"replace","path":"department","value":"E"}`, with(`"D"`, `"E"`), "unqualifiedName"},
		{compat, `{"op":"Replace","path":"Manager","value":"m2"}`, with(manager, `"manager":{"value":"m2"}`), "bareValue unqualifiedName operationCase"},
		{compat, `{"op":"remove","path":"manager.$ref"}`, with(manager, `"manager":{"value":"m1"}`), "unqualifiedName"},
		{compat, `{"op":"remove","path":"department"}`, with(`"department":"D",`, ""), "unqualifiedName"},
		{compat, `{"op":"replace","path":"department","value":{"x":1}}`, "400 invalidValue", ""},
		{compat, `{"op":"replace","path":"manager.displayName","value":"Bo"}`, "400 mutability manager", ""},
		{compat, `{"op":"replace","path":"products","value":"p"}`, "=", "unknownAttribute"},
		{strict, `{"op":"replace","path":"department","value":"E"}`, `400 invalidPath "department"`, ""},
		{inter, `{"op":"replace","path":"department","value":"E"}`, `400 invalidSyntax "department"`, ""},
		{strict, `{"op":"replace","path":"urn:scim:schemas:core:1.0:title","value":"Boss"}`, "400 invalidPath", ""},
		{inter, `{"op":"replace","path":"urn:scim:schemas:core:1.0:title","value":"Boss"}`, "400 invalidSyntax", ""},
	})
}

func TestWhatTheServerOwns(t *testing.T) {
	check(t, schema.User, base, []kase{
		{all, `{"op":"replace","path":"id","value":"x"}`, "400 mutability id", ""},
		{all, `{"op":"remove","path":"id"}`, "400 mutability id", ""},
		{all, `{"op":"replace","path":"meta.version","value":"x"}`, "400 mutability meta", ""},
		{all, `{"op":"remove","path":"meta"}`, "400 mutability meta", ""},
		{all, `{"op":"add","path":"groups","value":[{"value":"g"}]}`, "400 mutability groups", ""},
		{all, `{"op":"remove","path":"groups[value eq \"g\"]"}`, "400 mutability groups", ""},
		{all, `{"op":"remove","path":"groups.value"}`, "400 mutability groups", ""},
		{all, `{"op":"add","path":"schemas","value":["urn:x"]}`, "=", ""},
		{compat, `{"op":"replace","path":"shoeSize","value":9}`, "=", "unknownAttribute"},
		{compat, `{"op":"replace","path":"urn:x:2.0:User:shoeSize","value":9}`, "=", "unknownSchema"},
		{compat, `{"op":"replace","path":"name.shoe","value":9}`, "=", "unknownAttribute"},
		{strict, `{"op":"replace","path":"shoeSize","value":9}`, `400 invalidPath "shoeSize"`, ""},
		{inter, `{"op":"replace","path":"shoeSize","value":9}`, `400 invalidSyntax "shoeSize"`, ""},
		{strict, `{"op":"replace","path":"name.shoe","value":9}`, `400 invalidPath "name.shoe"`, ""},
		{inter, `{"op":"replace","path":"name.shoe","value":9}`, `400 invalidSyntax "name.shoe"`, ""},
		{all, `{"op":"replace","path":"emails[","value":9}`, "400 invalidFilter", ""},
		{all, `{"op":"replace","path":"/title","value":"x"}`, "400 invalidPath", ""},
		{all, `{"op":"replace","path":"title x","value":"x"}`, "400 invalidPath", ""},
	})
}

// TestID: the id of the document may be repeated, as Okta does in every rename.
func TestID(t *testing.T) {
	const doc = `{"id":"g1","displayName":"Old"}`
	check(t, schema.Group, doc, []kase{
		{rfc, `{"op":"replace","value":{"id":"g1","displayName":"Finance EU"}}`, `{"id":"g1","displayName":"Finance EU"}`, ""},
		{rfc, `{"op":"replace","value":{"id":"g1","displayName":"Old"}}`, "=", ""},
		{rfc, `{"op":"replace","value":{"id":"g2","displayName":"Finance EU"}}`, "400 mutability id", ""},
		{all, `{"op":"replace","path":"id","value":"g1"}`, "=", ""},
		{all, `{"op":"replace","path":"id","value":"g2"}`, "400 mutability id", ""},
		{all, `{"op":"remove","path":"displayName"}`, "400 mutability displayName", ""},
	})
}

func TestImmutable(t *testing.T) {
	rt := &schema.ResourceType{Name: "Thing", Schema: &schema.Schema{ID: "urn:test:Thing", Attributes: []schema.Attribute{
		{Name: "s", Type: schema.String, Mutability: schema.Immutable},
		{Name: "l", Type: schema.String, MultiValued: true, Mutability: schema.Immutable},
		{Name: "c", Type: schema.Complex, Sub: []schema.Attribute{{Name: "i", Type: schema.String, Mutability: schema.Immutable}, {Name: "w", Type: schema.String}}},
		{Name: "tags", Type: schema.String, MultiValued: true, Required: true},
	}}}
	const doc = `{"s":"1","l":["1"],"c":{"i":"1","w":"1"},"tags":["a","b"]}`
	check(t, rt, doc, []kase{
		{all, `{"op":"replace","path":"s","value":"1"}`, "=", ""},
		{all, `{"op":"replace","path":"s","value":"2"}`, "400 mutability s", ""},
		{all, `{"op":"remove","path":"s"}`, "400 mutability s", ""},
		{all, `{"op":"add","path":"l","value":["2"]}`, "400 mutability l", ""},
		{all, `{"op":"replace","path":"c.i","value":"2"}`, "400 mutability c.i", ""},
		{rfc, `{"op":"replace","path":"c","value":{"i":"1","w":"2"}}`, `{"s":"1","l":["1"],"c":{"i":"1","w":"2"},"tags":["a","b"]}`, ""},
		{all, `{"op":"add","path":"tags","value":["B","c"]}`, `{"s":"1","l":["1"],"c":{"i":"1","w":"1"},"tags":["a","b","c"]}`, ""},
		{all, `{"op":"remove","path":"tags"}`, "400 mutability tags is required", ""},
		{compat, `{"op":"remove","path":"tags","value":["A"]}`, `{"s":"1","l":["1"],"c":{"i":"1","w":"1"},"tags":["b"]}`, "removeListed"},
		{compat, `{"op":"remove","path":"tags","value":["a","b"]}`, "400 mutability tags is required", ""},
	})
	check(t, rt, `{"tags":["a"]}`, []kase{
		{all, `{"op":"add","path":"s","value":"1"},{"op":"add","path":"l","value":["1"]},{"op":"add","path":"c.i","value":"1"}`, `{"s":"1","l":["1"],"c":{"i":"1"},"tags":["a"]}`, ""},
	})
}

func TestEnvelope(t *testing.T) {
	for _, c := range []struct {
		modes      []schema.Mode
		body, want string
	}{
		{all, `[]`, fault.InvalidSyntax},
		{all, `{"Operations":[{"op":"remove","path":"title"}]}`, fault.InvalidSyntax},
		{all, `{"schemas":["urn:x"],"Operations":[{"op":"remove","path":"title"}]}`, fault.InvalidSyntax},
		{all, `{"schemas":["` + patch.URN + `"]}`, fault.InvalidSyntax},
		{all, `{"schemas":["` + patch.URN + `"],"Operations":"x"}`, fault.InvalidSyntax},
		{compat, `{"schemas":["` + patch.URN + `"],"Operations":[]}`, ""},
		{exact, `{"schemas":["` + patch.URN + `"],"Operations":[]}`, fault.InvalidSyntax},
		{all, `{"SCHEMAS":["` + strings.ToUpper(patch.URN) + `"],"operations":[{"OP":"remove","PATH":"title"}]}`, ""},
		{compat, `{"schemas":"` + patch.URN + `","Operations":{"op":"Remove","path":"title"}}`, ""},
		{exact, `{"schemas":["` + patch.URN + `"],"Operations":{"op":"remove","path":"title"}}`, fault.InvalidSyntax},
		{compat, request(`{"op":"REMOVE","path":"title"}`), ""},
		{exact, request(`{"op":"Remove","path":"title"}`), fault.InvalidSyntax},
		{all, request(`{"op":"move","path":"title"}`), fault.InvalidSyntax},
		{all, request(`{"op":"","path":"title"}`), fault.InvalidSyntax},
		{all, request(`{"path":"title","value":"x"}`), fault.InvalidSyntax},
		{all, request(`{"op":["add"],"path":"title","value":"x"}`), fault.InvalidSyntax},
		{all, request(`{"op":7,"path":"title","value":"x"}`), fault.InvalidSyntax},
		{all, request(`"x"`), fault.InvalidSyntax},
		{all, request(`{"op":"add","path":7,"value":"x"}`), fault.InvalidPath},
		{all, request(`{"op":"add","path":["title"],"value":"x"}`), fault.InvalidPath},
		{all, request(`{"op":"add","path":"title"}`), fault.InvalidValue},
	} {
		for _, m := range c.modes {
			_, err := patch.Parse(parse(t, c.body), m)
			if c.want == "" && err != nil || c.want != "" && !fault.Coded(err, c.want) {
				t.Errorf("%s: Parse(%s) = %v, want %q", m, c.body, err, c.want)
			}
		}
	}
}

// TestAtomic: an operation that fails undoes those before it, and says which it
// was.
func TestAtomic(t *testing.T) {
	got, _ := apply(t, schema.User, base, `{"op":"replace","path":"title","value":"Boss"},{"op":"remove","path":"userName"}`, schema.Compat)
	if !strings.HasPrefix(got, "400 mutability Operation 2: ") {
		t.Errorf("the second operation's error is %q", got)
	}
	got, _ = apply(t, schema.User, base, `{"op":"replace","path":"title","value":"Boss"},{"op":"add","path":"title"}`, schema.Compat)
	if !strings.HasPrefix(got, "400 invalidValue Operation 2: ") {
		t.Errorf("the second operation's error is %q", got)
	}
}

func TestSequential(t *testing.T) {
	check(t, schema.User, base, []kase{
		{all, `{"op":"remove","path":"emails"},{"op":"add","path":"emails","value":[{"value":"n@x","type":"work"}]},{"op":"replace","path":"emails[type eq \"work\"].value","value":"m@x"}`,
			with(emails, `"emails":[{"value":"m@x","type":"work"}]`), ""},
		{all, `{"op":"replace","path":"title","value":"x"},{"op":"replace","path":"title","value":"Engineer"}`, "=", ""},
	})
}

func TestLimits(t *testing.T) {
	var ops []string
	for i := range schema.MaxEmails {
		ops = append(ops, fmt.Sprintf(`{"op":"add","path":"emails","value":[{"value":"n%d@x"}]}`, i))
	}
	check(t, schema.User, base, []kase{
		{all, strings.Join(ops, ","), "400 invalidValue emails takes at most 40 values", ""},
		{all, strings.Join(ops, ",") + `,{"op":"remove","path":"emails"}`, "400 invalidValue Operation 39: emails takes", ""},
		{all, strings.Repeat(`{"op":"replace","path":"title","value":"x"},`, patch.MaxOperations) + `{"op":"remove","path":"emails"}`, "400 tooLarge 1000 operations", ""},
		{all, `{"op":"replace","path":"title","value":"` + strings.Repeat("x", 10_000) + `"}`, "400 invalidValue title is longer than 4096 bytes", ""},
		{all, `{"op":"replace","path":"userName","value":"a\r\nb"}`, "400 invalidValue control characters", ""},
	})
	ops = ops[:0]
	for i := range 20 {
		ops = append(ops, fmt.Sprintf(`{"op":"add","path":"roles","value":[{"value":"%d%s"}]}`, i, strings.Repeat("x", 4000)))
	}
	check(t, schema.User, base, []kase{{all, strings.Join(ops, ","), "400 tooLarge 64 KB", ""}})

	// What the filters of all operations compare is one sum.
	filter := strings.Repeat(`value co \"x\" or `, 255) + `value co \"x\"`
	doc := `{"userName":"u","roles":[{"value":"` + strings.Repeat("é", 2000) + `"}]}`
	one := `{"op":"remove","path":"roles[` + filter + `]"}`
	check(t, schema.User, doc, []kase{
		{compat, one, "=", ""},
		{compat, strings.Repeat(one+",", 9) + one, "400 tooMany Operation 5: There is too much to compare", ""},
	})
}

// roles are n roles, or as many with another case, in the reverse order.
func roles(form string, n int, other bool) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(form, i)
	}
	if other {
		slices.Reverse(out)
		return strings.ReplaceAll(strings.Join(out, ","), "é", "É")
	}
	return strings.Join(out, ",")
}

// Lists that are compared with lists, operation for operation: each text is
// folded once, and what is compared is bounded.
func TestManyValuesAreComparedCheaply(t *testing.T) {
	const text, object = `"é%d"`, `{"value":"é%d"}`
	long := `{"value":"é%d` + strings.Repeat("é", 300) + `"}`
	times := func(n int, op, values string) string {
		return strings.Repeat(fmt.Sprintf(`,{"op":%q,"path":"roles","value":[%s]}`, op, values), n)
	}
	for _, c := range []struct {
		what string
		m    schema.Mode
		ops  string
		want string
	}{
		{"added", schema.Compat, roles(text, 100, false) + `]}` + times(999, "add", roles(text, 100, true)), ""},
		{"added as objects", schema.Strict, roles(object, 100, false) + `]}` + times(600, "add", roles(object, 100, true)), ""},
		{"added to long ones", schema.Strict, roles(long, 90, false) + `]}` + times(999, "add", `{"value":"é0"}`), ""},
		{"said for themselves", schema.Compat, roles(text, 100, false) + `]}` + times(999, "replace", roles(text, 100, true)), ""},
		{"not there", schema.Compat, roles(text, 100, false) + `]}` + times(100, "remove", roles(`"ü%d"`, 100, true)), ""},
		{"not there, again and again", schema.Compat, roles(text, 100, false) + `]}` + times(999, "remove", roles(`"ü%d"`, 100, true)), fault.TooMany},
	} {
		r, err := patch.Parse(parse(t, request(`{"op":"add","path":"roles","value":[`+c.ops)), c.m)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		out, _, err := r.Apply(schema.User, parse(t, `{"userName":"u"}`), c.m)
		got := ""
		if err != nil {
			got = fault.Of(err).Code
		}
		if got != c.want || err == nil && len(out.Get("roles").Elements()) < 90 {
			t.Errorf("values %s: %d roles and %v, want %q", c.what, len(out.Get("roles").Elements()), err, c.want)
		}
		// Compared one by one they take half a minute.
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("values %s take %v", c.what, took)
		} else {
			t.Logf("values %s take %v", c.what, took)
		}
	}
}
