package roster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

var now = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

func open(t *testing.T, tab table.Table) roster.Roster {
	t.Helper()
	o, err := org.New(tab, secret.Mint(), func() time.Time { return now }, 0).Create(t.Context(), org.Spec{Name: "Example"})
	if err != nil {
		t.Fatal(err)
	}
	return roster.Of(tab, o)
}

func parse(t *testing.T, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func user(t *testing.T, text string) *roster.User {
	u := &roster.User{}
	u.SetDoc(parse(t, text), 0)
	return u
}

func TestUserIsStoredWhole(t *testing.T) {
	tab := memory.New()
	r := open(t, tab)
	const c = identity.Connection("abcde")
	full := roster.User{ID: identity.MintUser(c), Welcomed: true, Admin: true, Suspended: true, Activated: now, Target: identity.MintUser(identity.Manual),
		Links: []identity.User{identity.MintUser(c), identity.MintUser(c)}, LastEvent: identity.MintEvent(now), Seal: secret.Mint()}
	full.SetDoc(parse(t, `{"userName":"ada","active":false}`), 5)
	bare := roster.User{ID: identity.MintUser(c)}
	for name, u := range map[string]roster.User{"full": full, "bare": bare} {
		data := u.Encode(true)
		v, err := tab.Commit(t.Context(), table.Create(r.UserKey(u.ID), data))
		if err != nil {
			t.Fatal(err)
		}
		read, err := r.User(t.Context(), u.ID, true)
		if err != nil {
			t.Fatal(err)
		}
		answered, err := u.Stored(r, v, data)
		if err != nil {
			t.Fatal(err)
		}
		for how, got := range map[string]roster.User{"read": read, "answered": answered} {
			if got.ID != u.ID || string(got.Raw) != string(u.Raw) || got.Ext != u.Ext || got.Welcomed != u.Welcomed || got.Admin != u.Admin || got.Suspended != u.Suspended || !got.Activated.Equal(u.Activated) ||
				got.Target != u.Target || fmt.Sprint(got.Links) != fmt.Sprint(u.Links) || got.LastEvent != u.LastEvent || got.Seal != u.Seal {
				t.Errorf("a %s user is %s as %+v, want %+v", name, how, got, u)
			}
			if got.Changed != v || !got.Created.Equal(v.Time()) {
				t.Errorf("a new %s user is %s as changed by %s and created %v, want %s and %v", name, how, got.Changed, got.Created, v, v.Time())
			}
		}
		// What a directory does not see moves neither its tag nor its times.
		next := read
		next.Welcomed = !next.Welcomed
		if _, err := tab.Commit(t.Context(), table.Replace(read.Item, next.Encode(false))); err != nil {
			t.Fatal(err)
		}
		hidden, err := r.User(t.Context(), u.ID, false)
		if err != nil || hidden.Changed != v || !hidden.Created.Equal(read.Created) {
			t.Errorf("after a change that no directory sees: changed by %s, created %v, %v; want %s, %v", hidden.Changed, hidden.Created, err, v, read.Created)
		}
		w, err := tab.Commit(t.Context(), table.Replace(hidden.Item, hidden.Encode(true)))
		if err != nil {
			t.Fatal(err)
		}
		if seen, err := r.User(t.Context(), u.ID, false); err != nil || seen.Changed != w || !seen.Created.Equal(read.Created) {
			t.Errorf("after a change that a directory sees: changed by %s, created %v, %v; want %s, %v", seen.Changed, seen.Created, err, w, read.Created)
		}
	}
}

func TestADamagedUserIsAnErrorWithoutThePerson(t *testing.T) {
	tab := memory.New()
	r := open(t, tab)
	u := roster.User{ID: identity.MintUser("abcde"), Seal: secret.Mint()}
	u.SetDoc(parse(t, `{"userName":"canary"}`), 0)
	data := u.Encode(true)
	for _, damaged := range [][]byte{nil, {0x80}, {0xff, 0xff, 0x7f}, data[1:], data[:20], append([]byte{200}, data...)} {
		if _, err := tab.Commit(t.Context(), table.Put(r.UserKey(u.ID), damaged)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.User(t.Context(), u.ID, true); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("a damaged user reads with the error %v, want one that names the item only", err)
		}
	}
}

func TestEmail(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{}`, ""},
		{`{"userName":"ada"}`, ""},
		{`{"userName":"ada@example.com"}`, "ada@example.com"},
		{`{"userName":"ada@example.com","emails":[{"value":"a@x.test"}]}`, "a@x.test"},
		{`{"emails":[{"value":"a@x.test"},{"value":"b@x.test"}]}`, "a@x.test"},
		{`{"emails":[{"value":"a@x.test","type":"home"},{"value":"b@x.test","type":"Work"}]}`, "b@x.test"},
		{`{"emails":[{"value":"a@x.test","type":"work"},{"value":"b@x.test","primary":true}]}`, "b@x.test"},
		{`{"emails":[{"value":"not an address","primary":true},{"value":"b@x.test"}]}`, "b@x.test"},
		{`{"userName":"u@x.test","emails":[{"value":""},{"value":"@x"},{"value":"x@"}]}`, "u@x.test"},
		{`{"emails":[{"value":"a@x.test\r\nBcc: b@x.test"}]}`, ""},
		{`{"emails":[{"value":"a@x.test,b@x.test"}]}`, ""},
		{`{"emails":[{"value":"<a@x.test>"}]}`, ""},
		{`{"emails":[{"value":"jürgen@bücher.test"}]}`, "jürgen@bücher.test"},
		{`{"emails":[{"value":"` + strings.Repeat("a", 250) + `@x.test"}]}`, ""},
		{`{"emails":[{"value":true}],"userName":7}`, ""},
	} {
		if got := roster.Email(parse(t, c.doc)); got != c.want {
			t.Errorf("Email(%s) = %q, want %q", c.doc, got, c.want)
		}
	}
	if got := roster.Emails(parse(t, `{"emails":[{"value":"A@x.test"},{"value":"a@X.test"},{"value":""},{"type":"work"},{"value":"b@x.test"}]}`)); fmt.Sprint(got) != "[A@x.test b@x.test]" {
		t.Errorf("Emails = %v, want each address once, as it was written first", got)
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{}`, "fallback"},
		{`{"preferredLanguage":"de"}`, "de"},
		{`{"preferredLanguage":"DE-at"}`, "de"},
		{`{"preferredLanguage":"de_DE"}`, "de"},
		{`{"preferredLanguage":"en-US,de;q=0.8"}`, "en"},
		{`{"preferredLanguage":"fr, de;q=0.8, en"}`, "de"},
		{`{"preferredLanguage":"fr","locale":"de-DE"}`, "de"},
		{`{"locale":"en_GB"}`, "en"},
		{`{"preferredLanguage":"den","locale":"engl"}`, "fallback"},
		{`{"preferredLanguage":"*"}`, "fallback"},
	} {
		if got := user(t, c.doc).Language("fallback"); got != c.want {
			t.Errorf("Language of %s = %q, want %q", c.doc, got, c.want)
		}
	}
}

func TestNameAndStage(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{"userName":"u"}`, "u"},
		{`{"userName":"u","displayName":"D","name":{"formatted":"F"}}`, "D"},
		{`{"userName":"u","displayName":" ","name":{"formatted":"F","givenName":"G"}}`, "F"},
		{`{"userName":"u","name":{"givenName":"G","familyName":"H"}}`, "G H"},
		{`{"userName":"u","name":{"familyName":"H"}}`, "H"},
	} {
		if got := user(t, c.doc).Name(); got != c.want {
			t.Errorf("Name of %s = %q, want %q", c.doc, got, c.want)
		}
	}
	for doc, want := range map[string]identity.Stage{`{}`: identity.Invited, `{"active":true}`: identity.Invited, `{"active":false}`: identity.Suspended, `{"active":"x"}`: identity.Invited} {
		if got := user(t, doc).Stage(); got != want {
			t.Errorf("the stage of %s is %q, want %q", doc, got, want)
		}
	}
}

func TestTagTellsTheGroupAndItsMembers(t *testing.T) {
	tab := memory.New()
	r := open(t, tab)
	g := roster.Group{ID: identity.MintGroup("abcde")}
	g.SetDoc(parse(t, `{"displayName":"Team"}`), 0)
	seen := map[string]bool{}
	step := func(what string, writes ...table.Write) {
		t.Helper()
		v, err := tab.Commit(t.Context(), writes...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Group(t.Context(), g.ID)
		if err != nil || seen[got.Tag()] || !got.Modified.Equal(v.Time()) {
			t.Errorf("after %s the tag is new: %v, modified %v, %v; want a new one at %v", what, !seen[got.Tag()], got.Modified, err, v.Time())
		}
		seen[got.Tag()] = true
		g = got
	}
	step("creation", table.Create(r.GroupKey(g.ID), g.Encode()))
	for i, k := range r.HeaderKeys(g.ID) {
		step(fmt.Sprint("a member in shard ", i), table.Add(k, 1, 0, 9))
		if g.Count != i+1 {
			t.Errorf("the group counts %d, want %d", g.Count, i+1)
		}
	}
	step("a change of its own", table.Replace(g.Item, g.Encode()))
	step("a member that goes", table.Add(r.HeaderKeys(g.ID)[2], -1, 0, 9))
}
