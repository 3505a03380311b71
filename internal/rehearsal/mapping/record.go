package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// record is one change as the function is told of it.
type record struct {
	sequence string
	key      string // of the partition
	at       time.Time
	event    []byte // its JSON
	place    *place
}

type object = map[string]any

// record writes the change as Lambda does.
func (m *Mapping) record(r types.Record) (record, error) {
	d := r.Dynamodb
	if d == nil || d.SequenceNumber == nil {
		return record{}, errors.New("read a record: it has no sequence number")
	}
	at := aws.ToTime(d.ApproximateCreationDateTime)
	change := object{
		"ApproximateCreationDateTime": at.Unix(),
		"Keys":                        attributes(d.Keys),
		"SequenceNumber":              *d.SequenceNumber,
		"SizeBytes":                   aws.ToInt64(d.SizeBytes),
		"StreamViewType":              string(d.StreamViewType),
	}
	if d.NewImage != nil {
		change["NewImage"] = attributes(d.NewImage)
	}
	if d.OldImage != nil {
		change["OldImage"] = attributes(d.OldImage)
	}
	e := object{
		"eventID":        aws.ToString(r.EventID),
		"eventName":      string(r.EventName),
		"eventVersion":   "1.1",
		"eventSource":    "aws:dynamodb",
		"awsRegion":      m.o.Region,
		"dynamodb":       change,
		"eventSourceARN": m.o.StreamARN,
	}
	if !slices.Contains([]types.OperationType{types.OperationTypeInsert, types.OperationTypeModify, types.OperationTypeRemove}, r.EventName) {
		if d.NewImage != nil {
			return record{}, fmt.Errorf("read a record: the event %q is not known", r.EventName)
		}
		e["eventName"] = string(types.OperationTypeRemove)
		e["userIdentity"] = object{"type": "Service", "principalId": "dynamodb.amazonaws.com"}
	}
	if r.UserIdentity != nil {
		e["userIdentity"] = object{"type": aws.ToString(r.UserIdentity.Type), "principalId": aws.ToString(r.UserIdentity.PrincipalId)}
	}
	b, err := json.Marshal(e)
	if err != nil {
		return record{}, fmt.Errorf("write a record: %w", err)
	}
	hash, ok := d.Keys[m.o.Hash]
	if !ok {
		return record{}, fmt.Errorf("read a record: its keys have no %q", m.o.Hash)
	}
	key, err := json.Marshal(attribute(hash))
	if err != nil {
		return record{}, fmt.Errorf("write a key: %w", err)
	}
	return record{sequence: *d.SequenceNumber, key: string(key), at: at, event: b}, nil
}

func attributes(m map[string]types.AttributeValue) object {
	out := object{}
	for name, v := range m {
		out[name] = attribute(v)
	}
	return out
}

// attribute is DynamoDB's JSON form of a value; bytes are base64.
func attribute(v types.AttributeValue) object {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return object{"S": v.Value}
	case *types.AttributeValueMemberN:
		return object{"N": v.Value}
	case *types.AttributeValueMemberB:
		return object{"B": v.Value}
	case *types.AttributeValueMemberBOOL:
		return object{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return object{"NULL": v.Value}
	case *types.AttributeValueMemberSS:
		return object{"SS": v.Value}
	case *types.AttributeValueMemberNS:
		return object{"NS": v.Value}
	case *types.AttributeValueMemberBS:
		return object{"BS": v.Value}
	case *types.AttributeValueMemberL:
		list := make([]object, 0, len(v.Value))
		for _, e := range v.Value {
			list = append(list, attribute(e))
		}
		return object{"L": list}
	case *types.AttributeValueMemberM:
		return object{"M": attributes(v.Value)}
	default:
		return object{}
	}
}
