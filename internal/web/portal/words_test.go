package portal

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/org"
	"gatehouse/internal/scim/schema"
)

var verb = regexp.MustCompile(`%[^%]`)

// Both catalogues have the same texts, which name the same things.
func TestCatalogues(t *testing.T) {
	for _, a := range []struct {
		name string
		c    catalogue
		with catalogue
	}{{"english", english, german}, {"german", german, english}} {
		for name, text := range a.c {
			other, ok := a.with[name]
			if !ok {
				t.Errorf("%s alone has the text %q", a.name, name)
				continue
			}
			if got, want := verb.FindAllString(text, -1), verb.FindAllString(other, -1); !slices.Equal(got, want) {
				t.Errorf("the text %q names %q in one language and %q in the other", name, got, want)
			}
			if strings.TrimSpace(text) != text || text == "" {
				t.Errorf("the text %q is %q", name, text)
			}
			if one, ok := strings.CutSuffix(name, ".one"); ok && a.c[one+".more"] == "" {
				t.Errorf("the text %q has no .more", name)
			}
		}
	}
}

// Where a row says that something was left out, the words above it do not say
// that nothing is lost.
func TestWhatIsLeftOutIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		texts catalogue
		says  string
	}{"english": {english, "left out"}, "german": {german, "weggelassen"}} {
		rows := 0
		for _, text := range coercionTexts {
			if strings.Contains(c.texts[text], c.says) {
				rows++
			}
		}
		if intro := c.texts["bent.intro"]; rows == 0 || !strings.Contains(intro, c.says) {
			t.Errorf("%s: %d rows say %q, and what is above them says %q", name, rows, c.says, intro)
		}
	}
}

// Every text that a template or the code names exists, and every text is named.
func TestTextsAreUsed(t *testing.T) {
	used := map[string]bool{}
	quoted := regexp.MustCompile(`"([a-z]+(?:[.-][a-z-]+)*)"`)
	sources := ""
	for _, dir := range []string{"templates", "."} {
		files, err := fs.Glob(sourceFiles, dir+"/*")
		if err != nil {
			t.Fatal(err)
		}
		if dir == "." {
			files, _ = fs.Glob(sourceFiles, "*.go")
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") || f == "english.go" || f == "german.go" {
				continue
			}
			b, err := fs.ReadFile(sourceFiles, f)
			if err != nil {
				t.Fatal(err)
			}
			sources += string(b)
		}
	}
	for _, m := range quoted.FindAllStringSubmatch(sources, -1) {
		for _, suffix := range []string{"", ".one", ".more", ".title", ".text"} {
			used[m[1]+suffix] = true
		}
	}
	for _, kind := range []string{"internal", "method", "form", "large", "unavailable", "missing", "throttled", "invalid", "conflict", "link"} {
		for _, part := range []string{"title", "text", "do"} {
			used["error."+kind+"."+part] = true
		}
	}
	for _, s := range []courier.Status{courier.Queued, courier.Sending, courier.Sent, courier.Delivered, courier.Bounced, courier.Complained,
		courier.Refused, courier.Undeliverable, courier.Cancelled, courier.Dead} {
		used[mailBadge(courier.State{Status: s}, true).Text] = true
		if english["mail."+string(s)] == "" {
			t.Errorf("a mail that is %s has no word", s)
		}
	}
	for _, text := range eventTexts {
		used[text] = true
	}
	for name := range english {
		if !used[name] {
			t.Errorf("nothing names the text %q", name)
		}
	}
	for _, m := range regexp.MustCompile(`\{\{-? ?(?:t|count) "([^"]+)"`).FindAllStringSubmatch(sources, -1) {
		if english[m[1]] == "" && english[m[1]+".one"] == "" {
			t.Errorf("a template names the text %q, which does not exist", m[1])
		}
	}
	for _, k := range []audit.Kind{audit.UserJoined, audit.UserAdopted, audit.UserChanged, audit.UserSuspended, audit.UserResumed, audit.UserActivated, audit.UserLeft} {
		if eventTexts[k] == "" {
			t.Errorf("the event %s has no words", k)
		}
	}
	for r := schema.Rule(0); r.String() != "unknown"; r++ {
		if coercionTexts[r.String()] == "" {
			t.Errorf("the rule %s has no words", r)
		}
	}
	for _, d := range org.Dialects {
		if dialectTexts[d][0] == "" || dialectTexts[d][1] == "" {
			t.Errorf("the dialect %s has no words", d)
		}
	}
}

func TestAccepted(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-AT,de;q=0.9,en;q=0.5": "de", "en;q=0.5,de;q=0.9": "de", "fr,de;q=0.3,en;q=0.2": "de", "fr": "en", "*": "en",
		"en-GB": "en", "nonsense;;;q=x": "en", strings.Repeat("de,", 1000): "en", "gsw": "en",
	} {
		if got := accepted(header); got != want {
			t.Errorf("accepted(%.40q) = %q, want %q", header, got, want)
		}
	}
}

func TestLanguageOfUsers(t *testing.T) {
	w := newWorld(t)
	german, _ := w.member(w.okta, joiner{"max", "Max", "max@acme.example", "de"})
	german.language = "en-US"
	german.get("/o/acme-gmbh/").want(t, 200, "Ihr Konto")
	german.get("/o/acme-gmbh/admin/users").want(t, 404, "Diese Seite gibt es nicht", "Referenz: ")
	other, _ := w.member(w.okta, joiner{"ana", "Ana", "ana@acme.example", ""})
	other.language = "de-CH"
	a := other.get("/o/acme-gmbh/").want(t, 200, "Ihr Konto")
	if a.Header.Get("Content-Language") != "de" || !strings.Contains(a.body, `<html lang="de">`) {
		t.Errorf("the page says that it is in %q", a.Header.Get("Content-Language"))
	}
	other.language = ""
	other.get("/o/acme-gmbh/").want(t, 200, "Your account")
}

func TestTimesAndNumbers(t *testing.T) {
	en, de := words{"en", english}, words{"de", german}
	now := time.Date(2026, 3, 9, 14, 5, 6, 0, time.UTC)
	for _, c := range []struct {
		before time.Duration
		en, de string
	}{
		{-time.Minute, "just now", "gerade eben"}, {0, "just now", "gerade eben"}, {time.Minute, "1 minute ago", "vor 1 Minute"},
		{59 * time.Minute, "59 minutes ago", "vor 59 Minuten"}, {time.Hour, "1 hour ago", "vor 1 Stunde"}, {23 * time.Hour, "23 hours ago", "vor 23 Stunden"},
		{25 * time.Hour, "1 day ago", "vor 1 Tag"}, {48 * time.Hour, "2 days ago", "vor 2 Tagen"}, {31 * 24 * time.Hour, "6 Feb 2026", "6. Februar 2026"},
	} {
		for w, want := range map[*words]string{&en: c.en, &de: c.de} {
			if got, err := w.ago(now, now.Add(-c.before)); got != want || err != nil {
				t.Errorf("%v ago in %s = %q, %v; want %q", c.before, w.lang, got, err, want)
			}
		}
	}
	if got, want := de.exact(now), "9. März 2026, 14:05:06 UTC"; got != want {
		t.Errorf("exact = %q, want %q", got, want)
	}
	for n, want := range map[int][2]string{0: {"0", "0"}, 999: {"999", "999"}, 1000: {"1,000", "1.000"}, 1234567: {"1,234,567", "1.234.567"}, -1000: {"-1,000", "-1.000"}, -100: {"-100", "-100"}} {
		if en.number(n) != want[0] || de.number(n) != want[1] {
			t.Errorf("number(%d) = %q and %q, want %q", n, en.number(n), de.number(n), want)
		}
	}
	if _, err := en.text("no.such.text"); err == nil {
		t.Error("a text that does not exist is no error")
	}
}

// Whatever a directory sends comes out short, on one line, in one direction,
// and never empty.
func TestShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "name") + rapid.SampledFrom([]string{"", "\u202e", "\r\n", "\u2028", "\x00", "\u2067"}).Draw(t, "bad")
		max := rapid.IntRange(1, 50).Draw(t, "max")
		got := shown(s, max)
		if got == "" || utf8.RuneCountInString(got) > max+1 || !utf8.ValidString(got) {
			t.Fatalf("shown(%q, %d) = %q", s, max, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || turns(r) || r == 0x2028 || r == 0x2029 {
				t.Fatalf("shown(%q, %d) = %q, which holds %U", s, max, got, r)
			}
		}
	})
	for s, want := range map[string]string{"": "–", " ": "–", "\u200b": "–", "Erika": "Erika", "a\r\nb": "a  b", "12345678901": "1234567890…", "\xff": "\ufffd"} {
		if got := shown(s, 10); got != want {
			t.Errorf("shown(%q, 10) = %q, want %q", s, got, want)
		}
	}
}

var sourceFiles = os.DirFS(".")
