package local

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/app"
)

// A program bounds what one connection asks, and has written down what it
// counted when it ends.
func TestRateAndCoercions(t *testing.T) {
	data := Folder(filepath.Join(t.TempDir(), "data"))
	var of app.ConnectionArgs
	t.Run("serve", func(t *testing.T) {
		s := serve(t, Options{Data: data, Rate: 25})
		of = app.ConnectionArgs{Org: s.Org, Connection: s.Connection}
		ask := func(method, path, body string) *http.Response {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), method, s.SCIM+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+s.Token)
			r.Header.Set("Content-Type", "application/scim+json")
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			return res
		}
		for _, name := range []string{"ada", "bob", "cy"} {
			body := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"` + name + `@example.com","active":"True"}`
			if res := ask("POST", "/Users", body); res.StatusCode != http.StatusCreated {
				t.Fatalf("POST = %d", res.StatusCode)
			}
		}
		// Two windows may be met, and one of them is not whole.
		for n := range 600 {
			res := ask("GET", "/ServiceProviderConfig", "")
			if res.StatusCode == http.StatusTooManyRequests {
				if after, err := strconv.Atoi(res.Header.Get("Retry-After")); n < 200 || err != nil || after < 1 || after > 10 || res.Header.Get("Content-Type") != "application/scim+json" {
					t.Errorf("request %d is told to wait %q, as %s", n, res.Header.Get("Retry-After"), res.Header.Get("Content-Type"))
				}
				return
			}
		}
		t.Error("600 requests at once are taken at 25 a second")
	})
	args, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Operate(t.Context(), data, "", "connection show", args)
	if err != nil {
		t.Fatal(err)
	}
	var shown app.ConnectionShown
	if err := json.Unmarshal(answer, &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Coercions) != 1 || shown.Coercions[0].Rule != "stringBoolean" || shown.Coercions[0].Count != 3 {
		t.Errorf("after the program ended its connection shows %+v, want 3 of stringBoolean", shown.Coercions)
	}
}
