package infra

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// all are parameters with which every condition of the template holds.
var all = map[string]string{
	"MailFrom": "no-reply@mail.example.com", "CreateMailIdentity": "true",
	"DomainName": "gate.example.com", "CertificateId": "00000000-0000-0000-0000-000000000000", "HostedZoneId": "Z0123456789",
	"AlarmEmail": "ops@example.com", "RestoredTable": "gatehouse-back", "RestoredStream": "2026-11-22T10:00:00.000",
	"RestoredKey": keptKey,
}

// keptKey is the secret of a stack that is no more.
const keptKey = "arn:aws:secretsmanager:us-east-1:123456789012:secret:gone/server-key-GhIjKl"

// house is a translation under one set of parameters, and the breaches that a
// rule finds in it.
type house struct {
	*scope
	breaches []string
	known    map[string]map[string]any // resolved properties by id
}

// properties is the scope's, each worked out once.
func (h *house) properties(id string) (map[string]any, error) {
	if p, ok := h.known[id]; ok {
		return p, nil
	}
	p, err := h.scope.properties(id)
	if err == nil {
		h.known[id] = p
	}
	return p, err
}

func (h *house) breach(format string, args ...any) {
	h.breaches = append(h.breaches, fmt.Sprintf(format, args...))
}

// must reports the breach unless ok.
func (h *house) must(ok bool, format string, args ...any) {
	if !ok {
		h.breach(format, args...)
	}
}

// each calls f with every resource of a kind: as written and resolved.
func (h *house) each(kind string, f func(id string, raw, p map[string]any)) {
	ids := h.declared(kind)
	h.must(len(ids) > 0 || !slices.Contains(always, kind), "there is no %s", kind)
	for _, id := range ids {
		p, err := h.properties(id)
		if err != nil {
			h.breach("%v", err)
			continue
		}
		raw, _ := h.doc.section("Resources")[id].(map[string]any)
		f(id, raw, p)
	}
}

// always are the kinds without which a rule would have nothing to look at.
var always = []string{
	"AWS::Lambda::Function", "AWS::Logs::LogGroup", "AWS::IAM::Role", "AWS::SQS::Queue", "AWS::DynamoDB::Table",
	"AWS::SecretsManager::Secret", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission", "AWS::ApiGatewayV2::Api",
	"AWS::ApiGatewayV2::Stage", "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Integration", "AWS::Events::Rule",
	"AWS::Lambda::EventInvokeConfig", "AWS::SES::ConfigurationSet", "AWS::SES::ConfigurationSetEventDestination",
	"AWS::CloudWatch::Alarm", "AWS::SQS::QueuePolicy", "AWS::Logs::MetricFilter",
}

// rule is one sentence that no linter sees, with mistakes that it must catch.
type rule struct {
	name  string
	check func(*house)
	plant []mistake
}

type mistake struct {
	name string
	make func(document)
}

// in returns the properties of a resource, to be spoiled.
func in(d document, id string) map[string]any {
	p, ok := dig(map[string]any(d), "Resources", id, "Properties").(map[string]any)
	if !ok {
		panic("no resource " + id)
	}
	return p
}

// spoil sets a property of a resource, or with nil removes it; the path goes
// through maps and lists.
func spoil(id string, value any, path ...any) mistake {
	return mistake{fmt.Sprintf("%s%v is %v", id, path, value), func(d document) {
		var at any = in(d, id)
		for i, step := range path {
			last := i == len(path)-1
			switch step := step.(type) {
			case string:
				m := at.(map[string]any)
				if _, there := m[step]; !there && !last {
					panic(fmt.Sprintf("%s has no %v", id, path[:i+1]))
				}
				switch {
				case last && value == nil:
					delete(m, step)
				case last:
					m[step] = value
				}
				at = m[step]
			case int:
				l := at.([]any)
				if last {
					l[step] = value
				}
				at = l[step]
			}
		}
	}}
}

// statement returns the place of a role's statement.
func statement(id string, sid string, value any, key string) mistake {
	return mistake{fmt.Sprintf("%s %s %s is %v", id, sid, key, value), func(d document) {
		policy := list(in(d, id)["Policies"])[0]
		for _, s := range list(dig(policy, "PolicyDocument", "Statement")) {
			if m := s.(map[string]any); m["Sid"] == sid {
				if value == nil {
					delete(m, key)
				} else {
					m[key] = value
				}
				return
			}
		}
		panic("no statement " + sid)
	}}
}

// without removes a resource.
func without(id string) mistake {
	return mistake{"without " + id, func(d document) {
		in(d, id) // there is one
		delete(d.section("Resources"), id)
	}}
}

// find applies the rule to the document under both sets of parameters.
func (r rule) find(d document) []string {
	var found []string
	for _, params := range []map[string]string{least, all} {
		s, err := newScope(d, params)
		if err != nil {
			return []string{err.Error()}
		}
		h := &house{scope: s, known: map[string]map[string]any{}}
		r.check(h)
		found = append(found, h.breaches...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestRules holds the translation to every rule, and every rule to mistakes
// that are planted in a copy of it.
func TestRules(t *testing.T) {
	d := translation(t)
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, breach := range r.find(d) {
				t.Error(breach)
			}
			if len(r.plant) == 0 {
				t.Error("no mistake is planted for this rule: nobody knows whether it catches any")
			}
			for _, m := range r.plant {
				var spoiled document
				if err := json.Unmarshal(text, &spoiled); err != nil {
					t.Fatal(err)
				}
				m.make(spoiled)
				if len(r.find(spoiled)) == 0 {
					t.Errorf("the rule does not catch: %s", m.name)
				}
			}
		})
	}
}

// Every kind of resource is looked at by some rule: a new kind needs one.
func TestEveryKindHasARule(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range translation(t).section("Resources") {
		seen[text(dig(r, "Type"))] = true
	}
	for _, kind := range slices.Sorted(maps.Keys(seen)) {
		if !slices.Contains(always, kind) && !slices.Contains([]string{
			"AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping", "AWS::Route53::RecordSet", // rule "one way in"
			"AWS::SES::EmailIdentity", // rule "mail"
			"AWS::SNS::Topic",         // rule "alarms"
		}, kind) {
			t.Errorf("no rule looks at resources of the kind %s", kind)
		}
	}
}

var rules = slices.Concat(functionRules, roleRules, sourceRules, stateRules, frontRules, mailRules, watchRules)

// queue returns the id of the stack's queue whose ARN v is.
func (h *house) queue(v any) (id string, ok bool) {
	for _, id := range h.declared("AWS::SQS::Queue") {
		if arn, err := h.attribute(id, "Arn", id); err == nil && arn == v {
			return id, true
		}
	}
	return "", false
}

// caller returns the id of the function of that name or ARN.
func (h *house) caller(v any) (id string, ok bool) {
	for _, id := range h.declared("AWS::Lambda::Function") {
		arn, _ := h.attribute(id, "Arn", id)
		name, _ := h.ref(id, id)
		if v == arn || v == name {
			return id, true
		}
	}
	return "", false
}

// may reports whether the function's role allows the call.
func (h *house) may(id string, c Call) bool {
	_, p, err := h.resource(id, id)
	if err != nil {
		return false
	}
	role := list(dig(p, "Role", "Fn::GetAtt"))
	if len(role) != 2 {
		return false
	}
	st, err := h.statements(text(role[0]))
	return err == nil && Function{Policy: st}.Allows(c)
}

// is compares by value, whatever the kinds of number.
func is(v, want any) bool { return v != nil && text(v) == text(want) }

func lower(s string) string { return strings.ToLower(s) }
