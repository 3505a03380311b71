package filter

import (
	"strings"
	"unicode/utf8"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/value"
)

// Parse reads a filter. Beyond the grammar of RFC 7644 it takes a literal
// without a space before it (`value eq"x"`, an example of the RFC's own) and a
// comparison after brackets (see Element). Errors are *fault.Error, Invalid
// with invalidFilter, and say what stands where.
func Parse(s string) (Expr, error) {
	p := parser{s: s, code: fault.InvalidFilter}
	if err := p.check(); err != nil {
		return nil, err
	}
	e, err := p.or(0, false)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.s) {
		return nil, p.fail("a filter should end here")
	}
	return e, nil
}

// parser reads from the left, one pass, by recursive descent.
type parser struct {
	s     string
	at    int
	terms int
	code  string // of errors
}

func (p *parser) check() error {
	switch {
	case len(p.s) > MaxLength:
		return p.refuse("A filter may have at most %d bytes.", MaxLength)
	case !utf8.ValidString(p.s):
		return p.refuse("A filter must be UTF-8.")
	}
	return nil
}

func (p *parser) refuse(format string, args ...any) error {
	return fault.New(fault.Invalid, p.code, format, args...)
}

const tooDeep = "groups may stand at most 16 deep" // MaxDepth

// fail says what is wrong at the current place, and what stands there.
func (p *parser) fail(why string) error {
	if p.at >= len(p.s) {
		return p.refuse("At the end: %s.", why)
	}
	return p.refuse("At character %d, before %.32q: %s.", utf8.RuneCountInString(p.s[:p.at])+1, p.s[p.at:], why)
}

func (p *parser) space() bool {
	start := p.at
	for p.at < len(p.s) && p.s[p.at] == ' ' {
		p.at++
	}
	return p.at > start
}

// word returns what stands up to the next space, quote or bracket.
func (p *parser) word() string {
	end := p.at
	for end < len(p.s) && !strings.ContainsRune(" \"()[]", rune(p.s[end])) {
		end++
	}
	return p.s[p.at:end]
}

// keyword consumes the word if it is the keyword, without regard to case.
func (p *parser) keyword(k string) bool {
	start := p.at
	p.space()
	if w := p.word(); strings.EqualFold(w, k) {
		p.at += len(w)
		return true
	}
	p.at = start
	return false
}

// or = and *( "or" and ); inside is true between brackets.
func (p *parser) or(depth int, inside bool) (Expr, error) {
	e, err := p.and(depth, inside)
	if err != nil {
		return nil, err
	}
	var terms []Expr
	for p.keyword("or") {
		if terms == nil {
			terms = flat(nil, e, isOr)
		}
		t, err := p.and(depth, inside)
		if err != nil {
			return nil, err
		}
		terms = flat(terms, t, isOr)
	}
	if terms != nil {
		return Or{terms}, nil
	}
	return e, nil
}

// and = term *( "and" term )
func (p *parser) and(depth int, inside bool) (Expr, error) {
	e, err := p.term(depth, inside)
	if err != nil {
		return nil, err
	}
	var terms []Expr
	for p.keyword("and") {
		if terms == nil {
			terms = flat(nil, e, isAnd)
		}
		t, err := p.term(depth, inside)
		if err != nil {
			return nil, err
		}
		terms = flat(terms, t, isAnd)
	}
	if terms != nil {
		return And{terms}, nil
	}
	return e, nil
}

func isOr(e Expr) []Expr {
	o, _ := e.(Or)
	return o.Terms
}

func isAnd(e Expr) []Expr {
	a, _ := e.(And)
	return a.Terms
}

// flat appends e, or its terms if it is of the same kind: grouping does not
// matter between equals.
func flat(terms []Expr, e Expr, same func(Expr) []Expr) []Expr {
	if inner := same(e); inner != nil {
		return append(terms, inner...)
	}
	return append(terms, e)
}

// term = "(" or ")" / "not" "(" or ")" / comparison
func (p *parser) term(depth int, inside bool) (Expr, error) {
	p.space()
	if p.at >= len(p.s) {
		return nil, p.fail("an expression is missing")
	}
	if p.s[p.at] == '(' {
		return p.group(depth, inside)
	}
	if w := p.word(); strings.EqualFold(w, "not") {
		start := p.at
		p.at += len(w)
		if p.space(); p.at < len(p.s) && p.s[p.at] == '(' {
			e, err := p.group(depth, inside)
			if err != nil {
				return nil, err
			}
			return Not{e}, nil
		}
		p.at = start // an attribute may have that name
	}
	return p.comparison(depth, inside)
}

func (p *parser) group(depth int, inside bool) (Expr, error) {
	if depth++; depth > MaxDepth {
		return nil, p.fail(tooDeep)
	}
	p.at++
	e, err := p.or(depth, inside)
	if err != nil {
		return nil, err
	}
	return e, p.close(')', "a group should end here with \")\"")
}

func (p *parser) close(c byte, why string) error {
	if p.space(); p.at >= len(p.s) || p.s[p.at] != c {
		return p.fail(why)
	}
	p.at++
	return nil
}

// comparison = path op literal / path "pr" / path "[" or "]" [ "." name op … ]
func (p *parser) comparison(depth int, inside bool) (Expr, error) {
	if p.terms++; p.terms > MaxTerms {
		return nil, p.refuse("A filter may have at most %d comparisons.", MaxTerms)
	}
	path := p.word()
	if path == "" {
		return nil, p.fail("an attribute's name should stand here")
	}
	if !wellFormed(path) {
		return nil, p.fail("this is no attribute's name")
	}
	p.at += len(path)
	if p.at < len(p.s) && p.s[p.at] == '[' {
		if inside {
			return nil, p.fail("brackets may not stand inside brackets")
		}
		return p.element(path, depth)
	}
	op, with, cased, err := p.operation()
	if err != nil {
		return nil, err
	}
	return Compare{path, op, with, cased}, nil
}

func (p *parser) element(path string, depth int) (Expr, error) {
	inner, err := p.brackets(depth)
	if err != nil {
		return nil, err
	}
	e := Element{Path: path, Filter: inner}
	if p.at < len(p.s) && p.s[p.at] == '.' {
		if e.Sub, err = p.sub(); err != nil {
			return nil, err
		}
		if e.Op, e.With, e.Cased, err = p.operation(); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (p *parser) brackets(depth int) (Expr, error) {
	if depth++; depth > MaxDepth {
		return nil, p.fail(tooDeep)
	}
	p.at++
	e, err := p.or(depth, true)
	if err != nil {
		return nil, err
	}
	return e, p.close(']', "the filter should end here with \"]\"")
}

// sub reads the name of a sub-attribute behind brackets.
func (p *parser) sub() (string, error) {
	p.at++
	name := p.word()
	if !attributeName(name) {
		return "", p.fail("this is no sub-attribute's name")
	}
	p.at += len(name)
	return name, nil
}

func (p *parser) operation() (op Op, with value.Value, cased bool, err error) {
	if !p.space() {
		return 0, with, false, p.fail("an operator should stand here, after a space")
	}
	w := p.word()
	op, ok := readOp(w)
	switch {
	case w == "":
		return 0, with, false, p.fail("an operator should stand here")
	case !ok:
		return 0, with, false, p.refuse("The operator %.32q is not supported; there are eq, ne, co, sw, ew, pr, gt, ge, lt and le.", w)
	}
	p.at += len(w)
	if op == Pr {
		return op, with, false, nil
	}
	spaced := p.space()
	with, cased, err = p.literal(spaced)
	return op, with, cased, err
}

// literal reads a JSON string, number, true, false or null. The words are taken
// in any case, for Bind to judge: cased tells of one that JSON has in lower case.
// Only a string may follow without a space.
func (p *parser) literal(spaced bool) (v value.Value, cased bool, err error) {
	if p.at < len(p.s) && p.s[p.at] == '"' {
		end := p.at + 1
		for end < len(p.s) && p.s[end] != '"' {
			if p.s[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(p.s) {
			return value.Value{}, false, p.fail("a string does not end")
		}
		end++
		v, err := value.Parse([]byte(p.s[p.at:end]))
		if err != nil {
			return value.Value{}, false, p.fail("this is no JSON string")
		}
		if len(v.Text()) > MaxLiteral {
			return value.Value{}, false, p.refuse("A string in a filter may have at most %d bytes.", MaxLiteral)
		}
		p.at = end
		return v, false, nil
	}
	w := p.word()
	if !spaced || w == "" {
		return value.Value{}, false, p.fail("a value should stand here: a JSON string, a number, true, false or null")
	}
	if len(w) > 64 {
		return value.Value{}, false, p.fail("a number may have at most 64 characters")
	}
	v, err = value.Parse([]byte(strings.ToLower(w)))
	if err != nil || v.Kind() == value.Object || v.Kind() == value.Array {
		return value.Value{}, false, p.fail("a value should stand here: a JSON string, a number, true, false or null")
	}
	p.at += len(w)
	return v, v.Kind() != value.Number && w != strings.ToLower(w), nil
}

// wellFormed reports whether s is an attribute's path: [URI ":"] name ["." sub].
// Whether the URI is known is for Bind to say; that of an extension alone,
// which names its container, has this form too.
func wellFormed(s string) bool {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if i == 0 || strings.ContainsFunc(s[:i], func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\\^`{|}", r) }) {
			return false
		}
		s = s[i+1:]
	}
	name, sub, dotted := strings.Cut(s, ".")
	return attributeName(name) && (!dotted || attributeName(sub))
}

// attributeName reports whether s is an ATTRNAME (RFC 7643 §2.1), "$ref"
// included. One that begins with a digit is let through to be unknown.
func attributeName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '$' && i == 0) {
			return false
		}
	}
	return s != "" && s != "$"
}
