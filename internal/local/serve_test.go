package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
)

// serveBriefly runs Serve where it is to be refused, and ends it if it is not.
func serveBriefly(t *testing.T, o Options) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	o.Listen, o.Out, o.Err = "127.0.0.1:0", io.Discard, io.Discard
	return Serve(ctx, o)
}

// What is wrong with the options is told before anything is made.
func TestOptionsAreCheckedFirst(t *testing.T) {
	for name, o := range map[string]Options{
		"no address to send from":       {SMTP: "smtp.example:587", SMTPTLS: "starttls"},
		"an address that is none":       {From: "notanaddr"},
		"an address with a name":        {From: "Gate <gate@gate.example>"},
		"two addresses":                 {From: "a@gate.example,b@gate.example"},
		"an address that adds headers":  {From: "a@gate.example\r\nBcc: b@gate.example"},
		"a host with an underscore":     {URL: "https://a_b.example"},
		"a ready file in no folder":     {Ready: filepath.Join(t.TempDir(), "none", "ready.json")},
		"a ready file that is a folder": {Ready: t.TempDir()},
		"a rate that is too low":        {Rate: 24},
		"a rate below none":             {Rate: -1},
	} {
		o.Data = Folder(filepath.Join(t.TempDir(), "data"))
		if err := serveBriefly(t, o); !fault.Is(err, fault.Invalid) {
			t.Errorf("Serve with %s = %v, want it refused", name, err)
		}
		if _, err := os.Stat(string(o.Data)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Serve with %s made the data folder", name)
		}
	}
	if err := checkURL("https://a_b.example"); err == nil || !strings.Contains(message(err), "underscore") {
		t.Errorf("checkURL of an underscore = %v, want the reason", err)
	}
}

// The ready file is there while the program answers, and only then: whoever
// waits for it never reads of a program that was.
func TestReadyFile(t *testing.T) {
	f, ready := Folder(filepath.Join(t.TempDir(), "data")), filepath.Join(t.TempDir(), "ready.json")
	if err := os.WriteFile(ready, []byte(`{"url":"http://127.0.0.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := open(t.Context(), Options{Data: f, URL: "http://127.0.0.1:8080"}, discard)
	if err != nil {
		t.Fatal(err)
	}
	h.close()
	if err := os.Chmod(f.path("server.key"), 0o644); err != nil { // so that Serve fails late
		t.Fatal(err)
	}
	if err := serveBriefly(t, Options{Data: f, Ready: ready}); err == nil {
		t.Fatal("Serve with a key that others can read = nil")
	}
	if _, err := os.Stat(ready); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an old ready file outlives the start of serve: %v", err)
	}

	var s served
	t.Run("serve", func(t *testing.T) {
		s = serve(t, Options{})
		// Who is refused, since the folder is served, leaves the other's file.
		began := time.Now()
		err := serveBriefly(t, Options{Data: s.folder, Ready: s.ready})
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(message(err), "Another gatehouse serves") || time.Since(began) > time.Second {
			t.Errorf("a second Serve = %v after %v, want it refused at once", err, time.Since(began))
		}
		if _, err := os.Stat(s.ready); err != nil {
			t.Errorf("a second Serve took the ready file away: %v", err)
		}
	})
	if _, err := os.Stat(s.ready); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the ready file outlives the program: %v", err)
	}
}

// Commands on a store at rest take turns.
func TestCommandsTakeTurns(t *testing.T) {
	f := founded(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			args := fmt.Sprintf(`{"name":"Org %d"}`, i)
			if _, err := Operate(t.Context(), f, "", "org create", json.RawMessage(args)); err != nil {
				t.Errorf("command %d of 8 at once: %v", i, err)
			}
		})
	}
	all.Wait()
	h, err := open(t.Context(), Options{Data: f, URL: "http://127.0.0.1:8080"}, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	began := time.Now()
	_, err = Operate(t.Context(), f, "", "org list", nil)
	if took := time.Since(began); !fault.Is(err, fault.Unavailable) || took < patience || took > 2*patience {
		t.Errorf("a command on a store that stays locked = %v after %v, want it refused after %v", err, took, patience)
	}
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if _, err := Operate(ctx, f, "", "org list", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that is called off while it waits = %v, want %v", err, context.DeadlineExceeded)
	}
}

// An answer over the socket is the same as one at rest.
func TestAnswersOverTheSocket(t *testing.T) {
	s := serve(t, Options{})
	b, err := Operate(t.Context(), s.folder, "", "org list", nil)
	if err != nil || strings.TrimSpace(string(b)) != string(b) {
		t.Errorf("org list over the socket = %q, %v; want JSON and nothing around it", b, err)
	}
}

// Who is told to stop waits for what is under way, not for who says nothing.
func TestDrain(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		took time.Duration
		log  string
	}{
		"nobody's request": {"", 0, ""},
		"a finished one":   {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, ""},
		"a stalled upload": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab", drainTime, "drain timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				var log buffer
				logger := slog.New(slog.NewTextHandler(&log, nil))
				s := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), logger)
				go s.Serve(l)
				ours, theirs := net.Pipe()
				defer ours.Close()
				l.conns <- theirs
				go io.Copy(io.Discard, ours)
				io.WriteString(ours, c.sent)
				synctest.Wait()
				began := time.Now()
				drain(s, logger)
				if took := time.Since(began); took < c.took || took > c.took+time.Second {
					t.Errorf("draining with %s takes %v, want %v", name, took, c.took)
				}
				if !strings.Contains(log.String(), c.log) || c.log == "" && strings.Contains(log.String(), "timed out") {
					t.Errorf("draining with %s logs %q, want %q", name, log.String(), c.log)
				}
			})
		})
	}
}
