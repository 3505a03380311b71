// Package conformance is the catalogue of what RFC 7643 and RFC 7644 require of
// a SCIM service provider, and a check for every row of it that a client can
// make over HTTP: Run gives the result of each by the row's id.
//
// The checks speak RFC 7644 as it is written and ask nothing of compat: they are
// for a connection whose dialect is strict, and for an organization that is
// theirs alone. A check fails for its own rule and, as far as a server can break
// one without the other, for no other: what it needs besides, such as a user, it
// makes in the most forgiving way. That is proved by servers with one rule broken
// on purpose, in the tests.
//
// It is for tests and knows nothing of the packages that it tests. It is no
// substitute for their own tests, which know the dialects, limits and failures.
package conformance

import (
	"net/http"
	"slices"
)

// Subject is a service provider under test.
type Subject struct {
	Client *http.Client // nil: http.DefaultClient
	URL    string       // the base URL, without a slash at its end
	Token  string       // a bearer token
}

// Check is how one requirement is tested.
type Check struct {
	ID    string
	check func(*probe)
}

// Run runs the check and returns a sentence for each way in which the subject
// falls short; none: it fulfils the requirement.
func (c Check) Run(s Subject) []string {
	p := &probe{s: s, id: c.ID}
	p.run(c.check)
	return p.problems
}

// Run runs every check, one after another, and returns what Check.Run does by
// the ids of the requirements; a requirement that is fulfilled has an empty
// list.
func Run(s Subject) map[string][]string {
	results := make(map[string][]string, len(Checks))
	for _, c := range Checks {
		results[c.ID] = c.Run(s)
	}
	return results
}

// Checks are all checks, by feature.
var Checks = slices.Concat(discovery, messages, authentication, representations, identifiers, metas, types, mutabilities, returns,
	extensions, values, users, groups, creations, replacements, patches, deletions, lists, projections, filters, sorts, tags, bulks)
