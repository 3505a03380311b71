// Package load asks a SCIM server the same again and again, from several clients
// at once, and tells what it took: rate, latencies, CPU seconds of the server.
//
// It does not know what a right answer is: that is its caller's. It shares its machine's cores with
// the server, so it is kept cheap: a client is one connection, kept alive, and
// one goroutine that writes, waits and reads.
package load

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Request is one request and the statuses that it may be answered with.
type Request struct {
	Method, Path string // the path is beneath the server's base
	Body         []byte
	Want         []int
	Check        func(body []byte) error // looks at an answer of such a status; may be nil
}

// Server is what is asked.
type Server struct {
	Host  string // address and port
	Path  string // before each request's path
	Token string // sent as a bearer token; empty: none
	Process
}

// Client is one connection to a server. It is made anew when the server closes
// it.
type Client struct {
	server Server
	conn   net.Conn
	r      *bufio.Reader
	buf    []byte
}

// Client returns one that is not yet connected.
func (s Server) Client() *Client { return &Client{server: s} }

// Close ends the connection.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Do sends the request and returns the answer's body. An answer with another
// status than the request wants is an error; so is one that its Check refuses,
// and one that is not whole before the deadline, zero for none.
func (c *Client) Do(r Request, deadline time.Time) ([]byte, error) {
	body, err := c.do(r, deadline)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	return body, nil
}

func (c *Client) do(r Request, deadline time.Time) ([]byte, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.server.Host)
		if err != nil {
			return nil, err
		}
		c.conn, c.r = conn, bufio.NewReaderSize(conn, 64<<10)
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	b := fmt.Appendf(c.buf[:0], "%s %s%s HTTP/1.1\r\nHost: %s\r\n", r.Method, c.server.Path, r.Path, c.server.Host)
	if c.server.Token != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", c.server.Token)
	}
	if r.Body != nil {
		b = fmt.Appendf(b, "Content-Type: application/scim+json\r\nContent-Length: %d\r\n", len(r.Body))
	}
	b = append(b, "Accept: application/scim+json\r\n\r\n"...)
	b = append(b, r.Body...)
	c.buf = b
	if _, err := c.conn.Write(b); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.Close {
		c.Close()
	}
	if !slices.Contains(r.Want, resp.StatusCode) {
		return nil, &StatusError{Status: resp.StatusCode, Want: r.Want, Body: string(body[:min(len(body), 300)])}
	}
	if r.Check != nil {
		if err := r.Check(body); err != nil {
			return nil, &WrongError{err}
		}
	}
	return body, nil
}

// StatusError is an answer with another status than was wanted.
type StatusError struct {
	Status int
	Want   []int
	Body   string // its beginning
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d, want %v: %s", e.Status, e.Want, strings.TrimSpace(e.Body))
}

// WrongError is an answer that its Check refused.
type WrongError struct{ Err error }

func (e *WrongError) Error() string { return "wrong answer: " + e.Err.Error() }
func (e *WrongError) Unwrap() error { return e.Err }

// Plan says how long a load goes on.
type Plan struct {
	Clients int
	For     time.Duration // no request is begun after it; 0: no such end
	Count   int           // requests at most, by all clients together; 0: no such end
	Each    time.Duration // one request may take so long; 0: any time
	Settle  time.Duration // the server is idle when it was for so long; 0: half a second
}

// Cost is what a load took.
type Cost struct {
	N        int           // requests answered as wanted
	Took     time.Duration // from the first request to the last answer
	P50, P99 time.Duration
	CPU      float64 // CPU seconds of the server, with what it did afterwards
	Own      float64 // CPU seconds of this process
}

// Rate returns requests a second.
func (c Cost) Rate() float64 { return float64(c.N) / c.Took.Seconds() }

// PerThousand returns CPU seconds of the server per 1,000 requests.
func (c Cost) PerThousand() float64 { return c.CPU / float64(c.N) * 1000 }

// Run asks the server by the plan and waits until it is idle. What gives the
// requests by their number, from 0; it is called by several goroutines. The
// first answer that is not as wanted ends it with an error.
func (s Server) Run(ctx context.Context, p Plan, what func(i int) Request) (Cost, error) {
	self := Process(os.Getpid())
	before, err1 := s.CPU()
	own, err2 := self.CPU()
	if err := errors.Join(err1, err2); err != nil {
		return Cost{}, err
	}
	var (
		next    atomic.Int64
		mu      sync.Mutex
		whole   Histogram
		failure error
		wg      sync.WaitGroup
	)
	inner, stop := context.WithCancel(ctx)
	defer stop()
	begin := time.Now()
	for range p.Clients {
		wg.Go(func() {
			c, own := s.Client(), new(Histogram)
			defer c.Close()
			err := c.repeat(inner, p, begin, &next, own, what)
			mu.Lock()
			defer mu.Unlock()
			whole.Merge(own)
			if err != nil && failure == nil {
				failure = err
				stop()
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if failure != nil {
		return Cost{}, failure
	}
	if err := ctx.Err(); err != nil {
		return Cost{}, err
	}
	if whole.N() == 0 {
		return Cost{}, fmt.Errorf("no request was begun within %v", p.For)
	}
	settle, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.Idle(settle, cmp.Or(p.Settle, 500*time.Millisecond)); err != nil {
		return Cost{}, err
	}
	after, err1 := s.CPU()
	spent, err2 := self.CPU()
	return Cost{N: int(whole.N()), Took: took, P50: whole.Quantile(0.50), P99: whole.Quantile(0.99), CPU: after - before, Own: spent - own}, errors.Join(err1, err2)
}

func (c *Client) repeat(ctx context.Context, p Plan, begin time.Time, next *atomic.Int64, h *Histogram, what func(int) Request) error {
	for ctx.Err() == nil {
		i := int(next.Add(1)) - 1
		now := time.Now()
		if p.Count > 0 && i >= p.Count || p.For > 0 && i >= p.Clients && now.Sub(begin) >= p.For {
			return nil
		}
		var deadline time.Time
		if p.Each > 0 {
			deadline = now.Add(p.Each)
		}
		if _, err := c.Do(what(i), deadline); err != nil {
			return err
		}
		h.Add(time.Since(now))
	}
	return nil
}
