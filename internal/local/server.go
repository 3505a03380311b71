package local

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"gatehouse/internal/web/scimhttp"
)

// drainTime is how long requests under way have when the program is to stop.
const drainTime = 15 * time.Second

// drain stops the server: what is under way is finished, or cut off when the
// time is over.
func drain(s *http.Server, log *slog.Logger) {
	log.Info("draining")
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Warn("drain timed out: what is still under way is cut off", "after", drainTime.String())
		s.Close()
	}
}

// silent are the connections that have sent nothing yet. Shutdown closes idle
// ones, and waits up to five seconds for these.
type silent struct {
	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	stopping bool
}

func (s *silent) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.stopping:
		c.Close()
	default:
		s.conns[c] = struct{}{}
	}
}

func (s *silent) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for c := range s.conns {
		c.Close()
	}
}

// newServer bounds what one client, and all of them, can hold.
func newServer(pages http.Handler, log *slog.Logger) *http.Server {
	fresh := &silent{conns: map[net.Conn]struct{}{}}
	s := &http.Server{
		ConnState:         fresh.track,
		Handler:           bounded(pages),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: maxHeaders - 4<<10, // net/http reads 4 KB more before it refuses, on a kept connection 8
		ErrorLog:       slog.NewLogLogger(quiet{log.Handler()}, slog.LevelWarn),
	}
	s.RegisterOnShutdown(fresh.stop)
	return s
}

// maxHeaders is API Gateway's limit of a request line with its headers, in bytes.
const maxHeaders = 10 << 10

// maxAtOnce bounds the requests under way: what is beyond is told to come back
// rather than to eat the memory.
const maxAtOnce = 512

func bounded(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxAtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		default:
			const message = "Too many requests at once. Try again in a second."
			w.Header().Set("Retry-After", "1")
			if !ofSCIM(r.URL.Path) {
				http.Error(w, message, http.StatusServiceUnavailable)
				return
			}
			kind, body := scimhttp.Refusal(http.StatusServiceUnavailable, message)
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write(body)
		}
	})
}
