// A function that does as its event says.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type order struct {
	Do    string
	For   time.Duration
	Bytes int
	Text  string
}

type report struct {
	PID       int
	Calls     int64 // of this environment, this one included
	Ticks     int64 // of a goroutine that ticks each millisecond
	RequestID string
	ARN       string
	Left      time.Duration // until the deadline
	Environ   []string
	Text      string
}

var calls, ticks atomic.Int64

func main() {
	go func() {
		for range time.Tick(time.Millisecond) {
			ticks.Add(1)
		}
	}()
	lambda.Start(handle)
}

func handle(ctx context.Context, o order) (report, error) {
	n := calls.Add(1)
	switch o.Do {
	case "sleep":
		time.Sleep(o.For)
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(7)
	case "fail":
		return report{}, errors.New("as asked")
	case "typed":
		return report{}, messages.InvokeResponse_Error{Type: "Conflict", Message: "as asked"}
	case "log":
		fmt.Println("out " + o.Text)
		fmt.Fprintln(os.Stderr, "err "+o.Text)
	}
	deadline, _ := ctx.Deadline()
	lc, _ := lambdacontext.FromContext(ctx)
	return report{
		PID: os.Getpid(), Calls: n, Ticks: ticks.Load(), RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn,
		Left: time.Until(deadline), Environ: os.Environ(), Text: strings.Repeat("x", o.Bytes),
	}, nil
}
