// Package aws is the home on AWS: it opens the ports of one Lambda function from
// its environment, which template.yaml sets, and serves what the functions have
// in common.
//
// Every function links this package, so it imports no technology that not all
// of them use: what a package does when it is initialized is linked, called or
// not. SES, the pages and the streams' client are imported by the mains that
// need them.
package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"gatehouse/internal/app"
	"gatehouse/internal/aws/dynamo"
	"gatehouse/internal/aws/secrets"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// Home is what is open for a function.
type Home struct {
	ports  app.Ports
	env    environment
	config aws.Config
}

// believed is how long a good credential is believed without looking it up.
const believed = time.Minute

// parallel is how many connections are kept for calls side by side: the effects
// of a batch make sixteen.
const parallel = 32

// Options of a home; the zero Options are those of a function.
type Options struct {
	Env func(name string) string // nil: the process's
	Now func() time.Time         // nil: time.Now
	Log *slog.Logger             // nil: JSON lines to standard output, which Lambda keeps
}

// Open opens the table and reads the server's key. It founds a table that is
// empty, and refuses one that belongs to another key or another version.
func Open(ctx context.Context, o Options) (*Home, error) {
	h, err := OpenTable(o)
	if err != nil {
		return nil, err
	}
	if h.ports.URL, err = h.env.need("GATEHOUSE_URL"); err != nil {
		return nil, err
	}
	if h.ports.Rate, err = h.env.rate(); err != nil {
		return nil, err
	}
	id, err := h.env.need("GATEHOUSE_SECRET")
	if err != nil {
		return nil, err
	}
	// Two services, neither of which has to wait for the other.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var foundation app.Foundation
	read := make(chan error, 1)
	go func() {
		var err error
		foundation, err = app.ReadFoundation(ctx, h.ports.Table)
		read <- err
	}()
	if h.ports.Key, err = serverKey(ctx, h.config, h.env.endpoint("SECRETS_MANAGER"), id); err != nil {
		return nil, err
	}
	if err := <-read; err != nil {
		return nil, err
	}
	if err := foundation.Prepare(ctx, h.ports.Table, h.ports.Key, h.ports.Now()); err != nil {
		return nil, err
	}
	return h, nil
}

func serverKey(ctx context.Context, c aws.Config, endpoint, id string) (secret.Key, error) {
	text, err := secrets.Reader{Config: c, Endpoint: endpoint}.Read(ctx, id)
	if err != nil {
		return secret.Key{}, err
	}
	return secret.Parse(text)
}

// OpenTable opens the table alone, for who needs neither key nor address.
func OpenTable(o Options) (*Home, error) {
	h := &Home{env: o.Env}
	if h.env == nil {
		h.env = process
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = newLog(os.Stdout)
	}
	name, err := h.env.need("GATEHOUSE_TABLE")
	if err != nil {
		return nil, err
	}
	if h.config, err = h.env.config(); err != nil {
		return nil, err
	}
	h.config.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = parallel })
	h.ports = app.Ports{
		Table: open(h.config, h.env.endpoint("DYNAMODB"), name, o.Now, o.Log),
		Now:   o.Now, Log: o.Log, CredentialCache: believed,
	}
	return h, nil
}

func open(c aws.Config, endpoint, name string, now func() time.Time, log *slog.Logger) table.Table {
	return dynamo.New(dynamo.Client(c, endpoint), name, dynamo.Options{Now: now, Subscriptions: app.Subscriptions(), Log: log})
}

// Run is main of a function: it opens the home and serves what handler
// gives, until Lambda ends the environment. What cannot be opened ends the
// environment at once; Lambda makes a new one for the next call.
func Run(handler func(*Home) (lambda.Handler, error)) {
	run(Open, handler)
}

// RunTable is Run for a function that needs the table alone: there is no key,
// and no App.
func RunTable(handler func(*Home) (lambda.Handler, error)) {
	run(func(_ context.Context, o Options) (*Home, error) { return OpenTable(o) }, handler)
}

func run(open func(context.Context, Options) (*Home, error), handler func(*Home) (lambda.Handler, error)) {
	log := newLog(os.Stdout)
	slog.SetDefault(log) // lambdatask's
	// An environment is made because a call waits: it is fetched while the key
	// and the table are read.
	o := &opening{done: make(chan struct{})}
	go func() {
		defer close(o.done)
		ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second) // of the ten that Lambda gives
		defer cancel()
		h, err := open(ctx, Options{Log: log})
		if err == nil {
			o.to, err = handler(h)
		}
		if err != nil {
			log.Error("the function does not start", "error", err.Error())
			os.Exit(1)
		}
	}()
	lambda.Start(o)
}

// opening is a handler that is still being made.
type opening struct {
	done chan struct{} // closed once it is made
	to   lambda.Handler
}

// Invoke waits until the handler is made. If there is no more time for that, it
// says so, and the next call may find it made.
func (o *opening) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	select {
	case <-o.done:
		return o.to.Invoke(ctx, payload)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the function to start: %w", ctx.Err())
	}
}

// The stack, as the command line has to know it, is written down in the table
// by the function that sweeps.
type stack struct {
	Secret string `json:"secret"` // ARN
	URL    string `json:"url"`
}

var stackKey = table.Key{Part: "META", Sort: "aws"}

// tell writes down what stack serves the table, where that changed.
func (h *Home) tell(ctx context.Context) error {
	now := stack{Secret: h.env("GATEHOUSE_SECRET"), URL: h.ports.URL}
	was, err := readStack(ctx, h.ports.Table)
	if err == nil && was == now || err != nil && !errors.Is(err, errNoStack) {
		return err
	}
	b, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("write down the stack: %w", err)
	}
	// Put: it has one writer, and whoever runs last is right.
	if _, err := h.ports.Table.Commit(ctx, table.Put(stackKey, b)); err != nil {
		return fmt.Errorf("write down the stack: %w", err)
	}
	return nil
}

var errNoStack = errors.New("no stack is written down in the table")

func readStack(ctx context.Context, t table.Table) (stack, error) {
	items, err := t.Get(ctx, stackKey)
	if err != nil {
		return stack{}, fmt.Errorf("read what stack serves the table: %w", err)
	}
	if len(items) == 0 {
		return stack{}, errNoStack
	}
	var s stack
	if err := json.Unmarshal(items[0].Data, &s); err != nil {
		return stack{}, fmt.Errorf("read what stack serves the table: the item is damaged")
	}
	return s, nil
}
