// Package maildir keeps mails as files, for whoever tries Gatehouse on one
// machine: one .eml file a mail in one folder, and the reading of them for the
// inbox page.
//
// It is not the Maildir format and not a mailbox for several programs: one
// program writes the folder. Its mails hold activation links, so the folder is
// its owner's alone.
package maildir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
)

const (
	suffix    = ".eml"
	temporary = ".tmp-" // begins the name of a file that is being written
)

// Folder is a mail.Sender that keeps its promise by name: a file is named for
// its message, so that a message is one mail however often it is sent.
type Folder struct {
	path string

	mu    sync.Mutex
	mails []stored // oldest first
	known map[identity.Message]bool
}

type stored struct {
	id identity.Message
	at time.Time // of writing
}

// Open makes the folder if it is not there and takes stock of it. Files that a
// crash left half-written are removed.
func Open(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the mail folder: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read the mail folder: %w", err)
	}
	f := &Folder{path: path, known: map[identity.Message]bool{}}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			if err := os.Remove(filepath.Join(path, e.Name())); err != nil {
				return nil, fmt.Errorf("tidy the mail folder: %w", err)
			}
			continue
		}
		id, ok := parseID(strings.TrimSuffix(e.Name(), suffix))
		if !ok || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the mail folder: %w", err)
		}
		f.mails = append(f.mails, stored{id, info.ModTime()})
		f.known[id] = true
	}
	slices.SortFunc(f.mails, func(a, b stored) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
	return f, nil
}

// parseID keeps a name from the web or from the folder from being a path.
func parseID(s string) (identity.Message, bool) {
	ok := len(s) == 26 && strings.Trim(s, "0123456789abcdefghjkmnpqrstvwxyz") == ""
	return identity.Message(s), ok
}

// Promise is mail.Sender's.
func (f *Folder) Promise() mail.Promise { return mail.Once }

// Send writes the mail, durably, and returns the file's name. A mail that is
// there already stays as it is.
func (f *Folder) Send(ctx context.Context, m mail.Message) (string, error) {
	if _, ok := parseID(string(m.ID)); !ok {
		return "", &mail.Reason{Code: "message-id", Err: mail.ErrRefused}
	}
	if err := ctx.Err(); err != nil {
		return "", &mail.Reason{Code: "stopped", Err: mail.ErrLater}
	}
	text, err := m.Compose()
	if err != nil {
		return "", err
	}
	name := string(m.ID) + suffix
	final := filepath.Join(f.path, name)
	if _, err := os.Lstat(final); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return "", later(err)
		}
		if err := f.write(final, text); err != nil {
			return "", err
		}
	} else if err := syncFolder(f.path); err != nil { // its writer may have crashed before it came to that
		return "", leftOpen(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.known[m.ID] {
		f.known[m.ID] = true
		f.mails = append(f.mails, stored{m.ID, time.Now()})
	}
	return name, nil
}

// write makes the file appear whole or not at all.
func (f *Folder) write(final string, text []byte) error {
	tmp, err := os.CreateTemp(f.path, temporary+"*") // mode 0600
	if err != nil {
		return later(err)
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), final)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return later(err)
	}
	if err := syncFolder(f.path); err != nil {
		return leftOpen(err)
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func later(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &mail.Reason{Code: "full", Err: mail.ErrLater}
	}
	return &mail.Reason{Code: "file", Err: mail.ErrLater}
}

func leftOpen(err error) error {
	return &mail.Reason{Code: "file", Err: fmt.Errorf("make a mail durable: %w", err)}
}

// Count returns how many mails there are; it grows with each.
func (f *Folder) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mails)
}

// List returns up to limit mails without their bodies, newest first, passing
// over the newest skip. A file that was removed by hand is left out, and one
// that cannot be read shows its id alone.
func (f *Folder) List(skip, limit int) []Mail {
	f.mu.Lock()
	end := max(0, len(f.mails)-max(0, skip))
	page := slices.Clone(f.mails[max(0, end-max(0, limit)):end])
	f.mu.Unlock()
	slices.Reverse(page)
	out := make([]Mail, 0, len(page))
	for _, s := range page {
		m, err := f.read(s.id, false)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			m = Mail{ID: s.id}
		}
		m.Written = s.at
		out = append(out, m)
	}
	return out
}

// Read returns a mail whole; NotFound if there is none of the id.
func (f *Folder) Read(id string) (Mail, error) {
	parsed, ok := parseID(id)
	if !ok {
		return Mail{}, noMail()
	}
	return f.read(parsed, true)
}

func noMail() error { return fault.New(fault.NotFound, "", "There is no such mail.") }
