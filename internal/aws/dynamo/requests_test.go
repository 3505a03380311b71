package dynamo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

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
	if err != nil || len(bodies) != 2 || bodies[0] != bodies[1] || !strings.Contains(bodies[0], fmt.Sprintf(`"ClientRequestToken":%q`, v)) {
		t.Errorf("a transaction whose answer was lost = %v after %d calls, want two equal ones with the token %q", err, len(bodies), v)
	}
}
