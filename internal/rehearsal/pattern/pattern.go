// Package pattern is the language in which EventBridge rules and the filters of
// event source mappings say which events they want: an event matches when it has
// every field that the pattern names, with one of the values listed.
//
// It knows equality, prefix, suffix, equals-ignore-case, exists and
// anything-but (of values, or of one prefix or suffix). Numeric ranges, CIDR
// blocks, wildcards and $or are refused by Parse, so that no template relies on
// a rehearsal that would let everything pass.
package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Pattern tells which events are wanted. The zero Pattern wants every event.
type Pattern struct {
	fields map[string]Pattern
	any    []test // of a leaf; nil in a node
}

// test is one entry of the list at a leaf.
type test struct {
	value  func(v any) bool // of what stands there
	absent bool             // nothing may stand there
}

// Parse reads a pattern.
func Parse(raw []byte) (Pattern, error) {
	v, err := decode(raw)
	if err != nil {
		return Pattern{}, fmt.Errorf("parse an event pattern: %w", err)
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return Pattern{}, errors.New("parse an event pattern: it is no object")
	}
	p, err := node("", fields)
	if err != nil {
		return Pattern{}, fmt.Errorf("parse an event pattern: %w", err)
	}
	return p, nil
}

// decode keeps numbers as they are written, so that one compares as text.
func decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

func node(path string, fields map[string]any) (Pattern, error) {
	if len(fields) == 0 {
		return Pattern{}, fmt.Errorf("%s is an empty object", whole(path))
	}
	p := Pattern{fields: map[string]Pattern{}}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		if strings.HasPrefix(name, "$") {
			return Pattern{}, fmt.Errorf("%s: the operator is not known here", at)
		}
		var err error
		var child Pattern
		switch v := fields[name].(type) {
		case map[string]any:
			child, err = node(at, v)
		case []any:
			child, err = leaf(at, v)
		default:
			err = fmt.Errorf("%s is neither an object nor a list", at)
		}
		if err != nil {
			return Pattern{}, err
		}
		p.fields[name] = child
	}
	return p, nil
}

func whole(path string) string {
	if path == "" {
		return "the pattern"
	}
	return path
}

func leaf(path string, list []any) (Pattern, error) {
	if len(list) == 0 {
		return Pattern{}, fmt.Errorf("%s lists nothing", path)
	}
	p := Pattern{}
	for _, entry := range list {
		t := test{value: equal(entry)}
		switch v := entry.(type) {
		case []any:
			return Pattern{}, fmt.Errorf("%s: a list in a list", path)
		case map[string]any:
			var err error
			if t, err = operator(path, v); err != nil {
				return Pattern{}, err
			}
		}
		p.any = append(p.any, t)
	}
	return p, nil
}

func operator(path string, o map[string]any) (test, error) {
	if len(o) != 1 {
		return test{}, fmt.Errorf("%s: an operator is an object of one member", path)
	}
	for name, operand := range o {
		if name == "exists" {
			is, ok := operand.(bool)
			if !ok {
				return test{}, fmt.Errorf("%s: exists takes true or false", path)
			}
			return test{value: func(any) bool { return is }, absent: !is}, nil
		}
		if name == "anything-but" {
			but, err := anythingBut(path, operand)
			return test{value: but}, err
		}
		of, err := text(path, name, operand)
		return test{value: of}, err
	}
	return test{}, nil // unreachable: there is one member
}

// text is an operator on strings.
func text(path, name string, operand any) (func(any) bool, error) {
	compare := map[string]func(s, with string) bool{
		"prefix": strings.HasPrefix, "suffix": strings.HasSuffix, "equals-ignore-case": strings.EqualFold,
	}[name]
	if compare == nil {
		return nil, fmt.Errorf("%s: the operator %q is not known here", path, name)
	}
	with, ok := operand.(string)
	if !ok || with == "" {
		return nil, fmt.Errorf("%s: %s takes a string", path, name)
	}
	return func(v any) bool {
		s, ok := v.(string)
		return ok && compare(s, with)
	}, nil
}

func anythingBut(path string, operand any) (func(any) bool, error) {
	var forbidden []func(any) bool
	switch v := operand.(type) {
	case map[string]any:
		if len(v) != 1 {
			return nil, fmt.Errorf("%s: anything-but takes one operator", path)
		}
		for name, inner := range v {
			of, err := text(path, name, inner)
			if err != nil {
				return nil, err
			}
			forbidden = append(forbidden, of)
		}
	case []any:
		for _, entry := range v {
			switch entry.(type) {
			case string, json.Number:
				forbidden = append(forbidden, equal(entry))
			default:
				return nil, fmt.Errorf("%s: anything-but takes strings and numbers", path)
			}
		}
		if len(v) == 0 {
			return nil, fmt.Errorf("%s: anything-but lists nothing", path)
		}
	case string, json.Number:
		forbidden = append(forbidden, equal(v))
	default:
		return nil, fmt.Errorf("%s: anything-but takes strings and numbers", path)
	}
	return func(v any) bool {
		return !slices.ContainsFunc(forbidden, func(is func(any) bool) bool { return is(v) })
	}, nil
}

func equal(want any) func(any) bool {
	return func(v any) bool {
		a, aNumber := want.(json.Number)
		b, bNumber := v.(json.Number)
		if !aNumber || !bNumber {
			return v == want // neither is a list nor an object: leaf and matches see to it
		}
		x, err := a.Float64()
		y, err2 := b.Float64()
		return a == b || err == nil && err2 == nil && x == y
	}
}

// Match tells whether the event, which must be JSON, is wanted.
func (p Pattern) Match(event []byte) bool {
	v, err := decode(event)
	return err == nil && p.matches(v, true)
}

func (p Pattern) matches(v any, present bool) bool {
	if p.any != nil {
		return slices.ContainsFunc(p.any, func(t test) bool { return t.matches(v, present) })
	}
	if list, ok := v.([]any); ok && present {
		return slices.ContainsFunc(list, func(e any) bool { return p.matches(e, true) })
	}
	object, _ := v.(map[string]any) // what is no object has no fields
	for name, child := range p.fields {
		field, ok := object[name]
		if !child.matches(field, ok) {
			return false
		}
	}
	return true
}

// matches looks at one value, or at each of a list. An object is no leaf: to a
// pattern that ends at it, nothing stands there.
func (t test) matches(v any, present bool) bool {
	switch v := v.(type) {
	case map[string]any:
		present = false
	case []any:
		if t.absent {
			return len(v) == 0
		}
		return slices.ContainsFunc(v, func(e any) bool { return t.matches(e, true) })
	}
	if !present {
		return t.absent
	}
	return t.value(v)
}
