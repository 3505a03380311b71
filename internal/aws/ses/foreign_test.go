package ses_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/aws/ses"
)

// TestForeign sends through somebody else's picture of SES, npm's
// aws-ses-v2-local: that our fake takes a request says little, the two having
// one author. It keeps neither tags nor the configuration set.
func TestForeign(t *testing.T) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	program := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), ".tools/npm/node_modules/.bin/aws-ses-v2-local")
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("aws-ses-v2-local is not installed: run make tools")
		}
		t.Skip("aws-ses-v2-local is not installed: run make tools")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	cmd := exec.Command(program, "--host", "127.0.0.1", "--port", port)
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start aws-ses-v2-local: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	base := "http://127.0.0.1:" + port
	get := func(path string) ([]byte, error) {
		r, err := http.Get(base + path)
		if err != nil {
			return nil, err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", r.StatusCode)
		}
		return b, err
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err = get("/health-check"); err == nil {
			break
		}
		select {
		case <-ended:
			t.Fatal("aws-ses-v2-local ended by itself")
		case <-time.After(50 * time.Millisecond): // it says nothing when it is ready
		}
		if time.Now().After(deadline) {
			t.Fatalf("aws-ses-v2-local does not get ready: %v", err)
		}
	}

	m := message()
	m.Subject = "Grüße"
	m.To.Addr = "ada@bücher.test"
	id, err := ses.New(connect(t, base, 0), set).Send(t.Context(), m)
	if err != nil {
		t.Fatalf("Send: %v", err)
	}
	b, err := get("/store")
	if err != nil {
		t.Fatalf("look into the store: %v", err)
	}
	var store struct {
		Emails []struct {
			MessageID   string `json:"messageId"`
			From        string `json:"from"`
			Subject     string `json:"subject"`
			Destination struct {
				To []string `json:"to"`
			} `json:"destination"`
			Body struct {
				Text string `json:"text"`
				HTML string `json:"html"`
			} `json:"body"`
		} `json:"emails"`
	}
	if err := json.Unmarshal(b, &store); err != nil || len(store.Emails) != 1 {
		t.Fatalf("the store holds %s (error %v), want one mail", b, err)
	}
	e := store.Emails[0]
	// It reads the header of the raw mail, and turns A-labels back.
	if e.MessageID != id || !strings.Contains(e.From, sender) || e.Subject != m.Subject || len(e.Destination.To) != 1 || !strings.Contains(e.Destination.To[0], m.To.Addr) {
		t.Errorf("the store holds a mail %q from %q to %q about %q; Send returned %q", e.MessageID, e.From, e.Destination.To, e.Subject, id)
	}
	if strings.TrimSpace(e.Body.Text) != m.Text || !strings.Contains(e.Body.HTML, m.HTML) {
		t.Errorf("the store's mail reads %q and %q", e.Body.Text, e.Body.HTML)
	}
}
