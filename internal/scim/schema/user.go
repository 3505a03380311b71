package schema

// URNs of the schemas (RFC 7643 §10.3).
const (
	UserURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	GroupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	EnterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// User is the user of RFC 7643 §4.1, with the enterprise extension of §4.3 and
// the products. What is stored tells extensions by their places in the list.
var User = &ResourceType{
	Name:        "User",
	Endpoint:    "/Users",
	Description: "A person in the organization",
	Schema:      userSchema,
	Extensions:  []Extension{{Schema: enterpriseSchema}, {Schema: productSchema}},
}

var userSchema = &Schema{
	ID:          UserURN,
	Name:        "User",
	Description: "A person in the organization",
	// OneLogin and Google still send the URNs of SCIM 1.1, OneLogin also one
	// that never was.
	Aliases: []string{"urn:scim:schemas:core:1.0", "urn:scim:schemas:core:2.0", "urn:scim:schemas:core:2.0:User", "urn:scim:schemas:core:1.0:User"},
	Attributes: []Attribute{
		{Name: "userName", Type: String, Required: true, Uniqueness: Server, Line: true,
			Description: "The name by which the directory knows the user; unique in the organization."},
		{Name: "name", Type: Complex, Description: "The parts of the user's name.", Sub: []Attribute{
			{Name: "formatted", Type: String, Description: "The whole name as it is displayed."},
			{Name: "familyName", Type: String, Description: "The family name."},
			{Name: "givenName", Type: String, Description: "The given name."},
			{Name: "middleName", Type: String, Description: "The middle name or names."},
			{Name: "honorificPrefix", Type: String, Description: "What stands before the name, such as a title."},
			{Name: "honorificSuffix", Type: String, Description: "What stands after the name."},
		}},
		{Name: "displayName", Type: String, Description: "The name that people are shown."},
		{Name: "nickName", Type: String, Description: "How the user is addressed casually."},
		{Name: "profileUrl", Type: Reference, ReferenceTypes: external, Description: "A page about the user."},
		{Name: "title", Type: String, Description: "The user's title in the organization."},
		{Name: "userType", Type: String, Description: "How the user relates to the organization, such as employee or contractor."},
		{Name: "preferredLanguage", Type: String, Description: "The language to write to the user in, as in Accept-Language."},
		{Name: "locale", Type: String, Description: "The locale for dates, numbers and currency."},
		{Name: "timezone", Type: String, Description: "The time zone by its name in the IANA database."},
		{Name: "active", Type: Boolean, Description: "Whether the directory says that the user may work."},
		{Name: "password", Type: String, Mutability: WriteOnly, Returned: Never,
			Description: "Taken and forgotten: people choose their own password."},
		{Name: "emails", Type: Complex, MultiValued: true, Max: MaxEmails, Description: "Email addresses.", Sub: []Attribute{
			{Name: "value", Type: String, Line: true, Description: "The address."},
			display, kind("work", "home", "other"), primary,
		}},
		{Name: "phoneNumbers", Type: Complex, MultiValued: true, Description: "Phone numbers.", Sub: []Attribute{
			{Name: "value", Type: String, Description: "The number."},
			display, kind("work", "home", "mobile", "fax", "pager", "other"), primary,
		}},
		{Name: "ims", Type: Complex, MultiValued: true, Description: "Addresses for instant messages.", Sub: []Attribute{
			{Name: "value", Type: String, Description: "The address."},
			display, kind("aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"), primary,
		}},
		{Name: "photos", Type: Complex, MultiValued: true, Description: "Pictures of the user.", Sub: []Attribute{
			{Name: "value", Type: Reference, CaseExact: true, ReferenceTypes: external, Description: "Where the picture is."},
			display, kind("photo", "thumbnail"), primary,
		}},
		{Name: "addresses", Type: Complex, MultiValued: true, Description: "Postal addresses.", Sub: []Attribute{
			{Name: "formatted", Type: String, Description: "The whole address as it is written; may have several lines."},
			{Name: "streetAddress", Type: String, Description: "Street and number; may have several lines."},
			{Name: "locality", Type: String, Description: "The city or town."},
			{Name: "region", Type: String, Description: "The state or region."},
			{Name: "postalCode", Type: String, Description: "The postal code."},
			{Name: "country", Type: String, Description: "The country, by its two letters in ISO 3166-1."},
			kind("work", "home", "other"), primary,
		}},
		{Name: "groups", Type: Complex, MultiValued: true, Mutability: ReadOnly,
			Description: "The groups that the user is a member of; changed at the groups.", Sub: []Attribute{
				{Name: "value", Type: String, CaseExact: true, Mutability: ReadOnly, Description: "The group's id."},
				{Name: "$ref", Type: Reference, CaseExact: true, ReferenceTypes: []string{"Group"}, Mutability: ReadOnly, Description: "The group's address."},
				{Name: "display", Type: String, Mutability: ReadOnly, Description: "The group's name."},
				{Name: "type", Type: String, Mutability: ReadOnly, CanonicalValues: []string{"direct", "indirect"}, Description: "How the user is a member: listed by the group itself, or by a group that is a member of it."},
			}},
		{Name: "entitlements", Type: Complex, MultiValued: true, Description: "What the user is entitled to.", Sub: []Attribute{
			{Name: "value", Type: String, Description: "The entitlement."},
			display, kind(), primary,
		}},
		{Name: "roles", Type: Complex, MultiValued: true, Description: "What the user is in the organization.", Sub: []Attribute{
			{Name: "value", Type: String, Description: "The role."},
			display, kind(), primary,
		}},
		{Name: "x509Certificates", Type: Complex, MultiValued: true, Description: "Certificates issued to the user.", Sub: []Attribute{
			{Name: "value", Type: Binary, CaseExact: true, Description: "One DER-encoded X.509 certificate."},
			display, kind(), primary,
		}},
	},
}

var enterpriseSchema = &Schema{
	ID:          EnterpriseURN,
	Name:        "EnterpriseUser",
	Description: "A person's place in the organization",
	Aliases:     []string{"urn:scim:schemas:extension:enterprise:1.0", "urn:scim:schemas:extension:enterprise:2.0", "urn:scim:schemas:extension:enterprise:2.0:User", "urn:scim:schemas:extension:enterprise:1.0:User"},
	Attributes: []Attribute{
		{Name: "employeeNumber", Type: String, Description: "The number or code that the organization gave the person."},
		{Name: "costCenter", Type: String, Description: "The cost center."},
		{Name: "organization", Type: String, Description: "The organization's name."},
		{Name: "division", Type: String, Description: "The division's name."},
		{Name: "department", Type: String, Description: "The department's name."},
		// RFC 7643 §8.7.1 has value and $ref REQUIRED where §4.3 recommends them;
		// directories send one or the other.
		{Name: "manager", Type: Complex, Description: "The user's manager.", Sub: []Attribute{
			{Name: "value", Type: String, CaseExact: true, Description: "The manager's id."},
			{Name: "$ref", Type: Reference, CaseExact: true, ReferenceTypes: []string{"User"}, Description: "The manager's address."},
			{Name: "displayName", Type: String, Mutability: ReadOnly, Description: "The manager's displayName."},
		}},
	},
}

var (
	external = []string{"external"}
	display  = Attribute{Name: "display", Type: String, Description: "A text for people."}
	primary  = Attribute{Name: "primary", Type: Boolean, Description: "Whether this is the preferred one; true for one at most."}
)

func kind(canonical ...string) Attribute {
	return Attribute{Name: "type", Type: String, CanonicalValues: canonical, Description: "What it is for."}
}
