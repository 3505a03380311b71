package ses

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// handler is the API. Requests for what is not played are refused as unknown.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/email/outbound-emails", s.send)
	mux.HandleFunc("PUT /v2/email/suppression/addresses", s.suppress)
	mux.HandleFunc("GET /v2/email/suppression/addresses/{address}", s.suppression)
	mux.HandleFunc("DELETE /v2/email/suppression/addresses/{address}", s.unsuppress)
	mux.HandleFunc("POST /v2/email/identities", s.createIdentity)
	mux.HandleFunc("GET /v2/email/identities/{identity}", s.identity)
	mux.HandleFunc("POST /v2/email/configuration-sets", s.createSet)
	mux.HandleFunc("GET /v2/email/configuration-sets/{set}", s.set)
	mux.HandleFunc("GET /v2/email/account", s.account)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse("UnknownOperationException", "%s is not played here", r.Method).write(w)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-RequestId", "00000000-0000-4000-8000-000000000000")
		if bad := signed(r); bad != nil {
			bad.write(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// authorization is the header of Signature Version 4 for SES. The signature
// itself is not computed again: there is no secret to know it by.
var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=[A-Za-z0-9]{4,128}/([0-9]{8})/[a-z0-9-]+/ses/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

func signed(r *http.Request) *refusal {
	h := r.Header.Get("Authorization")
	if h == "" {
		return refuse("MissingAuthenticationToken", "Missing Authentication Token")
	}
	m := authorization.FindStringSubmatch(h)
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if m == nil || err != nil || at.Format("20060102") != m[1] {
		return refuse("IncompleteSignature", "The request signature does not conform to AWS standards.")
	}
	for _, need := range []string{"host", "x-amz-date"} {
		if !strings.Contains(";"+m[2]+";", ";"+need+";") {
			return refuse("IncompleteSignature", "The request signature does not conform to AWS standards.")
		}
	}
	return nil
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(v); err != nil {
		refuse("BadRequestException", "The request is no JSON of its operation's form").write(w)
		return false
	}
	return true
}

func (s *Server) suppress(w http.ResponseWriter, r *http.Request) {
	var in struct{ EmailAddress, Reason string }
	if !decode(w, r, &in) {
		return
	}
	if !address.MatchString(in.EmailAddress) || in.Reason != "BOUNCE" && in.Reason != "COMPLAINT" {
		refuse("BadRequestException", "Illegal address or reason").write(w)
		return
	}
	s.Suppress(in.EmailAddress, in.Reason)
	answer(w, http.StatusOK, object{})
}

func (s *Server) suppression(w http.ResponseWriter, r *http.Request) {
	a := strings.ToLower(r.PathValue("address"))
	s.mu.Lock()
	reason, ok := s.suppressed[a]
	s.mu.Unlock()
	if !ok {
		refuse("NotFoundException", "Email address %s does not exist on your suppression list.", a).write(w)
		return
	}
	answer(w, http.StatusOK, object{"SuppressedDestination": object{
		"EmailAddress": a, "Reason": reason, "LastUpdateTime": s.o.Now().Unix(),
	}})
}

func (s *Server) unsuppress(w http.ResponseWriter, r *http.Request) {
	a := strings.ToLower(r.PathValue("address"))
	s.mu.Lock()
	_, ok := s.suppressed[a]
	delete(s.suppressed, a)
	s.mu.Unlock()
	if !ok {
		refuse("NotFoundException", "Email address %s does not exist on your suppression list.", a).write(w)
		return
	}
	answer(w, http.StatusOK, object{})
}

// createIdentity verifies at once, which SES does after somebody followed a
// link or published a record.
func (s *Server) createIdentity(w http.ResponseWriter, r *http.Request) {
	var in struct{ EmailIdentity string }
	if !decode(w, r, &in) {
		return
	}
	s.Verify(in.EmailIdentity)
	answer(w, http.StatusOK, identity(in.EmailIdentity, true))
}

func (s *Server) identity(w http.ResponseWriter, r *http.Request) {
	id := strings.ToLower(r.PathValue("identity"))
	s.mu.Lock()
	ok := s.verified == nil || s.verified[id]
	s.mu.Unlock()
	if !ok {
		refuse("NotFoundException", "Email identity %s does not exist.", id).write(w)
		return
	}
	answer(w, http.StatusOK, identity(id, true))
}

func identity(id string, verified bool) object {
	kind := "DOMAIN"
	if strings.Contains(id, "@") {
		kind = "EMAIL_ADDRESS"
	}
	return object{"IdentityType": kind, "VerifiedForSendingStatus": verified}
}

func (s *Server) createSet(w http.ResponseWriter, r *http.Request) {
	var in struct{ ConfigurationSetName string }
	if !decode(w, r, &in) {
		return
	}
	if !tagForm.MatchString(in.ConfigurationSetName) || len(in.ConfigurationSetName) > 64 {
		refuse("BadRequestException", "Illegal name of a configuration set").write(w)
		return
	}
	s.mu.Lock()
	twice := s.sets[in.ConfigurationSetName]
	s.sets[in.ConfigurationSetName] = true
	s.mu.Unlock()
	if twice {
		refuse("AlreadyExistsException", "Configuration set <%s> already exists.", in.ConfigurationSetName).write(w)
		return
	}
	answer(w, http.StatusOK, object{})
}

func (s *Server) set(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("set")
	s.mu.Lock()
	ok := s.sets[name]
	s.mu.Unlock()
	if !ok {
		refuse("NotFoundException", "Configuration set <%s> does not exist.", name).write(w)
		return
	}
	answer(w, http.StatusOK, object{"ConfigurationSetName": name})
}

func (s *Server) account(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := 0
	for _, x := range s.recipients {
		if s.o.Now().Sub(x.at) < 24*time.Hour {
			sent += x.n
		}
	}
	most := func(n int) int {
		if n == 0 {
			return -1 // SES's word for no limit
		}
		return n
	}
	answer(w, http.StatusOK, object{
		"ProductionAccessEnabled": !s.o.Sandbox, "SendingEnabled": true,
		"SendQuota": object{"Max24HourSend": most(s.o.PerDay), "MaxSendRate": most(s.o.PerSecond), "SentLast24Hours": sent},
	})
}
