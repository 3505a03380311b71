package roster

import (
	"context"
	"fmt"
	"iter"

	"gatehouse/internal/identity"
)

// UsersAfter yields the connection's users whose ids follow the given one, at
// most count of them, with memberships, in the order of ids; the empty id comes
// before all. The user of the id need not exist (any more), so who goes on behind
// the last one seen meets everybody else once, whoever comes and goes meanwhile,
// and the cost does not depend on how far on that is.
func (r Roster) UsersAfter(ctx context.Context, c identity.Connection, id identity.User, count int) iter.Seq2[User, error] {
	if count <= 0 {
		return func(func(User, error) bool) {}
	}
	return r.usersFrom(ctx, c, behind(string(id)), count)
}

// GroupsAfter returns up to count of the connection's groups whose ids follow the
// given one, with their headers, in the order of ids, and whether there are more.
// It returns none only where none follow.
func (r Roster) GroupsAfter(ctx context.Context, c identity.Connection, id identity.Group, count int) (groups []Group, more bool, err error) {
	for count > 0 && len(groups) == 0 {
		var ids []identity.Group
		more = false
		for it, err := range r.itemsFrom(ctx, r.groupPart, c, behind(string(id)), count) {
			if err != nil {
				return nil, false, fmt.Errorf("list groups: %w", err)
			}
			if more = len(ids) == count; more {
				break
			}
			ids = append(ids, identity.Group(it.Sort))
		}
		if len(ids) == 0 {
			break
		}
		// Those that are deleted between the two reads are left out; where that is
		// all of them, the next ones are looked at.
		if groups, err = r.GroupsOf(ctx, ids...); err != nil || !more {
			return groups, more, err
		}
		id = ids[len(ids)-1]
	}
	return groups, more, nil
}

// behind is the place after a resource and whatever stands under it: sort keys
// that begin with an id go on with a sign below the tilde.
func behind(id string) place {
	if id == "" {
		return place{}
	}
	return place{after: id + "~"}
}
