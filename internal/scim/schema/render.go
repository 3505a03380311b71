package schema

import "gatehouse/internal/scim/value"

const (
	schemaURN       = "urn:ietf:params:scim:schemas:core:2.0:Schema"
	resourceTypeURN = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
)

// Value renders the schema as /Schemas answers it; baseURL has no final slash.
func (s *Schema) Value(baseURL string) value.Value {
	return value.Obj(
		value.M("schemas", value.Strs(schemaURN)),
		value.M("id", value.Str(s.ID)),
		value.M("name", value.Str(s.Name)),
		value.M("description", value.Str(s.Description)),
		value.M("attributes", renderAttributes(s.Attributes)),
		value.M("meta", renderMeta("Schema", baseURL+"/Schemas/"+s.ID)),
	)
}

// Value renders the resource type as /ResourceTypes answers it, plain without the
// extensions that are Extra; its id is its name, as the interoperability profile
// wants it.
func (rt *ResourceType) Value(baseURL string, plain bool) value.Value {
	v := value.Obj(
		value.M("schemas", value.Strs(resourceTypeURN)),
		value.M("id", value.Str(rt.Name)),
		value.M("name", value.Str(rt.Name)),
		value.M("endpoint", value.Str(rt.Endpoint)),
		value.M("description", value.Str(rt.Description)),
		value.M("schema", value.Str(rt.Schema.ID)),
	)
	var list []value.Value
	for _, e := range rt.Extensions {
		if !plain || !e.Schema.Extra {
			list = append(list, value.Obj(value.M("schema", value.Str(e.Schema.ID)), value.M("required", value.Boolean(e.Required))))
		}
	}
	if len(list) > 0 {
		v.Set("schemaExtensions", value.Arr(list...))
	}
	v.Set("meta", renderMeta("ResourceType", baseURL+"/ResourceTypes/"+rt.Name))
	return v
}

func renderMeta(kind, location string) value.Value {
	return value.Obj(value.M("resourceType", value.Str(kind)), value.M("location", value.Str(location)))
}

func renderAttributes(list []Attribute) value.Value {
	out := make([]value.Value, len(list))
	for i := range list {
		out[i] = list[i].value()
	}
	return value.Arr(out...)
}

// value renders the definition. caseExact and uniqueness are told where they
// mean something: Entra stumbles over nulls, so what does not apply is left out.
func (a *Attribute) value() value.Value {
	v := value.Obj(
		value.M("name", value.Str(a.Name)),
		value.M("type", value.Str(string(a.Type))),
		value.M("multiValued", value.Boolean(a.MultiValued)),
		value.M("description", value.Str(a.Description)),
		value.M("required", value.Boolean(a.Required)),
	)
	if a.Type != Boolean && a.Type != Complex {
		v.Set("caseExact", value.Boolean(a.CaseExact))
	}
	if len(a.CanonicalValues) > 0 {
		v.Set("canonicalValues", value.Strs(a.CanonicalValues...))
	}
	v.Set("mutability", value.Str(string(a.mutability())))
	v.Set("returned", value.Str(string(a.returned())))
	if a.Type != Boolean && a.Type != Complex {
		u := a.Uniqueness
		if u == "" {
			u = None
		}
		v.Set("uniqueness", value.Str(string(u)))
	}
	if len(a.ReferenceTypes) > 0 {
		v.Set("referenceTypes", value.Strs(a.ReferenceTypes...))
	}
	if len(a.Sub) > 0 {
		v.Set("subAttributes", renderAttributes(a.Sub))
	}
	return v
}
