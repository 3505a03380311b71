// Package value is an ordered JSON tree: what a client sent, kept as it was
// sent. Unknown attributes, the order of members and the text of numbers
// survive; what JSON leaves open is refused: duplicate members (compared
// without case, as SCIM compares names, RFC 7643 §2.1), lone surrogates,
// invalid UTF-8, depth beyond MaxDepth, more than MaxValues values.
//
// It knows no schema: package schema does.
package value

import "strconv"

// Kind tells what a Value holds.
type Kind uint8

const (
	Absent Kind = iota // the zero Value: nothing at all
	Null
	Bool
	Number
	String
	Object
	Array
)

// Value is one JSON value. It is not modified once shared: Set and Delete
// change the members of the Value they are called on, in place, and are for
// trees that the caller made (see Clone).
type Value struct {
	kind Kind
	b    bool
	text string // String: unescaped; Number: as it stood
	mem  []Member
	arr  []Value
}

// Member is one name and value of an object.
type Member struct {
	Name  string
	Value Value
}

// Str, Num, Boolean, Nil, Obj and Arr build values.
func Str(s string) Value         { return Value{kind: String, text: s} }
func Num(n int64) Value          { return Value{kind: Number, text: strconv.FormatInt(n, 10)} }
func Boolean(b bool) Value       { return Value{kind: Bool, b: b} }
func Nil() Value                 { return Value{kind: Null} }
func Obj(m ...Member) Value      { return Value{kind: Object, mem: m} }
func Arr(v ...Value) Value       { return Value{kind: Array, arr: v} }
func M(n string, v Value) Member { return Member{n, v} }

// Strs builds an array of strings.
func Strs(s ...string) Value {
	a := make([]Value, len(s))
	for i := range s {
		a[i] = Str(s[i])
	}
	return Arr(a...)
}

func (v Value) Kind() Kind { return v.kind }

// IsNothing reports whether v is absent, null, or an empty array: one state in
// SCIM, "unassigned" (RFC 7643 §2.5).
func (v Value) IsNothing() bool {
	return v.kind == Absent || v.kind == Null || v.kind == Array && len(v.arr) == 0
}

// Text is a string's content or a number's text; empty for other kinds.
func (v Value) Text() string { return v.text }

// Bool is a boolean's value; false for other kinds.
func (v Value) Bool() bool { return v.b }

// Members are an object's, in order; not to be modified.
func (v Value) Members() []Member { return v.mem }

// Elements are an array's; not to be modified.
func (v Value) Elements() []Value { return v.arr }

// Get returns the member with the name, compared without case; the zero Value
// if there is none.
func (v Value) Get(name string) Value {
	for i := range v.mem {
		if equalFold(v.mem[i].Name, name) {
			return v.mem[i].Value
		}
	}
	return Value{}
}

// At is Get along a path of names.
func (v Value) At(names ...string) Value {
	for _, n := range names {
		v = v.Get(n)
	}
	return v
}

// Set gives the member a new value, keeping its place and spelling, or appends
// it.
func (v *Value) Set(name string, to Value) {
	v.kind = Object
	for i := range v.mem {
		if equalFold(v.mem[i].Name, name) {
			v.mem[i].Value = to
			return
		}
	}
	v.mem = append(v.mem, Member{name, to})
}

// Delete removes the member if there is one, and reports whether there was.
func (v *Value) Delete(name string) bool {
	for i := range v.mem {
		if equalFold(v.mem[i].Name, name) {
			v.mem = append(v.mem[:i:i], v.mem[i+1:]...)
			return true
		}
	}
	return false
}

// With returns v with the member set as Set does it; v itself is not changed,
// and the rest is shared with it.
func (v Value) With(name string, to Value) Value {
	m := make([]Member, len(v.mem), len(v.mem)+1)
	copy(m, v.mem)
	v.mem = m
	v.Set(name, to)
	return v
}

// Without returns v without the member; v itself is not changed.
func (v Value) Without(name string) Value {
	for i := range v.mem {
		if equalFold(v.mem[i].Name, name) {
			m := make([]Member, 0, len(v.mem)-1)
			v.mem = append(append(m, v.mem[:i]...), v.mem[i+1:]...)
			return v
		}
	}
	return v
}

// Clone returns a deep copy.
func (v Value) Clone() Value {
	if v.mem != nil {
		m := make([]Member, len(v.mem))
		for i := range v.mem {
			m[i] = Member{v.mem[i].Name, v.mem[i].Value.Clone()}
		}
		v.mem = m
	}
	if v.arr != nil {
		a := make([]Value, len(v.arr))
		for i := range v.arr {
			a[i] = v.arr[i].Clone()
		}
		v.arr = a
	}
	return v
}

// Equal reports whether two values are the same: members in any order, names
// without case, elements in order, numbers by their text.
func Equal(a, b Value) bool {
	if a.kind != b.kind || a.b != b.b || a.text != b.text || len(a.mem) != len(b.mem) || len(a.arr) != len(b.arr) {
		return false
	}
	for i := range a.arr {
		if !Equal(a.arr[i], b.arr[i]) {
			return false
		}
	}
	for i := range a.mem {
		// The same place first: equal trees mostly have equal order.
		if equalFold(a.mem[i].Name, b.mem[i].Name) {
			if !Equal(a.mem[i].Value, b.mem[i].Value) {
				return false
			}
			continue
		}
		o := b.Get(a.mem[i].Name)
		if o.kind == Absent || !Equal(a.mem[i].Value, o) {
			return false
		}
	}
	return true
}

// equalFold compares names without the case of ASCII letters: SCIM's names have
// no others (RFC 7643 §2.1), and what Unicode folds besides must not make two
// names of one.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	if a == b {
		return true
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func lowerName(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

// Append writes v as JSON to dst. Absent is written as null.
func (v Value) Append(dst []byte) []byte {
	switch v.kind {
	case Bool:
		return strconv.AppendBool(dst, v.b)
	case Number:
		return append(dst, v.text...)
	case String:
		return AppendString(dst, v.text)
	case Object:
		dst = append(dst, '{')
		for i := range v.mem {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(dst, v.mem[i].Name)
			dst = append(dst, ':')
			dst = v.mem[i].Value.Append(dst)
		}
		return append(dst, '}')
	case Array:
		dst = append(dst, '[')
		for i := range v.arr {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.arr[i].Append(dst)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// AppendString writes s as a JSON string. U+2028 and U+2029, which old
// JavaScript takes for line ends, and the angle bracket are escaped, so that
// the text may stand in a page.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != 0xe2 {
			continue
		}
		if c == 0xe2 {
			if i+2 < len(s) && s[i+1] == 0x80 && s[i+2]&^1 == 0xa8 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, `\u202`...)
				dst = append(dst, hex[s[i+2]&0xf])
				i += 2
				start = i + 1
			}
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
		start = i + 1
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// MarshalJSON lets a Value stand inside structs that encoding/json writes.
func (v Value) MarshalJSON() ([]byte, error) { return v.Append(nil), nil }
