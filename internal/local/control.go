package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
)

// The control socket takes one command a request: POST / with a command, which
// only the data folder's owner can reach.
type command struct {
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// refusal is what crosses the socket of an error.
type refusal struct {
	Kind fault.Kind `json:"kind"`
	Code string     `json:"code,omitempty"`
	Msg  string     `json:"msg"`
}

// socket calls f with a name for the folder's socket that is short enough for
// the system: 108 bytes, which a folder's path may exceed.
func (f Folder) socket(do func(path string) error) error {
	path := f.path("gatehouse.sock")
	if len(path) < 100 {
		return do(path)
	}
	d, err := os.Open(string(f))
	if err != nil {
		return err
	}
	defer d.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/gatehouse.sock", d.Fd()))
}

// control serves commands until the server that it returns is closed. The caller holds the store,
// so a socket that is there already is a dead program's.
func (f Folder) control(op *app.Operator, log *slog.Logger) (*http.Server, error) {
	var ln net.Listener
	err := f.socket(func(path string) error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		// The folder is its owner's alone, so nobody comes between Listen and Chmod.
		l, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // Close would remove by a name that may not hold then
		ln = l
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c command
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&c)
		var answer any
		if err != nil {
			err = &fault.Error{Kind: fault.Invalid, Msg: "The command is not understood.", Err: err}
		} else {
			answer, err = op.Do(r.Context(), c.Name, c.Args)
		}
		if err != nil {
			fe := fault.Of(err)
			if fe.Kind == fault.Internal {
				log.Error("command failed", "command", c.Name, "error", err.Error())
			}
			w.WriteHeader(http.StatusBadRequest)
			answer = refusal{fe.Kind, fe.Code, message(err)}
		}
		json.NewEncoder(w).Encode(answer)
	})}
	go s.Serve(ln)
	return s, nil
}

// message is what an operator is told: unlike a client, the whole of it.
func message(err error) string {
	if fe := fault.Of(err); fe.Msg != "" {
		return fe.Msg
	}
	return err.Error()
}

// served reports whether a program answers at the folder's socket.
func (f Folder) served(ctx context.Context) bool {
	return f.socket(func(path string) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			c.Close()
		}
		return err
	}) == nil
}

// ask sends a command to the program that serves the folder; ok is false if
// none does.
func (f Folder) ask(ctx context.Context, name string, args json.RawMessage) (answer json.RawMessage, ok bool, err error) {
	body, err := json.Marshal(command{name, args})
	if err != nil {
		return nil, false, err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		err = f.socket(func(path string) error {
			c, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
			return err
		})
		return c, err
	}, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gatehouse/", bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	res, err := client.Do(req)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, fmt.Errorf("talk to the program that serves %s: %w", f, err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		return nil, true, fmt.Errorf("talk to the program that serves %s: %w", f, err)
	}
	answer = bytes.TrimSpace(answer) // the encoder ends with a line
	if res.StatusCode != http.StatusOK {
		var no refusal
		if err := json.Unmarshal(answer, &no); err != nil {
			return nil, true, fmt.Errorf("the program that serves %s answers what is not understood", f)
		}
		return nil, true, &fault.Error{Kind: no.Kind, Code: no.Code, Msg: no.Msg}
	}
	return answer, true, nil
}
