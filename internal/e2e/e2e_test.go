// Package e2e drives the program from outside, as its users do: identity
// providers over SCIM, people with a browser and a mailbox, operators with a
// shell. It builds cmd/gatehouse, and its stories know nothing of the packages
// within; tests of faults and of the rehearsed stack look beneath them.
//
// With -short the long runs shrink; kills, the browser and the rehearsal of AWS
// are left out. A test that lacks what it needs fails where CI is set.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const moduleRoot = "../.."

// binary is the program, built once a run; with the race detector if the tests
// are. Its folder is removed by TestMain.
var binary = sync.OnceValues(func() (string, error) {
	out := filepath.Join(scratch, "gatehouse")
	args := []string{"build", "-o", out}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/gatehouse")...)
	cmd.Dir = moduleRoot
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, text)
	}
	return out, nil
})

var scratch string

func TestMain(m *testing.M) {
	if os.Getenv(floorEnv) != "" {
		serveFloor()
		return
	}
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "gatehouse-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// TestSources reads the module's folders, so that the go command, which cannot
// see what `go build` reads, does not answer from its cache after a change.
func TestSources(t *testing.T) {
	n := 0
	err := filepath.WalkDir(moduleRoot, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != moduleRoot && (strings.HasPrefix(d.Name(), ".") || d.Name() == "data") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			n++
		}
		return err
	})
	if err != nil || n == 0 {
		t.Errorf("found %d Go files in the module, %v", n, err)
	}
}

// options say how a server is started.
type options struct {
	dir   string    // the data folder; empty: a fresh one
	flags []string  // added to the command line
	log   *syncText // takes what the program logs; nil: a fresh one
}

// site is a Gatehouse that tests drive, wherever it runs.
type site struct {
	ready
	target
}

// server is a running program on a data folder.
type server struct {
	site
	dir  string
	log  *syncText // all that the program wrote to its standard error
	out  *syncText
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// start launches a server that ends with the test.
func start(t testing.TB, o options) *server {
	t.Helper()
	if o.dir == "" {
		o.dir = filepath.Join(t.TempDir(), "data")
	}
	s, err := launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() && !testing.Verbose() {
			t.Logf("the server's last log lines:\n%s", s.log.tail(30))
		}
	})
	return s
}

// launch starts a server and waits until it answers.
func launch(ctx context.Context, o options) (*server, error) {
	bin, err := binary()
	if err != nil {
		return nil, err
	}
	if o.log == nil {
		o.log = new(syncText)
	}
	s := &server{dir: o.dir, log: o.log, out: new(syncText), done: make(chan struct{})}
	s.target = &local{dir: o.dir, s: s}
	file := o.dir + ".ready"
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.cmd = exec.Command(bin, append(serveArgs(o.dir, file), o.flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &s.ready) == nil {
			return s, nil
		}
		select {
		case <-tick.C:
		case <-s.done:
			return nil, fmt.Errorf("serve ended before it was ready: %v\n%s", s.err, s.log.tail(20))
		case <-ctx.Done():
			s.kill()
			return nil, fmt.Errorf("serve was not ready after 30 seconds:\n%s", s.log.tail(20))
		}
	}
}

// stop sends SIGTERM, waits for the end, and returns how the program ended.
func (s *server) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return s.err
	case <-time.After(20 * time.Second):
		s.kill()
		return errors.New("serve did not end within 20 seconds of SIGTERM")
	}
}

// kill sends SIGKILL and waits for the end.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// gatehouse runs a command line on the server's store, or on the store at rest
// after the server has stopped. Relative paths are beside the data folder.
func (s *server) gatehouse(args ...string) (stdout, stderr string, err error) {
	bin, err := binary()
	if err != nil {
		return "", "", err
	}
	cmd := exec.Command(bin, append(args, "--data", s.dir)...)
	cmd.Dir = filepath.Dir(s.dir)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.String(), log.String(), err
}

// run runs a command line that must succeed.
func (s *site) run(t testing.TB, args []string) (stdout string) {
	t.Helper()
	stdout, stderr, err := s.gatehouse(args...)
	if err != nil {
		t.Fatalf("gatehouse %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// create runs a command line that prints what it made.
func (s *site) create(t testing.TB, args []string) created {
	t.Helper()
	stdout := s.run(t, args)
	var c created
	if err := json.Unmarshal([]byte(stdout), &c); err != nil {
		t.Fatalf("gatehouse %s printed %q: %v", strings.Join(args, " "), stdout, err)
	}
	return c
}

// organization makes one with a connection of its own.
func (s *site) organization(t testing.TB, name string, flags ...string) (created, *client) {
	t.Helper()
	org := s.create(t, orgCreate(name, "admin@"+name+".example"))
	c := s.create(t, connectionCreate(org.Org, name, flags...))
	return created{Org: org.Org, Connection: c.Connection, Credential: c.Credential, Token: c.Token, SignIn: org.SignIn}, s.client(c.Token)
}

// client speaks SCIM with the token; empty: the demo connection's.
func (s *site) client(token string) *client {
	if token == "" {
		token = s.Token
	}
	return &client{base: s.SCIM, token: token}
}

// needs ends the test where something that it needs is missing: a failure
// where CI is set.
func needs(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("this test cannot run here: %v", err)
	}
	t.Skipf("this test cannot run here: %v", err)
}

// eventually polls until the condition holds, and fails the test with what it
// said last after the time given. For what another process does in its own
// time.
func eventually(t testing.TB, within time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// transport is shared, so that connections are kept over clients.
var transport = &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}

// syncText collects what a process writes.
type syncText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncText) tail(lines int) string {
	all := strings.Split(strings.TrimRight(s.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
