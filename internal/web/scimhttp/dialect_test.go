package scimhttp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/org"
)

// Outcomes of a request, by dialect. A dialect that is not named has that of
// the one before it in org.Dialects.
type outcomes map[string]outcome

type outcome struct {
	code    string // "200", of a refusal "400 noTarget", of a list "200 total 3", or "200" and what the answer has: a type or a member's name
	coerced string // what was counted: "rule=n" in the order of rules
	after   string // lines of "resource path: JSON" as GET tells them; "-" for nothing
}

// dialectRow is one request that dialects differ on, or that an identity
// provider makes. ANA, BO and CY stand for users, TEAM for a group of ANA and BO.
type dialectRow struct {
	name    string // the question of scim.md's section 6, or the provider and its request
	request string // "METHOD path"
	body    string // of a PATCH that begins with "{": its operations
	headers []string
	want    outcomes
}

const (
	ent    = enterprise
	adaIs  = `ANA displayName: "Ana Ruiz"` // untouched
	urnKey = `"` + ent + `:employeeNumber":"7"`

	oldCore = "urn:scim:schemas:core:1.0"
	oldEnt  = "urn:scim:schemas:extension:enterprise:1.0"
)

// questions are the rows of section 6, each in every dialect.
var questions = []dialectRow{
	{"path-less PATCH", "PATCH /Users/ANA", `{"op":"replace","value":{"title":"Boss","active":false}}`, nil, outcomes{
		"compat":  {"200", "", `ANA title: "Boss"` + "\nANA active: false"},
		"interop": {"400 invalidSyntax", "", "ANA title: -\nANA active: true"},
	}},
	{"dotted keys in value", "PATCH /Users/ANA", `{"op":"replace","value":{"title":"Boss","name.givenName":"Anita"}}`, nil, outcomes{
		"compat":  {"200", "pathName=1", `ANA name.givenName: "Anita"` + "\n" + `ANA name.familyName: "Ruiz"`},
		"strict":  {"200", "unknownAttribute=1", `ANA name.givenName: "Ana"` + "\n" + `ANA title: "Boss"`},
		"interop": {"400 invalidSyntax", "", `ANA name.givenName: "Ana"`},
	}},
	{"URN keys in value", "PATCH /Users/ANA", `{"op":"add","value":{` + urnKey + `}}`, nil, outcomes{
		"compat":  {"200", "pathName=1", `ANA ` + ent + `|employeeNumber: "7"`},
		"strict":  {"200", "unknownSchema=1", `ANA ` + ent + `|employeeNumber: -`},
		"interop": {"400 invalidSyntax", "", `ANA ` + ent + `|employeeNumber: -`},
	}},
	{"dotted and URN keys in a body", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"userName":"ana@corp.test","name.familyName":"Diaz",` + urnKey + `}`, nil, outcomes{
		"compat":  {"200", "pathName=2", `ANA name: {"familyName":"Diaz"}` + "\n" + `ANA ` + ent + `: {"employeeNumber":"7"}`},
		"strict":  {"200", "unknownAttribute=1 unknownSchema=1", "ANA name: -\nANA " + ent + ": -"},
		"interop": {"400 invalidSyntax", "", adaIs},
	}},
	{"replace on unmatched eq filter", "PATCH /Users/ANA", `{"op":"replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"555"}`, nil, outcomes{
		"compat": {"200", "upserted=1", `ANA phoneNumbers: [{"value":"555","type":"mobile"}]`},
		"strict": {"400 noTarget", "", "ANA phoneNumbers: -"},
	}},
	{"replace on a filter without eq terms", "PATCH /Users/ANA", `{"op":"replace","path":"phoneNumbers[type ne \"mobile\"].value","value":"555"}`, nil, outcomes{
		"compat": {"400 noTarget", "", "ANA phoneNumbers: -"},
	}},
	{"unknown attributes in POST", "POST /Users", `{"schemas":["` + userURN + `"],"userName":"new@corp.test","shoeSize":9,"urn:x:y:User":{"a":1},"name":{"nick":"N"}}`, nil, outcomes{
		"compat":  {"201", "unknownAttribute=2 unknownSchema=1", "NEW shoeSize: -\nNEW urn:x:y:User: -\nNEW name: -"},
		"interop": {"400 invalidSyntax", "", ""},
	}},
	{"unknown attributes in PATCH paths", "PATCH /Users/ANA", `{"op":"add","path":"shoeSize","value":9},{"op":"add","path":"title","value":"Boss"}`, nil, outcomes{
		"compat":  {"200", "unknownAttribute=1", `ANA title: "Boss"` + "\nANA shoeSize: -"},
		"strict":  {"400 invalidPath", "", "ANA title: -"},
		"interop": {"400 invalidSyntax", "", "ANA title: -"},
	}},
	{"unknown attributes in PATCH values", "PATCH /Users/ANA", `{"op":"add","path":"name","value":{"nick":"N","middleName":"M"}}`, nil, outcomes{
		"compat":  {"200", "unknownAttribute=1", `ANA name.middleName: "M"` + "\nANA name.nick: -"},
		"interop": {"400 invalidSyntax", "", "ANA name.middleName: -"},
	}},
	{"unknown attributes in filters", `GET /Users?filter=shoeSize%20eq%20%229%22`, "", nil, outcomes{
		"compat": {"200", "unknownAttribute=1", ""},
		"strict": {"400 invalidFilter", "", ""},
	}},
	{"unknown schema URNs", "POST /Users", `{"schemas":["` + userURN + `","urn:x:y:User"],"userName":"new@corp.test"}`, nil, outcomes{
		"compat":  {"201", "unknownSchema=1", `NEW schemas: ["` + userURN + `"]`},
		"interop": {"400 invalidSyntax", "", ""},
	}},
	{"string booleans in POST", "POST /Users", `{"schemas":["` + userURN + `"],"userName":"new@corp.test","active":"False","emails":[{"value":"n@corp.test","primary":"True"}]}`, nil, outcomes{
		"compat": {"201", "stringBoolean=2", "NEW active: false\nNEW emails.0.primary: true"},
		"strict": {"400 invalidValue", "", ""},
	}},
	{"string booleans in PATCH", "PATCH /Users/ANA", `{"op":"replace","path":"active","value":"False"}`, nil, outcomes{
		"compat": {"200", "stringBoolean=1", "ANA active: false"},
		"strict": {"400 invalidValue", "", "ANA active: true"},
	}},
	{"string booleans in path filters", "PATCH /Users/ANA", `{"op":"replace","path":"emails[primary eq \"True\"].value","value":"a2@corp.test"}`, nil, outcomes{
		"compat": {"200", "stringBoolean=1", `ANA emails.0.value: "a2@corp.test"`},
		"strict": {"400 invalidFilter", "", `ANA emails.0.value: "ana@corp.test"`},
	}},
	{"string booleans in filters", `GET /Users?filter=active%20eq%20%22True%22`, "", nil, outcomes{
		"compat": {"200", "stringBoolean=1", ""},
		"strict": {"400 invalidFilter", "", ""},
	}},
	{"literals in another case", `GET /Users?filter=active%20eq%20TRUE%20and%20title%20eq%20Null`, "", nil, outcomes{
		"compat": {"200 total 3", "literalCase=2", ""},
		"strict": {"400 invalidFilter", "", ""},
	}},
	{"literals in another case in path filters", "PATCH /Users/ANA", `{"op":"replace","path":"emails[primary eq True].value","value":"a2@corp.test"}`, nil, outcomes{
		"compat": {"200", "literalCase=1", `ANA emails.0.value: "a2@corp.test"`},
		"strict": {"400 invalidFilter", "", `ANA emails.0.value: "ana@corp.test"`},
	}},
	{"literals as JSON has them", `GET /Users?filter=emails[primary%20eq%20true].value%20ne%20null`, "", nil, outcomes{"compat": {"200 total 3", "", ""}}},
	{"manager string", "PATCH /Users/ANA", `{"op":"add","path":"` + ent + `:manager","value":"BO"}`, nil, outcomes{
		"compat": {"200", "bareValue=1", `ANA ` + ent + `|manager: {"value":"BO"}`},
		"strict": {"400 invalidValue", "", `ANA ` + ent + `|manager: -`},
	}},
	{"manager as an array of one", "PATCH /Users/ANA", `{"op":"add","path":"` + ent + `:manager","value":[{"value":"BO"}]}`, nil, outcomes{
		"compat": {"200", "manyForSingle=1", `ANA ` + ent + `|manager: {"value":"BO"}`},
		"strict": {"400 invalidValue", "", `ANA ` + ent + `|manager: -`},
	}},
	{"remove members with a value", "PATCH /Groups/TEAM", `{"op":"remove","path":"members","value":[{"value":"ANA"}]}`, nil, outcomes{
		"compat":  {"204", "removeListed=1", "TEAM members: BO"},
		"strict":  {"204", "", "TEAM members: "},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"remove members by their type", "PATCH /Groups/TEAM", `{"op":"add","path":"members","value":[{"value":"OTHER"}]},{"op":"remove","path":"members[type eq \"User\" and not (value eq \"BO\")]"}`, nil, outcomes{
		"compat": {"204", "", "TEAM members: BO OTHER"},
	}},
	{"remove members by a filter with a value", "PATCH /Groups/TEAM", `{"op":"remove","path":"members[type eq \"User\"]","value":[{"value":"ANA"}]}`, nil, outcomes{
		"compat": {"204", "removeListed=1", "TEAM members: BO"},
		"strict": {"204", "", "TEAM members: "},
	}},
	{"remove members by their names", "PATCH /Groups/TEAM", `{"op":"remove","path":"members[display ne \"Ana Ruiz\"]"}`, nil, outcomes{
		"compat": {"400 invalidFilter", "", "TEAM members: ANA BO"},
	}},
	{"replace a member", "PATCH /Groups/TEAM", `{"op":"replace","path":"members[value eq \"ANA\"]","value":{"value":"CY"}}`, nil, outcomes{
		"compat":  {"204", "", "TEAM members: BO CY"},
		"interop": {"400 invalidPath", "", "TEAM members: ANA BO"},
	}},
	{"replace a user by a group", "PATCH /Groups/TEAM", `{"op":"replace","path":"members[type eq \"User\"]","value":{"value":"OTHER"}}`, nil, outcomes{
		"compat":  {"204", "", "TEAM members: OTHER"},
		"interop": {"400 invalidPath", "", "TEAM members: ANA BO"},
	}},
	{"replace who is no member", "PATCH /Groups/TEAM", `{"op":"replace","path":"members[value eq \"CY\"]","value":{"value":"CY"}}`, nil, outcomes{
		"compat":  {"204", "upserted=1", "TEAM members: ANA BO CY"},
		"strict":  {"400 noTarget", "", "TEAM members: ANA BO"},
		"interop": {"400 invalidPath", "", "TEAM members: ANA BO"},
	}},
	{"replace a member by a path in the value", "PATCH /Groups/TEAM", `{"op":"replace","value":{"members[value eq \"ANA\"]":{"value":"CY"}}}`, nil, outcomes{
		"compat":  {"204", "pathName=1", "TEAM members: BO CY"},
		"strict":  {"204", "unknownAttribute=1", "TEAM members: ANA BO"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"make another of a member", "PATCH /Groups/TEAM", `{"op":"add","path":"members[value eq \"ANA\"]","value":{"value":"CY"}}`, nil, outcomes{
		"compat":  {"400 mutability", "", "TEAM members: ANA BO"},
		"interop": {"400 invalidPath", "", "TEAM members: ANA BO"},
	}},
	{"a member's wrong type", "PATCH /Groups/TEAM", `{"op":"add","path":"members","value":[{"value":"ANA","type":"Group"},{"value":"CY","type":"group"}]}`, nil, outcomes{
		"compat":  {"204", "readOnlyPassed=2", "TEAM members: ANA BO CY"},
		"strict":  {"400 invalidValue", "", "TEAM members: ANA BO"},
		"interop": {"204", "readOnlyPassed=2", "TEAM members: ANA BO CY"},
	}},
	{"a member's wrong type in PUT", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members":[{"value":"ANA","type":"Group"},{"value":"BO","type":"user"}]}`, nil, outcomes{
		"compat":  {"200", "readOnlyPassed=1", "TEAM members: ANA BO"},
		"strict":  {"400 invalidValue", "", "TEAM members: ANA BO"},
		"interop": {"200", "readOnlyPassed=1", "TEAM members: ANA BO"},
	}},
	{"a member's wrong type in POST", "POST /Groups", `{"schemas":["` + groupURN + `"],"displayName":"New","members":[{"value":"ANA","type":"Group"}]}`, nil, outcomes{
		"compat":  {"201", "readOnlyPassed=1", ""},
		"strict":  {"400 invalidValue", "", ""},
		"interop": {"201", "readOnlyPassed=1", ""},
	}},
	{"a member with parts that are no text", "PATCH /Groups/TEAM", `{"op":"add","path":"members","value":[{"value":"CY","type":7}]}`, nil, outcomes{
		"compat": {"204", "readOnlyPassed=1", "TEAM members: ANA BO CY"},
		"strict": {"400 invalidValue", "", "TEAM members: ANA BO"},
	}},
	{"unknown attributes of members", "PATCH /Groups/TEAM", `{"op":"add","path":"members","value":[{"value":"CY","shoeSize":9}]}`, nil, outcomes{
		"compat":  {"204", "unknownAttribute=1", "TEAM members: ANA BO CY"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"a single member in a body", "POST /Groups", `{"schemas":["` + groupURN + `"],"displayName":"New","members":{"value":"ANA"}}`, nil, outcomes{
		"compat": {"201", "singleForMany=1", ""},
		"strict": {"400 invalidValue", "", ""},
	}},
	{"a single member in PUT", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members":{"value":"ANA"}}`, nil, outcomes{
		"compat": {"200", "singleForMany=1", "TEAM members: ANA"},
		"strict": {"400 invalidValue", "", "TEAM members: ANA BO"},
	}},
	{"a single member in PATCH", "PATCH /Groups/TEAM", `{"op":"add","path":"members","value":{"value":"CY"}}`, nil, outcomes{
		"compat": {"204", "", "TEAM members: ANA BO CY"},
	}},
	{"members by a URN in PUT", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","` + groupURN + `:members":[{"value":"CY"}]}`, nil, outcomes{
		"compat":  {"200", "pathName=1", "TEAM members: CY"},
		"strict":  {"200", "unknownSchema=1", "TEAM members: "},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"a member by a path in PUT", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members.value":"CY","members.type":"User","members.display":"Cy"}`, nil, outcomes{
		"compat":  {"200", "singleForMany=1 pathName=2", "TEAM members: CY"},
		"strict":  {"200", "unknownAttribute=3", "TEAM members: "},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"a member by a path in POST", "POST /Groups", `{"schemas":["` + groupURN + `"],"displayName":"New","` + groupURN + `:members.value":"ANA"}`, nil, outcomes{
		"compat":  {"201 members", "singleForMany=1 pathName=1", ""},
		"strict":  {"201", "unknownSchema=1", ""},
		"interop": {"400 invalidSyntax", "", ""},
	}},
	{"a member by a path and in a list", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members.value":"CY","members":[{"value":"ANA"}]}`, nil, outcomes{
		"compat":  {"400 invalidSyntax", "pathName=1", "TEAM members: ANA BO"},
		"strict":  {"200", "unknownAttribute=1", "TEAM members: ANA"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"members by a path in a list", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members.value":["CY"]}`, nil, outcomes{
		"compat":  {"400 invalidValue", "singleForMany=1 pathName=1", "TEAM members: ANA BO"},
		"strict":  {"200", "unknownAttribute=1", "TEAM members: "},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"a member by a path in the value of a PATCH", "PATCH /Groups/TEAM", `{"op":"add","value":{"members.value":"CY"}}`, nil, outcomes{
		"compat":  {"400 invalidPath", "", "TEAM members: ANA BO"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"members by a URN of SCIM 1.x in PUT", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","` + oldCore + `:members":[{"value":"CY"}]}`, nil, outcomes{
		"compat": {"200", "oldSchema=1 pathName=1", "TEAM members: CY"},
		"strict": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"members under the core schema's URN in PUT", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"` + groupURN + `":{"displayName":"Team one","members":[{"value":"CY"}]}}`, nil, outcomes{
		"compat":  {"200", "pathName=1", "TEAM members: CY"},
		"strict":  {"400 invalidValue", "unknownSchema=1", "TEAM members: ANA BO"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"members under the core schema's URN in POST", "POST /Groups", `{"schemas":["` + groupURN + `"],"displayName":"New","` + groupURN + `":{"members":[{"value":"CY"}]}}`, nil, outcomes{
		"compat":  {"201 members", "pathName=1", ""},
		"strict":  {"201", "unknownSchema=1", ""},
		"interop": {"400 invalidSyntax", "", ""},
	}},
	{"members under the core schema's URN in PATCH", "PATCH /Groups/TEAM", `{"op":"add","value":{"` + groupURN + `":{"displayName":"Team 1","members":[{"value":"CY"}]}}}`, nil, outcomes{
		"compat":  {"204", "pathName=1", "TEAM members: ANA BO CY\n" + `TEAM displayName: "Team 1"`},
		"strict":  {"204", "unknownSchema=1", "TEAM members: ANA BO"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"members given twice", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members":[{"value":"CY"}],"` + groupURN + `:members":[{"value":"ANA"}]}`, nil, outcomes{
		"compat":  {"400 invalidSyntax", "pathName=1", "TEAM members: ANA BO"},
		"strict":  {"200", "unknownSchema=1", "TEAM members: CY"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"members given once, and as nothing", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members":null,"` + groupURN + `:members":[{"value":"CY"}],"` + groupURN + `":{"members":[]}}`, nil, outcomes{
		"compat":  {"200", "pathName=2", "TEAM members: CY"},
		"strict":  {"200", "unknownSchema=2", "TEAM members: "},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"replace whole complex", "PATCH /Users/ANA", `{"op":"replace","path":"name","value":{"givenName":"Anita"}}`, nil, outcomes{
		"compat":  {"200", "", `ANA name: {"familyName":"Ruiz","givenName":"Anita"}`},
		"interop": {"200", "", `ANA name: {"givenName":"Anita"}`},
	}},
	{"add whole complex", "PATCH /Users/ANA", `{"op":"add","path":"name","value":{"givenName":"Anita"}}`, nil, outcomes{
		"compat": {"200", "", `ANA name: {"familyName":"Ruiz","givenName":"Anita"}`},
	}},
	{"empty Operations", "PATCH /Users/ANA", `{"schemas":["` + patchURN + `"],"Operations":[]}`, nil, outcomes{
		"compat": {"200", "noOperations=1", adaIs},
		"strict": {"400 invalidSyntax", "", adaIs},
	}},
	{"duplicate group displayName in POST", "POST /Groups", `{"schemas":["` + groupURN + `"],"displayName":"TEAM one"}`, nil, outcomes{
		"compat": {"409 uniqueness", "", ""},
		"strict": {"201", "", ""},
	}},
	{"duplicate group displayName in PATCH", "PATCH /Groups/OTHER", `{"op":"replace","path":"displayName","value":"Team One"}`, nil, outcomes{
		"compat": {"409 uniqueness", "", `OTHER displayName: "Team two"`},
		"strict": {"204", "", `OTHER displayName: "Team One"`},
	}},
	{"SCIM 1.x URNs in schemas", "POST /Users", `{"schemas":["urn:scim:schemas:core:1.0","` + userURN + `"],"userName":"new@corp.test"}`, nil, outcomes{
		"compat": {"201", "oldSchema=1", `NEW schemas: ["` + userURN + `"]`},
		"strict": {"400 invalidSyntax", "", ""},
	}},
	{"SCIM 1.x URN of an extension", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"userName":"ana@corp.test","urn:scim:schemas:extension:enterprise:1.0":{"department":"D"}}`, nil, outcomes{
		"compat": {"200", "oldSchema=1", `ANA ` + ent + `: {"department":"D"}`},
		"strict": {"400 invalidSyntax", "", adaIs},
	}},
	{"SCIM 1.x URN in a path", "PATCH /Users/ANA", `{"op":"replace","path":"` + oldCore + `:title","value":"Boss"}`, nil, outcomes{
		"compat":  {"200", "oldSchema=1", `ANA title: "Boss"`},
		"strict":  {"400 invalidPath", "", "ANA title: -"},
		"interop": {"400 invalidSyntax", "", "ANA title: -"},
	}},
	{"SCIM 1.x URN in a path with a filter", "PATCH /Users/ANA", `{"op":"replace","path":"` + oldCore + `:emails[type eq \"work\"].value","value":"a2@corp.test"}`, nil, outcomes{
		"compat":  {"200", "oldSchema=1", `ANA emails.0.value: "a2@corp.test"`},
		"strict":  {"400 invalidPath", "", `ANA emails.0.value: "ana@corp.test"`},
		"interop": {"400 invalidSyntax", "", `ANA emails.0.value: "ana@corp.test"`},
	}},
	{"SCIM 1.x URN of members", "PATCH /Groups/TEAM", `{"op":"remove","path":"` + oldCore + `:members[value eq \"ANA\"]"},{"op":"add","value":{"` + oldCore + `:members":[{"value":"CY"}]}}`, nil, outcomes{
		"compat":  {"204", "oldSchema=2", "TEAM members: BO CY"},
		"strict":  {"400 invalidPath", "", "TEAM members: ANA BO"},
		"interop": {"400 invalidSyntax", "", "TEAM members: ANA BO"},
	}},
	{"SCIM 1.x URNs in value", "PATCH /Users/ANA", `{"op":"add","value":{"` + oldCore + `:title":"Boss","` + oldEnt + `":{"division":"D"}}}`, nil, outcomes{
		"compat": {"200", "oldSchema=2 pathName=1", `ANA title: "Boss"` + "\n" + `ANA ` + ent + `: {"division":"D"}`},
		"strict": {"400 invalidSyntax", "", "ANA title: -\nANA " + ent + ": -"},
	}},
	{"a deactivation under the core schema's URN of SCIM 1.x", "PATCH /Users/ANA", `{"op":"replace","value":{"` + oldCore + `":{"active":false}}}`, nil, outcomes{
		"compat": {"200", "oldSchema=1 pathName=1", "ANA active: false"},
		"strict": {"400 invalidSyntax", "", "ANA active: true"},
	}},
	{"a deactivation at the core schema's URN", "PATCH /Users/ANA", `{"op":"replace","path":"` + userURN + `","value":{"active":false}}`, nil, outcomes{
		"compat":  {"200", "pathName=1", "ANA active: false"},
		"strict":  {"400 invalidPath", "", "ANA active: true"},
		"interop": {"400 invalidSyntax", "", "ANA active: true"},
	}},
	{"SCIM 1.x URN in a name of a body", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"userName":"ana@corp.test","` + oldCore + `:title":"Boss"}`, nil, outcomes{
		"compat": {"200", "oldSchema=1 pathName=1", `ANA title: "Boss"`},
		"strict": {"400 invalidSyntax", "", adaIs},
	}},
	{"SCIM 1.x URN in a filter", `GET /Users?filter=` + oldCore + `:userName%20eq%20%22ana@corp.test%22`, "", nil, outcomes{
		"compat": {"200 total 1", "oldSchema=1", ""},
		"strict": {"400 invalidFilter", "", ""},
	}},
	{"SCIM 1.x URN in sortBy", `GET ?sortBy=` + oldCore + `:displayName`, "", nil, outcomes{
		"compat": {"200 total 5", "oldSchema=1", ""},
		"strict": {"400 invalidPath", "", ""},
	}},
	{"SCIM 1.x URN in attributes", `GET /Users/ANA?attributes=` + oldCore + `:displayName`, "", nil, outcomes{
		"compat": {"200 displayName", "oldSchema=1", ""},
		"strict": {"200", "", ""},
	}},

	// What Compat takes besides.
	{"an empty path", "PATCH /Users/ANA", `{"op":"replace","path":"","value":{"title":"Boss"}}`, nil, outcomes{
		"compat": {"200", "emptyString=1", `ANA title: "Boss"`},
		"strict": {"400 invalidPath", "", "ANA title: -"},
	}},
	{"an extension's attribute without its URN in a filter", `GET /Users?filter=department%20eq%20%22d%22%20or%20manager.value%20eq%20%22BO%22`, "", nil, outcomes{
		"compat": {"200 total 1", "unqualifiedName=2", ""},
		"strict": {"400 invalidFilter", "", ""},
	}},
	{"an extension's attribute without its URN in a query of all", `GET ?filter=department%20eq%20%22d%22&sortBy=department&attributes=department`, "", nil, outcomes{
		"compat": {"200 total 0", "unqualifiedName=3", ""},
		"strict": {"400 invalidFilter", "", ""},
	}},
	{"what two types have is bent in each", `GET ?filter=active%20eq%20%22True%22%20or%20members.value%20eq%207`, "", nil, outcomes{
		"compat": {"200 total 3", "stringBoolean=1 numberForString=1", ""},
		"strict": {"400 invalidFilter", "", ""},
	}},
	{"an extension's attribute without its URN in sortBy", `GET /Users?sortBy=department`, "", nil, outcomes{
		"compat": {"200 total 3", "unqualifiedName=1", ""},
		"strict": {"400 invalidPath", "", ""},
	}},
	{"an extension's attribute without its URN in attributes", `GET /Users/CY?attributes=manager`, "", nil, outcomes{
		"compat": {"200 " + ent, "unqualifiedName=1", ""},
		"strict": {"200", "", ""},
	}},
	{"an extension's attribute without its URN in excludedAttributes of a change", `PATCH /Users/CY?excludedAttributes=manager,shoeSize`, `{"op":"Add","path":"title","value":"Boss"}`, nil, outcomes{
		"compat": {"200", "unqualifiedName=1 operationCase=1", `CY title: "Boss"`},
		"strict": {"400 invalidSyntax", "", ""},
	}},
	{"an extension's attribute without its URN in a path", "PATCH /Users/ANA", `{"op":"replace","path":"department","value":"D"},{"op":"add","path":"manager.value","value":"BO"}`, nil, outcomes{
		"compat":  {"200", "unqualifiedName=2", `ANA ` + ent + `: {"department":"D","manager":{"value":"BO"}}` + "\n" + `ANA schemas: ["` + userURN + `","` + ent + `"]`},
		"strict":  {"400 invalidPath", "", "ANA " + ent + ": -"},
		"interop": {"400 invalidSyntax", "", "ANA " + ent + ": -"},
	}},
	{"an extension's attribute without its URN in a value", "PATCH /Users/ANA", `{"op":"replace","value":{"department":"D","manager":"BO"}}`, nil, outcomes{
		"compat":  {"200", "bareValue=1 unqualifiedName=2", `ANA ` + ent + `: {"department":"D","manager":{"value":"BO"}}`},
		"strict":  {"200", "unknownAttribute=2", "ANA " + ent + ": -"},
		"interop": {"400 invalidSyntax", "", "ANA " + ent + ": -"},
	}},
	{"an extension's attribute without its URN in a body", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"userName":"ana@corp.test","department":"D","manager.value":"BO"}`, nil, outcomes{
		"compat":  {"200", "unqualifiedName=2 pathName=1", `ANA ` + ent + `: {"department":"D","manager":{"value":"BO"}}`},
		"strict":  {"200", "unknownAttribute=2", "ANA " + ent + ": -"},
		"interop": {"400 invalidSyntax", "", adaIs},
	}},
	{"no attribute of ours without its URN", "PATCH /Users/ANA", `{"op":"replace","path":"products","value":["P"]}`, nil, outcomes{
		"compat":  {"200", "unknownAttribute=1", adaIs},
		"strict":  {"400 invalidPath", "", adaIs},
		"interop": {"400 invalidSyntax", "", adaIs},
	}},
	{"a search without schemas", "POST /Users/.search", `{"filter":"title pr"}`, nil, outcomes{
		"compat": {"200 total 0", "missingSchema=1", ""},
		"strict": {"400 invalidSyntax", "", ""},
	}},
	{"a search with another schema", "POST /.search", `{"schemas":["` + listURN + `"],"filter":"title pr"}`, nil, outcomes{
		"compat": {"200 total 0", "missingSchema=1", ""},
		"strict": {"400 invalidSyntax", "", ""},
	}},
	{"string numbers in a search", "POST /Users/.search", `{"schemas":["` + searchURN + `"],"startIndex":"1","count":"2","sortBy":"id"}`, nil, outcomes{
		"compat": {"200 total 3", "stringNumber=2", ""},
		"strict": {"400 invalidValue", "", ""},
	}},
	{"an empty count in a search", "POST /Users/.search", `{"schemas":["` + searchURN + `"],"count":""}`, nil, outcomes{
		"compat": {"200 total 3", "emptyString=1", ""},
		"strict": {"400 invalidValue", "", ""},
	}},
	{"one name for a list in a search", "POST /Groups/.search", `{"schemas":["` + searchURN + `"],"attributes":"displayName"}`, nil, outcomes{
		"compat": {"200 total 2", "singleForMany=1", ""},
		"strict": {"400 invalidValue", "", ""},
	}},
	{"startIndex beside cursor", "GET /Users?cursor=&startIndex=2&count=501", "", nil, outcomes{
		"compat": {"200 total 3", "cursorPaging=1", ""},
		"strict": {"400 invalidValue", "", ""},
	}},
	{"a page by cursor that is too large", "GET /Groups/TEAM/members?cursor=&count=501", "", nil, outcomes{
		"compat": {"200 total 2", "cursorPaging=1", ""},
		"strict": {"400 invalidCount", "", ""},
	}},
	{"a page by index that is too large", "GET /Users?count=501", "", nil, outcomes{
		"compat": {"200 total 3", "", ""},
	}},
	{"a bulk path without its slash", "POST /Bulk", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"PATCH","path":"Users/ANA","data":{"schemas":["` + patchURN + `"],"Operations":[{"op":"add","path":"title","value":"Boss"}]}}]}`, nil, outcomes{
		"compat": {"200", "missingSlash=1", `ANA title: "Boss"`},
		"strict": {"200", "", "ANA title: -"},
	}},
	{"names in the query of a bulk operation", "POST /Bulk", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"PATCH","path":"/Users/ANA?attributes=department","data":{"schemas":["` + patchURN + `"],"Operations":[{"op":"add","path":"title","value":"Boss"}]}}]}`, nil, outcomes{
		"compat": {"200", "unqualifiedName=1", `ANA title: "Boss"`},
		"strict": {"200", "", `ANA title: "Boss"`},
	}},

	// What the server owns, and what it does not fill.
	{"the manager's name in a body", "PUT /Users/ANA", `{"schemas":["` + userURN + `","` + ent + `"],"userName":"ana@corp.test","` + ent + `":{"manager":{"value":"BO","displayName":"Bo"}}}`, nil, outcomes{
		"compat": {"200", "", `ANA ` + ent + `: {"manager":{"value":"BO"}}`},
	}},
	{"the names of members in a body", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members":[{"value":"CY","display":"Cy"}]}`, nil, outcomes{
		"compat": {"200", "", "TEAM members: CY\nTEAM members.0.display: -"},
	}},

	// What the interoperability profile has besides.
	{"a path with a filter ends in a sub-attribute", "PATCH /Users/ANA", `{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"a2@corp.test"}}`, nil, outcomes{
		"compat":  {"200", "", `ANA emails.0.value: "a2@corp.test"`},
		"interop": {"400 invalidPath", "", `ANA emails.0.value: "ana@corp.test"`},
	}},
	{"entity tags are for others", "PATCH /Users/ANA", `{"op":"add","path":"title","value":"Boss"}`, []string{"If-Match", `W/"stale"`}, outcomes{
		"compat":  {"412", "", "ANA title: -"},
		"interop": {"200", "", `ANA title: "Boss"`},
	}},
	{"the media type that Accept asks for", "GET /Users/ANA", "", []string{"Accept", "application/json"}, outcomes{
		"compat":  {"200 application/json", "", ""},
		"interop": {"200 application/scim+json", "", ""},
	}},
	{"a password", "POST /Users", `{"schemas":["` + userURN + `"],"userName":"new@corp.test","password":"x9"}`, nil, outcomes{
		"compat": {"201", "passwordDropped=1", "NEW password: -"},
	}},
	{"a password in PATCH", "PATCH /Users/ANA", `{"op":"replace","path":"password","value":"N3w-secret"}`, nil, outcomes{
		"compat": {"200", "passwordDropped=1", "ANA password: -"},
	}},
	{"capitals in op", "PATCH /Users/ANA", `{"op":"Add","path":"title","value":"Boss"}`, nil, outcomes{
		"compat": {"200", "operationCase=1", `ANA title: "Boss"`},
		"strict": {"400 invalidSyntax", "", "ANA title: -"},
	}},
	{"an empty string", "PATCH /Users/ANA", `{"op":"replace","path":"displayName","value":""}`, nil, outcomes{
		"compat": {"200", "emptyString=1", "ANA displayName: -"},
		"strict": {"200", "", `ANA displayName: ""`},
	}},
	{"no schemas", "POST /Users", `{"userName":"new@corp.test"}`, nil, outcomes{
		"compat": {"201", "missingSchema=1", `NEW userName: "new@corp.test"`},
		"strict": {"400 invalidSyntax", "", ""},
	}},
	{"a number for a string", "PATCH /Users/ANA", `{"op":"add","path":"` + ent + `:employeeNumber","value":7}`, nil, outcomes{
		"compat": {"200", "numberForString=1", `ANA ` + ent + `|employeeNumber: "7"`},
		"strict": {"400 invalidValue", "", `ANA ` + ent + `|employeeNumber: -`},
	}},
	{"bare members", "PATCH /Groups/TEAM", `{"op":"add","path":"members","value":["CY"]}`, nil, outcomes{
		"compat": {"204", "bareValue=1", "TEAM members: ANA BO CY"},
		"strict": {"400 invalidValue", "", "TEAM members: ANA BO"},
	}},
}

// providers are the rows of section 3, in the dialect that their connections
// have by default.
var providers = []dialectRow{
	{"Okta finds nobody", `GET /Users?filter=userName%20eq%20%22nobody@corp.test%22&startIndex=1&count=100`, "", nil, outcomes{"compat": {"200 total 0", "", ""}}},
	{"Okta creates with a password and empty groups", "POST /Users", `{"schemas":["` + userURN + `"],"userName":"new@corp.test","name":{"givenName":"N","familyName":"W"},"emails":[{"primary":true,"value":"new@corp.test","type":"work"}],"displayName":"N W","locale":"en-US","externalId":"00u1","groups":[],"password":"x","active":true}`, nil,
		outcomes{"compat": {"201", "passwordDropped=1", "NEW active: true\n" + `NEW locale: "en-US"` + "\nNEW groups: -\nNEW password: -"}}},
	{"Okta puts back what it read", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"id":"ANA","userName":"ana@corp.test","name":{"givenName":"Anita","middleName":"","familyName":"Ruiz"},"emails":[{"primary":true,"value":"ana@corp.test","type":"work","display":"ana@corp.test"}],"active":true,"groups":[{"value":"TEAM","display":"Team one"}],"meta":{"resourceType":"User","version":"W/\"1\""}}`, nil,
		outcomes{"compat": {"200", "emptyString=1", `ANA name: {"familyName":"Ruiz","givenName":"Anita"}` + "\n" + `ANA groups.0.value: "TEAM"`}}},
	{"Okta AIW deactivates by PUT", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"userName":"ana@corp.test","active":false}`, nil, outcomes{"compat": {"200", "", "ANA active: false"}}},
	{"Okta OIN deactivates without a path", "PATCH /Users/ANA", `{"op":"replace","value":{"active":false}}`, nil, outcomes{"compat": {"200", "", "ANA active: false\n" + adaIs}}},
	{"Okta syncs a password", "PATCH /Users/ANA", `{"op":"replace","value":{"password":"N3w"}}`, nil, outcomes{"compat": {"200", "passwordDropped=1", adaIs}}},
	{"Okta renames a group with its id", "PATCH /Groups/TEAM", `{"op":"replace","value":{"id":"TEAM","displayName":"Finance EU"}}`, nil, outcomes{"compat": {"204", "", `TEAM displayName: "Finance EU"` + "\nTEAM members: ANA BO"}}},
	{"Okta names another id", "PATCH /Groups/TEAM", `{"op":"replace","value":{"id":"OTHER","displayName":"Finance EU"}}`, nil, outcomes{"compat": {"400 mutability", "", `TEAM displayName: "Team one"`}}},
	{"Okta pushes a difference", "PATCH /Groups/TEAM", `{"op":"remove","path":"members[value eq \"ANA\"]"},{"op":"add","path":"members","value":[{"value":"CY","display":"cy@corp.test"}]}`, nil, outcomes{"compat": {"204", "", "TEAM members: BO CY"}}},
	{"Okta pushes the whole list", "PATCH /Groups/TEAM", `{"op":"replace","path":"members","value":[{"value":"CY","display":"cy@corp.test"}]}`, nil, outcomes{"compat": {"204", "", "TEAM members: CY"}}},
	{"Okta pushes the whole list by PUT", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","members":[{"value":"CY","display":"cy@corp.test"}]}`, nil, outcomes{"compat": {"200", "", "TEAM members: CY"}}},
	{"Okta creates whom it knows", "POST /Users", `{"schemas":["` + userURN + `"],"userName":"new@corp.test","externalId":"x-ana"}`, nil, outcomes{"compat": {"409 uniqueness", "", ""}}},
	{"Okta sends the token alone", "GET /Users?startIndex=1&count=100", "", []string{"Authorization", "TOKEN"}, outcomes{"compat": {"200 total 3", "", ""}}},

	{"Entra tests the connection", `GET /Users?filter=userName+eq+%225f0e6a1c-90c1-4f3e-8f27-1f2f0c9f2a11%22`, "", nil, outcomes{"compat": {"200 total 0", "", ""}}},
	{"Entra disables", "PATCH /Users/ANA", `{"op":"Replace","path":"active","value":"False"}`, nil, outcomes{"compat": {"200", "stringBoolean=1 operationCase=1", "ANA active: false"}}},
	{"Entra disables with its flag", "PATCH /Users/ANA?aadOptscim062020", `{"op":"replace","path":"active","value":false}`, nil, outcomes{"compat": {"200", "", "ANA active: false"}}},
	{"Entra looks up with its flag", `GET /Users?aadOptscim062020&filter=userName+eq+%22ANA@corp.test%22`, "", nil, outcomes{"compat": {"200 total 1", "", ""}}},
	{"Entra changes several with its flag", "PATCH /Users/ANA?aadOptscim062020", `{"op":"replace","path":"emails[type eq \"work\"].value","value":"a2@corp.test"},{"op":"replace","value":{"displayName":"A","name.givenName":"A","name.familyName":"R",` + urnKey + `}}`, nil,
		outcomes{"compat": {"200", "pathName=3", `ANA name: {"familyName":"R","givenName":"A"}` + "\n" + `ANA ` + ent + `: {"employeeNumber":"7"}` + "\n" + `ANA emails.0.value: "a2@corp.test"`}}},
	{"Entra adds what is not there", "PATCH /Users/ANA", `{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"555"},{"op":"Add","path":"addresses[type eq \"work\"].locality","value":"Bonn"}`, nil,
		outcomes{"compat": {"200", "operationCase=2", `ANA phoneNumbers: [{"value":"555","type":"mobile"}]` + "\n" + `ANA addresses: [{"locality":"Bonn","type":"work"}]`}}},
	{"Entra replaces what is not there", "PATCH /Users/ANA", `{"op":"Replace","path":"emails[type eq \"home\"].value","value":"h@corp.test"}`, nil,
		outcomes{"compat": {"200", "operationCase=1 upserted=1", `ANA emails.1: {"value":"h@corp.test","type":"home"}`}}},
	{"Entra clears the manager", "PATCH /Users/CY", `{"op":"Replace","path":"` + ent + `:manager","value":""}`, nil, outcomes{"compat": {"200", "emptyString=1 operationCase=1", "CY " + ent + ": -"}}},
	{"Entra clears by an empty string, then null", "PATCH /Users/ANA", `{"op":"Replace","path":"displayName","value":""},{"op":"Replace","path":"displayName","value":null}`, nil, outcomes{"compat": {"200", "emptyString=1 operationCase=2", "ANA displayName: -"}}},
	{"Entra adds a role with its flag for primary", "PATCH /Users/ANA", `{"op":"Add","path":"roles[primary eq \"True\"].value","value":"{\"id\":\"r1\",\"value\":\"Admin\"}"}`, nil,
		outcomes{"compat": {"200", "stringBoolean=1 operationCase=1", `ANA roles: [{"value":"{\"id\":\"r1\",\"value\":\"Admin\"}","primary":true}]`}}},
	{"Entra creates with nulls", "POST /Users", `{"schemas":["` + userURN + `","` + ent + `"],"userName":"new@corp.test","addresses":null,"title":null,"roles":[],"meta":{"resourceType":"User"}}`, nil, outcomes{"compat": {"201", "", `NEW schemas: ["` + userURN + `"]`}}},
	{"Entra creates a group with its own URN", "POST /Groups", `{"schemas":["` + groupURN + `","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"b1","displayName":"Finance EU","meta":{"resourceType":"Group"}}`, nil, outcomes{"compat": {"201", "unknownSchema=1", ""}}},
	{"Entra removes a member", "PATCH /Groups/TEAM", `{"op":"Remove","path":"members","value":[{"$ref":null,"value":"ANA"}]}`, nil, outcomes{"compat": {"204", "operationCase=1 removeListed=1", "TEAM members: BO"}}},
	{"Entra removes a member with its flag", "PATCH /Groups/TEAM?aadOptscim062020", `{"op":"remove","path":"members[value eq \"ANA\"]"}`, nil, outcomes{"compat": {"204", "", "TEAM members: BO"}}},
	{"Entra checks a member", `GET /Groups?filter=id+eq+%22TEAM%22+and+members+eq+%22ANA%22&attributes=id`, "", nil, outcomes{"compat": {"200 total 1", "", ""}}},
	{"Entra checks who is none", `GET /Groups?filter=id+eq+%22TEAM%22+and+members+eq+%22CY%22&attributes=id`, "", nil, outcomes{"compat": {"200 total 0", "", ""}}},
	{"Entra checks the manager", `GET /Users?filter=id+eq+%22CY%22+and+manager+eq+%22BO%22&attributes=id`, "", nil, outcomes{"compat": {"200 total 1", "unqualifiedName=1", ""}}},
	{"Entra finds by address", `GET /Users?filter=emails%5Btype+eq+%22work%22%5D.value+eq+%22ana@corp.test%22`, "", nil, outcomes{"compat": {"200 total 1", "", ""}}},
	{"Entra finds by externalId", `GET /Users?filter=externalId+eq+%22x-ana%22`, "", nil, outcomes{"compat": {"200 total 1", "", ""}}},

	{"OneLogin puts its template", "PUT /Users/ANA?", `{"schemas":["urn:scim:schemas:core:2.0","` + ent + `"],"id":null,"userName":"ana@corp.test","active":"true","displayName":"","managerId":"BO"}`, []string{"Accept", "application/json"},
		outcomes{"compat": {"200 application/json", "unknownAttribute=1 oldSchema=1 stringBoolean=1 emptyString=1", "ANA active: true\nANA displayName: -"}}},
	{"OneLogin puts a template of SCIM 1", "PUT /Users/ANA?&", `{"schemas":["urn:scim:schemas:core:1.0"],"userName":"ana@corp.test"}`, nil, outcomes{"compat": {"200", "oldSchema=1", "ANA displayName: -"}}},
	{"OneLogin looks up somebody who is not there", `GET /Users?filter=userName+eq+%22nobody%22&`, "", []string{"Accept", "application/json"}, outcomes{"compat": {"200 application/json", "", ""}}},
	{"JumpCloud adds a member again", "PATCH /Groups/TEAM", `{"op":"add","path":"members","value":[{"value":"ANA"}]}`, nil, outcomes{"compat": {"204", "", "TEAM members: ANA BO"}}},
	{"JumpCloud removes a member", "PATCH /Groups/TEAM", `{"op":"remove","path":"members","value":[{"value":"ANA"}]}`, nil, outcomes{"compat": {"204", "removeListed=1", "TEAM members: BO"}}},
	{"JumpCloud deletes its test user", "DELETE /Users/CY", "", nil, outcomes{"compat": {"204", "", ""}}},
	{"PingFederate reads every group", "GET /Groups?startIndex=1&count=100", "", nil, outcomes{"compat": {"200 total 2", "", ""}}},
	{"PingFederate puts a user", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"userName":"ana@corp.test","active":true,"name":{"givenName":"Anita"}}`, nil, outcomes{"compat": {"200", "", `ANA name: {"givenName":"Anita"}`}}},
	{"Google creates with both URNs", "POST /Users", `{"schemas":["urn:scim:schemas:core:1.0","` + userURN + `"],"userName":"new@corp.test"}`, nil, outcomes{"compat": {"201", "oldSchema=1", `NEW schemas: ["` + userURN + `"]`}}},
	{"Rippling asks what is supported", "GET /ServiceProviderConfig", "", nil, outcomes{"compat": {"200", "", ""}}},
	{"Rippling asks for primary addresses", `GET /Users?filter=emails.primary%20eq%20true`, "", nil, outcomes{"compat": {"200 total 3", "", ""}}},
	{"SailPoint reads the configuration", "GET /ServiceProviderConfig", "", nil, outcomes{"compat": {"200", "", ""}}},
	{"SailPoint reads the resource types", "GET /ResourceTypes", "", nil, outcomes{"compat": {"200", "", ""}}},
	{"SailPoint reads one resource type", "GET /ResourceTypes/User", "", nil, outcomes{"compat": {"200", "", ""}}},
	{"SailPoint reads the schemas", "GET /Schemas", "", nil, outcomes{"compat": {"200", "", ""}}},
	{"SailPoint reads one schema", "GET /Schemas/" + userURN, "", nil, outcomes{"compat": {"200", "", ""}}},
	{"authentik puts a user", "PUT /Users/ANA", `{"schemas":["` + userURN + `"],"userName":"ana","displayName":"Ana Ruiz","name":{"formatted":"Ana Ruiz","givenName":"Ana","familyName":"Ruiz"},"emails":[{"value":"ana@corp.test","type":"other","primary":true}],"active":true,"externalId":"ak-1"}`, nil, outcomes{"compat": {"200", "", `ANA externalId: "ak-1"`}}},
	{"authentik changes a group without a path", "PATCH /Groups/TEAM", `{"op":"replace","value":{"id":"TEAM","displayName":"Finance EU","externalId":"ak-g"}}`, nil, outcomes{"compat": {"204", "", `TEAM externalId: "ak-g"` + "\nTEAM members: ANA BO"}}},
	{"authentik puts every member", "PUT /Groups/TEAM", `{"schemas":["` + groupURN + `"],"displayName":"Team one","externalId":"ak-g","members":[{"value":"ANA"},{"value":"CY"}]}`, nil, outcomes{"compat": {"200", "", "TEAM members: ANA CY"}}},
}

func TestQuestionsOfDialects(t *testing.T) {
	for _, row := range questions {
		var want outcome
		for i, dialect := range org.Dialects {
			if w, ok := row.want[dialect]; ok {
				want = w
			} else if i == 0 {
				t.Fatalf("%s says nothing of %s", row.name, dialect)
			}
			t.Run(row.name+"/"+dialect, func(t *testing.T) { row.run(t, dialect, want) })
		}
	}
}

func TestRequestsOfProviders(t *testing.T) {
	for _, row := range providers {
		t.Run(row.name, func(t *testing.T) { row.run(t, "compat", row.want["compat"]) })
	}
}

func (row dialectRow) run(t *testing.T, dialect string, want outcome) {
	w := newWorld(t, dialect)
	of := func(name, more string) string {
		return fmt.Sprintf(`{"schemas":[%q%s],"userName":"%[3]s@corp.test","externalId":"x-%[3]s","active":true,"displayName":"Ana Ruiz","name":{"givenName":"Ana","familyName":"Ruiz"},"emails":[{"value":"%[3]s@corp.test","type":"work","primary":true}]%s}`,
			userURN, map[bool]string{true: `,"` + ent + `"`}[more != ""], name, more)
	}
	ids := map[string]string{}
	for _, name := range []string{"ana", "bo"} {
		ids[strings.ToUpper(name)] = w.do("POST", "/Users", of(name, "")).want(201).text("id")
	}
	ids["CY"] = w.do("POST", "/Users", of("cy", `,"`+ent+`":{"manager":{"value":"`+ids["BO"]+`"}}`)).want(201).text("id")
	ids["TEAM"], ids["OTHER"] = w.group("Team one", ids["ANA"], ids["BO"]), w.group("Team two")
	counted := func() (out []string) {
		list, err := w.orgs.Coercions(t.Context(), w.org, w.conn.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			out = append(out, fmt.Sprintf("%s=%d", c.Rule, c.Count))
		}
		return out
	}
	if c := counted(); len(c) > 0 {
		t.Fatalf("what a strict client sends was bent: %v", c)
	}
	fill := func(s string) string {
		for name, id := range ids {
			for _, q := range []string{`"`, `/`, `%22`, `\"`} { // as a whole word only
				s = strings.ReplaceAll(s, q+name+`"`, q+id+`"`)
				s = strings.ReplaceAll(s, q+name+`%22`, q+id+`%22`)
				s = strings.ReplaceAll(s, q+name+`\"`, q+id+`\"`)
			}
			for _, end := range []string{"?", "&", "/"} {
				s = strings.ReplaceAll(s, "/"+name+end, "/"+id+end)
			}
			if rest, ok := strings.CutSuffix(s, "/"+name); ok {
				s = rest + "/" + id
			}
		}
		return s
	}
	method, path, _ := strings.Cut(row.request, " ")
	body := fill(row.body)
	if method == "PATCH" && !strings.Contains(body, patchURN) {
		body = patch(body)
	}
	headers := slices.Clone(row.headers)
	for i := range headers {
		headers[i] = strings.ReplaceAll(headers[i], "TOKEN", w.token)
	}
	a := w.do(method, fill(path), body, headers...)
	code, more, _ := strings.Cut(want.code, " ")
	switch {
	case fmt.Sprint(a.status) != code:
		t.Fatalf("%s = %d, want %s; body %s", a.asked, a.status, want.code, a.body)
	case a.status >= 400:
		a.refused(a.status, more)
	case strings.HasPrefix(more, "total "):
		a.is("totalResults", more[len("total "):])
	case strings.Contains(more, "/") && a.header.Get("Content-Type") != more:
		t.Errorf("%s is of type %q, want %q", a.asked, a.header.Get("Content-Type"), more)
	case more != "" && !strings.Contains(more, "/") && a.tree.Get(more).Kind() == 0:
		t.Errorf("%s = %s, want it to have %s", a.asked, a.body, more)
	}
	if a.status == 201 {
		ids["NEW"] = a.text("id")
	}
	got := counted()
	wanted := strings.Fields(want.coerced)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("%s counts %v, want %v", a.asked, got, wanted)
	}
	for line := range strings.Lines(want.after) {
		of, text, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		name, at, _ := strings.Cut(of, " ")
		if name == "TEAM" && at == "members" {
			var members []string
			for _, m := range strings.Fields(text) {
				members = append(members, ids[m])
			}
			slices.Sort(members)
			if got := w.members(ids[name]); !slices.Equal(got, members) {
				t.Errorf("after it the members are %v, want %s", got, text)
			}
			continue
		}
		endpoint := "/Users/"
		if name == "TEAM" || name == "OTHER" {
			endpoint = "/Groups/"
		}
		tree := w.get(endpoint + ids[name]).want(200).tree
		// A bar parts a URN, which holds dots, from what is in it.
		urn, rest, split := strings.Cut(at, "|")
		if split || strings.HasPrefix(at, "urn:") {
			tree, at = tree.Get(urn), rest
		}
		v := tree
		if at != "" {
			v = answer{TB: t, tree: tree}.at(at)
		}
		shown := "-"
		if b := v.Append(nil); len(b) > 0 && v.Kind() != 0 {
			shown = string(b)
		}
		if want := fill(text); shown != want {
			t.Errorf("after it %s is %s, want %s", of, shown, want)
		}
	}
}

// A user who was assigned, taken away and assigned again stays one user, whom
// every look-up shows, in each way that identity providers have of saying so.
func TestReassigned(t *testing.T) {
	for _, dialect := range org.Dialects {
		for name, say := range map[string]func(w *world, id, active string){
			"by path": func(w *world, id, active string) {
				w.do("PATCH", "/Users/"+id, patch(`{"op":"replace","path":"active","value":`+active+`}`)).want(200)
			},
			"by PUT": func(w *world, id, active string) {
				w.do("PUT", "/Users/"+id, strings.Replace(person("ada@corp.test", `"externalId":"x-1"`), `"active":true`, `"active":`+active, 1)).want(200)
			},
		} {
			w := newWorld(t, dialect)
			id := w.user("ada@corp.test", `"externalId":"x-1"`)
			for _, active := range []string{"false", "true", "false"} {
				say(w, id, active)
				for _, f := range []string{`userName eq "ADA@corp.test"`, `externalId eq "x-1"`, `active eq ` + active} {
					w.find("/Users", f).list(id).is("Resources.0.active", active)
				}
				w.get("/Users").list(id)
				if a := w.do("POST", "/Users", person("ada@corp.test", `"externalId":"x-1"`)); a.status != 409 {
					t.Errorf("%s, %s: POST of a user who is there = %d, want 409", dialect, name, a.status)
				}
			}
		}
	}
}

// What only the interoperability profile knows is told to its connections, and
// is true of them; others, and whoever asks as nobody, do not read of it.
func TestInteropProfileConformant(t *testing.T) {
	for _, dialect := range org.Dialects {
		w := newWorld(t, dialect)
		a := w.get("/ServiceProviderConfig").want(200)
		if dialect == "interop" {
			a.is("interopProfileConformant", "true")
		} else {
			a.lacks("interopProfileConformant")
		}
		w.get("/ServiceProviderConfig", "Authorization", "").want(200).lacks("interopProfileConformant")
		for _, rt := range w.get("/ResourceTypes").want(200).at("Resources").Elements() {
			if rt.Get("id").Text() != rt.Get("name").Text() {
				t.Errorf("the resource type %s has the id %s", rt.Get("name").Text(), rt.Get("id").Text())
			}
		}
	}
	w := newWorld(t, "interop")
	for i := range 120 {
		w.user(fmt.Sprintf("u%03d@corp.test", i))
	}
	w.get("/Users").want(200).is("itemsPerPage", "100")
	w.get("/Users?count=110").want(200).is("itemsPerPage", "110")
	id := w.user("ada@corp.test")
	w.do("POST", "/Users", person("ADA@corp.test")).refused(409, "uniqueness")
	w.do("DELETE", "/Users/"+id, "").want(204)
	w.get("/Users/"+id).refused(404, "")
	w.find("/Users", `userName eq "ada@corp.test"`).list()
	w.user("ada@corp.test")
}

// A connection changes its dialect while it works: what it stored is read and
// changed as before, however it had come.
func TestDialectChanges(t *testing.T) {
	w := newWorld(t)
	id := w.do("POST", "/Users", `{"schemas":["urn:scim:schemas:core:1.0"],"userName":"ada@corp.test","active":"True","shoeSize":9,"name":{"givenName":"Ada"},"roles":["admin"],"`+ent+`":{"manager":"m1","employeeNumber":7}}`).want(201).text("id")
	group := w.group("Engines", id)
	before := w.get("/Users/" + id).want(200)
	for _, dialect := range []string{"strict", "interop", "compat"} {
		if _, err := w.orgs.UpdateConnection(t.Context(), w.org, w.conn.ID, func(c *org.Connection) { c.Dialect = dialect }); err != nil {
			t.Fatal(err)
		}
		after := w.get("/Users/" + id).want(200)
		if string(after.body) != string(before.body) || after.header.Get("ETag") != before.header.Get("ETag") {
			t.Errorf("in %s the user reads %s, want %s", dialect, after.body, before.body)
		}
		if got := w.members(group); !slices.Equal(got, []string{id}) {
			t.Errorf("in %s the members are %v", dialect, got)
		}
		before = w.do("PATCH", "/Users/"+id, patch(`{"op":"add","path":"title","value":"`+dialect+`"}`)).want(200).is("title", `"`+dialect+`"`)
		w.do("PATCH", "/Groups/"+group, patch(`{"op":"replace","path":"displayName","value":"`+dialect+`"}`)).want(204)
		status := map[string]int{"compat": 200}[dialect]
		if status == 0 {
			status = 400
		}
		w.do("PATCH", "/Users/"+id, patch(`{"op":"add","path":"active","value":"True"}`)).want(status)
	}
}
