// Package lambdatask gives the errors of a Lambda function names that a caller
// can act on, and keeps what is ours out of them.
//
// It is not for HTTP: a request is answered, not failed. It retries nothing; the
// caller (an event source mapping, a schedule, a workflow's Retry) does.
package lambdatask

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
)

// names are the error types that Lambda reports, by kind: what a workflow's
// ErrorEquals matches.
var names = map[fault.Kind]string{
	fault.Internal:     "Internal",
	fault.Invalid:      "Invalid",
	fault.NotFound:     "NotFound",
	fault.Conflict:     "Conflict",
	fault.Unauthorized: "Unauthorized",
	fault.Forbidden:    "Forbidden",
	fault.Throttled:    "Throttled",
	fault.Unavailable:  "Unavailable",
}

// Wrap returns f with errors as Lambda reports them: Type is the kind's name,
// Message the public sentence and nothing else. An error without a kind, and a
// panic, is Internal: its message is a fixed sentence with a reference, and
// slog.Default knows the error by it. What was panicked with may name a person
// and is not told.
//
// The error is a messages.InvokeResponse_Error by value: aws-lambda-go takes the
// name of the outermost Go type for any other, a pointer to this one included.
func Wrap[In, Out any](f func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (out Out, err error) {
		returned := false
		defer func() {
			if v := recover(); !returned {
				var nothing Out
				out, err = nothing, named(ctx, fmt.Errorf("panic with a %T\n%s", v, debug.Stack()))
			}
		}()
		out, err = f(ctx, in)
		returned = true
		if err != nil {
			err = named(ctx, err)
		}
		return out, err
	}
}

// Do is Wrap for a function that answers nothing.
func Do[In any](f func(context.Context, In) error) func(context.Context, In) error {
	w := Wrap(func(ctx context.Context, in In) (struct{}, error) { return struct{}{}, f(ctx, in) })
	return func(ctx context.Context, in In) error {
		_, err := w(ctx, in)
		return err
	}
}

func named(ctx context.Context, err error) error {
	f := fault.Of(err)
	name, known := names[f.Kind]
	attrs := []slog.Attr{slog.String("kind", f.Kind.String())}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("request", lc.AwsRequestID))
	}
	if !known || f.Kind == fault.Internal {
		ref := identity.Random(10)
		attrs = append(attrs, slog.String("ref", ref), slog.Any("err", err))
		slog.LogAttrs(ctx, slog.LevelError, "task failed", attrs...)
		return messages.InvokeResponse_Error{
			Type: names[fault.Internal], Message: "Something went wrong on our side. Our log knows it as " + ref + ".",
		}
	}
	if f.Code != "" {
		attrs = append(attrs, slog.String("code", f.Code))
	}
	// The public sentence may repeat what a client sent; what is beneath may not.
	if f.Err != nil {
		attrs = append(attrs, slog.Any("err", f.Err))
	}
	slog.LogAttrs(ctx, slog.LevelWarn, "task refused", attrs...)
	return messages.InvokeResponse_Error{Type: name, Message: f.Msg}
}
