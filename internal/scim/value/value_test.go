package value_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/internal/scim/value"
)

func parse(t *testing.T, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s) fails: %v", text, err)
	}
	return v
}

func TestParseKeepsWhatWasSent(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `1.50`, `1e400`, `123456789012345678901234567890`,
		`""`, `"ä"`, `{}`, `[]`, `{"b":1,"a":[2,{"c":null}]}`, `[[[]]]`,
		`{"Name":"x","nam":"y"}`, `{"ſ":1,"s":2}`,
	} {
		if got := string(parse(t, text).Append(nil)); got != text {
			t.Errorf("Parse(%s) is written as %s", text, got)
		}
	}
}

func TestParseUnescapes(t *testing.T) {
	for text, want := range map[string]string{
		`"\u0041\n\t\/\\\""`: "A\n\t/\\\"",
		`"\ud83d\ude00"`:     "😀",
		`"\u0000"`:           "\x00",
		`"\u202e"`:           "\u202e",
	} {
		if got := parse(t, text).Text(); got != want {
			t.Errorf("Parse(%s).Text() = %q, want %q", text, got, want)
		}
	}
	if v := parse(t, `{"\u0061":1}`); v.Get("a").Text() != "1" {
		t.Errorf("a member whose name is written with an escape is not found by its name: %s", v.Append(nil))
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, reason string }{
		{``, "too early"},
		{`{`, "too early"},
		{`{"a":`, "too early"},
		{`"a`, "too early"},
		{`[1,`, "too early"},
		{`{"a":1}{}`, "follows the end"},
		{`1 2`, "follows the end"},
		{`{"a":1,"A":2}`, "stands twice"},
		{`{"a":1,"\u0041":2}`, "stands twice"},
		{`{"x":{"a":null,"a":null}}`, "stands twice"},
		{`"\ud800"`, "surrogate"},
		{`"\udc00x"`, "surrogate"},
		{`{"\ud800":1}`, "surrogate"},
		{"\"\xff\"", "UTF-8"},
		{"{\"\xc3\":1}", "UTF-8"},
		{`{a:1}`, "not JSON"},
		{`{"a" 1}`, "not JSON"},
		{`[1 2]`, "not JSON"},
		{`[1,]`, "not JSON"},
		{`01`, ""},
		{`+1`, "not JSON"},
		{`nul`, "too early"},
		{`NaN`, "not JSON"},
		{"\"\x01\"", "not JSON"},
		{"\ufeff{}", "not JSON"},
		{strings.Repeat("[", 33) + strings.Repeat("]", 33), "inside each other"},
		{strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), "inside each other"},
		{"[" + strings.Repeat("0,", value.MaxValues) + "0]", "values"},
	} {
		_, err := value.Parse([]byte(c.text))
		var syntax *value.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Parse(%.40q) gives %v, want a *SyntaxError", c.text, err)
			continue
		}
		if !strings.Contains(syntax.Reason, c.reason) || syntax.Offset < 0 || syntax.Offset > int64(len(c.text)) {
			t.Errorf("Parse(%.40q) = %v, want a reason with %q and a place within the text", c.text, err, c.reason)
		}
	}
	parse(t, strings.Repeat("[", 32)+strings.Repeat("]", 32))
}

func TestDuplicatesAreFoundInWideObjects(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 60 {
		b.WriteString(`"n` + strings.Repeat("x", i) + `":0,`)
	}
	wide := b.String()
	parse(t, wide+`"last":0}`)
	for _, twin := range []string{"n", "N", "nxx", "NXX", "n" + strings.Repeat("X", 59)} {
		if _, err := value.Parse([]byte(wide + `"` + twin + `":0}`)); err == nil {
			t.Errorf("a second %q in an object of 60 members is taken", twin)
		}
	}
}

func TestNamesAreComparedWithoutCaseOfASCIIOnly(t *testing.T) {
	v := parse(t, `{"userName":1,"K":2}`)
	for name, want := range map[string]string{"username": "1", "USERNAME": "1", "userNam": "", "k": "2", "\u212a": ""} {
		if got := v.Get(name).Text(); got != want {
			t.Errorf("Get(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestAppendStringMayStandInAPage(t *testing.T) {
	in := "</script>\u2028\u2029\x00\x1f\"\\€\u20ac"
	got := string(value.AppendString(nil, in))
	if strings.ContainsAny(got, "<\u2028\u2029\x00\x1f") {
		t.Errorf("AppendString(%q) = %s, which does not escape what may harm", in, got)
	}
	var back string
	if err := json.Unmarshal([]byte(got), &back); err != nil || back != in {
		t.Errorf("encoding/json reads %s as %q (%v), want %q", got, back, err, in)
	}
}

func TestWithAndWithoutLeaveTheirValueAlone(t *testing.T) {
	v := parse(t, `{"a":1,"b":2,"c":3}`)
	before := string(v.Append(nil))
	for _, c := range []struct {
		got  value.Value
		want string
	}{
		{v.With("B", value.Num(9)), `{"a":1,"b":9,"c":3}`},
		{v.With("d", value.Num(4)), `{"a":1,"b":2,"c":3,"d":4}`},
		{v.Without("A"), `{"b":2,"c":3}`},
		{v.Without("c"), `{"a":1,"b":2}`},
		{v.Without("x"), `{"a":1,"b":2,"c":3}`},
		{value.Value{}.With("a", value.Num(1)), `{"a":1}`},
	} {
		if got := string(c.got.Append(nil)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	if after := string(v.Append(nil)); after != before {
		t.Errorf("With or Without changed its value from %s to %s", before, after)
	}
}

func TestSetDeleteClone(t *testing.T) {
	v := parse(t, `{"a":{"b":[1]}}`)
	c := v.Clone()
	c.Set("A", value.Str("x"))
	c.Set("new", value.Nil())
	if got := string(c.Append(nil)); got != `{"a":"x","new":null}` {
		t.Errorf("after Set: %s", got)
	}
	if !c.Delete("NEW") || c.Delete("new") {
		t.Error("Delete does not report whether there was a member")
	}
	if got := string(v.Append(nil)); got != `{"a":{"b":[1]}}` {
		t.Errorf("changing a clone changed the original: %s", got)
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":2}`, `{"B":2,"A":1}`, true},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`{"a":null}`, `{"b":null}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`1`, `1.0`, false},
		{`"1"`, `1`, false},
		{`true`, `false`, false},
		{`[]`, `null`, false},
	} {
		if got := value.Equal(parse(t, c.a), parse(t, c.b)); got != c.want {
			t.Errorf("Equal(%s, %s) = %t", c.a, c.b, got)
		}
	}
}

func TestIsNothing(t *testing.T) {
	for text, want := range map[string]bool{`null`: true, `[]`: true, `{}`: false, `""`: false, `false`: false, `0`: false, `[null]`: false} {
		if got := parse(t, text).IsNothing(); got != want {
			t.Errorf("%s.IsNothing() = %t", text, got)
		}
	}
	if !(value.Value{}).IsNothing() {
		t.Error("the zero Value is not nothing")
	}
}

// seeds are the documents in testdata; without them the fuzz target would start
// from nothing, so an empty folder fails.
func seeds(t testing.TB) [][]byte {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds in testdata: %v", err)
	}
	out := make([][]byte, len(files))
	for i, f := range files {
		if out[i], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// plain reports whether a JSON text leaves nothing open: valid UTF-8 without
// escapes of surrogates, no name twice, at most MaxDepth and MaxValues.
func plain(text []byte) bool {
	if !utf8.Valid(text) || strings.Contains(strings.ToLower(string(text)), `\ud`) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil: an array
		name  bool            // a name comes next
	}
	var stack []level
	values := 0
	for {
		tok, err := d.Token()
		if err != nil {
			return err == io.EOF
		}
		top := len(stack) - 1
		delim, _ := tok.(json.Delim)
		if name, ok := tok.(string); ok && top >= 0 && stack[top].names != nil && stack[top].name {
			low := lower(name)
			if stack[top].names[low] {
				return false
			}
			stack[top].names[low], stack[top].name = true, false
			continue
		}
		if delim == '}' || delim == ']' {
			stack = stack[:top]
			continue
		}
		if top >= 0 {
			stack[top].name = true
		}
		if values++; values > value.MaxValues {
			return false
		}
		switch delim {
		case '{':
			stack = append(stack, level{map[string]bool{}, true})
		case '[':
			stack = append(stack, level{})
		}
		if len(stack) > value.MaxDepth {
			return false
		}
	}
}

// lower is a name without the case of its ASCII letters.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// shape returns how deep a value is, and a name that one of its objects has
// twice, "" for none.
func shape(v value.Value) (deep int, twice string) {
	for i, m := range v.Members() {
		for _, o := range v.Members()[:i] {
			if lower(o.Name) == lower(m.Name) {
				return 0, m.Name
			}
		}
		d, t := shape(m.Value)
		if deep = max(deep, d); t != "" {
			return deep, t
		}
	}
	for _, e := range v.Elements() {
		d, t := shape(e)
		if deep = max(deep, d); t != "" {
			return deep, t
		}
	}
	if k := v.Kind(); k == value.Object || k == value.Array {
		deep++
	}
	return deep, ""
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	for _, s := range []string{`{"a":1,"A":2}`, `"\ud800"`, `[1e5,-0,0.10]`, "\"\xff\"", `{"ſ":1,"s":1}`, ` [ ] `, `"<\u2028"`, "{\"\u212a\":1,\"k\":2}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := value.Parse(text)
		var std any
		stdErr := json.Unmarshal(text, &std)
		if err != nil {
			var syntax *value.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > int64(len(text)) {
				t.Fatalf("Parse(%q) fails with %v, which does not say where", text, err)
			}
			if stdErr == nil && plain(text) {
				t.Fatalf("Parse(%q) refuses what encoding/json takes, though it is within the limits: %v", text, err)
			}
			return
		}
		if deep, _ := shape(v); deep > value.MaxDepth {
			t.Fatalf("Parse(%q) takes %d levels", text, deep)
		}
		if _, twice := shape(v); twice != "" {
			t.Fatalf("Parse(%q) takes the member %q twice", text, twice)
		}
		if stdErr != nil {
			// Numbers that float64 cannot hold are refused by encoding/json only.
			var kind *json.UnmarshalTypeError
			if !errors.As(stdErr, &kind) {
				t.Fatalf("Parse(%q) takes what encoding/json refuses: %v", text, stdErr)
			}
			return
		}
		out := v.Append(nil)
		again, err := value.Parse(out)
		if err != nil || !value.Equal(v, again) {
			t.Fatalf("Parse(%q) is written as %q, which is read as something else (%v)", text, out, err)
		}
		var back any
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("encoding/json does not read %q: %v", out, err)
		}
		a, _ := json.Marshal(std)
		b, _ := json.Marshal(back)
		if string(a) != string(b) {
			t.Fatalf("Parse(%q) means %s, to encoding/json %s", text, b, a)
		}
		if !value.Equal(v, v.Clone()) {
			t.Fatalf("%q does not equal its clone", text)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text, err := os.ReadFile("testdata/user-739.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := value.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	text, err := os.ReadFile("testdata/user-739.json")
	if err != nil {
		b.Fatal(err)
	}
	v, err := value.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = v.Append(buf[:0])
	}
}

func TestBuilders(t *testing.T) {
	v := value.Obj(value.M("a", value.Arr(value.Num(-1), value.Boolean(true), value.Nil())), value.M("b", value.Strs("x", "y")))
	const want = `{"a":[-1,true,null],"b":["x","y"]}`
	if got := string(v.Append(nil)); got != want {
		t.Errorf("built %s, want %s", got, want)
	}
	if got, err := json.Marshal(struct{ V value.Value }{v}); err != nil || string(got) != `{"V":`+want+`}` {
		t.Errorf("encoding/json writes %s (%v)", got, err)
	}
	deep := value.Obj(value.M("x", value.Obj(value.M("Y", value.Str("z")))))
	if got := deep.At("X", "y").Text(); got != "z" {
		t.Errorf("At(X, y) = %q", got)
	}
	if got := deep.At("x", "y", "z").Kind(); got != value.Absent {
		t.Errorf("At beyond a string is of kind %d", got)
	}
	if k := deep.Kind(); k != value.Object || v.Get("a").Elements()[1].Bool() != true || len(deep.Members()) != 1 {
		t.Errorf("the object is of kind %d", k)
	}
}

// TestParserForgets: parsers are used again, also after an error, and nothing
// of one text may reach the next.
func TestParserForgets(t *testing.T) {
	for range 50 {
		if _, err := value.Parse([]byte(`{"secret":[1,2,{"x":"y"`)); err == nil {
			t.Fatal("half a text is taken")
		}
		if got := string(parse(t, `{"a":[{"b":[]}]}`).Append(nil)); got != `{"a":[{"b":[]}]}` {
			t.Fatalf("after an error, Parse gives %s", got)
		}
	}
}
