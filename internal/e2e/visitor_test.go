package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// visitor is a person with a browser that runs no scripts: it follows links
// and redirects, fills forms and keeps cookies.
type visitor struct {
	cookies []*http.Cookie
}

// page is what the visitor sees.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   string
	root   *html.Node
}

// open gets a page.
func (v *visitor) open(target string) (page, error) {
	u, err := url.Parse(target)
	if err != nil {
		return page{}, err
	}
	return v.follow("GET", u, nil, nil)
}

// submit fills the first form of the page that has all the fields, and sends
// it. Fields are named as in the contract or as in the form. A second password
// input that is not given is a repetition and takes the password.
func (v *visitor) submit(p page, given map[string]string) (page, error) {
	var seen []string
	for _, f := range p.forms() {
		values, ok := f.fill(given)
		if !ok {
			seen = append(seen, fmt.Sprint(f.names()))
			continue
		}
		action, err := p.url.Parse(f.action)
		if err != nil {
			return page{}, err
		}
		if f.method != "post" {
			action.RawQuery = values.Encode()
			return v.follow("GET", action, nil, nil)
		}
		// What browsers send with a form (Fetch §3.1): a page that asks for no
		// referrer gives no origin either.
		origin := p.url.Scheme + "://" + p.url.Host
		if p.header.Get("Referrer-Policy") == "no-referrer" {
			origin = "null"
		}
		return v.follow("POST", action, values, http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"same-origin"}})
	}
	return page{}, fmt.Errorf("%s has no form with %v; its forms have %v\n%s", p.url, keys(given), seen, p.text())
}

// malformed is what package fmt writes for arguments that do not fit the
// format, and html/template for what it refuses.
var malformed = regexp.MustCompile(`%!\w?\([^)]*\)|ZgotmplZ`)

func (v *visitor) follow(method string, u *url.URL, form url.Values, header http.Header) (page, error) {
	for range 10 {
		var body io.Reader
		if method == "POST" {
			body = strings.NewReader(form.Encode())
		}
		req, err := http.NewRequest(method, u.String(), body)
		if err != nil {
			return page{}, err
		}
		for k, values := range header {
			req.Header[k] = values
		}
		if method == "POST" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for _, c := range v.cookies {
			if strings.HasPrefix(u.Path+"/", strings.TrimSuffix(c.Path, "/")+"/") {
				req.AddCookie(c)
			}
		}
		resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: noRedirect}).Do(req)
		if err != nil {
			return page{}, err
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return page{}, err
		}
		if bad := malformed.Find(data); bad != nil {
			return page{}, fmt.Errorf("%s shows what a format was not given, or was given too much: %s", u.Path, bad)
		}
		v.keep(resp.Cookies())
		if where := resp.Header.Get("Location"); where != "" && resp.StatusCode/100 == 3 {
			if u, err = u.Parse(where); err != nil {
				return page{}, err
			}
			method, form, header = "GET", nil, nil
			continue
		}
		root, err := html.Parse(strings.NewReader(string(data)))
		if err != nil {
			return page{}, err
		}
		return page{url: u, status: resp.StatusCode, header: resp.Header, body: string(data), root: root}, nil
	}
	return page{}, fmt.Errorf("%s: more than ten redirects", u)
}

// keep does what a jar does for one host, and keeps Secure cookies on plain
// http as browsers do on loopback.
func (v *visitor) keep(cookies []*http.Cookie) {
	for _, c := range cookies {
		v.cookies = slices.DeleteFunc(v.cookies, func(old *http.Cookie) bool { return old.Name == c.Name && old.Path == c.Path })
		if c.MaxAge >= 0 && (c.Expires.IsZero() || c.Expires.After(time.Now())) {
			v.cookies = append(v.cookies, c)
		}
	}
}

// cookie returns the value of the cookie.
func (v *visitor) cookie(t testing.TB, name string) string {
	t.Helper()
	for _, c := range v.cookies {
		if c.Name == name {
			return c.Value
		}
	}
	t.Fatalf("no cookie %s among %v", name, v.cookies)
	return ""
}

// activate follows the link of the address's mail and creates the password.
func (s *site) activate(t testing.TB, address, password string) *visitor {
	t.Helper()
	v := new(visitor)
	p, err := v.open(link(s.ready, s.letter(t, address).text))
	if err == nil {
		p, err = v.submit(p, map[string]string{"password": password})
	}
	if err != nil {
		t.Fatalf("activating %s: %v", address, err)
	}
	if p.status != http.StatusOK {
		t.Fatalf("activating %s: the page after the form = %d: %s", address, p.status, p.text())
	}
	return v
}

// signIn signs in at the demo organization.
func (s *site) signIn(t testing.TB, address, password string) (*visitor, page) {
	t.Helper()
	v := new(visitor)
	p, err := v.open(s.SignIn)
	if err == nil {
		p, err = v.submit(p, map[string]string{"email": address, "password": password})
	}
	if err != nil {
		t.Fatalf("signing in: %v", err)
	}
	return v, p
}

// admin is the demo organization's first admin, activated and signed in.
func (s *site) admin(t testing.TB) *visitor {
	t.Helper()
	const password = "an admin's long password"
	s.activate(t, s.AdminEmail, password)
	v, p := s.signIn(t, s.AdminEmail, password)
	if p.status != http.StatusOK {
		t.Fatalf("the admin's sign-in = %d: %s", p.status, p.text())
	}
	return v
}

// form is one form of a page.
type form struct {
	action, method string
	inputs         []input
}

type input struct{ name, kind, value string }

func (f form) names() []string {
	var names []string
	for _, i := range f.inputs {
		names = append(names, i.name)
	}
	return names
}

// fill returns what the form sends with the given fields; false if it lacks
// one of them.
func (f form) fill(given map[string]string) (url.Values, bool) {
	values := url.Values{}
	for _, i := range f.inputs {
		values.Set(i.name, i.value)
	}
	for name, value := range given {
		if known, ok := fields[name]; ok {
			name = known
		}
		if !values.Has(name) {
			return nil, false
		}
		values.Set(name, value)
	}
	if password, ok := given["password"]; ok {
		for _, i := range f.inputs {
			if i.kind == "password" && values.Get(i.name) == "" {
				values.Set(i.name, password)
			}
		}
	}
	return values, true
}

// forms returns the page's forms in their order.
func (p page) forms() []form {
	var forms []form
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.ElementNode && n.Data == "form":
			method := strings.ToLower(attribute(n, "method"))
			forms = append(forms, form{action: attribute(n, "action"), method: method})
		case n.Type == html.ElementNode && len(forms) > 0 && slices.Contains([]string{"input", "select", "textarea", "button"}, n.Data):
			if name := attribute(n, "name"); name != "" {
				f := &forms[len(forms)-1]
				f.inputs = append(f.inputs, input{name: name, kind: attribute(n, "type"), value: attribute(n, "value")})
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(p.root)
	return forms
}

// text is what can be read on the page, its white space made one.
func (p page) text() string {
	var b strings.Builder
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
		if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "style") {
			return
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(p.root)
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func keys(m map[string]string) []string {
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func TestVisitor(t *testing.T) {
	s := fakeForm(t)
	v := new(visitor)
	p, err := v.open(s.URL + "/start")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.submit(p, map[string]string{"nothing": "x"}); err == nil {
		t.Errorf("submit with a field that no form has = nil, want an error")
	}
	p, err = v.submit(p, map[string]string{"password": "secret words"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "Welcome secret words secret words token null"; p.status != 200 || p.text() != want {
		t.Errorf("the page after the form = %d %q, want %q", p.status, p.text(), want)
	}
	if len(v.cookies) != 1 || v.cookies[0].Name != "session" {
		t.Errorf("cookies = %v, want the session's alone", v.cookies)
	}
}
