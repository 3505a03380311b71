package scimhttp

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// The messages of RFC 7644 §3.7.
const (
	bulkRequestURN  = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkResponseURN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
)

// maxOperations is how many operations one bulk request holds; its payload is
// bounded as every body is, by maxBody.
const maxOperations = 1000

var errBulkTooLarge = fault.New(fault.Invalid, fault.TooLarge, "The size of the bulk operation exceeds the maxPayloadSize (%d).", maxBody)

// bulk answers POST /Bulk: it reads the operations, finds an order in which each
// comes after what it refers to, carries them out by the handlers of single
// requests, and tells in the order of the request what became of each.
//
// The whole is no transaction: each operation is. Who lost the answer repeats
// the request: what was created is then refused with 409, what was changed is
// changed to the same, and what was deleted is 404.
func (c *call) bulk() error {
	if c.r.Method != http.MethodPost {
		return &methodError{"POST"}
	}
	body, err := c.body()
	if fault.Coded(err, fault.TooLarge) {
		return errBulkTooLarge
	}
	if err != nil {
		return err
	}
	b := bulk{mode: c.mode, creates: map[string]int{}}
	err = b.parse(body)
	c.report = b.report
	if err != nil {
		return err
	}
	// The request itself is counted already.
	if n := len(b.ops) - 1; n > 0 {
		if err := c.take(n); err != nil {
			return err
		}
	}
	c.runBulk(&b)
	out := value.Obj(value.M("schemas", value.Strs(bulkResponseURN)), value.M("Operations", b.results(c.h.base)))
	return c.send(http.StatusOK, out.Append(nil))
}

// bulk is a bulk request that was read.
type bulk struct {
	mode         schema.Mode
	failOnErrors int // 0: go on whatever happens
	ops          []*operation
	creates      map[string]int // by bulkId: the place of the POST in ops
	report       schema.Report
}

// operation is one of a bulk request, and what became of it.
type operation struct {
	method, path string
	bulkID       string
	version      string
	data         value.Value
	parts        []string // the path, as dispatch takes it
	query        string
	err          error // it cannot be carried out as it stands

	refs  []string      // the bulkIds that it names, each once
	late  []string      // those of them that come after it: patched in when they are there
	later []value.Value // the operations of that PATCH

	done     bool // processed, and therefore told of
	status   int
	id       string // of what a POST created
	location string
	etag     string
	response value.Value // where it failed
	report   schema.Report
}

func (o *operation) failed() bool { return o.status >= http.StatusBadRequest }

// parse reads the message. What is wrong with one operation is that operation's
// error; what is wrong with the request as a whole refuses it before anything is
// done. Errors are *fault.Error of Kind Invalid.
func (b *bulk) parse(body value.Value) error {
	named := slices.ContainsFunc(body.Get("schemas").Elements(), func(v value.Value) bool { return strings.EqualFold(v.Text(), bulkRequestURN) })
	list := body.Get("Operations")
	all := list.Elements()
	compat := b.mode == schema.Compat
	if compat && !named {
		b.report.Add(schema.MissingSchema)
	}
	if compat && len(all) == 0 {
		b.report.Add(schema.NoOperations)
	}
	stop := body.Get("failOnErrors")
	if compat && stop.Kind() == value.String {
		b.report.Add(schema.StringNumber)
	}
	var err error
	if !stop.IsNothing() {
		b.failOnErrors, err = strconv.Atoi(stop.Text()) // no number has no text
	}
	code, msg := fault.InvalidSyntax, ""
	switch {
	case !named && !compat:
		msg = "`schemas` does not name " + bulkRequestURN + "."
	case list.Kind() != value.Array:
		msg = "`Operations` must be an array of operations."
	case len(all) == 0 && !compat:
		msg = "`Operations` holds no operation."
	case len(all) > maxOperations:
		code, msg = fault.TooLarge, "The number of operations exceeds the maxOperations ("+strconv.Itoa(maxOperations)+")."
	case err != nil || b.failOnErrors < 0 || stop.Kind() == value.String && !compat:
		code, msg = fault.InvalidValue, "`failOnErrors` must be a whole number, 0 or more."
	}
	if msg != "" {
		return &fault.Error{Kind: fault.Invalid, Code: code, Msg: msg}
	}
	b.ops = make([]*operation, len(all))
	for i, v := range all {
		o := b.parseOperation(v)
		b.ops[i] = o
		if o.method != http.MethodPost || o.bulkID == "" {
			continue
		}
		if other, taken := b.creates[o.bulkID]; taken {
			// A reference to it would be to either of them.
			o.err = fault.New(fault.Invalid, fault.InvalidValue, "Several operations have the bulkId %.64q.", o.bulkID)
			b.ops[other].err = o.err
		}
		b.creates[o.bulkID] = i
	}
	for _, o := range b.ops {
		b.findRefs(o)
	}
	return nil
}

// texts are the members of an operation that are strings.
var texts = [...]string{"method", "bulkId", "path", "version"}

// parseOperation reads one operation by itself.
func (b *bulk) parseOperation(v value.Value) *operation {
	o := &operation{data: v.Get("data")}
	msg := ""
	if v.Kind() != value.Object {
		msg = "An operation is an object with `method`, `path` and `data`."
	}
	// Each is read before one of them is refused: the answer echoes what it can.
	for i, to := range [len(texts)]*string{&o.method, &o.bulkID, &o.path, &o.version} {
		t := v.Get(texts[i])
		if *to = t.Text(); t.Kind() != value.String && !t.IsNothing() {
			*to, msg = "", "`"+texts[i]+"` must be a string."
		}
	}
	var path string
	path, o.query, _ = strings.Cut(o.path, "?")
	plain, err := url.PathUnescape(path)
	o.parts = strings.Split(strings.TrimSuffix(strings.TrimPrefix(plain, "/"), "/"), "/")
	post := o.method == http.MethodPost
	switch {
	case msg != "":
	case !post && o.method != http.MethodPut && o.method != http.MethodPatch && o.method != http.MethodDelete:
		msg = "`method` must be POST, PUT, PATCH or DELETE."
	case post && o.bulkID == "":
		msg = "A POST needs a `bulkId`."
	case path == "" || path[0] != '/' && b.mode != schema.Compat || err != nil:
		msg = "The operation needs a `path` below the base URL, such as /Users, percent-encoded where it has to be."
	case o.parts[0] == "Me":
		o.err = errMe
		return o
	case o.parts[0] == "Bulk":
		msg = "A bulk request holds no bulk requests."
	case post != (len(o.parts) == 1):
		msg = "The `path` of a POST is a resource type's, such as /Users; that of any other method is a resource's, such as /Users/{id}."
	}
	if msg == "" && path[0] != '/' {
		b.report.Add(schema.MissingSlash)
	}
	if b.mode == schema.Compat && o.method == http.MethodPatch && o.data.Kind() == value.Array {
		// The RFC's own example has the operations without their message.
		b.report.Add(schema.MissingSchema)
		o.data = patchOf(o.data)
	}
	if msg == "" && o.method != http.MethodDelete && o.data.Kind() != value.Object {
		msg = "`data` must be an object."
	}
	if msg != "" {
		o.err = &fault.Error{Kind: fault.Invalid, Code: fault.InvalidSyntax, Msg: msg}
	}
	return o
}

// findRefs finds what the operation refers to, and whether it is in the request.
func (b *bulk) findRefs(o *operation) {
	if o.err != nil {
		return
	}
	seen := map[string]bool{}
	o.rewrite(func(text string) string {
		ref, ok := strings.CutPrefix(text, refPrefix)
		if !ok || seen[ref] {
			return text
		}
		seen[ref] = true
		if _, known := b.creates[ref]; known {
			o.refs = append(o.refs, ref)
		} else {
			o.err = fault.New(fault.Invalid, fault.InvalidValue, "No POST of the request has the bulkId %.64q.", ref)
		}
		return text
	})
	if o.err != nil {
		o.refs = nil // it waits for nothing
	}
}

// results are the processed operations, in the order of the request.
func (b *bulk) results(base string) value.Value {
	var all []value.Value
	for _, o := range b.ops {
		if !o.done {
			continue
		}
		// A method, path or version of a wrong type is not repeated.
		r := value.Obj()
		if o.location == "" && o.method != http.MethodPost && o.path != "" {
			o.location = base + "/" + strings.TrimPrefix(o.path, "/")
		}
		for _, f := range []struct{ name, text string }{{"location", o.location}, {"method", o.method}, {"bulkId", o.bulkID}, {"version", o.etag}} {
			if f.text != "" {
				r.Set(f.name, value.Str(f.text))
			}
		}
		r.Set("status", value.Str(strconv.Itoa(o.status)))
		if o.failed() {
			r.Set("response", o.response)
		}
		all = append(all, r)
	}
	return value.Arr(all...)
}
