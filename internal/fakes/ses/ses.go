// Package ses is Amazon SES for tests: a server of the part of its API version 2
// that Gatehouse and its operators use, on a port of this machine. It keeps what
// it takes, tells of it by events in EventBridge's envelope, refuses what SES
// refuses, and misbehaves where a plan tells it to.
//
// It delivers nothing, checks of a signature the form alone, and is no part of
// any program. Of SES's rules it has those that a sender of raw mails meets; it
// has no templates, lists, tenants or dedicated addresses.
package ses

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

// Options say what account the server plays. The zero Options: an account
// without limits and out of the sandbox, every address verified, no
// configuration set, no events.
type Options struct {
	Address           string                  // to listen on; empty: a free port of 127.0.0.1
	Region            string                  // empty: "eu-central-1"
	Account           string                  // 12 digits; empty: "123456789012"
	ConfigurationSets []string                // that exist
	Verified          []string                // addresses and domains that may send, and in the sandbox receive; nil: all
	Sandbox           bool                    // recipients have to be verified too
	PerSecond         int                     // recipients in a second; 0: no limit
	PerDay            int                     // recipients in 24 hours; 0: no limit
	Now               func() time.Time        // called at any time, by the server's own goroutines too; nil: time.Now
	Plan              func(Visit) Action      // nil: SES is well; see Fail
	Outcome           func(to string) Outcome // nil: every mail arrives, but for SES's simulator addresses
	Events            func(json.RawMessage)   // takes events one after another; nil: none are made
	Courses           func(Event) []Course    // how an event travels; nil: once, at once
	Hold              bool                    // events wait for Release
	Types             []string                // event types that the sets publish, as the API names them ("SEND"); nil: all
}

// Visit is a request to send that is well-formed, as a plan sees it.
type Visit struct {
	Number int               // of all such requests, from 1
	Times  int               // how many there were before with the same tags
	To     string            // the first recipient
	Tags   map[string]string // the mail's tags
}

// Action is what the server does with a request. The zero Action does what SES
// does.
type Action struct {
	Code   string          // answer with this error: "MessageRejected"
	Status int             // the error's HTTP status; 0: what SES uses for the code
	Text   string          // the error's message
	Drop   bool            // cut the connection instead of answering
	Torn   bool            // cut it in the middle of the answer
	Keep   bool            // with an error or a cut: take the mail all the same
	Late   <-chan struct{} // if not nil: the mail is taken, the answer waits for this
}

// Mail is a mail that the server took.
type Mail struct {
	ID               string // SES's
	From             string // the envelope's, bare
	To               []string
	Tags             map[string]string
	ConfigurationSet string
	At               time.Time
	Raw              []byte // as it was given
	Text             []byte // as SES sends it: Message-ID is its own
	Outcome          Outcome
	*enmime.Envelope // of Text
}

// Arrived reports whether the recipient has it.
func (m Mail) Arrived() bool { return m.Outcome.arrives() }

// Server is a running server.
type Server struct {
	o       Options
	server  *http.Server
	ended   chan struct{} // the server does not serve any more
	end     chan struct{} // closed by Close
	closing sync.Once
	wake    chan struct{}
	addr    string

	handing sync.Mutex // one event at a time

	mu         sync.Mutex
	plan       func(Visit) Action
	mails      []Mail
	sets       map[string]bool
	verified   map[string]bool // nil: all
	suppressed map[string]string
	visits     int
	times      map[string]int
	recipients []sending // in the last 24 hours
	waiting    []event
	serial     int
}

type sending struct {
	at time.Time
	n  int
}

// New returns a server that does not listen yet.
func New(o Options) *Server {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Region == "" {
		o.Region = "eu-central-1"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		o: o, end: make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1), plan: o.Plan,
		sets: map[string]bool{}, suppressed: map[string]string{}, times: map[string]int{},
	}
	for _, name := range o.ConfigurationSets {
		s.sets[name] = true
	}
	if o.Verified != nil || o.Sandbox {
		s.verified = map[string]bool{}
	}
	for _, v := range o.Verified {
		s.verified[strings.ToLower(v)] = true
	}
	s.server = &http.Server{Handler: s.handler(), ReadHeaderTimeout: time.Minute}
	return s
}

// Start listens; Close has to follow.
func (s *Server) Start() error {
	l, err := net.Listen("tcp", s.o.Address)
	if err != nil {
		return fmt.Errorf("listen for SES's API: %w", err)
	}
	s.addr = l.Addr().String()
	var work sync.WaitGroup
	work.Go(func() { s.server.Serve(l) })
	if s.o.Events != nil && !s.o.Hold {
		work.Go(s.pass)
	}
	go func() {
		work.Wait()
		close(s.ended)
	}()
	return nil
}

// URL is the endpoint, without a slash at its end.
func (s *Server) URL() string { return "http://" + s.addr }

// Close ends the server, and lets late answers go. Events that wait are lost.
func (s *Server) Close() {
	s.closing.Do(func() {
		close(s.end)
		s.server.Close()
		if s.addr != "" {
			<-s.ended
		}
	})
}

// Fail sets the plan from now on; nil: SES is well again.
func (s *Server) Fail(plan func(Visit) Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = plan
}

// First returns a plan that acts on the first n requests of each mail.
func First(n int, a Action) func(Visit) Action {
	return func(v Visit) Action {
		if v.Times < n {
			return a
		}
		return Action{}
	}
}

// Always returns a plan that acts on every request.
func Always(a Action) func(Visit) Action {
	return func(Visit) Action { return a }
}

// All returns every mail that was taken, arrived or not, in order.
func (s *Server) All() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Inbox returns the mails that arrived at the address, in order.
func (s *Server) Inbox(address string) []Mail {
	var out []Mail
	for _, m := range s.All() {
		for _, to := range m.To {
			if m.Arrived() && strings.EqualFold(to, address) {
				out = append(out, m)
			}
		}
	}
	return out
}

// Requests returns how many well-formed requests to send there were, refused and
// lost ones among them.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visits
}

// Verify verifies an address or a domain.
func (s *Server) Verify(identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verified != nil {
		s.verified[strings.ToLower(identity)] = true
	}
}

// Leave lets the account out of the sandbox.
func (s *Server) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Sandbox = false
}

// Suppress puts an address on the account's suppression list; the reason is
// BOUNCE or COMPLAINT.
func (s *Server) Suppress(address, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suppressed[strings.ToLower(address)] = reason
}
