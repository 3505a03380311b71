// Package schema is the one definition of the resources of SCIM (RFC 7643), users
// and groups above all:
// it renders /Schemas and /ResourceTypes, finds attributes by their paths,
// brings what clients send into the form that is stored, and projects what is
// stored onto what a client asked for.
//
// It is not a store and knows no HTTP: ids, meta, groups and members are put
// into a resource by whoever renders it.
package schema

import (
	"strings"

	"gatehouse/internal/identity"
)

// Type is an attribute's data type (RFC 7643 §2.3).
type Type string

const (
	String    Type = "string"
	Boolean   Type = "boolean"
	Decimal   Type = "decimal"
	Integer   Type = "integer"
	DateTime  Type = "dateTime"
	Binary    Type = "binary"
	Reference Type = "reference"
	Complex   Type = "complex"
)

// Mutability says when a value may be written (RFC 7643 §7).
type Mutability string

const (
	ReadWrite Mutability = "readWrite"
	ReadOnly  Mutability = "readOnly"
	Immutable Mutability = "immutable"
	WriteOnly Mutability = "writeOnly"
)

// Returned says when a value is part of an answer (RFC 7643 §7).
type Returned string

const (
	Always  Returned = "always"
	Default Returned = "default"
	Request Returned = "request"
	Never   Returned = "never"
)

// Uniqueness says among what a value is unique (RFC 7643 §7).
type Uniqueness string

const (
	None   Uniqueness = "none"
	Server Uniqueness = "server"
	Global Uniqueness = "global"
)

// Attribute is the definition of an attribute or sub-attribute (RFC 7643 §7).
// Empty Mutability, Returned and Uniqueness mean readWrite, default and none.
type Attribute struct {
	Name            string
	Type            Type
	MultiValued     bool
	Description     string
	Required        bool
	CaseExact       bool
	Mutability      Mutability
	Returned        Returned
	Uniqueness      Uniqueness
	CanonicalValues []string // suggestions: other values are taken too
	ReferenceTypes  []string
	Sub             []Attribute

	Line  bool // one line: control characters are refused
	Max   int  // most values of a multi-valued attribute; 0: MaxElements
	Apart bool // kept apart from the document, as a group's members are
}

// Schema is a set of attributes under a URN.
type Schema struct {
	ID          string
	Name        string
	Description string
	Attributes  []Attribute
	Aliases     []string // URNs of other editions that Compat takes for this one
	Extra       bool     // neither RFC 7643 nor RFC 7644 knows it
}

// Extension is a schema that a resource type takes beside its own.
type Extension struct {
	Schema   *Schema
	Required bool
}

// ResourceType is a kind of resource with its endpoint (RFC 7643 §6). It is
// not changed once it is in use.
type ResourceType struct {
	Name        string
	Endpoint    string // "/Users"
	Description string
	Schema      *Schema
	Extensions  []Extension
	ReadOnly    bool // no client creates, changes or deletes any
}

var (
	all     = []*ResourceType{User, Group, Role, Entitlement}
	schemas = []*Schema{userSchema, enterpriseSchema, productSchema, groupSchema, Role.Schema, Entitlement.Schema}
)

// All returns the resource types in the order of /ResourceTypes; not to be
// modified.
func All() []*ResourceType { return all }

// Schemas returns the schemas in the order of /Schemas, not to be modified.
// Schemas of messages are none of them (RFC 7644 §3.1).
func Schemas() []*Schema { return schemas }

// Find returns the sub-attribute with the name, without regard to case; nil if
// there is none.
func (a *Attribute) Find(name string) *Attribute {
	if i := find(a.Sub, name); i >= 0 {
		return &a.Sub[i]
	}
	return nil
}

// Same reports whether two texts are one value of the attribute: byte by byte
// where it is caseExact, else as names are the same (identity.Fold).
func (a *Attribute) Same(x, y string) bool {
	switch {
	case x == y:
		return true
	case a.exact():
		return false
	case ascii(x) && ascii(y):
		// What identity.Fold does to ASCII, without making copies.
		return strings.EqualFold(strings.TrimSpace(x), strings.TrimSpace(y))
	}
	return identity.Fold(x) == identity.Fold(y)
}

// exact reports whether texts are the same byte by byte only.
func (a *Attribute) exact() bool { return a.CaseExact || a.Type == Binary }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func (a *Attribute) mutability() Mutability {
	if a.Mutability == "" {
		return ReadWrite
	}
	return a.Mutability
}

func (a *Attribute) returned() Returned {
	if a.Returned == "" {
		return Default
	}
	return a.Returned
}

// Most is how many values the attribute takes.
func (a *Attribute) Most() int {
	if a.Max > 0 {
		return a.Max
	}
	return MaxElements
}

// find is linear: the lists are short, and a name as the schema spells it is
// found by comparing lengths and bytes, faster than by hashing it.
func find(list []Attribute, name string) int {
	for i := range list {
		if list[i].Name == name {
			return i
		}
	}
	for i := range list {
		if sameName(list[i].Name, name) {
			return i
		}
	}
	return -1
}

func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// is reports whether the URN names the schema; aliases count in Compat only.
func (s *Schema) is(urn string, m Mode) (found, alias bool) {
	if sameName(s.ID, urn) {
		return true, false
	}
	if m == Compat {
		for _, a := range s.Aliases {
			if sameName(a, urn) {
				return true, true
			}
		}
	}
	return false, false
}
