package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The floor is the least that an HTTP service in Go can do with a user: decode
// the JSON into a map, keep it under a mutex, answer it. It persists nothing
// and checks nothing. What Gatehouse costs is told in multiples of it, measured
// in the same run, because the machine's own speed falls out of the quotient.

const floorEnv = "GATEHOUSE_E2E_FLOOR"

// serveFloor is the floor's process: this test binary, started with floorEnv.
func serveFloor() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("http://" + l.Addr().String())
	fmt.Fprintln(os.Stderr, http.Serve(l, floorHandler()))
	os.Exit(1)
}

func floorHandler() http.Handler {
	var mu sync.Mutex
	users := map[string]map[string]any{}
	names := map[string]string{}
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/scim+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /Users", func(w http.ResponseWriter, r *http.Request) {
		var u map[string]any
		if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		mu.Lock()
		id := strconv.Itoa(len(users) + 1)
		u["id"] = id
		users[id] = u
		if name, ok := u["userName"].(string); ok {
			names[name] = id
		}
		mu.Unlock()
		answer(w, 201, u)
	})
	mux.HandleFunc("GET /Users", func(w http.ResponseWriter, r *http.Request) {
		name := strings.Trim(strings.TrimPrefix(r.FormValue("filter"), "userName eq "), `"`)
		mu.Lock()
		u := users[names[name]]
		mu.Unlock()
		answer(w, 200, map[string]any{"Resources": []any{u}})
	})
	mux.HandleFunc("GET /Users/{id}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		u := users[r.PathValue("id")]
		mu.Unlock()
		answer(w, 200, u)
	})
	return mux
}

// startFloor starts the floor as a process of its own and returns its base
// address and its process.
func startFloor(t testing.TB) (base string, pid int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), floorEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the floor did not start: %v", err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}
