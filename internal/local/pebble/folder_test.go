package pebble_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
)

// filled makes a store of n commits in a folder of its own and closes it.
// Small memtables make it write sorted tables too.
func filled(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	p := mustOpen(t, dir, pebble.Options{MemTableSize: 256 << 10})
	fill(t, p, 0, n)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func content(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "content %06d ", i), 40) }

func fill(t *testing.T, p *pebble.Table, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := p.Commit(ctx, table.Put(numbered(i), content(i))); err != nil {
			t.Fatalf("Commit = %v, want success", err)
		}
	}
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s in the store: %v", pattern, err)
	}
	return names
}

// TestRefused holds that a folder that is no whole store of ours is refused
// with its reason, and left as it is.
func TestRefused(t *testing.T) {
	whole := filled(t, 1500)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  error
		says  string
	}{
		{"manifest lost", func(t *testing.T, dir string) { removeAll(t, files(t, dir, "MANIFEST-*")) }, pebble.ErrLost, "restore"},
		{"manifest's marker lost", func(t *testing.T, dir string) { removeAll(t, files(t, dir, "marker.manifest*")) }, pebble.ErrLost, "manifest"},
		{"all of the engine's markers lost", func(t *testing.T, dir string) { removeAll(t, files(t, dir, "marker.*")) }, pebble.ErrLost, "manifest"},
		{"all lost but our marker", func(t *testing.T, dir string) {
			removeAll(t, files(t, dir, "[^G]*"))
		}, pebble.ErrLost, "manifest"},
		{"our marker lost", func(t *testing.T, dir string) { removeAll(t, files(t, dir, "GATEHOUSE")) }, pebble.ErrLost, "GATEHOUSE"},
		{"a sorted table lost", func(t *testing.T, dir string) { removeAll(t, files(t, dir, "*.sst")[:1]) }, pebble.ErrLost, ""},
		{"a newer schema", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "GATEHOUSE"), "gatehouse store\nschema 99\n")
		}, pebble.ErrSchema, `"99"`},
		{"a marker of another program", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "GATEHOUSE"), "#!/bin/sh\n")
		}, pebble.ErrSchema, "not one of ours"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, dir)
			before := listing(t, dir)
			p, err := pebble.Open(dir, pebble.Options{Logger: quiet})
			if err == nil {
				p.Close()
			}
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Open with %s = %v, want %v with %q", c.name, err, c.want, c.says)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("Open with %s changed the folder from\n%s\nto\n%s", c.name, before, after)
			}
		})
	}
}

func removeAll(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listing tells the files that hold data, with their sizes.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != "LOCK" {
			fmt.Fprintln(&b, e.Name(), info.Size())
		}
	}
	return b.String()
}

// TestDamagedManifest flips each byte of the manifest, one at a time: the store
// is refused, unless the damage is in the last record, which a crash could have
// left so; then nothing that is read is wrong.
func TestDamagedManifest(t *testing.T) {
	dir := filled(t, 1500)
	manifest := files(t, dir, "MANIFEST-*")
	name := manifest[len(manifest)-1]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last := len(whole)
	copied := filepath.Join(t.TempDir(), "copy")
	for at := 0; at < len(whole); at += 7 {
		os.RemoveAll(copied)
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		write(t, filepath.Join(copied, filepath.Base(name)), string(b))
		p, err := pebble.Open(copied, pebble.Options{Logger: quiet})
		if err == nil {
			last = min(last, at)
			p.Close()
		} else if !errors.Is(err, pebble.ErrDamaged) && !errors.Is(err, pebble.ErrLost) {
			t.Errorf("Open with byte %d of the manifest damaged = %v, want ErrDamaged or ErrLost", at, err)
		} else if at > last {
			t.Errorf("Open with byte %d of the manifest damaged = %v, and success with byte %d: that one was not in the last record", at, err, last)
		}
	}
	t.Logf("the manifest has %d bytes; damage before byte %d is noticed", len(whole), last)
	if last < len(whole)/2 {
		t.Errorf("damage at byte %d of a manifest of %d is not noticed", last, len(whole))
	}
}

// TestDamagedTable flips a byte in each sorted table: whoever reads what it
// held is told, and nobody gets other content.
func TestDamagedTable(t *testing.T) {
	dir := filled(t, 3000)
	for _, name := range files(t, dir, "*.sst") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/4] ^= 0xff
		write(t, name, string(b))
	}
	p, err := pebble.Open(dir, pebble.Options{Logger: quiet})
	if errors.Is(err, pebble.ErrDamaged) {
		return
	}
	if err != nil {
		t.Fatalf("Open with damaged tables = %v, want success or ErrDamaged", err)
	}
	defer p.Close()
	damaged := 0
	for i := range 3000 {
		got, err := p.Get(ctx, numbered(i))
		switch {
		case errors.Is(err, pebble.ErrDamaged):
			damaged++
		case err != nil:
			t.Fatalf("Get from a damaged table = %v, want ErrDamaged", err)
		case len(got) != 1 || !bytes.Equal(got[0].Data, content(i)):
			t.Errorf("Get(%d) from a damaged table = %d items, want its content or ErrDamaged", i, len(got))
		}
	}
	if damaged == 0 {
		t.Errorf("Get of all items of damaged tables met no damage")
	}
	var queryErr error
	for _, err := range p.Query(ctx, "p", table.Range{}) {
		queryErr = err
	}
	if !errors.Is(queryErr, pebble.ErrDamaged) {
		t.Errorf("Query over damaged tables = %v, want ErrDamaged", queryErr)
	}
}

// TestDamagedLog flips a byte in the newest log, which holds commits that were
// not flushed: the store is refused, or holds a beginning of what was
// committed, each of it right. Damage there cannot always be told from a crash.
func TestDamagedLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	p := mustOpen(t, dir, pebble.Options{})
	const n = 200
	fill(t, p, 0, n)
	logs := files(t, dir, "*.log") // of the running store: closing would flush nothing, but end the log
	log, err := os.ReadFile(logs[len(logs)-1])
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	refused, short := 0, 0
	for i := range 12 {
		os.RemoveAll(copied)
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		spoiled := bytes.Clone(log)
		at := bytes.Index(spoiled, fmt.Appendf(nil, "content %06d ", 20+i*13)) + i
		spoiled[at] ^= 1 << (i % 8)
		write(t, filepath.Join(copied, filepath.Base(logs[len(logs)-1])), string(spoiled))
		q, err := pebble.Open(copied, pebble.Options{Logger: quiet})
		if errors.Is(err, pebble.ErrDamaged) {
			refused++
			continue
		}
		if err != nil {
			t.Fatalf("Open with a damaged log = %v, want success or ErrDamaged", err)
		}
		missing := -1
		for j := range n {
			got, err := q.Get(ctx, numbered(j))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case len(got) == 0 && missing < 0:
				missing = j
			case len(got) == 1 && missing >= 0:
				t.Errorf("after damage of the log commit %d is there and the earlier %d is not", j, missing)
			case len(got) == 1 && !bytes.Equal(got[0].Data, content(j)):
				t.Errorf("after damage of the log commit %d has other content", j)
			}
		}
		if missing >= 0 {
			short++
		}
		if err := q.Close(); err != nil {
			t.Errorf("Close = %v, want success", err)
		}
	}
	t.Logf("of 12 damaged logs %d were refused and %d read up to the damage", refused, short)
	if refused+short != 12 {
		t.Errorf("%d of 12 damaged logs were noticed", refused+short)
	}
}

// TestServed opens a store that is open, from this process and from another.
func TestServed(t *testing.T) {
	if dir := os.Getenv("PEBBLE_TEST_OPEN"); dir != "" {
		_, err := pebble.Open(dir, pebble.Options{Logger: quiet})
		fmt.Println("result:", errors.Is(err, pebble.ErrServed), err)
		return
	}
	dir := filepath.Join(t.TempDir(), "store")
	p := mustOpen(t, dir, pebble.Options{})
	if _, err := pebble.Open(dir, pebble.Options{Logger: quiet}); !errors.Is(err, pebble.ErrServed) {
		t.Errorf("second Open in one process = %v, want ErrServed", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServed$", "-test.v")
	cmd.Env = append(os.Environ(), "PEBBLE_TEST_OPEN="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "result: true") || !strings.Contains(string(out), "another gatehouse serves this folder") {
		t.Errorf("Open in a second process: %v\n%s\nwant ErrServed", err, out)
	}
	fill(t, p, 0, 3)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, pebble.Options{})
}

func TestPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "open to all")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, dir, pebble.Options{})
	backup := filepath.Join(t.TempDir(), "backup")
	if err := p.Checkpoint(ctx, backup); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(t.TempDir(), "made")
	mustOpen(t, made, pebble.Options{})
	for _, d := range []string{dir, backup, made} {
		info, err := os.Stat(d)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode of %s = %v, %v, want 0700", filepath.Base(d), info.Mode(), err)
		}
	}
}

// TestCheckpoint copies the store while commits go on: the copy opens, and
// holds each commit that was answered before whole.
func TestCheckpoint(t *testing.T) {
	root := t.TempDir()
	p := mustOpen(t, filepath.Join(root, "store"), pebble.Options{MemTableSize: 256 << 10, Subscriptions: crashSubs})
	fill(t, p, 0, 500)
	stop := make(chan struct{})
	var mu sync.Mutex
	answered := 500
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 500; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := p.Commit(ctx, table.Put(numbered(i), content(i)), table.Put(eventKey(fmt.Sprint(i)), nil)); err != nil {
				t.Errorf("Commit during a checkpoint = %v, want success", err)
				return
			}
			mu.Lock()
			answered = i + 1
			mu.Unlock()
		}
	})
	for c := range 3 {
		mu.Lock()
		before := answered
		mu.Unlock()
		dir := filepath.Join(root, fmt.Sprint("backup", c))
		if err := p.Checkpoint(ctx, dir); err != nil {
			t.Fatalf("Checkpoint = %v, want success", err)
		}
		q := mustOpen(t, dir, pebble.Options{Subscriptions: crashSubs})
		n := 0
		for item, err := range q.Query(ctx, "p", table.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			if item.Key != numbered(n) || !bytes.Equal(item.Data, content(n)) {
				t.Fatalf("item %d of a checkpoint is %v", n, item.Key)
			}
			n++
		}
		if n < before {
			t.Errorf("a checkpoint holds %d commits, want at least the %d that were answered before", n, before)
		}
		if q.End() != uint64(n-500) {
			t.Errorf("the feed of a checkpoint with %d wanted commits ends at %d", n-500, q.End())
		}
		fill(t, q, 100_000, 100_003)
	}
	close(stop)
	writer.Wait()
	if err := p.Checkpoint(ctx, filepath.Join(root, "backup0")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Checkpoint into a folder that exists = %v, want %v", err, fs.ErrExist)
	}
}
