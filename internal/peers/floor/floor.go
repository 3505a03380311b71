// Package floor is the least that an HTTP service in Go can do with a user:
// decode the JSON into a map, keep it under a mutex, answer it. It persists
// nothing and checks nothing. What Gatehouse costs is told in multiples of it,
// measured in the same run, because the machine's own speed falls out of the
// quotient.
//
// It is no SCIM server: it knows create, GET and lookup by userName.
package floor

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Serve listens on a free port of the loopback, writes "port N" to out, and ends
// the process when in does.
func Serve(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "port %d\n", l.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, in)
		os.Exit(0)
	}()
	return http.Serve(l, Handler())
}

// Handler returns an empty floor.
func Handler() http.Handler {
	var mu sync.Mutex
	users := map[string]map[string]any{}
	names := map[string]string{}
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/scim+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /Users", func(w http.ResponseWriter, r *http.Request) {
		var u map[string]any
		if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		mu.Lock()
		id := strconv.Itoa(len(users) + 1)
		u["id"] = id
		users[id] = u
		if name, ok := u["userName"].(string); ok {
			names[name] = id
		}
		mu.Unlock()
		answer(w, 201, u)
	})
	mux.HandleFunc("GET /Users", func(w http.ResponseWriter, r *http.Request) {
		name := strings.Trim(strings.TrimPrefix(r.FormValue("filter"), "userName eq "), `"`)
		mu.Lock()
		u := users[names[name]]
		mu.Unlock()
		answer(w, 200, map[string]any{"Resources": []any{u}})
	})
	mux.HandleFunc("GET /Users/{id}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		u := users[r.PathValue("id")]
		mu.Unlock()
		answer(w, 200, u)
	})
	return mux
}
