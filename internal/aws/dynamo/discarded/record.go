package discarded

import (
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Record returns a record of the streams' client in the form in which Lambda
// hands it to a function.
func Record(r types.Record) events.DynamoDBEventRecord {
	out := events.DynamoDBEventRecord{
		AWSRegion:    aws.ToString(r.AwsRegion),
		EventID:      aws.ToString(r.EventID),
		EventName:    string(r.EventName),
		EventSource:  aws.ToString(r.EventSource),
		EventVersion: aws.ToString(r.EventVersion),
	}
	if u := r.UserIdentity; u != nil {
		out.UserIdentity = &events.DynamoDBUserIdentity{Type: aws.ToString(u.Type), PrincipalID: aws.ToString(u.PrincipalId)}
	}
	if s := r.Dynamodb; s != nil {
		out.Change = events.DynamoDBStreamRecord{
			Keys:           image(s.Keys),
			NewImage:       image(s.NewImage),
			SequenceNumber: aws.ToString(s.SequenceNumber),
			SizeBytes:      aws.ToInt64(s.SizeBytes),
			StreamViewType: string(s.StreamViewType),
		}
		if s.ApproximateCreationDateTime != nil {
			out.Change.ApproximateCreationDateTime = events.SecondsEpochTime{Time: *s.ApproximateCreationDateTime}
		}
	}
	return out
}

// image keeps the types that items have; any other becomes null, which no
// attribute of ours is.
func image(a map[string]types.AttributeValue) map[string]events.DynamoDBAttributeValue {
	if a == nil {
		return nil
	}
	out := make(map[string]events.DynamoDBAttributeValue, len(a))
	for name, value := range a {
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			out[name] = events.NewStringAttribute(value.Value)
		case *types.AttributeValueMemberN:
			out[name] = events.NewNumberAttribute(value.Value)
		case *types.AttributeValueMemberB:
			out[name] = events.NewBinaryAttribute(value.Value)
		default:
			out[name] = events.NewNullAttribute()
		}
	}
	return out
}
