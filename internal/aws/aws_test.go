package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"gatehouse/internal/app"
	"gatehouse/internal/aws"
	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/aws/ses"
	"gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
)

const (
	serverKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	otherKey  = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
	secretARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gatehouse/server-key-AbCdEf"
)

// stack is a table, a secret, and the environment of a function over them.
type stack struct {
	t     *testing.T
	table string
	key   string // what the secret holds; empty: nobody may read it
	env   map[string]string
	log   bytes.Buffer
}

func newStack(t *testing.T) *stack {
	t.Helper()
	local := dynamodb.Shared(t)
	s := &stack{t: t, table: "aws-" + identity.Random(8), key: serverKey}
	if _, err := local.Client().CreateTable(t.Context(), dynamo.Schema(s.table)); err != nil {
		t.Fatal(err)
	}
	manager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ SecretId string }
		json.NewDecoder(r.Body).Decode(&in)
		if s.key == "" || in.SecretId != secretARN {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"__type":"AccessDeniedException","Message":"no"}`)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"SecretString": s.key})
	}))
	t.Cleanup(manager.Close)
	s.env = map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_ENDPOINT_URL_DYNAMODB": local.Endpoint, "AWS_ENDPOINT_URL_SECRETS_MANAGER": manager.URL,
		"GATEHOUSE_TABLE": s.table, "GATEHOUSE_SECRET": secretARN, "GATEHOUSE_URL": "https://gate.example",
		"GATEHOUSE_MAIL_FROM": "no-reply@gate.example", "GATEHOUSE_MAIL_SET": "set",
	}
	return s
}

func (s *stack) options() aws.Options {
	return aws.Options{Env: func(name string) string { return s.env[name] }, Log: slog.New(slog.NewJSONHandler(&s.log, nil))}
}

func (s *stack) open() *aws.Home {
	s.t.Helper()
	h, err := aws.Open(s.t.Context(), s.options())
	if err != nil {
		s.t.Fatalf("Open: %v", err)
	}
	return h
}

// attach is what the command line does.
func (s *stack) attach(table string) (*app.Operator, error) {
	config := dynamodb.Config(s.env["AWS_ENDPOINT_URL_DYNAMODB"])
	config.Region = "eu-central-1"
	return aws.Attach(s.t.Context(), config, s.options().Env, table, slog.New(slog.DiscardHandler))
}

func (s *stack) sweep() {
	s.t.Helper()
	h := s.open()
	a, err := h.Mailer(ses.Open)
	if err != nil {
		s.t.Fatalf("Mailer: %v", err)
	}
	if _, err := h.Sweep(a).Invoke(s.t.Context(), []byte(`{"source":"aws.events"}`)); err != nil {
		s.t.Fatalf("the sweep: %v", err)
	}
}

func TestOpenNeedsItsEnvironment(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GATEHOUSE_TABLE", "GATEHOUSE_SECRET", "GATEHOUSE_URL"} {
		s := newStack(t)
		delete(s.env, name)
		_, err := aws.Open(t.Context(), s.options())
		if err == nil || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "credentials") {
			t.Errorf("without %s Open fails with %v, want what is missing", name, err)
		}
	}
	for _, rate := range []string{"many", "-1", "24", "10001"} {
		s := newStack(t)
		s.env["GATEHOUSE_SCIM_RATE"] = rate
		if _, err := aws.Open(t.Context(), s.options()); err == nil || !strings.Contains(err.Error(), "GATEHOUSE_SCIM_RATE") {
			t.Errorf("with the rate %q Open fails with %v, want what is wrong", rate, err)
		}
	}
	for name, value := range map[string]string{"GATEHOUSE_MAIL_FROM": "", "GATEHOUSE_MAIL_SET": "", "GATEHOUSE_MAIL_LIMIT": "many"} {
		s := newStack(t)
		s.env[name] = value
		if _, err := s.open().Mailer(ses.Open); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with %s=%q Mailer fails with %v, want what is wrong", name, value, err)
		}
	}
}

func TestOpenRefusesAnotherKey(t *testing.T) {
	s := newStack(t)
	s.open()
	s.key = otherKey
	if _, err := aws.Open(t.Context(), s.options()); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), otherKey) {
		t.Errorf("with another key Open fails with %v, want Unavailable and no key", err)
	}
	s.key = "canary, not a key"
	if _, err := aws.Open(t.Context(), s.options()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("with a secret that is no key Open fails with %v, want an error that does not quote it", err)
	}
	s.key = ""
	if _, err := aws.Open(t.Context(), s.options()); err == nil {
		t.Error("without the secret Open succeeds")
	}
	s.key = serverKey
	s.open()
}

// The command line finds a stack by its table alone, once it has been swept.
func TestAttach(t *testing.T) {
	s := newStack(t)
	if _, err := s.attach(s.table); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "a minute after") {
		t.Errorf("before the first sweep Attach fails with %v, want to be told to wait", err)
	}
	s.sweep()
	op, err := s.attach(s.table)
	if err != nil {
		t.Fatalf("Attach: %v", err)
	}
	v, err := op.Do(t.Context(), "org create", []byte(`{"name":"Acme GmbH"}`))
	if err != nil {
		t.Fatalf("org create: %v", err)
	}
	if got := v.(app.OrgAnswer); got.SignIn != "https://gate.example/o/acme-gmbh/sign-in" {
		t.Errorf("the organization's sign-in is %q, want it at the stack's address", got.SignIn)
	}

	// A new address is told by the next sweep, and one that is told is not written
	// again.
	s.env["GATEHOUSE_URL"] = "https://own.example"
	s.sweep()
	if op, err = s.attach(s.table); err != nil || op.App.URL != "https://own.example" {
		t.Errorf("after a change of address Attach gives %v, %v", op, err)
	}
	was := s.stackVersion()
	s.sweep()
	if now := s.stackVersion(); now != was {
		t.Errorf("a sweep that has nothing to tell wrote version %q over %q", now, was)
	}

	if _, err := s.attach("no-such-table"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "no-such-table in eu-central-1") {
		t.Errorf("of a table that is not there Attach says %v", err)
	}
	s.key = ""
	if _, err := s.attach(s.table); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "secretsmanager:GetSecretValue") {
		t.Errorf("of a secret that may not be read Attach says %v, want the right that is missing", err)
	}
}

func (s *stack) stackVersion() string {
	s.t.Helper()
	out, err := dynamodb.Shared(s.t).Client().GetItem(s.t.Context(), get(s.table, "META", "aws"))
	if err != nil || len(out.Item) == 0 {
		s.t.Fatalf("the stack is not written down: %v", err)
	}
	return out.Item["v"].(*types.AttributeValueMemberS).Value
}

func get(table, part, sort string) *ddb.GetItemInput {
	return &ddb.GetItemInput{TableName: &table, Key: map[string]types.AttributeValue{
		"p": &types.AttributeValueMemberS{Value: part}, "s": &types.AttributeValueMemberS{Value: sort},
	}}
}

// Each line of a call names the call.
func TestLogNamesTheCall(t *testing.T) {
	var b bytes.Buffer
	log := aws.NewLog(&b).With("consumer", "feed")
	log.InfoContext(t.Context(), "before any call")
	log.InfoContext(lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: "call-1"}), "in a call")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || strings.Contains(lines[0], "requestId") || !strings.Contains(lines[1], `"consumer":"feed","requestId":"call-1"`) {
		t.Errorf("the log has %q, want the call in the second line", lines)
	}
}
