package ses_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"gatehouse/internal/aws/ses"
	fake "gatehouse/internal/fakes/ses"
	"gatehouse/internal/mail"
)

const (
	set     = "gatehouse-test"
	sender  = "no-reply@gate.example"
	person  = "canary.person@customer.test"
	subject = "Canary subject"
)

func start(t testing.TB, o fake.Options) *fake.Server {
	t.Helper()
	if o.ConfigurationSets == nil {
		o.ConfigurationSets = []string{set}
	}
	s := fake.New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// quick repeats as the client's own retryer does, without its pauses.
type quick struct{ aws.RetryerV2 }

func (quick) RetryDelay(int, error) (time.Duration, error) { return 0, nil }

// connect returns a client of the endpoint that waits for nothing but answers,
// and for those as long as given; 0: as long as there is time.
func connect(t testing.TB, endpoint string, wait time.Duration) *sesv2.Client {
	t.Helper()
	cfg := aws.Config{
		Region: "eu-central-1", HTTPClient: &http.Client{Timeout: wait, Transport: &http.Transport{}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	}
	c := ses.Client(cfg, endpoint)
	t.Cleanup(cfg.HTTPClient.(*http.Client).CloseIdleConnections)
	return sesv2.New(c.Options(), func(o *sesv2.Options) { o.Retryer = quick{o.Retryer.(aws.RetryerV2)} })
}

func message() mail.Message {
	return mail.Message{
		ID:   "0123456789abcdefghjkmnpqrs",
		From: mail.Address{Name: "Gatehouse", Addr: sender}, To: mail.Address{Name: "Canary Person", Addr: person},
		Subject: subject, Text: "Canary text", HTML: "<p>Canary text</p>", Language: "en",
		Date: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC),
	}
}

// told puts an error of Send in short: its class and its code.
func told(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "sent"
	}
	var r *mail.Reason
	if !errors.As(err, &r) {
		t.Errorf("Send gives %T, want a *mail.Reason", err)
		return err.Error()
	}
	switch {
	case errors.Is(err, mail.ErrRefused):
		return "refused: " + r.Code
	case errors.Is(err, mail.ErrLater):
		return "later: " + r.Code
	}
	return "open: " + r.Code
}
