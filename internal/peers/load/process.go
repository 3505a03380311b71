package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Process is a server as the kernel counts it: Linux's /proc.
type Process int

// CPU returns the CPU seconds that the process has used, user and system. The
// kernel counts in hundredths.
func (p Process) CPU() (float64, error) {
	file := fmt.Sprintf("/proc/%d/stat", p)
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	// The second field, the name in brackets, may hold spaces.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: %q", file, data)
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, errors.Join(err1, err2)
}

// RSS returns the resident memory of the process in MiB.
func (p Process) RSS() (float64, error) {
	file := fmt.Sprintf("/proc/%d/status", p)
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("%s tells no VmRSS", file)
}

// Idle waits until the process has nothing left to do: it used less than a
// twentieth of one CPU for the time given.
func (p Process) Idle(ctx context.Context, d time.Duration) error {
	for {
		before, err := p.CPU()
		if err != nil {
			return err
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return fmt.Errorf("the server is busy long after its last request: %w", ctx.Err())
		}
		after, err := p.CPU()
		if err != nil || after-before < d.Seconds()/20 {
			return err
		}
	}
}
