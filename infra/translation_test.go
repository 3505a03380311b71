package infra

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/short"
)

// tool returns the path of a program that `make tools` installs.
func tool(t *testing.T, name string) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, ".tools", "python", "bin", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing: run make tools", name)
		}
		t.Skipf("%s is missing: run make tools", name)
	}
	return path
}

// run runs a program at the module's root and returns what it printed.
func run(t *testing.T, name string, args ...string) (stdout []byte, err error) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool(t, name), args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION=us-east-1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	stdout, err = cmd.Output()
	if err != nil {
		t.Logf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout, errs.Bytes())
	}
	return stdout, err
}

var translated struct {
	once sync.Once
	text []byte
}

// translation is what CloudFormation makes of the template.
func translation(t *testing.T) document {
	t.Helper()
	translated.once.Do(func() {
		if text, err := run(t, "python", filepath.Join("infra", "translate.py"), FileName); err == nil {
			translated.text = text
		}
	})
	var d document
	if err := json.Unmarshal(translated.text, &d); err != nil {
		t.Fatalf("the template does not translate: %v", err)
	}
	return d
}

func TestLinters(t *testing.T) {
	short.Skip(t, "takes ten seconds")
	t.Run("cfn-lint of the template", func(t *testing.T) {
		t.Parallel()
		if _, err := run(t, "cfn-lint", FileName); err != nil {
			t.Errorf("cfn-lint: %v", err) // 4 is warnings alone: also too many
		}
	})
	t.Run("cfn-lint of its translation", func(t *testing.T) {
		t.Parallel()
		text, err := json.Marshal(translation(t))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "translated.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, "cfn-lint", path); err != nil {
			t.Errorf("cfn-lint: %v", err)
		}
	})
	t.Run("sam validate", func(t *testing.T) {
		t.Parallel()
		if _, err := run(t, "sam", "validate", "--lint", "--template", FileName); err != nil {
			t.Errorf("sam validate --lint: %v", err)
		}
	})
}

// TestBuild builds as an operator does. Each function's artifact is a program
// for Lambda's arm64 and nothing else.
func TestBuild(t *testing.T) {
	short.Skip(t, "compiles every function")
	dir := filepath.Join(t.TempDir(), "build")
	if _, err := run(t, "sam", "build", "--config-file", settings, "--build-dir", dir); err != nil {
		t.Fatalf("sam build: %v", err)
	}
	s := read(t)
	for folder := range s.Functions {
		files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(files, func(f string) bool {
			return strings.ToLower(filepath.Base(filepath.Dir(f))) != folder
		})
		if len(files) != 1 || filepath.Base(files[0]) != "bootstrap" {
			t.Errorf("the artifact of %s is %v, want bootstrap alone", folder, files)
			continue
		}
		head := make([]byte, 20)
		f, err := os.Open(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Read(head); err != nil {
			t.Error(err)
		}
		f.Close()
		const aarch64 = 183 // e_machine of ELF
		if string(head[:4]) != "\x7fELF" || head[18] != aarch64 {
			t.Errorf("%s is no program for arm64: it begins with % x", files[0], head)
		}
	}
}

// Every folder of functions/ is deployed, and make build builds each.
func TestFoldersAreDeployed(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(makefile), "\nFUNCTIONS := ")
	made, _, _ := strings.Cut(after, "\n")
	s := read(t)
	var folders []string
	for _, e := range entries {
		folders = append(folders, e.Name())
		if _, ok := s.Functions[e.Name()]; !ok {
			t.Errorf("functions/%s is not deployed", e.Name())
		}
	}
	for folder := range s.Functions {
		if !slices.Contains(folders, folder) {
			t.Errorf("the template deploys functions/%s, which is not there", folder)
		}
		if !slices.Contains(strings.Fields(strings.ToLower(made)), folder) {
			t.Errorf("the Makefile's FUNCTIONS are %s, without %s", made, folder)
		}
	}
}
