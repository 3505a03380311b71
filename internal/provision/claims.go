package provision

import (
	"context"
	"slices"

	"gatehouse/internal/identity"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// moveClaims builds the writes that turn the user's claims and e-mail index of
// one document into those of another; an absent document has none. What is read
// for it is guarded by its version.
func (d Directory) moveClaims(ctx context.Context, u roster.User, before, after value.Value) ([]table.Write, error) {
	id := u.ID
	var writes []table.Write
	var release []table.Key
	claim := func(was, is string, key func(string) table.Key) {
		if was == is || was != "" && is != "" && key(was) == key(is) {
			return
		}
		if was != "" {
			release = append(release, key(was))
		}
		if is != "" {
			writes = append(writes, table.Create(key(is), roster.EncodeClaim(id)))
		}
	}
	claim(before.Get("userName").Text(), after.Get("userName").Text(), d.Roster.NameClaimKey)
	claim(before.Get("externalId").Text(), after.Get("externalId").Text(), func(x string) table.Key {
		return d.Roster.ExternalClaimKey(id.Connection(), x)
	})
	if err := d.joinClaim(ctx, u, writes); err != nil {
		return nil, err
	}
	was, is := d.emailKeys(id, before), d.emailKeys(id, after)
	var drop []table.Key
	for _, k := range was {
		if !slices.Contains(is, k) {
			drop = append(drop, k)
		}
	}
	for _, k := range is {
		if !slices.Contains(was, k) {
			writes = append(writes, table.Create(k, nil))
		}
	}
	if len(release) > 0 {
		claims, err := d.Roster.Claims(ctx, release...)
		if err != nil {
			return nil, err
		}
		for _, c := range claims {
			writes = append(writes, letGo(c, id)...)
		}
	}
	if len(drop) > 0 {
		items, err := d.s.table.Get(ctx, drop...)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			writes = append(writes, table.Delete(it))
		}
	}
	return writes, nil
}

// joinClaim lets a link take the name of the user whom it means: where the write
// that creates the name's claim would meet that user's, it is replaced by one
// that joins it, as adoption does.
func (d Directory) joinClaim(ctx context.Context, u roster.User, writes []table.Write) error {
	if u.Target == "" {
		return nil
	}
	for i, w := range writes {
		found, err := d.Roster.Claims(ctx, w.Key)
		if err != nil {
			return err
		}
		if len(found) == 1 && admits(found[0], u) {
			writes[i] = table.Replace(found[0].Item, roster.EncodeClaim(append(found[0].IDs, u.ID)...))
		}
	}
	return nil
}

func (d Directory) emailKeys(id identity.User, doc value.Value) []table.Key {
	var keys []table.Key
	for _, a := range roster.Emails(doc) {
		keys = append(keys, d.Roster.EmailKey(a, id))
	}
	return keys
}

// admits reports whether the link may go by the name of a claim: it is that of
// the user whom it means, and its connection has no other record there.
func admits(c roster.Claim, u roster.User) bool {
	_, known := c.In(u.ID.Connection())
	return u.Target != "" && len(c.IDs) > 0 && c.IDs[0] == u.Target && !known
}

// letGo takes the id out of a claim; the claim goes with its last id.
func letGo(c roster.Claim, id identity.User) []table.Write {
	rest := slices.DeleteFunc(slices.Clone(c.IDs), func(u identity.User) bool { return u == id })
	switch {
	case len(rest) == len(c.IDs):
		return nil
	case len(rest) == 0:
		return []table.Write{table.Delete(c.Item)}
	}
	return []table.Write{table.Replace(c.Item, roster.EncodeClaim(rest...))}
}
