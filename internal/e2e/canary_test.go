package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// canaries are values of a person, none of which may appear in a log.
var canaries = map[string]string{
	"a given name":     "Kanarienvogelina",
	"a family name":    "Vögelsang-Zwitscher",
	"an address":       "kanarienvogelina@aviary.test",
	"a new address":    "umbenannt.vogelina@aviary.test",
	"an external id":   "ext-kanari-4711",
	"a title":          "Oberkanarienvogelwartin",
	"a group's name":   "Volierenfreunde",
	"a password":       "flattert abends leise davon",
	"a wrong password": "blieb morgens lieber hier",
	"a foreign token":  "token-of-a-canary-0123456789",
	"a filter's value": "gesuchter-kanarienvogel",
	"an unknown path":  "pfad-des-kanarienvogels",
}

// leaks returns what of the values stands in the text, as it is or in a form
// that anybody can read back.
func leaks(text string, values map[string]string) []string {
	text = strings.ToLower(text)
	var found []string
	for what, v := range values {
		if slices.ContainsFunc(forms(v), func(form string) bool { return strings.Contains(text, strings.ToLower(form)) }) {
			found = append(found, what)
		}
	}
	return found
}

// forms are the value as it is, percent-encoded, in hex, in JSON with and without
// letters beyond ASCII, and within anything that was encoded as base64.
func forms(v string) []string {
	list := []string{v, url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)),
		strings.Trim(plain([]string{v}), `[]"`), strings.Trim(strconv.QuoteToASCII(v), `"`)}
	for before := range 3 { // bytes before it, modulo three
		text := base64.StdEncoding.EncodeToString(append(make([]byte, before), v...))
		// Its first and last letters depend on what stands around it.
		text = text[(before*8+5)/6 : (before+len(v))*8/6]
		list = append(list, text, strings.NewReplacer("+", "-", "/", "_").Replace(text))
	}
	return list
}

// tellCanaries tells a whole story with its refusals and returns what may stand in
// no log: the canaries and the secrets of the story.
func tellCanaries(t *testing.T, s *site) map[string]string {
	t.Helper()
	v := canaries
	c := s.client("")
	p := person(v["an address"], v["a given name"], v["a family name"])
	p["externalId"], p["title"], p["password"] = v["an external id"], v["a title"], v["a password"]
	id := c.send(t, "POST", "/Users", p).want(t, 201).text("id")
	first := c.get(t, "/Users/"+id).header.Get("ETag")
	c.send(t, "POST", "/Users", p).want(t, 409)
	group := c.group(t, v["a group's name"], id)
	c.send(t, "POST", "/Groups", object{"schemas": []string{groupSchema}, "displayName": v["a group's name"]}).want(t, 409)
	c.patch(t, "/Users/"+id, object{"op": "replace", "path": "nickName", "value": v["a given name"]}).want(t, 200)
	c.send(t, "PATCH", "/Users/"+id, patchOp(object{"op": "replace", "path": "title", "value": v["a title"]}), "If-Match", first).want(t, 412)
	c.patch(t, "/Users/"+id, object{"op": "replace", "path": "active", "value": v["a given name"]}).want(t, 400)
	c.patch(t, "/Users/"+id, object{"op": "replace", "path": v["an unknown path"] + "[", "value": "x"}).want(t, 400)
	c.send(t, "GET", filtered("/Users", `userName eq "`+v["a filter's value"]+`"`), nil).want(t, 200)
	c.send(t, "GET", filtered("/Users", `userName xx "`+v["a filter's value"]+`"`), nil).want(t, 400)
	c.send(t, "GET", filtered("/Users", `title co "`+v["a filter's value"]+`"`), nil).want(t, 200)
	c.send(t, "GET", "/Users/"+v["an unknown path"], nil).want(t, 404)
	c.send(t, "GET", "/"+v["an unknown path"], nil).want(t, 404)
	c.send(t, "POST", "/Users", `{"userName":"`+v["an address"]+`"`).want(t, 400)
	c.send(t, "POST", "/Users", `{"userName":"`+strings.Repeat(v["an address"], 1<<16)+`"}`).want(t, 413)
	s.client(v["a foreign token"]).send(t, "GET", "/Users", nil).want(t, 401)

	mail := s.letter(t, v["an address"])
	secret := link(s.ready, mail.text)
	secret = secret[strings.LastIndexAny(secret, "/=#?")+1:]
	if len(secret) < 20 {
		t.Fatalf("the link's secret is %q, want at least 20 characters", secret)
	}
	s.activate(t, v["an address"], v["a password"])
	who := new(visitor)
	if _, err := who.open(link(s.ready, mail.text)); err != nil {
		t.Fatal(err)
	}
	if _, err := who.open(link(s.ready, mail.text)[:len(link(s.ready, mail.text))-3] + "xxx"); err != nil {
		t.Fatal(err)
	}
	s.signIn(t, v["an address"], v["a wrong password"])
	s.signIn(t, v["a new address"], v["a wrong password"])
	signedIn, _ := s.signIn(t, v["an address"], v["a password"])
	if _, err := s.admin(t).open(usersPage(s.ready)); err != nil {
		t.Fatal(err)
	}
	c.patch(t, "/Users/"+id, object{"op": "replace", "path": "userName", "value": v["a new address"]}).want(t, 200)
	c.send(t, "DELETE", "/Groups/"+group, nil).want(t, 204)
	c.send(t, "DELETE", "/Users/"+id, nil).want(t, 204)

	values := map[string]string{"the link's secret": secret, "the token": s.Token, "the session": signedIn.cookie(t, sessionCookie)}
	maps.Copy(values, v)
	return values
}

// TestCanary tells the story and reads the log after it.
func TestCanary(t *testing.T) {
	s := start(t, options{})
	values := tellCanaries(t, &s.site)
	if err := s.stop(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	for _, what := range leaks(s.log.String(), values) {
		t.Errorf("%s stands in the log", what)
	}
	if !strings.Contains(s.log.String(), `"`) {
		t.Errorf("the log is empty: %q", s.log.String())
	}
	// File names are keys too.
	names, err := filepath.Glob(filepath.Join(s.dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range leaks(strings.Join(names, "\n"), values) {
		t.Errorf("%s stands in a file's name", what)
	}
}

func TestLeaks(t *testing.T) {
	values := map[string]string{"a name": "Grün Vogel"}
	for _, text := range []string{"x Grün Vogel y", "GRÜN VOGEL", "q=Gr%C3%BCn+Vogel", "/Gr%C3%BCn%20Vogel", "R3LDvG4gVm9nZWw=", "4772c3bc6e20566f67656c",
		base64.StdEncoding.EncodeToString([]byte("1Grün Vogel2")), base64.RawURLEncoding.EncodeToString([]byte("12Grün Vogel")), `Gr\u00fcn Vogel`} {
		if len(leaks(text, values)) != 1 {
			t.Errorf("leaks(%q) finds nothing, want the name", text)
		}
	}
	if found := leaks("Grün, Vogel", values); len(found) != 0 {
		t.Errorf("leaks = %q, want nothing", found)
	}
}
