package e2e

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/internal/app"
	"gatehouse/internal/aws"
	"gatehouse/internal/aws/ses"
	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// within is the sweep of a rehearsed stack in this process, over the same table
// and the same SES, by a clock that can be ahead of the functions': nobody waits
// here for a lease of 15 minutes.
type within struct {
	*app.App
	org   *org.Org // the demo organization
	sweep lambda.Handler
	ahead atomic.Int64
}

func (a *rehearsed) within(t testing.TB) *within {
	t.Helper()
	env := map[string]string{}
	for k, v := range a.options.Stack.Functions["sweep"].Env {
		env[k] = v
	}
	for _, pair := range a.r.Environ() {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	env["GATEHOUSE_URL"] = a.r.URL
	w := new(within)
	h, err := aws.Open(t.Context(), aws.Options{
		Env: func(name string) string { return env[name] }, Now: w.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.App, err = h.Mailer(ses.Open); err != nil {
		t.Fatal(err)
	}
	w.sweep = h.Sweep(w.App)
	slug := strings.TrimSuffix(a.where.SignIn[strings.Index(a.where.SignIn, "/o/")+len("/o/"):], "/sign-in")
	if w.org, err = w.Orgs.Find(t.Context(), slug); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *within) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// pass lets time pass, for the sweep in this process alone.
func (w *within) pass(d time.Duration) { w.ahead.Add(int64(d)) }

func (w *within) sweeps(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := w.sweep.Invoke(ctx, []byte(`{}`)); err != nil {
		t.Fatalf("the sweep fails: %v", err)
	}
}

// states tells where the messages of users stand, by their names; of groups and
// of who was never written to there are none.
func (w *within) states(t testing.TB, ids map[string]string) map[string]courier.State {
	t.Helper()
	names, users := map[identity.User]string{}, []identity.User{}
	for name, id := range ids {
		if u, ok := identity.ParseUser(id); ok {
			names[u] = name
			users = append(users, u)
		}
	}
	found, err := w.Courier.States(t.Context(), w.org, users...)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]courier.State{}
	for u, s := range found {
		out[names[u]] = s
	}
	return out
}

// state is where the message to one user stands.
func (w *within) state(t testing.TB, id string) courier.State {
	t.Helper()
	return w.states(t, map[string]string{"one": id})["one"]
}
