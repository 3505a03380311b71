package lambdahttp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxPayload is what Lambda takes as the answer of a synchronous call: 6 MB and
// 100 bytes of encoded JSON. Above it API Gateway would answer 500 in our place.
const maxPayload = 6_291_556

// response is an http.ResponseWriter that keeps what it is given, by net/http's
// rules. A handler that went on after its time may still call it.
type response struct {
	mu       sync.Mutex
	header   http.Header // the handler's, as long as it runs
	sent     http.Header // as it was when the status was written
	status   int         // zero: none yet
	body     bytes.Buffer
	size     int // bytes written, kept or not
	head     bool
	ended    bool  // the handler is done
	closed   bool  // what it still writes comes too late
	panicked error // nil if it returned
}

func newResponse(head bool) *response { return &response{header: http.Header{}, head: head} }

func (w *response) Header() http.Header { return w.header }

// WriteHeader keeps the first status. Informational ones pass by: API Gateway
// cannot send them. It panics for what is no status of an answer, as net/http's
// does; 101 is none here, since there is no connection to upgrade.
func (w *response) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin(status)
}

func (w *response) begin(status int) {
	if w.closed || w.status != 0 || status >= 102 && status <= 199 || status == http.StatusContinue {
		return
	}
	if status < 200 || status > 599 {
		panic(fmt.Sprintf("invalid status %d", status))
	}
	w.status, w.sent = status, w.header.Clone()
}

// Write keeps the bytes as part of the body. It counts and drops those of an
// answer to HEAD, and what is beyond what Lambda carries.
func (w *response) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, http.ErrHandlerTimeout
	}
	w.begin(http.StatusOK)
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.size += len(b)
	switch {
	case w.head:
		// What decides the content type is kept.
		w.body.Write(b[:min(len(b), max(0, 512-w.body.Len()))])
	case w.size <= maxPayload:
		w.body.Write(b)
	}
	return len(b), nil
}

// Flush fixes status and headers, as net/http's does. Nothing is sent before the
// handler returns.
func (w *response) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin(http.StatusOK)
}

// end is told that the handler has returned, or how it failed; false if that is
// too late.
func (w *response) end(failed error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if failed == nil {
		w.begin(http.StatusOK)
	}
	w.ended, w.panicked = true, failed
	return true
}

// close shuts the answer and reports whether the handler had come to its end.
func (w *response) close() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.ended
}

// hasBody is false for answers that have none (RFC 9110 §6.4.1).
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// finish completes the headers as net/http does and drops those that API Gateway
// makes itself.
func (w *response) finish() {
	h := w.sent
	for name := range h {
		if hopByHop[http.CanonicalHeaderKey(name)] || strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
	_, typed := h["Content-Type"]
	coded := h.Get("Content-Encoding") != ""
	if hasBody(w.status) && !typed && !coded && w.size > 0 {
		h.Set("Content-Type", http.DetectContentType(w.body.Bytes()))
	}
	switch {
	case w.status == http.StatusNotModified:
		delete(h, "Content-Type")
		delete(h, "Content-Length")
	case !w.head || w.status == http.StatusNoContent:
		delete(h, "Content-Length")
	case w.size > 0 && h.Get("Content-Length") == "":
		h.Set("Content-Length", strconv.Itoa(w.size))
	}
	if w.head {
		w.body.Reset()
	}
}

// encode returns the answer in payload format 2.0, false if it is too large.
func (w *response) encode() ([]byte, bool) {
	if !w.head && w.size > maxPayload {
		return nil, false
	}
	w.finish()
	body := w.body.Bytes()
	out := make([]byte, 0, len(body)+len(body)/4+1024)
	out = append(out, `{"statusCode":`...)
	out = strconv.AppendInt(out, int64(w.status), 10)
	out = append(out, `,"headers":{`...)
	first := true
	for _, name := range slices.Sorted(maps.Keys(w.sent)) {
		values := w.sent[name]
		if len(values) == 0 || http.CanonicalHeaderKey(name) == "Set-Cookie" || !isToken(name) {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = appendString(out, name)
		out = append(out, ':')
		out = appendString(out, oneLine(strings.Join(values, ", ")))
	}
	out = append(out, '}')
	if cookies := w.sent["Set-Cookie"]; len(cookies) > 0 {
		out = append(out, `,"cookies":[`...)
		for i, c := range cookies {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendString(out, oneLine(c))
		}
		out = append(out, ']')
	}
	out = appendBody(out, body)
	out = append(out, '}')
	w.size = max(w.size, len(out))
	return out, len(out) <= maxPayload
}

// oneLine keeps a header's value from becoming two headers, as net/http does.
func oneLine(s string) string {
	if strings.ContainsAny(s, "\r\n") {
		s = strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
	}
	return textproto.TrimString(s)
}

// appendBody appends the body as text where it is some and that is shorter, and
// as base64 otherwise.
func appendBody(out, body []byte) []byte {
	if len(body) == 0 {
		return append(out, `,"isBase64Encoded":false`...)
	}
	if utf8.Valid(body) && textLen(body) <= base64.StdEncoding.EncodedLen(len(body)) {
		out = append(out, `,"isBase64Encoded":false,"body":`...)
		return appendString(out, body)
	}
	out = append(out, `,"isBase64Encoded":true,"body":"`...)
	out = base64.StdEncoding.AppendEncode(out, body)
	return append(out, '"')
}

// textLen is how many bytes appendString makes of s.
func textLen(s []byte) int {
	n := len(s)
	for _, c := range s {
		switch {
		case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
			n++
		case c < ' ':
			n += 5
		}
	}
	return n
}

// appendString appends s as a JSON string; bytes that are no UTF-8 become U+FFFD.
func appendString[T string | []byte](out []byte, s T) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && n == 1 {
				out = append(append(out, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		out = append(out, s[from:i]...)
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\n':
			out = append(out, `\n`...)
		case '\r':
			out = append(out, `\r`...)
		case '\t':
			out = append(out, `\t`...)
		default:
			out = append(out, `\u00`...)
			out = append(out, hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(out, s[from:]...), '"')
}
