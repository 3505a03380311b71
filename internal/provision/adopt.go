package provision

import (
	"context"
	"fmt"

	"gatehouse/internal/audit"
	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/secret"
	"gatehouse/internal/table"
)

// adopt links a user made by hand to the directory that now brings the same
// userName: the directory gets a record of its own, with an id of its own, and
// governs through it whether the person has access; name and sign-in address of
// the user stay as the admin made them. One record of one directory does so; any
// other is refused as a name that is taken. Again says that others came between and
// the whole decision is to be taken anew.
func (d Directory) adopt(ctx context.Context, doc Doc, claim roster.Claim) (u roster.User, again bool, err error) {
	found, err := d.Roster.Users(ctx, claim.IDs[0])
	if err != nil {
		return roster.User{}, false, err
	}
	if len(found) == 0 {
		return roster.User{}, true, nil // deleted meanwhile; the claim goes with it
	}
	person := found[0]
	if len(person.Links) > 0 {
		// Somebody governs this person's access already. A second record would
		// switch it against the first, and could let a suspended user in.
		return roster.User{}, false, d.refuseName(ctx, doc.Attributes.Get("userName").Text(), claim, person.Links[0].Connection())
	}
	link := roster.User{
		ID: identity.MintUser(d.conn.ID), Seal: secret.Mint(),
		Target: person.ID, Activated: person.Activated, Welcomed: person.Welcomed,
	}
	link.SetDoc(doc.Attributes, doc.Extensions)
	writes, data, err := d.joining(&link, audit.UserAdopted)
	if err != nil {
		return roster.User{}, false, err
	}
	writes = append(writes, table.Replace(claim.Item, roster.EncodeClaim(append(claim.IDs, link.ID)...)))

	person.Links = append(person.Links, link.ID)
	if active := link.Active(); active != person.Active() {
		more, err := d.setActive(&person, active)
		if err != nil {
			return roster.User{}, false, err
		}
		writes = append(append(writes, more...), countAdmin(d.Roster, &person, active)...)
	} else {
		writes = append(writes, table.Replace(person.Item, person.Encode(false)))
	}

	v, err := d.s.table.Commit(ctx, writes...)
	x := doc.Attributes.Get("externalId").Text()
	switch {
	case err == nil:
		u, err = link.Stored(d.Roster, v, data)
		return u, false, err
	case endsAdmins(d.Roster, err):
		return roster.User{}, false, lastAdmin()
	case x != "" && table.Conflicts(err, d.Roster.ExternalClaimKey(d.conn.ID, x)):
		return roster.User{}, false, taken("externalId")
	case table.Conflicts(err):
		return roster.User{}, true, nil
	}
	return roster.User{}, false, fmt.Errorf("link user: %w", err)
}
