package scimhttp

import (
	"time"

	"gatehouse/internal/roster"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// appendUser renders a user whole. The stored attributes are copied as bytes:
// they were normalized when they were stored.
func (h *Handler) appendUser(b []byte, u *roster.User, groups bool) []byte {
	b = appendStart(b, schema.User, string(u.ID), u.Raw, u.Ext)
	if groups && len(u.Groups) > 0 {
		b = append(b, `,"groups":[`...)
		for i, g := range u.Groups {
			if i > 0 {
				b = append(b, ',')
			}
			b = h.appendRef(b, string(g), "/Groups/", "direct")
		}
		for _, g := range u.Indirect {
			b = append(b, ',')
			b = h.appendRef(b, string(g), "/Groups/", "indirect")
		}
		b = append(b, ']')
	}
	return h.appendMeta(b, "User", "/Users/", string(u.ID), u.Created, u.Changed.Time(), u.ViewTag())
}

// appendGroup renders a group; nil members are left out.
func (h *Handler) appendGroup(b []byte, g *roster.Group, members []roster.Member) []byte {
	b = appendStart(b, schema.Group, string(g.ID), g.Raw, g.Ext)
	if len(members) > 0 {
		b = append(b, `,"members":[`...)
		for i, m := range members {
			if i > 0 {
				b = append(b, ',')
			}
			b = h.appendMember(b, m)
		}
		b = append(b, ']')
	}
	return h.appendMeta(b, "Group", "/Groups/", string(g.ID), g.Created, g.Modified, g.Tag())
}

func appendStart(b []byte, rt *schema.ResourceType, id string, raw []byte, ext uint8) []byte {
	b = append(b, `{"schemas":["`...)
	b = append(b, rt.Schema.ID...)
	for i, e := range rt.Extensions {
		if ext&(1<<i) != 0 {
			b = append(b, `","`...)
			b = append(b, e.Schema.ID...)
		}
	}
	b = append(b, `"],"id":"`...)
	b = append(b, id...)
	b = append(b, '"')
	if len(raw) > 2 {
		b = append(b, ',')
		b = append(b, raw[1:len(raw)-1]...)
	}
	return b
}

func (h *Handler) appendMember(b []byte, m roster.Member) []byte {
	if m.Group {
		return h.appendRef(b, m.ID, "/Groups/", "Group")
	}
	return h.appendRef(b, m.ID, "/Users/", "User")
}

func (h *Handler) appendRef(b []byte, id, endpoint, kind string) []byte {
	b = append(b, `{"value":"`...)
	b = append(b, id...)
	b = append(b, `","$ref":`...)
	b = value.AppendString(b, h.base+endpoint+id)
	b = append(b, `,"type":"`...)
	b = append(b, kind...)
	return append(b, `"}`...)
}

func (h *Handler) appendMeta(b []byte, kind, endpoint, id string, created, modified time.Time, tag string) []byte {
	b = append(b, `,"meta":{"resourceType":"`...)
	b = append(b, kind...)
	b = append(b, `","created":"`...)
	b = appendTime(b, created)
	b = append(b, `","lastModified":"`...)
	b = appendTime(b, modified)
	b = append(b, `","location":`...)
	b = value.AppendString(b, h.base+endpoint+id)
	b = append(b, `,"version":"W/\"`...)
	b = append(b, tag...)
	return append(b, `\""}}`...)
}

// appendTime writes xsd:dateTime in UTC with milliseconds. The standard library
// is quick at the form without them.
func appendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339)
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// project applies a projection to a rendered resource.
func project(b []byte, p schema.Projection) ([]byte, error) {
	if p.IsDefault() {
		return b, nil
	}
	v, err := value.Parse(b)
	if err != nil {
		return nil, err
	}
	return p.Apply(v).Append(nil), nil
}

// extensions tells which extensions of the type a document holds.
func extensions(rt *schema.ResourceType, doc value.Value) uint8 {
	var bits uint8
	for i, e := range rt.Extensions {
		if !doc.Get(e.Schema.ID).IsNothing() {
			bits |= 1 << i
		}
	}
	return bits
}
