package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"gatehouse/internal/peers/load"
)

type object = map[string]any

const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	groupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	patchSchema      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

func userName(n int) string { return fmt.Sprintf("u%06d@corp.test", n) }

// user is the one of internal/e2e's benchmarks, some 724 bytes.
func user(n int) []byte {
	name := userName(n)
	return encode(object{
		"schemas":           []string{userSchema, enterpriseSchema},
		"userName":          name,
		"externalId":        "00u1a2b3c4d5e6f7-" + strings.TrimSuffix(name, "@corp.test"),
		"name":              object{"givenName": "Wilhelmina", "familyName": "Featherstonehaugh"},
		"displayName":       "Wilhelmina Featherstonehaugh",
		"title":             "Head of Regional Development",
		"preferredLanguage": "en-GB", "locale": "en-GB", "timezone": "Europe/London",
		"emails":         []object{{"value": name, "type": "work", "primary": true}},
		"phoneNumbers":   []object{{"type": "work", "value": "+44 20 7946 0123"}, {"type": "mobile", "value": "+44 7700 900123"}},
		"active":         true,
		enterpriseSchema: object{"employeeNumber": "E-701984", "department": "Regional Development", "division": "EU"},
	})
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // a literal that is no JSON
	}
	return data
}

func createUser(n int, check func([]byte) error) load.Request {
	return load.Request{Method: "POST", Path: "/Users", Body: user(n), Want: []int{201}, Check: check}
}

func getUser(id string) load.Request {
	return load.Request{Method: "GET", Path: "/Users/" + id, Want: []int{200}}
}

// lookup must find the user, whatever else the answer holds.
func lookup(n int) load.Request {
	name := userName(n)
	return load.Request{Method: "GET", Path: "/Users?filter=" + url.QueryEscape(fmt.Sprintf("userName eq %q", name)), Want: []int{200},
		Check: func(body []byte) error {
			if !bytes.Contains(body, []byte(name)) {
				return errors.New("the user is not in the answer")
			}
			return nil
		}}
}

// page must hold so many users, 100 or all there are.
func page(first, users int) load.Request {
	return load.Request{Method: "GET", Path: fmt.Sprintf("/Users?startIndex=%d&count=100", first), Want: []int{200},
		Check: func(body []byte) error {
			if n := bytes.Count(body, []byte(`"userName"`)); n != users {
				return fmt.Errorf("the page holds %d users, want %d", n, users)
			}
			return nil
		}}
}

func patch(path string, operation object) load.Request {
	body := encode(object{"schemas": []string{patchSchema}, "Operations": []object{operation}})
	return load.Request{Method: "PATCH", Path: path, Body: body, Want: []int{200, 204}}
}

func setActive(id string, active bool) load.Request {
	return patch("/Users/"+id, object{"op": "replace", "path": "active", "value": active})
}

func createGroup(name string, members []string) load.Request {
	body := encode(object{"schemas": []string{groupSchema}, "displayName": name, "members": refs(members)})
	return load.Request{Method: "POST", Path: "/Groups", Body: body, Want: []int{201}}
}

func addMembers(group string, members ...string) load.Request {
	return patch("/Groups/"+group, object{"op": "add", "path": "members", "value": refs(members)})
}

func getGroup(id string) load.Request {
	return load.Request{Method: "GET", Path: "/Groups/" + id, Want: []int{200}}
}

func refs(ids []string) []object {
	list := make([]object, len(ids))
	for i, id := range ids {
		list[i] = object{"value": id}
	}
	return list
}

// idOf finds the id in an answered user or group: no attribute beneath is named
// so. Decoding each answer would take time from the server that is measured.
func idOf(body []byte) string {
	_, rest, _ := bytes.Cut(body, []byte(`"id":`))
	_, rest, _ = bytes.Cut(rest, []byte(`"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}
