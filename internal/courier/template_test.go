package courier

import (
	htmltemplate "html/template"
	"strings"
	"testing"
	texttemplate "text/template"

	"golang.org/x/net/html"
)

// tree is a page as a browser reads it, whichever escapes it was written with.
func tree(t *testing.T, page string) string {
	t.Helper()
	n, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := html.Render(&b, n); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Our templates mean what they mean to Go's own, which escape by context: with
// hostile values too, a browser reads the same page.
func TestTemplatesAsGoHasThem(t *testing.T) {
	all, err := welcomes()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range languages {
		own := "templates/welcome." + lang
		page := htmltemplate.Must(htmltemplate.New("").ParseFS(files, "templates/layout.html", own+".html"))
		text := texttemplate.Must(texttemplate.New("").ParseFS(files, own+".txt"))
		for _, admin := range []bool{false, true} {
			for _, name := range append(hostile, `a"b'c&d<e>f`, "a+b") {
				f := fields{
					"Language": lang, "Org": name, "Name": name, "Email": name, "Admin": admin, "Products": []string{name, "Meet"},
					"Link": "https://gate.example/activate/Ab3_-x", "Until": name,
				}
				var want strings.Builder
				if err := page.ExecuteTemplate(&want, "layout", f); err != nil {
					t.Fatal(err)
				}
				got, err := all[lang].html.execute("layout", f, escapeHTML)
				if err != nil || tree(t, got) != tree(t, want.String()) {
					t.Fatalf("with %.60q the page in %s differs from html/template's (%v):\n%s\nwant\n%s", name, lang, err, got, want.String())
				}
				for _, part := range []string{"subject", "text"} {
					want.Reset()
					if err := text.ExecuteTemplate(&want, part, f); err != nil {
						t.Fatal(err)
					}
					if got, err := all[lang].text.execute(part, f, verbatim); err != nil || got != want.String() {
						t.Fatalf("with %.60q the %s in %s differs from text/template's (%v):\n%s\nwant\n%s", name, part, lang, err, got, want.String())
					}
				}
			}
		}
	}
}

// What the templates of mails do not need fails, and quotes nothing.
func TestTemplatesRefuse(t *testing.T) {
	for _, text := range []string{
		`{{.Unknown}}`, `{{.Name.Length}}`, `{{printf "%s" .Name}}`, `{{.Name | html}}`, `{{template "none" .}}`, `{{$x := .Name}}`, `{{range .Name}}{{end}}`, `{{.Products}}`, `{{with .Name}}{{end}}`, `{{if eq .Name "x"}}{{end}}`,
	} {
		trees, err := parseText("t", text)
		if err == nil {
			_, err = trees.execute("t", fields{"Name": "canary", "Products": []string{"canary"}}, verbatim)
		}
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("the template %s gives %v, want a refusal that quotes nothing", text, err)
		}
	}
	if _, err := (templates{}).execute("none", nil, verbatim); err == nil {
		t.Error("a template that does not exist is executed")
	}
}
