package mail

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"time"
	"unicode/utf8"
)

// maxLine is how long a header line may get before it is folded (RFC 5322
// §2.1.1); a single longer word stays whole.
const maxLine = 78

// MessageID returns the message's id on the wire, without angle brackets. It is
// the same however often the message is sent, so that a recipient's server can
// tell a repeat.
func (m Message) MessageID() string {
	_, host, _ := strings.Cut(m.From.Addr, "@")
	return string(m.ID) + "@" + host
}

// Compose writes the message as carriers take it: RFC 5322, text and HTML as
// alternatives, 7 bits but for addresses beyond ASCII, lines below 998 bytes
// with CRLF. The same message gives the same bytes. An error wraps ErrRefused:
// an address or an id that no header can hold.
func (m Message) Compose() ([]byte, error) {
	if m.ID == "" || strings.Trim(string(m.ID), "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		return nil, &Reason{Code: "message-id", Err: ErrRefused}
	}
	if !m.From.headerSafe() || !m.To.headerSafe() || m.ReplyTo != (Address{}) && !m.ReplyTo.headerSafe() {
		return nil, &Reason{Code: "address", Err: ErrRefused}
	}
	var b bytes.Buffer
	head := func(name, value string) { b.WriteString(fold(name + ": " + value)) }
	head("Date", m.Date.UTC().Format(time.RFC1123Z))
	head("From", m.From.header())
	head("To", m.To.header())
	if m.ReplyTo != (Address{}) {
		head("Reply-To", m.ReplyTo.header())
	}
	head("Subject", words(m.Subject))
	head("Message-ID", "<"+m.MessageID()+">")
	head("Auto-Submitted", "auto-generated")
	if m.Language != "" {
		head("Content-Language", words(m.Language))
	}
	head("MIME-Version", "1.0")
	parts := multipart.NewWriter(&b)
	// Quoted-printable text has no line that begins so: "=" is always encoded.
	if err := parts.SetBoundary("=_" + string(m.ID)); err != nil {
		return nil, &Reason{Code: "message-id", Err: ErrRefused}
	}
	head("Content-Type", `multipart/alternative; boundary="`+parts.Boundary()+`"`)
	b.WriteString("\r\n")
	err := errors.Join(
		part(parts, "text/plain; charset=utf-8", m.Text),
		part(parts, "text/html; charset=utf-8", m.HTML),
		parts.Close())
	if err != nil {
		return nil, fmt.Errorf("compose a message: %w", err) // a buffer takes everything
	}
	return b.Bytes(), nil
}

func part(w *multipart.Writer, contentType, text string) error {
	p, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Type":              {contentType},
		"Content-Transfer-Encoding": {"quoted-printable"},
	})
	if err != nil {
		return err
	}
	q := quotedprintable.NewWriter(p)
	_, err = q.Write([]byte(text))
	return errors.Join(err, q.Close())
}

// headerSafe reports whether the bare address can stand between angle brackets.
func (a Address) headerSafe() bool {
	return a.Addr != "" && len(a.Addr) <= 320 && utf8.ValidString(a.Addr) && !strings.ContainsFunc(a.Addr, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || strings.ContainsRune("<>,;()[]\\\"\u2028\u2029", r)
	})
}

func (a Address) header() string {
	if a.Name == "" {
		return "<" + a.Addr + ">"
	}
	return phrase(a.Name) + " <" + a.Addr + ">"
}

// phrase writes a name of plain words as it is, and encodes any other, so that
// no quoting has to be got right by every reader.
func phrase(s string) string {
	if len(s) > maxLine {
		return encoded(s)
	}
	for i := range len(s) {
		c := s[i]
		if c != ' ' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return encoded(s)
		}
	}
	return s
}

// words writes a text of printable ASCII as it is, unless a part of it could
// be taken for an encoded word, and encodes any other.
func words(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return encoded(s)
		}
	}
	if strings.Contains(s, "=?") {
		return encoded(s)
	}
	for _, w := range strings.Split(s, " ") {
		if len(w) > maxLine { // would not fold
			return encoded(s)
		}
	}
	return s
}

// encoded writes encoded words (RFC 2047), each below its limit of 75
// characters and none cutting a character. Controls, line breaks among them,
// become spaces: some readers decode before they look for header lines.
func encoded(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	const most = 42 // bytes, that are 56 characters of base64
	var out []string
	for len(s) > 0 {
		n := min(most, len(s))
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		out = append(out, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(out, " ")
}

// fold breaks a header line at spaces, where it gets too long.
func fold(line string) string {
	var b strings.Builder
	width := 0
	for i, w := range strings.SplitAfter(line, " ") {
		// A line must not end in the space: it belongs to the next.
		word := strings.TrimSuffix(w, " ")
		switch {
		case i == 0:
		case width+1+len(word) > maxLine && word != "":
			b.WriteString("\r\n ")
			width = 1
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	b.WriteString("\r\n")
	return b.String()
}
