package lambda

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// runtimeAPI is the server that the function asks for its work:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
func (e *environment) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.failure)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.initFailure)
	return mux
}

// next is answered when there is an invocation. An environment that asks while
// there is none has done all it had to, and is frozen.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	if e.current != nil {
		e.mu.Unlock()
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation was not answered")
		return
	}
	select {
	case <-e.ready:
	default:
		e.noteInit()
		close(e.ready)
	}
	if e.pending == nil {
		e.polling = true
		e.freeze()
		e.mu.Unlock()
		select {
		case <-e.wake:
		case <-e.gone:
			return
		}
		e.mu.Lock()
		e.polling = false
	}
	inv := e.pending
	e.pending, e.current = nil, inv
	e.mu.Unlock()
	h := w.Header()
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(e.host.options.Now().Add(e.f.Timeout).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", e.f.ARN)
	h.Set("Lambda-Runtime-Trace-Id", newTraceID(e.host.options.Now()))
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(inv.event)))
	w.Write(inv.event) // a function that is gone does not read it, and gone tells
}

// noteInit notes what the start took. The caller holds mu, which nobody holds
// who waits for f.mu: the environment is in no list yet.
func (e *environment) noteInit() {
	took := time.Since(e.begun)
	e.f.mu.Lock()
	e.f.timings.Init = append(e.f.timings.Init, took)
	e.f.mu.Unlock()
}

// answering returns the invocation that the request is about, or refuses it.
func (e *environment) answering(w http.ResponseWriter, r *http.Request) *invocation {
	e.mu.Lock()
	defer e.mu.Unlock()
	inv := e.current
	if inv == nil || inv.id != r.PathValue("id") {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is under way")
		return nil
	}
	return inv
}

// settle ends the invocation, and only then answers the function, which may end
// itself as soon as it has the answer.
func (e *environment) settle(w http.ResponseWriter, inv *invocation, status int, r result) {
	e.mu.Lock()
	e.current = nil
	e.mu.Unlock()
	inv.finish(r)
	if status == http.StatusAccepted {
		accept(w)
	} else {
		refuse(w, status, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")
	}
}

func (e *environment) response(w http.ResponseWriter, r *http.Request) {
	inv := e.answering(w, r)
	if inv == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	switch kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); {
	case err != nil: // it died while it spoke
	case len(body) > MaxPayload:
		e.settle(w, inv, http.StatusRequestEntityTooLarge, result{err: serviceError(ResponseTooLarge, inv.id, "Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload)})
	case kind != "":
		e.settle(w, inv, http.StatusAccepted, result{err: functionError(kind, nil)})
	default:
		e.settle(w, inv, http.StatusAccepted, result{answer: body})
	}
}

func (e *environment) failure(w http.ResponseWriter, r *http.Request) {
	inv := e.answering(w, r)
	if inv == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload))
	if err != nil {
		return
	}
	e.settle(w, inv, http.StatusAccepted, result{err: functionError(r.Header.Get("Lambda-Runtime-Function-Error-Type"), body)})
}

func (e *environment) initFailure(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload))
	if err != nil {
		return
	}
	e.mu.Lock()
	e.failed = functionError(r.Header.Get("Lambda-Runtime-Function-Error-Type"), body)
	e.mu.Unlock()
	accept(w)
}

func accept(w http.ResponseWriter) {
	const body = `{"status":"OK"}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, body)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // two strings: it cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func newTraceID(now time.Time) string {
	var b [20]byte
	rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", now.Unix(), b[:12], b[12:])
}

// environ is what Lambda sets for a function of an OS-only runtime, with what
// the function's own configuration adds; nothing comes from this process.
func (e *environment) environ(api string) []string {
	all := map[string]string{
		"AWS_ACCESS_KEY_ID":               "AKIDREHEARSAL",
		"AWS_SECRET_ACCESS_KEY":           "rehearsal",
		"AWS_SESSION_TOKEN":               "rehearsal",
		"AWS_REGION":                      e.host.options.Region,
		"AWS_DEFAULT_REGION":              e.host.options.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        e.f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(e.f.Memory),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + e.f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      e.stream,
		"LAMBDA_TASK_ROOT":                filepath.Dir(e.f.Binary),
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"LANG":                            "en_US.UTF-8",
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"TZ":                              ":UTC",
	}
	maps.Copy(all, e.f.Env)
	// A configuration cannot change these.
	all["AWS_LAMBDA_RUNTIME_API"] = api
	all["_HANDLER"] = "bootstrap"
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}
