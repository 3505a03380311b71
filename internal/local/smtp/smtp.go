// Package smtp sends mails to one SMTP server, the operator's relay
// (RFC 5321). What the server says and when the connection fails decides
// between "never", "not now" and "left open": only what happens after the
// whole message is on its way leaves open whether it was taken.
//
// It does not find the recipients' servers, does not queue and does not
// repeat: package courier does.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"strconv"
	"time"

	"gatehouse/internal/mail"
)

// Security is how the connection is protected.
type Security string

const (
	STARTTLS Security = "starttls" // required: a server that does not offer it gets no mail
	TLS      Security = "tls"      // from the first byte
	None     Security = "none"     // to this machine only
)

// Config says where the relay is and how it knows us.
type Config struct {
	Host     string
	Port     int      // 0: 587, with TLS 465, with None 25
	Security Security // empty: STARTTLS
	User     string   // empty: no authentication
	Password string
	Hello    string      // our name to the server; empty: "localhost"
	TLS      *tls.Config // nil: the system's certificate authorities, the name being Host
	Timeouts Timeouts
}

// Timeouts bound the phases of one mail; a zero takes its default.
type Timeouts struct {
	Connect time.Duration // TCP and TLS; 10 s
	Command time.Duration // each command and its answer; 20 s
	Data    time.Duration // from the message's first byte to the answer after its last; 60 s
}

// Sender is a mail.Sender that keeps its promise by repeating: SMTP has no
// means to tell a repeat. Each mail has a connection of its own.
type Sender struct{ c Config }

// New checks the configuration. It does not connect: a relay that is away at
// the start may be back when there is a mail.
func New(c Config) (*Sender, error) {
	if c.Host == "" {
		return nil, errors.New("the SMTP server has no name")
	}
	if c.Security == "" {
		c.Security = STARTTLS
	}
	port, ok := map[Security]int{STARTTLS: 587, TLS: 465, None: 25}[c.Security]
	if !ok {
		return nil, fmt.Errorf("SMTP security %q is not known: choose starttls, tls or none", c.Security)
	}
	if c.Security == None && !loopback(c.Host) {
		return nil, errors.New("SMTP without TLS is for a server on this machine only: choose starttls or tls")
	}
	if c.Port == 0 {
		c.Port = port
	}
	if c.Hello == "" {
		c.Hello = "localhost"
	}
	if c.TLS == nil {
		c.TLS = &tls.Config{}
	}
	c.TLS = c.TLS.Clone()
	if c.TLS.ServerName == "" {
		c.TLS.ServerName = c.Host
	}
	c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
	for d, otherwise := range map[*time.Duration]time.Duration{
		&c.Timeouts.Connect: 10 * time.Second, &c.Timeouts.Command: 20 * time.Second, &c.Timeouts.Data: time.Minute,
	} {
		if *d <= 0 {
			*d = otherwise
		}
	}
	return &Sender{c}, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Promise is mail.Sender's.
func (s *Sender) Promise() mail.Promise { return mail.Repeats }

// Send gives the message to the relay and returns its Message-ID. Errors are
// *mail.Reason; their codes are the server's status, or what broke: "connect",
// "tls", "timeout", "dropped", "auth", "smtputf8", "stopped".
func (s *Sender) Send(ctx context.Context, m mail.Message) (string, error) {
	text, err := m.Compose()
	if err != nil {
		return "", err
	}
	l, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	defer l.close()
	if err := l.greet(s.c); err != nil {
		return "", err
	}
	if err := l.envelope(m.From.Addr, m.To.Addr); err != nil {
		return "", err
	}
	if err := l.deliver(text, s.c.Timeouts.Data); err != nil {
		return "", err
	}
	return m.MessageID(), nil
}

// connect opens the connection and returns it without having read a byte.
func (s *Sender) connect(ctx context.Context) (*line, error) {
	deadline := time.Now().Add(s.c.Timeouts.Connect)
	dialing, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(dialing, "tcp", net.JoinHostPort(s.c.Host, strconv.Itoa(s.c.Port)))
	if err != nil {
		return nil, unreached(ctx, broken(err, "connect"))
	}
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); s.c.Security == None && (!ok || !a.IP.IsLoopback()) {
		conn.Close() // "localhost" is what the resolver says it is
		return nil, &mail.Reason{Code: "connect", Err: mail.ErrBusy}
	}
	if s.c.Security == TLS {
		secured := tls.Client(conn, s.c.TLS)
		if err := secured.HandshakeContext(dialing); err != nil {
			conn.Close()
			return nil, unreached(ctx, broken(err, "tls"))
		}
		conn = secured
	}
	l := &line{ctx: ctx, conn: conn, command: s.c.Timeouts.Command}
	// Whoever calls the work off does not wait for the server.
	l.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return l, nil
}

// greet takes the server's greeting, secures the line and makes us known.
// Whatever goes wrong here is not about this message.
func (l *line) greet(c Config) error {
	l.allow(l.command)
	client, err := smtp.NewClient(l.conn, c.Host)
	if err != nil {
		return later(l.ctx, code(err))
	}
	l.client = client
	l.allow(l.command)
	if err := client.Hello(c.Hello); err != nil {
		return later(l.ctx, code(err))
	}
	if c.Security == STARTTLS {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return later(l.ctx, "tls")
		}
		l.allow(l.command)
		if err := client.StartTLS(c.TLS); err != nil {
			return later(l.ctx, broken(err, "tls"))
		}
	}
	if c.User == "" {
		return nil
	}
	auth := choose(client, c)
	if auth == nil {
		return later(l.ctx, "auth")
	}
	l.allow(l.command)
	if err := client.Auth(auth); err != nil {
		return later(l.ctx, broken(err, "auth"))
	}
	return nil
}

// envelope names the sender and the recipient. A server that does not take our
// sender has a quarrel with us, which an operator can settle; one that does not
// take the recipient will not take it tomorrow.
func (l *line) envelope(from, to string) error {
	if ok, _ := l.client.Extension("SMTPUTF8"); !ok && !(ascii(from) && ascii(to)) {
		return &mail.Reason{Code: "smtputf8", Err: mail.ErrRefused}
	}
	l.allow(l.command)
	if err := l.client.Mail(from); err != nil {
		return later(l.ctx, code(err))
	}
	l.allow(l.command)
	if err := l.client.Rcpt(to); err != nil {
		return l.answered(err)
	}
	return nil
}

// deliver sends the message and takes the answer after its last byte.
func (l *line) deliver(text []byte, timeout time.Duration) error {
	l.allow(l.command)
	w, err := l.client.Data()
	if err != nil {
		return l.answered(err)
	}
	l.allow(timeout)
	if _, err := w.Write(text); err != nil {
		return later(l.ctx, code(err)) // the end of the message was not sent
	}
	if err := w.Close(); err != nil {
		if status(err) != 0 {
			return l.answered(err)
		}
		return &mail.Reason{Code: l.stopped(code(err)), Err: errLeftOpen}
	}
	return nil
}

// errLeftOpen wraps neither ErrRefused nor ErrLater: the server may have taken
// the message and its answer was lost.
var errLeftOpen = errors.New("the server did not say whether it took the message")
