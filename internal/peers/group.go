package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/peers/load"
)

// additions measures adding one member to groups of the sizes above the one and
// up to the other.
func (b *bench) additions(ctx context.Context, above, upTo int) {
	for _, size := range b.members {
		if size <= above || size > upTo {
			continue
		}
		// Groups are many enough that none grows by more than half, or by all
		// additions there are.
		perGroup := min(max(size/2, 5), b.adds)
		groups := max(1, b.adds/perGroup)
		why := b.fill(ctx, size+perGroup)
		var made []string
		for g := 0; g < groups && why == ""; g++ {
			var id string
			id, why = b.group(ctx, fmt.Sprintf("Group %d of %d", g, size), b.ids[:size])
			made = append(made, id)
		}
		var spare []string
		if why == "" {
			spare = b.ids[size:]
		}
		b.runCount(ctx, b.Server, caseAdd, size, 16, groups*perGroup, why, func(i int) load.Request {
			return addMembers(made[i%groups], spare[i/groups])
		})
	}
}

// group makes one with the members, and says why it did not.
func (b *bench) group(ctx context.Context, name string, members []string) (id, why string) {
	c := b.Client()
	defer c.Close()
	first := min(len(members), b.who.chunk)
	request := createGroup(name, members[:first])
	for {
		if why := b.late(); why != "" {
			return "", why
		}
		body, err := c.Do(request, time.Now().Add(b.patient))
		if err != nil {
			return "", "making the group: " + b.reason(ctx, err)
		}
		if id == "" {
			id = idOf(body)
		}
		if first >= len(members) {
			return id, ""
		}
		more := min(len(members)-first, b.who.chunk)
		request = addMembers(id, members[first:first+more]...)
		first += more
	}
}

// lose lets many clients add to one group, and looks which of the additions that
// were acknowledged are there.
func (b *bench) lose(ctx context.Context) {
	l := lost{Contender: b.who.name, Clients: raceClients}
	var id string
	why := b.fill(ctx, b.race+1)
	if why == "" {
		id, why = b.group(ctx, "Everybody's", b.ids[:1])
	}
	if why != "" {
		l.Note = why
		b.out.Lost = append(b.out.Lost, l)
		return
	}
	var next atomic.Int64
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	end := time.Now().Add(max(10*b.each, 5*time.Second))
	var wg sync.WaitGroup
	for range raceClients {
		wg.Go(func() {
			c := b.Client()
			defer c.Close()
			for time.Now().Before(end) && ctx.Err() == nil {
				i := int(next.Add(1))
				if i > b.race {
					return
				}
				member := b.ids[i]
				_, err := c.Do(addMembers(id, member), time.Now().Add(b.patient))
				mu.Lock()
				if err == nil {
					acknowledged[member] = true
				} else {
					l.Refused++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	l.Acknowledged = len(acknowledged)
	c := b.Client()
	defer c.Close()
	body, err := c.Do(getGroup(id), time.Now().Add(b.patient))
	var group struct {
		Members []struct {
			Value string `json:"value"`
		} `json:"members"`
	}
	if err == nil {
		err = json.Unmarshal(body, &group)
	}
	if err != nil {
		l.Note = "reading the group: " + b.reason(ctx, err)
	}
	for _, m := range group.Members {
		delete(acknowledged, m.Value)
	}
	if err == nil {
		l.Lost = len(acknowledged)
	}
	b.out.Lost = append(b.out.Lost, l)
	fmt.Fprintf(b.log, "%d clients added to one group: %d acknowledged, %d refused, %d lost %s\n", raceClients, l.Acknowledged, l.Refused, l.Lost, l.Note)
}
