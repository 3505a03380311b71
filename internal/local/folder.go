// Package local is the home off AWS: one program over a data folder. It opens
// the ports that package app needs, and does what AWS would do: listen, push the
// feed, call the sweep, take the operator's commands.
//
// It holds nothing of the product: what is possible here is possible on AWS.
package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
	"gatehouse/internal/secret"
)

// Folder is a data folder:
//
//	store/          the table
//	server.key      the key that all others are derived from; 0600
//	founded         tells that the table holds something, and of what; 0600
//	mail/           mails, where no SMTP server is named
//	demo.json       the demo organization's credential; 0600
//	gatehouse.sock  the command line's way in, while it is served; 0600
type Folder string

func (f Folder) path(name string) string { return filepath.Join(string(f), name) }

// KeyVariable names the environment variable that may hold the server's key
// instead of the file.
const KeyVariable = "GATEHOUSE_SERVER_KEY"

// prepare makes the folder, for its owner alone. One that is there already is
// closed to others if it is ours, or empty and nobody else has a use for it:
// any other is refused and stays as it is, since a mistyped --data must not
// lock people out of their files.
func (f Folder) prepare() error {
	info, err := os.Stat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(string(f), 0o700); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
		info, err = os.Stat(string(f))
	}
	if err != nil {
		return fmt.Errorf("look at the data folder: %w", err)
	}
	if !info.IsDir() {
		return fault.New(fault.Invalid, "", "%s is not a folder.", f)
	}
	ours, empty, err := f.look()
	switch {
	case err != nil:
		return fmt.Errorf("look at the data folder: %w", err)
	case ours:
	case !empty:
		return fault.New(fault.Invalid, "", "%s holds other files and no Gatehouse. Nothing was changed. Name a folder of its own with --data.", f)
	case shared(info):
		return fault.New(fault.Invalid, "", "%s is a folder that others use too. Nothing was changed. Name a folder of its own with --data.", f)
	}
	if info.Mode().Perm() == 0o700 {
		return nil
	}
	if err := os.Chmod(string(f), 0o700); err != nil {
		return fmt.Errorf("close the data folder to others: %w", err)
	}
	return nil
}

// look reports whether the folder is a data folder, or nothing is in it but
// what a fresh disk has.
func (f Folder) look() (ours, empty bool, err error) {
	all, err := os.ReadDir(string(f))
	if err != nil {
		return false, false, err
	}
	empty = true
	for _, e := range all {
		switch e.Name() {
		case "founded", "server.key":
			ours = true
		case "store":
			ours = ours || begun(f.path("store"))
		case "lost+found":
			continue
		}
		empty = false
	}
	return ours, empty, nil
}

// begun reports whether a folder named store is one of ours: its lock is made
// first, and there is nothing in it before. Others have folders of that name.
func begun(store string) bool {
	all, err := os.ReadDir(store)
	return err == nil && (len(all) == 0 || slices.ContainsFunc(all, func(e fs.DirEntry) bool { return e.Name() == "LOCK" }))
}

// shared reports whether a folder is meant for others too: it is another
// user's, or marked for a group's files or for everybody's.
func shared(dir fs.FileInfo) bool {
	s, ok := dir.Sys().(*syscall.Stat_t)
	return !ok || int(s.Uid) != os.Geteuid() || dir.Mode()&(fs.ModeSticky|fs.ModeSetgid) != 0
}

// errEmptied is the fault for a table that was founded and holds nothing.
func (f Folder) errEmptied() error {
	return fault.New(fault.Unavailable, "", "The store in %s has lost what was in it. Nothing was changed. Restore a backup, or begin anew in an empty folder.", f)
}

// wasFounded reports whether a table was founded in the folder.
func (f Folder) wasFounded() (bool, error) {
	_, err := os.Lstat(f.path("founded"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the data folder: %w", err)
	}
	return true, nil
}

// checkStore refuses a store that was founded and has no logs, which every store
// has: opened, it would begin anew, and what is put back later would be passed
// over.
func (f Folder) checkStore() error {
	was, err := f.wasFounded()
	if err != nil || !was {
		return err
	}
	// Whoever has the store open may put one log in another's place just now, so
	// that one look sees neither.
	for range 5 {
		files, err := os.ReadDir(f.path("store"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at the store: %w", err)
		}
		if slices.ContainsFunc(files, func(e fs.DirEntry) bool { return filepath.Ext(e.Name()) == ".log" }) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return f.errEmptied()
}

// found keeps outside of the store that it was founded: a store that loses its
// files would look new.
func (f Folder) found(key secret.Key) error {
	b, err := json.Marshal(struct {
		Schema int    `json:"schema"`
		Key    string `json:"key"` // fingerprint of the server's key
	}{app.SchemaVersion, key.Fingerprint()})
	if err == nil {
		err = writeFile(f.path("founded"), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep that the store was founded: %w", err)
	}
	return nil
}

// key reads the server's key, or makes it for a fresh store. A store without its
// key is of no use, so a missing one is never replaced. The caller holds the
// store: of two programs that begin at once only one gets here.
func (f Folder) key(fresh bool) (secret.Key, error) {
	if s := os.Getenv(KeyVariable); s != "" {
		k, err := secret.Parse(s)
		if err != nil {
			return k, fmt.Errorf("read %s: %w", KeyVariable, err)
		}
		return k, nil
	}
	if info, err := os.Stat(f.path("server.key")); err == nil && info.Mode().Perm()&0o077 != 0 {
		return secret.Key{}, fault.New(fault.Unavailable, "", "Others on this machine can read or change %s. If none of them did: chmod 600 %s", f.path("server.key"), f.path("server.key"))
	}
	b, err := os.ReadFile(f.path("server.key"))
	if err == nil {
		k, err := secret.Parse(string(b))
		if err != nil {
			return k, fmt.Errorf("read %s: %w", f.path("server.key"), err)
		}
		return k, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return secret.Key{}, fmt.Errorf("read the server key: %w", err)
	}
	if !fresh {
		return secret.Key{}, fault.New(fault.Unavailable, "", "The store in %s has lost its server.key. Bring it back from a backup, or set %s.", f, KeyVariable)
	}
	k := secret.Mint()
	if err := writeFile(f.path("server.key"), []byte(k.Reveal()+"\n")); err != nil {
		return k, fmt.Errorf("write the server key: %w", err)
	}
	return k, nil
}

// writeFile replaces a file as a whole, durably and readable for its owner only.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// demo reads what was kept of the demo organization; false if there is none.
func (f Folder) demo() (app.Demo, bool, error) {
	var d app.Demo
	b, err := os.ReadFile(f.path("demo.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return d, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		return d, false, fmt.Errorf("read the demo organization's file: %w", err)
	}
	return d, true, nil
}

func (f Folder) keepDemo(d app.Demo) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err == nil {
		err = writeFile(f.path("demo.json"), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep the demo organization's credential: %w", err)
	}
	return nil
}
