package schema_test

import (
	"testing"

	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"

	"pgregory.net/rapid"
)

// alike are texts of which many are the same to some attributes.
var alike = []string{
	"", " ", "a", "A", " a ", "ä", "Ä", "a\u0308", "\uff41", "a\u200b", "k", "\u212a", "ss", "ß", "SS", "ẞ",
	"σ", "ς", "Σ", "ꭰ", "Ꭰ", "é0", "É0", "true", "1", `"a"`, `a","display":"a`,
}

// sameElement is what it means that two elements count as one.
func sameElement(a *schema.Attribute, x, y value.Value) bool {
	val := a.Find("value")
	v, w := x.Get("value"), y.Get("value")
	switch {
	case a.Type != schema.Complex:
		return x.Kind() == y.Kind() && a.Same(x.Text(), y.Text()) && x.Bool() == y.Bool()
	case val != nil && w.Kind() != value.Absent:
		kind := a.Find("type")
		return v.Kind() == w.Kind() && val.Same(v.Text(), w.Text()) &&
			(kind == nil || kind.Same(x.Get("type").Text(), y.Get("type").Text()))
	}
	return value.Equal(x.Without("primary"), y.Without("primary"))
}

// Comparing by keys is comparing one by one.
func TestKeysAreWhatIsTheSame(t *testing.T) {
	attrs := []*schema.Attribute{
		{Name: "texts", Type: schema.String, MultiValued: true},
		{Name: "exact", Type: schema.String, MultiValued: true, CaseExact: true},
		{Name: "binary", Type: schema.Binary, MultiValued: true},
		{Name: "switches", Type: schema.Boolean, MultiValued: true},
	}
	for _, rt := range schema.All() {
		for i := range rt.Schema.Attributes {
			if a := &rt.Schema.Attributes[i]; a.MultiValued {
				attrs = append(attrs, a)
			}
		}
		for _, x := range rt.Extensions {
			for i := range x.Schema.Attributes {
				if a := &x.Schema.Attributes[i]; a.MultiValued {
					attrs = append(attrs, a)
				}
			}
		}
	}
	text := rapid.SampledFrom(alike)
	scalar := func(t *rapid.T, a *schema.Attribute) value.Value {
		switch {
		case a.Type == schema.Boolean:
			return value.Boolean(rapid.Bool().Draw(t, "bool"))
		case rapid.IntRange(0, 9).Draw(t, "kind") == 0:
			return value.Num(1)
		}
		return value.Str(text.Draw(t, "text"))
	}
	element := func(t *rapid.T, a *schema.Attribute) value.Value {
		if a.Type != schema.Complex {
			return scalar(t, a)
		}
		v := value.Obj()
		for _, i := range rapid.Permutation(places(len(a.Sub))).Draw(t, "order") {
			if rapid.IntRange(0, 2).Draw(t, "there") == 0 {
				v.Set(a.Sub[i].Name, scalar(t, &a.Sub[i]))
			}
		}
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(attrs).Draw(t, "attribute")
		var keys schema.Keys
		var list []value.Value
		for range 8 {
			list = append(list, element(t, a))
		}
		for _, x := range list {
			for _, y := range list {
				if got, want := keys.Of(a, x) == keys.Of(a, y), sameElement(a, x, y); got != want {
					t.Fatalf("%s: by their keys %s and %s are the same: %t, want %t", a.Name, x.Append(nil), y.Append(nil), got, want)
				}
			}
		}
		x, y := text.Draw(t, "x"), text.Draw(t, "y")
		if got, want := keys.Text(a, x) == keys.Text(a, y), a.Same(x, y); got != want {
			t.Fatalf("%s: by their keys %q and %q are the same: %t, want %t", a.Name, x, y, got, want)
		}
	})
}

func places(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
