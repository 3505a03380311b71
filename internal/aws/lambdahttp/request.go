package lambdahttp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// event is what of an event we read. The query is taken from RawQueryString: in
// queryStringParameters a value with a comma and two values look alike.
type event struct {
	Version         string            `json:"version"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	RequestContext  struct {
		Stage      string `json:"stage"`
		DomainName string `json:"domainName"`
		HTTP       struct {
			Method   string `json:"method"`
			Protocol string `json:"protocol"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
}

// errBadRequest is a request that net/http would have answered with 400 before
// any handler saw it.
var errBadRequest = errors.New("a malformed request")

// Errors about events hold nothing of them: Lambda keeps them in logs.
var (
	errNotJSON = errors.New("the event is not JSON in the form of an HTTP API's, payload format 2.0")
	errMethod  = errors.New("the event has no requestContext.http.method: it is none of an HTTP API")
	errBase64  = errors.New("the event's body is not base64, though it says so")
)

// newRequest builds the request that the event tells of.
func newRequest(payload []byte) (*http.Request, error) {
	var e event
	if json.Unmarshal(payload, &e) != nil {
		return nil, errNotJSON
	}
	switch {
	case e.Version == "1.0":
		return nil, errors.New("the event has payload format 1.0: the integration must ask for 2.0")
	case e.Version != "2.0":
		return nil, errors.New("the event has no version, or not 2.0: it is none of an HTTP API")
	case e.RequestContext.HTTP.Method == "":
		return nil, errMethod
	}
	u, err := target(&e)
	if err != nil {
		return nil, err
	}
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	header, err := e.header(len(body))
	if err != nil {
		return nil, err
	}
	method := e.RequestContext.HTTP.Method
	if !isToken(method) {
		return nil, errBadRequest
	}
	r := &http.Request{
		Method: method, URL: u, RequestURI: requestURI(u), Header: header,
		Host: e.RequestContext.DomainName, RemoteAddr: remote(e.RequestContext.HTTP.SourceIP),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(body)), Body: http.NoBody,
	}
	if p := e.RequestContext.HTTP.Protocol; p != "" {
		if major, minor, ok := http.ParseHTTPVersion(p); ok {
			r.Proto, r.ProtoMajor, r.ProtoMinor = p, major, minor
		}
	}
	if len(body) > 0 {
		r.Body = &reader{bytes.NewReader(body)}
	}
	return r, nil
}

type reader struct{ *bytes.Reader }

func (*reader) Close() error { return nil }

// target parses the path and query as net/http parses a request's first line, so
// that whoever parses RequestURI again finds what URL says. The path comes
// decoded and is encoded before: a "?", "#" or "%" in it is part of it.
func target(e *event) (*url.URL, error) {
	path := e.RawPath
	if s := e.RequestContext.Stage; s != "" && s != "$default" {
		// The stage is the first segment of the address that API Gateway gives out;
		// behind a domain name of one's own it is not there.
		if rest, ok := strings.CutPrefix(path, "/"+s); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	if path == "" {
		path = "/"
	}
	if path[0] != '/' && path != "*" || strings.Contains(e.RawQueryString, " ") {
		return nil, errBadRequest
	}
	u, err := url.ParseRequestURI(line(path, e.RawQueryString))
	if err != nil || u.Path != path {
		return nil, errBadRequest
	}
	return u, nil
}

func line(path, query string) string {
	s := (&url.URL{Path: path}).EscapedPath()
	if query != "" {
		s += "?" + query
	}
	return s
}

func requestURI(u *url.URL) string { return line(u.Path, u.RawQuery) }

func (e *event) body() ([]byte, error) {
	if !e.IsBase64Encoded {
		return []byte(e.Body), nil
	}
	b, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}

// hopByHop are headers of one connection (RFC 9110 §7.6.1): neither the client's
// with API Gateway is ours, nor the other way round.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// header returns the headers as net/http has them: canonical names, without Host,
// and with the cookies back in one line. Content-Length, if there is one, is the
// body's that we have.
func (e *event) header(length int) (http.Header, error) {
	h := make(http.Header, len(e.Headers)+1)
	for name, value := range e.Headers {
		value = textproto.TrimString(value)
		if !isToken(name) || !isFieldValue(value) {
			return nil, errBadRequest
		}
		name = http.CanonicalHeaderKey(name)
		if hopByHop[name] || name == "Host" {
			continue
		}
		// Two spellings of one name would be in an order that nobody chose.
		if _, twice := h[name]; twice {
			return nil, errBadRequest
		}
		h[name] = []string{value}
	}
	if len(e.Cookies) > 0 {
		line := textproto.TrimString(strings.Join(e.Cookies, "; "))
		if !isFieldValue(line) {
			return nil, errBadRequest
		}
		h["Cookie"] = []string{line}
	}
	if _, said := h["Content-Length"]; said {
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
	return h, nil
}

// remote is the client's address in RemoteAddr's form. API Gateway saw it itself;
// what X-Forwarded-For says of others is anybody's word.
func remote(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(a.String(), "0")
}

// isToken reports whether s can be a method or a header's name (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s can be a header's value (RFC 9110 §5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
