package infra

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Statement allows actions on resources. The template has no denying ones.
type Statement struct {
	Sid        string
	Actions    []string
	Resources  []string
	Conditions map[string]map[string][]string // operator, key, values
}

// Call is what a function asks AWS for.
type Call struct {
	Action   string // "dynamodb:GetItem"
	Resource string // ARN
	// Context has the condition keys that go with it:
	// "dynamodb:LeadingKeys": every partition that is touched.
	Context map[string][]string
}

// Allows reports whether the function's role lets it make the call.
func (f Function) Allows(c Call) bool {
	return slices.ContainsFunc(f.Policy, func(s Statement) bool { return s.allows(c) })
}

func (s Statement) allows(c Call) bool {
	return slices.ContainsFunc(s.Actions, func(a string) bool { return like(a, c.Action) }) &&
		slices.ContainsFunc(s.Resources, func(r string) bool { return like(r, c.Resource) }) &&
		s.met(c.Context)
}

func (s Statement) met(context map[string][]string) bool {
	for operator, keys := range s.Conditions {
		for key, patterns := range keys {
			fits := func(v string) bool {
				return slices.ContainsFunc(patterns, func(p string) bool {
					if strings.HasSuffix(operator, "StringLike") {
						return like(p, v)
					}
					return p == v
				})
			}
			values := context[key]
			switch operator {
			case "ForAllValues:StringLike": // true of no values, as in AWS
				if slices.ContainsFunc(values, func(v string) bool { return !fits(v) }) {
					return false
				}
			default: // StringEquals: of exactly one value
				if operator != "StringEquals" || len(values) != 1 || !fits(values[0]) {
					return false
				}
			}
		}
	}
	return true
}

// like matches as IAM does: * is any text, ? any one character.
func like(pattern, s string) bool {
	re, ok := likes.Load(pattern)
	if !ok {
		p := regexp.QuoteMeta(pattern)
		p = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(p)
		re, _ = likes.LoadOrStore(pattern, regexp.MustCompile(`(?s)^`+p+`$`))
	}
	return re.(*regexp.Regexp).MatchString(s)
}

// likes are the patterns that were met, compiled: a rehearsal asks for each of
// its calls.
var likes sync.Map

// statements reads a role's inline policies.
func (s *scope) statements(role string) ([]Statement, error) {
	at := "Resources/" + role
	kind, properties, err := s.resource(role, at)
	if err != nil {
		return nil, err
	}
	if kind != "AWS::IAM::Role" {
		return nil, fmt.Errorf("%s: it is no role", at)
	}
	v, err := s.resolve(properties["Policies"], at+"/Policies")
	if err != nil {
		return nil, err
	}
	var out []Statement
	for _, p := range list(v) {
		for _, st := range list(dig(p, "PolicyDocument", "Statement")) {
			if effect := dig(st, "Effect"); effect != "Allow" {
				return nil, fmt.Errorf("%s: a statement has the effect %v, which is not known here", at, effect)
			}
			sid, _ := dig(st, "Sid").(string)
			one := Statement{Sid: sid, Actions: words(dig(st, "Action")), Resources: words(dig(st, "Resource")), Conditions: map[string]map[string][]string{}}
			conditions, _ := dig(st, "Condition").(map[string]any)
			for operator, keys := range conditions {
				one.Conditions[operator] = map[string][]string{}
				m, _ := keys.(map[string]any)
				for key, values := range m {
					one.Conditions[operator][key] = words(values)
				}
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// dig follows keys through maps; nil where one is missing.
func dig(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// words is one text or a list of them.
func words(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	var out []string
	for _, item := range list(v) {
		out = append(out, text(item))
	}
	return out
}
