package scimhttp

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/value"
)

// A filter is answered from an index where a condition that every match fulfils
// has one, else by looking at everything, of which there must not be too much.
// Either way each candidate is rendered whole and matched, so an index may give
// too many and a total is exact.

func (c *call) tooMany(what, indexed string) error {
	return fault.New(fault.Invalid, fault.TooMany, "The filter would have to look at more than %d %s. Filter with eq on %s, alone or joined with and.", c.h.maxScan, what, indexed)
}

func (c *call) matchUsers(l *listing) error {
	ctx := c.r.Context()
	conn := c.dir.Connection().ID
	groups := l.projection.Wants("groups") || l.filter.Uses("groups")
	ids, indexed, err := c.userCandidates(ctx, l.filter)
	if err != nil {
		return err
	}
	if indexed {
		for _, id := range ids {
			u, err := c.dir.User(ctx, string(id), groups)
			if fault.Is(err, fault.NotFound) {
				continue // deleted since the index was read
			}
			if err != nil {
				return err
			}
			if err := c.matchUser(l, &u, groups, nil); err != nil {
				return err
			}
		}
		return nil
	}
	n, err := c.dir.Roster.Total(ctx, conn)
	if err != nil {
		return err
	}
	if n > c.h.maxScan {
		return c.tooMany("users", "id, userName, externalId or emails.value")
	}
	room := make([]byte, 0, 4<<10)
	for u, err := range c.dir.Roster.AllUsers(ctx, conn) {
		if err != nil {
			return err
		}
		if err := c.matchUser(l, &u, groups, room); err != nil {
			return err
		}
	}
	return nil
}

// matchUser counts a user who matches and puts it on the page if it belongs
// there; room is for rendering those who do not.
func (c *call) matchUser(l *listing, u *roster.User, groups bool, room []byte) error {
	rendered := c.h.appendUser(room[:0], u, groups)
	v, err := value.Parse(rendered)
	if err != nil {
		return err
	}
	if !l.filter.Match(v) || !l.found() {
		return nil
	}
	if l.projection.IsDefault() {
		l.add(bytes.Clone(rendered))
	} else if l.projection.Asks("groups") {
		b, err := c.renderUser(u, l.projection)
		if err != nil {
			return err
		}
		l.add(b)
	} else {
		l.add(l.projection.Apply(v).Append(nil))
	}
	return nil
}

// userCandidates looks for an index that answers the filter.
func (c *call) userCandidates(ctx context.Context, b *filter.Bound) (ids []identity.User, indexed bool, err error) {
	conn := c.dir.Connection().ID
	for _, eq := range b.Equalities() {
		switch eq.Path {
		case "id":
			return []identity.User{identity.User(eq.Value)}, true, nil
		case "userName", "externalId":
			var claim roster.Claim
			if eq.Path == "userName" {
				claim, err = c.dir.Roster.ByUserName(ctx, eq.Value)
			} else {
				claim, err = c.dir.Roster.ByExternalID(ctx, conn, eq.Value)
			}
			if id, ok := claim.In(conn); ok {
				ids = append(ids, id)
			}
			return ids, true, err
		case "emails.value":
			ids, err = c.dir.Roster.ByEmail(ctx, conn, eq.Value)
			return ids, true, err
		}
	}
	return nil, false, nil
}

func (c *call) matchGroups(l *listing) error {
	ctx := c.r.Context()
	groups, err := c.groupsFor(ctx, l.filter)
	if err != nil {
		return err
	}
	look, byID := l.filter.Uses("members"), namesMembers(l.filter)
	looked := 0
	for i := range groups {
		g := &groups[i]
		var members []roster.Member
		switch {
		case !look:
		case byID:
			members, err = c.named(ctx, g, l.filter)
		default:
			if looked += g.Count; looked > c.h.maxMembers {
				return fault.New(fault.Invalid, fault.TooMany, "The filter would have to look at more than %d members. Filter with eq on members.value.", c.h.maxMembers)
			}
			members, err = c.membersOf(ctx, g)
		}
		if err != nil {
			return err
		}
		v, err := value.Parse(c.h.appendGroup(nil, g, members))
		if err != nil {
			return err
		}
		if !l.filter.Match(v) || !l.found() {
			continue
		}
		b, err := c.renderGroup(g, l.projection)
		if err != nil {
			return err
		}
		l.add(b)
	}
	return nil
}

// groupsFor reads the groups that may match the filter.
func (c *call) groupsFor(ctx context.Context, b *filter.Bound) ([]roster.Group, error) {
	conn := c.dir.Connection().ID
	ids, indexed, err := c.groupCandidates(ctx, b)
	if err != nil {
		return nil, err
	}
	if indexed {
		ids = slices.DeleteFunc(ids, func(id identity.Group) bool {
			g, ok := identity.ParseGroup(string(id))
			return !ok || g.Connection() != conn
		})
		return c.dir.Roster.GroupsOf(ctx, ids...)
	}
	n, err := c.dir.Roster.GroupTotal(ctx, conn)
	if err != nil {
		return nil, err
	}
	if n > c.h.maxScan {
		return nil, c.tooMany("groups", "id, displayName, externalId or members.value")
	}
	page, err := c.dir.Roster.GroupPage(ctx, conn, 1, c.h.maxScan)
	return page.Resources, err
}

// groupCandidates looks for an index that answers the filter. Members come
// last: a name leads to fewer groups than a member does.
func (c *call) groupCandidates(ctx context.Context, b *filter.Bound) (ids []identity.Group, indexed bool, err error) {
	conn := c.dir.Connection().ID
	member, hasMember := "", false
	for _, eq := range b.Equalities() {
		switch eq.Path {
		case "id":
			return []identity.Group{identity.Group(eq.Value)}, true, nil
		case "displayName":
			ids, err = c.dir.Roster.GroupsByName(ctx, conn, eq.Value)
			return ids, true, err
		case "externalId":
			ids, err = c.dir.Roster.GroupsByExternalID(ctx, conn, eq.Value)
			return ids, true, err
		case "members.value":
			member, hasMember = eq.Value, true
		}
	}
	if id, ok := identity.ParseUser(member); ok && id.Connection() == conn { // or a group: both have one form
		ids, err = c.dir.Roster.GroupsWithMember(ctx, member)
	}
	return ids, hasMember, err
}

// namesMembers reports whether all that the filter says of members is who they
// are: then those whom it names can be looked up, however many there are.
func namesMembers(b *filter.Bound) bool {
	return b.Exact() && !slices.ContainsFunc(b.Equalities(), func(eq filter.Equality) bool {
		return strings.HasPrefix(eq.Path, "members.") && eq.Path != "members.value"
	})
}

// named returns those whom the filter names as members and who are. The group
// may still list who is deleted and waits to be swept.
func (c *call) named(ctx context.Context, g *roster.Group, b *filter.Bound) ([]roster.Member, error) {
	var ask []string
	for _, eq := range b.Equalities() {
		if _, ok := identity.ParseUser(eq.Value); ok && eq.Path == "members.value" && !slices.Contains(ask, eq.Value) {
			ask = append(ask, eq.Value)
		}
	}
	if len(ask) == 0 {
		return nil, nil
	}
	are, err := c.dir.Roster.AreMembers(ctx, g.ID, ask...)
	if err != nil || len(are) == 0 {
		return nil, err
	}
	listed := make([]roster.Member, 0, len(are))
	for _, id := range ask {
		if m, ok := are[id]; ok {
			listed = append(listed, m)
		}
	}
	there, err := c.dir.Roster.Existing(ctx, listed...)
	return slices.DeleteFunc(listed, func(m roster.Member) bool { return !there[m] }), err
}
