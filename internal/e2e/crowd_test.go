package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// lives are the courses that users take in the chaos; several clients let
// somebody live each of them at once. mails is how many welcome mails there are
// in the end; oneOrNone for those who leave, before theirs was sent or after.
var lives = []struct {
	name   string
	active bool // when created
	steps  []string
	mails  int
}{
	{"stays", true, []string{"title", "join Everyone"}, 1},
	{"moves", true, []string{"join Everyone", "join Others", "leave Everyone"}, 1},
	{"pauses", true, []string{"suspend", "resume"}, 1},
	{"waits", false, []string{"join Others"}, 0},
	{"begins", false, []string{"resume", "title"}, 1},
	{"leaves", true, []string{"join Everyone", "delete"}, oneOrNone},
	{"never", false, []string{"delete"}, 0},
}

const oneOrNone = -1

// crowd is who lives them.
type crowd struct {
	clients int
	tick    func() // called now and then
	mu      sync.Mutex
	ids     map[string]string // of users and groups, by their names; of those that are gone too
	again   int               // requests that were repeated
}

func (c *crowd) note(name, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[name] = id
}

func address(life string, client int) string { return fmt.Sprintf("%s%d@crowd.test", life, client) }

// live lets everybody live, and returns when the last request was answered.
func (c *crowd) live(t *testing.T, s *site) {
	t.Helper()
	c.ids = map[string]string{}
	for _, group := range []string{"Everyone", "Others"} {
		if err := c.group(s.client(""), group); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]error, c.clients)
	var work sync.WaitGroup
	for i := range c.clients {
		work.Go(func() { errs[i] = c.client(s.client(""), i) })
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (c *crowd) client(to *client, n int) error {
	for i := range lives {
		life := lives[(i+n)%len(lives)] // each begins with another
		name := address(life.name, n)
		p := person(name, "Kim", "Crowd")
		p["active"] = life.active
		id, err := c.make(to, "/Users", "userName", name, p)
		if err != nil {
			return err
		}
		for _, step := range life.steps {
			if err := c.step(to, id, step); err != nil {
				return fmt.Errorf("%s: %s: %w", name, step, err)
			}
		}
		if (i+n)%5 == 0 {
			c.tick()
		}
	}
	if err := c.group(to, fmt.Sprintf("Team %d", n), c.id(address("stays", n)), c.id(address("moves", n))); err != nil {
		return err
	}
	gone := fmt.Sprintf("Gone %d", n)
	if err := c.group(to, gone, c.id(address("stays", n))); err != nil {
		return err
	}
	_, err := c.persist(to, "DELETE", "/Groups/"+c.id(gone), nil, 204, 404)
	return err
}

func (c *crowd) id(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ids[name]
}

func (c *crowd) step(to *client, id, step string) error {
	patch := func(path string, operation object) error {
		_, err := c.persist(to, "PATCH", path, patchOp(operation), 200, 204)
		return err
	}
	switch what, group, _ := strings.Cut(step, " "); what {
	case "title":
		return patch("/Users/"+id, object{"op": "replace", "path": "title", "value": "Engineer"})
	case "suspend", "resume":
		return patch("/Users/"+id, object{"op": "replace", "path": "active", "value": what == "resume"})
	case "join":
		return patch("/Groups/"+c.id(group), object{"op": "add", "path": "members", "value": refs([]string{id})})
	case "leave":
		return patch("/Groups/"+c.id(group), object{"op": "remove", "path": `members[value eq "` + id + `"]`})
	case "delete":
		_, err := c.persist(to, "DELETE", "/Users/"+id, nil, 204, 404)
		return err
	default:
		return errors.New("no such step")
	}
}

func (c *crowd) group(to *client, name string, members ...string) error {
	_, err := c.make(to, "/Groups", "displayName", name, object{"schemas": []string{groupSchema}, "displayName": name, "members": refs(members)})
	return err
}

// make creates a resource, or finds it when an answer was lost.
func (c *crowd) make(to *client, path, attribute, name string, body object) (string, error) {
	a, err := c.persist(to, "POST", path, body, 201, 409)
	if err == nil && a.status == 409 {
		a, err = c.persist(to, "GET", filtered(path, attribute+` eq "`+name+`"`), nil, 200)
		if ids := a.ids(); err == nil && len(ids) == 1 {
			c.note(name, ids[0])
			return ids[0], nil
		}
		return "", cmp.Or(err, fmt.Errorf("creating %s is a conflict, and there are %d of it", name, len(a.ids())))
	}
	if err != nil {
		return "", fmt.Errorf("creating %s: %w", name, err)
	}
	c.note(name, a.text("id"))
	return a.text("id"), nil
}

// persist repeats a request, as clients do, that the server could not carry out
// or whose outcome it does not know.
func (c *crowd) persist(to *client, method, path string, body any, good ...int) (answer, error) {
	const most = 40
	for tries := 0; ; tries++ {
		a, err := to.try(method, path, body)
		switch {
		case err != nil:
			return a, err
		case slices.Contains(good, a.status) && (a.status != 409 || tries > 0):
			return a, nil
		case a.status < 500 && a.status != http.StatusTooManyRequests || tries == most:
			return a, fmt.Errorf("%s = %d: %s", a.asked, a.status, a.body)
		}
		c.mu.Lock()
		c.again++
		c.mu.Unlock()
		time.Sleep(patience(a))
	}
}

// patience is how long a client waits before it repeats: as it was told, which
// is whole seconds, but so that a test ends.
func patience(a answer) time.Duration {
	const most = 2 * time.Second
	if told, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && told > 0 {
		return min(time.Duration(told)*time.Second, most)
	}
	return 10 * time.Millisecond
}
