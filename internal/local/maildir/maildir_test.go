package maildir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/local/maildir"
	"gatehouse/internal/mail"
)

func message(n int) mail.Message {
	return mail.Message{
		ID: identity.Message(fmt.Sprintf("%026d", n)), From: mail.Address{Name: "Gatehouse", Addr: "gate@house.test"},
		To: mail.Address{Addr: "ada@example.test"}, Subject: fmt.Sprintf("Grüße, Nr. %d", n),
		Text: "Zeile\n" + strings.Repeat("lang ", 300) + "\n", HTML: "<p>Grüße</p>\n", Language: "de",
		Date: time.Date(2026, 11, 22, 11, 0, n, 0, time.UTC),
	}
}

func open(t *testing.T) (*maildir.Folder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mail")
	f, err := maildir.Open(dir)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return f, dir
}

func send(t *testing.T, f *maildir.Folder, m mail.Message) {
	t.Helper()
	if name, err := f.Send(t.Context(), m); err != nil || name != string(m.ID)+".eml" {
		t.Fatalf("Send(%s) = %q, %v", m.ID, name, err)
	}
}

func TestSendAndRead(t *testing.T) {
	f, dir := open(t)
	m := message(1)
	send(t, f, m)
	got, err := f.Read(string(m.ID))
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	want := maildir.Mail{ID: m.ID, From: m.From.Addr, To: m.To.Addr, Subject: m.Subject, Language: "de", Text: m.Text, HTML: m.HTML}
	if !got.Date.Equal(m.Date) {
		t.Errorf("Read gives the date %v, want %v", got.Date, m.Date)
	}
	got.Date = time.Time{}
	if got != want {
		t.Errorf("Read = %+v, want %+v", got, want)
	}
	path := filepath.Join(dir, string(m.ID)+".eml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if env, err := enmime.ReadEnvelope(strings.NewReader(string(raw))); err != nil || len(env.Errors) > 0 || env.GetHeader("Subject") != m.Subject {
		t.Errorf("another reader finds %v, %v", err, env.Errors)
	}
	for i, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 998 {
			t.Errorf("line %d has %d bytes", i+1, len(line))
		}
	}
	for p, want := range map[string]os.FileMode{path: 0o600, dir: 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("the mode of %s is %v (%v), want %v", filepath.Base(p), info.Mode().Perm(), err, want)
		}
	}
}

// TestOnce repeats a message, one after another, at once, and by a folder that
// was opened anew: one mail, as it was first.
func TestOnce(t *testing.T) {
	f, dir := open(t)
	m := message(7)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := f.Send(context.Background(), m); err != nil {
				t.Errorf("Send: %v", err)
			}
		})
	}
	all.Wait()
	again, err := maildir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	other := m
	other.Subject = "another"
	send(t, again, other)
	if again.Count() != 1 || f.Count() != 1 {
		t.Errorf("Count is %d and %d, want 1", f.Count(), again.Count())
	}
	if got, err := again.Read(string(m.ID)); err != nil || got.Subject != m.Subject {
		t.Errorf("the mail's subject is %q (%v), want the first one's", got.Subject, err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("the folder has %d files, want 1", len(entries))
	}
}

func TestList(t *testing.T) {
	f, dir := open(t)
	for i := range 5 {
		send(t, f, message(i))
		stamp := time.Unix(int64(1000+i), 0)
		os.Chtimes(filepath.Join(dir, fmt.Sprintf("%026d.eml", i)), stamp, stamp)
	}
	os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o600)
	os.WriteFile(filepath.Join(dir, ".tmp-123"), []byte("half"), 0o600)
	reopened, err := maildir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".tmp-123")); !errors.Is(err, os.ErrNotExist) {
		t.Error("Open left a half-written file")
	}
	os.Remove(filepath.Join(dir, fmt.Sprintf("%026d.eml", 3)))
	os.WriteFile(filepath.Join(dir, fmt.Sprintf("%026d.eml", 2)), []byte("damaged"), 0o600)
	for _, c := range []struct {
		skip, limit int
		want        string
	}{{0, 10, "4 - 1 0"}, {0, 1, "4"}, {3, 10, "1 0"}, {9, 10, ""}, {0, 0, ""}, {-1, -1, ""}} {
		var got []string
		for _, m := range reopened.List(c.skip, c.limit) {
			_, n, _ := strings.Cut(m.Subject, "Nr. ")
			if m.Text != "" || m.HTML != "" {
				t.Errorf("List gives bodies")
			}
			if n == "" {
				n = "-"
			}
			got = append(got, n)
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("List(%d, %d) = %q, want %q", c.skip, c.limit, g, c.want)
		}
	}
}

func TestReadRefusesPaths(t *testing.T) {
	f, dir := open(t)
	os.WriteFile(filepath.Join(filepath.Dir(dir), "secret.eml"), []byte("Subject: s\r\n\r\n"), 0o600)
	for _, id := range []string{"", "../secret", "..%2fsecret", strings.Repeat("0", 26), strings.Repeat("/", 26), strings.Repeat("0", 25) + "\x00"} {
		if _, err := f.Read(id); !fault.Is(err, fault.NotFound) {
			t.Errorf("Read(%q) = %v, want not found", id, err)
		}
	}
	m := message(1)
	m.ID = "../../../etc/cron.d/xxxxxxx"
	if _, err := f.Send(t.Context(), m); !errors.Is(err, mail.ErrRefused) {
		t.Errorf("Send of id %q = %v, want refused", m.ID, err)
	}
}

func TestFolderGone(t *testing.T) {
	f, dir := open(t)
	os.RemoveAll(dir)
	if _, err := f.Send(t.Context(), message(1)); !errors.Is(err, mail.ErrLater) {
		t.Errorf("Send into a folder that is gone = %v, want later", err)
	}
	os.MkdirAll(dir, 0o700)
	send(t, f, message(1))
}
