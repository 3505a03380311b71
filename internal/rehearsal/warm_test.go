package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/infra"
	"gatehouse/internal/app"
	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
	"gatehouse/internal/short"
)

// directory is a directory's client of one of the homes.
type directory struct {
	base, token string // of SCIM
	user        string // path of the user that it asks for
}

func (d directory) do(t *testing.T, method, path, body string) (answer []byte, took time.Duration) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("Content-Type", "application/scim+json")
	begin := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, err = io.ReadAll(res.Body)
	took = time.Since(begin)
	res.Body.Close()
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s%s = %d %s, %v", method, d.base, path, res.StatusCode, answer, err)
	}
	return answer, took
}

// hire makes the user that the directory then asks for.
func (d *directory) hire(t *testing.T) {
	t.Helper()
	answer, _ := d.do(t, http.MethodPost, "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],
		"userName":"erika","externalId":"e1","displayName":"Erika Mustermann","active":true,
		"name":{"givenName":"Erika","familyName":"Mustermann"},"emails":[{"value":"erika@acme.example","primary":true,"type":"work"}]}`)
	var user struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &user); err != nil || user.ID == "" {
		t.Fatalf("POST /Users = %s, which has no id", answer)
	}
	d.user = "/Users/" + user.ID
}

// localProgram serves a folder with the release's own program until the test
// ends.
func localProgram(t *testing.T) directory {
	t.Helper()
	root, err := infra.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary, ready := filepath.Join(dir, "gatehouse"), filepath.Join(dir, "ready.json")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/gatehouse")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the local program: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--ready", ready, "--demo")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var where struct{ SCIM, Token string }
		text, err := os.ReadFile(ready)
		if err == nil && json.Unmarshal(text, &where) == nil {
			return directory{base: where.SCIM, token: where.Token}
		}
		if time.Now().After(end) {
			t.Fatalf("the local program does not say that it is ready: %v", err)
		}
	}
}

// rehearsedStack founds an organization in the table of the rehearsal, beside
// its functions.
func rehearsedStack(t *testing.T, r *Rehearsal, endpoint, table string) directory {
	t.Helper()
	key, err := secret.Parse(measuredKey)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	tab := dynamo.New(dynamo.Client(dynamodb.Config(endpoint), endpoint), table, dynamo.Options{Subscriptions: app.Subscriptions(), Log: log})
	if err := app.Prepare(t.Context(), tab, key, time.Now()); err != nil {
		t.Fatal(err)
	}
	op := &app.Operator{App: app.New(app.Ports{Table: tab, Key: key, URL: r.URL, Now: time.Now, Log: log})}
	demo, err := op.MakeDemo(context.WithoutCancel(t.Context()), "Example GmbH", "demo", "admin@demo.example")
	if err != nil {
		t.Fatal(err)
	}
	return directory{base: r.URL + "/scim/v2", token: demo.Token}
}

// TestWarm compares GET of one user through API Gateway's model and a function
// that is awake with the same request to the local program: both over HTTP on
// the loopback device, one request at a time, in turns. The function's reads are
// answered from memory: DynamoDB Local takes longer for one than DynamoDB, and
// neither is the product's. Told beside: how long they take with it, and what
// the host alone takes for the least function.
func TestWarm(t *testing.T) {
	short.Skip(t, "builds the functions and the local program")
	table := "warm" + identity.Random(8) // the server outlives a run of several
	const (
		turns = 400
		cold  = 20               // turns before those that count
		bound = time.Millisecond // added to the local program's
	)
	r, m := measured(t, table, "scim")
	near, far := localProgram(t), rehearsedStack(t, r, dynamodb.Shared(t).Endpoint, table)
	near.hire(t)
	far.hire(t)
	compare := func() (local, rehearsed time.Duration) {
		var times [2][]time.Duration
		for range cold + turns {
			for i, d := range []directory{near, far} {
				_, took := d.do(t, http.MethodGet, d.user, "")
				times[i] = append(times[i], took)
			}
		}
		return median(times[0][cold:]), median(times[1][cold:])
	}
	_, database := compare()
	m.remember(true)
	local, rehearsed := compare()
	for range turns {
		if _, err := r.Invoke(t.Context(), "hello", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("GET of a user, at the median: %.2f ms from the local program, %.2f in the rehearsal with its %.1f reads from memory, %.2f with DynamoDB Local; the host takes %.2f for hello",
		milliseconds(local), milliseconds(rehearsed), float64(m.read)/(turns+cold), milliseconds(database), milliseconds(median(r.Host().Timings("hello").Warm)))
	told := fmt.Sprintf("the rehearsal adds %.2f ms to a warm GET, want %v at most", milliseconds(rehearsed-local), bound)
	t.Log(told)
	if rehearsed-local > patience*bound {
		t.Error(told)
	}
}

func median(list []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}
