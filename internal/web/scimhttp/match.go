package scimhttp

import (
	"bytes"
	"context"
	"slices"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/filter"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// A filter is answered from an index where a condition that every match fulfils
// has one, else by looking at everything, of which there must not be too much.
// Either way each candidate is rendered whole and matched, so an index may give
// too many and a total is exact.

func (c *call) tooMany(l *listing, what, indexed string) error {
	does := "filter"
	if l.order != nil {
		does = "query sorts, and"
	}
	return fault.New(fault.Invalid, fault.TooMany, "The %s would have to look at more than %d %s. Filter with eq on %s, alone or joined with and.", does, c.h.maxScan, what, indexed)
}

// matches fills the page with what the filter chooses of one type.
func (c *call) matches(l *listing, t *listed) error {
	switch t.ResourceType {
	case schema.User:
		if name, only := namesUser(t.filter); only {
			return c.userNamed(l, t, name)
		}
		return c.eachUser(l, t, t.projection.Wants("groups"), func(u *roster.User, v value.Value, rendered []byte) error {
			if !l.found(t.part, string(u.ID)) {
				return nil
			}
			var err error
			switch {
			case t.projection.IsDefault():
				rendered = bytes.Clone(rendered)
			case t.projection.Asks("groups"):
				rendered, err = c.renderUser(u, t.projection)
			default:
				rendered = t.projection.Apply(v).Append(nil)
			}
			if err == nil {
				l.add(rendered, t.part, string(u.ID))
			}
			return err
		})
	case schema.Group:
		return c.eachGroup(l, t, func(g *roster.Group, _ value.Value) error {
			if !l.found(t.part, string(g.ID)) {
				return nil
			}
			b, err := c.renderGroup(g, t.projection)
			if err == nil {
				l.add(b, t.part, string(g.ID))
			}
			return err
		})
	}
	return nil // there are none
}

// look parses a rendered candidate of the query; Absent where the filter does not
// choose it. It is where a query ends whose client went away, or that has taken
// as much work as one request may.
func look(ctx context.Context, l *listing, t *listed, rendered []byte) (value.Value, error) {
	if err := ctx.Err(); err != nil {
		return value.Value{}, err
	}
	v, err := value.Parse(rendered)
	if err != nil || t.filter == nil {
		return v, err
	}
	l.work.Spend(len(rendered))
	matches := t.filter.Match(v, &l.work)
	if err := l.work.Err(); err != nil || !matches {
		return value.Value{}, err
	}
	return v, nil
}

// eachUser does something with each user whom the filter chooses, in the order
// of ids: the user, rendered whole, parsed and as bytes that are good until the
// next. groups is whether memberships are wanted beside what the query looks at.
func (c *call) eachUser(l *listing, t *listed, groups bool, do func(*roster.User, value.Value, []byte) error) error {
	ctx := c.r.Context()
	conn := c.dir.Connection().ID
	groups = groups || t.uses("groups")
	var room []byte
	each := func(u *roster.User) error {
		if !groups {
			u.Groups = nil
		}
		room = c.h.appendUser(slices.Grow(room[:0], len(u.Raw)+640), u, groups)
		v, err := look(ctx, l, t, room)
		if err != nil || v.Kind() == value.Absent {
			return err
		}
		return do(u, v, room)
	}
	var ids []identity.User
	indexed := false
	if t.filter != nil {
		var err error
		if ids, indexed, err = c.userCandidates(ctx, t.filter); err != nil {
			return err
		}
	}
	if indexed {
		slices.Sort(ids)
		for _, id := range ids {
			u, err := c.dir.User(ctx, string(id), groups)
			if fault.Is(err, fault.NotFound) {
				continue // deleted since the index was read
			}
			if err != nil {
				return err
			}
			if err := each(&u); err != nil {
				return err
			}
		}
		return nil
	}
	n, err := c.dir.Roster.Total(ctx, conn)
	if err != nil {
		return err
	}
	if l.scan -= n; l.scan < 0 {
		return c.tooMany(l, "users", "id, userName, externalId or emails.value")
	}
	var one roster.User // for all of them: what each is given outlives no turn
	for u, err := range c.dir.Roster.AllUsers(ctx, conn) {
		if err != nil {
			return err
		}
		one = u
		if err := each(&one); err != nil {
			return err
		}
	}
	return nil
}

// namesUser returns the name if the filter is `userName eq` and nothing else,
// with which every directory begins whatever it does to a user.
func namesUser(b *filter.Bound) (name string, only bool) {
	eq := b.Equalities()
	if len(eq) != 1 || eq[0].Path != "userName" || !b.Exact() {
		return "", false
	}
	return eq[0].Value, true
}

// userNamed fills the page for that filter, without a tree of the user. The name
// is compared because it may have changed since the index was read.
func (c *call) userNamed(l *listing, t *listed, name string) error {
	ids, _, err := c.userCandidates(c.r.Context(), t.filter)
	if err != nil || len(ids) == 0 {
		return err
	}
	u, err := c.dir.User(c.r.Context(), string(ids[0]), t.projection.Wants("groups"))
	if fault.Is(err, fault.NotFound) {
		return nil // deleted since the index was read
	}
	if err != nil {
		return err
	}
	has, _ := value.PeekText(u.Raw, "userName")
	if identity.Fold(has) != identity.Fold(name) || !l.found(t.part, string(u.ID)) {
		return nil
	}
	b, err := c.renderUser(&u, t.projection)
	if err != nil {
		return err
	}
	l.add(b, t.part, string(u.ID))
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

// eachGroup is eachUser for groups. They come with members only where the query
// looks at members.
func (c *call) eachGroup(l *listing, t *listed, do func(*roster.Group, value.Value) error) error {
	ctx := c.r.Context()
	groups, err := c.groupsFor(ctx, l, t)
	if err != nil {
		return err
	}
	inside := t.uses("members")
	var names []string // of the members that the query looks at, where it says whom it means
	byID := t.filter != nil && (t.by.Attr == nil || t.by.Attr.Name != "members")
	if byID {
		names, byID = t.filter.Named("members")
	}
	looked := 0
	for i := range groups {
		g := &groups[i]
		var members []roster.Member
		if inside {
			ask := g.Count
			if byID {
				ask = min(ask, len(names))
			}
			if looked += ask; looked > c.h.maxMembers {
				return fault.New(fault.Invalid, fault.TooMany, "The query would have to look at more than %d members. Say whom you mean: members.value eq \"…\", or members[value eq \"…\" and …].", c.h.maxMembers)
			}
			// As many as one read takes are looked up in a group of any size.
			if byID && len(names) <= max(g.Count, table.MaxGet) {
				members, err = c.named(ctx, g, names)
			} else {
				members, err = c.membersOf(ctx, g)
			}
			if err != nil {
				return err
			}
		}
		v, err := look(ctx, l, t, c.h.appendGroup(nil, g, members))
		if err != nil {
			return err
		}
		if v.Kind() == value.Absent {
			continue
		}
		if err := do(g, v); err != nil {
			return err
		}
	}
	return nil
}

// groupsFor reads the groups that may match, in the order of ids.
func (c *call) groupsFor(ctx context.Context, l *listing, t *listed) ([]roster.Group, error) {
	conn := c.dir.Connection().ID
	if t.filter != nil {
		ids, indexed, err := c.groupCandidates(ctx, t.filter)
		if err != nil {
			return nil, err
		}
		if indexed {
			ids = slices.DeleteFunc(ids, func(id identity.Group) bool {
				g, ok := identity.ParseGroup(string(id))
				return !ok || g.Connection() != conn
			})
			slices.Sort(ids)
			return c.dir.Roster.GroupsOf(ctx, ids...)
		}
	}
	n, err := c.dir.Roster.GroupTotal(ctx, conn)
	if err != nil {
		return nil, err
	}
	if l.scan -= n; l.scan < 0 {
		return nil, c.tooMany(l, "groups", "id, displayName, externalId or members.value")
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

// named returns those of the names who are members. The group may still list who
// is deleted and waits to be swept.
func (c *call) named(ctx context.Context, g *roster.Group, names []string) ([]roster.Member, error) {
	var ask []string
	for _, id := range names {
		if _, ok := identity.ParseUser(id); ok && !slices.Contains(ask, id) {
			ask = append(ask, id)
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
