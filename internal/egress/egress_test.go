package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		addr string
		open bool
	}{
		{"93.184.215.14", true}, {"1.1.1.1", true}, {"9.255.255.255", true}, {"11.0.0.0", true}, {"100.63.255.255", true}, {"100.128.0.0", true},
		{"172.15.255.255", true}, {"172.32.0.0", true}, {"192.0.1.0", true}, {"198.17.255.255", true}, {"198.20.0.0", true}, {"223.255.255.255", true},
		{"2606:4700::1111", true}, {"2a00:1450::1", true}, {"::ffff:1.1.1.1", true}, {"64:ff9b::101:101", true},

		{"0.0.0.0", false}, {"0.1.2.3", false}, {"10.0.0.1", false}, {"100.64.0.1", false}, {"100.127.255.255", false},
		{"127.0.0.1", false}, {"127.255.255.254", false}, {"169.254.169.254", false}, {"169.254.170.2", false}, {"172.16.0.1", false}, {"172.31.255.255", false},
		{"192.0.0.8", false}, {"192.0.2.1", false}, {"192.88.99.1", false}, {"192.168.1.1", false}, {"198.18.0.1", false}, {"198.19.255.255", false},
		{"198.51.100.1", false}, {"203.0.113.1", false}, {"224.0.0.1", false}, {"239.255.255.250", false}, {"240.0.0.1", false}, {"255.255.255.255", false},
		{"::", false}, {"::1", false}, {"::127.0.0.1", false}, {"::ffff:127.0.0.1", false}, {"::ffff:10.0.0.1", false}, {"::ffff:169.254.169.254", false}, {"::ffff:0:127.0.0.1", false},
		{"64:ff9b::7f00:1", false}, {"64:ff9b::a9fe:a9fe", false}, {"64:ff9b::a00:1", false}, {"64:ff9b:1::101:101", false}, {"100::1", false},
		{"2001::1", false}, {"2001:0:4136:e378:8000:63bf:3fff:fdd2", false}, {"2001:10::1", false}, {"2001:20::1", false}, {"2001:db8::1", false},
		{"2002:7f00:1::", false}, {"2002:101:101::", false}, {"3fff::1", false}, {"4000::1", false}, {"5f00::1", false},
		{"fc00::1", false}, {"fd00:ec2::254", false}, {"fe80::1", false}, {"fe80::1%eth0", false}, {"2606:4700::1%eth0", false}, {"fec0::1", false}, {"ff02::1", false},
	} {
		err := public(netip.MustParseAddr(c.addr))
		if (err == nil) != c.open {
			t.Errorf("public(%s) = %v, want open: %v", c.addr, err, c.open)
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("public(%s) = %v, want one that wraps ErrRefused", c.addr, err)
		}
	}
	if public(netip.Addr{}) == nil {
		t.Error("no address at all is taken for a public one")
	}
}

func TestAddressesThatAreNeverAsked(t *testing.T) {
	c := New()
	for _, address := range []string{
		"", "x", "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "https:", "https://", "https:example.com", "//example.com/",
		"https://user:secret@example.com/", "https://example.com/#part", "https://example.com:port/", "https://[fe80::1%25eth0]/", "https://exa mple.com/",
		"https://example.com/" + strings.Repeat("x", 2000), "gopher://127.0.0.1/", "HTTP://example.com", "\x00https://example.com",
	} {
		if err := Check(address); !errors.Is(err, ErrRefused) {
			t.Errorf("Check(%.60q) = %v, want a refusal", address, err)
		}
		if _, err := c.Get(t.Context(), address); !errors.Is(err, ErrRefused) {
			t.Errorf("Get(%.60q) = %v, want a refusal", address, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the refusal quotes a password: %v", err)
		}
	}
	if err := Check("https://login.example.com:8443/keys?x=y"); err != nil {
		t.Errorf("Check of a good address: %v", err)
	}
}

// Names that mean this machine or its network, in all the forms that resolvers
// take for one.
func TestDialRefuses(t *testing.T) {
	c := New()
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "10.0.0.1", "169.254.169.254", "[fd00:ec2::254]", "0.0.0.0", "[::]",
		"192.168.0.1:8443", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1",
	} {
		_, err := c.Get(t.Context(), "https://"+host+"/keys")
		if !errors.Is(err, ErrRefused) {
			t.Errorf("Get of https://%s/ = %v, want a refusal", host, err)
		}
	}
	// Decimal, octal and short forms are no addresses to Go; whatever they
	// resolve to, nothing is reached.
	for _, host := range []string{"2130706433", "0177.0.0.1", "127.1", "0x7f.1"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := c.Get(ctx, "https://"+host+"/keys"); err == nil {
			t.Errorf("Get of https://%s/ went through", host)
		}
		cancel()
	}
}

// resolver answers each look-up of an A record with the next address of the
// list, and the last for ever.
func resolver(t *testing.T, answers ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for next := 0; ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeSuccess, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				a := netip.MustParseAddr(answers[min(next, len(answers)-1)])
				next++
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0},
					Body:   &dnsmessage.AResource{A: a.As4()},
				}}
			}
			if out, err := m.Pack(); err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A name that is public when it is looked at and private when it is dialled.
func TestRebinding(t *testing.T) {
	errReached := errors.New("the address is let through")
	var asked []string
	c := build(&net.Dialer{Resolver: resolver(t, "93.184.215.14", "127.0.0.1", "169.254.169.254")}, func(a netip.Addr) error {
		asked = append(asked, a.String())
		if err := public(a); err != nil {
			return err
		}
		return errReached // rather than the internet
	}, nil)
	for i, want := range []error{errReached, ErrRefused, ErrRefused} {
		if _, err := c.Get(t.Context(), "https://keys.rebind.example/keys"); !errors.Is(err, want) {
			t.Errorf("request %d = %v, want %v", i, err, want)
		}
	}
	if got := strings.Join(asked, " "); got != "93.184.215.14 127.0.0.1 169.254.169.254" {
		t.Errorf("dialled %s: each request is to be checked on its own look-up", got)
	}
}

func server(t *testing.T, h http.HandlerFunc) (*httptest.Server, *Client) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, Tested(roots)
}

func TestGet(t *testing.T) {
	s, c := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" || r.Header.Get("Accept-Encoding") == "gzip" {
			t.Errorf("the request has the header %v", r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		fmt.Fprint(w, "ok")
	})
	// The library's own proxies pass loopback by, so a request here would not tell.
	for name, c := range map[string]*Client{"programs": New(), "tests": c} {
		if tr := c.http.Transport.(*http.Transport); tr.Proxy != nil || c.http.Jar != nil {
			t.Errorf("the client of %s asks the environment's proxy, or keeps cookies", name)
		}
	}
	for range 2 { // the second must not bring the cookie
		if b, err := c.Get(t.Context(), s.URL+"/keys"); err != nil || string(b) != "ok" {
			t.Errorf("Get = %q, %v", b, err)
		}
	}
	if _, err := New().Get(t.Context(), s.URL); !errors.Is(err, ErrRefused) {
		t.Errorf("the client of programs asks loopback: %v", err)
	}
	if _, err := Tested(nil).Get(t.Context(), s.URL); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("a certificate that nobody vouches for: %v, want an error of TLS", err)
	}
	if _, err := c.Get(t.Context(), "https://10.0.0.1/"); !errors.Is(err, ErrRefused) {
		t.Errorf("the client of tests asks a private address: %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer inner.Close()
	to := ""
	s, c := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			followed.Add(1)
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	for _, to = range []string{inner.URL, s.URL + "/there", "/there", "http://169.254.169.254/latest/meta-data/"} {
		if b, err := c.Get(t.Context(), s.URL+"/keys"); err == nil || !strings.Contains(err.Error(), "302") {
			t.Errorf("a redirect to %s = %q, %v; want an error that tells the status", to, b, err)
		}
	}
	if followed.Load() != 0 {
		t.Errorf("%d redirects were followed", followed.Load())
	}
}

func TestLargeAnswers(t *testing.T) {
	size := 0
	s, c := server(t, func(w http.ResponseWriter, r *http.Request) {
		for left := size; left > 0; left -= 64 << 10 {
			if _, err := w.Write(make([]byte, min(left, 64<<10))); err != nil {
				return
			}
		}
	})
	for _, n := range []int{0, MaxBody} {
		size = n
		if b, err := c.Get(t.Context(), s.URL); err != nil || len(b) != n {
			t.Errorf("an answer of %d bytes: %d bytes, %v", n, len(b), err)
		}
	}
	for _, n := range []int{MaxBody + 1, 64 << 20} {
		size = n
		if b, err := c.Get(t.Context(), s.URL); err == nil {
			t.Errorf("an answer of %d bytes is taken: %d bytes", n, len(b))
		}
	}
}

// An answer that trickles ends with the time, headers or none.
func TestSlowAnswers(t *testing.T) {
	stop := make(chan struct{})
	s, c := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	defer close(stop)
	if c.timeout != 10*time.Second {
		t.Errorf("an answer has %v, want ten seconds", c.timeout)
	}
	c.timeout = 200 * time.Millisecond
	for _, path := range []string{"/head", "/body"} {
		begin := time.Now()
		if _, err := c.Get(t.Context(), s.URL+path); err == nil || time.Since(begin) > 5*time.Second {
			t.Errorf("a slow %s: %v after %v", path, err, time.Since(begin))
		}
	}
}

func TestErrorsTellNoSecret(t *testing.T) {
	s, c := server(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "CANARY", 500) })
	for _, address := range []string{s.URL + "/k?code=CANARY", "https://127.0.0.1:1/CANARY?code=CANARY"} {
		if _, err := c.Get(t.Context(), address); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("the error is %v", err)
		}
	}
}

// Addresses that are refused before anything is resolved.
func TestCheckOfLiterals(t *testing.T) {
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1:8443", "169.254.169.254", "10.1.2.3", "[::1]", "[::ffff:10.0.0.1]", "[fd00:ec2::254]:443", "0.0.0.0", "127.0.0.1.",
		"localhost", "LOCALHOST:1", "a.localhost", "localhost.", "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1",
	} {
		if err := Check("https://" + host + "/keys"); !errors.Is(err, ErrRefused) {
			t.Errorf("Check of %s = %v, want a refusal", host, err)
		}
	}
	for _, host := range []string{"login.example.com", "1.1.1.1", "[2606:4700::1111]:8443", "3.example.com", "localhost.example.com", "login.example.com."} {
		if err := Check("https://" + host + "/keys"); err != nil {
			t.Errorf("Check of %s = %v, want none", host, err)
		}
	}
}
