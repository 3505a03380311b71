package portal

import (
	"embed"
	"fmt"
	"html/template"
	"io"
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
	byName map[string]*template.Template
}

// pageNames are the files in templates that hold a page's "main". Partials and
// the layout are in the others.
var pageNames = []string{
	"home", "error", "activate", "expired", "renewed", "sign-in", "account",
	"users", "search", "user", "conflicts", "inbox", "mail", "specimens",
}

func parsePages(files map[string]file) (map[string]*pages, error) {
	out := map[string]*pages{}
	for lang, texts := range catalogues {
		ps := &pages{words: words{lang: lang, texts: texts}, byName: map[string]*template.Template{}}
		base, err := template.New("layout.html").Funcs(ps.funcs(files)).ParseFS(templateFiles, "templates/layout.html", "templates/partials.html")
		if err != nil {
			return nil, err
		}
		for _, name := range pageNames {
			t, err := base.Clone()
			if err == nil {
				t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
			}
			if err != nil {
				return nil, err
			}
			ps.byName[name] = t
		}
		out[lang] = ps
	}
	return out, nil
}

func (ps *pages) execute(w io.Writer, page string, v view) error {
	t := ps.byName[page]
	if t == nil {
		return fmt.Errorf("there is no page %q", page)
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
