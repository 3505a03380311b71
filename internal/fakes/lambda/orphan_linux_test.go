package lambda

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestFunctionsDieWithTheTest runs itself in a second process that is killed
// while a function is frozen.
func TestFunctionsDieWithTheTest(t *testing.T) {
	if os.Getenv("FUNCTION_DIR") != "" {
		h := newHost(t, Options{}, nil)
		fmt.Println(odd(t, h, `{}`).PID)
		select {}
	}
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFunctionsDieWithTheTest$")
	cmd.Env = append(os.Environ(), "FUNCTION_DIR="+dir, "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the second process said %q: %v", line, err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil || !alive(pid) {
		t.Fatalf("the second process said %q: %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // it was killed
	for deadline := time.Now().Add(5 * time.Second); alive(pid) && !zombie(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("function %d outlived the process that started it", pid)
		}
	}
}

// zombie tells that a process has ended and nobody has waited for it: the
// machine's first process does not always.
func zombie(pid int) bool {
	var state string
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d %s %s", new(int), new(string), &state)
	}
	return err != nil || state == "Z"
}
