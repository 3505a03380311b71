package gateway

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// event has the fields in the order in which API Gateway writes them.
type event struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        requestContext    `json:"requestContext"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	Body                  string            `json:"body,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// Event returns the event that a function gets for the request, whose body is
// given apart. It is nil where API Gateway answers 400 itself: for a path that
// cannot be decoded twice.
func Event(r *http.Request, body []byte, o Options) []byte {
	path, ok := decodePath(r.URL.EscapedPath())
	if !ok {
		return nil
	}
	return o.event(r, body, path, "$default", nil)
}

func (o Options) event(r *http.Request, body []byte, path, routeKey string, parameters map[string]string) []byte {
	now := o.now().UTC()
	source := sourceIP(r.RemoteAddr)
	domain := o.Domain
	if domain == "" {
		domain = r.Host
	}
	prefix, _, _ := strings.Cut(domain, ".")
	id, ok := r.Context().Value(requestIDKey{}).(string)
	if !ok {
		id = newRequestID()
	}
	e := event{
		Version: "2.0", RouteKey: routeKey, RawPath: path, RawQueryString: r.URL.RawQuery,
		Cookies: cookies(r.Header), Headers: headers(r, len(body), source, domain),
		QueryStringParameters: query(r.URL.RawQuery), PathParameters: parameters,
		RequestContext: requestContext{
			AccountID: o.account(), APIID: o.api(), DomainName: domain, DomainPrefix: prefix,
			HTTP:      httpContext{Method: r.Method, Path: path, Protocol: r.Proto, SourceIP: source, UserAgent: r.UserAgent()},
			RequestID: id, RouteKey: routeKey, Stage: o.stage(),
			Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
		},
	}
	switch {
	case len(body) == 0:
	case isText(r.Header.Get("Content-Type")):
		e.Body = string(body)
	default:
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	out, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers
	}
	return out
}

// decodePath does to a path what HTTP APIs were seen to do to it: it is decoded,
// cut at a question mark, and decoded once more.
func decodePath(sent string) (string, bool) {
	once, err := url.PathUnescape(sent)
	if err != nil {
		return "", false
	}
	once, _, _ = strings.Cut(once, "?")
	twice, err := url.PathUnescape(once)
	return twice, err == nil
}

// hopByHop headers end at API Gateway.
var hopByHop = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true,
	"transfer-encoding": true, "upgrade": true, "expect": true, "proxy-authorization": true,
}

func headers(r *http.Request, length int, source, domain string) map[string]string {
	h := map[string]string{}
	for name, values := range r.Header {
		if name = strings.ToLower(name); name != "cookie" && !hopByHop[name] {
			h[name] = strings.Join(values, ",")
		}
	}
	h["host"] = domain
	h["content-length"] = strconv.Itoa(length)
	if said := h["x-forwarded-for"]; said != "" {
		source = said + ", " + source
	}
	h["x-forwarded-for"] = source
	h["x-forwarded-port"] = "443"
	h["x-forwarded-proto"] = "https"
	h["x-amzn-trace-id"] = "Root=1-" + hex.EncodeToString(random(4)) + "-" + hex.EncodeToString(random(12))
	return h
}

func cookies(h http.Header) []string {
	var out []string
	for _, line := range h["Cookie"] {
		for c := range strings.SplitSeq(line, ";") {
			if c = strings.TrimSpace(c); c != "" {
				out = append(out, c)
			}
		}
	}
	return out
}

func query(raw string) map[string]string {
	values, _ := url.ParseQuery(raw)
	if len(values) == 0 {
		return nil
	}
	out := make(map[string]string, len(values))
	for name, v := range values {
		out[name] = strings.Join(v, ",")
	}
	return out
}

// isText reports whether a body of the type comes as it is. Forms, SCIM's own
// media type and bodies without a type come as base64.
func isText(contentType string) bool {
	t, p, err := mime.ParseMediaType(contentType)
	if err != nil || p["charset"] != "" && !strings.EqualFold(p["charset"], "utf-8") {
		return false
	}
	switch t {
	case "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(t, "text/")
}

func sourceIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return "127.0.0.1"
	}
	return host
}

func newRequestID() string { return base64.URLEncoding.EncodeToString(random(11)) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o Options) stage() string   { return cmp.Or(o.Stage, "$default") }
func (o Options) account() string { return cmp.Or(o.Account, "123456789012") }
func (o Options) api() string     { return cmp.Or(o.API, "a1b2c3d4e5") }
