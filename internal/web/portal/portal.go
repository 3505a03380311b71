// Package portal is the pages that people see: activation, sign-in, one's own
// account, an organization's users as they arrive, and, on a machine of one's
// own, the inbox.
//
// Pages are made on the server and work without script. It decides nothing:
// package account knows who is signed in, courier what became of a mail,
// provision changes users. It speaks no SCIM.
package portal

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// Config is what the pages stand on.
type Config struct {
	// URL is where people reach Gatehouse, without a slash at the end. With
	// https it makes cookies __Host- and Secure.
	URL     string
	Table   table.Table
	Orgs    *org.Store
	Account *account.Service
	Courier *courier.Service
	// Inbox is given where mails go to a folder on this machine: whoever reads
	// them can activate every account. Its pages answer only what comes from
	// this machine and is addressed to it by a loopback name.
	Inbox Inbox
	// Specimens serves /specimens, every partial on one page, under the same
	// restriction.
	Specimens bool
	// Askable refuses an https address that is never asked for keys; nil: none is.
	Askable func(address string) error
	Now     func() time.Time
	Logger  *slog.Logger
	// Client tells where a request comes from, for rate limits; nil: by the
	// connection, IPv6 by its network of 64 bits.
	Client func(*http.Request) string
}

// Inbox is a folder of mails that were sent.
type Inbox interface {
	// Latest returns up to n messages after the skip newest ones, newest first,
	// and how many there are in all.
	Latest(ctx context.Context, skip, n int) (mails []mail.Message, total int, err error)
	// Open returns one of them; fault NotFound if it is not there.
	Open(ctx context.Context, id identity.Message) (mail.Message, error)
}

// portal is the handler and what it is made of.
type portal struct {
	Config
	secure   bool   // reached by https
	origin   string // of URL
	pages    map[string]*pages
	files    map[string]file
	arrivals arrivals
	cross    *http.CrossOriginProtection
	mux      *http.ServeMux
}

// New returns the handler of every page. It fails if URL is not one.
func New(c Config) (http.Handler, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("serve pages: %q is not the address of a server, such as https://gatehouse.example", c.URL)
	}
	if c.Client == nil {
		c.Client = clientAddress
	}
	p := &portal{Config: c, secure: u.Scheme == "https", cross: http.NewCrossOriginProtection(), mux: http.NewServeMux()}
	if err := p.cross.AddTrustedOrigin(c.URL); err != nil {
		return nil, fmt.Errorf("serve pages: %w", err)
	}
	p.origin = originOf(u)
	p.files, p.pages = made()
	p.routes()
	return p, nil
}

// handler answers one exchange, or says why not: the error becomes a page.
type handler func(*exchange) error

func (p *portal) routes() {
	p.handle("/", nil, nil)
	p.handle("/{$}", p.home, nil)
	p.handle("/healthz", p.health, nil)
	p.handle("/assets/{name}", p.asset, nil)

	p.handle("/activate", p.activation, p.activate)
	p.handle("/activate/{secret}", p.openLink, nil)
	p.handle("/activate/renew", nil, p.renew)

	p.handle("/o/{slug}", p.toAccount, nil)
	p.handle("/o/{slug}/{$}", p.signedIn(p.ownAccount), nil)
	p.handle("/o/{slug}/sign-in", p.signInPage, p.signIn)
	p.handle("/o/{slug}/sign-out", nil, p.signOut)

	p.handle("/o/{slug}/admin/users", p.admin(p.users), nil)
	p.handle("/o/{slug}/admin/users/arrivals", p.arrivalsPart, nil)
	p.handle("/o/{slug}/admin/users/search", p.admin(p.toUsers), p.admin(p.search))
	p.handle("/o/{slug}/admin/users/{user}", p.admin(p.user), nil)
	p.handle("/o/{slug}/admin/users/{user}/welcome", nil, p.admin(p.welcome))
	p.handle("/o/{slug}/admin/conflicts", p.admin(p.conflicts), nil)
	p.handle("/o/{slug}/admin/connections", p.admin(p.connectionList), nil)
	const one = "/o/{slug}/admin/connections/{connection}"
	p.handle(one, p.admin(p.connection), nil)
	p.handle(one+"/tokens", nil, p.admin(p.issueToken))
	p.handle(one+"/credentials/{credential}/revoke", nil, p.admin(p.revokeCredential))
	p.handle(one+"/clients", nil, p.admin(p.addClient))
	p.handle(one+"/clients/{client}/revoke", nil, p.admin(p.revokeClient))
	p.handle(one+"/clients/{client}/secrets", nil, p.admin(p.issueSecret))
	p.handle(one+"/clients/{client}/trusts", p.admin(p.trustPage), p.admin(p.addTrust))

	if p.Inbox != nil {
		p.handle("/inbox", p.local(p.inbox), nil)
		p.handle("/inbox/{id}", p.local(p.mail), nil)
		p.handle("/inbox/{id}/html", p.local(p.mailHTML), nil)
	}
	if p.Specimens {
		p.handle("/specimens", p.local(p.specimens), nil)
	}
}

// handle answers GET (and HEAD) and POST by the handlers given; where both are
// missing there is no such page.
func (p *portal) handle(pattern string, get, post handler) {
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x := p.begin(w, r, pattern)
		defer x.finish()
		switch {
		case get == nil && post == nil:
			x.answer(p.missing)
		case get != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			x.answer(get)
		case post != nil && r.Method == http.MethodPost:
			x.answer(checked(post))
		default:
			allow := "GET, HEAD"
			if get == nil {
				allow = "POST"
			} else if post != nil {
				allow += ", POST"
			}
			w.Header().Set("Allow", allow)
			x.fail(errMethod)
		}
	})
}

// ServeHTTP answers everything itself: where the mux would redirect to a cleaner
// path, without our headers and our log, there is no page.
func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if clean := path.Clean(r.URL.Path); clean != r.URL.Path && clean+"/" != r.URL.Path {
		x := p.begin(w, r, "/")
		defer x.finish()
		x.answer(p.missing)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// clientAddress is the peer's.
func clientAddress(r *http.Request) string {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	return networkOf(ap.Addr())
}

// networkOf cuts an IPv6 address to the network that one customer gets.
func networkOf(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		n, _ := a.WithZone("").Prefix(64)
		return n.String()
	}
	return a.String()
}

// ClientIn returns a Config.Client for a server behind a proxy that names the
// client in the header. Of a list the last address counts: the proxy added it,
// the others are anybody's word. Where there is none the peer counts.
func ClientIn(header string) func(*http.Request) string {
	return func(r *http.Request) string {
		said := r.Header.Values(header)
		if len(said) == 0 {
			return clientAddress(r)
		}
		last := said[len(said)-1]
		last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		a, err := netip.ParseAddr(strings.Trim(last, "[]"))
		if ap, e := netip.ParseAddrPort(last); err != nil && e == nil {
			a, err = ap.Addr(), nil
		}
		if err != nil {
			return clientAddress(r)
		}
		return networkOf(a)
	}
}

// local refuses what does not come from this machine, or is addressed to it by
// a name that a foreign page could have pointed here.
func (p *portal) local(h handler) handler {
	return func(x *exchange) error {
		ap, err := netip.ParseAddrPort(x.r.RemoteAddr)
		host := x.r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		named, _ := netip.ParseAddr(host)
		if err != nil || !ap.Addr().Unmap().IsLoopback() || host != "localhost" && !named.IsLoopback() {
			return errNoPage
		}
		return h(x)
	}
}

func (p *portal) health(x *exchange) error {
	return x.write(http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}
