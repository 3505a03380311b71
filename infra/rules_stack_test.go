package infra

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var stateRules = []rule{{
	name: "the table outlives the stack, and can be brought back",
	check: func(h *house) {
		h.each("AWS::DynamoDB::Table", func(id string, raw, p map[string]any) {
			h.must(is(raw["DeletionPolicy"], "Retain") && is(raw["UpdateReplacePolicy"], "Retain"), "%s goes with the stack", id)
			h.must(is(p["DeletionProtectionEnabled"], true), "%s can be deleted", id)
			h.must(is(dig(p, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"), true), "%s cannot be restored", id)
			h.must(is(dig(raw, "Properties", "PointInTimeRecoverySpecification", "RecoveryPeriodInDays", "Ref"), "RecoveryDays"), "%s is not restored from where the operator says", id)
			h.must(is(dig(raw, "Properties", "TableName", "Ref"), "AWS::StackName"), "%s has no fixed name: a change could replace it", id)
			h.must(is(p["BillingMode"], "PAY_PER_REQUEST"), "%s is paid by %v", id, p["BillingMode"])
			h.must(is(dig(p, "StreamSpecification", "StreamViewType"), "NEW_IMAGE"), "%s streams %v", id, dig(p, "StreamSpecification", "StreamViewType"))
			h.must(is(dig(p, "TimeToLiveSpecification", "AttributeName"), "x") && is(dig(p, "TimeToLiveSpecification", "Enabled"), true), "%s forgets nothing", id)
			h.must(p["GlobalSecondaryIndexes"] == nil && p["LocalSecondaryIndexes"] == nil, "%s has an index: there is none in the design", id)
		})
	},
	plant: []mistake{
		{"without Retain", func(d document) {
			delete(d.section("Resources")["Table"].(map[string]any), "DeletionPolicy")
		}},
		{"replaced freely", func(d document) {
			d.section("Resources")["Table"].(map[string]any)["UpdateReplacePolicy"] = "Delete"
		}},
		spoil("Table", nil, "DeletionProtectionEnabled"), spoil("Table", false, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"),
		spoil("Table", 1.0, "PointInTimeRecoverySpecification", "RecoveryPeriodInDays"), spoil("Table", nil, "TableName"), spoil("Table", "PROVISIONED", "BillingMode"),
		spoil("Table", "KEYS_ONLY", "StreamSpecification", "StreamViewType"), spoil("Table", "ttl", "TimeToLiveSpecification", "AttributeName"),
		spoil("Table", []any{}, "GlobalSecondaryIndexes"),
	},
}, {
	// CloudFormation makes another value when any of it changes, and with
	// another key nobody in the table is found.
	name: "the server key is 64 hexadecimal digits, outlives the stack and never changes",
	check: func(h *house) {
		h.each("AWS::SecretsManager::Secret", func(id string, raw, p map[string]any) {
			h.must(is(raw["DeletionPolicy"], "RetainExceptOnCreate") && is(raw["UpdateReplacePolicy"], "Retain"), "%s goes with the stack, or stays when it was never used", id)
			h.must(raw["Condition"] == nil, "%s leaves the stack with a parameter, and cannot come back under its name", id)
			b, _ := json.Marshal(dig(raw, "Properties", "GenerateSecretString"))
			const stands = `{"ExcludeCharacters":"ghijklmnopqrstuvwxyz","ExcludePunctuation":true,"ExcludeUppercase":true,"IncludeSpace":false,"PasswordLength":64,"RequireEachIncludedType":false}`
			h.must(string(b) == stands, "%s is made by %s: every stack would lose its key", id, b)
			h.must(p["SecretString"] == nil, "%s is written out", id)
			var digits []rune
			for c := rune('!'); c < unicode.MaxASCII; c++ {
				if (unicode.IsLower(c) || unicode.IsDigit(c)) && !strings.ContainsRune(text(dig(p, "GenerateSecretString", "ExcludeCharacters")), c) {
					digits = append(digits, c)
				}
			}
			h.must(string(digits) == "0123456789abcdef", "%s is made of %s", id, string(digits))
		})
	},
	plant: []mistake{
		{"without Retain", func(d document) {
			delete(d.section("Resources")["ServerKey"].(map[string]any), "DeletionPolicy")
		}},
		{"Retain, also of a first deployment that failed", func(d document) {
			d.section("Resources")["ServerKey"].(map[string]any)["DeletionPolicy"] = "Retain"
		}},
		{"only where no other is given", func(d document) {
			d.section("Resources")["ServerKey"].(map[string]any)["Condition"] = "OwnDomain"
		}},
		spoil("ServerKey", 32.0, "GenerateSecretString", "PasswordLength"), spoil("ServerKey", "ghijklmnopqrstuvwxy", "GenerateSecretString", "ExcludeCharacters"),
		spoil("ServerKey", "key", "GenerateSecretString", "GenerateStringKey"), spoil("ServerKey", "00", "SecretString"),
	},
}, {
	// A table that is protected outlives the rollback of the deployment that made
	// it, and its name is taken then.
	name: "the table is made after everything that a wrong parameter breaks",
	check: func(h *house) {
		after, _ := json.Marshal(dig(h.doc.section("Resources")["Table"], "Metadata", "After"))
		for id, r := range h.doc.section("Resources") {
			if dig(r, "Condition") != nil {
				h.must(strings.Contains(string(after), `"Ref":"`+id+`"`), "the table may be made before %s fails", id)
			}
		}
	},
	plant: []mistake{
		{"in any order", func(d document) { delete(d.section("Resources")["Table"].(map[string]any), "Metadata") }},
		{"with another resource that a parameter asks for", func(d document) {
			d.section("Resources")["Other"] = map[string]any{"Type": "AWS::SNS::Topic", "Condition": "OwnDomain", "Properties": map[string]any{}}
		}},
	},
}, {
	name: "the key that is given is the key that is read, by everyone",
	check: func(h *house) {
		own, _ := h.ref("ServerKey", "ServerKey")
		want := text(own)
		if given := h.values["RestoredKey"]; given != "" {
			want = given
		}
		h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
			key := dig(p, "Environment", "Variables", "GATEHOUSE_SECRET")
			if key == nil {
				return
			}
			h.must(key == want, "%s has the key %v, want %s", id, key, want)
			for _, arn := range []string{text(own), keptKey} {
				may := h.may(id, Call{Action: "secretsmanager:GetSecretValue", Resource: arn})
				h.must(may == (arn == want), "%s may read %s: %v", id, arn, may)
			}
		})
		out, err := h.resolve(dig(h.doc.section("Outputs")["SecretArn"], "Value"), "SecretArn")
		h.must(err == nil && out == want, "the output SecretArn is %v, want %s", out, want)
	},
	plant: []mistake{
		spoil("Welcome", map[string]any{"Ref": "ServerKey"}, "Environment", "Variables", "GATEHOUSE_SECRET"),
		statement("SweepRole", "Key", map[string]any{"Ref": "ServerKey"}, "Resource"),
		statement("SweepRole", "Key", []any{map[string]any{"Ref": "ServerKey"}, keptKey}, "Resource"),
		{"the stack's own key in the outputs", func(d document) {
			d.section("Outputs")["SecretArn"].(map[string]any)["Value"] = map[string]any{"Ref": "ServerKey"}
		}},
	},
}, {
	name: "a stack's name of 3 to 53 characters fits every name that is made of it",
	check: func(h *house) {
		const longest = 53
		for kind, limit := range map[string]int{
			"AWS::Lambda::Function": 64, "AWS::Events::Rule": 64, "AWS::SES::ConfigurationSet": 64, "AWS::SQS::Queue": 80, "AWS::DynamoDB::Table": 255,
		} {
			h.each(kind, func(id string, raw, p map[string]any) {
				name := text(p[named[kind]])
				if kind == "AWS::SQS::Queue" {
					name = text(p["QueueName"])
				}
				beside := len(strings.Replace(name, h.values["AWS::StackName"], "", 1))
				h.must(longest+beside <= limit, "%s is %d characters longer than the stack's name", id, beside)
			})
		}
	},
	plant: []mistake{
		spoil("Mailevents", map[string]any{"Fn::Sub": "${AWS::StackName}-mail-events"}, "FunctionName"),
		spoil("DiscardedDeadQueue", map[string]any{"Fn::Sub": "${AWS::StackName}-discarded-and-never-read-again"}, "QueueName"),
	},
}}

// logged are the variables of an access log that hold nothing of a person.
var logged = []string{
	"requestId", "requestTimeEpoch", "routeKey", "status", "responseLength", "responseLatency", "integrationStatus", "integrationLatency",
}

var frontRules = []rule{{
	name: "the access log holds no path, no query, no address",
	check: func(h *house) {
		h.each("AWS::ApiGatewayV2::Stage", func(id string, raw, p map[string]any) {
			format := text(dig(p, "AccessLogSettings", "Format"))
			h.must(json.Valid([]byte(format)), "%s logs %s, which is not JSON", id, format)
			variables := regexp.MustCompile(`\$context\.([A-Za-z.]+)`).FindAllStringSubmatch(format, -1)
			h.must(len(variables) == len(logged) && strings.Count(format, "$") == len(logged), "%s logs %d variables", id, len(variables))
			for _, v := range variables {
				h.must(slices.Contains(logged, v[1]), "%s logs %s, which can hold a person", id, v[1])
			}
			group, _ := h.attribute("AccessLog", "Arn", id)
			h.must(text(dig(p, "AccessLogSettings", "DestinationArn"))+":*" == group, "%s logs to %v", id, dig(p, "AccessLogSettings", "DestinationArn"))
		})
	},
	plant: []mistake{
		spoil("Stage", `{"requestId":"$context.requestId","path":"$context.path"}`, "AccessLogSettings", "Format"),
		{"the address of a client beside", func(d document) {
			settings := in(d, "Stage")["AccessLogSettings"].(map[string]any)
			settings["Format"] = strings.Replace(settings["Format"].(string), "$context.status", "$context.identity.sourceIp", 1)
		}},
		{"the path under another name", func(d document) {
			settings := in(d, "Stage")["AccessLogSettings"].(map[string]any)
			settings["Format"] = strings.Replace(settings["Format"].(string), "$context.routeKey", "$context.http.path", 1)
		}},
		spoil("Stage", nil, "AccessLogSettings"), spoil("Stage", map[string]any{"Fn::GetAtt": []any{"ScimLog", "Arn"}}, "AccessLogSettings", "DestinationArn"),
	},
}, {
	name: "the API is throttled, and every route leads to a function that lets it",
	check: func(h *house) {
		h.each("AWS::ApiGatewayV2::Stage", func(id string, raw, p map[string]any) {
			settings := dig(raw, "Properties", "DefaultRouteSettings")
			h.must(is(dig(settings, "ThrottlingRateLimit", "Ref"), "ThrottleRate") && is(dig(settings, "ThrottlingBurstLimit", "Ref"), "ThrottleBurst"), "%s is not throttled", id)
			h.must(p["RouteSettings"] == nil, "%s has exceptions from its throttle", id)
			h.must(is(p["StageName"], "$default") && is(p["AutoDeploy"], true), "%s is %v and does not follow the template", id, p["StageName"])
		})
		to := map[string]string{}
		h.each("AWS::ApiGatewayV2::Integration", func(id string, raw, p map[string]any) {
			f, ok := h.caller(p["IntegrationUri"])
			h.must(ok && is(p["IntegrationType"], "AWS_PROXY") && is(p["PayloadFormatVersion"], "2.0"), "%s calls %v as %v %v", id, p["IntegrationUri"], p["IntegrationType"], p["PayloadFormatVersion"])
			to["integrations/"+lower(id)] = f
		})
		var keys []string
		h.each("AWS::ApiGatewayV2::Route", func(id string, raw, p map[string]any) {
			key := text(p["RouteKey"])
			keys = append(keys, key)
			f := to[text(p["Target"])]
			h.must(f != "", "%s leads nowhere", id)
			at := "$default/" + strings.Replace(key, "ANY /", "POST/", 1) // stage, method and route
			if key == "$default" {
				at = "$default/$default"
			}
			h.must(h.permitted(f, "apigateway.amazonaws.com", h.arn("execute-api", "api/"+at)), "%s may not call %s", id, f)
			h.must(p["AuthorizationType"] == nil || is(p["AuthorizationType"], "NONE"), "%s asks for credentials that SCIM clients have not", id)
		})
		slices.Sort(keys)
		h.must(slices.Equal(keys, []string{"$default", "ANY /scim/v2", "ANY /scim/v2/{proxy+}"}), "the routes are %v", keys)
	},
	plant: []mistake{
		spoil("Stage", nil, "DefaultRouteSettings"), spoil("Stage", 0.0, "DefaultRouteSettings", "ThrottlingRateLimit"), spoil("Stage", false, "AutoDeploy"),
		spoil("Stage", map[string]any{"ANY /scim/v2": map[string]any{}}, "RouteSettings"), spoil("PortalIntegration", "1.0", "PayloadFormatVersion"),
		spoil("ScimIntegration", map[string]any{"Fn::GetAtt": []any{"Table", "Arn"}}, "IntegrationUri"), spoil("ScimRoute", "integrations/x", "Target"),
		without("ScimRoutePermission"), without("ScimRootRoutePermission"), without("PortalRoutePermission"), without("ScimRootRoute"),
		spoil("ScimRoute", "AWS_IAM", "AuthorizationType"),
	},
}, {
	name: "nobody may call a function but for one source of this account",
	check: func(h *house) {
		h.each("AWS::Lambda::Permission", func(id string, raw, p map[string]any) {
			_, ok := h.caller(p["FunctionName"])
			h.must(ok && is(p["Action"], "lambda:InvokeFunction"), "%s allows %v on %v", id, p["Action"], p["FunctionName"])
			h.must(slices.Contains([]string{"apigateway.amazonaws.com", "events.amazonaws.com"}, text(p["Principal"])), "%s allows %v", id, p["Principal"])
			source := text(p["SourceArn"])
			rest, own := strings.CutPrefix(source, h.arn("execute-api", "api/"))
			if !own {
				rest, own = strings.CutPrefix(source, h.arn("events", "rule/"))
			}
			h.must(own && rest != "*" && rest != "*/*" && rest != "*/*/*", "%s allows the sources %s", id, source)
			h.must(p["FunctionUrlAuthType"] == nil, "%s opens a function's own address", id)
		})
		for _, id := range h.declared("AWS::Lambda::Url") {
			h.breach("%s is a way past the gateway", id)
		}
	},
	plant: []mistake{
		spoil("ScimRoutePermission", nil, "SourceArn"), spoil("ScimRoutePermission", "arn:aws:execute-api:us-east-1:123456789012:*", "SourceArn"),
		spoil("ScimRoutePermission", "*", "Principal"), spoil("SweepRulePermission", "lambda:*", "Action"), spoil("SweepRulePermission", "NONE", "FunctionUrlAuthType"),
		{"an address of its own", func(d document) {
			d.section("Resources")["Url"] = map[string]any{"Type": "AWS::Lambda::Url", "Properties": map[string]any{}}
		}},
	},
}, {
	name: "there is one way in, and it is the one in the links",
	check: func(h *house) {
		domain := h.values["DomainName"]
		h.each("AWS::ApiGatewayV2::Api", func(id string, raw, p map[string]any) {
			h.must(is(p["ProtocolType"], "HTTP") && p["CorsConfiguration"] == nil, "%s is %v, with CORS %v", id, p["ProtocolType"], p["CorsConfiguration"])
			h.must(is(p["DisableExecuteApiEndpoint"], domain != ""), "with the domain %q the address of API Gateway is disabled: %v", domain, p["DisableExecuteApiEndpoint"])
			endpoint, _ := h.attribute(id, "ApiEndpoint", id)
			want := text(endpoint)
			if domain != "" {
				want = "https://" + domain
			}
			h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
				if url := dig(p, "Environment", "Variables", "GATEHOUSE_URL"); url != nil {
					h.must(url == want, "%s links to %v, want %s", id, url, want)
				}
			})
			url, err := h.resolve(dig(h.doc.section("Outputs")["Url"], "Value"), "Url")
			h.must(err == nil && url == want, "the output Url is %v, want %s", url, want)
		})
		count := map[bool]int{true: 1}[domain != ""]
		h.must(len(h.declared("AWS::ApiGatewayV2::DomainName")) == count && len(h.declared("AWS::ApiGatewayV2::ApiMapping")) == count, "with the domain %q its resources are not there, or are", domain)
		h.must(len(h.declared("AWS::Route53::RecordSet")) == map[bool]int{true: 1}[h.values["HostedZoneId"] != ""], "the record is not where the zone is")
		h.each("AWS::ApiGatewayV2::DomainName", func(id string, raw, p map[string]any) {
			for _, c := range list(p["DomainNameConfigurations"]) {
				h.must(is(dig(c, "SecurityPolicy"), "TLS_1_2"), "%s takes %v", id, dig(c, "SecurityPolicy"))
			}
		})
	},
	plant: []mistake{
		spoil("Api", nil, "DisableExecuteApiEndpoint"), spoil("Api", true, "DisableExecuteApiEndpoint"), spoil("Api", map[string]any{}, "CorsConfiguration"),
		spoil("Portal", map[string]any{"Fn::GetAtt": []any{"Api", "ApiEndpoint"}}, "Environment", "Variables", "GATEHOUSE_URL"), without("DomainMapping"), without("DomainRecord"),
		spoil("Domain", "TLS_1_0", "DomainNameConfigurations", 0, "SecurityPolicy"),
		{"a domain whether asked for or not", func(d document) { delete(d.section("Resources")["Domain"].(map[string]any), "Condition") }},
	},
}}

var mailRules = []rule{{
	name: "SES reports what becomes of mails to the default bus, in capitals",
	check: func(h *house) {
		h.each("AWS::SES::ConfigurationSetEventDestination", func(id string, raw, p map[string]any) {
			types := words(dig(p, "EventDestination", "MatchingEventTypes"))
			slices.Sort(types)
			// No OPEN and no CLICK: nobody is watched reading.
			want := []string{"BOUNCE", "COMPLAINT", "DELIVERY", "DELIVERY_DELAY", "REJECT", "RENDERING_FAILURE", "SEND"}
			h.must(slices.Equal(types, want), "%s reports %v, want %v", id, types, want)
			h.must(is(dig(p, "EventDestination", "EventBridgeDestination", "EventBusArn"), h.arn("events", "event-bus/default")), "%s reports to %v", id, dig(p, "EventDestination", "EventBridgeDestination"))
			h.must(is(dig(p, "EventDestination", "Enabled"), true), "%s is off", id)
			h.must(is(dig(raw, "Properties", "ConfigurationSetName", "Ref"), "MailSet"), "%s is of another set", id)
		})
	},
	plant: []mistake{
		spoil("MailSetEvents", []any{"send", "delivery", "bounce", "complaint", "reject", "renderingFailure", "deliveryDelay"}, "EventDestination", "MatchingEventTypes"),
		spoil("MailSetEvents", []any{"DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE", "DELIVERY_DELAY"}, "EventDestination", "MatchingEventTypes"),
		spoil("MailSetEvents", map[string]any{"Fn::Sub": "arn:aws:events:us-east-1:123456789012:event-bus/mail"}, "EventDestination", "EventBridgeDestination", "EventBusArn"),
		spoil("MailSetEvents", false, "EventDestination", "Enabled"), spoil("MailSetEvents", nil, "EventDestination", "Enabled"), spoil("MailSetEvents", "x", "ConfigurationSetName"),
		without("MailSetEvents"),
	},
}, {
	name: "mails go over TLS, not to who complained, and are not tracked",
	check: func(h *house) {
		h.each("AWS::SES::ConfigurationSet", func(id string, raw, p map[string]any) {
			h.must(is(dig(raw, "Properties", "DeliveryOptions", "TlsPolicy", "Ref"), "MailTls") && h.values["MailTls"] == "REQUIRE", "%s sends over TLS: %v", id, dig(p, "DeliveryOptions"))
			reasons := words(dig(p, "SuppressionOptions", "SuppressedReasons"))
			slices.Sort(reasons)
			h.must(slices.Equal(reasons, []string{"BOUNCE", "COMPLAINT"}), "%s suppresses after %v", id, reasons)
			h.must(is(dig(p, "ReputationOptions", "ReputationMetricsEnabled"), true), "%s has no metrics of reputation, which alarms watch", id)
			h.must(p["TrackingOptions"] == nil && p["VdmOptions"] == nil, "%s tracks people", id)
		})
		h.must(len(h.declared("AWS::SES::EmailIdentity")) == map[bool]int{true: 1}[h.values["CreateMailIdentity"] == "true"], "the identity is not made where it is asked for")
		h.each("AWS::SES::EmailIdentity", func(id string, raw, p map[string]any) {
			h.must(strings.HasSuffix(h.values["MailFrom"], "@"+text(p["EmailIdentity"])), "%s is %v", id, p["EmailIdentity"])
		})
	},
	plant: []mistake{
		spoil("MailSet", nil, "DeliveryOptions"), spoil("MailSet", nil, "SuppressionOptions"), spoil("MailSet", []any{"BOUNCE"}, "SuppressionOptions", "SuppressedReasons"),
		spoil("MailSet", false, "ReputationOptions", "ReputationMetricsEnabled"), spoil("MailSet", map[string]any{"CustomRedirectDomain": "x"}, "TrackingOptions"),
		{"TLS when it suits", func(d document) { d.section("Parameters")["MailTls"].(map[string]any)["Default"] = "OPTIONAL" }},
		{"an identity unasked", func(d document) {
			delete(d.section("Resources")["MailIdentityOfDomain"].(map[string]any), "Condition")
		}},
		spoil("MailIdentityOfDomain", map[string]any{"Ref": "MailFrom"}, "EmailIdentity"),
	},
}}

var watchRules = []rule{{
	name: "every alarm has a page that says what to do, and reaches who is to be told",
	check: func(h *house) {
		root, err := Root()
		if err != nil {
			h.breach("%v", err)
			return
		}
		pages, _ := filepath.Glob(filepath.Join(root, "docs", "alerts", "*.md"))
		unread := map[string]bool{}
		for _, p := range pages {
			unread[filepath.Base(p)] = true
		}
		told := h.values["AlarmEmail"] != "" || h.values["AlarmTopicArn"] != ""
		h.each("AWS::CloudWatch::Alarm", func(id string, raw, p map[string]any) {
			name, ok := strings.CutPrefix(text(p["AlarmName"]), h.values["AWS::StackName"]+"-")
			h.must(ok, "%s is named %v", id, p["AlarmName"])
			page := name + ".md"
			_, err := os.Stat(filepath.Join(root, "docs", "alerts", page))
			h.must(err == nil && strings.HasSuffix(text(p["AlarmDescription"]), "See docs/alerts/"+page+"."), "%s has no page docs/alerts/%s, or does not name it", id, page)
			delete(unread, page)
			for _, kind := range []string{"AlarmActions", "OKActions"} {
				h.must((len(list(p[kind])) == 1) == told, "the %s of %s are %v", kind, id, p[kind])
			}
			h.must(p["TreatMissingData"] != nil, "%s does not say what no data means", id)
		})
		for page := range unread {
			h.breach("no alarm belongs to docs/alerts/%s", page)
		}
		h.must(len(h.declared("AWS::SNS::Topic")) == map[bool]int{true: 1}[h.values["AlarmEmail"] != ""], "the topic is not made where it is asked for")
	},
	plant: []mistake{
		spoil("BouncesAlarm", nil, "AlarmActions"), spoil("BouncesAlarm", nil, "OKActions"), spoil("BouncesAlarm", "Many bounce.", "AlarmDescription"),
		spoil("BouncesAlarm", map[string]any{"Fn::Sub": "${AWS::StackName}-new"}, "AlarmName"), spoil("BouncesAlarm", nil, "TreatMissingData"), without("BouncesAlarm"), without("AlarmTopic"),
		{"a topic unasked", func(d document) { delete(d.section("Resources")["AlarmTopic"].(map[string]any), "Condition") }},
	},
}, {
	name: "what goes wrong silently is watched",
	check: func(h *house) {
		for _, id := range h.declared("AWS::Lambda::Function") {
			h.must(h.watches("Errors", "FunctionName", id), "nobody is told that %s fails", id)
			h.must(h.watches("Throttles", "FunctionName", id), "nobody is told that %s is throttled", id)
		}
		for _, id := range []string{"Feed", "Welcome"} {
			h.must(h.watches("IteratorAge", "FunctionName", id), "nobody is told that %s is behind", id)
		}
		h.must(h.watches("Invocations", "FunctionName", "Sweep"), "nobody is told that no sweep runs")
		h.must(h.watches("5xx", "ApiId", "Api"), "nobody is told of requests that fail")
		h.must(h.watches("Reputation.BounceRate", "ses:configuration-set", "MailSet") && h.watches("Reputation.ComplaintRate", "ses:configuration-set", "MailSet"), "nobody is told of bounces or complaints")
		silent, _ := h.properties("SweepSilentAlarm")
		h.must(is(silent["TreatMissingData"], "breaching"), "a sweep that never runs has no data, and is taken for well")
		counted := map[string]bool{}
		var metric string
		h.each("AWS::Logs::MetricFilter", func(id string, raw, p map[string]any) {
			h.must(is(p["FilterPattern"], `{ $.level = "ERROR" }`), "%s counts %v", id, p["FilterPattern"])
			for _, m := range list(p["MetricTransformations"]) {
				metric = text(dig(m, "MetricNamespace")) + " " + text(dig(m, "MetricName"))
				h.must(is(dig(m, "MetricValue"), 1) && dig(m, "Dimensions") == nil, "%s counts %v", id, m)
			}
			counted[text(dig(raw, "Properties", "LogGroupName", "Ref"))] = true
		})
		for _, log := range []string{"FeedLog", "WelcomeLog", "SweepLog", "DiscardedLog"} {
			h.must(counted[log], "nobody counts the errors in %s", log)
		}
		watched := false
		h.each("AWS::CloudWatch::Alarm", func(id string, raw, p map[string]any) {
			watched = watched || text(p["Namespace"])+" "+text(p["MetricName"]) == metric
		})
		h.must(watched, "nobody is told of the errors that are counted")
	},
	plant: []mistake{
		without("FunctionErrorsAlarm"), without("ThrottlesAlarm"), without("FeedBehindAlarm"), without("SweepSilentAlarm"), without("HttpErrorsAlarm"), without("BouncesAlarm"),
		without("ComplaintsAlarm"), without("ErrorsLoggedAlarm"), without("FeedErrors"), spoil("SweepSilentAlarm", "notBreaching", "TreatMissingData"),
		spoil("FeedErrors", `{ $.level = "error" }`, "FilterPattern"), spoil("ErrorsLoggedAlarm", "Gatehouse/other", "Namespace"),
		spoil("FunctionErrorsAlarm", []any{}, "Metrics"),
	},
}, {
	// An identity provider asks every 40 minutes.
	name: "callers who meet a failing function every 40 minutes are noticed, a single one is not",
	check: func(h *house) {
		for _, id := range []string{"Scim", "Portal"} {
			name, _ := h.ref(id, id)
			told := false
			h.each("AWS::CloudWatch::Alarm", func(alarm string, raw, p map[string]any) {
				for _, m := range list(p["Metrics"]) {
					stat := dig(m, "MetricStat")
					if !is(dig(stat, "Metric", "MetricName"), "Errors") || !is(dig(stat, "Stat"), "Sum") {
						continue
					}
					if d := list(dig(stat, "Metric", "Dimensions")); len(d) != 1 || dig(d[0], "Value") != name {
						continue
					}
					var n numbers
					period, _ := stat.(map[string]any)
					minutes := n.of(period, "Period") / 60
					h.must(n.err == nil && !raises(p, minutes, 24*60), "%s is raised by one error", alarm)
					told = told || raises(p, minutes, 40)
				}
			})
			h.must(told, "nobody is told that %s fails in a small stack", id)
		}
	},
	plant: []mistake{
		without("RequestErrorsAlarm"), spoil("RequestErrorsAlarm", 3.0, "Threshold"), spoil("RequestErrorsAlarm", 1.0, "DatapointsToAlarm"),
		spoil("RequestErrorsAlarm", 300.0, "Metrics", 1, "MetricStat", "Period"), spoil("RequestErrorsAlarm", "Maximum", "Metrics", 2, "MetricStat", "Stat"),
	},
}, {
	name: "parameters explain themselves, and only the sender has to be given",
	check: func(h *house) {
		body, _ := json.Marshal([]any{h.doc["Resources"], h.doc["Conditions"], h.doc["Outputs"]})
		groups, _ := json.Marshal(dig(map[string]any(h.doc), "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups"))
		for name, v := range h.doc.section("Parameters") {
			p := v.(map[string]any)
			h.must(len(text(p["Description"])) > 20 && p["Description"] != nil, "%s does not explain itself", name)
			_, optional := p["Default"]
			h.must(optional == (name != "MailFrom"), "%s has a default: %v", name, optional)
			bounded := p["AllowedPattern"] != nil && p["ConstraintDescription"] != nil || p["AllowedValues"] != nil || p["MinValue"] != nil
			h.must(bounded, "%s takes anything", name)
			h.must(strings.Contains(string(body), `"Ref":"`+name+`"`) || strings.Contains(string(body), "${"+name+"}"), "nothing uses %s", name)
			h.must(strings.Contains(string(groups), `"`+name+`"`), "%s is in no group", name)
		}
		for name, o := range h.doc.section("Outputs") {
			h.must(dig(o, "Description") != nil, "the output %s does not explain itself", name)
		}
	},
	plant: []mistake{
		{"a parameter without words", func(d document) { delete(d.section("Parameters")["MailFrom"].(map[string]any), "Description") }},
		{"a parameter more to give", func(d document) { delete(d.section("Parameters")["LogDays"].(map[string]any), "Default") }},
		{"a parameter for nothing", func(d document) {
			d.section("Parameters")["X"] = map[string]any{"Type": "Number", "Default": 0.0, "MinValue": 0.0, "Description": "Something that nobody uses at all."}
		}},
		{"a parameter that takes anything", func(d document) { delete(d.section("Parameters")["AlarmEmail"].(map[string]any), "AllowedPattern") }},
		{"an output without words", func(d document) { delete(d.section("Outputs")["Url"].(map[string]any), "Description") }},
	},
}}

// raises reports whether an alarm on a sum that is above its threshold is raised
// within a day by one error at its beginning and another every so many minutes.
func raises(alarm map[string]any, period, every int) bool {
	const day = 24 * 60
	if period == 0 {
		return false
	}
	var n numbers
	sums := make([]int, day/period)
	for at := 0; at < day; at += every {
		sums[at/period]++
	}
	window, breaches := n.of(alarm, "EvaluationPeriods"), n.of(alarm, "DatapointsToAlarm")
	if breaches == 0 {
		breaches = window
	}
	for i := range sums {
		found := 0
		for _, sum := range sums[i:min(i+window, len(sums))] {
			if sum > n.of(alarm, "Threshold") {
				found++
			}
		}
		if found >= breaches {
			return true
		}
	}
	return false
}

// watches reports whether an alarm looks at the metric of that resource, alone
// or among others.
func (h *house) watches(metric, dimension, id string) bool {
	var want any
	if dimension == "QueueName" {
		want, _ = h.attribute(id, "QueueName", id)
	} else {
		want, _ = h.ref(id, id)
	}
	found := false
	h.each("AWS::CloudWatch::Alarm", func(_ string, raw, p map[string]any) {
		metrics := []any{p}
		for _, m := range list(p["Metrics"]) {
			metrics = append(metrics, dig(m, "MetricStat", "Metric"))
		}
		for _, m := range metrics {
			dimensions := list(dig(m, "Dimensions"))
			found = found || is(dig(m, "MetricName"), metric) && len(dimensions) == 1 && is(dig(dimensions[0], "Name"), dimension) && is(dig(dimensions[0], "Value"), want)
		}
	})
	return found
}
