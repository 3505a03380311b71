package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/peers/load"
)

// Each case runs so long; the whole takes some two minutes.
const benchFor = 2 * time.Second

// benchUsers is how many users the store holds for the last part; BENCH_USERS
// sets another number.
func benchUsers(b *testing.B) int {
	text := os.Getenv("BENCH_USERS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		b.Fatalf("BENCH_USERS = %q, want a number from 1000", text)
	}
	return n
}

// request is what a case does again and again: one request and what must come of
// it. The number tells repetitions apart.
type request func(worker, i int) (method, path string, body []byte, status int)

// cost is what a case took.
type cost struct {
	n        int
	rate     float64 // requests per second
	p50, p99 time.Duration
	cpu      float64 // CPU seconds of the server per 1,000 requests, with what it did for them afterwards
}

// process is a server under load.
type process struct {
	base, token string
	pid         int
}

// run loads the server from the clients for the time.
func (p process) run(b *testing.B, clients int, d time.Duration, what request) cost {
	b.Helper()
	var mu sync.Mutex
	var times []time.Duration
	var failure error
	cpu, begin := p.cpu(b), time.Now()
	var wg sync.WaitGroup
	for w := range clients {
		wg.Go(func() {
			var own []time.Duration
			for i := 0; time.Since(begin) < d; i++ {
				method, path, body, status := what(w, i)
				t := time.Now()
				_, err := p.hit(method, path, body, status)
				if err != nil {
					mu.Lock()
					failure = err
					mu.Unlock()
					return
				}
				own = append(own, time.Since(t))
			}
			mu.Lock()
			times = append(times, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	took := time.Since(begin)
	p.idle(b)
	used := p.cpu(b) - cpu
	if failure != nil {
		b.Fatal(failure)
	}
	slices.Sort(times)
	n := len(times)
	return cost{n: n, rate: float64(n) / took.Seconds(), p50: times[n/2], p99: times[n*99/100], cpu: used / float64(n) * 1000}
}

func (p process) hit(method, path string, body []byte, status int) ([]byte, error) {
	req, err := http.NewRequest(method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/scim+json")
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s %s = %d, want %d: %.300s", method, path, resp.StatusCode, status, data)
	}
	return data, err
}

// cpu returns the CPU seconds that the process has used, user and system.
func (p process) cpu(b *testing.B) float64 {
	b.Helper()
	used, err := load.Process(p.pid).CPU()
	needs(b, err)
	return used
}

// idle waits until the process has nothing left to do.
func (p process) idle(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	if err := load.Process(p.pid).Idle(ctx, 500*time.Millisecond); err != nil {
		b.Fatal(err)
	}
}

// rss returns the resident memory of the process in MiB.
func (p process) rss(b *testing.B) float64 {
	b.Helper()
	mib, err := load.Process(p.pid).RSS()
	needs(b, err)
	return mib
}

// benchUser is a user of some 724 bytes.
func benchUser(name string) []byte {
	p := person(name+"@corp.test", "Wilhelmina", "Featherstonehaugh")
	p["externalId"] = "00u1a2b3c4d5e6f7-" + name
	p["title"] = "Head of Regional Development"
	p["preferredLanguage"], p["locale"], p["timezone"] = "en-GB", "en-GB", "Europe/London"
	p["phoneNumbers"] = []object{{"type": "work", "value": "+44 20 7946 0123"}, {"type": "mobile", "value": "+44 7700 900123"}}
	p["schemas"] = []string{userSchema, enterpriseSchema}
	p[enterpriseSchema] = object{"employeeNumber": "E-701984", "department": "Regional Development", "division": "EU"}
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // a literal that is no JSON
	}
	return data
}

// bench is one table of cases against a server and the floor.
type bench struct {
	*testing.B
	base map[string]float64 // CPU of the floor's cases
}

const tableRow = "%-32s %7v %9v %9v %9v %12v %8v\n"

func (b *bench) row(name string, clients int, c cost, floor string) {
	ratio := ""
	if f := b.base[floor]; f > 0 {
		ratio = fmt.Sprintf("%.1f", c.cpu/f)
	}
	fmt.Printf(tableRow, name, clients, fmt.Sprintf("%.0f", c.rate), ms(c.p50), ms(c.p99), fmt.Sprintf("%.3f", c.cpu), ratio)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

// BenchmarkHTTP prints rates, latencies and CPU over HTTP: durable creates,
// reads, patches, lookups and lists from 1, 16 and 64 clients, then memory, the
// last page and big groups with many users. It is no loop: it measures once.
func BenchmarkHTTP(top *testing.B) {
	s := start(top, options{})
	_, c := s.organization(top, "bench", suppressMail)
	server := process{base: s.SCIM, token: c.token, pid: s.cmd.Process.Pid}
	welcoming := process{base: s.SCIM, token: s.Token, pid: s.cmd.Process.Pid}
	floor := process{}
	floor.base, floor.pid = startFloor(top)
	b := &bench{B: top, base: map[string]float64{}}
	fmt.Printf("\nOver HTTP, each commit synced; %d CPUs shared with the load; a user of %d bytes; CPU of the server; floor: %s\n",
		runtime.NumCPU(), len(benchUser("u000000")), "a map under a mutex, in this run")
	fmt.Printf(tableRow, "case", "clients", "ops/s", "p50 ms", "p99 ms", "CPU-s/1,000", "× floor")

	create := func(prefix string) request {
		return func(w, i int) (string, string, []byte, int) {
			return "POST", "/Users", benchUser(fmt.Sprintf("%s-%d-%d", prefix, w, i)), 201
		}
	}
	floor.run(top, 16, benchFor/4, create("warm"))
	for _, clients := range []int{1, 16, 64} {
		made := floor.run(top, clients, benchFor, create(itoa(clients)))
		read := floor.run(top, clients, benchFor, func(w, i int) (string, string, []byte, int) {
			return "GET", "/Users/" + itoa(1+rand.IntN(made.n)), nil, 200
		})
		b.base["create"], b.base["GET"] = made.cpu, read.cpu
		b.row("floor create", clients, made, "")
		b.row("floor GET", clients, read, "")

		b.row("create", clients, server.run(top, clients, benchFor, create(itoa(clients))), "create")
		b.row("create, with mail", clients, welcoming.run(top, clients, benchFor, create("m"+itoa(clients))), "create")
		ids := b.someIDs(server)
		pick := func() string { return ids[rand.IntN(len(ids))] }
		b.row("GET", clients, server.run(top, clients, benchFor, func(w, i int) (string, string, []byte, int) {
			return "GET", "/Users/" + pick(), nil, 200
		}), "GET")
		b.row("PATCH", clients, server.run(top, clients, benchFor, func(w, i int) (string, string, []byte, int) {
			body, _ := json.Marshal(patchOp(object{"op": "replace", "path": "title", "value": fmt.Sprintf("%d of %d", i, w)}))
			return "PATCH", "/Users/" + ids[(i*clients+w)%len(ids)], body, 200
		}), "create")
		b.row("userName eq", clients, server.run(top, clients, benchFor, lookupOf(fmt.Sprintf("%d-0-%%d", clients), 50)), "GET")
		b.row("page of 100", clients, server.run(top, clients, benchFor, func(w, i int) (string, string, []byte, int) {
			return "GET", "/Users?startIndex=1&count=100", nil, 200
		}), "")
	}
	b.large(server, benchUsers(top))
}

// lookupOf asks for userNames that the pattern gives for the first n numbers.
func lookupOf(pattern string, n int) request {
	return func(w, i int) (string, string, []byte, int) {
		name := fmt.Sprintf(pattern, rand.IntN(n)) + "@corp.test"
		return "GET", "/Users?filter=" + url.QueryEscape(`userName eq "`+name+`"`), nil, 200
	}
}

// someIDs returns up to 1,000 ids of users.
func (b *bench) someIDs(p process) []string {
	b.Helper()
	var ids []string
	for first := 1; first <= 1000; first += 100 {
		ids = append(ids, b.page(p, first).ids()...)
	}
	return ids
}

func (b *bench) page(p process, first int) answer {
	b.Helper()
	data, err := p.hit("GET", fmt.Sprintf("/Users?startIndex=%d&count=100&attributes=userName", first), nil, 200)
	if err != nil {
		b.Fatal(err)
	}
	tree, err := decode(data)
	if err != nil {
		b.Fatal(err)
	}
	return answer{tree: tree, body: data}
}

// large fills the store up to n users and measures what may depend on their
// number.
func (b *bench) large(p process, n int) {
	b.Helper()
	have, err := strconv.Atoi(b.page(p, 1).text("totalResults"))
	if err != nil {
		b.Fatal(err)
	}
	before, begin := p.rss(b.B), time.Now()
	err = forEach(max(0, n-have), 64, func(i int) error {
		_, err := p.hit("POST", "/Users", benchUser(fmt.Sprintf("large-%d", i)), 201)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(begin)
	p.idle(b.B)
	fmt.Printf("%d users, the last %d created in %v; memory %.0f MiB, before them %.0f\n", max(have, n), max(0, n-have), took.Round(time.Second), p.rss(b.B), before)
	b.row("userName eq", 1, p.run(b.B, 1, benchFor, lookupOf("large-%d", max(1, n-have))), "GET")
	last := max(have, n) - 99
	for _, first := range []int{1, last} {
		b.row(fmt.Sprintf("page of 100 from %d", first), 1, p.run(b.B, 1, benchFor, func(w, i int) (string, string, []byte, int) {
			return "GET", fmt.Sprintf("/Users?startIndex=%d&count=100", first), nil, 200
		}), "")
	}
	// Twice the last thousand come and go in groups of 10 and of nearly all.
	var ids []string
	for first := 1; first <= max(have, n); first += 100 {
		ids = append(ids, b.page(p, first).ids()...)
	}
	for _, size := range []int{10, len(ids) - 1000} {
		group := b.groupOf(p, size, ids)
		spare := ids[size:][:1000]
		c := p.run(b.B, 16, benchFor, func(w, i int) (string, string, []byte, int) {
			op := object{"op": "add", "path": "members", "value": refs(spare[(i/2*16+w)%1000 : (i/2*16+w)%1000+1])}
			if i%2 == 1 {
				op = object{"op": "remove", "path": fmt.Sprintf("members[value eq %q]", spare[(i/2*16+w)%1000])}
			}
			body, _ := json.Marshal(patchOp(op))
			return "PATCH", "/Groups/" + group, body, 204
		})
		b.row(fmt.Sprintf("add or remove a member of %d", size), 16, c, "")
	}
	fmt.Printf("memory at the end %.0f MiB\n", p.rss(b.B))
}

func (b *bench) groupOf(p process, size int, ids []string) string {
	b.Helper()
	body, _ := json.Marshal(object{"schemas": []string{groupSchema}, "displayName": fmt.Sprintf("Group of %d", size)})
	data, err := p.hit("POST", "/Groups", body, 201)
	if err != nil {
		b.Fatal(err)
	}
	tree, _ := decode(data)
	id := answer{tree: tree}.text("id")
	for part := range slices.Chunk(ids[:size], 1000) {
		body, _ := json.Marshal(patchOp(object{"op": "add", "path": "members", "value": refs(part)}))
		if _, err := p.hit("PATCH", "/Groups/"+id, body, 204); err != nil {
			b.Fatal(err)
		}
	}
	return id
}

// BenchmarkStart measures from exec to the first answer, on a store that holds
// something.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir() + "/data"
	first, err := launch(b.Context(), options{dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	first.client("").user(b, "ana@corp.test")
	first.kill()
	for b.Loop() {
		s, err := launch(b.Context(), options{dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		s.kill()
	}
}
