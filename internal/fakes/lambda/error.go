package lambda

import (
	"encoding/json"
	"fmt"
)

// Types of errors that the service itself reports.
const (
	Throttled        = "TooManyRequests"               // all environments are taken; the function was not run
	RequestTooLarge  = "RequestEntityTooLarge"         // the event is beyond MaxPayload; the function was not run
	ResponseTooLarge = "Function.ResponseSizeTooLarge" // the answer is beyond MaxPayload
	TimedOut         = "Sandbox.Timedout"              // the deadline passed, or the initialization took too long
	Exited           = "Runtime.ExitError"             // the process ended
)

// Error is a failed invocation.
type Error struct {
	Type    string // errorType: one of the above, or what the function said
	Message string // errorMessage
	Payload []byte // the JSON that the caller of the Lambda service would read
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Ran tells whether the function was run at all.
func (e *Error) Ran() bool { return e.Type != Throttled && e.Type != RequestTooLarge }

// serviceError is an error of the service about an invocation that ran.
func serviceError(kind, id, format string, args ...any) *Error {
	e := &Error{Type: kind, Message: fmt.Sprintf("RequestId: %s Error: ", id) + fmt.Sprintf(format, args...)}
	e.Payload, _ = json.Marshal(map[string]string{"errorType": e.Type, "errorMessage": e.Message}) // two strings: it cannot fail
	return e
}

// functionError is an error that the function reported. Lambda passes the body
// on as it is; the header names the type where the body does not.
func functionError(header string, body []byte) *Error {
	var said struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		said.Message = string(body)
	}
	if said.Type == "" {
		said.Type = header
	}
	return &Error{Type: said.Type, Message: said.Message, Payload: body}
}
