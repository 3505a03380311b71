// Package lifecycle decides what a change of facts about a user means: a
// joiner, a mover or a leaver, and what has to happen for it.
//
// It is pure: facts in, a decision out. Carrying it out is for packages
// provision and courier.
package lifecycle

import "gatehouse/internal/audit"

// Facts are what decisions rest on, at one moment.
type Facts struct {
	Exists    bool
	Active    bool   // the directory says so
	Address   string // where to write to, folded; empty: nowhere
	Activated bool   // the person created a password
	Welcomed  bool   // a welcome email was decided on before
	Linked    bool   // a link to a user who was invited by hand
}

// Policy is what the connection wants.
type Policy struct{ SuppressWelcome bool }

// Move is the kind of change that a person in the directory made.
type Move uint8

const (
	Nothing Move = iota
	Joiner       // has access that was not there before
	Mover        // stays, with other attributes
	Leaver       // has no access any more
)

func (m Move) String() string { return [...]string{"nothing", "joiner", "mover", "leaver"}[m] }

// Decision is what a change means.
type Decision struct {
	Move    Move
	Event   audit.Kind
	Effects []audit.Effect
}

// Welcomes reports whether the decision calls for a welcome email.
func (d Decision) Welcomes() bool {
	for _, e := range d.Effects {
		if e == audit.Welcome {
			return true
		}
	}
	return false
}

// Decide compares the facts before and after a change of attributes; changed
// says that some attribute differs at all.
func Decide(before, after Facts, changed bool, p Policy) Decision {
	var d Decision
	switch {
	case !before.Exists && !after.Exists:
		return Decision{}
	case !before.Exists:
		d = Decision{Move: Joiner, Event: audit.UserJoined}
		if after.Linked {
			d.Event = audit.UserAdopted
		}
	case !after.Exists:
		return Decision{Move: Leaver, Event: audit.UserLeft, Effects: []audit.Effect{audit.Sweep}}
	case before.Active && !after.Active:
		d = Decision{Move: Leaver, Event: audit.UserSuspended}
	case !before.Active && after.Active:
		d = Decision{Move: Joiner, Event: audit.UserResumed}
	case changed:
		d = Decision{Move: Mover, Event: audit.UserChanged}
	default:
		return Decision{}
	}
	// Only what stood in the way and no longer does brings the mail: that a
	// connection stopped suppressing must not mail everybody at their next change.
	became := !before.Exists || !before.Active || before.Address == ""
	// Who is resumed may have been suspended before the mail went, which cancelled
	// it. Asking again brings no second one.
	welcomed := after.Welcomed && d.Event != audit.UserResumed
	if became && after.Active && after.Address != "" && !welcomed && !after.Activated && !after.Linked && !p.SuppressWelcome {
		d.Effects = append(d.Effects, audit.Welcome)
	}
	// The link that went to the old address would open the account to whoever
	// reads mail there; and the new one knows of nothing yet.
	if before.Welcomed && before.Address != after.Address && !after.Activated && !after.Linked {
		d.Effects = append(d.Effects, audit.Readdress)
	}
	return d
}
