package short

import (
	"flag"
	"runtime"
	"testing"
)

// outcome is what becomes of a test that calls Skip.
func outcome(f func(testing.TB)) (skipped, failed bool) {
	r := &recorder{}
	done := make(chan struct{})
	go func() { // Fatalf ends its goroutine
		defer close(done)
		f(r)
	}()
	<-done
	return r.skipped, r.failed
}

type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Skipf(string, ...any)  { r.skipped = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true; runtime.Goexit() }

func TestShort(t *testing.T) {
	was := flag.Lookup("test.short").Value.String()
	t.Cleanup(func() { flag.Set("test.short", was) })
	for _, c := range []struct {
		short, ci       string
		skipped, failed bool
	}{
		{"false", "", false, false}, {"false", "true", false, false}, {"true", "", true, false}, {"true", "true", false, true},
	} {
		t.Setenv("CI", c.ci)
		flag.Set("test.short", c.short)
		if skipped, failed := outcome(func(tb testing.TB) { Skip(tb, "takes long") }); skipped != c.skipped || failed != c.failed {
			t.Errorf("-short=%s, CI=%q: skipped %v, failed %v, want %v, %v", c.short, c.ci, skipped, failed, c.skipped, c.failed)
		}
		want := 9
		if c.skipped {
			want = 2
		}
		if got := Size(9, 2); got != want {
			t.Errorf("-short=%s, CI=%q: Size(9, 2) = %d, want %d", c.short, c.ci, got, want)
		}
	}
}
