package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gatehouse-key-AbCdEf"

func reader(t *testing.T, answer func(try int, w http.ResponseWriter)) (Reader, *[]*http.Request) {
	t.Helper()
	var asked []*http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		var in struct{ SecretId string }
		b, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(b, &in) != nil || in.SecretId != arn {
			t.Errorf("the request asks for %q", b)
		}
		answer(len(asked), w)
	}))
	t.Cleanup(s.Close)
	return Reader{Endpoint: s.URL, Config: aws.Config{
		Region: "eu-central-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "canarysecretkey", SessionToken: "session"}, nil
		}),
	}}, &asked
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":"com.amazonaws.secretsmanager#%s","Message":"canary of the service"}`, code)
}

func TestRead(t *testing.T) {
	r, asked := reader(t, func(_ int, w http.ResponseWriter) { io.WriteString(w, `{"ARN":"a","SecretString":"0123abc"}`) })
	got, err := r.Read(t.Context(), arn)
	if err != nil || got != "0123abc" {
		t.Fatalf("Read = %q, %v; want the secret's text", got, err)
	}
	h := (*asked)[0].Header
	for name, want := range map[string]string{
		"X-Amz-Target":         "secretsmanager.GetSecretValue",
		"Content-Type":         "application/x-amz-json-1.1",
		"X-Amz-Security-Token": "session",
	} {
		if h.Get(name) != want {
			t.Errorf("the request's %s is %q, want %q", name, h.Get(name), want)
		}
	}
	if a := h.Get("Authorization"); !strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") || !strings.Contains(a, "/eu-central-1/secretsmanager/aws4_request") {
		t.Errorf("the request's Authorization is %q, want the signature of a request to Secrets Manager", a)
	}
}

func TestReadAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(try int, w http.ResponseWriter)
		tries  int
		fails  string // empty: it succeeds at the last
	}{
		{"throttled", func(try int, w http.ResponseWriter) { refuse(w, 400, "ThrottlingException") }, tries, "ThrottlingException"},
		{"an error of the service, once", func(try int, w http.ResponseWriter) {
			if try == 1 {
				refuse(w, 500, "InternalServiceError")
				return
			}
			io.WriteString(w, `{"SecretString":"x"}`)
		}, 2, ""},
		{"half an answer, once", func(try int, w http.ResponseWriter) {
			if try == 1 {
				io.WriteString(w, `{"SecretStr`)
				return
			}
			io.WriteString(w, `{"SecretString":"x"}`)
		}, 2, ""},
		{"not allowed", func(_ int, w http.ResponseWriter) { refuse(w, 400, "AccessDeniedException") }, 1, "AccessDeniedException"},
		{"no such secret", func(_ int, w http.ResponseWriter) { refuse(w, 400, "ResourceNotFoundException") }, 1, "ResourceNotFoundException"},
		{"a binary secret", func(_ int, w http.ResponseWriter) { io.WriteString(w, `{"SecretBinary":"eA=="}`) }, 1, "no text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, asked := reader(t, c.answer)
			got, err := r.Read(t.Context(), arn)
			if len(*asked) != c.tries {
				t.Errorf("it asked %d times, want %d", len(*asked), c.tries)
			}
			if c.fails == "" {
				if err != nil || got != "x" {
					t.Errorf("Read = %q, %v; want the secret", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "canary") {
				t.Errorf("Read fails with %v, want %q and nothing of the service's text", err, c.fails)
			}
		})
	}
}

func TestReadNobody(t *testing.T) {
	r := Reader{Endpoint: "http://127.0.0.1:1", Config: aws.Config{Region: "eu-central-1", Credentials: aws.AnonymousCredentials{}}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, arn); err == nil {
		t.Error("Read of nobody succeeds")
	}
}

func TestSuffix(t *testing.T) {
	for region, want := range map[string]string{"eu-central-1": "amazonaws.com", "us-gov-west-1": "amazonaws.com", "cn-north-1": "amazonaws.com.cn", "eusc-de-east-1": "amazonaws.eu"} {
		if got := suffix(region); got != want {
			t.Errorf("suffix(%q) = %q, want %q", region, got, want)
		}
	}
}
