package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"gatehouse/internal/fakes/gateway"
)

var at = time.Date(2026, 7, 10, 19, 19, 5, 766e6, time.UTC)

func TestEvent(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "https://api.example/capture/space%20value?repeat=one&repeat=two&redirect=https%3A%2F%2Fexample.com%2Fa%2Fb&literalPlus=a+b&encodedPlus=a%2Bb&empty=", nil)
	r.RemoteAddr = "198.51.100.7:4711"
	r.Header = http.Header{"X-Probe": {"first", "second"}, "Cookie": {"session=abc123; theme=dark"}, "Content-Type": {"application/json"},
		"Connection": {"close"}, "User-Agent": {"curl/8.7.1"}, "X-Forwarded-For": {"203.0.113.66"}}
	body := []byte(`{"unicode":"lambda-λ"}`)
	b := gateway.Event(r, body, gateway.Options{Now: func() time.Time { return at }})
	var e events.APIGatewayV2HTTPRequest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("the event %s: %v", b, err)
	}
	for what, pair := range map[string][2]string{
		"version":        {e.Version, "2.0"},
		"rawPath":        {e.RawPath, "/capture/space value"},
		"context's path": {e.RequestContext.HTTP.Path, "/capture/space value"},
		"rawQueryString": {e.RawQueryString, "repeat=one&repeat=two&redirect=https%3A%2F%2Fexample.com%2Fa%2Fb&literalPlus=a+b&encodedPlus=a%2Bb&empty="},
		"repeated":       {e.QueryStringParameters["repeat"], "one,two"},
		"plus":           {e.QueryStringParameters["literalPlus"] + e.QueryStringParameters["encodedPlus"], "a ba+b"},
		"cookies":        {strings.Join(e.Cookies, "|"), "session=abc123|theme=dark"},
		"no cookie line": {e.Headers["cookie"], ""},
		"header":         {e.Headers["x-probe"], "first,second"},
		"hop by hop":     {e.Headers["connection"], ""},
		"forwarded for":  {e.Headers["x-forwarded-for"], "203.0.113.66, 198.51.100.7"},
		"length":         {e.Headers["content-length"], "23"},
		"host":           {e.Headers["host"] + e.RequestContext.DomainName, "api.exampleapi.example"},
		"source":         {e.RequestContext.HTTP.SourceIP, "198.51.100.7"},
		"time":           {e.RequestContext.Time, "10/Jul/2026:19:19:05 +0000"},
		"body":           {e.Body, string(body)},
		"stage":          {e.RequestContext.Stage, "$default"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %q, want %q", what, pair[0], pair[1])
		}
	}
	if e.RequestContext.TimeEpoch != at.UnixMilli() || e.IsBase64Encoded {
		t.Errorf("timeEpoch = %d, isBase64Encoded = %v", e.RequestContext.TimeEpoch, e.IsBase64Encoded)
	}
}

func TestBase64(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/json": false, "text/plain; charset=UTF-8": false, "text/csv": false, "application/xml": false,
		"": true, "application/x-www-form-urlencoded": true, "application/scim+json": true, "image/png": true, "text/plain; charset=latin1": true,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", contentType)
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(gateway.Event(r, []byte("a"), gateway.Options{}), &e); err != nil || e.IsBase64Encoded != want {
			t.Errorf("a body of %q: isBase64Encoded = %v, %v; want %v", contentType, e.IsBase64Encoded, err, want)
		}
	}
}

func TestRoutes(t *testing.T) {
	var routes []gateway.Route
	for _, key := range []string{"$default", "ANY /{proxy+}", "GET /pets/{proxy+}", "GET /pets/dog/{id}", "ANY /pets/dog/{id}", "GET /pets/dog/1", "ANY /scim/v2", "ANY /scim/v2/{proxy+}"} {
		routes = append(routes, gateway.Route{Key: key, Function: key})
	}
	for _, tt := range []struct{ method, path, want, parameters string }{
		{"GET", "/pets/dog/1", "GET /pets/dog/1", ""},
		{"GET", "/pets/dog/2", "GET /pets/dog/{id}", "id=2"},
		{"POST", "/pets/dog/2", "ANY /pets/dog/{id}", "id=2"},
		{"GET", "/pets/cat/1", "GET /pets/{proxy+}", "proxy=cat/1"},
		{"POST", "/test/5", "ANY /{proxy+}", "proxy=test/5"},
		{"GET", "/scim/v2", "ANY /scim/v2", ""},
		{"PATCH", "/scim/v2/Users/1", "ANY /scim/v2/{proxy+}", "proxy=Users/1"},
		{"GET", "/", "$default", ""},
	} {
		called, parameters := "", ""
		h := gateway.New(routes, func(_ context.Context, f string, event []byte) ([]byte, error) {
			called = f
			var e events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(event, &e); err != nil || e.RouteKey != f {
				t.Errorf("the event for %s has route key %q, %v", f, e.RouteKey, err)
			}
			for k, v := range e.PathParameters {
				parameters = k + "=" + v
			}
			return []byte(`{"statusCode":204}`), nil
		}, gateway.Options{})
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(tt.method, tt.path, nil))
		if called != tt.want || parameters != tt.parameters {
			t.Errorf("%s %s leads to %q with %q, want %q with %q", tt.method, tt.path, called, parameters, tt.want, tt.parameters)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct{ name, payload, want string }{
		{"format 2.0", `{"statusCode":201,"headers":{"X-A":"b"},"cookies":["a=b","c=d"],"body":"aGk=","isBase64Encoded":true}`, "201 text/plain; charset=utf-8 b [a=b c=d] hi"},
		{"a body alone", `{"message":"hi"}`, `200 application/json  [] {"message":"hi"}`},
		{"no JSON", `hi`, `500 application/json  [] {"message":"Internal Server Error"}`},
		{"no base64", `{"statusCode":200,"body":"*","isBase64Encoded":true}`, `500 application/json  [] {"message":"Internal Server Error"}`},
		{"no status of an answer", `{"statusCode":101}`, `500 application/json  [] {"message":"Internal Server Error"}`},
		{"a list as header", `{"statusCode":200,"headers":{"a":["b"]}}`, `500 application/json  [] {"message":"Internal Server Error"}`},
		{"too large", `"` + strings.Repeat("x", 6_291_556) + `"`, `500 application/json  [] {"message":"Internal Server Error"}`},
	} {
		h := gateway.New([]gateway.Route{{Key: "$default"}}, func(context.Context, string, []byte) ([]byte, error) { return []byte(tt.payload), nil }, gateway.Options{})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		have := strings.Join([]string{strconv.Itoa(w.Code), w.Header().Get("Content-Type"), w.Header().Get("X-A"), "[" + strings.Join(w.Header().Values("Set-Cookie"), " ") + "]", w.Body.String()}, " ")
		if have != tt.want {
			t.Errorf("%s: the client gets %q, want %q", tt.name, have, tt.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	answer := func(out string, err error) gateway.Invoke {
		return func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			if out == "wait" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []byte(out), err
		}
	}
	all := []gateway.Route{{Key: "$default"}}
	ok := answer(`{"statusCode":204}`, nil)
	large := bytes.Repeat([]byte{'x'}, 5_000_000)
	for _, tt := range []struct {
		name   string
		routes []gateway.Route
		invoke gateway.Invoke
		o      gateway.Options
		path   string
		header string
		body   []byte
		want   int
		says   string
	}{
		{"no route", nil, ok, gateway.Options{}, "/", "", nil, 404, "Not Found"},
		{"another stage", all, ok, gateway.Options{Stage: "live"}, "/lively/x", "", nil, 404, "Not Found"},
		{"the stage", all, ok, gateway.Options{Stage: "live"}, "/live/x", "", nil, 204, ""},
		{"headers too large", all, ok, gateway.Options{}, "/", strings.Repeat("x", 10_240), nil, 431, "Too Large"},
		{"headers nearly too large", all, ok, gateway.Options{}, "/", strings.Repeat("x", 10_000), nil, 204, ""},
		{"body too large", all, ok, gateway.Options{}, "/", "", bytes.Repeat([]byte{'x'}, 10_485_761), 413, "Too Large"},
		{"event too large", all, ok, gateway.Options{}, "/", "", large, 413, "Too Large"}, // base64
		{"path that is encoded wrongly", all, ok, gateway.Options{}, "/a%25zz", "", nil, 400, "Bad Request"},
		{"function failed", all, answer("", errors.New("Unhandled")), gateway.Options{}, "/", "", nil, 500, "Internal Server Error"},
		{"time over", all, answer("wait", nil), gateway.Options{Timeout: time.Millisecond}, "/", "", nil, 503, "Service Unavailable"},
	} {
		r := httptest.NewRequest(http.MethodPost, tt.path, bytes.NewReader(tt.body))
		r.Header.Set("X-Large", tt.header)
		w := httptest.NewRecorder()
		gateway.New(tt.routes, tt.invoke, tt.o).ServeHTTP(w, r)
		b, _ := io.ReadAll(w.Body)
		if w.Code != tt.want || !strings.Contains(string(b), tt.says) {
			t.Errorf("%s: answered %d %s, want %d %s", tt.name, w.Code, b, tt.want, tt.says)
		}
	}
}

func TestAccessLog(t *testing.T) {
	var log bytes.Buffer
	h := gateway.New([]gateway.Route{{Key: "ANY /a/{id}", Function: "f"}}, func(context.Context, string, []byte) ([]byte, error) {
		return []byte(`{"statusCode":200,"body":"hello"}`), nil
	}, gateway.Options{AccessLog: &log, Now: func() time.Time { return at },
		AccessLogFormat: `{"route":"$context.routeKey","status":"$context.status","bytes":"$context.responseLength","method":"$context.httpMethod","path":"$context.path","none":"$context.authorizer.error","time":"$context.requestTime"}`})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/a/b", nil))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/c", nil))
	want := `{"route":"ANY /a/{id}","status":"200","bytes":"5","method":"GET","path":"/a/b","none":"-","time":"10/Jul/2026:19:19:05 +0000"}` + "\n" +
		`{"route":"-","status":"404","bytes":"23","method":"GET","path":"/c","none":"-","time":"10/Jul/2026:19:19:05 +0000"}` + "\n"
	if log.String() != want {
		t.Errorf("the access log is\n%swant\n%s", log.String(), want)
	}
}
