package infra

import (
	"fmt"
	"slices"
	"strings"
)

// resource returns a declared resource's type and properties.
func (s *scope) resource(id, at string) (kind string, properties map[string]any, err error) {
	r, ok := s.doc.section("Resources")[id].(map[string]any)
	if !ok {
		return "", nil, fmt.Errorf("%s: there is no resource or parameter %q", at, id)
	}
	kind, _ = r["Type"].(string)
	properties, _ = r["Properties"].(map[string]any)
	return kind, properties, nil
}

// ref is what Ref returns of a parameter or a resource.
func (s *scope) ref(id, at string) (any, error) {
	if id == "AWS::NoValue" {
		return noValue{}, nil
	}
	if v, ok := s.values[id]; ok {
		return v, nil
	}
	kind, _, err := s.resource(id, at)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "AWS::SQS::Queue":
		name, err := s.name(id, "QueueName", at)
		return fmt.Sprintf("https://sqs.%s.%s/%s/%s", s.values["AWS::Region"], s.values["AWS::URLSuffix"], s.values["AWS::AccountId"], name), err
	case "AWS::SecretsManager::Secret":
		name, err := s.name(id, "Name", at)
		return s.arn("secretsmanager", "secret:"+name+"-AbCdEf"), err // AWS adds six letters by chance
	case "AWS::SNS::Topic":
		name, err := s.name(id, "TopicName", at)
		return s.arn("sns", name), err
	case "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route":
		return strings.ToLower(id), nil // AWS chooses it
	}
	if property, ok := named[kind]; ok {
		return s.name(id, property, at)
	}
	return nil, fmt.Errorf("%s: Ref of %s is not known here", at, kind)
}

// named are the kinds whose Ref is their name, and the property that sets it.
var named = map[string]string{
	"AWS::Serverless::Function":     "FunctionName",
	"AWS::Lambda::Function":         "FunctionName",
	"AWS::DynamoDB::Table":          "TableName",
	"AWS::Logs::LogGroup":           "LogGroupName",
	"AWS::SES::ConfigurationSet":    "Name",
	"AWS::SES::EmailIdentity":       "EmailIdentity",
	"AWS::Events::Rule":             "Name",
	"AWS::ApiGatewayV2::Stage":      "StageName",
	"AWS::ApiGatewayV2::DomainName": "DomainName",
}

// attribute is what Fn::GetAtt returns.
func (s *scope) attribute(id, attribute, at string) (any, error) {
	kind, _, err := s.resource(id, at)
	if err != nil {
		return nil, err
	}
	of := func(property, form string) (any, error) {
		name, err := s.name(id, property, at)
		return strings.ReplaceAll(form, "NAME", name), err
	}
	switch kind + "." + attribute {
	case "AWS::Serverless::Function.Arn", "AWS::Lambda::Function.Arn":
		return of("FunctionName", s.arn("lambda", "function:NAME"))
	case "AWS::IAM::Role.Arn":
		return "arn:" + s.values["AWS::Partition"] + ":iam::" + s.values["AWS::AccountId"] + ":role/" + id, nil
	case "AWS::SQS::Queue.Arn":
		return of("QueueName", s.arn("sqs", "NAME"))
	case "AWS::SQS::Queue.QueueName":
		return of("QueueName", "NAME")
	case "AWS::DynamoDB::Table.Arn":
		return of("TableName", s.arn("dynamodb", "table/NAME"))
	case "AWS::DynamoDB::Table.StreamArn":
		return of("TableName", s.arn("dynamodb", "table/NAME/stream/2026-01-01T00:00:00.000"))
	case "AWS::Logs::LogGroup.Arn":
		return of("LogGroupName", s.arn("logs", "log-group:NAME:*"))
	case "AWS::Events::Rule.Arn":
		return of("Name", s.arn("events", "rule/NAME"))
	case "AWS::ApiGatewayV2::Api.ApiEndpoint":
		return fmt.Sprintf("https://%s.execute-api.%s.%s", strings.ToLower(id), s.values["AWS::Region"], s.values["AWS::URLSuffix"]), nil
	case "AWS::ApiGatewayV2::DomainName.RegionalDomainName":
		return of("DomainName", "d-NAME.execute-api."+s.values["AWS::Region"]+"."+s.values["AWS::URLSuffix"])
	case "AWS::ApiGatewayV2::DomainName.RegionalHostedZoneId":
		return "Z0000000000000000000", nil
	}
	if kind == "AWS::SES::EmailIdentity" && strings.HasPrefix(attribute, "DkimDNSToken") {
		return of("EmailIdentity", strings.ToLower(attribute)+".NAME")
	}
	return nil, fmt.Errorf("%s: %s of %s is not known here", at, attribute, kind)
}

// name returns a resource's own name, which the template sets for each kind
// that is asked.
func (s *scope) name(id, property, at string) (string, error) {
	if slices.Contains(s.asking, id) {
		return "", fmt.Errorf("%s: %s depends on itself", at, id)
	}
	s.asking = append(s.asking, id)
	defer func() { s.asking = s.asking[:len(s.asking)-1] }()
	_, properties, err := s.resource(id, at)
	if err != nil {
		return "", err
	}
	v, err := s.resolve(properties[property], "Resources/"+id+"/Properties/"+property)
	if err != nil {
		return "", err
	}
	name, _ := v.(string)
	if name == "" {
		return "", fmt.Errorf("in Resources/%s: it has no %s", id, property)
	}
	return name, nil
}

func (s *scope) arn(service, rest string) string {
	return strings.Join([]string{"arn", s.values["AWS::Partition"], service, s.values["AWS::Region"], s.values["AWS::AccountId"], rest}, ":")
}
