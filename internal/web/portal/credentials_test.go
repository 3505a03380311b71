package portal

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// keys is an admin at the page of a connection.
type keys struct {
	*world
	b    *browser
	c    org.Connection
	path string
}

func newKeys(t *testing.T) *keys {
	w := newWorld(t)
	c := w.okta.Connection()
	return &keys{w, w.admin(w.acme), c, "/o/acme-gmbh/admin/connections/" + string(c.ID)}
}

func (k *keys) page() answer { return k.b.get(k.path).want(k.t, 200) }

// all are the connection's credentials, as many as want says.
func (k *keys) all(want int) []org.Credential {
	k.t.Helper()
	all, err := k.orgs.Credentials(k.t.Context(), k.acme, k.c.ID)
	k.must(err)
	if len(all) != want {
		k.t.Fatalf("the connection has %d credentials, want %d: %+v", len(all), want, all)
	}
	return all
}

// client makes a client by the form.
func (k *keys) client(name string) org.Client {
	k.t.Helper()
	a := k.b.post(k.page(), k.path+"/clients", "name", name)
	if a.StatusCode != 303 || !strings.HasPrefix(a.Header.Get("Location"), k.path+"?added#") {
		k.t.Fatalf("adding a client = %d to %q: %s", a.StatusCode, a.Header.Get("Location"), a.text())
	}
	_, id, _ := strings.Cut(a.Header.Get("Location"), "#")
	c, err := k.orgs.Client(k.t.Context(), k.acme, identity.Client(id))
	k.must(err)
	return c
}

// seen is the form's word for what the page showed.
func seen(a answer, action string) string {
	m := regexp.MustCompile(regexp.QuoteMeta(`action="`+action+`"`) + `[^\n]*name="seen" value="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		return "no such form"
	}
	return m[1]
}

var secretText = regexp.MustCompile(`gh(?:sc|cs)_[A-Za-z0-9_-]{43}`)

// redirected checks where a form led to.
func (a answer) redirected(t *testing.T, want string) answer {
	t.Helper()
	if got := a.Header.Get("Location"); a.StatusCode != 303 || got != want {
		t.Fatalf("the form = %d to %q, want 303 to %q: %s", a.StatusCode, got, want, a.text())
	}
	return a
}

func TestTokens(t *testing.T) {
	k := newKeys(t)
	to := k.path + "/tokens"
	issue := func() string {
		t.Helper()
		page := k.page()
		k.now = k.now.Add(time.Minute)
		a := k.b.post(page, to, "seen", seen(page, to)).want(t, 200, "Your new token", "shown only now", here+"/scim/v2", "Not until revoked")
		if a.Header.Get("Cache-Control") != "no-store" || strings.Contains(a.text(), "Client id") {
			t.Errorf("the page with a token: Cache-Control %q: %s", a.Header.Get("Cache-Control"), a.text())
		}
		token := secretText.FindString(a.body)
		if _, err := k.orgs.Authenticate(t.Context(), token); err != nil {
			t.Errorf("the token that is shown does not open: %v", err)
		}
		// The form is sent again, as when the answer is loaded again.
		k.b.post(page, to, "seen", seen(page, to)).redirected(t, k.path+"?repeated")
		k.b.post(page, to).want(t, 303)
		again := k.b.get(k.path+"?repeated").want(t, 200, "Nothing was issued")
		if strings.Contains(again.body, token) || strings.Contains(k.log.String(), token) {
			t.Error("a token is shown, or logged, after its page")
		}
		return token
	}
	good := func(tokens ...string) (n int) {
		for _, s := range tokens {
			if _, err := k.orgs.Authenticate(t.Context(), s); err == nil {
				n++
			}
		}
		return n
	}
	k.page().want(t, 200, "No credentials", "It is shown once.", "No fixed time: until you revoke it")
	if a := k.b.post(k.page(), to, "seen", ""); a.StatusCode != 200 {
		t.Fatalf("the first token = %d", a.StatusCode)
	}
	k.must(k.orgs.Revoke(t.Context(), k.acme, k.c.ID, k.all(1)[0].ID))
	one := issue()
	k.page().want(t, 200, "The token that is valid now stays valid beside it")
	two := issue()
	if n := good(one, two); n != 2 {
		t.Errorf("after a second token %d are good, want both", n)
	}
	oldest := k.all(3)[1]
	k.page().want(t, 200, "A new one ends token "+string(oldest.ID)+", issued on 22 Nov 2026, at once")
	three := issue()
	if good(one) != 0 || good(two, three) != 2 {
		t.Error("a third token does not end the first, and it alone")
	}
	newest := k.all(4)[3]
	for range 2 { // twice is once
		k.b.post(k.page(), k.path+"/credentials/"+string(newest.ID)+"/revoke").redirected(t, k.path+"?revoked")
		if good(three) != 0 || good(two) != 1 {
			t.Error("the form to revoke the newest token does not end it, and it alone")
		}
	}
	page := k.b.get(k.path+"?revoked").want(t, 200, "It is revoked.")
	if strings.Contains(page.body, string(newest.ID)+"/revoke") || !strings.Contains(page.body, string(k.all(4)[2].ID)+"/revoke") {
		t.Error("the page offers to revoke what is revoked, or not what is good")
	}
}

// crowd is a table that holds commits back until so many have come.
type crowd struct {
	table.Table
	mu   sync.Mutex
	left int
	all  chan struct{}
}

func (c *crowd) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	c.mu.Lock()
	if c.left--; c.left == 0 {
		close(c.all)
	}
	c.mu.Unlock()
	<-c.all
	return c.Table.Commit(ctx, writes...)
}

// atOnce sends the same form so often that each has read what was stored before
// the first changes it.
func (k *keys) atOnce(n int, page answer, to string, fields ...string) []answer {
	config := k.config
	config.Orgs = org.New(&crowd{Table: k.table, left: n, all: make(chan struct{})}, k.key, config.Now, 0)
	k.serve(config)
	answers := make([]answer, n)
	var wait sync.WaitGroup
	for i := range n {
		b := *k.b
		b.cookies = maps.Clone(k.b.cookies)
		wait.Go(func() { answers[i] = b.post(page, to, fields...) })
	}
	wait.Wait()
	config.Orgs = k.orgs
	k.serve(config)
	return answers
}

// Of equal forms that come at once, as by a double click, one has its effect.
func TestEqualFormsAtOnce(t *testing.T) {
	k := newKeys(t)
	c := k.client("Entra ID")
	tokens, secrets, trusts := k.path+"/tokens", k.path+"/clients/"+string(c.ID)+"/secrets", k.path+"/clients/"+string(c.ID)+"/trusts"
	for round, of := range []struct{ to, repeated string }{
		{tokens, "?repeated"}, {secrets, "?repeated#" + string(c.ID)}, {tokens, "?repeated"}, {secrets, "?repeated#" + string(c.ID)},
	} {
		page := k.page()
		issued := 0
		for _, a := range k.atOnce(12, page, of.to, "seen", seen(page, of.to)) {
			if a.StatusCode == 200 && secretText.MatchString(a.body) {
				issued++
				continue
			}
			a.redirected(t, k.path+of.repeated)
		}
		if issued != 1 {
			t.Errorf("of 12 equal forms at once %d issued something at %s, want one", issued, of.to)
		}
		k.all(round + 1)
	}
	for _, a := range k.atOnce(12, k.b.get(trusts), trusts, "issuer", "https://i.example", "subject", "s") {
		if a.StatusCode != 303 {
			a.want(t, 422, "trusts this issuer with the same subject and audience already")
		}
	}
	k.all(5)
	added := 0
	for _, a := range k.atOnce(12, k.page(), k.path+"/clients", "name", "Another") {
		if a.StatusCode == 303 {
			added++
			continue
		}
		a.want(t, 422, "a client of this name already")
	}
	if added != 1 {
		t.Errorf("of 12 equal forms at once %d added a client, want one", added)
	}
}

func TestClients(t *testing.T) {
	k := newKeys(t)
	k.page().want(t, 200, "No clients yet", "Directory sign-in with OAuth", "Token URL "+here+"/oauth/token", "Address (SCIM base URL) "+here+"/scim/v2")
	for name, want := range map[string]string{"": "1 to 200 characters", " \t": "1 to 200 characters", strings.Repeat("é", 201): "1 to 200 characters", "a\nb": "1 to 200 characters", "\xff": "1 to 200 characters"} {
		a := k.b.post(k.page(), k.path+"/clients", "name", name).want(t, 422, want)
		if !strings.Contains(a.body, `aria-invalid="true"`) || !strings.Contains(a.body, "<title>Error:") {
			t.Errorf("the name %.20q is refused without its field saying so", name)
		}
	}
	c := k.client(" Entra ID ")
	k.b.post(k.page(), k.path+"/clients", "name", "Entra ID").want(t, 422, "a client of this name already")
	k.b.get(k.path+"?added").want(t, 200, "The client is added.", "Entra ID", string(c.ID))
	if c.Name != "Entra ID" || c.Connection != k.c.ID {
		t.Errorf("stored is %+v", c)
	}

	// Secrets: three are good, and each is shown once.
	to := k.path + "/clients/" + string(c.ID) + "/secrets"
	var secrets []string
	for i := range 4 {
		page := k.page()
		if i == 3 {
			page.want(t, 200, "Three are valid already: a new one ends secret "+string(k.all(3)[0].ID))
		}
		k.now = k.now.Add(time.Minute)
		a := k.b.post(page, to, "seen", seen(page, to)).want(t, 200, "Your new client secret", string(c.ID), here+"/oauth/token", here+"/scim/v2", "21 Nov 2028")
		secrets = append(secrets, secretText.FindString(a.body))
		k.b.post(page, to, "seen", seen(page, to)).redirected(t, k.path+"?repeated#"+string(c.ID))
		if strings.Contains(k.page().body, secrets[i]) || strings.Contains(k.log.String(), secrets[i]) || a.Header.Get("Cache-Control") != "no-store" {
			t.Error("a secret is kept, or shown again")
		}
	}
	good := func() (n int) {
		a, err := k.orgs.Applicant(t.Context(), string(c.ID))
		k.must(err)
		for _, s := range secrets {
			if _, ok := a.Secret(s); ok {
				n++
			}
		}
		return n
	}
	if n := good(); n != 3 {
		t.Errorf("of four secrets %d are good, want 3", n)
	}
	k.b.post(k.page(), k.path+"/credentials/"+string(k.all(4)[3].ID)+"/revoke").redirected(t, k.path+"?revoked")
	if n := good(); n != 2 {
		t.Errorf("after revoking one %d are good, want 2", n)
	}

	// The end of the client, which may be said twice.
	k.page().want(t, 200, "valid secrets (2) and trusts (0)")
	for range 2 {
		k.b.post(k.page(), k.path+"/clients/"+string(c.ID)+"/revoke").redirected(t, k.path+"?ended")
	}
	if a, err := k.orgs.Applicant(t.Context(), string(c.ID)); err != nil || a.Known {
		t.Error("a client that has ended may still ask")
	}
	page := k.b.get(k.path+"?ended").want(t, 200, "The client has ended", "Ended")
	if strings.Contains(page.body, "/clients/"+string(c.ID)) {
		t.Error("the page has forms for a client that has ended")
	}
	k.b.post(page, to, "seen", string(k.all(4)[3].ID)).want(t, 409, "Your change was not made")
	k.b.post(page, k.path+"/clients/"+string(c.ID)+"/trusts", "issuer", "https://i.example", "subject", "s").want(t, 409)
	k.b.get(k.path+"/clients/"+string(c.ID)+"/trusts").want(t, 404)
	k.client("Entra ID") // the name is free
}

func TestTrusts(t *testing.T) {
	k := newKeys(t)
	c := k.client("Entra ID")
	to := k.path + "/clients/" + string(c.ID) + "/trusts"
	form := k.b.get(to).want(t, 200, "Trust an issuer’s word for \u2068Entra ID\u2069", string(c.ID), here+"/oauth/token")
	send := func(issuer, subject, audience, keys string) answer {
		t.Helper()
		return k.b.post(form, to, "issuer", issuer, "subject", subject, "audience", audience, "keys", keys)
	}
	const issuer = "https://login.microsoftonline.com/tenant/v2.0"
	for _, bad := range []struct{ issuer, subject, audience, keys, field, says string }{
		{"", "s", "", "", "issuer", "Enter the issuer."},
		{issuer, " ", "", "", "subject", "Enter the subject."},
		{"http://i.example", "s", "", "", "issuer", "The issuer is an https address"},
		{"https://i.example/a b", "s", "", "", "issuer", "The issuer is an https address"},
		{issuer, "a b", "", "", "subject", "A subject has up to 500"},
		{issuer, strings.Repeat("s", 501), "", "", "subject", "A subject has up to 500"},
		{issuer, "s", "1 2 3 4 5 6", "", "audience", "Up to five audiences"},
		{issuer, "s", "ü", "", "audience", "Up to five audiences"},
		{"https://10.0.0.1", "s", "", "", "issuer", "not on the public internet"},
		{issuer, "s", "", "https://169.254.169.254/latest", "keys", "not on the public internet"},
		{issuer, "s", "", "http://i.example/keys", "keys", "This is an https address."},
		{string(c.ID), "s", "", "", "keys", "unless the client signs for itself"},
		{`"><script>alert(1)</script>`, "s", "", "", "issuer", "The issuer is an https address"},
	} {
		a := send(bad.issuer, bad.subject, bad.audience, bad.keys).want(t, 422, bad.says)
		fails := regexp.MustCompile(`id="([a-z]+)-error"`).FindAllStringSubmatch(a.body, -1)
		if len(fails) != 1 || fails[0][1] != bad.field {
			t.Errorf("%+v is refused at %q, want %s", bad, fails, bad.field)
		}
		if strings.Contains(a.body, "<script>alert") || bad.keys != "" && !strings.Contains(a.body, `value="`+bad.keys+`"`) {
			t.Errorf("%+v comes back as %s", bad, a.body)
		}
	}
	send("", "", "", "").want(t, 422, "Enter the issuer.", "Enter the subject.")
	k.all(0)

	send(" "+issuer+" ", "sub", "api://app/.default other", "").redirected(t, k.path+"?trusted#"+string(c.ID))
	send(issuer, "sub", "api://app/.default other", "").want(t, 422, "trusts this issuer with the same subject and audience already")
	got := k.all(1)[0]
	if got.Trust == nil || got.Trust.Issuer != issuer || got.Trust.Subject != "sub" || !slices.Equal(got.Trust.Audiences, []string{"api://app", "other"}) || got.Client != c.ID {
		t.Errorf("stored is %+v", got.Trust)
	}
	k.b.get(k.path+"?trusted").want(t, 200, "The issuer is trusted from now on.", issuer, "Keys found from the issuer", "api://app other", "Never")
	send("https://own.example", "sub", "", "https://own.example/keys").want(t, 303)
	if a := k.all(2)[1].Trust.Audiences; !slices.Equal(a, []string{here + "/oauth/token"}) {
		t.Errorf("without an audience it is %q, want our token URL", a)
	}
	k.page().want(t, 200, "Keys at https://own.example/keys")
	for i := range 3 {
		send("https://i.example", fmt.Sprint("s", i), "", "").want(t, 303)
	}
	if full := k.page().want(t, 200, "Five issuers are trusted already."); strings.Contains(full.body, `href="`+to+`"`) {
		t.Error("the page offers a sixth trust")
	}
	send("https://i.example", "sixth", "", "").want(t, 409, "Your change was not made")
	k.b.post(form, k.path+"/credentials/"+string(k.all(5)[0].ID)+"/revoke").redirected(t, k.path+"?revoked")
	send(issuer, "sub", "api://app other", "").want(t, 303)
	if a, err := k.orgs.Applicant(t.Context(), string(c.ID)); err != nil || len(a.Trusts()) != 5 {
		t.Errorf("trusted are %d, %v; want 5", len(a.Trusts()), err)
	}
}

// What another organization, another connection or nobody has is not there; who
// is no admin, or was sent by another site, changes nothing.
func TestFormsForCredentialsRefuse(t *testing.T) {
	k := newKeys(t)
	ctx := t.Context()
	mine := k.client("Mine")
	_, own, err := k.orgs.Issue(ctx, k.acme, k.c.ID, 0)
	k.must(err)
	beside := k.directory(k.acme, "Beside").Connection()
	besides, err := k.orgs.CreateClient(ctx, k.acme, beside.ID, "Beside")
	k.must(err)
	_, besideToken, err := k.orgs.Issue(ctx, k.acme, beside.ID, 0)
	k.must(err)
	other := k.org("Other")
	foreign := k.directory(other, "Foreign").Connection()
	theirs, err := k.orgs.CreateClient(ctx, other, foreign.ID, "Theirs")
	k.must(err)
	_, theirSecret, err := k.orgs.IssueSecret(ctx, other, theirs, 0)
	k.must(err)
	member, _ := k.member(k.okta, erika)

	forms := func(base string, c identity.Client, id identity.Credential) []string {
		return []string{base + "/tokens", base + "/clients", base + "/credentials/" + string(id) + "/revoke",
			base + "/clients/" + string(c) + "/secrets", base + "/clients/" + string(c) + "/trusts", base + "/clients/" + string(c) + "/revoke"}
	}
	state := func() string {
		out := ""
		for _, s := range []struct {
			o *org.Org
			c identity.Connection
		}{{k.acme, k.c.ID}, {k.acme, beside.ID}, {other, foreign.ID}} {
			creds, err := k.orgs.Credentials(ctx, s.o, s.c)
			k.must(err)
			clients, err := k.orgs.Clients(ctx, s.o)
			k.must(err)
			out += fmt.Sprint(creds, clients)
		}
		return out
	}
	before := state()
	fields := []string{"name", "New", "issuer", "https://i.example", "subject", "s", "seen", ""}
	page := k.page()
	base := "/o/acme-gmbh/admin/connections/"
	var gone []string
	gone = append(gone, forms(base+string(foreign.ID), theirs.ID, theirSecret.ID)...)
	gone = append(gone, forms("/o/other/admin/connections/"+string(foreign.ID), theirs.ID, theirSecret.ID)...)
	gone = append(gone, forms(base+string(identity.Manual), mine.ID, own.ID)...)
	gone = append(gone, forms(base+"..%2f", mine.ID, own.ID)...)
	gone = append(gone, forms(k.path, theirs.ID, theirSecret.ID)[2:]...)
	gone = append(gone, forms(k.path, besides.ID, besideToken.ID)[2:]...)
	gone = append(gone, forms(k.path, "x", "x")[2:]...)
	for _, path := range gone {
		k.b.post(page, path, fields...).want(t, 404)
	}
	own404 := member.get("/o/acme-gmbh/")
	for _, path := range forms(k.path, mine.ID, own.ID) {
		member.post(own404, path, fields...).want(t, 404)
		if a := k.browser().post(k.browser().get("/o/acme-gmbh/sign-in"), path, fields...); a.StatusCode != 403 {
			t.Errorf("%s without a session = %d, want 403", path, a.StatusCode)
		}
		if !strings.HasSuffix(path, "/trusts") {
			if a := k.b.get(path); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
				t.Errorf("GET %s = %d, want 405", path, a.StatusCode)
			}
		}
		form := url.Values{"csrf": {page.csrf()}, "name": {"New"}, "issuer": {"https://i.example"}, "subject": {"s"}, "seen": {string(own.ID)}}
		for name, change := range map[string]func(*http.Request){
			"another site's":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"an old browser's":  func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
			"what is no form's": func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		} {
			r := formRequest(path, form)
			change(r)
			if a := k.b.send(r); a.StatusCode != 403 {
				t.Errorf("%s %s = %d, want 403", name, path, a.StatusCode)
			}
		}
		for name, token := range map[string]string{"no token": "", "another's": own404.csrf()} {
			form.Set("csrf", token)
			if a := k.b.send(formRequest(path, form)); a.StatusCode != 403 {
				t.Errorf("%s with %s = %d, want 403", path, name, a.StatusCode)
			}
		}
	}
	if after := state(); after != before {
		t.Errorf("refused forms changed something:\n%s\n%s", before, after)
	}
	member.get(k.path+"/clients/"+string(mine.ID)+"/trusts").want(t, 404)
	k.b.get(k.path+"/clients/"+string(theirs.ID)+"/trusts").want(t, 404)
	k.b.get(k.path+"/clients/"+string(besides.ID)+"/trusts").want(t, 404)
}

// Clients' names are people's words.
func TestHostileClients(t *testing.T) {
	k := newKeys(t)
	for _, name := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "a\u202eb", "%s%d", strings.Repeat("W", 200)} {
		c := k.client(name)
		for _, path := range []string{k.path, k.path + "/clients/" + string(c.ID) + "/trusts"} {
			a := k.b.get(path).want(t, 200)
			for _, bad := range []string{"<script>alert", "<img src=x", "\u202e", "&lt;nil&gt;"} {
				if strings.Contains(a.body, bad) {
					t.Errorf("the name %.30q makes a page that holds %q", name, bad)
				}
			}
		}
	}
}

// The admin does the same in German.
func TestCredentialsInGerman(t *testing.T) {
	k := newKeys(t)
	k.b.language = "de"
	k.page().want(t, 200, "Anmeldung des Verzeichnisses mit OAuth", "Token-URL", "Noch keine Clients", "Token ausstellen")
	c := k.client("Entra ID")
	at := k.path + "/clients/" + string(c.ID)
	k.page().want(t, 200, "Vertrauten Aussteller hinzufügen", "Gültigkeit 90 Tage, bis zum 20. Februar 2027 1 Jahr, bis zum 22. November 2027 2 Jahre, bis zum 21. November 2028 3 Jahre, bis zum 21. November 2029 Geheimnis ausstellen")
	k.b.post(k.page(), at+"/secrets", "seen", "").want(t, 200, "Ihr neues Clientgeheimnis", "Client-ID "+string(c.ID), "21. November 2028")
	k.b.post(k.page(), k.path+"/tokens", "seen", "").want(t, 200, "Ihr neuer Token", "Das wird nur jetzt gezeigt.")
	k.b.post(k.b.get(at+"/trusts").want(t, 200, "vertrauen", "Zielgruppe"), at+"/trusts", "issuer", "x", "subject", "s").want(t, 422, "Der Aussteller ist eine https-Adresse")
	k.b.get(k.path+"?revoked").want(t, 200, "Der Widerruf ist erfolgt.")
}
