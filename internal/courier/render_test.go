package courier

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/jhillyerd/enmime/v2"
	"golang.org/x/net/html"

	"gatehouse/internal/mail"
)

var update = flag.Bool("update", false, "write the golden files")

func example(language string, admin bool) welcome {
	return welcome{
		Language: language, Org: "Müller & Söhne GmbH", Name: "Ada Lovelace", Email: "ada@example.test", Admin: admin,
		Link:    "https://gate.example/activate/" + strings.Repeat("Ab3_-", 8) + "xyz",
		Expires: time.Date(2026, 3, 29, 14, 5, 0, 0, time.UTC),
	}
}

func TestGolden(t *testing.T) {
	for _, language := range languages {
		for who, admin := range map[string]bool{"user": false, "admin": true} {
			m, err := render(example(language, admin))
			if err != nil {
				t.Fatal(err)
			}
			for ext, got := range map[string]string{"txt": "Subject: " + m.Subject + "\n\n" + m.Text, "html": m.HTML} {
				path := filepath.Join("testdata", "welcome."+language+"."+who+"."+ext)
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), got); d != "" {
					t.Errorf("%s (-want +got):\n%s", path, d)
				}
			}
		}
	}
}

func TestProducts(t *testing.T) {
	w := example("de", false)
	w.Products = []string{"Meet", "<b>Phone</b>"}
	m, err := render(w)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.Text, "Ihre Produkte:\n- Meet\n- <b>Phone</b>\n\n") {
		t.Errorf("the text has the products as %q", m.Text)
	}
	if !strings.Contains(m.HTML, "<bdi>Meet</bdi>") || strings.Contains(m.HTML, "<b>Phone") {
		t.Errorf("the page has the products wrong: %s", m.HTML)
	}
}

// linkish is what mail programs make clickable.
var linkish = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*:\S|www\.\S|[^\s.]+[.。．｡․][\pL]{2,}|\d+\.\d+\.\d+|\S[@＠]\S`)

var hostile = []string{
	"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "{{.Link}}", "a\r\nBcc: victim@evil.example", "a\nb", "a\u2028b\u2029c\x00d\x1be",
	"http://evil.example/login", "https:evil.example", "evil.example", "evil.example/path?x=1", "www.evil.example", "EVIL.EXAMPLE.",
	"evil。example", "evil．example", "evil\u200b.example", "evil.\u00adexample", "mailto:a@evil.example", "a@evil.example", "a＠evil.example", "javascript:alert(1)",
	"http://[::1]/", "http://192.0.2.1/", "tel:+49123", "see evil.example now", "//evil.example", `\\evil.example\share`,
	"\u202egnp.exe\u202c", "\u2066a\u2069\u200f\u061c", "אבגד", "محمد", "=?utf-8?b?ZXZpbA==?=", "=?utf-8?q?=0D=0ABcc:=20a@evil.example?=",
	strings.Repeat("x", 10_000), strings.Repeat("ü ", 5_000), strings.Repeat("e\u0301", 3000), "\xff\xfe", "a\ud7ff", "\ufdd0\ufffe", strings.Repeat("\u0489", 50),
	"", " ", "\t", "O'Brien", "Dr.med. Anna-Lena Müller-Lüdenscheidt", "李小龍",
}

func TestHostileNames(t *testing.T) {
	for _, name := range hostile {
		for _, language := range languages {
			w := example(language, true)
			w.Name, w.Org, w.Products = name, name, []string{name}
			m, err := render(w)
			if err != nil {
				t.Fatalf("render %q: %v", name, err)
			}
			m.ID, m.From, m.To, m.Date = "0123456789abcdefghjkmnpqrs", mail.Address{Name: "Gate.House", Addr: "gate@house.test"}, mail.Address{Addr: w.Email}, w.Expires
			raw, err := m.Compose()
			if err != nil {
				t.Fatalf("compose %q: %v", name, err)
			}
			checkMail(t, name, w, m, raw)
		}
	}
}

func checkMail(t *testing.T, name string, w welcome, m mail.Message, raw []byte) {
	t.Helper()
	for _, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("%.40q: a line of %d bytes", name, len(line))
		}
	}
	env, err := enmime.ReadEnvelope(strings.NewReader(string(raw)))
	if err != nil || len(env.Errors) > 0 {
		t.Fatalf("%.40q: the mail cannot be read: %v %v", name, err, env.Errors)
	}
	if keys := len(env.GetHeaderKeys()); keys != 9 {
		t.Errorf("%.40q: the mail has the headers %v", name, env.GetHeaderKeys())
	}
	if got := env.GetHeader("Subject"); got != m.Subject {
		t.Errorf("%.40q: the subject is read as %q, want %q", name, got, m.Subject)
	}
	if n := utf8.RuneCountInString(m.Subject); n > 250 {
		t.Errorf("%.40q: the subject has %d characters", name, n)
	}
	if l := linkish.FindString(m.Subject); l != "" {
		t.Errorf("%.40q: the subject %q holds %q", name, m.Subject, l)
	}
	text := strings.NewReplacer(w.Link, "", w.Email, "").Replace(env.Text)
	for _, line := range strings.Split(text, "\n") {
		// Labels of ours end in a colon, and so does the time.
		line = regexp.MustCompile(`\d\d:\d\d`).ReplaceAllString(line, "")
		if l := linkish.FindString(line); l != "" {
			t.Errorf("%.40q: the text's line %q holds %q", name, line, l)
		}
	}
	for what, s := range map[string]string{"subject": m.Subject, "text": m.Text, "page": m.HTML} {
		if strings.ContainsAny(s, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u200e\u200f\u061c\x00\x1b\u2028\u2029") {
			t.Errorf("%.40q: the %s holds controls", name, what)
		}
		if strings.Count(s, "\u2068") != strings.Count(s, "\u2069") {
			t.Errorf("%.40q: the %s leaves an isolation open", name, what)
		}
	}
	checkPage(t, name, w, env.HTML)
}

// checkPage holds the page to what the template has: its elements, and one
// address.
func checkPage(t *testing.T, name string, w welcome, page string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	allowed := " html head meta title style body div table tbody tr td h1 p span br strong a bdi "
	links := 0
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			if !strings.Contains(allowed, " "+n.Data+" ") {
				t.Errorf("%.40q: the page has a <%s>", name, n.Data)
			}
			for _, a := range n.Attr {
				switch {
				case a.Key == "href" && a.Val == w.Link:
					links++
				case a.Key == "href" || a.Key == "src" || strings.HasPrefix(a.Key, "on"):
					t.Errorf("%.40q: the page has %s=%q", name, a.Key, a.Val)
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	if links != 2 {
		t.Errorf("%.40q: the page has %d links, want button and bare link", name, links)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"Ada Lovelace": "Ada Lovelace", "  Ada \t\r\n Lovelace ": "Ada Lovelace", "J.Doe": "J. Doe", "Booking.com": "Booking. com",
		"http://evil.example/x": "http: //evil. example/x", "Web 2.0 GmbH": "Web 2.0 GmbH", "Dr. Who": "Dr. Who", "a@b": "a @ b",
		"\u202eabc": "abc", "": "", "AT&T": "AT&T", "Smith & Co. KG": "Smith & Co. KG", strings.Repeat("ü", 70): strings.Repeat("ü", 64) + "…",
	} {
		if got := plain(in, maxName); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestIsolated(t *testing.T) {
	for in, want := range map[string]string{"Ada": "Ada", "محمد": "\u2068محمد\u2069", "Ada דוד": "\u2068Ada דוד\u2069"} {
		if got := isolated(in); got != want {
			t.Errorf("isolated(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestGreeted(t *testing.T) {
	for in, want := range map[string]string{"Ada": "Ada", "ada@example.test": "", "http://evil.example": "", "ada.lovelace": "ada. lovelace"} {
		if got := greeted(in); got != want {
			t.Errorf("greeted(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := plain(s, maxName)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00") || utf8.RuneCountInString(got) > 6*maxName {
			t.Errorf("plain(%q) = %q", s, got)
		}
		if l := linkish.FindString(got); l != "" {
			t.Errorf("plain(%q) = %q holds %q", s, got, l)
		}
	})
}

func TestUsable(t *testing.T) {
	for addr, want := range map[string]bool{
		"a@b.example": true, "a.b+c@b-c.example": true, "grüße@müller.example": true, "o'brien@b.example": true, "root@localhost": true,
		"": false, "a": false, "@b.example": false, "a@": false, "a..b@c.example": false, ".a@c.example": false, "a.@c.example": false, "a b@c.example": false,
		"a@b..example": false, "a@-b.example": false, "a@b-.example": false, "a@b_c.example": false, "a\n@b.example": false, "a@b.example\r\nBcc: x@y": false,
		"a@[192.0.2.1]": false, `"a b"@c.example`: false, "a@b@c.example": false, "<a@b.example>": false, "a\u202e@b.example": false, "a\xff@b.example": false,
		strings.Repeat("a", 65) + "@b.example": false, "a@" + strings.Repeat("b", 64) + ".example": false, "a@" + strings.Repeat("b.", 130) + "example": false,
	} {
		if got := usable(addr); got != want {
			t.Errorf("usable(%q) = %v, want %v", addr, got, want)
		}
	}
}
