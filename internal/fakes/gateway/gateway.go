// Package gateway is an own model of an API Gateway HTTP API whose routes lead to
// Lambda functions, payload format 2.0. Tests put it between an HTTP client and a
// function.
//
// It is not API Gateway: no TLS, no throttle, no authorizers, no CORS, no custom
// domain with mappings, no CloudWatch. Where it stands on what others saw rather
// than on documentation, and may be wrong:
//
//   - A path is decoded, cut at "?", and decoded again; one that cannot be is
//     answered with 400. (Seen in live captures of 2026; "%2F" becomes a slash.)
//     How API Gateway treats bytes that are no UTF-8, "." and ".." is not known:
//     here they pass.
//   - Bodies come as text for text/*, JSON, XML and JavaScript, in UTF-8, and as
//     base64 for all else, forms and application/scim+json among them.
//   - Routes are matched against the decoded path, a greedy variable takes at least
//     one character, and a slash at the end counts.
//   - 431 for a request line and headers beyond 10,240 bytes; 413 for bodies beyond
//     10 MB and for events beyond the 6 MB that Lambda takes.
//   - An answer without a content type is text/plain. REST APIs rename
//     WWW-Authenticate in answers; here it passes.
//
// The domain name of a request is its Host unless Options has one, so that a test
// can use a port of this machine.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits of HTTP APIs and of Lambda, in bytes.
const (
	maxHead    = 10_240
	maxBody    = 10_485_760
	maxPayload = 6_291_556
)

// Route leads requests to a function.
type Route struct {
	Key      string // "$default", "GET /pets/{id}", "ANY /scim/v2/{proxy+}"
	Function string
}

// Options vary the API. The zero value is one whose stage is $default.
type Options struct {
	Stage   string           // as named in the path's first segment; empty: $default, which is not
	Domain  string           // empty: the request's Host
	Account string           // empty: 123456789012
	API     string           // the API's id; empty: one is made up
	Now     func() time.Time // nil: time.Now
	Timeout time.Duration    // of a function; zero: the 30 s that HTTP APIs allow

	AccessLog       io.Writer // one line a request; nil: none
	AccessLogFormat string    // with $context variables, as in the stage's settings
}

// Invoke calls a function and returns its answer. Any error is the function's:
// the client gets 500, and 503 if it is of a deadline.
type Invoke func(ctx context.Context, function string, event []byte) ([]byte, error)

// New returns the API.
func New(routes []Route, invoke Invoke, o Options) http.Handler {
	a := &api{invoke: invoke, o: o}
	for _, r := range routes {
		a.routes = append(a.routes, parseRoute(r))
	}
	if a.o.Timeout == 0 {
		a.o.Timeout = 30 * time.Second
	}
	return a
}

type api struct {
	routes []route
	invoke Invoke
	o      Options
	logMu  sync.Mutex
}

type requestIDKey struct{}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, began: a.o.now(), id: newRequestID()}
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, x.id))
	w.Header().Set("Apigw-Requestid", x.id)
	a.serve(x, r)
	a.log(x, r)
}

func (a *api) serve(x *exchange, r *http.Request) {
	if headSize(r) > maxHead {
		x.refuse(http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(x, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		x.refuse(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	case err != nil:
		x.refuse(http.StatusBadRequest, "Bad Request")
		return
	}
	path, ok := decodePath(r.URL.EscapedPath())
	if !ok {
		x.refuse(http.StatusBadRequest, "Bad Request")
		return
	}
	within, ok := a.o.cut(path)
	if !ok {
		x.refuse(http.StatusNotFound, "Not Found")
		return
	}
	to, parameters, ok := a.find(r.Method, within)
	if !ok {
		x.refuse(http.StatusNotFound, "Not Found")
		return
	}
	x.routeKey = to.Key
	event := a.o.event(r, body, path, to.Key, parameters)
	if len(event) > maxPayload {
		x.refuse(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.o.Timeout)
	defer cancel()
	called := a.o.now()
	answer, err := a.invoke(ctx, to.Function, event)
	x.latency = a.o.now().Sub(called)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		x.failure = "the integration timed out"
		x.refuse(http.StatusServiceUnavailable, "Service Unavailable")
		return
	case err == nil && len(answer) > maxPayload:
		err = errors.New("the function's answer is larger than Lambda carries")
	case err == nil:
		err = Answer(x, answer)
	}
	if err != nil && x.status == 0 {
		x.failure = "the function failed"
		x.refuse(http.StatusInternalServerError, "Internal Server Error")
	}
}

// headSize is the size of the request line and the headers as HTTP/1.1 writes them.
func headSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  \r\n") + len("Host: \r\n") + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// cut takes the stage off the path.
func (o Options) cut(path string) (string, bool) {
	if o.stage() == "$default" {
		return path, true
	}
	rest, ok := strings.CutPrefix(path, "/"+o.Stage)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return cmp.Or(rest, "/"), true
}

// exchange is one request's answer, and what the access log is told of it.
type exchange struct {
	http.ResponseWriter
	began    time.Time
	id       string
	routeKey string
	failure  string
	status   int
	length   int
	latency  time.Duration
}

func (x *exchange) WriteHeader(status int) {
	x.status = status
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	n, err := x.ResponseWriter.Write(b)
	x.length += n
	return n, err
}

func (x *exchange) refuse(status int, message string) {
	x.Header().Set("Content-Type", "application/json")
	x.WriteHeader(status)
	io.WriteString(x, `{"message":"`+message+`"}`)
}
