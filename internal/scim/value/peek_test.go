package value_test

import (
	"testing"

	"gatehouse/internal/scim/value"
)

func TestPeekText(t *testing.T) {
	const doc = `{"externalId":"x","name":{"userName":"inner","formatted":"a \"userName\":\"b\" c"},"list":["userName",{"userName":"no"}],"userName":"Ä \"quoted\" \\","active":true,"empty":""}`
	for _, c := range []struct {
		name, want string
		found      bool
	}{
		{"userName", `Ä "quoted" \`, true}, {"externalId", "x", true}, {"empty", "", true},
		{"active", "", false}, {"name", "", false}, {"formatted", "", false}, {"nothing", "", false}, {"", "", false},
	} {
		if got, found := value.PeekText([]byte(doc), c.name); got != c.want || found != c.found {
			t.Errorf("PeekText(%q) = %q, %v, want %q, %v", c.name, got, found, c.want, c.found)
		}
	}
	for _, broken := range []string{"", "{", `{"userName`, `{"userName"`, `{"userName":`, `{"userName":"`, `{"userName":"\`, `"userName"`, `["userName","x"]`, `{"a":"userName"}`} {
		if got, found := value.PeekText([]byte(broken), "userName"); found {
			t.Errorf("PeekText of %s = %q, want nothing", broken, got)
		}
	}
}

// FuzzPeekText compares with the tree, for every member of what Append writes.
func FuzzPeekText(f *testing.F) {
	f.Add([]byte(`{"userName":"a\\\"b","x":{"userName":"c"},"y":["userName"],"z":1}`))
	f.Add([]byte(`{"a\"b":"c","a":"\u0000\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := value.Parse(text)
		if err != nil || v.Kind() != value.Object {
			return
		}
		written := v.Append(nil)
		for _, m := range v.Members() {
			quoted := value.AppendString(nil, m.Name)
			if string(quoted[1:len(quoted)-1]) != m.Name {
				continue // has to be escaped
			}
			got, found := value.PeekText(written, m.Name)
			if want := m.Value.Kind() == value.String; found != want || got != m.Value.Text() && want {
				t.Errorf("PeekText(%s, %q) = %q, %v, want %q, %v", written, m.Name, got, found, m.Value.Text(), want)
			}
		}
	})
}
