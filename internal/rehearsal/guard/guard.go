// Package guard stands before the services that functions call, and lets through
// what the calling function's role allows: it knows the function by its access
// key, reads what the call touches, and asks the policy that the template gives
// it (infra.Function.Allows). It also is Secrets Manager, with one secret.
//
// It is not IAM. It checks of a signature that there is one, and of policies
// what the template uses. Where AWS documents little, it assumes this: each part
// of a transaction is a call of its own; a read of a stream's records is of the
// table's own stream; a mail needs the identity of its sender (the address or
// its domain) and the configuration set.
package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/infra"
)

// Options say what to guard.
type Options struct {
	Functions        map[string]infra.Function // by folder
	Region, Account  string
	Table            string // name
	Hash             string // its HASH attribute
	ConfigurationSet string
	Secret           string // ARN of the one secret
	Text             string // of the secret
	// Endpoints behind: of DynamoDB, of its streams, of SES (empty: there is none).
	DynamoDB, Streams, SES string
	// Open lets every call through, and leads functions past the guard, but for
	// the secret: for measurements.
	Open bool
}

// Guard is a running guard.
type Guard struct {
	o         Options
	servers   []*http.Server
	endpoints map[string]string // by service, as AWS_ENDPOINT_URL_ names it
	work      sync.WaitGroup

	mu     sync.Mutex
	denied []string
}

// Start listens on ports of 127.0.0.1.
func Start(o Options) (*Guard, error) {
	g := &Guard{o: o, endpoints: map[string]string{}}
	behind := map[string]string{"DYNAMODB": o.DynamoDB, "DYNAMODB_STREAMS": o.Streams, "SESV2": o.SES}
	for service, endpoint := range behind {
		if endpoint == "" {
			continue
		}
		if o.Open {
			g.endpoints[service] = endpoint
			continue
		}
		to, err := url.Parse(endpoint)
		if err == nil {
			err = g.listen(service, g.before(to, g.reader(service)))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("guard %s: %w", service, err), g.Close())
		}
	}
	if err := g.listen("SECRETS_MANAGER", http.HandlerFunc(g.secret)); err != nil {
		return nil, errors.Join(fmt.Errorf("serve the secret: %w", err), g.Close())
	}
	return g, nil
}

func (g *Guard) listen(service string, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	g.servers = append(g.servers, s)
	g.endpoints[service] = "http://" + l.Addr().String()
	g.work.Go(func() { s.Serve(l) }) // ends with Close
	return nil
}

// Close ends the servers.
func (g *Guard) Close() error {
	var errs []error
	for _, s := range g.servers {
		errs = append(errs, s.Close())
	}
	g.work.Wait()
	return errors.Join(errs...)
}

// operator is the access key of who may do everything.
const operator = "AKIDOPERATOR"

// accessKey is the function's own. DynamoDB Local takes letters and digits only.
func accessKey(folder string) string {
	if folder == "" {
		return operator
	}
	return "AKIDFUNCTION" + strings.ToUpper(folder)
}

// Environ returns where the services are and with whose key they are called: a
// function's, by folder, or the operator's, who has no limits, for "".
func (g *Guard) Environ(folder string) map[string]string {
	env := map[string]string{
		"AWS_REGION": g.o.Region, "AWS_ACCESS_KEY_ID": accessKey(folder), "AWS_SECRET_ACCESS_KEY": "rehearsal", "AWS_SESSION_TOKEN": "rehearsal",
	}
	for service, endpoint := range g.endpoints {
		env["AWS_ENDPOINT_URL_"+service] = endpoint
	}
	return env
}

// Denied returns what was refused, a sentence a call, oldest first.
func (g *Guard) Denied() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.denied)
}

var credential = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/`)

// caller is the folder of the function that calls, "" for the operator; false
// for who shows no signature.
func (g *Guard) caller(r *http.Request) (string, bool) {
	m := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return "", false
	}
	for folder := range g.o.Functions {
		if accessKey(folder) == m[1] {
			return folder, true
		}
	}
	return "", m[1] == operator
}

// need is a set of calls of which one has to be allowed.
type need []infra.Call

// check tells why the caller may not make the call, "" if it may.
func (g *Guard) check(r *http.Request, body []byte, read func(*http.Request, []byte) ([]need, error)) string {
	folder, ok := g.caller(r)
	switch {
	case !ok:
		return "a call without a known signature"
	case folder == "" || g.o.Open:
		return ""
	}
	needs, err := read(r, body)
	if err != nil {
		return folder + " makes a call that cannot be judged: " + err.Error()
	}
	f := g.o.Functions[folder]
	for _, n := range needs {
		if !slices.ContainsFunc(n, f.Allows) {
			return fmt.Sprintf("%s is not authorized to perform %s on %s %v", folder, n[0].Action, n[0].Resource, n[0].Context)
		}
	}
	return ""
}

// before is a proxy that lets calls through to the service behind.
func (g *Guard) before(to *url.URL, read func(*http.Request, []byte) ([]need, error)) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = to.Host
		},
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
		// A connection that was cut behind is cut here.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		// Those who cut it know; so does the caller.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if reason := g.check(r, body, read); reason != "" {
			g.refuse(w, r, reason)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})
}

func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, reason string) {
	g.mu.Lock()
	g.denied = append(g.denied, reason)
	g.mu.Unlock()
	status, kind := http.StatusBadRequest, "com.amazon.coral.service#AccessDeniedException"
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if r.Header.Get("X-Amz-Target") == "" { // the REST protocol, SES's
		status, kind = http.StatusForbidden, "AccessDeniedException"
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Amzn-ErrorType", kind)
	}
	answer(w, status, map[string]string{"__type": kind, "message": reason})
}

func answer(w http.ResponseWriter, status int, v map[string]string) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings only
	}
	w.WriteHeader(status)
	w.Write(b)
}

// secret is Secrets Manager's GetSecretValue.
func (g *Guard) secret(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in struct{ SecretId string }
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if reason := g.check(r, body, g.secretCalls); reason != "" {
		g.refuse(w, r, reason)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch {
	case r.Method != http.MethodPost || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue":
		answer(w, http.StatusBadRequest, map[string]string{"__type": "UnknownOperationException"})
	case err != nil || r.Header.Get("Content-Type") != "application/x-amz-json-1.1":
		answer(w, http.StatusBadRequest, map[string]string{"__type": "SerializationException"})
	case in.SecretId != g.o.Secret:
		answer(w, http.StatusBadRequest, map[string]string{"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret."})
	default:
		answer(w, http.StatusOK, map[string]string{"ARN": g.o.Secret, "SecretString": g.o.Text})
	}
}

func (g *Guard) secretCalls(_ *http.Request, body []byte) ([]need, error) {
	var in struct{ SecretId string }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	return []need{{{Action: "secretsmanager:GetSecretValue", Resource: in.SecretId}}}, nil
}
