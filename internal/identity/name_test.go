package identity_test

import (
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"gatehouse/internal/identity"
)

func TestFold(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"ada@example.com", "ADA@Example.COM", true},
		{" ada ", "ada", true},
		{"\u00a0ada\u3000", "ada", true},
		{"ada", "a da", false},
		{"Jürgen", "JÜRGEN", true},
		{"Ju\u0308rgen", "jürgen", true},
		{"Straße", "STRASSE", true},
		{"ａｄａ", "ADA", true}, // full width, as Japanese keyboards give it
		{"ΣΊΣΥΦΟΣ", "σίσυφος", true},
		{"\u212aelvin", "kelvin", true},
		{"α\u0345\u0301", "α\u0301\u0345", true}, // canonically equivalent orders
		{"ada", "аda", false},                    // the first letter is Cyrillic
		{"ı", "i", false},                        // Turkish: another letter
		{"", " ", true},
		{"a\u200bda", "ada", true}, // zero-width space
		{"\u202eada", "ada", true}, // right-to-left override
		{"\u200b ada", "ada", true},
	} {
		if got := identity.Fold(c.a) == identity.Fold(c.b); got != c.same {
			t.Errorf("Fold(%q) = %q and Fold(%q) = %q: the same is %v, want %v", c.a, identity.Fold(c.a), c.b, identity.Fold(c.b), got, c.same)
		}
	}
}

// FuzzFold: a folded name is its own fold, and forms that Unicode calls
// equivalent are one name.
func FuzzFold(f *testing.F) {
	for _, s := range []string{"Ada", "Jürgen", "ｶﾞ", "ﬃ", "İ", "α\u0345\u0301", "ΌΣΟΣ", "\u1e9e", "\u212b", "ᾴ", "\u0130\u0307", "Ա\u0587"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			folds(t, s)
		}
	})
}

func TestFoldIsSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { folds(t, rapid.String().Draw(t, "name")) })
}

func folds(t interface{ Errorf(string, ...any) }, s string) {
	once := identity.Fold(s)
	if twice := identity.Fold(once); twice != once {
		t.Errorf("Fold(%+q) = %+q, which folds to %+q", s, once, twice)
	}
	for _, form := range []norm.Form{norm.NFC, norm.NFD} {
		if got := identity.Fold(form.String(s)); got != once {
			t.Errorf("Fold(%+q) = %+q, but in another form of Unicode %+q", s, once, got)
		}
	}
}
