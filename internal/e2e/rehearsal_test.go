package e2e

import (
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The same stories as against the program on this machine, on AWS as it can be
// rehearsed here.

func TestRehearsalScripts(t *testing.T) {
	scripts(t, "aws", func(e *testscript.Env) target { return rehearse(e.T().(testing.TB), nil) })
}

func TestRehearsalOkta(t *testing.T) {
	t.Parallel()
	s, _ := rehearseSite(t, nil)
	okta(t, s)
}

func TestRehearsalIdentityProviders(t *testing.T) {
	t.Parallel()
	s, _ := rehearseSite(t, nil)
	identityProviders(t, s)
}

func TestRehearsalBrowser(t *testing.T) {
	s, _ := rehearseSite(t, nil)
	firstDay(t, s, 10*time.Second)
}
