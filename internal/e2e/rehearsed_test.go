package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/infra"
	"gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/fakes/ses"
	"gatehouse/internal/identity"
	"gatehouse/internal/rehearsal"
	"gatehouse/internal/short"
)

// functions are the release binaries of the stack, built once a run.
var functions = sync.OnceValues(func() (map[string]string, error) {
	dir := filepath.Join(scratch, "functions")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return rehearsal.Build(context.Background(), dir, "scim", "portal", "feed", "welcome", "mailevents", "sweep", "discarded")
})

// rehearsed is a stack on AWS as a target: a table and an account that outlive
// what runs on them, and a carrier.
type rehearsed struct {
	options rehearsal.Options
	ses     *ses.Server
	table   string
	r       *rehearsal.Rehearsal // the latest, nil before the first
	where   ready
	before  strings.Builder // logs of earlier runs
}

// rehearse makes a stack that does not run yet. It is gone with the test.
func rehearse(t testing.TB, change func(*rehearsal.Options, *ses.Options)) *rehearsed {
	t.Helper()
	short.Skip(t, "rehearses AWS")
	local := dynamodb.Own(t)
	binaries, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	name := "gatehouse-" + identity.Random(8)
	stack, err := infra.Read(map[string]string{"MailFrom": "no-reply@gate.example", "AWS::StackName": name, "ScimRate": "0"})
	if err != nil {
		t.Fatal(err)
	}
	account := new(rehearsal.Account)
	a := &rehearsed{table: name, options: rehearsal.Options{
		Stack: *stack, Binaries: binaries, Key: strings.Repeat("c0ffee11", 8), DynamoDB: local.Endpoint, Account: account,
		// A minute of the schedules passes in six seconds.
		Poll: 50 * time.Millisecond, Clock: 10, NoFreeze: true,
	}}
	carrier := ses.Options{ConfigurationSets: []string{stack.ConfigurationSet}, Types: stack.MatchingEventTypes, Events: account.Put}
	if change != nil {
		change(&a.options, &carrier)
	}
	a.ses = ses.New(carrier)
	if err := a.ses.Start(); err != nil {
		t.Fatal(err)
	}
	a.options.SES = a.ses.URL()
	t.Cleanup(func() {
		a.kill()
		a.ses.Close()
		if t.Failed() && !testing.Verbose() {
			lines := strings.SplitAfter(a.log(), "\n")
			t.Logf("the functions' last log lines:\n%s", strings.Join(lines[max(0, len(lines)-30):], ""))
		}
	})
	return a
}

// rehearseSite is rehearse for tests that need the site running.
func rehearseSite(t testing.TB, change func(*rehearsal.Options, *ses.Options)) (*site, *rehearsed) {
	t.Helper()
	a := rehearse(t, change)
	if err := a.serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &site{ready: a.where, target: a}, a
}

func (a *rehearsed) serve(ctx context.Context, flags ...string) error {
	if len(flags) > 0 {
		return errors.New("a stack on AWS is not started with flags")
	}
	r, err := rehearsal.Start(ctx, a.options)
	if err != nil {
		return err
	}
	a.r, a.options.Address = r, strings.TrimPrefix(r.URL, "http://")
	if a.where.URL != "" {
		return nil
	}
	// The first sweep writes down what stack it is; then the operator's commands
	// find it.
	r.Tick()
	if err := r.Settle(ctx); err != nil {
		return err
	}
	a.where = ready{URL: r.URL, SCIM: r.URL + "/scim/v2", AdminEmail: "admin@demo.example"}
	var org, connection created
	if err := a.make(&org, orgCreate("Demo", a.where.AdminEmail)); err != nil {
		return err
	}
	if err := a.make(&connection, connectionCreate(org.Org, "Directory")); err != nil {
		return err
	}
	a.where.Token, a.where.SignIn = connection.Token, org.SignIn
	a.where.Admin = strings.TrimSuffix(org.SignIn, "sign-in") + "admin/users"
	return nil
}

func (a *rehearsed) make(what *created, args []string) error {
	stdout, stderr, err := a.gatehouse(args...)
	if err != nil {
		return fmt.Errorf("gatehouse %s: %w\n%s", strings.Join(args, " "), err, stderr)
	}
	return json.Unmarshal([]byte(stdout), what)
}

// stop and kill are the same on AWS: environments end without a word.
func (a *rehearsed) stop() error {
	if a.r == nil {
		return nil
	}
	r := a.r
	a.r = nil
	err := r.Close()
	a.before.WriteString(r.Logs() + r.AccessLog())
	if denied := r.Denied(); len(denied) > 0 {
		err = errors.Join(err, fmt.Errorf("the functions' roles do not allow what they did:\n%s", strings.Join(denied, "\n")))
	}
	return err
}

func (a *rehearsed) kill() { a.stop() }

func (a *rehearsed) ready() ready { return a.where }

func (a *rehearsed) letters(address string) (list []letter, err error) {
	mails := a.ses.Inbox(address)
	for _, m := range mails {
		if !m.Arrived() {
			continue
		}
		if len(m.Errors) > 0 {
			return nil, fmt.Errorf("a mail to %s is malformed: %v", address, m.Errors)
		}
		list = append(list, letter{id: m.Tags["message"], to: address, subject: m.GetHeader("Subject"), text: m.Envelope.Text, html: m.HTML, header: m.GetHeader, at: m.At})
	}
	return list, nil
}

func (a *rehearsed) gatehouse(args ...string) (stdout, stderr string, err error) {
	bin, err := binary()
	if err != nil {
		return "", "", err
	}
	if a.r == nil {
		return "", "", errors.New("the stack does not run")
	}
	cmd := exec.Command(bin, append([]string{"--table", a.table}, args...)...)
	cmd.Env = append(a.r.Environ(), "HOME="+scratch)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	if slices.Contains(args, "revoke") || slices.Contains(args, "rotate") {
		// A function believes a credential for up to a minute after it was
		// revoked elsewhere. That minute is not waited for.
		a.r.Kill("scim")
	}
	return out.String(), log.String(), err
}

func (a *rehearsed) log() string {
	if a.r == nil {
		return a.before.String()
	}
	return a.before.String() + a.r.Logs() + a.r.AccessLog()
}
