package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"gatehouse/internal/fault"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// How long a call is repeated. DynamoDB keeps a transaction's token for ten
// minutes, which is far longer.
const (
	busyTime = 8 * time.Second        // what is refused as busy
	lostTime = 20 * time.Second       // a write whose answer was lost, since only an answer tells its outcome
	tryTime  = 5 * time.Second        // after which a try counts as lost
	margin   = 250 * time.Millisecond // of the caller's time, for the last try and for what the caller does then
)

// verdict is what an error says about the call that got it.
type verdict uint8

const (
	final verdict = iota // it was not carried out and never will be
	met                  // it was not carried out since another transaction held one of its items
	busy                 // it was not carried out and may be, later
	lost                 // it may have been carried out
)

// patience is until when tries begin.
type patience struct{ busy, lost time.Time }

// patient returns the patience of what begins now.
func patient(ctx context.Context) patience {
	now := time.Now()
	p := patience{busy: now.Add(busyTime), lost: now.Add(lostTime)}
	if end, bounded := ctx.Deadline(); bounded {
		if end = end.Add(-margin); end.Before(p.busy) {
			p.busy = end
		}
		if end.Before(p.lost) {
			p.lost = end
		}
	}
	return p
}

// left returns how long tries may begin yet; doubt, whether one before may have
// been carried out.
func (p patience) left(doubt bool) time.Duration {
	if doubt {
		return time.Until(p.lost)
	}
	return time.Until(p.busy)
}

// run tries the call until it succeeds or there is no use. doubt reports
// whether one of the tries may have been carried out although it failed.
func (t *Table) run(ctx context.Context, p patience, call string, try func(context.Context) error) (doubt bool, err error) {
	for tries := 1; ; tries++ {
		once, cancel := context.WithTimeout(ctx, tryTime)
		err = try(once)
		cancel()
		if err == nil {
			return doubt, nil
		}
		if ctx.Err() != nil {
			return true, ctx.Err()
		}
		v := judge(err)
		doubt = doubt || v == lost
		if v == final {
			return doubt, err
		}
		left := p.left(doubt)
		if left <= 0 {
			t.log.Warn("DynamoDB did not serve a call", "call", call, "tries", tries, "code", code(err))
			return doubt, err
		}
		if !sleep(ctx, min(gap(v, tries), left)) {
			return true, ctx.Err()
		}
	}
}

// Gaps between tries are random below a bound that doubles, so that those who
// met once do not meet again. A transaction holds its items for some twenty
// milliseconds: the longest gap after meeting one suits dozens of clients that
// want the same items. Those who come anew try at once, so who has waited for
// seconds tries more often, or would be passed for ever. A throttled partition
// has to be left alone for longer.
const (
	firstGap    = 20 * time.Millisecond
	longestMet  = 600 * time.Millisecond
	agedAfter   = 12 // tries, some two seconds: the longest gap is a third then, and a third again
	longestBusy = 2 * time.Second
)

// gap is the time to wait after so many tries, the last of which ended so.
func gap(v verdict, tries int) time.Duration {
	longest := longestBusy
	if v == met {
		longest = longestMet
		for range min(tries/agedAfter, 2) {
			longest /= 3
		}
	}
	return rand.N(min(firstGap<<min(tries-1, 10), longest)) + time.Millisecond
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// judge tells what an error of one try means. It rests on what was sent and
// answered, not on what the SDK would repeat.
func judge(err error) verdict {
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		return judgeReasons(cancelled.CancellationReasons)
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException", "Throttling":
			return busy
		case "TransactionConflictException", "ReplicatedWriteConflictException":
			return met
		case "TransactionInProgressException": // this very one, from an earlier try
			return lost
		}
		var answer *smithyhttp.ResponseError
		if errors.As(err, &answer) && answer.HTTPStatusCode() >= 500 {
			return lost
		}
		return final
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return busy // nothing left this machine
	}
	var unanswered *smithyhttp.RequestSendError
	var unread *smithy.DeserializationError
	var answer *smithyhttp.ResponseError
	if errors.As(err, &unanswered) || errors.As(err, &unread) || errors.As(err, &answer) {
		return lost
	}
	return final // it failed before it was sent: no credentials, say
}

// judgeReasons tells what a cancelled transaction means. Beside a failed
// condition, what was busy may hide another failed condition, so it is tried
// again too.
func judgeReasons(reasons []types.CancellationReason) verdict {
	v := busy // cancelled without a reason
	if len(reasons) > 0 {
		v = final
	}
	for _, r := range reasons {
		switch reasonCode(r) {
		case "TransactionConflict":
			v = max(v, met)
		case "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded":
			v = busy
		}
	}
	return v
}

func reasonCode(r types.CancellationReason) string {
	if r.Code == nil {
		return ""
	}
	return *r.Code
}

// code names an error for the log.
func code(err error) string {
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		for _, r := range cancelled.CancellationReasons {
			if c := reasonCode(r); c != "" && c != "None" {
				return c
			}
		}
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if judge(err) == busy {
		return "unreachable"
	}
	return "unanswered"
}

// failed adds what was being done to an error that ended a call. What was busy
// to the end says so to the public; doubt means that the call may have changed
// something, so that nothing can be said.
func failed(doing string, doubt bool, err error) error {
	if err == context.Canceled || err == context.DeadlineExceeded { // the caller's; that of a try is wrapped
		return fmt.Errorf("%s: %w", doing, err)
	}
	v := judge(err)
	err = told(err)
	switch {
	case doubt:
		return fmt.Errorf("%s, outcome unknown: %w", doing, err)
	case v == final:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return unavailable(fmt.Errorf("%s: %w", doing, err))
}

func unavailable(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Msg: "The service is busy. Try again in a moment.", Err: err, Retry: time.Second}
}

// told leaves the text out of errors in which DynamoDB may quote what it was
// sent.
func told(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "ValidationException" && api.ErrorCode() != "SerializationException" {
		return err
	}
	request := ""
	var answer interface{ ServiceRequestID() string }
	if errors.As(err, &answer) {
		request = answer.ServiceRequestID()
	}
	return fmt.Errorf("DynamoDB answered %s to request %q", api.ErrorCode(), request)
}
