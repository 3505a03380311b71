package scimhttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// send answers with a body of SCIM's media type, or plain JSON where that is
// what the client asks for (OneLogin). To HEAD net/http sends the header alone.
func (c *call) send(status int, body []byte) error {
	ct := "application/scim+json"
	if a := c.r.Header.Get("Accept"); c.mode != schema.Interop && strings.Contains(a, "application/json") && !strings.Contains(a, "scim+json") {
		ct = "application/json"
	}
	head := c.w.Header()
	head.Set("Content-Type", ct)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	c.status = status
	c.w.WriteHeader(status)
	c.w.Write(body) // who is gone will not miss it
	return nil
}

// sendNothing answers without a body.
func (c *call) sendNothing(status int) {
	c.status = status
	c.w.WriteHeader(status)
}

// sendResource answers with a rendered resource. Content-Location tells whose
// representation it is, as RFC 7643 §3.1 wants it of meta.location.
func (c *call) sendResource(status int, location, tag string, body []byte) error {
	head := c.w.Header()
	head.Set("ETag", etag(tag))
	head.Set("Content-Location", location)
	if status == http.StatusCreated {
		head.Set("Location", location)
	}
	return c.send(status, body)
}

var errNotFound = fault.New(fault.NotFound, "", "There is nothing at this address.")

// errMediaType and errCoding are a 415 (RFC 9110 §15.5.16).
var (
	errMediaType = errors.New("unsupported media type")
	errCoding    = errors.New("unsupported content coding")
)

// methodError is a 405 with what would be allowed.
type methodError struct{ allow string }

func (e *methodError) Error() string { return "method not allowed" }

// unsupportedError is a 501 (RFC 7644 §3.11).
type unsupportedError struct{ msg string }

func (e *unsupportedError) Error() string { return e.msg }

// errorURN is the schema of an error (RFC 7644 §3.12).
const errorURN = "urn:ietf:params:scim:api:messages:2.0:Error"

// fail renders an error. What is not a fault of the client's is a fixed sentence
// with a reference that the log knows.
func (c *call) fail(err error) {
	f := explain(err)
	status, scimType, detail := statusOf(f), "", f.Msg
	if status == http.StatusBadRequest || status == http.StatusConflict {
		scimType = f.Code
	}
	head := c.w.Header()
	var method *methodError
	var unsupported *unsupportedError
	switch {
	case errors.As(err, &method):
		head.Set("Allow", method.allow)
		status, detail = http.StatusMethodNotAllowed, "The method is not allowed here; allowed are "+method.allow+"."
	case errors.Is(err, errMediaType):
		status, detail = http.StatusUnsupportedMediaType, "The body has to be application/scim+json or application/json, in UTF-8."
	case errors.Is(err, errCoding):
		status, detail = http.StatusUnsupportedMediaType, "The body has to come as it is: no Content-Encoding is taken, such as gzip."
	case errors.Is(err, errSlow):
		status = http.StatusRequestTimeout
	case errors.Is(err, errLarge): // what clients send, and nothing to mend
		c.h.Log.Warn("scim has no room for a large body")
	case errors.As(err, &unsupported):
		status, detail = http.StatusNotImplemented, unsupported.msg
	case status >= http.StatusInternalServerError:
		ref := identity.Random(10)
		detail += " Reference: " + ref + "."
		c.h.Log.Error("scim failed", "reference", ref, "kind", f.Kind.String(), "error", cause(f))
	}
	if status == http.StatusUnauthorized {
		head.Set("WWW-Authenticate", `Bearer realm="gatehouse"`)
	}
	if f.Retry > 0 {
		head.Set("Retry-After", retryAfter(f.Retry))
	}
	if c.status != 0 {
		return // the answer has begun
	}
	c.send(status, errorBody(status, scimType, detail))
}

func errorBody(status int, scimType, detail string) []byte {
	e := value.Obj(value.M("schemas", value.Strs(errorURN)), value.M("status", value.Str(strconv.Itoa(status))))
	if scimType != "" {
		e.Set("scimType", value.Str(scimType))
	}
	e.Set("detail", value.Str(detail))
	return e.Append(nil)
}

// Refusal is an error in the form that SCIM clients read (RFC 7644 §3.12), for
// what a home has to answer by itself.
func Refusal(status int, message string) (contentType string, body []byte) {
	return "application/scim+json", errorBody(status, "", message)
}

// explain finds the fault in an error and gives a public sentence to those that
// have none.
func explain(err error) *fault.Error {
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Kind != fault.Internal:
		return f
	case errors.Is(err, table.ErrFull):
		return &fault.Error{Kind: fault.Unavailable, Code: fault.Full, Err: err,
			Msg: "There is no room left to store this. Nothing was changed; reading still works."}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &fault.Error{Kind: fault.Unavailable, Err: err, Retry: time.Second,
			Msg: "The request was cut off before it was done. Try again."}
	}
	return &fault.Error{Kind: fault.Internal, Err: err, Msg: "Something went wrong on our side; nothing is known to be changed."}
}

// cause is what the log may know: our own errors hold ids and keys, no people.
func cause(f *fault.Error) string {
	if f.Err != nil {
		return f.Err.Error()
	}
	return f.Msg
}

func statusOf(f *fault.Error) int {
	switch f.Kind {
	case fault.Invalid:
		if f.Code == fault.TooLarge {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		if f.Code == fault.Stale {
			return http.StatusPreconditionFailed
		}
		return http.StatusConflict
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		if f.Code == fault.Full {
			return http.StatusInsufficientStorage
		}
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// retryAfter is whole seconds: an HTTP date makes Okta wait five minutes.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}
