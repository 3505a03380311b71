package patch_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/patch"
	"gatehouse/internal/scim/schema"
	"gatehouse/internal/scim/value"
)

// TestIdentityProviders runs what identity providers send, as the server does
// for each method, against one user and one group.
func TestIdentityProviders(t *testing.T) {
	text, err := os.ReadFile("testdata/idp-requests.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, Method, Path string
		Body             json.RawMessage
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("testdata holds %d cases (%v)", len(cases), err)
	}
	const user = `{"userName":"ana.ruiz@corp.test","name":{"familyName":"Ruiz","givenName":"Ana"},"displayName":"Ana Ruiz","active":true,"emails":[{"value":"ana.ruiz@corp.test","type":"work","primary":true}]}`
	const group = `{"id":"g1","displayName":"Finance EU"}`
	ext := func(s string) string { return user[:len(user)-1] + `,"` + ent + `":` + s + `}` }
	wants := map[string]string{
		"okta-create":                `{"externalId":"00u1okta9ana","userName":"ana.ruiz@corp.test","name":{"familyName":"Ruiz","givenName":"Ana"},"displayName":"Ana Ruiz","locale":"en-US","active":true,"emails":[{"value":"ana.ruiz@corp.test","type":"work","primary":true}]}`,
		"okta-create-dup":            `{"userName":"ANA.RUIZ@corp.test","name":{"familyName":"Ruiz","givenName":"Ana"},"active":true,"emails":[{"value":"ana.ruiz@corp.test","type":"work","primary":true}]}`,
		"okta-put-update":            `{"userName":"ana.ruiz@corp.test","name":{"familyName":"Ruiz","givenName":"Anita"},"active":true,"emails":[{"value":"ana.ruiz@corp.test","display":"ana.ruiz@corp.test","type":"work","primary":true}]}`,
		"okta-patch-deactivate":      strings.Replace(user, `"active":true`, `"active":false`, 1),
		"okta-patch-password":        user,
		"okta-group-create":          `{"displayName":"Finance EU"} `,
		"okta-group-rename":          group + " ",
		"okta-group-delta":           group + " remove(u1) add(u2)",
		"okta-group-replace":         group + " replace(u1,u2)",
		"entra-create":               `{"externalId":"8a0f2d9e-1111-4c2e-9b8e-0f4f7f0d0001","userName":"ana.ruiz@corp.test","name":{"formatted":"Ana Ruiz","familyName":"Ruiz","givenName":"Ana"},"displayName":"Ana Ruiz","active":true,"emails":[{"value":"ana.ruiz@corp.test","type":"work","primary":true}]}`,
		"entra-create-nulls":         `{"externalId":"aruiz","userName":"ana2@corp.test","name":{"familyName":"Ruiz","givenName":"Ana"},"displayName":"Ana Ruiz","active":true,"emails":[{"value":"ana2@corp.test","type":"work","primary":true}]}`,
		"entra-disable-legacy":       strings.Replace(user, `"active":true`, `"active":false`, 1),
		"entra-disable-flag":         strings.Replace(user, `"active":true`, `"active":false`, 1),
		"entra-multi-flag":           strings.NewReplacer(`"ana.ruiz@corp.test","type"`, `"a.ruiz@corp.test","type"`, `"displayName":"Ana Ruiz"`, `"displayName":"A. Ruiz"`, `"givenName":"Ana"`, `"givenName":"A."`).Replace(ext(`{"employeeNumber":"E-77"}`)),
		"entra-add-email-absent":     user[:len(user)-1] + `,"phoneNumbers":[{"value":"55501234567","type":"mobile"}]}`,
		"entra-manager-string":       ext(`{"manager":{"value":"u2"}}`),
		"entra-manager-clear":        user,
		"entra-empty-ops":            user,
		"entra-group-create":         `{"externalId":"b1e1a7c4-2222-4c2e-9b8e-0f4f7f0d0002","displayName":"Finance EU"} `,
		"entra-member-add":           group + " add(u1,u2)",
		"entra-member-remove-legacy": group + " remove(u1)",
		"jumpcloud-member-remove":    group + " remove(u1)",
		"authentik-user-put":         `{"externalId":"ak-user-1","userName":"ana","name":{"formatted":"Ana Ruiz","familyName":"Ruiz","givenName":"Ana"},"displayName":"Ana Ruiz","active":true,"emails":[{"value":"ana@corp.test","type":"other","primary":true}]}`,
		"rfc-remove-nopath":          "400 noTarget",
		"rfc-filter-nospace":         group + " remove(u1)",
		"rfc-primary":                strings.Replace(user, `"primary":true}]`, `"primary":false},{"value":"second@corp.test","type":"home","primary":true}]`, 1),
		"rfc-add-existing":           group + " add(u1)",
	}
	for _, c := range cases {
		want, known := wants[c.ID]
		if !known {
			t.Errorf("%s: nothing says what is wanted", c.ID)
			continue
		}
		body := parse(t, strings.NewReplacer("{{userId}}", "u1", "{{userId2}}", "u2", "{{groupId}}", "g1").Replace(string(c.Body)))
		rt, doc := schema.User, user
		if strings.HasPrefix(c.Path, "/Groups") {
			rt, doc = schema.Group, group
		}
		if got := serve(t, rt, c.Method, doc, body); got != want {
			t.Errorf("%s gives\n%s, want\n%s", c.ID, got, want)
		}
	}
}

// serve does with a body what a server does: the stored document, for groups
// with the steps on members behind it.
func serve(t *testing.T, rt *schema.ResourceType, method, doc string, body value.Value) string {
	t.Helper()
	var out value.Value
	var steps []patch.MemberOp
	err := func() error {
		if method != "PATCH" {
			ids, err := patch.ReadMembers(body.Get("members"), schema.Compat, new(schema.Report))
			if err != nil {
				return err
			}
			if len(ids) > 0 {
				steps = []patch.MemberOp{{Kind: patch.Replace, IDs: ids}}
			}
			out, _, _, err = rt.Normalize(body, schema.Compat)
			return err
		}
		r, err := patch.Parse(body, schema.Compat)
		if err != nil {
			return err
		}
		if rt == schema.Group {
			if r, steps, err = r.SplitMembers(schema.Compat); err != nil {
				return err
			}
		}
		out, _, err = r.Apply(rt, parse(t, doc), schema.Compat)
		return err
	}()
	if err != nil {
		return "400 " + fault.Of(err).Code
	}
	s := string(out.Append(nil))
	if rt == schema.Group {
		s += " " + render(steps)
	}
	return s
}

// TestRFCExamples applies the PATCH examples of RFC 7644 §3.5.2.
func TestRFCExamples(t *testing.T) {
	const user = `{"userName":"bjensen","emails":[{"value":"a@b","type":"work"},{"value":"x@example.com","type":"work"}],"addresses":[{"locality":"L","type":"work"},{"locality":"H","type":"home"}]}`
	wants := map[string]string{
		"add_emails":                 strings.NewReplacer(`,"emails":[`, `,"nickName":"Babs","emails":[`, `"type":"work"}],"addresses"`, `"type":"work"},{"value":"babs@jensen.org","type":"home"}],"addresses"`).Replace(user),
		"remove_multi_complex_value": strings.Replace(user, `,{"value":"x@example.com","type":"work"}`, "", 1),
		"replace_all_email_values":   strings.NewReplacer(`,"emails":[`, `,"nickName":"Babs","emails":[`, `{"value":"a@b","type":"work"},{"value":"x@example.com","type":"work"}`, `{"value":"bjensen@example.com","type":"work","primary":true},{"value":"babs@jensen.org","type":"home"}`).Replace(user),
		"replace_street_address":     strings.Replace(user, `{"locality":"L"`, `{"streetAddress":"1010 Broadway Ave","locality":"L"`, 1),
		"replace_user_work_address":  strings.Replace(user, `{"locality":"L","type":"work"}`, `{"formatted":"911 Universal City Plaza\nHollywood, CA 91608 US","streetAddress":"911 Universal City Plaza","locality":"Hollywood","region":"CA","postalCode":"91608","country":"US","type":"work","primary":true}`, 1),
		"add_members":                "add",
		"remove_all_members":         "clear",
		"remove_one_member":          "remove",
		"remove_and_add_one_member":  "remove add",
		"replace_all_members":        "clear add",
	}
	files, _ := filepath.Glob("testdata/rfc7644-*.json")
	if len(files) != len(wants) {
		t.Fatalf("testdata holds %d examples, want %d", len(files), len(wants))
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(f, "patch_op-")
		want := wants[strings.TrimSuffix(name, ".json")]
		for _, m := range rfc {
			r, err := patch.Parse(parse(t, string(text)), m)
			if err != nil {
				t.Errorf("%s: %s is refused: %v", m, name, err)
				continue
			}
			if strings.Contains(name, "member") {
				_, steps, err := r.SplitMembers(m)
				var kinds []string
				for _, s := range steps {
					kinds = append(kinds, s.Kind.String())
				}
				if got := strings.Join(kinds, " "); got != want || err != nil {
					t.Errorf("%s: %s gives the steps %q (%v), want %q", m, name, got, err, want)
				}
				continue
			}
			out, _, err := r.Apply(schema.User, parse(t, user), m)
			if got := string(out.Append(nil)); err != nil || got != want {
				t.Errorf("%s: %s gives\n%s (%v), want\n%s", m, name, got, err, want)
			}
		}
	}
}
