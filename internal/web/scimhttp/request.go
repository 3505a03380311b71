package scimhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// limit is how many bytes the request's body may have. What GET answers of a
// group, PUT takes.
func (c *call) limit() int64 {
	switch c.route {
	case schema.Group.Endpoint, schema.Group.Endpoint + "/{id}":
		return maxGroup
	}
	return maxBody
}

// body reads and parses the request's JSON object: at most limit bytes of a
// media type that SCIM knows, or of none.
func (c *call) body() (value.Value, error) {
	if c.given != nil {
		return *c.given, nil
	}
	if ct := c.r.Header.Get("Content-Type"); ct != "" && !isJSON(ct) {
		return value.Value{}, errMediaType
	}
	for _, coding := range c.r.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			c.w.Header().Set("Accept-Encoding", "identity") // RFC 9110 §12.5.3
			return value.Value{}, errCoding
		}
	}
	text, err := c.read()
	if err != nil {
		return value.Value{}, err
	}
	v, err := value.Parse(text)
	if err != nil {
		return value.Value{}, fault.New(fault.Invalid, fault.InvalidSyntax, "The body is not JSON that can be taken: %s.", err.Error())
	}
	if v.Kind() != value.Object {
		return value.Value{}, fault.New(fault.Invalid, fault.InvalidSyntax, "The body is not a JSON object.")
	}
	return v, nil
}

func isJSON(contentType string) bool {
	if contentType == "application/scim+json" {
		return true // nearly always
	}
	mt, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	charset := params["charset"]
	return (mt == "application/scim+json" || mt == "application/json") && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// read refuses what is announced as too large before it asks for any of it: a
// client that waits for "100 Continue" sends nothing.
func (c *call) read() ([]byte, error) {
	limit := c.limit()
	large := fault.New(fault.Invalid, fault.TooLarge, "The body is larger than %d bytes.", limit)
	if c.r.ContentLength > limit {
		return nil, large
	}
	in := http.MaxBytesReader(c.w, c.r.Body, limit)
	var text []byte
	var err error
	if n := c.r.ContentLength; n >= 0 && n <= maxBody {
		text = make([]byte, n)
		_, err = io.ReadFull(in, text)
	} else {
		// There is room for more when it comes: it may be announced and never sent.
		var b bytes.Buffer
		if _, err = b.ReadFrom(io.LimitReader(in, maxBody+1)); err == nil && b.Len() > maxBody {
			if err := c.h.large.enter(c.who.Org.ID); err != nil {
				return nil, err
			}
			c.large = true
			err = c.rest(&b, in)
		}
		text = b.Bytes()
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, large
	case err == errSlow:
		return nil, err
	case err != nil:
		return nil, fault.New(fault.Invalid, fault.InvalidSyntax, "The body ended before it was whole.")
	}
	return text, nil
}

// errSlow is a 408 (RFC 9110 §15.5.9). The other two say that there is no room:
// errOwnLarge where the organization itself has taken what it may.
var (
	errSlow     = fault.New(fault.Invalid, "", "The body came too slowly: what is beyond %d bytes has %d seconds.", maxBody, largeTime/time.Second)
	errOwnLarge = &fault.Error{Kind: fault.Throttled, Retry: time.Second,
		Msg: fmt.Sprintf("The organization has %d requests with a body of more than %d bytes under way, and may have no more. Try again when one of them is answered.", largeEach, maxBody)}
	errLarge = &fault.Error{Kind: fault.Unavailable, Retry: time.Second, Msg: "Too many large bodies at once. Try again."}
)

// rest reads on in a large body, for largeTime at most. In Lambda, where no
// connection has a deadline, the body is there as a whole.
func (c *call) rest(b *bytes.Buffer, in io.Reader) error {
	conn := http.NewResponseController(c.w)
	// One that is long over, and only when it is: the server's own, which may come
	// before, stays.
	late := time.AfterFunc(largeTime, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	_, err := b.ReadFrom(in)
	if !late.Stop() {
		return errSlow
	}
	return err
}

// room is for the requests with a large body, until they are answered. One too
// many does not wait: what came of it takes memory already.
type room struct {
	mu  sync.Mutex
	all int
	of  map[identity.Org]int // those that have any
}

// enter takes room for one more of the organization: what it sends slowly leaves
// half of the room to others. Without room it is errOwnLarge or errLarge.
func (r *room) enter(o identity.Org) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.of[o] >= largeEach:
		return errOwnLarge
	case r.all >= largeAtOnce:
		return errLarge
	}
	if r.of == nil {
		r.of = map[identity.Org]int{}
	}
	r.all++
	r.of[o]++
	return nil
}

func (r *room) leave(o identity.Org) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.of[o]--; r.of[o] == 0 {
		delete(r.of, o)
	}
}

// parameters are what a query asks for, in the URL or in a SearchRequest. What
// was not given is nil.
type parameters struct {
	attributes, excluded              []string
	filter, startIndex, count, cursor *string
	sortBy, sortOrder                 *string
}

// parameters reads the URL's. Unknown ones are passed over, as is an "&" that
// nothing follows: identity providers append flags of their own. One of ours
// that cannot be read is refused rather than passed over, since a look-up
// without its filter would answer with everybody; so is one that is given twice
// with different values.
func (c *call) parameters() (parameters, error) {
	var p parameters
	for part := range strings.SplitSeq(c.r.URL.RawQuery, "&") {
		name, text, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		var one **string
		switch name {
		case "attributes", "excludedAttributes":
		case "filter":
			one = &p.filter
		case "startIndex":
			one = &p.startIndex
		case "count":
			one = &p.count
		case "cursor":
			one = &p.cursor
		case "sortBy":
			one = &p.sortBy
		case "sortOrder":
			one = &p.sortOrder
		default:
			continue
		}
		text, err = url.QueryUnescape(text)
		switch {
		case err != nil:
			return p, fault.New(fault.Invalid, fault.InvalidValue, "The parameter %s is not percent-encoded as it should be.", name)
		case one != nil && *one != nil && **one != text:
			return p, fault.New(fault.Invalid, fault.InvalidValue, "The parameter %s is given twice.", name)
		case one != nil:
			*one = &text
		case name == "attributes":
			p.attributes = append(p.attributes, text)
		default:
			p.excluded = append(p.excluded, text)
		}
	}
	return p, nil
}

// projection reads attributes and excludedAttributes (RFC 7644 §3.9).
func (c *call) projection(rt *schema.ResourceType) (schema.Projection, error) {
	p, err := c.parameters()
	if err != nil {
		return schema.Projection{}, err
	}
	return schema.ParseProjection(rt, p.attributes, p.excluded, c.mode, &c.names)
}

// searchURN is the schema of a SearchRequest (RFC 7644 §3.4.3).
const searchURN = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

// searchParameters reads a SearchRequest. As in a URL, what is there and cannot
// be read is refused. The report counts what was bent.
func searchParameters(body value.Value, m schema.Mode, report *schema.Report) (parameters, error) {
	var p parameters
	compat := m == schema.Compat
	named := slices.ContainsFunc(body.Get("schemas").Elements(), func(v value.Value) bool { return strings.EqualFold(v.Text(), searchURN) })
	switch {
	case !named && compat:
		report.Add(schema.MissingSchema)
	case !named:
		return p, fault.New(fault.Invalid, fault.InvalidSyntax, "`schemas` does not name %s.", searchURN)
	}
	for _, f := range []struct {
		name string
		to   *[]string
	}{{"attributes", &p.attributes}, {"excludedAttributes", &p.excluded}} {
		v := body.Get(f.name)
		if compat && v.Kind() == value.String { // as it stands in a URL
			report.Add(schema.SingleForMany)
			v = value.Arr(v)
		}
		if !v.IsNothing() && v.Kind() != value.Array {
			return p, fault.New(fault.Invalid, fault.InvalidValue, "`%s` must be an array of names.", f.name)
		}
		for _, e := range v.Elements() {
			if e.Kind() != value.String {
				return p, fault.New(fault.Invalid, fault.InvalidValue, "`%s` must be an array of names.", f.name)
			}
			*f.to = append(*f.to, e.Text())
		}
	}
	for _, f := range []struct {
		name string
		kind value.Kind
		to   **string
	}{
		{"filter", value.String, &p.filter}, {"startIndex", value.Number, &p.startIndex}, {"count", value.Number, &p.count},
		{"cursor", value.String, &p.cursor}, {"sortBy", value.String, &p.sortBy}, {"sortOrder", value.String, &p.sortOrder},
	} {
		v := body.Get(f.name)
		if v.Kind() == value.Absent || v.Kind() == value.Null {
			continue
		}
		switch {
		case v.Kind() == f.kind:
		case compat && v.Kind() == value.String && v.Text() == "":
			report.Add(schema.EmptyString)
		case compat && v.Kind() == value.String:
			report.Add(schema.StringNumber)
		default:
			return p, fault.New(fault.Invalid, fault.InvalidValue, "`%s` is of the wrong type.", f.name)
		}
		text := v.Text()
		*f.to = &text
	}
	return p, nil
}

// ifMatch reads the preconditions of a change, nil where there are none:
// If-Match, and If-None-Match, which asks that nothing is there or that it is
// another version (RFC 9110 §13.1). They are about the resource itself, not about
// a user's groups, so what stands behind the dot of a user's tag does not count.
func (c *call) ifMatch() provision.Match {
	if c.mode == schema.Interop { // its clients must not send entity tags
		return nil
	}
	is := matcher(c.r.Header.Values("If-Match"), true)
	isNot := matcher(c.r.Header.Values("If-None-Match"), true)
	if is == nil && isNot == nil {
		return nil
	}
	return func(tag string) bool {
		return (is == nil || is(tag)) && (isNot == nil || !isNot(tag))
	}
}

// matcher compares a list of entity tags weakly: ours are weak, and clients send
// them back in either form. With own it compares what stands before the dot.
func matcher(headers []string, own bool) provision.Match {
	if len(headers) == 0 {
		return nil
	}
	list := strings.Join(headers, ",")
	return func(tag string) bool {
		for t := range strings.SplitSeq(list, ",") {
			t = strings.TrimSpace(t)
			text := strings.Trim(strings.TrimPrefix(t, "W/"), `"`)
			if own {
				text, _, _ = strings.Cut(text, ".")
			}
			if t == "*" || text == tag {
				return true
			}
		}
		return false
	}
}

// fits answers for the preconditions of a read: 412 where If-Match names other
// versions.
func (c *call) fits(tag string) error {
	if m := matcher(c.r.Header.Values("If-Match"), false); m != nil && !m(tag) {
		return fault.New(fault.Conflict, fault.Stale, "The resource has changed since the version that the request names.")
	}
	return nil
}

// notModified answers 304 where the client has the version already.
func (c *call) notModified(tag string) bool {
	m := matcher(c.r.Header.Values("If-None-Match"), false)
	if m == nil || !m(tag) {
		return false
	}
	c.w.Header().Set("ETag", etag(tag))
	c.sendNothing(http.StatusNotModified)
	return true
}

func etag(tag string) string { return `W/"` + tag + `"` }
