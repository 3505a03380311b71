package dynamodb_test

import (
	"context"
	"testing"

	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/short"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

func TestServer(t *testing.T) {
	s := fake.Shared(t)
	if _, err := s.Client().ListTables(context.Background(), &dynamodb.ListTablesInput{}); err != nil {
		t.Errorf("ListTables = %v, want success", err)
	}
	if err := s.Rollover(); err != nil {
		t.Errorf("Rollover = %v, want success", err)
	}
}

func TestServerEnds(t *testing.T) {
	short.Skip(t, "starts a DynamoDB Local of its own")
	fake.Shared(t) // skips or fails where it is not installed
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := fake.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v, want success", err)
	}
	if _, err := s.Client().ListTables(ctx, &dynamodb.ListTablesInput{}); err == nil {
		t.Errorf("ListTables of a closed server = success, want an error")
	}
	if err := s.Rollover(); err == nil {
		t.Errorf("Rollover of a closed server = success, want an error")
	}
}
