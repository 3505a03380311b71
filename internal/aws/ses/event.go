package ses

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"gatehouse/internal/courier"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
)

// detail is what is read of an event's detail. What is not here is not looked
// at: most of it is addresses, headers and the words of other servers.
type detail struct {
	Mail *struct {
		MessageID string              `json:"messageId"`
		Tags      map[string][]string `json:"tags"`
	} `json:"mail"`
	Bounce *struct {
		Type       string `json:"bounceType"`
		SubType    string `json:"bounceSubType"`
		Recipients []struct {
			Action string `json:"action"`
			Status string `json:"status"`
		} `json:"bouncedRecipients"`
	} `json:"bounce"`
	Complaint *struct {
		SubType  string `json:"complaintSubType"`
		Feedback string `json:"complaintFeedbackType"`
	} `json:"complaint"`
	Reject *struct {
		Reason string `json:"reason"`
	} `json:"reject"`
}

// read tells, for each detail-type that is about the way of a mail, what the
// courier is told; false for nothing.
var read = map[string]func(detail) (courier.Report, bool, error){
	"Email Sent": func(detail) (courier.Report, bool, error) {
		return courier.Report{Status: courier.Sent}, true, nil
	},
	"Email Delivered": func(detail) (courier.Report, bool, error) {
		return courier.Report{Status: courier.Delivered}, true, nil
	},
	"Email Bounced":            bounced,
	"Email Complaint Received": complained,
	"Email Rejected":           rejected,
	"Email Rendering Failed": func(detail) (courier.Report, bool, error) {
		return courier.Report{Status: courier.Refused, Reason: "RenderingFailed"}, true, nil
	},
	// SES goes on trying, and tells how that ended.
	"Email Delivery Delayed": func(detail) (courier.Report, bool, error) { return courier.Report{}, false, nil },
}

// bounced: SES tries soft bounces again for hours and reports one only when it
// has given up, so a transient bounce is as final for this mail as a permanent
// one; its reason tells that a resend may help. The exception is an automatic
// reply ("out of office") to a mail that did arrive: SES calls it transient and
// general too, but it brings no delivery status (RFC 3464).
func bounced(d detail) (courier.Report, bool, error) {
	b := d.Bounce
	if b == nil {
		return courier.Report{}, false, errors.New("a bounce without its content")
	}
	kind := word(b.Type, "Permanent", "Transient", "Undetermined")
	if kind == "" {
		return courier.Report{}, false, errors.New("a bounce of an unknown type")
	}
	sub := word(b.SubType, "General", "NoEmail", "Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient",
		"MailboxFull", "MessageTooLarge", "CustomTimeoutExceeded", "ContentRejected", "AttachmentRejected", "Undetermined")
	if kind == "Transient" && (sub == "General" || sub == "") {
		failed := false
		for _, r := range b.Recipients {
			failed = failed || r.Action == "failed" || r.Action == "" && r.Status != ""
		}
		if !failed {
			return courier.Report{}, false, nil
		}
	}
	if sub != "" {
		kind += "." + sub
	}
	return courier.Report{Status: courier.Bounced, Reason: kind}, true, nil
}

// complained: a provider can also report that a mail is no spam after all.
func complained(d detail) (courier.Report, bool, error) {
	c := d.Complaint
	if c == nil {
		return courier.Report{}, false, errors.New("a complaint without its content")
	}
	if c.Feedback == "not-spam" {
		return courier.Report{}, false, nil
	}
	// With OnAccountSuppressionList the mail was not sent: an earlier one was
	// complained about.
	r := word(c.SubType, "OnAccountSuppressionList")
	if r == "" {
		r = word(c.Feedback, "abuse", "auth-failure", "fraud", "other", "virus")
	}
	return courier.Report{Status: courier.Complained, Reason: r}, true, nil
}

// rejected: SES took the mail, looked for malware in it and did not send it.
func rejected(d detail) (courier.Report, bool, error) {
	r := courier.Report{Status: courier.Refused, Reason: "Rejected"}
	if d.Reject != nil && d.Reject.Reason == "Bad content" {
		r.Reason = "Rejected.BadContent"
	}
	return r, true, nil
}

// word returns s if it is one of those listed, else nothing: what SES invents
// tomorrow is not shown before somebody has looked at it.
func word(s string, listed ...string) string {
	for _, l := range listed {
		if s == l {
			return l
		}
	}
	return ""
}

// messageID reports whether the tag has the form of a mail's id.
func messageID(s string) bool {
	return len(s) == 26 && strings.Trim(s, lower+digits) == ""
}

// carrierID reports whether the text has the form of SES's ids.
func carrierID(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, lower+upper+digits+"-") == ""
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// Parse returns what an event of SES on EventBridge's bus says about a mail of
// ours: one report or none. Events about anything else, and about mails without
// our tag, give none and no error. An event that does not have SES's form gives
// an error, which quotes nothing of it.
func Parse(e events.EventBridgeEvent) ([]courier.Report, error) {
	// Only AWS itself can send events whose source begins with "aws.".
	if e.Source != "aws.ses" {
		return nil, errors.New("read a mail event: it is not of SES")
	}
	of, ok := read[e.DetailType]
	if !ok {
		return []courier.Report{}, nil
	}
	var d detail
	if err := json.Unmarshal(e.Detail, &d); err != nil || d.Mail == nil {
		return nil, errors.New("read a mail event: its detail has another form")
	}
	tag := d.Mail.Tags[messageTag]
	if len(tag) != 1 || !messageID(tag[0]) {
		return []courier.Report{}, nil
	}
	r, tells, err := of(d)
	if err != nil {
		return nil, fmt.Errorf("read a mail event: %w", err)
	}
	if !tells {
		return []courier.Report{}, nil
	}
	r.ID = identity.Message(tag[0])
	if carrierID(d.Mail.MessageID) {
		r.Carrier = d.Mail.MessageID
	}
	return []courier.Report{r}, nil
}

// Handler returns the function that EventBridge calls with SES's events. settle
// is the courier's Settle; log may be nil. It may be called again with the same
// event, and with events in any order. An error asks for the event once more.
//
// A report about a message that is not known is logged and done with: the
// courier stores how to find a message before it sends it, so that no report
// can be early. It is of another installation in the same account, or older than
// the courier remembers.
func Handler(settle func(context.Context, courier.Report) error, log *slog.Logger) func(context.Context, events.EventBridgeEvent) error {
	if log == nil {
		log = slog.Default()
	}
	return func(ctx context.Context, e events.EventBridgeEvent) error {
		reports, err := Parse(e)
		if err != nil {
			return err
		}
		for _, r := range reports {
			err := settle(ctx, r)
			if fault.Is(err, fault.NotFound) {
				log.WarnContext(ctx, "a mail event is about no message of ours", "message", string(r.ID), "status", string(r.Status))
				continue
			}
			if err != nil {
				return fmt.Errorf("settle a mail event: %w", err)
			}
		}
		return nil
	}
}
