// Package filter is the filter language of SCIM (RFC 7644 §3.4.2.2) and the
// paths of PATCH that hold filters (§3.5.2): parsed, bound to a schema, matched
// against resources.
//
// It does not read stores: Equalities names the lookups that an index can
// answer, Match decides about each candidate.
package filter

import (
	"strings"

	"gatehouse/internal/scim/value"
)

// Limits of a filter.
const (
	MaxLength  = 8 << 10 // bytes of a whole filter
	MaxLiteral = 1 << 10 // bytes of a string literal's content
	MaxDepth   = 16      // groups and brackets inside each other
	MaxTerms   = 256     // comparisons in one filter
)

// Op is an operator of a comparison.
type Op uint8

const (
	Eq Op = iota + 1 // equal
	Ne               // not equal
	Co               // contains
	Sw               // starts with
	Ew               // ends with
	Gt               // greater than
	Ge               // greater than or equal
	Lt               // less than
	Le               // less than or equal
	Pr               // present; has no literal
)

var ops = [...]string{Eq: "eq", Ne: "ne", Co: "co", Sw: "sw", Ew: "ew", Gt: "gt", Ge: "ge", Lt: "lt", Le: "le", Pr: "pr"}

func (o Op) String() string {
	if int(o) < len(ops) {
		return ops[o]
	}
	return ""
}

func readOp(s string) (Op, bool) {
	for o := Eq; o <= Pr; o++ {
		if strings.EqualFold(ops[o], s) {
			return o, true
		}
	}
	return 0, false
}

// Expr is a parsed filter: And, Or, Not, Compare or Element. String renders it
// so that Parse gives an equal Expr again.
type Expr interface {
	String() string
	write(*strings.Builder)
}

// And holds when all its terms do. It has two or more, none of them an And.
type And struct{ Terms []Expr }

// Or holds when any of its terms does. It has two or more, none of them an Or.
type Or struct{ Terms []Expr }

// Not holds when its term does not.
type Not struct{ Term Expr }

// Compare holds when a value at the path compares with the literal.
type Compare struct {
	Path string // as written: "userName", "name.givenName", "urn:…:User:userName"
	Op   Op
	With value.Value // Absent for Pr

	Cased bool // true, false or null was not written in lower case
}

// Element holds when one value of the attribute fulfils the filter and, where
// Sub is given, the comparison of that sub-attribute besides: `emails[type eq
// "work"]`, and `emails[type eq "work"].value eq "x"`, which the RFC's grammar
// does not have but Entra sends.
type Element struct {
	Path   string // as written
	Filter Expr   // paths are sub-attributes
	Sub    string // empty: no comparison follows
	Op     Op
	With   value.Value
	Cased  bool
}

func (e And) String() string     { return render(e) }
func (e Or) String() string      { return render(e) }
func (e Not) String() string     { return render(e) }
func (e Compare) String() string { return render(e) }
func (e Element) String() string { return render(e) }

func render(e Expr) string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e And) write(b *strings.Builder) {
	for i, t := range e.Terms {
		if i > 0 {
			b.WriteString(" and ")
		}
		if _, group := t.(Or); group {
			b.WriteByte('(')
			t.write(b)
			b.WriteByte(')')
			continue
		}
		t.write(b)
	}
}

func (e Or) write(b *strings.Builder) {
	for i, t := range e.Terms {
		if i > 0 {
			b.WriteString(" or ")
		}
		t.write(b)
	}
}

func (e Not) write(b *strings.Builder) {
	b.WriteString("not (")
	e.Term.write(b)
	b.WriteByte(')')
}

func (e Compare) write(b *strings.Builder) {
	b.WriteString(e.Path)
	writeComparison(b, e.Op, e.With)
}

func (e Element) write(b *strings.Builder) {
	b.WriteString(e.Path)
	b.WriteByte('[')
	e.Filter.write(b)
	b.WriteByte(']')
	if e.Sub != "" {
		b.WriteByte('.')
		b.WriteString(e.Sub)
		writeComparison(b, e.Op, e.With)
	}
}

func writeComparison(b *strings.Builder, op Op, with value.Value) {
	b.WriteByte(' ')
	b.WriteString(op.String())
	if op != Pr {
		b.WriteByte(' ')
		b.Write(with.Append(nil))
	}
}
