package ses

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

// outbound is SendEmail's request, as far as it is played.
type outbound struct {
	FromEmailAddress     string
	ConfigurationSetName *string
	Destination          struct{ ToAddresses, CcAddresses, BccAddresses []string }
	ReplyToAddresses     []string
	Content              struct {
		Raw              *struct{ Data []byte }
		Simple, Template json.RawMessage
	}
	EmailTags []struct{ Name, Value string }
}

// refusal is an error of the API.
type refusal struct {
	code, text string
	status     int
}

// statuses are those of SES where they are not 400.
var statuses = map[string]int{
	"AccessDeniedException": 403, "IncompleteSignature": 403, "MissingAuthenticationToken": 403,
	"ExpiredTokenException": 403, "SignatureDoesNotMatch": 403, "UnrecognizedClientException": 403,
	"NotFoundException": 404, "TooManyRequestsException": 429, "ConflictException": 409,
	"InternalServiceErrorException": 500, "InternalFailure": 500, "ServiceUnavailable": 503,
}

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code: code, text: fmt.Sprintf(format, args...)}
}

func (r *refusal) write(w http.ResponseWriter) {
	status := r.status
	if status == 0 {
		status = statuses[r.code]
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("X-Amzn-ErrorType", r.code)
	answer(w, status, map[string]string{"message": r.text})
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b)
}

const (
	maxRecipients = 50
	maxMessage    = 40 << 20
	maxLine       = 1000 // with its end, RFC 5321 §4.5.3.1.6
)

var (
	tagForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
	address = regexp.MustCompile(`^[\x21-\x7e]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
)

// send is POST /v2/email/outbound-emails.
func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	var in outbound
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*maxMessage)).Decode(&in); err != nil {
		refuse("BadRequestException", "The request is no JSON of SendEmail's form").write(w)
		return
	}
	m, bad := s.read(in)
	if bad != nil {
		bad.write(w)
		return
	}
	s.mu.Lock()
	v := s.visit(m)
	plan := s.plan
	s.mu.Unlock()
	var a Action
	if plan != nil {
		a = plan(v)
	}
	failing := a.Code != "" || a.Drop || a.Torn
	if !failing || a.Keep {
		if bad := s.take(&m); bad != nil {
			bad.write(w)
			return
		}
	}
	if a.Late != nil {
		select {
		case <-a.Late:
		case <-s.end:
		}
	}
	switch {
	case a.Drop:
		panic(http.ErrAbortHandler)
	case a.Torn:
		w.Header().Set("Content-Length", "100")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"MessageId":"%.10s`, m.ID+"0000000000")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case a.Code != "":
		(&refusal{a.Code, a.Text, a.Status}).write(w)
	default:
		answer(w, http.StatusOK, map[string]string{"MessageId": m.ID})
	}
}

// visit counts the request; the caller holds the lock.
func (s *Server) visit(m Mail) Visit {
	s.visits++
	names := make([]string, 0, len(m.Tags))
	for n, v := range m.Tags {
		names = append(names, n+"="+v)
	}
	slices.Sort(names)
	k := strings.Join(names, " ")
	v := Visit{Number: s.visits, Times: s.times[k], To: m.To[0], Tags: m.Tags}
	s.times[k]++
	return v
}

// read checks what SES checks of a request before it looks at the account's
// state.
func (s *Server) read(in outbound) (Mail, *refusal) {
	none := Mail{}
	if in.Content.Raw == nil || in.Content.Simple != nil || in.Content.Template != nil {
		return none, refuse("BadRequestException", "Only raw content is played here")
	}
	raw := in.Content.Raw.Data
	if len(raw) > maxMessage {
		return none, refuse("BadRequestException", "Message length is more than %d bytes long: '%d'.", maxMessage, len(raw))
	}
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		if len(line)+1 > maxLine {
			return none, refuse("BadRequestException", "A line of the message is too long")
		}
	}
	text, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return none, refuse("BadRequestException", "Unable to parse email")
	}
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	if bytes.ContainsFunc(head, func(r rune) bool { return r >= 0x80 }) {
		return none, refuse("BadRequestException", "The header has characters beyond ASCII")
	}
	from, err := mail.ParseAddress(text.Header.Get("From"))
	if err != nil {
		return none, refuse("BadRequestException", "Missing or illegal From header")
	}
	m := Mail{From: from.Address, Raw: raw, Tags: map[string]string{}}
	if in.FromEmailAddress != "" {
		p, err := mail.ParseAddress(in.FromEmailAddress)
		if err != nil {
			return none, refuse("BadRequestException", "Illegal address")
		}
		m.From = p.Address
	}
	m.To = slices.Concat(in.Destination.ToAddresses, in.Destination.CcAddresses, in.Destination.BccAddresses)
	switch {
	case len(m.To) == 0:
		return none, refuse("BadRequestException", "At least one recipient is required")
	case len(m.To) > maxRecipients:
		return none, refuse("BadRequestException", "Recipient count exceeds %d.", maxRecipients)
	}
	for i, to := range append(m.To, m.From) {
		bare := to
		if p, err := mail.ParseAddress(to); err == nil {
			bare = p.Address
		}
		switch {
		case !strings.Contains(to, "@"):
			return none, refuse("BadRequestException", "Missing final '@domain'")
		case !address.MatchString(bare):
			return none, refuse("BadRequestException", "Illegal address")
		}
		if i < len(m.To) {
			m.To[i] = bare
		}
	}
	for _, t := range in.EmailTags {
		if !tagForm.MatchString(t.Name) || !tagForm.MatchString(t.Value) {
			return none, refuse("BadRequestException", "Message tags take letters, digits, _ and -, at most 256 characters")
		}
		if _, twice := m.Tags[t.Name]; twice {
			return none, refuse("BadRequestException", "Duplicate message tag")
		}
		m.Tags[t.Name] = t.Value
	}
	if in.ConfigurationSetName != nil {
		m.ConfigurationSet = *in.ConfigurationSetName
		s.mu.Lock()
		known := s.sets[m.ConfigurationSet]
		s.mu.Unlock()
		if !known {
			return none, refuse("NotFoundException", "Configuration set <%s> does not exist.", m.ConfigurationSet)
		}
	}
	return m, nil
}

// take lets the account's state decide, and keeps the mail.
func (s *Server) take(m *Mail) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad := s.unverified(*m); bad != nil {
		return bad
	}
	now := s.o.Now()
	if bad := s.limit(now, len(m.To)); bad != nil {
		return bad
	}
	s.serial++
	m.ID = fmt.Sprintf("01%014x-%08x-0000-4000-8000-%012x-000000", now.UnixMilli(), s.serial, s.serial)
	m.At = now.UTC()
	m.Text = rewrite(m.Raw, m.ID+"@"+s.o.Region+".amazonses.com")
	e, err := enmime.ReadEnvelope(bytes.NewReader(m.Text))
	if err != nil {
		return refuse("BadRequestException", "Unable to parse email")
	}
	m.Envelope = e
	m.Outcome = s.outcome(*m)
	s.mails = append(s.mails, *m)
	s.tell(*m)
	return nil
}

// unverified refuses as SES does. Its text lists the identities: that is where
// addresses leak into logs.
func (s *Server) unverified(m Mail) *refusal {
	if s.verified == nil {
		return nil
	}
	ok := func(a string) bool {
		a = strings.ToLower(a)
		_, domain, _ := strings.Cut(a, "@")
		return s.verified[a] || s.verified[domain] || domain == simulator
	}
	var failed []string
	if !ok(m.From) {
		failed = append(failed, m.From)
	}
	for _, to := range m.To {
		if s.o.Sandbox && !ok(to) {
			failed = append(failed, to)
		}
	}
	if failed == nil {
		return nil
	}
	return refuse("MessageRejected", "Email address is not verified. The following identities failed the check in region %s: %s",
		strings.ToUpper(s.o.Region), strings.Join(failed, ", "))
}

func (s *Server) limit(now time.Time, n int) *refusal {
	s.recipients = slices.DeleteFunc(s.recipients, func(x sending) bool { return now.Sub(x.at) >= 24*time.Hour })
	second, day := 0, 0
	for _, x := range s.recipients {
		day += x.n
		if now.Sub(x.at) < time.Second {
			second += x.n
		}
	}
	switch {
	case s.o.PerDay > 0 && day+n > s.o.PerDay:
		return refuse("ThrottlingException", "Daily message quota exceeded.")
	case s.o.PerSecond > 0 && second+n > s.o.PerSecond:
		return refuse("ThrottlingException", "Maximum sending rate exceeded.")
	}
	s.recipients = append(s.recipients, sending{now, n})
	return nil
}

// rewrite replaces the Message-ID, as SES does whatever it was.
func rewrite(raw []byte, id string) []byte {
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	var out []byte
	skip := false
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		folded := len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		if !folded {
			name, _, _ := strings.Cut(string(line), ":")
			skip = textproto.CanonicalMIMEHeaderKey(name) == "Message-Id"
		}
		if !skip {
			out = append(append(out, line...), "\r\n"...)
		}
	}
	out = append(out, "Message-ID: <"+id+">\r\n\r\n"...)
	return append(out, body...)
}
