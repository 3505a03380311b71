package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// route is one way to ask for something of somebody else's. The path and the
// body hold ID where its id stands, and OWN for a group of who asks.
type route struct {
	method, path string
	body         any
	group        bool // ID is a group's, else a user's
}

// routes are all that name a resource. A new route is added here.
func routes() []route {
	title := patchOp(object{"op": "add", "path": "title", "value": "Stolen"})
	rename := patchOp(object{"op": "replace", "path": "displayName", "value": "Stolen"})
	member := patchOp(object{"op": "add", "path": "members", "value": []object{{"value": "ID"}}})
	manager := patchOp(object{"op": "add", "path": enterpriseSchema + ":manager", "value": "ID"})
	return []route{
		{"GET", "/Users/ID", nil, false},
		{"HEAD", "/Users/ID", nil, false},
		{"GET", "/Users/ID?attributes=userName", nil, false},
		{"PUT", "/Users/ID", person("new.name@corp.test", "Eve", "Else"), false},
		{"PATCH", "/Users/ID", title, false},
		{"DELETE", "/Users/ID", nil, false},
		{"GET", "/Groups/ID", nil, true},
		{"HEAD", "/Groups/ID", nil, true},
		{"GET", "/Groups/ID?excludedAttributes=members", nil, true},
		{"PUT", "/Groups/ID", object{"schemas": []string{groupSchema}, "displayName": "Stolen"}, true},
		{"PATCH", "/Groups/ID", rename, true},
		{"PATCH", "/Groups/OWN", member, false},
		{"PATCH", "/Users/ID", manager, false},
		{"DELETE", "/Groups/ID", nil, true},
		{"GET", "/Users?filter=id%20eq%20%22ID%22", nil, false},
		{"GET", "/Users?filter=groups.value%20eq%20%22ID%22", nil, true},
		{"GET", "/Groups?filter=id%20eq%20%22ID%22", nil, true},
		{"GET", "/Groups?filter=members%20eq%20%22ID%22", nil, false},
		{"POST", "/Groups", object{"schemas": []string{groupSchema}, "displayName": "Mine", "members": []object{{"value": "ID"}}}, false},
		{"GET", "/Users?filter=userName%20eq%20%22victim%40corp.test%22", nil, false},
		{"GET", "/Users?filter=externalId%20eq%20%22victim%22", nil, false},
		{"GET", "/Groups?filter=displayName%20eq%20%22Victims%22", nil, true},
		{"GET", "/Users", nil, false},
		{"GET", "/Users?cursor=&sortBy=userName", nil, false},
		{"GET", "/?filter=id%20eq%20%22ID%22", nil, false},
		{"GET", "/Groups", nil, true},
		{"POST", "/Users/.search", object{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:SearchRequest"}, "filter": `id eq "ID"`}, false},
	}
}

// ask makes the route's request about the id.
func (r route) ask(t testing.TB, c *client, id, own string) answer {
	t.Helper()
	fill := strings.NewReplacer("ID", id, "OWN", own)
	var body any
	if r.body != nil {
		body = fill.Replace(plain(r.body))
	}
	return c.send(t, r.method, fill.Replace(r.path), body)
}

// same returns what an observer could tell two answers by, the ids asked for
// and the references aside; nothing if they are equal.
func same(a, b answer, idA, idB string) string {
	blank := func(s, id string) string {
		return reference.ReplaceAllString(strings.ReplaceAll(s, id, "ID"), "REFERENCE")
	}
	if a.status != b.status {
		return fmt.Sprintf("status %d and %d", a.status, b.status)
	}
	if x, y := blank(string(a.body), idA), blank(string(b.body), idB); x != y {
		return fmt.Sprintf("body %s and %s", x, y)
	}
	names := map[string]bool{}
	for _, h := range []http.Header{a.header, b.header} {
		for name := range h {
			names[name] = true
		}
	}
	for name := range names {
		if slices.Contains([]string{"Date", "Content-Length", "X-Request-Id"}, name) {
			continue
		}
		if x, y := blank(fmt.Sprint(a.header[name]), idA), blank(fmt.Sprint(b.header[name]), idB); x != y {
			return fmt.Sprintf("header %s: %s and %s", name, x, y)
		}
	}
	return ""
}

// TestIsolation asks on every route for what is somebody else's, and for what
// does not exist: the answers must be equal. Then with every credential that is
// none: the answers must be those to a token that never was.
func TestIsolation(t *testing.T) {
	s := start(t, options{})
	victims, victim := s.organization(t, "victims")
	userID := victim.user(t, "victim@corp.test", object{"externalId": "victim"})
	groupID := victim.group(t, "Victims", userID)
	before := plain(victim.get(t, "/Users/"+userID).tree) + plain(victim.get(t, "/Groups/"+groupID).tree)

	id := func(r route) string {
		if r.group {
			return groupID
		}
		return userID
	}
	sibling := s.client(s.create(t, connectionCreate(victims.Org, "sibling")).Token)
	_, stranger := s.organization(t, "strangers")
	for name, c := range map[string]*client{"another connection": sibling, "another organization": stranger} {
		own, team := c.user(t, "own@corp.test"), c.group(t, "Own")
		for _, r := range routes() {
			// The unknown id is of the asker's own form, and of the victim's.
			for _, unknown := range []string{own[:9] + strings.Repeat("0", 17), id(r)[:9] + strings.Repeat("0", 17)} {
				theirs, nobodys := r.ask(t, c, id(r), team), r.ask(t, c, unknown, team)
				if d := same(theirs, nobodys, id(r), unknown); d != "" {
					t.Errorf("%s, %s %s: what is somebody else's and what does not exist differ: %s", name, r.method, r.path, d)
				}
				if strings.Contains(string(theirs.body), "victim@corp.test") || strings.Contains(string(theirs.body), "Victims") {
					t.Errorf("%s, %s %s tells of the victim: %s", name, r.method, r.path, theirs.body)
				}
			}
		}
	}

	for name, c := range s.wrongCredentials(t) {
		for _, r := range routes() {
			refused, never := r.ask(t, c, id(r), groupID), r.ask(t, s.client("never-was"), id(r), groupID)
			if refused.status != 401 {
				t.Errorf("%s, %s %s = %d, want 401", name, r.method, r.path, refused.status)
			}
			if d := same(refused, never, id(r), id(r)); d != "" {
				t.Errorf("%s, %s %s differs from a token that never was: %s", name, r.method, r.path, d)
			}
		}
	}

	if after := plain(victim.get(t, "/Users/"+userID).tree) + plain(victim.get(t, "/Groups/"+groupID).tree); after != before {
		t.Errorf("the victims were %s and are %s", before, after)
	}
}

// wrongCredentials are clients that nobody may answer, by what is wrong.
func (s *site) wrongCredentials(t *testing.T) map[string]*client {
	t.Helper()
	gone, revoked := s.organization(t, "revoked")
	revoked.get(t, "/Users")
	s.run(t, connectionRevoke(gone.Org, gone.Connection, gone.Credential))
	_, expired := s.organization(t, "expired", expires("1s")...)
	eventually(t, 10*time.Second, func() error {
		if a := expired.send(t, "GET", "/Users", nil); a.status != 401 {
			return fmt.Errorf("a token that expires after a second still = %d", a.status)
		}
		return nil
	})
	session := s.admin(t).cookie(t, sessionCookie)
	oauth, directory := s.organization(t, "oauth")
	directory.get(t, "/Users")
	ended := s.create(t, clientCreate(oauth.Org, oauth.Connection, "ended"))
	access := ended.token(t).want(t, 200).text("access_token")
	s.client(access).get(t, "/Users")
	s.run(t, clientRevoke(oauth.Org, ended.Client))
	standing := s.create(t, clientCreate(oauth.Org, oauth.Connection, "standing"))
	return map[string]*client{
		"an access token of a client that ended": s.client(access),
		"a client's secret":                      s.client(standing.Secret),
		"a client's id":                          s.client(standing.Client),
		"a client's secret as Basic":             {base: s.SCIM, headers: []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(standing.Client+":"+standing.Secret))}},
		"revoked":                                revoked,
		"expired":                                expired,
		"none":                                   {base: s.SCIM},
		"of another form":                        s.client("Bearer"),
		"too long":                               s.client(strings.Repeat("x", 5000)),
		"cut":                                    s.client(s.Token[:len(s.Token)-1]),
		"one more letter":                        s.client(s.Token + "x"),
		"in another case":                        s.client(swapCase(s.Token)),
		"a portal session":                       {base: s.SCIM, headers: []string{"Cookie", sessionCookie + "=" + session}},
		"a session's id":                         s.client(session),
		"a connection's id":                      s.client(gone.Connection),
	}
}

// token asks for an access token by the client's secret.
func (c created) token(t testing.TB) answer {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.Client}, "client_secret": {c.Secret}}
	return (&client{}).send(t, "POST", c.TokenURL, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// TestAccessTokensAreTheirConnections: a token of one organization's client is
// that connection's, there and nowhere else, and the token endpoint takes no
// other kind of secret.
func TestAccessTokensAreTheirConnections(t *testing.T) {
	s := start(t, options{})
	victims, victim := s.organization(t, "victims")
	id := victim.user(t, "victim@corp.test")
	strangers, _ := s.organization(t, "strangers")
	made := s.create(t, clientCreate(strangers.Org, strangers.Connection, "stranger"))
	c := s.client(made.token(t).want(t, 200).text("access_token"))
	c.user(t, "own@corp.test")
	if theirs, nobodys := c.send(t, "GET", "/Users/"+id, nil), c.send(t, "GET", "/Users/"+id[:9]+strings.Repeat("0", 17), nil); same(theirs, nobodys, id, id[:9]+strings.Repeat("0", 17)) != "" || theirs.status != 404 {
		t.Errorf("another organization's access token gets %d %s", theirs.status, theirs.body)
	}
	session := s.admin(t).cookie(t, sessionCookie)
	for name, wrong := range map[string]created{
		"a static token":                {Client: made.Client, Secret: victims.Token},
		"another organization's client": {Client: s.create(t, clientCreate(victims.Org, victims.Connection, "own")).Client, Secret: made.Secret},
		"a portal session":              {Client: made.Client, Secret: session},
		"an access token":               {Client: made.Client, Secret: c.token},
	} {
		wrong.TokenURL = made.TokenURL
		never := created{Client: "0123456789abcdefghjk", Secret: "never-was", TokenURL: made.TokenURL}
		a := wrong.token(t).want(t, 401)
		if d := same(a, never.token(t), wrong.Client, never.Client); d != "" {
			t.Errorf("%s at the token endpoint differs from a client that never was: %s", name, d)
		}
	}
	if a := (&client{}).send(t, "POST", made.TokenURL, "grant_type=client_credentials", "Content-Type", "application/x-www-form-urlencoded", "Cookie", sessionCookie+"="+session); a.status != 401 {
		t.Errorf("a portal session at the token endpoint = %d, want 401", a.status)
	}
}

func swapCase(s string) string {
	if up := strings.ToUpper(s); up != s {
		return up
	}
	return strings.ToLower(s)
}

// TestTokenAtPortal shows SCIM's token to the pages: it opens none.
func TestTokenAtPortal(t *testing.T) {
	s := start(t, options{})
	for _, target := range []string{usersPage(s.ready), s.SignIn} {
		with := (&client{token: s.Token}).send(t, "GET", target, nil)
		anonymous := (&client{}).send(t, "GET", target, nil)
		if with.status != anonymous.status || with.header.Get("Location") != anonymous.header.Get("Location") {
			t.Errorf("GET %s with SCIM's token = %d to %q, without = %d to %q", target,
				with.status, with.header.Get("Location"), anonymous.status, anonymous.header.Get("Location"))
		}
	}
	s.client("").user(t, "ana@corp.test")
	if a := (&client{token: s.Token}).send(t, "GET", usersPage(s.ready), nil); strings.Contains(string(a.body), "ana@corp.test") {
		t.Errorf("SCIM's token opens the page of users")
	}
}
