package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// URNs of schemas and messages.
const (
	userURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	configURN     = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	messagePrefix = "urn:ietf:params:scim:api:"
	listURN       = messagePrefix + "messages:2.0:ListResponse"
	patchURN      = messagePrefix + "messages:2.0:PatchOp"
	searchURN     = messagePrefix + "messages:2.0:SearchRequest"
	errorURN      = messagePrefix + "messages:2.0:Error"
	bulkURN       = messagePrefix + "messages:2.0:BulkRequest"
	bulkAnswerURN = messagePrefix + "messages:2.0:BulkResponse"
)

type object = map[string]any
type array = []any

// probe is one check at work on a subject.
type probe struct {
	s        Subject
	id       string
	names    int
	problems []string
}

// stopped ends a check that cannot go on.
type stopped struct{}

func (p *probe) run(check func(*probe)) {
	defer func() {
		if r := recover(); r != nil && r != (stopped{}) {
			panic(r)
		}
	}()
	check(p)
}

func (p *probe) failf(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *probe) stopf(format string, args ...any) {
	p.failf(format, args...)
	panic(stopped{})
}

// reply is an answer, read whole.
type reply struct {
	asked  string
	status int
	header http.Header
	body   []byte
	tree   any // the body as JSON, nil if it is none
}

// call makes a request below the base URL, or at a whole URL. A body that is a
// string is sent as it is. Headers come in pairs; an empty value takes one away.
func (p *probe) call(method, path string, body any, headers ...string) reply {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			panic(err)
		}
		in = bytes.NewReader(data)
	}
	target := path
	if strings.HasPrefix(path, "/") {
		target = p.s.URL + path
	}
	req, err := http.NewRequest(method, target, in)
	if err != nil {
		p.stopf("%s %s is no request: %v", method, target, err)
	}
	req.Header.Set("Authorization", "Bearer "+p.s.Token)
	if in != nil {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Del(headers[i]); headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	client := p.s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		p.stopf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		p.stopf("%s %s: the answer ends early: %v", method, target, err)
	}
	r := reply{asked: method + " " + target, status: resp.StatusCode, header: resp.Header, body: data}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&r.tree) != nil {
		r.tree = nil
	}
	return r
}

func (r reply) good() bool { return r.status/100 == 2 }

// at returns the value at the path of names and indexes, nil if there is none.
func (r reply) at(path ...any) any { return at(r.tree, path...) }

func (r reply) text(path ...any) string { s, _ := r.at(path...).(string); return s }

func at(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			o, _ := v.(object)
			v = o[s]
		case int:
			list, _ := v.(array)
			if s >= len(list) {
				return nil
			}
			v = list[s]
		}
	}
	return v
}

func elements(v any) array { list, _ := v.(array); return list }

// ok stops the check unless the request succeeded.
func (p *probe) ok(r reply) reply {
	if !r.good() {
		p.stopf("%s = %d, want success; body %.300s", r.asked, r.status, r.body)
	}
	return r
}

func (p *probe) get(path string, headers ...string) reply {
	return p.ok(p.call("GET", path, nil, headers...))
}

// refused wants an error of the status; with scimType, where one is given.
func (p *probe) refused(r reply, status int, scimType string) {
	if r.status != status {
		p.failf("%s = %d, want %d; body %.300s", r.asked, r.status, status, r.body)
	} else if scimType != "" && r.text("scimType") != scimType {
		p.failf("%s: scimType = %v, want %q", r.asked, r.at("scimType"), scimType)
	}
}

// is wants the value at the path; nil stands for none, null and [].
func (p *probe) is(r reply, want any, path ...any) {
	p.same(fmt.Sprintf("%s: %s", r.asked, show(path)), r.at(path...), want)
}

func (p *probe) same(what string, got, want any) {
	if list, ok := got.(array); ok && len(list) == 0 {
		got = nil
	}
	if !reflect.DeepEqual(got, want) {
		p.failf("%s = %s, want %s", what, show(got), show(want))
	}
}

func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// name is one that nobody had before.
func (p *probe) name() string {
	p.names++
	return fmt.Sprintf("%s-%d@conform.example", strings.ToLower(p.id), p.names)
}

// person is the body of a user with a name of its own.
func (p *probe) person(more ...object) object {
	o := object{"schemas": array{userURN}, "userName": p.name()}
	for _, m := range more {
		for k, v := range m {
			o[k] = v
		}
	}
	return o
}

// post creates what the body says and returns the answer, which has an id.
func (p *probe) post(endpoint string, body any) reply {
	r := p.ok(p.call("POST", endpoint, body))
	if r.text("id") == "" {
		p.stopf("%s answers without an id: %.300s", r.asked, r.body)
	}
	return r
}

func (p *probe) user(more ...object) reply { return p.post("/Users", p.person(more...)) }

func (p *probe) team(members ...string) object {
	list := array{}
	for _, m := range members {
		list = append(list, object{"value": m})
	}
	return object{"schemas": array{groupURN}, "displayName": p.name(), "members": list}
}

func (p *probe) group(members ...string) reply { return p.post("/Groups", p.team(members...)) }

func (p *probe) patch(path string, operations ...any) reply {
	return p.call("PATCH", path, object{"schemas": array{patchURN}, "Operations": operations})
}

func op(verb, path string, value ...any) object {
	o := object{"op": verb, "path": path}
	if len(value) > 0 {
		o["value"] = value[0]
	}
	return o
}

// query is a list with parameters, in pairs.
func (p *probe) query(endpoint string, parameters ...string) reply {
	v := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		v.Set(parameters[i], parameters[i+1])
	}
	return p.call("GET", endpoint+"?"+v.Encode(), nil)
}

// ids are those of a list's resources.
func (r reply) ids() []string {
	var ids []string
	for _, e := range elements(r.at("Resources")) {
		id, _ := at(e, "id").(string)
		ids = append(ids, id)
	}
	return ids
}

// finds wants a filter to select exactly the ids.
func (p *probe) finds(endpoint, filter string, want ...string) {
	r := p.query(endpoint, "filter", filter, "count", "100")
	if r.status != http.StatusNotFound { // for nothing, which another check is about
		p.ok(r)
	}
	if got := r.ids(); !sameSet(got, want) {
		p.failf("%s %q finds %q, want %q", endpoint, filter, got, want)
	}
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	seen := map[string]int{}
	for _, s := range a {
		seen[s]++
	}
	for _, s := range b {
		if seen[s]--; seen[s] < 0 {
			return false
		}
	}
	return true
}

// all walks the pages of a list to its end.
func (p *probe) all(endpoint string) array {
	var out array
	for start := 1; ; {
		r := p.ok(p.query(endpoint, "startIndex", fmt.Sprint(start), "count", "200"))
		page := elements(r.at("Resources"))
		if len(page) == 0 {
			return out
		}
		out = append(out, page...)
		if start += len(page); start > 100_000 {
			p.stopf("%s has no end", endpoint)
		}
	}
}
