package dynamo

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/table"

	"github.com/aws/aws-lambda-go/events"
)

// Delivery is what one record of the stream says.
type Delivery struct {
	Change table.Change // its ID is the record's sequence number
	// For holds the names of the subscriptions that want the change. Nothing
	// says so of a deleted item.
	For []string
	// Removed is set for items that DynamoDB removed since they had expired:
	// they are no change.
	Removed bool
}

// Commit returns the version that names the change's commit, "" for a deleted
// item: the stream does not tell who deleted it.
func (d Delivery) Commit() table.Version { return d.Change.New.Version }

// Read reads one record. Where it cannot, the error wraps ErrMalformed, names
// no content, and the Delivery holds what could be read of key and ID.
func Read(r events.DynamoDBEventRecord) (Delivery, error) {
	d := Delivery{Change: table.Change{ID: r.Change.SequenceNumber}}
	keys := fieldsOf(r.Change.Keys)
	d.Change.Key = keys.item.Key
	if keys.bad != "" || table.CheckKeys(d.Change.Key) != nil {
		return d, fmt.Errorf("read the keys of record %q: %w", d.Change.ID, ErrMalformed)
	}
	switch r.EventName {
	case "INSERT", "MODIFY":
		image := fieldsOf(r.Change.NewImage)
		item, err := image.whole()
		if err != nil {
			return d, err
		}
		if item.Key != d.Change.Key {
			return d, fmt.Errorf("read the image of %v, which has another key: %w", d.Change.Key, ErrMalformed)
		}
		d.Change.New, d.For = item, strings.Fields(image.want)
	case "REMOVE":
		d.Removed = r.UserIdentity != nil && r.UserIdentity.PrincipalID == "dynamodb.amazonaws.com"
	default:
		// DynamoDB Local gives its removals a name of its own. Whatever else
		// this may be, with an image it is a change that must not be lost.
		if len(r.Change.NewImage) > 0 {
			return d, fmt.Errorf("read a record of the kind %q: %w", r.EventName, ErrMalformed)
		}
		d.Removed = true
	}
	return d, nil
}

// Wants reports whether the change is for the consumer of that name. A change
// that does not say is for whoever it reaches.
func (d Delivery) Wants(consumer string) bool {
	return !d.Change.New.Exists() || slices.Contains(d.For, consumer)
}

func fieldsOf(a map[string]events.DynamoDBAttributeValue) (f fields) {
	for name, value := range a {
		switch value.DataType() {
		case events.DataTypeString:
			f.text(name, value.String())
		case events.DataTypeNumber:
			f.number(name, value.Number())
		case events.DataTypeBinary:
			f.bytes(name, value.Binary())
		default:
			f.other(name)
		}
	}
	return f
}
