package schema

import "iter"

// Rule names a way in which a message was bent to fit. Rules are for logs and
// metrics: they hold nothing of the message.
type Rule uint8

const (
	UnknownAttribute Rule = iota // an attribute that no schema has was passed over
	UnknownSchema                // a URN that names no schema was passed over
	OldSchema                    // a URN of SCIM 1.x was read as its successor
	MissingSchema                // `schemas` did not name the resource's own
	StringBoolean                // "True" was read as true
	StringNumber                 // "7" was read as 7
	NumberForString              // 7 was read as "7"
	BareValue                    // "x" was read as {"value": "x"}
	SingleForMany                // {…} was read as [{…}]
	ManyForSingle                // [x] was read as x
	EmptyString                  // "" was read as unassigned
	EmptyElement                 // an element without content was passed over
	DuplicateValue               // a second element of the same type and value was passed over
	PathName                     // a name such as "name.givenName" was read as a path
	UnqualifiedName              // an extension's attribute was named without the extension's URN
	MissingSlash                 // the path of a bulk operation did not begin with a slash
	CursorPaging                 // startIndex, or a count above the maximum, stood beside a cursor
	ReadOnlyPassed               // a change to what the server owns was passed over
	PasswordDropped              // a password was taken and forgotten
	OperationCase                // "Replace" was read as "replace"
	LiteralCase                  // TRUE in a filter was read as true
	NoOperations                 // an empty list of operations was taken for no change
	Upserted                     // a replace found nothing to replace and created it
	RemoveListed                 // a remove took away the values that it listed, and no others
	UnknownSort                  // a sortBy that names nothing to sort by was passed over
	ruleCount
)

var ruleNames = [ruleCount]string{
	"unknownAttribute", "unknownSchema", "oldSchema", "missingSchema", "stringBoolean", "stringNumber",
	"numberForString", "bareValue", "singleForMany", "manyForSingle", "emptyString", "emptyElement",
	"duplicateValue", "pathName",
	"unqualifiedName", "missingSlash", "cursorPaging",
	"readOnlyPassed", "passwordDropped", "operationCase", "literalCase", "noOperations",
	"upserted", "removeListed", "unknownSort",
}

func (r Rule) String() string {
	if r < ruleCount {
		return ruleNames[r]
	}
	return "unknown"
}

// Report counts what was bent, by rule. The zero Report is empty. It holds no
// values and no names of unknown attributes.
type Report struct{ n [ruleCount]uint32 }

// Add counts a rule once.
func (r *Report) Add(rule Rule) { r.n[rule]++ }

// Count returns how often a rule applied.
func (r Report) Count(rule Rule) int { return int(r.n[rule]) }

// Rules yields every rule that applied, by name, with how often.
func (r Report) Rules() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for i, n := range r.n {
			if n > 0 && !yield(ruleNames[i], int(n)) {
				return
			}
		}
	}
}

// IsZero reports whether nothing was bent.
func (r Report) IsZero() bool { return r == Report{} }

// Merge adds the counts of o.
func (r *Report) Merge(o Report) {
	for i := range r.n {
		r.n[i] += o.n[i]
	}
}

// Cover raises each count to that of o: what is read once for every resource
// type of a query was bent once.
func (r *Report) Cover(o Report) {
	for i := range r.n {
		r.n[i] = max(r.n[i], o.n[i])
	}
}
