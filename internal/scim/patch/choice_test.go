package patch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// pick carries one step out on members of one letter each, a capital for a
// group's, and returns who are members then, in order, and "+" for an upsert.
func pick(step patch.MemberOp, members string) (string, error) {
	switch step.Kind {
	case 0:
		return members, nil
	case patch.Remove:
		return strings.Map(func(r rune) rune {
			if slices.Contains(step.IDs, string(r)) {
				return -1
			}
			return r
		}, members), nil
	}
	now := members
	if step.Choice.Among != nil {
		now = strings.Map(func(r rune) rune {
			if !slices.Contains(step.Choice.Among, string(r)) {
				return -1
			}
			return r
		}, members)
	}
	picked, err := step.Choice.Pick(len(now), func(i int) value.Value {
		kind := "User"
		if now[i] < 'a' {
			kind = "Group"
		}
		return value.Obj(value.M("value", value.Str(now[i:i+1])), value.M("$ref", value.Str("https://x/"+kind+"s/"+now[i:i+1])), value.M("type", value.Str(kind)))
	})
	if err != nil {
		return "", err
	}
	out := members
	for _, i := range picked.Gone {
		out = strings.ReplaceAll(out, now[i:i+1], "")
	}
	if picked.Come && !strings.Contains(out, step.IDs[0]) {
		out += step.IDs[0]
	}
	if picked.Upserted {
		out += "+"
	}
	return out, nil
}

// Of the members a, b and G, and of none.
func TestChoices(t *testing.T) {
	for _, c := range []struct {
		modes  []schema.Mode
		verb   string
		filter string
		value  string // "": none
		want   string // of "abG", or the code of a refusal
		none   string // of ""
	}{
		// Removals, in every dialect.
		{all, "remove", `value eq "a"`, "", "bG", ""},
		{all, "remove", `type eq "Group"`, "", "ab", ""},
		{all, "remove", `type eq "GROUP"`, "", "ab", ""},
		{all, "remove", `type ne "Group"`, "", "G", ""},
		{all, "remove", `value ne "a"`, "", "a", ""},
		{all, "remove", `value eq "A"`, "", "abG", ""}, // ids have their case
		{all, "remove", `not (value eq "a")`, "", "a", ""},
		{all, "remove", `value sw "a" or value co "b"`, "", "G", ""},
		{all, "remove", `value gt "a"`, "", "aG", ""},
		{all, "remove", `value pr`, "", "", ""},
		{all, "remove", `$ref eq "https://x/Groups/G"`, "", "ab", ""},
		{all, "remove", `$ref sw "https://x/Users/" and not (value eq "b")`, "", "bG", ""},
		{all, "remove", `value eq "a" and type eq "Group"`, "", "abG", ""},
		{all, "remove", `value eq "G" and type eq "Group"`, "", "ab", ""},
		{all, "remove", `value eq "z"`, "", "abG", ""},

		// A filter and a list: those of the list whom the filter selects.
		{compat, "remove", `type eq "User"`, `[{"value":"a"},{"value":"G"}]`, "bG", ""},
		{compat, "remove", `value ne "a"`, `["b","a"]`, "aG", ""},
		{compat, "remove", `value eq "a" or value eq "b"`, `{"value":"b"}`, "aG", ""},
		{compat, "remove", `value eq "a" and type eq "User"`, `"b"`, "abG", ""},
		{compat, "remove", `value eq "a"`, `[]`, "bG", ""},
		{compat, "remove", `value eq "a" and type eq "User"`, `""`, "bG", ""},
		{compat, "remove", `type eq "User"`, `[]`, "abG", ""},
		{all, "remove", `value eq "a"`, `null`, "bG", ""},
		{strict, "remove", `type eq "User"`, `[{"value":"a"}]`, "G", ""},

		// The one that a filter selects is another from then on.
		{rfc, "replace", `value eq "a"`, `{"value":"c"}`, "bGc", "noTarget c+"},
		{rfc, "replace", `value eq "a"`, `{"value":"a"}`, "bGa", "noTarget a+"},
		{rfc, "replace", `value eq "a"`, `{"type":"User"}`, "bGa", "noTarget a+"},
		{rfc, "replace", `value eq "a"`, `{"value":"b"}`, "bG", "noTarget b+"},
		{rfc, "replace", `value eq "a" and type eq "User"`, `{"value":"c"}`, "bGc", "noTarget c+"},
		{rfc, "replace", `type eq "User"`, `{"value":"c"}`, "Gc", "noTarget c+"},
		{rfc, "replace", `type ne "Group"`, `{"value":"c"}`, "Gc", "noTarget"},
		{rfc, "replace", `value eq "z"`, `{"value":"c"}`, "noTarget abGc+", "noTarget c+"},
		{rfc, "replace", `value eq "a" or value eq "b"`, `{"value":"c"}`, "Gc", "noTarget"},
		{rfc, "replace", `value eq "a"`, `null`, "bG", "noTarget "},

		// Who is a member is no other; who is none becomes one.
		{rfc, "add", `value eq "a"`, `{"value":"a"}`, "abG", "a"},
		{rfc, "add", `value eq "a"`, `{"type":"User"}`, "abG", "a"},
		{rfc, "add", `value eq "a"`, `{"value":"c"}`, "mutability", "c"},
		{rfc, "add", `type eq "Group"`, `{"value":"G"}`, "abG", "G"},
		{rfc, "add", `value pr`, `{"value":"c"}`, "mutability", "noTarget"},
		{rfc, "add", `value eq "a"`, `[]`, "abG", ""},
	} {
		for _, m := range c.modes {
			op := fmt.Sprintf(`{"op":%q,"path":%q}`, c.verb, "members["+c.filter+"]")
			if c.value != "" {
				op = op[:len(op)-1] + `,"value":` + c.value + `}`
			}
			r, err := patch.Parse(parse(t, request(op)), m)
			if err != nil {
				t.Fatal(err)
			}
			_, steps, err := r.SplitMembers(m)
			if err != nil || len(steps) > 1 {
				t.Fatalf("%s: %s is %d steps, %v", m, op, len(steps), err)
			}
			steps = append(steps, patch.MemberOp{})
			for members, want := range map[string]string{"abG": c.want, "": c.none} {
				// What differs: refused but for compat, which adds.
				if code, upserted, differs := strings.Cut(want, " "); differs {
					if want = code; m == schema.Compat {
						want = upserted
					}
				}
				got, err := pick(steps[0], members)
				if f := fault.Of(err); err != nil {
					if got = f.Code; f.Kind != fault.Invalid || f.Msg == "" {
						t.Errorf("%s: %s fails with %#v", m, op, err)
					}
				}
				if got != want {
					t.Errorf("%s: %s makes %q of %q, want %q", m, op, got, members, want)
				}
			}
		}
	}
}

// What a filter says is of who is chosen; what the value says, of who comes.
func TestTypesAreOfWhoComes(t *testing.T) {
	for ops, want := range map[string]string{
		`{"op":"replace","path":"members[type eq \"User\"]","value":{"value":"G"}}`:                "map[]",
		`{"op":"replace","path":"members[type eq \"User\"]","value":{"value":"G","type":"Group"}}`: "map[G:Group]",
		`{"op":"add","path":"members[value eq \"a\" and type eq \"User\"]","value":{}}`:            "map[]",
		`{"op":"add","path":"members[value eq \"a\"]","value":{"type":"User"}}`:                    "map[a:User]",
	} {
		for _, m := range rfc {
			r, err := patch.Parse(parse(t, request(ops)), m)
			if err != nil {
				t.Fatal(err)
			}
			_, steps, err := r.SplitMembers(m)
			if err != nil || len(steps) != 1 || fmt.Sprint(steps[0].Types) != want {
				t.Errorf("%s: %s gives %+v (%v), want the types %s", m, ops, steps, err, want)
			}
		}
	}
}

// What all choices of a request look at is one sum, of each time that they decide:
// who is overtaken by others and begins anew has all of it again.
func TestChoicesAreBounded(t *testing.T) {
	op := `{"op":"remove","path":"members[` + strings.Repeat(`type sw \"x\" or `, 255) + `type sw \"x\"]"}`
	add := `{"op":"add","path":"members","value":[{"value":"b"}]}`
	r, err := patch.Parse(parse(t, request(add+","+op+","+add+","+op)), schema.Strict)
	if err != nil {
		t.Fatal(err)
	}
	_, steps, err := r.SplitMembers(schema.Strict)
	if err != nil || len(steps) != 4 {
		t.Fatalf("there are %d steps, %v", len(steps), err)
	}
	member := parse(t, `{"value":"a","type":"User"}`)
	for round := range 2 {
		looked := 0
		look := func(int) value.Value { looked++; return member }
		if _, err = steps[1].Choice.Pick(10_000, look); err != nil {
			t.Fatalf("round %d: the first choice looks at 10,000: %v", round, err)
		}
		if _, err = steps[3].Choice.Pick(2_000, look); err != nil {
			t.Fatalf("round %d: the second choice looks at 2,000: %v", round, err)
		}
		if _, err = steps[3].Choice.Pick(10_000, look); !fault.Coded(err, fault.TooMany) {
			t.Errorf("round %d: two choices of 256 comparisons each end after %d looks with %v, want tooMany after 15,000", round, looked, err)
		}
	}
}

// Choices count among the operations of a PATCH; who is named by ids does not.
func TestChoicesAreOperations(t *testing.T) {
	choice := `{"op":"remove","path":"members[type eq \"Group\"]"},`
	named := `{"op":"remove","path":"members[value eq \"a\"]"},{"op":"add","path":"members","value":[{"value":"a"}]},`
	rename := `{"op":"replace","path":"displayName","value":"N"}`
	for ops, taken := range map[string]bool{
		strings.Repeat(choice, patch.MaxOperations-1) + strings.Repeat(named, 600) + rename: true,
		strings.Repeat(choice, patch.MaxOperations) + rename:                                false,
	} {
		for _, m := range all {
			r, err := patch.Parse(parse(t, request(ops)), m)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err = r.SplitMembers(m); (err == nil) != taken || err != nil && !fault.Coded(err, fault.TooLarge) {
				t.Errorf("%s: %d bytes of operations give %v, want them taken: %t", m, len(ops), err, taken)
			}
		}
	}
}

// A refusal says which of several operations it means.
func TestChoicesTellWhichOperation(t *testing.T) {
	r, err := patch.Parse(parse(t, request(`{"op":"remove","path":"members"},{"op":"replace","path":"members[type eq \"Group\"]","value":{"value":"c"}}`)), schema.Strict)
	if err != nil {
		t.Fatal(err)
	}
	_, steps, err := r.SplitMembers(schema.Strict)
	if err != nil || len(steps) != 2 {
		t.Fatalf("there are %d steps, %v", len(steps), err)
	}
	if _, err = pick(steps[1], ""); !strings.HasPrefix(fault.Of(err).Msg, "Operation 2: ") {
		t.Errorf("the second of two is refused with %q", fault.Of(err).Msg)
	}
}
