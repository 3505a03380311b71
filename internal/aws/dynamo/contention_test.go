package dynamo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/aws/dynamo"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/fault"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
)

// contended is a client's way to a DynamoDB whose transactions meet, in the
// time of a synctest bubble. A transaction prepares its items one by one within
// the first milliseconds, holds them until its end after 15 to 30, and is
// cancelled if one of them is held by another: also by one that is cancelled
// itself a moment later. DynamoDB Local has no such thing.
type contended struct {
	mu    sync.Mutex
	rng   *rand.Rand
	items map[table.Key]*held
	calls map[string]int // what became of transactions: done, met, refused
}

type held struct {
	version string
	n       int64
	busy    bool
}

func newContended(seed uint64) *contended {
	return &contended{rng: rand.New(rand.NewPCG(seed, 7)), items: map[table.Key]*held{}, calls: map[string]int{}}
}

func (c *contended) table() *dynamo.Table {
	cfg := fake.Config("http://contended")
	cfg.HTTPClient = c
	return dynamo.New(dynamo.Client(cfg, "http://contended"), "table", dynamo.Options{Log: quiet})
}

// between draws a time from so many milliseconds to so many.
func (c *contended) between(from, to int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(from)*time.Millisecond + time.Duration(c.rng.Int64N(int64(to-from)*int64(time.Millisecond)))
}

type attribute struct{ S, N string }

// action is one write of a transaction, whichever it is.
type action struct {
	Key, Item                 map[string]attribute
	ConditionExpression       string
	ExpressionAttributeValues map[string]attribute
}

func (a action) key() table.Key {
	at := a.Key
	if at == nil {
		at = a.Item
	}
	return table.Key{Part: at["p"].S, Sort: at["s"].S}
}

func (a action) value(name string) int64 {
	n, _ := strconv.ParseInt(a.ExpressionAttributeValues[name].N, 10, 64)
	return n
}

// holds reports whether the action's condition holds.
func (a action) holds(h *held) bool {
	v := a.ExpressionAttributeValues
	switch {
	case a.ConditionExpression == "attribute_not_exists(p)":
		return h.version == ""
	case v[":if"].S != "":
		return h.version == v[":if"].S
	case v[":v"].S != "" && h.version >= v[":v"].S:
		return false
	case v[":lo"].N != "":
		return a.value(":lo") <= h.n && h.n <= a.value(":hi")
	}
	return true
}

// Do is an HTTP client's.
func (c *contended) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	time.Sleep(c.between(1, 3))
	var status int
	var answer any
	switch operation := r.Header.Get("X-Amz-Target"); operation {
	case "DynamoDB_20120810.TransactWriteItems":
		var in struct{ TransactItems []map[string]action }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		var actions []action
		for _, one := range in.TransactItems {
			for _, a := range one {
				actions = append(actions, a)
			}
		}
		status, answer = c.transact(actions)
	case "DynamoDB_20120810.BatchGetItem":
		var in struct {
			RequestItems map[string]struct{ Keys []map[string]attribute }
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		status, answer = c.get(in.RequestItems["table"].Keys)
	default:
		return nil, fmt.Errorf("the simulation knows no %s", operation)
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(bytes.NewReader(b)), Request: r}, r.Context().Err()
}

func shown(k table.Key, h *held) map[string]any {
	return map[string]any{"p": map[string]string{"S": k.Part}, "s": map[string]string{"S": k.Sort},
		"v": map[string]string{"S": h.version}, "n": map[string]string{"N": strconv.FormatInt(h.n, 10)}}
}

func (c *contended) get(keys []map[string]attribute) (int, any) {
	time.Sleep(c.between(2, 4))
	c.mu.Lock()
	defer c.mu.Unlock()
	found := []any{}
	for _, k := range keys {
		if h := c.items[table.Key{Part: k["p"].S, Sort: k["s"].S}]; h != nil && h.version != "" {
			found = append(found, shown(table.Key{Part: k["p"].S, Sort: k["s"].S}, h))
		}
	}
	return 200, map[string]any{"Responses": map[string]any{"table": found}, "UnprocessedKeys": map[string]any{}}
}

func (c *contended) transact(actions []action) (int, any) {
	begin, end := time.Now(), c.between(15, 30)
	at := make([]time.Duration, len(actions))
	for i := range at {
		at[i] = c.between(1, 6)
	}
	order := make([]int, len(actions))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(at[a] - at[b]) })
	reasons := make([]map[string]any, len(actions))
	var mine []*held
	what := "done"
	for _, i := range order {
		time.Sleep(at[i] - time.Since(begin))
		c.mu.Lock()
		h := c.items[actions[i].key()]
		if h == nil {
			h = &held{}
			c.items[actions[i].key()] = h
		}
		switch {
		case h.busy:
			reasons[i], what = map[string]any{"Code": "TransactionConflict"}, "met"
		case !actions[i].holds(h):
			reasons[i] = map[string]any{"Code": "ConditionalCheckFailed"}
			if h.version != "" {
				reasons[i]["Item"] = shown(actions[i].key(), h)
			}
			if what == "done" {
				what = "refused"
			}
		default:
			reasons[i], h.busy = map[string]any{"Code": "None"}, true
			mine = append(mine, h)
		}
		c.mu.Unlock()
	}
	if what == "done" {
		time.Sleep(end - time.Since(begin))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[what]++
	for _, h := range mine {
		h.busy = false
	}
	if what != "done" {
		return 400, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "CancellationReasons": reasons}
	}
	for _, a := range actions {
		h := c.items[a.key()]
		switch {
		case a.Item != nil:
			h.version = a.Item["v"].S
			h.n, _ = strconv.ParseInt(a.Item["n"].N, 10, 64)
		case a.ExpressionAttributeValues[":v"].S != "":
			h.version, h.n = a.ExpressionAttributeValues[":v"].S, h.n+a.value(":n")
		}
	}
	return 200, struct{}{}
}

// headers are the items that all clients commit to: those of one group.
var headers = []table.Key{key("group", "0"), key("group", "1"), key("group", "2"), key("group", "3")}

// guarded replaces all headers as they were read, and reads them anew when
// another came between: as a change of members with a precondition does.
func guarded(ctx context.Context, t *dynamo.Table, name string) error {
	for range 64 {
		writes := []table.Write{table.Create(key("event", name), nil)}
		items, err := t.Get(ctx, headers...)
		if err != nil {
			return err
		}
		for i, k := range headers {
			if i < len(items) {
				writes = append(writes, table.Replace(items[i], nil))
			} else {
				writes = append(writes, table.Create(k, nil))
			}
		}
		if _, err = t.Commit(ctx, writes...); !table.Conflicts(err) {
			return err
		}
	}
	return fault.New(fault.Unavailable, "", "64 others were first.")
}

// added adds to all headers: the change of members that needs no precondition.
func added(ctx context.Context, t *dynamo.Table, name string) error {
	writes := []table.Write{table.Create(key("event", name), nil)}
	for _, k := range headers {
		writes = append(writes, table.Add(k, 1, 0, 1<<40))
	}
	_, err := t.Commit(ctx, writes...)
	return err
}

// TestContention measures which share of requests ends in 503 while many
// clients change one group, each one request after another, with the time that
// a request has on AWS. Two seconds for each are not enough: that the
// simulation is hard tells the test that it can fail.
func TestContention(t *testing.T) {
	short.Skip(t, "takes a quarter of a minute")
	for _, c := range []struct {
		name    string
		clients int
		commit  func(context.Context, *dynamo.Table, string) error
		time    time.Duration
		from    float64 // the share of 503
		to      float64
	}{
		{"guarded", 16, guarded, 28 * time.Second, 0, 0.01},
		{"guarded", 64, guarded, 28 * time.Second, 0, 0.01},
		{"guarded, in two seconds", 64, guarded, 2 * time.Second, 0.1, 1},
		{"added", 16, added, 28 * time.Second, 0, 0.01},
		{"added", 64, added, 28 * time.Second, 0, 0.01},
		{"added, in two seconds", 64, added, 2 * time.Second, 0.1, 1},
	} {
		t.Run(fmt.Sprint(c.name, " ", c.clients), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = 6
				sim := newContended(1)
				tab := sim.table()
				var mu sync.Mutex
				var took []time.Duration
				refused, begin := 0, time.Now()
				var wait sync.WaitGroup
				for client := range c.clients {
					wait.Go(func() {
						for n := range each {
							ctx, cancel := context.WithTimeout(t.Context(), c.time)
							start := time.Now()
							err := c.commit(ctx, tab, fmt.Sprint(client, " ", n))
							cancel()
							mu.Lock()
							took = append(took, time.Since(start))
							if err != nil {
								refused++
							}
							if err != nil && !fault.Is(err, fault.Unavailable) && !errors.Is(err, context.DeadlineExceeded) {
								t.Errorf("a commit among %d = %v, want success or Unavailable", c.clients, err)
							}
							mu.Unlock()
						}
					})
				}
				wait.Wait()
				share := float64(refused) / float64(c.clients*each)
				slices.Sort(took)
				t.Logf("%d clients: %.1f %% of requests refused; median %v, slowest %v; %.1f commits/s; transactions %v",
					c.clients, 100*share, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond),
					float64(sim.calls["done"])/time.Since(begin).Seconds(), sim.calls)
				if share < c.from || share > c.to {
					t.Errorf("share of requests refused with %d clients = %.3f, want %.2f to %.2f", c.clients, share, c.from, c.to)
				}
			})
		})
	}
}

// refusing answers every call with the same error, after some milliseconds.
type refusing struct {
	status int
	code   string
	calls  int
}

func (r *refusing) Do(q *http.Request) (*http.Response, error) {
	time.Sleep(10 * time.Millisecond)
	r.calls++
	b := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]}`, r.code)
	return &http.Response{StatusCode: r.status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(b)), Request: q}, q.Context().Err()
}

// TestPatience holds for how long what is refused is tried again: by time, not
// by count, and never into the last quarter of a second of the caller's.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name        string
		status      int
		code        string
		deadline    time.Duration // 0: none
		from, to    time.Duration
		least, most int // calls
		unknown     bool
	}{
		{"met", 400, "TransactionCanceledException", 0, 8 * time.Second, 8100 * time.Millisecond, 40, 250, false},
		{"throttled", 400, "ThrottlingException", 0, 8 * time.Second, 8100 * time.Millisecond, 8, 40, false},
		{"lost", 500, "InternalServerError", 0, 20 * time.Second, 20100 * time.Millisecond, 15, 60, true},
		{"met, with a deadline", 400, "TransactionCanceledException", 3 * time.Second, 2750 * time.Millisecond, 2800 * time.Millisecond, 8, 60, false},
		{"lost, with a deadline", 500, "InternalServerError", 3 * time.Second, 2750 * time.Millisecond, 2800 * time.Millisecond, 4, 40, true},
		{"met, with a far deadline", 400, "TransactionCanceledException", time.Minute, 8 * time.Second, 8100 * time.Millisecond, 40, 250, false},
		{"met, with no time", 400, "TransactionCanceledException", 200 * time.Millisecond, 0, 20 * time.Millisecond, 1, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &refusing{status: c.status, code: c.code}
				cfg := fake.Config("http://refusing")
				cfg.HTTPClient = r
				tab := dynamo.New(dynamo.Client(cfg, "http://refusing"), "table", dynamo.Options{Log: quiet})
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				begin := time.Now()
				_, err := tab.Commit(ctx, table.Add(headers[0], 1, 0, 9), table.Add(headers[1], 1, 0, 9))
				took := time.Since(begin)
				t.Logf("%d calls in %v", r.calls, took)
				if took < c.from || took > c.to || r.calls < c.least || r.calls > c.most {
					t.Errorf("Commit ended after %v and %d calls, want %v to %v and %d to %d", took, r.calls, c.from, c.to, c.least, c.most)
				}
				if err == nil || fault.Is(err, fault.Unavailable) == c.unknown || strings.Contains(err.Error(), "unknown") != c.unknown {
					t.Errorf("Commit = %v, want an unknown outcome: %t, or else Unavailable", err, c.unknown)
				}
			})
		})
	}
}
