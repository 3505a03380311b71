package patch_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"

	"pgregory.net/rapid"
)

// sane checks what every outcome of a PATCH must fulfil.
func sane(t interface{ Fatalf(string, ...any) }, doc value.Value, ops string, m schema.Mode, out value.Value, err error) {
	if err != nil {
		if f := fault.Of(err); f.Kind != fault.Invalid || f.Code == "" || f.Msg == "" {
			t.Fatalf("%s: %s on %s fails with %#v", m, ops, doc.Append(nil), err)
		}
		return
	}
	again, _, err := schema.User.Settle(out, m)
	if err != nil || string(again.Append(nil)) != string(out.Append(nil)) {
		t.Fatalf("%s: %s on %s makes\n%s, which settles to\n%s (%v)", m, ops, doc.Append(nil), out.Append(nil), again.Append(nil), err)
	}
	for _, a := range out.Members() {
		if _, ok := schema.User.Resolve(a.Name, m); !ok {
			t.Fatalf("%s: %s makes an attribute %q", m, ops, a.Name)
		}
		n := 0
		for _, e := range a.Value.Elements() {
			if e.Get("primary").Bool() {
				n++
			}
		}
		if n > 1 {
			t.Fatalf("%s: %s on %s makes %d primary values: %s", m, ops, doc.Append(nil), n, out.Append(nil))
		}
	}
	for _, name := range []string{"id", "meta", "schemas", "groups", "password"} {
		if out.Get(name).Kind() != value.Absent {
			t.Fatalf("%s: %s makes %s: %s", m, ops, name, out.Append(nil))
		}
	}
}

func run(ops string, doc value.Value, m schema.Mode) (value.Value, error) {
	body, err := value.Parse([]byte(request(ops)))
	if err != nil {
		return value.Value{}, err
	}
	r, err := patch.Parse(body, m)
	if err != nil {
		return value.Value{}, err
	}
	out, _, err := r.Apply(schema.User, doc, m)
	return out, err
}

var (
	texts   = rapid.SampledFrom([]string{`"a"`, `"A"`, `"b@x"`, `"work"`, `"home"`, `"True"`, `""`, `null`, `7`, `true`, `false`, `[]`, `{}`, `["a"]`, `"\u202e<b>"`})
	types   = rapid.SampledFrom([]string{`"work"`, `"home"`, `"WORK"`, `"other"`})
	element = rapid.Custom(func(t *rapid.T) string {
		parts := []string{`"value":` + texts.Draw(t, "value")}
		if rapid.Bool().Draw(t, "typed") {
			parts = append(parts, `"type":`+types.Draw(t, "type"))
		}
		if rapid.Bool().Draw(t, "preferred") {
			parts = append(parts, `"primary":`+rapid.SampledFrom([]string{"true", "false", `"True"`}).Draw(t, "primary"))
		}
		if rapid.Bool().Draw(t, "shown") {
			parts = append(parts, `"display":`+texts.Draw(t, "display"))
		}
		return "{" + strings.Join(parts[rapid.IntRange(0, 1).Draw(t, "from"):], ",") + "}"
	})
	elements = rapid.Custom(func(t *rapid.T) string {
		return "[" + strings.Join(rapid.SliceOfN(element, 0, 4).Draw(t, "elements"), ",") + "]"
	})
	person = rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf(`{"familyName":%s,"givenName":%s}`, texts.Draw(t, "family"), texts.Draw(t, "given"))
	})
	company = rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf(`{"department":%s,"manager":%s}`, texts.Draw(t, "department"), rapid.OneOf(texts, rapid.Just(`{"value":"m","$ref":"r"}`), rapid.Just(`[{"value":"m"}]`)).Draw(t, "manager"))
	})
	attributes = rapid.Custom(func(t *rapid.T) string {
		all := []string{
			`"title":` + texts.Draw(t, "title"), `"active":` + texts.Draw(t, "active"), `"name":` + person.Draw(t, "name"),
			`"emails":` + elements.Draw(t, "emails"), `"roles":` + elements.Draw(t, "roles"), `"` + ent + `":` + company.Draw(t, "company"),
			`"addresses":[{"locality":` + texts.Draw(t, "locality") + `,"type":"work"}]`, `"shoe":1`, `"name.givenName":` + texts.Draw(t, "dotted"),
			`"groups":[{"value":"g"}]`, `"password":"x"`, `"` + ent + `:costCenter":"9"`, `"userName":` + texts.Draw(t, "userName"),
		}
		var some []string
		for i, a := range all {
			if rapid.IntRange(0, 3).Draw(t, fmt.Sprint("take", i)) == 0 {
				some = append(some, a)
			}
		}
		return "{" + strings.Join(some, ",") + "}"
	})
	// document is what Normalize makes of something random.
	document = rapid.Custom(func(t *rapid.T) value.Value {
		for {
			v, err := value.Parse([]byte(attributes.Draw(t, "document")))
			if err != nil {
				continue
			}
			v = v.With("userName", value.Str("ana"))
			if doc, _, _, err := schema.User.Normalize(v, schema.Compat); err == nil {
				return doc
			}
		}
	})
	plainPath = rapid.SampledFrom([]string{"title", "active", "name", "name.givenName", "emails", "roles", "emails.display", "addresses", "userName", "displayName",
		ent, ent + ":department", ent + ":manager", ent + ":manager.value", "shoe", "groups", "password", "urn:ietf:params:scim:schemas:core:2.0:User:title", "NAME.FAMILYNAME"})
	chosen = rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%s[%s]%s", rapid.SampledFrom([]string{"emails", "roles", "addresses", "name", "title"}).Draw(t, "of"),
			rapid.SampledFrom([]string{`type eq "work"`, `primary eq true`, `primary eq "True"`, `type eq "work" and value co "b"`, `value pr`, `not (type eq "home")`, `type eq "a" or type eq "home"`, `value eq "a" and type eq "work"`}).Draw(t, "filter"),
			rapid.SampledFrom([]string{"", ".value", ".type", ".primary", ".display", ".shoe"}).Draw(t, "sub"))
	})
	anything = rapid.OneOf(texts, element, elements, person, company)
	plainOp  = rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 3).Draw(t, "whole") == 0 {
			return fmt.Sprintf(`{"op":%%q,"value":%s}`, attributes.Draw(t, "value"))
		}
		return fmt.Sprintf(`{"op":%%q,"path":%q,"value":%s}`, plainPath.Draw(t, "path"), anything.Draw(t, "value"))
	})
	op = rapid.Custom(func(t *rapid.T) string {
		verb := rapid.SampledFrom([]string{"add", "replace", "remove", "Replace"}).Draw(t, "verb")
		if rapid.Bool().Draw(t, "plain") {
			return fmt.Sprintf(plainOp.Draw(t, "op"), verb)
		}
		return fmt.Sprintf(`{"op":%q,"path":%q,"value":%s}`, verb, chosen.Draw(t, "path"), anything.Draw(t, "value"))
	})
	modes = rapid.SampledFrom([]schema.Mode{schema.Compat, schema.Strict, schema.Interop})
)

func TestEveryOutcomeIsSane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, m := document.Draw(t, "doc"), modes.Draw(t, "mode")
		ops := strings.Join(rapid.SliceOfN(op, 1, 5).Draw(t, "ops"), ",")
		before := string(doc.Append(nil))
		out, err := run(ops, doc, m)
		if string(doc.Append(nil)) != before {
			t.Fatalf("%s: %s changed its document from %s to %s", m, ops, before, doc.Append(nil))
		}
		sane(t, doc, ops, m, out, err)
	})
}

func TestReplaceTwiceIsReplaceOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, m := document.Draw(t, "doc"), modes.Draw(t, "mode")
		for _, verb := range []string{"replace", "add"} {
			ops := fmt.Sprintf(plainOp.Draw(t, "op"), verb)
			once, err := run(ops, doc, m)
			if err != nil {
				return
			}
			twice, err := run(ops, once, m)
			if err != nil || !value.Equal(once, twice) {
				t.Fatalf("%s: %s on %s makes\n%s, again\n%s (%v)", m, ops, doc.Append(nil), once.Append(nil), twice.Append(nil), err)
			}
		}
	})
}

func TestRemoveUndoesAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, m := document.Draw(t, "doc"), modes.Draw(t, "mode")
		added := rapid.SampledFrom([][2]string{
			{`{"op":"add","path":"emails","value":[{"value":"new@x","type":"new"}]}`, `{"op":"remove","path":"emails[value eq \"NEW@x\"]"}`},
			{`{"op":"add","path":"emails[type eq \"new\"].value","value":"new@x"}`, `{"op":"remove","path":"emails[type eq \"new\"]"}`},
			{`{"op":"add","path":"phoneNumbers","value":{"value":"555"}}`, `{"op":"remove","path":"phoneNumbers"}`},
			{`{"op":"add","path":"nickName","value":"N"}`, `{"op":"remove","path":"nickName"}`},
			{`{"op":"replace","path":"name.middleName","value":"N"}`, `{"op":"remove","path":"name.middleName"}`},
			{`{"op":"add","path":"` + ent + `:division","value":"N"}`, `{"op":"remove","path":"` + ent + `:division"}`},
		}).Draw(t, "pair")
		out, err := run(added[0], doc, m)
		if err != nil || value.Equal(out, doc) {
			t.Fatalf("%s: %s on %s makes %s (%v)", m, added[0], doc.Append(nil), out.Append(nil), err)
		}
		back, err := run(added[1], out, m)
		if err != nil || string(back.Append(nil)) != string(doc.Append(nil)) {
			t.Fatalf("%s: %s undone on %s makes %s (%v)", m, added[0], doc.Append(nil), back.Append(nil), err)
		}
	})
}

func TestNothingIsNoChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := document.Draw(t, "doc").With("id", value.Str("u1"))
		out, err := run("", doc, schema.Compat)
		if err != nil || !value.Equal(out, doc) {
			t.Fatalf("no operation makes %s of %s (%v)", out.Append(nil), doc.Append(nil), err)
		}
	})
}

// again checks what a single operation that is repeated does: a remove, and an
// add or a replace without a filter, do nothing the second time, since what is to
// be is.
func again(t *testing.T, doc, body value.Value, m schema.Mode, once value.Value, r patch.Request) {
	ops := body.Get("Operations").Elements()
	if len(ops) != 1 {
		return
	}
	filtered := strings.Contains(ops[0].Get("path").Text()+names(ops[0].Get("value")), "[")
	if filtered && !strings.EqualFold(ops[0].Get("op").Text(), "remove") {
		return
	}
	twice, _, err := r.Apply(schema.User, once, m)
	if err != nil || !value.Equal(once, twice) {
		t.Fatalf("%s: %s on %s makes\n%s, again\n%s (%v)", m, body.Append(nil), doc.Append(nil), once.Append(nil), twice.Append(nil), err)
	}
}

// names are the names of an object's members, and of those within.
func names(v value.Value) string {
	s := ""
	for _, m := range v.Members() {
		s += m.Name + " " + names(m.Value)
	}
	return s
}

// FuzzApply starts from the examples in the tables and from testdata/fuzz: what
// identity providers send, the RFC's examples, and what broke others.
func FuzzApply(f *testing.F) {
	f.Add(base, `{"op":"replace","value":{"active":false}}`, uint8(0))
	f.Add(base, `{"op":"Replace","path":"emails[type eq \"other\"].value","value":"x"}`, uint8(0))
	f.Add(base, `{"op":"add","path":"emails","value":[{"value":"b@x","primary":true}]},{"op":"remove","path":"emails[primary eq false]"}`, uint8(1))
	f.Add(base, `{"op":"add","value":{"`+ent+`:manager":"m2","name.givenName":""}}`, uint8(0))
	f.Add(base, `{"op":"replace","path":"name","value":{"givenName":"x"}}`, uint8(2))
	f.Fuzz(func(t *testing.T, doc, ops string, mode uint8) {
		v, err := value.Parse([]byte(doc))
		if err != nil {
			return
		}
		m := schema.Mode(mode % 3)
		d, _, err := schema.User.Settle(v, m)
		if err != nil {
			return
		}
		body, err := value.Parse([]byte(request(ops)))
		if err != nil {
			return
		}
		r, err := patch.Parse(body, m)
		if err != nil {
			sane(t, d, ops, m, value.Value{}, err)
			return
		}
		before := string(d.Append(nil))
		out, _, err := r.Apply(schema.User, d, m)
		if string(d.Append(nil)) != before {
			t.Fatalf("%s changed its document", ops)
		}
		sane(t, d, ops, m, out, err)
		if err == nil {
			again(t, d, body, m, out, r)
		} else if out.Kind() != value.Absent {
			t.Fatalf("%s fails and gives %s all the same", ops, out.Append(nil))
		}
		rest, steps, err := r.SplitMembers(m)
		if err != nil {
			sane(t, d, ops, m, value.Value{}, err)
			return
		}
		for _, s := range steps {
			if (s.Kind == patch.Clear) != (len(s.IDs) == 0) {
				t.Fatalf("%s gives the step %v", ops, s)
			}
		}
		_, more, err := rest.SplitMembers(m)
		if err != nil || len(more) > 0 {
			t.Fatalf("%s leaves steps on members behind: %v (%v)", ops, more, err)
		}
	})
}

func BenchmarkReplaceActive(b *testing.B) {
	doc := parse(b, base)
	for name, ops := range map[string]string{
		"path":  `{"op":"replace","path":"active","value":false}`,
		"whole": `{"op":"replace","value":{"active":false}}`,
		"email": `{"op":"replace","path":"emails[type eq \"work\"].value","value":"b@work"}`,
	} {
		body := parse(b, request(ops))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := patch.Parse(body, schema.Compat)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := r.Apply(schema.User, doc, schema.Compat); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
