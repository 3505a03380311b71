package filter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

const (
	ent = schema.EnterpriseURN

	user = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + ent + `"],"id":"u1Ab","externalId":"Ext-1",
	"userName":"Ana.Ruiz@corp.test","name":{"familyName":"O'Malley","givenName":"Zoë"},"title":"Engineer","active":true,
	"emails":[{"value":"Ana@example.com","type":"work","primary":true},{"value":"ana@home.test","type":"home"}],
	"phoneNumbers":[{"value":"555"}],"groups":[{"value":"g1"}],
	"x509Certificates":[{"value":"AAAA"}],
	"` + ent + `":{"employeeNumber":"701984","manager":{"value":"m1"}},
	"meta":{"resourceType":"User","created":"2011-05-13T04:42:34Z","lastModified":"2011-05-13T06:42:34.500+02:00"}}`

	group = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"id":"g1","displayName":"Finance EU","members":[{"value":"u1"},{"value":"u2"}]}`
)

func resource(t testing.TB, s string) value.Value {
	v, err := value.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// matches is Match for who has work to spare.
func matches(b *filter.Bound, v value.Value) bool {
	left := filter.MaxWork
	return b.Match(v, &left)
}

func TestMatch(t *testing.T) {
	u, g := resource(t, user), resource(t, group)
	for _, c := range []struct {
		rt   *schema.ResourceType
		in   string
		want bool
	}{
		// Operators on strings; case as caseExact says.
		{schema.User, `userName eq "ana.ruiz@CORP.test"`, true},
		{schema.User, `userName eq "ana.ruiz"`, false},
		{schema.User, `userName ne "ana.ruiz@CORP.test"`, false},
		{schema.User, `userName co "RUIZ"`, true},
		{schema.User, `userName co " "`, false},
		{schema.User, `userName sw "ana"`, true},
		{schema.User, `userName ew ".TEST"`, true},
		{schema.User, `userName ew "corp.tes"`, false},
		{schema.User, `userName gt "ana"`, true},
		{schema.User, `userName ge "ana.ruiz@corp.test"`, true},
		{schema.User, `userName lt "B"`, true},
		{schema.User, `userName le "ana"`, false},
		{schema.User, `name.givenName eq "ZOË"`, true},
		{schema.User, `name.givenName co "oe\u0308"`, true},
		{schema.User, `name.familyName co "o'm"`, true},
		{schema.User, `externalId eq "Ext-1"`, true},
		{schema.User, `externalId eq "ext-1"`, false},
		{schema.User, `externalId sw "ext"`, false},
		{schema.User, `id eq "u1Ab"`, true},
		{schema.User, `id eq "U1AB"`, false},
		{schema.User, `x509Certificates.value eq "AAAA"`, true},
		{schema.User, `x509Certificates eq "aaaa"`, false},
		{schema.User, `urn:ietf:params:scim:schemas:core:2.0:User:userName sw "A"`, true},
		{schema.User, `schemas eq "` + strings.ToUpper(ent) + `"`, true},
		{schema.User, `schemas eq "urn:x"`, false},

		// Presence and null.
		{schema.User, `title pr`, true},
		{schema.User, `nickName pr`, false},
		{schema.User, `name pr`, true},
		{schema.User, `emails pr`, true},
		{schema.User, `emails.display pr`, false},
		{schema.User, `ims pr`, false},
		{schema.User, `nickName eq null`, true},
		{schema.User, `title eq null`, false},
		{schema.User, `title ne null`, true},
		{schema.User, `name eq null`, false},
		{schema.User, ent + ` pr`, true},
		{schema.User, ent + `:manager pr`, true},
		{schema.User, ent + `:department pr`, false},

		// Booleans.
		{schema.User, `active eq true`, true},
		{schema.User, `active eq false`, false},
		{schema.User, `active ne false`, true},
		{schema.User, `active eq "True"`, true},
		{schema.User, `emails[primary eq "True"].value eq "ana@example.com"`, true},

		// Several values: any of them; brackets bind to one.
		{schema.User, `emails.value eq "ana@home.test"`, true},
		{schema.User, `emails eq "ana@home.test"`, true},
		{schema.User, `emails co "example.com"`, true},
		{schema.User, `emails.value ne "ana@home.test"`, true},
		{schema.User, `not (emails.value eq "ana@home.test")`, false},
		{schema.User, `phoneNumbers.value ne "555"`, false},
		{schema.User, `ims.value ne "x"`, true},
		{schema.User, `emails.display ne "x"`, true},
		{schema.User, `emails.display eq "x"`, false},
		{schema.User, `emails.type eq "work" and emails.value eq "ana@home.test"`, true},
		{schema.User, `emails[type eq "work" and value eq "ana@home.test"]`, false},
		{schema.User, `emails[type eq "WORK" and value co "@EXAMPLE.com"]`, true},
		{schema.User, `emails[type eq "work"].value eq "ana@example.com"`, true},
		{schema.User, `emails[type eq "work"].value eq "ana@home.test"`, false},
		{schema.User, `emails[type eq "work"].display pr`, false},
		{schema.User, `emails[not (type eq "work")]`, true},
		{schema.User, `ims[type eq "work"]`, false},
		{schema.User, `name[givenName eq "zoë"]`, true},

		// References by their value.
		{schema.User, ent + `:manager eq "m1"`, true},
		{schema.User, ent + `:manager.value eq "M1"`, false},
		{schema.User, ent + `:employeeNumber eq 701984`, true},
		{schema.User, `groups eq "g1"`, true},
		{schema.Group, `id eq "g1" and members eq "u2"`, true},
		{schema.Group, `members[value eq"u3"]`, false},
		{schema.Group, `displayName eq "finance eu"`, true},

		// Time: the instant counts, not its text.
		{schema.User, `meta.lastModified gt "2011-05-13T04:42:34Z"`, true},
		{schema.User, `meta.lastModified lt "2011-05-13T05:42:34Z"`, true},
		{schema.User, `meta.lastModified eq "2011-05-13T04:42:34.5Z"`, true},
		{schema.User, `meta.created ge "2011-05-13T06:42:34+02:00"`, true},
		{schema.User, `meta.created ne "2011-05-13T04:42:34Z"`, false},
		{schema.User, `meta.created sw "2011-05"`, true},
		{schema.User, `meta.resourceType eq "User"`, true},

		// Logic and precedence.
		{schema.User, `title eq "x" and title eq "y" or active eq true`, true},
		{schema.User, `title eq "x" and (title eq "y" or active eq true)`, false},
		{schema.User, `not (title eq "x") and active eq true`, true},
		{schema.User, `not (title eq "Engineer") or nickName pr`, false},

		// Unknown attributes have no value.
		{schema.User, `shoeSize eq 9`, false},
		{schema.User, `shoeSize ne 9`, true},
		{schema.User, `shoeSize eq null`, true},
		{schema.User, `shoeSize pr or active eq true`, true},
		{schema.User, `employeeNumber eq "701984"`, true}, // Entra leaves an extension's URN out
		{schema.User, `shoes[size eq 9]`, false},
		{schema.User, `urn:ietf:params:scim:schemas:core:2.0:Group:displayName pr`, false},
		{schema.User, `password pr`, false},
	} {
		e, err := filter.Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q) fails: %v", c.in, err)
			continue
		}
		b, err := filter.Bind(e, c.rt, schema.Compat)
		if err != nil {
			t.Errorf("Bind(%q) fails: %v", c.in, err)
			continue
		}
		on := u
		if c.rt == schema.Group {
			on = g
		}
		if got := matches(b, on); got != c.want {
			t.Errorf("%s matches: %t, want %t", c.in, got, c.want)
		}
	}
}

func TestBindRefuses(t *testing.T) {
	all := []schema.Mode{schema.Compat, schema.Strict, schema.Interop}
	for _, c := range []struct {
		modes []schema.Mode
		in    string
		want  string
	}{
		{all, `active gt true`, "active is true or false"},
		{all, `active co "t"`, "active is true or false"},
		{all, `emails.primary lt true`, "emails.primary is true or false"},
		{all, `x509Certificates.value gt "A"`, "is binary"},
		{all, `active eq "yes"`, "true or false"},
		{all, `active eq 1`, "true or false"},
		{all[1:], `active eq "true"`, "true or false"},
		{all, `title eq true`, "compared with a string"},
		{all[1:], `title eq 7`, "compared with a string"},
		{all[1:], `active eq TRUE`, "active is to be written in lower case: true"},
		{all[1:], `title ne Null`, "title is to be written in lower case: null"},
		{all[1:], `emails[primary eq False]`, "primary is to be written in lower case: false"},
		{all[1:], `emails[type eq "work"].primary eq tRue`, "primary is to be written in lower case: true"},
		{all, `title gt null`, "with null by eq and ne only"},
		{all, `meta.created gt "yesterday"`, "date and time"},
		{all, `meta.created gt 7`, "is to be compared with a"},
		{all, `name eq "x"`, "name has parts"},
		{all, `addresses co "x"`, "addresses has parts"},
		{all, `meta co "x"`, "meta has parts"},
		{all, ent + ` eq "x"`, "is an extension"},
		{all, `userName[value eq "x"]`, "no values to choose from"},
		{all, `emails.value[value eq "x"]`, "no values to choose from"},
		{all[1:], `shoeSize eq 9`, `"shoeSize" is no attribute`},
		{all[1:], `emails[size eq 9]`, `"size" is no attribute`},
		{all[1:], `shoes[size eq 9]`, `"shoes" is no attribute`},
		{all[1:], `urn:scim:schemas:core:1.0:userName eq "x"`, "is no attribute"},
		{all, `not (active gt true)`, "active is true or false"},
		{all, `title pr or (title pr and emails[primary gt true])`, "emails.primary is true or false"},
	} {
		for _, m := range c.modes {
			_, err := filter.Bind(mustParse(c.in), schema.User, m)
			if f := fault.Of(err); err == nil || f.Kind != fault.Invalid || f.Code != fault.InvalidFilter || !strings.Contains(f.Msg, c.want) {
				t.Errorf("%s: Bind(%q) = %v, want invalidFilter with %q", m, c.in, err, c.want)
			}
		}
	}
}

func TestNumbersAndSimpleValues(t *testing.T) {
	rt := &schema.ResourceType{Name: "Thing", Schema: &schema.Schema{ID: "urn:test:Thing", Attributes: []schema.Attribute{
		{Name: "n", Type: schema.Integer}, {Name: "tags", Type: schema.String, MultiValued: true},
	}}}
	v := resource(t, `{"n":9,"tags":["Red","blue"]}`)
	for in, want := range map[string]bool{
		`n gt 10`: false, `n lt 10`: true, `n eq 9.0`: true, `n ne 9`: false, `n ge "9"`: true,
		`tags eq "red"`: true, `tags ne "red"`: true, `tags[value eq "red"]`: true, `tags[value eq "green"]`: false, `tags.value eq "red"`: false,
	} {
		b, err := filter.Bind(mustParse(in), rt, schema.Compat)
		if err != nil {
			t.Errorf("Bind(%q) fails: %v", in, err)
		} else if got := matches(b, v); got != want {
			t.Errorf("%s matches: %t", in, got)
		}
	}
	if _, err := filter.Bind(mustParse(`n co 9`), rt, schema.Compat); !fault.Coded(err, fault.InvalidFilter) {
		t.Errorf("co on a number gives %v, want invalidFilter", err)
	}
	if _, err := filter.Bind(mustParse(`n eq 1e999`), rt, schema.Compat); !fault.Coded(err, fault.InvalidFilter) {
		t.Errorf("a number beyond all bounds gives %v, want invalidFilter", err)
	}
}

func TestEqualities(t *testing.T) {
	for in, want := range map[string]string{
		`userName eq "Ana"`:                                      "userName=Ana",
		`USERNAME EQ "Ana" and title pr`:                         "userName=Ana",
		`id eq "g1" and ` + ent + `:manager eq "m"`:              "id=g1 " + ent + ":manager.value=m",
		`emails[type eq "work"].value eq "x"`:                    "emails.type=work emails.value=x",
		`emails[type eq "work" and value eq "x"]`:                "emails.type=work emails.value=x",
		`emails eq "x"`:                                          "emails.value=x",
		`emails.value eq "x" and (externalId eq "e")`:            "emails.value=x externalId=e",
		`userName eq "a" or userName eq "b"`:                     "",
		`not (userName eq "a")`:                                  "",
		`userName ne "a" and userName co "b" and active eq true`: "",
		`userName eq "a" and (title eq "b" or title eq "c")`:     "userName=a",
		`emails[value eq "x" or value eq "y"]`:                   "",
		`emails[not (value eq "x")]`:                             "",
		`userName eq null`:                                       "",
		`meta.created eq "2011-05-13T04:42:34Z" and id eq "x"`:   "id=x",
		ent + `:employeeNumber eq 7`:                             ent + ":employeeNumber=7",
		`shoeSize eq "9" and userName eq "a"`:                    "", // nobody matches
		`shoeSize ne "9" and userName eq "a"`:                    "userName=a",
		`meta.resourceType eq "User" and userName eq "a"`:        "userName=a",
	} {
		b, err := filter.Bind(mustParse(in), schema.User, schema.Compat)
		if err != nil {
			t.Errorf("Bind(%q) fails: %v", in, err)
			continue
		}
		var got []string
		for _, e := range b.Equalities() {
			got = append(got, e.Path+"="+e.Value)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("Equalities of %s = %q, want %q", in, s, want)
		}
	}
}

func TestExact(t *testing.T) {
	for in, want := range map[string]bool{
		`id eq "g1"`:                             true,
		`id eq "g1" and members eq "u"`:          true,
		`members[value eq "u" and value eq "v"]`: true,
		`members[value eq "u"].type eq "User"`:   true,
		`id eq "g1" and displayName pr`:          false,
		`id eq null`:                             false,
		`id eq "g1" or id eq "g2"`:               false,
		`not (id eq "g1")`:                       false,
		`id eq "g1" and members[value co "u"]`:   false,
		`id eq "g1" and shoeSize eq 9`:           false,
		`meta.created eq "2011-05-13T04:42:34Z"`: false,
	} {
		b, err := filter.Bind(mustParse(in), schema.Group, schema.Compat)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Exact(); got != want {
			t.Errorf("%s: Exact() = %t", in, got)
		}
	}
}

func TestNamed(t *testing.T) {
	for in, want := range map[string]string{
		`displayName eq "x"`: "[]",
		`members eq "a"`:     "[a]",
		`MEMBERS.VALUE eq "a" and displayName sw "x"`:          "[a]",
		`members.value eq "a" or not (members.value eq "b")`:   "[a b]",
		`members[value eq "a" and type eq "User"]`:             "[a]",
		`members[value eq "a"].type ne "User"`:                 "[a]",
		`members[type pr and value eq "a"] or externalId pr`:   "[a]",
		`members[value eq "a"] and members.type eq "User"`:     "",
		`members[value eq "a" or type eq "User"]`:              "",
		`members[value eq "a" or value eq "b"]`:                "[a b]",
		`members[type pr and (value eq "a" or value eq "b")]`:  "[a b]",
		`members[(value eq "a" or value eq "b") and type pr]`:  "[a b]",
		`members[value eq "a" or value eq "b" and type pr]`:    "[a b]",
		`members[value eq "a" or not (value eq "b")]`:          "",
		`members[(value eq "a" or type pr) and value eq "b"]`:  "[b]",
		`members[not (value eq "a")]`:                          "",
		`members[value ne "a"]`:                                "",
		`members ne "a"`:                                       "",
		`members pr`:                                           "",
		`members eq null`:                                      "",
		`members.value sw "a"`:                                 "",
		`members.type eq "User"`:                               "",
		`displayName pr and (members eq "a" or members pr)`:    "",
		`meta.resourceType eq "Group" and members.value pr`:    "",
		`not (members[value eq "a" and $ref co "/"]) or id pr`: "[a]",
	} {
		b, err := filter.Bind(mustParse(in), schema.Group, schema.Compat)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if names, all := b.Named("members"); all {
			got = fmt.Sprint(names)
		}
		if got != want {
			t.Errorf("%s names the members %q, want %q", in, got, want)
		}
	}
}

// TestNamedAreEnough: a group that holds of its members only those whom the
// filter names is matched as the group with all of them.
func TestNamedAreEnough(t *testing.T) {
	ids := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		compare := func(path string) string {
			op := rapid.SampledFrom([]string{"eq", "eq", "eq", "ne", "sw"}).Draw(t, "op")
			return path + " " + op + ` "` + rapid.SampledFrom(ids).Draw(t, "id") + `"`
		}
		// expression joins what leaf makes.
		var expression func(depth int, leaf func() string) string
		expression = func(depth int, leaf func() string) string {
			kind := rapid.SampledFrom([]string{"leaf", "leaf", "and", "or", "not"}).Draw(t, "kind")
			switch {
			case kind == "leaf" || depth == 0:
				return leaf()
			case kind == "not":
				return "not (" + expression(depth-1, leaf) + ")"
			}
			return "(" + expression(depth-1, leaf) + " " + kind + " " + expression(depth-1, leaf) + ")"
		}
		part := func() string {
			if rapid.Bool().Draw(t, "by type") {
				return `type eq "Group"`
			}
			return compare("value")
		}
		in := expression(2, func() string {
			switch rapid.SampledFrom([]string{"brackets", "members", "name"}).Draw(t, "leaf") {
			case "brackets":
				return "members[" + expression(2, part) + "]"
			case "members":
				return compare("members")
			}
			return `displayName eq "Team"`
		})
		b, err := filter.Bind(mustParse(in), schema.Group, schema.Strict)
		if err != nil {
			t.Fatal(err)
		}
		names, all := b.Named("members")
		if !all {
			return
		}
		var everybody, named []value.Value
		for _, id := range rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID[string]).Draw(t, "members") {
			m := value.Obj(value.M("value", value.Str(id)), value.M("type", value.Str(rapid.SampledFrom([]string{"User", "Group"}).Draw(t, "type"))))
			everybody = append(everybody, m)
			if slices.Contains(names, id) {
				named = append(named, m)
			}
		}
		match := func(members []value.Value) bool {
			left := filter.MaxWork
			return b.Match(value.Obj(value.M("displayName", value.Str("Team")), value.M("members", value.Arr(members...))), &left)
		}
		if match(everybody) != match(named) {
			t.Errorf("%s, which names %v, is %v of a group with all its members and %v of one with those", in, names, match(everybody), match(named))
		}
	})
}

// What every resource of a type has, or none of them, is known without looking.
func TestConstants(t *testing.T) {
	types := []*schema.ResourceType{schema.User, schema.Group, schema.Role}
	for _, c := range []struct {
		in     string
		strict bool   // taken in Strict too
		want   string // for each type: all, none, or what must be looked at
	}{
		{`meta.resourceType eq "User"`, true, "all none none"},
		{`meta.resourceType eq "user"`, true, "none none none"}, // caseExact
		{`meta.resourceType ne "User"`, true, "none all all"},
		{`meta.resourceType eq "User" or meta.resourceType eq "Group"`, true, "all all none"},
		{`not (meta.resourceType eq "User")`, true, "none all all"},
		{`meta.resourceType sw "G" and displayName pr`, true, "none look none"},
		{`meta.resourceType eq "Group" or displayName pr`, true, "look all look"},
		{`meta.resourceType pr`, true, "look look look"},
		{`userName eq "a"`, true, "look none none"},
		{`userName ne "a"`, true, "look all all"},
		{`userName eq null`, true, "look all all"},
		{`userName pr or members pr`, true, "look look none"},
		{`members[value eq "u"]`, true, "none look none"},
		{`emails[type eq "work"].value eq "a"`, true, "look none none"},
		{`not (userName pr)`, true, "look all all"},
		{`displayName co "x"`, true, "look look look"},
		{`shoeSize eq 9`, false, "none none none"},
		{`emails[size eq 9]`, false, "none none none"},
		{`id pr and (userName pr or active eq true)`, true, "look none none"},
	} {
		for _, m := range []schema.Mode{schema.Compat, schema.Strict, schema.Interop} {
			bound, err := filter.BindAcross(mustParse(c.in), types, m)
			if m != schema.Compat && !c.strict {
				if !fault.Coded(err, fault.InvalidFilter) {
					t.Errorf("%s: BindAcross(%q) = %v, want invalidFilter: no type has that", m, c.in, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: BindAcross(%q) fails: %v", m, c.in, err)
				continue
			}
			var got []string
			for _, b := range bound {
				switch {
				case b.Always():
					got = append(got, "all")
				case b.Never():
					got = append(got, "none")
				default:
					got = append(got, "look")
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%s: %s is, by type, %q; want %q", m, c.in, s, c.want)
			}
		}
	}
	for _, in := range []string{`active gt true`, `meta.resourceType eq "Group" and active gt true`, `name eq "x"`} {
		if _, err := filter.BindAcross(mustParse(in), types, schema.Strict); !fault.Coded(err, fault.InvalidFilter) {
			t.Errorf("BindAcross(%q) = %v, want invalidFilter", in, err)
		}
	}
}

// What eq takes for the same is neither more nor less, though it is spelled
// otherwise.
func TestOrderAgreesWithEquality(t *testing.T) {
	u := resource(t, user)
	for in, want := range map[string]bool{
		`userName ge "ANA.RUIZ@CORP.TEST "`: true, `userName le " Ana.Ruiz@corp.test"`: true,
		`userName gt "ANA.RUIZ@CORP.TEST"`: false, `userName lt "ANA.RUIZ@CORP.TEST "`: false,
		`id ge "u1ab"`: false, `id lt "u1ab"`: true, `id le "u1Ab"`: true,
		`schemas ge "` + strings.ToUpper(ent) + `"`: true,
	} {
		b, err := filter.Bind(mustParse(in), schema.User, schema.Strict)
		if err != nil {
			t.Errorf("Bind(%q) fails: %v", in, err)
		} else if got := matches(b, u); got != want {
			t.Errorf("%s matches: %t", in, got)
		}
	}
}

// TestBudget: what is compared is counted, and where there is no more to spend
// nothing is compared.
func TestBudget(t *testing.T) {
	ascii, other := strings.Repeat("a", 1000), strings.Repeat("é", 500)
	for _, c := range []struct {
		title, filter string
		want          int
	}{
		{ascii, `title co "x"`, 64 + 1000 + 1},
		{other, `title co "x"`, 64 + 64*1000 + 1},
		{"a", `title eq "` + other + `"`, 64 + 1 + 64*1000},
		{ascii, `title co "x" or title co "yy"`, 2*(64+1000) + 3},
		{ascii, `title co "a" or title co "yy"`, 64 + 1000 + 1},
		{ascii, `title pr`, 64},
		{ascii, `roles pr`, 64},
		{ascii, `emails pr`, 64 + 2*8},
		{ascii, `emails co "x"`, 64 + 2*8 + 2*(3+1)},
		{ascii, `emails[value co "x"]`, 2 * (64 + 3 + 1)},
		{ascii, `active eq true`, 64},
		{ascii, `meta.resourceType eq "User"`, 0},
	} {
		b, err := filter.Bind(mustParse(c.filter), schema.User, schema.Strict)
		if err != nil {
			t.Fatal(err)
		}
		u := resource(t, `{"userName":"u","title":"`+c.title+`","active":true,"emails":[{"value":"a@b"},{"value":"c@d"}]}`)
		left := filter.MaxWork
		b.Match(u, &left)
		if got := int(filter.MaxWork - left); got != c.want {
			t.Errorf("%.40s spends %d on a title of %d bytes, want %d", c.filter, got, len(c.title), c.want)
		}
		left = filter.Budget(c.want)
		if b.Match(u, &left); left.Err() != nil {
			t.Errorf("%.40s with as much as it takes = %v", c.filter, left.Err())
		}
		if left = filter.Budget(c.want - 1); c.want > 0 {
			if b.Match(u, &left); !fault.Coded(left.Err(), fault.TooMany) {
				t.Errorf("%.40s with one byte too few = %v, want tooMany", c.filter, left.Err())
			}
		}
	}
}

func TestUses(t *testing.T) {
	for in, want := range map[string]string{
		`id eq "g1" and members eq "u"`: "members", `not (members[value eq "u"])`: "members", `displayName eq "x"`: "",
		`displayName pr or members.value pr`: "members", `urn:ietf:params:scim:schemas:core:2.0:Group:MEMBERS pr`: "members",
	} {
		b, err := filter.Bind(mustParse(in), schema.Group, schema.Compat)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Uses("members"); got != (want == "members") {
			t.Errorf("%s: Uses(members) = %t", in, got)
		}
	}
}

func TestBindElement(t *testing.T) {
	ref, _ := schema.User.Resolve("emails", schema.Compat)
	v := resource(t, `{"value":"a@b","type":"work"}`)
	for _, c := range []struct {
		in    string
		match bool
		terms string
		only  bool
	}{
		{`type eq "work"`, true, `[{"type":"work"}]`, true},
		{`type eq "home"`, false, `[{"type":"home"}]`, true},
		{`type eq "work" and primary eq "true"`, false, `[{"type":"work"},{"primary":true}]`, true},
		{`type eq "work" and value ew "b"`, true, `[{"type":"work"}]`, false},
		{`type eq "work" or type eq "home"`, true, `[]`, false},
		{`not (type eq "home")`, true, `[]`, false},
		{`display eq null`, true, `[]`, false},
	} {
		b, err := filter.BindElement(mustParse(c.in), ref, schema.Compat)
		if err != nil {
			t.Errorf("BindElement(%q) fails: %v", c.in, err)
			continue
		}
		if matches(b, v) != c.match {
			t.Errorf("%s matches: %t", c.in, !c.match)
		}
		terms, only := b.Terms()
		var got []value.Value
		for _, m := range terms {
			got = append(got, value.Obj(m))
		}
		if s := string(value.Arr(got...).Append(nil)); s != c.terms || only != c.only {
			t.Errorf("Terms of %s = %s, %t; want %s, %t", c.in, s, only, c.terms, c.only)
		}
	}
	for _, in := range []string{`size eq 9`, `primary gt true`, `emails.value eq "x"`} {
		if _, err := filter.BindElement(mustParse(in), ref, schema.Compat); !fault.Coded(err, fault.InvalidFilter) {
			t.Errorf("BindElement(%q) = %v, want invalidFilter", in, err)
		}
	}
}

// laws checks what holds of every filter on every resource, whatever it says.
func laws(t *testing.T, e filter.Expr, rt *schema.ResourceType, m schema.Mode, u value.Value) {
	match := func(e filter.Expr) bool {
		b, err := filter.Bind(e, rt, m)
		if err != nil {
			t.Fatalf("%s: %s cannot be bound, though its parts can: %v", m, e, err)
		}
		if got := matches(b, u); b.Always() && !got || b.Never() && got {
			t.Fatalf("%s: %s matches: %t, and is known to be otherwise for every %s", m, e, got, rt.Name)
		}
		return matches(b, u)
	}
	got := match(e)
	if match(filter.Not{Term: e}) == got || match(filter.Not{Term: filter.Not{Term: e}}) != got {
		t.Fatalf("%s: %s and its negation both give %t", m, e, got)
	}
	inside := func(terms []filter.Expr) []filter.Expr {
		out := make([]filter.Expr, len(terms))
		for i, term := range terms {
			out[i] = filter.Not{Term: term}
			laws(t, term, rt, m, u)
		}
		return out
	}
	switch e := e.(type) {
	case filter.And:
		if match(filter.Not{Term: filter.Or{Terms: inside(e.Terms)}}) != got {
			t.Fatalf("%s: %s gives %t, by De Morgan the contrary", m, e, got)
		}
	case filter.Or:
		if match(filter.Not{Term: filter.And{Terms: inside(e.Terms)}}) != got {
			t.Fatalf("%s: %s gives %t, by De Morgan the contrary", m, e, got)
		}
	case filter.Not:
		laws(t, e.Term, rt, m, u)
	case filter.Compare:
		ordered(t, e, rt, m, u)
	}
}

// ordered checks that the comparisons of one value agree with each other.
func ordered(t *testing.T, e filter.Compare, rt *schema.ResourceType, m schema.Mode, u value.Value) {
	ref, ok := rt.Find(e.Path, m, new(schema.Report))
	if !ok || ref.Attr == nil || ref.Attr.MultiValued || e.Op == filter.Pr || e.With.Kind() == value.Null {
		return
	}
	is := map[filter.Op]bool{}
	for _, op := range []filter.Op{filter.Eq, filter.Ne, filter.Gt, filter.Ge, filter.Lt, filter.Le} {
		b, err := filter.Bind(filter.Compare{Path: e.Path, Op: op, With: e.With}, rt, m)
		if err != nil {
			return // a boolean has no order, and not every text is a time
		}
		is[op] = matches(b, u)
	}
	has, err := filter.Bind(filter.Compare{Path: e.Path, Op: filter.Pr}, rt, m)
	if err != nil {
		t.Fatal(err)
	}
	one := 0
	for _, op := range []filter.Op{filter.Lt, filter.Eq, filter.Gt} {
		if is[op] {
			one++
		}
	}
	if is[filter.Eq] == is[filter.Ne] || matches(has, u) && one != 1 || !matches(has, u) && one > 1 ||
		is[filter.Ge] != (is[filter.Gt] || is[filter.Eq]) || is[filter.Le] != (is[filter.Lt] || is[filter.Eq]) {
		t.Fatalf("%s: %s compares as %v", m, e, is)
	}
}

// FuzzMatch: what an index lookup narrows down to must hold every match, the
// laws of logic and of order hold, and nothing may panic.
func FuzzMatch(f *testing.F) {
	for _, s := range rfc {
		f.Add(s)
	}
	f.Add(`emails[type eq "work"].value eq "ana@example.com" and userName eq "ANA.RUIZ@corp.test"`)
	u, g := resource(f, user), resource(f, group)
	f.Fuzz(func(t *testing.T, s string) {
		e, err := filter.Parse(s)
		if err != nil {
			return
		}
		for _, m := range []schema.Mode{schema.Compat, schema.Strict} {
			b, err := filter.Bind(e, schema.User, m)
			if err != nil {
				if !fault.Coded(err, fault.InvalidFilter) {
					t.Fatalf("Bind(%q) fails with %v", s, err)
				}
				continue
			}
			got := matches(b, u)
			laws(t, e, schema.User, m, u)
			// Over several types a user matches as before; a group may match too.
			across, err := filter.BindAcross(e, []*schema.ResourceType{schema.User, schema.Group}, m)
			if err == nil && matches(across[0], u) != got {
				t.Fatalf("%s: %q gives %t for a user, among several types the contrary", m, s, got)
			} else if err == nil {
				matches(across[1], g)
			} else if !fault.Coded(err, fault.InvalidFilter) {
				t.Fatalf("BindAcross(%q) fails with %v", s, err)
			}
			for _, eq := range b.Equalities() {
				lit := string(value.AppendString(nil, eq.Value))
				one, err := filter.Parse(eq.Path + " eq " + lit)
				if err != nil {
					continue
				}
				ob, err := filter.Bind(one, schema.User, m)
				if err != nil {
					t.Fatalf("%q has an equality on %s that cannot be bound: %v", s, eq.Path, err)
				}
				if got && !matches(ob, u) {
					t.Fatalf("%q matches, but its equality %s = %q does not", s, eq.Path, eq.Value)
				}
			}
		}
	})
}

func TestEveryModeTakesTheRFCsFilters(t *testing.T) {
	for _, in := range rfc {
		for _, m := range []schema.Mode{schema.Compat, schema.Strict, schema.Interop} {
			if _, err := filter.Bind(mustParse(in), schema.User, m); err != nil {
				t.Errorf("%s: Bind(%q) fails: %v", m, in, err)
			}
		}
	}
}

func BenchmarkParseBindMatch(b *testing.B) {
	u := resource(b, user)
	for _, in := range []string{`userName eq "ana.ruiz@corp.test"`, `emails[type eq "work" and value co "@example.com"]`} {
		b.Run(fmt.Sprint(len(in)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := filter.Parse(in)
				if err != nil {
					b.Fatal(err)
				}
				bound, err := filter.Bind(e, schema.User, schema.Compat)
				if err != nil || !matches(bound, u) {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	u := resource(b, user)
	for _, in := range []string{`userName eq "ana.ruiz@corp.test"`, `title co "engin" and not (emails[type eq "other"])`} {
		b.Run(fmt.Sprint(len(in)), func(b *testing.B) {
			bound, err := filter.Bind(mustParse(in), schema.User, schema.Compat)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !matches(bound, u) {
					b.Fatal("no match")
				}
			}
		})
	}
}
