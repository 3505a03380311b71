package events_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/fakes/gateway"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/org"
	"gatehouse/internal/provision"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

var update = flag.Bool("update", false, "make a new world and the samples that follow from it")

const (
	domain    = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
	address   = "ada.joiner@example.com"
	tableARN  = "arn:aws:dynamodb:eu-central-1:123456789012:table/gatehouse"
	worldFile = "testdata/world.json"
)

// began is when the user joins.
var began = time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)

// world is the product over a table in memory that holds what the functions find
// when the samples reach them.
type world struct {
	t     *testing.T
	table *recorder
	app   *app.App
	mu    sync.Mutex
	now   time.Time
	mails []mail.Message
}

// image is an item in the file.
type image struct {
	Part    string    `json:"p"`
	Sort    string    `json:"s"`
	Data    []byte    `json:"d,omitempty"`
	N       int64     `json:"n,omitempty"`
	Expires time.Time `json:"x,omitzero"`
}

type file struct {
	Key   string  `json:"key"` // the server's, of this world alone
	Slug  string  `json:"slug"`
	User  string  `json:"user"`
	Items []image `json:"items"`
}

// recorder remembers which keys there may be.
type recorder struct {
	*memory.Table
	keys []table.Key
}

func (r *recorder) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	for _, w := range writes {
		r.keys = append(r.keys, w.Key)
	}
	return r.Table.Commit(ctx, writes...)
}

func newWorld(t *testing.T, key secret.Key) *world {
	w := &world{t: t, now: began, table: &recorder{Table: memory.New(app.Subscriptions()...)}}
	w.table.Now = w.clock
	w.app = app.New(app.Ports{
		Table: w.table, Key: key, URL: "https://" + domain, Sender: w, From: mail.Address{Name: "Gatehouse", Addr: "gatehouse@example.net"},
		Now: w.clock, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Send keeps the mail, as a mail.Sender.
func (w *world) Send(_ context.Context, m mail.Message) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mails = append(w.mails, m)
	return fmt.Sprintf("carrier-%d", len(w.mails)), nil
}

func (*world) Promise() mail.Promise { return mail.Settles }

// loadWorld returns the stored world.
func loadWorld(t *testing.T) (*world, file) {
	t.Helper()
	b, err := os.ReadFile(worldFile)
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("%s: %v", worldFile, err)
	}
	key, err := secret.Parse(f.Key)
	if err != nil {
		t.Fatalf("%s: %v", worldFile, err)
	}
	w := newWorld(t, key)
	for _, i := range f.Items {
		put := table.Put(table.Key{Part: i.Part, Sort: i.Sort}, i.Data).Count(i.N)
		if !i.Expires.IsZero() {
			put = put.Until(i.Expires)
		}
		if _, err := w.table.Commit(t.Context(), put); err != nil {
			t.Fatalf("%s: %v", worldFile, err)
		}
	}
	return w, f
}

// TestUpdate writes a new world, if asked to.
func TestUpdate(t *testing.T) {
	if !*update {
		return
	}
	ctx := t.Context()
	key := secret.Mint()
	w := newWorld(t, key)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(app.Prepare(ctx, w.table, key, began))
	o, err := w.app.Orgs.Create(ctx, org.Spec{Name: "Example GmbH"})
	must(err)
	c, err := w.app.Orgs.CreateConnection(ctx, o, org.Connection{Name: "Directory"})
	must(err)
	token, credential, err := w.app.Orgs.Issue(ctx, o, c.ID, 0)
	must(err)
	u, err := w.app.Provision.As(o, c, audit.Actor{Kind: "connection", ID: string(c.ID) + "/" + string(credential.ID)}).
		Join(ctx, provision.Doc{Attributes: value.Obj(value.M("userName", value.Str(address)), value.M("active", value.Boolean(true)),
			value.M("emails", value.Arr(value.Obj(value.M("value", value.Str(address))))))})
	must(err)

	f := file{Key: hex.EncodeToString(key[:]), Slug: o.Slug, User: string(u.ID)}
	seen := map[table.Key]bool{}
	for _, k := range w.table.keys {
		items, err := w.table.Get(ctx, k)
		must(err)
		if len(items) == 1 && !seen[k] {
			seen[k] = true
			i := items[0]
			f.Items = append(f.Items, image{i.Part, i.Sort, i.Data, i.N, i.Expires})
		}
	}
	write(t, worldFile, f)

	w.writeHTTP(f.Slug, token)
	w.writeStreams(string(u.ID))
}

func (w *world) writeStreams(user string) {
	t, ctx := w.t, w.t.Context()
	joined := w.entries(app.FeedName)
	if len(joined) != 1 {
		t.Fatalf("a joiner made %d events, want 1", len(joined))
	}
	write(t, "stream-event-insert.json", records(record("INSERT", 1, joined[0].Change.New, app.FeedName)))
	for i, err := range w.app.Feed().Consume(ctx, []table.Change{joined[0].Change}) {
		if err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	queued := w.entries(app.WelcomeName)
	if len(queued) != 1 {
		t.Fatalf("a joiner's event queued %d messages, want 1", len(queued))
	}
	write(t, "stream-message-insert.json", records(record("INSERT", 2, queued[0].Change.New, app.WelcomeName)))
	w.later(2 * time.Second)
	for i, err := range w.app.Courier.Consume(ctx, []table.Change{queued[0].Change}) {
		if err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	all := w.entries(app.WelcomeName)
	write(t, "stream-message-modify.json", records(record("MODIFY", len(all)+1, all[len(all)-1].Change.New, app.WelcomeName)))
	for _, k := range w.table.keys {
		if strings.HasPrefix(k.Part, "LNK#") {
			r := record("REMOVE", 9, table.Item{Key: k}, "")
			r["userIdentity"] = map[string]any{"type": "Service", "principalId": "dynamodb.amazonaws.com"}
			write(t, "stream-expired-remove.json", records(r))
		}
	}
	tag := regexp.MustCompile(`("message": \[\s*")[0-9a-z]{26}"`)
	names, err := filepath.Glob("ses-*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, tag.ReplaceAll(b, []byte(`${1}`+string(w.mails[0].ID)+`"`)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// entries are the feed's changes that the consumer wants.
func (w *world) entries(consumer string) []table.Entry {
	all, err := w.table.Entries(w.t.Context(), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []table.Entry
	for _, e := range all {
		_, _, event := audit.ParseKey(e.Change.Key)
		if consumer == app.FeedName && event && e.Change.New.N == 0 || consumer == app.WelcomeName && courier.Wanted(e.Change.Key) {
			out = append(out, e)
		}
	}
	return out
}

// record is a record of the stream in the form in which Lambda hands it on.
func record(event string, n int, i table.Item, wanted string) map[string]any {
	text := func(s string) map[string]any { return map[string]any{"S": s} }
	keys := map[string]any{"p": text(i.Part), "s": text(i.Sort)}
	change := map[string]any{
		"ApproximateCreationDateTime": began.Unix(), "Keys": keys, "StreamViewType": "NEW_IMAGE",
		"SequenceNumber": fmt.Sprintf("80000000000312627%d", 6361+n), "SizeBytes": i.Size() + 2 + len(i.Part) + len(i.Sort),
	}
	if event != "REMOVE" {
		image := map[string]any{"p": keys["p"], "s": keys["s"], "v": text(string(i.Version)), "d": map[string]any{"B": i.Data}, "f": text(wanted)}
		if i.N != 0 {
			image["n"] = map[string]any{"N": fmt.Sprint(i.N)}
		}
		if !i.Expires.IsZero() {
			image["x"] = map[string]any{"N": fmt.Sprint(i.Expires.Unix())}
		}
		change["NewImage"] = image
	}
	return map[string]any{
		"eventID": fmt.Sprintf("c9fbe7d0261a5163fcb6940593e4179%d", n), "eventName": event, "eventVersion": "1.1", "eventSource": "aws:dynamodb",
		"awsRegion": "eu-central-1", "dynamodb": change, "eventSourceARN": tableARN + "/stream/2026-11-22T10:00:00.000",
	}
}

func records(r ...map[string]any) any { return map[string]any{"Records": r} }

func (w *world) writeHTTP(slug, token string) {
	sample := func(name, method, target, body string, header map[string]string) {
		r := httptest.NewRequest(method, "https://"+domain+target, strings.NewReader(body))
		r.RemoteAddr = "198.51.100.7:50000"
		r.Header = http.Header{}
		for k, v := range header {
			r.Header.Set(k, v)
		}
		var e map[string]any
		if err := json.Unmarshal(gateway.Event(r, []byte(body), gateway.Options{Now: w.clock}), &e); err != nil {
			w.t.Fatalf("%s: %v", name, err)
		}
		of := e["requestContext"].(map[string]any)
		if path, ok := strings.CutPrefix(e["rawPath"].(string), "/scim/v2/"); ok {
			e["routeKey"], of["routeKey"] = "ANY /scim/v2/{proxy+}", "ANY /scim/v2/{proxy+}"
			e["pathParameters"] = map[string]string{"proxy": path}
		}
		of["timeEpoch"] = w.clock().UnixMilli()
		write(w.t, name, e)
	}
	directory := map[string]string{"Authorization": "Bearer " + token, "Accept": "application/scim+json", "User-Agent": "Directory/1.0"}
	sample("http-scim-get-users.json", "GET", "/scim/v2/Users?filter=userName%20eq%20%22"+url.QueryEscape(address)+"%22&startIndex=1&count=100", "", directory)
	directory["Content-Type"] = "application/scim+json; charset=utf-8"
	sample("http-scim-post-users.json", "POST", "/scim/v2/Users",
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bea.second@example.com","name":{"givenName":"Bea","familyName":"Second"},"emails":[{"value":"bea.second@example.com","type":"work","primary":true}],"active":true}`, directory)
	browser := map[string]string{"Accept": "text/html", "Accept-Language": "en", "User-Agent": "Mozilla/5.0", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
	page := "/o/" + slug + "/sign-in"
	sample("http-portal-get-sign-in.json", "GET", page, "", browser)
	pre := identity.Random(43)
	browser["Cookie"] = "theme=dark; __Host-gatehouse-form=" + pre
	browser["Origin"], browser["Sec-Fetch-Site"] = "https://"+domain, "same-origin"
	browser["Content-Type"] = "application/x-www-form-urlencoded"
	form := url.Values{"name": {address}, "password": {"not the password"}, "csrf": {w.app.Accounts.CSRF(pre)}}
	sample("http-portal-post-sign-in.json", "POST", page, form.Encode(), browser)
	grant := url.Values{"grant_type": {"client_credentials"}, "client_id": {"0123456789abcdefghjk"}, "client_secret": {"not the secret"}, "scope": {"scim"}}
	sample("http-portal-post-token.json", "POST", "/oauth/token", grant.Encode(),
		map[string]string{"Accept": "application/json", "User-Agent": "Directory/1.0", "Content-Type": "application/x-www-form-urlencoded"})
}

func write(t *testing.T, name string, v any) {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
