package schema

// Group is the group of RFC 7643 §4.2.
var Group = &ResourceType{
	Name:        "Group",
	Endpoint:    "/Groups",
	Description: "A group of users",
	Schema:      groupSchema,
}

var groupSchema = &Schema{
	ID:          GroupURN,
	Name:        "Group",
	Description: "A group of users",
	Aliases:     []string{"urn:scim:schemas:core:1.0", "urn:scim:schemas:core:2.0", "urn:scim:schemas:core:2.0:Group", "urn:scim:schemas:core:1.0:Group"},
	Attributes: []Attribute{
		{Name: "displayName", Type: String, Required: true, Description: "The group's name."},
		{Name: "members", Type: Complex, MultiValued: true, Apart: true, Description: "The users and groups in the group.", Sub: []Attribute{
			// An id, so its case counts, as that of `id` does.
			{Name: "value", Type: String, CaseExact: true, Mutability: Immutable, Description: "The member's id."},
			{Name: "$ref", Type: Reference, CaseExact: true, ReferenceTypes: []string{"User", "Group"}, Mutability: Immutable, Description: "The member's address."},
			{Name: "type", Type: String, Mutability: Immutable, CanonicalValues: []string{"User", "Group"}, Description: "What kind of resource the member is."},
			{Name: "display", Type: String, Mutability: ReadOnly, Description: "The member's name."},
		}},
	},
}

// common are the attributes that every resource has (RFC 7643 §3.1). They are
// part of no schema, and /Schemas does not list them.
var common = []Attribute{
	{Name: "schemas", Type: Reference, MultiValued: true, Mutability: ReadOnly, Returned: Always, ReferenceTypes: []string{"uri"}},
	{Name: "id", Type: String, CaseExact: true, Mutability: ReadOnly, Returned: Always, Uniqueness: Server},
	{Name: "externalId", Type: String, CaseExact: true, Line: true},
	{Name: "meta", Type: Complex, Mutability: ReadOnly, Sub: []Attribute{
		{Name: "resourceType", Type: String, CaseExact: true, Mutability: ReadOnly},
		{Name: "created", Type: DateTime, Mutability: ReadOnly},
		{Name: "lastModified", Type: DateTime, Mutability: ReadOnly},
		{Name: "location", Type: Reference, CaseExact: true, Mutability: ReadOnly, ReferenceTypes: []string{"uri"}},
		{Name: "version", Type: String, CaseExact: true, Mutability: ReadOnly},
	}},
}

const externalID = 2 // its place in common
