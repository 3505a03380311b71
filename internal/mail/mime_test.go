package mail

import (
	"bytes"
	"errors"
	"mime"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jhillyerd/enmime/v2"

	"gatehouse/internal/identity"
)

func example() Message {
	return Message{
		ID: "0123456789abcdefghjkmnpqrs", From: Address{"Gatehouse", "gate@house.test"}, To: Address{"", "ada@example.test"},
		Subject: "Subject", Text: "text\n", HTML: "<p>page</p>\n", Language: "en", Date: time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 3600)),
	}
}

func TestComposeHeaders(t *testing.T) {
	m := example()
	m.ReplyTo = Address{"Müller, \"Söhne\"", "help@example.test"}
	raw, err := m.Compose()
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Compose()
	if err != nil || !bytes.Equal(raw, again) {
		t.Error("composing a message again gives other bytes")
	}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	want := strings.Join([]string{
		"Date: Sun, 22 Nov 2026 11:00:00 +0000",
		"From: Gatehouse <gate@house.test>",
		"To: <ada@example.test>",
		"Reply-To: =?utf-8?b?TcO8bGxlciwgIlPDtmhuZSI=?= <help@example.test>",
		"Subject: Subject",
		"Message-ID: <0123456789abcdefghjkmnpqrs@house.test>",
		"Auto-Submitted: auto-generated",
		"Content-Language: en",
		"MIME-Version: 1.0",
		`Content-Type: multipart/alternative; boundary="=_0123456789abcdefghjkmnpqrs"`,
	}, "\r\n")
	if head != want {
		t.Errorf("the header is\n%s\nwant\n%s", head, want)
	}
}

func TestComposeReadsBack(t *testing.T) {
	for _, subject := range []string{
		"", "plain", "Grüße aus München", "=?utf-8?q?smuggled?=", strings.Repeat("long ", 100) + "end", strings.Repeat("x", 5000), strings.Repeat("ü", 3000),
		"two  spaces", "日本語の件名がとても長い場合にも正しく折り返される", strings.Repeat("😀", 200), "tab\there", "a\r\nBcc: evil@example.test", "a\x00b", "\xff",
	} {
		m := example()
		m.Subject = subject
		m.From.Name = subject
		m.Text = subject + "\n.\n--=_" + string(m.ID) + "--\nFrom here\n"
		raw, err := m.Compose()
		if err != nil {
			t.Fatalf("Compose(%.30q): %v", subject, err)
		}
		for _, line := range strings.SplitAfter(string(raw), "\r\n") {
			if bare := strings.TrimSuffix(line, "\r\n"); len(bare) > 998 || strings.ContainsAny(bare, "\r\n\x00") {
				t.Errorf("Compose(%.30q) has the line %.80q of %d bytes", subject, bare, len(bare))
			}
			for i := range len(line) {
				if line[i] >= utf8.RuneSelf {
					t.Fatalf("Compose(%.30q) has a byte beyond ASCII", subject)
				}
			}
		}
		env, err := enmime.ReadEnvelope(bytes.NewReader(raw))
		if err != nil || len(env.Errors) > 0 {
			t.Fatalf("Compose(%.30q) cannot be read: %v %v", subject, err, env.Errors)
		}
		want := strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(subject, "\ufffd")))
		if got := env.GetHeader("Subject"); got != want {
			t.Errorf("the subject %.60q is read back as %.60q", subject, got)
		}
		if n := len(env.GetHeaderKeys()); n != 9 {
			t.Errorf("the subject %.30q makes %d header fields, want 9", subject, n)
		}
		if got := strings.ReplaceAll(env.Text, "\r\n", "\n"); utf8.ValidString(subject) && !strings.ContainsAny(subject, "\r\x00") && got != m.Text {
			t.Errorf("the text %.60q is read back as %.60q", m.Text, got)
		}
		parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if from, err := (&netmail.AddressParser{WordDecoder: &mime.WordDecoder{}}).Parse(parsed.Header.Get("From")); err != nil || from.Address != m.From.Addr {
			t.Errorf("the name %.30q breaks From: %v", subject, err)
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	for _, addr := range []string{"", "a b@c.test", "a@b.test\r\nBcc: x@y.test", "a@b.test>", "<a@b.test", "a,b@c.test", "a@b.test\x00", "a@b.test\u2028", "\"a\"@b.test", strings.Repeat("a", 330), "\xff@b.test"} {
		for which := range 3 {
			m := example()
			*[]*string{&m.From.Addr, &m.To.Addr, &m.ReplyTo.Addr}[which] = addr
			if which == 2 && addr == "" {
				continue // none
			}
			if _, err := m.Compose(); !errors.Is(err, ErrRefused) {
				t.Errorf("Compose with the address %.30q at %d = %v, want refused", addr, which, err)
			} else if addr != "" && strings.Contains(err.Error(), addr) {
				t.Errorf("the error quotes the address: %v", err)
			}
		}
	}
	for _, id := range []string{"", "A", "a b", "a\r\nb", "a\"b", "../x"} {
		m := example()
		m.ID = identity.Message(id)
		if _, err := m.Compose(); !errors.Is(err, ErrRefused) {
			t.Errorf("Compose with the id %q = %v, want refused", id, err)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "a b", "ü", "=?utf-8?q?a?=", strings.Repeat("ß ", 80), "a\r\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := fold("Subject: " + words(s))
		if strings.ContainsAny(strings.ReplaceAll(line, "\r\n ", ""), "\x00") || strings.Count(line, "\n") != strings.Count(line, "\r\n ")+1 {
			t.Errorf("words(%q) gives the line %q", s, line)
		}
		for _, l := range strings.Split(line, "\r\n") {
			if len(l) > 200 {
				t.Errorf("words(%q) gives a line of %d bytes", s, len(l))
			}
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
			return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029'
		}) {
			return
		}
		_, value, _ := strings.Cut(strings.ReplaceAll(line, "\r\n ", " "), ": ")
		got, err := new(mime.WordDecoder).DecodeHeader(strings.TrimSuffix(value, "\r\n"))
		if err != nil || got != s {
			t.Errorf("words(%q) is read back as %q, %v", s, got, err)
		}
	})
}
