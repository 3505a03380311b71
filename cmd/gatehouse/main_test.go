package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"testing"

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
