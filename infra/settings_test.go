package infra

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/short"
)

// settings is the file that an operator copies to samconfig.toml.
const settings = "samconfig.example.toml"

// taken is what sam takes from the settings for a command.
func taken(t *testing.T, command string, args ...string) map[string]any {
	t.Helper()
	stdout, err := run(t, "python", append([]string{filepath.Join("infra", "settings.py"), settings, command}, args...)...)
	if err != nil {
		t.Fatalf("sam %s does not take %s: %v", command, settings, err)
	}
	var out map[string]any
	if err := json.Unmarshal(stdout, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A parameter that the settings do not name keeps the value that the stack has,
// whatever the template's default is: so all are named, with the defaults.
func TestSettings(t *testing.T) {
	short.Skip(t, "asks sam twice")
	if build := taken(t, "build"); build["build_in_source"] != true {
		t.Errorf("sam build copies the folder for each function: %v", build["build_in_source"])
	}
	deploy := taken(t, "deploy")
	for name, want := range map[string]any{"stack_name": "gatehouse", "confirm_changeset": true, "resolve_s3": true, "guided": false, "disable_rollback": false} {
		if deploy[name] != want {
			t.Errorf("sam deploy has %s = %v, want %v", name, deploy[name], want)
		}
	}
	given, _ := deploy["parameter_overrides"].(map[string]any)
	declared := translation(t).section("Parameters")
	if got, want := slices.Sorted(maps.Keys(given)), slices.Sorted(maps.Keys(declared)); !slices.Equal(got, want) {
		t.Errorf("the settings name the parameters %v, and the template %v", got, want)
	}
	params := map[string]string{}
	for name, v := range given {
		params[name] = text(v)
		if def := dig(declared[name], "Default"); name != "MailFrom" && text(def) != params[name] {
			t.Errorf("the settings have %s = %q, and the template %q", name, v, text(def))
		}
	}
	if _, err := Read(params); err != nil {
		t.Errorf("the template does not take the settings: %v", err)
	}
}

// One parameter on the command line takes the place of all in the settings,
// which is why no page says to give one.
func TestCommandLineReplacesSettings(t *testing.T) {
	short.Skip(t, "asks sam")
	given := taken(t, "deploy", "--parameter-overrides", "RestoredTable=gatehouse-back")["parameter_overrides"]
	if m, _ := given.(map[string]any); len(m) != 1 {
		t.Errorf("sam deploy merges %v into the settings: the pages may be simpler", given)
	}
}

// What an operator writes down stays out of git, and no page leads around it.
func TestSettingsAreTheOperators(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Split(string(ignored), "\n"), "/samconfig.toml") {
		t.Error("git follows samconfig.toml, where addresses stand")
	}
	var pages []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/alerts/*.md"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		pages = append(pages, found...)
	}
	if len(pages) < 10 {
		t.Fatalf("the pages are %v", pages)
	}
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			typed := strings.HasPrefix(strings.TrimSpace(line), "sam ") || strings.Contains(line, "&& sam deploy")
			if typed && (strings.Contains(line, "--guided") || strings.Contains(line, "--parameter-overrides")) {
				t.Errorf("%s gives parameters that nobody remembers: %s", filepath.Base(page), line)
			}
		}
	}
}
