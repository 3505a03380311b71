package schema

import (
	"encoding/binary"
	"strconv"

	"gatehouse/internal/identity"
	"gatehouse/internal/scim/value"
)

// Keys makes of texts and elements what is compared in their stead where many
// are compared with many. It remembers what it folded, which takes long outside
// of ASCII, so that each such text is folded once. The zero Keys is ready; it is not
// for use by several at once.
type Keys struct{ folded map[string]string }

// Key stands for an element of a multi-valued attribute.
type Key struct {
	kind       value.Kind
	on, whole  bool
	text, what string
}

// Text returns the same for two texts if and only if they are one value of the
// attribute: see Same.
func (k *Keys) Text(a *Attribute, s string) string {
	if a.exact() {
		return s
	}
	if len(s) <= 64 && ascii(s) {
		return identity.Fold(s) // sooner than it would be found
	}
	folded, ok := k.folded[s]
	if !ok {
		if k.folded == nil {
			k.folded = map[string]string{}
		}
		folded = identity.Fold(s)
		k.folded[s] = folded
	}
	return folded
}

// Of returns the same Key for two elements of a, in stored form, if and only if
// they count as one: the same type and value (RFC 7643 §2.4), or where they have
// no value, everything the same but primary.
func (k *Keys) Of(a *Attribute, e value.Value) Key {
	if a.Type != Complex {
		return Key{kind: e.Kind(), on: e.Bool(), text: k.Text(a, e.Text())}
	}
	if sub := a.Find("value"); sub != nil {
		if v := e.Get("value"); v.Kind() != value.Absent {
			key := Key{kind: v.Kind(), text: k.Text(sub, v.Text())}
			if sub = a.Find("type"); sub != nil {
				key.what = k.Text(sub, e.Get("type").Text())
			}
			return key
		}
	}
	var text []byte
	for i := range a.Sub {
		if a.Sub[i].Name == "primary" {
			continue
		}
		if v := e.Get(a.Sub[i].Name); v.Kind() != value.Absent {
			text = append(text, byte(i), byte(v.Kind()))
			text = strconv.AppendBool(text, v.Bool())
			text = binary.AppendUvarint(text, uint64(len(v.Text())))
			text = append(text, v.Text()...)
		}
	}
	return Key{whole: true, text: string(text)}
}

// Size is how many bytes of text the key is made of.
func (k Key) Size() int { return len(k.text) + len(k.what) }
