package schema

// ProductURN is the schema of what a user may use of the products that the
// organization has.
const ProductURN = "urn:gatehouse:params:scim:schemas:extension:product:2.0:User"

// productSchema shows a user's grants to whoever asks for them. A directory
// does not give products, so nothing here can be written.
var productSchema = &Schema{
	ID:          ProductURN,
	Name:        "ProductUser",
	Extra:       true,
	Description: "The products that a user may use",
	Attributes: []Attribute{
		{Name: "products", Type: Complex, MultiValued: true, Mutability: ReadOnly, Returned: Request,
			Description: "The products that the user may use, and since when; answered only where `attributes` asks for it.", Sub: []Attribute{
				{Name: "value", Type: String, CaseExact: true, Mutability: ReadOnly, Description: "The product's id."},
				{Name: "display", Type: String, Mutability: ReadOnly, Description: "The product's name."},
				{Name: "since", Type: DateTime, Mutability: ReadOnly, Description: "Since when the user may use it."},
			}},
	},
}
