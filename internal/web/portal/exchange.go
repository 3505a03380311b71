package portal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// exchange is one request and its answer.
type exchange struct {
	p       *portal
	w       http.ResponseWriter
	r       *http.Request
	route   string
	began   time.Time
	status  int // of the answer; zero: none yet
	lang    string
	org     *org.Org         // that the address names; nil: none
	session *account.Session // nil: not signed in, or not looked up
	token   string           // the session's
	pre     string           // the cookie that forms are bound to before sign-in
}

// Errors of the pages themselves.
var (
	errNoPage = fault.New(fault.NotFound, "", "There is no such page.")
	errMethod = fault.New(fault.Invalid, codeMethod, "This address does not take that kind of request.")
	errForm   = fault.New(fault.Forbidden, codeForm, "The form was out of date.")
	errLink   = fault.New(fault.NotFound, codeLink, "This link opens nothing.")
	errLarge  = fault.New(fault.Invalid, fault.TooLarge, "The form is too large.")
)

const (
	codeMethod = "method"
	codeForm   = "form"
	codeLink   = "link"
)

// maxForm is the largest form that is read: a name and a password of 256
// characters, each written as %XX, take 4 KB.
const maxForm = 16 << 10

// policy lets nothing in but our own files, and nobody frame us.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (p *portal) begin(w http.ResponseWriter, r *http.Request, pattern string) *exchange {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if p.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return &exchange{p: p, w: w, r: r, route: pattern, began: p.Now(), lang: accepted(r.Header.Get("Accept-Language"))}
}

// finish logs the exchange: its route and never its path, which may hold a
// link's secret. A panic becomes a page; what it said may hold anything and is
// not logged, where it happened is.
func (x *exchange) finish() {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		err := fmt.Errorf("panic with a %T\n%s", v, debug.Stack())
		if x.status == 0 {
			x.fail(err)
		} else {
			x.p.Logger.LogAttrs(x.ctx(), slog.LevelError, "page failed", slog.String("route", x.route), slog.Any("err", err))
		}
	}
	x.p.Logger.LogAttrs(x.ctx(), slog.LevelInfo, "page",
		slog.String("method", method(x.r.Method)), slog.String("route", x.route), slog.Int("status", x.status),
		slog.Int64("ms", x.p.Now().Sub(x.began).Milliseconds()))
}

// method keeps what a client made up out of the log.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func (x *exchange) ctx() context.Context { return x.r.Context() }

func (x *exchange) answer(h handler) {
	if err := h(x); err != nil {
		x.fail(err)
	}
}

// fail answers with the page for the error, with a reference that the log knows.
func (x *exchange) fail(err error) {
	f := fault.Of(err)
	ref := identity.Random(10)
	level := slog.LevelInfo
	v := errorView{Ref: ref, Kind: "internal"}
	status := http.StatusInternalServerError
	switch {
	case f.Code == codeMethod:
		status, v.Kind = http.StatusMethodNotAllowed, "method"
	case f.Code == codeForm:
		status, v.Kind = http.StatusForbidden, "form"
	case f.Code == codeLink:
		status, v.Kind = http.StatusNotFound, "link"
	case f.Code == fault.TooLarge:
		status, v.Kind = http.StatusRequestEntityTooLarge, "large"
	case f.Code == fault.Full:
		status, v.Kind, level = http.StatusInsufficientStorage, "unavailable", slog.LevelError
	case f.Kind == fault.NotFound:
		status, v.Kind = http.StatusNotFound, "missing"
	case f.Kind == fault.Throttled:
		status, v.Kind = http.StatusTooManyRequests, "throttled"
	case f.Kind == fault.Unavailable:
		status, v.Kind, level = http.StatusServiceUnavailable, "unavailable", slog.LevelWarn
	case f.Kind == fault.Invalid:
		status, v.Kind = http.StatusBadRequest, "invalid"
	case f.Kind == fault.Conflict:
		status, v.Kind = http.StatusConflict, "conflict"
	case f.Kind == fault.Forbidden, f.Kind == fault.Unauthorized:
		status, v.Kind = http.StatusForbidden, "form"
	case errors.Is(err, context.Canceled): // nobody reads the answer
		status, v.Kind = http.StatusServiceUnavailable, "unavailable"
	default:
		level = slog.LevelError
	}
	x.p.Logger.LogAttrs(x.ctx(), level, "page failed",
		slog.String("ref", ref), slog.String("route", x.route), slog.String("kind", f.Kind.String()), slog.Any("err", err))
	x.retryAfter(f)
	if err := x.render(status, "error", view{Narrow: x.session == nil, Data: v}); err != nil {
		http.Error(x.w, "Something went wrong. Reference: "+ref, http.StatusInternalServerError)
		x.status = http.StatusInternalServerError
	}
}

func (x *exchange) retryAfter(f *fault.Error) {
	if f.Retry > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(int((f.Retry+time.Second-1)/time.Second)))
	}
}

// errorView is what the error page shows.
type errorView struct {
	Kind string // names its texts
	Ref  string
}

// render writes a page: first all of it into memory, so that a template that
// fails leaves no half page behind.
func (x *exchange) render(status int, page string, v view) error {
	v.fill(x)
	var b bytes.Buffer
	if err := x.p.pages[x.lang].execute(&b, page, v); err != nil {
		return fmt.Errorf("render %s: %w", page, err)
	}
	return x.write(status, "text/html; charset=utf-8", b.Bytes())
}

func (x *exchange) write(status int, contentType string, body []byte) error {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Language", x.lang)
	h.Add("Vary", "Accept-Language, Cookie")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.status = status
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return nil
	}
	x.w.Write(body) // a reader who left does not miss it
	return nil
}

// redirect sends the reader on, to a path of ours: never to what a header named.
func (x *exchange) redirect(path string) error {
	x.w.Header().Set("Location", path)
	x.status = http.StatusSeeOther
	x.w.WriteHeader(http.StatusSeeOther)
	return nil
}
