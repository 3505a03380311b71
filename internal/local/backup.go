package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
)

// BackupArgs are the arguments of the command backup.
type BackupArgs struct {
	Dir string `json:"dir"` // to be made; absolute
}

// backup copies the store as it is at one moment, and what belongs to it, into a
// folder that is a data folder of its own. Mails are not copied: what was sent
// is known to the store. The folder has its name only once it is whole.
func (h *home) backup(ctx context.Context, from Folder, args json.RawMessage) (any, error) {
	var a BackupArgs
	if err := json.Unmarshal(args, &a); err != nil || !filepath.IsAbs(a.Dir) {
		return nil, fault.New(fault.Invalid, "", "A backup needs the name of the folder to make.")
	}
	inside, err := from.contains(filepath.Dir(a.Dir))
	if err != nil {
		return nil, failedBackup(err)
	}
	if inside {
		return nil, fault.New(fault.Invalid, "", "%s is inside the data folder: a backup would be lost with it.", a.Dir)
	}
	if _, err := os.Lstat(a.Dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Conflict, "", "%s is there already. A backup goes to a folder of its own.", a.Dir)
	}
	if err := os.MkdirAll(filepath.Dir(a.Dir), 0o700); err != nil {
		return nil, failedBackup(err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(a.Dir), ".backup-*")
	if err != nil {
		return nil, failedBackup(err)
	}
	defer os.RemoveAll(tmp)
	to := Folder(tmp)
	// The key first: it is there when the store is.
	if err := writeFile(to.path("server.key"), []byte(h.app.Key.Reveal()+"\n")); err != nil {
		return nil, failedBackup(err)
	}
	if err := to.found(h.app.Key); err != nil {
		return nil, failedBackup(err)
	}
	b, err := os.ReadFile(from.path("demo.json"))
	if err == nil {
		err = writeFile(to.path("demo.json"), b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, failedBackup(err)
	}
	if err := h.table.Checkpoint(ctx, to.path("store")); err != nil {
		return nil, failedBackup(err)
	}
	if err := os.Rename(tmp, a.Dir); err != nil {
		return nil, failedBackup(err)
	}
	if err := syncFolder(filepath.Dir(a.Dir)); err != nil {
		return nil, failedBackup(err)
	}
	return app.Done{Done: true}, nil
}

// contains reports whether a folder, which may not be there yet, is this one or
// inside of it, over whatever links.
func (f Folder) contains(dir string) (bool, error) {
	own, err := os.Stat(string(f))
	if err != nil {
		return false, err
	}
	real, err := filepath.EvalSymlinks(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		real, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return false, err
	}
	for {
		info, err := os.Stat(real)
		if err != nil || os.SameFile(own, info) {
			return err == nil, err
		}
		if real == filepath.Dir(real) {
			return false, nil
		}
		real = filepath.Dir(real)
	}
}

func failedBackup(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Msg: fmt.Sprintf("The backup could not be written: %v.", err), Err: err}
}
