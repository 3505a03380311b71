package pebble_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
	"gatehouse/internal/table/tabletest"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

func TestTable(t *testing.T) {
	tabletest.Test(t, func(tb tabletest.TB, subs ...table.Subscription) tabletest.Subject {
		p, err := open(tb, tb.(*testing.T).TempDir(), pebble.Options{Subscriptions: subs})
		if err != nil {
			tb.Fatalf("Open = %v, want success", err)
		}
		return p
	})
}

// TestTableInMemory runs the suite without a disk below, so that the race
// detector sees more of it.
func TestTableInMemory(t *testing.T) {
	tabletest.Test(t, func(tb tabletest.TB, subs ...table.Subscription) tabletest.Subject {
		p, err := open(tb, "store", pebble.Options{Subscriptions: subs, FS: vfs.NewMem()})
		if err != nil {
			tb.Fatalf("Open = %v, want success", err)
		}
		return p
	})
}

// open opens a subject that closes with its test.
func open(tb tabletest.TB, dir string, o pebble.Options) (tabletest.Subject, error) {
	o.Logger = quiet
	p, err := pebble.Open(dir, o)
	if err != nil {
		return tabletest.Subject{}, err
	}
	tb.Cleanup(func() { p.Close() })
	return tabletest.Subject{Table: p, Feed: p, Reopen: func() (tabletest.Subject, error) {
		if err := p.Close(); err != nil {
			return tabletest.Subject{}, err
		}
		return open(tb, dir, o)
	}}, nil
}
