package account

import (
	"context"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// world is a service with everything beneath it, a clock that is set by hand,
// and a table that notes what goes through it.
type world struct {
	*Service
	t         *testing.T
	now       time.Time
	table     *noting
	orgs      *org.Store
	provision *provision.Service
	courier   *courier.Service
	mails     *mails
	key       secret.Key
	acme      *org.Org
	okta      provision.Directory
}

var start = time.Date(2026, 11, 22, 9, 0, 1, 0, time.UTC)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: start, mails: &mails{}, key: secret.Mint()}
	clock := func() time.Time { return w.now }
	m := memory.New()
	m.Now = clock
	w.table = &noting{Table: m}
	quiet := slog.New(slog.DiscardHandler)
	w.orgs = org.New(w.table, w.key, clock, 0)
	w.provision = provision.New(w.table, clock)
	w.courier = courier.New(courier.Config{
		Table: w.table, Orgs: w.orgs, Sender: w.mails, Now: clock, Log: quiet,
		Links: courier.Links{Key: w.key, URL: "https://gate.example"}, From: mail.Address{Addr: "gate@gate.example"},
	})
	w.Service = w.restarted()
	w.acme = w.org("Acme")
	w.okta = w.directory(w.acme, "Okta")
	return w
}

// restarted returns another service over the same table.
func (w *world) restarted() *Service {
	s := New(Config{
		Table: w.table, Orgs: w.orgs, Courier: w.courier, Provision: w.provision, Key: w.key,
		Now: func() time.Time { return w.now },
	})
	s.hasher = newHasher(s.hasher.pepper, cap(s.hasher.slots), quick)
	return s
}

// quick is for tests that are not about the cost of hashing.
var quick = params{memory: 64, time: 1, threads: 1}

func (w *world) org(name string) *org.Org {
	w.t.Helper()
	o, err := w.orgs.Create(w.t.Context(), org.Spec{Name: name})
	w.must(err)
	return o
}

func (w *world) directory(o *org.Org, name string) provision.Directory {
	w.t.Helper()
	c, err := w.orgs.CreateConnection(w.t.Context(), o, org.Connection{Name: name})
	w.must(err)
	return w.provision.As(o, c, audit.Actor{Kind: "connection", ID: string(c.ID)})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// join has the directory create a user.
func (w *world) join(d provision.Directory, userName, email string) roster.User {
	w.t.Helper()
	u, err := d.Join(w.t.Context(), provision.Doc{Attributes: value.Obj(
		value.M("userName", value.Str(userName)),
		value.M("displayName", value.Str("Erika Mustermann")),
		value.M("active", value.Boolean(true)),
		value.M("emails", value.Arr(value.Obj(value.M("value", value.Str(email)), value.M("primary", value.Boolean(true))))),
	)})
	w.must(err)
	return u
}

// set changes one attribute of the directory's user.
func (w *world) set(d provision.Directory, id identity.User, name string, to value.Value) {
	w.t.Helper()
	_, _, err := d.Change(w.t.Context(), string(id), nil, func(u roster.User) (provision.Doc, error) {
		return provision.Doc{Attributes: u.Doc().With(name, to), Extensions: u.Ext}, nil
	})
	w.must(err)
}

// link has the welcome mail sent and returns the secret in it.
func (w *world) link(o *org.Org, id identity.User) string {
	w.t.Helper()
	w.must(w.courier.Queue(w.t.Context(), o, id, courier.Welcome))
	w.send(o, id, "welcome#0001")
	return w.mails.secret(w.t)
}

func (w *world) send(o *org.Org, id identity.User, message string) {
	w.t.Helper()
	w.must(w.courier.Dispatch(w.t.Context(), table.Key{Part: o.Part("MSG", string(id)), Sort: message}))
}

const password = "korrekt pferd batterie klammer"

// activated joins a user and creates the password; the token is that of the
// session that activation begins.
func (w *world) activated(d provision.Directory, userName, email string) (roster.User, string) {
	w.t.Helper()
	u := w.join(d, userName, email)
	inv, err := w.Invite(w.t.Context(), w.link(d.Roster.Org(), u.ID))
	w.must(err)
	token, err := w.Activate(w.t.Context(), inv, password)
	w.must(err)
	return u, token
}

// mails takes every message.
type mails struct {
	mu   sync.Mutex
	sent []mail.Message
}

func (m *mails) Send(_ context.Context, msg mail.Message) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, msg)
	return "", nil
}

func (m *mails) Promise() mail.Promise { return mail.Once }

// secret is that of the link in the newest mail.
func (m *mails) secret(t *testing.T) string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sent) == 0 {
		t.Fatal("no mail was sent")
	}
	_, rest, ok := strings.Cut(m.sent[len(m.sent)-1].Text, "https://gate.example/activate/")
	if !ok || len(rest) < 43 {
		t.Fatalf("the mail holds no link: %s", m.sent[len(m.sent)-1].Text)
	}
	return rest[:43]
}

// noting is a table that counts reads and keeps what was written.
type noting struct {
	table.Table
	mu      sync.Mutex
	reads   int
	writes  []table.Write
	commits int
	fail    func([]table.Write) error // asked before each commit; may be nil
}

func (n *noting) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	n.count()
	return n.Table.Get(ctx, keys...)
}

func (n *noting) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	n.count()
	return n.Table.Query(ctx, part, r)
}

func (n *noting) count() {
	n.mu.Lock()
	n.reads++
	n.mu.Unlock()
}

func (n *noting) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	n.mu.Lock()
	n.commits++
	n.writes = append(n.writes, writes...)
	fail := n.fail
	n.mu.Unlock()
	if fail != nil {
		if err := fail(writes); err != nil {
			return "", err
		}
	}
	return n.Table.Commit(ctx, writes...)
}

// readsOf returns how many reads f makes.
func (n *noting) readsOf(f func()) int {
	n.mu.Lock()
	before := n.reads
	n.mu.Unlock()
	f()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.reads - before
}

// commitsOf returns how many commits f makes.
func (n *noting) commitsOf(f func()) int {
	n.mu.Lock()
	before := n.commits
	n.mu.Unlock()
	f()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.commits - before
}
