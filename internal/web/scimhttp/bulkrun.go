package scimhttp

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/scim/value"
)

// The time of a bulk request. A Lambda function and an identity provider's
// socket both end within a minute, and an answer that comes too late tells
// nobody what was done.
const (
	bulkTime   = 25 * time.Second // for all operations together
	bulkAnswer = time.Second      // kept of the request's own time, to answer in
	bulkSlack  = 2 * time.Second  // an operation is not begun with less left
	atOnce     = 8                // operations side by side
)

// runner carries a bulk request out.
type runner struct {
	c    *call
	b    *bulk
	ctx  context.Context
	end  time.Time   // of ctx
	gone atomic.Bool // the request is not to be answered (http.ErrAbortHandler)
}

// runBulk carries the operations out, side by side where nothing is lost by it,
// or one after the other where the client wants to stop at an error, and counts
// for the log what became of them.
func (c *call) runBulk(b *bulk) {
	r := &runner{c: c, b: b, end: time.Now().Add(bulkTime)}
	if d, ok := c.r.Context().Deadline(); ok && d.Add(-bulkAnswer).Before(r.end) {
		r.end = d.Add(-bulkAnswer)
	}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithDeadline(c.r.Context(), r.end)
	defer cancel()
	steps := b.order()
	if b.failOnErrors > 0 {
		r.inOrder(steps)
	} else {
		b.link(steps)
		r.sideBySide(steps)
	}
	if r.gone.Load() {
		panic(http.ErrAbortHandler)
	}
	for _, o := range b.ops {
		if o.done {
			c.operations++
		}
		if o.failed() {
			c.failures++
		}
		c.report.Merge(o.report)
	}
}

// inOrder begins no operation after failOnErrors of them have failed. What was
// begun is mended still, or says what it lacks.
func (r *runner) inOrder(steps []step) {
	errs := 0
	for _, s := range steps {
		if errs >= r.b.failOnErrors && !s.mend {
			continue
		}
		before := s.op.failed()
		r.run(s)
		if s.op.failed() && !before {
			errs++
		}
	}
}

// sideBySide runs at most atOnce steps at a time, each after those it waits for,
// and of those that may begin the first in the order.
func (r *runner) sideBySide(steps []step) {
	begun := make([]bool, len(steps))
	first, running := 0, 0 // before first, all are begun
	finished := make(chan int, atOnce)
	for {
		for i := first; i < len(steps) && running < atOnce; i++ {
			if begun[i] || steps[i].needs > 0 {
				continue
			}
			begun[i] = true
			running++
			go func() {
				defer func() { finished <- i }()
				r.run(steps[i])
			}()
		}
		for first < len(steps) && begun[first] {
			first++
		}
		if running == 0 {
			return
		}
		running--
		for _, next := range steps[<-finished].before {
			steps[next].needs--
		}
	}
}

// run carries one step out. What it reads of other operations was finished
// before it began.
func (r *runner) run(s step) {
	o := s.op
	defer func() {
		if p := recover(); p != nil {
			o.take(r.refusal(panicked(p)))
		}
	}()
	o.done = true
	switch {
	case o.err != nil:
		o.take(r.refusal(o.err))
	case s.mend && o.id != "":
		r.mend(o)
	case !s.mend:
		r.carryOut(o)
	}
}

// resolved returns the operation with ids for the references, or which of them
// stands for nothing.
func (r *runner) resolved(o operation, refs []string) (parts []string, data value.Value, missing *operation) {
	ids := make(map[string]string, len(refs))
	for _, ref := range refs {
		to := r.b.ops[r.b.creates[ref]]
		if to.id == "" {
			return nil, data, to
		}
		ids[refPrefix+ref] = to.id
	}
	if len(ids) == 0 {
		return o.parts, o.data, nil
	}
	parts, data = o.rewrite(func(text string) string {
		if id, ok := ids[text]; ok {
			return id
		}
		return text
	})
	return parts, data, nil
}

// late reports that an operation is not to be begun any more.
func (r *runner) late() bool { return r.ctx.Err() != nil || time.Until(r.end) < bulkSlack }

func (r *runner) carryOut(o *operation) {
	first := *o
	refs := o.refs
	if len(o.late) > 0 {
		refs = slices.DeleteFunc(slices.Clone(refs), func(ref string) bool { return slices.Contains(o.late, ref) })
		rt, _ := resourceType(o.parts[0])
		first.data, o.later = part(rt, o.data, o.late)
	}
	parts, data, missing := r.resolved(first, refs)
	switch {
	case missing != nil && missing.status != http.StatusServiceUnavailable:
		o.take(told(http.StatusConflict, "The operation refers to bulkId "+short(missing.bulkID)+", whose operation failed with "+strconv.Itoa(missing.status)+"."))
		return
	case missing != nil || r.late():
		// No failure that the log should know, of this or of what it waits for.
		o.take(told(http.StatusServiceUnavailable, "There was no time left in the request for this operation; nothing of it was done. Send it again in a second."))
		return
	}
	if o.method != http.MethodPost {
		o.location = r.c.h.base + (&url.URL{Path: "/" + strings.Join(parts, "/")}).EscapedPath()
	}
	got := r.ask(o, o.method, parts, data)
	if o.take(got); !o.failed() && o.method == http.MethodPost {
		o.location = got.header.Get("Location")
		o.id = o.location[strings.LastIndexByte(o.location, '/')+1:]
	}
}

// mend adds to what was created what it could not refer to.
func (r *runner) mend(o *operation) {
	second := operation{method: http.MethodPatch, parts: []string{o.parts[0], o.id}, data: patchOf(value.Arr(o.later...))}
	parts, data, missing := r.resolved(second, o.late)
	lacks, why := o.late[0], "came when no time was left"
	if missing != nil {
		lacks, why = missing.bulkID, "was not processed"
		if missing.done {
			why = "failed with " + strconv.Itoa(missing.status)
		}
	} else if !r.late() {
		got := r.ask(o, http.MethodPatch, parts, data)
		if got.status < http.StatusBadRequest {
			o.etag = got.header.Get("ETag")
			return
		}
		o.take(got)
		o.response.Set("detail", value.Str("The resource was created, but what refers to others could not be added: "+o.response.Get("detail").Text()))
		return
	}
	o.take(told(http.StatusConflict, "The resource was created, but without its reference to bulkId "+short(lacks)+", whose operation "+why+"."))
}

// ask makes the request that the operation stands for: by the same handlers and
// in the same name as if it had come alone.
func (r *runner) ask(o *operation, method string, parts []string, data value.Value) (got *recorder) {
	got = &recorder{header: http.Header{}}
	req := &http.Request{
		Method: method, URL: &url.URL{Path: Prefix + "/" + strings.Join(parts, "/"), RawQuery: o.query},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody,
	}
	if o.version != "" && method == o.method && method != http.MethodPost {
		req.Header.Set("If-Match", o.version)
	}
	c := &call{h: r.c.h, w: got, r: req.WithContext(r.ctx), who: r.c.who, dir: r.c.dir, mode: r.c.mode, given: &data}
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			r.gone.Store(true)
		} else if p != nil {
			c.fail(panicked(p))
		}
		o.report.Merge(c.bent())
	}()
	if err := c.dispatch(parts); err != nil {
		c.fail(err)
	}
	return got
}

// recorder keeps what the handler of an operation answers.
type recorder struct {
	header http.Header
	status int
	body   []byte // of an error alone: the rest is not repeated
}

func (w *recorder) Header() http.Header    { return w.header }
func (w *recorder) WriteHeader(status int) { w.status = status }
func (w *recorder) Write(b []byte) (int, error) {
	if w.status >= http.StatusBadRequest {
		w.body = append(w.body, b...)
	}
	return len(b), nil
}

// take makes an answer the operation's outcome.
func (o *operation) take(got *recorder) {
	o.status, o.etag = got.status, got.header.Get("ETag")
	if o.failed() {
		o.response, _ = value.Parse(got.body) // we rendered it
		if wait := got.header.Get("Retry-After"); wait != "" {
			o.response.Set("detail", value.Str(o.response.Get("detail").Text()+" Wait for "+wait+" s."))
		}
	}
}

// refusal renders an error as a single request's handler would.
func (r *runner) refusal(err error) *recorder {
	got := &recorder{header: http.Header{}}
	c := &call{h: r.c.h, w: got, r: r.c.r}
	c.fail(err)
	return got
}

// short quotes a bulkId, which may be as long as the request.
func short(bulkID string) string { return strconv.Quote(bulkID[:min(len(bulkID), 64)]) }

// told is an answer of ours to an operation.
func told(status int, detail string) *recorder {
	return &recorder{status: status, body: errorBody(status, "", detail)}
}
