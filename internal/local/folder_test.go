package local

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
)

var discard = slog.New(slog.DiscardHandler)

// founded makes a data folder at rest with an organization in it.
func founded(t *testing.T) Folder {
	t.Helper()
	f := Folder(filepath.Join(t.TempDir(), "data"))
	if _, err := Operate(t.Context(), f, "", "org create", json.RawMessage(`{"name":"Acme"}`)); err != nil {
		t.Fatal(err)
	}
	return f
}

func empty(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			t.Fatal(err)
		}
	}
}

func match(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s matches %v, %v; want files", filepath.Base(pattern), names, err)
	}
	return names
}

// A store that was founded and holds nothing has lost it: it is never begun
// anew, whoever opens it, and what is left of it stays as it is.
func TestALostStoreIsNotReplaced(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, Folder){
		"its logs":           func(t *testing.T, f Folder) { empty(t, match(t, f.path("store/*.log"))...) },
		"its files":          func(t *testing.T, f Folder) { empty(t, match(t, f.path("store/*"))...) },
		"its folder":         func(t *testing.T, f Folder) { empty(t, f.path("store")) },
		"its folder and key": func(t *testing.T, f Folder) { empty(t, f.path("store"), f.path("server.key")) },
		"what was in its logs": func(t *testing.T, f Folder) {
			for _, l := range match(t, f.path("store/*.log")) {
				if err := os.Truncate(l, 0); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := founded(t)
			lose(t, f)
			left, _ := filepath.Glob(f.path("store/*"))
			for _, command := range []string{"org create", "org list"} {
				_, err := Operate(t.Context(), f, "", command, json.RawMessage(`{"name":"Other"}`))
				if !fault.Is(err, fault.Unavailable) || !strings.Contains(message(err), "has lost what was in it") {
					t.Errorf("%s on a store that lost %s = %v, want it refused", command, name, err)
				}
			}
			err := serveBriefly(t, Options{Data: f})
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("Serve of a store that lost %s = %v, want it refused", name, err)
			}
			if name == "what was in its logs" {
				return // that shows only in the open store
			}
			if now, _ := filepath.Glob(f.path("store/*")); strings.Join(now, " ") != strings.Join(left, " ") {
				t.Errorf("after the refusals the store that lost %s is %v, want %v", name, now, left)
			}
		})
	}
}

// The file that tells of the store is written where it is missing: by a program
// that died before, or one that did not know it. A backup has it too.
func TestFounded(t *testing.T) {
	f := founded(t)
	first, err := os.ReadFile(f.path("founded"))
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Schema int
		Key    string
	}
	if err := json.Unmarshal(first, &told); err != nil || told.Schema != app.SchemaVersion || len(told.Key) != 16 {
		t.Errorf("founded holds %s, want the schema's version and the key's fingerprint", first)
	}
	empty(t, f.path("founded"))
	copied := Folder(filepath.Join(t.TempDir(), "copy"))
	args, _ := json.Marshal(BackupArgs{Dir: string(copied)})
	if _, err := Operate(t.Context(), f, "", "backup", args); err != nil {
		t.Fatalf("backup of a store without founded: %v", err)
	}
	for _, f := range []Folder{f, copied} {
		info, err := os.Stat(f.path("founded"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("founded: %v, %v; want it there, 0600", info, err)
		}
	}
	empty(t, copied.path("store"))
	if _, err := Operate(t.Context(), copied, "", "org list", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a backup that lost its store = %v, want it refused", err)
	}
}

// A folder is closed to others only if it is ours, or empty and the user's own.
func TestForeignFolders(t *testing.T) {
	for name, c := range map[string]struct {
		make func(dir string) error
		mode fs.FileMode
		ours bool
	}{
		"an empty one":               {func(string) error { return nil }, 0o755, true},
		"an empty one of a disk":     {func(d string) error { return os.Mkdir(d+"/lost+found", 0o700) }, 0o755, true},
		"one with a key":             {func(d string) error { return os.WriteFile(d+"/server.key", []byte(strings.Repeat("00", 32)), 0o600) }, 0o755, true},
		"a beginning":                {func(d string) error { return os.Mkdir(d+"/store", 0o700) }, 0o755, true},
		"an empty one that all use":  {func(string) error { return nil }, 0o777 | fs.ModeSticky, false},
		"an empty one of a group":    {func(string) error { return nil }, 0o775 | fs.ModeSetgid, false},
		"one with a file":            {func(d string) error { return os.WriteFile(d+"/notes", nil, 0o644) }, 0o755, false},
		"one with another's store":   {func(d string) error { return os.MkdirAll(d+"/store/shelf", 0o755) }, 0o755, false},
		"one with a file like store": {func(d string) error { return os.WriteFile(d+"/store", nil, 0o644) }, 0o755, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := errors.Join(os.Mkdir(dir, 0o755), c.make(dir), os.Chmod(dir, c.mode)); err != nil {
				t.Fatal(err)
			}
			err := Folder(dir).prepare()
			want := c.mode
			if c.ours {
				want = 0o700
			}
			if (err == nil) != c.ours || err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("prepare of %s = %v, want it taken: %v", name, err, c.ours)
			}
			if info, err := os.Stat(dir); err != nil {
				t.Error(err)
			} else if info.Mode()&^fs.ModeDir != want {
				t.Errorf("after prepare the mode of %s is %v, want %v", name, info.Mode(), want)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Folder(file).prepare(); !fault.Is(err, fault.Invalid) {
		t.Errorf("prepare of a file = %v, want it refused", err)
	}
}

// A key that others can read is theirs already.
func TestKeyThatOthersCanRead(t *testing.T) {
	f := founded(t)
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o602} {
		if err := os.Chmod(f.path("server.key"), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Operate(t.Context(), f, "", "org list", nil); !fault.Is(err, fault.Unavailable) || !strings.Contains(message(err), "chmod 600") {
			t.Errorf("a key with mode %v = %v, want it refused with what to do", mode, err)
		}
	}
}

// A backup inside of what it copies would be lost with it.
func TestBackupIntoItself(t *testing.T) {
	f := founded(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(f.path("store"), link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{f.path("copy"), f.path("store/a/b"), filepath.Join(link, "copy")} {
		args, _ := json.Marshal(BackupArgs{Dir: dir})
		if _, err := Operate(t.Context(), f, "", "backup", args); !fault.Is(err, fault.Invalid) {
			t.Errorf("backup to %s = %v, want it refused", dir, err)
		}
		if _, err := os.Lstat(filepath.Dir(dir)); filepath.Base(dir) == "b" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a refused backup made %s", filepath.Dir(dir))
		}
	}
}
