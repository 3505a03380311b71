package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gatehouse/internal/table"
	"gatehouse/internal/table/record"
)

// full reports whether the error says that the disk has no room.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || vfs.IsNoSpaceError(err)
}

// failed adds what was being done to an error of the engine, and ErrDamaged if
// that is what it says.
func (t *Table) failed(doing string, err error) error {
	if engine.IsCorruptionError(err) || errors.Is(err, record.ErrMalformed) {
		t.log.Error("the store is damaged", "error", err)
		return fmt.Errorf("%s: %w: %w", doing, ErrDamaged, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// room returns an error that wraps table.ErrFull unless the disk has the
// reserve free and the engine got what it wrote lately onto it.
func (t *Table) room() error {
	if t.events.noSpace() {
		return fmt.Errorf("the store cannot write its files: %w", table.ErrFull)
	}
	usage, err := t.fs.GetDiskUsage(t.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask for the room on the disk: %w", err)
	}
	if usage.AvailBytes < t.o.Reserve {
		return fmt.Errorf("%d MiB free on the disk and %d in reserve: %w", usage.AvailBytes>>20, t.o.Reserve>>20, table.ErrFull)
	}
	return nil
}

// probe finds out by writing whether there is the room that an engine needs to
// open after a crash: that of its memtables.
func (t *Table) probe() (err error) {
	path := t.fs.PathJoin(t.dir, marker+".room")
	f, err := t.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		chunk := make([]byte, 1<<20)
		for left := 4 * t.o.MemTableSize; left > 0 && err == nil; left -= min(left, uint64(len(chunk))) {
			_, err = f.Write(chunk)
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if removeErr := t.fs.Remove(path); !errors.Is(removeErr, os.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	if full(err) {
		return fmt.Errorf("try the room on the disk: %w: %w", table.ErrFull, err)
	}
	return err
}

// fatal is what the engine's call of Fatalf becomes: it must not return, and
// the process need not end. Where the committer applies a batch, it is
// recovered; in a goroutine of the engine's own it does end the process, which
// is safe, and nothing else would be.
type fatal struct{ error }

func recoverFatal(err *error) {
	switch r := recover().(type) {
	case nil:
	case fatal:
		*err = r.error
	default:
		panic(r)
	}
}

// closeEngine closes an engine that may be beyond writing.
func closeEngine(db *engine.DB) (err error) {
	if db == nil {
		return nil
	}
	defer recoverFatal(&err)
	return db.Close()
}

// events is the engine's logger and listener.
type events struct {
	log     *slog.Logger
	refused atomic.Int64 // when the engine last found no room, in Unix nanoseconds
	told    atomic.Int64 // when a background error was last logged
}

// noSpace reports whether the engine found no room within the last second. It
// tries again and again while it has something to write, so the answer stays
// true as long as it is.
func (e *events) noSpace() bool {
	return time.Now().UnixNano()-e.refused.Load() < int64(time.Second)
}

// Infof drops what the engine tells of its normal work.
func (e *events) Infof(string, ...any) {}

// Errorf is the engine's logger's.
func (e *events) Errorf(format string, args ...any) {
	e.log.Error("the store reports an error", "error", fmt.Sprintf(format, args...))
}

// Fatalf is the engine's logger's; see fatal.
func (e *events) Fatalf(format string, args ...any) {
	for _, a := range args { // keep the error's chain, so that callers can ask what it was
		if err, ok := a.(error); ok {
			panic(fatal{err})
		}
	}
	panic(fatal{fmt.Errorf(format, args...)})
}

func (e *events) listener() *engine.EventListener {
	return &engine.EventListener{
		BackgroundError: e.background,
		DataCorruption: func(info engine.DataCorruptionInfo) {
			e.log.Error("the store is damaged", "file", info.Path, "error", info.Details)
		},
		WriteStallBegin: func(info engine.WriteStallBeginInfo) {
			e.log.Warn("commits wait for the disk", "reason", info.Reason)
		},
	}
}

// background is called thousands of times a second while the disk is full, by
// a goroutine that tries again at once: it is told once in a while, and slowed
// down.
func (e *events) background(err error) {
	now := time.Now().UnixNano()
	if last := e.told.Load(); now-last > int64(10*time.Second) && e.told.CompareAndSwap(last, now) {
		e.log.Error("the store cannot write its files", "error", err)
	}
	if full(err) {
		e.refused.Store(now)
		time.Sleep(20 * time.Millisecond)
	}
}
