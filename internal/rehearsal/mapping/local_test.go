package mapping

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"gatehouse/infra"
	"gatehouse/internal/aws/dynamo"
	local "gatehouse/internal/fakes/dynamodb"
)

// TestAgainstDynamoDBLocal reads a real stream, over shards that end while they
// are read.
func TestAgainstDynamoDBLocal(t *testing.T) {
	server := local.Shared(t)
	client := server.Client()
	ctx := t.Context()
	name := fmt.Sprint("mapping-", time.Now().UnixNano())
	made, err := client.CreateTable(ctx, dynamo.Schema(name))
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, value string) {
		t.Helper()
		_, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
			"p": &types.AttributeValueMemberS{Value: key}, "s": &types.AttributeValueMemberS{Value: "#"}, "f": &types.AttributeValueMemberS{Value: value},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	f := &function{}
	var at Positions
	start := func() *Mapping {
		m, err := Start(Options{
			Stream: infra.Stream{BatchSize: 4, Parallel: 3, Retries: -1, Partial: true}, Streams: server.Streams(), Hash: "p",
			StreamARN: aws.ToString(made.TableDescription.LatestStreamArn), FunctionARN: "arn", Region: "us-east-1", Invoke: f.invoke,
			Poll: 20 * time.Millisecond, Positions: &at,
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := start()
	want := map[string][]string{}
	for i := range 60 {
		key, value := fmt.Sprint("part", i%5), fmt.Sprintf("%02d", i)
		put(key, value)
		want[key+"/#"] = append(want[key+"/#"], value)
		switch i {
		case 15, 35:
			if err := server.Rollover(); err != nil {
				t.Fatal(err)
			}
		case 45:
			m.Close()
			m = start()
		}
	}
	defer func() { m.Close() }()
	if _, err := client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &name, Key: map[string]types.AttributeValue{
		"p": &types.AttributeValueMemberS{Value: "part0"}, "s": &types.AttributeValueMemberS{Value: "#"},
	}}); err != nil {
		t.Fatal(err)
	}
	want["part0/#"] = append(want["part0/#"], "")
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := m.Settle(limit); err != nil {
		t.Fatalf("Settle() = %v", err)
	}
	got := f.values()
	for key, values := range want {
		// What was under way when it was closed may have come twice.
		if !covers(got[key], values) {
			t.Errorf("%s came as %q, want %q", key, got[key], values)
		}
	}
	last := ""
	for _, b := range f.batches {
		for _, c := range b {
			if c.key() == "part0/#" {
				last = c.Name
			}
		}
	}
	if last != "REMOVE" {
		t.Errorf("the last change of a deleted item is a %s, want a REMOVE", last)
	}
}

// covers tells whether got has all values in order, and besides only repeats of
// what was before.
func covers(got, want []string) bool {
	next := 0
	for _, v := range got {
		switch {
		case next < len(want) && v == want[next]:
			next++
		case !slices.Contains(want[:next], v):
			return false
		}
	}
	return next == len(want)
}
