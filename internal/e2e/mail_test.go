package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

// letter is a mail as it lies in the folder.
type letter struct {
	id      string // the file's name without .eml
	to      string // the bare address
	subject string
	text    string
	html    string
	header  func(name string) string
	at      time.Time // when the file came to be
}

// letters reads the folder, oldest first; empty address: everybody's. A mail
// that a mail program would stumble over is an error.
func letters(folder, address string) ([]letter, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var list []letter
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".eml")
		if !ok {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		m, err := enmime.ReadEnvelope(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("reading the mail %s: %w", e.Name(), err)
		}
		if len(m.Errors) > 0 {
			return nil, fmt.Errorf("the mail %s is malformed: %v", e.Name(), m.Errors)
		}
		to, err := mail.ParseAddress(m.GetHeader("To"))
		if err != nil {
			return nil, fmt.Errorf("the mail %s: To: %w", e.Name(), err)
		}
		if address != "" && !strings.EqualFold(to.Address, address) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, letter{id: name, to: to.Address, subject: m.GetHeader("Subject"), text: m.Text, html: m.HTML, header: m.GetHeader, at: info.ModTime()})
	}
	slices.SortStableFunc(list, func(a, b letter) int { return a.at.Compare(b.at) })
	return list, nil
}

// recipients counts the mails of each address, reading only the heads: for
// folders of many mails.
func recipients(t testing.TB, folder string) map[string]int {
	t.Helper()
	count := map[string]int{}
	names, err := filepath.Glob(filepath.Join(folder, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(f)
		f.Close()
		if err != nil {
			t.Fatalf("reading the mail %s: %v", filepath.Base(name), err)
		}
		to, err := mail.ParseAddress(m.Header.Get("To"))
		if err != nil {
			t.Fatalf("the mail %s: To: %v", filepath.Base(name), err)
		}
		count[to.Address]++
	}
	return count
}

// letter waits for the address's first mail.
func (s *site) letter(t testing.TB, address string) letter {
	t.Helper()
	var list []letter
	eventually(t, 10*time.Second, func() (err error) {
		if list, err = s.letters(address); err == nil && len(list) == 0 {
			err = fmt.Errorf("no mail to %s", address)
		}
		return err
	})
	return list[0]
}

// writeMails makes a folder with a mail to each address.
func writeMails(t *testing.T, addresses ...string) string {
	t.Helper()
	folder := t.TempDir()
	for i, a := range addresses {
		text := "From: <gatehouse@localhost>\r\nTo: <" + a + ">\r\nSubject: Your account\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("m%d.eml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
