package dynamo_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/aws/dynamo"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/table"
)

// TestReadsAreConsistent holds that every read asks for what was committed
// last, which DynamoDB Local gives without being asked.
func TestReadsAreConsistent(t *testing.T) {
	p := through(t, dynamo.Options{})
	a, b := key("consistent", "1"), key("consistent", "2")
	p.must(table.Put(a, nil), table.Put(b, nil))
	var asked []string
	p.proxy.Set(func(c fake.Call) fake.Fault {
		asked = append(asked, fmt.Sprintf("%s:%t", c.Operation, strings.Contains(string(c.Body), `"ConsistentRead":true`)))
		if c.Operation == "PutItem" && len(asked) == 4 {
			return fake.LostAnswer
		}
		return fake.None
	})
	_, one := p.faulty.Get(ctx, a)
	_, two := p.faulty.Get(ctx, a, b)
	for _, err := range p.faulty.Query(ctx, a.Part, table.Range{}) {
		if err != nil {
			t.Errorf("Query = %v, want success", err)
		}
	}
	_, create := p.faulty.Commit(ctx, table.Create(key("consistent", "3"), nil)) // looks after a lost answer
	if err := errors.Join(one, two, create); err != nil {
		t.Errorf("Get, Get and Create = %v, want success", err)
	}
	if got, want := strings.Join(asked, " "), "GetItem:true BatchGetItem:true Query:true PutItem:false GetItem:true"; got != want {
		t.Errorf("calls that ask for consistent reads: %q, want %q", got, want)
	}
}

// TestTornReads holds that a damaged answer is asked for again, and not taken
// for nothing found.
func TestTornReads(t *testing.T) {
	p := through(t, dynamo.Options{})
	a, b := key("torn", "1"), key("torn", "2")
	p.must(table.Put(a, []byte("a")), table.Put(b, []byte("b")))
	for _, f := range []fake.Fault{fake.Torn, fake.Empty, fake.Corrupt, fake.LostAnswer, fake.ServerError} {
		for name, read := range map[string]func() ([]table.Item, error){
			"Get of one": func() ([]table.Item, error) { return p.faulty.Get(ctx, b) },
			"Get of two": func() ([]table.Item, error) { return p.faulty.Get(ctx, a, b) },
			"Query": func() (items []table.Item, err error) {
				for item, err := range p.faulty.Query(ctx, a.Part, table.Range{}) {
					if err != nil {
						return nil, err
					}
					items = append(items, item)
				}
				return items, nil
			},
		} {
			p.plan(nil, f, f)
			items, err := read()
			if err != nil || len(items) == 0 || string(items[len(items)-1].Data) != "b" {
				t.Errorf("%s under %q twice = %d items, %v, want what is stored", name, f, len(items), err)
			}
		}
	}
}

// TestToken holds that a transaction is known by its version.
func TestToken(t *testing.T) {
	p := through(t, dynamo.Options{})
	var bodies []string
	p.proxy.Set(func(c fake.Call) fake.Fault {
		if bodies = append(bodies, string(c.Body)); len(bodies) == 1 {
			return fake.LostAnswer
		}
		return fake.None
	})
	v, err := p.faulty.Commit(ctx, table.Add(key("token", "1"), 1, 0, 9))
	var sent [2]any
	for i, b := range bodies[:min(len(bodies), 2)] { // the members of an object come in any order
		if err := json.Unmarshal([]byte(b), &sent[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil || len(bodies) != 2 || !reflect.DeepEqual(sent[0], sent[1]) || !strings.Contains(bodies[0], fmt.Sprintf(`"ClientRequestToken":%q`, v)) {
		t.Errorf("a transaction whose answer was lost = %v after %d calls, want two equal ones with the token %q", err, len(bodies), v)
	}
}

// TestMintedLate holds that what was certainly not carried out is sent anew
// under a new version, so that an Add follows those who committed meanwhile
// without another round; and that it adds once.
func TestMintedLate(t *testing.T) {
	p := through(t, dynamo.Options{})
	k := key("late", "1")
	p.must(table.Add(k, 1, 0, 9))
	for _, f := range []fake.Fault{fake.Conflict, fake.Throttling, fake.CancelThrottled} {
		before, calls := p.item(k), 0
		p.proxy.Set(func(fake.Call) fake.Fault {
			if calls++; calls == 1 {
				time.Sleep(5 * time.Millisecond) // the other one's version is a later one
				p.must(table.Add(k, 1, 0, 9))
				return f
			}
			return fake.None
		})
		v, err := p.faulty.Commit(ctx, table.Add(k, 1, 0, 9))
		if after := p.item(k); err != nil || calls != 2 || after.N != before.N+2 || after.Version != v {
			t.Errorf("an add that met %q and another = %v after %d calls and counts %d more, want success, 2 and 2", f, err, calls, after.N-before.N)
		}
	}
}
