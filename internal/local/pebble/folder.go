package pebble

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gatehouse/internal/table"
)

// The marker is a file of our own: with it in the folder, an engine that finds
// no store there has lost it and must not begin a new one. Its second line
// tells the schema, which counts the forms of keys and records.
const (
	marker     = "GATEHOUSE"
	markerHead = "gatehouse store\nschema "
	schema     = "2"
)

// openFolder takes the folder and opens the engine in it.
func (t *Table) openFolder() (err error) {
	t.fs = privateFS{t.o.FS}
	if t.o.FS == nil {
		t.fs = privateFS{vfs.Default}
	}
	if err := t.fs.MkdirAll(t.dir, 0o700); err != nil {
		return fmt.Errorf("make the store's folder: %w", err)
	}
	if t.o.FS == nil {
		if err := os.Chmod(t.dir, 0o700); err != nil {
			return fmt.Errorf("close the store's folder to others: %w", err)
		}
	}
	if t.lock, err = engine.LockDirectory(t.dir, t.fs); err != nil {
		var file *os.PathError
		switch {
		case full(err):
			return fmt.Errorf("lock the store's folder: %w: %w", table.ErrFull, err)
		case errors.As(err, &file): // the lock's file could not be made
			return fmt.Errorf("lock the store's folder: %w", err)
		}
		return fmt.Errorf("lock the store's folder: %w (%w)", ErrServed, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeEngine(t.db), t.lock.Close())
			t.db = nil
		}
	}()
	made, err := t.readMarker()
	if err != nil {
		return err
	}
	if !made {
		return t.make()
	}
	if err := t.checkManifest(); err != nil {
		return err
	}
	full := t.room()
	if full != nil {
		t.log.Error("the store is open for reading only until there is room", "error", full)
	}
	return t.reopen(full == nil)
}

// readMarker reports whether the folder holds a store of ours.
func (t *Table) readMarker() (bool, error) {
	f, err := t.fs.Open(t.fs.PathJoin(t.dir, marker))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the store's marker: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 1000))
	if err = errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("read the store's marker: %w", err)
	}
	rest, ours := strings.CutPrefix(string(b), markerHead)
	if !ours {
		return false, fmt.Errorf("%w: its file %s is not one of ours", ErrSchema, marker)
	}
	if got := strings.TrimSpace(rest); got != schema {
		return false, fmt.Errorf("%w: it has schema %q, known is %q; open it with the gatehouse that wrote it", ErrSchema, got, schema)
	}
	return true, nil
}

// make makes a new store. The marker comes last, so that a crash before it
// leaves a folder that is taken for new again; no commit came between.
func (t *Table) make() error {
	if err := t.room(); err != nil {
		return err
	}
	if err := t.clean(); err != nil {
		return err
	}
	// The engine makes the first log of a store before it takes on the newest
	// format, and that log would hide damage. The second opening begins another.
	db, err := openGuarded(t.dir, t.engineOptions())
	if err == nil {
		err = closeEngine(db)
	}
	if err != nil {
		return t.openFailed(err)
	}
	if err := t.openEngine(true); err != nil {
		return err
	}
	return t.writeMarker(t.dir)
}

// emptyLog is more than the bytes of a log that was closed without a commit,
// and less than those of a log with one.
const emptyLog = 32

// clean removes what the making of a store left that did not come to its end.
// The engine may be unable to go on from there. It refuses a folder that holds
// commits: what is missing then is the marker.
func (t *Table) clean() error {
	names, err := t.fs.List(t.dir)
	if err != nil {
		return fmt.Errorf("list the store's folder: %w", err)
	}
	var leftovers []string
	for _, name := range names {
		path := t.fs.PathJoin(t.dir, name)
		switch ext := filepath.Ext(name); {
		case ext == ".sst", ext == ".log":
			info, err := t.fs.Stat(path)
			if err != nil {
				return fmt.Errorf("look at a file of the store: %w", err)
			}
			if ext == ".sst" || info.Size() > emptyLog {
				return fmt.Errorf("%w: there are commits in the folder and no file %s; restore the folder from a backup", ErrLost, marker)
			}
		case strings.HasPrefix(name, "MANIFEST-"), strings.HasPrefix(name, "OPTIONS-"),
			strings.HasPrefix(name, "marker."), ext == ".dbtmp", name == marker+".new":
		default:
			continue
		}
		leftovers = append(leftovers, path)
	}
	for _, path := range leftovers {
		if err := t.fs.Remove(path); err != nil {
			return fmt.Errorf("clean the store's folder: %w", err)
		}
	}
	return nil
}

func (t *Table) writeMarker(dir string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the store's marker: %w", err)
		}
	}()
	path := t.fs.PathJoin(dir, marker)
	f, err := t.fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, markerHead+schema+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := t.fs.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := t.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openEngine opens the engine of a store that was made, for reading only if
// there is no room: an engine that runs out of room while it opens may wait for
// it, or end the process. The caller holds the gate, or is Open.
func (t *Table) openEngine(room bool) error {
	o := t.engineOptions()
	o.ErrorIfNotExists, o.ReadOnly = true, !room
	db, err := openGuarded(t.dir, o)
	if err != nil {
		return t.openFailed(err)
	}
	t.db, t.readOnly = db, !room
	return nil
}

// openGuarded makes an error of what the engine calls fatal while it opens.
func openGuarded(dir string, o *engine.Options) (db *engine.DB, err error) {
	defer recoverFatal(&err)
	return engine.Open(dir, o)
}

func (t *Table) openFailed(err error) error {
	switch {
	case full(err):
		return fmt.Errorf("open the store: %w: %w", table.ErrFull, err)
	case errors.Is(err, engine.ErrDBDoesNotExist):
		return fmt.Errorf("open the store: %w: its manifest is missing; restore the folder from a backup", ErrLost)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("open the store: %w: %w; restore the folder from a backup", ErrLost, err)
	case engine.IsCorruptionError(err):
		return fmt.Errorf("open the store: %w: %w; restore the folder from a backup", ErrDamaged, err)
	}
	return fmt.Errorf("open the store: %w", err)
}

// engineOptions are those of every opening.
func (t *Table) engineOptions() *engine.Options {
	o := &engine.Options{
		Comparer:            comparer,
		MaxManifestFileSize: 1 << 20, // it is read as a whole to be checked
		FS:                  t.fs,
		Lock:                t.lock,
		Logger:              t.events,
		EventListener:       t.events.listener(),
		FormatMajorVersion:  engine.FormatNewest, // older ones lose commits behind a damaged byte of the log without a word
		CacheSize:           t.o.CacheSize,
		MemTableSize:        t.o.MemTableSize,
		// Four: a burst goes on while one table is being flushed.
		MemTableStopWritesThreshold: 4,
	}
	// A creation looks for many keys that are not there; filters spare it the
	// blocks.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// privateFS makes folders that are closed to other users, whoever asks.
type privateFS struct{ vfs.FS }

func (p privateFS) MkdirAll(dir string, _ os.FileMode) error { return p.FS.MkdirAll(dir, 0o700) }
func (p privateFS) Unwrap() vfs.FS                           { return p.FS }
