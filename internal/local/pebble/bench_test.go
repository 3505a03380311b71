package pebble_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/local/pebble"
	"gatehouse/internal/table"
)

// userData has the size of a stored user, and no more repetition than one.
func userData(n int) []byte {
	b := []byte(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"`)
	for len(b) < n {
		b = append(b, identity.Random(20)...)
		b = append(b, `","value":"`...)
	}
	return b[:n]
}

// creation is the commit of one user: the user, two claims, the e-mail index,
// two counters and the event.
func creation(id string) []table.Write {
	const org = "O#benchbenchben"
	n := id[5:6]
	return []table.Write{
		table.Create(table.Key{Part: org + "#U#11111#" + n, Sort: id}, userData(739)),
		table.Create(table.Key{Part: org + "#UN#" + id, Sort: "#"}, []byte(id)),
		table.Create(table.Key{Part: org + "#X#11111#" + id, Sort: "#"}, []byte(id)),
		table.Put(table.Key{Part: org + "#E#" + id, Sort: id}, nil),
		table.Add(table.Key{Part: org + "#CU#11111#" + n, Sort: id[5:7]}, 1, 0, 1<<40),
		table.Add(table.Key{Part: org + "#CU#11111#" + n, Sort: id[5:9]}, 1, 0, 1<<40),
		table.Create(table.Key{Part: org + "#EV#" + id, Sort: "0000001"}, userData(900)),
	}
}

func userID() string { return string(identity.MintUser("11111")) }

// events is a subscription to the one event of each creation.
func events() []table.Subscription {
	return []table.Subscription{{Name: "feed", Wants: func(k table.Key) bool { return len(k.Part) > 18 && k.Part[15:19] == "#EV#" }}}
}

func openBench(b *testing.B, o pebble.Options) *pebble.Table {
	b.Helper()
	o.Logger = quiet
	p, err := pebble.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return p
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss returns the resident memory of the process in MiB.
func rss() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	kb, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, _ := strconv.ParseFloat(string(kb), 64)
	return n / 1024
}

// measure runs f b.N times from so many goroutines and reports the rate, the
// median time and the CPU time of one.
func measure(b *testing.B, goroutines int, f func(i int)) {
	times := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	next := make(chan int, 1024)
	b.ResetTimer()
	began := cpu()
	for range goroutines {
		wg.Go(func() {
			for i := range next {
				t := time.Now()
				f(i)
				times[i] = time.Since(t)
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	wg.Wait()
	b.StopTimer()
	used := cpu() - began
	slices.Sort(times)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
}

func BenchmarkCreate(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			p := openBench(b, pebble.Options{Subscriptions: events()})
			commits := make([][]table.Write, b.N)
			for i := range commits {
				commits[i] = creation(userID())
			}
			measure(b, n, func(i int) {
				if _, err := p.Commit(context.Background(), commits[i]...); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkRead reads from a store of 100,000 users, more than the cache holds.
func BenchmarkRead(b *testing.B) {
	p := openBench(b, pebble.Options{Subscriptions: events()})
	ids := make([]string, 100_000)
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < len(ids); i += 64 {
				ids[i] = userID()
				if _, err := p.Commit(context.Background(), creation(ids[i])...); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.Logf("100,000 users: %.0f MiB resident, %d MiB on disk, %+v", rss(), p.Metrics().DiskBytes>>20, p.Metrics())
	pick := func() string { return ids[rand.IntN(len(ids))] }
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("get/goroutines=%d", n), func(b *testing.B) {
			measure(b, n, func(int) {
				id := pick()
				if got, err := p.Get(context.Background(), table.Key{Part: "O#benchbenchben#U#11111#" + id[5:6], Sort: id}); err != nil || len(got) != 1 {
					b.Errorf("Get = %d items, %v", len(got), err)
				}
			})
		})
		b.Run(fmt.Sprintf("query user/goroutines=%d", n), func(b *testing.B) {
			measure(b, n, func(int) {
				id, found := pick(), 0
				for _, err := range p.Query(context.Background(), "O#benchbenchben#U#11111#"+id[5:6], table.Range{Prefix: id}) {
					if err != nil {
						b.Error(err)
					}
					found++
				}
				if found != 1 {
					b.Errorf("Query found %d items, want 1", found)
				}
			})
		})
	}
	b.Run("page of 100", func(b *testing.B) {
		measure(b, 1, func(int) {
			id, found := pick(), 0
			for range p.Query(context.Background(), "O#benchbenchben#U#11111#"+id[5:6], table.Range{After: id, Limit: 100}) {
				found++
			}
		})
	})
	b.Run("absent", func(b *testing.B) {
		measure(b, 1, func(int) {
			if got, err := p.Get(context.Background(), table.Key{Part: "O#benchbenchben#UN#" + userID(), Sort: "#"}); err != nil || len(got) != 0 {
				b.Errorf("Get = %d items, %v", len(got), err)
			}
		})
	})
	b.Logf("after reading: %.0f MiB resident", rss())
}
