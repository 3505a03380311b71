package identity_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/internal/identity"
)

func TestMintedIdsParse(t *testing.T) {
	for range 1000 {
		c := identity.MintConnection()
		if _, ok := identity.ParseConnection(string(c)); !ok || c == identity.Manual {
			t.Fatalf("MintConnection() = %q, want a connection's id that is not %q", c, identity.Manual)
		}
		u, g := identity.MintUser(c), identity.MintGroup(c)
		if parsed, ok := identity.ParseUser(string(u)); !ok || parsed != u || u.Connection() != c {
			t.Fatalf("MintUser(%q) = %q, of connection %q, parses: %v", c, u, u.Connection(), ok)
		}
		if parsed, ok := identity.ParseGroup(string(g)); !ok || parsed != g || g.Connection() != c {
			t.Fatalf("MintGroup(%q) = %q, of connection %q, parses: %v", c, g, g.Connection(), ok)
		}
		if strings.Trim(u.Bucket(), "0123456789abcdef") != "" || len(u.Bucket()) != 4 {
			t.Fatalf("the bucket of %q is %q, want four hexadecimal digits", u, u.Bucket())
		}
		if o := identity.MintOrg(); len(o) != 12 {
			t.Fatalf("MintOrg() = %q, want 12 characters", o)
		} else if _, ok := identity.ParseOrg(string(o)); !ok {
			t.Fatalf("MintOrg() = %q does not parse", o)
		}
		if _, ok := identity.ParseCredential(string(identity.MintCredential())); !ok {
			t.Fatal("a minted credential's id does not parse")
		}
	}
}

func TestIdsOfAnyShapeAreRefused(t *testing.T) {
	const good = "abcde0123456789abcdefghjkm"
	if _, ok := identity.ParseUser(good); !ok {
		t.Fatalf("ParseUser(%q) refuses a good id", good)
	}
	for name, s := range map[string]string{
		"empty":                      "",
		"short":                      good[:25],
		"long":                       good + "0",
		"capitals":                   strings.ToUpper(good),
		"a letter that is no digit":  "abcdeu" + good[6:],
		"the letter i":               "abcdi" + good[5:],
		"a bucket beyond f":          "abcdeg" + good[6:],
		"the last of a bucket":       "abcde012g" + good[9:],
		"a key's separator":          "abcde0123#" + good[10:],
		"a NUL":                      "abcde0123\x00" + good[10:],
		"white space":                good[:25] + " ",
		"digits of another alphabet": "abcde0123٤" + good[11:],
		"a path":                     "../../../../../../../../..",
		"invalid UTF-8":              "abcde0123\xff" + good[10:],
	} {
		if _, ok := identity.ParseUser(s); ok {
			t.Errorf("ParseUser(%q) takes an id with %s", s, name)
		}
		if _, ok := identity.ParseGroup(s); ok {
			t.Errorf("ParseGroup(%q) takes an id with %s", s, name)
		}
	}
	for _, s := range []string{"", "abcd", "abcdef", "ABCDE", "abc#e", "abcdu"} {
		if _, ok := identity.ParseConnection(s); ok {
			t.Errorf("ParseConnection(%q) takes it", s)
		}
	}
}

func TestEventsSortAsTheyWereMinted(t *testing.T) {
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		after []time.Duration // of earlier events, from now
		want  time.Duration   // of the new one
	}{
		{"the first", nil, 0},
		{"after one of long ago", []time.Duration{-time.Hour}, 0},
		{"after one of the same millisecond", []time.Duration{0}, time.Millisecond},
		{"after one of a clock that is ahead", []time.Duration{time.Hour}, time.Hour + time.Millisecond},
		{"after several", []time.Duration{time.Second, time.Minute, -time.Minute}, time.Minute + time.Millisecond},
	} {
		after := []identity.Event{""}
		for _, d := range c.after {
			after = append(after, identity.MintEvent(now.Add(d)))
		}
		e := identity.MintEvent(now, after...)
		if got := e.Time().Sub(now); got != c.want {
			t.Errorf("%s: the event is %v from now, want %v", c.name, got, c.want)
		}
		if len(e) != 26 || e <= slices.Max(after) {
			t.Errorf("%s: MintEvent = %q, want 26 characters that sort after %q", c.name, e, after)
		}
	}
	last := identity.Event("")
	for i := range 1000 { // a clock that stands, and goes back
		e := identity.MintEvent(now.Add(-time.Duration(i)*time.Millisecond), last)
		if e <= last {
			t.Fatalf("event %d, %q, does not sort after %q", i, e, last)
		}
		last = e
	}
}

func TestStampsSortAsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 1<<50-1)
		a, b := time.UnixMilli(ms.Draw(t, "a")), time.UnixMilli(ms.Draw(t, "b"))
		if (identity.Stamp(a) < identity.Stamp(b)) != a.Before(b) {
			t.Fatalf("stamps of %v and %v do not sort as they do", a, b)
		}
		if back, ok := identity.StampTime(identity.Stamp(a) + "rest"); !ok || !back.Equal(a) {
			t.Fatalf("StampTime of the stamp of %v = %v, %v", a, back, ok)
		}
	})
	for _, s := range []string{"", "012345678", "01234567u9"} {
		if _, ok := identity.StampTime(s); ok {
			t.Errorf("StampTime(%q) takes it", s)
		}
	}
}

func TestSucc(t *testing.T) {
	for in, want := range map[string]string{"0000": "0001", "000z": "0010", "0zzz": "1000", "zzzz": ""} {
		if got, ok := identity.Succ(in); got != want || ok != (want != "") {
			t.Errorf("Succ(%q) = %q, %v, want %q", in, got, ok, want)
		}
	}
}

func TestEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 32).Draw(t, "length")
		bytes := rapid.SliceOfN(rapid.Byte(), n, n)
		a, b := bytes.Draw(t, "a"), bytes.Draw(t, "b")
		if got := identity.Encode(a); len(got) != (n*8+4)/5 {
			t.Fatalf("Encode of %d bytes has %d characters, want %d", n, len(got), (n*8+4)/5)
		}
		if (identity.Encode(a) == identity.Encode(b)) != slices.Equal(a, b) {
			t.Fatalf("Encode(%x) = %q and Encode(%x) = %q", a, identity.Encode(a), b, identity.Encode(b))
		}
		if slices.Compare(a, b) != strings.Compare(identity.Encode(a), identity.Encode(b)) {
			t.Fatalf("Encode(%x) and Encode(%x) do not sort as the bytes do", a, b)
		}
	})
}

func TestSpreadIsEven(t *testing.T) {
	const n, ids = 8, 8000
	var hits [n]int
	for range ids {
		hits[identity.Spread(string(identity.MintUser("abcde")), n)]++
	}
	for s, h := range hits {
		if h < ids/n*8/10 || h > ids/n*12/10 {
			t.Errorf("shard %d of %d gets %d of %d ids, want about %d", s, n, h, ids, ids/n)
		}
	}
}

func TestStageOf(t *testing.T) {
	for _, c := range []struct {
		active, activated bool
		want              identity.Stage
	}{
		{true, false, identity.Invited}, {true, true, identity.Active}, {false, true, identity.Suspended}, {false, false, identity.Suspended},
	} {
		if got := identity.StageOf(c.active, c.activated); got != c.want {
			t.Errorf("StageOf(%v, %v) = %q, want %q", c.active, c.activated, got, c.want)
		}
	}
}
