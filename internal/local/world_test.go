package local

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// buffer takes what several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// readyPipe tells when the program has printed where it is.
type readyPipe struct {
	once sync.Once
	c    chan struct{}
}

func (r *readyPipe) Write(p []byte) (int, error) {
	r.once.Do(func() { close(r.c) })
	return len(p), nil
}

// served is a program on a data folder of its own, that ends with the test.
type served struct {
	Readiness
	folder Folder
	addr   string // that it listens on
	ready  string // the ready file
	log    *buffer
}

// serve runs Serve with the options on a free port of loopback, with a demo
// organization, and over a fresh folder if they name none.
func serve(t *testing.T, o Options) served {
	t.Helper()
	s := served{log: &buffer{}}
	if o.Data == "" {
		o.Data = Folder(filepath.Join(t.TempDir(), "data"))
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr, o.Listen = free.Addr().String(), free.Addr().String()
	free.Close()
	out := &readyPipe{c: make(chan struct{})}
	o.Ready = filepath.Join(t.TempDir(), "ready.json")
	o.Demo, o.Out, o.Err = true, out, s.log
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, o) }()
	select {
	case err := <-ended:
		stop()
		t.Fatalf("Serve = %v", err)
	case <-out.c:
	case <-time.After(30 * time.Second):
		stop()
		t.Fatal("Serve is not ready after 30 seconds")
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	s.folder, s.ready = o.Data, o.Ready
	b, err := os.ReadFile(o.Ready)
	if err == nil {
		err = json.Unmarshal(b, &s.Readiness)
	}
	if err != nil {
		t.Fatalf("read the ready file: %v", err)
	}
	return s
}
