package infra

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Read returns the stack that the module's template makes of the parameters,
// which may name pseudo parameters too ("AWS::StackName"). A parameter that is
// unknown, missing, or not as the template wants it is an error, and so is
// whatever of CloudFormation this package does not know.
func Read(params map[string]string) (*Stack, error) {
	doc, err := load()
	if err != nil {
		return nil, err
	}
	s, err := newScope(doc, params)
	if err != nil {
		return nil, err
	}
	return s.stack()
}

const serverless = "AWS::Serverless::Function"

func (s *scope) stack() (*Stack, error) {
	out := &Stack{Name: s.values["AWS::StackName"], Functions: map[string]Function{}, Queues: map[string]Queue{}}
	folders := map[string]string{} // by name and by ARN
	for _, id := range s.declared(serverless) {
		f, err := s.readFunction(id)
		if err != nil {
			return nil, err
		}
		out.Functions[f.Folder] = f
		folders[f.Name], folders[f.ARN] = f.Folder, f.Folder
	}
	for _, step := range []func(*Stack, map[string]string) error{
		s.readQueues, s.readMappings, s.readRules, s.readRoutes, s.readStage, s.readMail, s.readOutputs,
	} {
		if err := step(out, folders); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// declared returns the ids of the resources of a kind whose condition holds.
func (s *scope) declared(kind string) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(s.doc.section("Resources"))) {
		r := s.doc.section("Resources")[id]
		if dig(r, "Type") != kind {
			continue
		}
		if c, ok := dig(r, "Condition").(string); ok {
			if yes, err := s.condition(c, id); err != nil || !yes {
				continue
			}
		}
		ids = append(ids, id)
	}
	return ids
}

// properties returns a resource's properties, resolved.
func (s *scope) properties(id string) (map[string]any, error) {
	at := "Resources/" + id
	_, raw, err := s.resource(id, at)
	if err != nil {
		return nil, err
	}
	v, err := s.resolve(raw, at+"/Properties")
	if err != nil {
		return nil, err
	}
	m, _ := v.(map[string]any)
	return m, nil
}

func (s *scope) readFunction(id string) (Function, error) {
	p, err := s.properties(id)
	if err != nil {
		return Function{}, err
	}
	globals, err := s.resolve(dig(map[string]any(s.doc), "Globals", "Function", "Environment", "Variables"), "Globals/Function")
	if err != nil {
		return Function{}, err
	}
	f := Function{Folder: strings.ToLower(id), Name: text(p["FunctionName"]), Env: map[string]string{}}
	f.ARN = s.arn("lambda", "function:"+f.Name)
	for _, vars := range []any{globals, dig(p, "Environment", "Variables")} {
		m, _ := vars.(map[string]any)
		for k, v := range m {
			f.Env[k] = text(v)
		}
	}
	var n numbers
	f.Timeout = n.seconds(p, "Timeout")
	f.Memory = n.of(p, "MemorySize")
	if n.err != nil {
		return Function{}, fmt.Errorf("in Resources/%s: %w", id, n.err)
	}
	_, raw, _ := s.resource(id, id)
	role := list(dig(raw, "Role", "Fn::GetAtt"))
	if len(role) != 2 {
		return Function{}, fmt.Errorf("in Resources/%s: its role is not one of the template's", id)
	}
	f.Policy, err = s.statements(text(role[0]))
	return f, err
}

// numbers reads numbers and keeps the first error.
type numbers struct{ err error }

func (n *numbers) of(m map[string]any, key string) int {
	v, ok := m[key]
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(text(v))
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("%s is %v, not a number", key, v)
	}
	return i
}

func (n *numbers) seconds(m map[string]any, key string) time.Duration {
	return time.Duration(n.of(m, key)) * time.Second
}

func (s *scope) readQueues(out *Stack, _ map[string]string) error {
	for _, id := range s.declared("AWS::SQS::Queue") {
		p, err := s.properties(id)
		if err != nil {
			return err
		}
		var n numbers
		q := Queue{ARN: s.arn("sqs", text(p["QueueName"])), Visibility: n.seconds(p, "VisibilityTimeout")}
		if redrive, ok := p["RedrivePolicy"].(map[string]any); ok {
			q.MaxReceive, q.Dead = n.of(redrive, "maxReceiveCount"), text(redrive["deadLetterTargetArn"])
		}
		if n.err != nil {
			return fmt.Errorf("in Resources/%s: %w", id, n.err)
		}
		if q.Visibility == 0 {
			q.Visibility = 30 * time.Second // SQS's own
		}
		out.Queues[q.ARN] = q
	}
	return nil
}

func (s *scope) readMappings(out *Stack, folders map[string]string) error {
	for _, id := range s.declared("AWS::Lambda::EventSourceMapping") {
		p, err := s.properties(id)
		if err != nil {
			return err
		}
		f, ok := out.Functions[folders[text(p["FunctionName"])]]
		if !ok {
			return fmt.Errorf("in Resources/%s: it calls no function of the template", id)
		}
		partial := slices.Contains(words(p["FunctionResponseTypes"]), "ReportBatchItemFailures")
		source := text(p["EventSourceArn"])
		var n numbers
		switch {
		case strings.Contains(source, ":sqs:"):
			f.Queues = append(f.Queues, QueueSource{Queue: source, BatchSize: n.of(p, "BatchSize"), Partial: partial})
		case strings.Contains(source, ":dynamodb:"):
			bisect, _ := p["BisectBatchOnFunctionError"].(bool)
			m := Stream{
				BatchSize: n.of(p, "BatchSize"), Window: n.seconds(p, "MaximumBatchingWindowInSeconds"), Parallel: n.of(p, "ParallelizationFactor"),
				Bisect: bisect, Retries: n.of(p, "MaximumRetryAttempts"), MaxAge: n.seconds(p, "MaximumRecordAgeInSeconds"),
				Partial: partial, OnFailure: text(dig(p, "DestinationConfig", "OnFailure", "Destination")),
			}
			for _, filter := range list(dig(p, "FilterCriteria", "Filters")) {
				pattern, _ := dig(filter, "Pattern").(string)
				if !json.Valid([]byte(pattern)) {
					return fmt.Errorf("in Resources/%s: a filter is not JSON", id)
				}
				m.Filters = append(m.Filters, json.RawMessage(pattern))
			}
			f.Streams = append(f.Streams, m)
		default:
			return fmt.Errorf("in Resources/%s: a source like %s is not known here", id, source)
		}
		if n.err != nil {
			return fmt.Errorf("in Resources/%s: %w", id, n.err)
		}
		out.Functions[f.Folder] = f
	}
	return nil
}

func (s *scope) readRules(out *Stack, folders map[string]string) error {
	for _, id := range s.declared("AWS::Events::Rule") {
		p, err := s.properties(id)
		if err != nil {
			return err
		}
		for _, target := range list(p["Targets"]) {
			f, ok := out.Functions[folders[text(dig(target, "Arn"))]]
			if !ok {
				return fmt.Errorf("in Resources/%s: it calls no function of the template", id)
			}
			if rate, ok := p["ScheduleExpression"].(string); ok {
				every, err := parseRate(rate)
				if err != nil {
					return fmt.Errorf("in Resources/%s: %w", id, err)
				}
				f.Schedules = append(f.Schedules, Schedule{Every: every})
			} else {
				pattern, err := json.Marshal(p["EventPattern"])
				if err != nil {
					return fmt.Errorf("in Resources/%s: %w", id, err)
				}
				f.Rules = append(f.Rules, Rule{Pattern: pattern})
			}
			out.Functions[f.Folder] = f
		}
	}
	return nil
}

// parseRate reads EventBridge's "rate(5 minutes)".
func parseRate(rate string) (time.Duration, error) {
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	inner, ok := strings.CutPrefix(rate, "rate(")
	inner, closed := strings.CutSuffix(inner, ")")
	count, unit, spaced := strings.Cut(inner, " ")
	n, err := strconv.Atoi(count)
	of, known := units[strings.TrimSuffix(unit, "s")]
	if !ok || !closed || !spaced || err != nil || n < 1 || !known {
		return 0, fmt.Errorf("the schedule %q is not known here", rate)
	}
	return time.Duration(n) * of, nil
}

func (s *scope) readRoutes(out *Stack, folders map[string]string) error {
	integrations := map[string]string{}
	for _, id := range s.declared("AWS::ApiGatewayV2::Integration") {
		p, err := s.properties(id)
		if err != nil {
			return err
		}
		folder, ok := folders[text(p["IntegrationUri"])]
		if !ok {
			return fmt.Errorf("in Resources/%s: it calls no function of the template", id)
		}
		integrations["integrations/"+strings.ToLower(id)] = folder
	}
	for _, id := range s.declared("AWS::ApiGatewayV2::Route") {
		p, err := s.properties(id)
		if err != nil {
			return err
		}
		folder, ok := integrations[text(p["Target"])]
		if !ok {
			return fmt.Errorf("in Resources/%s: it leads nowhere", id)
		}
		out.Routes = append(out.Routes, Route{Key: text(p["RouteKey"]), Function: folder})
	}
	return nil
}

func (s *scope) readMail(out *Stack, _ map[string]string) error {
	for _, id := range s.declared("AWS::SES::ConfigurationSetEventDestination") {
		p, err := s.properties(id)
		if err != nil {
			return err
		}
		out.ConfigurationSet = text(p["ConfigurationSetName"])
		out.MatchingEventTypes = append(out.MatchingEventTypes, words(dig(p, "EventDestination", "MatchingEventTypes"))...)
	}
	return nil
}

func (s *scope) readStage(out *Stack, _ map[string]string) error {
	for _, id := range s.declared("AWS::ApiGatewayV2::Stage") {
		p, err := s.properties(id)
		if err != nil {
			return err
		}
		out.AccessLog = text(dig(p, "AccessLogSettings", "Format"))
	}
	return nil
}

func (s *scope) readOutputs(out *Stack, _ map[string]string) error {
	for name, to := range map[string]*string{"Url": &out.URL, "TableName": &out.Table, "SecretArn": &out.Secret} {
		v, err := s.resolve(dig(s.doc.section("Outputs")[name], "Value"), "Outputs/"+name)
		if err != nil {
			return err
		}
		*to, _ = v.(string)
		if *to == "" {
			return fmt.Errorf("in Outputs/%s: it is empty", name)
		}
	}
	return nil
}
