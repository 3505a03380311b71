package local

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/secret"
)

// Whatever the umask and whoever made the folder: what the program writes is
// its owner's alone, a backup too.
func TestFilesAreTheirOwnersAlone(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{Data: Folder(dir)})
	copied := filepath.Join(t.TempDir(), "copy")
	args, _ := json.Marshal(BackupArgs{Dir: copied})
	if _, err := Operate(t.Context(), s.folder, "", "backup", args); err != nil {
		t.Fatalf("backup: %v", err)
	}
	// What lies in a folder that is closed to others is closed to them; what is
	// most wanted is closed by itself too.
	for path, want := range map[string]fs.FileMode{
		dir: 0o700, dir + "/store": 0o700, dir + "/mail": 0o700, dir + "/server.key": 0o600, dir + "/founded": 0o600, dir + "/demo.json": 0o600, dir + "/gatehouse.sock": 0o600,
		copied: 0o700, copied + "/store": 0o700, copied + "/server.key": 0o600, copied + "/founded": 0o600, copied + "/demo.json": 0o600,
		s.ready: 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("look at %s: %v", filepath.Base(path), err)
		} else if info.Mode().Perm() != want {
			t.Errorf("the mode of %s is %v, want %v", filepath.Base(path), info.Mode().Perm(), want)
		}
	}
}

// The inbox is served where nobody but this machine's people can ask: mails go
// to a folder, the listener is on loopback, and no outside address says that a
// proxy speaks for others.
func TestWhereTheInboxIs(t *testing.T) {
	ctx := t.Context()
	on := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080} }
	for _, c := range []struct {
		url  string
		addr net.Addr
		smtp bool
		want bool
	}{
		{"http://127.0.0.1:8080", on("127.0.0.1"), false, true},
		{"http://localhost:8080", on("::1"), false, true},
		{"https://localhost:8443", on("127.0.0.1"), false, true},
		{"http://127.0.0.1:8080", on("127.0.0.1"), true, false},
		{"http://127.0.0.1:8080", on("0.0.0.0"), false, false},
		{"http://127.0.0.1:8080", on("192.0.2.1"), false, false},
		{"http://127.0.0.1:8080", on("::"), false, false},
		{"http://127.0.0.1:8080", &net.UnixAddr{Name: "x", Net: "unix"}, false, false},
		{"https://gate.example", on("127.0.0.1"), false, false},
		{"https://localhost.evil.example", on("127.0.0.1"), false, false},
	} {
		o := Options{Data: Folder(filepath.Join(t.TempDir(), "data")), URL: c.url}
		if c.smtp {
			o.SMTP, o.From, o.SMTPTLS = "127.0.0.1:25", "gate@gate.example", "none"
		}
		h, err := open(ctx, o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := h.pages(c.addr, "")
		if err != nil {
			t.Fatal(err)
		}
		// As a proxy on this machine asks that puts its own name for the host's.
		r := httptest.NewRequest("GET", "http://127.0.0.1:8080/inbox", nil)
		r.RemoteAddr = "127.0.0.1:50000"
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		if got := w.Code == 200; got != c.want {
			t.Errorf("the inbox at %s on %s, with SMTP %v = %d, want it there: %v", c.url, c.addr, c.smtp, w.Code, c.want)
		}
		r = r.Clone(ctx)
		r.URL.Path = "/specimens"
		w = httptest.NewRecorder()
		if pages.ServeHTTP(w, r); (w.Code == 200) != (c.want || c.smtp) {
			t.Errorf("the specimens at %s on %s, with SMTP %v = %d", c.url, c.addr, c.smtp, w.Code)
		}
		if got := h.mails != nil && h.private(c.addr); got != c.want {
			t.Errorf("the inbox at %s on %s is named %v, want %v", c.url, c.addr, got, c.want)
		}
		h.close()
	}
}

func TestOutsideAddresses(t *testing.T) {
	for _, s := range []string{"https://gate.example", "https://gate.example:8443/", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"} {
		if err := checkURL(s); err != nil {
			t.Errorf("checkURL(%q) = %v, want nil", s, err)
		}
	}
	for _, s := range []string{
		"http://gate.example", "http://192.0.2.1", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "ftp://gate.example", "gate.example",
		"", "https://", "https://gate.example/path", "https://gate.example?x", "https://a_b.example", "https://gate.example#x", "https://user:pass@gate.example", "javascript:alert(1)",
	} {
		if err := checkURL(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("checkURL(%q) = %v, want it refused", s, err)
		}
	}
}

// pipes is a listener whose connections a test makes.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// Who sends slowly, or reads slowly, or not at all, is let go.
func TestSlowClients(t *testing.T) {
	for name, c := range map[string]struct {
		first, drop string        // sent at once, and again each second
		least, most time.Duration // until the connection ends
	}{
		"nothing":        {"", "", 4 * time.Second, 6 * time.Second},
		"a header":       {"GET / HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n", 4 * time.Second, 6 * time.Second},
		"a body":         {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "a", 29 * time.Second, 31 * time.Second},
		"a next request": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", 110 * time.Second, 125 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				s := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), slog.New(slog.DiscardHandler))
				go s.Serve(l)
				defer s.Close()
				ours, theirs := net.Pipe()
				l.conns <- theirs
				began := time.Now()
				ended := make(chan struct{})
				go func() { io.Copy(io.Discard, ours); close(ended) }()
				var sender sync.WaitGroup
				sender.Go(func() {
					io.WriteString(ours, c.first)
					for c.drop != "" {
						time.Sleep(time.Second)
						if _, err := io.WriteString(ours, c.drop); err != nil {
							return
						}
					}
				})
				<-ended
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("a client that is slow with %s is let go after %v, want between %v and %v", name, took, c.least, c.most)
				}
				ours.Close()
				sender.Wait()
			})
		})
	}
}

func TestSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		gaveUp := make(chan time.Duration, 1)
		s := newServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			for range 1000 { // far more than any buffer on the way holds
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					gaveUp <- time.Since(began)
					return
				}
			}
		}), slog.New(slog.DiscardHandler))
		go s.Serve(l)
		defer s.Close()
		ours, theirs := net.Pipe()
		defer ours.Close()
		l.conns <- theirs
		io.WriteString(ours, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		late := time.AfterFunc(time.Hour, func() { ours.Close() })
		defer late.Stop()
		if took := <-gaveUp; took < 59*time.Second || took > 61*time.Second {
			t.Errorf("a client that does not read its answer is let go after %v, want a minute", took)
		}
	})
}

func TestHeadersOf10KB(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config = newServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}), slog.New(slog.DiscardHandler))
	s.Start()
	defer s.Close()
	s.Config.SetKeepAlivesEnabled(false)
	for size, want := range map[int]int{9 << 10: 200, 11 << 10: 431} {
		r, err := http.NewRequest("GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Large", strings.Repeat("x", size))
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("a header of %d bytes = %d, want %d", size, res.StatusCode, want)
		}
	}
}

// Of too many at once some are told to come back, and nobody is forgotten.
func TestAtOnce(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{})
	h := newServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-hold
		panic(http.ErrAbortHandler) // gives its place back too
	}), slog.New(slog.DiscardHandler)).Handler
	for range maxAtOnce {
		go func() {
			defer func() { recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
		<-entered
	}
	w := httptest.NewRecorder()
	turned := make(chan struct{})
	go func() { h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); close(turned) }()
	select {
	case <-turned:
	case <-entered:
		t.Fatalf("request %d at once is let in", maxAtOnce+1)
	}
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("request %d at once = %d, Retry-After %q; want 503 and a time", maxAtOnce+1, w.Code, w.Header().Get("Retry-After"))
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/scim/v2/Users", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "urn:ietf:params:scim:api:messages:2.0:Error") {
		t.Errorf("a directory is turned away with %d, Retry-After %q and %s; want SCIM's 503 and a second", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	close(hold)
	go func() {
		defer func() { recover() }()
		for { // until a place is free
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
	}()
	select {
	case <-entered:
	case <-time.After(10 * time.Second):
		t.Error("after all have left there is no place")
	}
}

// What is no HTTP, or two things at once, is refused before a page sees it, and
// the connection ends: nothing behind it is taken for a request.
func TestOddRequests(t *testing.T) {
	s := serve(t, Options{})
	for name, c := range map[string]struct {
		raw   string
		wants []string // status lines that will do
	}{
		"two lengths":            {"POST /activate HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", []string{"400"}},
		"a length with a sign":   {"POST /activate HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", []string{"400"}},
		"an odd coding":          {"POST /activate HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", []string{"501", "400"}},
		"codings twice":          {"POST /activate HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", []string{"400", "501"}},
		"space before the colon": {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", []string{"400"}},
		"a folded header":        {"GET / HTTP/1.1\r\nHost: h\r\nX-A: b\r\n c\r\nContent-Length : 3\r\n\r\n", []string{"400"}},
		"no host":                {"GET / HTTP/1.1\r\n\r\n", []string{"400"}},
		"two hosts":              {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []string{"400"}},
		"no version":             {"GET /canary\r\n\r\n", []string{"400"}},
	} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, c.raw+"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
		all, err := io.ReadAll(conn)
		conn.Close()
		status := ""
		if f := strings.Fields(string(all)); len(f) > 1 {
			status = f[1]
		}
		if err != nil && !errors.Is(err, syscall.ECONNRESET) || strings.Count(string(all), "HTTP/1.") != 1 {
			t.Errorf("%s: the answer is %q, %v; want one, and the end", name, all, err)
		}
		if !slices.Contains(c.wants, status) {
			t.Errorf("%s = %s, want one of %v", name, status, c.wants)
		}
	}
	// A length beside chunks: the chunks count, and the connection ends with it.
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "POST /activate HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode == 200 {
		t.Errorf("a length beside chunks = %v, %v; want a refusal", res, err)
	}
	if strings.Contains(s.log.String(), "canary") || strings.Contains(s.log.String(), "smuggled") {
		t.Errorf("the log quotes what clients send: %s", s.log)
	}
}

// The server's own log quotes clients: of it only the kind is kept.
func TestTheServersLogQuotesNobody(t *testing.T) {
	var b buffer
	l := slog.NewLogLogger(quiet{slog.NewJSONHandler(&b, nil)}, slog.LevelWarn)
	l.Print("http: TLS handshake error from 192.0.2.9:1: canary\nforged")
	l.Print("http: panic serving 192.0.2.9:1: canary\ngoroutine 1")
	l.Print("anything canary")
	for _, bad := range []string{"canary", "192.0.2.9", "forged"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the log holds %q: %s", bad, b.String())
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 3 || !strings.Contains(b.String(), "TLS handshake error") {
		t.Errorf("the log has %d lines, want 3 with their kinds: %s", n, b.String())
	}
}

// A key that cannot be read is not quoted, and one that is lost is not replaced.
func TestServerKey(t *testing.T) {
	f := Folder(t.TempDir())
	half := strings.Repeat("c0ffee", 10)
	if err := os.WriteFile(f.path("server.key"), []byte(half), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.key(true); err == nil || strings.Contains(err.Error(), "c0ffee") {
		t.Errorf("a damaged key gives %v, want an error that does not quote it", err)
	}
	t.Setenv(KeyVariable, half)
	if _, err := f.key(true); err == nil || strings.Contains(err.Error(), "c0ffee") {
		t.Errorf("a damaged %s gives %v, want an error that does not quote it", KeyVariable, err)
	}
	want := secret.Mint()
	t.Setenv(KeyVariable, want.Reveal())
	if got, err := f.key(true); err != nil || got != want {
		t.Errorf("%s is not taken: %v", KeyVariable, err)
	}
	t.Setenv(KeyVariable, "")
	if err := os.Remove(f.path("server.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.key(false); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a store without its key gives %v, want it refused", err)
	}
	if _, err := os.Stat(f.path("server.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lost key was replaced: %v", err)
	}
}

// Links and locations begin with the configured address, whatever a request
// says of itself.
func TestLinksComeFromTheConfiguration(t *testing.T) {
	s := serve(t, Options{URL: "https://gate.example"})
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.addr+"/scim/v2/Users",
		strings.NewReader(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada@example.com","emails":[{"value":"ada@example.com"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	for name, v := range map[string]string{"Authorization": "Bearer " + s.Token, "Content-Type": "application/scim+json", "X-Forwarded-Host": "evil.example",
		"X-Forwarded-Proto": "http", "Forwarded": "host=evil.example;proto=http", "X-Forwarded-Port": "666"} {
		r.Header.Set(name, v)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if loc := res.Header.Get("Location"); res.StatusCode != 201 || !strings.HasPrefix(loc, "https://gate.example/scim/v2/Users/") || strings.Contains(string(body), "evil") {
		t.Errorf("POST /Users = %d at %q: %s", res.StatusCode, loc, body)
	}
	letter := ""
	for range 200 { // the feed is quick, and its own
		names, _ := filepath.Glob(s.folder.path("mail/*.eml"))
		for _, n := range names {
			b, _ := os.ReadFile(n)
			if strings.Contains(string(b), "ada@example.com") {
				letter = strings.ReplaceAll(string(b), "=\r\n", "")
			}
		}
		if letter != "" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.Contains(letter, "https://gate.example/activate/") || strings.Contains(letter, "evil.example") {
		t.Errorf("the mail's link does not begin with the configured address:\n%s", letter)
	}
}
