// Package ses sends mails through Amazon SES (API version 2) and reads what SES
// tells of them afterwards.
//
// SES cannot tell a repeated request from a new mail. So a request is repeated
// only where SES said that it did not take the one before, and each mail carries
// its id as a tag: SES's own events, which come back through EventBridge, tell
// by it what became of a request that was left open.
//
// It does not queue and does not decide whether a mail is sent again: package
// courier does. It keeps no list of addresses that bounce either: SES has one
// for the account.
package ses

import (
	"context"
	"errors"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"golang.org/x/net/idna"

	"gatehouse/internal/mail"
)

// messageTag is the name of the tag that holds the mail's id. SES takes letters,
// digits, "_" and "-" in names and values, at most 256 characters of each; the
// ids are 26 lower-case letters and digits.
const messageTag = "message"

const (
	// sendTime is what one mail may take at most, repeats after throttles
	// included. SES answers within a second; who waits much longer keeps a
	// function running for an answer that will not come.
	sendTime = 20 * time.Second
	// tries is how often a request is made while SES answers that it comes too
	// fast. What is still throttled then waits for the courier's next attempt.
	tries = 4
	// gap is the longest pause between two tries. The rate that SES limits is
	// one by the second.
	gap = 2 * time.Second
)

// Client returns a client for SES in cfg's region. endpoint is a URL that takes
// the place of the region's own, empty for none. The client repeats a request
// only after an answer which says that SES limits the rate: after anything else,
// a time-out or a 500 among it, a repeat could be a second mail.
func Client(cfg aws.Config, endpoint string) *sesv2.Client {
	return sesv2.NewFromConfig(cfg, func(o *sesv2.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = tries
			s.MaxBackoff = gap
			s.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				return aws.BoolTernary(limited(err))
			})}
			// The client's common budget of repeats is for a service in trouble; a
			// limited rate is none, and tries is small.
			s.RateLimiter = ratelimit.None
		})
	})
}

// Sender is a mail.Sender whose carrier reports by itself what it sent.
type Sender struct {
	client *sesv2.Client
	set    string
}

// New returns a sender over a client that Client made. configurationSet names
// the SES configuration set whose events come back to Parse; with an empty name
// there are no events, and each answer that is lost becomes a second mail.
func New(client *sesv2.Client, configurationSet string) *Sender {
	return &Sender{client: client, set: configurationSet}
}

// Open returns a sender with a client of its own; endpoint as for Client.
func Open(cfg aws.Config, endpoint, configurationSet string) mail.Sender {
	return New(Client(cfg, endpoint), configurationSet)
}

// Promise is mail.Sender's.
func (s *Sender) Promise() mail.Promise { return mail.Settles }

// Send gives the message to SES and returns SES's id of it. Errors are
// *mail.Reason:
//
//	refused    "smtputf8" (letters that SES cannot carry), "domain",
//	           "message-rejected", "bad-request", "413", and Compose's codes
//	not taken  "throttled", "daily-quota", "limit-exceeded", "connect",
//	           "sandbox", "sender-not-verified", "mail-from", "account-suspended",
//	           "sending-paused", "configuration-set", "access-denied",
//	           "credentials", "sender-address", another answer's status ("400")
//	left open  "timeout", "stopped", "dropped", an answer's status ("500")
//
// What is wrong with the account, its settings or our rights is never a refusal
// of the message: whoever runs the service can mend it.
func (s *Sender) Send(ctx context.Context, m mail.Message) (string, error) {
	m, err := carried(m)
	if err != nil {
		return "", err
	}
	text, err := m.Compose()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	ctx, reached := traced(ctx)
	in := &sesv2.SendEmailInput{
		FromEmailAddress: &m.From.Addr, // the envelope's; the name is in the raw header
		Destination:      &types.Destination{ToAddresses: []string{m.To.Addr}},
		Content:          &types.EmailContent{Raw: &types.RawMessage{Data: text}},
		EmailTags:        []types.MessageTag{{Name: aws.String(messageTag), Value: aws.String(string(m.ID))}},
	}
	if s.set != "" {
		in.ConfigurationSetName = &s.set
	}
	out, err := s.client.SendEmail(ctx, in)
	if err != nil {
		return "", reason(ctx, err, m.From.Addr, reached())
	}
	if out.MessageId == nil {
		return "", &mail.Reason{Code: "dropped", Err: errLeftOpen} // an answer without its content
	}
	return *out.MessageId, nil
}

// errLeftOpen wraps neither ErrRefused nor ErrLater: SES may have taken the
// message.
var errLeftOpen = errors.New("SES did not say whether it took the message")

// traced returns a context whose requests are watched, and a func that tells
// whether the last of them can have been read by SES: false only where it never
// had a connection.
func traced(ctx context.Context) (context.Context, func() bool) {
	var waiting atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { waiting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { waiting.Store(false) },
	}), func() bool { return !waiting.Load() }
}

// carried returns the message with addresses that SES can carry. It does not
// speak SMTPUTF8 (RFC 6531): a local part has to be ASCII, and a domain to be
// written in its A-labels (RFC 5890).
func carried(m mail.Message) (mail.Message, error) {
	var err error
	if m.From.Addr, err = ascii(m.From.Addr); err != nil {
		// The sender is the operator's setting, the same for every message.
		return m, &mail.Reason{Code: "sender-address", Err: mail.ErrLater}
	}
	if m.To.Addr, err = ascii(m.To.Addr); err != nil {
		return m, err
	}
	m.ReplyTo.Addr, err = ascii(m.ReplyTo.Addr)
	return m, err
}

func ascii(addr string) (string, error) {
	if plain(addr) {
		return addr, nil
	}
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || !plain(addr[:at]) {
		return addr, &mail.Reason{Code: "smtputf8", Err: mail.ErrRefused}
	}
	domain, err := idna.Lookup.ToASCII(addr[at+1:])
	if err != nil {
		return addr, &mail.Reason{Code: "domain", Err: mail.ErrRefused} // the error quotes the domain
	}
	return addr[:at+1] + domain, nil
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
