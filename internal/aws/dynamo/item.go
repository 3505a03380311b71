package dynamo

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"gatehouse/internal/table"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type attributes = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func keyOf(k table.Key) attributes {
	return attributes{attrPart: text(k.Part), attrSort: text(k.Sort)}
}

// encode returns the item as DynamoDB stores it, wanted by those names.
func encode(i table.Item, wanted string) attributes {
	a := keyOf(i.Key)
	a[attrVersion] = text(string(i.Version))
	if len(i.Data) > 0 { // an empty value would be stored, and paid for
		a[attrData] = &types.AttributeValueMemberB{Value: i.Data}
	}
	if i.N != 0 {
		a[attrN] = number(i.N)
	}
	if !i.Expires.IsZero() {
		a[attrExpires] = number(i.Expires.Unix())
	}
	if wanted != "" {
		a[attrFor] = text(wanted)
	}
	return a
}

// decode reads what encode wrote; no attributes are the zero Item. Errors name
// the key and no content.
func decode(a attributes) (table.Item, error) {
	if len(a) == 0 {
		return table.Item{}, nil
	}
	var f fields
	for name, value := range a {
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			f.text(name, value.Value)
		case *types.AttributeValueMemberN:
			f.number(name, value.Value)
		case *types.AttributeValueMemberB:
			f.bytes(name, value.Value)
		default:
			f.other(name)
		}
	}
	return f.whole()
}

// ErrMalformed is wrapped by errors about what this package did not write.
var ErrMalformed = errors.New("malformed item")

// fields gathers an item, whichever library's attributes it comes from. Names
// that are not known are left alone: a later release may write them.
type fields struct {
	item table.Item
	want string
	bad  string // the attribute that is none of ours
}

func (f *fields) text(name, s string) {
	switch name {
	case attrPart:
		f.item.Part = s
	case attrSort:
		f.item.Sort = s
	case attrVersion:
		f.item.Version = table.Version(s)
	case attrFor:
		f.want = s
	default:
		f.other(name)
	}
}

func (f *fields) number(name, s string) {
	if name != attrN && name != attrExpires {
		f.other(name)
		return
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		f.bad = name
	case name == attrN:
		f.item.N = n
	default:
		f.item.Expires = time.Unix(n, 0).UTC()
	}
}

func (f *fields) bytes(name string, b []byte) {
	if name != attrData {
		f.other(name)
		return
	}
	if len(b) > 0 {
		f.item.Data = b
	}
}

// other notes an attribute of ours that has a type of somebody else's.
func (f *fields) other(name string) {
	switch name {
	case attrPart, attrSort, attrVersion, attrData, attrN, attrExpires, attrFor:
		f.bad = name
	}
}

func (f *fields) whole() (table.Item, error) {
	if f.bad == "" && f.item.Version == "" {
		f.bad = attrVersion
	}
	if f.bad != "" {
		return table.Item{Key: f.item.Key}, fmt.Errorf("read the attribute %s of %v: %w", f.bad, f.item.Key, ErrMalformed)
	}
	return f.item, nil
}
