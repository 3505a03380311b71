package schema

// URNs under which Okta looks for roles and entitlements that it can give.
const (
	RoleURN        = "urn:okta:scim:schemas:core:1.0:Role"
	EntitlementURN = "urn:okta:scim:schemas:core:1.0:Entitlement"
)

// Role and Entitlement are what Okta's entitlement management reads to learn
// what it may assign. They are nobody's to write: what there is follows from
// the organization's products.
var (
	Role = &ResourceType{
		Name:        "Role",
		Endpoint:    "/Roles",
		Description: "A role that a directory may give to users",
		ReadOnly:    true,
		Schema:      assignable(RoleURN, "Role", "role"),
	}
	Entitlement = &ResourceType{
		Name:        "Entitlement",
		Endpoint:    "/Entitlements",
		Description: "An entitlement that a directory may give to users",
		ReadOnly:    true,
		Schema:      assignable(EntitlementURN, "Entitlement", "entitlement"),
	}
)

// assignable is the form that Okta gives to both.
func assignable(urn, name, word string) *Schema {
	return &Schema{
		ID:          urn,
		Name:        name,
		Extra:       true,
		Description: "What a directory may read of each " + word + " before it gives it to users",
		Attributes: []Attribute{
			{Name: "displayName", Type: String, Required: true, Mutability: ReadOnly, Description: "The name that people are shown."},
			{Name: "type", Type: String, Mutability: ReadOnly, Description: "Which kind of " + word + " it is."},
			{Name: "description", Type: String, Mutability: ReadOnly, Description: "What it gives; at most 1000 characters."},
		},
	}
}
