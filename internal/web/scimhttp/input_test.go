package scimhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatehouse/internal/scim/value"
	"gatehouse/internal/web/scimhttp"
)

func TestBadBodies(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada@example.com")
	g := w.group("Engines")
	before := string(w.get("/Users").body) + string(w.get("/Groups").body)
	bodies := map[string]string{
		"nothing":            "",
		"white space":        " \n",
		"cut off":            `{"userName":"x"`,
		"two texts":          `{"userName":"x"}{}`,
		"not JSON":           `userName=x`,
		"a comment":          `{"userName":"x"/* */}`,
		"a number":           `7`,
		"null":               `null`,
		"an array":           `[{"userName":"x"}]`,
		"a duplicate member": `{"userName":"x","userName":"y"}`,
		"one in capitals":    `{"userName":"x","USERNAME":"y"}`,
		"a lone surrogate":   `{"userName":"x\ud800"}`,
		"invalid UTF-8":      "{\"userName\":\"x\xff\"}",
		"a byte order mark":  "\xef\xbb\xbf{\"userName\":\"x\"}",
		"a control":          "{\"userName\":\"x\x01\"}",
		"deep objects":       strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000),
		"deep arrays":        `{"emails":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}",
		"many values":        `{"emails":[` + strings.Repeat("0,", 200_000) + "0]}",
	}
	for name, body := range bodies {
		for _, route := range []string{"POST /Users", "POST /Groups", "POST /Users/.search", "POST /Bulk", "PUT /Users/" + ada, "PATCH /Users/" + ada, "PUT /Groups/" + g, "PATCH /Groups/" + g} {
			method, path, _ := strings.Cut(route, " ")
			a := w.do(method, path, body)
			if a.status != 400 {
				t.Errorf("%s with %s = %d, want 400; %.300s", route, name, a.status, a.body)
				continue
			}
			a.refused(400, "invalidSyntax")
		}
	}
	if after := string(w.get("/Users").body) + string(w.get("/Groups").body); after != before {
		t.Errorf("refused requests changed %s to %s", before, after)
	}
}

func TestMediaTypes(t *testing.T) {
	w := newWorld(t)
	for i, c := range []struct {
		contentType string
		status      int
	}{
		{"application/scim+json", 201},
		{"application/scim+json; charset=utf-8", 201},
		{"Application/SCIM+JSON;charset=UTF-8", 201},
		{"application/json", 201},
		{"application/scim+json;", 201},
		{"", 201},
		{"text/plain", 415},
		{"application/xml", 415},
		{"application/x-www-form-urlencoded", 415},
		{"multipart/form-data; boundary=x", 415},
		{"application/jsonp", 415},
		{"application/scim+json; charset=iso-8859-1", 415},
		{"nonsense", 415},
		{";", 415},
	} {
		a := w.do("POST", "/Users", person(fmt.Sprintf("u%d@example.com", i)), "Content-Type", c.contentType)
		if a.status != c.status {
			t.Errorf("Content-Type %q = %d, want %d", c.contentType, a.status, c.status)
		}
		if c.status == 415 {
			a.refused(415, "")
		}
	}
	for accept, want := range map[string]string{
		"":                      "application/scim+json",
		"*/*":                   "application/scim+json",
		"application/scim+json": "application/scim+json",
		"application/json":      "application/json",
		// Both are as acceptable (RFC 9110 §12.5.1); one of them is named.
		"application/json, text/plain, */*":       "application/json",
		"application/json, application/scim+json": "application/scim+json",
		"text/html": "application/scim+json",
	} {
		if got := w.get("/Users?count=0", "Accept", accept).want(200).header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q gives Content-Type %q, want %q", accept, got, want)
		}
		if got := w.get("/Users/nobody", "Accept", accept).want(404).header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q gives an error of Content-Type %q, want %q", accept, got, want)
		}
	}
}

// A coding is not undone, so what it holds is not read: a sentence says so
// rather than that the body is no JSON.
func TestContentCodings(t *testing.T) {
	w := newWorld(t)
	for i, c := range []struct {
		coding string
		status int
	}{
		{"identity", 201}, {"Identity", 201}, {"", 201},
		{"gzip", 415}, {"br", 415}, {"deflate", 415}, {"identity, gzip", 415}, {"nonsense", 415},
	} {
		a := w.do("POST", "/Users", person(fmt.Sprintf("c%d@example.com", i)), "Content-Encoding", c.coding)
		if a.status != c.status {
			t.Errorf("Content-Encoding %q = %d, want %d", c.coding, a.status, c.status)
		}
		if c.status == 415 {
			a.refused(415, "")
			if !strings.Contains(string(a.body), "Content-Encoding") || a.header.Get("Accept-Encoding") != "identity" {
				t.Errorf("Content-Encoding %q is refused with %s and Accept-Encoding %q, want the reason and identity", c.coding, a.body, a.header.Get("Accept-Encoding"))
			}
		}
	}
}

// unread is a body that nobody must read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("a body that is announced as too large is read")
	return 0, io.EOF
}

// What is announced as too large is refused before a byte of it is asked for.
func TestAnnouncedTooLarge(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("POST", scimhttp.Prefix+"/Users", unread{t})
	r.ContentLength = 1<<20 + 1
	r.Header.Set("Authorization", "Bearer "+w.token)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if rec.Code != 413 {
		t.Errorf("a Content-Length of 1 MB and a byte = %d, want 413", rec.Code)
	}
}

// TestOverTheWire is about what a recorder does not show.
func TestOverTheWire(t *testing.T) {
	w := newWorld(t)
	s := httptest.NewServer(w)
	defer s.Close()
	send := func(method, path string, body io.Reader) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, s.URL+scimhttp.Prefix+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return res, string(b)
	}
	id := w.user("ada@example.com", `"title":"`+strings.Repeat("x", 4000)+`"`)
	for _, path := range []string{"/Users/" + id, "/Users", "/Users/nobody", "/Schemas", "/Groups", "/ServiceProviderConfig"} {
		get, body := send("GET", path, nil)
		head, none := send("HEAD", path, nil)
		if none != "" || head.StatusCode != get.StatusCode || head.ContentLength != int64(len(body)) || head.Header.Get("ETag") != get.Header.Get("ETag") || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("HEAD %s = %d, %d bytes announced, %v; want what GET answers (%d, %d bytes, %v) without the body",
				path, head.StatusCode, head.ContentLength, head.Header, get.StatusCode, len(body), get.Header)
		}
	}

	large := `{"schemas":["` + userURN + `"],"userName":"large@example.com","title":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, body := range map[string]io.Reader{"announced": strings.NewReader(large), "in chunks": io.MultiReader(strings.NewReader(large))} {
		res, text := send("POST", "/Users", body)
		if v, err := value.Parse([]byte(text)); res.StatusCode != 413 || err != nil || v.Get("status").Text() != "413" || !strings.Contains(v.Get("detail").Text(), "1048576") {
			t.Errorf("a body above 1 MB, %s = %d %s, want 413 that names the limit", name, res.StatusCode, text)
		}
	}
	w.find("/Users", `userName eq "large@example.com"`).list()
	// Under the limit of the body, above that of a stored resource.
	w.do("POST", "/Users", person("wide@example.com", `"addresses":[`+strings.Repeat(`{"formatted":"`+strings.Repeat("a", 4000)+`"},`, 1)+manyAddresses(20)+`]`)).refused(413, "")
}

func manyAddresses(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"formatted":"%s","type":"t%d"}`, strings.Repeat("a", 4000), i)
	}
	return strings.Join(list, ",")
}

func TestHostileStringsComeBackAsTheyWere(t *testing.T) {
	w := newWorld(t)
	for i, s := range []string{
		`<script>alert("x")</script>`,
		"line\r\nSet-Cookie: a=b\r\n\r\n",
		"\u202egnp.exe\u202c \u200f\u2066x\u2069",
		"\u2028 and \u2029",
		"null\x00byte",
		"back\\slash \"quote\" /slash/ 'tick'",
		"=cmd|' /C calc'!A0",
		"\U0001F469\u200D\U0001F680 e\u0301 \u1E9E ﬀ",
		strings.Repeat("ö", 2000),
		"%s %d %!v(PANIC=x) {{.}} ${x}",
	} {
		text := string(value.Str(s).Append(nil))
		a := w.do("POST", "/Users", person(fmt.Sprintf("u%d@example.com", i), `"displayName":`+text)).want(201)
		if got := w.get("/Users/" + a.text("id")).text("displayName"); got != s {
			t.Errorf("displayName %q came back as %q", s, got)
		}
		if strings.Contains(string(a.body), "<script") || strings.ContainsAny(string(a.body), "\r\n\x00") {
			t.Errorf("the answer holds %q raw: %s", s, a.body)
		}
		if len(s) > 1000 {
			continue // longer than a filter's literal may be
		}
		w.find("/Users", `displayName eq `+text).list(a.text("id"))
		g := w.do("POST", "/Groups", `{"schemas":["`+groupURN+`"],"displayName":`+text+`}`).want(201)
		w.find("/Groups", `displayName eq `+text).list(g.text("id"))
	}
	for _, name := range []string{"two\nlines@example.com", "cr\rlf@example.com", "nul\x00@example.com", "", " ", strings.Repeat("x", 10_000)} {
		w.do("POST", "/Users", strings.Replace(person("x"), `"userName":"x"`, `"userName":`+string(value.Str(name).Append(nil)), 1)).refused(400, "invalidValue")
	}
	w.do("POST", "/Users", person("long@example.com", `"displayName":"`+strings.Repeat("x", 10_000)+`"`)).refused(400, "invalidValue")
	w.do("POST", "/Users", person("two@example.com", `"emails":[{"value":"a","primary":true},{"value":"b","primary":true}]`)).want(400)
}

func TestIDsOfAnyShape(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{
		"1", "00919288221112222", strings.Repeat("0", 26), strings.Repeat("9", 5000), "123e4567-e89b-12d3-a456-426614174000", "%00", "%0d%0a", "..%2f..", "%2e%2e",
		"'%20or%201=1", "%F0%9F%91%A9", "%ff%fe", "a%2Fb", "*", "null", "{id}", mintUser(), w.nobody(), strings.ToUpper(w.nobody()), w.nobody() + "0", "#",
	} {
		for _, endpoint := range []string{"/Users/", "/Groups/"} {
			path := endpoint + strings.ReplaceAll(id, "#", "%23")
			w.get(path).refused(404, "")
			w.do("PUT", path, map[string]string{"/Users/": person("ada@example.com"), "/Groups/": team("x")}[endpoint]).refused(404, "")
			w.do("PATCH", path, patch(`{"op":"add","path":"displayName","value":"x"}`)).refused(404, "")
			w.do("DELETE", path, "").refused(404, "")
		}
	}
	w.get("/Users").list()
}

func TestPaths(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	for path, status := range map[string]int{
		"/Users": 200, "/Users/": 200, "/Users/" + id + "/": 200, "/%55sers": 200, fmt.Sprintf("/Users/%%%x", id[0]) + id[1:]: 200,
		"/users": 404, "/Users/" + id + "/emails": 404, "/Users//" + id: 404, "//Users": 404, "/": 200, "": 200, "/Nothing": 404, "Users": 404, "x/Users": 404,
		"/Roles": 200, "/Roles/x": 404, "/Entitlements/": 200, "/Roles/.search": 405, "/Me": 501, "/Bulk": 405, "/Me/x": 404, "/Users/.search": 405, "/.search": 405, "/.search/x": 404,
		"/ServiceProviderConfig/": 200, "/ServiceProviderConfig/x": 404, "/Schemas/x": 404, "/ResourceTypes/x": 404, "/Schemas/" + userURN + "/x": 404,
	} {
		a := w.get(path)
		if a.status != status {
			t.Errorf("GET %s = %d, want %d", scimhttp.Prefix+path, a.status, status)
		}
		if status >= 400 {
			a.refused(a.status, "")
		}
	}
	r := httptest.NewRequest("GET", "/Users/"+id, nil)
	r.Header.Set("Authorization", "Bearer "+w.token)
	w.serve(r).refused(404, "")
}

func TestMethods(t *testing.T) {
	w := newWorld(t)
	id, g := w.user("ada@example.com"), w.group("Engines")
	allowed := map[string]string{
		"/Users": "GET, HEAD, POST", "/Groups": "GET, HEAD, POST",
		"/Users/" + id: "GET, HEAD, PUT, PATCH, DELETE", "/Groups/" + g: "GET, HEAD, PUT, PATCH, DELETE",
		"/Users/.search": "POST", "/Groups/.search": "POST", "/Bulk": "POST",
		"/ServiceProviderConfig": "GET, HEAD", "/Schemas": "GET, HEAD", "/ResourceTypes": "GET, HEAD",
		"/Schemas/" + userURN: "GET, HEAD", "/ResourceTypes/User": "GET, HEAD",
	}
	for path, allow := range allowed {
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			r := httptest.NewRequest(m, scimhttp.Prefix+path, strings.NewReader("{}"))
			r.Header.Set("Authorization", "Bearer "+w.token)
			a := w.serve(r)
			if may := strings.Contains(", "+allow+",", ", "+m+","); may == (a.status == 405) || !may && a.header.Get("Allow") != allow {
				t.Errorf("%s = %d with Allow %q, want 405 with %q unless it is one of them", a.asked, a.status, a.header.Get("Allow"), allow)
			}
		}
	}
}

func FuzzRequests(f *testing.F) {
	for _, s := range []string{person("a@example.com"), team("x"), patch(`{"op":"replace","path":"emails[type eq \"work\"].value","value":"x"}`), `{}`, `userName eq "x"`, `emails[type eq "work"].value eq "a" and not (title pr)`} {
		f.Add(s)
	}
	w := newWorld(f)
	id := w.user("ada@example.com")
	g := w.group("Engines", id)
	f.Fuzz(func(t *testing.T, s string) {
		w.TB = t
		for _, route := range []string{"POST /Users", "POST /Groups", "PUT /Users/" + id, "PATCH /Users/" + id, "PATCH /Groups/" + g, "POST /Users/.search", "POST /.search"} {
			method, path, _ := strings.Cut(route, " ")
			if a := w.do(method, path, s); a.status >= 500 {
				t.Fatalf("%s with %q = %d %s", route, s, a.status, a.body)
			}
		}
		for _, endpoint := range []string{"/Users", "/Groups", ""} {
			for _, query := range []string{"filter=", "sortBy=", "cursor=", "attributes=", "excludedAttributes=", "sortBy=title&sortOrder=", "count=1&cursor&filter="} {
				if a := w.get(endpoint + "?" + query + url.QueryEscape(s)); a.status >= 500 {
					t.Fatalf("%s?%s%q = %d %s", endpoint, query, s, a.status, a.body)
				} else if query == "cursor=" && s != "" && (a.status != 400 || a.text("scimType") != "invalidCursor") {
					t.Fatalf("%s takes the cursor %q: %d %s", endpoint, s, a.status, a.body)
				}
			}
		}
	})
}
