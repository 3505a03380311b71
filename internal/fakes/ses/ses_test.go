package ses_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go"

	"gatehouse/internal/fakes/ses"
)

func start(t *testing.T, o ses.Options) (*ses.Server, *sesv2.Client) {
	t.Helper()
	s := ses.New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, sesv2.New(sesv2.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(s.URL()), Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	})
}

func raw(to, text string) []byte {
	return fmt.Appendf(nil, "Message-ID: <own@gate.example>\r\nFrom: Gate <no-reply@gate.example>\r\nTo: <%s>\r\nSubject: Hello\r\n"+
		"\tagain\r\nContent-Type: text/plain\r\n\r\n%s\r\n", to, text)
}

func mail(to string, change ...func(*sesv2.SendEmailInput)) *sesv2.SendEmailInput {
	in := &sesv2.SendEmailInput{
		Destination: &types.Destination{ToAddresses: []string{to}}, ConfigurationSetName: aws.String("set"),
		Content:   &types.EmailContent{Raw: &types.RawMessage{Data: raw(to, "text")}},
		EmailTags: []types.MessageTag{{Name: aws.String("message"), Value: aws.String("m-1")}},
	}
	for _, f := range change {
		f(in)
	}
	return in
}

// code is the API's name of an error, empty for none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestRules(t *testing.T) {
	s, c := start(t, ses.Options{ConfigurationSets: []string{"set"}})
	tag := func(name, value string) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) {
			in.EmailTags = append(in.EmailTags, types.MessageTag{Name: &name, Value: &value})
		}
	}
	text := func(b []byte) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) { in.Content.Raw.Data = b }
	}
	recipients := func(n int) func(*sesv2.SendEmailInput) {
		return func(in *sesv2.SendEmailInput) {
			in.Destination.ToAddresses = slices.Repeat([]string{"a@customer.test"}, n)
		}
	}
	const bad = "BadRequestException"
	for _, x := range []struct {
		name   string
		to     string
		change func(*sesv2.SendEmailInput)
		want   string
	}{
		{"well", "a@customer.test", func(*sesv2.SendEmailInput) {}, ""},
		{"50 recipients", "a@customer.test", recipients(50), ""},
		{"51 recipients", "a@customer.test", recipients(51), bad},
		{"no recipient", "a@customer.test", recipients(0), bad},
		{"no domain", "a", func(*sesv2.SendEmailInput) {}, bad},
		{"beyond ASCII", "a@bücher.test", func(*sesv2.SendEmailInput) {}, bad},
		{"beyond ASCII in front", "ü@customer.test", func(*sesv2.SendEmailInput) {}, bad},
		{"domain with a dot at its end", "a@customer.test.", func(*sesv2.SendEmailInput) {}, bad},
		{"tag", "a@customer.test", tag("Az_-09", strings.Repeat("a", 256)), ""},
		{"tag too long", "a@customer.test", tag("n", strings.Repeat("a", 257)), bad},
		{"tag with a dot", "a@customer.test", tag("n", "a.b"), bad},
		{"tag with a space in its name", "a@customer.test", tag("n n", "a"), bad},
		{"tag empty", "a@customer.test", tag("n", ""), bad},
		{"tag twice", "a@customer.test", tag("message", "m-2"), bad},
		{"unknown set", "a@customer.test", func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = aws.String("other") }, "NotFoundException"},
		{"no set", "a@customer.test", func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = nil }, ""},
		{"no mail", "a@customer.test", text([]byte("no header")), bad},
		{"no sender", "a@customer.test", text([]byte("To: a@customer.test\r\n\r\ntext")), bad},
		{"header beyond ASCII", "a@customer.test", text([]byte("From: a@gate.example\r\nSubject: ü\r\n\r\ntext")), bad},
		{"line too long", "a@customer.test", text(raw("a@customer.test", strings.Repeat("a", 999))), bad},
		{"simple content", "a@customer.test", func(in *sesv2.SendEmailInput) {
			in.Content = &types.EmailContent{Simple: &types.Message{Subject: &types.Content{Data: aws.String("s")}, Body: &types.Body{}}}
		}, bad},
	} {
		before := len(s.All())
		out, err := c.SendEmail(t.Context(), mail(x.to, x.change))
		if got := code(err); got != x.want {
			t.Errorf("%s: SendEmail gives %q, want %q", x.name, got, x.want)
		}
		if n := len(s.All()) - before; (n == 1) != (x.want == "") {
			t.Errorf("%s: %d mails were kept", x.name, n)
		}
		if err == nil {
			m := s.All()[before]
			if *out.MessageId != m.ID || !strings.Contains(m.GetHeader("Message-Id"), m.ID) || m.GetHeader("Subject") != "Hello again" || strings.TrimSpace(m.Envelope.Text) != "text" {
				t.Errorf("%s: SES's id is %q, the mail's %q with Message-ID %q, about %q", x.name, *out.MessageId, m.ID, m.GetHeader("Message-Id"), m.GetHeader("Subject"))
			}
		}
	}
}

func TestSignature(t *testing.T) {
	s, _ := start(t, ses.Options{})
	const good = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-central-1/ses/aws4_request, SignedHeaders=host;x-amz-date, Signature="
	sum := strings.Repeat("0a", 32)
	for _, x := range []struct {
		authorization, date string
		want                string
	}{
		{"", "", "MissingAuthenticationToken"},
		{good + sum, "20261122T100000Z", ""},
		{good + sum, "20261121T100000Z", "IncompleteSignature"},
		{good + sum, "", "IncompleteSignature"},
		{good + "xyz", "20261122T100000Z", "IncompleteSignature"},
		{strings.Replace(good, "/ses/", "/email/", 1) + sum, "20261122T100000Z", "IncompleteSignature"},
		{strings.Replace(good, "host;", "", 1) + sum, "20261122T100000Z", "IncompleteSignature"},
		{"Bearer x", "20261122T100000Z", "IncompleteSignature"},
	} {
		r, err := http.NewRequest("GET", s.URL()+"/v2/email/account", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", x.authorization)
		r.Header.Set("X-Amz-Date", x.date)
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if e := got.Header.Get("X-Amzn-ErrorType"); e != x.want {
			t.Errorf("with %q of %q the answer is %q, want %q", x.authorization, x.date, e, x.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSettings(t *testing.T) {
	now := time.Now()
	s, c := start(t, ses.Options{Sandbox: true, PerSecond: 1, Now: func() time.Time { return now }})
	ctx := t.Context()
	send := func(to string) string {
		now = now.Add(time.Second)
		_, err := c.SendEmail(ctx, mail(to))
		return code(err)
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("without a set", send("a@customer.test"), "NotFoundException")
	_, err := c.CreateConfigurationSet(ctx, &sesv2.CreateConfigurationSetInput{ConfigurationSetName: aws.String("set")})
	want("create a set", code(err), "")
	_, err = c.GetConfigurationSet(ctx, &sesv2.GetConfigurationSetInput{ConfigurationSetName: aws.String("set")})
	want("read the set", code(err), "")
	want("unverified", send("a@customer.test"), "MessageRejected")
	for _, id := range []string{"gate.example", "a@customer.test"} {
		_, err = c.CreateEmailIdentity(ctx, &sesv2.CreateEmailIdentityInput{EmailIdentity: &id})
		want("verify "+id, code(err), "")
	}
	_, err = c.GetEmailIdentity(ctx, &sesv2.GetEmailIdentityInput{EmailIdentity: aws.String("b@customer.test")})
	want("an unknown identity", code(err), "NotFoundException")
	want("verified", send("a@customer.test"), "")
	want("another in the sandbox", send("b@customer.test"), "MessageRejected")
	_, err = c.SendEmail(ctx, mail("a@customer.test"))
	want("a second mail a second later", code(err), "")
	_, err = c.SendEmail(ctx, mail("a@customer.test"))
	want("a second mail in the second", code(err), "ThrottlingException")
	s.Leave()
	want("another out of the sandbox", send("b@customer.test"), "")

	b := aws.String("B@customer.test")
	_, err = c.GetSuppressedDestination(ctx, &sesv2.GetSuppressedDestinationInput{EmailAddress: b})
	want("not suppressed", code(err), "NotFoundException")
	_, err = c.PutSuppressedDestination(ctx, &sesv2.PutSuppressedDestinationInput{EmailAddress: b, Reason: types.SuppressionListReasonBounce})
	want("suppress", code(err), "")
	out, err := c.GetSuppressedDestination(ctx, &sesv2.GetSuppressedDestinationInput{EmailAddress: b})
	want("suppressed", code(err), "")
	if err == nil && out.SuppressedDestination.Reason != types.SuppressionListReasonBounce {
		t.Errorf("suppressed for %q", out.SuppressedDestination.Reason)
	}
	want("to the suppressed", send("b@customer.test"), "")
	_, err = c.DeleteSuppressedDestination(ctx, &sesv2.DeleteSuppressedDestinationInput{EmailAddress: b})
	want("suppress no more", code(err), "")
	want("to the address again", send("b@customer.test"), "")
	if n := len(s.Inbox("b@customer.test")); n != 2 {
		t.Errorf("%d mails arrived, want those before and after the suppression", n)
	}
	if a, err := c.GetAccount(ctx, &sesv2.GetAccountInput{}); err != nil || !a.ProductionAccessEnabled || a.SendQuota.SentLast24Hours != 5 {
		t.Errorf("GetAccount gives %+v, %v", a, err)
	}
}

// TestCourses: events are lost, late, repeated and out of order as planned, and
// of the types that are asked for.
func TestCourses(t *testing.T) {
	now := time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	var got []string
	s, c := start(t, ses.Options{
		ConfigurationSets: []string{"set"}, Hold: true, Now: func() time.Time { return now }, Types: []string{"SEND", "DELIVERY", "COMPLAINT"},
		Outcome: func(string) ses.Outcome { return ses.Complains },
		Courses: func(e ses.Event) []ses.Course {
			switch e.Type {
			case "Send":
				return []ses.Course{{Delay: time.Minute}, {Delay: 3 * time.Minute}}
			case "Complaint":
				return nil
			}
			return []ses.Course{{}}
		},
		Events: func(raw json.RawMessage) {
			var e struct {
				Kind   string `json:"detail-type"`
				Source string
				Time   time.Time
				Detail struct {
					EventType string
					Mail      struct {
						MessageID string
						Tags      map[string][]string
					}
				}
			}
			if err := json.Unmarshal(raw, &e); err != nil || e.Source != "aws.ses" || !e.Time.Equal(now.Truncate(time.Hour)) || e.Detail.Mail.Tags["message"][0] != "m-1" ||
				e.Detail.Mail.Tags["ses:configuration-set"][0] != "set" {
				t.Errorf("the event is %s (error %v)", raw, err)
			}
			got = append(got, now.Format("04")+" "+e.Kind)
		},
	})
	if _, err := c.SendEmail(t.Context(), mail("a@customer.test")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendEmail(t.Context(), mail("a@customer.test", func(in *sesv2.SendEmailInput) { in.ConfigurationSetName = nil })); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.Release()
		now = now.Add(time.Minute)
	}
	want := []string{"00 Email Delivered", "01 Email Sent", "03 Email Sent"}
	if !slices.Equal(got, want) {
		t.Errorf("the events came as %q, want %q", got, want)
	}
}

// TestEventsByThemselves: without Hold they come without being asked for.
func TestEventsByThemselves(t *testing.T) {
	got := make(chan json.RawMessage, 10)
	_, c := start(t, ses.Options{ConfigurationSets: []string{"set"}, Events: func(e json.RawMessage) { got <- e }})
	for _, to := range []string{"success@simulator.amazonses.com", "bounce+1@simulator.amazonses.com"} {
		if _, err := c.SendEmail(t.Context(), mail(to)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"Email Sent", "Email Delivered", "Email Sent", "Email Bounced"} {
		select {
		case e := <-got:
			if !strings.Contains(string(e), want) {
				t.Errorf("the event is %s, want %s", e, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event %q came", want)
		}
	}
}
