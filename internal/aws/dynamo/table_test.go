package dynamo_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/aws/dynamo"
	fake "gatehouse/internal/fakes/dynamodb"
	"gatehouse/internal/short"
	"gatehouse/internal/table"
	"gatehouse/internal/table/tabletest"
)

// conformance returns the factory of the suite: one table, whose stream is
// read by one reader.
func conformance(t testing.TB) tabletest.Factory {
	server := fake.Shared(t)
	name := made(t, server)
	stream := newReader(t, server, name)
	return func(_ tabletest.TB, subs ...table.Subscription) tabletest.Subject {
		stream.mu.Lock()
		since := len(stream.all) // each subtest has keys of its own
		stream.mu.Unlock()
		open := func() table.Table {
			return dynamo.New(client(server.Endpoint), name, dynamo.Options{Subscriptions: subs})
		}
		s := tabletest.Subject{
			Table:   open(),
			Changes: func() ([]table.Change, error) { return stream.changes(&since, subs) },
		}
		s.Reopen = func() (tabletest.Subject, error) { again := s; again.Table = open(); return again, nil }
		return s
	}
}

func TestTable(t *testing.T) {
	begin := time.Now()
	tabletest.Test(t, conformance(t))
	t.Logf("the suite takes %v on DynamoDB Local", time.Since(begin).Round(time.Millisecond))
}

// positions are the sentences about feeds that are pulled, which a stream that
// pushes does not have: their faults cannot be planted in it.
var positions = map[string]bool{
	"positions grow by one with each entry and name it, and Entries begins after one": true,
	"an entry names its commit":                             true,
	"entries stay until every subscription has passed them": true,
	"Pass never goes back":                                  true,
	"Appended closes with the next entry":                   true,
}

// inFeedAlone are faults of what a Feed keeps over reopening.
var inFeedAlone = map[string]bool{
	"the feed is lost on closing":          true,
	"positions are lost on closing":        true,
	"the feed begins anew after reopening": true,
}

// TestFaults plants the suite's faults in the table and its stream.
func TestFaults(t *testing.T) {
	short.Skip(t, "takes a minute of DynamoDB Local")
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	planted, begin := 0, time.Now()
	var wait sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, fault := range tabletest.Faults {
		if positions[fault.Breaks] || inFeedAlone[fault.Name] {
			continue
		}
		planted++
		whole := conformance(t) // a table of its own: some faults are in what the whole stream says
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			// The stream stands in as a feed for the fault to be planted in,
			// and is then read as what is pushed.
			base := func(tb tabletest.TB, subs ...table.Subscription) tabletest.Subject {
				s := whole(tb, subs...)
				s.Feed = &pushed{changes: s.Changes}
				return s
			}
			unfed := func(tb tabletest.TB, subs ...table.Subscription) tabletest.Subject {
				s := tabletest.Faulty(base, fault)(tb, subs...)
				feed := s.Feed
				s.Changes = func() ([]table.Change, error) { return pulled(feed) }
				s.Feed = nil
				return s
			}
			if failed, said := tabletest.Try(fault.Breaks, unfed); !failed {
				t.Errorf("the fault %q is not caught by %q: %v", fault.Name, fault.Breaks, said)
			}
		})
	}
	wait.Wait()
	t.Logf("%d of %d faults planted in %v; the others are in what an embedded feed keeps", planted, len(tabletest.Faults), time.Since(begin).Round(time.Millisecond))
}

// pushed is a stream that can be asked for its entries since the last call.
type pushed struct {
	table.Feed
	changes func() ([]table.Change, error)
	passed  uint64
}

func (p *pushed) Entries(context.Context, uint64, int) ([]table.Entry, error) {
	changes, err := p.changes()
	if err != nil {
		return nil, err
	}
	var out []table.Entry
	deleted := 0
	for _, c := range changes {
		p.passed++
		e := table.Entry{Position: p.passed, Commit: c.New.Version, Change: c}
		if !c.New.Exists() { // a stream does not tell the commit: any of its own does here
			deleted++
			e.Commit = table.Version(fmt.Sprintf("deletion-%011d", deleted))
		}
		out = append(out, e)
	}
	return out, nil
}

func pulled(f table.Feed) ([]table.Change, error) {
	entries, err := f.Entries(context.Background(), 0, 1<<20)
	var out []table.Change
	for _, e := range entries {
		out = append(out, e.Change)
	}
	return out, err
}
