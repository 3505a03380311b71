package ses

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"gatehouse/internal/mail"
)

// verdict is what an answer of SES means for the message.
type verdict struct {
	code string
	err  error
}

// answers are the errors that SendEmail and every AWS API document, by name.
// What is wrong with the account or its rate says nothing about the message and
// costs it no attempt. What is not here and below 500 was not taken, and why is
// not known: it is tried again, some times, and shows its status.
//
// BadRequestException and MessageRejected are about this message, unless their
// text says otherwise: see texts.
var answers = map[string]verdict{
	"MessageRejected":                    {"message-rejected", mail.ErrRefused},
	"BadRequestException":                {"bad-request", mail.ErrRefused},
	"ValidationException":                {"bad-request", mail.ErrRefused},
	"TooManyRequestsException":           {"throttled", mail.ErrBusy},
	"ThrottlingException":                {"throttled", mail.ErrBusy},
	"Throttling":                         {"throttled", mail.ErrBusy},
	"LimitExceededException":             {"limit-exceeded", mail.ErrBusy},
	"AccountSuspendedException":          {"account-suspended", mail.ErrClosed},
	"SendingPausedException":             {"sending-paused", mail.ErrClosed},
	"MailFromDomainNotVerifiedException": {"mail-from", mail.ErrClosed},
	// The one thing that a request names and that may not exist.
	"NotFoundException":                   {"configuration-set", mail.ErrClosed},
	"AccessDeniedException":               {"access-denied", mail.ErrClosed},
	"AccessDenied":                        {"access-denied", mail.ErrClosed},
	"NotAuthorized":                       {"access-denied", mail.ErrClosed},
	"OptInRequired":                       {"access-denied", mail.ErrClosed},
	"ExpiredToken":                        {"credentials", mail.ErrClosed},
	"ExpiredTokenException":               {"credentials", mail.ErrClosed},
	"IncompleteSignature":                 {"credentials", mail.ErrClosed},
	"IncompleteSignatureException":        {"credentials", mail.ErrClosed},
	"InvalidClientTokenId":                {"credentials", mail.ErrClosed},
	"InvalidSignatureException":           {"credentials", mail.ErrClosed},
	"MissingAuthenticationToken":          {"credentials", mail.ErrClosed},
	"RequestExpired":                      {"credentials", mail.ErrClosed},
	"SignatureDoesNotMatch":               {"credentials", mail.ErrClosed},
	"UnrecognizedClientException":         {"credentials", mail.ErrClosed},
	"MissingAuthenticationTokenException": {"credentials", mail.ErrClosed},
}

// texts are what SES says of the account under names that stand for the message
// as well, in lower case. They are read and never quoted: the first lists
// addresses.
var texts = []struct {
	says string
	verdict
}{
	{"not verified", verdict{"sandbox", mail.ErrBusy}},
	{"quota exceeded", verdict{"daily-quota", mail.ErrClosed}},
	{"rate exceeded", verdict{"throttled", mail.ErrBusy}},
	{"suspended", verdict{"account-suspended", mail.ErrClosed}},
	{"paused", verdict{"sending-paused", mail.ErrClosed}},
	{"configuration set", verdict{"configuration-set", mail.ErrClosed}},
	{"not authorized", verdict{"access-denied", mail.ErrClosed}},
}

// answered tells what an answer of SES means; false if the error is no answer,
// or one that leaves open whether the message was taken. from is the sender's
// address as SES got it.
func answered(err error, from string) (verdict, bool) {
	status := statusOf(err)
	var api smithy.APIError
	if status == 0 || status < 400 || !errors.As(err, &api) {
		return verdict{}, false
	}
	v, known := answers[api.ErrorCode()]
	if v.code == "throttled" && status != http.StatusRequestTimeout {
		if daily(api) {
			v = verdict{"daily-quota", mail.ErrClosed}
		}
		return v, true // whatever its status
	}
	if status >= 500 || status == http.StatusRequestTimeout {
		return verdict{}, false
	}
	switch api.ErrorCode() {
	case "MessageRejected", "BadRequestException", "ValidationException", "LimitExceededException":
		text := strings.ToLower(api.ErrorMessage())
		for _, t := range texts {
			if !strings.Contains(text, t.says) {
				continue
			}
			// In the sandbox recipients need to be verified too. The text names
			// whom it is about.
			if t.code == "sandbox" && strings.Contains(text, strings.ToLower(from)) {
				return verdict{"sender-not-verified", mail.ErrClosed}, true
			}
			return t.verdict, true
		}
	}
	switch {
	case known:
		return v, true
	case status == http.StatusRequestEntityTooLarge:
		return verdict{strconv.Itoa(status), mail.ErrRefused}, true
	}
	return verdict{strconv.Itoa(status), mail.ErrLater}, true
}

func daily(api smithy.APIError) bool {
	return strings.Contains(strings.ToLower(api.ErrorMessage()), "quota exceeded")
}

// limited reports whether SES answered that requests come too fast: it has not
// taken this one, and may take it in a second.
func limited(err error) bool {
	v, ok := answered(err, "")
	return ok && v.code == "throttled"
}

// reason is Send's error: a code of a closed form, and none of the words of SES
// or of the network, that tend to repeat addresses. reached tells whether a
// request can have arrived.
func reason(ctx context.Context, err error, from string, reached bool) error {
	if v, ok := answered(err, from); ok {
		return &mail.Reason{Code: v.code, Err: v.err}
	}
	r := &mail.Reason{Code: "dropped", Err: errLeftOpen}
	if !reached {
		r.Err = mail.ErrBusy
	}
	var (
		timeout net.Error
		cert    *tls.CertificateVerificationError
	)
	switch {
	case statusOf(err) >= 400:
		r.Code = strconv.Itoa(statusOf(err))
	case errors.Is(ctx.Err(), context.Canceled):
		r.Code = "stopped"
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		r.Code = "timeout"
	case errors.As(err, &cert):
		r.Code = "tls"
	case !reached:
		r.Code = "connect"
	}
	return r
}

// statusOf is the HTTP status of the answer, 0 if there was none.
func statusOf(err error) int {
	var r *smithyhttp.ResponseError
	if !errors.As(err, &r) || r.Response == nil || r.Response.Response == nil {
		return 0
	}
	return r.HTTPStatusCode()
}
