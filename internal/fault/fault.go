// Package fault is the closed set of ways in which Gatehouse says no.
//
// A caller acts on the Kind, a client reads Msg, the log keeps Err. An error
// that carries no Kind is Internal: its text is for the log alone.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies an error by what the caller can do about it.
type Kind uint8

const (
	Internal     Kind = iota // ours to mend; the public sees a fixed sentence and a reference
	Invalid                  // the request can never succeed as it stands
	NotFound                 // there is no such thing, or none that this caller may know of
	Conflict                 // the request contradicts what is stored
	Unauthorized             // who asks is not known
	Forbidden                // who asks is known and may not
	Throttled                // too much for now; Retry says when to come back
	Unavailable              // we cannot for now; nothing was changed
)

func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "not found", "conflict", "unauthorized", "forbidden", "throttled", "unavailable"}
	if int(k) < len(names) {
		return names[k]
	}
	return "internal"
}

// Codes refine a Kind where a protocol tells cases apart. The first ten are
// the scimType values of RFC 7644, table 9.
const (
	InvalidFilter = "invalidFilter"
	TooMany       = "tooMany"
	Uniqueness    = "uniqueness"
	Mutability    = "mutability"
	InvalidSyntax = "invalidSyntax"
	InvalidPath   = "invalidPath"
	NoTarget      = "noTarget"
	InvalidValue  = "invalidValue"
	InvalidVers   = "invalidVers"
	Sensitive     = "sensitive"

	InvalidCursor = "invalidCursor" // these three are RFC 9865's, table 3
	ExpiredCursor = "expiredCursor"
	InvalidCount  = "invalidCount"

	Stale    = "stale"    // a precondition names a version that is no longer current (412)
	TooLarge = "tooLarge" // larger than what is taken (413)
	Full     = "full"     // the store has no room (507)
)

// Error is a refusal that may be shown: Msg is a whole sentence for the
// client and holds no personal data but what the client itself just sent.
type Error struct {
	Kind  Kind
	Code  string        // one of the codes above, or empty
	Msg   string        // for the public
	Err   error         // for the log; may be nil
	Retry time.Duration // for Throttled and Unavailable: when trying again makes sense
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Kind.String() + ": " + e.Msg + ": " + e.Err.Error()
	}
	return e.Kind.String() + ": " + e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// New returns an Error of the kind whose public message is formatted.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Msg: fmt.Sprintf(format, args...)}
}

// Of returns the first Error in err's chain. An error without one is Internal
// and has no public message; a nil error gives nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Err: err}
}

// Is reports whether err carries an Error of the kind.
func Is(err error, kind Kind) bool {
	return err != nil && Of(err).Kind == kind
}

// Coded reports whether err carries an Error with the code.
func Coded(err error, code string) bool {
	return err != nil && Of(err).Code == code
}
