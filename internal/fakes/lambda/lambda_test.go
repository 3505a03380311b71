package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is the folder of the test functions, built once; a second process of a
// test has it from the first.
var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("FUNCTION_DIR"); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "functions-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", dir+"/",
		"./testdata/functions/hello", "./testdata/functions/odd", "./testdata/functions/broken")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build the test functions: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

type report struct {
	PID       int
	Calls     int64
	Ticks     int64
	RequestID string
	ARN       string
	Left      time.Duration
	Environ   []string
	Text      string
}

func newHost(t testing.TB, o Options, change func(*Function)) *Host {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]Function{}
	for _, name := range []string{"hello", "odd", "broken"} {
		f := Function{Name: "stack-" + name, ARN: "arn:aws:lambda:us-east-1:123456789012:function:stack-" + name, Binary: filepath.Join(dir, name), Timeout: 10 * time.Second}
		if change != nil {
			change(&f)
		}
		functions[name] = f
	}
	h, err := New(functions, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return h
}

func odd(t *testing.T, h *Host, event string) report {
	t.Helper()
	r, err := tryOdd(h, event)
	if err != nil {
		t.Fatalf("Invoke(%s) = %v", event, err)
	}
	return r
}

func tryOdd(h *Host, event string) (r report, err error) {
	answer, err := h.Invoke(context.Background(), "odd", []byte(event))
	if err == nil {
		err = json.Unmarshal(answer, &r)
	}
	return r, err
}

func wantType(t *testing.T, err error, kind, message string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Type != kind || !strings.Contains(e.Message, message) {
		t.Fatalf("the error is %v, want a %s with %q", err, kind, message)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAWarmEnvironmentIsUsedAgain(t *testing.T) {
	h := newHost(t, Options{}, nil)
	first := odd(t, h, `{}`)
	for n := int64(2); n < 30; n++ {
		next := odd(t, h, `{}`)
		if next.PID != first.PID || next.Calls != n {
			t.Fatalf("call %d was the %dth of process %d, want process %d", n, next.Calls, next.PID, first.PID)
		}
		if next.RequestID == first.RequestID {
			t.Fatalf("two calls have the request id %s", next.RequestID)
		}
	}
	timings := h.Timings("odd")
	if len(timings.Init) != 1 || len(timings.Cold) != 1 || len(timings.Warm) != 28 {
		t.Fatalf("Timings() has %d starts, %d cold and %d warm answers, want 1, 1 and 28", len(timings.Init), len(timings.Cold), len(timings.Warm))
	}
	slices.Sort(timings.Warm)
	t.Logf("init %v, cold %v, warm %v (median)", timings.Init[0], timings.Cold[0], timings.Warm[14])
}

func TestWhatAFunctionIsTold(t *testing.T) {
	t.Setenv("CANARY", "of the parent")
	h := newHost(t, Options{Region: "eu-central-1"}, func(f *Function) {
		f.Env = map[string]string{"GATEHOUSE_TABLE": "people", "_HANDLER": "mine"}
		f.Memory = 256
	})
	r := odd(t, h, `{}`)
	if want := "arn:aws:lambda:us-east-1:123456789012:function:stack-odd"; r.ARN != want {
		t.Errorf("the ARN is %q, want %q", r.ARN, want)
	}
	if r.Left < 8*time.Second || r.Left > 10*time.Second {
		t.Errorf("%v are left until the deadline, want nearly 10 s", r.Left)
	}
	for _, want := range []string{"AWS_LAMBDA_FUNCTION_NAME=stack-odd", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_REGION=eu-central-1", "_HANDLER=bootstrap", "AWS_LAMBDA_LOG_FORMAT=JSON", "GATEHOUSE_TABLE=people"} {
		if !slices.Contains(r.Environ, want) {
			t.Errorf("the environment lacks %s", want)
		}
	}
	for _, have := range r.Environ {
		name, _, _ := strings.Cut(have, "=")
		if name == "CANARY" || name == "HOME" || name == "GOPATH" {
			t.Errorf("the environment has the parent's %s", name)
		}
	}
}

func TestConcurrentInvocationsHaveEnvironmentsOfTheirOwn(t *testing.T) {
	h := newHost(t, Options{}, func(f *Function) { f.Concurrency = 4 })
	var all sync.WaitGroup
	var mu sync.Mutex
	pids, throttled := map[int]int{}, 0
	for range 7 {
		all.Go(func() {
			r, err := tryOdd(h, `{"Do":"sleep","For":1500000000}`)
			mu.Lock()
			defer mu.Unlock()
			var e *Error
			switch {
			case err == nil:
				pids[r.PID]++
			case errors.As(err, &e) && e.Type == Throttled && !e.Ran():
				throttled++
			default:
				t.Errorf("Invoke() = %v", err)
			}
		})
	}
	all.Wait()
	if len(pids) != 4 || throttled != 3 {
		t.Fatalf("%d processes worked and %d invocations were throttled, want 4 and 3", len(pids), throttled)
	}
	if n := h.Environments("odd"); n != 4 {
		t.Fatalf("Environments() = %d, want 4", n)
	}
}

func TestFrozenBetweenInvocations(t *testing.T) {
	const pause = 300 * time.Millisecond
	for _, noFreeze := range []bool{false, true} {
		h := newHost(t, Options{NoFreeze: noFreeze}, nil)
		odd(t, h, `{}`)
		before := odd(t, h, `{}`)
		time.Sleep(pause) // nothing can tell of a process that does nothing
		after := odd(t, h, `{}`)
		ticked := after.Ticks - before.Ticks
		if frozen := ticked < 50; frozen == noFreeze {
			t.Errorf("with NoFreeze %v it ticked %d times in %v between two calls", noFreeze, ticked, pause)
		}
	}
}

func TestFailures(t *testing.T) {
	h := newHost(t, Options{}, func(f *Function) { f.Timeout = 2 * time.Second })
	pid := odd(t, h, `{}`).PID
	tests := []struct {
		name, event   string
		kind, message string
		ends          bool // the environment
	}{
		{"an error", `{"Do":"fail"}`, "errorString", "as asked", false},
		{"a typed error", `{"Do":"typed"}`, "Conflict", "as asked", false},
		{"an event it cannot read", `[]`, "UnmarshalTypeError", "", false},
		{"a panic", `{"Do":"panic"}`, "string", "as asked", true},
		{"an exit", `{"Do":"exit"}`, Exited, "Runtime exited with error: exit status 7", true},
		{"a call that is too long", `{"Do":"sleep","For":60000000000}`, TimedOut, "Task timed out after 2.00 seconds", true},
		{"an answer that is too long", fmt.Sprintf(`{"Bytes":%d}`, MaxPayload), ResponseTooLarge, "exceeded maximum allowed payload size (6291556 bytes)", true},
	}
	for _, tt := range tests {
		_, err := tryOdd(h, tt.event)
		var e *Error
		if !errors.As(err, &e) || e.Type != tt.kind || !strings.Contains(e.Message, tt.message) {
			t.Fatalf("%s gave %v, want %s with %q", tt.name, err, tt.kind, tt.message)
		}
		if !json.Valid(e.Payload) || !e.Ran() {
			t.Errorf("%s has the payload %q, and Ran() = %v", tt.name, e.Payload, e.Ran())
		}
		next := odd(t, h, `{}`)
		if (next.PID != pid) != tt.ends {
			t.Errorf("after %s process %d follows %d, want another: %v", tt.name, next.PID, pid, tt.ends)
		}
		pid = next.PID
	}
	_, err := h.Invoke(t.Context(), "odd", make([]byte, MaxPayload+1))
	wantType(t, err, RequestTooLarge, "too large")
	if _, err := h.Invoke(t.Context(), "nobody", []byte(`{}`)); err == nil {
		t.Error("a function that does not exist answered")
	}
}

func TestABigAnswerPasses(t *testing.T) {
	h := newHost(t, Options{}, nil)
	if r := odd(t, h, `{"Bytes":6000000}`); len(r.Text) != 6000000 {
		t.Fatalf("the answer has %d bytes, want 6000000", len(r.Text))
	}
}

func TestInitError(t *testing.T) {
	for _, say := range []bool{true, false} {
		h := newHost(t, Options{}, func(f *Function) {
			if say {
				f.Env = map[string]string{"SAY": "so"}
			}
		})
		for range 2 { // none of them is used up by the first
			_, err := h.Invoke(t.Context(), "broken", []byte(`{}`))
			if say {
				wantType(t, err, "NoTable", "there is no table")
			} else {
				wantType(t, err, Exited, "Runtime exited with error: exit status 3")
			}
		}
		if n := h.Environments("broken"); n != 0 {
			t.Fatalf("Environments() = %d after failed starts, want 0", n)
		}
	}
}

func TestLogs(t *testing.T) {
	h := newHost(t, Options{}, nil)
	for n := range 20 {
		odd(t, h, fmt.Sprintf(`{"Do":"log","Text":"number %d"}`, n))
		want := fmt.Sprintf("out number %d\nerr number %d\n", n, n)
		if got := h.Logs("odd"); !strings.HasSuffix(got, want) {
			t.Fatalf("Logs() = %q, want %q at its end", got, want)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got := h.Logs("odd"); strings.Count(got, "\n") != 40 {
		t.Fatalf("Logs() after Close has %d lines, want 40", strings.Count(got, "\n"))
	}
}

func TestFates(t *testing.T) {
	moment := make(chan struct{})
	fates := []Fate{
		{},
		{Again: After},
		{Again: Beside},
		{Kill: KillAfter(100 * time.Millisecond)},
		{Kill: KillWhen(moment)},
		{Lose: true},
		{},
	}
	h := newHost(t, Options{Plan: func(c Call) Fate { return fates[c.Number-1] }}, nil)
	log := func(n int) string { return fmt.Sprintf(`{"Do":"log","Text":"number %d"}`, n) }
	seen := func(n int) int { return strings.Count(h.Logs("odd"), fmt.Sprintf("out number %d\n", n)) }
	for n, want := range []int{1, 2, 2} {
		odd(t, h, log(n))
		if got := seen(n); got != want {
			t.Errorf("the invocation with fate %+v ran %d times, want %d", fates[n], got, want)
		}
	}
	_, err := tryOdd(h, `{"Do":"sleep","For":5000000000}`)
	wantType(t, err, Exited, "Runtime exited with error: signal: killed")
	time.AfterFunc(100*time.Millisecond, func() { close(moment) })
	_, err = tryOdd(h, `{"Do":"sleep","For":5000000000}`)
	wantType(t, err, Exited, "signal: killed")
	_, err = tryOdd(h, log(5))
	wantType(t, err, Exited, "signal: killed")
	if seen(5) != 1 {
		t.Errorf("the invocation whose answer was lost ran %d times, want 1", seen(5))
	}
	odd(t, h, log(6))
	if got, want := h.Met("odd"), (Met{Twice: 2, Killed: 2, Lost: 1}); got != want {
		t.Errorf("Met() = %+v, want %+v", got, want)
	}
}

func TestKill(t *testing.T) {
	h := newHost(t, Options{}, nil)
	idle := odd(t, h, `{}`)
	if n := h.Kill("odd"); n != 1 || alive(idle.PID) {
		t.Fatalf("Kill() = %d, and the process lives: %v", n, alive(idle.PID))
	}
	failed := make(chan error, 1)
	go func() {
		_, err := tryOdd(h, `{"Do":"sleep","For":8000000000}`)
		failed <- err
	}()
	for h.Environments("odd") == 0 {
		time.Sleep(time.Millisecond)
	}
	h.Kill("odd") // while it starts, or works: both end it
	wantType(t, <-failed, Exited, "signal: killed")
	odd(t, h, `{}`)
}

func TestAnUnusedEnvironmentEnds(t *testing.T) {
	h := newHost(t, Options{Idle: 50 * time.Millisecond}, nil)
	pid := odd(t, h, `{}`).PID
	for deadline := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives", pid)
		}
	}
	if next := odd(t, h, `{}`); next.Calls != 1 {
		t.Fatalf("the next invocation is number %d of its environment, want 1", next.Calls)
	}
}

func TestCloseEndsWhatRuns(t *testing.T) {
	h := newHost(t, Options{}, nil)
	warm := odd(t, h, `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Invoke(ctx, "odd", []byte(`{"Do":"sleep","For":9000000000}`)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Invoke with an ended context = %v, want context.Canceled", err)
	}
	begin := time.Now()
	if err := h.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("Close took %v", took)
	}
	if alive(warm.PID) {
		t.Errorf("process %d outlived Close", warm.PID)
	}
	if _, err := h.Invoke(t.Context(), "odd", []byte(`{}`)); !errors.Is(err, ErrClosed) {
		t.Fatalf("Invoke after Close = %v, want ErrClosed", err)
	}
}
