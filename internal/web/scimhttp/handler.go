// Package scimhttp is the SCIM 2.0 service provider (RFC 7644) over package
// provision: it speaks HTTP, JSON and each connection's dialect, and decides
// nothing about users.
//
// /Me is not supported: the client is a directory and no user.
package scimhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// Prefix is the path of the base URL.
const Prefix = "/scim/v2"

// Limits of one request and its answer.
const (
	maxBody    = 1 << 20 // bytes
	maxPage    = 500     // resources in one answer: filter.maxResults
	usualPage  = 100
	maxScan    = 10_000  // candidates of a filter that no index answers
	maxMembers = 20_000  // members of a group in one answer, and members that a filter looks at
	maxAnswer  = 4 << 20 // bytes of resources in one list; a Lambda function answers 6 MB at most

	// maxGroup is the body of a group, in bytes: maxMembers as GET shows them, 200
	// bytes for each. In base64, as API Gateway hands it on, it is less than the
	// 6 MB of a Lambda function's event.
	maxGroup = 4 << 20
	// largeAtOnce is how many requests whose body is larger than maxBody are
	// served at a time: each takes tens of megabytes until it is answered.
	// largeEach is how many of them are of one organization.
	largeAtOnce = 4
	largeEach   = largeAtOnce / 2
)

// largeTime is how long what is beyond maxBody of a body may take to come.
const largeTime = 15 * time.Second

// Config is what a Handler needs.
type Config struct {
	URL       string // the configured outside address, without a slash at its end
	Orgs      *org.Store
	Provision *provision.Service
	Log       *slog.Logger
	Now       func() time.Time
	// Frozen says that nothing runs between requests, as in Lambda: what was
	// counted is then written at the end of requests.
	Frozen bool
}

// Handler answers everything below Prefix.
type Handler struct {
	Config
	base string // the base URL of the service provider

	maxScan, maxMembers, maxAnswer int
	maxWork                        filter.Budget

	large room
}

// New returns the handler.
func New(c Config) *Handler {
	return &Handler{Config: c, base: c.URL + Prefix, maxScan: maxScan, maxMembers: maxMembers, maxAnswer: maxAnswer, maxWork: filter.MaxWork}
}

// call is one request with who asks, and what the log is told of it.
type call struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	who  org.Access
	dir  provision.Directory
	mode schema.Mode

	ancestry *roster.Ancestry // of groups; nil until it is needed

	large   bool // the body is, and has its place in the handler's large
	changed bool // the change is made: nothing may refuse the request any more

	route  string        // the pattern of the path, never the path
	status int           // zero until the answer has begun
	report schema.Report // in what the message was bent to fit
	names  schema.Report // the same of the URL's attributes and excludedAttributes

	given                *value.Value // the body, where the request is an operation of a bulk request
	operations, failures int          // of a bulk request
}

// ServeHTTP authenticates, routes, and renders whatever goes wrong as a SCIM
// error.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.Now()
	c := &call{h: h, w: w, r: r, route: "none"}
	defer func() {
		if c.large {
			h.large.leave(c.who.Org.ID)
		}
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			c.fail(panicked(p))
		}
		c.count()
		c.log(h.Now().Sub(start))
	}()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

func (c *call) serve() error {
	path, below := strings.CutPrefix(c.r.URL.Path, Prefix)
	token, given := bearer(c.r)
	// Where to get in may be read by whoever is not in yet (RFC 7643 §5); a
	// credential that is given has to be good everywhere.
	open := below && path == "/ServiceProviderConfig" && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead)
	if given || !open {
		if err := c.authenticate(token); err != nil {
			return err
		}
		if err := c.take(1); err != nil {
			return err
		}
	}
	if below && (path == "" || path == "/") {
		c.route = "/"
		if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
			return &methodError{"GET, HEAD"}
		}
		return c.list(schema.All()...)
	}
	if !below || !strings.HasPrefix(path, "/") {
		return errNotFound
	}
	return c.dispatch(strings.Split(strings.TrimSuffix(path[1:], "/"), "/"))
}

func (c *call) authenticate(token string) error {
	var err error
	if c.who, err = c.h.Orgs.Authenticate(c.r.Context(), token); err != nil {
		return err
	}
	if c.mode, err = schema.ParseMode(c.who.Connection.Dialect); err != nil {
		return err
	}
	actor := audit.Actor{Kind: "connection", ID: string(c.who.Connection.ID) + "/" + string(c.who.Credential)}
	c.dir = c.h.Provision.As(c.who.Org, c.who.Connection, actor)
	return nil
}

// take counts n requests against the connection's rate. Where they cannot be
// counted they are served: a directory does not stop for a counter.
func (c *call) take(n int) error {
	err := c.h.Orgs.Take(c.r.Context(), c.who, n)
	if err == nil || fault.Is(err, fault.Throttled) {
		return err
	}
	c.h.Log.Warn("requests are not counted", "connection", string(c.who.Connection.ID), "error", err.Error())
	return nil
}

// bent tells by what rules the request was bent. The names are counted apart:
// what is said of the message is said anew where a change is decided anew.
func (c *call) bent() schema.Report {
	r := c.report
	r.Merge(c.names)
	return r
}

// count keeps by what rules the request was bent, for the connection's page.
func (c *call) count() {
	if bent := c.bent(); !bent.IsZero() && c.who.Org != nil {
		c.h.Orgs.CountCoercions(c.who, bent.Rules())
	}
	if !c.h.Frozen {
		return
	}
	if err := c.h.Orgs.WriteCoercionsFrozen(context.WithoutCancel(c.r.Context())); err != nil {
		c.h.Log.Warn("coercions are not written", "error", err.Error())
	}
}

// bearer returns the credential, and whether any was given. Okta can be set to
// send the token without a scheme.
func bearer(r *http.Request) (string, bool) {
	a := r.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(a, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), true
	}
	return a, a != ""
}

// dispatch calls the handler of the path.
func (c *call) dispatch(path []string) error {
	first, n := path[0], len(path)
	if rt, ok := resourceType(first); ok {
		switch {
		case n == 1:
			c.route = rt.Endpoint
			return c.all(rt)
		case n == 2 && path[1] == ".search":
			c.route = rt.Endpoint + "/.search"
			if c.r.Method != http.MethodPost {
				return &methodError{"POST"}
			}
			return c.search(rt)
		case n == 2 && path[1] != "":
			c.route = rt.Endpoint + "/{id}"
			return c.one(rt, path[1])
		case n == 3 && rt == schema.Group && path[1] != "" && path[2] == "members":
			c.route = rt.Endpoint + "/{id}/members"
			return c.members(path[1])
		}
		return errNotFound
	}
	switch {
	case first == "ServiceProviderConfig" || first == "Schemas" || first == "ResourceTypes":
		c.route = "/" + first
		return c.discovery(path)
	case first == "Me" && n == 1:
		c.route = "/Me"
		return c.me()
	case first == "Bulk" && n == 1:
		c.route = "/Bulk"
		return c.bulk()
	case first == ".search" && n == 1:
		c.route = "/.search"
		if c.r.Method != http.MethodPost {
			return &methodError{"POST"}
		}
		return c.search(schema.All()...)
	}
	return errNotFound
}

func resourceType(endpoint string) (*schema.ResourceType, bool) {
	for _, rt := range schema.All() {
		if rt.Endpoint[1:] == endpoint {
			return rt, true
		}
	}
	return nil, false
}

// all answers at the endpoint of a resource type.
func (c *call) all(rt *schema.ResourceType) error {
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		return c.list(rt)
	case http.MethodPost:
		switch rt {
		case schema.User:
			return c.postUser()
		case schema.Group:
			return c.postGroup()
		}
	}
	if rt.ReadOnly {
		return &methodError{"GET, HEAD"}
	}
	return &methodError{"GET, HEAD, POST"}
}

// one answers at a resource.
func (c *call) one(rt *schema.ResourceType, id string) error {
	if rt.ReadOnly {
		return c.none()
	}
	user := rt == schema.User
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		if user {
			return c.getUser(id)
		}
		return c.getGroup(id)
	case http.MethodPut:
		if user {
			return c.putUser(id)
		}
		return c.putGroup(id)
	case http.MethodPatch:
		if user {
			return c.patchUser(id)
		}
		return c.patchGroup(id)
	case http.MethodDelete:
		leave := c.dir.DeleteGroup
		if user {
			leave = c.dir.Leave
		}
		if err := leave(c.r.Context(), id, c.ifMatch()); err != nil {
			return err
		}
		c.sendNothing(http.StatusNoContent)
		return nil
	}
	return &methodError{"GET, HEAD, PUT, PATCH, DELETE"}
}

// none answers at a resource of a type of which there are none yet.
func (c *call) none() error {
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		return errNotFound
	}
	return &methodError{"GET, HEAD"}
}

// log tells of the request what is no person's: ids of ours, the pattern of the
// path, and the rules by which the message was bent.
func (c *call) log(took time.Duration) {
	attrs := make([]slog.Attr, 0, 9)
	attrs = append(attrs, slog.String("route", c.route), slog.String("method", known(c.r.Method)),
		slog.Int("status", c.status), slog.Int64("ms", took.Milliseconds()))
	if c.who.Org != nil {
		attrs = append(attrs, slog.String("org", string(c.who.Org.ID)), slog.String("connection", string(c.who.Connection.ID)))
	}
	if c.operations > 0 {
		attrs = append(attrs, slog.Int("operations", c.operations), slog.Int("failures", c.failures))
	}
	if bent := c.bent(); !bent.IsZero() {
		var rules []any
		for name, n := range bent.Rules() {
			rules = append(rules, slog.Int(name, n))
		}
		attrs = append(attrs, slog.Group("coerced", rules...))
	}
	c.h.Log.LogAttrs(c.r.Context(), slog.LevelInfo, "scim", attrs...)
}

// known keeps methods that a client invents out of the log.
func known(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

// panicked describes a panic without its value, which may hold anything a
// client sent; the runtime's own errors are safe to tell.
func panicked(p any) error {
	what := "panic"
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	return errors.New(what + "\n" + string(debug.Stack()))
}
