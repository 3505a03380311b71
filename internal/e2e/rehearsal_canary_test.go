package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/fakes/lambda"
	"gatehouse/internal/fakes/ses"
	"gatehouse/internal/rehearsal"
	"gatehouse/internal/table/pump"
)

// traces are the texts that operators, and whoever runs a service, can read:
// what each is, and what stands in it.
type traces map[string]string

// tell says what of the values stands where.
func (p traces) tell(values map[string]string) (found []string) {
	for _, where := range slices.Sorted(maps.Keys(p)) {
		for _, what := range leaks(p[where], values) {
			found = append(found, what+" stands in "+where)
		}
	}
	return found
}

// traces collects them from a stack that has run.
func (a *rehearsed) traces(t *testing.T, w *within) traces {
	t.Helper()
	p := traces{"the access log": a.r.AccessLog(), "messages of queues": strings.Join(a.r.DeadMessages(), "\n")}
	for folder := range a.options.Stack.Functions {
		p["the log of "+folder] = a.r.Log(folder)
	}
	var keys, letters strings.Builder
	pages := ddb.NewScanPaginator(ddb.NewFromConfig(dynamodb.Config(a.options.DynamoDB)), &ddb.ScanInput{TableName: &a.table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			for name, v := range item {
				switch v := v.(type) { // all but the data, which is d
				case *types.AttributeValueMemberS:
					fmt.Fprintf(&keys, "%s=%s\n", name, v.Value)
				case *types.AttributeValueMemberN:
					fmt.Fprintf(&keys, "%s=%s\n", name, v.Value)
				}
			}
		}
	}
	p["keys of the table"] = keys.String()
	for _, consumer := range []string{"feed", "welcome"} {
		for d, err := range pump.DeadLetters(t.Context(), w.Table, consumer) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&letters, "%s %s\n", d.Change.Key, d.Reason)
		}
	}
	p["reasons of dead letters"] = letters.String()
	return p
}

// broken is a stack that a test can break and mend.
type broken struct {
	t     *testing.T
	dies  map[string]*atomic.Bool // functions that are killed before their answer is heard
	proxy *dynamodb.Proxy         // before the table
}

// refuse lets the table take no write that the test picks.
func (b *broken) refuse(pick func(body string) bool) {
	b.proxy.Set(func(c dynamodb.Call) dynamodb.Fault {
		if (c.Operation == "TransactWriteItems" || c.Operation == "PutItem") && pick(string(c.Body)) {
			return dynamodb.Throttling
		}
		return dynamodb.None
	})
}

func (b *broken) options(o *rehearsal.Options, carrier *ses.Options) {
	quickly(o, carrier)
	var err error
	if b.proxy, err = dynamodb.NewProxy(o.DynamoDB, nil); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.proxy.Close() })
	o.Streams, o.DynamoDB = o.DynamoDB, b.proxy.Endpoint
	// The feed tries for as long as it lives to write the log.
	feed := o.Stack.Functions["feed"]
	feed.Streams[0].Retries, feed.Timeout = 1, 6*time.Second
	o.Stack.Functions["feed"] = feed
	o.Chaos.Fate = func(c lambda.Call) lambda.Fate {
		is := b.dies[c.Function]
		return lambda.Fate{Lose: is != nil && is.Load()}
	}
	carrier.Outcome = func(to string) ses.Outcome {
		switch {
		case strings.HasPrefix(to, "unzustellbar"):
			return ses.BouncesHard // SES's diagnostic text names the recipient
		case strings.HasPrefix(to, "beschwerde"):
			return ses.Complains
		}
		return ses.Delivers
	}
}

// TestRehearsalCanary tells the story of the canaries to a stack, lets mails
// bounce and be complained of, functions die until their work is given up, and
// the table fail, and then reads all that is kept of it outside of the data.
func TestRehearsalCanary(t *testing.T) {
	t.Parallel()
	b := &broken{t: t, dies: map[string]*atomic.Bool{"feed": {}, "discarded": {}}}
	s, a := rehearseSite(t, b.options)
	c := s.client("")
	values := tellCanaries(t, s)
	more := map[string]string{
		"the bounced address": "unzustellbar.vogelina@aviary.test", "the complainer": "beschwerde.vogelina@aviary.test",
		"the lost address": "verloren.vogelina@aviary.test", "the buried address": "begraben.vogelina@aviary.test",
		"the late address": "verspaetet.vogelina@aviary.test", "the refused address": "abgewiesen.vogelina@aviary.test",
	}
	maps.Copy(values, more)
	values["the admin's address"] = s.AdminEmail
	canary := func(what string) object {
		return object{"name": object{"givenName": canaries["a given name"], "familyName": canaries["a family name"]}, "title": canaries["a title"], "externalId": what + canaries["an external id"]}
	}
	w := a.within(t)
	a.ses.Fail(func(v ses.Visit) ses.Action {
		if v.To == more["the refused address"] {
			return ses.Action{Code: "MessageRejected", Text: "Illegal content for " + v.To}
		}
		return ses.Action{}
	})
	for _, x := range []struct{ what, status string }{{"the bounced address", "bounced"}, {"the complainer", "complained"}, {"the refused address", "refused"}} {
		id := c.user(t, more[x.what], canary(x.what))
		eventually(t, 15*time.Second, func() error {
			if got := w.state(t, id); string(got.Status) != x.status {
				return fmt.Errorf("the mail to %s is %s, want %s", x.what, got.Status, x.status)
			}
			return nil
		})
	}

	// The feed dies until Lambda gives the change up; what buries it dies too.
	b.dies["feed"].Store(true)
	b.dies["discarded"].Store(true)
	c.user(t, more["the lost address"], canary("lost"))
	eventually(t, 20*time.Second, func() error {
		if len(a.r.DeadMessages()) == 0 {
			return fmt.Errorf("no message in the dead-letter queue; feed %+v", a.r.Counts()["feed"])
		}
		return nil
	})
	b.dies["feed"].Store(false)
	b.dies["discarded"].Store(false)

	// The table does not take what the feed writes, until that is given up too.
	b.refuse(func(body string) bool { return strings.Contains(body, "#LOG#") })
	discarded := a.r.Counts()["feed"].Discarded
	id := c.user(t, more["the buried address"], canary("buried"))
	eventually(t, 30*time.Second, func() error {
		if n := a.r.Counts()["feed"]; n.Discarded == discarded {
			return fmt.Errorf("the feed does not fail without the log: %+v", n)
		}
		return nil
	})
	eventually(t, 20*time.Second, func() error {
		letters, _, err := a.gatehouse("dead", "list", "--json")
		if err == nil && strings.TrimSpace(letters) == "[]" {
			err = fmt.Errorf("what the feed gave up is not among the dead letters")
		}
		return err
	})
	// And then it takes nothing from anybody.
	b.refuse(func(body string) bool { return !strings.Contains(body, "DEAD#") })
	failed := c.patch(t, "/Users/"+id, object{"op": "replace", "path": "displayName", "value": canaries["a family name"]})
	failed.want(t, 429, 500, 503)
	b.proxy.Set(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := a.r.Settle(ctx); err != nil {
		t.Fatal(err)
	}

	p := a.traces(t, w)
	p["the list of dead letters"] = s.run(t, []string{"dead", "list", "--json"})
	p["an answer about a failure"] = string(failed.body)
	// What was given up can be made good, and then nothing is missing.
	s.run(t, []string{"dead", "replay", "--json"})
	w.log(t)
	for where, text := range a.traces(t, w) {
		p[where] += text
	}

	for _, leak := range p.tell(values) {
		t.Error(leak)
	}
	for where, text := range p {
		// The sweep has nothing to tell: all that is due here is a minute away.
		if where != "the log of sweep" && len(text) < cmp.Or(map[string]int{"keys of the table": 5000, "the access log": 2000}[where], 40) {
			t.Errorf("there is little in %s: %q", where, text)
		}
		// The search itself: whatever stands there would be found.
		for what, v := range values {
			if len((traces{where: text + `"key":"` + v + `"`}).tell(map[string]string{what: v})) != 1 {
				t.Errorf("%s would not be found in %s", what, where)
			}
		}
	}
}

func TestRehearsalTraces(t *testing.T) {
	values := map[string]string{"a name": "Zwitscher Vögelsang"}
	for _, planted := range []string{
		`{"level":"ERROR","msg":"no room for Zwitscher Vögelsang"}`,
		`{"path":"/scim/v2/Users/Zwitscher%20V%C3%B6gelsang"}`,
		"s=user#zwitscher vögelsang",
		`{"body":"eyJkaXNwbGF5TmFtZSI6Ilp3aXRzY2hlciBWw7ZnZWxzYW5nIn0="}`,
		`{"shardId":"1","reason":"Zwitscher V\u00f6gelsang"}`,
	} {
		p := traces{"the log": "all is well\n" + planted, "keys": "p=O#m8y29nfq8j16"}
		if got := p.tell(values); !slices.Equal(got, []string{"a name stands in the log"}) {
			t.Errorf("traces with %s tell %q, want the name in the log", planted, got)
		}
	}
	if got := (traces{"the log": "all is well"}).tell(values); len(got) != 0 {
		t.Errorf("traces with nothing tell %q", got)
	}
}
