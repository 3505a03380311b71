package scimhttp

import (
	"net/http"
	"strings"
	"time"

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
		config := c.h.config(c.told("plain"))
		// Whoever asks as nobody is told what holds for every connection. What the
		// RFC's own configuration does not name is told to those alone whom it is for.
		if c.mode == schema.Interop && !c.told("plain") {
			config.Set("interopProfileConformant", value.Boolean(true))
		}
		return c.send(http.StatusOK, config.Append(nil))
	case "ResourceTypes":
		for _, rt := range schema.All() {
			if rt.Schema.Extra && single == "" && !c.told("full") {
				continue
			}
			if single == "" || strings.EqualFold(single, rt.Name) {
				all = append(all, rt.Value(c.h.base, !c.told("full")))
			}
		}
	case "Schemas":
		for _, s := range schema.Schemas() {
			if s.Extra && single == "" && !c.told("full") {
				continue
			}
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
	return c.send(http.StatusOK, appendPage(nil, paging{start: 1}, len(all), "", rendered))
}

// told reports whether that is what the connection's client is to be told (see
// org.Discoveries). Nothing else depends on it.
func (c *call) told(what string) bool { return c.who.Connection.Discovery == what }

// config is RFC 7643 §5 and RFC 9865 §4, as true as the server is.
func (h *Handler) config(plain bool) value.Value {
	supported := func(yes bool, more ...value.Member) value.Value {
		return value.Obj(append([]value.Member{value.M("supported", value.Boolean(yes))}, more...)...)
	}
	config := value.Obj(
		value.M("schemas", value.Strs("urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig")),
		value.M("patch", supported(true)),
		value.M("bulk", supported(true, value.M("maxOperations", value.Num(maxOperations)), value.M("maxPayloadSize", value.Num(maxBody)))),
		value.M("filter", supported(true, value.M("maxResults", value.Num(maxPage)))),
		value.M("changePassword", supported(false)),
		value.M("sort", supported(true)),
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
	if !plain {
		config.Set("pagination", value.Obj(
			value.M("cursor", value.Boolean(true)),
			value.M("index", value.Boolean(true)),
			value.M("defaultPaginationMethod", value.Str("index")),
			value.M("defaultPageSize", value.Num(usualPage)),
			value.M("maxPageSize", value.Num(maxPage)),
			value.M("cursorTimeout", value.Num(int64(cursorTimeout/time.Second)))))
	}
	return config
}
