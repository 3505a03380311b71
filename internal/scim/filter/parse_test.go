package filter_test

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// rfc are the filters of RFC 7644 §3.4.2.2, figure 2, and of the sections that
// use filters.
var rfc = []string{
	`userName eq "bjensen"`,
	`name.familyName co "O'Malley"`,
	`userName sw "J"`,
	`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"`,
	`title pr`,
	`meta.lastModified gt "2011-05-13T04:42:34Z"`,
	`meta.lastModified ge "2011-05-13T04:42:34Z"`,
	`meta.lastModified lt "2011-05-13T04:42:34Z"`,
	`meta.lastModified le "2011-05-13T04:42:34Z"`,
	`title pr and userType eq "Employee"`,
	`title pr or userType eq "Intern"`,
	`schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`,
	`userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")`,
	`userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")`,
	`userType eq "Employee" and (emails.type eq "work")`,
	`userType eq "Employee" and emails[type eq "work" and value co "@example.com"]`,
	`emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]`,
	`meta.resourceType eq "User" or meta.resourceType eq "Group"`,
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		`userName Eq "john"`:                            `userName eq "john"`,
		`  userName   EQ   "john"  `:                    `userName eq "john"`,
		`members[value eq"x"]`:                          `members[value eq "x"]`,
		`userName eq"x"and title pr`:                    `userName eq "x" and title pr`,
		`(a pr)and(b pr)`:                               `a pr and b pr`,
		`a pr or b pr and c pr`:                         `a pr or b pr and c pr`,
		`(a pr or b pr) and c pr`:                       `(a pr or b pr) and c pr`,
		`a pr and (b pr and c pr)`:                      `a pr and b pr and c pr`,
		`((a pr or (b pr)) or c pr)`:                    `a pr or b pr or c pr`,
		`not(a pr)`:                                     `not (a pr)`,
		`NOT (a pr AND b pr) OR c PR`:                   `not (a pr and b pr) or c pr`,
		`not (not (a pr))`:                              `not (not (a pr))`,
		`not pr`:                                        `not pr`,
		`and pr and or pr`:                              `and pr and or pr`,
		`active eq true`:                                `active eq true`,
		`active eq TRUE`:                                `active eq true`,
		`manager ne null`:                               `manager ne null`,
		`count ge -1.5e3`:                               `count ge -1.5e3`,
		`a eq "\u00e9\"\\"`:                             `a eq "é\"\\"`,
		`a eq "x) and (b pr"`:                           `a eq "x) and (b pr"`,
		`emails[type eq "work"].value eq "a@b"`:         `emails[type eq "work"].value eq "a@b"`,
		`emails[type eq "work"].value pr and a pr`:      `emails[type eq "work"].value pr and a pr`,
		`emails[not (type eq "work") or (value pr)]`:    `emails[not (type eq "work") or value pr]`,
		`urn:a:b:2.0:X:manager.$ref eq "r"`:             `urn:a:b:2.0:X:manager.$ref eq "r"`,
		`http://schemas.example.com/2006/11/X:y pr`:     `http://schemas.example.com/2006/11/X:y pr`,
		`urn:ietf:params:scim:schemas:core:2.0:User pr`: `urn:ietf:params:scim:schemas:core:2.0:User pr`,
		strings.Repeat("(", 16) + "a pr" + strings.Repeat(")", 16): `a pr`,
		`a eq "` + strings.Repeat("x", 1024) + `"`:                 `a eq "` + strings.Repeat("x", 1024) + `"`,
	} {
		e, err := filter.Parse(in)
		if err != nil {
			t.Errorf("Parse(%q) fails: %v", in, err)
			continue
		}
		if got := e.String(); got != want {
			t.Errorf("Parse(%q) = %s, want %s", in, got, want)
		}
		again, err := filter.Parse(e.String())
		if err != nil || !equal(e, again) {
			t.Errorf("%q is rendered as %q, which is read as %v (%v)", in, e, again, err)
		}
	}
	for _, in := range rfc {
		if _, err := filter.Parse(in); err != nil {
			t.Errorf("Parse(%q), an example of the RFC, fails: %v", in, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:                             "At the end: an expression is missing.",
		`   `:                          "At the end",
		`userName`:                     "At the end: an operator should stand here",
		`userName eq`:                  "At the end: a value should stand here",
		`userName regex "x"`:           `The operator "regex" is not supported`,
		`userName eq "x`:               "a string does not end",
		`userName eq "x\"`:             "a string does not end",
		`userName eq x`:                `At character 13, before "x": a value should stand here`,
		`userName eq 'x'`:              "a value should stand here",
		`userName eq [1]`:              "a value should stand here",
		`userName eq {}`:               "a value should stand here",
		`userName eq 01`:               "a value should stand here",
		`active eqtrue`:                `The operator "eqtrue" is not supported`,
		`userName eq "\ud800"`:         "this is no JSON string",
		`userName eq "\x"`:             "this is no JSON string",
		`userName eq "x" and`:          "At the end: an expression is missing",
		`userName eq "x" title pr`:     `before "title pr": a filter should end here`,
		`userName eq "x" xor title pr`: "a filter should end here",
		`and`:                          "At the end",
		`(a pr`:                        `a group should end here with ")"`,
		`a pr)`:                        "a filter should end here",
		`()`:                           "an attribute's name should stand here",
		`not a pr`:                     `The operator "a" is not supported`,
		`emails[type eq "work"`:        `the filter should end here with "]"`,
		`emails[]`:                     "an attribute's name should stand here",
		`emails[ims[type pr]]`:         "brackets may not stand inside brackets",
		`emails[type pr].`:             "this is no sub-attribute's name",
		`emails[type pr].value`:        "an operator should stand here",
		`emails[type pr]value pr`:      "a filter should end here",
		`.a pr`:                        "this is no attribute's name",
		`a. pr`:                        "this is no attribute's name",
		`a.b.c pr`:                     "this is no attribute's name",
		`a/b pr`:                       "this is no attribute's name",
		`:a pr`:                        "this is no attribute's name",
		`urn:x: pr`:                    "this is no attribute's name",
		`urn:ä:a pr`:                   "this is no attribute's name",
		`"a" eq "a"`:                   "an attribute's name should stand here",
		"a eq \"\xff\"":                "UTF-8",
		"a\tpr":                        "this is no attribute's name",
		strings.Repeat("(", 17) + "a pr" + strings.Repeat(")", 17): "at most 16 deep",
		`a eq "` + strings.Repeat("x", 1025) + `"`:                 "at most 1024 bytes",
		strings.Repeat("a pr or ", 256) + "a pr":                   "at most 256 comparisons",
		`a eq "` + strings.Repeat("x", 9000) + `"`:                 "at most 8192 bytes",
		`a eq ` + strings.Repeat("1", 65):                          "at most 64 characters",
	} {
		_, err := filter.Parse(in)
		f := fault.Of(err)
		if err == nil || f.Kind != fault.Invalid || f.Code != fault.InvalidFilter || !strings.Contains(f.Msg, want) {
			t.Errorf("Parse(%.60q) = %v, want invalidFilter with %q", in, err, want)
		}
		if err != nil && len(f.Msg) > 400 {
			t.Errorf("Parse(%.60q) fails with %d characters", in, len(f.Msg))
		}
	}
}

func TestParsePath(t *testing.T) {
	for in, want := range map[string]filter.Path{
		`members`:                          {Attr: "members"},
		` members `:                        {Attr: "members"},
		`name.familyName`:                  {Attr: "name.familyName"},
		`urn:a:2.0:User`:                   {Attr: "urn:a:2.0:User"},
		`urn:a:2.0:User:manager.value`:     {Attr: "urn:a:2.0:User:manager.value"},
		`addresses[type eq "work"]`:        {Attr: "addresses", Filter: mustParse(`type eq "work"`)},
		`members[value eq"x"].displayName`: {Attr: "members", Filter: mustParse(`value eq "x"`), Sub: "displayName"},
		`emails[primary eq true and (type eq "a" or type eq "b")].value`: {Attr: "emails", Filter: mustParse(`primary eq true and (type eq "a" or type eq "b")`), Sub: "value"},
		`urn:a:User:emails[type eq "work"]`:                              {Attr: "urn:a:User:emails", Filter: mustParse(`type eq "work"`)},
	} {
		got, err := filter.ParsePath(in)
		if err != nil || got.Attr != want.Attr || got.Sub != want.Sub || !equal(got.Filter, want.Filter) {
			t.Errorf("ParsePath(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for in, code := range map[string]string{
		``:                           fault.InvalidPath,
		`/members`:                   fault.InvalidPath,
		`members/0`:                  fault.InvalidPath,
		`a b`:                        fault.InvalidPath,
		`a.b.c`:                      fault.InvalidPath,
		`emails.`:                    fault.InvalidPath,
		`emails[type pr].`:           fault.InvalidPath,
		`emails[type pr]value`:       fault.InvalidPath,
		`emails[type pr].a.b`:        fault.InvalidPath,
		`emails[type pr].value eq 1`: fault.InvalidPath,
		`[type pr]`:                  fault.InvalidPath,
		`emails]`:                    fault.InvalidPath,
		`emails[`:                    fault.InvalidFilter,
		`emails[]`:                   fault.InvalidFilter,
		`emails[0]`:                  fault.InvalidFilter,
		`emails[type eq "work"`:      fault.InvalidFilter,
		`emails[type like "work"]`:   fault.InvalidFilter,
		`emails[type eq work]`:       fault.InvalidFilter,
	} {
		_, err := filter.ParsePath(in)
		if f := fault.Of(err); err == nil || f.Kind != fault.Invalid || f.Code != code || f.Msg == "" {
			t.Errorf("ParsePath(%q) = %v, want %s", in, err, code)
		}
	}
}

func mustParse(s string) filter.Expr {
	e, err := filter.Parse(s)
	if err != nil {
		panic(err)
	}
	return e
}

func FuzzParse(f *testing.F) {
	for _, s := range rfc {
		f.Add(s)
	}
	for _, s := range []string{
		`members[value eq"2819c223-7f76-453a-919d-413861904646"]`, `emails[type eq "work"].value eq "x"`, `not(a pr)or(b eq null)`,
		`a eq "\u003c\ud83d\ude00"`, `roles[primary eq "True"]`, `not (not (a pr)) and a eq -1e5`, `a eq "<"`, `(a pr or b pr) and (c pr or d pr) or e pr`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := filter.Parse(s)
		if err != nil {
			if fl := fault.Of(err); fl.Kind != fault.Invalid || fl.Code != fault.InvalidFilter || fl.Msg == "" {
				t.Fatalf("Parse(%q) fails with %#v", s, err)
			}
			return
		}
		if depth, terms, literal := measure(e); depth > filter.MaxDepth || terms > filter.MaxTerms || literal > filter.MaxLiteral || len(s) > filter.MaxLength {
			t.Fatalf("Parse(%q) takes %d levels, %d comparisons, a literal of %d bytes", s, depth, terms, literal)
		}
		out := e.String()
		if len(out) > filter.MaxLength {
			return // escapes may make it longer than what is taken
		}
		again, err := filter.Parse(out)
		if err != nil {
			t.Fatalf("Parse(%q) is rendered as %q, which is refused: %v", s, out, err)
		}
		if !equal(e, again) {
			t.Fatalf("Parse(%q) is rendered as %q, which is read as %q", s, out, again)
		}
	})
}

// measure returns how deep an expression is, as far as it shows (groups that say
// nothing are gone), how many comparisons it has, and its longest literal.
func measure(e filter.Expr) (depth, terms, literal int) {
	with := func(in filter.Expr, more int) {
		d, n, l := measure(in)
		depth, terms, literal = max(depth, d+more), terms+n, max(literal, l)
	}
	switch e := e.(type) {
	case filter.And:
		for _, t := range e.Terms {
			more := 0
			if _, group := t.(filter.Or); group {
				more = 1
			}
			with(t, more)
		}
	case filter.Or:
		for _, t := range e.Terms {
			with(t, 0)
		}
	case filter.Not:
		with(e.Term, 1)
	case filter.Compare:
		return 0, 1, len(e.With.Text())
	case filter.Element:
		with(e.Filter, 1)
		return depth, terms + 1, max(literal, len(e.With.Text()))
	}
	return depth, terms, literal
}

// split checks that a path is parted at its URN: the canonical path leads to the
// same attribute, and so does one in other letters.
func split(t *testing.T, rt *schema.ResourceType, path string, m schema.Mode) {
	ref, ok := rt.Resolve(path, m)
	swapped := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, path)
	if other, found := rt.Resolve(swapped, m); found != ok || other != ref {
		t.Fatalf("%s: %q is %s of a %s (%t), in other letters %s (%t)", m, path, ref.Path(), rt.Name, ok, other.Path(), found)
	}
	if !ok {
		return
	}
	if again, found := rt.Resolve(ref.Path(), schema.Strict); !found || again != ref {
		t.Fatalf("%q is %s of a %s, which is %s (%t)", path, ref.Path(), rt.Name, again.Path(), found)
	}
	if ref.URN != "" {
		if !slices.ContainsFunc(schema.Schemas(), func(s *schema.Schema) bool { return s.ID == ref.URN }) {
			t.Fatalf("%q is of the schema %q, which nobody knows", path, ref.URN)
		}
	}
	if parsed, err := filter.ParsePath(ref.Path()); err != nil || parsed.Attr != ref.Path() {
		t.Fatalf("%q is %s, which is read as %+v (%v)", path, ref.Path(), parsed, err)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{`members`, `name.familyName`, `addresses[type eq "work"]`, `members[value eq "x"].displayName`, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value`, `emails[`, `a[b eq "]"].c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := filter.ParsePath(s)
		if err != nil {
			if fl := fault.Of(err); fl.Kind != fault.Invalid || fl.Code != fault.InvalidPath && fl.Code != fault.InvalidFilter {
				t.Fatalf("ParsePath(%q) fails with %#v", s, err)
			}
			return
		}
		out := p.String()
		if len(out) > filter.MaxLength {
			return
		}
		again, err := filter.ParsePath(out)
		if err != nil || again.Attr != p.Attr || again.Sub != p.Sub || !equal(p.Filter, again.Filter) {
			t.Fatalf("ParsePath(%q) is rendered as %q, which is read as %+v (%v)", s, out, again, err)
		}
		for _, rt := range schema.All() {
			for _, m := range []schema.Mode{schema.Compat, schema.Strict} {
				split(t, rt, p.Attr, m)
			}
		}
	})
}

// equal reports whether two expressions are the same: the same terms in the
// same order, paths as written, literals as value.Equal has them.
func equal(a, b filter.Expr) bool {
	switch a := a.(type) {
	case filter.And:
		b, ok := b.(filter.And)
		return ok && equalTerms(a.Terms, b.Terms)
	case filter.Or:
		b, ok := b.(filter.Or)
		return ok && equalTerms(a.Terms, b.Terms)
	case filter.Not:
		b, ok := b.(filter.Not)
		return ok && equal(a.Term, b.Term)
	case filter.Compare:
		b, ok := b.(filter.Compare)
		return ok && a.Path == b.Path && a.Op == b.Op && value.Equal(a.With, b.With)
	case filter.Element:
		b, ok := b.(filter.Element)
		return ok && a.Path == b.Path && a.Sub == b.Sub && a.Op == b.Op && value.Equal(a.With, b.With) && equal(a.Filter, b.Filter)
	}
	return a == nil && b == nil
}

func equalTerms(a, b []filter.Expr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
