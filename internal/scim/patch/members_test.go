package patch_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// split runs Parse and SplitMembers and renders the steps: "add(a,b) clear()",
// and those that choose with whom they choose from: "choose[a](b) choose[*]()".
func split(t *testing.T, ops string, m schema.Mode) (patch.Request, string, error) {
	t.Helper()
	r, err := patch.Parse(parse(t, request(ops)), m)
	if err != nil {
		return r, "", err
	}
	rest, steps, err := r.SplitMembers(m)
	return rest, render(steps), err
}

func render(steps []patch.MemberOp) string {
	var out []string
	for _, s := range steps {
		among := ""
		if s.Choice != nil {
			if among = "[*]"; s.Choice.Among != nil {
				among = "[" + strings.Join(s.Choice.Among, ",") + "]"
			}
		}
		out = append(out, fmt.Sprintf("%s%s(%s)", s.Kind, among, strings.Join(s.IDs, ",")))
	}
	return strings.Join(out, " ")
}

func TestSplitMembers(t *testing.T) {
	for _, c := range []struct {
		modes []schema.Mode
		ops   string
		want  string // the steps, or "400 code"
		rest  bool   // something is left for the document
	}{
		{all, `{"op":"add","path":"members","value":[{"value":"a","display":"A","$ref":"../Users/a"},{"value":"b"}]}`, "add(a,b)", false},
		{all, `{"op":"add","path":"members","value":{"value":"a"}}`, "add(a)", false},
		{all, `{"op":"replace","path":"members","value":{"value":"a"}}`, "replace(a)", false},
		{rfc, `{"op":"add","value":{"members":{"value":"a"}}}`, "add(a)", false},
		{all, `{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:Group:MEMBERS","value":[{"value":"a"}]}`, "add(a)", false},
		{compat, `{"op":"Add","path":"members","value":[{"$ref":null,"value":"a"},{"$ref":null,"value":"a"}]}`, "add(a)", false},
		{compat, `{"op":"add","path":"members","value":["a","b"]}`, "add(a,b)", false},
		{compat, `{"op":"add","path":"members","value":"a"}`, "add(a)", false},
		{exact, `{"op":"add","path":"members","value":["a"]}`, "400 invalidValue", false},
		{all, `{"op":"add","path":"members","value":[]}`, "", false},
		{all, `{"op":"add","path":"members","value":null}`, "", false},
		{rfc, `{"op":"add","value":{"members":[{"value":"a"}]}}`, "add(a)", false},
		{rfc, `{"op":"replace","value":{"displayName":"N","members":[{"value":"a"}],"externalId":"e"}}`, "replace(a)", true},
		{rfc, `{"op":"replace","value":{"Members":[]}}`, "clear()", false},
		{rfc, `{"op":"add","value":{"members":[]}}`, "", false},
		{rfc, `{"op":"replace","value":{"displayName":"N"}}`, "", true},
		{all, `{"op":"replace","path":"members","value":[{"value":"a"},{"value":"b"}]}`, "replace(a,b)", false},
		{all, `{"op":"replace","path":"members","value":[]}`, "clear()", false},
		{all, `{"op":"replace","path":"members","value":null}`, "clear()", false},
		{all, `{"op":"remove","path":"members"}`, "clear()", false},
		{all, `{"op":"remove","path":"members","value":null}`, "clear()", false},

		// The classic data loss.
		{compat, `{"op":"Remove","path":"members","value":[{"$ref":null,"value":"a"}]}`, "remove(a)", false},
		{compat, `{"op":"remove","path":"members","value":{"value":"a"}}`, "remove(a)", false},
		{compat, `{"op":"remove","path":"members","value":"a"}`, "remove(a)", false},
		{compat, `{"op":"remove","path":"members","value":[]}`, "", false},
		{compat, `{"op":"remove","path":"members","value":[{"display":"A"}]}`, "400 invalidValue", false},
		{strict, `{"op":"remove","path":"members","value":[{"value":"a"}]}`, "clear()", false},
		{inter, `{"op":"remove","path":"members","value":[{"value":"a"}]}`, "400 invalidSyntax", false},

		// Filters.
		{all, `{"op":"remove","path":"members[value eq \"a\"]"}`, "remove(a)", false},
		{all, `{"op":"remove","path":"members[value eq\"a\"]"}`, "remove(a)", false},
		{all, `{"op":"remove","path":"members[VALUE EQ \"a\"]"}`, "remove(a)", false},
		{all, `{"op":"remove","path":"members[value eq \"a\" or value eq \"b\" or (value eq \"a\")]"}`, "remove(a,b)", false},
		{all, `{"op":"remove","path":"members[(value eq \"a\" or value eq \"b\") and value eq \"b\"]"}`, "remove(b)", false},
		{all, `{"op":"remove","path":"members[value eq \"a\" and value eq \"b\"]"}`, "", false},
		{all, `{"op":"remove","path":"members[value eq \"\"]"}`, "", false},
		{all, `{"op":"remove","path":"members[value eq \"a\" and type eq \"User\"]"}`, "choose[a]()", false},
		{all, `{"op":"remove","path":"members[(value eq \"a\" or value eq \"b\") and not (type eq \"Group\")]"}`, "choose[a,b]()", false},
		{all, `{"op":"remove","path":"members[value eq \"a\" and value eq \"b\" and type eq \"User\"]"}`, "choose[]()", false},
		{all, `{"op":"remove","path":"members[value eq \"a\" or type eq \"Group\"]"}`, "choose[*]()", false},
		{all, `{"op":"remove","path":"members[display eq \"A\"]"}`, "400 invalidFilter", false},
		{all, `{"op":"remove","path":"members[DISPLAY ne \"A\"]"}`, "400 invalidFilter", false},
		{all, `{"op":"remove","path":"members[value eq \"a\" and (type eq \"User\" or not (display pr))]"}`, "400 invalidFilter", false},
		{rfc, `{"op":"replace","path":"members[display eq \"A\"]","value":{"value":"a"}}`, "400 invalidFilter", false},
		{compat, `{"op":"remove","path":"members[type eq \"User\"]","value":[{"value":"a"},{"value":"b"}]}`, "choose[a,b]()", false},
		{compat, `{"op":"remove","path":"members[value eq \"a\" or value eq \"b\"]","value":[{"value":"b"},{"value":"c"}]}`, "remove(b)", false},
		{compat, `{"op":"remove","path":"members[value eq \"a\"]","value":[{"value":"c"}]}`, "", false},
		{compat, `{"op":"remove","path":"members[type eq \"User\"]","value":[{"type":"User"}]}`, "400 invalidValue", false},
		{all, `{"op":"remove","path":"members[value ne \"a\"]"}`, "choose[*]()", false},
		{all, `{"op":"remove","path":"members[not (value eq \"a\")]"}`, "choose[*]()", false},
		{all, `{"op":"remove","path":"members[value pr]"}`, "choose[*]()", false},
		{all, `{"op":"remove","path":"members[$ref co \"/Groups/\"]"}`, "choose[*]()", false},
		{all, `{"op":"remove","path":"members[shoe eq \"a\"]"}`, "400 invalidFilter", false},
		{all, `{"op":"remove","path":"members[value eq true]"}`, "400 invalidFilter", false},
		{compat, `{"op":"remove","path":"members[value eq 7]"}`, "remove(7)", false},
		{exact, `{"op":"remove","path":"members[value eq 7]"}`, "400 invalidFilter", false},
		{rfc, `{"op":"add","path":"members[value eq \"a\"]","value":{"value":"a"}}`, "choose[a](a)", false},
		{rfc, `{"op":"add","path":"members[value eq \"a\"]","value":{"type":"User"}}`, "choose[a](a)", false},
		{rfc, `{"op":"replace","path":"members[value eq \"a\"]","value":{"value":"b"}}`, "choose[a](b)", false},
		{rfc, `{"op":"replace","path":"members[type eq \"Group\"]","value":{"value":"b"}}`, "choose[*](b)", false},
		{rfc, `{"op":"replace","path":"members[value eq \"a\"]","value":null}`, "choose[a]()", false},
		{rfc, `{"op":"replace","path":"members[type eq \"Group\"]","value":{"type":"User"}}`, "400 invalidValue", false},
		{rfc, `{"op":"replace","path":"members[value eq \"a\"]","value":[{"value":"b"},{"value":"c"}]}`, "400 invalidValue", false},
		{compat, `{"op":"replace","path":"members[value eq \"a\"]","value":[{"value":"b"}]}`, "choose[a](b)", false},
		{strict, `{"op":"replace","path":"members[value eq \"a\"]","value":[{"value":"b"}]}`, "400 invalidValue", false},
		{compat, `{"op":"replace","path":"members[value eq \"a\"]","value":"b"}`, "choose[a](b)", false},
		{strict, `{"op":"replace","path":"members[value eq \"a\"]","value":"b"}`, "400 invalidValue", false},
		{compat, `{"op":"replace","path":"members[value eq \"a\"]","value":""}`, "choose[a]()", false},
		{inter, `{"op":"replace","path":"members[value eq \"a\"]","value":{"value":"b"}}`, "400 invalidPath", false},
		{compat, `{"op":"replace","value":{"members[value eq \"a\"]":{"value":"b"},"displayName":"N"}}`, "choose[a](b)", true},
		{compat, `{"op":"add","value":{"` + schema.GroupURN + `":{"members":[{"value":"a"}]}}}`, "add(a)", false},
		{compat, `{"op":"add","value":{"URN:scim:schemas:core:1.0":{"members[value eq \"a\"]":{"value":"a"}}}}`, "choose[a](a)", false},
		{compat, `{"op":"replace","value":{"` + schema.GroupURN + `":{"` + schema.GroupURN + `:members":[{"value":"a"}],"displayName":"N"},"externalId":"e"}}`, "replace(a)", true},
		{compat, `{"op":"add","value":{"` + schema.GroupURN + `":{"` + schema.GroupURN + `":{"members":[{"value":"a"}]}}}}`, "", true},
		{compat, `{"op":"add","value":{"` + schema.GroupURN + `":{}}}`, "", true},
		{compat, `{"op":"add","path":"` + schema.GroupURN + `","value":{"members":[{"value":"a"}]}}`, "add(a)", false},
		{compat, `{"op":"replace","path":"` + schema.GroupURN + `","value":{"members":[{"value":"a"}],"displayName":"N"}}`, "replace(a)", true},
		{compat, `{"op":"remove","path":"` + schema.GroupURN + `","value":{"members":[{"value":"a"}]}}`, "", true},
		{strict, `{"op":"add","value":{"` + schema.GroupURN + `":{"members":[{"value":"a"}]}}}`, "", true},
		{rfc, `{"op":"replace","path":"members[value eq \"a\"].display","value":"A"}`, "400 mutability", false},
		{all, `{"op":"remove","path":"members[value eq \"a\"].value"}`, "400 invalidPath", false},
		{all, `{"op":"remove","path":"members.value"}`, "400 invalidPath", false},
		{all, `{"op":"remove","path":"members.display"}`, "400 mutability", false},

		// Members without an id shrink no list.
		{all, `{"op":"replace","path":"members","value":[{"value":null}]}`, "400 invalidValue", false},
		{all, `{"op":"replace","path":"members","value":[{"value":""}]}`, "400 invalidValue", false},
		{all, `{"op":"replace","path":"members","value":[null]}`, "400 invalidValue", false},
		{all, `{"op":"replace","path":"members","value":[{"value":7}]}`, "400 invalidValue", false},
		{all, `{"op":"replace","path":"members","value":7}`, "400 invalidValue", false},
		{all, `{"op":"add","path":"members","value":[{"value":"` + strings.Repeat("x", 5000) + `"}]}`, "400 invalidValue", false},

		// Order.
		{all, `{"op":"remove","path":"members"},{"op":"add","path":"members","value":[{"value":"a"}]},{"op":"replace","path":"displayName","value":"N"},{"op":"remove","path":"members[value eq \"a\"]"}`,
			"clear() add(a) remove(a)", true},
		{compat, `{"op":"add","path":"shoe","value":1}`, "", true},
	} {
		for _, m := range c.modes {
			rest, got, err := split(t, c.ops, m)
			if err != nil {
				f := fault.Of(err)
				if f.Kind != fault.Invalid || f.Msg == "" {
					t.Errorf("%s: %s fails with %#v", m, c.ops, err)
				}
				got = "400 " + f.Code
			}
			if got != c.want || err == nil && rest.IsEmpty() == c.rest {
				t.Errorf("%s: %s\ngives %q (and leaves nothing: %t), want %q", m, c.ops, got, rest.IsEmpty(), c.want)
			}
		}
	}
}

func TestSplitLeavesTheRest(t *testing.T) {
	rest, steps, err := split(t, `{"op":"replace","value":{"displayName":"New","members":[{"value":"a"}],"id":"g1"}}`, schema.Compat)
	if err != nil || steps != "replace(a)" {
		t.Fatalf("the steps are %q (%v)", steps, err)
	}
	out, _, err := rest.Apply(schema.Group, parse(t, `{"id":"g1","displayName":"Old"}`), schema.Compat)
	if err != nil || string(out.Append(nil)) != `{"id":"g1","displayName":"New"}` {
		t.Errorf("the rest makes %s (%v)", out.Append(nil), err)
	}
	// Without the split, members are a mistake of ours, not of the client's.
	r, err := patch.Parse(parse(t, request(`{"op":"remove","path":"members"}`)), schema.Compat)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = r.Apply(schema.Group, parse(t, `{"displayName":"Old"}`), schema.Compat); !fault.Is(err, fault.Internal) {
		t.Errorf("Apply of an operation on members gives %v, want an internal error", err)
	}
}

// A refusal names the operation as the client counts, whether steps on members
// were taken out or not.
func TestRefusalsNameTheirOperation(t *testing.T) {
	const step, good, bad = `{"op":"add","path":"members","value":[{"value":"a"}]}`, `{"op":"replace","path":"externalId","value":"e"}`, `{"op":"replace","path":"displayName","value":{"x":1}}`
	for ops, want := range map[string]string{
		bad:                                 "",
		step + "," + bad:                    "Operation 2: ",
		step + "," + step + "," + bad:       "Operation 3: ",
		good + "," + step + "," + bad:       "Operation 3: ",
		bad + "," + step + "," + good:       "Operation 1: ",
		step + "," + good + `,{"op":"add"}`: "Operation 3: ",
		step + `,{"op":"add","value":{"members":[7],"displayName":"N"}}`: "Operation 2: ",
	} {
		rest, _, err := split(t, ops, schema.Compat)
		if err == nil {
			_, _, err = rest.Apply(schema.Group, parse(t, `{"displayName":"Old"}`), schema.Compat)
		}
		got, _, told := strings.Cut(fault.Of(err).Msg, ": ")
		if told {
			got += ": "
		} else {
			got = ""
		}
		if err == nil || got != want {
			t.Errorf("%s is refused as of %q (%v), want %q", ops, got, err, want)
		}
	}
}

func TestMemberReports(t *testing.T) {
	r, err := patch.Parse(parse(t, request(`{"op":"Remove","path":"members","value":[{"value":"a"}]}`)), schema.Compat)
	if err != nil {
		t.Fatal(err)
	}
	rest, _, err := r.SplitMembers(schema.Compat)
	if err != nil || rules(rest.Report()) != "operationCase removeListed" {
		t.Errorf("the report is %q (%v)", rules(rest.Report()), err)
	}
	// The core schema's URN is counted once, by whoever has the last of it.
	for ops, want := range map[string]string{
		`{"op":"add","value":{"` + schema.GroupURN + `":{"members":[{"value":"a"}]}}}`:                   "pathName",
		`{"op":"add","value":{"` + schema.GroupURN + `":{"members":[{"value":"a"}],"displayName":"N"}}}`: "",
		`{"op":"add","value":{"urn:scim:schemas:core:1.0":{"members":[{"value":"a"},{"value":"b"}]}}}`:   "oldSchema pathName",
		`{"op":"add","value":{"` + schema.GroupURN + `":{"` + schema.GroupURN + `":{"members":["a"]}}}}`: "",
	} {
		if r, _, err = split(t, ops, schema.Compat); err != nil || rules(r.Report()) != want {
			t.Errorf("%s: the report is %q (%v), want %q", ops, rules(r.Report()), err, want)
		}
	}
	// One is a list of one, as for every attribute.
	if r, _, err = split(t, `{"op":"add","path":"members","value":{"value":"a"}}`, schema.Compat); err != nil || rules(r.Report()) != "" {
		t.Errorf("of a single member the report is %q (%v)", rules(r.Report()), err)
	}
}

func TestReadMembers(t *testing.T) {
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf(`{"value":"u%d"},{"value":"u%d"}`, i, i))
	}
	ids, err := patch.ReadMembers(parse(t, "["+strings.Join(many, ",")+"]"), schema.Compat, new(schema.Report))
	if err != nil || len(ids) != 10_000 || ids[9_999] != "u9999" {
		t.Errorf("of 20,000 members, each twice, %d are read (%v)", len(ids), err)
	}
	for in, want := range map[string]string{`null`: "", `[]`: "", `""`: "", `[{"value":"a"},"b",{"value":"a"}]`: "a,b"} {
		ids, err := patch.ReadMembers(parse(t, in), schema.Compat, new(schema.Report))
		if got := strings.Join(ids, ","); err != nil || got != want {
			t.Errorf("ReadMembers(%s) = %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := patch.ReadMembers(parse(t, `""`), schema.Strict, new(schema.Report)); !fault.Coded(err, fault.InvalidValue) {
		t.Errorf("strict: members \"\" gives %v", err)
	}
}

// Members are held to the schema that /Schemas shows, but for Compat.
func TestMembersFollowTheSchema(t *testing.T) {
	for text, code := range map[string][3]string{ // compat, strict, interop: a code, or "+" and the rules that are counted
		`[{"value":"a","type":"User","$ref":"https://x/Users/a","display":"A"}]`: {"", "", ""},
		`[{"value":"a","type":null}]`:                                            {"", "", ""},
		`[{"value":"a","type":5}]`:                                               {"+readOnlyPassed", fault.InvalidValue, fault.InvalidValue},
		`[{"value":"a","$ref":7}]`:                                               {"+readOnlyPassed", fault.InvalidValue, fault.InvalidValue},
		`[{"value":"a","display":{"x":1}}]`:                                      {"+readOnlyPassed", fault.InvalidValue, fault.InvalidValue},
		`[{"value":"a","foo":1}]`:                                                {"+unknownAttribute", "+unknownAttribute", fault.InvalidSyntax},
		`{"value":"a"}`:                                                          {"+singleForMany", fault.InvalidValue, fault.InvalidValue},
		`[{"value":"a"},{"value":"A"},{"value":"a"}]`:                            {"+duplicateValue", "+duplicateValue", "+duplicateValue"},
		`[` + strings.Repeat(`{"value":"a"},`, 20) + `{"value":"a"}]`:            {"+duplicateValue", "+duplicateValue", "+duplicateValue"},
	} {
		v, err := value.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for m, want := range code {
			var report schema.Report
			_, err := patch.ReadMembers(v, schema.Mode(m), &report)
			counted, taken := strings.CutPrefix(want, "+")
			switch {
			case want == "" || taken:
				if err != nil || rules(report) != counted {
					t.Errorf("ReadMembers(%s, %s) counts %q (%v), want %q", text, schema.Mode(m), rules(report), err, counted)
				}
			case !fault.Coded(err, want):
				t.Errorf("ReadMembers(%s, %s) = %v, want %q", text, schema.Mode(m), err, want)
			}
		}
	}
}
