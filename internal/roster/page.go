package roster

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// Page is part of a connection's listing, in the order of ids.
type Page[T any] struct {
	Resources []T
	Total     int // of the whole listing, counted, not estimated
}

// UserPage returns up to count users of the connection from the start-th on
// (1: the first). Its cost does not depend on start: the first counters lead to
// a two-digit bucket, the second to a four-digit one, and at most the users of
// that bucket are passed over.
func (r Roster) UserPage(ctx context.Context, c identity.Connection, start, count int, withGroups bool) (Page[User], error) {
	p, err := r.place(ctx, "CU", c, start, count)
	if err != nil {
		return Page[User]{}, err
	}
	users, err := r.users(ctx, c, p, count, withGroups)
	return Page[User]{Resources: users, Total: p.total}, err
}

// users reads up to count users from the place on.
func (r Roster) users(ctx context.Context, c identity.Connection, p place, count int, withGroups bool) ([]User, error) {
	var users []User
	for u, err := range r.usersFrom(ctx, c, p, count) {
		if err != nil {
			return nil, err
		}
		if !withGroups {
			u.Groups, u.mark = nil, 0
		}
		users = append(users, u)
	}
	return users, nil
}

// GroupPage is UserPage for groups, with their headers.
func (r Roster) GroupPage(ctx context.Context, c identity.Connection, start, count int) (Page[Group], error) {
	p, err := r.place(ctx, "CG", c, start, count)
	if err != nil {
		return Page[Group]{}, err
	}
	ids, err := r.groupIDs(ctx, c, p, count)
	if err != nil {
		return Page[Group]{}, err
	}
	groups, err := r.GroupsOf(ctx, ids...)
	return Page[Group]{Resources: groups, Total: p.total}, err
}

// groupIDs reads the ids of up to count groups from the place on.
func (r Roster) groupIDs(ctx context.Context, c identity.Connection, p place, count int) ([]identity.Group, error) {
	var ids []identity.Group
	for it, err := range r.itemsFrom(ctx, r.groupPart, c, p, count) {
		if err != nil {
			return nil, fmt.Errorf("list groups: %w", err)
		}
		if _, ok := membership(it.Sort); ok {
			continue // of the group before it, in another
		}
		if p.skip > 0 {
			p.skip--
			continue
		}
		if ids = append(ids, identity.Group(it.Sort)); len(ids) == count {
			break
		}
	}
	return ids, nil
}

// AllUsers yields every user of the connection with memberships, in the order
// of ids.
func (r Roster) AllUsers(ctx context.Context, c identity.Connection) iter.Seq2[User, error] {
	return r.usersFrom(ctx, c, place{}, 0)
}

// Total returns how many users the connection has.
func (r Roster) Total(ctx context.Context, c identity.Connection) (int, error) {
	p, err := r.place(ctx, "CU", c, 1, 0)
	return p.total, err
}

// GroupTotal returns how many groups the connection has.
func (r Roster) GroupTotal(ctx context.Context, c identity.Connection) (int, error) {
	p, err := r.place(ctx, "CG", c, 1, 0)
	return p.total, err
}

// place is where a listing begins: at a bucket, after skip entries of it.
type place struct {
	total  int
	bucket string // up to four hexadecimal digits; empty: the beginning
	skip   int
	after  string // in place of bucket: behind this sort key
	none   bool   // nothing is to be read
}

func (r Roster) place(ctx context.Context, kind string, c identity.Connection, start, count int) (place, error) {
	first, err := r.firstCounters(ctx, kind, c)
	if err != nil {
		return place{}, fmt.Errorf("count: %w", err)
	}
	p := place{skip: start - 1}
	for _, n := range first {
		p.total += n
	}
	if count <= 0 || start > p.total {
		p.none = true
		return p, nil
	}
	if p.skip == 0 {
		return p, nil
	}
	for b, n := range first {
		if p.skip < n {
			p.bucket = hexDigits[b>>4:b>>4+1] + hexDigits[b&15:b&15+1]
			break
		}
		p.skip -= n
	}
	if p.skip == 0 {
		return p, nil
	}
	two := p.bucket
	for it, err := range r.table.Query(ctx, r.secondPart(kind, c, two), table.Range{Prefix: two}) {
		if err != nil {
			return place{}, fmt.Errorf("count: %w", err)
		}
		if p.bucket = it.Sort; p.skip < int(it.N) {
			break
		}
		p.skip -= int(it.N)
	}
	return p, nil
}

// firstCounters reads the shards side by side: on AWS a call each, and the
// slowest is what the page waits for.
func (r Roster) firstCounters(ctx context.Context, kind string, c identity.Connection) ([256]int, error) {
	var first [256]int
	var errs [countShards]error
	var wait sync.WaitGroup
	for s := range countShards {
		wait.Go(func() {
			for it, err := range r.table.Query(ctx, r.firstPart(kind, c, s), table.Range{}) {
				if err != nil {
					errs[s] = err
					return
				}
				if b, ok := bucketOf(it.Sort); ok {
					first[b] = int(it.N) // each bucket stands in one shard
				}
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return first, err
		}
	}
	return first, nil
}

func bucketOf(two string) (int, bool) {
	if len(two) != 2 {
		return 0, false
	}
	hi, lo := hexValue(two[0]), hexValue(two[1])
	return hi<<4 | lo, hi >= 0 && lo >= 0
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// usersFrom joins users and the memberships that follow them. A count of zero
// means all.
func (r Roster) usersFrom(ctx context.Context, c identity.Connection, p place, count int) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		var u User
		given := 0
		emit := func() bool {
			if u.ID == "" {
				return true
			}
			if p.skip > 0 {
				p.skip--
				return true
			}
			given++
			return yield(u, nil) && (count == 0 || given < count)
		}
		for it, err := range r.itemsFrom(ctx, r.userPart, c, p, count) {
			if err != nil {
				yield(User{}, fmt.Errorf("list users: %w", err))
				return
			}
			if g, ok := membership(it.Sort); ok {
				if u.ID != "" && it.Sort[:len(u.ID)] == string(u.ID) {
					u.belong(g, it)
				}
				continue
			}
			if !emit() {
				return
			}
			if u, err = decodeUser(it); err != nil {
				yield(User{}, err)
				return
			}
		}
		emit()
	}
}

// itemsFrom yields the items of the connection's sixteen partitions from the
// place on. With a count it reads in pages of about as many items as are still
// needed, since what a page reads is paid whether it is used or not; it learns
// on the way how many items (memberships) follow a resource.
func (r Roster) itemsFrom(ctx context.Context, part func(identity.Connection, string) string, c identity.Connection, p place, count int) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		if p.none {
			return
		}
		n, after := 0, ""
		switch {
		case p.after != "":
			n, after = hexValue(p.after[len(c)]), p.after
		case p.bucket != "":
			n, after = hexValue(p.bucket[0]), string(c)+p.bucket
		}
		want, resources, items := count+p.skip, 0, 0
		for ; n < 16; n, after = n+1, "" {
			for {
				rg := table.Range{After: after}
				if count > 0 {
					rg.Limit = pageSize(want-resources, resources, items)
				}
				got := 0
				for it, err := range r.table.Query(ctx, part(c, hexDigits[n:n+1]), rg) {
					if err != nil {
						yield(table.Item{}, err)
						return
					}
					got++
					items++
					if after = it.Sort; len(it.Sort) == 26 {
						resources++
					}
					if !yield(it, nil) {
						return
					}
				}
				if rg.Limit == 0 || got < rg.Limit {
					break
				}
			}
		}
	}
}

// pageSize returns how many items to read for the resources still wanted, by
// the ratio seen so far; one more, so that the last resource is seen to end.
func pageSize(wanted, resources, items int) int {
	if wanted < 1 {
		wanted = 1
	}
	if resources == 0 {
		return wanted + 1
	}
	return (wanted*items+resources-1)/resources + 1
}
