// Package egress is the only HTTP client for addresses that customers name: key
// sets, discovery documents, domain files, webhooks.
//
// A customer's address may point at us: at this machine, at the network that it
// stands in, at the cloud's metadata. So only https is spoken, and only with
// addresses of the public internet, which is checked on the very address that
// is dialled: what a name resolved to before does not count. Redirects are not
// followed, the process's proxies are not asked, no cookie is kept, and an
// answer has ten seconds and a megabyte.
//
// It is not for services that the operator configured, such as AWS or a relay
// for mail: those may well stand in a private network.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Limits of one request.
const (
	Timeout = 10 * time.Second // from the first look-up to the last byte
	MaxBody = 1 << 20          // bytes of an answer, which is not compressed
	maxURL  = 2000
)

// ErrRefused is wrapped by errors about addresses that are never asked: no
// https, or not on the public internet.
var ErrRefused = errors.New("refused")

// Client asks addresses that customers name. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// New returns the client.
func New() *Client { return build(&net.Dialer{}, public, nil) }

// Tested returns a client that takes loopback for the public internet and
// trusts the roots: for servers of tests. Package floors holds that no program
// calls it.
func Tested(roots *x509.CertPool) *Client {
	return build(&net.Dialer{}, func(a netip.Addr) error {
		if a.Unmap().IsLoopback() {
			return nil
		}
		return public(a)
	}, roots)
}

// build makes a client that dials what permit lets through.
func build(d *net.Dialer, permit func(netip.Addr) error, roots *x509.CertPool) *Client {
	d.Timeout = 5 * time.Second
	// Control sees each address after the name was resolved, just before the
	// connection to it: there is no second look-up that could differ.
	d.Control = func(network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%w: the address dialled is none of TCP", ErrRefused)
		}
		return permit(ap.Addr())
	}
	return &Client{timeout: Timeout, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // whatever the environment says: a proxy would dial unchecked
			DialContext:            d.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // MaxBody counts what is read
			DisableKeepAlives:      true, // asked rarely, and an environment of Lambda freezes in between
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Check refuses an address that is never asked, as far as it can be told without
// resolving its name: for a clear word to who types it. What a name resolves to
// is checked when it is dialled.
func Check(address string) error {
	u, err := parse(address)
	if err != nil {
		return err
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return public(a)
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	// Some resolvers take 2130706433 and 0x7f.1 for 127.0.0.1; no name ends so.
	if last == "localhost" || last == "" || last[0] >= '0' && last[0] <= '9' {
		return fmt.Errorf("%w: the address is not on the public internet", ErrRefused)
	}
	return nil
}

func parse(address string) (*url.URL, error) {
	if len(address) > maxURL {
		return nil, fmt.Errorf("%w: the address has more than %d characters", ErrRefused, maxURL)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the address cannot be read", ErrRefused) // the error would quote it
	case u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%w: the address does not begin with https://", ErrRefused)
	case u.User != nil:
		return nil, fmt.Errorf("%w: the address holds a user", ErrRefused)
	case u.Fragment != "":
		return nil, fmt.Errorf("%w: the address has a fragment", ErrRefused)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.Zone() != "" {
		return nil, &errAddress{a}
	}
	return u, nil
}

// Get returns the body of a 200. Any other status, a redirect among them, is an
// error, and so is a body beyond MaxBody. Errors name the host and hold nothing
// of the answer.
func (c *Client) Get(ctx context.Context, address string) ([]byte, error) {
	u, err := parse(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the address cannot be asked", ErrRefused)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Gatehouse")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", u.Host, reason(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s: it answers %d", u.Host, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err == nil {
		// A server that hears of our hanging up may end the answer in good order,
		// and half of it would look whole.
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", u.Host, reason(err))
	}
	if len(b) > MaxBody {
		return nil, fmt.Errorf("ask %s: it answers more than %d bytes", u.Host, MaxBody)
	}
	return b, nil
}

// reason takes the address out of the error, whose query may hold a secret.
func reason(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
