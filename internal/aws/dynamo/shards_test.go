package dynamo_test

import (
	"fmt"
	"testing"

	"gatehouse/internal/aws/dynamo"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/table"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestShards holds that changes of one key keep their order over the closing of
// shards, and that nothing is lost or doubled by it.
func TestShards(t *testing.T) {
	server := fake.Shared(t)
	name := made(t, server)
	subs := []table.Subscription{prefixed("feed")}
	tb := dynamo.New(client(server.Endpoint), name, dynamo.Options{Subscriptions: subs})
	stream, since := newReader(t, server, name), 0
	const rounds, keys = 4, 5
	n := int64(0)
	for range rounds {
		for range 3 {
			n++
			var writes []table.Write
			for k := range keys {
				writes = append(writes, table.Put(key("feed#1", fmt.Sprint(k)), nil).Count(n))
			}
			if _, err := tb.Commit(ctx, writes...); err != nil {
				t.Fatal(err)
			}
		}
		if err := server.Rollover(); err != nil {
			t.Fatal(err)
		}
	}
	changes, err := stream.changes(&since, subs)
	if err != nil {
		t.Fatal(err)
	}
	if len(stream.order) < rounds {
		t.Errorf("%d shards after %d roll-overs, want as many at least", len(stream.order), rounds)
	}
	next := map[table.Key]int64{}
	for _, c := range changes {
		if next[c.Key]++; c.New.N != next[c.Key] {
			t.Fatalf("the stream brings change %d of %v in place %d", c.New.N, c.Key, next[c.Key])
		}
	}
	if len(next) != keys || int64(len(changes)) != n*keys {
		t.Errorf("the stream brings %d changes of %d keys, want %d of %d", len(changes), len(next), n*keys, keys)
	}
}

// TestAttributes holds that items stand in DynamoDB as the mapping's filters,
// time to live and the size of an item count on.
func TestAttributes(t *testing.T) {
	server := fake.Shared(t)
	name := made(t, server)
	tb := dynamo.New(client(server.Endpoint), name, dynamo.Options{Subscriptions: []table.Subscription{prefixed("feed"), prefixed("welcome"),
		{Name: "all", Wants: func(k table.Key) bool { return k.Sort == "both" }}}})
	attributes := func(k table.Key) map[string]string {
		out, err := server.Client().GetItem(ctx, &dynamodb.GetItemInput{TableName: &name, Key: map[string]types.AttributeValue{
			"p": &types.AttributeValueMemberS{Value: k.Part}, "s": &types.AttributeValueMemberS{Value: k.Sort}}})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, value := range out.Item {
			switch value := value.(type) {
			case *types.AttributeValueMemberS:
				got[name] = "S " + value.Value
			case *types.AttributeValueMemberN:
				got[name] = "N " + value.Value
			case *types.AttributeValueMemberB:
				got[name] = "B " + string(value.Value)
			}
		}
		return got
	}
	for _, c := range []struct {
		write table.Write
		want  map[string]string
	}{
		{table.Create(key("other", "1"), nil), map[string]string{}},
		{table.Create(key("welcome#1", "1"), []byte("data")).Count(-7), map[string]string{"d": "B data", "n": "N -7", "f": "S welcome"}},
		{table.Put(key("feed#1", "both"), nil), map[string]string{"f": "S feed all"}},
		{table.Add(key("feed#1", "1"), 3, 0, 9), map[string]string{"n": "N 3", "f": "S feed"}},
	} {
		v, err := tb.Commit(ctx, c.write)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"p": "S " + c.write.Key.Part, "s": "S " + c.write.Key.Sort, "v": "S " + string(v)}
		for name, value := range c.want {
			want[name] = value
		}
		if got := attributes(c.write.Key); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v of %v stores %v, want %v", c.write.Op, c.write.Key, got, want)
		}
	}
}
