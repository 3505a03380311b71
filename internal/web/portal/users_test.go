package portal

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
)

const usersPath = "/o/acme-gmbh/admin/users"

// poll asks for the live part as the page does.
func (b *browser) poll(page answer) answer {
	b.w.t.Helper()
	m := regexp.MustCompile(`hx-get="([^"]+)"`).FindStringSubmatch(page.body)
	if m == nil {
		b.w.t.Fatal("the page asks for no live part")
	}
	r := httptest.NewRequest("GET", m[1], nil)
	r.Header.Set("HX-Request", "true")
	return b.send(r)
}

func TestUsersArrive(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	page := b.get(usersPath).want(t, 200, "Arrived last", "admin@acme-gmbh.example")
	if a := b.poll(page); a.StatusCode != 204 || a.body != "" {
		t.Fatalf("polling while nothing has changed = %d with %d bytes, want 204 with none", a.StatusCode, len(a.body))
	}
	u := w.join(w.okta, erika)
	part := b.poll(page).want(t, 200, "Erika Mustermann", "erika@acme.example", "Invited", "Okta", "Sent", "just now")
	if strings.Contains(part.body, "<html") {
		t.Error("the live part is a whole page")
	}
	if i, j := strings.Index(part.body, "Erika"), strings.Index(part.body, "admin@"); i > j {
		t.Error("the newest user does not come first")
	}
	if a := b.poll(part); a.StatusCode != 204 {
		t.Errorf("polling with the part's own version = %d, want 204", a.StatusCode)
	}
	w.browser().activate(w.inbox.linkTo(t, "erika@acme.example"))
	w.feed()
	part = b.poll(part).want(t, 200, "Erika Mustermann", "Active")
	w.now = w.now.Add(3 * time.Minute)
	part = b.poll(part).want(t, 200, "3 minutes ago")
	w.must(w.okta.Leave(t.Context(), string(u.ID), nil))
	w.feed()
	if a := b.poll(part); a.StatusCode != 200 || strings.Contains(a.text(), "Erika") {
		t.Errorf("after the user left the part = %d: %s", a.StatusCode, a.text())
	}
	// The part works as a page's address without script, and stands in the page.
	b.get(usersPath+"/arrivals").want(t, 200, "admin@acme-gmbh.example")

	// When the session is over the page says so.
	stranger := w.browser()
	if a := stranger.poll(page).want(t, 200, "You are signed out"); strings.Contains(a.body, "hx-get") || strings.Contains(a.body, "Erika") ||
		!strings.HasPrefix(a.body, `<div id="arrivals">`) || !strings.Contains(a.body, `href="/o/acme-gmbh/sign-in?next=%2fo%2facme-gmbh%2fadmin/users"`) {
		t.Errorf("polling without a session answers %s; want the way to sign in, nobody, and no more polling", a.body)
	}
}

// Polling keeps nobody signed in.
func TestPollingIsNoUse(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	page := b.get(usersPath)
	for range 7 {
		w.now = w.now.Add(9 * time.Minute)
		b.poll(page)
	}
	if a := b.get(usersPath); a.StatusCode != 303 {
		t.Errorf("after an hour of polling alone the page = %d, want 303 to sign-in", a.StatusCode)
	}
}

func TestUsersByConnection(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	entra := w.directory(w.acme, "Entra")
	for i := range pageSize + 3 {
		_, err := entra.Join(t.Context(), joiner{fmt.Sprint("user", i), fmt.Sprint("User ", i), fmt.Sprint("user", i, "@acme.example"), ""}.doc())
		w.must(err)
	}
	seen := map[string]bool{}
	row := regexp.MustCompile(`<bdi>(User \d+)</bdi>`)
	path := usersPath + "?connection=" + string(entra.Connection().ID)
	first := b.get(path).want(t, 200, "1 to 50 of 53", "Next")
	second := b.get(path+"&start=51").want(t, 200, "51 to 53 of 53", "Previous")
	for _, page := range []answer{first, second} {
		for _, m := range row.FindAllStringSubmatch(page.body, -1) {
			seen[m[1]] = true
		}
	}
	if len(seen) != pageSize+3 {
		t.Errorf("two pages list %d users, want %d", len(seen), pageSize+3)
	}
	b.get(usersPath+"?connection=00000").want(t, 200, "1 to 1 of 1", "By hand")
	b.get(usersPath+"?connection="+string(w.okta.Connection().ID)).want(t, 200, "Nobody here yet")
	for _, q := range []string{"?connection=zzzzz", "?connection=../..", "?connection=" + strings.Repeat("x", 500)} {
		if a := b.get(usersPath + q); a.StatusCode != 404 {
			t.Errorf("users%s = %d, want 404", q, a.StatusCode)
		}
	}
	for _, start := range []string{"0", "-5", "x", "999999999999999999999", "1000"} {
		b.get(path+"&start="+start).want(t, 200)
	}
}

func TestSearch(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	u := w.join(w.okta, erika)
	w.join(w.okta, joiner{"twin-1", "Twin One", "twins@acme.example", ""})
	w.join(w.okta, joiner{"twin-2", "Twin Two", "twins@acme.example", ""})
	page := b.get(usersPath)
	for _, q := range []string{"erika", "ERIKA", " erika@acme.example "} {
		a := b.post(page, usersPath+"/search", "q", q)
		if want := usersPath + "/" + string(u.ID); a.Header.Get("Location") != want {
			t.Errorf("searching %q leads to %q, want to the user's page", q, a.Header.Get("Location"))
		}
	}
	b.post(page, usersPath+"/search", "q", "twins@acme.example").want(t, 200, "Twin One", "Twin Two")
	b.post(page, usersPath+"/search", "q", "erik").want(t, 200, "Nobody found", "erik")
	b.post(page, usersPath+"/search", "q", "<script>").want(t, 200, "Nobody found", "<script>")
	if a := b.post(page, usersPath+"/search", "q", " "); a.Header.Get("Location") != usersPath {
		t.Errorf("searching nothing leads to %q, want back", a.Header.Get("Location"))
	}
}

func TestUserPage(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	u := w.join(w.okta, erika)
	w.now = w.now.Add(30 * time.Minute)
	_, _, err := w.okta.Change(t.Context(), string(u.ID), nil, func(u roster.User) (provision.Doc, error) {
		return provision.Doc{Attributes: u.Doc().With("displayName", value.Str("Erika Musterfrau")), Extensions: u.Ext}, nil
	})
	w.must(err)
	path := usersPath + "/" + string(u.ID)
	page := b.get(path).want(t, 200, "Erika Musterfrau", "Invited", "erika@acme.example", "Okta", "Joined", "Changed",
		"displayName Erika Mustermann Erika Musterfrau", "In no group", "Send the welcome email again", "1 value")

	// Again, and again, until it is too often; the link before is void.
	old := w.inbox.linkTo(t, "erika@acme.example")
	sent := 0
	for range 8 {
		a := b.post(page, path+"/welcome")
		switch to := a.Header.Get("Location"); to {
		case path + "?sent":
			sent++
			b.get(to).want(t, 200, "The welcome email is on its way.")
		case path + "?often":
			b.get(to).want(t, 200, "Nothing was sent now")
		default:
			t.Fatalf("sending again = %d to %q", a.StatusCode, to)
		}
		w.feed()
	}
	if sent < 3 || sent > 5 {
		t.Errorf("8 clicks sent %d mails, want 5 at most", sent)
	}
	b.get(path).want(t, 200, fmt.Sprintf("Sent %d times", sent+1))
	stranger := w.browser()
	stranger.get(old)
	stranger.get("/activate").want(t, 404)
	stranger.activate(w.inbox.linkTo(t, "erika@acme.example"))
	w.feed()
	page = b.get(path).want(t, 200, "Active", "Created a password", "The user")
	if strings.Contains(page.body, "/welcome") {
		t.Error("a user with a password can be sent a welcome email")
	}
	mails := len(w.inbox.sent)
	if a := b.post(page, path+"/welcome"); a.StatusCode != 303 || a.Header.Get("Location") != path {
		t.Errorf("asking for a welcome email to a user with a password = %d to %q, want back without a word", a.StatusCode, a.Header.Get("Location"))
	}
	if w.feed(); len(w.inbox.sent) != mails {
		t.Error("a welcome email went to a user with a password")
	}
}

func TestAdoptedUser(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	link := w.join(w.okta, joiner{"admin@acme-gmbh.example", "Chef", "chef@acme.example", ""})
	if link.Target == "" {
		t.Fatal("the user made by hand was not adopted")
	}
	b.get(usersPath+"/"+string(link.ID)).want(t, 200, "This is a directory’s record of a user who was here before.", "Open that user", "Linked to a user")
	if a := b.get(usersPath+"/"+string(link.Target)).want(t, 200); !strings.Contains(a.body, usersPath+"/"+string(link.ID)) {
		t.Error("the page of the user made by hand does not lead to the directory's record")
	}
	b.get(usersPath).want(t, 200, "linked")
}

func TestConflicts(t *testing.T) {
	w := newWorld(t)
	b := w.admin(w.acme)
	b.get("/o/acme-gmbh/admin/conflicts").want(t, 200, "No conflicts")
	w.join(w.okta, erika)
	if _, err := w.directory(w.acme, "Entra").Join(t.Context(), erika.doc()); err == nil {
		t.Fatal("two directories have one userName")
	}
	b.get(usersPath).want(t, 200, "1 user name is wanted by two directories.")
	b.get("/o/acme-gmbh/admin/conflicts").want(t, 200, "erika", "Okta", "Entra", "just now")
}

// TestHostileNames: what a directory sends is text, wherever it appears.
func TestHostileNames(t *testing.T) {
	w := newWorld(t)
	admin := w.admin(w.acme)
	for i, name := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "{{.Session}}", "line\r\nSet-Cookie: a=b", "a\u202eb\u2066c\u200fd",
		strings.Repeat("x", 10_000), strings.Repeat("\u0301", 5_000), "\u200b\u200b", " ", "javascript:alert(1)", "=HYPERLINK(1)", "\x00\x07null", "%s%n%d",
	} {
		o := w.acme
		u := w.join(w.okta, joiner{fmt.Sprint("hostile-", i, name[:min(len(name), 40)]), name, fmt.Sprintf("h%d@acme.example", i), ""})
		b := w.browser()
		b.get(w.inbox.link(t))
		pages := []answer{b.get("/activate").want(t, 200)}
		pages = append(pages, b.post(pages[0], "/activate", "password", password))
		pages = append(pages, b.get("/o/"+o.Slug+"/").want(t, 200))
		pages = append(pages, admin.get(usersPath).want(t, 200), admin.get(usersPath+"/"+string(u.ID)).want(t, 200), admin.get("/inbox").want(t, 200))
		pages = append(pages, b.get("/inbox/"+string(w.inbox.sent[len(w.inbox.sent)-1].ID)).want(t, 200))
		for _, p := range pages {
			for _, bad := range []string{"<script>alert", "<img src=x", "onerror=alert(1)>", "\u202e", "\u200f", "\x00", "%!", "&lt;nil&gt;"} {
				if strings.Contains(p.body, bad) {
					t.Errorf("the name %.30q makes a page that holds %q", name, bad)
				}
			}
			if p.Header.Get("Set-Cookie") == "a=b" {
				t.Errorf("the name %.30q sets a cookie", name)
			}
			if len(p.body) > 200<<10 {
				t.Errorf("the name %.30q makes a page of %d bytes", name, len(p.body))
			}
		}
	}
}

func TestGroupsOnPages(t *testing.T) {
	w := newWorld(t)
	b, u := w.member(w.okta, erika)
	_, err := w.okta.CreateGroup(t.Context(), provision.Doc{Attributes: value.Obj(value.M("displayName", value.Str("Vertrieb <Süd>")))}, []string{string(u.ID)})
	w.must(err)
	b.get("/o/acme-gmbh/").want(t, 200, "Your groups", "Vertrieb <Süd>")
	w.admin(w.acme).get(usersPath+"/"+string(u.ID)).want(t, 200, "Vertrieb <Süd>")
}

func TestActors(t *testing.T) {
	u := roster.User{ID: identity.MintUser("abcde")}
	names := map[identity.Connection]string{"abcde": "Okta"}
	for _, c := range []struct {
		actor audit.Actor
		want  string
	}{
		{audit.Actor{Kind: "connection", ID: "abcde/0123456789"}, "actor.connection"}, {audit.Actor{Kind: "connection", ID: "zzzzz"}, "actor.connection.gone"},
		{audit.Actor{Kind: "user", ID: string(u.ID)}, "actor.self"}, {audit.Actor{Kind: "user", ID: "other"}, "actor.admin"},
		{audit.Actor{Kind: "operator"}, "actor.operator"}, {audit.Actor{Kind: "system"}, "actor.system"},
	} {
		if got, _ := actor(c.actor, u, names); got != c.want {
			t.Errorf("actor(%v) = %q, want %q", c.actor, got, c.want)
		}
	}
}
