package events_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	aws "github.com/aws/aws-lambda-go/events"

	"gatehouse/events"
	"gatehouse/internal/app"
	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/aws/lambdahttp"
	"gatehouse/internal/aws/ses"
	"gatehouse/internal/courier"
	"gatehouse/internal/egress"
	"gatehouse/internal/table"
	"gatehouse/internal/web/oauth"
	"gatehouse/internal/web/portal"
	"gatehouse/internal/web/scimhttp"
)

// sample reads a sample into aws-lambda-go's type for it and refuses fields that
// the type does not know: what no function can see has no place in a sample.
func sample[T any](t *testing.T, name string) T {
	t.Helper()
	b, err := events.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("%s: something follows the event", name)
	}
	return v
}

func names(t *testing.T) []string {
	t.Helper()
	list, err := fs.Glob(events.Samples, "*.json")
	if err != nil || len(list) == 0 {
		t.Fatalf("the samples are %v, %v", list, err)
	}
	return list
}

func TestEverySampleIsListed(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+\\.json)` \\| [^|]+ \\| [^|]+ \\| (scim|portal|feed|welcome|mailevents|sweep|discarded) \\|$").FindAllSubmatch(readme, -1) {
		listed = append(listed, string(m[1]))
	}
	slices.Sort(listed)
	if have := names(t); !slices.Equal(listed, have) {
		t.Errorf("README.md lists\n%q, the folder has\n%q", listed, have)
	}
}

func TestEverySampleIsOfItsType(t *testing.T) {
	for _, name := range names(t) {
		switch source, _, _ := strings.Cut(name, "-"); source {
		case "http":
			e := sample[aws.APIGatewayV2HTTPRequest](t, name)
			if e.Version != "2.0" || e.RequestContext.RouteKey != e.RouteKey || e.RequestContext.HTTP.Path != e.RawPath {
				t.Errorf("%s: version %q, route keys %q and %q", name, e.Version, e.RouteKey, e.RequestContext.RouteKey)
			}
		case "stream":
			if e := sample[aws.DynamoDBEvent](t, name); len(e.Records) != 1 || e.Records[0].EventSource != "aws:dynamodb" || e.Records[0].Change.StreamViewType != "NEW_IMAGE" {
				t.Errorf("%s: %d records", name, len(e.Records))
			}
		case "sqs":
			if e := sample[aws.SQSEvent](t, name); len(e.Records) != 1 || e.Records[0].EventSource != "aws:sqs" {
				t.Errorf("%s: %d records", name, len(e.Records))
			}
		case "ses":
			if e := sample[aws.EventBridgeEvent](t, name); e.Source != "aws.ses" {
				t.Errorf("%s: source %q", name, e.Source)
			}
		case "schedule":
			if e := sample[aws.EventBridgeEvent](t, name); e.Source != "aws.events" || e.DetailType != "Scheduled Event" {
				t.Errorf("%s: %q of %q", name, e.DetailType, e.Source)
			}
		default:
			t.Errorf("%s: no such source", name)
		}
	}
}

// TestHTTP asks the pages and the service provider what the samples ask.
func TestHTTP(t *testing.T) {
	w, _ := loadWorld(t)
	log := slog.New(slog.DiscardHandler)
	pages, err := portal.New(portal.Config{URL: w.app.URL, Table: w.app.Table, Orgs: w.app.Orgs, Account: w.app.Accounts, Courier: w.app.Courier, Now: w.clock, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	granting := oauth.New(oauth.Config{URL: w.app.URL, Orgs: w.app.Orgs, Table: w.app.Table, Key: w.app.Key, Fetch: egress.New(), Now: w.clock, Log: log, Client: portal.ClientIn("")})
	pages = granting.Before(pages)
	scim := scimhttp.New(scimhttp.Config{URL: w.app.URL, Orgs: w.app.Orgs, Provision: w.app.Provision, Log: log, Now: w.clock})
	tests := map[string]struct {
		handler http.Handler
		status  int
		says    string
	}{
		"http-scim-post-users.json":     {scim, http.StatusCreated, `"userName":"bea.second@example.com"`},
		"http-scim-get-users.json":      {scim, http.StatusOK, `"userName":"` + address + `"`},
		"http-portal-get-sign-in.json":  {pages, http.StatusOK, "Example GmbH"},
		"http-portal-post-sign-in.json": {pages, http.StatusUnprocessableEntity, "The name or the password is not right"},
		"http-portal-post-token.json":   {pages, http.StatusUnauthorized, `"error":"invalid_client"`},
	}
	for _, name := range names(t) {
		if !strings.HasPrefix(name, "http-") {
			continue
		}
		tt, ok := tests[name]
		if !ok {
			t.Errorf("%s: nothing says how it is answered", name)
			continue
		}
		b, err := events.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		out, err := lambdahttp.New(tt.handler, log).Invoke(t.Context(), b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var a aws.APIGatewayV2HTTPResponse
		if err := json.Unmarshal(out, &a); err != nil {
			t.Errorf("%s: the answer %s: %v", name, out, err)
		}
		body := []byte(a.Body)
		if a.IsBase64Encoded {
			if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
				t.Errorf("%s: the body of the answer: %v", name, err)
			}
		}
		if a.StatusCode != tt.status || !bytes.Contains(body, []byte(tt.says)) {
			t.Errorf("%s: answered %d %s, want %d and %s", name, a.StatusCode, body, tt.status, tt.says)
		}
	}
}

// story takes the world to where the mail is sent.
func story(t *testing.T) (*world, file, table.Key) {
	t.Helper()
	w, f := loadWorld(t)
	key := w.deliver("stream-event-insert.json", app.FeedName, w.app.Feed())
	if _, subject, _ := strings.Cut(key.Part, "#EV#"); subject != f.User {
		t.Fatalf("stream-event-insert.json is about %q, want the user %q", key.Part, f.User)
	}
	message := w.deliver("stream-message-insert.json", app.WelcomeName, w.app.Courier)
	return w, f, message
}

// deliver hands a sample to a consumer as its function does, and returns the
// record's key. The image gets the version under which this world's table has the
// item.
func (w *world) deliver(name, consumer string, to table.Consumer) table.Key {
	w.t.Helper()
	e := sample[aws.DynamoDBEvent](w.t, name)
	c := e.Records[0].Change
	key := table.Key{Part: c.Keys["p"].String(), Sort: c.Keys["s"].String()}
	if c.NewImage != nil {
		if d, err := dynamo.Read(e.Records[0]); err != nil || !d.Wants(consumer) {
			w.t.Fatalf("%s: read as %+v, %v; want it to be for %s", name, d, err, consumer)
		}
		items, err := w.table.Get(w.t.Context(), key)
		if err != nil || len(items) != 1 {
			w.t.Fatalf("%s: the table has %d items under its key, %v", name, len(items), err)
		}
		c.NewImage["v"] = aws.NewStringAttribute(string(items[0].Version))
	}
	s := &dynamo.Stream{Table: w.table, Name: consumer, To: to, Now: w.clock, Log: slog.New(slog.DiscardHandler)}
	r, err := s.Handle(w.t.Context(), e)
	if err != nil || len(r.BatchItemFailures) > 0 {
		w.t.Fatalf("%s: handled with failures %v, %v", name, r.BatchItemFailures, err)
	}
	return key
}

func TestStreams(t *testing.T) {
	w, _, message := story(t)
	if len(w.mails) != 1 || w.mails[0].To.Addr != address {
		t.Fatalf("after the event and its message %d mails were sent, want one to the joiner", len(w.mails))
	}
	if d := w.stored(message); d.Status != string(courier.Sent) {
		t.Errorf("the message is %q, want sent", d.Status)
	}
	w.deliver("stream-event-insert.json", app.FeedName, w.app.Feed())
	w.deliver("stream-message-insert.json", app.WelcomeName, w.app.Courier)
	w.deliver("stream-message-modify.json", app.WelcomeName, w.app.Courier)
	w.deliver("stream-expired-remove.json", app.FeedName, w.app.Feed())
	if len(w.mails) != 1 {
		t.Errorf("the same samples once more made it %d mails, want one", len(w.mails))
	}
}

type stored struct {
	Status string `json:"s"`
	Reason string `json:"r"`
}

func (w *world) stored(k table.Key) stored {
	w.t.Helper()
	items, err := w.table.Get(w.t.Context(), k)
	var s stored
	if err != nil || len(items) != 1 || json.Unmarshal(items[0].Data, &s) != nil {
		w.t.Fatalf("the item under %v: %d found, %v", k, len(items), err)
	}
	return s
}

// TestMailEvents reports each sample of SES on a mail of its own.
func TestMailEvents(t *testing.T) {
	want := map[string]courier.Status{
		"ses-sent.json": courier.Sent, "ses-delivered.json": courier.Delivered, "ses-delivery-delayed.json": courier.Sent,
		"ses-bounced-permanent.json": courier.Bounced, "ses-bounced-transient.json": courier.Bounced,
		"ses-complained.json": courier.Complained, "ses-rejected.json": courier.Refused, "ses-rendering-failed.json": courier.Refused,
	}
	for _, name := range names(t) {
		if !strings.HasPrefix(name, "ses-") {
			continue
		}
		w, _, message := story(t)
		e := sample[aws.EventBridgeEvent](t, name)
		var d struct {
			Mail struct{ Tags map[string][]string }
		}
		if err := json.Unmarshal(e.Detail, &d); err != nil || !slices.Equal(d.Mail.Tags["message"], []string{string(w.mails[0].ID)}) {
			t.Errorf("%s: the tags are %v, %v; want the message %s", name, d.Mail.Tags, err, w.mails[0].ID)
		}
		settled := 0
		settle := ses.Handler(func(ctx context.Context, r courier.Report) error {
			settled++
			return w.app.Courier.Settle(ctx, r)
		}, slog.New(slog.DiscardHandler))
		if err := settle(t.Context(), e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s := w.stored(message); s.Status != string(want[name]) || want[name] == "" || settled == 0 && name != "ses-delivery-delayed.json" {
			t.Errorf("%s: the message is %q (%s) after %d reports, want %q", name, s.Status, s.Reason, settled, want[name])
		}
	}
}

// TestDiscardedBatch holds the sample of the queue to that of the stream.
func TestDiscardedBatch(t *testing.T) {
	r := sample[aws.SQSEvent](t, "sqs-discarded-batch.json").Records[0]
	var b struct {
		RequestContext struct{ FunctionArn string }
		Info           struct{ StartSequenceNumber, EndSequenceNumber, StreamArn string } `json:"DDBStreamBatchInfo"`
	}
	if err := json.Unmarshal([]byte(r.Body), &b); err != nil {
		t.Fatal(err)
	}
	of := sample[aws.DynamoDBEvent](t, "stream-event-insert.json").Records[0]
	if n := of.Change.SequenceNumber; b.Info.StartSequenceNumber != n || b.Info.EndSequenceNumber != n || b.Info.StreamArn != of.EventSourceArn || !strings.HasSuffix(b.RequestContext.FunctionArn, "-feed") {
		t.Errorf("the discarded batch is %+v, want that of stream-event-insert.json, %s of %s", b, n, of.EventSourceArn)
	}
}

// TestNobody keeps real people out of the samples: addresses are of the domains
// and networks that are set aside for examples.
func TestNobody(t *testing.T) {
	mails := regexp.MustCompile(`[A-Za-z0-9._%+-]+@([A-Za-z0-9.-]+)`)
	ips := regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b`)
	for _, name := range names(t) {
		b, err := events.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mails.FindAllSubmatch(b, -1) {
			if d := string(m[1]); d != "example.com" && d != "example.net" {
				t.Errorf("%s: %s is somebody's address", name, m[0])
			}
		}
		for _, ip := range ips.FindAllString(string(b), -1) {
			if !strings.HasPrefix(ip, "192.0.2.") && !strings.HasPrefix(ip, "198.51.100.") {
				t.Errorf("%s: %s is somebody's address", name, ip)
			}
		}
	}
}

func TestRead(t *testing.T) {
	if b, err := events.Read("no-such.json"); err == nil {
		t.Errorf("Read of a file that is not there = %q, want an error", b)
	}
}
