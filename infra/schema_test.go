package infra

import (
	"encoding/json"
	"reflect"
	"testing"

	"gatehouse/internal/aws/dynamo"
)

// The table that the tests make is the one that is deployed.
func TestTableIsTheSchema(t *testing.T) {
	s, err := newScope(translation(t), least)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.properties("Table")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(dynamo.Schema("gatehouse"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	// A template has a stream by naming its view.
	if stream := want["StreamSpecification"].(map[string]any); stream["StreamEnabled"] == true {
		delete(stream, "StreamEnabled")
	}
	for name, v := range want {
		if v == nil || v == "" {
			delete(want, name)
		}
	}
	// What the template has beside: the life of the table, which tests have no
	// use for.
	for _, name := range []string{"DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "TimeToLiveSpecification"} {
		delete(got, name)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the template's table is\n%v, and dynamo.Schema's\n%v", got, want)
	}
}
