package roster

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// Ancestry finds the groups that users are in through other groups. It is for
// one answer: it remembers what it read, so that a list asks for each group
// once. Groups may contain each other in circles; each is looked at once.
type Ancestry struct {
	roster Roster
	above  map[identity.Group][]table.Item // memberships of the group in others
}

// maxAncestry is how many groups one answer looks at.
const maxAncestry = 10_000

// Ancestry returns an empty one.
func (r Roster) Ancestry() *Ancestry {
	return &Ancestry{roster: r, above: map[identity.Group][]table.Item{}}
}

// Of fills in the user's indirect groups, ascending, and lets the user's tag
// tell of them: once, for a user who was read with memberships. One query for
// each group that was not looked at yet.
func (a *Ancestry) Of(ctx context.Context, u *User) error {
	if u.traced || len(u.Groups) == 0 {
		return nil
	}
	u.traced = true
	seen := map[identity.Group]bool{}
	for _, g := range u.Groups {
		seen[g] = true
	}
	for level := u.Groups; len(level) > 0; {
		if err := a.read(ctx, level); err != nil {
			return err
		}
		var next []identity.Group
		for _, g := range level {
			for _, it := range a.above[g] {
				up, ok := membership(it.Sort)
				if !ok {
					continue
				}
				h := fnv.New64a()
				h.Write([]byte(it.Sort))
				h.Write([]byte(it.Version))
				u.mark += h.Sum64()
				if !seen[up] {
					seen[up] = true
					next = append(next, up)
				}
			}
		}
		u.Indirect = append(u.Indirect, next...)
		level = next
	}
	slices.Sort(u.Indirect)
	return nil
}

// read looks the groups up that are not known, some at a time: on AWS each is a
// call.
func (a *Ancestry) read(ctx context.Context, groups []identity.Group) error {
	var unknown []identity.Group
	for _, g := range groups {
		if _, ok := a.above[g]; !ok {
			unknown = append(unknown, g)
		}
	}
	if len(a.above)+len(unknown) > maxAncestry {
		return fault.New(fault.Invalid, fault.TooMany, "More than %d groups would have to be looked at for indirect memberships. Ask for fewer users at once, or without groups.", maxAncestry)
	}
	var mu sync.Mutex
	var failed error
	var wait sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, g := range unknown {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			items, err := a.roster.groupMemberships(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			if a.above[g] = items; err != nil {
				failed = err
			}
		})
	}
	wait.Wait()
	return failed
}

// groupMemberships reads a group's memberships in others; none of one that is
// deleted and still being swept.
func (r Roster) groupMemberships(ctx context.Context, g identity.Group) ([]table.Item, error) {
	k := r.GroupKey(g)
	var out []table.Item
	exists := false
	for it, err := range r.table.Query(ctx, k.Part, table.Range{Prefix: k.Sort}) {
		if err != nil {
			return nil, fmt.Errorf("read memberships: %w", err)
		}
		if it.Sort == k.Sort {
			exists = true
		} else if !exists {
			break
		} else {
			out = append(out, it)
		}
	}
	return out, nil
}
