package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"gatehouse/internal/app"
	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/aws/lambdatask"
	"gatehouse/internal/mail"
	"gatehouse/internal/table"
)

// Core puts together what SCIM is served with.
func (h *Home) Core() app.Core { return app.NewCore(h.ports) }

// App puts the product together for a function that sends no mail.
func (h *Home) App() *app.App { return app.New(h.ports) }

// Table returns the table, and what another client of AWS needs.
func (h *Home) Table() (table.Table, aws.Config, *slog.Logger) {
	return h.ports.Table, h.config, h.ports.Log
}

// Endpoint is where a service is, as its name stands in the SDK's variables;
// empty for the region's own place.
func (h *Home) Endpoint(service string) string { return h.env.endpoint(service) }

// Mailer puts the product together for a function that sends mail, with the
// sender that open gives.
func (h *Home) Mailer(open func(c aws.Config, endpoint, configurationSet string) mail.Sender) (*app.App, error) {
	from, err := h.env.need("GATEHOUSE_MAIL_FROM")
	if err != nil {
		return nil, err
	}
	set, err := h.env.need("GATEHOUSE_MAIL_SET")
	if err != nil {
		return nil, err
	}
	p := h.ports
	if p.Daily, err = h.env.limit(); err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	p.From = mail.Address{Name: "Gatehouse", Addr: from}
	// A connection that died while the environment was frozen costs a mail its
	// attempt, and a quarter of an hour until SES's silence settles it: none is
	// used again after a pause.
	mailing := h.config.Copy()
	mailing.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.IdleConnTimeout = idleMail })
	p.Sender = open(mailing, h.env.endpoint("SESV2"), set)
	return app.New(p), nil
}

// idleMail is how long a connection to SES is kept without use.
const idleMail = 5 * time.Second

// Stream serves a consumer with the table's stream.
func (h *Home) Stream(name string, to table.Consumer) lambda.Handler {
	s := &dynamo.Stream{Table: h.ports.Table, Name: name, To: to, Now: h.ports.Now, Log: h.ports.Log}
	return lambda.NewHandler(lambdatask.Wrap(s.Handle))
}

// answerTime is what is kept of a call's time, so that its end is told rather
// than cut off.
const answerTime = 2 * time.Second

// Sweep serves the schedule: it looks at what is due.
func (h *Home) Sweep(a *app.App) lambda.Handler {
	sweeper := a.Sweeper()
	return lambda.NewHandler(lambdatask.Do(func(ctx context.Context, _ json.RawMessage) error {
		if end, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, end.Add(-answerTime))
			defer cancel()
		}
		if err := h.tell(ctx); err != nil {
			return err
		}
		r, err := sweeper.Sweep(ctx)
		if r.Done > 0 || r.Failed > 0 || r.Dead > 0 {
			a.Log.InfoContext(ctx, "swept", "done", r.Done, "failed", r.Failed, "dead", r.Dead)
		}
		return err
	}))
}
