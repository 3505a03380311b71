package ses_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"gatehouse/internal/aws/ses"
	"gatehouse/internal/courier"
	fake "gatehouse/internal/fakes/ses"
	"gatehouse/internal/fault"
)

// eventsOf returns the events of one mail with the outcome.
func eventsOf(t testing.TB, o fake.Outcome) []json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	s := start(t, fake.Options{
		Hold: true, Events: func(e json.RawMessage) { all = append(all, e) }, Outcome: func(string) fake.Outcome { return o },
	})
	if _, err := ses.New(connect(t, s.URL(), 0), set).Send(t.Context(), message()); err != nil {
		t.Fatalf("Send: %v", err)
	}
	s.Release()
	return all
}

func event(t testing.TB, raw []byte) events.EventBridgeEvent {
	t.Helper()
	var e events.EventBridgeEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatalf("read an event: %v", err)
	}
	return e
}

// TestParseWhatTheServerTells: the reports about a mail, by what becomes of it.
func TestParseWhatTheServerTells(t *testing.T) {
	for o, want := range map[fake.Outcome]string{
		fake.Delivers:       "sent delivered",
		fake.Complains:      "sent delivered complained:abuse",
		fake.OutOfOffice:    "sent delivered -",
		fake.ArrivesLate:    "sent - delivered",
		fake.BouncesHard:    "sent bounced:Permanent.General",
		fake.BouncesSoft:    "sent bounced:Transient.MailboxFull",
		fake.BouncesLater:   "sent delivered bounced:Permanent.NoEmail",
		fake.OnBounceList:   "sent bounced:Permanent.OnAccountSuppressionList",
		fake.OnComplainList: "sent complained:OnAccountSuppressionList",
		fake.Infected:       "sent refused:Rejected.BadContent",
		fake.Unrendered:     "refused:RenderingFailed",
	} {
		var got []string
		for _, raw := range eventsOf(t, o) {
			reports, err := ses.Parse(event(t, raw))
			if err != nil {
				t.Errorf("Parse of %s: %v", raw, err)
			}
			if len(reports) == 0 {
				got = append(got, "-")
			}
			for _, r := range reports {
				one := string(r.Status)
				if r.Reason != "" {
					one += ":" + r.Reason
				}
				got = append(got, one)
				if r.ID != message().ID || r.Carrier == "" {
					t.Errorf("Parse gives a report of %q and the carrier's id %q, want %q and some", r.ID, r.Carrier, message().ID)
				}
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("of a mail that is %q Parse tells %q, want %q", o, s, want)
		}
	}
}

// detailed is an event of a mail of ours with the content given.
func detailed(kind, content string) events.EventBridgeEvent {
	return events.EventBridgeEvent{Source: "aws.ses", DetailType: kind, Detail: json.RawMessage(
		`{"mail":{"messageId":"01-x","destination":["` + person + `"],"tags":{"message":["` + string(message().ID) + `"]}},` + content + `}`)}
}

func TestParse(t *testing.T) {
	of := func(tags string) json.RawMessage {
		return json.RawMessage(`{"mail":{"messageId":"01-x","tags":` + tags + `},"send":{}}`)
	}
	for _, c := range []struct {
		name string
		e    events.EventBridgeEvent
		want string
	}{
		{"no tags", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent", Detail: of(`{}`)}, "nothing"},
		{"tags are null", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent", Detail: of(`null`)}, "nothing"},
		{"another's tag", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent", Detail: of(`{"message":["newsletter"]}`)}, "nothing"},
		{"two values", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent", Detail: of(`{"message":["0123456789abcdefghjkmnpqrs","0123456789abcdefghjkmnpqrs"]}`)}, "nothing"},
		{"opened", detailed("Email Opened", `"open":{}`), "nothing"},
		{"clicked", detailed("Email Clicked", `"click":{}`), "nothing"},
		{"no mail's event", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Sending Status Disabled", Detail: json.RawMessage(`{"version":"1"}`)}, "nothing"},
		{"an API call", events.EventBridgeEvent{Source: "aws.ses", DetailType: "AWS API Call via CloudTrail", Detail: json.RawMessage(`{}`)}, "nothing"},
		{"not of SES", events.EventBridgeEvent{Source: "my.app", DetailType: "Email Sent", Detail: of(`{}`)}, "error"},
		{"no detail", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent"}, "error"},
		{"a detail that is no object", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent", Detail: json.RawMessage(`["` + person + `"]`)}, "error"},
		{"no mail", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent", Detail: json.RawMessage(`{"send":{}}`)}, "error"},
		{"tags of another form", events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Sent", Detail: of(`{"message":"` + person + `"}`)}, "error"},
		{"a bounce of nothing", detailed("Email Bounced", `"send":{}`), "error"},
		{"a bounce of a new type", detailed("Email Bounced", `"bounce":{"bounceType":"`+person+`"}`), "error"},
		{"a bounce of a new subtype", detailed("Email Bounced", `"bounce":{"bounceType":"Permanent","bounceSubType":"Canary"}`), "bounced Permanent"},
		{"undetermined", detailed("Email Bounced", `"bounce":{"bounceType":"Undetermined","bounceSubType":"Undetermined"}`), "bounced Undetermined.Undetermined"},
		{"given up, general", detailed("Email Bounced", `"bounce":{"bounceType":"Transient","bounceSubType":"General","bouncedRecipients":[{"action":"failed","status":"4.4.7"}]}`), "bounced Transient.General"},
		{"given up, status only", detailed("Email Bounced", `"bounce":{"bounceType":"Transient","bounceSubType":"General","bouncedRecipients":[{"status":"4.4.7"}]}`), "bounced Transient.General"},
		{"only delayed", detailed("Email Bounced", `"bounce":{"bounceType":"Transient","bounceSubType":"General","bouncedRecipients":[{"action":"delayed","status":"4.4.7"}]}`), "nothing"},
		{"given up by our time limit", detailed("Email Bounced", `"bounce":{"bounceType":"Transient","bounceSubType":"CustomTimeoutExceeded","bouncedRecipients":[{}]}`), "bounced Transient.CustomTimeoutExceeded"},
		{"no spam after all", detailed("Email Complaint Received", `"complaint":{"complaintFeedbackType":"not-spam"}`), "nothing"},
		{"a complaint without a type", detailed("Email Complaint Received", `"complaint":{"complaintSubType":null}`), "complained"},
		{"a complaint of a new type", detailed("Email Complaint Received", `"complaint":{"complaintFeedbackType":"canary"}`), "complained"},
		{"a complaint of nothing", detailed("Email Complaint Received", `"send":{}`), "error"},
		{"rejected for a new reason", detailed("Email Rejected", `"reject":{"reason":"`+person+`"}`), "refused Rejected"},
	} {
		reports, err := ses.Parse(c.e)
		got := "nothing"
		switch {
		case err != nil:
			got = "error"
			if strings.Contains(strings.ToLower(err.Error()), "canary") {
				t.Errorf("%s: the error %q quotes the event", c.name, err)
			}
		case len(reports) == 1:
			got = strings.TrimSpace(string(reports[0].Status) + " " + reports[0].Reason)
		}
		if got != c.want {
			t.Errorf("%s: Parse gives %q, want %q", c.name, got, c.want)
		}
	}
}

// FuzzParse: whatever comes, a report is of a form that can hold no person, and
// an error quotes nothing.
func FuzzParse(f *testing.F) {
	n := 0
	for _, o := range []fake.Outcome{
		fake.Delivers, fake.Complains, fake.OutOfOffice, fake.ArrivesLate, fake.BouncesHard, fake.BouncesSoft, fake.OnBounceList, fake.OnComplainList, fake.Infected, fake.Unrendered,
	} {
		for _, raw := range eventsOf(f, o) {
			e := event(f, raw)
			f.Add(e.Source, e.DetailType, []byte(e.Detail))
			n++
		}
	}
	if n == 0 {
		f.Fatal("the corpus is empty")
	}
	statuses := map[courier.Status]bool{
		courier.Sent: true, courier.Delivered: true, courier.Bounced: true, courier.Complained: true, courier.Refused: true,
	}
	f.Fuzz(func(t *testing.T, source, kind string, detail []byte) {
		reports, err := ses.Parse(events.EventBridgeEvent{Source: source, DetailType: kind, Detail: detail})
		if err != nil {
			if len(reports) != 0 {
				t.Errorf("Parse gives reports beside the error %v", err)
			}
			if strings.Contains(err.Error(), "@") || len(err.Error()) > 100 {
				t.Errorf("Parse gives the error %q", err)
			}
			return
		}
		if reports == nil || len(reports) > 1 {
			t.Errorf("Parse gives %d reports, nil: %v", len(reports), reports == nil)
		}
		for _, r := range reports {
			if !statuses[r.Status] || len(r.ID) != 26 || len(r.Reason) > 40 || len(r.Carrier) > 100 ||
				strings.ContainsAny(r.Reason+r.Carrier+string(r.ID), "@ \n<>:") {
				t.Errorf("Parse gives the report %+v", r)
			}
		}
	})
}

func TestHandler(t *testing.T) {
	sent := event(t, eventsOf(t, fake.Delivers)[0])
	bad := sent
	bad.Detail = json.RawMessage(`{"mail":"` + person + `"}`)
	other := sent
	other.Detail = json.RawMessage(`{"mail":{"tags":{}}}`)
	broken := errors.New("the table is away")
	for _, c := range []struct {
		name   string
		e      events.EventBridgeEvent
		settle error
		want   error // nil: done
		calls  int
		log    string
	}{
		{name: "settled", e: sent, calls: 1},
		{name: "of another's mail", e: other},
		{name: "of no message", e: sent, settle: fault.New(fault.NotFound, "", "There is no such message."), calls: 1, log: string(message().ID)},
		{name: "the table is away", e: sent, settle: broken, want: broken, calls: 1},
		{name: "not now", e: sent, settle: fault.New(fault.Unavailable, "", "Try again."), want: fault.New(fault.Unavailable, "", ""), calls: 1},
		{name: "of another form", e: bad, want: errors.New("")},
	} {
		var log bytes.Buffer
		calls := 0
		h := ses.Handler(func(_ context.Context, r courier.Report) error {
			calls++
			if r.ID != message().ID || r.Status != courier.Sent {
				t.Errorf("%s: the courier gets %+v", c.name, r)
			}
			return c.settle
		}, slog.New(slog.NewJSONHandler(&log, nil)))
		err := h(t.Context(), c.e)
		if (err != nil) != (c.want != nil) {
			t.Errorf("%s: the handler gives %v, want an error: %t", c.name, err, c.want != nil)
		}
		if c.want == broken && !errors.Is(err, broken) || fault.Is(c.want, fault.Unavailable) && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: the handler's error %v hides %v", c.name, err, c.want)
		}
		if calls != c.calls {
			t.Errorf("%s: the courier was told %d times, want %d", c.name, calls, c.calls)
		}
		if c.log == "" && log.Len() > 0 || !strings.Contains(log.String(), c.log) || strings.Contains(strings.ToLower(log.String()), "canary") {
			t.Errorf("%s: the log says %q, want %q in it and no person", c.name, log.String(), c.log)
		}
	}
}
