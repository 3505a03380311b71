package audit_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

var now = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

func newOrg(t *testing.T, tab table.Table) *org.Org {
	t.Helper()
	o, err := org.New(tab, secret.Mint(), func() time.Time { return now }, 0).Create(t.Context(), org.Spec{Name: "Example"})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func parse(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// stored commits the event and returns its item.
func stored(t *testing.T, tab table.Table, o *org.Org, e audit.Event, seal *secret.Key) table.Item {
	t.Helper()
	w, err := e.Write(o, seal)
	if err == nil {
		_, err = tab.Commit(t.Context(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
	items, err := tab.Get(t.Context(), w.Key)
	if err != nil || len(items) != 1 {
		t.Fatalf("the event is stored %d times, %v", len(items), err)
	}
	return items[0]
}

func TestOpenGivesBackWhatWasWritten(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	seal := secret.Mint()
	e := audit.Event{
		ID: identity.MintEvent(now), Subject: "someone", Kind: audit.UserChanged,
		Actor: audit.Actor{Kind: "connection", ID: "abcde/cred:1"}, Effects: []audit.Effect{audit.Welcome, audit.Sweep},
		Changes: []audit.Change{
			{Path: "name.givenName", Before: value.Str("Ada"), After: value.Str("Ana")},
			{Path: "title", After: value.Str("En")},
			{Path: "active", Before: value.Boolean(true)},
		},
	}
	for name, key := range map[string]*secret.Key{"sealed": &seal, "open": nil} {
		e.ID = identity.MintEvent(now, e.ID)
		it := stored(t, tab, o, e, key)
		if sealed := !strings.Contains(string(it.Data), "Ada"); sealed != (key != nil) {
			t.Errorf("an event that is %s hides its values: %v", name, sealed)
		}
		got, err := audit.Open(it, key)
		if err != nil || got.ID != e.ID || got.Subject != e.Subject || got.Kind != e.Kind || got.Actor != e.Actor ||
			!got.Has(audit.Welcome) || !got.Has(audit.Sweep) || got.Has(audit.Settle) || got.Number != 0 {
			t.Errorf("an event that is %s opens as %+v, %v; want %+v", name, got, err, e)
		}
		if len(got.Changes) != len(e.Changes) {
			t.Fatalf("an event that is %s opens with %d changes, want %d", name, len(got.Changes), len(e.Changes))
		}
		for i, c := range got.Changes {
			want := e.Changes[i]
			if c.Path != want.Path || !value.Equal(c.Before, want.Before) || !value.Equal(c.After, want.After) || c.Before.Kind() != want.Before.Kind() {
				t.Errorf("change %d of an event that is %s is %+v, want %+v", i, name, c, want)
			}
		}
	}
}

func TestSealedValuesNeedTheirKey(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	seal, other := secret.Mint(), secret.Mint()
	first := stored(t, tab, o, audit.Event{ID: identity.MintEvent(now), Subject: "s", Kind: audit.UserJoined, Changes: []audit.Change{{Path: "p", After: value.Str("Ada")}}}, &seal)
	second := stored(t, tab, o, audit.Event{ID: identity.MintEvent(now, identity.Event(first.Sort)), Subject: "s", Kind: audit.UserJoined}, &seal)
	moved := second
	moved.Data = first.Data
	flipped := first
	flipped.Data = append([]byte(nil), first.Data...)
	flipped.Data[len(flipped.Data)-1] ^= 1
	for name, c := range map[string]struct {
		it  table.Item
		key *secret.Key
	}{
		"without a key": {first, nil}, "with another's key": {first, &other}, "put into another event": {moved, &seal}, "altered": {flipped, &seal},
	} {
		e, err := audit.Open(c.it, c.key)
		if err != nil || len(e.Changes) != 0 || !e.Sealed || e.Kind != audit.UserJoined {
			t.Errorf("an event %s opens as %+v, %v; want its kind without changes", name, e, err)
		}
	}
	again := stored(t, tab, o, audit.Event{ID: identity.MintEvent(now, identity.Event(second.Sort)), Subject: "s", Kind: audit.UserJoined}, &seal)
	if string(again.Data) == string(second.Data) {
		t.Error("the same values are sealed to the same bytes")
	}
}

func TestOpenRefusesWhatIsNoEvent(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	good := stored(t, tab, o, audit.Event{ID: identity.MintEvent(now), Subject: "s", Kind: audit.UserJoined, Changes: []audit.Change{{Path: "p", After: value.Str("Ada")}}}, nil)
	for cut := range len(good.Data) {
		it := good
		it.Data = good.Data[:cut]
		if _, err := audit.Open(it, nil); err == nil {
			t.Errorf("the first %d of %d bytes of an event open", cut, len(good.Data))
		} else if strings.Contains(err.Error(), "Ada") {
			t.Errorf("the error of a damaged event shows its values: %v", err)
		}
	}
	if _, err := audit.Open(table.Item{Key: table.Key{Part: o.Part("U"), Sort: "x"}}, nil); err == nil {
		t.Error("an item that is no event opens")
	}
}

func TestLongValuesAreReplacedByTheirHash(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	for n, kept := range map[int]bool{16<<10 - 2: true, 16<<10 - 1: false, 300 << 10: false} { // and two quotes
		long := value.Str(strings.Repeat("x", n))
		it := stored(t, tab, o, audit.Event{ID: identity.MintEvent(now.Add(time.Duration(n) * time.Second)), Subject: "s", Kind: audit.UserChanged,
			Changes: []audit.Change{{Path: "title", Before: long, After: value.Str("short")}}}, nil)
		e, err := audit.Open(it, nil)
		if err != nil || len(e.Changes) != 1 || e.Changes[0].After.Text() != "short" {
			t.Fatalf("an event with a value of %d bytes opens as %v, %v", n, e.Changes, err)
		}
		before := e.Changes[0].Before
		if whole := value.Equal(before, long); whole != kept {
			t.Errorf("a value of %d characters is kept whole: %v, want %v", n, whole, kept)
		}
		if !kept && (len(before.Get("sha256").Text()) != 64 || before.Get("bytes").Text() == "") {
			t.Errorf("a value of %d characters is replaced by %s, want its hash and length", n, before.Append(nil))
		}
	}
}

func TestDiff(t *testing.T) {
	const urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	for _, c := range []struct{ name, before, after, want string }{
		{"nothing", `{"a":1,"b":{"c":[1]}}`, `{"a":1,"b":{"c":[1]}}`, ``},
		{"another order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, ``},
		{"a value", `{"title":"A"}`, `{"title":"B"}`, `title:"A"→"B"`},
		{"one more", `{}`, `{"title":"B"}`, `title:→"B"`},
		{"one less", `{"title":"A"}`, `{}`, `title:"A"→`},
		{"a sub-attribute", `{"name":{"givenName":"A","familyName":"F"}}`, `{"name":{"givenName":"B","familyName":"F"}}`, `name.givenName:"A"→"B"`},
		{"a whole object", `{}`, `{"name":{"givenName":"B"}}`, `name:→{"givenName":"B"}`},
		{"a multi-valued one", `{"emails":[{"value":"a"}]}`, `{"emails":[{"value":"b"}]}`, `emails:[{"value":"a"}]→[{"value":"b"}]`},
		{"an extension", `{"` + urn + `":{"department":"A"}}`, `{"` + urn + `":{"department":"B"}}`, urn + `:department:"A"→"B"`},
		{"a sub-attribute of an extension", `{"` + urn + `":{"manager":{"value":"A"}}}`, `{"` + urn + `":{"manager":{"value":"B"}}}`, urn + `:manager.value:"A"→"B"`},
		{"an extension that ends in a version", `{"urn:x:2.0":{"a":{"b":1}}}`, `{"urn:x:2.0":{"a":{"b":2}}}`, `urn:x:2.0:a.b:1→2`},
		{"several", `{"a":1,"b":1}`, `{"b":2,"c":2}`, "a:1→ b:1→2 c:→2"},
	} {
		var got []string
		for _, d := range audit.Diff(parse(t, c.before), parse(t, c.after)) {
			text := func(v value.Value) string {
				if v.Kind() == value.Absent {
					return ""
				}
				return string(v.Append(nil))
			}
			got = append(got, d.Path+":"+text(d.Before)+"→"+text(d.After))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: Diff = %s, want %s", c.name, s, c.want)
		}
	}
}

func TestParseKey(t *testing.T) {
	tab := memory.New()
	o := newOrg(t, tab)
	if id, subject, ok := audit.ParseKey(audit.Key(o, "someone", "e")); !ok || id != o.ID || subject != "someone" {
		t.Errorf("ParseKey of an event's key = %q, %q, %v", id, subject, ok)
	}
	for _, part := range []string{"", "O#", "ORGS", o.Part(), o.Part("U", "c", "0"), o.Part("LOG"), o.Part("EVE", "x"), "X" + o.Part("EV", "x")} {
		if _, _, ok := audit.ParseKey(table.Key{Part: part, Sort: "e"}); ok {
			t.Errorf("ParseKey takes the partition %q for an event's", part)
		}
	}
}
