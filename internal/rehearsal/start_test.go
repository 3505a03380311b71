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
	"gatehouse/internal/short"
)

// everyFunction of the template, and what bounds it: megabytes of the release's
// file (10^6 bytes), which is a limit, and how many times as long as the least
// function it should take from its start to its first answer. 0: no bound.
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
	short.Skip(t, "builds the functions for arm64")
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

// memory answers a read that it has seen before from memory, so that functions
// are measured and not the queries of DynamoDB Local.
type memory struct {
	url  string
	to   *httputil.ReverseProxy
	mu   sync.Mutex
	seen map[string]*httptest.ResponseRecorder // nil: it remembers nothing
	read int                                   // answers given from memory
}

func newMemory(t *testing.T, endpoint string) *memory {
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{to: httputil.NewSingleHostReverseProxy(to)}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

// remember begins anew, or ends it.
func (m *memory) remember(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = nil
	if yes {
		m.seen = map[string]*httptest.ResponseRecorder{}
	}
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	target := r.Header.Get("X-Amz-Target")
	m.mu.Lock()
	remembers, answer := m.seen != nil, m.seen[target+string(body)]
	if answer != nil {
		m.read++
	}
	m.mu.Unlock()
	if !remembers || !strings.HasSuffix(target, "GetItem") && !strings.HasSuffix(target, ".Query") {
		m.to.ServeHTTP(w, r)
		return
	}
	if answer == nil {
		answer = httptest.NewRecorder()
		m.to.ServeHTTP(answer, r)
		m.mu.Lock()
		if m.seen != nil {
			m.seen[target+string(body)] = answer
		}
		m.mu.Unlock()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// measured is the template's stack with the table of that name, of its functions
// the ones given and hello. They read through a memory, and nothing comes from
// the stream.
func measured(t *testing.T, table string, given ...string) (*Rehearsal, *memory) {
	t.Helper()
	stack, err := infra.Read(map[string]string{"MailFrom": "no-reply@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	stack.Table = table
	binaries, err := Build(t.Context(), t.TempDir(), append(slices.Clone(given), Hello)...)
	if err != nil {
		t.Fatal(err)
	}
	arn := stack.Functions["scim"].ARN
	maps.DeleteFunc(stack.Functions, func(folder string, _ infra.Function) bool { return !slices.Contains(given, folder) })
	for folder, f := range stack.Functions {
		f.Env["GATEHOUSE_TABLE"] = stack.Table
		stack.Functions[folder] = f
	}
	stack.Functions["hello"] = infra.Function{Folder: "hello", Name: "hello", ARN: arn, Timeout: 10 * time.Second}
	local := dynamodb.Shared(t).Endpoint
	m := newMemory(t, local)
	r, err := Start(t.Context(), Options{Stack: *stack, Binaries: binaries, Key: measuredKey, DynamoDB: m.url, Streams: local, SES: "http://127.0.0.1:1", Poll: time.Hour, Unguarded: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, m
}

var measuredKey = strings.Repeat("0a", 32)

// patience is how many times as long as it may take something takes before a
// test fails: what else runs on the machine is not the product's fault.
const patience = 5

// TestStarts compares starts that take turns with those of the least function:
// the best of each, which what else runs on the machine disturbs least, and the
// medians, in which it disturbs both alike.
func TestStarts(t *testing.T) {
	short.Skip(t, "builds the functions")
	const rounds = 30
	r, m := measured(t, "starts", folders()...)
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
	started := append(folders(), "hello")
	round := func() {
		for _, folder := range started {
			if _, err := r.Invoke(t.Context(), folder, []byte(event(folder))); err != nil {
				t.Fatalf("%s: %v\n%s", folder, err, r.Log(folder))
			}
			r.Kill(folder)
		}
	}
	round() // founds the table, and tells it of the stack
	m.remember(true)
	for range rounds {
		round()
	}
	measure := func(list []time.Duration) (best, middle time.Duration) {
		list = list[1:] // without the founding
		return slices.Min(list), median(list)
	}
	helloBest, helloMedian := measure(r.Host().Timings("hello").Cold)
	for _, folder := range started {
		timings := r.Host().Timings(folder)
		best, middle := measure(timings.Cold)
		work, _ := measure(timings.Init)
		ofBests, ofMedians := float64(best)/float64(helloBest), float64(middle)/float64(helloMedian)
		t.Logf("%-10s first answer after %.2f ms, at the median %.2f; asks for work after %.2f; %.2f times hello's, of the medians %.2f",
			folder, milliseconds(best), milliseconds(middle), milliseconds(work), ofBests, ofMedians)
		if bound := everyFunction[folder].start; bound > 0 && min(ofBests, ofMedians) > patience*bound {
			t.Errorf("%s takes %.2f times as long as hello to its first answer, want %v at most", folder, min(ofBests, ofMedians), bound)
		}
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
