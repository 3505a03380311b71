package app_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/audit"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
	"gatehouse/internal/table/pump"
)

// outbox is a sender that keeps what it is given; it cannot tell repeats.
type outbox struct {
	mu    sync.Mutex
	mails []mail.Message
}

func (b *outbox) Send(_ context.Context, m mail.Message) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, m)
	return string(m.ID), nil
}

func (b *outbox) Promise() mail.Promise { return mail.Repeats }

func (b *outbox) to() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]int{}
	for _, m := range b.mails {
		out[m.To.Addr]++
	}
	return out
}

// world is the product over a table in memory.
type world struct {
	t     *testing.T
	mem   *memory.Table
	app   *app.App
	out   *outbox
	log   *bytes.Buffer
	org   *org.Org
	dir   provision.Directory
	logMu sync.Mutex
}

func (w *world) Write(b []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(b)
}

// newWorld makes the product; decorate may stand between it and its table.
func newWorld(t *testing.T, decorate func(table.Table) table.Table) *world {
	t.Helper()
	w := &world{t: t, mem: memory.New(app.Subscriptions()...), out: &outbox{}, log: &bytes.Buffer{}}
	var tab table.Table = w.mem
	if decorate != nil {
		tab = decorate(tab)
	}
	w.app = app.New(app.Ports{
		Table: tab, Key: secret.Mint(), URL: "https://gatehouse.test", Sender: w.out, From: mail.Address{Addr: "gatehouse@gatehouse.test"},
		Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Writer(w), nil)),
	})
	var err error
	orgs := org.New(w.mem, w.app.Key, time.Now, 0)
	if w.org, err = orgs.Create(t.Context(), org.Spec{Name: "Example"}); err != nil {
		t.Fatal(err)
	}
	c, err := orgs.CreateConnection(t.Context(), w.org, org.Connection{Name: "Directory"})
	if err != nil {
		t.Fatal(err)
	}
	// Whoever brings users gets answers, even where the feed's consumers do not.
	w.dir = provision.New(w.mem, time.Now).As(w.org, c, audit.Actor{Kind: "connection", ID: string(c.ID)})
	return w
}

// pump starts the feed and returns what waits until everything is delivered.
func (w *world) pump(o pump.Options) (drain func()) {
	w.t.Helper()
	o.Logger = w.app.Log
	o.Backoff = func(int) time.Duration { return time.Millisecond }
	p, err := pump.New(w.mem, w.mem, o, pump.Route{Name: app.FeedName, To: w.app.Feed()}, pump.Route{Name: app.WelcomeName, To: w.app.Courier})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	w.t.Cleanup(func() {
		stop()
		<-done
	})
	return func() {
		w.t.Helper()
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		defer cancel()
		if err := p.Drain(ctx); err != nil {
			w.t.Fatal(err)
		}
	}
}

func person(name string) provision.Doc {
	return provision.Doc{Attributes: value.Obj(value.M("userName", value.Str(name)), value.M("active", value.Boolean(true)),
		value.M("emails", value.Arr(value.Obj(value.M("value", value.Str(name))))))}
}

// dead is a table that takes no commits of the product's until it is alive.
// Dead letters, which the pump writes, go past it.
type dead struct {
	table.Table
	alive bool
}

func (d *dead) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if !d.alive {
		return "", errLost
	}
	return d.Table.Commit(ctx, writes...)
}
