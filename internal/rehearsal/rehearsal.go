// Package rehearsal runs a whole stack on this machine: the release binaries of
// the functions under a host of Lambda's Runtime API, requests through a model
// of an HTTP API, DynamoDB Local with its stream, queues, the event bus,
// schedules and secrets, all wired as the template says (infra.Stack), so that
// what is rehearsed is what is deployed. Each function's calls are held against
// its own role.
//
// Packages of their own tell where each piece differs from AWS: fakes/lambda,
// fakes/gateway, fakes/dynamodb, fakes/ses, and mapping, queue, bus and guard
// beneath this one. Besides: everything is near, so no time passes that the
// network would take; the binaries are built for this machine's architecture;
// there are no alarms, no metrics, no throttle of the API, and no log groups, but
// the functions' output by function. Of IAM there are the functions' roles alone.
//
// No program links it.
package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/infra"
	"gatehouse/internal/fakes/gateway"
	"gatehouse/internal/fakes/lambda"
	"gatehouse/internal/rehearsal/bus"
	"gatehouse/internal/rehearsal/guard"
	"gatehouse/internal/rehearsal/mapping"
	"gatehouse/internal/rehearsal/queue"
)

const defaultConcurrency = 20

// Options say what to rehearse.
type Options struct {
	Stack    infra.Stack
	Binaries map[string]string // by folder, as Build returns them
	Key      string            // the secret's text: the server key, 64 hex digits
	DynamoDB string            // endpoint of DynamoDB Local, or of a proxy before it
	Streams  string            // endpoint of its streams; empty: the same
	SES      string            // endpoint; empty: functions that send mail fail to
	Account  *Account          // what outlives a rehearsal; nil: a new one

	// Address is where the HTTP API listens; empty: a free port of 127.0.0.1. A
	// restart that is to keep its links names the address it had.
	Address string
	// Env overrides the environment of a function, by folder, and of all
	// functions under "". GATEHOUSE_URL is the HTTP API's address without it.
	Env map[string]map[string]string
	// Concurrency limits the environments of each function; 0: 20.
	Concurrency int
	// Poll is how often the stream is read at its end; 0: Lambda's 250 ms.
	Poll time.Duration
	// Again shortens the waits before what failed is tried again, by mappings,
	// queues and asynchronous invocations, to this; 0: they are AWS's own.
	Again time.Duration
	// Clock lets schedules come due so many times faster than they say; 0: by
	// Tick alone.
	Clock    float64
	NoFreeze bool // see lambda.Options
	// Unguarded lets functions call the services directly, whatever their roles
	// say: for measurements.
	Unguarded bool
	Chaos     Chaos
}

// Rehearsal is a running stack.
type Rehearsal struct {
	URL string // the HTTP API's, without a slash at its end

	o        Options
	region   string
	number   string // of the AWS account
	account  *Account
	host     *lambda.Host
	bus      *bus.Bus
	guard    *guard.Guard
	mappings map[string]*mapping.Mapping // by folder and number
	sources  []*queue.Queue              // queues that a function reads
	server   *http.Server
	access   *lines
	stop     context.CancelFunc
	work     sync.WaitGroup
	once     sync.Once
	kept     error

	calls atomic.Int64 // begun and ended invocations
	under atomic.Int64 // invocations under way
}

// Start makes the table if it is not there, and starts everything else. The
// context bounds the start alone.
func Start(ctx context.Context, o Options) (*Rehearsal, error) {
	r := &Rehearsal{o: o, account: o.Account, access: new(lines), mappings: map[string]*mapping.Mapping{}}
	if r.account == nil {
		r.account = new(Account)
	}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the rehearsal: %w", err), r.Close())
	}
	return r, nil
}

func (r *Rehearsal) start(ctx context.Context) error {
	for _, f := range r.o.Stack.Functions {
		arn := strings.Split(f.ARN, ":") // arn:partition:lambda:region:account:...
		if len(arn) < 6 {
			return fmt.Errorf("%s has the ARN %q", f.Folder, f.ARN)
		}
		r.region, r.number = arn[3], arn[4]
	}
	running, stop := context.WithCancel(context.Background())
	r.stop = stop
	table, err := r.openTable(ctx)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cmp.Or(r.o.Address, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	r.URL = "http://" + listener.Addr().String()
	if r.guard, err = r.newGuard(hashOf(table)); err != nil {
		return errors.Join(err, listener.Close())
	}
	if r.host, err = r.newHost(); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := r.wire(running, table); err != nil {
		return errors.Join(err, listener.Close())
	}
	var routes []gateway.Route
	for _, route := range r.o.Stack.Routes {
		routes = append(routes, gateway.Route{Key: route.Key, Function: route.Function})
	}
	r.server = &http.Server{
		Handler: gateway.New(routes, r.invoke, gateway.Options{
			AccessLog: r.access, AccessLogFormat: r.o.Stack.AccessLog, Account: r.number,
		}),
		ReadHeaderTimeout: time.Minute,
	}
	r.work.Go(func() { r.server.Serve(listener) }) // ends with Close
	return nil
}

// newHost makes the functions, each with what the template tells it and with
// where the services are here.
func (r *Rehearsal) newHost() (*lambda.Host, error) {
	functions := map[string]lambda.Function{}
	for folder, f := range r.o.Stack.Functions {
		binary := r.o.Binaries[folder]
		if binary == "" {
			return nil, fmt.Errorf("there is no binary of %s", folder)
		}
		env := maps.Clone(f.Env)
		if env == nil {
			env = map[string]string{}
		}
		if _, ok := env["GATEHOUSE_URL"]; ok {
			env["GATEHOUSE_URL"] = r.URL
		}
		maps.Copy(env, r.guard.Environ(folder))
		maps.Copy(env, r.o.Env[""])
		maps.Copy(env, r.o.Env[folder])
		concurrency := cmp.Or(r.o.Concurrency, defaultConcurrency)
		functions[folder] = lambda.Function{Name: f.Name, ARN: f.ARN, Binary: binary, Env: env, Timeout: f.Timeout, Memory: f.Memory, Concurrency: concurrency}
	}
	return lambda.New(functions, lambda.Options{Region: r.region, NoFreeze: r.o.NoFreeze, Plan: r.o.Chaos.plan()})
}

// invoke calls the function of a folder; everything that calls one does so here.
func (r *Rehearsal) invoke(ctx context.Context, folder string, event []byte) ([]byte, error) {
	r.calls.Add(1)
	r.under.Add(1)
	defer func() {
		r.calls.Add(1)
		r.under.Add(-1)
	}()
	return r.host.Invoke(ctx, folder, event)
}

// Invoke calls the function of a folder with an event and returns its answer,
// as the AWS command line would.
func (r *Rehearsal) Invoke(ctx context.Context, folder string, event []byte) ([]byte, error) {
	return r.invoke(ctx, folder, event)
}

// Tick lets each schedule come due once. Settle waits for what that starts.
func (r *Rehearsal) Tick() { r.bus.Tick() }

// Host is the functions' host, for their timings and environments.
func (r *Rehearsal) Host() *lambda.Host { return r.host }

// Kill ends all environments of a function, whatever they do.
func (r *Rehearsal) Kill(folder string) int { return r.host.Kill(folder) }

// Log returns what the function of a folder wrote.
func (r *Rehearsal) Log(folder string) string { return r.host.Logs(folder) }

// Logs returns what all functions wrote, function after function.
func (r *Rehearsal) Logs() string {
	var b strings.Builder
	for _, folder := range slices.Sorted(maps.Keys(r.o.Stack.Functions)) {
		b.WriteString(r.host.Logs(folder))
	}
	return b.String()
}

// AccessLog returns the HTTP API's access log.
func (r *Rehearsal) AccessLog() string { return r.access.String() }

// Denied returns the calls that a role did not allow, as sentences. An empty
// list is what a test wants.
func (r *Rehearsal) Denied() []string { return r.guard.Denied() }

// Environ returns the environment in which the AWS command line, and gatehouse
// --table, work on this stack, as an operator who may do everything.
func (r *Rehearsal) Environ() []string {
	var list []string
	for name, value := range r.guard.Environ("") {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// DeadMessages returns the bodies of the messages in dead-letter queues, which
// nobody reads.
func (r *Rehearsal) DeadMessages() []string {
	var list []string
	for _, q := range r.account.queues() {
		if !slices.Contains(r.sources, q) {
			for _, m := range q.Messages() {
				list = append(list, m.Body)
			}
		}
	}
	return list
}

// Lost returns the events that a function failed to take with all its retries.
func (r *Rehearsal) Lost() []bus.Lost { return r.bus.Lost() }

// Counts tells what the event source mappings of the stream have done, by
// folder.
func (r *Rehearsal) Counts() map[string]mapping.Counts {
	counts := map[string]mapping.Counts{}
	for name, m := range r.mappings {
		counts[name] = m.Counts()
	}
	return counts
}

// Close ends everything but the table and the Account, in which a further
// rehearsal goes on. It is as abrupt as a failure of all machines: environments
// are killed, and what they worked on is given to others later.
func (r *Rehearsal) Close() error {
	r.once.Do(func() {
		var errs []error
		if r.server != nil {
			errs = append(errs, r.server.Close())
		}
		if r.stop != nil {
			r.stop()
		}
		r.account.leave(r.bus)
		// Mappings first: what was killed must not look like a failed try.
		for _, m := range r.mappings {
			m.Close()
		}
		if r.bus != nil {
			r.account.keep(r.bus.Close())
		}
		if r.host != nil {
			errs = append(errs, r.host.Close())
		}
		if r.guard != nil {
			errs = append(errs, r.guard.Close())
		}
		r.work.Wait()
		r.kept = errors.Join(errs...)
	})
	return r.kept
}

// lines is text that several write to.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
