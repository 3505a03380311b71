package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testerLine is what scim2-cli prints for each result; what belongs to it is
// indented below.
var testerLine = regexp.MustCompile(`^([A-Z]+) (\S+)$`)

// TestTester runs scim2-tester (through scim2-cli) against organizations of
// which nobody is known yet, one for each dialect that takes RFC 7644's
// messages: the interoperability profile refuses some of them.
func TestTester(t *testing.T) {
	tool, err := filepath.Abs(filepath.Join(moduleRoot, ".tools/scim2/bin/scim2"))
	if err == nil {
		_, err = os.Stat(tool)
	}
	needs(t, err)
	s := start(t, options{})
	for _, dialect := range []string{"compat", "strict"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			_, c := s.organization(t, "tester-"+dialect, "--dialect", dialect)
			cmd := exec.CommandContext(t.Context(), tool, "-u", c.base, "test", "--verbose")
			// The credential is not for the list of processes.
			cmd.Env = append(os.Environ(), "SCIM_CLI_HEADERS=Authorization: Bearer "+c.token)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			succeeded, failed := judge(string(out))
			for _, f := range failed {
				t.Errorf("scim2-tester: %s", f)
			}
			if err != nil && len(failed) == 0 || succeeded < 120 {
				t.Errorf("scim2-tester ended with %v after %d checks that succeeded, want 120 at least:\n%s", err, succeeded, out)
			}
			t.Logf("scim2-tester: %d succeeded", succeeded)
		})
	}
}

// judge reads the report of scim2-cli: what succeeded and what did not, which
// what was skipped did not either.
func judge(report string) (succeeded int, failed []string) {
	lines := strings.Split(report, "\n")
	for i, line := range lines {
		m := testerLine.FindStringSubmatch(line)
		switch {
		case m == nil:
			if !strings.HasPrefix(line, "  ") && line != "" && i > 0 {
				failed = append(failed, line) // a traceback, say
			}
		case m[1] == "SUCCESS":
			succeeded++
		default:
			text := line
			for j := i + 1; j < len(lines) && strings.HasPrefix(lines[j], "  "); j++ {
				text += "\n" + lines[j]
			}
			failed = append(failed, text)
		}
	}
	return succeeded, failed
}

// TestJudge: what is no success is seen.
func TestJudge(t *testing.T) {
	succeeded, failed := judge("Performing a SCIM compliance check on http://x/ ...\nSUCCESS one\n  done\nERROR two\n  why\n  {'data': 1}\nSUCCESS two\nSKIPPED three\nCRITICAL four\nTraceback (most recent call last):\n")
	if succeeded != 2 || strings.Join(failed, "|") != "ERROR two\n  why\n  {'data': 1}|SKIPPED three|CRITICAL four|Traceback (most recent call last):" {
		t.Errorf("judge gives %d succeeded, %q failed", succeeded, failed)
	}
}
