package portal

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/language"

	"gatehouse/internal/identity"
)

// catalogue holds a language's texts by page and purpose. Two names that end
// in .one and .more are one text for a number.
type catalogue map[string]string

var catalogues = map[string]catalogue{"en": english, "de": german}

// words renders texts, times and numbers in one language.
type words struct {
	lang  string
	texts catalogue
}

// accepted returns the language, of those that we have, that the header asks
// for first; English where it asks for none.
func accepted(header string) string {
	if len(header) > 200 {
		return "en"
	}
	tags, _, _ := language.ParseAcceptLanguage(header)
	for _, t := range tags {
		base, _ := t.Base()
		if _, ok := catalogues[base.String()]; ok {
			return base.String()
		}
	}
	return "en"
}

// text returns the text of the name with what it names put in. A name without a
// text is an error in the page.
func (w words) text(name string, with ...any) (string, error) {
	t, ok := w.texts[name]
	if !ok {
		return "", fmt.Errorf("no text %q in %q", name, w.lang)
	}
	if len(with) == 0 {
		return t, nil
	}
	said := make([]any, len(with))
	for i, v := range with {
		if n, ok := v.(int); ok {
			v = w.number(n)
		}
		said[i] = v
	}
	return fmt.Sprintf(t, said...), nil
}

// count is text for a number of things: name.one or name.more.
func (w words) count(name string, n int, with ...any) (string, error) {
	if n == 1 {
		return w.text(name+".one", append([]any{n}, with...)...)
	}
	return w.text(name+".more", append([]any{n}, with...)...)
}

// number groups thousands.
func (w words) number(n int) string {
	s := fmt.Sprint(n)
	sep := ","
	if w.lang == "de" {
		sep = "."
	}
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + sep + s[i:]
	}
	return s
}

// ago tells how long ago t was, as one says it.
func (w words) ago(now, t time.Time) (string, error) {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return w.text("time.now")
	case d < time.Hour:
		return w.count("time.minutes", int(d/time.Minute))
	case d < 24*time.Hour:
		return w.count("time.hours", int(d/time.Hour))
	case d < 30*24*time.Hour:
		return w.count("time.days", int(d/(24*time.Hour)))
	}
	return w.date(t), nil
}

var monthsOf = map[string][12]string{
	"en": {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
	"de": {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
}

func (w words) date(t time.Time) string {
	t = t.UTC()
	month := monthsOf[w.lang][t.Month()-1]
	if w.lang == "de" {
		return fmt.Sprintf("%d. %s %d", t.Day(), month, t.Year())
	}
	return fmt.Sprintf("%d %s %d", t.Day(), month, t.Year())
}

// exact is the whole moment. The server knows no reader's zone: UTC is named,
// and a script puts the reader's own in its place.
func (w words) exact(t time.Time) string {
	return w.date(t) + ", " + t.UTC().Format("15:04:05") + " UTC"
}

func (w words) funcs(files map[string]file) template.FuncMap {
	return template.FuncMap{
		"t":      w.text,
		"list":   func(name string, with []any) (string, error) { return w.text(name, with...) },
		"count":  w.count,
		"number": w.number,
		"ago":    w.ago,
		"exact":  w.exact,
		"date":   w.date,
		"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"moment": func(now, t time.Time) momentView { return momentView{now, t} },
		"shown":  func(s string) string { return shown(s, maxShown) },
		"named":  named,
		"whole":  func(s string) string { return shown(s, maxWhole) },
		"asset":  func(name string) string { return files[name].path },
		"empty":  func(name string) empty { return empty{Title: name + ".title", Text: name + ".text"} },
		"copy":   func(s any) copyable { return copyable{fmt.Sprint(s)} },
		"short":  short,
		// Partials that need more than their data get it by these.
		"rows":       func(v view, rows []userRow) rowsView { return rowsView{v.Now, v.Base, rows} },
		"entries":    func(v view, entries []entry) entriesView { return entriesView{v.Now, entries} },
		"proofs":     func(v view, path string, l credentialList) proofsView { return proofsView{v.Now, v.CSRF, path, l.Rows} },
		"revocation": func(csrf, path string, id identity.Credential) revocationView { return revocationView{csrf, path, id} },
		"lifetimes":  func(v view, of lifetimes, id string) lifetimesView { return of.view(v.Now, id) },
		"part":       func(v view, data any) view { v.Data = data; return v },
	}
}

type (
	momentView struct{ Now, At time.Time }
	rowsView   struct {
		Now  time.Time
		Base string
		Rows []userRow
	}
	proofsView struct {
		Now  time.Time
		CSRF string
		Path string // of the connection's page
		Rows []credentialRow
	}
	revocationView struct {
		CSRF string
		Path string // of the connection's page
		ID   identity.Credential
	}
	entriesView struct {
		Now     time.Time
		Entries []entry
	}
)

const (
	maxShown = 120  // characters of a name in a list
	maxWhole = 1000 // of a value on its own page
)

// shown makes a directory's text fit to be seen: no line breaks and controls,
// nothing that turns the direction of what follows, no more than max
// characters; a dash for what shows nothing.
func shown(s string, max int) string {
	var b strings.Builder
	n, visible := 0, false
	for _, r := range s {
		if n == max {
			b.WriteRune('…')
			break
		}
		switch {
		case unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			r = ' '
		case turns(r):
			continue
		}
		visible = visible || unicode.IsGraphic(r) && !unicode.IsSpace(r)
		b.WriteRune(r)
		n++
	}
	if !visible {
		return "–"
	}
	return b.String()
}

// named is shown for a name inside a sentence: isolated, so that a name in a
// script that runs the other way leaves the rest of the sentence in order.
func named(s string) string { return "\u2068" + shown(s, maxShown) + "\u2069" }

// turns reports whether the character changes the direction of text (Unicode
// TR 9: marks, embeddings, overrides, isolates).
func turns(r rune) bool {
	return r == 0x200e || r == 0x200f || r == 0x061c || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// short keeps the end of an id, which differs where the beginnings are alike.
func short(id string) string {
	if len(id) <= 10 {
		return id
	}
	return "…" + id[len(id)-8:]
}
