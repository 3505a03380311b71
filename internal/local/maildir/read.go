package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/internal/identity"
)

// maxFile bounds what is read of a file: ours are some 10 KB.
const maxFile = 1 << 20

// Mail is a mail as the inbox shows it. All of it is hostile text.
type Mail struct {
	ID       identity.Message
	From, To string // bare addresses
	Subject  string
	Language string
	Date     time.Time // as the mail says
	Written  time.Time // as the folder says; only from List
	Text     string    // only from Read
	HTML     string    // only from Read
}

func (f *Folder) read(id identity.Message, bodies bool) (Mail, error) {
	file, err := os.Open(filepath.Join(f.path, string(id)+suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return Mail{}, noMail()
	}
	if err != nil {
		return Mail{}, fmt.Errorf("read a mail: %w", err)
	}
	defer file.Close()
	m, err := parse(io.LimitReader(file, maxFile), bodies)
	if err != nil {
		return Mail{}, fmt.Errorf("read mail %s: not the form that was written", id)
	}
	m.ID = id
	return m, nil
}

// parse reads what Message.Compose writes.
func parse(r io.Reader, bodies bool) (Mail, error) {
	raw, err := netmail.ReadMessage(r)
	if err != nil {
		return Mail{}, err
	}
	var m Mail
	if m.Date, err = raw.Header.Date(); err != nil {
		return Mail{}, err
	}
	var words mime.WordDecoder
	if m.Subject, err = words.DecodeHeader(raw.Header.Get("Subject")); err != nil {
		return Mail{}, err
	}
	m.Language = raw.Header.Get("Content-Language")
	m.From, m.To = address(raw.Header.Get("From")), address(raw.Header.Get("To"))
	if !bodies {
		return m, nil
	}
	_, params, err := mime.ParseMediaType(raw.Header.Get("Content-Type"))
	if err != nil {
		return Mail{}, err
	}
	for parts := multipart.NewReader(raw.Body, params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return Mail{}, err
		}
		text, err := body(p.Header, p)
		if err != nil {
			return Mail{}, err
		}
		if kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind == "text/html" {
			m.HTML = text
		} else {
			m.Text = text
		}
	}
}

func body(h textproto.MIMEHeader, r io.Reader) (string, error) {
	if strings.EqualFold(h.Get("Content-Transfer-Encoding"), "quoted-printable") {
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	return strings.ReplaceAll(string(b), "\r\n", "\n"), err
}

func address(header string) string {
	a, err := netmail.ParseAddress(header)
	if err != nil {
		return ""
	}
	return a.Address
}
