package dynamodb

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestLauncherRemovesWhatItIsGiven holds that who starts the launcher by hand
// does not lose the folder for temporary files.
func TestLauncherRemovesWhatItIsGiven(t *testing.T) {
	java, path, err := classPath(t.Context())
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	out, err := exec.CommandContext(t.Context(), java, "-Djava.io.tmpdir="+filepath.Dir(mine), "-cp", path, "Local").CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the launcher without a folder ends with %v, want exit code 2: %s", err, out)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("the launcher removed what it was not given: %v", err)
	}
}
