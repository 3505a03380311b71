package ses

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// Outcome is what becomes of a mail that was taken.
type Outcome string

const (
	Delivers       Outcome = ""              // arrives
	Complains      Outcome = "complains"     // arrives, and the recipient calls it spam
	OutOfOffice    Outcome = "out-of-office" // arrives, and a machine answers
	ArrivesLate    Outcome = "delayed"       // arrives after SES told that it is delayed
	BouncesHard    Outcome = "bounces-hard"  // there is no such mailbox
	BouncesSoft    Outcome = "bounces-soft"  // the mailbox stayed full until SES gave up
	BouncesLater   Outcome = "bounces-later" // taken by the recipient's server, given back after that
	Infected       Outcome = "infected"      // SES finds malware
	OnBounceList   Outcome = "suppressed"    // not sent: it bounced before
	OnComplainList Outcome = "complained-of" // not sent: it was complained of before
	Unrendered     Outcome = "unrendered"    // not sent: its template fails
)

func (o Outcome) arrives() bool {
	return o == Delivers || o == Complains || o == OutOfOffice || o == ArrivesLate
}

// simulator is the domain of SES's own test addresses.
const simulator = "simulator.amazonses.com"

var simulated = map[string]Outcome{
	"success": Delivers, "bounce": BouncesHard, "ooto": OutOfOffice, "complaint": Complains, "suppressionlist": OnBounceList,
}

// eicar is the part of the EICAR test file that is looked for.
const eicar = "EICAR-STANDARD-ANTIVIRUS-TEST-FILE"

func (s *Server) outcome(m Mail) Outcome {
	to := strings.ToLower(m.To[0])
	switch s.suppressed[to] {
	case "BOUNCE":
		return OnBounceList
	case "COMPLAINT":
		return OnComplainList
	}
	if bytes.Contains(m.Raw, []byte(eicar)) {
		return Infected
	}
	if name, domain, _ := strings.Cut(to, "@"); domain == simulator {
		name, _, _ = strings.Cut(name, "+")
		return simulated[name]
	}
	if s.o.Outcome != nil {
		return s.o.Outcome(m.To[0])
	}
	return Delivers
}

// Event is an event as its course is decided.
type Event struct {
	Type string // "Send", "Delivery", ...: detail.eventType
	Mail Mail
}

// Course is one arrival of an event. An event that is given none is lost; one
// that is given several is repeated; different delays change the order.
type Course struct{ Delay time.Duration }

type event struct {
	at  time.Time
	raw json.RawMessage
}

// detailTypes name the event types on EventBridge.
var detailTypes = map[string]string{
	"Send": "Email Sent", "Delivery": "Email Delivered", "Bounce": "Email Bounced", "Complaint": "Email Complaint Received",
	"Reject": "Email Rejected", "Rendering Failure": "Email Rendering Failed", "DeliveryDelay": "Email Delivery Delayed",
}

// apiTypes name them where a configuration set's destination selects them, which
// is not as the events do.
var apiTypes = map[string]string{
	"Send": "SEND", "Delivery": "DELIVERY", "Bounce": "BOUNCE", "Complaint": "COMPLAINT",
	"Reject": "REJECT", "Rendering Failure": "RENDERING_FAILURE", "DeliveryDelay": "DELIVERY_DELAY",
}

// occurrence is an event type with its part of the detail.
type occurrence struct {
	kind, field string
	content     any
}

type object = map[string]any

// tell makes the events of a mail; the caller holds the lock. SES publishes
// events of mails with a configuration set only.
func (s *Server) tell(m Mail) {
	if s.o.Events == nil || m.ConfigurationSet == "" {
		return
	}
	for _, o := range occurrences(m) {
		if s.o.Types != nil && !slices.Contains(s.o.Types, apiTypes[o.kind]) {
			continue
		}
		courses := []Course{{}}
		if s.o.Courses != nil {
			courses = s.o.Courses(Event{Type: o.kind, Mail: m})
		}
		raw := s.envelope(m, o)
		for _, c := range courses {
			s.waiting = append(s.waiting, event{at: m.At.Add(c.Delay), raw: raw})
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func occurrences(m Mail) []occurrence {
	stamp := m.At.Format(millis)
	bounce := func(kind, sub string, recipient object) occurrence {
		var all []object
		for _, to := range m.To {
			r := object{"emailAddress": to}
			for k, v := range recipient {
				r[k] = v
			}
			all = append(all, r)
		}
		return occurrence{"Bounce", "bounce", object{
			"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": all, "timestamp": stamp,
			"feedbackId": "f" + m.ID, "reportingMTA": "dns; mx.example.test",
		}}
	}
	complaint := func(sub any) occurrence {
		c := object{
			"complainedRecipients": []object{{"emailAddress": m.To[0]}}, "timestamp": stamp, "feedbackId": "f" + m.ID, "complaintSubType": sub,
		}
		if sub == nil {
			c["userAgent"], c["complaintFeedbackType"], c["arrivalDate"] = "ExampleCorp Feedback Loop (V0.01)", "abuse", stamp
		}
		return occurrence{"Complaint", "complaint", c}
	}
	send := occurrence{"Send", "send", object{}}
	delivery := occurrence{"Delivery", "delivery", object{
		"timestamp": stamp, "processingTimeMillis": 1025, "recipients": m.To, "smtpResponse": "250 2.0.0 OK " + m.To[0],
		"reportingMTA": "a8-21.smtp-out.amazonses.com",
	}}
	hard := object{"action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 <" + m.To[0] + ">: no such user"}
	switch m.Outcome {
	case Complains:
		return []occurrence{send, delivery, complaint(nil)}
	case OutOfOffice:
		return []occurrence{send, delivery, bounce("Transient", "General", nil)}
	case ArrivesLate:
		return []occurrence{send, {"DeliveryDelay", "deliveryDelay", object{
			"timestamp": stamp, "delayType": "MailboxFull", "expirationTime": m.At.Add(14 * time.Hour).Format(millis),
			"delayedRecipients": []object{{"emailAddress": m.To[0], "status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2 " + m.To[0] + " is over quota"}},
		}}, delivery}
	case BouncesHard:
		return []occurrence{send, bounce("Permanent", "General", hard)}
	case BouncesLater:
		return []occurrence{send, delivery, bounce("Permanent", "NoEmail", hard)}
	case BouncesSoft:
		return []occurrence{send, bounce("Transient", "MailboxFull", object{
			"action": "failed", "status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2 " + m.To[0] + " is over quota",
		})}
	case OnBounceList:
		return []occurrence{send, bounce("Permanent", "OnAccountSuppressionList", object{
			"action": "failed", "status": "5.1.1",
			"diagnosticCode": "Amazon SES did not send the message to this address because it is on the suppression list for your account.",
		})}
	case OnComplainList:
		return []occurrence{send, complaint("OnAccountSuppressionList")}
	case Infected:
		return []occurrence{send, {"Reject", "reject", object{"reason": "Bad content"}}}
	case Unrendered:
		return []occurrence{{"Rendering Failure", "failure", object{
			"errorMessage": "Attribute 'name' is not present in the rendering data.", "templateName": "none",
		}}}
	}
	return []occurrence{send, delivery}
}

const millis = "2006-01-02T15:04:05.000Z"

// envelope is the event as EventBridge hands it to a target.
func (s *Server) envelope(m Mail, o occurrence) json.RawMessage {
	s.serial++
	arn := "arn:aws:ses:" + s.o.Region + ":" + s.o.Account + ":"
	_, domain, _ := strings.Cut(m.From, "@")
	tags := object{
		"ses:operation": []string{"SendEmail"}, "ses:configuration-set": []string{m.ConfigurationSet}, "ses:source-ip": []string{"192.0.2.1"},
		"ses:from-domain": []string{domain}, "ses:caller-identity": []string{"welcome"},
	}
	for k, v := range m.Tags {
		tags[k] = []string{v}
	}
	head, _ := mail.ReadMessage(bytes.NewReader(m.Raw)) // it was read before
	var headers []object
	for k, vs := range head.Header {
		for _, v := range vs {
			headers = append(headers, object{"name": k, "value": v})
		}
	}
	slices.SortFunc(headers, func(a, b object) int { return strings.Compare(a["name"].(string), b["name"].(string)) })
	source := head.Header.Get("From")
	raw, err := json.Marshal(object{
		"version": "0", "id": fmt.Sprintf("%08x-0000-4000-8000-%012x", s.serial, s.serial), "detail-type": detailTypes[o.kind],
		"source": "aws.ses", "account": s.o.Account, "time": m.At.Format("2006-01-02T15:04:05Z"), "region": s.o.Region,
		"resources": []string{arn + "configuration-set/" + m.ConfigurationSet},
		"detail": object{
			"eventType": o.kind, o.field: o.content,
			"mail": object{
				"timestamp": m.At.Format(millis), "source": source, "sourceArn": arn + "identity/" + domain, "sendingAccountId": s.o.Account,
				"messageId": m.ID, "destination": m.To, "headersTruncated": false, "headers": headers, "tags": tags,
				"commonHeaders": object{
					"from": []string{source}, "to": []string{head.Header.Get("To")}, "date": head.Header.Get("Date"),
					"messageId": m.ID, "subject": head.Header.Get("Subject"),
				},
			},
		},
	})
	if err != nil {
		panic(err) // strings and numbers
	}
	return raw
}

// Release hands over the events that are due, in the order of their times, and
// returns how many there were. It is for servers that hold events.
func (s *Server) Release() int {
	s.handing.Lock()
	defer s.handing.Unlock()
	due := s.due()
	for _, e := range due {
		s.o.Events(e.raw)
	}
	return len(due)
}

// due takes the events whose time has come.
func (s *Server) due() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	var due []event
	s.waiting = slices.DeleteFunc(s.waiting, func(e event) bool {
		if e.at.After(now) {
			return false
		}
		due = append(due, e)
		return true
	})
	slices.SortStableFunc(due, func(a, b event) int { return a.at.Compare(b.at) })
	return due
}

// pass hands over events as they become due, until the server is closed. The
// clock may be one that jumps, so it is looked at often.
func (s *Server) pass() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.end:
			return
		case <-s.wake:
		case <-tick.C:
		}
		s.Release()
	}
}
