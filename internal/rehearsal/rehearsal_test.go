package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"gatehouse/infra"
	"gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/fakes/lambda"
)

// clerk is the test function, built once.
var clerk = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "functions-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "bootstrap")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", binary, "./testdata/functions/clerk")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return binary, fmt.Errorf("build the test function: %w\n%s", err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if binary, _ := clerk(); binary != "" {
		os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

const (
	secretARN = "arn:aws:secretsmanager:eu-west-1:210987654321:secret:small"
	queueARN  = "arn:aws:sqs:eu-west-1:210987654321:small-discarded"
)

// small is a stack with one function of each kind.
func small(table string) infra.Stack {
	s := infra.Stack{
		Name: "small", Table: table, Secret: secretARN, AccessLog: `{"status":"$context.status"}`, Functions: map[string]infra.Function{},
		Queues: map[string]infra.Queue{
			queueARN:           {ARN: queueARN, Visibility: time.Minute, MaxReceive: 3, Dead: queueARN + "-dead"},
			queueARN + "-dead": {ARN: queueARN + "-dead"},
		},
		Routes: []infra.Route{{Key: "$default", Function: "web"}},
	}
	for _, folder := range []string{"web", "feed", "discarded", "mailevents", "sweep"} {
		s.Functions[folder] = infra.Function{
			Folder: folder, Name: "small-" + folder, ARN: "arn:aws:lambda:eu-west-1:210987654321:function:small-" + folder,
			Env: map[string]string{"GATEHOUSE_URL": "https://gatehouse.example", "GATEHOUSE_SECRET": secretARN}, Timeout: 10 * time.Second,
		}
	}
	change := func(folder string, how func(*infra.Function)) {
		f := s.Functions[folder]
		how(&f)
		s.Functions[folder] = f
	}
	change("feed", func(f *infra.Function) {
		f.Streams = []infra.Stream{{BatchSize: 10, Parallel: 2, Bisect: true, Retries: 8, Partial: true, OnFailure: queueARN,
			Filters: []json.RawMessage{[]byte(`{"dynamodb":{"NewImage":{"f":{"S":[{"exists":true}]}}}}`)}}}
	})
	change("discarded", func(f *infra.Function) {
		f.Queues = []infra.QueueSource{{Queue: queueARN, BatchSize: 5, Partial: true}}
	})
	change("mailevents", func(f *infra.Function) {
		f.Rules = []infra.Rule{{Pattern: []byte(`{"source":["aws.ses"]}`)}}
	})
	change("sweep", func(f *infra.Function) {
		f.Schedules = []infra.Schedule{{Every: time.Minute}}
		f.Policy = []infra.Statement{{Actions: []string{"secretsmanager:GetSecretValue"}, Resources: []string{secretARN}}}
	})
	return s
}

type world struct {
	*Rehearsal
	t      *testing.T
	table  string
	client *ddb.Client
}

func begin(t *testing.T, table string, change func(*Options)) *world {
	t.Helper()
	binary, err := clerk()
	if err != nil {
		t.Fatal(err)
	}
	server := dynamodb.Shared(t)
	o := Options{Stack: small(table), Binaries: map[string]string{}, Key: strings.Repeat("k", 64), DynamoDB: server.Endpoint, Poll: 10 * time.Millisecond, Again: 5 * time.Millisecond}
	for folder := range o.Stack.Functions {
		o.Binaries[folder] = binary
	}
	if change != nil {
		change(&o)
	}
	r, err := Start(t.Context(), o)
	if err != nil {
		t.Fatalf("Start() = %v", err)
	}
	w := &world{r, t, table, server.Client()}
	t.Cleanup(w.end)
	return w
}

func (w *world) end() {
	w.t.Helper()
	if err := w.Close(); err != nil {
		w.t.Errorf("Close() = %v", err)
	}
}

func (w *world) put(key, value string) {
	w.t.Helper()
	_, err := w.client.PutItem(context.Background(), &ddb.PutItemInput{TableName: &w.table, Item: map[string]types.AttributeValue{
		"p": &types.AttributeValueMemberS{Value: key}, "s": &types.AttributeValueMemberS{Value: "#"}, "f": &types.AttributeValueMemberS{Value: value},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Settle(ctx); err != nil {
		w.t.Fatalf("Settle() = %v", err)
	}
}

func (w *world) get(path string) string {
	w.t.Helper()
	res, err := http.Get(w.URL + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(res.StatusCode, " ", string(b))
}

// lines are how often the function wrote each line.
func (w *world) lines(folder string) map[string]int {
	count := map[string]int{}
	for line := range strings.Lines(w.Log(folder)) {
		count[strings.TrimSpace(line)]++
	}
	return count
}

func TestEveryTriggerReachesItsFunction(t *testing.T) {
	var account Account
	account.Put([]byte(`{"id":"early","source":"aws.ses"}`))
	w := begin(t, "triggers", func(o *Options) {
		o.Account = &account
		o.Env = map[string]map[string]string{"web": {"WORD": "override"}}
	})
	if got, want := w.get("/a%20path"), "200 "+w.URL+" /a path override"; got != want {
		t.Errorf("GET /a path = %q, want %q", got, want)
	}
	w.put("one", "1")
	w.put("two", "poison")
	account.Put([]byte(`{"id":"ours","source":"aws.ses"}`))
	account.Put([]byte(`{"id":"theirs","source":"aws.s3"}`))
	w.Tick()
	w.settle()
	for folder, want := range map[string]map[string]int{
		"feed":       {"fed one 1": 1},
		"discarded":  {"discarded 1 RetryAttemptsExhausted": 1},
		"mailevents": {"told early": 1, "told ours": 1},
		"sweep":      {"swept Scheduled Event 64 <nil>": 1},
		"web":        {"asked for /a path": 1},
	} {
		if got := w.lines(folder); !maps.Equal(got, want) {
			t.Errorf("%s wrote %v, want %v", folder, got, want)
		}
	}
	if log := w.Logs(); strings.Count(log, "\n") != 6 {
		t.Errorf("Logs() = %q, want the six lines of all", log)
	}
	if log := w.AccessLog(); !strings.Contains(log, `"status":"200"`) || strings.Contains(log, "path") {
		t.Errorf("AccessLog() = %q, want a status of 200 and no path", log)
	}
	if c := w.Counts()["feed"]; c.Discarded != 1 || c.Failures != 9 {
		t.Errorf("Counts() = %+v, want one record discarded after nine failures", c)
	}
	if d := w.Denied(); len(d) != 0 {
		t.Errorf("Denied() = %q, want none", d)
	}
	if d, l := w.DeadMessages(), w.Lost(); len(d)+len(l) != 0 {
		t.Errorf("dead messages %q and lost events %v, want none", d, l)
	}
}

func TestARoleThatAllowsTooLittleIsFound(t *testing.T) {
	w := begin(t, "roles", func(o *Options) {
		f := o.Stack.Functions["sweep"]
		f.Policy = nil
		o.Stack.Functions["sweep"] = f
	})
	w.Tick()
	w.settle()
	if d := w.Denied(); len(d) != 3 || !strings.Contains(d[0], "sweep is not authorized to perform secretsmanager:GetSecretValue") {
		t.Errorf("Denied() = %q, want three tries of sweep to read the secret", d)
	}
	if l := w.Lost(); len(l) != 1 || l[0].Function != "sweep" {
		t.Errorf("Lost() = %v, want the one event of the schedule", l)
	}
}

func TestWhatWasUnderWayGoesOnAfterAFailure(t *testing.T) {
	var account Account
	address := ""
	total := map[string]int{}
	for round := range 4 {
		w := begin(t, "failures", func(o *Options) { o.Account, o.Address = &account, address })
		address = strings.TrimPrefix(w.URL, "http://")
		for i := range 20 {
			w.put(fmt.Sprint("part", i%3), fmt.Sprintf("%d.%02d", round, i))
			account.Put(fmt.Appendf(nil, `{"id":"%d.%02d","source":"aws.ses"}`, round, i))
		}
		if round == 3 {
			w.settle()
		}
		w.end()
		account.Put(fmt.Appendf(nil, `{"id":"between %d","source":"aws.ses"}`, round))
		for _, folder := range []string{"feed", "mailevents"} {
			for line, n := range w.lines(folder) {
				total[line] += n
			}
		}
	}
	for round := range 4 {
		for i := range 20 {
			for _, line := range []string{fmt.Sprintf("fed part%d %d.%02d", i%3, round, i), fmt.Sprintf("told %d.%02d", round, i)} {
				if total[line] == 0 {
					t.Errorf("no function ever wrote %q", line)
				}
			}
		}
		if line := fmt.Sprint("told between ", round); round < 3 && total[line] == 0 {
			t.Errorf("no function ever wrote %q", line)
		}
	}
}

func TestChaos(t *testing.T) {
	w := begin(t, "chaos", func(o *Options) {
		o.Chaos = Chaos{Seed: 7, Twice: Asynchronous, Kill: map[string]float64{"feed": .3, "mailevents": .3}, Within: 10 * time.Millisecond, Cut: true}
		o.Stack.Functions["feed"].Streams[0].Retries = -1
	})
	for i := range 100 {
		w.put(fmt.Sprint("part", i%5), fmt.Sprintf("%02d", i))
	}
	for i := range 20 {
		w.account.Put(fmt.Appendf(nil, `{"id":"%02d","source":"aws.ses"}`, i))
	}
	w.settle()
	if got := w.get("/"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("GET / = %q, want it untouched by the chaos", got)
	}
	fed, told := w.lines("feed"), w.lines("mailevents")
	twice := 0
	for i := range 100 {
		line := fmt.Sprintf("fed part%d %02d", i%5, i)
		if fed[line] == 0 {
			t.Errorf("feed never wrote %q", line)
		}
		if fed[line] > 1 {
			twice++
		}
	}
	for i := range 20 {
		if line := fmt.Sprintf("told %02d", i); told[line] == 0 {
			t.Errorf("mailevents never wrote %q", line)
		}
	}
	if twice < 60 {
		t.Errorf("%d of 100 changes came more than once, want most", twice)
	}
	if c := w.Counts()["feed"]; c.Failures == 0 {
		t.Errorf("Counts() = %+v, want failures: environments were killed", c)
	}
	if l := w.Lost(); len(l) != 0 {
		t.Errorf("Lost() = %v, want none: no event is killed more than twice", l)
	}
}

func TestPlanIsTheSameForASeed(t *testing.T) {
	c := Chaos{Seed: 3, Twice: []string{"feed"}, Kill: map[string]float64{"feed": .5}}
	draw := func(c Chaos) (list []string) {
		plan := c.plan()
		for n := range 50 {
			f := plan(lambda.Call{Function: "feed", Number: n, Event: fmt.Append(nil, n)})
			list = append(list, fmt.Sprint(f.Again, f.Kill != nil, f.Lose))
		}
		return list
	}
	first := draw(c)
	if second := draw(c); !slices.Equal(first, second) {
		t.Errorf("the same seed gave %q and %q", first, second)
	}
	if c.Seed++; slices.Equal(first, draw(c)) {
		t.Error("another seed gave the same")
	}
	asked := 0
	c.Fate = func(lambda.Call) lambda.Fate { asked++; return lambda.Fate{Lose: true} }
	if f := c.plan()(lambda.Call{Function: "scim", Number: 1}); asked != 1 || !f.Lose {
		t.Errorf("a function without chaos has the fate %+v, want that of Fate", f)
	}
	kills := 0
	for n := range 100 {
		if f := c.plan()(lambda.Call{Function: "feed", Number: n}); f.Kill != nil || f.Lose {
			kills++
		}
	}
	if kills < 30 || kills > 70 {
		t.Errorf("%d of 100 invocations are killed, want about half", kills)
	}
	plan, kills := c.plan(), 0
	for n := range 100 {
		if f := plan(lambda.Call{Function: "feed", Number: n, Event: []byte("one")}); f.Kill != nil || f.Lose {
			kills++
		}
	}
	if kills != 2 {
		t.Errorf("one event was killed %d times, want 2", kills)
	}
}

func TestStartRefuses(t *testing.T) {
	server := dynamodb.Shared(t)
	binary, err := clerk()
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"no binary of web":  func(o *Options) { delete(o.Binaries, "web") },
		"host feed":         func(o *Options) { o.Binaries["feed"] = "/nowhere" },
		"is not there":      func(o *Options) { delete(o.Stack.Queues, queueARN+"-dead") },
		"there is no queue": func(o *Options) { o.Stack.Functions["feed"].Streams[0].OnFailure = "arn" },
		"in batches of 0":   func(o *Options) { o.Stack.Functions["discarded"].Queues[0].BatchSize = 0 },
		"parse an event":    func(o *Options) { o.Stack.Functions["mailevents"].Rules[0].Pattern = []byte(`{}`) },
		"BatchSize is not":  func(o *Options) { o.Stack.Functions["feed"].Streams[0].BatchSize = 0 },
		"make the table":    func(o *Options) { o.DynamoDB = "http://127.0.0.1:1" },
		"invalid port":      func(o *Options) { o.Address = "127.0.0.1:70000" },
	} {
		o := Options{Stack: small("refused"), Binaries: map[string]string{}, DynamoDB: server.Endpoint}
		for folder := range o.Stack.Functions {
			o.Binaries[folder] = binary
		}
		change(&o)
		if r, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start() = %v, want an error with %q", err, want)
			if r != nil {
				r.Close()
			}
		}
	}
}
