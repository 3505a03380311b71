package conformance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	listOf     = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
)

// breaches are one rule each.
var breaches = []breach{
	// Messages.
	{"answers are plain JSON", answers(func(_ *http.Request, a *answer) {
		if a.header.Get("Content-Type") != "" {
			a.header.Set("Content-Type", "application/json")
		}
	}), []string{"RFC7644-3.8-L3551"}},
	{"the status of an error is a number", answers(func(_ *http.Request, a *answer) {
		if a.status >= 400 {
			a.json(func(o object) { o["status"] = a.status })
		}
	}), []string{"RFC7644-3.12-L3707"}},
	{"a 401 names no scheme", answers(func(_ *http.Request, a *answer) { a.header.Del("WWW-Authenticate") }), []string{"RFC7644-2-L307"}},
	{"what is not there is a 500", answers(func(_ *http.Request, a *answer) {
		if a.status == http.StatusNotImplemented {
			a.refuse(http.StatusInternalServerError, "")
		}
	}), []string{"RFC7644-3.11-L3683"}},
	{"any version is answered", requests(func(r *http.Request) {
		r.URL.Path = regexp.MustCompile(`^/scim/v\d+`).ReplaceAllString(r.URL.Path, "/scim/v2")
	}), []string{"RFC7644-3.13-L3956"}},
	{"letters beyond ASCII are lost", answers(func(_ *http.Request, a *answer) {
		a.resources(func(o object) {
			if s, ok := o["displayName"].(string); ok {
				o["displayName"] = regexp.MustCompile(`[^ -~]`).ReplaceAllString(s, "?")
			}
		})
	}), []string{"RFC7644-3.8-L3537"}},

	// Discovery.
	{"the configuration needs a credential", answers(func(r *http.Request, a *answer) {
		if r.Header.Get("Authorization") == "" && at(r, "/ServiceProviderConfig") {
			a.header.Set("WWW-Authenticate", "Bearer")
			a.refuse(http.StatusUnauthorized, "")
		}
	}), []string{"RFC7643-5-L1581"}},
	{"a message's schema is discovered", answers(func(r *http.Request, a *answer) {
		switch {
		case at(r, "/Schemas/"+listOf):
			a.status, a.body = 200, []byte(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Schema"],"id":"`+listOf+`","name":"ListResponse"}`)
		case at(r, "/Schemas") && strings.HasSuffix(r.URL.Path, "/Schemas") && ok(a):
			a.json(func(o object) {
				list := o["Resources"].([]any)
				o["Resources"] = append(list, object{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": listOf, "name": "ListResponse"})
				o["totalResults"] = len(list) + 1
			})
		}
	}), []string{"RFC7644-3.1-L439"}},
	{"discovery turns pages", answers(func(r *http.Request, a *answer) {
		if at(r, "/Schemas") && r.URL.Query().Has("count") && ok(a) {
			a.json(func(o object) { o["Resources"] = o["Resources"].([]any)[:1] })
		}
	}), []string{"RFC7644-4-L4125"}},
	{"a schema has no name", answers(func(r *http.Request, a *answer) {
		if at(r, "/Schemas") {
			a.json(func(o object) {
				list, _ := o["Resources"].([]any)
				for _, s := range list {
					delete(s.(object), "name")
				}
			})
		}
	}), []string{"RFC7643-7-L1700"}},
	{"a resource type names another schema", answers(func(r *http.Request, a *answer) {
		if at(r, "/ResourceTypes") {
			a.json(func(o object) {
				list, _ := o["Resources"].([]any)
				for _, rt := range list {
					if rt.(object)["name"] == "Group" {
						rt.(object)["schema"] = "urn:example:Team"
					}
				}
			})
		}
		// Its resources do as well.
		if at(r, "/Groups") {
			a.resources(func(o object) {
				if o["schemas"] != nil {
					o["schemas"] = append([]any{"urn:example:Team"}, "urn:ietf:params:scim:schemas:core:2.0:Group")
				}
			})
		}
	}), []string{"RFC7643-6-L1641", "RFC7643-3-L711"}},

	// Representations.
	{"schemas are missing", answers(func(r *http.Request, a *answer) {
		if at(r, "/Users") || at(r, "/Groups") {
			a.resources(func(o object) {
				if o["meta"] != nil || o["id"] != nil {
					delete(o, "schemas")
				}
			})
		}
	}), []string{"RFC7643-2.1-L366", "RFC7643-3-L709", "RFC7643-3.3-L976", "EXTRA-EXT-SCHEMAS"}},
	{"schemas repeat themselves", answers(func(_ *http.Request, a *answer) {
		a.resources(func(o object) {
			if list, _ := o["schemas"].([]any); len(list) > 0 && o["userName"] != nil {
				o["schemas"] = append(list, list[0])
			}
		})
	}), []string{"RFC7643-3-L713"}},
	{"schemas do not name the extension", answers(func(_ *http.Request, a *answer) {
		a.resources(func(o object) {
			if list, _ := o["schemas"].([]any); o["userName"] != nil {
				o["schemas"] = slices.DeleteFunc(list, func(urn any) bool { return urn == enterprise })
			}
		})
	}), []string{"EXTRA-EXT-SCHEMAS"}},
	{"the extension has no container", answers(func(_ *http.Request, a *answer) {
		a.resources(func(o object) {
			if c, ok := o[enterprise].(object); ok {
				for k, v := range c {
					o[k] = v
				}
				delete(o, enterprise)
			}
		})
	}), []string{"EXTRA-EXT-CONTAINER", "EXTRA-EXT-ROUNDTRIP", "RFC7643-3.3-L981"}},
	{"booleans are strings", answers(func(r *http.Request, a *answer) {
		if at(r, "/Users") {
			a.body = regexp.MustCompile(`"(active|primary)":(true|false)`).ReplaceAll(a.body, []byte(`"$1":"$2"`))
		}
	}), []string{"EXTRA-TYPE-BOOL"}},
	{"times are numbers", answers(func(r *http.Request, a *answer) {
		if at(r, "/Users") {
			a.body = regexp.MustCompile(`"(created|lastModified)":"[^"]*"`).ReplaceAll(a.body, []byte(`"$1":1227330000`))
		}
	}), []string{"EXTRA-TYPE-DT", "RFC7643-2.3.5-L527", "RFC7643-2.3.5-L531", "RFC7643-3.1-L920"}},
	{"case is lost", answers(func(_ *http.Request, a *answer) {
		a.resources(func(o object) {
			if x, ok := o["externalId"].(string); ok {
				o["externalId"] = strings.ToLower(x)
			}
		})
	}), []string{"RFC7643-7-L1750"}},
	{"meta.resourceType is another", answers(func(r *http.Request, a *answer) {
		a.resources(func(o object) {
			if m, ok := o["meta"].(object); ok && m["resourceType"] != nil {
				m["resourceType"] = "Resource"
			}
		})
	}), []string{"RFC7644-3.3.1-L712"}},
	{"meta.location is missing", answers(func(_ *http.Request, a *answer) {
		a.resources(func(o object) {
			if m, ok := o["meta"].(object); ok {
				delete(m, "location")
			}
		})
	}), []string{"RFC7644-3.3-L605", "RFC7643-3.1-L855", "RFC7643-3.1-L927"}},
	{"no Content-Location", answers(func(_ *http.Request, a *answer) { a.header.Del("Content-Location") }), []string{"RFC7643-3.1-L927"}},
	{"what is new was modified", answers(func(_ *http.Request, a *answer) {
		a.resources(func(o object) {
			if m, ok := o["meta"].(object); ok && m["lastModified"] != nil {
				m["lastModified"] = "2099-01-01T00:00:00Z"
			}
		})
	}), []string{"RFC7643-3.1-L925"}},
	{"references lead elsewhere", answers(func(_ *http.Request, a *answer) {
		a.body = regexp.MustCompile(`"\$ref":"https?://[^/"]+`).ReplaceAll(a.body, []byte(`"$$ref":"https://elsewhere.example`))
		a.body = []byte(strings.ReplaceAll(string(a.body), "https://elsewhere.example/scim/v2", "https://elsewhere.example/people"))
	}), []string{"RFC7643-2.3.7-L555", "RFC7643-2.3.7-L578", "RFC7643-4.1.2-L1351"}},

	// Creation and replacement.
	{"POST answers 200", answers(func(_ *http.Request, a *answer) {
		if a.status == http.StatusCreated {
			a.status = http.StatusOK
		}
	}), []string{"RFC7644-3.3-L602"}},
	{"no Location", answers(func(_ *http.Request, a *answer) { a.header.Del("Location") }), []string{"RFC7644-3.3-L605"}},
	{"a duplicate has no scimType", answers(func(_ *http.Request, a *answer) {
		if a.status == http.StatusConflict {
			a.json(func(o object) { delete(o, "scimType") })
		}
	}), []string{"RFC7644-3.3-L625"}},
	{"nobody needs a userName", answers(func(r *http.Request, a *answer) {
		if o, _ := read(body(r)); r.Method == "POST" && a.status == 400 && strings.HasSuffix(r.URL.Path, "/Users") && (o["userName"] == nil || o["userName"] == "") && o != nil {
			a.status, a.body = http.StatusCreated, []byte(`{"id":"x"}`)
		}
	}), []string{"RFC7643-4.1.1-L1035"}},
	{"the client's id is taken", takesIDs, []string{"RFC7643-3.1-L872", "EXTRA-MUT-READONLY", "RFC7644-3.3-L584"}},
	{"PUT creates", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PUT" && strings.Contains(r.URL.Path, "/nobody") {
				r.Method = "POST"
				r.URL.Path = r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')]
			}
			next.ServeHTTP(w, r)
		})
	}, []string{"RFC7644-3.2-L490", "RFC7644-3.5.1-L1637"}},
	{"PUT refuses what is readOnly", answers(func(r *http.Request, a *answer) {
		if o, _ := read(body(r)); r.Method == "PUT" && ok(a) && (o["id"] != nil || o["meta"] != nil || o["groups"] != nil) {
			a.refuse(400, "mutability")
		}
	}), []string{"RFC7644-3.5.1-L1665", "RFC7643-3.1-L911"}},
	{"binary values are not looked at", requests(func(r *http.Request) {
		if o, there := read(body(r)); there && r.Method == "POST" {
			if list, _ := o["x509Certificates"].([]any); len(list) > 0 {
				if v := list[0].(object); strings.ContainsAny(fmt.Sprint(v["value"]), " !") || strings.Contains(fmt.Sprint(v["value"]), "=a") {
					setBody(r, edited(o, func(o object) { delete(o, "x509Certificates") }))
				}
			}
		}
	}), []string{"RFC7643-2.3.6-L537"}},
	{"references are not looked at", requests(func(r *http.Request) {
		if o, there := read(body(r)); there && r.Method == "POST" && strings.ContainsAny(fmt.Sprint(o["profileUrl"]), " [%") {
			setBody(r, edited(o, func(o object) { delete(o, "profileUrl") }))
		}
	}), []string{"RFC7643-2.3.7-L552"}},
	{"two values may be primary", twoPrimaries, []string{"EXTRA-MV-COMPLEX-PRIMARY", "RFC7643-2.4-L634"}},
	{"the password is echoed", echoes, []string{"EXTRA-MUT-WRITEONLY", "EXTRA-RET-NEVER", "RFC7643-4.1.1-L1186", "RFC7643-4.1.1-L1222", "RFC7643-7-L1769"}},

	// PATCH.
	{"PATCH needs no schemas", requests(func(r *http.Request) {
		if o, there := read(body(r)); there && r.Method == "PATCH" && !strings.Contains(fmt.Sprint(o["schemas"]), ":PatchOp") {
			setBody(r, edited(o, func(o object) { o["schemas"] = []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"} }))
		}
	}), []string{"RFC7644-3.5.2-L1805"}},
	{"PATCH needs no operations", answers(func(r *http.Request, a *answer) {
		o, _ := read(body(r))
		if list, is := o["Operations"].([]any); r.Method == "PATCH" && a.status == 400 && strings.Contains(fmt.Sprint(o["schemas"]), ":PatchOp") && (is || o["Operations"] == nil) && len(list) == 0 {
			a.status, a.body = http.StatusNoContent, nil
		}
	}), []string{"RFC7644-3.5.2-L1808"}},
	{"any operation passes", patchPasses(func(ops []object) bool {
		return len(ops) == 1 && !slices.Contains([]any{"add", "remove", "replace"}, comparable(ops[0]["op"]))
	}), []string{"RFC7644-3.5.2-L1810"}},
	{"add needs no value", patchPasses(func(ops []object) bool {
		if len(ops) != 1 || ops[0]["op"] != "add" {
			return false
		}
		_, there := ops[0]["value"]
		return !there
	}), []string{"RFC7644-3.5.2.1-L1972"}},
	{"paths to nothing pass", patchPasses(func(ops []object) bool {
		return len(ops) == 1 && strings.Contains(fmt.Sprint(ops[0]["path"]), "noSuch")
	}), []string{"RFC7644-3.5.2-L1886"}},
	{"changes to what is readOnly pass", patchPasses(func(ops []object) bool {
		return len(ops) == 1 && ops[0]["op"] != "remove" && slices.Contains([]any{"id", "meta.created", "groups"}, comparable(ops[0]["path"]))
	}), []string{"RFC7644-3.5.2-L1888"}},
	{"what is required can be removed", patchPasses(func(ops []object) bool {
		return len(ops) == 1 && ops[0]["op"] == "remove" && (ops[0]["path"] == "userName" || ops[0]["path"] == "displayName")
	}), []string{"RFC7644-3.5.2.2-L2167"}},
	{"immutable values can be replaced", patchPasses(func(ops []object) bool {
		return len(ops) == 1 && strings.HasSuffix(fmt.Sprint(ops[0]["path"]), `"].value`) && strings.HasPrefix(fmt.Sprint(ops[0]["path"]), "members[")
	}), []string{"EXTRA-MUT-IMMUTABLE", "RFC7644-3.5.2-L1888"}},
	{"a replace without a target succeeds", answers(func(_ *http.Request, a *answer) {
		if o, _ := read(a.body); a.status == 400 && o["scimType"] == "noTarget" {
			a.status, a.body = http.StatusNoContent, nil
		}
	}), []string{"RFC7644-3.5.2.3-L2396"}},
	{"a PATCH that fails is half done", halfDone, []string{"RFC7644-3.5.2-L1931", "RFC7644-3.5.2-L1933"}},
	{"primary is not handed over", func(next http.Handler) http.Handler {
		var kept remembered
		return answers(func(r *http.Request, a *answer) {
			if r.Method == "PATCH" && ok(a) {
				for _, op := range operations(r) {
					if strings.Contains(fmt.Sprint(op["value"], op["path"]), "primary") {
						kept.put(r.URL.Path, true)
					}
				}
			}
			if kept.get(r.URL.Path) != nil {
				a.resources(func(o object) {
					if list, _ := o["emails"].([]any); len(list) > 0 {
						list[0].(object)["primary"] = true
					}
				})
			}
		})(next)
	}, []string{"RFC7644-3.5.2-L1927", "RFC7643-2.4-L634"}},
	{"what changes nothing moves the time", func(next http.Handler) http.Handler {
		var moved remembered
		return answers(func(r *http.Request, a *answer) {
			if r.Method == "PATCH" && ok(a) {
				moved.put(r.URL.Path, true)
			}
			if moved.get(r.URL.Path) != nil {
				a.resources(func(o object) {
					if m, ok := o["meta"].(object); ok {
						m["lastModified"] = "2099-01-01T00:00:00Z"
					}
				})
			}
		})(next)
	}, []string{"RFC7644-3.5.2.1-L2004"}},
	{"PATCH answers 202", answers(func(r *http.Request, a *answer) {
		if r.Method == "PATCH" && ok(a) {
			a.status = http.StatusAccepted
		}
	}), []string{"RFC7644-3.5.2-L1939"}},

	// Deletion.
	{"DELETE answers 200", answers(func(r *http.Request, a *answer) {
		if r.Method == "DELETE" && ok(a) {
			a.status = http.StatusOK
		}
	}), []string{"RFC7644-3.6-L2657"}},
	{"a second DELETE succeeds", answers(func(r *http.Request, a *answer) {
		if r.Method == "DELETE" && a.status == 404 {
			a.status, a.body = http.StatusNoContent, nil
		}
	}), []string{"RFC7644-3.6-L2642"}},
	{"who is deleted is found", answers(func(r *http.Request, a *answer) {
		// The one query by an id that is not there is for one that was deleted.
		m := regexp.MustCompile(`^id eq "([^"]+)"$`).FindStringSubmatch(filterOf(r))
		if o, _ := read(a.body); m != nil && ok(a) && fmt.Sprint(o["totalResults"]) == "0" && !strings.HasPrefix(m[1], "nobody") {
			a.json(func(o object) { o["totalResults"], o["Resources"] = 1, []any{object{"id": m[1]}} })
		}
	}), []string{"RFC7644-3.6-L2644"}},

	// Lists, filters, sorting.
	{"totalResults counts the page", answers(func(_ *http.Request, a *answer) {
		a.json(func(o object) {
			if list, there := o["Resources"].([]any); there {
				o["totalResults"] = len(list)
			}
		})
	}), []string{"RFC7644-3.4.2-L817"}},
	{"nothing found is a 404", answers(func(_ *http.Request, a *answer) {
		if o, _ := read(a.body); fmt.Sprint(o["totalResults"]) == "0" {
			a.refuse(http.StatusNotFound, "")
		}
	}), []string{"RFC7644-3.4.2-L847"}},
	{"a start below one is refused", answers(func(r *http.Request, a *answer) {
		if n, err := strconv.Atoi(r.URL.Query().Get("startIndex")); err == nil && n < 1 {
			a.refuse(400, "invalidValue")
		}
	}), []string{"RFC7644-3.4.2.4-L1358"}},
	{"count is passed over", requests(parameter("count", drop)), []string{"RFC7644-3.4.2.4-L1363"}},
	{"attributes is passed over", requests(func(r *http.Request) {
		if r.Method == "GET" {
			parameter("attributes", drop)(r)
		}
	}), []string{"RFC7644-3.4.2.5-L1438", "RFC7644-3.9-L3596"}},
	{"excludedAttributes is passed over", requests(parameter("excludedAttributes", drop)), []string{"RFC7644-3.4.2.5-L1438"}},
	{"an id can be excluded", answers(func(r *http.Request, a *answer) {
		if slices.Contains(strings.Split(r.URL.Query().Get("excludedAttributes"), ","), "id") {
			a.json(func(o object) {
				list, _ := o["Resources"].([]any)
				for _, e := range append(list, o) {
					delete(e.(object), "id")
				}
			})
		}
	}), []string{"EXTRA-RET-ALWAYS", "RFC7644-3.4.2.5-L1449"}},
	{"a search needs no schemas", requests(func(r *http.Request) {
		if o, there := read(body(r)); there && strings.HasSuffix(r.URL.Path, "/.search") {
			setBody(r, edited(o, func(o object) { o["schemas"] = []string{"urn:ietf:params:scim:api:messages:2.0:SearchRequest"} }))
		}
	}), []string{"RFC7644-3.4.3-L1476"}},
	{"userName is compared with its case", answers(func(r *http.Request, a *answer) {
		if m := regexp.MustCompile(`userName eq "([^"]+)"`).FindStringSubmatch(filterOf(r)); m != nil && ok(a) {
			a.json(func(o object) {
				list, _ := o["Resources"].([]any)
				list = slices.DeleteFunc(list, func(e any) bool { return e.(object)["userName"] != m[1] })
				o["Resources"], o["totalResults"] = list, len(list)
			})
		}
	}), []string{"EXTRA-CASE-INSENSITIVE", "RFC7643-7-L1748", "RFC7644-3.4.2.2-L1217"}},
	{"externalId is compared without its case", func(next http.Handler) http.Handler {
		var real remembered
		h := answers(func(r *http.Request, a *answer) {
			if o, there := read(a.body); there && ok(a) {
				if x, is := o["externalId"].(string); is {
					real.put(strings.ToLower(x), x)
				}
			}
		})(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			parameter("filter", func(f string) (string, bool) {
				return regexp.MustCompile(`externalId eq "[^"]+"`).ReplaceAllStringFunc(f, func(term string) string {
					if x, is := real.get(strings.ToLower(term[len(`externalId eq "`) : len(term)-1])).(string); is {
						return `externalId eq "` + x + `"`
					}
					return term
				}), true
			})(r)
			h.ServeHTTP(w, r)
		})
	}, []string{"EXTRA-CASE-EXACT", "RFC7643-7-L1748", "RFC7644-3.4.2.2-L1217"}},
	{"an unknown operator finds nothing", answers(func(r *http.Request, a *answer) {
		if f := filterOf(r); a.status == 400 && regexp.MustCompile(`regex|like| = | xor `).MatchString(f) {
			a.status, a.body = 200, []byte(`{"schemas":["`+listOf+`"],"totalResults":0,"startIndex":1,"itemsPerPage":0,"Resources":[]}`)
		}
	}), []string{"RFC7644-3.4.2.2-L1208"}},
	{"sortOrder is passed over", requests(parameter("sortOrder", drop)), []string{"RFC7644-3.4.2.3-L1321"}},

	// Entity tags.
	{"no ETag", answers(func(_ *http.Request, a *answer) { a.header.Del("ETag") }), []string{"RFC7644-3.14-L3967"}},
	{"If-Match is passed over", requests(func(r *http.Request) { r.Header.Del("If-Match") }), []string{"RFC7644-3.14-L3967"}},
	{"weak tags look strong", answers(func(_ *http.Request, a *answer) {
		a.header.Set("ETag", strings.TrimPrefix(a.header.Get("ETag"), "W/"))
		a.resources(func(o object) {
			if m, ok := o["meta"].(object); ok && m["version"] != nil {
				m["version"] = strings.TrimPrefix(fmt.Sprint(m["version"]), "W/")
			}
		})
	}), []string{"RFC7643-3.1-L940"}},

	// Bulk.
	{"the status of a bulk operation is a number", bulkAnswers(func(op object) { op["status"] = json.Number(fmt.Sprint(op["status"])) }), []string{"RFC7644-3.7.3-L3206"}},
	{"a bulkId is lost", bulkAnswers(func(op object) { delete(op, "bulkId") }), []string{"RFC7644-3.7-L2789"}},
	{"a bulk job answers 207", answers(func(r *http.Request, a *answer) {
		if at(r, "/Bulk") && ok(a) {
			a.status = http.StatusMultiStatus
		}
	}), []string{"RFC7644-3.7-L2775"}},
	{"what is too much for a bulk job is a 400", answers(func(_ *http.Request, a *answer) {
		if a.status == http.StatusRequestEntityTooLarge {
			a.refuse(400, "tooMany")
		}
	}), []string{"RFC7644-3.7.4-L3499"}},
	{"a bulk job ends at its first failure", requests(func(r *http.Request) {
		if o, there := read(body(r)); there && at(r, "/Bulk") {
			setBody(r, edited(o, func(o object) { o["failOnErrors"] = 1 }))
		}
	}), []string{"RFC7644-3.7-L2779", "RFC7644-3.7.3-L3206"}},
}

// comparable makes any JSON value safe to compare.
func comparable(v any) any {
	switch v.(type) {
	case []any, object:
		return fmt.Sprint(v)
	}
	return v
}

// patchPasses lets a PATCH pass that was refused, and does nothing.
func patchPasses(which func([]object) bool) func(http.Handler) http.Handler {
	return answers(func(r *http.Request, a *answer) {
		if r.Method == "PATCH" && a.status == 400 && strings.Contains(string(body(r)), ":PatchOp") && which(operations(r)) {
			a.status, a.body = http.StatusNoContent, nil
		}
	})
}

func bulkAnswers(edit func(object)) func(http.Handler) http.Handler {
	return answers(func(r *http.Request, a *answer) {
		if at(r, "/Bulk") && ok(a) {
			a.json(func(o object) {
				list, _ := o["Operations"].([]any)
				for _, e := range list {
					edit(e.(object))
				}
			})
		}
	})
}

// takesIDs knows a resource by the id that the client gave it.
func takesIDs(next http.Handler) http.Handler {
	var real remembered
	h := answers(func(r *http.Request, a *answer) {
		if r.Method != "POST" || a.status != http.StatusCreated {
			return
		}
		sent, _ := read(body(r))
		theirs, _ := sent["id"].(string)
		if theirs == "" {
			return
		}
		a.json(func(o object) {
			real.put(r.URL.Path+"/"+theirs, r.URL.Path+"/"+fmt.Sprint(o["id"]))
			o["id"] = theirs
		})
	})(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, known := real.get(r.URL.Path).(string); known {
			r.URL.Path = path
		}
		h.ServeHTTP(w, r)
	})
}

// twoPrimaries takes a user with two primary addresses.
func twoPrimaries(next http.Handler) http.Handler {
	var both remembered
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, _ := read(body(r))
		list, _ := o["emails"].([]any)
		two := r.Method == "POST" && len(list) == 2 && list[0].(object)["primary"] == true && list[1].(object)["primary"] == true
		if two {
			setBody(r, edited(o, func(object) { list[1].(object)["primary"] = false }))
		}
		answers(func(r *http.Request, a *answer) {
			a.resources(func(o object) {
				id := fmt.Sprint(o["id"])
				if two {
					both.put(id, true)
				}
				if emails, _ := o["emails"].([]any); r.Method != "PUT" && both.get(id) != nil {
					for _, e := range emails {
						e.(object)["primary"] = true
					}
				}
			})
		})(next).ServeHTTP(w, r)
	})
}

// echoes tells the password that a user was given.
func echoes(next http.Handler) http.Handler {
	var passwords remembered
	return answers(func(r *http.Request, a *answer) {
		sent, _ := read(body(r))
		a.json(func(o object) {
			list, _ := o["Resources"].([]any)
			for _, e := range append(list, o) {
				u, _ := e.(object)
				id := fmt.Sprint(u["id"])
				if sent["password"] != nil && ok(a) {
					passwords.put(id, sent["password"])
				}
				if p := passwords.get(id); p != nil {
					u["password"] = p
				}
			}
		})
	})(next)
}

// halfDone does the first of the operations where another one is refused.
func halfDone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers(func(r *http.Request, a *answer) {
			o, _ := read(body(r))
			ops, _ := o["Operations"].([]any)
			if r.Method != "PATCH" || a.status != 400 || len(ops) < 2 {
				return
			}
			again := r.Clone(r.Context())
			setBody(again, edited(o, func(o object) { o["Operations"] = ops[:1] }))
			next.ServeHTTP(&nobody{http.Header{}}, again)
		})(next).ServeHTTP(w, r)
	})
}

// nobody listens to an answer.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n *nobody) WriteHeader(int)             {}
