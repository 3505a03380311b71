package lambdahttp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/events"
	"gatehouse/internal/aws/lambdahttp"
	"gatehouse/internal/fakes/gateway"
)

var _ lambda.Handler = (*lambdahttp.Handler)(nil)

// answer is what API Gateway reads.
type answer struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// text is the body that a client would get.
func (a answer) text(t *testing.T) string {
	t.Helper()
	if !a.IsBase64Encoded {
		return a.Body
	}
	b, err := base64.StdEncoding.DecodeString(a.Body)
	if err != nil {
		t.Fatalf("the body %q is not base64: %v", a.Body, err)
	}
	return string(b)
}

// change edits an event of a plain GET.
func change(edit func(e map[string]any)) []byte {
	r := httptest.NewRequest(http.MethodGet, "https://gate.example/scim/v2/Users?count=1", nil)
	r.RemoteAddr = "198.51.100.7:1234"
	b := gateway.Event(r, nil, gateway.Options{})
	if edit == nil {
		return b
	}
	var e map[string]any
	if err := json.Unmarshal(b, &e); err != nil {
		panic(err)
	}
	edit(e)
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return b
}

func of(e map[string]any, path ...string) map[string]any {
	for _, p := range path {
		e = e[p].(map[string]any)
	}
	return e
}

// buffer is a log that a handler may write to after its time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// invoke asks a handler; the log's text is the second result.
func invoke(t *testing.T, ctx context.Context, event []byte, next http.HandlerFunc) (answer, string) {
	t.Helper()
	var log buffer
	out, err := lambdahttp.New(next, slog.New(slog.NewJSONHandler(&log, nil))).Invoke(ctx, event)
	if err != nil {
		t.Fatalf("Invoke: %v", err)
	}
	var a answer
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		t.Fatalf("the answer %q: %v", out, err)
	}
	return a, log.String()
}

func TestRequest(t *testing.T) {
	type want struct{ path, uri, remote, host, header string }
	tests := []struct {
		name string
		edit func(e map[string]any)
		want want
	}{
		{"plain", func(map[string]any) {}, want{"/scim/v2/Users", "/scim/v2/Users?count=1", "198.51.100.7:0", "gate.example", ""}},
		{"a decoded question mark is none", func(e map[string]any) { e["rawPath"] = "/a?b=c" }, want{path: "/a?b=c", uri: "/a%3Fb=c?count=1"}},
		{"a decoded hash is none", func(e map[string]any) { e["rawPath"] = "/a#b" }, want{path: "/a#b", uri: "/a%23b?count=1"}},
		{"a percent sign is not decoded again", func(e map[string]any) { e["rawPath"] = "/a%2Fb" }, want{path: "/a%2Fb", uri: "/a%252Fb?count=1"}},
		{"two slashes are a path, not a host", func(e map[string]any) { e["rawPath"] = "//evil.example/a" }, want{path: "//evil.example/a", uri: "//evil.example/a?count=1"}},
		{"dots stay", func(e map[string]any) { e["rawPath"] = "/scim/v2/../../o" }, want{path: "/scim/v2/../../o", uri: "/scim/v2/../../o?count=1"}},
		{"no path", func(e map[string]any) { e["rawPath"] = "" }, want{path: "/", uri: "/?count=1"}},
		{"stage", func(e map[string]any) { e["rawPath"] = "/live/x"; of(e, "requestContext")["stage"] = "live" }, want{path: "/x", uri: "/x?count=1"}},
		{"stage alone", func(e map[string]any) { e["rawPath"] = "/live"; of(e, "requestContext")["stage"] = "live" }, want{path: "/"}},
		{"stage as the beginning of a word", func(e map[string]any) { e["rawPath"] = "/lively"; of(e, "requestContext")["stage"] = "live" }, want{path: "/lively"}},
		{"IPv6", func(e map[string]any) { of(e, "requestContext", "http")["sourceIp"] = "2001:db8::1" }, want{remote: "[2001:db8::1]:0"}},
		{"no address", func(e map[string]any) { of(e, "requestContext", "http")["sourceIp"] = "test-invoke-source-ip" }, want{remote: " "}},
		{"X-Forwarded-For is not believed", func(e map[string]any) { of(e, "headers")["x-forwarded-for"] = "203.0.113.66" }, want{remote: "198.51.100.7:0"}},
		{"Host is the API's", func(e map[string]any) { of(e, "headers")["host"] = "evil.example" }, want{host: "gate.example", header: "Host="}},
		{"cookies", func(e map[string]any) { e["cookies"] = []string{"a=b", "c=d"} }, want{header: "Cookie=a=b; c=d"}},
		{"cookies, in two places", func(e map[string]any) { e["cookies"] = []string{"a=b"}; of(e, "headers")["cookie"] = "a=b" }, want{header: "Cookie=a=b"}},
		{"hop by hop", func(e map[string]any) { of(e, "headers")["transfer-encoding"] = "chunked" }, want{header: "Transfer-Encoding="}},
		{"padding", func(e map[string]any) { of(e, "headers")["x-a"] = " b\t" }, want{header: "X-A=b"}},
		{"length", func(e map[string]any) { of(e, "headers")["content-length"] = "77" }, want{header: "Content-Length=0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := false
			invoke(t, t.Context(), change(tt.edit), func(_ http.ResponseWriter, r *http.Request) {
				asked = true
				check := func(what, have, want string) {
					if want != "" && have != strings.TrimSpace(want) {
						t.Errorf("%s = %q, want %q", what, have, want)
					}
				}
				check("URL.Path", r.URL.Path, tt.want.path)
				check("URL.RawPath", r.URL.RawPath, " ")
				check("RequestURI", r.RequestURI, tt.want.uri)
				check("RemoteAddr", r.RemoteAddr, tt.want.remote)
				check("Host", r.Host, tt.want.host)
				if name, value, ok := strings.Cut(tt.want.header, "="); ok {
					if have := strings.Join(r.Header.Values(name), "|"); have != value {
						t.Errorf("header %s = %q, want %q", name, have, value)
					}
				}
				if len(r.TransferEncoding) > 0 || r.Body == nil {
					t.Errorf("TransferEncoding = %q, Body = %v", r.TransferEncoding, r.Body)
				}
			})
			if !asked {
				t.Error("the handler was not asked")
			}
		})
	}
}

// Paths as live HTTP APIs were seen to hand them on, by what the client sent.
func TestPathsOfAPIGateway(t *testing.T) {
	for sent, want := range map[string]string{
		"/plain":                        "/plain",
		"/space%20value":                "/space value",
		"/question%3Fvalue":             "/question",
		"/percent%25done":               "",
		"/hash%23value":                 "/hash#value",
		"/slash%2Fvalue":                "/slash/value",
		"/unicode-%CE%BB-%E4%B8%96":     "/unicode-λ-世",
		"/literal%252Fvalue":            "/literal/value",
		"/literal%253Fvalue":            "/literal?value",
		"/literal%2525value":            "/literal%value",
		"/dots/%2e%2e/%252e%252e/x+y;z": "/dots/../../x+y;z",
	} {
		event := gateway.Event(httptest.NewRequest(http.MethodGet, sent+"?q=a%3Fb%25", nil), nil, gateway.Options{})
		if event == nil {
			if want != "" {
				t.Errorf("API Gateway refuses %q, want %q", sent, want)
			}
			continue
		}
		invoke(t, t.Context(), event, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path != want || r.URL.Query().Get("q") != "a?b%" {
				t.Errorf("for %q the handler sees %q and %q, want %q and %q", sent, r.URL.Path, r.URL.RawQuery, want, "q=a%3Fb%25")
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	for name, edit := range map[string]func(e map[string]any){
		"path without a slash":          func(e map[string]any) { e["rawPath"] = "https://evil.example/" },
		"space in the query":            func(e map[string]any) { e["rawQueryString"] = "a b" },
		"line break in the query":       func(e map[string]any) { e["rawQueryString"] = "a\r\nb" },
		"method that is none":           func(e map[string]any) { of(e, "requestContext", "http")["method"] = "GET /" },
		"line break in a header":        func(e map[string]any) { of(e, "headers")["x-a"] = "a\r\nX-B: c" },
		"NUL in a header":               func(e map[string]any) { of(e, "headers")["x-a"] = "a\x00b" },
		"header without a name":         func(e map[string]any) { of(e, "headers")[""] = "a" },
		"space in a header's name":      func(e map[string]any) { of(e, "headers")["x a"] = "a" },
		"one header in two spellings":   func(e map[string]any) { of(e, "headers")["X-A"] = "a"; of(e, "headers")["x-a"] = "b" },
		"line break in a cookie":        func(e map[string]any) { e["cookies"] = []string{"a=b\nc"} },
		"colon in the name of a header": func(e map[string]any) { of(e, "headers")["host:"] = "a" },
	} {
		a, _ := invoke(t, t.Context(), change(edit), func(http.ResponseWriter, *http.Request) { t.Errorf("%s: the handler was asked", name) })
		if a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", name, a.StatusCode)
		}
	}
}

func TestForeignEvents(t *testing.T) {
	secret := "canary@example.com"
	for name, event := range map[string][]byte{
		"nothing":                nil,
		"no JSON":                []byte(`{"version":"2.0","body":` + secret),
		"a string":               []byte(`"` + secret + `"`),
		"wrong types":            []byte(`{"version":"2.0","headers":"` + secret + `"}`),
		"format 1.0":             change(func(e map[string]any) { e["version"] = "1.0" }),
		"no version":             change(func(e map[string]any) { delete(e, "version") }),
		"a schedule":             []byte(`{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`),
		"no method":              change(func(e map[string]any) { delete(of(e, "requestContext"), "http") }),
		"a body that is no code": change(func(e map[string]any) { e["body"] = secret; e["isBase64Encoded"] = true }),
	} {
		h := lambdahttp.New(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		out, err := h.Invoke(t.Context(), event)
		if err == nil {
			t.Errorf("%s: answered %q, want an error", name, out)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error %q tells of the event", name, err)
		}
		if name == "format 1.0" && !strings.Contains(fmt.Sprint(err), "payload format 1.0") {
			t.Errorf("%s: the error %q does not say so", name, err)
		}
	}
}

func TestAnswer(t *testing.T) {
	invalid := "\xff\xfe"
	tests := []struct {
		name string
		do   func(w http.ResponseWriter)
		want answer
	}{
		{"nothing", func(http.ResponseWriter) {}, answer{StatusCode: 200, Headers: map[string]string{}}},
		{"text", func(w http.ResponseWriter) {
			io.WriteString(w, "a\"\\\n\x01é\u2028, and no more than a few such marks")
		},
			answer{StatusCode: 200, Headers: map[string]string{"Content-Type": "application/octet-stream"}, Body: "a\"\\\n\x01é\u2028, and no more than a few such marks"}},
		{"bytes", func(w http.ResponseWriter) { io.WriteString(w, invalid) },
			answer{StatusCode: 200, Headers: map[string]string{"Content-Type": "text/plain; charset=utf-8"}, Body: "//4=", IsBase64Encoded: true}},
		{"much to escape", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "x/y")
			io.WriteString(w, `"""""""""`)
		}, answer{StatusCode: 200, Headers: map[string]string{"Content-Type": "x/y"}, Body: "IiIiIiIiIiIi", IsBase64Encoded: true}},
		{"compressed", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8b")
		}, answer{StatusCode: 200, Headers: map[string]string{"Content-Encoding": "gzip"}, Body: "H4s=", IsBase64Encoded: true}},
		{"304", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("ETag", `W/"1"`)
			w.WriteHeader(304)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("Write after 304 gives %v, want ErrBodyNotAllowed", err)
			}
		}, answer{StatusCode: 304, Headers: map[string]string{"Etag": `W/"1"`}}},
		{"informational", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(100); w.WriteHeader(201) }, answer{StatusCode: 201, Headers: map[string]string{}}},
		{"one connection's", func(w http.ResponseWriter) {
			for _, n := range []string{"Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Trailer", http.TrailerPrefix + "X", "Content-Length", "bad name"} {
				w.Header()[n] = []string{"1"}
			}
			w.WriteHeader(201)
		}, answer{StatusCode: 201, Headers: map[string]string{}}},
		{"cookies", func(w http.ResponseWriter) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			http.SetCookie(w, &http.Cookie{Name: "c", Value: "d"})
			w.WriteHeader(303)
		}, answer{StatusCode: 303, Headers: map[string]string{}, Cookies: []string{"a=b", "c=d"}}},
		{"lines", func(w http.ResponseWriter) {
			w.Header()["X-A"] = []string{"b\r\nSet-Cookie: x=y", "c"}
			w.WriteHeader(200)
		},
			answer{StatusCode: 200, Headers: map[string]string{"X-A": "b  Set-Cookie: x=y, c"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := invoke(t, t.Context(), change(nil), func(w http.ResponseWriter, _ *http.Request) { tt.do(w) })
			if !reflect.DeepEqual(a, tt.want) {
				t.Errorf("the answer is %+v, want %+v", a, tt.want)
			}
		})
	}
}

func TestHead(t *testing.T) {
	event := change(func(e map[string]any) { of(e, "requestContext", "http")["method"] = "HEAD" })
	a, _ := invoke(t, t.Context(), event, func(w http.ResponseWriter, _ *http.Request) {
		for range 9000 {
			if n, err := io.WriteString(w, "<html>"+strings.Repeat("x", 994)); n != 1000 || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
	})
	want := answer{StatusCode: 200, Headers: map[string]string{"Content-Type": "text/html; charset=utf-8", "Content-Length": "9000000"}}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("the answer to HEAD is %+v, want %+v", a, want)
	}
}

// 6,291,556 bytes of encoded answer go through, one more does not.
func TestTooLarge(t *testing.T) {
	const limit = 6_291_556
	write := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/scim+json")
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			w.Write(b)
		}
	}
	size := func(n int, fill byte) int {
		h := lambdahttp.New(write(bytes.Repeat([]byte{fill}, n)), slog.New(slog.DiscardHandler))
		out, err := h.Invoke(t.Context(), change(nil))
		if err != nil {
			t.Fatalf("Invoke: %v", err)
		}
		return len(out)
	}
	overhead := size(1, 'x') - 1
	if n := size(limit-overhead, 'x'); n != limit {
		t.Fatalf("the largest answer has %d bytes, want %d", n, limit)
	}
	for what, body := range map[string][]byte{
		"one byte more": bytes.Repeat([]byte{'x'}, limit-overhead+1),
		"base64":        bytes.Repeat([]byte{0xff}, 4_800_000),
		"quotes":        bytes.Repeat([]byte{'"'}, 4_800_000),
		"far more":      bytes.Repeat([]byte{'x'}, 20_000_000),
	} {
		a, log := invoke(t, t.Context(), change(nil), write(body))
		if a.StatusCode != 500 || len(a.Cookies) > 0 || !strings.Contains(a.Body, "larger than can be sent") || a.Headers["Cache-Control"] != "no-store" {
			t.Errorf("%s: the answer is %d %.80q, want 500 and why", what, a.StatusCode, a.Body)
		}
		if !strings.Contains(log, "larger than Lambda carries") {
			t.Errorf("%s: the log says %q", what, log)
		}
	}
	if n := size(4_600_000, '"'); n > limit {
		t.Errorf("4.6 MB of quotes become %d bytes, want base64", n)
	}
}

func TestRefuseInTheHandlersForm(t *testing.T) {
	h := lambdahttp.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") }), slog.New(slog.DiscardHandler))
	h.Refuse = func(status int, message string) (string, []byte) {
		return "application/scim+json", fmt.Appendf(nil, `{"status":"%d","detail":%q}`, status, message)
	}
	out, err := h.Invoke(t.Context(), change(nil))
	var a answer
	if err != nil || json.Unmarshal(out, &a) != nil || a.Headers["Content-Type"] != "application/scim+json" || !strings.Contains(a.text(t), `"status":"500"`) {
		t.Errorf("Invoke = %q, %v", out, err)
	}
}

func TestPanics(t *testing.T) {
	const canary = "canary-person"
	for name, fall := range map[string]func(){
		"a text":         func() { panic(canary) },
		"an error":       func() { panic(errors.New(canary)) },
		"abort":          func() { panic(http.ErrAbortHandler) },
		"nil":            func() { panic(nil) },
		"a runtime's":    func() { _ = []string{canary}[len(canary)%7+1] },
		"Goexit":         func() { runtime.Goexit() },
		"no such status": nil,
		"101":            nil,
	} {
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
		a, log := invoke(t, ctx, change(nil), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Half", "done")
			switch name {
			case "no such status":
				w.WriteHeader(999)
			case "101":
				w.WriteHeader(101)
			}
			io.WriteString(w, "half an answer")
			fall()
		})
		ref := ""
		if i := strings.LastIndex(a.Body, " "); i >= 0 {
			ref = strings.TrimRight(a.Body[i+1:], ".\n")
		}
		if a.StatusCode != 500 || len(ref) != 10 || a.Headers["X-Half"] != "" || strings.Contains(a.Body, "half") {
			t.Errorf("%s: the answer is %+v, want 500 and a reference", name, a)
		}
		if strings.Contains(log, canary) {
			t.Errorf("%s: the log tells what was panicked with: %s", name, log)
		}
		for _, want := range []string{ref, "request-1", "handler_test.go"} {
			if !strings.Contains(log, want) {
				t.Errorf("%s: the log does not name %q: %s", name, want, log)
			}
		}
	}
}

func TestDeadline(t *testing.T) {
	tests := []struct {
		name string
		do   func(w http.ResponseWriter, r *http.Request)
		took time.Duration
		want int
	}{
		{"in time", func(w http.ResponseWriter, r *http.Request) { time.Sleep(9 * time.Second); w.WriteHeader(201) }, 9 * time.Second, 201},
		{"heeds its context", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); w.WriteHeader(504) }, 9500 * time.Millisecond, 504},
		{"overruns", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			time.Sleep(12 * time.Second)
			if _, err := io.WriteString(w, "late"); !errors.Is(err, http.ErrHandlerTimeout) {
				t.Errorf("Write after the end gives %v, want ErrHandlerTimeout", err)
			}
			w.WriteHeader(200)
			panic("late")
		}, 9750 * time.Millisecond, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				a, log := invoke(t, ctx, change(nil), tt.do)
				if took := time.Since(start); took != tt.took || a.StatusCode != tt.want {
					t.Errorf("answered %d after %v, want %d after %v", a.StatusCode, took, tt.want, tt.took)
				}
				if tt.want == 503 && (a.Headers["Retry-After"] != "5" || strings.Contains(a.Body, "half") || !strings.Contains(log, "in time")) {
					t.Errorf("the overrun is answered with %+v and logged as %q", a, log)
				}
				time.Sleep(time.Minute)
			})
		})
	}
	t.Run("over before it began", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		a, _ := invoke(t, ctx, change(nil), func(_ http.ResponseWriter, r *http.Request) { <-make(chan int) })
		if a.StatusCode != 503 {
			t.Errorf("status %d, want 503", a.StatusCode)
		}
	})
}

// A body of any size is read whole, and MaxBytesReader bounds it as ever.
func TestBody(t *testing.T) {
	for _, b64 := range []bool{true, false} {
		event := change(func(e map[string]any) {
			e["body"], e["isBase64Encoded"] = "hello", b64
			if b64 {
				e["body"] = base64.StdEncoding.EncodeToString([]byte("hello"))
			}
		})
		invoke(t, t.Context(), event, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 5))
			if string(b) != "hello" || err != nil || r.ContentLength != 5 {
				t.Errorf("the body is %q, %v, %d bytes; want hello", b, err, r.ContentLength)
			}
		})
		invoke(t, t.Context(), event, func(w http.ResponseWriter, r *http.Request) {
			var large *http.MaxBytesError
			if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4)); !errors.As(err, &large) {
				t.Errorf("reading beyond the bound gives %v, want MaxBytesError", err)
			}
		})
	}
}

// FuzzEvent holds that no event is more than an error, that what a handler is
// asked can be written as HTTP/1.1 and read again as the same, and that the answer
// is JSON.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"version":"2.0","rawPath":"//a b/%2f/../é?#","rawQueryString":"a=%zz&b","headers":{"X-A":"b","host":"x"},"cookies":["a=b"],"requestContext":{"stage":"live","domainName":"gate.example","http":{"method":"GET","sourceIp":"::1","protocol":"HTTP/2.0"}},"body":"aGk=","isBase64Encoded":true}`))
	samples, err := fs.Glob(events.Samples, "*.json")
	if err != nil || len(samples) == 0 {
		f.Fatalf("the samples are %v, %v", samples, err)
	}
	for _, name := range samples {
		b, err := events.Read(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		h := lambdahttp.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var b bytes.Buffer
			fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: gate.example\r\n", r.Method, r.RequestURI)
			if err := r.Header.WriteSubset(&b, map[string]bool{"Content-Length": true, "Host": true}); err != nil {
				t.Fatal(err)
			}
			b.WriteString("\r\n")
			again, err := http.ReadRequest(bufio.NewReader(&b))
			if err != nil {
				t.Errorf("net/http would not take what the handler sees: %v\n%q", err, b.String())
				return
			}
			if again.Method != r.Method || again.URL.Path != r.URL.Path || again.URL.RawQuery != r.URL.RawQuery || b.Len() > 0 {
				t.Errorf("net/http sees %s %q %q, the handler %s %q %q", again.Method, again.URL.Path, again.URL.RawQuery, r.Method, r.URL.Path, r.URL.RawQuery)
			}
			for name, v := range r.Header {
				if name != "Content-Length" && !reflect.DeepEqual(again.Header[name], v) {
					t.Errorf("net/http sees %s: %q, the handler %q", name, again.Header[name], v)
				}
			}
			w.Write(event)
		}), slog.New(slog.DiscardHandler))
		if out, err := h.Invoke(t.Context(), event); err == nil && !json.Valid(out) {
			t.Errorf("the answer is no JSON: %q", out)
		}
	})
}

// BenchmarkGet is what the adapter adds to a SCIM GET of 4 KB.
func BenchmarkGet(b *testing.B) {
	body := []byte(`{"Resources":[` + strings.Repeat(`{"userName":"someone@example.com","active":true},`, 80) + `{}]}`)
	h := lambdahttp.New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/scim+json")
		w.Write(body)
	}), slog.New(slog.DiscardHandler))
	event := change(nil)
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Invoke(ctx, event); err != nil {
			b.Fatal(err)
		}
	}
}
