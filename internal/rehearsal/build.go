package rehearsal

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"gatehouse/infra"
)

// Hello is the folder of the least function there is, against which the starts
// of others are measured.
const Hello = "internal/fakes/lambda/testdata/functions/hello"

// Build builds functions into dir, as the Makefile does for the release but for
// this machine's architecture, and returns where they are, by the last part of
// their folders. A folder is one beneath functions/, or, with a slash in it,
// beneath the module's root.
func Build(ctx context.Context, dir string, folders ...string) (map[string]string, error) {
	return BuildFor(ctx, runtime.GOOS, runtime.GOARCH, dir, folders...)
}

// BuildFor builds them for another system: linux and arm64 give the release's
// own files, for their sizes.
func BuildFor(ctx context.Context, system, architecture, dir string, folders ...string) (map[string]string, error) {
	root, err := infra.Root()
	if err != nil {
		return nil, err
	}
	args := []string{"build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	binaries := map[string]string{}
	for _, folder := range folders {
		binaries[filepath.Base(folder)] = filepath.Join(dir, filepath.Base(folder))
		if !strings.Contains(folder, "/") {
			folder = "functions/" + folder
		}
		args = append(args, "./"+folder)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the functions: %w\n%s", err, out)
	}
	return binaries, nil
}
