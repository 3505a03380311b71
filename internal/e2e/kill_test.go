package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/short"
)

const (
	kills       = 200
	killWriters = 8
)

// TestKilled ends the program with SIGKILL again and again while users are
// created, and then asks: is every acknowledged user there, and has everybody
// who is there exactly one mail, and nobody else any?
func TestKilled(t *testing.T) {
	short.Skip(t, "kills the program again and again")
	if _, err := binary(); err != nil { // not within the first start's time
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	acknowledged := map[string]string{} // userName to id
	var slowest, starting time.Duration
	for round := range kills {
		begin := time.Now()
		s, err := launch(t.Context(), options{dir: dir})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		slowest, starting = max(slowest, time.Since(begin)), starting+time.Since(begin)
		createUntilKilled(t, s, round, acknowledged)
		if n := most(recipients(t, filepath.Join(dir, mailFolder))); n > 1 {
			t.Fatalf("round %d: somebody has %d mails", round, n)
		}
	}
	t.Logf("%d kills, %d users acknowledged; start %v on average, %v at worst", kills, len(acknowledged), (starting / time.Duration(kills)).Round(time.Millisecond), slowest.Round(time.Millisecond))
	if len(acknowledged) < kills {
		t.Fatalf("%d users were acknowledged in %d rounds: too few to tell anything", len(acknowledged), kills)
	}

	s := start(t, options{dir: dir})
	present := everybody(t, s.client(""))
	lost := 0
	for name, id := range acknowledged {
		if present[name] != id {
			lost++
			t.Errorf("%s was acknowledged as %s and is %q", name, id, present[name])
		}
	}
	if lost > 0 {
		t.Fatalf("%d of %d acknowledged users are lost", lost, len(acknowledged))
	}
	// A message that was leased when its process died is sent when the lease
	// has run out.
	folder := filepath.Join(dir, mailFolder)
	eventually(t, leaseTime, func() error {
		count := recipients(t, folder)
		for name := range present {
			if count[name] == 0 {
				return fmt.Errorf("%s has no mail; %d of %d have", name, len(count), len(present))
			}
		}
		return nil
	})
	for name, n := range recipients(t, folder) {
		if n != 1 {
			t.Errorf("%s has %d mails, want one", name, n)
		}
		if _, ok := present[name]; !ok && name != s.AdminEmail {
			t.Errorf("%s has a mail and does not exist", name)
		}
	}
}

// createUntilKilled creates users from several clients until the server dies
// under them, after a moment that differs from round to round.
func createUntilKilled(t *testing.T, s *server, round int, acknowledged map[string]string) {
	t.Helper()
	c := s.client("")
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("r%d-w%d-n%d@corp.test", round, w, i)
				a, err := c.try("POST", "/Users", person(name, "Kim", "Lost"))
				if err != nil {
					return // the server is gone; whether the user exists is open
				}
				if a.status != 201 {
					t.Errorf("creating %s = %d: %s", name, a.status, a.body)
					return
				}
				mu.Lock()
				acknowledged[name] = a.text("id")
				mu.Unlock()
			}
		})
	}
	time.Sleep(time.Duration(10+rand.IntN(140)) * time.Millisecond) // not a wait for anything: the moment is what varies
	s.kill()
	wg.Wait()
	transport.CloseIdleConnections()
}

// everybody lists all users of the connection: userName to id.
func everybody(t *testing.T, c *client) map[string]string {
	t.Helper()
	all := map[string]string{}
	for first := 1; ; {
		a := c.get(t, fmt.Sprintf("/Users?startIndex=%d&count=200&attributes=userName", first))
		list, _ := a.at("Resources").([]any)
		for _, r := range list {
			name, _ := lookup(r, "userName")
			id, _ := lookup(r, "id")
			if all[plain(name)] != "" {
				t.Errorf("%s is listed twice", plain(name))
			}
			all[plain(name)] = plain(id)
		}
		first += len(list)
		if total := a.text("totalResults"); len(list) == 0 || itoa(first-1) == total {
			if itoa(len(all)) != total {
				t.Errorf("%d users listed, totalResults %s", len(all), total)
			}
			return all
		}
	}
}

func most(count map[string]int) int {
	n := 0
	for _, c := range count {
		n = max(n, c)
	}
	return n
}

// TestEveryoneCounted makes sure that a folder with two mails to one address is
// seen as one.
func TestEveryoneCounted(t *testing.T) {
	folder := writeMails(t, "a@corp.test", "b@corp.test", "a@corp.test")
	if count := recipients(t, folder); most(count) != 2 || len(count) != 2 {
		t.Errorf("recipients = %v, want two addresses, one of them twice", count)
	}
	list, err := letters(folder, "A@corp.test")
	if err != nil || len(list) != 2 || !slices.ContainsFunc(list, func(l letter) bool { return l.subject == "Your account" }) {
		t.Errorf("letters = %v, %v, want two with their subject", list, err)
	}
}
