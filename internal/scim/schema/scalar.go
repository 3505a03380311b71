package schema

import (
	"net/url"
	"strings"
	"time"
	"unicode"

	"gatehouse/internal/scim/value"
)

// scalar normalizes the value of an attribute that has no sub-attributes.
func (n *settler) scalar(ref Ref, v value.Value) (value.Value, error) {
	if v.IsNothing() {
		return value.Value{}, nil
	}
	a := ref.Leaf()
	// A directory that has no value for what it maps sends "".
	if n.mode == Compat && v.Kind() == value.String && v.Text() == "" {
		n.report.Add(EmptyString)
		return value.Value{}, nil
	}
	switch a.Type {
	case Boolean:
		return n.boolean(ref, v)
	case Integer, Decimal:
		return n.number(ref, v)
	case Complex:
		return value.Value{}, invalid("%s must be an object.", ref.Path())
	}
	return n.text(ref, a, v)
}

func (n *settler) boolean(ref Ref, v value.Value) (value.Value, error) {
	if v.Kind() == value.Bool {
		return v, nil
	}
	// Entra sends "True" and "False".
	if n.mode == Compat && v.Kind() == value.String {
		if b, ok := ReadBool(v.Text()); ok {
			n.report.Add(StringBoolean)
			return value.Boolean(b), nil
		}
	}
	return value.Value{}, invalid("%s must be true or false.", ref.Path())
}

// ReadBool reads a boolean that was written as a string.
func ReadBool(s string) (b, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

func (n *settler) number(ref Ref, v value.Value) (value.Value, error) {
	integer := ref.Leaf().Type == Integer
	if n.mode == Compat && v.Kind() == value.String {
		if p, err := value.Parse([]byte(v.Text())); err == nil && p.Kind() == value.Number {
			n.report.Add(StringNumber)
			v = p
		}
	}
	switch {
	case v.Kind() != value.Number:
		return value.Value{}, invalid("%s must be a number.", ref.Path())
	case len(v.Text()) > 64:
		return value.Value{}, invalid("%s must be a number of at most 64 characters.", ref.Path())
	case integer && strings.ContainsAny(v.Text(), ".eE"): // RFC 7643 §2.3.4
		return value.Value{}, invalid("%s must be an integer, without fraction or exponent.", ref.Path())
	}
	return v, nil
}

func (n *settler) text(ref Ref, a *Attribute, v value.Value) (value.Value, error) {
	if v.Kind() == value.Number && n.mode == Compat && a.Type == String {
		n.report.Add(NumberForString)
		v = value.Str(v.Text())
	}
	if v.Kind() != value.String {
		return value.Value{}, invalid("%s must be a string.", ref.Path())
	}
	s := v.Text()
	limit := MaxString
	if a.Type == Binary {
		limit = MaxBinary
	}
	switch {
	case len(s) > limit:
		return value.Value{}, invalid("%s is longer than %d bytes.", ref.Path(), limit)
	case a.Line && !oneLine(s):
		return value.Value{}, invalid("%s holds control characters.", ref.Path())
	case a.Type == Binary && !base64ish(s):
		return value.Value{}, invalid("%s must be base64.", ref.Path())
	case a.Type == Reference && n.mode != Compat && !n.stored && !reference(s):
		return value.Value{}, invalid("%s must be a URI.", ref.Path())
	case a.Type == DateTime:
		if _, ok := ReadTime(s); !ok {
			return value.Value{}, invalid("%s must be a date and time, such as 2008-01-23T04:56:22Z.", ref.Path())
		}
	}
	return v, nil
}

// oneLine reports whether s holds no control character and no line end of
// Unicode's, so that it may stand in a mail's header or a log's line.
func oneLine(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return !strings.ContainsFunc(s, func(r rune) bool {
				return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
			})
		}
	}
	return true
}

// base64ish reports whether s is base64 in either alphabet, padded or not (RFC
// 4648 §4, §5).
func base64ish(s string) bool {
	body := strings.TrimRight(s, "=")
	if len(s)-len(body) > 2 || len(s) != len(body) && len(s)%4 != 0 || len(body)%4 == 1 {
		return false
	}
	for i := range len(body) {
		c := body[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func reference(s string) bool {
	if strings.ContainsAny(s, " \t\r\n") {
		return false
	}
	_, err := url.Parse(s)
	return err == nil
}

// ReadTime reads an xsd:dateTime (RFC 7643 §2.3.5); one without a zone is UTC.
func ReadTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999999", s)
	return t, err == nil
}
