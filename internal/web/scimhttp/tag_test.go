package scimhttp_test

import "testing"

// TestTagOfAUserMovesWithItsGroups: a conditional read shows the groups as they
// are; a conditional write is about the user's own attributes.
func TestTagOfAUserMovesWithItsGroups(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	alone := w.get("/Users/" + id).want(200).header.Get("ETag")
	g := w.group("Team", id)
	in := w.get("/Users/"+id, "If-None-Match", alone).want(200).header.Get("ETag")
	if in == alone {
		t.Errorf("the tag %s stayed when the user joined a group", in)
	}
	w.get("/Users/"+id, "If-None-Match", in).want(304)
	w.get("/Users/"+id+"?excludedAttributes=groups", "If-None-Match", alone).want(304)
	active := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"displayName","value":"Ada"}]}`
	w.do("PATCH", "/Users/"+id, active, "If-Match", in).want(200)
	w.do("PATCH", "/Users/"+id, active, "If-Match", in).refused(412, "")
	w.do("DELETE", "/Groups/"+g, "").want(204)
	w.get("/Users/"+id, "If-None-Match", in).want(200)
}

// TestOtherPreconditions: RFC 9110 §13.1 for the ones that SCIM does not speak of.
func TestOtherPreconditions(t *testing.T) {
	w := newWorld(t)
	id := w.user("ada@example.com")
	tag := w.get("/Users/" + id).want(200).header.Get("ETag")
	w.do("DELETE", "/Users/"+id, "", "If-None-Match", "*").refused(412, "")
	w.do("DELETE", "/Users/"+id, "", "If-None-Match", tag).refused(412, "")
	w.get("/Users/"+id, "If-Match", `W/"other"`).refused(412, "")
	w.get("/Users/"+id, "If-Match", tag).want(200)
	w.do("DELETE", "/Users/"+id, "", "If-None-Match", `W/"other"`).want(204)
}
