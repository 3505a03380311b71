package courier_test

import (
	"testing"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
)

var errBusy = &mail.Reason{Code: "throttled", Err: mail.ErrBusy}

// Ten times as many messages as the carrier takes in a minute: all of them go,
// once, and none is given up for having been in a flood.
func TestAFloodOverAThrottledCarrier(t *testing.T) {
	const perMinute, flood = 20, 200
	w := newWorld(t, mail.Settles, nil)
	var minute time.Time
	taken := 0
	w.sender.fail = func(int) error {
		if now := w.now().Truncate(time.Minute); now != minute {
			minute, taken = now, 0
		}
		if taken++; taken > perMinute {
			return errBusy
		}
		return nil
	}
	var users []identity.User
	for range flood {
		u := w.join()
		users = append(users, u)
		w.queue(u)
	}
	w.settle(2 * time.Hour)
	for _, u := range users {
		if s := w.state(u); s.Status != courier.Sent || s.Attempts != 1 {
			t.Errorf("a message of the flood is %s after %d attempts (%s), want sent after 1", s.Status, s.Attempts, s.Reason)
		}
	}
	if n := w.total(); n != flood {
		t.Errorf("%d mails went, want %d", n, flood)
	}
}

// A carrier that is away for two days loses no message.
func TestDaysWithoutACarrier(t *testing.T) {
	w := newWorld(t, mail.Repeats, nil)
	w.sender.fail = func(int) error { return errBusy }
	u := w.join()
	w.queue(u)
	w.settle(48 * time.Hour)
	w.want(u, "queued #1 attempts=0 throttled")
	if n := w.sender.sends; n > 100 {
		t.Errorf("the carrier was asked %d times in two days, want about two an hour", n)
	}
	w.sender.fail = nil
	w.settle(time.Hour)
	w.want(u, "sent #1 attempts=1 ")
}
