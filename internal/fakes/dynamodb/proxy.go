package dynamodb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is what the proxy does to one call.
type Fault string

const (
	None Fault = ""

	Conflict        Fault = "conflict"          // another transaction is under way: nothing is written
	Throughput      Fault = "throughput"        // ProvisionedThroughputExceededException
	RequestLimit    Fault = "request limit"     // RequestLimitExceeded
	Throttling      Fault = "throttling"        // ThrottlingException
	CancelThrottled Fault = "cancel throttled"  // a transaction cancelled with ThrottlingError as reason
	ServerError     Fault = "server error"      // InternalServerError; nothing is written
	ServerErrorDone Fault = "server error done" // InternalServerError, although it was written
	InProgress      Fault = "in progress"       // carried out, but answered as still under way
	LostRequest     Fault = "lost request"      // the connection is cut before the call is carried out
	LostAnswer      Fault = "lost answer"       // the connection is cut after it
	Torn            Fault = "torn"              // 200, and the body ends in its middle
	Empty           Fault = "empty"             // 200 with no body, and the checksum of the whole one
	Corrupt         Fault = "corrupt"           // 200 with an empty object, and the checksum of the whole one
	Late            Fault = "late"              // answered after a pause, see Proxy.Pause
	Unprocessed     Fault = "unprocessed"       // BatchGetItem: the second half of the keys comes back unprocessed
)

// Faults are all that can befall a call.
var Faults = []Fault{Conflict, Throughput, RequestLimit, Throttling, CancelThrottled, ServerError, ServerErrorDone,
	InProgress, LostRequest, LostAnswer, Torn, Empty, Corrupt, Late, Unprocessed}

// Call is what a plan decides by.
type Call struct {
	Operation string // PutItem, TransactWriteItems, ...
	Number    int    // of all calls, from 1
	Body      []byte
}

// Plan says what befalls a call. Calls are decided one after another.
type Plan func(Call) Fault

// Seeded returns the plan that does something to one in so many calls, drawn
// from the faults given, the same for a seed and an order of calls.
func Seeded(seed uint64, in int, faults ...Fault) Plan {
	rng := rand.New(rand.NewPCG(seed, seed))
	return func(Call) Fault {
		if rng.IntN(in) > 0 {
			return None
		}
		return faults[rng.IntN(len(faults))]
	}
}

// Proxy stands between a client and DynamoDB Local, and does what DynamoDB
// does and DynamoDB Local never: it cancels transactions that meet, throttles,
// fails, and loses calls and answers. A fault that cannot befall a call (a
// cancelled transaction, if it is none) leaves it as it is.
type Proxy struct {
	Endpoint string
	Pause    time.Duration // of Late

	to     string
	client *http.Client
	server *http.Server

	mu    sync.Mutex
	plan  Plan
	calls int
	done  map[Fault]int
}

// NewProxy returns a proxy of the endpoint that runs until Close. A nil plan
// does nothing.
func NewProxy(endpoint string, plan Plan) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy of DynamoDB: %w", err)
	}
	p := &Proxy{
		Endpoint: "http://" + l.Addr().String(), Pause: 50 * time.Millisecond,
		to: endpoint, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
		plan: plan, done: map[Fault]int{},
	}
	p.server = &http.Server{Handler: p}
	go p.server.Serve(l)
	return p, nil
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.client.CloseIdleConnections()
	return err
}

// Set replaces the plan.
func (p *Proxy) Set(plan Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// Done returns how often each fault befell a call, and how many calls came.
func (p *Proxy) Done() (faults map[Fault]int, calls int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[Fault]int{}
	for f, n := range p.done {
		out[f] = n
	}
	return out, p.calls
}

func (p *Proxy) decide(c Call) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	c.Number = p.calls
	if p.plan == nil {
		return None
	}
	f := p.plan(c)
	if !befalls(f, c) {
		return None
	}
	if f != None {
		p.done[f]++
	}
	return f
}

// befalls reports whether the fault can happen to the call.
func befalls(f Fault, c Call) bool {
	transaction := c.Operation == "TransactWriteItems"
	switch f {
	case Conflict:
		return transaction || c.Operation == "PutItem"
	case CancelThrottled, InProgress:
		return transaction
	case Unprocessed:
		return c.Operation == "BatchGetItem"
	}
	return true
}

// ServeHTTP is one call.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		cut()
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	call := Call{Operation: operation, Body: body}
	f := p.decide(call)
	switch f {
	case Conflict:
		if operation == "PutItem" {
			refuse(w, 400, "TransactionConflictException", nil)
			return
		}
		refuse(w, 400, "TransactionCanceledException", reasons(body, "TransactionConflict"))
		return
	case CancelThrottled:
		refuse(w, 400, "TransactionCanceledException", reasons(body, "ThrottlingError"))
		return
	case Throughput:
		refuse(w, 400, "ProvisionedThroughputExceededException", nil)
		return
	case RequestLimit:
		refuse(w, 400, "RequestLimitExceeded", nil)
		return
	case Throttling:
		refuse(w, 400, "ThrottlingException", nil)
		return
	case ServerError:
		refuse(w, 500, "InternalServerError", nil)
		return
	case LostRequest:
		cut()
	}
	var held map[string]any
	if f == Unprocessed {
		body, held = halve(body)
	}
	answer, header, status := p.forward(r, body)
	if status == 0 {
		cut()
	}
	switch f {
	case LostAnswer:
		cut()
	case ServerErrorDone:
		refuse(w, 500, "InternalServerError", nil)
		return
	case InProgress:
		refuse(w, 400, "TransactionInProgressException", nil)
		return
	case Late:
		time.Sleep(p.Pause)
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	if held != nil && status == 200 {
		answer = withUnprocessed(answer, held)
		w.Header().Set("X-Amz-Crc32", checksum(answer))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	if status != 200 {
		f = None // there is nothing worth tearing
	}
	switch f {
	case Torn:
		w.WriteHeader(status)
		w.Write(answer[:len(answer)/2])
		w.(http.Flusher).Flush()
		cut()
	case Empty:
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
	case Corrupt:
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(status)
		w.Write([]byte("{}"))
	default:
		w.WriteHeader(status)
		w.Write(answer)
	}
}

// cut closes the connection without an answer.
func cut() { panic(http.ErrAbortHandler) }

// forward carries the call out; status 0: it could not.
func (p *Proxy) forward(r *http.Request, body []byte) (answer []byte, header http.Header, status int) {
	// Not under the caller's context: a call whose caller has gone is carried
	// out all the same.
	out, err := http.NewRequest(r.Method, p.to+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, 0
	}
	out.Header = r.Header.Clone()
	response, err := p.client.Do(out)
	if err != nil {
		return nil, nil, 0
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		return nil, nil, 0
	}
	return answer, response.Header, response.StatusCode
}

func checksum(b []byte) string { return strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10) }

// refuse answers as DynamoDB refuses.
func refuse(w http.ResponseWriter, status int, code string, more map[string]any) {
	body := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": "injected"}
	for name, value := range more {
		body[name] = value
	}
	b, err := json.Marshal(body)
	if err != nil {
		cut()
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-RequestId", "INJECTED")
	w.Header().Set("X-Amz-Crc32", checksum(b))
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
}

// reasons says why a transaction was cancelled: one of its actions met that,
// the others nothing.
func reasons(body []byte, code string) map[string]any {
	var in struct{ TransactItems []json.RawMessage }
	_ = json.Unmarshal(body, &in) // what cannot be read has no actions
	list := make([]map[string]string, len(in.TransactItems))
	for i := range list {
		list[i] = map[string]string{"Code": "None"}
	}
	if len(list) > 0 {
		list[len(list)/2] = map[string]string{"Code": code, "Message": "injected"}
	}
	return map[string]any{"Message": "Transaction cancelled, please refer cancellation reasons for specific reasons", "CancellationReasons": list}
}

// halve takes the second half of the keys out of a BatchGetItem and returns
// what is unprocessed thereby.
func halve(body []byte) ([]byte, map[string]any) {
	var in map[string]any
	if json.Unmarshal(body, &in) != nil {
		return body, nil
	}
	held := map[string]any{}
	requests, _ := in["RequestItems"].(map[string]any)
	for table, request := range requests {
		request := request.(map[string]any)
		keys := request["Keys"].([]any)
		if len(keys) < 2 {
			return body, nil
		}
		rest := map[string]any{}
		for name, value := range request {
			rest[name] = value
		}
		request["Keys"], rest["Keys"] = keys[:len(keys)/2], keys[len(keys)/2:]
		held[table] = rest
	}
	out, err := json.Marshal(in)
	if err != nil {
		return body, nil
	}
	return out, held
}

func withUnprocessed(answer []byte, held map[string]any) []byte {
	var out map[string]any
	if json.Unmarshal(answer, &out) != nil {
		return answer
	}
	out["UnprocessedKeys"] = held
	b, err := json.Marshal(out)
	if err != nil {
		return answer
	}
	return b
}
