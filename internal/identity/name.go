package identity

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Fold returns the form under which two names are the same name: the mappings
// of PRECIS UsernameCaseMapped (RFC 8265 §3.3: width, case, NFC), without its
// refusals, since a directory's names are stored as they come. Leading and
// trailing white space does not tell names apart. Unlike there, NFC comes before
// case too: without it the iota subscript folds by the order of its marks
// (The Unicode Standard, D145).
func Fold(name string) string {
	if ascii(name) {
		return strings.ToLower(strings.TrimSpace(name))
	}
	wide := norm.NFC.String(width.Fold.String(strings.TrimSpace(name)))
	return norm.NFC.String(cases.Fold().String(wide))
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
