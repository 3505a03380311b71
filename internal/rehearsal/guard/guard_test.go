package guard

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/infra"
)

const table = "arn:aws:dynamodb:us-east-1:123456789012:table/people"

// clerk may read TOK# and O#, write O#, read the stream, send mail, and read the secret.
var clerk = infra.Function{Folder: "clerk", Policy: []infra.Statement{
	{Actions: []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:ConditionCheckItem"}, Resources: []string{table},
		Conditions: map[string]map[string][]string{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": {"TOK#*", "O#*"}}}},
	{Actions: []string{"dynamodb:PutItem", "dynamodb:UpdateItem"}, Resources: []string{table},
		Conditions: map[string]map[string][]string{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": {"O#*"}}}},
	{Actions: []string{"dynamodb:GetRecords", "dynamodb:GetShardIterator"}, Resources: []string{table + "/stream/" + label}},
	{Actions: []string{"secretsmanager:GetSecretValue"}, Resources: []string{"arn:secret"}},
	{Actions: []string{"ses:SendEmail", "ses:SendRawEmail"}, Resources: []string{"arn:aws:ses:us-east-1:123456789012:identity/example.com", "arn:aws:ses:us-east-1:123456789012:configuration-set/ours"},
		Conditions: map[string]map[string][]string{"StringEquals": {"ses:FromAddress": {"no-reply@example.com"}}}},
}}

func start(t *testing.T) *Guard {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Cut") != "" {
			panic(http.ErrAbortHandler)
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "behind: %s", body)
	}))
	t.Cleanup(behind.Close)
	g, err := Start(Options{
		Functions: map[string]infra.Function{"clerk": clerk, "guest": {Folder: "guest"}}, Region: "us-east-1", Account: "123456789012",
		Table: "people", Hash: "p", ConfigurationSet: "ours", Secret: "arn:secret", Text: "the key",
		DynamoDB: behind.URL, Streams: behind.URL, SES: behind.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return g
}

// ask sends a request as a function, or as nobody.
func ask(t *testing.T, g *Guard, folder, service, path, target, body string, headers ...string) (int, string, error) {
	t.Helper()
	env := g.Environ(folder)
	r, err := http.NewRequest("POST", env["AWS_ENDPOINT_URL_"+service]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if folder != "nobody" {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+env["AWS_ACCESS_KEY_ID"]+"/20261122/us-east-1/any/aws4_request, SignedHeaders=host, Signature=0")
	}
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestCalls(t *testing.T) {
	g := start(t)
	raw := func(from string) string {
		return fmt.Sprintf(`{"ConfigurationSetName":"ours","Content":{"Raw":{"Data":%q}}}`, base64.StdEncoding.EncodeToString([]byte("From: "+from+"\r\n\r\nHello")))
	}
	tests := []struct {
		who, service, path, target, body string
		want                             string // of the denial; empty: let through
	}{
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.GetItem", `{"TableName":"people","Key":{"p":{"S":"TOK#1"},"s":{"S":"#"}}}`, ""},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.GetItem", `{"TableName":"people","Key":{"p":{"S":"META"},"s":{"S":"#"}}}`, "clerk is not authorized to perform dynamodb:GetItem"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.GetItem", `{"TableName":"others","Key":{"p":{"S":"TOK#1"}}}`, "not authorized"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.PutItem", `{"TableName":"people","Item":{"p":{"S":"O#1"},"d":{"B":"eA=="},"n":{"N":"1"}}}`, ""},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.PutItem", `{"TableName":"people","Item":{"p":{"S":"TOK#1"}}}`, "dynamodb:PutItem"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.DeleteItem", `{"TableName":"people","Key":{"p":{"S":"O#1"}}}`, "dynamodb:DeleteItem"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.BatchGetItem", `{"RequestItems":{"people":{"Keys":[{"p":{"S":"TOK#1"}},{"p":{"S":"O#1"}}]}}}`, ""},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.BatchGetItem", `{"RequestItems":{"people":{"Keys":[{"p":{"S":"TOK#1"}},{"p":{"S":"META"}}]}}}`, "dynamodb:BatchGetItem"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.Query", `{"TableName":"people","KeyConditionExpression":"p = :p AND begins_with(s, :s)","ExpressionAttributeValues":{":p":{"S":"O#1"},":s":{"S":"x"}}}`, ""},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.Query", `{"TableName":"people","KeyConditionExpression":"#k = :p","ExpressionAttributeNames":{"#k":"p"},"ExpressionAttributeValues":{":p":{"S":"META"}}}`, "dynamodb:Query"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.Query", `{"TableName":"people","KeyConditionExpression":"s = :p","ExpressionAttributeValues":{":p":{"S":"O#1"}}}`, "without a partition"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"people","Item":{"p":{"S":"O#1"}}}},{"ConditionCheck":{"TableName":"people","Key":{"p":{"S":"TOK#1"}}}}]}`, ""},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"people","Item":{"p":{"S":"O#1"}}}},{"Delete":{"TableName":"people","Key":{"p":{"S":"O#1"}}}}]}`, "dynamodb:DeleteItem"},
		{"clerk", "DYNAMODB", "/", "DynamoDB_20120810.Scan", `{"TableName":"people"}`, "not known here"},
		{"guest", "DYNAMODB", "/", "DynamoDB_20120810.GetItem", `{"TableName":"people","Key":{"p":{"S":"TOK#1"}}}`, "guest is not authorized"},
		{"", "DYNAMODB", "/", "DynamoDB_20120810.Scan", `{"TableName":"people"}`, ""},
		{"nobody", "DYNAMODB", "/", "DynamoDB_20120810.GetItem", `{}`, "without a known signature"},
		{"clerk", "DYNAMODB_STREAMS", "/", "DynamoDBStreams_20120810.GetRecords", `{"ShardIterator":"x"}`, ""},
		{"clerk", "DYNAMODB_STREAMS", "/", "DynamoDBStreams_20120810.GetShardIterator", `{"StreamArn":"arn:aws:dynamodb:ddblocal:000000000000:table/people/stream/2026"}`, ""},
		{"clerk", "DYNAMODB_STREAMS", "/", "DynamoDBStreams_20120810.GetShardIterator", `{"StreamArn":"arn:aws:dynamodb:ddblocal:000000000000:table/others/stream/2026"}`, "table/others"},
		{"clerk", "DYNAMODB_STREAMS", "/", "DynamoDBStreams_20120810.DescribeStream", `{"StreamArn":"arn:aws:dynamodb:ddblocal:000000000000:table/people/stream/2026"}`, "dynamodb:DescribeStream"},
		{"clerk", "SESV2", "/v2/email/outbound-emails", "", raw("Gatehouse <no-reply@example.com>"), ""},
		{"clerk", "SESV2", "/v2/email/outbound-emails", "", raw("ceo@example.com"), "ses:SendRawEmail"},
		{"clerk", "SESV2", "/v2/email/outbound-emails", "", `{"FromEmailAddress":"no-reply@example.com","ConfigurationSetName":"theirs"}`, "configuration-set/theirs"},
		{"clerk", "SESV2", "/v2/email/identities", "", `{}`, "not known here"},
		{"guest", "SESV2", "/v2/email/outbound-emails", "", raw("no-reply@example.com"), "guest is not authorized"},
		{"guest", "SECRETS_MANAGER", "/", "secretsmanager.GetSecretValue", `{"SecretId":"arn:secret"}`, "secretsmanager:GetSecretValue"},
		{"nobody", "SECRETS_MANAGER", "/", "secretsmanager.GetSecretValue", `{"SecretId":"arn:secret"}`, "without a known signature"},
	}
	denials := 0
	for _, tt := range tests {
		status, body, err := ask(t, g, tt.who, tt.service, tt.path, tt.target, tt.body)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == "" {
			if status != 200 || body != "behind: "+tt.body {
				t.Errorf("%s %s %s = %d %s, want it let through", tt.who, tt.target, tt.body, status, body)
			}
			continue
		}
		denials++
		all := g.Denied()
		if status < 400 || !strings.Contains(body, "AccessDeniedException") || len(all) != denials || !strings.Contains(all[len(all)-1], tt.want) {
			t.Errorf("%s %s %s = %d %s, and %q was denied; want %q", tt.who, tt.target, tt.body, status, body, all, tt.want)
		}
	}
}

func TestSecret(t *testing.T) {
	g := start(t)
	for _, tt := range []struct {
		target, body string
		status       int
		want         string
	}{
		{"secretsmanager.GetSecretValue", `{"SecretId":"arn:secret"}`, 200, `"SecretString":"the key"`},
		{"secretsmanager.GetSecretValue", `{"SecretId":"arn:other"}`, 400, "ResourceNotFoundException"},
		{"secretsmanager.GetSecretValue", `{`, 400, "SerializationException"},
		{"secretsmanager.ListSecrets", `{}`, 400, "UnknownOperationException"},
	} {
		status, body, err := ask(t, g, "", "SECRETS_MANAGER", "/", tt.target, tt.body)
		if err != nil || status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s = %d %s, %v; want %d with %s", tt.target, tt.body, status, body, err, tt.status, tt.want)
		}
	}
}

func TestACutConnectionIsCut(t *testing.T) {
	g := start(t)
	if status, body, err := ask(t, g, "", "DYNAMODB", "/", "DynamoDB_20120810.Scan", `{}`, "X-Cut", "yes"); err == nil {
		t.Errorf("a call that was cut behind the guard = %d %s, want it cut", status, body)
	}
}
