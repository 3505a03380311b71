package scimhttp_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/web/scimhttp"
)

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	for header, status := range map[string]int{
		"Bearer " + w.token: 200, "bearer " + w.token: 200, "BEARER  " + w.token: 200, w.token: 200,
		"": 401, "Bearer": 401, "Bearer ": 401, "Basic " + w.token: 401, "non-token": 401, "Bearer " + w.token + "x": 401, "Bearer " + w.token[1:]: 401,
		"Bearer " + strings.ToUpper(w.token): 401, "Bearer " + strings.Repeat("x", 9000): 401, "Bearer " + w.token + " " + w.token: 401,
	} {
		a := w.get("/Users", "Authorization", header)
		if a.status != status {
			t.Errorf("Authorization %q = %d, want %d", header, a.status, status)
		}
		if status == 401 {
			a.refused(401, "")
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
				t.Errorf("WWW-Authenticate = %q, want the scheme Bearer", got)
			}
		}
	}
	// A token in the address would stand in logs: it is none.
	w.get("/Users?access_token="+w.token, "Authorization", "").refused(401, "")

	w.get("/ServiceProviderConfig", "Authorization", "").want(200)
	w.do("HEAD", "/ServiceProviderConfig", "", "Authorization", "").want(200)
	w.get("/ServiceProviderConfig", "Authorization", "Bearer nonsense").refused(401, "")
	for _, path := range []string{"/Schemas", "/ResourceTypes", "/Me", "/Bulk", "/nothing", "/", "/ServiceProviderConfig/x"} {
		w.get(path, "Authorization", "").refused(401, "")
	}
	w.do("POST", "/ServiceProviderConfig", "{}", "Authorization", "").refused(401, "")
}

// A good credential is looked up once, then believed for a while; a revoked one
// is not believed again.
func TestCredentialsAreRemembered(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	w.get("/Users/" + id).want(200)
	w.table.counts()
	w.get("/Users/" + id).want(200)
	if reads, writes := w.table.counts(); reads != 1 || writes != 0 {
		t.Errorf("GET of a user takes %d reads and %d commits, want 1 and none", reads, writes)
	}
	w.get("/Users?filter=userName+eq+%22ada@example.com%22").want(200)
	if reads, _ := w.table.counts(); reads != 2 {
		t.Errorf("a look-up by userName takes %d reads, want 2", reads)
	}
	all, err := w.orgs.Credentials(context.Background(), w.org, w.conn.ID)
	if err != nil || len(all) != 1 {
		t.Fatalf("credentials = %v, %v; want one", all, err)
	}
	if err := w.orgs.Revoke(context.Background(), w.org, w.conn.ID, all[0].ID); err != nil {
		t.Fatal(err)
	}
	w.get("/Users/"+id).refused(401, "")
}

// route is one way to ask for something of somebody else's: ID stands for its
// id, OWN for a group of who asks.
type route struct {
	method, path, body string
	group              bool
}

func routes() []route {
	return []route{
		{"GET", "/Users/ID", "", false},
		{"HEAD", "/Users/ID", "", false},
		{"GET", "/Users/ID?attributes=userName", "", false},
		{"PUT", "/Users/ID", person("new@example.com"), false},
		{"PUT", "/Users/ID", person("victim@example.com"), false},
		{"PATCH", "/Users/ID", patch(`{"op":"add","path":"title","value":"Stolen"}`), false},
		{"PATCH", "/Users/ID", patch(`{"op":"add","path":"` + enterprise + `:manager","value":"ID"}`), false},
		{"DELETE", "/Users/ID", "", false},
		{"GET", "/Groups/ID", "", true},
		{"HEAD", "/Groups/ID", "", true},
		{"PUT", "/Groups/ID", team("Stolen"), true},
		{"PATCH", "/Groups/ID", patch(`{"op":"replace","path":"displayName","value":"Stolen"}`), true},
		{"PATCH", "/Groups/ID", patch(`{"op":"remove","path":"members"}`), true},
		{"DELETE", "/Groups/ID", "", true},
		{"GET", "/Groups/ID", "", false}, // the id of a user where a group's is wanted
		{"GET", "/Users/ID", "", true},
		{"PATCH", "/Groups/OWN", patch(`{"op":"add","path":"members","value":[{"value":"ID"}]}`), false},
		{"PATCH", "/Groups/OWN", patch(`{"op":"remove","path":"members[value eq \"ID\"]"}`), false},
		{"PUT", "/Groups/OWN", team("Own", "ID"), false},
		{"POST", "/Groups", team("Mine", "ID"), false},
		{"GET", "/Users?filter=id%20eq%20%22ID%22", "", false},
		{"GET", "/Users?filter=groups.value%20eq%20%22ID%22", "", true},
		{"GET", "/Groups?filter=id%20eq%20%22ID%22", "", true},
		{"GET", "/Groups?filter=members%20eq%20%22ID%22", "", false},
		{"GET", "/Groups?filter=id%20eq%20%22OWN%22%20and%20members%20eq%20%22ID%22", "", false},
		{"POST", "/Users/.search", `{"schemas":["` + searchURN + `"],"filter":"id eq \"ID\""}`, false},
		{"POST", "/Groups/.search", `{"schemas":["` + searchURN + `"],"filter":"members eq \"ID\""}`, false},
		{"POST", "/Bulk", bulkOf(drop("/Users/ID"), put("/Users/ID", person("new@example.com")), change("/Users/ID", `{"op":"add","path":"title","value":"Stolen"}`)), false},
		{"POST", "/Bulk", bulkOf(drop("/Groups/ID"), change("/Groups/ID", `{"op":"remove","path":"members"}`)), true},
		{"POST", "/Bulk", bulkOf(change("/Groups/OWN", `{"op":"add","path":"members","value":[{"value":"ID"}]}`)), false},
	}
}

var reference = regexp.MustCompile(`Reference: [0-9a-z]+`)

// ask makes the request and returns everything of the answer but the id asked
// for, references, and when and as what version something was written.
func (r route) ask(w *world, token, id, own string) (int, string) {
	fill := strings.NewReplacer("ID", id, "OWN", own)
	a := w.do(r.method, fill.Replace(r.path), fill.Replace(r.body), "Authorization", "Bearer "+token)
	delete(a.header, "Etag")
	delete(a.header, "Content-Length")
	all := fmt.Sprintf("%d %v %s", a.status, a.header, a.body)
	all = regexp.MustCompile(`"meta":{[^}]*}`).ReplaceAllString(all, "META")
	return a.status, reference.ReplaceAllString(strings.ReplaceAll(all, id, "ID"), "REFERENCE")
}

// What is another connection's, or another organization's, answers on every
// route as what does not exist.
func TestIsolation(t *testing.T) {
	w := newWorld(t)
	victim := w.user("victim@example.com", `"externalId":"victim"`)
	group := w.group("Victims", victim)
	before := string(w.get("/Users/"+victim).body) + string(w.get("/Groups/"+group).body)

	_, sibling := w.connect(w.org, "")
	other, err := w.orgs.Create(context.Background(), org.Spec{Name: "Other"})
	if err != nil {
		t.Fatal(err)
	}
	_, stranger := w.connect(other, "")
	for name, token := range map[string]string{"another connection": sibling, "another organization": stranger} {
		auth := []string{"Authorization", "Bearer " + token}
		own := w.do("POST", "/Groups", team("Own"), auth...).want(201).text("id")
		for _, r := range routes() {
			id := victim
			if r.group {
				id = group
			}
			for _, unknown := range []string{id[:9] + strings.Repeat("0", 17), own[:9] + strings.Repeat("0", 17)} {
				_, theirs := r.ask(w, token, id, own)
				_, nobodys := r.ask(w, token, unknown, own)
				if theirs != nobodys {
					t.Errorf("%s, %s %s: what is somebody else's answers\n%s\nand what does not exist\n%s", name, r.method, r.path, theirs, nobodys)
				}
				if strings.Contains(theirs, "victim@") || strings.Contains(theirs, "Victims") {
					t.Errorf("%s, %s %s tells of the victim: %s", name, r.method, r.path, theirs)
				}
			}
		}
		for path, what := range map[string]string{
			"/Users": "", "/Users?filter=userName+eq+%22victim@example.com%22": "", "/Users?filter=externalId+eq+%22victim%22": "",
			"/Users?filter=emails.value+eq+%22victim@example.com%22": "", "/Users?filter=userName+pr": "",
			"?filter=userName+eq+%22victim@example.com%22": "", "": own, "?sortBy=displayName": own, "?cursor": own, "/Users?sortBy=userName": "", "/Users?cursor": "",
			"/Groups?filter=displayName+eq+%22Victims%22": "", "/Groups": own, "/Groups?filter=displayName+pr": own,
		} {
			a := w.get(path, auth...)
			if what == "" {
				a.list()
			} else {
				a.list(what)
			}
		}
	}

	for name, token := range w.wrongCredentials() {
		for _, r := range routes() {
			status, refused := r.ask(w, token, victim, group)
			_, never := r.ask(w, "ghsc_never-was-a-token", victim, group)
			if status != 401 || refused != never {
				t.Errorf("%s, %s %s = %s, want 401 as to a token that never was: %s", name, r.method, r.path, refused, never)
			}
		}
	}
	if after := string(w.get("/Users/"+victim).body) + string(w.get("/Groups/"+group).body); after != before {
		t.Errorf("the victims were %s and are %s", before, after)
	}
}

func (w *world) wrongCredentials() map[string]string {
	w.Helper()
	ctx := context.Background()
	wrong := map[string]string{"none": "", "malformed": "Bearer", "a part": w.token[:20], "another case": strings.ToUpper(w.token), "a portal's session": strings.Repeat("s", 43)}
	conn, revoked := w.connect(w.org, "")
	all, err := w.orgs.Credentials(ctx, w.org, conn.ID)
	if err != nil {
		w.Fatal(err)
	}
	w.get("/Users", "Authorization", "Bearer "+revoked).want(200) // remembered as good
	if err := w.orgs.Revoke(ctx, w.org, conn.ID, all[0].ID); err != nil {
		w.Fatal(err)
	}
	expired, _, err := w.orgs.Issue(ctx, w.org, conn.ID, time.Hour)
	if err != nil {
		w.Fatal(err)
	}
	w.get("/Users", "Authorization", "Bearer "+expired).want(200)
	w.pass(time.Hour)
	wrong["revoked"], wrong["expired"] = revoked, expired
	return wrong
}

func TestAddressesComeFromTheConfiguration(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("POST", "http://evil.example"+scimhttp.Prefix+"/Users", strings.NewReader(person("ada@example.com")))
	for name, v := range map[string]string{"Authorization": "Bearer " + w.token, "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Forwarded-Proto": "gopher", "X-Forwarded-Prefix": "/evil"} {
		r.Header.Set(name, v)
	}
	a := w.serve(r).want(201)
	if all := fmt.Sprint(a.header) + string(a.body); strings.Contains(all, "evil") || !strings.HasPrefix(a.header.Get("Location"), outside) {
		t.Errorf("the answer has addresses of the request's making: %s", all)
	}
}

// A user made by hand whom a directory brings is linked; the last admin stays.
func TestDirectoriesAndUsersMadeByHand(t *testing.T) {
	w := newWorld(t)
	boss, err := w.Provision.Invite(context.Background(), w.org, audit.Actor{Kind: "operator"}, provision.Invitation{Email: "boss@example.com", Admin: true})
	if err != nil {
		t.Fatal(err)
	}
	w.get("/Users").list()
	w.find("/Users", `userName eq "boss@example.com"`).list()
	w.get("/Users/"+string(boss.ID)).refused(404, "")
	id := w.user("Boss@example.com")
	if id == string(boss.ID) || !strings.HasPrefix(id, string(w.conn.ID)) {
		t.Errorf("the linked user has id %s, want one of connection %s", id, w.conn.ID)
	}
	w.find("/Users", `userName eq "boss@example.com"`).list(id)
	w.do("POST", "/Users", person("boss@example.com")).refused(409, "uniqueness")
	w.do("DELETE", "/Users/"+id, "").refused(403, "")
	w.do("PATCH", "/Users/"+id, patch(`{"op":"replace","path":"active","value":false}`)).refused(403, "")
	w.get("/Users/"+id).is("active", "true")

	ada := w.user("ada@example.com")
	_, other := w.connect(w.org, "")
	w.do("POST", "/Users", person("ada@example.com"), "Authorization", "Bearer "+other).refused(409, "uniqueness")
	w.get("/Users").list(id, ada)
}
