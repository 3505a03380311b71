package courier_test

import (
	"strings"
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

// A carrier that is closed is asked by a few, for all, and the operator is told
// once an hour. When it opens, everything goes.
func TestAClosedCarrier(t *testing.T) {
	w := newWorld(t, mail.Settles, nil)
	w.sender.fail = func(int) error { return &mail.Reason{Code: "sending-paused", Err: mail.ErrClosed} }
	var users []identity.User
	for range 100 {
		u := w.join()
		users = append(users, u)
		w.queue(u)
	}
	w.settle(24 * time.Hour)
	// In each five minutes one asks.
	if n := w.sender.sends; n > 24*12+2 {
		t.Errorf("100 messages asked a closed carrier %d times in a day, want one in five minutes", n)
	}
	if n := strings.Count(w.log.String(), `"level":"ERROR"`); n < 20 || n > 25 {
		t.Errorf("the operator was told %d times in a day, want once an hour", n)
	}
	if !strings.Contains(w.log.String(), `"msg":"mail: the carrier takes none","reason":"sending-paused"`) {
		t.Error("the log does not say why the carrier takes none")
	}
	w.sender.fail = nil
	w.settle(2*time.Hour + 10*time.Minute)
	for _, u := range users {
		w.want(u, "sent #1 attempts=1 ")
	}
	if n := w.total(); n != len(users) {
		t.Errorf("%d mails went, want %d", n, len(users))
	}
}

// A carrier that stays busy for hours is told too.
func TestALongBusyCarrierIsTold(t *testing.T) {
	w := newWorld(t, mail.Repeats, nil)
	w.sender.fail = func(int) error { return errBusy }
	w.queue(w.join())
	w.settle(time.Hour)
	if strings.Contains(w.log.String(), "takes none") {
		t.Error("an hour of throttling was told as a carrier that takes none")
	}
	w.settle(6 * time.Hour)
	if !strings.Contains(w.log.String(), `"msg":"mail: the carrier takes none","reason":"throttled"`) {
		t.Error("hours of throttling were not told")
	}
}
