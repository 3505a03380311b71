package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
	"gatehouse/internal/local/maildir"
	"gatehouse/internal/local/pebble"
	"gatehouse/internal/local/smtp"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
	"gatehouse/internal/table/pump"
)

// Options are what Serve is told.
type Options struct {
	Data   Folder
	Listen string // host:port; port 0 takes a free one
	URL    string // outside address; empty: the address listened on
	Ready  string // file to write when it answers; empty: none
	Demo   bool   // make the demo organization where nothing is yet
	Client string // header in which a proxy names the client; empty: none is believed

	SMTP         string // host:port; empty: mails go to the data folder
	SMTPUser     string
	SMTPPassword string
	SMTPTLS      string // "starttls", "tls" or "none"
	From         string // address that mails come from
	MailLimit    int    // mails of one organization in a day; 0: no limit
	Rate         int    // requests a second of a connection that has no rate of its own; 0: no limit

	Out io.Writer // where to look and with what
	Err io.Writer // the log, a JSON object a line
}

// folderLease is how long one attempt to put a mail into the folder has: it is
// quick, and a repeat does no harm there.
const folderLease = 15 * time.Second

// sweepEvery is how often due work is looked for: more often than EventBridge's
// minute, since here it costs nothing.
const sweepEvery = 2 * time.Second

// home is what is open of a data folder.
type home struct {
	app   *app.App
	op    *app.Operator
	table *pebble.Table
	mails *maildir.Folder // nil with SMTP
	log   *slog.Logger
}

// open opens a data folder, which nobody else must have open.
func open(ctx context.Context, o Options, log *slog.Logger) (*home, error) {
	if err := o.Data.prepare(); err != nil {
		return nil, err
	}
	if err := o.Data.checkStore(); err != nil {
		return nil, err
	}
	t, err := pebble.Open(o.Data.path("store"), pebble.Options{Subscriptions: app.Subscriptions(), Logger: log})
	if err != nil {
		return nil, refused(err, o.Data)
	}
	h := &home{table: t, log: log}
	if err := h.build(ctx, o); err != nil {
		t.Close()
		return nil, err
	}
	return h, nil
}

// refused says what an operator can do about a store that does not open.
func refused(err error, f Folder) error {
	kind := map[error]string{
		pebble.ErrServed:  "Another gatehouse serves %s.",
		pebble.ErrSchema:  "The store in %s was written by another version of gatehouse, which this one does not know. Use that version.",
		pebble.ErrLost:    "The store in %s has lost files. Nothing was changed. Restore a backup.",
		pebble.ErrDamaged: "The store in %s is damaged. Nothing was changed. Restore a backup.",
		table.ErrFull:     "There is no room for a store in %s.",
	}
	for known, msg := range kind {
		if errors.Is(err, known) {
			return &fault.Error{Kind: fault.Unavailable, Msg: fmt.Sprintf(msg, f), Err: err}
		}
	}
	return err
}

func (h *home) build(ctx context.Context, o Options) error {
	founded, err := app.Founded(ctx, h.table)
	if err != nil {
		return err
	}
	was, err := o.Data.wasFounded()
	if err != nil {
		return err
	}
	if was && !founded {
		return o.Data.errEmptied()
	}
	p := app.Ports{Table: h.table, URL: strings.TrimSuffix(o.URL, "/"), Now: time.Now, Log: h.log,
		Daily: o.MailLimit, Rate: o.Rate, CredentialCache: time.Minute}
	if p.Key, err = o.Data.key(!founded); err != nil {
		return err
	}
	if err := app.Prepare(ctx, h.table, p.Key, p.Now()); err != nil {
		return err
	}
	if !was {
		// A full disk does not keep an old store from being read.
		if err := o.Data.found(p.Key); err != nil && !founded {
			return err
		} else if err != nil {
			h.log.Error("the next start tries again", "error", err.Error())
		}
	}
	if o.SMTP == "" {
		mails, err := maildir.Open(o.Data.path("mail"))
		if err != nil {
			return err
		}
		h.mails, p.Sender, p.Lease = mails, mails, folderLease
		p.From = mail.Address{Name: "Gatehouse", Addr: "no-reply@gatehouse.invalid"}
	} else {
		host, port, err := net.SplitHostPort(o.SMTP)
		if err != nil {
			return fault.New(fault.Invalid, "", "The SMTP server has to be named as host:port.")
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return fault.New(fault.Invalid, "", "The SMTP server has to be named as host:port.")
		}
		sender, err := smtp.New(smtp.Config{Host: host, Port: int(n), Security: smtp.Security(o.SMTPTLS), User: o.SMTPUser, Password: o.SMTPPassword})
		if err != nil {
			return err
		}
		p.Sender = sender
	}
	if o.From != "" {
		p.From = mail.Address{Name: "Gatehouse", Addr: o.From}
	}
	h.app = app.New(p)
	h.op = &app.Operator{App: h.app, Home: map[string]func(context.Context, json.RawMessage) (any, error){
		"backup": func(ctx context.Context, args json.RawMessage) (any, error) { return h.backup(ctx, o.Data, args) },
	}}
	return nil
}

// Serve serves a data folder until the context ends, and then finishes what it
// began.
func Serve(ctx context.Context, o Options) error {
	log := slog.New(slog.NewJSONHandler(o.Err, nil))
	if err := o.check(); err != nil {
		return err
	}
	if o.Data.served(ctx) {
		return refused(pebble.ErrServed, o.Data)
	}
	// A script that waits for the file must not read where a program was.
	ready := readyFile(o.Ready)
	if err := ready.remove(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	defer ln.Close()
	if o.URL == "" {
		o.URL = "http://" + ln.Addr().String()
	}
	h, err := open(ctx, o, log)
	if err != nil {
		return err
	}
	defer h.close()
	pages, err := h.pages(ln.Addr(), o.Client)
	if err != nil {
		return err
	}
	demo, err := h.demo(ctx, o)
	if err != nil {
		return err
	}
	control, err := o.Data.control(h.op, log)
	if err != nil {
		return err
	}
	defer control.Close()

	work, stopWork := context.WithCancel(context.Background())
	done, err := h.work(work)
	if err != nil {
		stopWork()
		return err
	}
	defer func() { stopWork(); done() }()

	server := newServer(pages, log)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	r := h.readiness(ln.Addr(), demo)
	if err := ready.write(r); err != nil {
		return err
	}
	r.print(o.Out)
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve: %w", err), ready.remove())
	case <-ctx.Done():
	}
	err = ready.remove()
	drain(server, log)
	return err
}

// check refuses options that can never do, before anything is made.
func (o Options) check() error {
	if o.SMTP != "" && o.From == "" {
		return fault.New(fault.Invalid, "", "With --smtp, --from names the address that mails come from.")
	}
	if o.From != "" {
		if a, err := netmail.ParseAddress(o.From); err != nil || a.Address != o.From {
			return fault.New(fault.Invalid, "", "%.100q is not an address that mails can come from; it has to look like no-reply@example.com.", o.From)
		}
	}
	if o.URL != "" {
		if err := checkURL(o.URL); err != nil {
			return err
		}
	}
	if o.Rate != 0 && (o.Rate < org.MinRate || o.Rate > org.MaxRate) {
		return fault.New(fault.Invalid, "", "--scim-rate is a number of requests a second from %d to %d, or 0 for no limit.", org.MinRate, org.MaxRate)
	}
	return readyFile(o.Ready).check()
}

// checkURL takes what links and locations may begin with.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return fault.New(fault.Invalid, "", "The outside address has to look like https://host or https://host:port.")
	}
	if strings.Contains(u.Hostname(), "_") {
		return fault.New(fault.Invalid, "", "The outside address %s has an underscore in its host, which no host name may have: identity providers such as Okta refuse it.", s)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return fault.New(fault.Invalid, "", "The outside address %s is http: passwords would travel in the clear. Put TLS before Gatehouse and name the https address.", s)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// gather is how long the feed's consumer waits for more events to work on: it
// makes one commit of all of them, which would else stand before the commits of
// who makes one request after the other.
const gather = 10 * time.Millisecond

// work pushes the feed and calls the sweep until the context ends; wait returns
// once they have stopped.
func (h *home) work(ctx context.Context) (wait func(), err error) {
	p, err := pump.New(h.table, h.table, pump.Options{Logger: h.log},
		pump.Route{Name: app.FeedName, To: h.app.Feed(), Gather: gather},
		pump.Route{Name: app.WelcomeName, To: h.app.Courier})
	if err != nil {
		return nil, err
	}
	pumped, swept := make(chan struct{}), make(chan struct{})
	go func() { defer close(pumped); p.Run(ctx) }()
	go func() {
		defer close(swept)
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			if _, err := h.app.Sweeper().Sweep(ctx); err != nil && ctx.Err() == nil {
				h.log.Error("sweep failed", "error", err.Error())
			}
			if err := h.app.Orgs.WriteCoercions(ctx, false); err != nil && ctx.Err() == nil {
				h.log.Warn("coercions are not written", "error", err.Error())
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { <-pumped; <-swept }, nil
}

func (h *home) close() {
	// What was counted since the last minute; without an open store for it there
	// is nothing to lose.
	if h.app != nil {
		if err := h.app.Orgs.WriteCoercions(context.Background(), true); err != nil {
			h.log.Warn("coercions are not written", "error", err.Error())
		}
	}
	if err := h.table.Close(); err != nil {
		h.log.Error("close the store", "error", err.Error())
	}
}

// demo returns the demo organization's credential: kept, made now, or none.
func (h *home) demo(ctx context.Context, o Options) (app.Demo, error) {
	d, ok, err := o.Data.demo()
	if err != nil || ok || !o.Demo {
		return d, err
	}
	for _, err := range h.app.Orgs.All(ctx) {
		return d, err // somebody works with this folder: no place for a demo
	}
	if d, err = h.op.MakeDemo(ctx, "Example GmbH", "demo", "admin@demo.example"); err != nil {
		return d, err
	}
	return d, o.Data.keepDemo(d)
}

// patience is how long a command waits for another one that has the store, or
// for a program that is about to answer or to end.
const patience = 5 * time.Second

// Operate carries out one command: in the program that serves the folder, or,
// if none does, here, on the store at rest. A store that is not there is made
// only for commands that make something.
func Operate(ctx context.Context, f Folder, outside, name string, args json.RawMessage) (json.RawMessage, error) {
	for began := time.Now(); ; {
		answer, served, err := f.ask(ctx, name, args)
		if served || err != nil {
			return answer, err
		}
		answer, err = f.operate(ctx, outside, name, args)
		if !errors.Is(err, pebble.ErrServed) || time.Since(began) >= patience {
			return answer, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the store: %w", ctx.Err())
		}
	}
}

// operate is Operate on the store at rest. Nothing was done if it fails with
// pebble.ErrServed.
func (f Folder) operate(ctx context.Context, outside, name string, args json.RawMessage) (json.RawMessage, error) {
	was, err := f.wasFounded()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(f.path("store")); errors.Is(err, os.ErrNotExist) && !was && name != "org create" {
		return nil, fault.New(fault.NotFound, "", "There is no Gatehouse in %s. Name its folder with --data.", f)
	}
	guessed := outside == ""
	if guessed {
		outside = "http://127.0.0.1:8080"
	}
	if err := checkURL(outside); err != nil {
		return nil, err
	}
	h, err := open(ctx, Options{Data: f, URL: outside}, slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, err
	}
	defer h.close()
	h.op.Guessed = guessed
	v, err := h.op.Do(ctx, name, args)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
