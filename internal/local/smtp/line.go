package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/mail"
)

// line is one connection to the server.
type line struct {
	ctx     context.Context
	conn    net.Conn
	client  *smtp.Client // nil until the server has greeted
	command time.Duration
	stop    func() bool
}

// allow gives the next exchange its time, none if the work was called off.
func (l *line) allow(d time.Duration) {
	l.conn.SetDeadline(time.Now().Add(d))
	if l.ctx.Err() != nil {
		l.conn.SetDeadline(time.Unix(1, 0))
	}
}

// close takes leave where that can still be heard. What the server says to it
// changes nothing.
func (l *line) close() {
	if l.client != nil {
		l.allow(time.Second)
		l.client.Quit()
	}
	l.stop()
	l.conn.Close()
}

// answered tells a server's "never" from its "not now". Answers that ask for
// authentication are about us, not about the message.
func (l *line) answered(err error) error {
	switch s := status(err); {
	case s == 530 || s == 534 || s == 535 || s == 538:
	case s >= 500:
		return &mail.Reason{Code: code(err), Err: mail.ErrRefused}
	}
	return later(l.ctx, code(err))
}

// unreached is later's where the server was not even reached: no message would
// have been taken.
func unreached(ctx context.Context, code string) error {
	if ctx.Err() != nil {
		code = "stopped"
	}
	return &mail.Reason{Code: code, Err: mail.ErrBusy}
}

// later is the reason of a message that was not taken and may be.
func later(ctx context.Context, code string) error {
	if ctx.Err() != nil {
		code = "stopped"
	}
	return &mail.Reason{Code: code, Err: mail.ErrLater}
}

func (l *line) stopped(code string) string {
	if l.ctx.Err() != nil {
		return "stopped"
	}
	return code
}

// status is the server's reply code, 0 if there was no reply.
func status(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

// enhanced is the status that RFC 2034 puts before a reply's text.
var enhanced = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// code names an error without quoting it: a server's text tends to repeat the
// address.
func code(err error) string {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return strings.TrimSpace(strconv.Itoa(reply.Code) + " " + enhanced.FindString(reply.Msg))
	}
	return broken(err, "dropped")
}

// broken is code, with another word for what is neither a reply nor a timeout.
func broken(err error, otherwise string) string {
	var (
		timeout net.Error
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		reply   *textproto.Error
	)
	switch {
	case errors.As(err, &reply):
		return code(err)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &verify):
		return "tls"
	}
	return otherwise
}

// choose returns the first way of authentication that both sides know, nil if
// there is none. Neither of them is used on a line that can be overheard:
// without TLS the server is on this machine.
func choose(client *smtp.Client, c Config) smtp.Auth {
	_, offered := client.Extension("AUTH")
	for _, mechanism := range strings.Fields(strings.ToUpper(offered)) {
		if mechanism == "PLAIN" {
			return plain{c.User, c.Password}
		}
	}
	for _, mechanism := range strings.Fields(strings.ToUpper(offered)) {
		if mechanism == "LOGIN" {
			return &login{user: c.User, password: c.Password}
		}
	}
	return nil
}

// plain is SASL PLAIN (RFC 4616).
type plain struct{ user, password string }

func (a plain) Start(*smtp.ServerInfo) (string, []byte, error) {
	return "PLAIN", []byte("\x00" + a.user + "\x00" + a.password), nil
}

func (a plain) Next(_ []byte, more bool) ([]byte, error) {
	if more {
		return nil, errors.New("the server asks for more than PLAIN has")
	}
	return nil, nil
}

// login is the LOGIN mechanism, which some servers offer alone: two questions,
// answered in order whatever their words.
type login struct {
	user, password string
	asked          int
}

func (a *login) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (a *login) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	a.asked++
	switch a.asked {
	case 1:
		return []byte(a.user), nil
	case 2:
		return []byte(a.password), nil
	}
	return nil, errors.New("the server asks for more than LOGIN has")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
