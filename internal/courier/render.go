package courier

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/mail"
)

//go:embed templates
var files embed.FS

// languages are those that mails are written in; the first is for others.
var languages = []string{"en", "de"}

// letters are the templates of one kind in one language: subject and text, and
// the page.
type letters struct{ text, html templates }

// letterbox holds the templates of welcome emails once the first of them is
// rendered. Most functions that link this package render none, and a variable
// that names no parser links none.
var letterbox struct {
	once     sync.Once
	welcomes map[string]letters
	err      error
}

func welcomes() (map[string]letters, error) {
	letterbox.once.Do(func() { letterbox.welcomes, letterbox.err = parseWelcomes() })
	return letterbox.welcomes, letterbox.err
}

func parseWelcomes() (map[string]letters, error) {
	out := map[string]letters{}
	for _, lang := range languages {
		own := "templates/welcome." + lang
		text, err := parseTemplates(own + ".txt")
		if err != nil {
			return nil, err
		}
		html, err := parseTemplates("templates/layout.html", own+".html")
		if err != nil {
			return nil, err
		}
		out[lang] = letters{text, html}
	}
	return out, nil
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

// render returns subject and bodies; the rest of the message is the caller's.
func render(w welcome) (mail.Message, error) {
	all, err := welcomes()
	if err != nil {
		return mail.Message{}, err
	}
	tmpl, ok := all[w.Language]
	if !ok {
		w.Language = languages[0]
		tmpl = all[w.Language]
	}
	products := make([]string, 0, len(w.Products))
	for _, p := range w.Products {
		products = append(products, plain(p, maxOrgName))
	}
	page := fields{
		"Language": w.Language, "Org": plain(w.Org, maxOrgName), "Name": greeted(w.Name), "Email": w.Email,
		"Admin": w.Admin, "Products": products, "Link": w.Link, "Until": moment(w.Expires, w.Language),
	}
	// A page isolates names by markup, text does by marks.
	text := page.isolated()
	var parts [3]string
	for i, of := range []struct {
		from   templates
		name   string
		escape func(string) string
		fields fields
	}{
		{tmpl.text, "subject", verbatim, text},
		{tmpl.text, "text", verbatim, text},
		{tmpl.html, "layout", escapeHTML, page},
	} {
		if parts[i], err = of.from.execute(of.name, of.fields, of.escape); err != nil {
			return mail.Message{}, fmt.Errorf("render a message in %s: %w", w.Language, err)
		}
	}
	return mail.Message{Subject: strings.TrimSpace(parts[0]), Text: parts[1], HTML: parts[2], Language: w.Language}, nil
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
