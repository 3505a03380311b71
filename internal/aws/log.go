package aws

import (
	"context"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// newLog writes JSON lines that name the call they belong to, as Lambda's own
// lines do.
func newLog(w io.Writer) *slog.Logger {
	return slog.New(called{slog.NewJSONHandler(w, nil)})
}

// called adds the id of the call that a line's context belongs to.
type called struct{ slog.Handler }

func (c called) Handle(ctx context.Context, r slog.Record) error {
	if call, ok := lambdacontext.FromContext(ctx); ok {
		r = r.Clone()
		r.AddAttrs(slog.String("requestId", call.AwsRequestID))
	}
	return c.Handler.Handle(ctx, r)
}

func (c called) WithAttrs(a []slog.Attr) slog.Handler { return called{c.Handler.WithAttrs(a)} }
func (c called) WithGroup(name string) slog.Handler   { return called{c.Handler.WithGroup(name)} }
