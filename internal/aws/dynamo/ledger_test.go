package dynamo_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/aws/dynamo"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/table"
	"gatehouse/internal/table/ledger"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

// meter sums up what DynamoDB says that calls consumed.
type meter struct {
	mu          sync.Mutex
	read, write float64
}

func (m *meter) take() (read, write float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	read, write = m.read, m.write
	m.read, m.write = 0, 0
	return read, write
}

// metered asks for the units of every call.
func (m *meter) metered(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("meter", m.around), middleware.Before)
	})
}

func (m *meter) around(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	total := types.ReturnConsumedCapacityTotal
	switch in := in.Parameters.(type) {
	case *dynamodb.GetItemInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.BatchGetItemInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.QueryInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.PutItemInput:
		in.ReturnConsumedCapacity = total
	case *dynamodb.TransactWriteItemsInput:
		in.ReturnConsumedCapacity = total
	}
	out, metadata, err := next.HandleInitialize(ctx, in)
	var read, write []types.ConsumedCapacity
	add := func(to *[]types.ConsumedCapacity, c *types.ConsumedCapacity) {
		if c != nil {
			*to = append(*to, *c)
		}
	}
	switch out := out.Result.(type) {
	case *dynamodb.GetItemOutput:
		add(&read, out.ConsumedCapacity)
	case *dynamodb.BatchGetItemOutput:
		read = out.ConsumedCapacity
	case *dynamodb.QueryOutput:
		add(&read, out.ConsumedCapacity)
	case *dynamodb.PutItemOutput:
		add(&write, out.ConsumedCapacity)
	case *dynamodb.TransactWriteItemsOutput:
		write = out.ConsumedCapacity
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range read {
		m.read += *c.CapacityUnits
	}
	for _, c := range write {
		m.write += *c.CapacityUnits
	}
	return out, metadata, err
}

// TestLedger holds that the ledger counts what DynamoDB Local reports. Commits
// that conflict are left out, since their errors report nothing. Where DynamoDB
// Local reports something else than DynamoDB's documentation says, the step
// tells what and why; the ledger goes by the documentation:
//   - a check is counted as a read, in units of 4 KB
//   - actions of one transaction that cost the same are counted once
//   - keys without an item in a BatchGetItem, and a Query that finds nothing,
//     cost nothing
func TestLedger(t *testing.T) {
	t.Parallel()
	server, m := fake.Shared(t), &meter{}
	name := made(t, server)
	plain := dynamo.New(client(server.Endpoint), name, dynamo.Options{})
	metered := dynamo.New(dynamodb.New(client(server.Endpoint).Options(), m.metered), name, dynamo.Options{})
	l := ledger.New(metered)
	frame := func(i table.Item) int { i.Version, i.Data = "vvvvvvvvvvvvvvvvvvvv", []byte("x"); return i.Size() - 1 }
	sized := func(k table.Key, size int) []byte { return make([]byte, size-frame(table.Item{Key: k})) }
	item := func(k table.Key) table.Item {
		items, err := plain.Get(ctx, k)
		if err != nil || len(items) != 1 {
			t.Fatalf("Get(%v) = %d items, %v, want 1", k, len(items), err)
		}
		return items[0]
	}
	commit := func(ws ...table.Write) func() error {
		return func() error { _, err := l.Commit(ctx, ws...); return err }
	}
	get := func(keys ...table.Key) func() error {
		return func() error { _, err := l.Get(ctx, keys...); return err }
	}
	query := func(part string, r table.Range) func() error {
		return func() error {
			for _, err := range l.Query(ctx, part, r) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	until := time.Unix(1_795_355_156, 0)
	a, b, c, d := key("a", "1"), key("b", "1"), key("c", "1"), key("d", "1")
	const reads, writes = true, false
	for _, step := range []struct {
		name  string
		reads bool
		do    func() func() error
		less  int64 // units that DynamoDB Local leaves out, wrongly
	}{
		{"create of 1,024 bytes", writes, func() func() error { return commit(table.Create(a, sized(a, 1024))) }, 0},
		{"create of 1,025 bytes", writes, func() func() error { return commit(table.Create(b, sized(b, 1025))) }, 0},
		{"create without data", writes, func() func() error { return commit(table.Create(c, nil)) }, 0},
		{"replace of 1 KB by 3", writes, func() func() error { return commit(table.Replace(item(a), sized(a, 3000))) }, 0},
		{"replace of 3 KB by 1", writes, func() func() error { return commit(table.Replace(item(a), sized(a, 1000))) }, 0},
		{"put of 1 KB over 1", writes, func() func() error { return commit(table.Put(a, sized(a, 1024))) }, 0},
		{"a lone add", writes, func() func() error { return commit(table.Add(d, 1, 0, 9)) }, 0},
		{"an add to 1 KB", writes, func() func() error { return commit(table.Add(a, 1, 0, 9)) }, 0},
		{"a lone check of 2 KB", writes, func() func() error { return commit(table.Check(item(b))) }, 2},
		{"a transaction of three", writes, func() func() error {
			return commit(table.Put(a, sized(a, 2048)), table.Add(d, 1, 0, 9), table.Check(item(b)))
		}, 4},
		{"a transaction in one partition", writes, func() func() error {
			return commit(table.Create(key("e", "1"), nil), table.Create(key("e", "2"), sized(key("e", "2"), 2048)), table.Create(key("e", "3"), nil))
		}, 2},
		{"a transaction of three sizes", writes, func() func() error {
			return commit(table.Create(key("f", "1"), nil), table.Create(key("f", "2"), sized(key("f", "2"), 2048)), table.Create(key("f", "3"), sized(key("f", "3"), 2049)))
		}, 0},
		{"a lone delete of 2 KB", writes, func() func() error { return commit(table.Delete(item(b))) }, 0},
		{"a delete beside a replace", writes, func() func() error { return commit(table.Delete(item(c)), table.Replace(item(a), nil)) }, 0},
		{"get of a missing item", reads, func() func() error { return get(b) }, 0},
		{"get of two missing items", reads, func() func() error { return get(b, c) }, 2},
		{"get of a small and a missing item", reads, func() func() error { return get(d, b) }, 1},
		{"put of 5 KB", writes, func() func() error { return commit(table.Put(a, sized(a, 5000))) }, 0},
		{"get of 5 KB", reads, func() func() error { return get(a) }, 0},
		{"get of 5 KB and two others", reads, func() func() error { return get(a, d, b) }, 1},
		{"query of an empty partition", reads, func() func() error { return query("none", table.Range{}) }, 1},
		{"query of 5 KB", reads, func() func() error { return query("a", table.Range{}) }, 0},
		{"put of 4,096 bytes", writes, func() func() error { return commit(table.Put(a, sized(a, 4096))) }, 0},
		{"get of 4,096 bytes", reads, func() func() error { return get(a) }, 0},
		{"put of 4,097 bytes", writes, func() func() error { return commit(table.Put(a, sized(a, 4097))) }, 0},
		{"get of 4,097 bytes", reads, func() func() error { return get(a) }, 0},
		{"put of 8,192 bytes with an expiry", writes, func() func() error {
			return commit(table.Put(b, make([]byte, 8192-frame(table.Item{Key: b, Expires: until}))).Until(until))
		}, 0},
		{"get of 8,192 bytes with an expiry", reads, func() func() error { return get(b) }, 0},
	} {
		do := step.do()
		m.take()
		counted := l.Do(func() {
			if err := do(); err != nil {
				t.Errorf("%s = %v, want success", step.name, err)
			}
		})
		read, write := m.take()
		// Before a commit the ledger reads what it meets: that is no part of it.
		got, want, what := counted.Write, write, "write"
		if step.reads {
			got, want, what = counted.Read, read, "read"
		}
		if float64(got-step.less) != want {
			t.Errorf("%s costs %d %s units by the ledger, want the %v that DynamoDB Local reports and %d more", step.name, got, what, want, step.less)
		}
	}

	// Counters and expiries at the edge of a unit, digit by digit.
	for _, n := range []int64{0, 1, -1, 9, 10, 99, 100, 101, 12345, -12345, 1_000_000, 1_000_001, 1<<62 + 1, -(1 << 62)} {
		for _, over := range []int{0, 1} {
			k := key("edge", fmt.Sprint(n, over))
			data := make([]byte, 1024+over-frame(table.Item{Key: k, N: n}))
			m.take()
			counted := l.Do(func() {
				if _, err := l.Commit(ctx, table.Put(k, data).Count(n)); err != nil {
					t.Fatal(err)
				}
			})
			if _, write := m.take(); float64(counted.Write) != write {
				t.Errorf("an item of %d bytes with the counter %d costs %d write units by the ledger, want the %v that DynamoDB Local reports", 1024+over, n, counted.Write, write)
			}
		}
	}

	// Pages of a Query.
	var small []table.Write
	for i := range 100 {
		k := key("small", fmt.Sprintf("%03d", i))
		small = append(small, table.Put(k, sized(k, 300)))
	}
	if _, err := plain.Commit(ctx, small...); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		k := key("large", fmt.Sprint(i))
		if _, err := plain.Commit(ctx, table.Put(k, sized(k, 390<<10))); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []struct {
		name string
		part string
		r    table.Range
	}{
		{"query of 30,000 bytes", "small", table.Range{}},
		{"query with a limit of 10", "small", table.Range{Limit: 10}},
		{"query of a prefix", "small", table.Range{Prefix: "01"}},
		{"query after a key, descending", "small", table.Range{After: "050", Descending: true}},
		{"query of a prefix after a key", "small", table.Range{Prefix: "0", After: "050"}},
		{"query of three pages", "large", table.Range{}},
		{"query of two pages by its limit", "large", table.Range{Limit: 4}},
	} {
		m.take()
		counted := l.Do(func() {
			if err := query(q.part, q.r)(); err != nil {
				t.Errorf("%s = %v, want success", q.name, err)
			}
		})
		if read, _ := m.take(); float64(counted.Read) != read {
			t.Errorf("%s costs %d read units in %d pages by the ledger, want the %v that DynamoDB Local reports", q.name, counted.Read, counted.Queries, read)
		}
	}
}
