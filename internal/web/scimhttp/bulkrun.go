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

	"gatehouse/internal/fault"
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
func (c *call) runBulk(b bulk) {
	r := &runner{c: c, b: &b, end: time.Now().Add(bulkTime)}
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
// and those that come first in the order first.
func (r *runner) sideBySide(steps []step) {
	var ready []int // ascending
	for i := range steps {
		if steps[i].needs == 0 {
			ready = append(ready, i)
		}
	}
	finished := make(chan int, atOnce)
	running := 0
	for running > 0 || len(ready) > 0 {
		for ; len(ready) > 0 && running < atOnce; running++ {
			i := ready[0]
			ready = ready[1:]
			go func() {
				defer func() { finished <- i }()
				r.run(steps[i])
			}()
		}
		running--
		for _, next := range steps[<-finished].before {
			if steps[next].needs--; steps[next].needs == 0 {
				at, _ := slices.BinarySearch(ready, next)
				ready = slices.Insert(ready, at, next)
			}
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

// resolve returns the ids of what the references stand for, or which of them
// stands for nothing.
func (r *runner) resolve(refs []string) (ids map[string]string, missing *operation) {
	ids = make(map[string]string, len(refs))
	for _, ref := range refs {
		to := r.b.ops[r.b.creates[ref]]
		if to.id == "" {
			return nil, to
		}
		ids[refPrefix+ref] = to.id
	}
	return ids, nil
}

func (r *runner) carryOut(o *operation) {
	refs := slices.DeleteFunc(slices.Clone(o.refs), func(ref string) bool { return slices.Contains(o.late, ref) })
	ids, missing := r.resolve(refs)
	switch {
	case missing != nil && missing.status == http.StatusServiceUnavailable:
		o.take(notBegun())
		return
	case missing != nil:
		o.take(r.refusal(fault.New(fault.Conflict, "", "The operation refers to bulkId %.64q, whose operation failed with %d.", missing.bulkID, missing.status)))
		return
	case r.ctx.Err() != nil || time.Until(r.end) < bulkSlack:
		o.take(notBegun())
		return
	}
	parts, data := o.parts, o.data
	if len(o.refs) > 0 {
		first := *o
		if len(o.late) > 0 {
			rt, _ := resourceType(o.parts[0])
			first.data, o.later = part(rt, o.data, o.late)
		}
		parts, data = first.rewrite(func(text string) string { return replaced(ids, text) })
	}
	if o.method != http.MethodPost {
		o.location = r.c.h.base
		for _, p := range parts {
			o.location += "/" + url.PathEscape(p)
		}
	}
	got := r.ask(o, o.method, parts, data)
	if o.take(got); !o.failed() && o.method == http.MethodPost {
		o.location = got.header.Get("Location")
		o.id = o.location[strings.LastIndexByte(o.location, '/')+1:]
	}
}

// mend adds to what was created what it could not refer to.
func (r *runner) mend(o *operation) {
	ids, missing := r.resolve(o.late)
	switch {
	case missing != nil && missing.done:
		o.take(lacking(missing.bulkID, "failed with "+strconv.Itoa(missing.status)))
		return
	case missing != nil:
		o.take(lacking(missing.bulkID, "was not processed"))
		return
	}
	if r.ctx.Err() != nil || time.Until(r.end) < bulkSlack {
		o.take(lacking(o.late[0], "came when no time was left"))
		return
	}
	patch := operation{method: http.MethodPatch, parts: []string{o.parts[0], o.id}, data: patchOf(o.later)}
	parts, data := patch.rewrite(func(text string) string { return replaced(ids, text) })
	got := r.ask(o, http.MethodPatch, parts, data)
	if got.status < http.StatusBadRequest {
		o.etag = got.header.Get("ETag")
		return
	}
	o.take(got)
	o.response.Set("detail", value.Str("The resource was created, but what refers to others could not be added: "+o.response.Get("detail").Text()))
}

func replaced(ids map[string]string, text string) string {
	if id, ok := ids[text]; ok {
		return id
	}
	return text
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
		o.report.Merge(c.report)
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

// notBegun answers for what there was no time left to do, and for what waited
// for it. It is no failure that the log should know.
func notBegun() *recorder {
	return told(http.StatusServiceUnavailable, "There was no time left in the request for this operation; nothing of it was done. Send it again in a second.")
}

// lacking answers for a POST that was carried out but for a reference.
func lacking(ref, why string) *recorder {
	return told(http.StatusConflict, "The resource was created, but without its reference to bulkId "+strconv.Quote(ref)+", whose operation "+why+".")
}

func told(status int, detail string) *recorder {
	return &recorder{header: http.Header{}, status: status, body: errorBody(status, "", detail)}
}
