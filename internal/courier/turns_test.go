package courier_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
)

// stalling is a carrier for whom the mails of one organization take long and
// come to nothing, as long as it is told so.
type stalling struct {
	w       *world
	victims string        // part of the addresses that stall
	sent    chan struct{} // closed when each other organization has had a mail sent
	mended  atomic.Bool
	stalls  atomic.Int64
	mu      sync.Mutex
	mails   map[identity.Message]string
}

// others is how many organizations have mails that do not stall.
const others = 4

func (*stalling) Promise() mail.Promise { return mail.Once }

func (s *stalling) Send(_ context.Context, m mail.Message) (string, error) {
	if strings.Contains(m.To.Addr, s.victims) && !s.mended.Load() {
		s.stalls.Add(1)
		select {
		case <-s.sent:
		case <-time.After(5 * time.Second):
			s.w.t.Error("a mail that stalls keeps another organization's waiting")
		}
		s.w.pass(20 * time.Second) // four at once pass less than the pause that follows
		return "", &mail.Reason{Code: "timeout", Err: mail.ErrLater}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails[m.ID] = m.To.Addr
	if !strings.Contains(m.To.Addr, s.victims) && len(s.mails) == others {
		close(s.sent)
	}
	return "", nil
}

// One organization's mails that stall do not hold up another's: neither those
// of one batch, nor those that come after it.
func TestAStallIsItsOrganizationsOwn(t *testing.T) {
	s := &stalling{victims: "canary.", sent: make(chan struct{}), mails: map[identity.Message]string{}}
	w := newWorld(t, mail.Once, func(c *courier.Config) { c.Parallel, c.Sender = 4, s })
	s.w = w
	stalled, began := w.org, w.now()
	for range 30 {
		w.queue(w.join())
	}
	join := func() {
		quick, err := w.orgs.Create(t.Context(), org.Spec{Name: "Quick"})
		if err != nil {
			t.Fatal(err)
		}
		w.org = quick
		id := identity.MintUser("fghjk")
		w.store(id, `{"userName":"q-`+string(id)+`","emails":[{"value":"quick@example.test"}],"active":true}`)
		w.queue(id)
	}
	for range others {
		join()
	}
	w.fetch()
	w.consume(w.pending)
	select {
	case <-s.sent:
	default:
		t.Fatal("the other organizations' mails are not sent in the batch in which 30 stall")
	}
	if n := s.stalls.Load(); n > 4 {
		t.Errorf("%d of 30 mails that stall were tried in one batch, want the 4 that begin at once", n)
	}
	// The next batches: the stalling organization pauses.
	first := s.stalls.Load()
	w.org = stalled
	for range 10 {
		w.queue(w.join())
	}
	join()
	w.deliver()
	if n := s.stalls.Load() - first; n != 0 || len(s.mails) != others+1 {
		t.Errorf("after a stall %d more mails were tried at once and %d of the other organizations' sent, want none and %d", n, len(s.mails), others+1)
	}
	w.settle(time.Hour)
	if n := s.stalls.Load(); n > 12 {
		t.Errorf("in an hour of stalls %d attempts were made, want few", n)
	}
	if w.now().Sub(began) > 2*time.Hour {
		t.Errorf("an hour of stalls took %v", w.now().Sub(began))
	}
	s.mended.Store(true)
	w.settle(3 * time.Hour)
	if want := 40 + others + 1; len(s.mails) != want {
		t.Errorf("once the stall was over %d of %d mails were sent", len(s.mails), want)
	}
}

// panicking is a carrier that panics with what it was given.
type panicking struct{}

func (panicking) Promise() mail.Promise { return mail.Once }

func (panicking) Send(_ context.Context, m mail.Message) (string, error) { panic(m.To.Addr) }

// A mail that makes the carrier panic fails alone, and what it said is not told.
func TestAPanicIsOneMessagesFailure(t *testing.T) {
	w := newWorld(t, mail.Once, func(c *courier.Config) { c.Sender = panicking{} })
	w.queue(w.join())
	w.fetch()
	var failed []error
	for _, err := range w.Consume(t.Context(), w.pending) {
		if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) != 1 || strings.Contains(failed[0].Error(), "canary") || !strings.Contains(failed[0].Error(), "panicked") {
		t.Errorf("Consume over a carrier that panics = %v, want one failure without the address", failed)
	}
}
