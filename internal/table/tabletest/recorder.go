package tabletest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// recorder is a test whose failure is a result: what a suite says about a
// table that is known to be wrong.
type recorder struct {
	name string

	mu       sync.Mutex
	failed   bool
	skipped  bool
	messages []string
	cleanups []func()
}

// record runs f as a test of its own and returns it when it has ended.
func record(name string, f func(TB)) *recorder {
	r := &recorder{name: name}
	ended := make(chan struct{})
	go func() { // FailNow ends the goroutine
		defer close(ended)
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		f(r)
	}()
	<-ended
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

func (r *recorder) note(failed bool, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.messages = append(r.messages, message)
}

func (r *recorder) FailNow() { r.Fail(); runtime.Goexit() }

func (r *recorder) SkipNow() {
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Helper()                   {}
func (r *recorder) Name() string              { return r.name }
func (r *recorder) Logf(f string, a ...any)   { r.note(false, fmt.Sprintf(f, a...)) }
func (r *recorder) Log(a ...any)              { r.note(false, fmt.Sprint(a...)) }
func (r *recorder) Errorf(f string, a ...any) { r.note(true, fmt.Sprintf(f, a...)) }
func (r *recorder) Error(a ...any)            { r.note(true, fmt.Sprint(a...)) }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }
func (r *recorder) Fatal(a ...any)            { r.Error(a...); runtime.Goexit() }
func (r *recorder) Fail()                     { r.note(true, "failed") }
func (r *recorder) Skipf(f string, a ...any)  { r.Logf(f, a...); r.SkipNow() }
func (r *recorder) Skip(a ...any)             { r.Log(a...); r.SkipNow() }

// Try runs one sentence of the contract against the tables of f, as a test
// whose failure is a result: for those who plant Faults. A race that has to be
// lost for the sentence to fail is run up to thirty times.
func Try(sentence string, f Factory) (failed bool, said []string) {
	for _, s := range Sentences {
		if s.Text != sentence {
			continue
		}
		r := record(s.Text, func(t TB) { s.check(start(t, f)) })
		for tries := 0; !r.Failed() && !r.skipped && isRace(s) && tries < 30; tries++ {
			r = record(s.Text, func(t TB) { s.check(start(t, f)) })
		}
		return r.Failed(), r.messages
	}
	return true, []string{"no sentence says " + sentence}
}

func isRace(s Sentence) bool {
	return slices.ContainsFunc(races, func(r Sentence) bool { return r.Text == s.Text })
}
