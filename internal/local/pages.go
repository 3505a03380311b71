package local

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/egress"
	"gatehouse/internal/identity"
	"gatehouse/internal/local/maildir"
	"gatehouse/internal/mail"
	"gatehouse/internal/web/oauth"
	"gatehouse/internal/web/portal"
	"gatehouse/internal/web/scimhttp"
)

// pages puts SCIM, the token endpoint and the portal behind one listener.
func (h *home) pages(addr net.Addr, client string) (http.Handler, error) {
	c := portal.Config{
		URL: h.app.URL, Table: h.app.Table, Orgs: h.app.Orgs, Account: h.app.Accounts, Courier: h.app.Courier,
		Askable: egress.Check, Now: h.app.Now, Logger: h.log,
	}
	if client != "" {
		c.Client = portal.ClientIn(client)
	}
	if h.private(addr) {
		c.Specimens = true
		if h.mails != nil {
			c.Inbox = inbox{h.mails}
		}
	}
	people, err := portal.New(c)
	if err != nil {
		return nil, err
	}
	// Without a header of a proxy's ClientIn takes the peer.
	granting := oauth.New(oauth.Config{URL: h.app.URL, Orgs: h.app.Orgs, Table: h.app.Table, Key: h.app.Key, Fetch: egress.New(),
		Now: h.app.Now, Log: h.log, Client: portal.ClientIn(client)})
	pages := granting.Before(people)
	directories := scimhttp.New(scimhttp.Config{URL: h.app.URL, Orgs: h.app.Orgs, Provision: h.app.Provision, Log: h.log, Now: time.Now})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ofSCIM(r.URL.Path) {
			directories.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	}), nil
}

// ofSCIM reports whether the path is the service provider's.
func ofSCIM(path string) bool {
	return path == scimhttp.Prefix || strings.HasPrefix(path, scimhttp.Prefix+"/")
}

// private reports whether whoever asks can only be on this machine. Behind an
// outside address stands a proxy: it may well run here and ask for everybody by
// a loopback name, as many do unless they are told otherwise. Whoever reads the
// inbox can activate every account, so there it is not served.
func (h *home) private(addr net.Addr) bool {
	a, ok := addr.(*net.TCPAddr)
	u, err := url.Parse(h.app.URL)
	return ok && err == nil && a.IP.IsLoopback() && loopback(u.Hostname())
}

// inbox shows a mail folder to the portal.
type inbox struct{ folder *maildir.Folder }

func (i inbox) Latest(_ context.Context, skip, n int) ([]mail.Message, int, error) {
	var out []mail.Message
	for _, m := range i.folder.List(skip, n) {
		out = append(out, shown(m))
	}
	return out, i.folder.Count(), nil
}

func (i inbox) Open(_ context.Context, id identity.Message) (mail.Message, error) {
	m, err := i.folder.Read(string(id))
	return shown(m), err
}

// quiet keeps the server's own log, which quotes what clients send, down to the
// fact that something was wrong.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	kind := "http"
	for _, known := range []string{"TLS handshake error", "superfluous response.WriteHeader", "panic serving", "Accept error"} {
		if strings.Contains(r.Message, known) {
			kind = known
		}
	}
	return q.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, kind, r.PC))
}

func shown(m maildir.Mail) mail.Message {
	date := m.Written
	if date.IsZero() {
		date = m.Date
	}
	return mail.Message{ID: m.ID, From: mail.Address{Addr: m.From}, To: mail.Address{Addr: m.To},
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Language: m.Language, Date: date}
}
