package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/peers/load"
)

// contender is a server that is measured.
type contender struct {
	name    string
	weight  int  // its share of the time, against the others'
	bare    bool // knows create, GET and lookup only
	chunk   int  // members sent in one request when a group is made
	about   string
	version func(e environment) string
	start   func(ctx context.Context, e environment) (*running, error)
	variant *contender // of this only the additions in parallel are measured
}

// environment says where things are.
type environment struct {
	root  string // the module
	tools string // where .ci/peers put the peers
	dir   string // takes what a contender writes; its disk is what is measured
}

// running is a contender that answers.
type running struct {
	load.Server
	welcoming *load.Server // the same process, by a connection that sends welcome mails
	stop      func()
}

// floorEnv makes this program the floor.
const floorEnv = "GATEHOUSE_PEERS_FLOOR"

const (
	floorName = "floor"
	oursName  = "Gatehouse"
)

// all are the contenders in the order in which they are measured. What is slow
// comes late: it may use the time that others left.
var all = []contender{
	{name: floorName, weight: 2, bare: true,
		about:   "a bare net/http handler: the JSON decoded into a map, kept under a mutex, answered",
		version: func(environment) string { return "" },
		start: func(ctx context.Context, e environment) (*running, error) {
			exe, err := os.Executable()
			if err != nil {
				return nil, err
			}
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), floorEnv+"=1")
			return portPrinter(ctx, cmd)
		}},
	{name: oursName, weight: 7, chunk: 1000,
		about:   "the local program: each commit synced, audited, indexed, authenticated; no welcome mails where not told otherwise",
		version: func(e environment) string { return firstLine(e.root, "git", "describe", "--always", "--dirty") },
		start:   startOurs},
	{name: "UnboundID", weight: 6, chunk: 10_000,
		about: "com.unboundid.product.scim2:scim2-sdk-server behind Jersey and Grizzly; concurrent maps",
		version: func(e environment) string {
			return pinned(e, "unboundid/pom.xml", `<artifactId>scim2-sdk-server</artifactId>\s*<version>([^<]+)`)
		},
		start: func(ctx context.Context, e environment) (*running, error) {
			dir := filepath.Join(e.tools, "unboundid")
			return portPrinter(ctx, exec.Command("java", "-cp", filepath.Join(dir, "classes")+":"+filepath.Join(dir, "lib", "*"), "Server"))
		}},
	{name: "scimmy", weight: 9, chunk: 100_000,
		about:   "scimmy-routers behind Express; Maps",
		version: func(e environment) string { return pinned(e, "scimmy/package.json", `"scimmy-routers": "([^"]+)"`) },
		start: func(ctx context.Context, e environment) (*running, error) {
			return portPrinter(ctx, exec.Command("node", filepath.Join(e.tools, "scimmy", "server.js")))
		},
		variant: &contender{name: "scimmy, 1 ms store", chunk: 100_000,
			start: func(ctx context.Context, e environment) (*running, error) {
				cmd := exec.Command("node", filepath.Join(e.tools, "scimmy", "server.js"))
				cmd.Env = append(os.Environ(), "STORE_MS=1")
				return portPrinter(ctx, cmd)
			}}},
	{name: "scim2-server", weight: 9, chunk: 100_000,
		about:   "its ASGI application and its in-memory storage under uvicorn, one process",
		version: func(e environment) string { return pinned(e, "scim2server/requirements.txt", `scim2-server==(\S+)`) },
		start: func(ctx context.Context, e environment) (*running, error) {
			dir := filepath.Join(e.tools, "scim2server")
			return portPrinter(ctx, exec.Command(filepath.Join(dir, "bin", "python"), filepath.Join(dir, "server.py")))
		}},
}

// pinned returns what the expression finds in a file of internal/peers.
func pinned(e environment, file, expression string) string {
	data, err := os.ReadFile(filepath.Join(e.root, "internal", "peers", file))
	if err != nil {
		return ""
	}
	if m := regexp.MustCompile(expression).FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return ""
}

// firstLine runs a command and returns the first line that it prints.
func firstLine(dir, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// portPrinter starts a server that prints "port N" when it listens and ends
// with its standard input.
func portPrinter(ctx context.Context, cmd *exec.Cmd) (*running, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	log := new(tail)
	cmd.Stderr, cmd.SysProcAttr = log, attributes()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := sync.OnceFunc(func() {
		in.Close()
		end := time.AfterFunc(2*time.Second, func() { cmd.Process.Kill() })
		defer end.Stop()
		cmd.Wait()
	})
	port := make(chan string, 1)
	go func() {
		defer close(port)
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "port "); ok {
			port <- n
		}
		io.Copy(io.Discard, r)
	}()
	select {
	case n, ok := <-port:
		if ok {
			return &running{Server: load.Server{Host: "127.0.0.1:" + n, Process: load.Process(cmd.Process.Pid)}, stop: stop}, nil
		}
		stop()
		return nil, fmt.Errorf("%s did not start: %s", filepath.Base(cmd.Path), log)
	case <-time.After(30 * time.Second):
		stop()
		return nil, fmt.Errorf("%s has not printed its port: %s", filepath.Base(cmd.Path), log)
	case <-ctx.Done():
		stop()
		return nil, ctx.Err()
	}
}

// startOurs builds and serves Gatehouse on a fresh folder, with an organization
// and two connections of which one sends welcome mails.
func startOurs(ctx context.Context, e environment) (*running, error) {
	binary := filepath.Join(e.dir, "gatehouse")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, "./cmd/gatehouse")
	build.Dir = e.root
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build has it
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building Gatehouse: %w\n%s", err, out)
	}
	data, err := os.MkdirTemp(e.dir, "data-")
	if err != nil {
		return nil, err
	}
	ready := data + ".ready"
	log := new(tail)
	cmd := exec.Command(binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--ready", ready)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, attributes()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop := sync.OnceFunc(func() {
		cmd.Process.Kill()
		<-ended
		os.RemoveAll(data)
	})
	r, err := connect(ctx, cmd.Process.Pid, binary, data, ready, ended)
	if err != nil {
		stop()
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	r.stop = stop
	return r, nil
}

// connect waits until Gatehouse answers and makes what its clients need.
func connect(ctx context.Context, pid int, binary, data, file string, ended <-chan struct{}) (*running, error) {
	var ready struct {
		SCIM string `json:"scim"`
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &ready) == nil {
			break
		}
		select {
		case <-ended:
			return nil, errors.New("the server ended before it was ready")
		case <-ctx.Done():
			return nil, ctx.Err()
		default:
		}
		if time.Now().After(deadline) {
			return nil, errors.New("the server was not ready after 30 seconds")
		}
	}
	type made struct {
		Org   string `json:"org"`
		Token string `json:"token"`
	}
	run := func(args ...string) (m made, err error) {
		cmd := exec.CommandContext(ctx, binary, append(args, "--json", "--data", data)...)
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &m)
		}
		if err != nil {
			err = fmt.Errorf("gatehouse %s: %w", args[0], err)
		}
		return m, err
	}
	org, err := run("org", "create", "--name", "Peers", "--admin", "admin@peers.example")
	if err != nil {
		return nil, err
	}
	silent, err := run("connection", "create", "--org", org.Org, "--name", "silent", "--no-welcome")
	if err != nil {
		return nil, err
	}
	welcoming, err := run("connection", "create", "--org", org.Org, "--name", "welcoming")
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(ready.SCIM)
	if err != nil {
		return nil, err
	}
	server := load.Server{Host: base.Host, Path: strings.TrimSuffix(base.Path, "/"), Token: silent.Token, Process: load.Process(pid)}
	with := server
	with.Token = welcoming.Token
	return &running{Server: server, welcoming: &with}, nil
}

// tail keeps the end of what a server logs.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - 8000; n > 0 {
		t.b = t.b[n:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
}
