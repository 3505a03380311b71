package scimhttp

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/patch"
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
	if errors.Is(err, errTooLarge) {
		return errBulkTooLarge
	}
	if err != nil {
		return err
	}
	b, err := parseBulk(body, c.mode)
	c.report = b.report
	if err != nil {
		return err
	}
	c.runBulk(b)
	out := value.Obj(value.M("schemas", value.Strs(bulkResponseURN)), value.M("Operations", b.results(c.h.base)))
	return c.send(http.StatusOK, out.Append(nil))
}

// bulk is a bulk request that was read.
type bulk struct {
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

// parseBulk reads the message. What is wrong with one operation is that
// operation's error; what makes the request as a whole ambiguous refuses it
// before anything is done. Errors are *fault.Error of Kind Invalid.
func parseBulk(body value.Value, m schema.Mode) (bulk, error) {
	b := bulk{creates: map[string]int{}}
	named := slices.ContainsFunc(body.Get("schemas").Elements(), func(v value.Value) bool { return strings.EqualFold(v.Text(), bulkRequestURN) })
	switch {
	case named:
	case m == schema.Compat:
		b.report.Add(schema.MissingSchema)
	default:
		return b, fault.New(fault.Invalid, fault.InvalidSyntax, "`schemas` does not name %s.", bulkRequestURN)
	}
	var err error
	if b.failOnErrors, err = failOnErrors(body.Get("failOnErrors"), m, &b.report); err != nil {
		return b, err
	}
	list := body.Get("Operations")
	all := list.Elements()
	switch {
	case list.Kind() != value.Array:
		return b, fault.New(fault.Invalid, fault.InvalidSyntax, "`Operations` must be an array of operations.")
	case len(all) > maxOperations:
		return b, fault.New(fault.Invalid, fault.TooLarge, "The number of operations (%d) exceeds the maxOperations (%d).", len(all), maxOperations)
	case len(all) == 0 && m != schema.Compat:
		return b, fault.New(fault.Invalid, fault.InvalidSyntax, "`Operations` holds no operation.")
	case len(all) == 0:
		b.report.Add(schema.NoOperations)
	}
	b.ops = make([]*operation, len(all))
	for i, v := range all {
		o := b.parse(v, m)
		b.ops[i] = o
		if o.method != http.MethodPost || o.bulkID == "" {
			continue
		}
		if other, taken := b.creates[o.bulkID]; taken {
			return b, fault.New(fault.Invalid, fault.InvalidValue, "The operations %d and %d have the same bulkId %.64q. Nothing was done.", other+1, i+1, o.bulkID)
		}
		b.creates[o.bulkID] = i
	}
	for _, o := range b.ops {
		b.check(o)
	}
	return b, nil
}

// failOnErrors reads how many errors are accepted.
func failOnErrors(v value.Value, m schema.Mode, report *schema.Report) (int, error) {
	switch v.Kind() {
	case value.Absent, value.Null:
		return 0, nil
	case value.Number:
	case value.String:
		if m == schema.Compat {
			report.Add(schema.StringNumber)
			break
		}
		fallthrough
	default:
		return 0, fault.New(fault.Invalid, fault.InvalidValue, "`failOnErrors` must be a whole number.")
	}
	n, err := strconv.Atoi(v.Text())
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, fault.InvalidValue, "`failOnErrors` must be a whole number, 0 or more.")
	}
	return n, nil
}

// parse reads one operation by itself.
func (b *bulk) parse(v value.Value, m schema.Mode) *operation {
	o := &operation{data: v.Get("data")}
	if v.Kind() != value.Object {
		o.err = invalidOperation("An operation is an object with `method`, `path` and `data`.")
		return o
	}
	// Each member is read before one of them is refused, so that the answer
	// echoes what it can.
	for _, f := range []struct {
		name string
		to   *string
	}{{"method", &o.method}, {"bulkId", &o.bulkID}, {"path", &o.path}, {"version", &o.version}} {
		switch t := v.Get(f.name); t.Kind() {
		case value.Absent, value.Null:
		case value.String:
			*f.to = t.Text()
		default:
			o.err = invalidOperation("`" + f.name + "` must be a string.")
		}
	}
	if upper := strings.ToUpper(o.method); m == schema.Compat && upper != o.method && bulkMethod(upper) {
		b.report.Add(schema.OperationCase)
		o.method = upper
	}
	if o.err != nil {
		return o
	}
	path, query, _ := strings.Cut(o.path, "?")
	switch {
	case !bulkMethod(o.method):
		o.err = invalidOperation("`method` must be POST, PUT, PATCH or DELETE.")
	case o.method == http.MethodPost && o.bulkID == "":
		o.err = invalidOperation("A POST needs a `bulkId`.")
	case o.path == "":
		o.err = invalidOperation("The operation needs a `path`.")
	case path[0] != '/' && m != schema.Compat:
		o.err = invalidOperation("`path` must begin with a slash.")
	}
	if o.err != nil {
		return o
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		o.err = invalidOperation("`path` is not percent-encoded as it should be.")
		return o
	}
	o.query = query
	o.parts = strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	if o.method == http.MethodPatch && o.data.Kind() == value.Array && m == schema.Compat {
		// The RFC's own example has the operations without their message.
		b.report.Add(schema.MissingSchema)
		o.data = value.Obj(value.M("schemas", value.Strs(patch.URN)), value.M("Operations", o.data))
	}
	return o
}

func bulkMethod(m string) bool {
	return m == http.MethodPost || m == http.MethodPut || m == http.MethodPatch || m == http.MethodDelete
}

// check holds an operation against the rest: where its path may lead, and
// whether what it refers to is in the request.
func (b *bulk) check(o *operation) {
	if o.err != nil {
		return
	}
	me := o.parts[0] == "Me"
	switch {
	case me: // answers for itself
	case o.method == http.MethodPost && len(o.parts) != 1:
		o.err = invalidOperation("The `path` of a POST is a resource type's, such as /Users.")
	case o.method != http.MethodPost && len(o.parts) == 1:
		o.err = invalidOperation("The `path` of " + o.method + " is a resource's, such as /Users/{id}.")
	case o.parts[0] == "Bulk":
		o.err = invalidOperation("A bulk request holds no bulk requests.")
	case o.method != http.MethodDelete && o.data.Kind() != value.Object:
		o.err = invalidOperation("`data` must be an object.")
	}
	if o.err != nil || me {
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

func invalidOperation(msg string) error {
	return &fault.Error{Kind: fault.Invalid, Code: fault.InvalidSyntax, Msg: msg}
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
