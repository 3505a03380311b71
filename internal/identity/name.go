package identity

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Fold returns the form under which two names are the same name: the mappings
// of PRECIS UsernameCaseMapped (RFC 8265 §3.3: width, case, NFC), without its
// refusals, since a directory's names are stored as they come. Leading and
// trailing white space does not tell names apart. Unlike there, NFC comes before
// case too: without it the iota subscript folds by the order of its marks
// (The Unicode Standard, D145); and what is invisible does not count.
func Fold(name string) string {
	if ascii(name) {
		return strings.ToLower(strings.TrimSpace(name))
	}
	shown := strings.TrimSpace(strings.Map(visible, name))
	wide := norm.NFC.String(width.Fold.String(shown))
	// Lower case once more: case folding maps the two cases of Cherokee onto each
	// other.
	return norm.NFC.String(strings.ToLower(cases.Fold().String(wide)))
}

// visible drops what no reader sees, which PRECIS disallows in names: without it
// a zero-width space would make a second "ada".
func visible(r rune) rune {
	if unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
		return -1
	}
	return r
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Stage is where a user stands, derived from two facts: what the directory
// says (active) and what the person did (activated).
type Stage string

const (
	Invited   Stage = "invited"   // active by the directory, no password yet
	Active    Stage = "active"    // active and activated
	Suspended Stage = "suspended" // not active by the directory; keeps everything
	Deleted   Stage = "deleted"   // a tombstone is all that stays
)

// StageOf derives the stage of a user who is not deleted.
func StageOf(active, activated bool) Stage {
	switch {
	case !active:
		return Suspended
	case !activated:
		return Invited
	}
	return Active
}
