// Package smtp is a relay for tests: a real SMTP server on a port of this
// machine that keeps what it is sent and misbehaves where a script tells it to.
//
// It delivers nothing and is no part of any program.
package smtp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Phase is a moment of a dialogue at which the script is asked.
type Phase string

const (
	Connect Phase = "connect" // before the greeting
	Hello   Phase = "hello"
	Auth    Phase = "auth"
	From    Phase = "from"
	To      Phase = "to"
	Data    Phase = "data"  // the client has been told to go ahead; nothing is read yet
	Taken   Phase = "taken" // the whole message is read and not answered yet
)

// Phases are all of them, in the order of a dialogue.
var Phases = []Phase{Connect, Hello, Auth, From, To, Data, Taken}

// Visit is what the script is asked about.
type Visit struct {
	Phase     Phase
	Times     int    // how often this phase was reached before, for this recipient once it is known
	Recipient string // empty until To
}

// Action is what the server does. The zero Action goes on as a server should.
type Action struct {
	Code     int    // refuse with this reply
	Enhanced [3]int // its enhanced status
	Text     string // its text
	Stall    bool   // say nothing until the client has gone
	Drop     bool   // close the connection
	Keep     bool   // at Taken: keep the mail before misbehaving
	// Late, if not nil, is waited for before anything is done.
	Late <-chan struct{}
}

// Options say what server to start. The zero Options: no TLS, no
// authentication, everybody is served.
type Options struct {
	STARTTLS   bool // offered
	TLS        bool // from the first byte
	NoUTF8     bool // SMTPUTF8 is not offered
	User       string
	Password   string
	Mechanisms []string           // offered; nil: PLAIN and LOGIN, if there is a User
	Script     func(Visit) Action // nil: everything goes well
}

// Mail is one mail that the server answered for, or kept.
type Mail struct {
	From, To string
	User     string // who was authenticated
	Secure   bool   // TLS was on
	Text     []byte
}

// Server is a running server.
type Server struct {
	Host  string
	Port  int
	Roots *x509.CertPool // trusts the server's certificate, which is for 127.0.0.1

	options Options
	server  *smtp.Server
	end     chan struct{}
	mu      sync.Mutex
	mails   []Mail
	visits  map[Visit]int
}

// Start starts a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.User != "" && o.Mechanisms == nil {
		o.Mechanisms = []string{sasl.Plain, sasl.Login}
	}
	s := &Server{Host: "127.0.0.1", options: o, end: make(chan struct{}), visits: map[Visit]int{}}
	s.server = smtp.NewServer(smtp.BackendFunc(s.session))
	s.server.Domain = "relay.test"
	s.server.EnableSMTPUTF8 = !o.NoUTF8
	s.server.AllowInsecureAuth = true
	s.server.ReadTimeout, s.server.WriteTimeout = time.Minute, time.Minute
	s.server.ErrorLog = quiet{}
	certificate, roots, err := selfSigned()
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	s.Roots = roots
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	if o.STARTTLS {
		s.server.TLSConfig = secure
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for SMTP: %v", err)
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	l = &door{Listener: l, s: s, ready: make(chan net.Conn), shut: make(chan struct{})}
	if o.TLS {
		l = tls.NewListener(l, secure)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.server.Serve(l)
	}()
	t.Cleanup(func() {
		close(s.end)
		s.server.Close()
		l.Close() // a server that had no time to take it up does not close it
		<-ended
	})
	return s
}

// Mails returns what was kept so far, in the order of arrival.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Greylist refuses each recipient once, "not now", and takes it when it comes
// again.
func Greylist(v Visit) Action {
	if v.Phase == To && v.Times == 0 {
		return Action{Code: 451, Enhanced: [3]int{4, 7, 1}, Text: "Greylisted, come again"}
	}
	return Action{}
}

// At returns a script that acts at one phase, every time.
func At(p Phase, a Action) func(Visit) Action {
	return func(v Visit) Action {
		if v.Phase == p {
			return a
		}
		return Action{}
	}
}

var errGone = errors.New("the connection is gone")

// act does what the script says and returns what the client is to be told.
func (s *Server) act(p Phase, recipient string, conn net.Conn, keep func()) error {
	s.mu.Lock()
	v := Visit{Phase: p, Recipient: recipient}
	v.Times = s.visits[v]
	s.visits[Visit{Phase: p, Recipient: recipient}]++
	s.mu.Unlock()
	var a Action
	if s.options.Script != nil {
		a = s.options.Script(v)
	}
	if a.Late != nil {
		select {
		case <-a.Late:
		case <-s.end:
		}
	}
	if keep != nil && (a.Keep || a.Code == 0 && !a.Stall && !a.Drop) {
		keep()
	}
	switch {
	case a.Drop:
		conn.Close()
		return errGone
	case a.Stall:
		s.stall(conn)
		return errGone
	case a.Code != 0:
		return &smtp.SMTPError{Code: a.Code, EnhancedCode: a.Enhanced, Message: a.Text}
	}
	return nil
}

// stall waits until the client has gone.
func (s *Server) stall(conn net.Conn) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, conn)
	}()
	select {
	case <-gone:
	case <-s.end:
	}
	conn.Close()
	<-gone
}

// door asks the script about each connection before the server greets it; one
// that stalls there keeps no other waiting.
type door struct {
	net.Listener
	s     *Server
	once  sync.Once
	ready chan net.Conn
	shut  chan struct{}
}

// Accept is net.Listener's.
func (d *door) Accept() (net.Conn, error) {
	d.once.Do(func() { go d.open() })
	select {
	case conn := <-d.ready:
		return conn, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

func (d *door) open() {
	defer close(d.shut)
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return
		}
		go func() {
			err := d.s.act(Connect, "", conn, nil)
			var refusal *smtp.SMTPError
			if errors.As(err, &refusal) {
				io.WriteString(conn, "554 5.3.2 "+refusal.Message+"\r\n")
			}
			if err != nil {
				conn.Close()
				return
			}
			select {
			case d.ready <- conn:
			case <-d.s.end:
				conn.Close()
			}
		}()
	}
}

func (s *Server) session(c *smtp.Conn) (smtp.Session, error) {
	if err := s.act(Hello, "", c.Conn(), nil); err != nil {
		return nil, err
	}
	one := &session{s: s, c: c}
	if s.options.User != "" || len(s.options.Mechanisms) > 0 {
		return &authSession{one}, nil
	}
	return one, nil
}

type session struct {
	s        *Server
	c        *smtp.Conn
	from, to string
	user     string
}

// Reset is smtp.Session's.
func (x *session) Reset() { x.from, x.to = "", "" }

// Logout is smtp.Session's.
func (x *session) Logout() error { return nil }

// Mail is smtp.Session's.
func (x *session) Mail(from string, _ *smtp.MailOptions) error {
	if x.s.options.User != "" && x.user == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	x.from = from
	return x.s.act(From, "", x.c.Conn(), nil)
}

// Rcpt is smtp.Session's.
func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	x.to = to
	return x.s.act(To, to, x.c.Conn(), nil)
}

// Data is smtp.Session's.
func (x *session) Data(r io.Reader) error {
	if err := x.s.act(Data, x.to, x.c.Conn(), nil); err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return x.s.act(Taken, x.to, x.c.Conn(), func() {
		_, secure := x.c.TLSConnectionState()
		x.s.mu.Lock()
		defer x.s.mu.Unlock()
		x.s.mails = append(x.s.mails, Mail{From: x.from, To: x.to, User: x.user, Secure: secure, Text: text})
	})
}

type authSession struct{ *session }

// AuthMechanisms is smtp.AuthSession's.
func (x *authSession) AuthMechanisms() []string { return x.s.options.Mechanisms }

// Auth is smtp.AuthSession's.
func (x *authSession) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if err := x.s.act(Auth, "", x.c.Conn(), nil); err != nil {
			return err
		}
		if user != x.s.options.User || password != x.s.options.Password {
			return smtp.ErrAuthFailed
		}
		x.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// loginServer is the server's side of LOGIN.
type loginServer struct {
	asked int
	user  string
	check func(user, password string) error
}

// Next is sasl.Server's.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func selfSigned() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots, nil
}

type quiet struct{}

// Printf is smtp.Logger's.
func (quiet) Printf(string, ...any) {}

// Println is smtp.Logger's.
func (quiet) Println(...any) {}
