package courier

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// ReaddressesPerDay is how many generations of one message may be queued within
// 24 hours because the user's address changed; the next one waits.
const ReaddressesPerDay = 20

// causeReaddress is the Cause of such generations.
const causeReaddress = "readdress"

// Readdress follows a change of the user's address, which the event cause
// describes: the old mailbox may hold a link that creates the user's password.
// It queues the next generation of the welcome message, which goes to the
// address that the user has when it is sent; its commit voids the old link.
//
// Nothing happens where no message was asked for, where the user has a password
// or is gone, and where the newest message was made from the user as of this
// event or a later one, or has not been tried: repeated events, and events that
// others overtook, change nothing. It is not bound by ResendsPerDay; beyond
// ReaddressesPerDay the link is voided all the same, and the mail waits until 24
// hours are over.
func (s *Service) Readdress(ctx context.Context, o *org.Org, user identity.User, cause identity.Event) error {
	n := name{org: o.ID, user: user, kind: Welcome, generation: 1}
	if !Wanted(n.key()) {
		return fmt.Errorf("readdress a message: no such form of user id")
	}
	for range maxRaces {
		writes, err := s.readdress(ctx, o, n, cause)
		if err != nil || len(writes) == 0 {
			return err
		}
		_, err = s.table.Commit(ctx, writes...)
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("readdress a message: %w", err)
		}
		return nil
	}
	return raced()
}

// readdress returns the writes of a Readdress; none if there is nothing to do.
func (s *Service) readdress(ctx context.Context, o *org.Org, n name, cause identity.Event) ([]table.Write, error) {
	first, newest, ok, err := s.newest(ctx, n)
	if err != nil || !ok || newest.Event >= cause {
		return nil, err
	}
	// Whoever is about to claim the message may have read the old address: this
	// makes the claim conflict and look again.
	if newest.Status == Queued && !newest.Tried {
		newest.Event = cause
		return []table.Write{table.Replace(newest.item, newest.encode())}, nil
	}
	if newest.Status == Cancelled && !newest.Tried {
		return nil, nil // it went to nobody; if it is queued again, it reads the user then
	}
	now := s.now()
	void, err := s.void(ctx, newest.name)
	if err != nil {
		return nil, err
	}
	// Read after the link: a password created in between makes the commit
	// conflict there.
	u, err := s.user(ctx, o, n.user)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a message's user: %w", err)
	}
	if !u.Activated.IsZero() {
		return nil, nil
	}
	if newest.generation >= maxGeneration {
		newest.Event = cause
		return append(void, supersede(first, newest, 0, now)...), nil
	}
	_, moved, err := s.recent(ctx, newest.name, now)
	if err != nil {
		return nil, err
	}
	next := following(newest.name, causeReaddress, now)
	next.Event = cause
	var wait []table.Write
	if len(moved) >= ReaddressesPerDay {
		next.Reason = ReasonOften
		next.Wake = moved[ReaddressesPerDay-1].Queued.Add(24 * time.Hour)
		wait = append(wait, due.At(next.Wake, next.ref()))
	}
	writes := append(s.create(next), supersede(first, newest, next.generation, now)...)
	return append(append(writes, void...), wait...), nil
}
