package infra

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// noValue is what AWS::NoValue leaves behind until its map or list drops it.
type noValue struct{}

// scope gives the values that functions of a template ask for.
type scope struct {
	doc    document
	values map[string]string // parameters and pseudo parameters
	asking []string          // what is being looked up, to notice a circle
}

// pseudo are what CloudFormation knows by itself; params may set others.
var pseudo = map[string]string{
	"AWS::StackName": "gatehouse",
	"AWS::Region":    "us-east-1",
	"AWS::AccountId": "123456789012",
	"AWS::Partition": "aws",
	"AWS::URLSuffix": "amazonaws.com",
	"AWS::StackId":   "arn:aws:cloudformation:us-east-1:123456789012:stack/gatehouse/00000000-0000-0000-0000-000000000000",
}

// newScope checks the parameters: each must be declared, have a value, and keep
// to its pattern and its choice.
func newScope(doc document, params map[string]string) (*scope, error) {
	s := &scope{doc: doc, values: maps.Clone(pseudo)}
	declared := doc.section("Parameters")
	for name, given := range params {
		if _, ok := pseudo[name]; ok {
			s.values[name] = given
		} else if _, ok := declared[name]; !ok {
			return nil, fmt.Errorf("the template has no parameter %s", name)
		}
	}
	for name, d := range declared {
		p := d.(map[string]any)
		v, given := params[name]
		if !given {
			def, ok := p["Default"]
			if !ok {
				return nil, fmt.Errorf("parameter %s needs a value", name)
			}
			v = text(def)
		}
		if pattern, ok := p["AllowedPattern"].(string); ok {
			if re, err := regexp.Compile(pattern); err != nil {
				return nil, fmt.Errorf("parameter %s: %w", name, err)
			} else if !re.MatchString(v) {
				return nil, fmt.Errorf("parameter %s: %q does not fit %s", name, v, pattern)
			}
		}
		if choice, ok := p["AllowedValues"].([]any); ok && !slices.ContainsFunc(choice, func(c any) bool { return text(c) == v }) {
			return nil, fmt.Errorf("parameter %s: %q is none of %v", name, v, choice)
		}
		s.values[name] = v
	}
	return s, nil
}

// text is a scalar as CloudFormation passes it on.
func text(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// resolve returns v with its functions carried out. at names the place.
func (s *scope) resolve(v any, at string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if name, arg, ok := call(v); ok {
			return s.function(name, arg, at)
		}
		out := make(map[string]any, len(v))
		for k, item := range v {
			r, err := s.resolve(item, at+"/"+k)
			if err != nil {
				return nil, err
			}
			if _, gone := r.(noValue); !gone {
				out[k] = r
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for i, item := range v {
			r, err := s.resolve(item, fmt.Sprintf("%s/%d", at, i))
			if err != nil {
				return nil, err
			}
			if _, gone := r.(noValue); !gone {
				out = append(out, r)
			}
		}
		return out, nil
	}
	return v, nil
}

// call tells a function's call from an ordinary map.
func call(m map[string]any) (name string, arg any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for name, arg = range m {
	}
	return name, arg, name == "Ref" || strings.HasPrefix(name, "Fn::")
}

func (s *scope) function(name string, arg any, at string) (any, error) {
	at += "/" + name
	wrong := func() error { return fmt.Errorf("%s: not in a form that is known here", at) }
	switch name {
	case "Ref":
		id, _ := arg.(string)
		return s.ref(id, at)
	case "Fn::GetAtt":
		parts, _ := arg.([]any)
		if len(parts) != 2 {
			return nil, wrong()
		}
		id, _ := parts[0].(string)
		attribute, _ := parts[1].(string)
		return s.attribute(id, attribute, at)
	case "Fn::Sub":
		return s.sub(arg, at)
	case "Fn::If":
		parts, _ := arg.([]any)
		if len(parts) != 3 {
			return nil, wrong()
		}
		id, _ := parts[0].(string)
		yes, err := s.condition(id, at)
		if err != nil {
			return nil, err
		}
		if yes {
			return s.resolve(parts[1], at+"/1")
		}
		return s.resolve(parts[2], at+"/2")
	case "Fn::Join", "Fn::Select", "Fn::Split":
		r, err := s.resolve(arg, at)
		if err != nil {
			return nil, err
		}
		parts, _ := r.([]any)
		if len(parts) != 2 {
			return nil, wrong()
		}
		return onList(name, parts[0], parts[1], wrong)
	}
	return nil, fmt.Errorf("%s: not a function that is known here", at)
}

// onList carries out the functions whose arguments are a scalar and a list or
// text.
func onList(name string, first, second any, wrong func() error) (any, error) {
	if name == "Fn::Split" {
		whole, ok := second.(string)
		if !ok {
			return nil, wrong()
		}
		var out []any
		for part := range strings.SplitSeq(whole, text(first)) {
			out = append(out, part)
		}
		return out, nil
	}
	list, ok := second.([]any)
	if !ok {
		return nil, wrong()
	}
	if name == "Fn::Select" {
		i, ok := first.(float64)
		if !ok || int(i) < 0 || int(i) >= len(list) {
			return nil, wrong()
		}
		return list[int(i)], nil
	}
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = text(item)
	}
	return strings.Join(words, text(first)), nil
}

var variable = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

func (s *scope) sub(arg any, at string) (any, error) {
	form, own := arg, map[string]any{}
	if parts, ok := arg.([]any); ok && len(parts) == 2 {
		form = parts[0]
		r, err := s.resolve(parts[1], at)
		if err != nil {
			return nil, err
		}
		own, _ = r.(map[string]any)
	}
	template, ok := form.(string)
	if !ok {
		return nil, fmt.Errorf("%s: not in a form that is known here", at)
	}
	var failed error
	out := variable.ReplaceAllStringFunc(template, func(m string) string {
		name := m[2 : len(m)-1]
		if v, ok := own[name]; ok {
			return text(v)
		}
		var v any
		var err error
		if id, attribute, dotted := strings.Cut(name, "."); dotted {
			v, err = s.attribute(id, attribute, at)
		} else {
			v, err = s.ref(name, at)
		}
		if err != nil && failed == nil {
			failed = err
		}
		return text(v)
	})
	return strings.ReplaceAll(out, "${!", "${"), failed
}

// condition evaluates the condition of that name.
func (s *scope) condition(id, at string) (bool, error) {
	c, ok := s.doc.section("Conditions")[id]
	if !ok {
		return false, fmt.Errorf("%s: there is no condition %q", at, id)
	}
	return s.holds(c, "Conditions/"+id)
}

func (s *scope) holds(v any, at string) (bool, error) {
	m, _ := v.(map[string]any)
	if id, ok := m["Condition"].(string); ok && len(m) == 1 {
		return s.condition(id, at)
	}
	name, arg, ok := call(m)
	parts, isList := arg.([]any)
	if !ok || !isList {
		return false, fmt.Errorf("%s: not a condition that is known here", at)
	}
	at += "/" + name
	switch name {
	case "Fn::Equals":
		r, err := s.resolve(parts, at)
		if err != nil {
			return false, err
		}
		if list := r.([]any); len(list) == 2 {
			return text(list[0]) == text(list[1]), nil
		}
	case "Fn::Not", "Fn::And", "Fn::Or":
		all, some := true, false
		for _, p := range parts {
			yes, err := s.holds(p, at)
			if err != nil {
				return false, err
			}
			all, some = all && yes, some || yes
		}
		switch name {
		case "Fn::Not":
			return !all, nil
		case "Fn::And":
			return all, nil
		}
		return some, nil
	}
	return false, fmt.Errorf("%s: not a condition that is known here", at)
}
