package filter

import (
	"gatehouse/internal/fault"
)

// Path is the path of a PATCH operation: an attribute, an attribute with a
// filter in brackets, or either with a sub-attribute.
type Path struct {
	Attr   string // as written, with its sub-attribute if there is no filter
	Filter Expr   // nil: none
	Sub    string // after a filter; empty: none
}

// ParsePath reads the path of a PATCH operation. Errors are *fault.Error,
// Invalid with invalidPath, or invalidFilter for what stands in the brackets.
func ParsePath(s string) (Path, error) {
	p := parser{s: s, code: fault.InvalidPath}
	if err := p.check(); err != nil {
		return Path{}, err
	}
	p.space()
	path := Path{Attr: p.word()}
	if !wellFormed(path.Attr) {
		return Path{}, p.fail("a path should begin here with an attribute's name")
	}
	p.at += len(path.Attr)
	if p.at < len(p.s) && p.s[p.at] == '[' {
		p.code = fault.InvalidFilter
		var err error
		if path.Filter, err = p.brackets(0); err != nil {
			return Path{}, err
		}
		p.code = fault.InvalidPath
		if p.at < len(p.s) && p.s[p.at] == '.' {
			if path.Sub, err = p.sub(); err != nil {
				return Path{}, err
			}
		}
	}
	if p.space(); p.at < len(p.s) {
		return Path{}, p.fail("the path should end here")
	}
	return path, nil
}

// String renders the path so that ParsePath gives an equal one again.
func (p Path) String() string {
	s := p.Attr
	if p.Filter != nil {
		s += "[" + p.Filter.String() + "]"
	}
	if p.Sub != "" {
		s += "." + p.Sub
	}
	return s
}
