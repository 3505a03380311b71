package lambdahttp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/aws/lambdahttp"
	"gatehouse/internal/fakes/gateway"
	"gatehouse/internal/short"
)

// seen is a request as a handler sees it.
type seen struct {
	Method, Path, URI, Query, Host string
	Header                         map[string]string
	Cookies                        []string
	Body                           string
	Length                         int64
}

// script is what the handler answers.
type script struct {
	status int
	header http.Header
	parts  []string // of the body
	flush  bool     // after the first part
}

// twins are one handler behind net/http, and behind API Gateway and Lambda.
type twins struct {
	t             testing.TB
	plain, lambda *httptest.Server
	saw           chan seen
	answer        script
}

func newTwins(t testing.TB) *twins {
	tw := &twins{t: t, saw: make(chan seen, 4)}
	h := http.HandlerFunc(tw.handle)
	tw.plain = httptest.NewUnstartedServer(h)
	tw.plain.Config.ErrorLog = log.New(io.Discard, "", 0) // of the second WriteHeader
	tw.plain.Start()
	t.Cleanup(tw.plain.Close)
	l := lambdahttp.New(h, slog.New(slog.DiscardHandler))
	tw.lambda = httptest.NewServer(gateway.New([]gateway.Route{{Key: "$default", Function: "f"}},
		func(ctx context.Context, _ string, event []byte) ([]byte, error) { return l.Invoke(ctx, event) }, gateway.Options{}))
	t.Cleanup(tw.lambda.Close)
	return tw
}

func (tw *twins) handle(w http.ResponseWriter, r *http.Request) {
	s := seen{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host, Length: r.ContentLength, Header: map[string]string{}}
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		s.URI = u.Path + "?" + u.RawQuery
	}
	for _, c := range r.Cookies() {
		s.Cookies = append(s.Cookies, c.Name+"="+c.Value)
	}
	for name, v := range r.Header {
		s.Header[name] = strings.Join(v, ",")
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.Body = "error: " + err.Error()
	} else {
		s.Body = string(b)
	}
	tw.saw <- s
	maps.Copy(w.Header(), tw.answer.header.Clone())
	if tw.answer.status != 0 {
		w.WriteHeader(tw.answer.status)
		w.WriteHeader(http.StatusTeapot) // the first counts
		w.Header().Set("X-Late", "not sent")
	}
	for i, p := range tw.answer.parts {
		io.WriteString(w, p)
		if i == 0 && tw.answer.flush {
			w.(http.Flusher).Flush()
		}
	}
}

type got struct {
	Status  int
	Header  map[string]string
	Cookies []string
	Body    string
}

// ask sends the bytes and returns what the handler saw, false if it was not asked,
// and what the client got.
func (tw *twins) ask(s *httptest.Server, raw []byte, method string) (seen, bool, got) {
	tw.t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		tw.t.Fatalf("dial: %v", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(raw); err != nil {
		tw.t.Fatalf("write: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		tw.t.Fatalf("read the answer to %q: %v", raw, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tw.t.Fatalf("read the body of the answer to %q: %v", raw, err)
	}
	g := got{Status: resp.StatusCode, Header: map[string]string{}, Cookies: resp.Header["Set-Cookie"], Body: string(b)}
	for name, v := range resp.Header {
		g.Header[name] = strings.Join(v, ", ")
	}
	select {
	case s := <-tw.saw:
		return s, true, g
	default:
		return seen{}, false, g
	}
}

// inJSON is s after a way through JSON: bytes that are no UTF-8 are replaced.
func inJSON(s string) string { return string([]rune(s)) }

// unlike are headers that API Gateway or the connection make.
var unlike = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
	"Proxy-Authorization", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Amzn-Trace-Id", "Host",
	"Content-Length", "Cookie", "Set-Cookie", "Date", "Apigw-Requestid"}

func comparable(h map[string]string) map[string]string {
	h = maps.Clone(h)
	for name, v := range h {
		h[name] = inJSON(v)
	}
	for _, name := range unlike {
		delete(h, name)
	}
	return h
}

// same asks both twins and compares.
func (tw *twins) same(raw []byte, method string) {
	tw.t.Helper()
	want, asked, wantBack := tw.ask(tw.plain, raw, method)
	have, askedToo, back := tw.ask(tw.lambda, raw, method)
	if !asked {
		if askedToo {
			tw.t.Fatalf("net/http refused %q with %d, and through Lambda the handler saw %+v", raw, wantBack.Status, have)
		}
		return
	}
	sent := strings.ToLower(target(raw))
	lossy := strings.Contains(sent, "%25") || strings.Contains(sent, "%3f")
	if !askedToo {
		if back.Status == http.StatusBadRequest && lossy {
			return // a path that API Gateway cannot decode twice
		}
		tw.t.Fatalf("the handler saw %q through net/http, and through Lambda there was only status %d: %s", raw, back.Status, back.Body)
	}
	want.Header, have.Header = comparable(want.Header), comparable(have.Header)
	want.Query, want.URI, want.Path = inJSON(want.Query), inJSON(want.URI), inJSON(want.Path)
	for i, c := range want.Cookies {
		want.Cookies[i] = inJSON(c)
	}
	if !slices.Contains([]string{"application/scim+json", "", "application/octet-stream"}, want.Header["Content-Type"]) {
		want.Body = inJSON(want.Body)
		want.Length = int64(len(want.Body))
	}
	if p := have.Path + "?" + have.Query; have.URI != p {
		tw.t.Fatalf("for %q RequestURI says %q and URL says %q", raw, have.URI, p)
	}
	if lossy {
		want.Path, want.URI = have.Path, have.URI
	}
	if d := cmp.Diff(want, have); d != "" {
		tw.t.Fatalf("for %q the handler behind net/http (-) and behind Lambda (+) see:\n%s", raw, d)
	}
	if length, said := wantBack.Header["Content-Length"]; said && method == http.MethodHead && back.Header["Content-Length"] != length {
		tw.t.Fatalf("HEAD is told Content-Length %q, want %q", back.Header["Content-Length"], length)
	}
	wantBack.Header, back.Header = comparable(wantBack.Header), comparable(back.Header)
	for i, c := range wantBack.Cookies {
		wantBack.Cookies[i] = inJSON(c)
	}
	if d := cmp.Diff(wantBack, back); d != "" {
		tw.t.Fatalf("for %q and %+v the client of net/http (-) and of Lambda (+) gets:\n%s", raw, tw.answer, d)
	}
}

func target(raw []byte) string {
	line, _, _ := bytes.Cut(raw, []byte("\r\n"))
	_, rest, _ := strings.Cut(string(line), " ")
	path, _, _ := strings.Cut(rest, " ")
	path, _, _ = strings.Cut(path, "?")
	return path
}

// compose writes a request from parts that may hold anything.
func compose(method, target, fields string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n", method, target)
	for line := range strings.Lines(fields) {
		line = strings.TrimRight(line, "\r\n")
		name, _, ok := strings.Cut(line, ":")
		if !ok || slices.ContainsFunc(unlike, func(n string) bool { return strings.EqualFold(n, name) && n != "Cookie" && n != "X-Forwarded-For" }) {
			continue
		}
		b.WriteString(line + "\r\n")
	}
	if len(body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// parse tells whether net/http takes the request, as one and not two.
func parse(raw []byte) (*http.Request, bool) {
	in := bufio.NewReader(bytes.NewReader(raw))
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return r, err == nil && in.Buffered() == 0 && r.Method != "CONNECT" && r.Method != "PRI" && r.URL.Host == ""
}

func FuzzSame(f *testing.F) {
	f.Add("GET", "/scim/v2/Users?filter=userName%20eq%20%22a%22&count=1", "Authorization: Bearer x\nAccept: application/scim+json", []byte(nil), 200, "application/scim+json", []byte(`{"a":"\"é"}`), uint8(0))
	f.Add("POST", "/o/example/sign-in", "Cookie: a=b; c=d\nCookie: e=f\nContent-Type: application/x-www-form-urlencoded", []byte("name=a+b&password=%25"), 303, "", []byte(nil), uint8(1))
	f.Add("HEAD", "/a%2Fb/%C3%A9/..//x", "X-A: 1\nx-a: 2\nX-Forwarded-For: 203.0.113.9", []byte(nil), 200, "", []byte("<html>"), uint8(2))
	f.Add("PATCH", "/a%00b/%ff?x=%ff;y", "Content-Type: text/plain", []byte("\xff\x00"), 404, "image/png", []byte("\x89PNG\xff"), uint8(3))
	f.Add("DELETE", "/", "If-Match: W/\"1\"", []byte(nil), 204, "", []byte("ignored"), uint8(0))
	f.Add("GET", "/", "If-None-Match: *", []byte(nil), 304, "text/html", []byte("ignored"), uint8(0))
	tw := newTwins(f)
	f.Fuzz(func(t *testing.T, method, target, fields string, body []byte, status int, contentType string, answer []byte, flags uint8) {
		tw.t = t
		tw.answer = answering(status, contentType, answer, flags)
		raw := compose(method, target, fields, body)
		if _, ok := parse(raw); !ok || len(raw) > 9000 {
			return
		}
		tw.same(raw, method)
	})
}

func answering(status int, contentType string, body []byte, flags uint8) script {
	s := script{status: 200 + (status%400+400)%400, header: http.Header{"X-Multi": {"one", "two, three"}}, flush: flags&4 != 0}
	if flags&8 != 0 {
		s.status = 0
	}
	if contentType != "" && !strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		s.header.Set("Content-Type", contentType)
	}
	if flags&1 != 0 {
		s.header["Set-Cookie"] = []string{"a=b; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "c=d"}
	}
	if flags&2 != 0 {
		s.header["X-Odd"] = []string{"a\r\nSet-Cookie: smuggled=1", "é"}
	}
	if s.flush { // what net/http sniffs then is the part before
		s.parts = []string{string(body)}
	} else {
		half := len(body) / 2
		s.parts = []string{string(body[:half]), string(body[half:])}
	}
	return s
}

// TestSame asks what clients might, in many thousand forms.
func TestSame(t *testing.T) {
	tw := newTwins(t)
	rng := rand.New(rand.NewPCG(20261122, 4))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	word := func() string {
		return pick("a", "Users", ".", "..", "", "%2F", "%2e%2e", "%00", "%C3%A9", "%ff", "é", "+", "%20", "%23", "%3F", "%25", "%2541", ";x=1", ":", "@", "*", "'", "\"", "<", "|", "^", "~", "scim", "v2", "%5C", "\\", "$default", "urn:ietf:params:scim")
	}
	asked, rounds := 0, short.Size(4000, 1000)
	for i := range rounds {
		target := "/"
		for range rng.IntN(4) {
			target += pick("/", "", "//") + word()
		}
		if rng.IntN(2) == 0 {
			target += "?"
			for range rng.IntN(4) {
				target += pick("filter=", "count=1", "a", "=", "") + word() + pick("&", ",", ";", "&&", "#", "?", "+", "%", "%zz", "é", "\xff")
			}
		}
		fields := ""
		for range rng.IntN(5) {
			fields += pick("Accept", "accept", "X-A", "x-a", "Authorization", "If-Match", "Accept-Language", "X-Forwarded-For", "X-Amzn-Trace-Id", "Forwarded", "X_Y", "!odd") + ": " +
				pick("", "a", " padded ", "a,b", "W/\"1\", \"2\"", "é", "\xe9", "\t", "Bearer x.y-z_~+/=", "203.0.113.9") + "\n"
		}
		for range rng.IntN(3) {
			fields += "Cookie: " + pick("a=b", "a=b; c=d", "a=b;c=d", "__Host-x=y=z", "", ";", "a", "a=\"q\"", "x=é") + "\n"
		}
		var body []byte
		if rng.IntN(2) == 0 {
			fields += pick("", "Content-Type: application/scim+json\n", "Content-Type: application/json\n", "Content-Type: text/plain\n", "Content-Type: application/octet-stream\n")
			body = []byte(pick("", "{}", "a=b&c=%25", "\xff\x00\x01", "é\u2028\"\\\n", strings.Repeat("x", 70_000)))
		}
		method := pick("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "M-SEARCH")
		tw.answer = answering(pickStatus(rng), pick("", "text/html", "application/scim+json", "image/png"),
			[]byte(pick("", "plain", "<!doctype html>", "{\"a\":\"\\\"\"}", "\x00\x01\xff", "é\u2028\x00\n\t\"", "a longer text with one \x00 and one \x1f in it", strings.Repeat("\"", 3000))), uint8(rng.IntN(16)))
		raw := compose(method, target, fields, body)
		if _, ok := parse(raw); !ok {
			continue
		}
		asked++
		tw.same(raw, method)
		if t.Failed() {
			t.Fatalf("round %d", i)
		}
	}
	if asked < rounds/2 {
		t.Fatalf("only %d of %d requests were such that net/http takes them", asked, rounds)
	}
}

func pickStatus(rng *rand.Rand) int {
	return []int{0, 1, 4, 104, 103, 201, 204, 300}[rng.IntN(8)]
}
