package provision

import (
	"gatehouse/internal/fault"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

// countAdmin keeps the organization's two counts: of active administrators, and
// of those among them who have a password and so can sign in. Neither falls to
// zero by a change of one: an invited deputy who never came is no replacement
// for the only administrator who can get in.
func countAdmin(r roster.Roster, person *roster.User, active bool) []table.Write {
	if !person.Admin {
		return nil
	}
	delta := int64(1)
	if !active {
		delta = -1
	}
	writes := []table.Write{table.Add(r.AdminsKey(), delta, 1, most)}
	if !person.Activated.IsZero() {
		writes = append(writes, table.Add(r.ReadyAdminsKey(), delta, 1, most))
	}
	return writes
}

// endsAdmins reports whether a commit failed because no administrator would be
// left.
func endsAdmins(r roster.Roster, err error) bool {
	return table.Conflicts(err, r.AdminsKey(), r.ReadyAdminsKey())
}

func lastAdmin() error {
	return fault.New(fault.Forbidden, "", "This is the last administrator of the organization who can sign in. Name another one first.")
}
