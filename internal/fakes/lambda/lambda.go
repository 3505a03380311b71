// Package lambda runs built functions as the Lambda service would: each is an
// executable that asks an HTTP server for invocations (the Runtime API, version
// 2018-06-01), in environments that are started on demand, one for each
// invocation at a time, used again while they are warm, frozen in between,
// killed at the deadline and replaced after a crash.
//
// It differs from Lambda in this: environments are processes of this machine,
// of its architecture and with all its memory and cores, so neither Memory nor
// the share of a core is enforced; an initialization that failed is reported at
// once and not tried again with the invocation; there are no extensions, layers,
// versions, response streaming, nor IAM; START, END and REPORT lines are not
// written; and an environment lives as long as Options.Idle tells, not as AWS
// sees fit. Plans can kill environments and repeat invocations where AWS does
// so only on a bad day.
//
// It is for tests; no program links it.
package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MaxPayload is how many bytes an invocation and its answer may have: Lambda's
// 6 MB for a synchronous invocation.
const MaxPayload = 6<<20 + 100

const (
	defaultConcurrency = 10
	defaultTimeout     = 3 * time.Second
	defaultMemory      = 128
	defaultIdle        = 5 * time.Minute
	initLimit          = 10 * time.Second // Lambda's own
)

// Function is one function to run.
type Function struct {
	Name        string // the FunctionName
	ARN         string
	Binary      string // the executable, what the package calls bootstrap
	Env         map[string]string
	Timeout     time.Duration // of one invocation; 0: Lambda's default of 3 s
	Memory      int           // MB, told to the function and not enforced; 0: 128
	Concurrency int           // environments at once; 0: 10
}

// Options of a host. The zero Options are Lambda's ways in us-east-1, with the
// starts limited to two at a time.
type Options struct {
	Region string
	// Starts limits how many environments initialize at once, so that a burst
	// on a small machine does not slow each of them beyond its limit; 0: 2.
	Starts int
	// NoFreeze lets environments run on between invocations, which hides what
	// goroutines would miss on AWS. It saves no time that was measured.
	NoFreeze bool
	Idle     time.Duration    // after which an unused environment is ended; 0: 5 minutes
	Plan     func(Call) Fate  // asked once for each invocation, by several goroutines; nil: nothing befalls any
	Now      func() time.Time // for deadlines told to functions; nil: time.Now
}

// Host runs functions. Its methods may be called by several goroutines.
type Host struct {
	options   Options
	dir       string // of logs
	functions map[string]*function
	starting  chan struct{} // one token for each initialization
	processes *starter

	closing  context.Context // ends with Close
	close    context.CancelFunc
	mu       sync.Mutex
	closed   bool
	work     sync.WaitGroup // invocations, also those that nobody waits for
	kept     map[string]string
	sequence map[string]int // invocations of each function so far
}

// function is a Function with its environments.
type function struct {
	Function
	log *os.File // stdout and stderr of all environments; O_APPEND

	mu      sync.Mutex
	live    map[*environment]bool
	idle    []*environment // the one used last is at the end
	timings Timings

	twice, killed, lost atomic.Int64 // see Met
}

// Timings are what a function's invocations took, oldest first.
type Timings struct {
	Init []time.Duration // from the start of the process to its first request for an invocation
	Cold []time.Duration // from the start of the process to its first answer
	Warm []time.Duration // from the delivery to a waiting environment to its answer, thawing included
}

// ErrClosed is returned for an invocation after Close.
var ErrClosed = errors.New("the host is closed")

// New makes a host of the functions, by the names under which Invoke knows
// them. No process runs before the first invocation.
func New(functions map[string]Function, o Options) (*Host, error) {
	o.Starts = cmp.Or(o.Starts, 2)
	o.Idle = cmp.Or(o.Idle, defaultIdle)
	o.Region = cmp.Or(o.Region, "us-east-1")
	if o.Now == nil {
		o.Now = time.Now
	}
	dir, err := os.MkdirTemp("", "functions-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the functions' logs: %w", err)
	}
	h := &Host{options: o, dir: dir, functions: map[string]*function{}, starting: make(chan struct{}, o.Starts), sequence: map[string]int{}}
	h.closing, h.close = context.WithCancel(context.Background())
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		f := functions[name]
		if f.Binary, err = filepath.Abs(f.Binary); err == nil {
			_, err = os.Stat(f.Binary)
		}
		var log *os.File
		if err == nil {
			log, err = os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		}
		if err != nil {
			h.dropLogs()
			return nil, fmt.Errorf("host %s: %w", name, err)
		}
		f.Timeout = cmp.Or(f.Timeout, defaultTimeout)
		f.Memory = cmp.Or(f.Memory, defaultMemory)
		f.Concurrency = cmp.Or(f.Concurrency, defaultConcurrency)
		h.functions[name] = &function{Function: f, log: log, live: map[*environment]bool{}}
	}
	h.processes = newStarter()
	return h, nil
}

// Met returns how often which fate of the plan befell the function so far.
func (h *Host) Met(name string) Met {
	f := h.functions[name]
	if f == nil {
		return Met{}
	}
	return Met{Twice: int(f.twice.Load()), Killed: int(f.killed.Load()), Lost: int(f.lost.Load())}
}

// Invoke runs the function once with the event and returns its answer. The
// error is an *Error where the function failed, in the ways that Lambda reports
// with X-Amz-Function-Error, or was not run: its Type is then TooManyRequests or
// RequestEntityTooLarge. When the context ends first the function runs on, as it
// does on AWS.
func (h *Host) Invoke(ctx context.Context, name string, event []byte) ([]byte, error) {
	f := h.functions[name]
	switch {
	case f == nil:
		return nil, fmt.Errorf("invoke %s: no such function", name)
	case len(event) > MaxPayload:
		return nil, &Error{Type: RequestTooLarge, Message: fmt.Sprintf("%d byte payload is too large for the RequestResponse invocation type (limit %d bytes)", len(event), MaxPayload)}
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	h.work.Add(1)
	h.sequence[name]++
	call := Call{Function: name, Number: h.sequence[name], Event: event}
	h.mu.Unlock()
	var fate Fate
	if h.options.Plan != nil {
		fate = h.options.Plan(call)
	}
	out := make(chan result, 1)
	go func() {
		defer h.work.Done()
		out <- h.suffer(f, event, fate)
	}()
	select {
	case r := <-out:
		return r.answer, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for %s: %w", name, context.Cause(ctx))
	}
}

// run gives the event to one environment and waits for what becomes of it.
func (h *Host) run(f *function, id string, event []byte, fate Fate) result {
	for {
		inv := newInvocation(id, event)
		e, err := h.take(f, inv)
		if err != nil {
			return result{err: err}
		}
		if r, done := e.await(inv, fate); done {
			return r
		}
		// The environment ended before it asked for the invocation.
	}
}

// take gives the invocation to a waiting environment, or starts one for it.
func (h *Host) take(f *function, inv *invocation) (*environment, error) {
	f.mu.Lock()
	for len(f.idle) > 0 {
		e := f.idle[len(f.idle)-1]
		f.idle = f.idle[:len(f.idle)-1]
		if e.give(inv) {
			f.mu.Unlock()
			return e, nil
		}
	}
	if h.closing.Err() != nil {
		f.mu.Unlock()
		return nil, ErrClosed
	}
	if len(f.live) >= f.Concurrency {
		f.mu.Unlock()
		return nil, &Error{Type: Throttled, Message: "Rate Exceeded."}
	}
	e := newEnvironment(h, f, inv)
	f.live[e] = true // counts from here on, so that the limit holds
	f.mu.Unlock()
	if err := e.start(); err != nil {
		f.forget(e)
		return nil, err
	}
	return e, nil
}

func (f *function) forget(e *environment) {
	f.mu.Lock()
	delete(f.live, e)
	f.mu.Unlock()
}

func (f *function) environments() []*environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.live))
}

// Kill ends all environments of the function, whatever they do, as when the
// machines under them fail, and returns how many there were.
func (h *Host) Kill(name string) int {
	f := h.functions[name]
	if f == nil {
		return 0
	}
	list := f.environments()
	for _, e := range list {
		e.kill()
	}
	for _, e := range list {
		<-e.gone
	}
	return len(list)
}

// Environments tells how many environments of the function there are.
func (h *Host) Environments(name string) int {
	if f := h.functions[name]; f != nil {
		return len(f.environments())
	}
	return 0
}

// Timings returns what the function's invocations took so far.
func (h *Host) Timings(name string) Timings {
	f := h.functions[name]
	if f == nil {
		return Timings{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return Timings{Init: slices.Clone(f.timings.Init), Cold: slices.Clone(f.timings.Cold), Warm: slices.Clone(f.timings.Warm)}
}

// Logs returns what the function's environments wrote to standard output and
// standard error, in the order they did. It has all that was written before an
// answer that Invoke returned. Logs outlive Close.
func (h *Host) Logs(name string) string {
	h.mu.Lock()
	kept := h.kept
	h.mu.Unlock()
	if kept != nil {
		return kept[name]
	}
	b, err := os.ReadFile(filepath.Join(h.dir, name+".log"))
	if err != nil {
		return ""
	}
	return string(b)
}

// Close ends all processes and returns when they are gone.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	h.close()
	for name := range h.functions {
		h.Kill(name)
	}
	h.work.Wait()
	for name := range h.functions { // started in the meantime
		h.Kill(name)
	}
	h.processes.stop()
	kept := map[string]string{}
	for name := range h.functions {
		kept[name] = h.Logs(name)
	}
	h.mu.Lock()
	h.kept = kept
	h.mu.Unlock()
	return h.dropLogs()
}

func (h *Host) dropLogs() error {
	var errs []error
	for _, f := range h.functions {
		errs = append(errs, f.log.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(h.dir))...)
}
