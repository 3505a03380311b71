package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/courier"
	"gatehouse/internal/fakes/ses"
	"gatehouse/internal/rehearsal"
)

// quickly lets schedules come due by Tick alone, and failures be tried again at
// once.
func quickly(o *rehearsal.Options, _ *ses.Options) { o.Clock, o.Again = 0, 20*time.Millisecond }

// stands waits until the message to the user is as wanted.
func (w *within) stands(t *testing.T, id string, want courier.Status) (state courier.State) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if state = w.state(t, id); state.Status != want {
			return fmt.Errorf("the message is %s (%s), want %s", state.Status, state.Reason, want)
		}
		return nil
	})
	return state
}

// TestRehearsalCarrier lets SES refuse, answer late, and lose its answers, under
// the functions as they are released.
func TestRehearsalCarrier(t *testing.T) {
	t.Parallel()
	const refused, late, lost, unheard = "refused@mail.test", "late@mail.test", "lost@mail.test", "unheard@mail.test"
	s, a := rehearseSite(t, func(o *rehearsal.Options, carrier *ses.Options) {
		quickly(o, carrier)
		carrier.Courses = func(e ses.Event) []ses.Course {
			if e.Mail.To[0] == unheard {
				return nil
			}
			return []ses.Course{{}}
		}
	})
	answer := make(chan struct{})
	var mu sync.Mutex
	asked := map[string]int{}
	a.ses.Fail(func(v ses.Visit) ses.Action {
		mu.Lock()
		defer mu.Unlock()
		asked[v.To]++
		switch {
		case v.To == refused:
			return ses.Action{Code: "MessageRejected", Text: "Email contains what is not sent"}
		case v.To == late:
			return ses.Action{Late: answer}
		case v.Times == 0 && (v.To == lost || v.To == unheard):
			return ses.Action{Drop: true, Keep: true}
		}
		return ses.Action{}
	})
	c, w := s.client(""), a.within(t)
	ids := map[string]string{}
	for _, name := range []string{refused, late, lost, unheard} {
		ids[name] = c.user(t, name)
	}
	mails := func(name string, want int) {
		t.Helper()
		if n := len(a.ses.Inbox(name)); n != want {
			t.Errorf("%s has %d mails, want %d", name, n, want)
		}
	}

	// SES's event overtakes its answer.
	w.stands(t, ids[late], courier.Delivered)
	close(answer)
	w.stands(t, ids[lost], courier.Delivered)
	w.stands(t, ids[refused], courier.Refused)
	if state := w.stands(t, ids[unheard], courier.Sending); time.Until(state.Next) < 10*time.Minute {
		t.Errorf("the lease of a message that SES may have taken ends in %v, want SES's time to tell", time.Until(state.Next))
	}
	for _, name := range []string{late, lost, unheard} {
		mails(name, 1)
	}
	p, err := s.admin(t).open(usersPage(s.ready))
	if err != nil {
		t.Fatal(err)
	}
	for name, told := range map[string]string{refused: "Refused message-rejected", late: "Delivered", lost: "Delivered", unheard: "Being sent dropped"} {
		if !regexp.MustCompile(regexp.QuoteMeta(name) + ` \S+ \S+ ` + told).MatchString(p.text()) {
			t.Errorf("the admin's page does not say %q of %s: %s", told, name, p.text())
		}
	}

	// Nobody told of the last one until its lease was over: losing none is worth
	// a second mail.
	w.pass(16 * time.Minute)
	w.sweeps(t)
	w.pass(10 * time.Minute) // what is tried again has been by now
	w.sweeps(t)
	if state := w.stands(t, ids[unheard], courier.Sent); state.Attempts != 2 {
		t.Errorf("the message that nobody heard of has %d attempts, want 2", state.Attempts)
	}
	for name, n := range map[string]int{refused: 0, late: 1, lost: 1, unheard: 2} {
		mails(name, n)
	}
	mu.Lock()
	defer mu.Unlock()
	if asked[refused] != 1 {
		t.Errorf("SES was asked %d times for the address that it refuses, want once", asked[refused])
	}
}

// TestRehearsalFlood lets many join at once under an SES that takes four mails in
// a second, of which none passes there unless the test lets it: each gets one,
// later.
func TestRehearsalFlood(t *testing.T) {
	t.Parallel()
	const rate, flood = 4, 7 // with the admin's, twice what passes at once
	begin, passed := time.Now(), new(atomic.Int64)
	s, a := rehearseSite(t, func(o *rehearsal.Options, carrier *ses.Options) {
		quickly(o, carrier)
		carrier.PerSecond, carrier.Now = rate, func() time.Time { return begin.Add(time.Duration(passed.Load())) }
	})
	w, c := a.within(t), s.client("")
	ids := map[string]string{}
	for n := range flood {
		name := fmt.Sprintf("flood%d@mail.test", n)
		ids[name] = c.user(t, name)
	}
	if err := a.r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	waited := 0
	for _, state := range w.states(t, ids) {
		if state.Status == courier.Queued {
			if waited++; state.Reason != "throttled" || state.Attempts != 0 {
				t.Errorf("a message that waits is %q after %d attempts, want throttled, and none", state.Reason, state.Attempts)
			}
		}
	}
	if took := len(a.ses.All()); took != rate || waited != flood+1-rate { // with the admin's
		t.Errorf("at once SES took %d mails, and %d messages waited, want %d and %d", took, waited, rate, flood+1-rate)
	}
	for rounds := 0; len(a.ses.All()) < flood+1; rounds++ {
		if rounds == 20 {
			t.Fatalf("after 20 minutes SES took %d mails of %d", len(a.ses.All()), flood+1)
		}
		w.pass(time.Minute)
		passed.Add(int64(time.Minute))
		w.sweeps(t)
	}
	for name, id := range ids {
		if state := w.stands(t, id, courier.Delivered); state.Attempts != 1 || len(a.ses.Inbox(name)) != 1 {
			t.Errorf("%s has %d mails after %d attempts, want one", name, len(a.ses.Inbox(name)), state.Attempts)
		}
	}
	t.Logf("%d mails, %d requests, %d messages waited for a minute or more", len(a.ses.All()), a.ses.Requests(), waited)
}

// TestRehearsalForeignMail sends a welcome mail through somebody else's picture of
// SES, npm's aws-ses-v2-local.
func TestRehearsalForeignMail(t *testing.T) {
	a := rehearse(t, quickly)
	base := foreignSES(t)
	a.options.SES = base
	if err := a.serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &site{ready: a.where, target: a}
	const who = "foreign@mail.test"
	id := s.client("").user(t, who)
	if err := a.r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It tells of nothing by itself.
	a.within(t).stands(t, id, courier.Sent)
	var store struct {
		Emails []struct {
			Destination struct{ To []string }
			Body        struct{ Text, HTML string }
		}
	}
	if err := fetchJSON(base+"/store", &store); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range store.Emails {
		if !strings.Contains(strings.Join(m.Destination.To, " "), who) {
			continue
		}
		found++
		target := link(s.ready, m.Body.Text)
		if target == "" || !strings.Contains(m.Body.HTML, target) {
			t.Fatalf("the mail has the link %q in its text, and its HTML is %s", target, m.Body.HTML)
		}
		v := new(visitor)
		p, err := v.open(target)
		if err == nil {
			p, err = v.submit(p, map[string]string{"password": "from a foreign mail"})
		}
		if err != nil || p.status != http.StatusOK {
			t.Errorf("activating by the mail's link = %d, %v: %s", p.status, err, p.text())
		}
	}
	if found != 1 {
		t.Errorf("%s has %d mails in the store, want one", who, found)
	}
}

// foreignSES starts aws-ses-v2-local and returns where it answers.
func foreignSES(t *testing.T) string {
	t.Helper()
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	program := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), ".tools/npm/node_modules/.bin/aws-ses-v2-local")
	if _, err := os.Stat(program); err != nil {
		needs(t, fmt.Errorf("aws-ses-v2-local is not installed, run make tools: %w", err))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	cmd := exec.Command(program, "--host", "127.0.0.1", "--port", port)
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start aws-ses-v2-local: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	base := "http://127.0.0.1:" + port
	eventually(t, 30*time.Second, func() error { return fetchJSON(base+"/health-check", nil) })
	return base
}

// fetchJSON reads what stands at the address; into may be nil.
func fetchJSON(address string, into any) error {
	r, err := http.Get(address)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s = %d: %s", address, r.StatusCode, b)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(b, into)
}
