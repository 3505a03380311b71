// Package lambdahttp runs an http.Handler as a Lambda function behind an API
// Gateway HTTP API, payload format 2.0: the handler sees the request that it
// would see behind net/http, and what it answers reaches the client as if
// net/http had sent it.
//
// It is not a server: API Gateway holds the connection, bounds headers (10,240
// bytes) and bodies, and speaks TLS. It streams nothing, upgrades nothing and
// sends no trailers. It does not read events of payload format 1.0, of REST APIs,
// or of load balancers.
//
// Differences from net/http that a handler can notice:
//
//   - API Gateway decodes the path, twice, and cuts it at an encoded question
//     mark; what was encoded is lost. URL.Path is what API Gateway decoded,
//     URL.RawPath is empty, and RequestURI is encoded anew from the path.
//   - A header that came several times has one value, joined by commas.
//   - Body and ContentLength are always known whole.
//   - RemoteAddr has port 0, TLS is nil, Host is the API's domain name whatever
//     the client said.
package lambdahttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/internal/identity"
)

// The end of an invocation. A handler that heeds its context has the time
// between the two to answer in its own words; after that we answer for it.
const (
	margin   = 500 * time.Millisecond // the handler's context ends so long before Lambda's deadline
	lastWord = 250 * time.Millisecond // an answer is given so long before it, come what may
)

// retryAfter is what a client is told to wait when there was no time to answer,
// in seconds.
const retryAfter = 5

// Handler is a lambda.Handler over an http.Handler.
type Handler struct {
	// Refuse renders what the handler itself did not answer: 400, a request that
	// net/http would not have taken; 500, a panic, or an answer larger than Lambda
	// carries; 503, no answer in time. The message is a whole sentence for the
	// client. Nil: plain text.
	//
	// An answer that is too large is 500, not 413: that status blames the
	// request's body, and here the request was fine. Nor is it 503, which invites
	// a client to try in vain: handlers keep their answers small, and one that
	// does not is ours to mend.
	Refuse func(status int, message string) (contentType string, body []byte)

	next http.Handler
	log  *slog.Logger
}

// New returns a Handler, ready for lambda.Start. The log is told of panics,
// overlong answers and overruns, never of what a client sent.
func New(next http.Handler, log *slog.Logger) *Handler {
	return &Handler{next: next, log: log}
}

// Invoke answers one event. An event that is none of payload format 2.0 gives an
// error, which API Gateway turns into its own answer with status 500.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	r, err := newRequest(payload)
	if errors.Is(err, errBadRequest) {
		return h.refuse(http.StatusBadRequest, "The request cannot be read.", nil), nil
	}
	if err != nil {
		return nil, err
	}
	w := newResponse(r.Method == http.MethodHead)
	if !h.serve(ctx, w, r) {
		h.failed(ctx, "the handler did not answer in time", slog.String("method", known(r.Method)))
		return h.refuse(http.StatusServiceUnavailable,
			fmt.Sprintf("This took too long, and may have been done or not. Try again in %d seconds.", retryAfter),
			http.Header{"Retry-After": {strconv.Itoa(retryAfter)}}), nil
	}
	if w.panicked != nil {
		ref := identity.Random(10)
		h.failed(ctx, "the handler panicked", slog.String("ref", ref), slog.Any("err", w.panicked))
		return h.refuse(http.StatusInternalServerError,
			"Something went wrong on our side. Our log knows it as "+ref+".", nil), nil
	}
	if out, ok := w.encode(); ok {
		return out, nil
	}
	ref := identity.Random(10)
	h.failed(ctx, "the answer is larger than Lambda carries", slog.String("ref", ref), slog.Int("bytes", w.size), slog.Int("limit", maxPayload))
	return h.refuse(http.StatusInternalServerError,
		"The answer is larger than can be sent. Ask for less of it at once. Our log knows it as "+ref+".", nil), nil
}

// serve calls the handler and reports whether it was done in time. One that is
// not goes on alone, with its context ended: what it writes is dropped.
func (h *Handler) serve(ctx context.Context, w *response, r *http.Request) bool {
	deadline, bounded := ctx.Deadline()
	var late <-chan time.Time
	if bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
		t := time.NewTimer(time.Until(deadline.Add(-lastWord)))
		defer t.Stop()
		late = t.C
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			// What was panicked with may name a person and is not told; its type and
			// where it happened do not. Without either it was runtime.Goexit.
			v := recover()
			if returned {
				w.end(nil)
			} else if err := fmt.Errorf("panic with a %T\n%s", v, debug.Stack()); !w.end(err) {
				h.failed(ctx, "the handler panicked after its time", slog.Any("err", err))
			}
		}()
		growStack(0)
		h.next.ServeHTTP(w, r.WithContext(ctx))
		returned = true
	}()
	select {
	case <-done:
	case <-late:
	}
	return w.close()
}

// growStack lets the goroutine's stack grow to 32 KiB at once, while there is
// nothing on it to be moved. The SDK's layers need that much, and growing to it
// step by step beneath them took a tenth of a read's CPU.
//
//go:noinline
func growStack(i int) byte {
	var room [16 << 10]byte
	return room[i]
}

func (h *Handler) refuse(status int, message string, header http.Header) []byte {
	contentType, body := "text/plain; charset=utf-8", []byte(message+"\n")
	if h.Refuse != nil {
		contentType, body = h.Refuse(status, message)
	}
	w := newResponse(false)
	for name, values := range header {
		w.header[name] = values
	}
	w.header.Set("Content-Type", contentType)
	w.header.Set("Cache-Control", "no-store")
	w.header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body)
	w.close()
	out, _ := w.encode()
	return out
}

func (h *Handler) failed(ctx context.Context, what string, attrs ...slog.Attr) {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("request", lc.AwsRequestID))
	}
	h.log.LogAttrs(ctx, slog.LevelError, what, attrs...)
}

// known keeps methods that a client invents out of the log.
func known(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}
