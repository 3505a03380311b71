package value

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of a JSON text. MaxValues bounds the memory that a text of many tiny
// values takes; twenty thousand group members of seven values each hold fewer.
const (
	MaxDepth  = 32      // objects and arrays inside each other
	MaxValues = 150_000 // values, members and elements included
)

// SyntaxError says why a text is not taken, and where.
type SyntaxError struct {
	Offset int64 // bytes from the start
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.Reason) }

// Parse reads one JSON text, whole. Its errors are *SyntaxError; their reasons
// quote no more of the text than a member's name.
func Parse(text []byte) (Value, error) {
	p := parsers.Get().(*parser)
	p.in.Reset(text)
	p.d.Reset(&p.in, options...)
	v, err := p.value(0)
	if err == nil {
		if _, e := p.d.ReadToken(); e != io.EOF {
			err = &SyntaxError{p.d.InputOffset(), "something follows the end of the JSON text"}
		}
	}
	if err != nil {
		v, err = Value{}, p.syntaxError(err)
	}
	p.release()
	return v, err
}

// parser reads one text after another. Members and elements are gathered on two
// stacks and copied off when their object or array ends, so that each is
// allocated once, in its size.
type parser struct {
	in       bytes.Reader
	d        *jsontext.Decoder
	members  []Member
	elements []Value
	values   int

	topMember, topElement int
}

// Duplicates are found here, without case; the tokenizer would compare with.
var options = []jsontext.Options{jsontext.AllowDuplicateNames(true)}

var parsers = sync.Pool{New: func() any {
	return &parser{d: jsontext.NewDecoder(strings.NewReader(""), options...)}
}}

// maxKept is how large a stack may be to be kept for the next text.
const maxKept = 1 << 10

// release forgets the text: a pool must not keep what a client sent.
func (p *parser) release() {
	p.in.Reset(nil)
	p.pop(len(p.members), len(p.elements))
	if p.topMember > maxKept || p.topElement > maxKept {
		p.members, p.elements = nil, nil
	} else {
		clear(p.members[:p.topMember])
		clear(p.elements[:p.topElement])
		p.members, p.elements = p.members[:0], p.elements[:0]
	}
	p.topMember, p.topElement, p.values = 0, 0, 0
	parsers.Put(p)
}

// pop shortens the stacks, and remembers how far up they were written.
func (p *parser) pop(member, element int) {
	p.topMember = max(p.topMember, len(p.members))
	p.topElement = max(p.topElement, len(p.elements))
	p.members, p.elements = p.members[:member], p.elements[:element]
}

func (p *parser) syntaxError(err error) error {
	var own *SyntaxError
	if errors.As(err, &own) {
		return own
	}
	var js *jsontext.SyntacticError
	if errors.As(err, &js) && js.Err != nil {
		reason := "this is not JSON"
		switch {
		case errors.Is(js.Err, io.ErrUnexpectedEOF):
			reason = "the JSON text ends too early"
		case strings.Contains(js.Err.Error(), "UTF-8"):
			reason = "a string is not valid UTF-8"
		case strings.Contains(js.Err.Error(), "surrogate"):
			reason = "a string holds half of a surrogate pair"
		}
		return &SyntaxError{js.ByteOffset, reason}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &SyntaxError{p.d.InputOffset(), "the JSON text ends too early"}
	}
	return &SyntaxError{p.d.InputOffset(), "this is not JSON"}
}

func (p *parser) fail(reason string) error { return &SyntaxError{p.d.InputOffset(), reason} }

func (p *parser) value(depth int) (Value, error) {
	tok, err := p.d.ReadToken()
	if err != nil {
		return Value{}, err
	}
	if p.values++; p.values > MaxValues {
		return Value{}, p.fail(fmt.Sprintf("more than %d values", MaxValues))
	}
	switch tok.Kind() {
	case 'n':
		return Nil(), nil
	case 't', 'f':
		return Boolean(tok.Bool()), nil
	case '"':
		return Str(tok.String()), nil
	case '0':
		return Value{kind: Number, text: tok.String()}, nil
	case '{', '[':
		if depth == MaxDepth {
			return Value{}, p.fail(fmt.Sprintf("more than %d objects and arrays inside each other", MaxDepth))
		}
		if tok.Kind() == '{' {
			return p.object(depth)
		}
		return p.array(depth)
	}
	return Value{}, p.fail("this is not JSON")
}

// narrow is how many members are compared with each other to find a duplicate;
// with more, a set is made.
const narrow = 24

func (p *parser) object(depth int) (Value, error) {
	base := len(p.members)
	var seen map[string]bool
	for p.d.PeekKind() != '}' {
		name, err := p.name()
		if err != nil {
			return Value{}, err
		}
		dup := false
		if own := p.members[base:]; len(own) < narrow {
			for i := range own {
				dup = dup || equalFold(own[i].Name, name)
			}
		} else {
			if seen == nil {
				seen = make(map[string]bool)
				for i := range own {
					seen[lowerName(own[i].Name)] = true
				}
			}
			low := lowerName(name)
			dup = seen[low]
			seen[low] = true
		}
		if dup {
			return Value{}, p.fail(fmt.Sprintf("the member %.64q stands twice in one object", name))
		}
		e, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		p.members = append(p.members, Member{name, e})
	}
	v := Value{kind: Object}
	if own := p.members[base:]; len(own) > 0 {
		v.mem = append(make([]Member, 0, len(own)), own...)
	}
	p.pop(base, len(p.elements))
	_, err := p.d.ReadToken()
	return v, err
}

// name reads a member's name. The names that every message holds are not
// copied out of each.
func (p *parser) name() (string, error) {
	raw, err := p.d.ReadValue()
	if err != nil {
		return "", err
	}
	if raw.Kind() != '"' {
		return "", p.fail("this is not JSON")
	}
	if name, ok := common[string(raw[1:len(raw)-1])]; ok {
		return name, nil
	}
	name, err := jsontext.AppendUnquote(nil, raw)
	return string(name), err
}

var common = func() map[string]string {
	m := make(map[string]string)
	for n := range strings.FieldsSeq(`schemas id externalId meta resourceType created lastModified location version
		userName name formatted familyName givenName middleName honorificPrefix honorificSuffix
		displayName nickName profileUrl title userType preferredLanguage locale timezone active password
		emails phoneNumbers ims photos addresses groups entitlements roles x509Certificates
		value display type primary $ref streetAddress locality region postalCode country members
		employeeNumber costCenter organization division department manager Operations op path
		urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`) {
		m[n] = n
	}
	return m
}()

func (p *parser) array(depth int) (Value, error) {
	base := len(p.elements)
	for p.d.PeekKind() != ']' {
		e, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		p.elements = append(p.elements, e)
	}
	v := Value{kind: Array}
	if own := p.elements[base:]; len(own) > 0 {
		v.arr = append(make([]Value, 0, len(own)), own...)
	}
	p.pop(len(p.members), base)
	_, err := p.d.ReadToken()
	return v, err
}
