package account

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
)

func erika() (*org.Org, *roster.User) {
	u := &roster.User{}
	u.SetDoc(value.Obj(
		value.M("userName", value.Str("erika.mustermann@hohenschwangau.example")),
		value.M("displayName", value.Str("Dr. Erika Mustermann")),
		value.M("name", value.Obj(value.M("givenName", value.Str("Erika")), value.M("familyName", value.Str("Mustermann")))),
		value.M("nickName", value.Str("Riki")),
	), 0)
	return &org.Org{Name: "Königliche Bäckerei GmbH", Slug: "koenigliche-baeckerei"}, u
}

func TestCheckPassword(t *testing.T) {
	o, u := erika()
	for _, c := range []struct {
		password string
		want     Rule
	}{
		{"", RuleShort},
		{"fourteen chars", RuleShort},
		{"e\u0301\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", RuleShort}, // 15 code points and more as typed, 9 as normalized
		{"korrekt pferd b", 0},
		{"ein pferd frisst", 0},
		{"              ", RuleShort},
		{"               ", RuleCommon},
		{"!!!!!!!!!!!!!!!", RuleCommon},
		{"🐴🔋📎✅🐴🔋📎✅🐴🔋📎✅🐴🔋📎", RuleCommon},
		{"🐴🔋📎✅🍏🌊🚲🎻🪵🧦🧊🪁🥨🪴🛶", 0},
		{"🐴 pferd 🔋 batterie 📎", 0},
		{"aa!#%&/()=?+*'_", 0},
		{"password!!!!!!!", RuleCommon},
		{"!!!!!!!password!!!!!!!", 0}, // signs outweigh the word
		{strings.Repeat("Ab9 ", 64), RuleCommon},
		{strings.Repeat("x7!kQ", 51) + "y", 0},
		{strings.Repeat("ä", 257), RuleLong},
		{strings.Repeat("x7!kQ ", 43), RuleLong},

		{"aaaaaaaaaaaaaaa", RuleCommon},
		{"abcdefghijklmno", RuleCommon},
		{"ponmlkjihgfedcba", RuleCommon},
		{"123456789012345", RuleCommon},
		{"qwertyuiopqwertyuiop", RuleCommon},
		{"passwordpassword", RuleCommon},
		{"Password Password", RuleCommon},
		{"pass-word-pass-word", RuleCommon},
		{"password1234567", RuleCommon}, // two words of the list
		{"PASSWORD!qwerty!", RuleCommon},
		{"internationalization", RuleCommon},
		{"superman superman superman", RuleCommon},
		{"password horse battery", 0},
		{"correct horse battery staple", 0},

		{"erika.mustermann@hohenschwangau.example", RulePersonal},
		{"erika.mustermann", RulePersonal},
		{"ERIKA MUSTERMANN", RulePersonal},
		{"mustermannmustermann", RulePersonal},
		{"Erika-Erika-Erika", RulePersonal},
		{"riki riki riki riki", RulePersonal},
		{"Königliche Bäckerei", RulePersonal},
		{"koenigliche-baeckerei", RulePersonal},
		{norm.NFD.String("Königliche Bäckerei"), RulePersonal},
		{"Erika mag Zitronenkuchen", 0},
	} {
		err := CheckPassword(c.password, o, u)
		var refused *PasswordError
		got := Rule(0)
		if errors.As(err, &refused) {
			got = refused.Rule
		} else if err != nil {
			t.Fatalf("CheckPassword(%q) = %v, want a *PasswordError", c.password, err)
		}
		if got != c.want {
			t.Errorf("CheckPassword(%q) fails rule %d, want %d", c.password, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(words, "\n"), "\n")
	if len(lines) < 50_000 {
		t.Fatalf("the list has %d words, want 50,000 and more", len(lines))
	}
	if !slices.IsSorted(lines) {
		t.Error("the list is not in byte order: it cannot be searched")
	}
	for _, w := range append(lines[:200:200], lines[len(lines)-200:]...) {
		if !common(w) {
			t.Errorf("common(%q) = false, want true: it is in the list", w)
		}
		if common(w + "\x01") {
			t.Errorf("common(%q) = true, want false", w+"\x01")
		}
	}
	for _, w := range []string{"", "a", "!", "~~~~~~", "zzzzzzzzzzzzzzzzzzzzzz", strings.Repeat("a", 1000)} {
		if common(w) {
			t.Errorf("common(%q) = true, want false", w)
		}
	}
}

// The verdict does not depend on how the same characters are written, nor on
// anything but the rules: a password that is refused as too short never passes
// by being another form of itself.
func TestCheckPasswordNormalizes(t *testing.T) {
	o, u := erika()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringN(0, 300, 1000).Draw(t, "password")
		a, b := CheckPassword(norm.NFC.String(p), o, u), CheckPassword(norm.NFD.String(p), o, u)
		if (a == nil) != (b == nil) || a != nil && a.Error() != b.Error() {
			t.Fatalf("CheckPassword(%q) = %v, its decomposed form %v", p, a, b)
		}
		if n := utf8.RuneCountInString(normalize(p)); a == nil && (n < MinPassword || n > MaxPassword) {
			t.Fatalf("CheckPassword(%q) = nil, and it has %d characters", p, n)
		}
	})
}

// Whatever repeats a unit is found to repeat it, at that unit's length or a
// shorter one.
func TestPeriod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SliceOfN(rapid.RuneFrom([]rune("ab")), 1, 9).Draw(t, "unit")
		n := rapid.IntRange(1, 40).Draw(t, "length")
		var s []rune
		for len(s) < n {
			s = append(s, unit...)
		}
		s = s[:n]
		p := period(s)
		if p < 1 || p > len(unit) && p > n {
			t.Fatalf("period(%q) = %d, want at most %d", string(s), p, min(len(unit), n))
		}
		for i := p; i < n; i++ {
			if s[i] != s[i-p] {
				t.Fatalf("period(%q) = %d, which it does not repeat", string(s), p)
			}
		}
	})
}
