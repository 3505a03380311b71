package infra

import (
	"slices"
	"strconv"
	"strings"
)

var functionRules = []rule{{
	name: "every function runs Go for arm64, named for its folder",
	check: func(h *house) {
		h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
			h.must(is(p["Runtime"], "provided.al2023"), "%s runs on %v", id, p["Runtime"])
			h.must(slices.Equal(words(p["Architectures"]), []string{"arm64"}), "%s is for %v", id, p["Architectures"])
			h.must(is(p["Handler"], "bootstrap"), "%s has the handler %v", id, p["Handler"])
			h.must(is(p["FunctionName"], h.values["AWS::StackName"]+"-"+lower(id)), "%s is named %v", id, p["FunctionName"])
		})
	},
	plant: []mistake{
		spoil("Scim", "go1.x", "Runtime"), spoil("Feed", []any{"x86_64"}, "Architectures"), spoil("Feed", nil, "Architectures"),
		spoil("Portal", "main", "Handler"), spoil("Sweep", nil, "FunctionName"),
	},
}, {
	name: "every function has a time-out and memory of its own",
	check: func(h *house) {
		h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
			var n numbers
			timeout, memory := n.of(p, "Timeout"), n.of(p, "MemorySize")
			h.must(n.err == nil && timeout >= 29 && timeout <= 300, "%s has the time-out %v", id, p["Timeout"])
			h.must(memory >= 256 && memory <= 1024, "%s has %v MB", id, p["MemorySize"])
		})
		// A gateway that gives up first answers for us, and not in SCIM.
		h.each("AWS::ApiGatewayV2::Integration", func(id string, raw, p map[string]any) {
			var n numbers
			if f, ok := h.caller(p["IntegrationUri"]); ok {
				_, fp, _ := h.resource(f, f)
				h.must(n.of(p, "TimeoutInMillis") > 1000*n.of(fp, "Timeout"), "%s gives up before %s does", id, f)
			}
		})
		// An attempt to send takes 90 s, and 10 s to write it down.
		for _, id := range []string{"Welcome", "Sweep"} {
			var n numbers
			_, p, _ := h.resource(id, id)
			h.must(n.of(p, "Timeout") > 120, "%s ends before an attempt to send does", id)
		}
	},
	plant: []mistake{
		spoil("Feed", nil, "Timeout"), spoil("Scim", 30.0, "Timeout"), spoil("Welcome", 60.0, "Timeout"),
		spoil("Portal", nil, "MemorySize"), spoil("ScimIntegration", 29000.0, "TimeoutInMillis"),
	},
}, {
	name: "every function has a role of its own",
	check: func(h *house) {
		seen := map[string]string{}
		h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
			role := list(dig(raw, "Properties", "Role", "Fn::GetAtt"))
			if len(role) != 2 {
				h.breach("%s has no role of the template", id)
				return
			}
			name := text(role[0])
			h.must(name == id+"Role", "%s has the role %s", id, name)
			h.must(seen[name] == "", "%s shares its role with %s", id, seen[name])
			seen[name] = id
		})
		h.each("AWS::IAM::Role", func(id string, raw, p map[string]any) {
			h.must(seen[id] != "", "nobody has the role %s", id)
		})
	},
	plant: []mistake{
		spoil("Scim", map[string]any{"Fn::GetAtt": []any{"PortalRole", "Arn"}}, "Role"),
		spoil("Scim", "arn:aws:iam::123456789012:role/admin", "Role"),
	},
}, {
	name: "every function logs JSON into a group of its own that is made before it",
	check: func(h *house) {
		h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
			group := text(dig(raw, "Properties", "LoggingConfig", "LogGroup", "Ref"))
			h.must(group == id+"Log", "%s logs into %v, not by Ref into its own group", id, dig(raw, "Properties", "LoggingConfig", "LogGroup"))
			h.must(is(dig(p, "LoggingConfig", "LogFormat"), "JSON"), "%s logs %v", id, dig(p, "LoggingConfig", "LogFormat"))
		})
	},
	plant: []mistake{
		spoil("Feed", nil, "LoggingConfig", "LogGroup"), spoil("Feed", "/aws/lambda/x", "LoggingConfig", "LogGroup"),
		spoil("Feed", map[string]any{"Ref": "ScimLog"}, "LoggingConfig", "LogGroup"), spoil("Feed", "Text", "LoggingConfig", "LogFormat"),
	},
}, {
	name: "every log group is kept for as long as the operator says, and no longer",
	check: func(h *house) {
		h.each("AWS::Logs::LogGroup", func(id string, raw, p map[string]any) {
			h.must(is(dig(raw, "Properties", "RetentionInDays", "Ref"), "LogDays"), "%s is kept for %v", id, p["RetentionInDays"])
			h.must(strings.HasPrefix(text(p["LogGroupName"]), "/aws/"), "%s is named %v", id, p["LogGroupName"])
		})
	},
	plant: []mistake{spoil("FeedLog", nil, "RetentionInDays"), spoil("AccessLog", 3653.0, "RetentionInDays"), spoil("AccessLog", nil, "LogGroupName")},
}, {
	name: "nothing but references stands in an environment, and what Go takes of the memory",
	check: func(h *house) {
		h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
			vars, _ := dig(raw, "Properties", "Environment", "Variables").(map[string]any)
			h.must(len(vars) > 0, "%s has no environment", id)
			limit, _ := strings.CutSuffix(text(vars["GOMEMLIMIT"]), "MiB")
			mib, err := strconv.Atoi(limit)
			memory, _ := p["MemorySize"].(float64)
			// What is not the heap, and what is allocated past a soft limit, needs a
			// quarter.
			h.must(err == nil && float64(mib) <= 0.75*memory, "the heap of %s may have %v of %v MB", id, vars["GOMEMLIMIT"], memory)
			for name, v := range vars {
				if name == "GOGC" || name == "GOMEMLIMIT" {
					continue
				}
				_, reference := v.(map[string]any)
				h.must(reference, "%s of %s is written out", name, id)
				h.must(strings.HasPrefix(name, "GATEHOUSE_"), "%s has %s", id, name)
				// The secret's value would stand in the function's configuration.
				h.must(!strings.Contains(text(v), "resolve:") && !strings.Contains(text(dig(p, "Environment", "Variables", name)), "{{"), "%s of %s holds the secret itself", name, id)
			}
		})
	},
	plant: []mistake{
		spoil("Scim", "0123456789abcdef", "Environment", "Variables", "GATEHOUSE_SECRET"),
		spoil("Scim", map[string]any{"Fn::Sub": "{{resolve:secretsmanager:${ServerKey}}}"}, "Environment", "Variables", "GATEHOUSE_SECRET"),
		spoil("Scim", map[string]any{"Ref": "Table"}, "Environment", "Variables", "DEBUG"),
		spoil("Sweep", "256MiB", "Environment", "Variables", "GOMEMLIMIT"), spoil("Sweep", nil, "Environment", "Variables", "GOMEMLIMIT"),
		spoil("Discarded", nil, "Environment"),
	},
}}

var roleRules = []rule{{
	name: "no role has a managed policy, and Lambda alone takes it",
	check: func(h *house) {
		h.each("AWS::IAM::Role", func(id string, raw, p map[string]any) {
			h.must(p["ManagedPolicyArns"] == nil, "%s has managed policies", id)
			h.must(p["RoleName"] == nil, "%s has a name, which wants CAPABILITY_NAMED_IAM", id)
			trust := list(dig(p, "AssumeRolePolicyDocument", "Statement"))
			h.must(len(trust) == 1 && is(dig(trust[0], "Principal", "Service"), "lambda.amazonaws.com") && len(dig(trust[0], "Principal").(map[string]any)) == 1,
				"%s is taken by others than Lambda", id)
		})
		for _, id := range h.declared("AWS::IAM::Policy") {
			h.breach("%s stands beside the roles", id)
		}
		for _, id := range h.declared("AWS::IAM::ManagedPolicy") {
			h.breach("%s stands beside the roles", id)
		}
	},
	plant: []mistake{
		spoil("FeedRole", []any{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}, "ManagedPolicyArns"),
		spoil("FeedRole", []any{map[string]any{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"AWS": "*"}}}, "AssumeRolePolicyDocument", "Statement"),
		spoil("FeedRole", "x", "RoleName"),
		{"a managed policy beside", func(d document) { d.section("Resources")["M"] = map[string]any{"Type": "AWS::IAM::ManagedPolicy"} }},
	},
}, {
	name: "roles allow exactly the stated actions",
	check: func(h *house) {
		h.each("AWS::Lambda::Function", func(id string, raw, p map[string]any) {
			st, err := h.statements(id + "Role")
			if err != nil {
				h.breach("%v", err)
				return
			}
			var got []string
			for _, s := range st {
				for _, a := range s.Actions {
					h.must(!strings.ContainsAny(a, "*?"), "%s may %s", id, a)
					got = append(got, a)
				}
			}
			slices.Sort(got)
			want := slices.Clone(mayDo[lower(id)])
			slices.Sort(want)
			h.must(slices.Equal(got, want), "%s may %v, want %v", id, got, want)
		})
	},
	plant: []mistake{
		statement("ScimRole", "Write", []any{"dynamodb:*"}, "Action"), statement("ScimRole", "Read", []any{"dynamodb:GetItem", "dynamodb:Scan"}, "Action"),
		statement("WelcomeRole", "Mail", "ses:*", "Action"), statement("WelcomeRole", "Mail", "ses:SendEmail", "Action"),
		statement("FeedRole", "Log", "*", "Action"), statement("FeedRole", "Log", "Deny", "Effect"),
	},
}, {
	name: "no role reaches beyond this stack's own resources",
	check: func(h *house) {
		h.each("AWS::IAM::Role", func(id string, raw, p map[string]any) {
			st, err := h.statements(id)
			if err != nil {
				h.breach("%v", err)
				return
			}
			for _, s := range st {
				h.must(len(s.Resources) > 0, "%s %s names no resource", id, s.Sid)
				for _, r := range s.Resources {
					fixed := r
					// Streams of a log group, whose names Lambda makes up.
					if s.Sid == "Log" {
						fixed = strings.TrimSuffix(fixed, ":*")
						own, _ := h.attribute(strings.TrimSuffix(id, "Role")+"Log", "Arn", id)
						h.must(r == own, "%s logs into %s", id, r)
					}
					// Lambda lists a table's streams when it makes a mapping.
					if slices.Equal(s.Actions, []string{"dynamodb:ListStreams"}) {
						fixed = strings.TrimSuffix(fixed, "/stream/*")
					}
					// SES asks for the recipient's identity too, while it is in the
					// sandbox: the condition on the sender is the bound.
					if s.Sid == "Mail" && len(s.Conditions["StringEquals"]["ses:FromAddress"]) == 1 {
						fixed = strings.TrimSuffix(fixed, ":identity/*")
					}
					h.must(!strings.ContainsAny(fixed, "*?") && strings.HasPrefix(fixed, "arn:aws:"), "%s %s reaches %s", id, s.Sid, r)
				}
			}
		})
	},
	plant: []mistake{
		statement("ScimRole", "Read", "*", "Resource"), statement("ScimRole", "Key", nil, "Resource"), statement("FeedRole", "Log", "*", "Resource"),
		statement("FeedRole", "Log", "arn:aws:logs:us-east-1:123456789012:log-group:*", "Resource"),
		statement("FeedRole", "Log", map[string]any{"Fn::GetAtt": []any{"ScimLog", "Arn"}}, "Resource"),
		statement("WelcomeRole", "Mail", "arn:aws:ses:us-east-1:123456789012:*", "Resource"), statement("WelcomeRole", "Mail", nil, "Condition"),
		statement("FeedRole", "Stream", "arn:aws:dynamodb:us-east-1:123456789012:table/gatehouse/stream/*", "Resource"),
	},
}, {
	name: "items are reached by the partitions that a function works on",
	check: func(h *house) {
		h.each("AWS::IAM::Role", func(id string, raw, p map[string]any) {
			st, err := h.statements(id)
			if err != nil {
				h.breach("%v", err)
				return
			}
			for _, s := range st {
				if s.Sid != "Read" && s.Sid != "Write" {
					continue
				}
				keys := s.Conditions["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
				h.must(len(keys) > 0 && len(s.Conditions) == 1, "%s %s has the conditions %v", id, s.Sid, s.Conditions)
				for _, k := range keys {
					h.must(!strings.HasPrefix(k, "*") && !strings.HasPrefix(k, "?") && !strings.HasPrefix(k, "O#*"), "%s %s reaches the partitions %s", id, s.Sid, k)
				}
				table, _ := h.ref("Table", id)
				if name := h.values["RestoredTable"]; name != "" {
					table = name
				}
				h.must(slices.Equal(s.Resources, []string{h.arn("dynamodb", "table/"+text(table))}), "%s %s is about %v", id, s.Sid, s.Resources)
			}
		})
	},
	plant: []mistake{
		statement("ScimRole", "Read", nil, "Condition"), statement("ScimRole", "Write", map[string]any{}, "Condition"),
		statement("ScimRole", "Write", map[string]any{"ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": []any{"*"}}}, "Condition"),
		statement("ScimRole", "Write", map[string]any{"ForAllValues:StringLike": map[string]any{"dynamodb:LeadingKeys": []any{"O#*"}}}, "Condition"),
		statement("ScimRole", "Write", map[string]any{"ForAnyValue:StringLike": map[string]any{"dynamodb:LeadingKeys": []any{"META"}}}, "Condition"),
		statement("ScimRole", "Write", map[string]any{"Fn::GetAtt": []any{"Table", "Arn"}}, "Resource"),
	},
}, {
	name: "mail is sent from one address, through one configuration set",
	check: func(h *house) {
		for _, id := range []string{"Welcome", "Sweep"} {
			ses := func(rest string) string { return h.arn("ses", rest) }
			from := h.values["MailFrom"]
			_, domain, _ := strings.Cut(from, "@")
			for _, r := range []string{ses("identity/" + from), ses("identity/" + domain), ses("identity/ada@elsewhere.example"), ses("configuration-set/" + h.values["AWS::StackName"])} {
				for _, action := range []string{"ses:SendEmail", "ses:SendRawEmail"} {
					h.must(h.may(id, Call{action, r, map[string][]string{"ses:FromAddress": {from}}}), "%s may not %s with %s", id, action, r)
					h.must(!h.may(id, Call{action, r, map[string][]string{"ses:FromAddress": {"boss@" + domain}}}), "%s may send from any address with %s", id, r)
				}
			}
			h.must(!h.may(id, Call{"ses:SendRawEmail", ses("configuration-set/other"), map[string][]string{"ses:FromAddress": {from}}}), "%s may send through another configuration set", id)
		}
	},
	plant: []mistake{
		statement("SweepRole", "Mail", nil, "Condition"), statement("WelcomeRole", "Mail", "ses:SendEmail", "Action"),
		statement("WelcomeRole", "Mail", map[string]any{"Fn::Sub": "arn:aws:ses:us-east-1:123456789012:identity/${MailFrom}"}, "Resource"),
		statement("WelcomeRole", "Mail", map[string]any{"StringEquals": map[string]any{"ses:FromAddress": "x@example.com"}}, "Condition"),
	},
}}

// mayDo states what each function may do. The code of package app's faces and
// of package aws is what it follows from; TestRolesSuffice runs them under it.
var mayDo = map[string][]string{
	"scim":       may(logging, keyed, reading, writing),
	"portal":     may(logging, keyed, reading, writing),
	"feed":       may(logging, keyed, reading, writing, streaming, []string{"dynamodb:ListStreams", "sqs:SendMessage"}),
	"welcome":    may(logging, keyed, reading, writing, streaming, []string{"dynamodb:ListStreams", "sqs:SendMessage"}, mailing),
	"mailevents": may(logging, keyed, reading, writing, []string{"sqs:SendMessage"}),
	"sweep":      may(logging, keyed, reading, writing, mailing),
	"discarded": may(logging, streaming, []string{
		"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
	}),
}

var (
	logging   = []string{"logs:CreateLogStream", "logs:PutLogEvents"}
	keyed     = []string{"secretsmanager:GetSecretValue"}
	reading   = []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:ConditionCheckItem"}
	writing   = []string{"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
	streaming = []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}
	mailing   = []string{"ses:SendEmail", "ses:SendRawEmail"}
)

func may(lists ...[]string) []string { return slices.Concat(lists...) }
