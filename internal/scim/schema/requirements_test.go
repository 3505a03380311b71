package schema_test

import (
	"strings"
	"testing"

	"gatehouse/internal/scim/schema"
)

const (
	planetURN = "urn:example:schemas:core:2.0:Planet"
	orbitURN  = "urn:example:schemas:extension:orbit:2.0:Planet"
)

// planet has attributes of the types that no attribute of users and groups has,
// and an extension that is required.
var planet = &schema.ResourceType{
	Name: "Planet", Endpoint: "/Planets",
	Schema: &schema.Schema{ID: planetURN, Name: "Planet", Attributes: []schema.Attribute{
		{Name: "moons", Type: schema.Integer},
		{Name: "mass", Type: schema.Decimal},
		{Name: "found", Type: schema.DateTime},
		{Name: "transits", Type: schema.DateTime, MultiValued: true},
	}},
	Extensions: []schema.Extension{{Required: true, Schema: &schema.Schema{ID: orbitURN, Name: "Orbit", Attributes: []schema.Attribute{
		{Name: "days", Type: schema.Integer, Required: true},
		{Name: "star", Type: schema.String},
	}}}},
}

// TestRequirements are rows of the catalogue in package conformance that users
// and groups cannot show.
func TestRequirements(t *testing.T) {
	const orbit = `,"` + orbitURN + `":{"days":365}`
	takes := func(t *testing.T, members string) {
		t.Helper()
		stored, _, _, err := planet.Normalize(parse(t, `{"schemas":["`+planetURN+`","`+orbitURN+`"],`+members+`}`), schema.Strict)
		if want := "{" + members + "}"; err != nil || string(stored.Append(nil)) != want {
			t.Errorf("Normalize(%s) = %s, %v, want it as it is", members, stored.Append(nil), err)
		}
		again, _, err := planet.Settle(stored, schema.Strict)
		if err != nil || string(again.Append(nil)) != string(stored.Append(nil)) {
			t.Errorf("Settle(%s) = %s, %v, want it as it is", stored.Append(nil), again.Append(nil), err)
		}
	}
	refuses := func(t *testing.T, members, word string) {
		t.Helper()
		stored, _, _, err := planet.Normalize(parse(t, `{"schemas":["`+planetURN+`"],`+members+`}`), schema.Strict)
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Normalize(%s) = %s, %v, want an error with %q", members, stored.Append(nil), err, word)
		}
	}
	t.Run("EXTRA-TYPE-INT", func(t *testing.T) {
		for _, n := range []string{"0", "1", "-1", "146", "9007199254740993", "123456789012345678901234567890"} {
			takes(t, `"moons":`+n+orbit)
		}
	})
	t.Run("RFC7643-2.3.4-L521", func(t *testing.T) {
		for _, n := range []string{"1.0", "1.5", "1e2", "1E2", "-0.0", `"1"`, "true"} {
			refuses(t, `"moons":`+n+orbit, "moons")
		}
		takes(t, `"mass":5.97e24`+orbit)
	})
	t.Run("EXTRA-TYPE-DT", func(t *testing.T) {
		for _, d := range []string{"2008-01-23T04:56:22Z", "2011-05-13T04:42:34.123456Z", "2008-01-23T04:56:22+02:00", "2008-01-23T04:56:22"} {
			takes(t, `"found":"`+d+`","transits":["`+d+`"]`+orbit)
		}
	})
	t.Run("RFC7643-2.3.5-L527", func(t *testing.T) {
		for _, d := range []string{`"2008-01-23"`, `"04:56:22Z"`, `"2008-01-23T"`, `"2008-01-23 04:56:22"`} {
			refuses(t, `"found":`+d+orbit, "found")
		}
	})
	t.Run("RFC7643-2.3.5-L531", func(t *testing.T) {
		for _, d := range []string{`"2008-13-23T04:56:22Z"`, `"2008-01-23T24:56:22Z"`, `"yesterday"`, "1201063582", "true"} {
			refuses(t, `"found":`+d+orbit, "found")
		}
	})
	t.Run("RFC7643-6-L1655", func(t *testing.T) {
		refuses(t, `"moons":1`, orbitURN)
		refuses(t, `"moons":1,"`+orbitURN+`":{}`, orbitURN)
		refuses(t, `"moons":1,"`+orbitURN+`":{"star":"Sun"}`, "days")
		refuses(t, `"moons":1,"`+orbitURN+`":{"star":"Sun","days":null}`, "days")
		takes(t, `"moons":1,"`+orbitURN+`":{"days":365,"star":"Sun"}`)
	})
}
