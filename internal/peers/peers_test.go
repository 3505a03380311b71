package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/peers/floor"
	"gatehouse/internal/peers/load"
)

const moduleRoot = "../.."

func TestMain(m *testing.M) {
	if os.Getenv(floorEnv) != "" {
		fmt.Fprintln(os.Stderr, floor.Serve(os.Stdin, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// tiny is a plan of all cases that takes a second or two.
var tiny = plan{name: "tiny", each: 15 * time.Millisecond, settle: 15 * time.Millisecond, patient: 10 * time.Second,
	users: []int{20, 120, 150}, members: []int{5, 100, 140}, clients: []int{1, 4}, few: []int{2}, adds: 10, race: 64}

// TestMeasure runs everything against the floor and Gatehouse, so that it works
// when it is needed.
func TestMeasure(t *testing.T) {
	var log bytes.Buffer
	e := environment{root: moduleRoot, tools: t.TempDir(), dir: t.TempDir()}
	m, err := measure(t.Context(), tiny, 10*time.Minute, all[:2], e, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for _, r := range m.Results {
		if r.N == 0 || r.Note != "" {
			t.Errorf("%s: %s, size %d, %d clients: %d requests, %s", r.Contender, r.Case, r.Size, r.Clients, r.N, r.Note)
		}
	}
	for contender, want := range map[string]int{
		floorName: 2 + 2*2,           // lookups at two sizes, create and GET
		oursName:  3 + 4 + 4*2 + 3*1, // lookups at three sizes, pages at two, create, mail, GET and PATCH, additions
	} {
		if got := howMany(m.Results, func(r result) bool { return r.Contender == contender }); got != want {
			t.Errorf("%s was measured in %d cases, want %d\n%s", contender, got, want, &log)
		}
	}
	if len(m.Lost) != 1 || m.Lost[0].Acknowledged != tiny.race || m.Lost[0].Refused+m.Lost[0].Lost != 0 {
		t.Errorf("parallel additions to one group: %+v, want %d acknowledged and none lost", m.Lost, tiny.race)
	}
	if got := howMany(m.Memory, func(x memory) bool { return x.Contender == oursName && x.MiB > 1 }); got != 3 {
		t.Errorf("memory was noted at %d sizes, want 3", got)
	}
	if m.Fsync.Append <= 0 || m.Fsync.InPlace <= 0 || len(m.Machine) < 4 || len(m.Contenders) != 2 {
		t.Errorf("the machine is told as %+v, %+v, %+v", m.Fsync, m.Machine, m.Contenders)
	}
	if _, _, err := document(ourPage(t), m); err != nil {
		t.Error(err)
	}
}

func howMany[T any](list []T, is func(T) bool) (n int) {
	for _, x := range list {
		if is(x) {
			n++
		}
	}
	return n
}

func ourPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(moduleRoot + "/docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// liar is a SCIM server in this process that does what it is told to do wrong.
type liar struct {
	mu      sync.Mutex
	users   []string // names; the id is the index
	members map[string]bool
	adds    int
	wrong   string
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.wrong == "silent" && r.Method == "GET" && strings.HasPrefix(r.URL.Path, "/Users/") {
		<-r.Context().Done()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var body struct {
		UserName   string
		Operations []struct {
			Path  string
			Value json.RawMessage
		}
	}
	json.NewDecoder(r.Body).Decode(&body)
	switch {
	case r.Method == "POST" && r.URL.Path == "/Users":
		w.WriteHeader(201)
		fmt.Fprintf(w, `{"userName":%q, "id": "%d"}`, body.UserName, len(l.users))
		l.users = append(l.users, body.UserName)
	case r.Method == "POST": // there is one group, made anew each time
		clear(l.members)
		w.WriteHeader(201)
		fmt.Fprint(w, `{"id":"g"}`)
	case r.Method == "PATCH" && l.wrong == "refuses":
		w.WriteHeader(500)
	case r.Method == "PATCH" && len(body.Operations) > 0 && body.Operations[0].Path == "members":
		var values []struct{ Value string }
		json.Unmarshal(body.Operations[0].Value, &values)
		l.adds++
		for _, v := range values {
			if l.wrong != "forgets" || l.adds%4 != 0 {
				l.members[v.Value] = true
			}
		}
		w.WriteHeader(204)
	case r.URL.Path == "/Groups/g":
		var list []object
		for id := range l.members {
			list = append(list, object{"value": id})
		}
		json.NewEncoder(w).Encode(object{"id": "g", "members": list})
	case r.URL.Query().Has("filter"):
		name := strings.Trim(strings.TrimPrefix(r.FormValue("filter"), "userName eq "), `"`)
		if l.wrong == "finds another" {
			name = "u999999@corp.test"
		}
		fmt.Fprintf(w, `{"Resources":[{"userName":%q}]}`, name)
	case r.URL.Query().Has("count"):
		first, _ := strconv.Atoi(r.FormValue("startIndex"))
		n := min(100, len(l.users)-first+1)
		if l.wrong == "short pages" {
			n--
		}
		fmt.Fprint(w, strings.Repeat(`"userName"`, n))
	}
}

// TestBench: what a server does wrong is noted at the cases concerned, and at no
// other.
func TestBench(t *testing.T) {
	for wrong, want := range map[string]struct {
		cases []string
		note  string
		lost  int
	}{
		"":              {},
		"forgets":       {lost: 16}, // every fourth of 64
		"refuses":       {cases: []string{casePatch, caseAdd}, note: "answered with 500"},
		"finds another": {cases: []string{caseLookup}, note: "the user is not in the answer"},
		"short pages":   {cases: []string{caseFirstPage, caseLastPage}, note: "the page holds 99 users"},
		"silent":        {cases: []string{caseGet}, note: "no answer within 1s"},
	} {
		t.Run(wrong, func(t *testing.T) {
			p := tiny
			p.each, p.settle = time.Millisecond, time.Millisecond
			if wrong == "silent" {
				p.patient, p.clients = time.Second, []int{4}
			}
			s := httptest.NewServer(&liar{wrong: wrong, members: map[string]bool{}})
			defer s.Close()
			server := load.Server{Host: strings.TrimPrefix(s.URL, "http://"), Process: load.Process(os.Getpid())}
			m := new(measurements)
			var log bytes.Buffer
			b := newBench(p, &running{Server: server}, contender{name: "liar", chunk: 1000}, m, &log, time.Minute)
			if err := b.measure(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, r := range m.Results {
				bad := slices.Contains(want.cases, r.Case)
				if bad != (r.N == 0) || bad && !strings.Contains(r.Note, want.note) {
					t.Errorf("%s, size %d, %d clients: %d requests, note %q; want wrong %v, %q\n%s", r.Case, r.Size, r.Clients, r.N, r.Note, bad, want.note, &log)
				}
			}
			if len(m.Lost) != 1 || m.Lost[0].Lost != want.lost {
				t.Errorf("parallel additions: %+v, want %d lost", m.Lost, want.lost)
			}
			if wrong == "refuses" && m.Lost[0].Refused != p.race {
				t.Errorf("parallel additions: %+v, want all %d refused", m.Lost, p.race)
			}
		})
	}
}

// TestTime: a contender whose time is used up is asked nothing, and one whose
// requests grow with the store is not asked what would take too long.
func TestTime(t *testing.T) {
	s := httptest.NewServer(&liar{members: map[string]bool{}})
	defer s.Close()
	server := load.Server{Host: strings.TrimPrefix(s.URL, "http://"), Process: load.Process(os.Getpid())}
	m := new(measurements)
	b := newBench(tiny, &running{Server: server}, contender{name: "x", chunk: 1000}, m, new(bytes.Buffer), -time.Second)
	if err := b.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Results {
		if r.N != 0 || !strings.Contains(r.Note, "used up") {
			t.Errorf("after its time %s was measured: %+v", r.Case, r)
		}
	}

	b.deadline, b.patient = time.Now().Add(time.Minute), 20*time.Second
	b.slow = map[string]at{"page1": {1000, 500}}
	b.run(t.Context(), "page", 100_000, 1, "", func(int) load.Request { return page(1, 0) })
	if r := m.Results[len(m.Results)-1]; r.N != 0 || !strings.Contains(r.Note, "0.5 s each at 1,000, so beyond 20s here") {
		t.Errorf("a page of half a second at 1,000 users was asked for at 100,000: %+v", r)
	}
	b.ids, b.rate, b.deadline = nil, 10, time.Now().Add(30*time.Second)
	if why := b.fill(t.Context(), 1000); !strings.Contains(why, "1,000 users would take 100 s of") {
		t.Errorf("a fill of 100 s in 30 is refused with %q", why)
	}
}

func TestUser(t *testing.T) {
	if n := len(user(7)); n < 700 || n > 750 {
		t.Errorf("a user has %d bytes, want about 724", n)
	}
	for text, want := range map[string]string{
		`{"schemas":["x"],"externalId":"e","id":"abc","userName":"u"}`: "abc",
		"{\n  \"id\": \"a-b\"}": "a-b",
		`{}`:                    "",
	} {
		if got := idOf([]byte(text)); got != want {
			t.Errorf("idOf(%s) = %q, want %q", text, got, want)
		}
	}
	seen := map[int]bool{}
	for i := range 1000 {
		seen[scatter(i, 1000)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("scatter gives %d of 1,000 numbers", len(seen))
	}
}

// TestPinned: the versions that the page tells are read from what is installed
// by.
func TestPinned(t *testing.T) {
	for _, c := range all[2:] {
		if v := c.version(environment{root: moduleRoot}); len(v) < 3 || len(v) > 10 {
			t.Errorf("%s has the version %q", c.name, v)
		}
	}
	lock, err := os.ReadFile(filepath.Join("scimmy", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) {
		t.Error("package-lock.json names a registry: make it with npm install --package-lock-only --omit-lockfile-registry-resolved")
	}
}
