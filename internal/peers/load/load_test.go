package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestHistogram: a quantile is not below the one that sorting gives, and at
// most a 32nd above it.
func TestHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 10, 1000} {
		var parts [2]Histogram
		var sorted []time.Duration
		for i := range n {
			d := time.Duration(rng.Int64N(1 << (1 + rng.IntN(40))))
			parts[i%2].Add(d)
			sorted = append(sorted, d)
		}
		whole := new(Histogram)
		whole.Merge(&parts[0])
		whole.Merge(&parts[1])
		if whole.N() != int64(n) {
			t.Errorf("after %d durations N() = %d", n, whole.N())
		}
		slices.Sort(sorted)
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			want := sorted[min(int(q*float64(n)), n-1)]
			if got := whole.Quantile(q); got < want || got > want+want/32 {
				t.Errorf("Quantile(%v) of %d durations = %v, want %v or little more", q, n, got, want)
			}
		}
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing = %v, want 0", got)
	}
}

// serve starts a server in this process, so that its CPU can be read.
func serve(t *testing.T, h http.HandlerFunc) Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Server{Host: strings.TrimPrefix(s.URL, "http://"), Path: "/base", Token: "secret", Process: Process(os.Getpid())}
}

func TestClient(t *testing.T) {
	var seen sync.Map // addresses of connections
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.RemoteAddr, true)
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/base/echo":
			fmt.Fprint(w, r.Method, " ", r.Header.Get("Authorization"), " ", string(body))
		case "/base/none":
			w.WriteHeader(204)
		case "/base/close":
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "bye")
		case "/base/large":
			fmt.Fprint(w, strings.Repeat("x", 300_000)) // chunked
		case "/base/late":
			time.Sleep(100 * time.Millisecond)
		}
	})
	c := s.Client()
	defer c.Close()
	for _, x := range []struct {
		r           Request
		want        string
		connections int
	}{
		{Request{Method: "POST", Path: "/echo", Body: []byte("hello")}, "POST Bearer secret hello", 1},
		{Request{Method: "GET", Path: "/none", Want: []int{204}}, "", 1},
		{Request{Method: "GET", Path: "/large"}, strings.Repeat("x", 300_000), 1},
		{Request{Method: "GET", Path: "/close"}, "bye", 1},
		{Request{Method: "GET", Path: "/echo"}, "GET Bearer secret ", 2},
	} {
		x.r.Want = append(x.r.Want, 200)
		got, err := c.Do(x.r, time.Time{})
		if err != nil || string(got) != x.want {
			t.Errorf("Do(%s) = %.40q, %v, want %.40q", x.r.Path, got, err, x.want)
		}
		n := 0
		seen.Range(func(any, any) bool { n++; return true })
		if n != x.connections {
			t.Errorf("after %s there were %d connections, want %d", x.r.Path, n, x.connections)
		}
	}

	var status *StatusError
	if _, err := c.Do(Request{Method: "GET", Path: "/none", Want: []int{200}}, time.Time{}); !errors.As(err, &status) || status.Status != 204 {
		t.Errorf("an answer of 204 where 200 is wanted is %v", err)
	}
	if _, err := c.Do(Request{Method: "GET", Path: "/late", Want: []int{200}}, time.Now().Add(10*time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a late answer is %v, want a deadline exceeded", err)
	}
	var wrong *WrongError
	_, err := c.Do(Request{Method: "GET", Path: "/echo", Want: []int{200}, Check: func([]byte) error { return errors.New("no") }}, time.Time{})
	if !errors.As(err, &wrong) {
		t.Errorf("an answer that its check refuses is %v", err)
	}
}

func TestRun(t *testing.T) {
	var served, broken atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == broken.Load() {
			w.WriteHeader(500)
		}
	})
	get := func(int) Request { return Request{Method: "GET", Path: "/", Want: []int{200}} }
	p := Plan{Clients: 4, Count: 50, Settle: 10 * time.Millisecond}
	cost, err := s.Run(t.Context(), p, get)
	if err != nil || cost.N != 50 || served.Load() != 50 {
		t.Errorf("50 requests by 4 clients: N = %d, served %d, %v", cost.N, served.Load(), err)
	}
	if cost.P50 <= 0 || cost.P99 < cost.P50 || cost.Took < cost.P50 || cost.Rate() <= 0 {
		t.Errorf("50 requests took %+v, want latencies and a rate", cost)
	}
	broken.Store(60)
	var status *StatusError
	if _, err := s.Run(t.Context(), p, get); !errors.As(err, &status) {
		t.Errorf("a run with one answer of 500 ends with %v, want that status", err)
	}
	cost, err = s.Run(t.Context(), Plan{Clients: 2, For: 20 * time.Millisecond, Settle: 10 * time.Millisecond}, get)
	if err != nil || cost.N < 2 || cost.Took < 20*time.Millisecond {
		t.Errorf("a run of 20 ms: %+v, %v", cost, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, p, get); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run ends with %v", err)
	}
}

func TestProcess(t *testing.T) {
	p := Process(os.Getpid())
	before, err := p.CPU()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; {
		after, err := p.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if after > before {
			break
		}
		if time.Now().After(end) {
			t.Fatal("five seconds of work used no CPU")
		}
	}
	if mib, err := p.RSS(); err != nil || mib < 1 || mib > 4096 {
		t.Errorf("this test's memory is %v MiB, %v", mib, err)
	}
	if _, err := Process(1 << 30).CPU(); err == nil {
		t.Error("a process that is not there has used CPU")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	var stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for !stop.Load() {
		}
	}()
	if err := p.Idle(ctx, 500*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a busy process is idle: %v", err)
	}
}
