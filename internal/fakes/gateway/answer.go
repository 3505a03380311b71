package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// answer is a function's answer in payload format 2.0.
type answer struct {
	StatusCode      *int           `json:"statusCode"`
	Headers         map[string]any `json:"headers"`
	Cookies         []string       `json:"cookies"`
	Body            *string        `json:"body"`
	IsBase64Encoded bool           `json:"isBase64Encoded"`
}

// Answer sends the client what the function's answer says. JSON without a status
// code is a body of its own, with status 200. On an error nothing has been sent:
// API Gateway answers 500 then.
func Answer(w http.ResponseWriter, payload []byte) error {
	if !json.Valid(payload) {
		return errors.New("the function's answer is not JSON")
	}
	var a answer
	if t := bytes.TrimSpace(payload); t[0] == '{' {
		if err := json.Unmarshal(payload, &a); err != nil {
			return fmt.Errorf("the function's answer is malformed: %w", err)
		}
	}
	if a.StatusCode == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_, err := w.Write(payload)
		return err
	}
	if *a.StatusCode < 200 || *a.StatusCode > 599 {
		return fmt.Errorf("the function's answer has status %d", *a.StatusCode)
	}
	var body []byte
	if a.Body != nil {
		body = []byte(*a.Body)
	}
	if a.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(string(body)); err != nil {
			return errors.New("the body of the function's answer is not base64")
		}
	}
	values := make(map[string]string, len(a.Headers))
	for name, v := range a.Headers {
		switch v := v.(type) {
		case string:
			values[name] = v
		case float64:
			values[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case bool:
			values[name] = strconv.FormatBool(v)
		default:
			return fmt.Errorf("the header %s of the function's answer is no string", name)
		}
	}
	h := w.Header()
	for name, v := range values {
		// The length is the body's. An answer to HEAD has only what is said of it.
		if hopByHop[strings.ToLower(name)] || len(body) > 0 && strings.EqualFold(name, "Content-Length") {
			continue
		}
		h.Set(name, v)
	}
	for _, c := range a.Cookies {
		h.Add("Set-Cookie", c)
	}
	if h.Get("Content-Type") == "" && len(body) > 0 {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(*a.StatusCode)
	// What an answer without a body says in one is lost, not an error.
	if _, err := w.Write(body); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		return fmt.Errorf("send the body: %w", err)
	}
	return nil
}
