package roster

import (
	"context"

	"gatehouse/internal/identity"
)

// UsersAfter returns up to count of the connection's users whose ids follow the
// given one, in the order of ids, and whether there are more; the empty id comes
// before all. The user of the id need not exist (any more), so who goes on behind
// the last one seen meets everybody else once, whoever comes and goes meanwhile,
// and the cost does not depend on how far on that is. A count of zero gives none,
// and no more.
func (r Roster) UsersAfter(ctx context.Context, c identity.Connection, id identity.User, count int, withGroups bool) (users []User, more bool, err error) {
	if count <= 0 {
		return nil, false, nil
	}
	users, err = r.users(ctx, c, behind(string(id)), count+1, withGroups)
	if more = len(users) > count; more {
		users = users[:count]
	}
	return users, more, err
}

// GroupsAfter is UsersAfter for groups, with their headers. It gives none only
// where none follow.
func (r Roster) GroupsAfter(ctx context.Context, c identity.Connection, id identity.Group, count int) (groups []Group, more bool, err error) {
	for count > 0 && len(groups) == 0 {
		ids, err := r.groupIDs(ctx, c, behind(string(id)), count+1)
		if err != nil || len(ids) == 0 {
			return nil, false, err
		}
		if more = len(ids) > count; more {
			ids = ids[:count]
		}
		// Those that are deleted between the two reads are left out; where that is
		// all of them, the next ones are looked at.
		if groups, err = r.GroupsOf(ctx, ids...); err != nil || !more {
			return groups, false, err
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
