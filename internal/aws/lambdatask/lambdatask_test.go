package lambdatask_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/internal/aws/lambdatask"
	"gatehouse/internal/fault"
)

type in struct{ Name string }
type out struct{ Greeting string }

// logged catches what goes to the default logger.
func logged(t *testing.T) *bytes.Buffer {
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &b
}

func TestKinds(t *testing.T) {
	reference := regexp.MustCompile(`as ([0-9a-z]{10})\.$`)
	const public, beneath = "There is no such thing.", "a shard is gone"
	for kind := fault.Internal; kind <= fault.Unavailable+1; kind++ { // one that nobody knows as well
		want := map[fault.Kind]string{
			fault.Invalid: "Invalid", fault.NotFound: "NotFound", fault.Conflict: "Conflict", fault.Unauthorized: "Unauthorized",
			fault.Forbidden: "Forbidden", fault.Throttled: "Throttled", fault.Unavailable: "Unavailable",
		}[kind]
		for how, err := range map[string]error{
			"plain":    &fault.Error{Kind: kind, Code: fault.Stale, Msg: public, Err: errors.New(beneath)},
			"wrapped":  fmt.Errorf("sweep: %w", &fault.Error{Kind: kind, Msg: public, Err: errors.New(beneath)}),
			"joined":   errors.Join(&fault.Error{Kind: kind, Msg: public, Err: errors.New(beneath)}, errors.New("other")),
			"no cause": &fault.Error{Kind: kind, Msg: public},
		} {
			log := logged(t)
			h := lambda.NewHandler(lambdatask.Wrap(func(context.Context, in) (out, error) { return out{"half"}, err }))
			ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
			_, got := h.Invoke(ctx, []byte(`{"Name":"x"}`))
			e, ok := got.(messages.InvokeResponse_Error) // what aws-lambda-go asks
			if !ok {
				t.Fatalf("%v, %s: the error is a %T, want a messages.InvokeResponse_Error by value", kind, how, got)
			}
			m := reference.FindStringSubmatch(e.Message)
			switch {
			case want != "" && (e.Type != want || e.Message != public):
				t.Errorf("%v, %s: reported as %q %q, want %q %q", kind, how, e.Type, e.Message, want, public)
			case want != "" && strings.Contains(log.String(), public):
				t.Errorf("%v, %s: the log repeats the public sentence: %s", kind, how, log)
			case want == "" && (e.Type != "Internal" || m == nil || strings.Contains(e.Message, public)):
				t.Errorf("%v, %s: reported as %q %q, want Internal and a reference", kind, how, e.Type, e.Message)
			case want == "" && !strings.Contains(log.String(), m[1]):
				t.Errorf("%v, %s: the log does not know the reference %s: %s", kind, how, m[1], log)
			}
			if how != "no cause" && !strings.Contains(log.String(), beneath) || !strings.Contains(log.String(), "request-1") {
				t.Errorf("%v, %s: the log does not tell the cause and the request: %s", kind, how, log)
			}
		}
	}
}

func TestUnknown(t *testing.T) {
	for name, err := range map[string]error{"an error": errors.New("canary"), "a deadline": context.DeadlineExceeded} {
		log := logged(t)
		_, got := lambdatask.Wrap(func(context.Context, in) (out, error) { return out{}, err })(t.Context(), in{})
		e, ok := got.(messages.InvokeResponse_Error)
		if !ok || e.Type != "Internal" || strings.Contains(e.Message, err.Error()) || !strings.Contains(log.String(), err.Error()) {
			t.Errorf("%s: reported as %#v, logged as %s", name, got, log)
		}
	}
}

func TestSuccess(t *testing.T) {
	h := lambda.NewHandler(lambdatask.Wrap(func(_ context.Context, i in) (out, error) { return out{"Hello, " + i.Name}, nil }))
	b, err := h.Invoke(t.Context(), []byte(`{"Name":"x"}`))
	if string(b) != `{"Greeting":"Hello, x"}` || err != nil {
		t.Errorf("Invoke = %s, %v", b, err)
	}
}

func TestDo(t *testing.T) {
	logged(t)
	h := lambda.NewHandler(lambdatask.Do(func(_ context.Context, i in) error {
		if i.Name == "" {
			return fault.New(fault.Unavailable, "", "Not now.")
		}
		return nil
	}))
	if b, err := h.Invoke(t.Context(), []byte(`{"Name":"x"}`)); err != nil {
		t.Errorf("Invoke = %s, %v", b, err)
	}
	_, err := h.Invoke(t.Context(), []byte(`{}`))
	if e, ok := err.(messages.InvokeResponse_Error); !ok || e.Type != "Unavailable" {
		t.Errorf("an unavailable task is reported as %#v", err)
	}
}

func TestPanic(t *testing.T) {
	log := logged(t)
	got, err := lambdatask.Wrap(func(context.Context, in) (out, error) { panic("canary-person") })(t.Context(), in{})
	e, ok := err.(messages.InvokeResponse_Error)
	if !ok || e.Type != "Internal" || got != (out{}) {
		t.Errorf("a panic gives %v, %#v; want Internal", got, err)
	}
	if strings.Contains(log.String()+e.Message, "canary") || !strings.Contains(log.String(), "lambdatask_test.go") {
		t.Errorf("a panic is logged as %s, want where and not what", log)
	}
}

// TestOnTheWire runs a function of its own under a Runtime API and reads the name
// under which Lambda is told of its error.
func TestOnTheWire(t *testing.T) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(lambdatask.Wrap(func(context.Context, in) (out, error) {
			return out{}, fmt.Errorf("read: %w", fault.New(fault.Throttled, "", "Too much for now."))
		}))
	}
	reports := make(chan string, 1)
	asked := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/next"):
			if asked++; asked > 1 {
				<-r.Context().Done()
				return
			}
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "request-1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", "32503680000000")
			io.WriteString(w, `{}`)
		case strings.HasSuffix(r.URL.Path, "/error"):
			b, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusAccepted)
			reports <- string(b)
		}
	}))
	defer api.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOnTheWire$")
	cmd.Env = append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"))
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the function: %v", err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait(); api.CloseClientConnections() }()
	var report string
	select {
	case report = <-reports:
	case <-time.After(30 * time.Second):
		t.Fatal("the function reported nothing in 30 s")
	}
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal([]byte(report), &e); err != nil || e.ErrorType != "Throttled" || e.ErrorMessage != "Too much for now." {
		t.Errorf("Lambda is told %s, want Throttled and its sentence", report)
	}
}
