// Package infra reads template.yaml, the stack that an operator deploys, as the
// tests and the rehearsal need it, so that what they run is what is deployed.
//
// It is not CloudFormation: it knows the few kinds of resources and functions
// that the template uses, and refuses any other, naming the place. No function
// and no program links it.
package infra

import (
	"encoding/json"
	"time"
)

// Stack is what the template makes of its parameters.
type Stack struct {
	Name               string
	Functions          map[string]Function // by folder under functions/
	Queues             map[string]Queue    // by ARN
	Routes             []Route
	Table              string // name
	URL                string // the outside address
	Secret             string // ARN
	ConfigurationSet   string
	AccessLog          string   // format of the HTTP API's, with $context variables
	MatchingEventTypes []string // of the configuration set's event destination
}

// Function is one Lambda function.
type Function struct {
	Folder    string
	Name      string
	ARN       string
	Env       map[string]string
	Timeout   time.Duration
	Memory    int // MB
	Streams   []Stream
	Queues    []QueueSource
	Schedules []Schedule
	Rules     []Rule
	Policy    []Statement // of its role
}

// Stream is an event source mapping of the table's stream.
type Stream struct {
	BatchSize int
	Window    time.Duration
	Parallel  int // batches of one shard at once, told apart by partition key
	Bisect    bool
	Retries   int // -1: until the records are too old
	MaxAge    time.Duration
	Filters   []json.RawMessage
	Partial   bool   // ReportBatchItemFailures
	OnFailure string // ARN of a queue
}

// QueueSource is an event source mapping of a queue.
type QueueSource struct {
	Queue     string // ARN
	BatchSize int
	Partial   bool
}

// Queue is a standard queue.
type Queue struct {
	ARN        string
	Visibility time.Duration
	MaxReceive int    // before a message moves to Dead; 0: never
	Dead       string // ARN
}

// Rule is a rule of the default event bus.
type Rule struct{ Pattern json.RawMessage }

// Schedule calls a function again and again.
type Schedule struct{ Every time.Duration }

// Route leads requests of the HTTP API to a function.
type Route struct {
	Key      string // "$default", "ANY /scim/v2/{proxy+}"
	Function string // folder
}
