package lambda

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// result is what became of an invocation.
type result struct {
	answer []byte
	err    error
}

// invocation is one event on its way through one environment.
type invocation struct {
	id    string
	event []byte
	begun time.Time   // when it was given to an environment that waited
	done  chan result // takes one
	once  sync.Once
}

func newInvocation(id string, event []byte) *invocation {
	return &invocation{id: id, event: event, begun: time.Now(), done: make(chan result, 1)}
}

func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// finish tells what became of it; only the first time counts.
func (i *invocation) finish(r result) { i.once.Do(func() { i.done <- r }) }

// environment is one process and the server that it asks for invocations.
type environment struct {
	host   *Host
	f      *function
	stream string // log stream, told to the function
	cmd    *exec.Cmd
	server *http.Server
	begun  time.Time     // of the process
	ready  chan struct{} // closed with the first request for an invocation
	gone   chan struct{} // closed when the process has ended and is waited for
	wake   chan struct{} // takes one: an invocation is pending
	reaper *time.Timer

	mu       sync.Mutex
	started  bool
	doomed   bool // killed before it had started
	dead     bool
	polling  bool        // the function waits for an invocation
	frozen   bool        // stopped by us
	answered bool        // at least once
	pending  *invocation // given, not asked for yet
	current  *invocation // asked for, not answered yet
	failed   *Error      // the initialization reported it
}

func newEnvironment(h *Host, f *function, first *invocation) *environment {
	var b [16]byte
	rand.Read(b[:])
	return &environment{
		host: h, f: f, pending: first,
		stream: fmt.Sprintf("%s/[$LATEST]%x", h.options.Now().UTC().Format("2006/01/02"), b),
		ready:  make(chan struct{}), gone: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// start runs the process until it asks for its first invocation.
func (e *environment) start() error {
	select {
	case e.host.starting <- struct{}{}:
		defer func() { <-e.host.starting }()
	case <-e.host.closing.Done():
		close(e.gone)
		return ErrClosed
	}
	id := e.pending.id // nobody else has the environment yet
	if err := e.exec(); err != nil {
		close(e.gone)
		return fmt.Errorf("start an environment of %s: %w", e.f.Name, err)
	}
	timer := time.NewTimer(initLimit)
	defer timer.Stop()
	select {
	case <-e.ready:
		return nil
	case <-timer.C:
		e.kill()
		<-e.gone
		return serviceError(TimedOut, id, "Init timed out after %.2f seconds", initLimit.Seconds())
	case <-e.gone:
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.failed != nil {
			return e.failed
		}
		return serviceError(Exited, id, "Runtime exited %s", e.ending())
	}
}

// exec starts the process and what waits for its end.
func (e *environment) exec() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	e.server = &http.Server{Handler: e.runtimeAPI()}
	e.cmd = exec.Command(e.f.Binary)
	e.cmd.Dir = filepath.Dir(e.f.Binary)
	e.cmd.Env = e.environ(listener.Addr().String())
	e.cmd.Stdout, e.cmd.Stderr = e.f.log, e.f.log
	e.cmd.SysProcAttr = attributes()
	e.begun = time.Now()
	if err := e.host.processes.start(e.cmd); err != nil {
		return errors.Join(err, listener.Close())
	}
	e.mu.Lock()
	e.started = true
	doomed := e.doomed
	e.mu.Unlock()
	go e.server.Serve(listener) // ends with Close, which gone brings
	go func() {
		e.cmd.Wait() // how it ended is in ProcessState
		syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
		e.mu.Lock()
		e.dead = true
		if e.reaper != nil {
			e.reaper.Stop()
		}
		e.mu.Unlock()
		e.f.forget(e)
		e.server.Close()
		close(e.gone)
	}()
	if doomed {
		e.kill()
	}
	return nil
}

// ending says how the process ended, once it has.
func (e *environment) ending() string {
	if e.cmd.ProcessState.Success() {
		return "without providing a reason"
	}
	return "with error: " + e.cmd.ProcessState.String()
}

// give hands the invocation to a waiting environment, or tells that it is dead.
func (e *environment) give(inv *invocation) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead {
		return false
	}
	if e.reaper != nil {
		e.reaper.Stop()
	}
	inv.begun = time.Now()
	e.pending = inv
	if e.polling {
		e.thaw()
		e.wake <- struct{}{}
	}
	return true
}

// await waits for the end of the invocation. It is not done when the process
// ended without having asked for it.
func (e *environment) await(inv *invocation, fate Fate) (r result, done bool) {
	over, end := context.WithCancel(context.Background())
	defer end()
	if fate.Kill != nil {
		go func() {
			if fate.Kill(over) {
				e.killDuring(inv)
			}
		}()
	}
	timer := time.NewTimer(e.f.Timeout)
	defer timer.Stop()
	var cut *Error // why there is no answer
	select {
	case r = <-inv.done:
	case <-timer.C:
		e.kill()
		<-e.gone
		cut = serviceError(TimedOut, inv.id, "Task timed out after %.2f seconds", e.f.Timeout.Seconds())
	case <-e.gone:
		cut = serviceError(Exited, inv.id, "Runtime exited %s", e.ending())
	}
	if cut != nil {
		if !e.asked(inv) {
			return result{}, false
		}
		inv.finish(result{err: cut}) // unless it answered with its last breath
		r = <-inv.done
	}
	if fate.Lose {
		e.kill()
		<-e.gone
		e.f.lost.Add(1)
		return result{err: serviceError(Exited, inv.id, "Runtime exited %s", e.ending())}, true
	}
	e.rest(inv, r)
	return r, true
}

// asked tells whether the function has asked for the invocation it was given.
func (e *environment) asked(inv *invocation) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pending != inv
}

// rest notes what the invocation took and lets the next one have the
// environment.
func (e *environment) rest(inv *invocation, r result) {
	now := time.Now()
	e.f.mu.Lock()
	defer e.f.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case r.err != nil:
	case !e.answered:
		e.f.timings.Cold = append(e.f.timings.Cold, now.Sub(e.begun))
	default:
		e.f.timings.Warm = append(e.f.timings.Warm, now.Sub(inv.begun))
	}
	e.answered = true
	if e.dead {
		return
	}
	e.f.idle = append(e.f.idle, e)
	e.reaper = time.AfterFunc(e.host.options.Idle, e.reap)
}

// reap ends the environment unless it was given work since.
func (e *environment) reap() {
	e.f.mu.Lock()
	at := slices.Index(e.f.idle, e)
	if at >= 0 {
		e.f.idle = slices.Delete(e.f.idle, at, at+1)
	}
	e.f.mu.Unlock()
	if at >= 0 {
		e.kill()
	}
}

// freeze stops the process and all that it started. The caller holds mu.
func (e *environment) freeze() {
	if !e.host.options.NoFreeze && !e.dead {
		e.frozen = syscall.Kill(-e.cmd.Process.Pid, syscall.SIGSTOP) == nil
	}
}

// thaw lets it go on. The caller holds mu.
func (e *environment) thaw() {
	if e.frozen && !e.dead {
		syscall.Kill(-e.cmd.Process.Pid, syscall.SIGCONT)
		e.frozen = false
	}
}

// kill ends the process group, frozen or not; one that has not started yet is
// killed as soon as it has.
func (e *environment) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.started:
		e.doomed = true
	case !e.dead:
		syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// killDuring ends it only while it is at work on the invocation.
func (e *environment) killDuring(inv *invocation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == inv && !e.dead {
		e.f.killed.Add(1)
		syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// starter starts processes from one thread that lives as long as they may: the
// kernel's death signal comes with the end of the thread that started a
// process, not of the program.
type starter struct {
	jobs chan job
}

type job struct {
	cmd *exec.Cmd
	err chan error
}

func newStarter() *starter {
	s := &starter{jobs: make(chan job)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for j := range s.jobs {
			j.err <- j.cmd.Start()
		}
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) error {
	j := job{cmd, make(chan error, 1)}
	s.jobs <- j
	return <-j.err
}

// stop may be called when nothing is started any more.
func (s *starter) stop() { close(s.jobs) }
