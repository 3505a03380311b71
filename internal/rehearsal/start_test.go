package rehearsal

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/infra"
	"gatehouse/internal/fakes/dynamodb"
)

// everyFunction of the template, and what bounds it: megabytes of the release's
// file (10^6 bytes), and how many times as long as the least function it may
// take from its start to its first answer. 0: no bound.
var everyFunction = map[string]struct{ size, start float64 }{
	"scim": {9.5, 1.7}, "feed": {9.5, 1.7}, "welcome": {10, 2.2}, "portal": {15, 2.2},
	"mailevents": {}, "sweep": {}, "discarded": {},
}

func folders() (list []string) {
	for folder := range everyFunction {
		list = append(list, folder)
	}
	slices.Sort(list)
	return list
}

// TestSizes measures the release's own files.
func TestSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the functions for arm64")
	}
	binaries, err := BuildFor(t.Context(), "linux", "arm64", t.TempDir(), folders()...)
	if err != nil {
		t.Fatal(err)
	}
	for folder, bound := range everyFunction {
		info, err := os.Stat(binaries[folder])
		if err != nil {
			t.Fatal(err)
		}
		size := float64(info.Size()) / 1e6
		t.Logf("%s: %.2f MB", folder, size)
		if bound.size > 0 && size > bound.size {
			t.Errorf("%s has %.2f MB, want %v at most", folder, size, bound.size)
		}
	}
}

// memory answers a read that it has seen before from memory, so that the start
// of a function is measured and not that of a query in DynamoDB Local.
type memory struct {
	to   *httputil.ReverseProxy
	mu   sync.Mutex
	seen map[string]*httptest.ResponseRecorder
}

func newMemory(t *testing.T, endpoint string) (address string, forget func()) {
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{to: httputil.NewSingleHostReverseProxy(to), seen: map[string]*httptest.ResponseRecorder{}}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return server.URL, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		clear(m.seen)
	}
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	target := r.Header.Get("X-Amz-Target")
	if !strings.HasSuffix(target, "GetItem") && !strings.HasSuffix(target, ".Query") {
		m.to.ServeHTTP(w, r)
		return
	}
	m.mu.Lock()
	answer := m.seen[target+string(body)]
	m.mu.Unlock()
	if answer == nil {
		answer = httptest.NewRecorder()
		m.to.ServeHTTP(answer, r)
		m.mu.Lock()
		m.seen[target+string(body)] = answer
		m.mu.Unlock()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// TestStarts compares the best of several starts, which what else runs on the
// machine disturbs least.
func TestStarts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the functions")
	}
	const rounds = 12
	stack, err := infra.Read(map[string]string{"MailFrom": "no-reply@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	stack.Table = "starts"
	binaries, err := Build(t.Context(), t.TempDir(), append(folders(), Hello)...)
	if err != nil {
		t.Fatal(err)
	}
	for folder, f := range stack.Functions {
		f.Env["GATEHOUSE_TABLE"] = stack.Table
		stack.Functions[folder] = f
	}
	stack.Functions["hello"] = infra.Function{Folder: "hello", Name: "hello", ARN: stack.Functions["scim"].ARN, Timeout: 10 * time.Second}
	local := dynamodb.Shared(t).Endpoint
	address, forget := newMemory(t, local)
	// The stream is left alone: nothing else is to run.
	r, err := Start(t.Context(), Options{Stack: *stack, Binaries: binaries, Key: strings.Repeat("0a", 32), DynamoDB: address, Streams: local, SES: "http://127.0.0.1:1", Poll: time.Minute, Unguarded: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	event := func(folder string) string {
		switch folder {
		case "scim":
			return `{"version":"2.0","routeKey":"ANY /scim/v2/{proxy+}","rawPath":"/scim/v2/ServiceProviderConfig","requestContext":{"domainName":"localhost","http":{"method":"GET","path":"/scim/v2/ServiceProviderConfig","sourceIp":"127.0.0.1"}}}`
		case "portal":
			return `{"version":"2.0","routeKey":"$default","rawPath":"/","requestContext":{"domainName":"localhost","http":{"method":"GET","path":"/","sourceIp":"127.0.0.1"}}}`
		case "mailevents":
			return `{"source":"aws.ses","detail-type":"Advisor","detail":{}}`
		default:
			return `{"Records":[]}`
		}
	}
	measured := slices.DeleteFunc(append(folders(), "hello"), func(folder string) bool { return folder == "mailevents" })
	for n := range rounds + 1 {
		for _, folder := range measured {
			if _, err := r.Invoke(t.Context(), folder, []byte(event(folder))); err != nil {
				t.Fatalf("%s: %v\n%s", folder, err, r.Log(folder))
			}
			r.Kill(folder)
		}
		if n == 0 { // it founded the table, whose empty answers are of no more use
			forget()
		}
	}
	hello := slices.Min(r.Host().Timings("hello").Cold)
	for _, folder := range measured {
		timings := r.Host().Timings(folder)
		best := slices.Min(timings.Cold)
		ratio := float64(best) / float64(hello)
		t.Logf("%s: first answer after %v, %.2f times hello's; asks for work after %v", folder, best.Round(10*time.Microsecond), ratio, slices.Min(timings.Init).Round(10*time.Microsecond))
		if bound := everyFunction[folder].start; bound > 0 && ratio > bound {
			t.Errorf("%s takes %.2f times as long as hello to its first answer, want %v at most", folder, ratio, bound)
		}
	}
}
