package infra

import (
	"encoding/json"
	"slices"
	"strings"
)

var sourceRules = []rule{{
	name: "mappings of the stream lose nothing and block nobody",
	check: func(h *house) {
		streams := 0
		h.each("AWS::Lambda::EventSourceMapping", func(id string, raw, p map[string]any) {
			if !strings.Contains(text(p["EventSourceArn"]), ":dynamodb:") {
				return
			}
			streams++
			var n numbers
			f, ok := h.caller(p["FunctionName"])
			h.must(ok, "%s calls no function of the stack", id)
			h.must(is(p["BisectBatchOnFunctionError"], true), "%s does not bisect", id)
			h.must(slices.Equal(words(p["FunctionResponseTypes"]), []string{"ReportBatchItemFailures"}), "%s takes no partial answers", id)
			h.must(is(p["StartingPosition"], "TRIM_HORIZON"), "%s begins at %v: what is written while it is made would be lost", id, p["StartingPosition"])
			retries, age := n.of(p, "MaximumRetryAttempts"), n.of(p, "MaximumRecordAgeInSeconds")
			// Lambda repeats a call that fails at once every few seconds. What waits
			// is given up by its age, so that an outage of an hour costs nothing.
			h.must(retries == 10000, "%s tries %v times more, want as often as can be", id, p["MaximumRetryAttempts"])
			// Discarded batches are read from the stream again, which keeps 24 hours.
			h.must(age >= 3600 && age <= 43200, "%s takes records of up to %v s", id, p["MaximumRecordAgeInSeconds"])
			lanes := n.of(p, "ParallelizationFactor")
			h.must(lanes >= 1 && lanes <= 2, "%s has %v lanes for each shard: they meet at one counter, and at ten executions of a new account", id, p["ParallelizationFactor"])
			batch := n.of(p, "BatchSize")
			h.must(batch >= 1 && batch <= 100, "%s has batches of %v", id, p["BatchSize"]) // tries of a batch are one commit
			to := dig(p, "DestinationConfig", "OnFailure", "Destination")
			_, own := h.queue(to)
			h.must(own, "%s discards to %v, which is no ARN of a queue of the stack", id, to)
			h.must(h.may(f, Call{Action: "sqs:SendMessage", Resource: text(to)}), "%s may not write to where %s discards", f, id)
			for _, a := range streaming {
				h.must(h.may(f, Call{Action: a, Resource: text(p["EventSourceArn"])}), "%s may not %s on its stream", f, a)
			}
			h.must(h.may(f, Call{Action: "dynamodb:ListStreams", Resource: text(p["EventSourceArn"])}), "%s may not list the table's streams", f)
			filters := list(dig(p, "FilterCriteria", "Filters"))
			h.must(len(filters) == 1, "%s has %d filters, want one", id, len(filters))
			for _, filter := range filters {
				h.stringFilter(id, text(dig(filter, "Pattern")), lower(f))
			}
		})
		h.must(streams == 2, "there are %d mappings of the stream, want two: more readers are throttled", streams)
	},
	plant: []mistake{
		spoil("FeedStream", nil, "BisectBatchOnFunctionError"), spoil("FeedStream", nil, "FunctionResponseTypes"),
		spoil("FeedStream", "LATEST", "StartingPosition"), spoil("FeedStream", nil, "MaximumRetryAttempts"), spoil("FeedStream", 100.0, "MaximumRetryAttempts"),
		spoil("FeedStream", 10.0, "ParallelizationFactor"), spoil("WelcomeStream", nil, "ParallelizationFactor"),
		spoil("FeedStream", nil, "MaximumRecordAgeInSeconds"), spoil("FeedStream", 86400.0, "MaximumRecordAgeInSeconds"), spoil("WelcomeStream", 1000.0, "BatchSize"),
		spoil("WelcomeStream", nil, "DestinationConfig"),
		spoil("FeedStream", map[string]any{"Ref": "DiscardedQueue"}, "DestinationConfig", "OnFailure", "Destination"), // a URL
		spoil("FeedStream", map[string]any{"Fn::GetAtt": []any{"DiscardedDeadQueue", "Arn"}}, "DestinationConfig", "OnFailure", "Destination"),
		spoil("FeedStream", nil, "FilterCriteria"),
		spoil("FeedStream", `{"dynamodb":{"NewImage":{"f":{"N":["1"]}}}}`, "FilterCriteria", "Filters", 0, "Pattern"),
		spoil("FeedStream", `{"dynamodb":{"NewImage":{"f":{"S":[{"numeric":[">",1]}]}}}}`, "FilterCriteria", "Filters", 0, "Pattern"),
		spoil("FeedStream", `{"dynamodb":{"NewImage":{"f":{"S":["welcome"]}}}}`, "FilterCriteria", "Filters", 0, "Pattern"),
		spoil("FeedStream", `{"dynamodb":{"NewImage":{"f":{"S":"feed"}}}}`, "FilterCriteria", "Filters", 0, "Pattern"),
		spoil("FeedStream", `{"dynamodb"`, "FilterCriteria", "Filters", 0, "Pattern"),
		spoil("WelcomeStream", map[string]any{"Ref": "Feed"}, "FunctionName"), statement("FeedRole", "Discard", nil, "Resource"),
		statement("FeedRole", "Streams", nil, "Resource"), without("WelcomeStream"),
	},
}, {
	name: "mappings of queues take partial answers, within the queue's patience",
	check: func(h *house) {
		queues := 0
		h.each("AWS::Lambda::EventSourceMapping", func(id string, raw, p map[string]any) {
			if strings.Contains(text(p["EventSourceArn"]), ":dynamodb:") {
				return
			}
			queues++
			q, own := h.queue(p["EventSourceArn"])
			f, ok := h.caller(p["FunctionName"])
			if !own || !ok {
				h.breach("%s leads from %v to %v", id, p["EventSourceArn"], p["FunctionName"])
				return
			}
			h.must(slices.Equal(words(p["FunctionResponseTypes"]), []string{"ReportBatchItemFailures"}), "%s takes no partial answers", id)
			var n numbers
			_, fp, _ := h.resource(f, f)
			qp, _ := h.properties(q)
			h.must(n.of(qp, "VisibilityTimeout") >= 6*n.of(fp, "Timeout"), "%s shows its messages again before %s is done", q, f)
			// Each message is up to a hundred records, that are looked for in the stream.
			h.must(is(p["BatchSize"], 1) && n.of(fp, "Timeout") >= 300, "%s has %v messages at once, and %v s for them", f, p["BatchSize"], fp["Timeout"])
			for _, a := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
				h.must(h.may(f, Call{Action: a, Resource: text(p["EventSourceArn"])}), "%s may not %s", f, a)
			}
		})
		h.must(queues == 1, "%d queues are read, want that of the discarded batches", queues)
	},
	plant: []mistake{
		spoil("DiscardedSource", nil, "FunctionResponseTypes"), spoil("DiscardedSource", 10.0, "BatchSize"), spoil("Discarded", 60.0, "Timeout"), spoil("DiscardedQueue", nil, "VisibilityTimeout"), spoil("DiscardedQueue", 360.0, "VisibilityTimeout"),
		spoil("DiscardedSource", map[string]any{"Ref": "DiscardedQueue"}, "EventSourceArn"), statement("DiscardedRole", "Queue", "sqs:ReceiveMessage", "Action"), without("DiscardedSource"),
	},
}, {
	name: "queues are encrypted, expire, and end in another that is watched",
	check: func(h *house) {
		dead := map[string]bool{}
		h.each("AWS::SQS::Queue", func(id string, raw, p map[string]any) {
			if to, ok := h.queue(dig(p, "RedrivePolicy", "deadLetterTargetArn")); ok {
				dead[to] = true
			}
		})
		h.each("AWS::Events::Rule", func(id string, raw, p map[string]any) {
			for _, target := range list(p["Targets"]) {
				if to, ok := h.queue(dig(target, "DeadLetterConfig", "Arn")); ok {
					dead[to] = true
				}
			}
		})
		h.each("AWS::SQS::Queue", func(id string, raw, p map[string]any) {
			h.must(is(p["SqsManagedSseEnabled"], true), "%s is not encrypted", id)
			h.must(is(p["MessageRetentionPeriod"], 1209600), "%s keeps messages for %v s, want 14 days", id, p["MessageRetentionPeriod"])
			if dead[id] {
				h.must(h.watches("ApproximateNumberOfMessagesVisible", "QueueName", id), "nobody is told of what lies in %s", id)
				return
			}
			var n numbers
			_, own := h.queue(dig(p, "RedrivePolicy", "deadLetterTargetArn"))
			redrive, _ := p["RedrivePolicy"].(map[string]any)
			h.must(own && n.of(redrive, "maxReceiveCount") >= 3, "%s has no dead-letter queue", id)
		})
	},
	plant: []mistake{
		spoil("DiscardedQueue", nil, "SqsManagedSseEnabled"), spoil("MaileventsDeadQueue", false, "SqsManagedSseEnabled"),
		spoil("DiscardedDeadQueue", nil, "MessageRetentionPeriod"), spoil("DiscardedQueue", nil, "RedrivePolicy"),
		spoil("DiscardedQueue", map[string]any{"Ref": "DiscardedDeadQueue"}, "RedrivePolicy", "deadLetterTargetArn"),
		spoil("DiscardedQueue", 1.0, "RedrivePolicy", "maxReceiveCount"), without("DeadQueuesAlarm"),
		{"a queue without anything", func(d document) {
			d.section("Resources")["Q"] = map[string]any{"Type": "AWS::SQS::Queue", "Properties": map[string]any{"QueueName": "q"}}
		}},
	},
}, {
	name: "rules call functions that let them, and lose no report of SES",
	check: func(h *house) {
		h.each("AWS::Events::Rule", func(id string, raw, p map[string]any) {
			targets := list(p["Targets"])
			h.must(len(targets) == 1, "%s has %d targets", id, len(targets))
			h.must(p["State"] == nil || is(p["State"], "ENABLED"), "%s is %v", id, p["State"])
			h.must(p["EventBusName"] == nil, "%s is on another bus than the default one", id)
			arn, _ := h.attribute(id, "Arn", id)
			for _, target := range targets {
				f, ok := h.caller(dig(target, "Arn"))
				h.must(ok, "%s calls no function of the stack", id)
				h.must(h.permitted(f, "events.amazonaws.com", text(arn)), "%s may not call %s", id, f)
				retry, _ := dig(target, "RetryPolicy").(map[string]any)
				h.must(retry != nil, "%s has no retry policy", id)
				if p["ScheduleExpression"] != nil {
					_, err := parseRate(text(p["ScheduleExpression"]))
					h.must(err == nil && is(retry["MaximumRetryAttempts"], 0), "%s repeats what the next minute does", id)
					continue
				}
				to := dig(target, "DeadLetterConfig", "Arn")
				q, own := h.queue(to)
				h.must(own, "%s keeps nothing of what it cannot deliver", id)
				h.must(!own || h.queuePolicyAllows(q, text(arn)), "%s may not write to %s", id, q)
				h.must(slices.Equal(words(dig(p, "EventPattern", "source")), []string{"aws.ses"}), "%s is about %v", id, dig(p, "EventPattern", "source"))
				h.must(slices.Equal(words(dig(p, "EventPattern", "detail", "mail", "tags", "ses:configuration-set")), []string{h.values["AWS::StackName"]}), "%s takes the mails of others", id)
			}
		})
	},
	plant: []mistake{
		without("SweepRulePermission"), without("MaileventsRulePermission"), spoil("MaileventsRule", "other", "EventBusName"), spoil("SweepRule", "DISABLED", "State"),
		spoil("MaileventsRule", nil, "Targets", 0, "DeadLetterConfig"), spoil("MaileventsRule", nil, "Targets", 0, "RetryPolicy"),
		spoil("MaileventsRule", map[string]any{"Ref": "MaileventsDeadQueue"}, "Targets", 0, "DeadLetterConfig", "Arn"),
		spoil("MaileventsRule", nil, "EventPattern", "detail"), spoil("MaileventsRule", []any{"aws.s3"}, "EventPattern", "source"),
		spoil("SweepRule", 185.0, "Targets", 0, "RetryPolicy", "MaximumRetryAttempts"), spoil("SweepRule", "rate(60 seconds)", "ScheduleExpression"),
		without("MaileventsDeadQueuePolicy"), spoil("MaileventsDeadQueuePolicy", nil, "PolicyDocument", "Statement", 0, "Condition"),
	},
}, {
	name: "what EventBridge calls is repeated only where that helps, and kept where it fails",
	check: func(h *house) {
		config := map[string]map[string]any{}
		h.each("AWS::Lambda::EventInvokeConfig", func(id string, raw, p map[string]any) {
			f, ok := h.caller(p["FunctionName"])
			h.must(ok && is(p["Qualifier"], "$LATEST"), "%s is about %v %v", id, p["FunctionName"], p["Qualifier"])
			config[f] = p
		})
		h.each("AWS::Events::Rule", func(id string, raw, p map[string]any) {
			for _, target := range list(p["Targets"]) {
				f, _ := h.caller(dig(target, "Arn"))
				c := config[f]
				if c == nil {
					h.breach("nothing says what becomes of a failing call of %s", f)
					continue
				}
				if is(c["MaximumRetryAttempts"], 0) {
					h.must(p["ScheduleExpression"] != nil, "%s is not repeated", f)
					continue
				}
				h.must(p["ScheduleExpression"] == nil, "%s repeats what the next minute does", f)
				to := dig(c, "DestinationConfig", "OnFailure", "Destination")
				_, own := h.queue(to)
				h.must(own && h.may(f, Call{Action: "sqs:SendMessage", Resource: text(to)}), "what %s fails at is kept nowhere", f)
			}
		})
	},
	plant: []mistake{
		without("SweepInvocation"), spoil("SweepInvocation", 2.0, "MaximumRetryAttempts"), spoil("MaileventsInvocation", 0.0, "MaximumRetryAttempts"),
		spoil("MaileventsInvocation", nil, "DestinationConfig"), spoil("MaileventsInvocation", "live", "Qualifier"), statement("MaileventsRole", "Discard", nil, "Resource"),
	},
}}

// stringFilter checks that a filter of a stream compares texts, and the name of
// the consumer alone.
func (h *house) stringFilter(id, pattern, consumer string) {
	var f struct {
		Dynamodb struct {
			NewImage map[string]map[string][]any
		}
	}
	if err := json.Unmarshal([]byte(pattern), &f); err != nil {
		h.breach("%s has a filter that is none: %s", id, pattern)
		return
	}
	image := f.Dynamodb.NewImage
	h.must(len(image) == 1 && len(image["f"]) == 1 && len(image["f"]["S"]) == 1 && image["f"]["S"][0] == consumer,
		"%s has the filter %s, want that f is the text %q", id, pattern, consumer)
}

// permitted reports whether a permission lets the service call the function for
// the source. None may be open to any source.
func (h *house) permitted(f, service, source string) bool {
	found := false
	h.each("AWS::Lambda::Permission", func(id string, raw, p map[string]any) {
		to, _ := h.caller(p["FunctionName"])
		if to == f && is(p["Principal"], service) && is(p["Action"], "lambda:InvokeFunction") && p["SourceArn"] != nil {
			found = found || like(text(p["SourceArn"]), source)
		}
	})
	return found
}

// queuePolicyAllows reports whether the queue lets the rule, and nobody else,
// write to it.
func (h *house) queuePolicyAllows(queue, rule string) bool {
	ok := false
	arn, _ := h.attribute(queue, "Arn", queue)
	for _, id := range h.declared("AWS::SQS::QueuePolicy") {
		p, err := h.properties(id)
		if err != nil {
			return false
		}
		for _, s := range list(dig(p, "PolicyDocument", "Statement")) {
			if is(dig(s, "Resource"), arn) {
				ok = is(dig(s, "Principal", "Service"), "events.amazonaws.com") && is(dig(s, "Action"), "sqs:SendMessage") &&
					is(dig(s, "Condition", "ArnEquals", "aws:SourceArn"), rule)
			}
		}
	}
	return ok
}
