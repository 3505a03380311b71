package portal

import (
	"errors"
	"html/template"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// Pages are parsed when they are shown, so that one nobody looks at could be
// broken for long.
func TestEveryPageParses(t *testing.T) {
	for lang, ps := range newPages(assets()) {
		for name, parse := range ps.byName {
			page, err := parse()
			if err != nil {
				t.Errorf("the page %q does not parse in %q: %v", name, lang, err)
				continue
			}
			// Before a page shows anything, all that it may show is looked up and
			// escaped; what an empty view lacks comes after.
			var broken *template.Error
			if err := page.Execute(io.Discard, view{}); errors.As(err, &broken) {
				t.Errorf("the page %q cannot be shown in %q: %v", name, lang, err)
			}
		}
	}
}

// Every file in templates is a page or a part of all of them.
func TestEveryTemplateIsUsed(t *testing.T) {
	entries, err := fs.ReadDir(templateFiles, "templates")
	if err != nil {
		t.Fatal(err)
	}
	known := slices.Concat(plainPages, listedPages, []string{"layout", "partials", "lists"})
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".html"); !slices.Contains(known, name) {
			t.Errorf("no page is made of %s", e.Name())
		}
	}
}
