package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"gatehouse/internal/app"
	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"

	"github.com/alecthomas/kong"
)

// Unless told otherwise the program answers this machine alone, and sends mails
// over nothing but TLS.
func TestServeIsPrivateByDefault(t *testing.T) {
	for _, name := range []string{"GATEHOUSE_LISTEN", "GATEHOUSE_URL", "GATEHOUSE_SMTP_TLS"} {
		t.Setenv(name, "") // which is put back after the test
		os.Unsetenv(name)
	}
	var c cli
	parser, err := kong.New(&c, kong.Writers(io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve"}); err != nil {
		t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(c.Serve.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		t.Errorf("serve listens on %q, want an address of loopback", c.Serve.Listen)
	}
	if c.Serve.SMTPTLS != "starttls" || c.Serve.URL != "" {
		t.Errorf("serve has --smtp-tls %q and --url %q, want starttls and none", c.Serve.SMTPTLS, c.Serve.URL)
	}
}

// Scripts read what --json prints: the answer alone, or one object on stderr.
func TestErrorsAsJSON(t *testing.T) {
	data := t.TempDir() + "/none"
	for _, c := range []struct {
		args []string
		code int
		kind string
	}{
		{[]string{"org", "list", "--json", "--data", data}, 1, "not found"},
		{[]string{"org", "create", "--json", "--name", "x", "--admin", "notmail", "--data", data}, 1, "invalid"},
		{[]string{"org", "create", "--json", "--data", data}, 2, "invalid"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), c.args, &out, &errs)
		var told struct {
			Error struct{ Kind, Message string }
		}
		err := json.Unmarshal(errs.Bytes(), &told)
		if code != c.code || out.Len() != 0 || err != nil || told.Error.Kind != c.kind || told.Error.Message == "" {
			t.Errorf("gatehouse %v = %d, %q, %q; want %d and one error of kind %q", c.args, code, out.String(), errs.String(), c.code, c.kind)
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"org", "list", "--data", data + "2"}, &out, &errs); code != 1 || !strings.HasPrefix(errs.String(), "gatehouse: ") {
		t.Errorf("without --json: %d, %q; want 1 and a sentence", code, errs.String())
	}
}

func TestRevokeExplainsItself(t *testing.T) {
	var out, errs bytes.Buffer
	run(t.Context(), []string{"connection", "revoke", "--help"}, &out, &errs)
	if strings.Contains(out.String(), "without it") || !strings.Contains(out.String(), "--all") {
		t.Errorf("connection revoke --help:\n%s", out.String())
	}
	if code := run(t.Context(), []string{"connection", "revoke", "--org", "x", "--connection", "y"}, &out, &errs); code != 2 {
		t.Errorf("connection revoke of neither one nor all = %d, want 2", code)
	}
}

// A list that is longer than what was asked for says so beside the answer: what
// --json prints stays an array.
func TestDeadListSaysThatThereAreMore(t *testing.T) {
	data := t.TempDir() + "/data"
	var out, errs bytes.Buffer
	gatehouse := func(args ...string) int {
		out.Reset()
		errs.Reset()
		return run(t.Context(), append(args, "--data", data), &out, &errs)
	}
	if code := gatehouse("org", "create", "--name", "Example"); code != 0 {
		t.Fatalf("org create = %d, %q", code, errs.String())
	}
	store, err := pebble.Open(data+"/store", pebble.Options{Subscriptions: app.Subscriptions(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		e := table.Entry{Change: table.Change{ID: fmt.Sprint(i), Key: table.Key{Part: "O#none", Sort: "#"}}}
		if err := pump.BuryUnread(t.Context(), store, app.FeedName, e, 8, errors.New("lost")); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit string
		want  int
		more  bool
	}{{"3", 3, true}, {"5", 5, false}, {"1000", 5, false}} {
		var list []app.Dead
		if code := gatehouse("dead", "list", "--json", "--limit", c.limit); code != 0 || json.Unmarshal(out.Bytes(), &list) != nil || len(list) != c.want {
			t.Errorf("dead list --json --limit %s = %d, %q; want an array of %d", c.limit, code, out.String(), c.want)
		}
		var told struct{ Note struct{ Message string } }
		json.Unmarshal(errs.Bytes(), &told)
		if (told.Note.Message != "") != c.more || !c.more && errs.Len() > 0 {
			t.Errorf("dead list --json --limit %s says %q beside, want a note: %v", c.limit, errs.String(), c.more)
		}
		if code := gatehouse("dead", "list", "--limit", c.limit); code != 0 || strings.Count(out.String(), "\n") != c.want || strings.HasPrefix(errs.String(), "There are more") != c.more {
			t.Errorf("dead list --limit %s = %d, %q, %q; want %d lines and a note: %v", c.limit, code, out.String(), errs.String(), c.want, c.more)
		}
	}
	if code := gatehouse("dead", "list", "--limit", "0"); code != 2 {
		t.Errorf("dead list --limit 0 = %d, want 2", code)
	}
	if code := gatehouse("dead", "replay"); code != 0 || out.String() != "5 done, 0 still fail.\n" {
		t.Errorf("dead replay = %d, %q, %q; want five done", code, out.String(), errs.String())
	}
	if code := gatehouse("dead", "list", "--json"); code != 0 || out.String() != "[]\n" {
		t.Errorf("dead list --json after that = %d, %q; want []", code, out.String())
	}
}
