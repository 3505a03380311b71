package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gatehouse/internal/peers/floor"
)

const floorEnv = "GATEHOUSE_E2E_FLOOR"

// serveFloor is the floor's process: this test binary, started with floorEnv.
func serveFloor() {
	fmt.Fprintln(os.Stderr, floor.Serve(os.Stdin, os.Stdout))
	os.Exit(1)
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
	if _, err := cmd.StdinPipe(); err != nil { // the floor ends with it
		t.Fatal(err)
	}
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
	port, ok := strings.CutPrefix(strings.TrimSpace(line), "port ")
	if err != nil || !ok {
		t.Fatalf("the floor did not start: it printed %q, %v", line, err)
	}
	return "http://127.0.0.1:" + port, cmd.Process.Pid
}
