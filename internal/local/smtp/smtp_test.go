package smtp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"
	"go.uber.org/goleak"

	fake "gatehouse/internal/fakes/smtp"
	"gatehouse/internal/local/smtp"
	"gatehouse/internal/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quick = smtp.Timeouts{Connect: 300 * time.Millisecond, Command: 300 * time.Millisecond, Data: 300 * time.Millisecond}

func message() mail.Message {
	return mail.Message{
		ID: "0123456789abcdefghjkmnpqrs", From: mail.Address{Name: "Gatehouse", Addr: "gate@house.test"},
		To: mail.Address{Addr: "canary@example.test"}, Subject: "Ihr Konto bei Müller & Söhne",
		Text: "Grüße\n.\nein Punkt\n", HTML: "<p>Grüße</p>", Language: "de",
		Date: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC),
	}
}

func sender(t *testing.T, s *fake.Server, c smtp.Config) *smtp.Sender {
	t.Helper()
	c.Host, c.Port = s.Host, s.Port
	if c.Security == "" {
		c.Security = smtp.None
	}
	if c.Timeouts == (smtp.Timeouts{}) {
		c.Timeouts = quick
	}
	c.TLS = &tls.Config{RootCAs: s.Roots}
	out, err := smtp.New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return out
}

// outcome names what an error says, in one word and its code.
func outcome(err error) string {
	if err == nil {
		return "taken"
	}
	word := "left open"
	switch {
	case errors.Is(err, mail.ErrRefused):
		word = "refused"
	case errors.Is(err, mail.ErrLater):
		word = "later"
	}
	var r *mail.Reason
	if !errors.As(err, &r) {
		return word + " without a reason"
	}
	return word + ": " + r.Code
}

func TestSend(t *testing.T) {
	s := fake.Start(t, fake.Options{})
	id, err := sender(t, s, smtp.Config{Timeouts: smtp.Timeouts{Connect: time.Minute}}).Send(t.Context(), message())
	if err != nil || id != "0123456789abcdefghjkmnpqrs@house.test" {
		t.Fatalf("Send = %q, %v, want the Message-ID", id, err)
	}
	mails := s.Mails()
	if len(mails) != 1 {
		t.Fatalf("the server has %d mails, want 1", len(mails))
	}
	m := mails[0]
	if m.From != "gate@house.test" || m.To != "canary@example.test" {
		t.Errorf("the envelope is %s to %s", m.From, m.To)
	}
	env, err := enmime.ReadEnvelope(strings.NewReader(string(m.Text)))
	if err != nil {
		t.Fatalf("read the mail back: %v", err)
	}
	for header, want := range map[string]string{
		"Subject": "Ihr Konto bei Müller & Söhne", "Auto-Submitted": "auto-generated", "Content-Language": "de",
		"Message-Id": "<0123456789abcdefghjkmnpqrs@house.test>", "Date": "Sun, 22 Nov 2026 11:00:00 +0000",
	} {
		if got := env.GetHeader(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if got := strings.ReplaceAll(env.Text, "\r\n", "\n"); got != "Grüße\n.\nein Punkt\n" {
		t.Errorf("the text is %q", got)
	}
	if env.HTML != "<p>Grüße</p>" {
		t.Errorf("the page is %q", env.HTML)
	}
}

// TestFailures has a row for each way in which each phase can fail.
func TestFailures(t *testing.T) {
	never := [3]int{5, 1, 1}
	for _, c := range []struct {
		name   string
		phase  fake.Phase
		action fake.Action
		want   string
		kept   int
	}{
		{"no service", fake.Connect, fake.Action{Code: 554, Text: "canary"}, "later: 554 5.3.2", 0},
		{"stalls before the greeting", fake.Connect, fake.Action{Stall: true}, "later: timeout", 0},
		{"drops before the greeting", fake.Connect, fake.Action{Drop: true}, "later: dropped", 0},
		{"refuses the hello", fake.Hello, fake.Action{Code: 550, Enhanced: never}, "later: 550 5.1.1", 0},
		{"stalls at the hello", fake.Hello, fake.Action{Stall: true}, "later: timeout", 0},
		{"drops at the hello", fake.Hello, fake.Action{Drop: true}, "later: dropped", 0},
		{"refuses the sender", fake.From, fake.Action{Code: 550, Enhanced: [3]int{5, 7, 1}}, "later: 550 5.7.1", 0},
		{"has no time for the sender", fake.From, fake.Action{Code: 421, Enhanced: [3]int{4, 3, 2}}, "later: 421 4.3.2", 0},
		{"stalls at the sender", fake.From, fake.Action{Stall: true}, "later: timeout", 0},
		{"drops at the sender", fake.From, fake.Action{Drop: true}, "later: dropped", 0},
		{"refuses the recipient", fake.To, fake.Action{Code: 550, Enhanced: never, Text: "no canary@example.test here"}, "refused: 550 5.1.1", 0},
		{"refuses without an enhanced status", fake.To, fake.Action{Code: 550, Enhanced: [3]int{-1, -1, -1}, Text: "canary@example.test"}, "refused: 550", 0},
		{"wants authentication at the recipient", fake.To, fake.Action{Code: 530, Enhanced: [3]int{5, 7, 0}}, "later: 530 5.7.0", 0},
		{"mailbox full for now", fake.To, fake.Action{Code: 452, Enhanced: [3]int{4, 2, 2}}, "later: 452 4.2.2", 0},
		{"stalls at the recipient", fake.To, fake.Action{Stall: true}, "later: timeout", 0},
		{"drops at the recipient", fake.To, fake.Action{Drop: true}, "later: dropped", 0},
		{"drops in the message", fake.Data, fake.Action{Drop: true}, "left open: dropped", 0},
		{"stalls in the message", fake.Data, fake.Action{Stall: true}, "left open: timeout", 0},
		{"refuses the content", fake.Taken, fake.Action{Code: 554, Enhanced: [3]int{5, 6, 0}}, "refused: 554 5.6.0", 0},
		{"cannot keep the content", fake.Taken, fake.Action{Code: 452, Enhanced: [3]int{4, 3, 1}}, "later: 452 4.3.1", 0},
		{"keeps it and stalls", fake.Taken, fake.Action{Stall: true, Keep: true}, "left open: timeout", 1},
		{"keeps it and drops", fake.Taken, fake.Action{Drop: true, Keep: true}, "left open: dropped", 1},
		{"loses it and drops", fake.Taken, fake.Action{Drop: true}, "left open: dropped", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := fake.Start(t, fake.Options{Script: fake.At(c.phase, c.action)})
			start := time.Now()
			_, err := sender(t, s, smtp.Config{}).Send(t.Context(), message())
			if got := outcome(err); got != c.want {
				t.Errorf("Send says %q, want %q", got, c.want)
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("Send took %v", d)
			}
			if got := len(s.Mails()); got != c.kept {
				t.Errorf("the server has %d mails, want %d", got, c.kept)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error quotes the server: %v", err)
			}
		})
	}
}

func TestGreylist(t *testing.T) {
	s := fake.Start(t, fake.Options{Script: fake.Greylist})
	to := sender(t, s, smtp.Config{})
	for i, want := range []string{"later: 451 4.7.1", "taken"} {
		_, err := to.Send(t.Context(), message())
		if got := outcome(err); got != want {
			t.Errorf("try %d: Send says %q, want %q", i+1, got, want)
		}
	}
}

func TestLateAnswer(t *testing.T) {
	late := make(chan struct{})
	s := fake.Start(t, fake.Options{Script: fake.At(fake.Taken, fake.Action{Late: late})})
	to := sender(t, s, smtp.Config{Timeouts: smtp.Timeouts{Connect: time.Minute}})
	done := make(chan error, 1)
	go func() { _, err := to.Send(t.Context(), message()); done <- err }()
	select {
	case err := <-done:
		t.Fatalf("Send says %q before the server answered", outcome(err))
	case <-time.After(50 * time.Millisecond):
	}
	close(late)
	if err := <-done; err != nil {
		t.Errorf("Send says %q after a late answer, want taken", outcome(err))
	}
}

func TestCalledOff(t *testing.T) {
	for _, c := range []struct {
		phase fake.Phase
		want  string
	}{{fake.Connect, "later: stopped"}, {fake.To, "later: stopped"}, {fake.Taken, "left open: stopped"}} {
		reached := make(chan struct{})
		s := fake.Start(t, fake.Options{Script: func(v fake.Visit) fake.Action {
			if v.Phase != c.phase {
				return fake.Action{}
			}
			close(reached)
			return fake.Action{Stall: true}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-reached; cancel() }()
		_, err := sender(t, s, smtp.Config{Timeouts: smtp.Timeouts{Connect: time.Minute}}).Send(ctx, message())
		if got := outcome(err); got != c.want {
			t.Errorf("called off at %s: Send says %q, want %q", c.phase, got, c.want)
		}
	}
}

func TestSecurityAndAuth(t *testing.T) {
	slow := smtp.Timeouts{Connect: time.Minute}
	for _, c := range []struct {
		name   string
		server fake.Options
		client smtp.Config
		want   string
	}{
		{"STARTTLS", fake.Options{STARTTLS: true}, smtp.Config{Security: smtp.STARTTLS}, "taken"},
		{"TLS", fake.Options{TLS: true}, smtp.Config{Security: smtp.TLS}, "taken"},
		{"STARTTLS is not offered", fake.Options{}, smtp.Config{Security: smtp.STARTTLS}, "later: tls"},
		{"PLAIN", fake.Options{STARTTLS: true, User: "u", Password: "p"}, smtp.Config{Security: smtp.STARTTLS, User: "u", Password: "p"}, "taken"},
		{"LOGIN alone", fake.Options{TLS: true, User: "u", Password: "p", Mechanisms: []string{"LOGIN"}}, smtp.Config{Security: smtp.TLS, User: "u", Password: "p"}, "taken"},
		{"another mechanism alone", fake.Options{TLS: true, User: "u", Mechanisms: []string{"XOAUTH2"}}, smtp.Config{Security: smtp.TLS, User: "u", Password: "p"}, "later: auth"},
		{"no authentication offered", fake.Options{}, smtp.Config{User: "u", Password: "p"}, "later: auth"},
		{"wrong password", fake.Options{User: "u", Password: "p"}, smtp.Config{User: "u", Password: "canary"}, "later: 535 5.7.8"},
		{"authentication wanted", fake.Options{User: "u", Password: "p"}, smtp.Config{}, "later: 530 5.7.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fake.Start(t, c.server)
			c.client.Timeouts = slow
			_, err := sender(t, s, c.client).Send(t.Context(), message())
			if got := outcome(err); got != c.want {
				t.Fatalf("Send says %q, want %q", got, c.want)
			}
			if err != nil {
				return
			}
			m := s.Mails()[0]
			if want := c.client.Security != ""; m.Secure != want {
				t.Errorf("sent with TLS: %v, want %v", m.Secure, want)
			}
			if m.User != c.client.User {
				t.Errorf("sent as %q, want %q", m.User, c.client.User)
			}
		})
	}
}

func TestUntrustedCertificate(t *testing.T) {
	for _, security := range []smtp.Security{smtp.STARTTLS, smtp.TLS} {
		s := fake.Start(t, fake.Options{STARTTLS: security == smtp.STARTTLS, TLS: security == smtp.TLS})
		to, err := smtp.New(smtp.Config{Host: s.Host, Port: s.Port, Security: security})
		if err != nil {
			t.Fatal(err)
		}
		_, err = to.Send(t.Context(), message())
		if got := outcome(err); got != "later: tls" {
			t.Errorf("%s with a certificate that nobody vouches for: Send says %q, want later: tls", security, got)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	to, err := smtp.New(smtp.Config{Host: "127.0.0.1", Port: port, Security: smtp.None})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = to.Send(t.Context(), message()); outcome(err) != "later: connect" {
		t.Errorf("Send says %q, want later: connect", outcome(err))
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		addr   string
		noUTF8 bool
		want   string
	}{
		{"grüße@example.test", false, "taken"},
		{"grüße@example.test", true, "refused: smtputf8"},
		{"a@b.test>\r\nRCPT TO:<c@d.test", false, "refused: address"},
		{"a b@example.test", false, "refused: address"},
		{"", false, "refused: address"},
	} {
		s := fake.Start(t, fake.Options{NoUTF8: c.noUTF8})
		m := message()
		m.To.Addr = c.addr
		_, err := sender(t, s, smtp.Config{Timeouts: smtp.Timeouts{Connect: time.Minute}}).Send(t.Context(), m)
		if got := outcome(err); got != c.want {
			t.Errorf("Send to %q says %q, want %q", c.addr, got, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		config smtp.Config
	}{
		{"no host", smtp.Config{}},
		{"no TLS to another machine", smtp.Config{Host: "relay.example", Security: smtp.None}},
		{"no TLS to an address", smtp.Config{Host: "192.0.2.1", Security: smtp.None}},
		{"an unknown word", smtp.Config{Host: "localhost", Security: "ssl"}},
	} {
		if _, err := smtp.New(c.config); err == nil {
			t.Errorf("%s: New took it", c.name)
		}
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := smtp.New(smtp.Config{Host: host, Security: smtp.None}); err != nil {
			t.Errorf("New(%q, none): %v", host, err)
		}
	}
}
