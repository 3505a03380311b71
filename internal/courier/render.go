package courier

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"

	"gatehouse/internal/mail"
)

//go:embed templates
var files embed.FS

// languages are those that mails are written in; the first is for others.
var languages = []string{"en", "de"}

// letters are the templates of one kind in one language: subject and text, and
// the page.
type letters struct {
	text *texttemplate.Template
	html *htmltemplate.Template
}

var welcomes = parse("welcome")

func parse(kind string) map[string]letters {
	out := map[string]letters{}
	for _, lang := range languages {
		own := "templates/" + kind + "." + lang
		out[lang] = letters{
			text: texttemplate.Must(texttemplate.New("").ParseFS(files, own+".txt")),
			html: htmltemplate.Must(htmltemplate.New("").ParseFS(files, "templates/layout.html", own+".html")),
		}
	}
	return out
}

// welcome is what a welcome mail says.
type welcome struct {
	Language string
	Org      string // as stored: rendering makes it safe
	Name     string // as stored
	Email    string
	Admin    bool     // is to administer the organization
	Products []string // as stored
	Link     string
	Expires  time.Time // of the link
}

// shown is welcome in the form that templates take.
type shown struct {
	Language  string
	Org, Name string
	Email     string
	Admin     bool
	Products  []string
	Link      string
	Until     string
}

// render returns subject and bodies; the rest of the message is the caller's.
func render(w welcome) (mail.Message, error) {
	tmpl, ok := welcomes[w.Language]
	if !ok {
		w.Language = languages[0]
		tmpl = welcomes[w.Language]
	}
	page := shown{
		Language: w.Language, Org: plain(w.Org, maxOrgName), Name: greeted(w.Name), Email: w.Email, Admin: w.Admin,
		Link: w.Link, Until: moment(w.Expires, w.Language),
	}
	for _, p := range w.Products {
		page.Products = append(page.Products, plain(p, maxOrgName))
	}
	// A page isolates names by markup, text does by marks.
	text := page
	text.Org, text.Name = isolated(page.Org), isolated(page.Name)
	text.Products = nil
	for _, p := range page.Products {
		text.Products = append(text.Products, isolated(p))
	}
	var subject, body, html strings.Builder
	err := tmpl.text.ExecuteTemplate(&subject, "subject", text)
	if err == nil {
		err = tmpl.text.ExecuteTemplate(&body, "text", text)
	}
	if err == nil {
		err = tmpl.html.ExecuteTemplate(&html, "layout", page)
	}
	if err != nil {
		// The template's error quotes the template and may quote what it was given.
		return mail.Message{}, fmt.Errorf("render a message in %s: the template failed", w.Language)
	}
	return mail.Message{
		Subject: strings.TrimSpace(subject.String()), Text: body.String(), HTML: html.String(), Language: w.Language,
	}, nil
}

var monthsDE = [...]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"}

// moment writes a time as the language does, to the minute and in UTC, since
// the reader's zone is not known.
func moment(t time.Time, language string) string {
	t = t.UTC()
	if language == "de" {
		return strconv.Itoa(t.Day()) + ". " + monthsDE[t.Month()-1] + t.Format(" 2006, 15:04") + " Uhr (UTC)"
	}
	return t.Format("2 January 2006, 15:04") + " (UTC)"
}
