package courier

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

const (
	maxName    = 64  // characters shown of a name
	maxOrgName = 100 // characters shown of an organization's name
)

// plain makes hostile text fit to stand in a subject and in text that mail
// programs search for links: one line, no controls, nothing invisible, no
// marks that turn the direction of writing, at most limit characters, and
// nothing left that a program would make clickable.
func plain(s string, limit int) string {
	s = strings.ToValidUTF8(s, "")
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			space = b.Len() > 0
			continue
		}
		// Format characters (bidi controls, zero-width joints, tags), private
		// use, and what is not assigned: none is needed to read a name.
		if unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs) || !unicode.IsPrint(r) {
			continue
		}
		if n++; n > limit {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return unlink(b.String())
}

// decimal reports the one use of a dot inside a word that nobody takes for a
// link: one to four digits on each side.
func decimal(word string) bool {
	whole, part, dot := strings.Cut(word, ".")
	return dot && short(whole) && short(part)
}

func short(digits string) bool {
	return len(digits) >= 1 && len(digits) <= 4 && strings.Trim(digits, "0123456789") == ""
}

// unlink sets a space behind every dot, colon and backslash and around every @,
// where none is, so that "evil.example/x" reads as words, and "J.Doe" as a
// person. A slash makes no link by itself.
func unlink(s string) string {
	if !strings.ContainsAny(s, ".:@\\。．｡․：＠") {
		return s
	}
	words := strings.Split(s, " ")
	for i, w := range words {
		if decimal(w) {
			continue
		}
		var b strings.Builder
		for j, r := range w {
			last := j+utf8.RuneLen(r) == len(w)
			switch r {
			case '.', ':', '\\', '。', '．', '｡', '․', '：':
				b.WriteRune(r)
				if !last {
					b.WriteByte(' ')
				}
			case '@', '＠':
				b.WriteString(" @ ")
			default:
				b.WriteRune(r)
			}
		}
		words[i] = b.String()
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// isolated sets marks around a name that has letters written from right to
// left, so that it does not turn the words beside it; for text without markup.
func isolated(s string) string {
	for _, r := range s {
		p, _ := bidi.LookupRune(r)
		if c := p.Class(); c == bidi.R || c == bidi.AL || c == bidi.AN {
			return "\u2068" + s + "\u2069"
		}
	}
	return s
}

// greeted is how to address a person; empty where the directory has no name
// but an address or a link.
func greeted(s string) string {
	if strings.ContainsAny(s, "@＠") || strings.Contains(s, "://") {
		return ""
	}
	return plain(s, maxName)
}

// usable reports whether a mail can be addressed so (RFC 5321 §4.1.2 without
// quoted strings and address literals, and RFC 6531's letters beyond ASCII).
func usable(addr string) bool {
	at := strings.LastIndexByte(addr, '@')
	if at < 1 || at > 64 || len(addr) > 254 || !utf8.ValidString(addr) {
		return false
	}
	for _, atom := range strings.Split(addr[:at], ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return !letter(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
		}) {
			return false
		}
	}
	for _, label := range strings.Split(addr[at+1:], ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !letter(r) && r != '-' }) {
			return false
		}
	}
	return true
}

func letter(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.N)
}
