package scimhttp

import (
	"net/http"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// discovery answers /ServiceProviderConfig, /Schemas and /ResourceTypes (RFC
// 7644 §4): query parameters are ignored, but a filter is refused.
func (c *call) discovery(parts []string) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return &methodError{"GET, HEAD"}
	}
	if p, err := c.parameters(); err == nil && p.filter != nil {
		return fault.New(fault.Forbidden, "", "Discovery cannot be filtered.")
	}
	if len(parts) > 2 {
		return errNotFound
	}
	single := ""
	if len(parts) == 2 {
		single = parts[1]
	}
	var all []value.Value
	switch parts[0] {
	case "ServiceProviderConfig":
		if single != "" {
			return errNotFound
		}
		return c.send(http.StatusOK, c.h.config().Append(nil))
	case "ResourceTypes":
		for _, rt := range schema.All() {
			if single == "" || strings.EqualFold(single, rt.Name) {
				all = append(all, rt.Value(c.h.base))
			}
		}
	case "Schemas":
		for _, s := range schema.Schemas() {
			if single == "" || strings.EqualFold(single, s.ID) {
				all = append(all, s.Value(c.h.base))
			}
		}
	}
	if single != "" {
		if len(all) == 0 {
			return errNotFound
		}
		return c.send(http.StatusOK, all[0].Append(nil))
	}
	rendered := make([][]byte, len(all))
	for i, v := range all {
		rendered[i] = v.Append(nil)
	}
	return c.send(http.StatusOK, appendList(nil, len(all), 1, rendered))
}

// config is RFC 7643 §5, as true as the server is.
func (h *Handler) config() value.Value {
	supported := func(yes bool, more ...value.Member) value.Value {
		return value.Obj(append([]value.Member{value.M("supported", value.Boolean(yes))}, more...)...)
	}
	return value.Obj(
		value.M("schemas", value.Strs("urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig")),
		value.M("patch", supported(true)),
		value.M("bulk", supported(false, value.M("maxOperations", value.Num(0)), value.M("maxPayloadSize", value.Num(0)))),
		value.M("filter", supported(true, value.M("maxResults", value.Num(maxPage)))),
		value.M("changePassword", supported(false)),
		value.M("sort", supported(false)),
		value.M("etag", supported(true)),
		value.M("authenticationSchemes", value.Arr(value.Obj(
			value.M("type", value.Str("oauthbearertoken")),
			value.M("name", value.Str("Bearer token")),
			value.M("description", value.Str("A credential of the connection, sent as Authorization: Bearer.")),
			value.M("specUri", value.Str("https://www.rfc-editor.org/info/rfc6750")),
			value.M("primary", value.Boolean(true))), value.Obj(
			value.M("type", value.Str("oauth2")),
			value.M("name", value.Str("OAuth 2.0 client credentials")),
			value.M("description", value.Str("An access token, granted to a client of the connection at "+h.URL+"/oauth/token.")),
			value.M("specUri", value.Str("https://www.rfc-editor.org/info/rfc6749"))))),
		value.M("meta", value.Obj(
			value.M("resourceType", value.Str("ServiceProviderConfig")),
			value.M("location", value.Str(h.base+"/ServiceProviderConfig")))))
}
