// Package oauth is the authorization server for directories: a token endpoint
// (RFC 6749 §3.2) with the client credentials grant alone (§4.4), and the
// metadata that says so (RFC 8414). A client proves itself by its secret, or by
// a signed assertion of an issuer that it was made to trust (RFC 7523 §2.2).
//
// It has no users: nobody signs in here, nothing is authorized, no token is
// refreshed. What an access token opens is package org's to say.
//
// Keys of this package:
//
//	RATE#<mac>   window  failed tries, by the address that they come from; tokens granted, by client
//	JTI#<mac>    #       how often an assertion was taken, until it expires
//	JWKS#<hash>  #       an issuer's key set as it was fetched last
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/jwt"
	"gatehouse/internal/org"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Paths that the handler answers.
const (
	TokenPath    = "/oauth/token"
	MetadataPath = "/.well-known/oauth-authorization-server"
)

// Scope is the one that there is.
const Scope = "scim"

// Fetcher gets what stands at an address that a customer named: package egress's
// client.
type Fetcher interface {
	Get(ctx context.Context, address string) ([]byte, error)
}

// Config is what a Handler needs.
type Config struct {
	URL   string // the configured outside address, without a slash at its end; the issuer
	Orgs  *org.Store
	Table table.Table
	Key   secret.Key // the server's
	Fetch Fetcher
	Now   func() time.Time
	Log   *slog.Logger
	// Client tells where a request comes from, for rate limits.
	Client func(*http.Request) string
}

// Handler answers the token endpoint and the metadata.
type Handler struct {
	Config
	marks secret.Key // under which addresses and assertions become keys
	rings *rings
	full  fulls
}

// New returns the handler.
func New(c Config) *Handler {
	return &Handler{Config: c, marks: c.Key.Derive("oauth"), rings: &rings{table: c.Table, fetch: c.Fetch, now: c.Now, log: c.Log}}
}

// Before returns a handler that answers its own paths and leaves the others to
// next.
func (h *Handler) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case TokenPath, MetadataPath:
			h.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// exchange is one request, and what the log is told of it.
type exchange struct {
	h *Handler
	r *http.Request
	a org.Applicant
}

// refusal is an answer other than a token. Its description is one for all ways
// of not being known; the reason is for the log, where the admin's helper looks.
type refusal struct {
	status      int
	code        string // RFC 6749 §5.2
	description string
	reason      string
	retry       time.Duration
	err         error // for the log
}

func (r *refusal) Error() string { return r.code + ": " + r.reason }

func invalid(reason, description string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", reason: reason, description: description}
}

// unknown refuses a client whose proof did not convince, for whatever reason.
func unknown(reason string) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "invalid_client", reason: reason,
		description: "The client is not known, or did not prove itself."}
}

// codeOther stands where RFC 6749 §5.2 has no code: with 429 and 5xx the status
// says whose fault it is, and a code of another endpoint's would be none here.
const codeOther = "invalid_request"

// busy says that the same request may go through later.
func busy(status int, reason, description string, retry time.Duration, err error) *refusal {
	return &refusal{status: status, code: codeOther, reason: reason, description: description, retry: retry, err: err}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.Now()
	x := &exchange{h: h, r: r}
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store") // RFC 6749 §5.1
	head.Set("Pragma", "no-cache")
	route, status, body, refused := x.route(head)
	if refused != nil {
		status = refused.status
		body = map[string]any{"error": refused.code, "error_description": refused.description}
		if status == http.StatusUnauthorized {
			head.Set("WWW-Authenticate", `Basic realm="gatehouse", charset="UTF-8"`)
		}
		if refused.retry > 0 {
			head.Set("Retry-After", strconv.Itoa(max(1, int((refused.retry+time.Second-1)/time.Second))))
		}
		if status == http.StatusInternalServerError {
			ref := identity.Random(10)
			body["error_description"] = refused.description + " Reference: " + ref + "."
			h.Log.ErrorContext(r.Context(), "oauth failed", "reference", ref, "error", refused.err.Error())
		}
	}
	x.log(route, status, h.Now().Sub(start), refused)
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of strings, numbers and lists only
	}
	head.Set("Content-Type", "application/json")
	head.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b) // who is gone will not miss it
}

func (x *exchange) route(head http.Header) (route string, status int, body map[string]any, refused *refusal) {
	var err error
	if x.r.URL.Path == MetadataPath {
		if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
			head.Set("Allow", "GET, HEAD")
			return MetadataPath, 0, nil, methodNotAllowed("GET or HEAD")
		}
		head.Set("Cache-Control", "public, max-age=300")
		head.Del("Pragma")
		return MetadataPath, http.StatusOK, x.h.metadata(), nil
	}
	if x.r.Method != http.MethodPost {
		head.Set("Allow", "POST")
		return TokenPath, 0, nil, methodNotAllowed("POST")
	}
	if body, err = x.token(); err != nil {
		return TokenPath, 0, nil, explain(err)
	}
	return TokenPath, http.StatusOK, body, nil
}

func methodNotAllowed(allowed string) *refusal {
	return &refusal{status: http.StatusMethodNotAllowed, code: "invalid_request", reason: "method",
		description: "The method is not allowed here; send " + allowed + "."}
}

// explain finds the refusal in an error.
func explain(err error) *refusal {
	var r *refusal
	var f *fault.Error
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, table.ErrFull):
		return busy(http.StatusInsufficientStorage, "full", "There is no room left to store a token.", 0, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return busy(http.StatusServiceUnavailable, "cut-off", "The request was cut off before it was done. Try again.", time.Second, err)
	case errors.As(err, &f) && f.Kind == fault.Unavailable:
		return busy(http.StatusServiceUnavailable, "unavailable", f.Msg, max(f.Retry, time.Second), err)
	}
	return &refusal{status: http.StatusInternalServerError, code: codeOther, reason: "internal", description: "Something went wrong on our side.", err: err}
}

// metadata is RFC 8414 §2. response_types_supported is empty, since there is no
// authorization endpoint: the member is required, and an empty list the only
// true one, though §3.2 would leave empty lists out.
func (h *Handler) metadata() map[string]any {
	return map[string]any{
		"issuer":                                h.URL,
		"token_endpoint":                        h.URL + TokenPath,
		"response_types_supported":              []string{},
		"grant_types_supported":                 []string{"client_credentials"},
		"scopes_supported":                      []string{Scope},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": jwt.Algorithms,
	}
}

// log tells of the request what is no person's and no secret: ids of ours and
// why it was refused, never what was sent.
func (x *exchange) log(route string, status int, took time.Duration, refused *refusal) {
	attrs := []slog.Attr{slog.String("route", route), slog.Int("status", status), slog.Int64("ms", took.Milliseconds())}
	if x.a.Known {
		attrs = append(attrs, slog.String("org", string(x.a.Org.ID)), slog.String("connection", string(x.a.Connection)), slog.String("client", string(x.a.Client)))
	}
	level := slog.LevelInfo
	if refused != nil {
		attrs = append(attrs, slog.String("refused", refused.reason))
		if refused.err != nil && status != http.StatusInternalServerError {
			level = slog.LevelWarn
			attrs = append(attrs, slog.String("error", refused.err.Error()))
		}
	}
	x.h.Log.LogAttrs(x.r.Context(), level, "oauth", attrs...)
}
