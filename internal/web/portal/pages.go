package portal

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"sync"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/org"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pages are the templates in one language: the words are looked up while
// rendering, so that no text is put together from pieces.
type pages struct {
	words
	layout func() (*template.Template, error)            // parses once, and is cloned only
	byName map[string]func() (*template.Template, error) // parses once
}

// The files in templates that hold a page's "main". Those of plainPages have a
// form at most and do without the partials of lists: they are the way in, what a
// function most often starts for.
var (
	plainPages  = []string{"home", "error", "activate", "expired", "renewed", "sign-in"}
	listedPages = []string{"account", "users", "search", "user", "conflicts", "connections", "connection", "secret", "trust", "inbox", "mail", "specimens"}
)

// newPages returns the pages of every language. Each is parsed when it is first
// shown: a function starts for one page, and all of them would take longer than
// the rest of its start.
func newPages(files map[string]file) map[string]*pages {
	out := map[string]*pages{}
	for lang, texts := range catalogues {
		ps := &pages{words: words{lang: lang, texts: texts}, byName: map[string]func() (*template.Template, error){}}
		ps.layout = sync.OnceValues(func() (*template.Template, error) {
			return template.New("layout.html").Funcs(ps.funcs(files)).ParseFS(templateFiles, "templates/layout.html", "templates/partials.html")
		})
		for _, name := range plainPages {
			ps.add(name)
		}
		for _, name := range listedPages {
			ps.add(name, "lists")
		}
		out[lang] = ps
	}
	return out
}

// add adds a page that is made of the layout, its own file and the named ones.
func (ps *pages) add(page string, from ...string) {
	var names []string
	for _, name := range append(from, page) {
		names = append(names, "templates/"+name+".html")
	}
	ps.byName[page] = sync.OnceValues(func() (*template.Template, error) {
		t, err := ps.layout()
		if err != nil {
			return nil, err
		}
		if t, err = t.Clone(); err != nil {
			return nil, err
		}
		return t.ParseFS(templateFiles, names...)
	})
}

// made holds what pages are made of, which is the same for every portal.
var made = sync.OnceValues(func() (map[string]file, map[string]*pages) {
	files := assets()
	return files, newPages(files)
})

// Prepare does what the first page would wait for: a function does it while it
// still waits for others.
func Prepare() {
	_, all := made()
	for _, ps := range all {
		ps.layout() // an error is told by the first page
	}
}

func (ps *pages) execute(w io.Writer, page string, v view) error {
	parse := ps.byName[page]
	if parse == nil {
		return fmt.Errorf("there is no page %q", page)
	}
	t, err := parse()
	if err != nil {
		return err
	}
	if v.Part != "" {
		return t.ExecuteTemplate(w, v.Part, v)
	}
	return t.Execute(w, v)
}

// view is what a template is given.
type view struct {
	Failed  bool // a form was refused: the title says so first
	Notice  *notice
	Data    any
	Part    string // renders this template alone, without the layout
	Form    bool   // has a form to post, though nobody may be signed in
	Narrow  bool   // one thing to do, in one column
	Section string // the entry of the navigation that is open

	// What follows is filled from the exchange.

	Lang    string
	Now     time.Time
	CSRF    string
	Org     *org.Org         // in the head of the page; nil: none
	Base    string           // its address, "/o/<slug>/"; empty without one
	Session *account.Session // nil: not signed in
	Local   bool             // the inbox is served
}

// notice says what happened, above everything else.
type notice struct {
	Kind string // "good", "wait" or "bad"
	Text string // the text's name
	With []any
}

func (v *view) fill(x *exchange) {
	v.Lang, v.Now, v.Session = x.lang, x.p.Now(), x.session
	v.Local = x.p.Inbox != nil
	if v.Form || x.session != nil {
		v.CSRF = x.csrf()
	}
	if v.Org = x.org; x.session != nil {
		v.Org = x.session.Org
	}
	if v.Org != nil {
		v.Base = "/o/" + v.Org.Slug + "/"
	}
}

// field is one input with its words.
type field struct {
	Name         string
	Label        string // the texts' names
	Hint         string
	Error        string
	HintWith     []any // what the hint names
	ErrorWith    []any // what the error names
	Type         string
	Value        string
	Autocomplete string
	Reveal       bool // a password that can be shown, with script
	Focus        bool
}

// badge is a state in a word and a shape.
type badge struct {
	Shape string // "full", "half", "ring", "bars", "cross": never told by colour alone
	Tone  string // "good", "wait", "bad", "calm"
	Text  string // the text's name
	Title string // more, for those who point at it; may be empty
}

// empty says what would fill the place, and how.
type empty struct {
	Title string
	Text  string
	With  []any
}

// pager leads through a list.
type pager struct {
	From, To, Total int
	Prev, Next      string // addresses; empty: there is none
}

// copyable is an id, shortened, that one click copies whole.
type copyable struct{ Text string }
