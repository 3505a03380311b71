package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"regexp"
	"strings"

	"gatehouse/infra"
)

// reader returns what reads the calls of a service's request.
func (g *Guard) reader(service string) func(*http.Request, []byte) ([]need, error) {
	switch service {
	case "SESV2":
		return g.mailCalls
	default:
		return g.tableCalls
	}
}

func (g *Guard) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + g.o.Region + ":" + g.o.Account + ":" + resource
}

type key map[string]struct{ S string }

// tableRequest is what requests of DynamoDB and of its streams say of what they
// touch.
type tableRequest struct {
	TableName     string
	StreamArn     string
	Key           key
	Item          key
	RequestItems  map[string]struct{ Keys []key }
	TransactItems []map[string]struct {
		TableName string
		Key       key
		Item      key
	}
	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues key
}

// parts names the IAM action of each part of a transaction.
var parts = map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem", "Get": "GetItem"}

// tableCalls reads a request of DynamoDB or its streams.
func (g *Guard) tableCalls(r *http.Request, body []byte) ([]need, error) {
	var in tableRequest
	if err := json.Unmarshal(body, &in); err != nil {
		// An attribute of an item may have any form; only the keys' are read.
		var form *json.UnmarshalTypeError
		if !errors.As(err, &form) {
			return nil, err
		}
	}
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if strings.HasPrefix(service, "DynamoDBStreams_") {
		return []need{{{Action: "dynamodb:" + operation, Resource: g.stream(operation, in.StreamArn)}}}, nil
	}
	switch operation {
	case "GetItem", "DeleteItem", "UpdateItem":
		return g.touch(operation, in.TableName, in.Key)
	case "PutItem":
		return g.touch(operation, in.TableName, in.Item)
	case "Query":
		return g.query(in)
	case "BatchGetItem":
		var all []need
		for table, items := range in.RequestItems {
			n, err := g.touch(operation, table, items.Keys...)
			if err != nil {
				return nil, err
			}
			all = append(all, n...)
		}
		return all, nil
	case "TransactWriteItems", "TransactGetItems":
		var all []need
		for _, item := range in.TransactItems {
			for part, w := range item {
				k := w.Key
				if part == "Put" {
					k = w.Item
				}
				n, err := g.touch(parts[part], w.TableName, k)
				if err != nil {
					return nil, err
				}
				all = append(all, n...)
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("the operation %q is not known here", operation)
}

// touch is a call on keys of the table.
func (g *Guard) touch(operation, table string, keys ...key) ([]need, error) {
	var leading []string
	for _, k := range keys {
		part := k[g.o.Hash].S
		if part == "" {
			return nil, errors.New("a key without its partition")
		}
		leading = append(leading, part)
	}
	if operation == "" || table == "" {
		return nil, errors.New("a call without a table")
	}
	return []need{{{
		Action: "dynamodb:" + operation, Resource: g.arn("dynamodb", "table/"+table),
		Context: map[string][]string{"dynamodb:LeadingKeys": leading},
	}}}, nil
}

var equality = regexp.MustCompile(`([#A-Za-z0-9_]+)\s*=\s*(:[A-Za-z0-9_]+)`)

// query finds the partition in the key condition.
func (g *Guard) query(in tableRequest) ([]need, error) {
	for _, m := range equality.FindAllStringSubmatch(in.KeyConditionExpression, -1) {
		name := m[1]
		if alias, ok := in.ExpressionAttributeNames[name]; ok {
			name = alias
		}
		if name == g.o.Hash {
			return g.touch("Query", in.TableName, key{g.o.Hash: in.ExpressionAttributeValues[m[2]]})
		}
	}
	return nil, errors.New("a query without a partition")
}

// stream is the resource of a call on the stream. DynamoDB Local's ARNs are of a
// region and an account of its own, and its label is not known to the template.
func (g *Guard) stream(operation, arn string) string {
	table := g.o.Table
	if _, rest, ok := strings.Cut(arn, ":table/"); ok {
		table, _, _ = strings.Cut(rest, "/")
	}
	if operation == "ListStreams" {
		return g.arn("dynamodb", "table/"+table+"/stream/*")
	}
	return g.arn("dynamodb", "table/"+table+"/stream/"+label)
}

// label of every stream, as infra.Read resolves it.
const label = "2026-01-01T00:00:00.000"

// mailCalls reads a request to send mail, the only one that functions make.
func (g *Guard) mailCalls(r *http.Request, body []byte) ([]need, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/v2/email/outbound-emails" {
		return nil, fmt.Errorf("the operation %s %s is not known here", r.Method, r.URL.Path)
	}
	var in struct {
		FromEmailAddress     string
		ConfigurationSetName string
		Content              struct {
			Raw *struct{ Data []byte }
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	action, from := "ses:SendEmail", in.FromEmailAddress
	if in.Content.Raw != nil {
		action = "ses:SendRawEmail"
		if m, err := mail.ReadMessage(strings.NewReader(string(in.Content.Raw.Data))); err == nil && from == "" {
			from = m.Header.Get("From")
		}
	}
	address, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("read the sender: %w", err)
	}
	_, domain, _ := strings.Cut(address.Address, "@")
	call := func(resource string) infra.Call {
		return infra.Call{Action: action, Resource: g.arn("ses", resource), Context: map[string][]string{"ses:FromAddress": {address.Address}}}
	}
	needs := []need{{call("identity/" + address.Address), call("identity/" + domain)}}
	if in.ConfigurationSetName != "" {
		needs = append(needs, need{call("configuration-set/" + in.ConfigurationSetName)})
	}
	return needs, nil
}
