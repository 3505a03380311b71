package oauth_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/fakes/idp"
)

// TestShapes sends the token requests of identity providers as they send them,
// but for the ids and secrets that they were given.
func TestShapes(t *testing.T) {
	data, err := os.ReadFile("testdata/requests.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Fixtures []struct {
			ID      string
			Request struct {
				Method  string
				Headers map[string]string
				Body    string
			}
			ExpectStatus []int
		}
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Fixtures) != 2 {
		t.Fatalf("the file holds %d fixtures, %v", len(file.Fixtures), err)
	}
	for _, shape := range file.Fixtures {
		t.Run(shape.ID, func(t *testing.T) {
			f := newFederation(t)
			key := idp.NewKey("tenant's", "RS256") // Entra ID's algorithm
			f.idp.Rotate(key)
			body := strings.NewReplacer("c-123", string(f.client.ID), "s-456", f.secret, "{{signedJwt}}", key.Sign(f.claims(nil), nil)).Replace(shape.Request.Body)
			if ct := shape.Request.Headers["Content-Type"]; ct != "application/x-www-form-urlencoded" {
				t.Fatalf("the fixture is of type %q", ct)
			}
			a := f.send(shape.Request.Method, "/oauth/token", body)
			lifetime, _ := a.body["expires_in"].(float64)
			if !slices.Contains(shape.ExpectStatus, a.status) || !f.good(a.token()) || a.body["token_type"] != "Bearer" || lifetime < 3600 || lifetime > 21600 {
				t.Errorf("the answer is %d %v", a.status, a.body)
			}
			// The same with one letter of the proof changed.
			bent := strings.NewReplacer("client_secret=ghcs_", "client_secret=ghcs-", "client_assertion=ey", "client_assertion=eY").Replace(body)
			if a := f.send(shape.Request.Method, "/oauth/token", bent); bent == body || a.status != 401 && a.status != 400 {
				t.Errorf("bent, it is answered with %d %v", a.status, a.body)
			}
		})
	}
}
