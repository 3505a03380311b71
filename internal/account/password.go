package account

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"gatehouse/internal/org"
	"gatehouse/internal/roster"
)

// Length of a password in code points, counted after normalization. NIST SP
// 800-63B-4 §3.1.1.2 asks for 15 where the password is the only factor.
const (
	MinPassword = 15
	MaxPassword = 256
)

// Rule is what a password can fail. The zero Rule is none.
type Rule uint8

const (
	_            Rule = iota
	RuleShort         // fewer than MinPassword characters
	RuleLong          // more than MaxPassword
	RuleCommon        // one or two words of the bundled list, or a simple pattern
	RulePersonal      // made of the user's own address or name, or of the organization's
)

// PasswordError says which rule a new password fails: the page tells it in the
// reader's language.
type PasswordError struct{ Rule Rule }

func (e *PasswordError) Error() string {
	return "the password fails rule " + [...]string{"none", "short", "long", "common", "personal"}[e.Rule]
}

// normalize is the mapping of PRECIS OpaqueString (RFC 8265 §4.2.1) without its
// refusals: any space is a space, and NFC.
func normalize(password string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, password))
}

// CheckPassword returns a *PasswordError for a password that is not to be
// created, nil for any other. There are no rules of composition.
func CheckPassword(password string, o *org.Org, u *roster.User) error {
	password = normalize(password)
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		return &PasswordError{RuleShort}
	case n > MaxPassword:
		return &PasswordError{RuleLong}
	}
	whole := cases.Fold().String(password)
	bare := letters(whole)
	if made(bare, personal(o, u)) {
		return &PasswordError{RulePersonal}
	}
	// Few letters between many signs say nothing about the whole.
	letters := 2*utf8.RuneCountInString(bare) >= utf8.RuneCountInString(whole)
	if simple(whole) || letters && simple(bare) {
		return &PasswordError{RuleCommon}
	}
	return nil
}

// letters drops what is neither a letter, a mark nor a digit, so that
// "pass-word pass-word" is the word that it repeats.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.L, unicode.M, unicode.N) {
			return r
		}
		return -1
	}, s)
}

// maxTrivial is the length of a unit that is guessed at once when it repeats.
const maxTrivial = 4

// simple reports whether the folded text is one common word or two, repeats a
// common word or a few characters, or is a run such as "abcdefghijklmno".
func simple(s string) bool {
	runes := []rune(s)
	if run(runes) || common(s) {
		return true
	}
	if unit := period(runes); unit < len(runes) && (unit <= maxTrivial || common(string(runes[:unit]))) {
		return true
	}
	for i := range s {
		if common(s[:i]) && common(s[i:]) {
			return true
		}
	}
	return false
}

// period returns the length of the shortest unit that the text repeats, the
// last time perhaps in part; the text's own length if it repeats nothing.
func period(s []rune) int {
	if len(s) == 0 {
		return 0
	}
	border := make([]int, len(s)) // of each prefix: its longest proper prefix that is its suffix too
	for i, k := 1, 0; i < len(s); i++ {
		for k > 0 && s[i] != s[k] {
			k = border[k-1]
		}
		if s[i] == s[k] {
			k++
		}
		border[i] = k
	}
	return len(s) - border[len(s)-1]
}

// run reports whether each character follows the one before it, upwards or
// downwards.
func run(s []rune) bool {
	if len(s) < 2 || s[1]-s[0] != 1 && s[1]-s[0] != -1 {
		return false
	}
	for i := 2; i < len(s); i++ {
		if s[i]-s[i-1] != s[1]-s[0] {
			return false
		}
	}
	return true
}

// words holds one word a line, in byte order: it is searched where it lies, so
// that a program that never checks a password pays nothing for it.
//
//go:embed words/words.txt
var words string

// common reports whether the folded text is a word of the list.
func common(s string) bool {
	if len(s) < 4 || len(s) > 40 {
		return false
	}
	lo, hi := 0, len(words)
	for lo < hi {
		mid := lo + (hi-lo)/2
		start := strings.LastIndexByte(words[lo:mid], '\n') + 1 + lo
		end := start + strings.IndexByte(words[start:], '\n')
		switch strings.Compare(words[start:end], s) {
		case 0:
			return true
		case -1:
			lo = end + 1
		default:
			hi = start
		}
	}
	return false
}

// maxPersonal bounds what a directory can make the check look at.
const maxPersonal = 64

// personal returns the words, bare and folded, that tell nobody who knows the
// user anything new: addresses and names, whole and in their parts.
func personal(o *org.Org, u *roster.User) []string {
	var out []string
	add := func(s string) {
		if r := []rune(s); len(r) > MaxPassword {
			s = string(r[:MaxPassword])
		}
		s = cases.Fold().String(norm.NFC.String(s))
		for _, w := range append(strings.FieldsFunc(s, func(r rune) bool { return letters(string(r)) == "" }), s) {
			if w = letters(w); utf8.RuneCountInString(w) >= 2 && len(out) < maxPersonal && !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	add(u.Email())
	add(u.UserName())
	add(u.Name())
	add(o.Name)
	add(o.Slug)
	name := u.Doc().Get("name")
	for _, part := range []string{"givenName", "familyName", "formatted"} {
		add(name.Get(part).Text())
	}
	add(u.Doc().Get("nickName").Text())
	return out
}

// made reports whether the text is made of the words and nothing else.
func made(s string, words []string) bool {
	reach := make([]bool, len(s)+1)
	reach[0] = s != ""
	for i := range s {
		if !reach[i] {
			continue
		}
		for _, w := range words {
			if strings.HasPrefix(s[i:], w) {
				reach[i+len(w)] = true
			}
		}
	}
	return reach[len(s)]
}
