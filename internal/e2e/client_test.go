package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client speaks SCIM to one base URL with one credential.
type client struct {
	base  string
	token string // sent as a bearer token; empty: none

	headers []string // sent with each request, in pairs

	// patience is how often a request that was answered with 503 and Retry-After
	// is sent again, as identity providers do.
	patience int
}

// answer is a response, read whole.
type answer struct {
	asked  string // method and URL, for messages
	again  bool   // it was sent more than once
	status int
	header http.Header
	body   []byte
	tree   any // the body as JSON, nil if it is none
	took   time.Duration
}

// send makes one request. The path begins with a slash and is joined to the
// base, or is a whole URL; the body is sent as it is if it is a string or
// bytes, else as JSON; headers are given in pairs and replace the usual ones.
func (c *client) send(t testing.TB, method, path string, body any, headers ...string) answer {
	t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *client) try(method, path string, body any, headers ...string) (answer, error) {
	for left := c.patience; ; left-- {
		a, err := c.once(method, path, body, headers...)
		a.again = left < c.patience
		after, numErr := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || a.status != http.StatusServiceUnavailable || numErr != nil || left == 0 {
			return a, err
		}
		time.Sleep(time.Duration(after) * time.Second)
	}
}

func (c *client) once(method, path string, body any, headers ...string) (answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(data)
	}
	target := path
	if strings.HasPrefix(path, "/") {
		target = c.base + path
	}
	req, err := http.NewRequest(method, target, r)
	if err != nil {
		return answer{}, err
	}
	if r != nil {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	headers = slices.Concat(c.headers, headers)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	begin := time.Now()
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: noRedirect}).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: reading the answer: %w", method, target, err)
	}
	a := answer{asked: method + " " + target, status: resp.StatusCode, header: resp.Header, body: data, took: time.Since(begin)}
	a.tree, _ = decode(data)
	return a, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// decode reads JSON and keeps numbers as they are written.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// want fails the test unless the status is one of those given.
func (a answer) want(t testing.TB, statuses ...int) answer {
	t.Helper()
	if !slices.Contains(statuses, a.status) {
		t.Fatalf("%s = %d, want %v; body %s", a.asked, a.status, statuses, a.body)
	}
	return a
}

// at returns the value at the path, nil if there is none.
func (a answer) at(path string) any {
	v, _ := lookup(a.tree, path)
	return v
}

// text returns the value at the path as a script would compare it.
func (a answer) text(path string) string { return plain(a.at(path)) }

// is fails the test unless the value at the path, as plain text, is the one
// given.
func (a answer) is(t testing.TB, path, want string) {
	t.Helper()
	v, ok := lookup(a.tree, path)
	if !ok || plain(v) != want {
		t.Errorf("%s: %s = %s, want %q; body %s", a.asked, path, show(v, ok), want, a.body)
	}
}

// lacks fails the test if the path has a value, empty lists aside: absent,
// null and [] are one state (RFC 7643 §2.5).
func (a answer) lacks(t testing.TB, path string) {
	t.Helper()
	if v, ok := lookup(a.tree, path); ok && !empty(v) {
		t.Errorf("%s: %s = %s, want none", a.asked, path, show(v, ok))
	}
}

// isError fails the test unless the answer is a SCIM error of the kind.
func (a answer) isError(t testing.TB, status int, scimType string) {
	t.Helper()
	a.want(t, status)
	a.is(t, "schemas[0]", errorSchema)
	if got, ok := a.at("status").(string); !ok || got != fmt.Sprint(status) {
		t.Errorf("%s: status = %v, want the string %q", a.asked, a.at("status"), fmt.Sprint(status))
	}
	if a.text("detail") == "" {
		t.Errorf("%s: the error has no detail: %s", a.asked, a.body)
	}
	if scimType != "" {
		a.is(t, "scimType", scimType)
	}
}

// ids returns the ids of a list's resources in their order.
func (a answer) ids() []string {
	var ids []string
	list, _ := a.at("Resources").([]any)
	for _, r := range list {
		v, _ := lookup(r, "id")
		ids = append(ids, plain(v))
	}
	return ids
}

// lookup follows a path such as Resources[0].name.givenName. A name may itself
// hold dots, as a schema's URN does: the longest name that exists is taken.
func lookup(v any, path string) (any, bool) {
	if path == "" {
		return v, true
	}
	switch v := v.(type) {
	case map[string]any:
		for end := len(path); end > 0; end-- {
			if end < len(path) && path[end] != '.' && path[end] != '[' {
				continue
			}
			if child, ok := v[path[:end]]; ok {
				if found, ok := lookup(child, strings.TrimPrefix(path[end:], ".")); ok {
					return found, true
				}
			}
		}
	case []any:
		digits, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
		if !ok || path[0] != '[' {
			return nil, false
		}
		var i int
		if n, err := fmt.Sscanf(digits, "%d", &i); n == 1 && err == nil && i >= 0 && i < len(v) {
			return lookup(v[i], strings.TrimPrefix(rest, "."))
		}
	}
	return nil, false
}

// plain writes a JSON value as text: strings bare, the rest as JSON.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

func show(v any, ok bool) string {
	if !ok {
		return "nothing"
	}
	data, _ := json.Marshal(v)
	return string(data)
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// Schemas.
const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	listSchema       = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	patchSchema      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	errorSchema      = "urn:ietf:params:scim:api:messages:2.0:Error"
)

type object = map[string]any

// person is a user as a directory would send it.
func person(userName, given, family string) object {
	return object{
		"schemas":     []string{userSchema},
		"userName":    userName,
		"name":        object{"givenName": given, "familyName": family},
		"displayName": given + " " + family,
		"emails":      []object{{"value": userName, "type": "work", "primary": true}},
		"active":      true,
	}
}

// user creates one and returns its id.
func (c *client) user(t testing.TB, userName string, more ...object) string {
	t.Helper()
	p := person(userName, "Ana", "Ruiz")
	for _, m := range more {
		for k, v := range m {
			p[k] = v
		}
	}
	return c.send(t, "POST", "/Users", p).want(t, 201).text("id")
}

// group creates one with members and returns its id.
func (c *client) group(t testing.TB, name string, members ...string) string {
	t.Helper()
	return c.send(t, "POST", "/Groups", object{"schemas": []string{groupSchema}, "displayName": name, "members": refs(members)}).want(t, 201).text("id")
}

func refs(ids []string) []object {
	list := []object{}
	for _, id := range ids {
		list = append(list, object{"value": id})
	}
	return list
}

// get reads a resource.
func (c *client) get(t testing.TB, path string) answer {
	t.Helper()
	return c.send(t, "GET", path, nil).want(t, 200)
}

// patch applies operations.
func (c *client) patch(t testing.TB, path string, operations ...object) answer {
	t.Helper()
	return c.send(t, "PATCH", path, patchOp(operations...))
}

func patchOp(operations ...object) object {
	return object{"schemas": []string{patchSchema}, "Operations": operations}
}

// members returns the ids of a group's members, sorted.
func (c *client) members(t testing.TB, group string) []string {
	t.Helper()
	var ids []string
	list, _ := c.get(t, "/Groups/"+group).at("members").([]any)
	for _, m := range list {
		v, _ := lookup(m, "value")
		ids = append(ids, plain(v))
	}
	slices.Sort(ids)
	return ids
}

// filtered is a list's path with the filter.
func filtered(path, filter string) string { return path + "?filter=" + url.QueryEscape(filter) }

func TestLookup(t *testing.T) {
	v, err := decode([]byte(`{"a":{"b":[{"c":"x"},{"c":2.50}]},"urn:x:2.0:User":{"manager":{"value":"m"}},"urn:x:2":{"0:User":1},"n":null,"e":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, want string
		ok         bool
	}{
		{"a.b[0].c", "x", true},
		{"a.b[1].c", "2.50", true},
		{"a.b[2].c", "", false},
		{"a.b[-1].c", "", false},
		{"a.b.c", "", false},
		{"urn:x:2.0:User.manager.value", "m", true},
		{"urn:x:2.0:User", `{"manager":{"value":"m"}}`, true},
		{"n", "", true},
		{"n.x", "", false},
		{"e", "[]", true},
		{"missing", "", false},
	} {
		got, ok := lookup(v, c.path)
		if plain(got) != c.want || ok != c.ok {
			t.Errorf("lookup(%q) = %q, %v, want %q, %v", c.path, plain(got), ok, c.want, c.ok)
		}
	}
}
