package portal

import (
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/org"
)

// lifetime is a choice of how long a token or a secret is to be good.
type lifetime struct {
	Value string // in the form
	Text  string // the text's name; it names the end, where there is one
	Life  time.Duration
}

const year = 365 * 24 * time.Hour

// What the forms offer; who wants another lifetime has the command line. A secret
// without an end is refused by package org, and by the galleries of identity
// providers.
var (
	ninetyDays = lifetime{"90-days", "life.ninety-days", 90 * 24 * time.Hour}
	oneYear    = lifetime{"1-year", "life.one-year", year}
	twoYears   = lifetime{"2-years", "life.two-years", 2 * year}
	threeYears = lifetime{"3-years", "life.three-years", 3 * year}
	untilEnded = lifetime{"until-ended", "life.until-ended", 0}

	tokenLives  = lifetimes{All: []lifetime{ninetyDays, oneYear, twoYears, untilEnded}}
	secretLives = lifetimes{All: []lifetime{ninetyDays, oneYear, twoYears, threeYears}, Usual: org.SecretLife}
)

// lifetimes are the choices of one form.
type lifetimes struct {
	All   []lifetime
	Usual time.Duration // the one that is chosen unless another is
}

// errLifetime refuses what no form of ours sends.
var errLifetime = fault.New(fault.Invalid, "", "The lifetime is none of those that the form offers.")

// lifetime is the choice of the form that was sent; of one that names none, the
// usual one.
func (x *exchange) lifetime(of lifetimes) (time.Duration, error) {
	if !x.r.PostForm.Has("lifetime") {
		return of.Usual, nil
	}
	for _, l := range of.All {
		if l.Value == x.r.PostForm.Get("lifetime") {
			return l.Life, nil
		}
	}
	return 0, errLifetime
}

// lifetimesView is the choices as a page shows them.
type lifetimesView struct {
	ID      string // of the input: a page may have several
	Choices []lifetimeChoice
}

type lifetimeChoice struct {
	lifetime
	Ends   time.Time // zero: not until it is revoked
	Chosen bool
}

func (of lifetimes) view(now time.Time, id string) lifetimesView {
	v := lifetimesView{ID: id}
	for _, l := range of.All {
		c := lifetimeChoice{lifetime: l, Chosen: l.Life == of.Usual}
		if l.Life > 0 {
			c.Ends = now.Add(l.Life)
		}
		v.Choices = append(v.Choices, c)
	}
	return v
}
