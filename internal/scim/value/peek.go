package value

import "bytes"

// PeekText returns the text of a string that an object holds under the name as
// it is spelled, without reading the rest into a tree. The text must be one that
// Append wrote; found is false where there is no such string, and for a name
// that would have to be escaped.
func PeekText(object []byte, name string) (text string, found bool) {
	rest := object
	depth := 0
	for len(rest) > 0 {
		switch rest[0] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := stringEnd(rest)
			if end < 0 {
				return "", false
			}
			if depth == 1 && end+1 < len(rest) && rest[end] == ':' && string(rest[1:end-1]) == name {
				if rest = rest[end+1:]; rest[0] != '"' {
					return "", false
				}
				return unquoted(rest)
			}
			rest = rest[end:]
			continue
		}
		rest = rest[1:]
	}
	return "", false
}

// stringEnd returns where the string at the beginning of b ends, -1 if nowhere.
func stringEnd(b []byte) int {
	for at := 1; ; {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return -1
		}
		at += i
		escapes := 0
		for b[at-1-escapes] == '\\' {
			escapes++
		}
		if at++; escapes%2 == 0 {
			return at
		}
	}
}

func unquoted(b []byte) (string, bool) {
	end := stringEnd(b)
	if end < 0 {
		return "", false
	}
	if bytes.IndexByte(b[:end], '\\') < 0 {
		return string(b[1 : end-1]), true
	}
	v, err := Parse(b[:end])
	return v.Text(), err == nil && v.Kind() == String
}
