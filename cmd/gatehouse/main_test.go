package main

import (
	"io"
	"net"
	"os"
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
