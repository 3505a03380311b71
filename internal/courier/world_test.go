package courier_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/due"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// world is a courier with all it touches, under a clock of its own.
type world struct {
	t      *testing.T
	mu     sync.Mutex
	time   time.Time
	table  *memory.Table
	faults *faults
	orgs   *org.Store
	org    *org.Org
	sender *carrier
	config courier.Config
	*courier.Service
	sweeper *due.Sweeper
	log     bytes.Buffer
	read    uint64         // how far the feed was read
	pending []table.Change // not yet taken by the consumer
	past    []table.Change
}

var serverKey = secret.Key{1, 2, 3}

func newWorld(t *testing.T, promise mail.Promise, change func(*courier.Config)) *world {
	t.Helper()
	w := &world{t: t, time: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)}
	w.table = memory.New(table.Subscription{Name: "welcome", Wants: courier.Wanted})
	w.table.Now = w.now
	w.faults = &faults{Table: w.table}
	// A table that was swept before: the first look back of a day costs time.
	if _, err := w.table.Commit(t.Context(), table.Put(table.Key{Part: "DUE", Sort: "#cursor"}, []byte("202611221050"))); err != nil {
		t.Fatalf("set the sweep's cursor: %v", err)
	}
	w.orgs = org.New(w.faults, serverKey, w.now, 0)
	o, err := w.orgs.Create(t.Context(), org.Spec{Name: "Example GmbH"})
	if err != nil {
		t.Fatalf("create an organization: %v", err)
	}
	w.org = o
	w.sender = &carrier{w: w, promise: promise, mails: map[identity.Message][]mail.Message{}}
	w.config = courier.Config{
		Table: w.faults, Orgs: w.orgs, Sender: w.sender, Now: w.now,
		Links: courier.Links{Key: serverKey, URL: "https://gate.example"},
		From:  mail.Address{Name: "Gatehouse", Addr: "no-reply@gate.example"},
		Log:   slog.New(slog.NewJSONHandler(&w.log, nil)),
		// One at a time, so that a step has a number.
		Parallel: 1,
	}
	if change != nil {
		change(&w.config)
	}
	w.restart()
	return w
}

// restart replaces what does not outlive a crash.
func (w *world) restart() {
	w.faults.mend()
	w.Service = courier.New(w.config)
	w.sweeper = &due.Sweeper{
		Table: w.faults, Now: w.now, Parallel: 1, Log: w.config.Log,
		Handlers: map[string]func(context.Context, due.Ref) error{courier.DueKind: w.Service.Due},
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// join stores a user with an address.
func (w *world) join() identity.User {
	id := identity.MintUser("abcde")
	w.store(id, `{"userName":"u-`+string(id)+`","displayName":"Canary Name","emails":[{"value":"canary.`+string(id)+`@example.test"}],"active":true}`)
	return id
}

func (w *world) store(id identity.User, doc string, also ...func(*roster.User)) {
	w.t.Helper()
	v, err := value.Parse([]byte(doc))
	if err != nil {
		w.t.Fatalf("parse a user: %v", err)
	}
	u := roster.User{ID: id}
	u.SetDoc(v, 0)
	for _, f := range also {
		f(&u)
	}
	if _, err := w.table.Commit(w.t.Context(), table.Put(roster.Of(w.table, w.org).UserKey(id), u.Encode(true))); err != nil {
		w.t.Fatalf("store a user: %v", err)
	}
}

func (w *world) remove(id identity.User) {
	w.t.Helper()
	items, err := w.table.Get(w.t.Context(), roster.Of(w.table, w.org).UserKey(id))
	if err == nil {
		_, err = w.table.Commit(w.t.Context(), table.Delete(items[0]))
	}
	if err != nil {
		w.t.Fatalf("remove a user: %v", err)
	}
}

func (w *world) queue(id identity.User) {
	w.t.Helper()
	if err := w.Queue(w.t.Context(), w.org, id, courier.Welcome); err != nil {
		w.t.Fatalf("Queue: %v", err)
	}
}

func (w *world) resend(id identity.User) {
	w.t.Helper()
	if err := w.Resend(w.t.Context(), w.org, id, "admin"); err != nil {
		w.t.Fatalf("Resend: %v", err)
	}
}

// fetch reads what the feed has since the last call.
func (w *world) fetch() {
	w.t.Helper()
	entries, err := w.table.Entries(w.t.Context(), w.read, 10_000)
	if err != nil {
		w.t.Fatalf("read the feed: %v", err)
	}
	for _, e := range entries {
		w.read = e.Position
		w.pending = append(w.pending, e.Change)
	}
}

// deliver gives the consumer what it has not taken yet, until nothing is left.
func (w *world) deliver() {
	w.t.Helper()
	for range 100 {
		if w.fetch(); len(w.pending) == 0 {
			return
		}
		w.consume(w.pending)
	}
	w.t.Fatalf("the feed does not come to an end: %d changes", len(w.pending))
}

// consume gives the consumer a batch and keeps what failed.
func (w *world) consume(batch []table.Change) {
	errs := w.Consume(w.t.Context(), batch)
	w.pending = nil
	for i, c := range batch {
		if errs != nil && errs[i] != nil {
			w.pending = append(w.pending, c)
		} else {
			w.past = append(w.past, c)
		}
	}
}

func (w *world) sweep() due.Report {
	r, err := w.sweeper.Sweep(w.t.Context())
	if err != nil && !w.faults.down() {
		w.t.Fatalf("Sweep: %v", err)
	}
	return r
}

// settle lets time pass, with sweeps and the feed, for as long as given.
func (w *world) settle(d time.Duration) {
	w.t.Helper()
	for end := w.now().Add(d); w.now().Before(end); w.pass(30 * time.Second) {
		w.deliver()
		w.sweep()
	}
	w.deliver()
}

func (w *world) state(id identity.User) courier.State {
	w.t.Helper()
	all, err := w.States(w.t.Context(), w.org, id)
	if err != nil {
		w.t.Fatalf("States: %v", err)
	}
	return all[id]
}

// want asserts a user's state, in short.
func (w *world) want(id identity.User, want string) {
	w.t.Helper()
	s := w.state(id)
	got := fmt.Sprintf("%s #%d attempts=%d %s", s.Status, s.Generation, s.Attempts, s.Reason)
	if got != want {
		w.t.Errorf("the message stands at %q, want %q", got, want)
	}
}

// total counts the mails that people have.
func (w *world) total() int {
	n := 0
	for _, m := range w.sender.mails {
		n += len(m)
	}
	return n
}

var (
	errCrash = errors.New("crashed")
	errDown  = errors.New("the process is gone")
)

// faults is a table that crashes the process at a chosen step: commits before
// or after they take hold, and sends, count as steps. From then on nothing
// works until it is mended.
type faults struct {
	table.Table
	mu    sync.Mutex
	step  int
	at    int // 0: never
	after bool
	gone  bool
	done  int             // how many crashes there were
	seen  strings.Builder // every key and item that was to be written
}

func (f *faults) plan(in int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.after = f.step+in, after
}

func (f *faults) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = false
}

func (f *faults) down() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone
}

// next counts a step and says whether the process is gone before or after it.
func (f *faults) next() (before, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return true, true
	}
	f.step++
	if f.at == 0 || f.step != f.at {
		return false, false
	}
	f.gone = true
	f.done++
	return !f.after, f.after
}

func (f *faults) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if f.down() {
		return nil, errDown
	}
	return f.Table.Get(ctx, keys...)
}

func (f *faults) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	if f.down() {
		return func(yield func(table.Item, error) bool) { yield(table.Item{}, errDown) }
	}
	return f.Table.Query(ctx, part, r)
}

func (f *faults) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	before, after := f.next()
	f.note(writes)
	if before {
		return "", errCrash
	}
	v, err := f.Table.Commit(ctx, writes...)
	if after {
		return "", errCrash
	}
	return v, err
}

func (f *faults) note(writes []table.Write) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range writes {
		f.seen.WriteString(w.Key.String() + " " + string(w.Data) + "\n")
	}
}

// carrier is a mail.Sender whose mails are counted, and which fails on demand.
type carrier struct {
	w       *world
	promise mail.Promise
	mu      sync.Mutex
	mails   map[identity.Message][]mail.Message
	fail    func(n int) error // for the n-th Send from 1; nil: taken. errOpen sends and errs
	sends   int
	reports []courier.Report // what a carrier that reports will say
}

var errOpen = &mail.Reason{Code: "dropped", Err: errors.New("no answer")}

func (c *carrier) Promise() mail.Promise { return c.promise }

func (c *carrier) Send(_ context.Context, m mail.Message) (string, error) {
	before, after := c.w.faults.next()
	if before {
		return "", errCrash
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sends++
	var err error
	if c.fail != nil {
		err = c.fail(c.sends)
	}
	if err == nil || errors.Is(err, errOpen) {
		if c.promise == mail.Once {
			c.mails[m.ID] = c.mails[m.ID][:0]
		}
		c.mails[m.ID] = append(c.mails[m.ID], m)
		if c.promise == mail.Settles {
			c.reports = append(c.reports, courier.Report{ID: m.ID, Status: courier.Sent, Carrier: "ses-1"})
		}
	}
	if after {
		return "", errCrash
	}
	return "carrier-1", err
}

func shuffled(r *rand.Rand, in []table.Change) []table.Change {
	out := append([]table.Change(nil), in...)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
