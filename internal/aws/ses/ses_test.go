package ses_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/internal/aws/ses"
	fake "gatehouse/internal/fakes/ses"
	"gatehouse/internal/mail"
)

func TestSend(t *testing.T) {
	s := start(t, fake.Options{})
	sends := ses.New(connect(t, s.URL(), 0), set)
	if sends.Promise() != mail.Settles {
		t.Errorf("Promise() = %v, want Settles", sends.Promise())
	}
	m := message()
	m.Subject = "Grüße, \"Canary\""
	id, err := sends.Send(t.Context(), m)
	if err != nil {
		t.Fatalf("Send: %v", err)
	}
	got := s.Inbox(person)
	if len(got) != 1 {
		t.Fatalf("%d mails arrived, want 1", len(got))
	}
	one := got[0]
	if one.ID != id || one.Tags["message"] != string(m.ID) || len(one.Tags) != 1 || one.ConfigurationSet != set || one.From != sender {
		t.Errorf("SES has the mail %q of %q with tags %v and set %q; Send returned %q", one.ID, one.From, one.Tags, one.ConfigurationSet, id)
	}
	if one.GetHeader("Subject") != m.Subject || one.GetHeader("From") != "\"Gatehouse\" <"+sender+">" && one.GetHeader("From") != "Gatehouse <"+sender+">" ||
		strings.TrimSpace(one.Envelope.Text) != m.Text || strings.TrimSpace(one.HTML) != m.HTML {
		t.Errorf("the mail reads %q from %q: %q, %q", one.GetHeader("Subject"), one.GetHeader("From"), one.Envelope.Text, one.HTML)
	}
	raw, err := m.Compose()
	if err != nil || !bytes.Equal(raw, one.Raw) {
		t.Errorf("SES was given other bytes than Compose's (error %v)", err)
	}
}

// TestAnswers takes every error that AWS documents for SendEmail and for all
// calls, and the texts by which SES tells cases of one error apart.
func TestAnswers(t *testing.T) {
	s := start(t, fake.Options{})
	sends := ses.New(connect(t, s.URL(), 0), set)
	for _, c := range []struct {
		code   string
		status int // 0: SES's own
		text   string
		want   string
		tries  int // 0: one
	}{
		{code: "MessageRejected", text: "Contents contain a virus", want: "refused: message-rejected"},
		{code: "MessageRejected", text: "Address blacklisted.", want: "refused: message-rejected"},
		{code: "MessageRejected", text: "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: " + person, want: "later: sandbox"},
		{code: "MessageRejected", text: "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: " + sender + ", " + person, want: "later: sender-not-verified"},
		{code: "MessageRejected", text: "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: Gatehouse <" + sender + ">", want: "later: sender-not-verified"},
		{code: "MessageRejected", text: "Sending suspended for this account. For more information, please check the inbox of the email address associated with your AWS account.", want: "later: account-suspended"},
		{code: "MessageRejected", text: "Sending paused for this account.", want: "later: sending-paused"},
		{code: "BadRequestException", text: "Illegal address", want: "refused: bad-request"},
		{code: "BadRequestException", text: "Missing final '@domain'", want: "refused: bad-request"},
		{code: "BadRequestException", text: "Configuration set sending is paused", want: "later: sending-paused"},
		{code: "BadRequestException", text: "Configuration set <x> is invalid", want: "later: configuration-set"},
		{code: "NotFoundException", text: "Configuration set <x> does not exist.", want: "later: configuration-set"},
		{code: "AccountSuspendedException", want: "later: account-suspended"},
		{code: "SendingPausedException", want: "later: sending-paused"},
		{code: "MailFromDomainNotVerifiedException", want: "later: mail-from"},
		{code: "LimitExceededException", want: "later: limit-exceeded"},
		{code: "LimitExceededException", text: "Daily message quota exceeded.", want: "later: daily-quota"},
		{code: "LimitExceededException", text: "Maximum sending rate exceeded.", want: "later: throttled", tries: 4},
		{code: "TooManyRequestsException", text: "Too Many Requests", want: "later: throttled", tries: 4},
		{code: "ThrottlingException", text: "Maximum sending rate exceeded.", want: "later: throttled", tries: 4},
		{code: "ThrottlingException", text: "Rate exceeded", want: "later: throttled", tries: 4},
		{code: "Throttling", text: "Maximum sending rate exceeded.", want: "later: throttled", tries: 4},
		{code: "Throttling", status: 503, text: "Rate exceeded", want: "later: throttled", tries: 4},
		{code: "ThrottlingException", text: "Daily message quota exceeded.", want: "later: daily-quota"},
		{code: "TooManyRequestsException", text: "Daily message quota exceeded.", want: "later: daily-quota"},
		{code: "AccessDeniedException", text: "User is not authorized to perform ses:SendEmail on " + sender, want: "later: access-denied"},
		{code: "NotAuthorized", want: "later: access-denied"},
		{code: "OptInRequired", status: 403, want: "later: access-denied"},
		{code: "ExpiredTokenException", want: "later: credentials"},
		{code: "IncompleteSignature", want: "later: credentials"},
		{code: "InvalidClientTokenId", status: 403, want: "later: credentials"},
		{code: "MissingAuthenticationToken", want: "later: credentials"},
		{code: "RequestExpired", want: "later: credentials"},
		{code: "SignatureDoesNotMatch", want: "later: credentials"},
		{code: "UnrecognizedClientException", want: "later: credentials"},
		{code: "ValidationException", text: "1 validation error detected", want: "refused: bad-request"},
		{code: "RequestEntityTooLarge", status: 413, want: "refused: 413"},
		{code: "ConflictException", want: "later: 409"},
		{code: "SomethingNew", want: "later: 400"},
		{code: "RequestTimeoutException", status: 408, want: "open: 408"},
		{code: "InternalServiceErrorException", want: "open: 500"},
		{code: "InternalFailure", want: "open: 500"},
		{code: "ServiceUnavailable", want: "open: 503"},
		{code: "MessageRejected", status: 500, want: "open: 500"},
		{code: "", status: 502, want: "open: 502"},
	} {
		a := fake.Action{Code: c.code, Status: c.status, Text: c.text}
		if a.Code == "" {
			a.Code = "UnknownError"
		}
		s.Fail(fake.Always(a))
		before := s.Requests()
		_, err := sends.Send(t.Context(), message())
		if got := told(t, err); got != c.want {
			t.Errorf("after %s (%d) %q Send says %q, want %q", c.code, c.status, c.text, got, c.want)
		}
		if got, want := s.Requests()-before, max(c.tries, 1); got != want {
			t.Errorf("after %s (%d) %q there were %d requests, want %d", c.code, c.status, c.text, got, want)
		}
	}
	if n := len(s.All()); n != 0 {
		t.Errorf("SES took %d mails, want none", n)
	}
}

// TestLine breaks what lies between us and SES.
func TestLine(t *testing.T) {
	never := make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	for _, c := range []struct {
		name   string
		action fake.Action
		url    string
		wait   time.Duration
		cancel bool
		want   string
		mails  int
	}{
		{name: "cut before it was taken", action: fake.Action{Drop: true}, want: "open: dropped"},
		{name: "taken, answer lost", action: fake.Action{Drop: true, Keep: true}, want: "open: dropped", mails: 1},
		{name: "taken, answer torn", action: fake.Action{Torn: true, Keep: true}, want: "open: dropped", mails: 1},
		{name: "taken, and a 500", action: fake.Action{Code: "InternalFailure", Keep: true}, want: "open: 500", mails: 1},
		{name: "taken, answer late", action: fake.Action{Late: never}, wait: 100 * time.Millisecond, want: "open: timeout", mails: 1},
		{name: "called off", action: fake.Action{Late: never}, cancel: true, want: "open: stopped", mails: 1},
		{name: "nobody there", url: closed, want: "later: connect"},
		{name: "no such host", url: "http://ses.invalid", want: "later: connect"},
		{name: "no TLS", url: "https", want: "later: connect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := start(t, fake.Options{})
			s.Fail(func(fake.Visit) fake.Action {
				if c.cancel {
					time.AfterFunc(50*time.Millisecond, cancel)
				}
				return c.action
			})
			url := s.URL()
			switch c.url {
			case "":
			case "https":
				url = "https" + strings.TrimPrefix(url, "http")
			default:
				url = c.url
			}
			_, err := ses.New(connect(t, url, c.wait), set).Send(ctx, message())
			if got := told(t, err); got != c.want {
				t.Errorf("Send says %q, want %q", got, c.want)
			}
			if s.Requests() > 1 {
				t.Errorf("there were %d requests, want at most 1", s.Requests())
			}
			if n := len(s.All()); n != c.mails {
				t.Errorf("SES took %d mails, want %d", n, c.mails)
			}
		})
	}
}

// TestThrottledIsRepeated: what SES did not take is asked again, and a repeat
// that is lost is left open, whatever came before it.
func TestThrottledIsRepeated(t *testing.T) {
	s := start(t, fake.Options{})
	sends := ses.New(connect(t, s.URL(), 0), set)
	s.Fail(fake.First(3, fake.Action{Code: "ThrottlingException", Text: "Maximum sending rate exceeded."}))
	if _, err := sends.Send(t.Context(), message()); err != nil {
		t.Errorf("Send, throttled three times: %v", err)
	}
	if s.Requests() != 4 || len(s.All()) != 1 {
		t.Errorf("%d requests and %d mails, want 4 and 1", s.Requests(), len(s.All()))
	}
	s.Fail(func(v fake.Visit) fake.Action {
		if v.Number == 5 {
			return fake.Action{Code: "TooManyRequestsException"}
		}
		return fake.Action{Drop: true, Keep: true}
	})
	_, err := sends.Send(t.Context(), message())
	if got := told(t, err); got != "open: dropped" {
		t.Errorf("throttled, then lost: %q, want %q", got, "open: dropped")
	}
	if s.Requests() != 6 || len(s.All()) != 2 {
		t.Errorf("%d requests and %d mails, want 6 and 2", s.Requests(), len(s.All()))
	}
}

func TestAccount(t *testing.T) {
	now := time.Now()
	s := start(t, fake.Options{
		Sandbox: true, PerDay: 2, Now: func() time.Time { return now }, ConfigurationSets: []string{set},
	})
	send := func(name string) string {
		_, err := ses.New(connect(t, s.URL(), 0), name).Send(t.Context(), message())
		return told(t, err)
	}
	for _, step := range []struct {
		name string
		do   func()
		set  string
		want string
	}{
		{"nothing is verified", func() {}, set, "later: sender-not-verified"},
		{"in the sandbox", func() { s.Verify("gate.example") }, set, "later: sandbox"},
		{"out of the sandbox", s.Leave, set, "sent"},
		{"no such configuration set", func() {}, "other", "later: configuration-set"},
		{"suppressed: taken all the same", func() { s.Suppress(person, "BOUNCE") }, set, "sent"},
		{"the day is full", func() {}, set, "later: daily-quota"},
		{"the next day", func() { now = now.Add(25 * time.Hour) }, set, "sent"},
	} {
		step.do()
		if got := send(step.set); got != step.want {
			t.Errorf("%s: Send says %q, want %q", step.name, got, step.want)
		}
	}
	if n := len(s.Inbox(person)); n != 1 {
		t.Errorf("%d mails arrived, want the one before the suppression", n)
	}
}

func TestAddresses(t *testing.T) {
	s := start(t, fake.Options{})
	sends := ses.New(connect(t, s.URL(), 0), set)
	for _, c := range []struct {
		change func(*mail.Message)
		want   string
		from   string
		to     string
	}{
		{func(m *mail.Message) {}, "sent", sender, person},
		{func(m *mail.Message) { m.To.Addr = "ada@bücher.test" }, "sent", sender, "ada@xn--bcher-kva.test"},
		{func(m *mail.Message) { m.To.Addr = "Ada@BÜCHER.test" }, "sent", sender, "Ada@xn--bcher-kva.test"},
		{func(m *mail.Message) { m.From.Addr = "no-reply@tür.example" }, "sent", "no-reply@xn--tr-xka.example", person},
		{func(m *mail.Message) { m.To.Name = "Ädä, \"the\" <one@example.test>" }, "sent", sender, person},
		{func(m *mail.Message) { m.To.Addr = "o'hara+test!#$%&*-/=?^_`{|}~@customer.test" }, "sent", sender, "o'hara+test!#$%&*-/=?^_`{|}~@customer.test"},
		{func(m *mail.Message) { m.To.Addr = "bücher@customer.test" }, "refused: smtputf8", "", ""},
		{func(m *mail.Message) { m.To.Addr = "bücher" }, "refused: smtputf8", "", ""},
		{func(m *mail.Message) { m.To.Addr = "ada@ü\u200e.test" }, "refused: domain", "", ""},
		{func(m *mail.Message) { m.To.Addr = "ada@a b.test" }, "refused: address", "", ""},
		{func(m *mail.Message) { m.To.Addr = "" }, "refused: address", "", ""},
		{func(m *mail.Message) { m.ReplyTo.Addr = "bücher@customer.test" }, "refused: smtputf8", "", ""},
		{func(m *mail.Message) { m.ReplyTo.Addr = "help@bücher.test" }, "sent", sender, person},
		{func(m *mail.Message) { m.From.Addr = "tür@gate.example" }, "later: sender-address", "", ""},
		{func(m *mail.Message) { m.ID = "no id" }, "refused: message-id", "", ""},
	} {
		m := message()
		c.change(&m)
		before := len(s.All())
		_, err := sends.Send(t.Context(), m)
		if got := told(t, err); got != c.want {
			t.Errorf("Send from %q to %q, reply to %q, says %q, want %q", m.From.Addr, m.To.Addr, m.ReplyTo.Addr, got, c.want)
		}
		if got := s.All()[before:]; c.to == "" && len(got) > 0 {
			t.Errorf("a mail to %q was taken", m.To.Addr)
		} else if c.to != "" && (len(got) != 1 || got[0].To[0] != c.to || got[0].From != c.from) {
			t.Errorf("to %q SES has %d mails, want one from %q to %q", m.To.Addr, len(got), c.from, c.to)
		}
	}
}

// TestErrorsHoldNoPerson: whatever SES answers, Send's error is of a closed form.
func TestErrorsHoldNoPerson(t *testing.T) {
	s := start(t, fake.Options{})
	sends := ses.New(connect(t, s.URL(), 0), set)
	spoken := []string{person, "Canary", subject, "canary.person", sender, "CANARY.PERSON@CUSTOMER.TEST"}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom(append(spoken, "not verified", "quota exceeded", "rate exceeded", "paused", ":", "\n", "550 5.1.1")), 0, 6)
		a := fake.Action{
			Code: rapid.OneOf(rapid.SampledFrom([]string{
				"MessageRejected", "BadRequestException", "TooManyRequestsException", "NotFoundException", "InternalFailure", "LimitExceededException", "AccessDeniedException",
			}), rapid.SampledFrom(spoken)).Draw(t, "code"),
			Status: rapid.SampledFrom([]int{0, 400, 403, 404, 408, 413, 429, 500, 503}).Draw(t, "status"),
			Text:   strings.Join(words.Draw(t, "text"), " "),
			Drop:   rapid.IntRange(0, 9).Draw(t, "drop") == 0,
		}
		s.Fail(fake.Always(a))
		_, err := sends.Send(context.Background(), message())
		if err == nil {
			t.Fatalf("Send gives no error after %+v", a)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			for _, word := range spoken {
				if strings.Contains(strings.ToLower(e.Error()), strings.ToLower(word)) {
					t.Fatalf("after %+v the error %q holds %q", a, e, word)
				}
			}
		}
	})
}
